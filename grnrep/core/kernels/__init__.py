"""All compiled code: it is made of parts across files, so that what is kept on disk depends on this room alone.

This room imports nothing else of the package, and no other file has compiled code (see `kept`). Each file imports from
those named before it:

======================================= ============================================================================
``kept``                                how compiled code is kept on disk, and when it says that it is made
``vectors``, ``exponentials``           vectors of numbers, one a cell; their exponentials and logarithms
``products``, ``blocks``                products with sparse matrices; residuals of a block of cells, and gradients
``descent_tile``, ``descent``           conjugate gradients for the representations of cells
``counts``, ``newton_tile``, ``newton`` what counts say at a prediction; Newton steps for the representations
``censored``                            what is expected below zeros
``systems``                             systems of genes: their sums, and their solution
``genes``                               regressions of genes: the posterior of their weights
``ahead``                               what is compiled ahead
======================================= ============================================================================

Layout. Matrices are genes or regulators x cells, C-contiguous. Work is done on a *tile*: as many cells as a
vector has numbers (lanes), copied to a 1-d array of (rows x lanes), so that row i of the tile is
vector i, in one line of the cache (`vectors.tile_of`). A tile and the decoder stay in the cache of the processor,
whatever the number of cells.

Invariant. What is computed for a cell depends neither on the cells beside it nor on its lane: operations on
vectors are done number by number, sums run over genes or regulators in the order of the matrix, never
over lanes, and every lane goes through the same operations. Tests hold it to the last bit.
"""

from grnrep.core.kernels.ahead import calls, compile_all
from grnrep.core.kernels.blocks import gradients, residuals
from grnrep.core.kernels.censored import expect_below
from grnrep.core.kernels.counts import FAR, LEAST_EXPONENT, CountGenes
from grnrep.core.kernels.descent import LONGER, SHORTER, descend
from grnrep.core.kernels.descent_tile import Cells
from grnrep.core.kernels.genes import add_doubt, regress_genes
from grnrep.core.kernels.newton import Newton, newton_counts
from grnrep.core.kernels.newton_tile import CountCells
from grnrep.core.kernels.products import Rows, add_gram, edge_products
from grnrep.core.kernels.systems import add_active, add_systems, solve_genes
from grnrep.core.kernels.vectors import n_lanes

__all__ = [
    "FAR",
    "LEAST_EXPONENT",
    "LONGER",
    "SHORTER",
    "Cells",
    "CountCells",
    "CountGenes",
    "Newton",
    "Rows",
    "add_active",
    "add_doubt",
    "add_gram",
    "add_systems",
    "calls",
    "compile_all",
    "descend",
    "edge_products",
    "expect_below",
    "gradients",
    "n_lanes",
    "newton_counts",
    "regress_genes",
    "residuals",
    "solve_genes",
]
