"""Time to a held-out PCC of 0.99: the exact solver against the recipe's 500 epochs.

10,000 cells of the setting of recovery.py, no signs. The exact solver is run with few iterations, then
with more, until it is there, and to its own end; each is a whole call of gr.tl.fit.

    python benchmarks/race.py           # the recipe's 500 epochs from the pace of 10 of them
    python benchmarks/race.py --full    # all of them
"""

from __future__ import annotations

import argparse
import logging
from itertools import product
from pathlib import Path

from recovery import correlations, current_settings, learned, save, split, warm_up

TARGET_PCC, RECIPE_EPOCHS = 0.99, 500
QUICK = (3, 5, 10, 20, 40)  # iterations of the exact solver that are tried for the target


def race(args: argparse.Namespace) -> None:
    """Time the exact solver against the recipe's 500 epochs; shorter recipes are run from the start."""
    warm_up(["exact", "gradient"])
    epochs_run = (10, 20, 25, 30, RECIPE_EPOCHS) if args.full else (10, 20, 25, 30)
    n_obs, seeds = args.n_obs, range(args.seeds)
    rows = []
    for low, noise, seed in product(args.low, args.noise, seeds):
        train, held_out, net = split(n_obs, low, noise, seed)

        def timed(solver: str, data=(train, held_out, net), seed=seed, **limit: int) -> dict:
            seconds = learned(*data, key="race", solver=solver, seed=seed, **limit)["seconds"]
            pcc = correlations(data[1], "race", "test")["test_pcc"]
            return {"seconds": round(seconds, 3), "pcc": round(pcc, 6)}

        exact = {"whole": timed("exact"), "to_target": None}
        for limit in QUICK:
            found = timed("exact", max_iter=limit)
            if found["pcc"] >= TARGET_PCC:
                exact["to_target"] = found | {"iterations": limit}
                break
        recipe = {epochs: timed("gradient", epochs=epochs) for epochs in epochs_run}
        first, last = recipe[epochs_run[0]], recipe[epochs_run[-1]]
        epoch = (last["seconds"] - first["seconds"]) / (epochs_run[-1] - epochs_run[0])
        whole = last["seconds"] + (RECIPE_EPOCHS - epochs_run[-1]) * epoch
        reached = [e for e, found in recipe.items() if found["pcc"] >= TARGET_PCC]
        row = {
            "low": low,
            "noise": noise,
            "n": n_obs,
            "seed": seed,
            "exact": exact,
            "recipe": recipe,
        }
        best = exact["to_target"] or exact["whole"]
        ratios = [round(whole / part["seconds"], 1) for part in (best, exact["whole"])]
        row |= {"recipe_500_seconds": round(whole, 2), "extrapolated": not args.full}
        row |= {"ratio_to_target": ratios[0], "ratio_whole": ratios[1]}
        rows.append(row | {"recipe_epochs_to_target": reached[0] if reached else None})
        how = (
            "measured"
            if args.full
            else f"extrapolated from {epochs_run[0]} and {epochs_run[-1]} epochs"
        )
        print(
            f"low={low}, noise={noise}, n={n_obs}, seed={seed}: "
            f"exact, to {TARGET_PCC}: {exact['to_target']}; "
            f"to its end: {exact['whole']}; recipe, {RECIPE_EPOCHS} epochs, {whole:.1f} s ({how}), "
            f"{ratios[0]} and {ratios[1]} times as long; PCC after "
            + ", ".join(f"{e} epochs {found['pcc']:.4f}" for e, found in recipe.items()),
            flush=True,
        )
        save(args.output, current_settings(), rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--n-obs", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument(
        "--low", nargs="+", type=float, default=[-1.0], help="lower end of the weights"
    )
    parser.add_argument("--noise", nargs="+", type=float, default=[0.0, 0.2])
    parser.add_argument("--full", action="store_true", help="run all epochs of the recipe")
    parser.add_argument(
        "--output", type=Path, default=Path(__file__).parent / "results" / "race.json"
    )
    args = parser.parse_args()
    logging.getLogger("grnrep").setLevel(logging.ERROR)
    race(args)


if __name__ == "__main__":
    main()
