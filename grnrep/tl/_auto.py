"""What "auto" means: choices that follow from the data."""

from __future__ import annotations

from numbers import Real

import numpy as np

from grnrep._checks import check_choice
from grnrep.core.intercept import needs_intercept
from grnrep.core.network import Network
from grnrep.core.shrinkage import choose_shrinkage
from grnrep.core.sufficient import sufficient_cells

LINKS = ("auto", "relu", "identity")
LIKELIHOODS = ("auto", "gaussian")


def check_model(
    *,
    solver: str,
    likelihood: str,
    link: str,
    intercept: bool | str,
    ridge: float | str,
    prior: float | str,
) -> None:
    """Check the choices of a model."""
    check_choice("likelihood", likelihood, LIKELIHOODS)
    check_choice("link", link, LINKS)
    if not isinstance(intercept, bool) and intercept != "auto":
        raise ValueError(f"intercept must be True, False or 'auto'; found {intercept!r}")
    for name, value in {"ridge": ridge, "prior": prior}.items():
        number = isinstance(value, Real) and not isinstance(value, bool) and 0 <= value < np.inf
        if not number and value != "auto":
            raise ValueError(f"{name} must be a finite number of at least 0, or 'auto'; found {value!r}")
        if value != "auto" and solver != "exact":
            raise ValueError(f"{name} is an option of solver='exact' only; found solver={solver!r}")


def check_max_cells(max_cells: int | str | None, *, solver: str) -> None:
    """Check how many cells to learn from."""
    whole = isinstance(max_cells, int | np.integer) and not isinstance(max_cells, bool)
    if max_cells is not None and max_cells != "auto" and not (whole and max_cells >= 2):
        raise ValueError(
            f"max_cells must be a whole number of at least 2, None or 'auto'; found {max_cells!r}"
        )
    if max_cells != "auto" and solver != "exact":
        raise ValueError(f"max_cells is an option of solver='exact' only; found solver={solver!r}")


def choose_model(
    x: np.ndarray,
    network: Network,
    *,
    likelihood: str,
    link: str,
    intercept: bool | str,
    rng: int,
) -> dict[str, str | bool]:
    """Settle the model for expression ``x`` (n_cells, n_genes) and its network.

    Without a ReLU the zero of expression has no meaning of its own, so that every
    gene needs an intercept; under a ReLU the data decide.
    """
    if link == "auto":
        link = "identity" if np.any(x < 0) else "relu"
    if intercept == "auto":
        intercept = link == "identity" or needs_intercept(x, network, rng=rng)
    likelihood = "gaussian" if likelihood == "auto" else likelihood
    return {"likelihood": likelihood, "link": link, "intercept": intercept}


def choose_penalty(
    x: np.ndarray,
    network: Network,
    *,
    link: str,
    intercept: bool,
    ridge: float | str,
    prior: float | str,
    rng: int,
) -> dict[str, float]:
    """Settle how strongly the exact solver shrinks activities, and weights to prior signs."""
    settled = {
        name: None if value == "auto" else float(value)
        for name, value in {"ridge": ridge, "prior": prior}.items()
    }
    chosen = choose_shrinkage(x, network, link=link, intercept=intercept, **settled, rng=rng)
    return dict(zip(settled, chosen, strict=True))


def choose_cells(
    x: np.ndarray, network: Network, *, link: str, intercept: bool, max_cells: int | str | None
) -> int:
    """Settle how many cells the exact solver learns from."""
    if max_cells is None:
        return len(x)
    if max_cells == "auto":
        return sufficient_cells(x, network, link=link, intercept=intercept)
    return min(len(x), int(max_cells))
