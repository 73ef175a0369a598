"""Commands that check a network, fit, and project new cells."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import grnrep as gr
from grnrep.cli import data, files
from grnrep.cli.app import FIT, command
from grnrep.cli.options import (
    ActivityStore,
    Adata,
    BlockSize,
    Csv,
    Device,
    Key,
    Layer,
    MaskVar,
    MaybeOutput,
    MinTargets,
    Net,
    Overwrite,
    Quiet,
    Rng,
    Signed,
    UseRaw,
    as_before,
    auto_all_or_count,
    auto_or_count,
    auto_or_number,
    check_options,
    check_outputs,
    yes_or_no,
)
from grnrep.cli.shell import bars, hush, out, show_frame, show_pairs


@command("check-network", rich_help_panel=FIT)
def check_network(
    adata: Adata,
    net: Net,
    signed: Signed = "auto",
    min_targets: MinTargets = 5,
    layer: Layer = None,
    use_raw: UseRaw = False,
    mask_var: MaskVar = None,
    csv: Csv = None,
    overwrite: Overwrite = False,
) -> None:
    """Say how well a network suits the data, before fitting; the table of --csv is of regulators."""
    signs = yes_or_no("--signed", signed)
    if csv is not None:
        files.check_output(csv, files.TABLE, overwrite=overwrite)
    edges = files.read_network(net)
    with data.opened(adata) as cells:
        report = gr.pp.check_network(
            cells.adata,
            edges,
            layer=layer,
            use_raw=use_raw,
            mask_var=mask_var,
            signed=signs,
            min_targets=min_targets,
        )
    show_pairs("Network and data", report.numbers())
    lost = report.regulators[~report.regulators["kept"]]
    if len(lost):
        first = lost.loc[lost.index[:10], ["n_targets_in_net", "reason"]]
        show_frame(
            f"{len(lost)} of {len(report.regulators)} regulators would be left out; first of them",
            first,
        )
    out.print(report.verdict, soft_wrap=True)
    if report.advice:
        out.print(report.advice, soft_wrap=True)
    if csv is not None:
        files.write_table(report.regulators.rename_axis("regulator"), csv, index=True)


@command(rich_help_panel=FIT)
def fit(
    context: typer.Context,
    adata: Adata,
    net: Net,
    output: MaybeOutput = None,
    model: Annotated[
        Path | None,
        typer.Option(
            help="Model to write too, for transform: the decoder without cells, .zarr or .zarr.zip."
        ),
    ] = None,
    activity_store: ActivityStore = None,
    solver: Annotated[str, typer.Option(help="exact or gradient.")] = "exact",
    likelihood: Annotated[
        str,
        typer.Option(help="auto, gaussian, tobit (ReLU), for counts poisson or nb, or bernoulli."),
    ] = "auto",
    link: Annotated[str | None, typer.Option(hidden=True)] = None,
    signed: Signed = "auto",
    magnitudes: Annotated[
        bool, typer.Option("--magnitudes", help="Use sizes of weights of NET beside their signs.")
    ] = False,
    min_targets: MinTargets = 5,
    sign_shrinkage: Annotated[
        str, typer.Option(help="How strongly weights are drawn to signs: auto or a number.")
    ] = "auto",
    ridge: Annotated[str, typer.Option(help="Penalty of activities: auto or a number.")] = "auto",
    free_factors: Annotated[
        str, typer.Option(help="Programmes beside the network: auto or a number.")
    ] = "auto",
    intercept: Annotated[str, typer.Option(help="Of every gene: auto, yes or no.")] = "auto",
    covariates: Annotated[
        list[str] | None,
        typer.Option(
            "--covariate", help="Column of obs with an effect on every gene; may be repeated."
        ),
    ] = None,
    max_cells: Annotated[
        str, typer.Option(help="Cells to learn the decoder from: auto, all or a number.")
    ] = "auto",
    stratify: Annotated[
        str | None,
        typer.Option(help="Column of obs: learn from as many cells of each of its kinds."),
    ] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Drop false edges and add missing ones.")
    ] = False,
    uncertainty: Annotated[
        bool,
        typer.Option("--uncertainty", help="Also standard deviations; takes many times as long."),
    ] = False,
    layer: Layer = None,
    use_raw: UseRaw = False,
    mask_var: MaskVar = None,
    key_added: Annotated[
        str, typer.Option(help="Name of the fit in obsm, varm and uns.")
    ] = "grnrep",
    max_iter: Annotated[
        int | None, typer.Option(help="Limit of the exact solver; its own if not given.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Passes of the gradient solver; its own if not given.")
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="Folder from which a run that was killed goes on when called again."),
    ] = None,
    device: Device = None,
    block_size: BlockSize = None,
    rng: Rng = 0,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Learn activities and edge weights together."""
    intercepts, signs = yes_or_no("--intercept", intercept), yes_or_no("--signed", signed)
    shrinkage = auto_or_number("--sign-shrinkage", sign_shrinkage)
    penalty = auto_or_number("--ridge", ridge)
    factors = auto_or_count("--free-factors", free_factors)
    most = auto_all_or_count("--max-cells", max_cells)
    check_outputs(output, model, activity_store)
    data.check_data_output(output, overwrite=overwrite)
    files.check_model_output(model, output, overwrite=overwrite)
    hush(quiet)
    likelihood, min_targets = as_before(context, likelihood, link, min_targets)
    exact_only = {
        "--sign-shrinkage": shrinkage != "auto",
        "--magnitudes": magnitudes,
        "--ridge": penalty != "auto",
        "--free-factors": factors != "auto",
        "--covariate": covariates is not None,
        "--max-cells": most != "auto",
        "--stratify": stratify is not None,
        "--repair": repair,
        "--uncertainty": uncertainty,
        "--use-raw": use_raw,
    }
    check_options(solver, max_iter=max_iter, epochs=epochs, exact_only=exact_only)
    edges = files.read_network(net)
    with data.opened(adata) as cells:
        if solver == "exact":
            gr.tl.fit(
                cells.adata,
                edges,
                likelihood=likelihood,
                intercept=intercepts,
                covariates=covariates,
                sign_shrinkage=shrinkage,
                ridge=penalty,
                free_factors=factors,
                signed=signs,
                magnitudes=magnitudes,
                min_targets=min_targets,
                max_cells=most,
                stratify=stratify,
                layer=layer,
                use_raw=use_raw,
                mask_var=mask_var,
                key_added=key_added,
                rng=rng,
                repair=repair,
                uncertainty=uncertainty,
                device=device,
                progress=bars(quiet),
                checkpoint=checkpoint,
                activity_store=activity_store,
                block_size=block_size,
                max_iter=max_iter,
            )
        else:
            gr.tl.fit_gradient(
                cells.adata,
                edges,
                likelihood=likelihood,
                intercept=intercepts,
                signed=signs,
                min_targets=min_targets,
                layer=layer,
                mask_var=mask_var,
                key_added=key_added,
                rng=rng,
                device=device,
                progress=bars(quiet),
                checkpoint=checkpoint,
                activity_store=activity_store,
                block_size=block_size,
                epochs=epochs,
            )
        if model is not None:
            gr.io.save(cells.adata, model, key=key_added, overwrite=overwrite)
        if output is not None:
            data.write_results(cells, output)


