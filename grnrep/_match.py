"""Match a prior network to the genes of an AnnData, by name and in one canonical order."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pandas as pd
from anndata import AnnData

from grnrep import _keys
from grnrep._checks import RESERVED, check_whole, gene_mask, gene_names, some, storable
from grnrep._match_names import Naming, compare_names
from grnrep.core.network import Network, relative_magnitudes

logger = logging.getLogger("grnrep")

_MOR: Final = (
    "mor"  # mode of regulation: the weight in tables of dorothea and of decoupler's first versions
)
# columns, in lower case, where other tables have signs
_SIGN_COLUMNS = {"weight", "weights", "sign", "effect", "mode", "regulation", "interaction"}
_NO_TARGET: Final = "no target among the genes"


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
        Names of the regulators with enough targets, sorted.
    dropped
        Per regulator of the network without enough targets, by name and sorted: ``n_targets`` among the
        genes, ``n_signed`` of these with a prior sign, and the ``reason`` in words.
    net
        The whole network, checked, as a table ``source, target, weight``.
    magnitudes
        Whether the network has the sizes of prior weights beside their signs.
    """

    network: Network
    edges: pd.DataFrame
    genes: pd.Index
    columns: np.ndarray
    regulators: pd.Index
    dropped: pd.DataFrame
    net: pd.DataFrame
    magnitudes: bool = False

    @property
    def signed(self) -> bool:
        """Whether any edge of the network has a prior sign."""
        return bool(np.nan_to_num(self.net[_keys.WEIGHT]).any())

    def with_network(self, network: Network) -> Match:
        """The same genes and regulators with other edges; those that are new have no prior weight."""
        ends = {
            _keys.SOURCE: self.regulators[network.regulator],
            _keys.TARGET: self.genes[network.gene],
        }
        edges = pd.DataFrame(ends).merge(self.edges, how="left", on=[_keys.SOURCE, _keys.TARGET])
        # sizes are beside those of the edges that are left
        network, _ = network_of(edges, self.genes, self.regulators, magnitudes=self.magnitudes)
        return replace(self, network=network, edges=edges)


def match(
    net: pd.DataFrame,
    adata: AnnData,
    *,
    mask_var: str | np.ndarray | None = None,
    signed: bool | str = True,
    magnitudes: bool = False,
    min_targets: int = 1,
) -> Match:
    """Find the edges whose target is a gene of ``adata`` that ``mask_var`` lets through.

    ``signed`` says whether weights are signs: True, False, or ``"auto"``, which does not believe a network
    whose given weights are all 1; ``magnitudes`` whether their sizes count too. Regulators with fewer than
    ``min_targets`` such targets are left out with their edges, and genes whose regulators are all left out.
    """
    check_whole("min_targets", min_targets)
    net = _with_signs(check_net(net), signed)
    names = gene_names(adata)
    mask = gene_mask(adata, mask_var)
    naming = compare_names(net, adata, names, mask)
    edges = net[net[_keys.TARGET].isin(names[mask])]
    dropped = _dropped(net, edges, min_targets, naming)
    naming.report()
    edges = edges[~edges[_keys.SOURCE].isin(dropped.index)]
    # names are many times over in a network: made unique by their hashes, few are left to sort
    genes, regulators = (
        pd.Index(np.sort(pd.unique(edges[name].to_numpy(dtype=object))))
        for name in (_keys.TARGET, _keys.SOURCE)
    )
    network, order = network_of(edges, genes, regulators, magnitudes=magnitudes)
    if magnitudes and (network.magnitude == 1).all():
        logger.warning(
            "magnitudes=True changes nothing: no regulator of net has weights of different sizes (sizes: %s). Leave it "
            "out, or pass weights that say how strong edges are", _sizes(edges)
        )  # fmt: skip
    return Match(
        network=network,
        edges=edges.iloc[order].reset_index(drop=True),
        genes=genes,
        columns=names.get_indexer(genes),
        regulators=regulators,
        dropped=dropped,
        net=net,
        magnitudes=magnitudes,
    )


def _sizes(edges: pd.DataFrame) -> str:
    """Sizes of the weights that are known, in words."""
    sizes = np.abs(edges[_keys.WEIGHT].dropna())
    return some(sizes[sizes > 0].unique().tolist()) if sizes.any() else "none is known"


