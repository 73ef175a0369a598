"""Rows of the studies on images in the order of what they are worth: cheap ones and open claims first.

    GRNREP_DATA_DIR=... OMP_NUM_THREADS=1 nice -n 19 python benchmarks/image_runs.py mnist
    python benchmarks/image_study_page.py mnist

NAME is mnist or cifar10. A row is in docs/results/NAME.json as soon as it is there. Stop it whenever you like, by an
interrupt or a kill: the same command trains what is missing; MNIST, and CIFAR-10 without a curve, goes on within a
training too. Hours on one core: mnist 20, cifar10 45, of which the 4x4 networks 4. A batch of 64 takes the time of its
products (37 ms for the decoder of MNIST, of which 31 in convolutions, at the speed of a product of matrices).
"""

from __future__ import annotations

import argparse

from _pages import DOCS

from grnrep.validation import cifar10_study, mnist_study

# sizes, number of seeds, and for CIFAR-10 kinds of networks
MNIST = (
    ((500, 1000), 3),
    ((8000,), 1),  # is the decoder's error constant from 4,000 on?
    ((500, 1000, 2000), 5),
    ((15_000,), 1),
    ((4000, 8000), 3),
    ((4000, 8000, 15_000), 5),
)
CIFAR = (
    ((50, 100), 1, "4x4"),
    ((500,), 1, "4x4"),
    ((50, 100), 3, "4x4"),
    ((1000,), 1, "4x4"),
    ((50, 100), 3, "1x1"),
    ((500, 1000), 3, "4x4"),
    ((1000,), 1, "1x1"),
    ((50, 100, 500, 1000, 5000), 5, "4x4"),
    ((50, 100, 500, 1000, 5000), 5, "1x1"),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("name", choices=("mnist", "cifar10"))
    name = parser.parse_args().name
    options = {"out": DOCS / f"{name}.json", "progress": False}
    for sizes, n_seeds, *kinds in MNIST if name == "mnist" else CIFAR:
        seeds = range(n_seeds)
        if name == "mnist":
            mnist_study(sizes=sizes, seeds=seeds, **options)
        else:
            cifar10_study(sizes=sizes, seeds=seeds, kinds=kinds, **options)
        print("done:", sizes, n_seeds, *kinds, flush=True)


if __name__ == "__main__":
    main()
