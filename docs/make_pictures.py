"""Draw the pictures of the API pages: what the examples of plots draw, where there is none yet.

    python docs/make_pictures.py            # those that are missing
    python docs/make_pictures.py weights    # these anew, by name

Each goes to docs/figures/api/, named after the function that it shows. Simulated data have more genes and
regulators here than in the examples, which are to be quick.
"""

from __future__ import annotations

import doctest
import inspect
import sys
from pathlib import Path

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt

import grnrep as gr

FOLDER = Path(__file__).parent / "figures" / "api"
simulate = gr.ds.simulate


def picture_of(name: str) -> Path:
    """Where the picture of a plot is."""
    return FOLDER / f"grnrep.pl.{name}.png"


def larger(n_obs: int, n_vars: int, *, n_regulators: int, **options: object) -> object:
    """Simulate more genes and regulators than was asked for."""
    return simulate(n_obs, 5 * n_vars, n_regulators=4 * n_regulators, **options)


def draw(name: str) -> None:
    """Run the example of a plot, and keep the last figure of it."""
    plt.close("all")
    gr.ds.simulate = larger
    text = inspect.getdoc(getattr(gr.pl, name)) or ""
    names: dict[str, object] = {}
    for example in doctest.DocTestParser().get_examples(text):
        exec(compile(example.source, name, "single"), names)
    plt.gcf().savefig(picture_of(name), dpi=100, bbox_inches="tight", metadata={"Software": None})


def main() -> None:
    """Draw what is asked for, or what is missing."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    plots = [name for name in gr.pl.__all__ if inspect.isfunction(getattr(gr.pl, name))]
    for name in sys.argv[1:] or [name for name in plots if not picture_of(name).exists()]:
        draw(name)
        print(picture_of(name))


if __name__ == "__main__":
    main()
