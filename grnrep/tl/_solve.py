"""Call the chosen solver with the options that it knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from grnrep._cells import Cells, is_count
from grnrep._checks import check_choice, check_whole
from grnrep._record import Decoder
from grnrep.core.als.count_projection import project_counts
from grnrep.core.als.counts import fit_counts
from grnrep.core.als.exact import fit_exact
from grnrep.core.als.project import Projection
from grnrep.core.fitted import Fit
from grnrep.core.network import Network

SOLVERS = {"exact": "max_iter", "gradient": "epochs"}  # and the option that limits each


def check_solver(solver: str, **limits: int | None) -> dict[str, int]:
    """Check solver and limits; return the limit that was given, as an option of the solver."""
    check_choice("solver", solver, tuple(SOLVERS))
    given = {name: value for name, value in limits.items() if value is not None}
    for name, value in given.items():
        if name != SOLVERS[solver]:
            other = next(other for other in SOLVERS if SOLVERS[other] == name)
            raise ValueError(
                f"{name} is an option of solver={other!r} only; found solver={solver!r}"
            )
        check_whole(name, value)
    return given


def seed(rng: int | np.random.Generator | None) -> int:
    """Turn ``rng`` into a seed that can be kept with the result."""
    if isinstance(rng, np.random.Generator | None):
        return int(np.random.default_rng(rng).integers(2**31))
    check_whole("rng", rng, least=0)
    return int(rng)


def learn(
    x: np.ndarray,
    network: Network,
    cells: Cells,
    params: Mapping[str, str | int | float | bool],
    *,
    device: str | None,
    progress: bool,
    **limit: int,
) -> Fit:
    """Learn decoder and activities from the cells ``x`` (n_cells, n_genes), as ``params`` say."""
    options = {name: params[name] for name in ("intercept", "rng")} | {
        "device": device,
        "progress": progress,
    }
    if params["solver"] == "gradient":
        from grnrep.nn.recipe import fit_gradient

        fit = fit_gradient(x, network, link=params["link"], **options, **limit)
    else:
        options |= {
            "ridge": params["ridge"],
            "prior": params["prior"],
            "covariates": cells.covariates,
        }
        if is_count(params["likelihood"]):
            model = {"likelihood": params["likelihood"], "size_factors": cells.size_factors}
            fit = fit_counts(x, network, **model, **options, **limit)
            fit = replace(fit, depth=cells.depth)
        else:
            model = {"link": params["link"], "shared": params["shared_prior"]}
            fit = fit_exact(x, network, **model, **options, **limit)
    _check_finite(params["solver"], fit.weight, fit.activity)
    return fit


def prepared(decoder: Decoder, *, solver: str, device: str | None) -> Projection | None:
    """What the inference of all cells has in common and is slow to make; None where there is nothing."""
    if solver != "exact" or is_count(decoder.params["likelihood"]):
        return None
    return Projection.of(
        decoder.fit, decoder.network, link=str(decoder.params["link"]), device=device
    )


def infer(
    x: np.ndarray,
    decoder: Decoder,
    cells: Cells,
    *,
    solver: str,
    device: str | None,
    progress: bool,
    projection: Projection | None = None,
    **limit: int,
) -> np.ndarray:
    """Infer activities (n_cells, n_regulators) of new cells; the decoder stays as it is.

    ``projection`` is what :func:`prepared` makes of the decoder, made here if it is None.
    """
    if solver != "exact":
        from grnrep.nn.recipe import project_gradient

        options = {"link": str(decoder.params["link"]), "device": device, "progress": progress}
        activity = project_gradient(x, decoder.fit, decoder.network, **options, **limit)
    elif cells.size_factors is not None:
        options = {
            "size_factors": cells.size_factors,
            "covariates": cells.covariates,
            "device": device,
        }
        activity = project_counts(x, decoder.fit, decoder.network, **options)
    else:
        if projection is None:
            projection = prepared(decoder, solver=solver, device=device)
        activity = projection(x, cells.covariates)
    _check_finite(solver, activity)
    return activity


def _check_finite(solver: str, *results: np.ndarray) -> None:
    """Keep a solver's failure from being stored."""
    if not all(np.isfinite(result).all() for result in results):
        raise RuntimeError(f"solver={solver!r} diverged: some weights or activities are not finite")
