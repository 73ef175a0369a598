"""Whether the targets of a network and the genes are named alike, and what may be wrong where they are not."""

from __future__ import annotations

import logging
import re
from typing import NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData

from grnrep import _keys
from grnrep._checks import some

logger = logging.getLogger("grnrep")

_ENSEMBL = re.compile(r"^ENS[A-Z]*G\d{6,}")
_VERSION = re.compile(r"^(ENS[A-Z]*G\d{6,})\.\d+$")
_FEW = 0.5  # share of the targets below which it is said that most are no genes
_ALIKE = 0.3  # share of the genes that are targets, from which names are alike, and the data are what is small
_MATERIAL = (
    0.1  # share of the names that could match at best: a remedy for fewer is not worth a word
)


class Naming(NamedTuple):
    """How many targets are genes, in words, and why it may be so few.

    ``cause`` says what would make clearly more targets match, or what names of another kind are; it is empty where
    names are alike. ``firsts`` has the first names that do not match, of either side; ``few``: most targets are lost.
    """

    found: str
    firsts: str
    cause: str
    few: bool

    def report(self) -> None:
        """Say how many targets are lost, as a warning where names are the likely cause."""
        if self.cause:
            logger.warning("%s; %s. %s", self.found, self.firsts, self.cause)
        elif self.few:
            logger.info("%s; the other edges are left out", self.found)


def compare_names(net: pd.DataFrame, adata: AnnData, names: pd.Index, mask: np.ndarray) -> Naming:
    """Compare the targets of a network with the genes; raise if no target is one."""
    targets = pd.Index(net[_keys.TARGET].unique())
    found = targets.isin(names)
    n_found, (n_more, remedy) = int(found.sum()), _best(_remedies(net, targets, adata, names))
    if not targets.isin(names[mask]).any():
        if n_found:
            what_would_do = f"{n_found} targets are genes that mask_var leaves out"
        else:
            what_would_do = remedy if n_more else _other_identifiers(targets, names)
        raise ValueError(
            f"net has no target among adata.var_names; targets: {some(targets)}, genes: {some(names)}. "
            + what_would_do
        )
    n_edges = int(net[_keys.TARGET].isin(names).sum())
    is_target, few, cause = names.isin(targets), n_found < _FEW * len(targets), ""
    text = (
        f"{n_found} of {len(targets)} targets of net, with {n_edges} of {len(net)} edges, are among "
        "adata.var_names"
    )
    if _is_more(n_more, n_found, targets, names):
        cause = remedy
    elif few and is_target.mean() < _ALIKE:
        cause = f"{_other_identifiers(targets, names)} Or was adata cut to few genes?"
    firsts = f"first of the other targets: {some(targets[~found])}, of the other genes: {some(names[~is_target])}"
    return Naming(text, firsts, cause, few)


def why_few(genes: pd.Index, names: pd.Index, adata: AnnData | None, *, name: str) -> str:
    """Say what would make clearly more genes of a decoder be among the names of new cells; empty if nothing would.

    ``adata`` has other names in columns of ``var``; None where these cannot be set, as of ``raw``.
    """
    remedies = [
        (
            _n_in(genes.str.upper(), names.str.upper()),
            "{} would match but for upper and lower case: are both from one species? If not, use the names of "
            "orthologs",
        ),
        _versions(genes, names),
        *([] if adata is None else _columns(genes, adata, name=name)),
        *([] if adata is None else [_transposed(genes, adata, name=name)]),
    ]
    n_more, remedy = _best(remedies)
    return remedy if _is_more(n_more, _n_in(genes, names), genes, names) else ""


def _is_more(n_more: int, n_found: int, targets: pd.Index, names: pd.Index) -> bool:
    """Whether a remedy is worth a word."""
    return n_more > n_found and n_more >= n_found + _MATERIAL * min(len(targets), len(names))


def _best(remedies: list[tuple[int, str]]) -> tuple[int, str]:
    """The remedy by which most would match: how many, and what to do."""
    n_targets, words = max(remedies, key=lambda remedy: remedy[0])  # the first of equal ones
    return n_targets, words.replace("{}", str(n_targets), 1)


def _columns(targets: pd.Index, adata: AnnData, *, name: str = "adata") -> list[tuple[int, str]]:
    """How many names are in each column of text, and words in which {} is this number."""
    return [
        (
            _n_in(targets, adata.var[column].astype(str)),
            f"{{}} of them are in {name}.var[{column!r}]: set {name}.var_names = {name}.var[{column!r}]",
        )
        for column in adata.var.columns
        if not pd.api.types.is_numeric_dtype(adata.var[column])
    ]


def _versions(targets: pd.Index, names: pd.Index) -> tuple[int, str]:
    """The same without the versions of Ensembl IDs."""
    without = (ids.str.replace(_VERSION, r"\1", regex=True) for ids in (targets, names))
    words = "Without the version, the part after the dot, {} would match: .str.split('.').str[0]"
    return _n_in(*without), words


def _transposed(targets: pd.Index, adata: AnnData, *, name: str = "adata") -> tuple[int, str]:
    """The same among the cells."""
    words = f"{{}} of them are among {name}.obs_names: {name} must be cells × genes; use {name} = {name}.T"
    return _n_in(targets, adata.obs_names.astype(str)), words


def _remedies(
    net: pd.DataFrame, targets: pd.Index, adata: AnnData, names: pd.Index
) -> list[tuple[int, str]]:
    """Of each of the usual causes: how many targets would match, and words in which {} is this number."""
    upper = (names.str.upper() == names).mean() > 0.5
    side = "net['target']" if upper else "adata.var_names"  # which has to change
    remedies = [
        (
            _n_in(targets.str.strip(), names.str.strip()),
            "{} would match without blanks around names: use .str.strip() on net.target and adata.var_names",
        ),
        (
            _n_in(targets.str.upper(), names.str.upper()),
            "{} would match but for upper and lower case: are both from one species? If so, make both upper "
            f"case, e.g. {side} = {side}.str.upper()",
        ),
        _versions(targets, names),
        *_columns(targets, adata),
        _transposed(targets, adata),
    ]
    sources = pd.Index(net[_keys.SOURCE].unique())
    if len(sources) > len(targets):  # which no network has that is worth a fit
        words = (
            f"net has {len(sources)} sources of {len(targets)} targets, and {{}} of the sources are genes: "
            "are the columns swapped? source is the regulator, target the gene; "
            "net.rename(columns={'source': 'target', 'target': 'source'})"
        )
        remedies.append((_n_in(sources, names), words))
    return remedies


def _n_in(names: pd.Index, others: pd.Index | pd.Series) -> int:
    return int(names.isin(others).sum())


def _other_identifiers(targets: pd.Index, names: pd.Index) -> str:
    """What may be wrong where no spelling helps."""
    sides = {"net.target": targets, "adata.var_names": names}
    ensembl = {side: ids.str.match(_ENSEMBL).mean() > 0.5 for side, ids in sides.items()}
    if any(ensembl.values()) and not all(ensembl.values()):
        side, other = sorted(sides, key=ensembl.__getitem__, reverse=True)
        return (
            f"{side} holds Ensembl IDs, {other} does not: convert one of them, e.g. to gene symbols"
        )
    return "Are both from the same species, and with the same kind of identifier?"
