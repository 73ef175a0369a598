"""What inverted regulators cost the autoencoder of the load study, and whether their signs are all that it lacks.

A unit of the leaky rectifier z = max(q, slope · q) that stands for an activity upside down works on its flat side:
q < 0 where the activity is large. Turned over (encoder row and bias times -slope, decoder column times -1, which is
the same function wherever q < 0), it works on its steep side. The autoencoder of `grnrep validate load-study` is
measured as it is, with every inverted unit turned over, and after 100 more epochs of either. A gene whose prediction
is below the rectifier in most cells is called dead: hardly a gradient reaches it.

OMP_NUM_THREADS=1 python benchmarks/inversions.py [--cells 1000] [--replicates 3] [--out FILE]
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from grnrep.validation.regulation.load_models import RECIPE, WORLD, draw
from grnrep.validation.regulation.one_layer import OneLayer, train
from grnrep.validation.runs import Runs

MORE = 100  # epochs


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--cells", type=int, default=1000)
    parser.add_argument("--replicates", type=int, default=3)
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results" / "inversions.json"
    )
    args = parser.parse_args()
    settings = WORLD | RECIPE | {"weight_low": 0.0, "rng": 0, "more": MORE}
    runs = Runs(args.out, study="inversions", settings=settings)
    for replicate in range(args.replicates):
        key = {"n": args.cells, "replicate": replicate}
        if runs.find(key | {"model": "as trained"}) is None:
            for name, row in rows(args.cells, replicate).items():
                runs.add(key | {"model": name}, row)
    print(runs.table().groupby(["n", "model"], sort=False).mean(numeric_only=True).to_string())


def rows(n: int, replicate: int) -> dict[str, dict[str, float]]:
    """Errors and correlations of the four models."""
    problem = draw(n, replicate, weight_low=0.0, rng=0)
    x, test = (torch.as_tensor(part)[None] for part in (problem.x, problem.test))
    mask = torch.zeros(1, problem.network.n_genes, problem.network.n_regulators)
    mask[0, problem.network.gene, problem.network.regulator] = 1
    options = {
        "mask": mask,
        "seeds": [problem.seed],
        "lr": RECIPE["lr_autoencoder"],
        "progress": False,
    }
    options |= {name: RECIPE[name] for name in ("batch_size", "weight_decay", "slope")}
    model = train(x, epochs=RECIPE["autoencoder_epochs"], **options)
    inverted = correlations(model, test, problem.truth) < 0
    turned = turn(model, torch.as_tensor(inverted))
    models = {"as trained": model, "turned over": turned}
    for name, start in list(models.items()):
        models[f"{name}, {MORE} epochs more"] = train(x, epochs=MORE, start=start, **options)
    return {name: measure(one, test, problem.truth) for name, one in models.items()}


def turn(model: OneLayer, units: torch.Tensor) -> OneLayer:
    """Turn units over: the same function where they worked on the flat side."""
    factor = torch.where(units, -model.slope, 1.0)
    return replace(
        model,
        encoder=model.encoder * factor[:, None],
        bias=model.bias * factor,
        decoder=model.decoder * torch.where(units, -1.0, 1.0),
    )


def correlations(model: OneLayer, test: torch.Tensor, truth: pd.DataFrame) -> np.ndarray:
    codes = pd.DataFrame(model.encode(test)[0].numpy(), index=truth.index, columns=truth.columns)
    return codes.corrwith(truth).fillna(0.0).to_numpy()


def measure(model: OneLayer, test: torch.Tensor, truth: pd.DataFrame) -> dict[str, float]:
    found = correlations(model, test, truth)
    made = model.decode(model.encode(test))
    off = (made - test).square()
    dead = (made == 0).float().mean((0, 1)) > 0.5  # all data of Eq. 6 with U(0, 1) are above
    return {
        "inverted": int((found < 0).sum()),
        "pcc": float(found.mean()),
        "abs_pcc": float(np.abs(found).mean()),
        "test_mse": float(off.mean()),
        "dead_genes": int(dead.sum()),
        "mse_without_dead": float(off[..., ~dead].mean()),
    }


if __name__ == "__main__":
    main()
