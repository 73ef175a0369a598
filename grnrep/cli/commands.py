"""The commands; each reads files, calls one verb and writes files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import grnrep as gr
from grnrep.cli import files
from grnrep.cli.shell import Group, hush, out, show_frame, show_pairs
from grnrep.cli.studies import STUDIES
from grnrep.rows.atomic import replacing

# Help is quick: rooms of the package, and the libraries that they load, are imported when first used.

app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_show_locals=False,
    epilog="Data are h5ad files or zarr stores; networks are csv, tsv or parquet tables with columns "
    "source, target and, if known, weight, of which the sign is used.",
)

Data = Annotated[
    Path, typer.Argument(metavar="ADATA", help="Expression, cells × genes: .h5ad or .zarr.")
]
Network = Annotated[
    Path,
    typer.Argument(metavar="NETWORK", help="Table source, target, weight: .csv, .tsv or .parquet."),
]
Output = Annotated[Path, typer.Option("--output", "-o", help="Data to write: .h5ad or .zarr.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace outputs that exist.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show warnings and errors only.")]
Signed = Annotated[
    str, typer.Option(help="Whether weights are signs: auto (not if all are 1), yes or no.")
]
Layer = Annotated[str | None, typer.Option(help="Layer with the expression, instead of X.")]
Key = Annotated[str, typer.Option(help="Name of the fit in obsm and uns.")]
Rng = Annotated[int, typer.Option(help="Seed.")]
Csv = Annotated[
    Path | None, typer.Option("--csv", help="Also write the table: .csv, .tsv or .parquet.")
]


def _yes_or_no(option: str, value: str) -> bool | str:
    """What a verb calls auto, yes or no."""
    known: dict[str, bool | str] = {"auto": "auto", "yes": True, "no": False}
    if value not in known:
        raise ValueError(f"{option} must be one of {', '.join(known)}; found {value!r}")
    return known[value]


def _auto_or_number(option: str, value: str) -> float | str:
    """What a verb takes as "auto" or a number."""
    try:
        return value if value == "auto" else float(value)
    except ValueError:
        raise ValueError(f"{option} must be auto or a number; found {value!r}") from None


def _auto_or_count(option: str, value: str) -> int | str:
    """What a verb takes as "auto" or a whole number."""
    try:
        return value if value == "auto" else int(value)
    except ValueError:
        raise ValueError(f"{option} must be auto or a whole number; found {value!r}") from None


def _version(wanted: bool) -> None:
    if wanted:
        out.print(f"grnrep {gr.__version__}")
        raise typer.Exit


@app.callback()
def main(
    debug: Annotated[
        bool, typer.Option("--debug", envvar="GRNREP_DEBUG", help="Show where an error comes from.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Learn the activity of transcription factors in every cell, and the weight of every edge."""


@app.command()
def demo(
    output_dir: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("grnrep_demo"),
    n_obs: Annotated[int, typer.Option(min=2, help="Cells to fit.")] = 500,
    n_held_out: Annotated[int, typer.Option(min=2, help="Further cells, to project.")] = 100,
    n_vars: Annotated[int, typer.Option(min=1, help="Genes.")] = 1000,
    n_regulators: Annotated[int, typer.Option(min=1, help="Regulators.")] = 100,
    rng: Rng = 0,
    overwrite: Overwrite = False,
) -> None:
    """Simulate, fit without signs, project new cells, and compare with the truth."""
    from grnrep.cli import demo as steps

    steps.check_outputs(output_dir, overwrite=overwrite)
    result = steps.run(n_obs, n_held_out, n_vars=n_vars, n_regulators=n_regulators, rng=rng)
    show_pairs("Simulated cells; all signs hidden from the fit", steps.numbers(result))
    steps.write(result, output_dir)


