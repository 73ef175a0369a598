"""Match a prior network to the genes of an AnnData, by name and in one canonical order."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData

from grnrep import _keys
from grnrep._checks import gene_mask, gene_names, some
from grnrep.core.network import Network

_ENSEMBL = re.compile(r"^ENS[A-Z]*G\d{6,}")


@dataclass(frozen=True, eq=False, kw_only=True)
class Match:
    """The part of a network whose targets are among the genes; everything sorted by name.

    Parameters
    ----------
    network
        Edges as index arrays into ``genes`` and ``regulators``.
    edges
        The same edges in the same order, as a table ``source, target, weight``;
        an unknown weight is NaN.
    genes
        Names of the genes with a regulator, sorted.
    columns
        Position of these genes in ``adata.var_names``.
    regulators
        Names of the regulators with a target, sorted.
    net
        The whole network, checked, as a table ``source, target, weight``.
    """

    network: Network
    edges: pd.DataFrame
    genes: pd.Index
    columns: np.ndarray
    regulators: pd.Index
    net: pd.DataFrame

    @property
    def dropped_regulators(self) -> list[str]:
        """Regulators of the network without a target among the genes, sorted."""
        return sorted(set(self.net[_keys.SOURCE]) - set(self.regulators))


def match(net: pd.DataFrame, adata: AnnData, *, mask_var: str | np.ndarray | None = None) -> Match:
    """Find the edges whose target is a gene of ``adata`` that ``mask_var`` lets through."""
    net = check_net(net)
    names = gene_names(adata)
    mask = gene_mask(adata, mask_var)
    known = net[_keys.TARGET].isin(names[mask])
    if not known.any():
        raise ValueError(_why_no_gene(net[_keys.TARGET], names, mask, adata.var))
    edges = net[known]
    genes = pd.Index(np.unique(edges[_keys.TARGET].to_numpy(dtype=object)))
    regulators = pd.Index(np.unique(edges[_keys.SOURCE].to_numpy(dtype=object)))
    gene, regulator = genes.get_indexer(edges[_keys.TARGET]), regulators.get_indexer(edges[_keys.SOURCE])
    order = np.lexsort((regulator, gene))  # the order that Network keeps
    sign = np.nan_to_num(edges[_keys.WEIGHT].to_numpy())
    return Match(
        network=Network.from_edges(gene, regulator, sign, len(genes), len(regulators)),
        edges=edges.iloc[order].reset_index(drop=True),
        genes=genes,
        columns=names.get_indexer(genes),
        regulators=regulators,
        net=net,
    )


def check_net(net: pd.DataFrame) -> pd.DataFrame:
    """Check a network; return its columns ``source, target, weight`` as strings and float64."""
    if not isinstance(net, pd.DataFrame):
        raise TypeError(
            f"net must be a pandas DataFrame with columns source, target and, if known, weight; "
            f"found {type(net).__name__}"
        )
    missing = [column for column in (_keys.SOURCE, _keys.TARGET) if column not in net]
    if missing:
        raise ValueError(
            f"net must have columns 'source' and 'target'; missing {some(missing)}, found "
            f"{some(net.columns, 10)}. Use net.rename(columns={{...}})"
        )
    if len(net) == 0:
        raise ValueError("net must have at least one edge; found none")
    ends = net[[_keys.SOURCE, _keys.TARGET]]
    lacking = ends.isna().any(axis=1)
    if lacking.any():
        raise ValueError(
            f"net must have a source and a target in every row; found {lacking.sum()} row(s) without: index "
            f"{some(net.index[lacking])}. Drop them with net.dropna(subset=['source', 'target'])"
        )
    out = ends.astype(str).reset_index(drop=True)
    twice = out.duplicated()
    if twice.any():
        edges = [f"{s} -> {t}" for s, t in out[twice].itertuples(index=False)]
        sign = np.sign(_weights(net))
        both = (
            pd.Series(sign)
            .groupby([out[_keys.SOURCE], out[_keys.TARGET]])
            .agg(lambda s: s.min() * s.max() < 0)
        )
        against = f", {both.sum()} of them with opposite signs," if both.any() else ""
        raise ValueError(
            f"net must have every edge once; {len(edges)} row(s) repeat one{against}: {some(edges)}. Keep "
            "one with net.drop_duplicates(['source', 'target']), or average with "
            "net.groupby(['source', 'target'], as_index=False)['weight'].mean()"
        )
    slashed = out[_keys.SOURCE].str.contains("/", regex=False)
    if slashed.any():
        raise ValueError(
            "net.source must not contain '/', which h5ad and zarr reserve; found "
            f"{some(out.loc[slashed, _keys.SOURCE].unique())}. Use net['source'].str.replace('/', '_')"
        )
    return out.assign(weight=_weights(net))


def _weights(net: pd.DataFrame) -> np.ndarray:
    if _keys.WEIGHT not in net:
        return np.full(len(net), np.nan)
    given = net[_keys.WEIGHT]
    weight = pd.to_numeric(given, errors="coerce").astype(np.float64).to_numpy()
    bad = (np.isnan(weight) & ~given.isna().to_numpy()) | np.isinf(weight)
    if bad.any():
        raise ValueError(
            "net.weight must be finite numbers (their sign is used; NaN or 0 is unknown); found "
            f"{bad.sum()} other value(s), first {some(given[bad].unique())}"
        )
    return weight


def _why_no_gene(targets: pd.Series, names: pd.Index, mask: np.ndarray, var: pd.DataFrame) -> str:
    """Message for a network and data without a gene in common, with the likely reason."""
    targets = pd.Index(targets.unique())
    text = f"net has no target among adata.var_names; targets: {some(targets)}, genes: {some(names)}. "
    if targets.isin(names).any():
        return text + f"{int(targets.isin(names).sum())} targets are genes that mask_var leaves out"
    upper = targets.str.upper().isin(names.str.upper())
    if upper.any():
        return text + (
            f"{int(upper.sum())} would match but for upper and lower case: are both from one species? If so, "
            "make both upper case, e.g. adata.var_names = adata.var_names.str.upper()"
        )
    for column in var.columns:
        hits = int(var[column].astype(str).isin(targets).sum())
        if hits:
            return (
                text
                + f"{hits} of them are in adata.var[{column!r}]: set adata.var_names = adata.var[{column!r}]"
            )
    sides = {"net.target": targets, "adata.var_names": names}
    ensembl = {side: ids.str.match(_ENSEMBL).mean() > 0.5 for side, ids in sides.items()}
    if all(ensembl.values()):
        bare = targets.str.split(".").str[0].isin(names.str.split(".").str[0])
        if bare.any():
            return (
                text + "Without the version, the part after the dot, they would match: .str.split('.').str[0]"
            )
    elif any(ensembl.values()):
        side, other = sorted(sides, key=ensembl.get, reverse=True)
        return text + f"{side} holds Ensembl IDs, {other} does not: convert one of them, e.g. to gene symbols"
    return text + "Are both from the same species, and with the same kind of identifier?"
