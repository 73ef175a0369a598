"""Match a prior network to the genes of an AnnData, by name and in one canonical order."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData

from grnrep import _keys
from grnrep._checks import RESERVED, gene_mask, gene_names, some, storable
from grnrep._names import check_targets
from grnrep.core.network import Network

logger = logging.getLogger("grnrep")

# columns, in lower case, where other tables have signs; mor is decoupler's mode of regulation
_SIGN_COLUMNS = {"weight", "weights", "mor", "sign", "effect", "mode", "regulation", "interaction"}


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
    def signed(self) -> bool:
        """Whether any edge of the network has a prior sign."""
        return bool(np.nan_to_num(self.net[_keys.WEIGHT]).any())

    @property
    def dropped_regulators(self) -> list[str]:
        """Regulators of the network without a target among the genes, sorted."""
        return sorted(set(self.net[_keys.SOURCE]) - set(self.regulators))


def match(
    net: pd.DataFrame,
    adata: AnnData,
    *,
    mask_var: str | np.ndarray | None = None,
    signed: bool | str = True,
) -> Match:
    """Find the edges whose target is a gene of ``adata`` that ``mask_var`` lets through.

    ``signed`` says whether weights are signs: True, False, or ``"auto"``, which does not believe a network
    whose given weights are all 1.
    """
    net = _with_signs(check_net(net), signed)
    names = gene_names(adata)
    mask = gene_mask(adata, mask_var)
    check_targets(net, adata, names, mask)
    edges = net[net[_keys.TARGET].isin(names[mask])]
    genes = pd.Index(np.unique(edges[_keys.TARGET].to_numpy(dtype=object)))
    regulators = pd.Index(np.unique(edges[_keys.SOURCE].to_numpy(dtype=object)))
    gene, regulator = (
        genes.get_indexer(edges[_keys.TARGET]),
        regulators.get_indexer(edges[_keys.SOURCE]),
    )
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
    _check_storable(out)
    return out.assign(weight=_weights(net))


def _check_storable(ends: pd.DataFrame) -> None:
    """Check that results can be saved: regulators name columns there, targets are values."""
    for column in (_keys.SOURCE, _keys.TARGET):
        names = ends[column].unique()
        bad = [name for name in names if not storable(name, as_name=column == _keys.SOURCE)]
        if bad:
            reserved = RESERVED if column == _keys.SOURCE else "NUL or half surrogates"
            raise ValueError(
                f"net.{column} must not contain {reserved}, which h5ad and zarr cannot hold; found "
                f"{some(bad)}. Rename, e.g. with net[{column!r}].str.replace('/', '_')"
            )


def _with_signs(net: pd.DataFrame, signed: bool | str) -> pd.DataFrame:
    """The checked network with those weights that are to be signs; the others are unknown."""
    if not isinstance(signed, bool | np.bool_) and signed != "auto":
        raise ValueError(f"signed must be True, False or 'auto'; found {signed!r}")
    given = net[_keys.WEIGHT].dropna()
    given = given[given != 0]
    if signed == "auto":
        signed = not (given == 1).all()
        if not signed and len(given):
            logger.warning(
                "net: all %d weights that are given are 1, as in tables of binding, which says nothing about "
                "signs: they are taken as unknown. If regulators do activate all their targets, use "
                "signed=True; if not, leave out the column 'weight'", len(given)
            )  # fmt: skip
    return net if signed else net.assign(weight=np.nan)


def _weights(net: pd.DataFrame) -> np.ndarray:
    if _keys.WEIGHT not in net:
        like = [column for column in net if str(column).strip().lower() in _SIGN_COLUMNS]
        if like:
            logger.warning(
                "net has no column 'weight', so that no sign is known, but it has %s: if that says which "
                "edges activate (1) and repress (-1), use net.rename(columns={%r: 'weight'})",
                some(like), like[0]
            )  # fmt: skip
        return np.full(len(net), np.nan)
    given = net[_keys.WEIGHT]
    if pd.api.types.is_bool_dtype(given) or (
        given.dtype == object
        and given.map(lambda weight: isinstance(weight, bool | np.bool_)).any()
    ):
        raise TypeError(
            "net.weight must be numbers, whose sign is used; found True or False, which is none. Use "
            "net['weight'].map({True: 1, False: -1}) if False means repression; if it says which edges there "
            "are, net[net['weight']].drop(columns='weight')"
        )
    weight = pd.to_numeric(given, errors="coerce").astype(np.float64).to_numpy()
    bad = (np.isnan(weight) & ~given.isna().to_numpy()) | np.isinf(weight)
    if bad.any():
        raise ValueError(
            "net.weight must be finite numbers (their sign is used; NaN or 0 is unknown); found "
            f"{bad.sum()} other value(s), first {some(given[bad].unique())}"
        )
    return weight
