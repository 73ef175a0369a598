"""How expression scatters about what the decoder predicts: one class for every likelihood."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import torch

from grnrep.core.likelihoods.base import Likelihood
from grnrep.core.likelihoods.bernoulli import Bernoulli
from grnrep.core.likelihoods.counts import NegativeBinomial, Poisson
from grnrep.core.likelihoods.gaussian import Gaussian, Tobit

LIKELIHOODS: Final[dict[str, type[Likelihood]]] = {
    member.name: member for member in (Gaussian, Tobit, Poisson, NegativeBinomial, Bernoulli)
}


def check_likelihood(likelihood: str) -> type[Likelihood]:
    """The likelihood of a name; raises ``ValueError`` if there is none."""
    if likelihood not in LIKELIHOODS:
        raise ValueError(f"likelihood must be one of {tuple(LIKELIHOODS)}; found {likelihood!r}")
    return LIKELIHOODS[likelihood]


def restored(
    likelihood: str, arrays: Mapping[str, np.ndarray], numbers: Mapping[str, float] | None = None
) -> Likelihood:
    """The likelihood of a name, with what its ``arrays`` (n_genes,) and ``numbers`` methods gave."""
    member = check_likelihood(likelihood)
    columns = {name: torch.as_tensor(values).double()[:, None] for name, values in arrays.items()}
    return member(**columns, **(numbers or {}))
