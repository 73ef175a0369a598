"""What "auto" means: choices that follow from the data."""

from __future__ import annotations

import numpy as np

from grnrep._checks import check_choice
from grnrep.core.intercept import needs_intercept
from grnrep.core.network import Network

LINKS = ("auto", "relu", "identity")
LIKELIHOODS = ("auto", "gaussian")


def check_model(*, likelihood: str, link: str, intercept: bool | str) -> None:
    """Check the choices of a model."""
    check_choice("likelihood", likelihood, LIKELIHOODS)
    check_choice("link", link, LINKS)
    if not isinstance(intercept, bool) and intercept != "auto":
        raise ValueError(f"intercept must be True, False or 'auto'; found {intercept!r}")


def choose_model(
    x: np.ndarray, network: Network, *, likelihood: str, link: str, intercept: bool | str, rng: int
) -> dict[str, str | bool]:
    """Settle likelihood, link and intercept for expression ``x`` (n_cells, n_genes) and its network.

    Without a ReLU the zero of expression has no meaning of its own, so that every
    gene needs an intercept; under a ReLU the data decide.
    """
    if link == "auto":
        link = "identity" if np.any(x < 0) else "relu"
    if intercept == "auto":
        intercept = link == "identity" or needs_intercept(x, network, rng=rng)
    likelihood = "gaussian" if likelihood == "auto" else likelihood
    return {"likelihood": likelihood, "link": link, "intercept": intercept}
