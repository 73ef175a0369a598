"""Commands that simulate, and that run the experiments behind the method."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import grnrep as gr
from grnrep.cli import files
from grnrep.cli.app import STUDIES as STUDIES_PANEL
from grnrep.cli.app import command
from grnrep.cli.options import Csv, Output, Overwrite, Quiet, Rng
from grnrep.cli.shell import bars, hush, out, show_frame, show_pairs
from grnrep.cli.studies import STUDIES
from grnrep.rows.atomic import replacing


@command(rich_help_panel=STUDIES_PANEL)
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


@command(rich_help_panel=STUDIES_PANEL)
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
            progress=bars(quiet),
        )
        files.write_table(net, network_output)


@command(rich_help_panel=STUDIES_PANEL)
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
    table = study.run(data_dir, quick=quick, rng=rng, out=rows, progress=bars(quiet))
    show_frame(f"Study {name}", study.summary(table))
    if (claims := study.judge(table)) is not None:
        show_frame("Claims", claims)
    if output is not None:
        files.write_figure(study.draw(table), output / f"{name}.png")
        images = study.picture(data_dir, quick=quick, rng=rng, progress=bars(quiet))
        if images is not None:
            files.write_figure(images, output / f"{name}-images.png")
    if csv is not None:
        files.write_table(table, csv, index=table.index.names != [None])
