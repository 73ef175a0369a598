"""Random networks, and networks made wrong on purpose."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from grnrep.ds._check import fraction, number


def numbered_names(prefix: str, n: int, width: int) -> pd.Index:
    """Names from 1, padded with zeros so that their order is the same as text and as number."""
    width = max(width, len(str(n)))
    return pd.Index([f"{prefix}_{i:0{width}d}" for i in range(1, n + 1)])


def draw_network(
    genes: Sequence[str],
    regulators: Sequence[str],
    *,
    connectivity: float,
    min_targets: int,
    weight_low: float,
    weight_high: float,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Draw Bernoulli edges with uniform weights, at least ``min_targets`` of them per regulator.

    The targets of one regulator are drawn as their number (binomial) and then
    their names (without replacement), which is the same as one Bernoulli draw
    per pair, but costs only the edges.
    """
    numbers = np.maximum(rng.binomial(len(genes), connectivity, size=len(regulators)), min_targets)
    targets = [
        np.sort(rng.choice(len(genes), size=k, replace=False, shuffle=False)) for k in numbers
    ]
    return pd.DataFrame(
        {
            "source": np.repeat(np.asarray(regulators, dtype=object), numbers),
            "target": np.asarray(genes, dtype=object)[np.concatenate(targets)],
            "weight": rng.uniform(weight_low, weight_high, size=numbers.sum()),
        }
    )


def corrupt_network(
    net: pd.DataFrame,
    *,
    missing: float = 0.0,
    false: float = 0.0,
    hide_signs: float = 0.0,
    flip_signs: float = 0.0,
    sources: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    rng: int | np.random.Generator | None = 0,
) -> pd.DataFrame:
    """Make a network wrong in a known amount: edges missing, edges false, signs hidden or flipped.

    Parameters
    ----------
    net
        True edges, with the columns source, target and, optionally, weight.
    missing
        Edges taken away, as a fraction of the edges of ``net``. One edge of
        every regulator, picked at random, is never taken.
    false
        Edges added, as a fraction of the edges of ``net``. They are drawn
        uniformly from all pairs of ``sources`` and ``targets`` that are not in
        ``net``, so a missing edge never comes back; their weights are drawn
        from the weights of ``net``.
    hide_signs
        Edges whose weight becomes NaN, as a fraction of the edges left after
        ``missing`` and ``false`` whose weight is known.
    flip_signs
        Edges whose weight changes sign, as a fraction of the same edges. An
        edge is hidden or flipped, never both.
    sources
        Regulators of false edges. Default: those of ``net``.
    targets
        Genes of false edges. Default: those of ``net``.
    rng
        Seed or generator; the same one gives the same network.

    Returns
    -------
    A new DataFrame with the columns source, target[, weight], sorted by source
    and target. Numbers of edges are fractions rounded to the nearest integer.

    Raises
    ------
    KeyError
        If ``net`` lacks a column.
    ValueError
        If a fraction is outside its range, if ``net`` repeats an edge, or if
        there are too few edges to take away or too few pairs to add.

    Examples
    --------
    >>> import grnrep as gr
    >>> _, net = gr.ds.simulate(n_obs=10, n_vars=100, n_regulators=10)
    >>> prior = gr.ds.corrupt_network(net, missing=0.2, false=0.2, flip_signs=0.1)
    >>> both = prior.merge(net, on=["source", "target"], suffixes=("", "_true"))
    >>> bool(len(prior) == len(net)), round(len(both) / len(net), 2)
    (True, 0.8)
    """
    columns = _check_net(net)
    fraction("missing", missing)
    number("false", false, low=0)
    if fraction("hide_signs", hide_signs) + fraction("flip_signs", flip_signs) > 1:
        raise ValueError(
            f"hide_signs + flip_signs must be at most 1; found {hide_signs} + {flip_signs}"
        )
    if (hide_signs or flip_signs) and "weight" not in columns:
        raise KeyError("net has no column 'weight', so that no sign can be hidden or flipped")

    rng = np.random.default_rng(rng)
    true = net[columns].sort_values(["source", "target"], ignore_index=True)
    out = true.drop(_pick_missing(true["source"], round(missing * len(true)), rng))
    n_false = round(false * len(true))
    if n_false:
        sources = pd.Index(
            true["source"].unique() if sources is None else pd.unique(np.asarray(sources))
        )
        targets = pd.Index(
            true["target"].unique() if targets is None else pd.unique(np.asarray(targets))
        )
        added = _pick_false(true, sources, targets, n_false, rng)
        if "weight" in columns:
            added["weight"] = rng.choice(true["weight"].to_numpy(), size=n_false)
        out = pd.concat([out, added]).sort_values(["source", "target"])
    out = out.reset_index(drop=True)
    if hide_signs or flip_signs:
        weight = out["weight"].to_numpy(dtype=np.float64, copy=True)
        known = rng.permutation(np.flatnonzero(np.nan_to_num(weight) != 0))
        hidden, flipped = round(hide_signs * len(known)), round(flip_signs * len(known))
        weight[known[:hidden]] = np.nan
        weight[known[hidden : hidden + flipped]] *= -1
        out["weight"] = weight
    return out


def _check_net(net: pd.DataFrame) -> list[str]:
    if not isinstance(net, pd.DataFrame):
        raise TypeError(
            f"net must be a DataFrame with columns source, target[, weight]; found {type(net)}"
        )
    lacking = [name for name in ("source", "target") if name not in net]
    if lacking:
        raise KeyError(f"net lacks the columns {lacking}; found {list(net.columns)}")
    repeated = net.duplicated(["source", "target"])
    if repeated.any():
        row = net.loc[repeated].iloc[0]
        raise ValueError(
            f"net must have every edge once; found {int(repeated.sum())} repeats, "
            f"first {row['source']!r} → {row['target']!r}. "
            "net.drop_duplicates(['source', 'target']) keeps one of each"
        )
    return [name for name in ("source", "target", "weight") if name in net]


def _pick_missing(source: pd.Series, n: int, rng: np.random.Generator) -> np.ndarray:
    """Rows to take away: a random order, without the first row of every regulator."""
    order = rng.permutation(len(source))
    free = order[source.iloc[order].duplicated().to_numpy()]
    if n > len(free):
        raise ValueError(
            f"missing asks to take away {n} of {len(source)} edges, but every one of the {source.nunique()} "
            f"regulators keeps an edge; at most {len(free)} can go (missing={len(free) / len(source):.3f})"
        )
    return free[:n]


def _pick_false(
    true: pd.DataFrame, sources: pd.Index, targets: pd.Index, n: int, rng: np.random.Generator
) -> pd.DataFrame:
    """Pairs drawn without replacement from those that are not edges."""
    i, j = sources.get_indexer(true["source"]), targets.get_indexer(true["target"])
    taken = np.sort((i * len(targets) + j)[(i >= 0) & (j >= 0)])
    n_free = len(sources) * len(targets) - len(taken)
    if n > n_free:
        raise ValueError(
            f"false asks for {n} new edges, but only {n_free} of the {len(sources)} × {len(targets)} pairs "
            "of sources and targets are not edges; ask for fewer or pass more targets"
        )
    # The k-th free pair lies above as many taken pairs as have at most k free ones below them.
    pair = rng.choice(n_free, size=n, replace=False)
    pair = pair + np.searchsorted(taken - np.arange(len(taken)), pair, side="right")
    return pd.DataFrame(
        {"source": sources[pair // len(targets)], "target": targets[pair % len(targets)]}
    )
