"""What a network determines of every regulator, as tables and in words."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.sparse.csgraph import connected_components

from grnrep.core.collinearity import collinearity, indistinguishable, nested, own_targets
from grnrep.core.identifiability import RankTest, pattern, rank_test
from grnrep.core.network import Network

_COLLINEAR = 10.0  # variance inflation from which regressors are commonly called collinear


class Identified(NamedTuple):
    """What is known of a network without names.

    Parameters
    ----------
    table
        Per kept regulator, by name: see :class:`~grnrep.pp.NetworkReport`.
    nested
        Pairs of regulators, by name.
    rank
        Generic rank.
    condition
        Condition number.
    """

    table: pd.DataFrame
    nested: pd.DataFrame
    rank: int
    condition: float


def identify(network: Network, names: pd.Index, load: np.ndarray) -> Identified:
    """Examine a network of genes that vary; ``load`` is that of every regulator."""
    test, found, group = rank_test(network), collinearity(network), indistinguishable(network)
    table = pd.DataFrame(
        {
            "n_own_targets": own_targets(network),
            "load": load,
            "rank_deficit": test.deficit,
            "n_ambiguous_targets": test.ambiguous_targets(network),
            "activity_identified": test.activity_identified & (network.targets_per_regulator() > 0),
            "group": group,
            "vif": found.vif,
        },
        index=names,
    )
    inner, outer = nested(network)
    pairs = pd.DataFrame({"regulator": names[inner], "within": names[outer]})
    verdicts = _verdicts(network, names, table, test)
    return Identified(table.assign(verdict=verdicts), pairs, test.rank, found.condition)


def overall(table: pd.DataFrame, *, cells_help: bool = True) -> str:
    """Say how many regulators are identified, what is wrong with the others, and what would help.

    Parameters
    ----------
    table
        Per kept regulator, as from :func:`identify`.
    cells_help
        Whether some number of cells would be enough.
    """
    alone = table["group"] < 0
    open_ = ~table["activity_identified"]
    counts = {
        "with the same targets as another (column group): merge them, or keep one of each group": ~alone,
        "that may contain the activity of others, or be undetermined, for want of targets that tell them apart: "
        "add targets of their own, add prior signs, or drop them": open_ & alone,
        f"with fewer constraints than parameters (load below 1): add {'cells or ' * cells_help}genes": (
            table["load"] < 1
        ),
        f"collinear with others (VIF above {_COLLINEAR:g}), which matters where weights stay near their prior": (
            np.isfinite(table["vif"]) & (table["vif"] > _COLLINEAR)
        ),
    }
    # words that suit one regulator as well as many
    lines = [
        f"{int((~open_).sum())} of {len(table)} regulators with an activity that is identified up to scale"
    ]
    lines += [f"{int(which.sum())} {what}" for what, which in counts.items() if which.any()]
    return "\n".join(lines)


def _verdicts(network: Network, names: pd.Index, table: pd.DataFrame, test: RankTest) -> list[str]:
    size = network.targets_per_regulator()
    contains = test.mixes.tocsc()
    short = _short(network, test)
    words = []
    for j, row in enumerate(table.itertuples()):
        if size[j] == 0:
            words.append("none of its targets varies")
            continue
        said = []
        if row.group >= 0:
            same = np.flatnonzero((table["group"] == row.group).to_numpy())
            apart = (
                "only prior signs tell them apart"
                if np.isfinite(row.vif)
                else "the network cannot tell them apart"
            )
            said.append(f"same targets as {_list(names[same[same != j]])}: {apart}")
        elif test.undetermined[j]:
            others = names[(short == short[j]) & (np.arange(len(names)) != j)]
            said.append(
                f"activity undetermined: has, with {_list(others)}, too few targets together"
            )
        elif not row.activity_identified:
            others = contains.indices[contains.indptr[j] : contains.indptr[j + 1]]
            said.append(f"activity may contain that of {_list(names[np.sort(others)])}")
        if row.n_ambiguous_targets:
            said.append(
                f"{row.n_ambiguous_targets} of {size[j]} weights may contain those of others"
            )
        if row.load < 1:
            said.append(f"only {row.load:.2g} constraints per parameter")
        if _COLLINEAR < row.vif < np.inf:
            said.append(f"collinear with others (VIF {row.vif:.3g})")
        words.append("; ".join(said) or "identified")
    return words


def _short(network: Network, test: RankTest) -> np.ndarray:
    """Label undetermined regulators that are linked by their targets; -1 for all others."""
    which = np.flatnonzero(test.undetermined)
    columns = pattern(network)[:, which]
    label = np.full(network.n_regulators, -1)
    if len(which):
        label[which] = connected_components(columns.T @ columns, directed=False)[1]
    return label


def _list(names: pd.Index, n: int = 3) -> str:
    """Join the first names, for a sentence."""
    more = f" and {len(names) - n} more" if len(names) > n else ""
    return ", ".join(names[:n]) + more
