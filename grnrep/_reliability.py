"""How much of every activity the genes of one cell can tell, by the priors and noise that a fit has learned."""

from __future__ import annotations

import numpy as np
import pandas as pd

from grnrep._record import Decoder
from grnrep.core.design import full_network

_RELIABILITY = "reliability"


def with_reliability(
    regulators: pd.DataFrame, decoder: Decoder, genes: pd.DataFrame
) -> pd.DataFrame:
    """Add the column to the table of regulators, where noise and priors were learned."""
    found = reliability(decoder, genes)
    return regulators if found is None else regulators.assign(**{_RELIABILITY: found})


def reliability(decoder: Decoder, genes: pd.DataFrame) -> np.ndarray | None:
    r"""Share of the variance of every activity that the genes of a cell determine, (n_regulators,).

    Activities (and free factors) of covariance C before the data have

    .. math:: \Sigma = (W^\top \Psi^{-1} W + C^{-1})^{-1}

    after them, Ψ the noise of genes; the share is :math:`1 - \Sigma_{jj} / C_{jj}`, the squared correlation
    of inferred and true activity if the weights are right. A zero under a ReLU counts as no observation,
    as if it said nothing. None where noise and priors were not learned.
    """
    fit = decoder.fit
    if fit.covariance is None:
        return None
    m, n_free = decoder.network.n_regulators, decoder.network.n_regulators + fit.n_factors
    full, weight = full_network(decoder.network, fit)
    precision = 1 / fit.noise()
    if decoder.link == "relu" and "share_zero" in genes:
        precision = precision * (1 - genes["share_zero"].to_numpy(dtype=np.float64))
    free = full.regulator < n_free
    w = np.zeros((full.n_genes, n_free))
    w[full.gene[free], full.regulator[free]] = weight[free]
    prior = np.eye(n_free)
    prior[:m, :m] = np.linalg.inv(fit.covariance)
    sigma = np.linalg.inv((w * precision[:, None]).T @ w + prior)
    return np.clip(1 - sigma.diagonal()[:m] / fit.covariance.diagonal(), 0, 1)
