"""Activities by regression on the prior network, without learning any weight."""

from __future__ import annotations

import numpy as np
import pandas as pd
import scipy.linalg
import scipy.sparse as sp
from anndata import AnnData

from grnrep._checks import check_adata
from grnrep._match import match
from grnrep._values import read_values


def tfa_activity(adata: AnnData, net: pd.DataFrame, *, layer: str | None = None) -> pd.DataFrame:
    r"""Estimate activities by the pseudo-inverse of the prior network, as the Inferelator does.

    .. math:: A = X P^{+\top}

    P, genes × regulators, holds the sign of every edge and 0 elsewhere. Every cell is
    explained by least squares without intercept, whatever the other cells are; where P cannot
    tell regulators apart, the activities with the least sum of squares are taken. The Inferelator
    removes edges of a regulator to itself first; here ``net`` is taken as it is.

    Parameters
    ----------
    adata
        Cells × genes. It is not changed.
    net
        Edges ``source,target[,weight]``. Only the sign of ``weight`` is used; where it is
        unknown (no such column, NaN or 0), the edge counts as activating.
    layer
        Layer of ``adata``; by default ``X``.

    Returns
    -------
    DataFrame cells × regulators, regulators sorted by name. Regulators without a target among the
    genes are left out.

    Raises
    ------
    ValueError, TypeError, KeyError
        If the network or the expression cannot be used; the message says what was found.

    References
    ----------
    Arrieta-Ortiz et al. (2015), An experimentally supported model of the Bacillus subtilis global
    transcriptional regulatory network, Mol Syst Biol 11:839. Skok Gibbs et al. (2022),
    Bioinformatics 38:2519 (Inferelator 3).

    Examples
    --------
    >>> import anndata, pandas as pd
    >>> from grnrep.validation import tfa_activity
    >>> var = pd.DataFrame(index=["a", "b", "c"])
    >>> adata = anndata.AnnData(pd.DataFrame([[2.0, 5.0, -3.0]], index=["cell"], columns=var.index))
    >>> net = pd.DataFrame({"source": list("PPQQ"), "target": list("abbc"), "weight": [1, 1, 1, -1]})
    >>> tfa_activity(adata, net).round(2).loc["cell"].to_dict()
    {'P': 2.0, 'Q': 3.0}
    """
    check_adata(adata)
    matched = match(net, adata)
    x, cells = read_values(adata, matched.genes, matched.columns, layer=layer)
    edges = matched.network
    sign = np.where(edges.sign == 0, 1.0, edges.sign)
    shape = (edges.n_genes, edges.n_regulators)
    prior = sp.csr_array((sign, (edges.gene, edges.regulator)), shape=shape)
    activity = np.empty((adata.n_obs, edges.n_regulators))
    activity[cells] = x @ scipy.linalg.pinv(prior.toarray()).T
    return pd.DataFrame(activity, index=adata.obs_names, columns=matched.regulators)
