"""The data of a fit: looked at once, told from other data, and the cells to learn from drawn."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from grnrep import __version__
from grnrep._cells import Covariates, link_of, read_covariates
from grnrep._checks import (
    check_adata,
    obs_column,
    report_names,
)
from grnrep._inputs import expression_of
from grnrep._match import Match, match, report_dropped
from grnrep._values import (
    check_values,
    check_varies,
    open_values,
    where,
)
from grnrep.core.choose.sample_size import sufficient_cells
from grnrep.core.likelihoods import LIKELIHOODS
from grnrep.rows.blocks import Blocks
from grnrep.rows.scan import Scan
from grnrep.tl._config import BY_SIGN, FitConfig
from grnrep.tl._old_names import report_identity

# packages whose version may change a draw or a rounding
_DRAWN_BY = ("numpy", "scipy", "torch", "numba")
# options that change no result, and those of which the fingerprint has what was read by them
_NOT_COMPARED = ("client", "progress", "checkpoint", "key_added", "copy")
_READ_BY = ("covariates", "signed", "mask_var")


@dataclass(frozen=True, eq=False)
class Data:
    """What a fit reads.

    Parameters
    ----------
    adata, matched
        Annotated data, and the part of the network whose targets are among its genes.
    blocks, scan
        Expression of the genes of ``matched``, and what one pass over all of it has found.
    covariates
        How columns of obs become known columns, or None.
    strata
        Number of the kind of every cell, ``(n_obs,)``, or None.
    name
        How messages call the expression.
    """

    adata: AnnData
    matched: Match
    blocks: Blocks
    scan: Scan
    covariates: Covariates | None
    strata: np.ndarray | None
    name: str

    def n_known(self, *, intercept: bool) -> int:
        """Number of known columns: intercept and covariates."""
        return int(intercept) + (0 if self.covariates is None else len(self.covariates.columns))


def look(adata: AnnData, net: pd.DataFrame, config: FitConfig) -> Data:
    """Match the network to the genes, pass over all cells once, and refuse what cannot be fitted."""
    check_adata(adata)
    report_names(adata)
    if adata.n_vars == 0:
        raise ValueError("adata must have genes; found none: adata.n_vars is 0")
    if adata.n_obs == 1:
        raise ValueError(
            "adata must have more than one cell: weights are learned from differences between cells. For "
            "one cell, use grnrep.tl.transform with a decoder learned on others"
        )
    name = where(config.layer)
    adata, layer = expression_of(adata, config.layer)
    covariates = read_covariates(adata, config.covariates)
    strata = _read_strata(adata, config.stratify)
    if covariates is not None and config.intercept is False:
        raise ValueError(
            "intercept must be True or 'auto' with covariates, which are differences from it; found False"
        )
    matched = match(
        net,
        adata,
        mask_var=config.mask_var,
        signed=config.signed,
        magnitudes=config.magnitudes,
        min_targets=config.min_targets,
    )
    report_dropped(matched, config.min_targets)
    blocks, scan = open_values(
        adata,
        matched.genes,
        matched.columns,
        layer=layer,
        block_size=config.block_size,
        client=config.client,
        progress=config.progress,
    )
    check_varies(scan, what=name)
    if config.likelihood in LIKELIHOODS:
        remedy = "Choose likelihood='auto' or 'gaussian', or pass data that were not centred"
        check_values(config.likelihood, scan, adata, matched.genes, what=name, remedy=remedy)
    if config.likelihood == "gaussian" and not scan.negative.count:
        report_identity(name)
    return Data(adata, matched, blocks, scan, covariates, strata, name)


def _read_strata(adata: AnnData, stratify: str | None) -> np.ndarray | None:
    """Number of the kind of every cell of ``adata``, by the order of their names; None if not asked for."""
    if stratify is None:
        return None
    if not isinstance(stratify, str):
        raise TypeError(
            f"stratify must be the name of a column of adata.obs, or None; found {stratify!r}"
        )
    values = obs_column(adata, stratify, argument="stratify")
    if pd.api.types.is_float_dtype(values.dtype):
        raise TypeError(
            f"adata.obs[{stratify!r}], named by stratify, must be categories; found {values.dtype}. "
            "Cut numbers into intervals first, e.g. with pandas.qcut"
        )
    n_missing = int(values.isna().sum())
    if n_missing:
        raise ValueError(
            f"adata.obs[{stratify!r}], named by stratify, lacks a value for {n_missing} of the cells; "
            "name these too, e.g. 'unknown'"
        )
    return pd.factorize(values.astype(str), sort=True)[0]


@dataclass(frozen=True, eq=False)
class Sample:
    """Cells to learn from: the first of a draw.

    Parameters
    ----------
    draw
        All cells in the order in which they are taken, as positions in ``blocks.order``, ``(n_obs,)``.
    rows
        Positions in the data of the cells taken, sorted as :class:`grnrep.rows.blocks.Blocks` orders them.
    x
        Their expression, (n_cells, n_genes) float32.
    read_at, read
        Of all cells that were read, the first of the draw: positions in ``blocks.order``, sorted, and expression.
    """

    draw: np.ndarray
    rows: np.ndarray
    x: np.ndarray
    read_at: np.ndarray
    read: np.ndarray

    def resized(self, blocks: Blocks, n_cells: int) -> Sample:
        """So many cells of the same draw; read only if they are more than ever before."""
        at = np.sort(self.draw[:n_cells])
        rows = blocks.order[at]
        if len(at) > len(self.read):
            x = blocks.take(rows)
            return replace(self, rows=rows, x=x, read_at=at, read=x)
        all_read = len(at) == len(self.read)
        x = self.read if all_read else self.read[np.searchsorted(self.read_at, at)]
        return replace(self, rows=rows, x=x)

    def settled(self) -> Sample:
        """The same cells, and of no others is expression kept."""
        return replace(self, read_at=self.read_at[:0], read=self.read[:0])


def sample(data: Data, config: FitConfig) -> Sample:
    """Draw as many cells as determine a decoder with those known columns that it has in any case."""
    draw = np.random.default_rng(config.rng).permutation(data.scan.n_obs)
    strata = None if data.strata is None else data.strata[data.blocks.order]
    no_values = np.zeros((0, len(data.matched.genes)), dtype=np.float32)
    none = Sample(in_turn(draw, strata), draw[:0], no_values, draw[:0], no_values)
    certain = config.intercept is True or _link(data, config) == "identity"
    intercept = certain or data.covariates is not None
    size, with_intercepts = (
        sample_size(data, config, intercept=some) for some in (intercept, True)
    )
    # cells that lie far apart take as long to read as all: those that an intercept would ask for are read with these
    return none.resized(data.blocks, max(size, with_intercepts)).resized(data.blocks, size)


def sample_size(data: Data, config: FitConfig, *, intercept: bool) -> int:
    """How many cells to learn from in memory."""
    n_obs = data.scan.n_obs
    if config.solver != "exact":
        return n_obs
    if config.max_cells is not None and config.max_cells != "auto":
        return min(n_obs, int(config.max_cells))
    n_constraints, n_known = (
        data.scan.n_constraints(_link(data, config)),
        data.n_known(intercept=intercept),
    )
    return sufficient_cells(n_obs, n_constraints, data.matched.network, n_known=n_known)


def _link(data: Data, config: FitConfig) -> str:
    """What zeros will say, before the likelihood is chosen; see :func:`grnrep._cells.link_of`."""
    if config.likelihood in ("auto", BY_SIGN):
        return "identity" if data.scan.negative.count else "relu"
    return link_of(config.likelihood)


def in_turn(draw: np.ndarray, strata: np.ndarray | None) -> np.ndarray:
    """A draw of positions in which kinds take turns, each in the order of ``draw``, until they are used up.

    ``strata`` has the kind of the cell at every position; None leaves the draw as it is.

    Examples
    --------
    >>> import numpy as np
    >>> from grnrep.tl._data import in_turn
    >>> in_turn(np.array([4, 2, 3, 0, 1]), np.array([0, 0, 0, 0, 1])).tolist()
    [4, 1, 2, 3, 0]
    """
    if strata is None:
        return draw
    kinds = pd.Series(strata[draw])
    turn = kinds.groupby(kinds).cumcount().to_numpy()
    return draw[np.argsort(turn, kind="stable")]


def fingerprint(data: Data, config: FitConfig) -> Mapping[str, Any]:
    """Entries that are equal where fits do the same steps to the same result, by the names that users know.

    The format in which expression is kept changes none, and the order of cells one of its own, and only
    where blocks are read in that order: from files, and into a store.
    """
    blocks, scan, matched = data.blocks, data.scan, data.matched
    asked = {option.name: getattr(config, option.name) for option in fields(config)}
    for name in (*_NOT_COMPARED, *_READ_BY):
        del asked[name]
    asked["assumed"] = None if config.assumed is None else asdict(config.assumed)
    asked["block_size"] = blocks.n_rows
    asked["activity_store"] = config.activity_store is not None
    order = blocks.order  # by name, in which results hang on nothing else
    as_they_lie = not blocks.in_memory or asked["activity_store"]
    unsorted = bool((np.diff(order) < 0).any())
    # else no size factors follow
    counts = scan.depth[order] if scan.fraction.count == 0 else np.zeros(0)
    edges = matched.edges.astype({"source": str, "target": str})
    read: dict[str, Any] = {
        "values": _digest(scan.content[order], counts),
        "obs_names": _digest(data.adata.obs_names.to_numpy(dtype=str)[order]),
        "order of obs_names": _digest(order) if as_they_lie and unsorted else None,
        "genes": _digest(matched.genes.to_numpy(dtype=str)),
        "net": _digest(*(edges[name].to_numpy() for name in edges), matched.dropped.index),
        "stratify": None,
        "covariates": None,
    }
    if data.strata is not None:
        read["stratify"] = [config.stratify, _digest(data.strata[order])]
    if data.covariates is not None:
        values = data.covariates.values(data.adata)[order]
        read["covariates"] = [data.covariates.columns.to_dict("list"), _digest(values)]
    versions: dict[str, Any] = {f"version of {name}": version(name) for name in _DRAWN_BY}
    # their rounding hangs on it, and grows
    if config.uncertainty or config.solver == "gradient":
        versions["number of threads (torch.get_num_threads())"] = torch.get_num_threads()
    return {"version of grnrep": __version__, **versions, **asked, **read}


def _digest(*parts: Any) -> str:
    """Hash of arrays of numbers and of names."""
    sha = hashlib.sha256()
    for part in parts:
        part = np.asarray(part)
        content = (
            part.tobytes() if part.dtype.kind in "biuf" else "\0".join(map(str, part)).encode()
        )
        sha.update(f"{len(content)} {len(part)}\n".encode() + content)
    return sha.hexdigest()
