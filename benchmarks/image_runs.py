"""Rows of the studies on images in the order of what they are worth: cheap ones and open claims first.

    export GRNREP_DATA_DIR=... OMP_NUM_THREADS=1
    export GLIBC_TUNABLES=glibc.malloc.mmap_threshold=1073741824:glibc.malloc.trim_threshold=8589934592
    nice -n 19 python benchmarks/image_runs.py mnist
    python benchmarks/image_study_page.py mnist

NAME is mnist or cifar10. A row is in docs/results/NAME.json as soon as it is there. Stop it whenever you like, by an
interrupt or a kill: the same command trains what is missing; MNIST, and CIFAR-10 without a curve, goes on within a
training too. Products are in bfloat16 (--precision float32 otherwise): on a processor with AMX a batch of 64 takes the
decoder of MNIST 13 ms instead of 28, the 1x1 decoder of CIFAR-10 66 instead of 128. What it does to errors:
benchmarks/image_precision.py. The settings of the allocator keep memory between batches, which takes a tenth to a
fifth less time for the same numbers.
"""

from __future__ import annotations

import argparse

from _pages import DOCS

from grnrep.validation import cifar10_study, mnist_study

# sizes, number of seeds, and for CIFAR-10 kinds of networks
MNIST = (
    ((500, 1000, 2000, 4000), 5),
    ((8000,), 3),
    ((15_000,), 1),  # is the decoder's error constant from 4,000 on?
    ((8000,), 5),
    ((15_000,), 5),
)
CIFAR = (
    ((50, 100, 500, 1000), 5, "4x4"),
    ((50, 100), 5, "1x1"),
    ((500,), 3, "1x1"),
    ((1000,), 1, "1x1"),
    ((500,), 5, "1x1"),
    ((1000, 5000), 5, "1x1"),
    ((5000,), 5, "4x4"),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("name", choices=("mnist", "cifar10"))
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="bfloat16")
    arguments = parser.parse_args()
    name, precision = arguments.name, arguments.precision
    options = {"out": DOCS / f"{name}.json", "precision": precision, "progress": False}
    for sizes, n_seeds, *kinds in MNIST if name == "mnist" else CIFAR:
        seeds = range(n_seeds)
        if name == "mnist":
            mnist_study(sizes=sizes, seeds=seeds, **options)
        else:
            cifar10_study(sizes=sizes, seeds=seeds, kinds=kinds, **options)
        print("done:", sizes, n_seeds, *kinds, flush=True)


if __name__ == "__main__":
    main()