def _dropped(
    net: pd.DataFrame, edges: pd.DataFrame, min_targets: int, naming: Naming
) -> pd.DataFrame:
    """Tabulate the regulators of ``net`` with too few ``edges``; raise if that is all of them."""
    signed = np.nan_to_num(edges[_keys.WEIGHT]) != 0
    found = pd.DataFrame(
        {
            "n_targets": edges.groupby(_keys.SOURCE).size(),
            "n_signed": edges[signed].groupby(_keys.SOURCE).size(),
        }
    )
    found = found.reindex(sorted(net[_keys.SOURCE].unique())).fillna(0).astype(np.int64)
    n_targets = found["n_targets"]
    if n_targets.max() < min_targets:
        if naming.cause:
            raise ValueError(
                f"names of net and adata hardly match: {naming.found}, so that no regulator has "
                f"min_targets={min_targets} targets; {naming.firsts}. {naming.cause}"
            )
        raise ValueError(
            f"min_targets={min_targets} leaves no regulator: the largest of the {len(found)} of net, "
            f"{str(n_targets.idxmax())!r}, has {n_targets.max()} target(s) among the genes. Pass a smaller "
            "min_targets (1 keeps all that have one), or data with more genes"
        )
    none, few = found[n_targets == 0], found[n_targets.between(1, min_targets - 1)]
    few_targets = f"fewer than {min_targets} targets among the genes"
    lost = pd.concat([none.assign(reason=_NO_TARGET), few.assign(reason=few_targets)])
    return lost.astype({"reason": object}).sort_index()


def report_dropped(matched: Match, min_targets: int) -> None:
    """Say which regulators are left out; the result has all of them."""
    dropped = matched.dropped
    none = dropped["n_targets"] == 0
    n_all = len(matched.regulators) + len(dropped)
    if none.any():
        text = "%d of %d regulators of net have %s: %s"
        logger.info(text, none.sum(), n_all, _NO_TARGET, some(dropped.index[none]))
    if not none.all():
        logger.warning(
            "%d of %d regulators of net have fewer than min_targets=%d targets among the genes and are left out: %s",
            (~none).sum(), n_all, min_targets, some(dropped.index[~none])
        )  # fmt: skip


def network_of(
    edges: pd.DataFrame, genes: pd.Index, regulators: pd.Index, *, magnitudes: bool = False
) -> tuple[Network, np.ndarray]:
    """Edges of a table as positions among names, and the order of its rows that the network keeps.

    With ``magnitudes`` an edge is as strong, beside the others of its regulator, as its weight.
    """
    gene = genes.get_indexer(edges[_keys.TARGET])
    regulator = regulators.get_indexer(edges[_keys.SOURCE])
    weight = np.nan_to_num(edges[_keys.WEIGHT].to_numpy())
    size = relative_magnitudes(weight, regulator) if magnitudes else 1.0
    n = len(genes), len(regulators)
    network = Network.from_edges(gene, regulator, weight, *n, magnitude=size)
    return network, np.lexsort((regulator, gene))


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
        sign = pd.Series(np.sign(_weights(net))).groupby([out[_keys.SOURCE], out[_keys.TARGET]])
        n_opposite = (sign.min() * sign.max() < 0).sum()
        against = f", {n_opposite} of them with opposite signs" if n_opposite else ""
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
    if _keys.WEIGHT not in net and _MOR in net:
        net = net.rename(columns={_MOR: _keys.WEIGHT})
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
    if pd.api.types.is_complex_dtype(given):
        raise TypeError(
            "net.weight must be real numbers, whose sign is used; found complex ones, which have none. Use their real "
            "part, e.g. net['weight'].to_numpy().real"
        )
    weight = pd.to_numeric(given, errors="coerce").astype(np.float64).to_numpy()
    bad = (np.isnan(weight) & ~given.isna().to_numpy()) | np.isinf(weight)
    if bad.any():
        raise ValueError(
            "net.weight must be finite numbers (their sign is used; NaN or 0 is unknown); found "
            f"{bad.sum()} other value(s), first {some(given[bad].unique())}"
        )
    return weight