@command(rich_help_panel=FIT)
def transform(
    new: Annotated[Path, typer.Argument(metavar="NEW", help="Cells to project: .h5ad or .zarr.")],
    adata: Annotated[
        Path,
        typer.Argument(
            metavar="FITTED",
            help="Data that were fitted, .h5ad or .zarr; a model; or the name of one that comes along: blood_cells.",
        ),
    ],
    output: MaybeOutput = None,
    activity_store: ActivityStore = None,
    contrast: Annotated[
        bool,
        typer.Option(
            "--contrast", help="Rows of NEW are differences, such as log fold changes, not cells."
        ),
    ] = False,
    layer: Layer = None,
    use_raw: UseRaw = False,
    key: Key = "grnrep",
    solver: Annotated[
        str | None, typer.Option(help="exact or gradient; the one that fitted by default.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Passes of the gradient solver; its own if not given.")
    ] = None,
    device: Device = None,
    block_size: BlockSize = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Infer the activities of new cells with weights that were learned before."""
    check_outputs(output, activity_store)
    data.check_data_output(output, overwrite=overwrite)
    hush(quiet)
    fits = data.read_fits(adata)
    with data.opened(new) as cells:
        gr.tl.transform(
            cells.adata,
            fits,
            contrast=contrast,
            key=key,
            solver=solver,
            epochs=epochs,
            layer=layer,
            use_raw=use_raw,
            device=device,
            activity_store=activity_store,
            block_size=block_size,
            progress=bars(quiet),
        )
        if output is not None:
            data.write_results(cells, output)
