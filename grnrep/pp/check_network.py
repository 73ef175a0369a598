"""The verb that sets a network beside the data before anything is fitted."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from grnrep import _keys
from grnrep._checks import check_adata
from grnrep._inputs import as_adata, expression_of, layer_of
from grnrep._match import Match, match
from grnrep._values import open_values
from grnrep.core.choose.sample_size import Loads, loads
from grnrep.core.identifiability import regulator_load
from grnrep.core.network import without_genes
from grnrep.pp._identify import Identified, identify, overall
from grnrep.pp._report import NetworkReport

# of a regulator that is left out
_UNKNOWN = {
    "n_own_targets": 0,
    "load": np.nan,
    "rank_deficit": 0,
    "n_ambiguous_targets": 0,
    "activity_identified": False,
    "group": -1,
    "vif": np.nan,
}


def check_network(
    adata: AnnData | pd.DataFrame,
    net: pd.DataFrame,
    *,
    layer: str | None = None,
    use_raw: bool = False,
    mask_var: str | np.ndarray | None = None,
    signed: bool | str = "auto",
    min_targets: int = 5,
) -> NetworkReport:
    r"""Check how well a network suits the data, before fitting.

    Matches names exactly as :func:`grnrep.tl.fit` does, and raises the same errors.
    The load is the number of constraints per parameter,
    :math:`\alpha_d = N n / (C_d + N m)`; below 1 a fit is not determined by the data. Load is not
    enough: regulators may share too many targets to be told apart, however many cells there are.
    The rank test of network component analysis finds these, and what they are mixed up with.

    Parameters
    ----------
    adata
        Annotated data, cells × genes, or a DataFrame of samples × genes.
    net
        Prior network with columns ``source``, ``target`` and, if known, ``weight``.
    layer
        Layer with the expression; by default ``adata.X``.
    use_raw
        Whether to look at ``adata.raw`` instead.
    mask_var
        Genes to use: name of a boolean column of ``adata.var``, or a boolean array
        (n_vars,). By default all genes.
    signed
        Whether weights of ``net`` are signs, as in :func:`grnrep.tl.fit`: by default not if all are 1.
    min_targets
        Regulators with fewer targets among the genes are not kept, as in :func:`grnrep.tl.fit`.

    Returns
    -------
    :class:`NetworkReport` with tables ``summary``, ``regulators``, ``genes`` and ``nested``, and a
    ``verdict``. Nothing is written.

    Raises
    ------
    ValueError, TypeError, KeyError
        If an argument cannot be used; the message says which, what was found, and
        what would do.

    References
    ----------
    Schuster & Krogh (2021), Eq. 3; Liao et al., PNAS 2003 (rank test).

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> import grnrep as gr
    >>> x = np.random.default_rng(0).random((100, 3))
    >>> adata = anndata.AnnData(x, var=pd.DataFrame(index=["a", "b", "c"]))
    >>> net = pd.DataFrame({"source": ["P"] * 3, "target": ["a", "b", "c"]})
    >>> report = gr.pp.check_network(adata, net, min_targets=3)
    >>> report.summary.loc[["n_edges_found", "decoder_load"]].round(2).tolist()
    [3.0, 2.91]

    Another regulator of the same genes could not be told apart:

    >>> net = pd.concat([net, net.assign(source="Q")])
    >>> gr.pp.check_network(adata, net, min_targets=3).regulators["verdict"]["P"]
    'same targets as Q: the network cannot tell them apart; 3 of 3 weights may contain those of others'
    """
    adata, _ = as_adata(adata)
    adata, layer = expression_of(adata, layer_of(adata, layer, use_raw=use_raw))
    check_adata(adata)
    matched = match(net, adata, mask_var=mask_var, signed=signed, min_targets=min_targets)
    _, scan = open_values(adata, matched.genes, matched.columns, layer=layer)
    link = "identity" if scan.negative.count else "relu"
    n_obs, network, intercept = adata.n_obs, matched.network, link == "identity"
    positive, constant = scan.positive, ~scan.varies
    found = loads(n_obs, scan.n_constraints(link), network, n_known=int(intercept))
    constraints = np.full(network.n_genes, n_obs) if intercept else positive
    load = regulator_load(network, n_obs, n_constraints=constraints, intercept=intercept)
    known = identify(without_genes(network, constant), matched.regulators, load)
    return NetworkReport(
        summary=_summary(adata, matched, found, known),
        regulators=_regulators(matched, known.table),
        genes=pd.DataFrame(
            {
                "n_regulators": network.regulators_per_gene(),
                "fraction_positive": positive / n_obs,
                "constant": constant,
            },
            index=matched.genes,
        ),
        nested=known.nested,
        verdict=overall(known.table, cells_help=found.n_obs_needed is not None),
        advice=found.advice(),
    )


def _summary(adata: AnnData, matched: Match, found: Loads, known: Identified) -> pd.Series:
    net, network = matched.net, matched.network
    return pd.Series(
        {
            "n_obs": adata.n_obs,
            "n_vars": adata.n_vars,
            "n_targets_in_net": net[_keys.TARGET].nunique(),
            "n_targets_found": network.n_genes,
            "n_regulators_in_net": net[_keys.SOURCE].nunique(),
            "n_regulators_kept": network.n_regulators,
            "n_edges_in_net": len(net),
            "n_edges_found": network.n_edges,
            "n_edges_signed": int(np.count_nonzero(network.sign)),
            "decoder_load": found.decoder,
            "effective_load": found.effective,
            "n_obs_needed": np.nan if found.n_obs_needed is None else found.n_obs_needed,
            "network_rank": known.rank,
            "n_regulators_identified": int(known.table["activity_identified"].sum()),
            "n_groups": known.table["group"].max() + 1,
            "condition_number": known.condition,
        },
        dtype=np.float64,
    )


def _regulators(matched: Match, known: pd.DataFrame) -> pd.DataFrame:
    """Tabulate all regulators of the network; ``known`` has those that are kept."""
    in_net = matched.net.groupby(_keys.SOURCE).size()
    network = matched.network
    signed = np.bincount(network.regulator[network.sign != 0], minlength=network.n_regulators)
    found = pd.DataFrame(
        {"n_targets_found": network.targets_per_regulator(), "n_signed": signed},
        index=matched.regulators,
    ).reindex(in_net.index, fill_value=0)
    dropped = matched.dropped
    lost_edges = dropped[["n_targets", "n_signed"]]
    found.loc[dropped.index, ["n_targets_found", "n_signed"]] = lost_edges.to_numpy()
    kept = ~in_net.index.isin(dropped.index)
    reason = dropped["reason"].reindex(in_net.index, fill_value="")
    lost = pd.DataFrame({**_UNKNOWN, "verdict": dropped["reason"]}, index=dropped.index)
    return pd.DataFrame(
        {
            "n_targets_in_net": in_net,
            **found,
            "kept": kept,
            "reason": reason,
            **pd.concat([known, lost]).astype(known.dtypes).loc[in_net.index],
        }
    ).rename_axis(None)