@app.command()
def simulate(
    output: Output,
    network_output: Annotated[
        Path, typer.Option(help="Network with true weights to write: .csv, .tsv or .parquet.")
    ],
    n_obs: Annotated[int, typer.Option(help="Cells.")] = 500,
    n_vars: Annotated[int, typer.Option(help="Genes.")] = 1000,
    n_regulators: Annotated[int, typer.Option(help="Regulators.")] = 100,
    connectivity: Annotated[float, typer.Option(help="Probability of every edge.")] = 0.1,
    noise_sd: Annotated[float, typer.Option(help="Standard deviation of the noise.")] = 0.2,
    zero_fraction: Annotated[
        float | None, typer.Option(help="Fraction of zeros in every gene; about half by default.")
    ] = None,
    counts: Annotated[str | None, typer.Option(help="Also draw counts: poisson or nb.")] = None,
    rng: Rng = 0,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Simulate expression from activities and a random network (Schuster & Krogh 2021, Eq. 6)."""
    files.check_output(output, files.DATA, overwrite=overwrite)
    files.check_output(network_output, files.TABLE, overwrite=overwrite)
    hush(quiet)
    with replacing(output) as path:
        _, net = gr.ds.simulate(
            n_obs,
            n_vars,
            n_regulators=n_regulators,
            connectivity=connectivity,
            noise_sd=noise_sd,
            zero_fraction=zero_fraction,
            counts=counts,
            path=path,
            rng=rng,
            progress=not quiet,
        )
        files.write_table(net, network_output)


@app.command("check-network")
def check_network(
    adata: Data, network: Network, signed: Signed = "auto", layer: Layer = None
) -> None:
    """Say how well a network suits the data, before fitting."""
    signs = _yes_or_no("--signed", signed)
    net, data = files.read_network(network), files.read_data(adata)
    report = gr.pp.check_network(data, net, signed=signs, layer=layer)
    summary = report.summary.round(2).map("{:,.10g}".format)
    show_pairs("Network and data", summary.to_dict())
    lost = report.regulators[~report.regulators["kept"]]
    if len(lost):
        first = lost.loc[lost.index[:10], ["n_targets_in_net", "reason"]]
        show_frame(f"{len(lost)} regulators would be dropped; the first are", first)
    out.print(report.verdict, soft_wrap=True)
    if report.advice:
        out.print(report.advice, soft_wrap=True)


@app.command()
def fit(
    adata: Data,
    network: Network,
    output: Output,
    model: Annotated[
        Path | None,
        typer.Option(help="Model to write too, for transform: the decoder without cells, .zarr."),
    ] = None,
    solver: Annotated[str, typer.Option(help="exact or gradient.")] = "exact",
    likelihood: Annotated[
        str,
        typer.Option(help="auto, gaussian, tobit (ReLU), for counts poisson or nb, or bernoulli."),
    ] = "auto",
    link: Annotated[str | None, typer.Option(hidden=True)] = None,
    sign_shrinkage: Annotated[
        str, typer.Option(help="How strongly weights are drawn to signs: auto or a number.")
    ] = "auto",
    free_factors: Annotated[
        str, typer.Option(help="Programmes beside the network: auto or a number.")
    ] = "auto",
    intercept: Annotated[str, typer.Option(help="Of every gene: auto, yes or no.")] = "auto",
    signed: Signed = "auto",
    covariate: Annotated[
        list[str] | None,
        typer.Option(help="Column of obs with an effect on every gene; may be repeated."),
    ] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Drop false edges and add missing ones.")
    ] = False,
    uncertainty: Annotated[
        bool,
        typer.Option("--uncertainty", help="Also standard deviations; takes many times as long."),
    ] = False,
    layer: Layer = None,
    key_added: Annotated[
        str, typer.Option(help="Name of the fit in obsm, varm and uns.")
    ] = "grnrep",
    max_iter: Annotated[
        int | None, typer.Option(help="Limit of the exact solver; its own if not given.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Passes of the gradient solver; its own if not given.")
    ] = None,
    rng: Rng = 0,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Learn activities and edge weights together."""
    intercepts, signs = _yes_or_no("--intercept", intercept), _yes_or_no("--signed", signed)
    shrinkage = _auto_or_number("--sign-shrinkage", sign_shrinkage)
    factors = _auto_or_count("--free-factors", free_factors)
    files.check_output(output, files.DATA, overwrite=overwrite)
    files.check_model_output(model, output, overwrite=overwrite)
    hush(quiet)
    from grnrep.cli.fit import check_options, likelihood_of

    likelihood = likelihood_of(likelihood, link)
    exact_only = {
        "--sign-shrinkage": shrinkage != "auto",
        "--free-factors": factors != "auto",
        "--covariate": covariate is not None,
        "--repair": repair,
        "--uncertainty": uncertainty,
    }
    check_options(solver, max_iter=max_iter, epochs=epochs, exact_only=exact_only)
    net, data = files.read_network(network), files.read_data(adata)
    if solver == "exact":
        gr.tl.fit(
            data,
            net,
            likelihood=likelihood,
            sign_shrinkage=shrinkage,
            free_factors=factors,
            intercept=intercepts,
            signed=signs,
            covariates=covariate,
            repair=repair,
            uncertainty=uncertainty,
            max_iter=max_iter,
            layer=layer,
            key_added=key_added,
            rng=rng,
            progress=not quiet,
        )
    else:
        gr.tl.fit_gradient(
            data,
            net,
            likelihood=likelihood,
            intercept=intercepts,
            signed=signs,
            epochs=epochs,
            layer=layer,
            key_added=key_added,
            rng=rng,
            progress=not quiet,
        )
    if model is not None:
        gr.io.save(data, model, key=key_added, overwrite=overwrite)
    files.write_data(data, output)


@app.command()
def transform(
    new: Annotated[Path, typer.Argument(metavar="NEW", help="Cells to project: .h5ad or .zarr.")],
    fitted: Annotated[
        Path,
        typer.Argument(metavar="FITTED", help="Data that were fitted, .h5ad or .zarr, or a model."),
    ],
    output: Output,
    layer: Layer = None,
    key: Key = "grnrep",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Infer the activities of new cells with weights that were learned before."""
    files.check_output(output, files.DATA, overwrite=overwrite)
    hush(quiet)
    fits, data = files.read_fits(fitted), files.read_data(new)
    gr.tl.transform(data, fits, key=key, layer=layer, progress=not quiet)
    files.write_data(data, output)


@app.command()
def evaluate(
    adata: Data,
    truth: Annotated[
        str, typer.Option(help="Name of the true activities in obsm.")
    ] = "true_activity",
    key: Key = "grnrep",
    csv: Csv = None,
    overwrite: Overwrite = False,
) -> None:
    """Compare activities with the true ones, and expression with its reconstruction."""
    if csv is not None:
        files.check_output(csv, files.TABLE, overwrite=overwrite)
    from grnrep.cli.evaluate import summary

    data = files.read_data(adata)
    table = gr.metrics.recovery(data, key=key, truth=truth)
    show_frame(
        f"Recovery of {len(table)} regulators in {data.n_obs} cells", summary(data, table, key=key)
    )
    if csv is not None:
        files.write_table(table.rename_axis("regulator"), csv, index=True)


@app.command()
def validate(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Study; without it, they are listed.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer sizes and repeats: minutes.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Folder for NAME.json, which an interrupted study goes on from, and NAME.png.",
        ),
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(envvar="GRNREP_DATA_DIR", help="Folder with the data of the study."),
    ] = None,
    rng: Rng = 0,
    csv: Csv = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the table of --csv.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Run an experiment that validates the method."""
    if name is None:
        for known, study in STUDIES.items():
            out.print(f"{known}: {study.about}", soft_wrap=True)
        return
    if name not in STUDIES:
        raise ValueError(f"NAME must be one of {', '.join(STUDIES)}; found {name!r}")
    if csv is not None:
        files.check_output(csv, files.TABLE, overwrite=overwrite)
    hush(quiet)
    study, rows = STUDIES[name], None if output is None else output / f"{name}.json"
    table = study.run(data_dir, quick=quick, rng=rng, out=rows, progress=not quiet)
    show_frame(f"Study {name}", study.summary(table))
    if (claims := study.judge(table)) is not None:
        show_frame("Claims", claims)
    if output is not None:
        files.write_figure(study.draw(table), output / f"{name}.png")
        images = study.picture(data_dir, quick=quick, rng=rng, progress=not quiet)
        if images is not None:
            files.write_figure(images, output / f"{name}-images.png")
    if csv is not None:
        files.write_table(table, csv, index=table.index.names != [None])
