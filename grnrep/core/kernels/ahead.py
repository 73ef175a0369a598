"""What verbs call, compiled ahead of the first fit."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from grnrep.core.kernels.blocks import block_gradients, block_residuals, bounded
from grnrep.core.kernels.censored import LOSS, MEAN, expect_by_table
from grnrep.core.kernels.counts import CountGenes
from grnrep.core.kernels.descent import descend
from grnrep.core.kernels.descent_tile import Cells
from grnrep.core.kernels.genes import add_doubt, regress_genes
from grnrep.core.kernels.newton import Newton, take_newton_steps
from grnrep.core.kernels.newton_tile import CountCells
from grnrep.core.kernels.products import Rows, add_gram, edge_products
from grnrep.core.kernels.systems import add_active, add_systems, solve_genes
from grnrep.core.kernels.vectors import n_lanes


def calls() -> list[tuple[Any, tuple]]:
    """Every compiled function, with the types of the arguments that verbs call it with."""

    def arrays(kind: type, n_dim: int = 1) -> np.ndarray:
        return np.empty((0,) * n_dim, kind)

    single, double, place = arrays(np.float32), arrays(np.float64), arrays(np.int64)
    x, sums = arrays(np.float32, 2), arrays(np.float64, 2)
    w, block = Rows(arrays(np.int32), arrays(np.int32), single), bounded(x, None, None)
    bits = np.empty((0, 0), f"u{n_lanes(np.float32) // 8}")
    edges = (place, place, place)
    of_counts = (w, w, w, single, CountGenes(single, single), CountCells(x, x, single, x))
    how = Newton(0, 0, 0.0, 0.0, 0.0, 0, 0.0)
    of_genes = (sums, sums, *(double,) * 5, 0, *(double,) * 3, sums)
    given: list[tuple[Any, tuple]] = [
        (block_residuals, (w, block, x, x)),
        (take_newton_steps, (*of_counts, how, x, place)),
        (add_systems, (*edges, x, x, double)),
        (add_active, (*edges, x, x, double, double, double)),
        (solve_genes, (*edges, double, 0, double, double, double, 0.0, double, double)),
        (expect_by_table, (x, single, LOSS, MEAN, x, sums)),
        (regress_genes, (*edges, *of_genes)),
        (add_doubt, (*edges, double, double, sums)),
        (descend, (w, w, w, single, Cells(x, bits, bits, x), 0, 0.0, x, x, place)),
        (edge_products, (place, place, x, x, single)),
        (block_gradients, (w, w, single, block, x, x)),
        (add_gram, (place, place, single, x)),
        (add_gram, (place, place, double, sums)),
    ]
    return [(function, tuple(map(numba.typeof, arguments))) for function, arguments in given]


def compile_all() -> None:
    """Compile what verbs call, or read from disk what was compiled before; in the order that a fit needs it.

    Raises OSError if there is no folder to keep it in.
    """
    if calls()[0][0].stats.cache_path is None:
        raise OSError(
            "nothing can be kept: neither the folder of the package nor numba's in your home can be written to, so "
            "that every process compiles anew. Set the environment variable NUMBA_CACHE_DIR to a folder that can, "
            "here and where you fit"
        )
    for function, types_of_arguments in calls():
        function.compile(types_of_arguments)
