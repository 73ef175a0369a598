"""Network component analysis: weights and activities together, by alternating least squares."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from grnrep._checks import check_adata, check_whole
from grnrep._match import match
from grnrep._values import read_values
from grnrep.core.fitted import Fit
from grnrep.core.network import Network
from grnrep.core.signs import orient

_TOL = 1e-5  # share of the error by which an iteration must lower it, to go on


def nca_activity(
    adata: AnnData, net: pd.DataFrame, *, layer: str | None = None, max_iter: int = 500
) -> pd.DataFrame:
    r"""Estimate activities by network component analysis, the plain method.

    .. math:: \min_{W, Z} \| X - Z W^\top \|^2, \quad w_{ij} = 0 \text{ where there is no edge}

    over expression centred by gene. Activities given weights, and the weights of every gene
    given activities, are each a least-squares problem; they are solved in turn. It starts from
    the prior signs, +1 where one is unknown. There is no shrinkage, and zeros are values like others:
    this is a reference that :func:`grnrep.tl.fit` is set beside. Its dense arrays suit
    some thousand genes and a few hundred regulators.

    Parameters
    ----------
    adata
        Cells × genes. It is not changed.
    net
        Edges ``source,target[,weight]``. Only the sign of ``weight`` is used.
    layer
        Layer of ``adata``; by default ``X``.
    max_iter
        Limit of iterations; it ends before where the error falls by less than 1e-5 of itself.

    Returns
    -------
    DataFrame cells × regulators, regulators sorted by name, those without a target among the
    genes left out. The weights of a regulator have root mean square 1 and agree with its prior
    signs as far as it has any.

    Raises
    ------
    ValueError, TypeError, KeyError
        If the network or the expression cannot be used; the message says what was found.

    References
    ----------
    Liao et al. (2003), Network component analysis: reconstruction of regulatory signals in
    biological systems, PNAS 100:15522.

    Examples
    --------
    >>> import anndata, pandas as pd
    >>> from grnrep.validation import nca_activity
    >>> x = pd.DataFrame({"a": [0.0, 1, 2], "b": [0.0, 2, 4], "c": [5.0, 4, 6]}, index=list("xyz"))
    >>> net = pd.DataFrame({"source": list("PPQ"), "target": list("abc")})
    >>> nca_activity(anndata.AnnData(x), net)["P"].round(2).tolist()
    [-1.58, 0.0, 1.58]
    """
    check_adata(adata, min_obs=2)
    check_whole("max_iter", max_iter)
    matched = match(net, adata)
    x, cells = read_values(adata, matched.genes, matched.columns, layer=layer)
    x = x.astype(np.float64)
    fit, *_ = orient(fit_nca(x - x.mean(0), matched.network, max_iter=max_iter), matched.network)
    activity = np.empty(fit.activity.shape)
    activity[cells] = fit.activity
    return pd.DataFrame(activity, index=adata.obs_names, columns=matched.regulators)


def fit_nca(x: np.ndarray, network: Network, *, max_iter: int = 500) -> Fit:
    """Alternate least squares from the prior signs.

    Parameters
    ----------
    x
        Expression, (n_cells, n_genes), centred.
    network
        Edges.
    max_iter
        Limit of iterations.
    """
    weight = np.where(network.sign == 0, 1.0, network.sign)
    history: list[float] = []
    converged = False
    while not converged and len(history) < max_iter:
        activity = activities(x, weight, network)
        weight = weights(x, activity, network)
        history.append(float(np.square(x - activity @ dense(weight, network).T).sum()))
        converged = len(history) > 1 and history[-2] - history[-1] <= _TOL * history[-2]
        # scales drift apart otherwise, as only their product is determined
        weight, activity = _unit(weight, activity, network)
    activity = activities(x, weight, network)
    return Fit(weight=weight, bias=None, activity=activity, history=history, converged=converged)


def activities(x: np.ndarray, weight: np.ndarray, network: Network) -> np.ndarray:
    """Least-squares activities (n_cells, n_regulators) given weights, the shortest of several."""
    return np.linalg.lstsq(dense(weight, network), x.T, rcond=None)[0].T


def weights(x: np.ndarray, activity: np.ndarray, network: Network) -> np.ndarray:
    """Least-squares weights (n_edges,) given activities, gene by gene on its own regulators."""
    gram, cross = activity.T @ activity, activity.T @ x
    out = np.empty(network.n_edges)
    for gene in range(network.n_genes):
        edges = slice(network.indptr[gene], network.indptr[gene + 1])
        own = network.regulator[edges]
        out[edges] = np.linalg.lstsq(gram[np.ix_(own, own)], cross[own, gene], rcond=1e-12)[0]
    return out


def dense(weight: np.ndarray, network: Network) -> np.ndarray:
    """Weights as a matrix (n_genes, n_regulators)."""
    out = np.zeros((network.n_genes, network.n_regulators))
    out[network.gene, network.regulator] = weight
    return out


def _unit(
    weight: np.ndarray, activity: np.ndarray, network: Network
) -> tuple[np.ndarray, np.ndarray]:
    size = np.sqrt(np.bincount(network.regulator, weight**2, network.n_regulators))
    size = np.where(size > 0, size, 1.0)
    return weight / size[network.regulator], activity * size
