"""Does the autoencoder of the load study lack cells, or steps? The same cells, more epochs.

A fixed number of epochs is fewer steps of Adam where there are fewer cells: 1,000 epochs are 4,000 steps of
32 cells at 100 cells, and 313,000 at 10,000. Here the autoencoder of `grnrep validate load-study`, all else
as it is there, takes about as many steps at few cells as it would at many.

OMP_NUM_THREADS=1 python benchmarks/load_steps.py [--replicates 1] [--out benchmarks/results/load_steps.json]
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from grnrep.validation.regulation.load_models import RECIPE, WORLD, draw, learn, measure
from grnrep.validation.runs import Runs

# cells and steps: those of the paper's 1,000 epochs, and many
SETTINGS = ((100, 4_000), (100, 100_000), (500, 16_000), (500, 200_000))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--replicates", type=int, default=3)
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results" / "load_steps.json"
    )
    args = parser.parse_args()
    settings = WORLD | RECIPE | {"weight_low": 0.0, "rng": 0}
    del settings["autoencoder_epochs"]
    runs = Runs(args.out, study="load-steps", settings=settings)
    for replicate in range(args.replicates):
        for n, steps in SETTINGS:
            key = {"n": n, "steps": steps, "replicate": replicate}
            if runs.find(key) is None:
                epochs = steps // math.ceil(n / RECIPE["batch_size"])
                problem = draw(n, replicate, weight_low=0.0, rng=0)
                learned = learn(
                    "autoencoder", [problem], RECIPE | {"autoencoder_epochs": epochs}, []
                )[0]
                runs.add(key, measure(problem, learned))
    columns = ["load", "load_unmasked", "train_mse", "test_mse", "pcc", "abs_pcc", "seconds"]
    print(runs.table().groupby(["n", "steps"])[columns].agg(["mean", "std"]).round(4).T.to_string())


if __name__ == "__main__":
    main()
