"""What the search for penalties loses by the pairs that it does not score.

Simulations with prior signs (30 to 1,000 cells, 300 to 1,200 genes, 50 to 400 regulators, a network of 2 to 10 %
of all edges, noise sd .2 to 3, as they are or 50 to 90 % zeros, regulators that correlate or not, right signs or a
fifth of them wrong), drawn at random. Where a fit of one would choose penalties (`grnrep.core.choose.shrinkage`), all
pairs are scored, and searches are then run on the table of scores: as it is; with more of one and less of the
other always tried (``_NEAR`` infinite), or never (``_ACROSS`` empty).

Rows are saved as they come, and those already there are skipped.

    python benchmarks/search.py [--seeds 130] [--out benchmarks/results/search.json]    # 5 minutes
"""

from __future__ import annotations

import argparse
import logging
import math
from collections.abc import Callable
from contextlib import nullcontext, suppress
from itertools import product
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd

import grnrep as gr
from grnrep.core.choose import shrinkage
from grnrep.core.choose.held_out import Score
from grnrep.validation.runs import Runs

DRAWN = {
    "n_obs": (30, 60, 100, 200, 400, 1000),
    "n_vars": (300, 600, 1200),
    "n_regulators": (50, 150, 400),
    "connectivity": (0.02, 0.05, 0.1),
    "noise_sd": (0.2, 1.0, 3.0),
    "zero_fraction": (None, 0.5, 0.8, 0.9),
    "regulator_correlation": (0.0, 0.0, 0.5),
}
FLIPPED = (0.0, 0.0, 0.2)  # share of signs that are wrong
SEARCHES = {
    "as it is": {},
    "always": {"_NEAR": math.inf},
    "never": {"_ACROSS": ()},
}


class Scored(Exception):
    """All pairs are scored: the fit need not go on."""


def main() -> None:
    """Run what is missing, and print what searches find."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=130)
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results" / "search.json"
    )
    args = parser.parse_args()
    logging.getLogger("grnrep").setLevel(logging.CRITICAL)
    runs = Runs(args.out, study="search", settings={**DRAWN, "flipped": FLIPPED})
    for seed in range(args.seeds):
        if runs.find({"seed": seed}) is None:
            scores = table_of(seed)
            runs.add({"seed": seed}, {name(pair): s.correlation for pair, s in scores.items()})
            print(seed, f"{len(scores)} pairs scored", flush=True)
    show(runs)


def table_of(seed: int) -> shrinkage.Scores:
    """Scores of all pairs for one simulation, none where a fit does not choose penalties by them."""
    draw = np.random.default_rng(seed)
    setting = {what: draw.choice(np.array(values, object)) for what, values in DRAWN.items()}
    adata, net = gr.ds.simulate(**setting, rng=seed, progress=False)
    net = net.assign(weight=np.sign(net["weight"]))
    net = gr.ds.corrupt_network(net, flip_signs=draw.choice(FLIPPED), rng=seed)
    found = shrinkage.Scores()

    def score_all(score: Callable[[float, float], Score], ridges: tuple, priors: tuple) -> None:
        found.update(shrinkage._scores(score, list(product(ridges, priors))))
        raise Scored

    with mock.patch.object(shrinkage, "_climb", score_all), suppress(Scored):
        gr.tl.fit(adata, net, progress=False)
    return found


def name(pair: shrinkage.Pair) -> str:
    """Of the score of a pair, in a row."""
    return f"{pair[0]:g}, {pair[1]:g}"


def show(runs: Runs) -> None:
    """How many pairs searches score, and how often they end at another pair than where all beside are scored."""
    pairs = list(product(shrinkage.RIDGES, shrinkage.PRIORS))
    table = runs.table().dropna(subset=[name(pairs[0])])
    n_scored, taken = {}, {}
    for search, changed in SEARCHES.items():
        with mock.patch.multiple(shrinkage, **changed) if changed else nullcontext():
            found = [climbed(row) for _, row in table.iterrows()]
        n_scored[search] = np.mean([len(scores) for scores in found])
        taken[search] = [shrinkage._weakest_ridge(scores) for scores in found]
    print(f"{len(table)} tables")
    for search, ends in taken.items():
        others = [k for k, (a, b) in enumerate(zip(ends, taken["always"], strict=True)) if a != b]
        best = [round(float(table.iloc[k][[*map(name, pairs)]].max()), 3) for k in others]
        where = f", at highest correlations of {best}" if others else ""
        print(f"{search}: {n_scored[search]:.2f} pairs scored, another in {len(others)}{where}")


def climbed(row: pd.Series) -> shrinkage.Scores:
    """What a search scores on a table."""

    def score(ridge: float, prior: float) -> Score:
        return Score(row[name((ridge, prior))], 1.0)

    return shrinkage._climb(score, shrinkage.RIDGES, shrinkage.PRIORS)


if __name__ == "__main__":
    main()
