"""The verb that sets a network beside the data before anything is fitted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData

from grnrep import _keys
from grnrep._checks import check_adata
from grnrep._load import Loads, advice, loads
from grnrep._match import Match, match
from grnrep._values import read_values


@dataclass(frozen=True, eq=False, kw_only=True)
class NetworkReport:
    """What a network and data have in common; prints as text, in a notebook as tables.

    Parameters
    ----------
    summary
        Counts and loads, one row each. ``effective_load`` leaves out the zeros that a
        ReLU censors; ``n_obs_needed`` is the number of such cells for an effective
        load of 1.2, NaN where no number is enough.
    regulators
        Per regulator of the network: ``n_targets_in_net``, ``n_targets_found``,
        ``n_signed`` (targets found, with a prior sign), ``kept`` and, where it is not
        kept, the ``reason``.
    genes
        Per gene that would be used: ``n_regulators``, ``fraction_positive`` of its
        cells, and whether it is ``constant``.
    advice
        What would help if the load is low; empty if it is enough.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> import grnrep as gr
    >>> adata = anndata.AnnData(np.ones((9, 2)), var=pd.DataFrame(index=["a", "b"]))
    >>> report = gr.pp.check_network(adata, pd.DataFrame({"source": ["P", "Q"], "target": ["a", "z"]}))
    >>> report.regulators["reason"].to_dict()
    {'P': '', 'Q': 'no target among the genes'}
    """

    summary: pd.Series
    regulators: pd.DataFrame
    genes: pd.DataFrame
    advice: str

    def __str__(self) -> str:
        lost = int((~self.regulators["kept"]).sum())
        lines = [f"{name:<24} {value:>12,.10g}" for name, value in self.summary.round(2).items()]
        lines += [f"{lost} regulator(s) would be dropped: see .regulators"] if lost else []
        lines += [self.advice] if self.advice else []
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = [self.summary.round(2).map("{:,.10g}".format).to_frame("network and data").to_html()]
        rows += [f"<p>{self.advice}</p>"] if self.advice else []
        shown = self.regulators.sort_values("n_targets_found", kind="stable")
        return "".join([*rows, shown.to_html(max_rows=10, show_dimensions=True)])


def check_network(
    adata: AnnData,
    net: pd.DataFrame,
    *,
    layer: str | None = None,
    mask_var: str | np.ndarray | None = None,
) -> NetworkReport:
    r"""Check how well a network suits the data, before fitting.

    Matches names exactly as :func:`grnrep.tl.fit` does, and raises the same errors.
    The load is the number of constraints per parameter,
    :math:`\alpha_d = N n / (C_d + N m)`; below 1 a fit is not determined by the data.

    Parameters
    ----------
    adata
        Annotated data, cells × genes.
    net
        Prior network with columns ``source``, ``target`` and, if known, ``weight``.
    layer
        Layer with the expression; by default ``adata.X``.
    mask_var
        Genes to use: name of a boolean column of ``adata.var``, or a boolean array
        (n_vars,). By default all genes.

    Returns
    -------
    :class:`NetworkReport` with tables ``summary``, ``regulators`` and ``genes``. Nothing is written.

    Raises
    ------
    ValueError, TypeError, KeyError
        If an argument cannot be used; the message says which, what was found, and
        what would do.

    References
    ----------
    Schuster & Krogh (2021), Eq. 3.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> import grnrep as gr
    >>> x = np.random.default_rng(0).random((100, 3))
    >>> adata = anndata.AnnData(x, var=pd.DataFrame(index=["a", "b", "c"]))
    >>> net = pd.DataFrame({"source": ["P"] * 3, "target": ["a", "b", "c"]})
    >>> gr.pp.check_network(adata, net).summary.loc[["n_edges_found", "decoder_load"]].round(2).tolist()
    [3.0, 2.91]
    """
    check_adata(adata)
    matched = match(net, adata, mask_var=mask_var)
    x, _ = read_values(adata, matched.genes, matched.columns, layer=layer)
    link = "identity" if (x < 0).any() else "relu"
    found = loads(x, matched.network, link=link, intercept=link == "identity")
    return NetworkReport(
        summary=_summary(adata, matched, found),
        regulators=_regulators(matched),
        genes=pd.DataFrame(
            {
                "n_regulators": matched.network.regulators_per_gene(),
                "fraction_positive": (x > 0).mean(axis=0),
                "constant": (x == x[0]).all(axis=0),
            },
            index=matched.genes,
        ),
        advice=advice(found),
    )


def _summary(adata: AnnData, matched: Match, found: Loads) -> pd.Series:
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
        },
        dtype=np.float64,
    )


def _regulators(matched: Match) -> pd.DataFrame:
    in_net = matched.net.groupby(_keys.SOURCE).size()
    network = matched.network
    signed = np.bincount(network.regulator[network.sign != 0], minlength=network.n_regulators)
    found = pd.DataFrame(
        {"n_targets_found": network.targets_per_regulator(), "n_signed": signed}, index=matched.regulators
    ).reindex(in_net.index, fill_value=0)
    kept = found["n_targets_found"] > 0
    return pd.DataFrame(
        {
            "n_targets_in_net": in_net,
            **found,
            "kept": kept,
            "reason": np.where(kept, "", "no target among the genes"),
        }
    ).rename_axis(None)
