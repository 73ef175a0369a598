"""Whether the targets of a network and the genes are named alike, and what may be wrong where they are not."""

from __future__ import annotations

import logging
import re

import numpy as np
import pandas as pd
from anndata import AnnData

from grnrep import _keys
from grnrep._checks import some

logger = logging.getLogger("grnrep")

_ENSEMBL = re.compile(r"^ENS[A-Z]*G\d{6,}")
_VERSION = re.compile(r"^(ENS[A-Z]*G\d{6,})\.\d+$")
_FEW = 0.5  # share of the targets below which it is said that most are no genes
_MATERIAL = (
    0.1  # share of the names that could match at best: a remedy for fewer is not worth a word
)


def check_targets(net: pd.DataFrame, adata: AnnData, names: pd.Index, mask: np.ndarray) -> None:
    """Raise if no target is a gene; say so if few are, or clearly more would be if spelt otherwise."""
    targets = pd.Index(net[_keys.TARGET].unique())
    found = targets.isin(names)
    n_found, (n_more, remedy) = int(found.sum()), _best_remedy(net, targets, adata, names)
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
    text = (
        f"{n_found} of {len(targets)} targets of net, with {n_edges} of {len(net)} edges, are among "
        f"adata.var_names; first of the others: {some(targets[~found])}. "
    )
    if n_more >= n_found + _MATERIAL * min(len(targets), len(names)):
        logger.warning("%s%s", text, remedy)
    elif n_found < _FEW * len(targets):
        # where most genes are targets, the data are what is small
        panel = names.isin(targets).mean() >= _FEW
        logger.log(
            logging.INFO if panel else logging.WARNING,
            "%sTheir edges are left out. If adata was cut to few genes, fit all of them. Otherwise: %s",
            text, _other_identifiers(targets, names),
        )  # fmt: skip


def _best_remedy(
    net: pd.DataFrame, targets: pd.Index, adata: AnnData, names: pd.Index
) -> tuple[int, str]:
    """Of the usual causes that which would explain most: how many targets would match, and what to do."""
    without_version = (ids.str.replace(_VERSION, r"\1", regex=True) for ids in (targets, names))
    # how many would match, and words in which {} is this number
    remedies = [
        (
            _n_in(targets.str.strip(), names.str.strip()),
            "{} would match without blanks around names: use .str.strip() on net.target and adata.var_names",
        ),
        (
            _n_in(targets.str.upper(), names.str.upper()),
            "{} would match but for upper and lower case: are both from one species? If so, make both upper "
            "case, e.g. adata.var_names = adata.var_names.str.upper()",
        ),
        (
            _n_in(*without_version),
            "Without the version, the part after the dot, {} would match: .str.split('.').str[0]",
        ),
    ]
    for column in adata.var.columns:
        if not pd.api.types.is_numeric_dtype(adata.var[column]):
            words = f"{{}} of them are in adata.var[{column!r}]: set adata.var_names = adata.var[{column!r}]"
            remedies.append((_n_in(targets, adata.var[column].astype(str)), words))
    words = "{} of them are among adata.obs_names: adata must be cells × genes; use adata = adata.T"
    remedies.append((_n_in(targets, adata.obs_names.astype(str)), words))
    sources = pd.Index(net[_keys.SOURCE].unique())
    if len(sources) > len(targets):  # which no network has that is worth a fit
        words = (
            f"net has {len(sources)} sources of {len(targets)} targets, and {{}} of the sources are genes: "
            "are the columns swapped? source is the regulator, target the gene; "
            "net.rename(columns={'source': 'target', 'target': 'source'})"
        )
        remedies.append((_n_in(sources, names), words))
    n_targets, words = max(remedies, key=lambda remedy: remedy[0])  # the first of equal ones
    return n_targets, words.replace("{}", str(n_targets), 1)


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
