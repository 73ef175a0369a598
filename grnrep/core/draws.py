"""Random draws for genes and edges that follow from data and seed alone, not from how genes are named.

Genes and regulators are kept in the order of their names. Draws by position would change
with it: another alphabet, other genes held out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from grnrep.core.network import Network

_MARKS = 2**31  # whole numbers to draw from, whose sums over edges are exact


def gene_ranks(blocks: Sequence[Tensor]) -> np.ndarray:
    """Rank of every gene, ``(n_genes,)``, in an order that its values decide; genes alike by position.

    Parameters
    ----------
    blocks
        Expression in blocks of cells, (n_genes, cells) each.
    """
    draw, key = np.random.default_rng(0), 0.0
    for block in blocks:
        mark = torch.as_tensor(draw.standard_normal(block.shape[1])).to(block.device)
        key = key + (block.double() @ mark).cpu().numpy()
    return _ranks(key)


def draw_for_genes(draws: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Hand ``draws`` (..., n_genes) to the genes of ``x`` (n_cells, n_genes) by rank, not by position."""
    return draws[..., gene_ranks([torch.as_tensor(x).mT])]


def draw_for_edges(draws: np.ndarray, blocks: Sequence[Tensor], network: Network) -> np.ndarray:
    """Hand ``draws`` (n_edges,) to edges by the rank of their gene, then of their regulator.

    What decides on a regulator is which genes are its targets.
    """
    gene = gene_ranks(blocks)
    mark = np.random.default_rng(0).integers(_MARKS, size=network.n_genes)[gene]
    m = network.n_regulators
    regulator = _ranks(np.bincount(network.regulator, weights=mark[network.gene], minlength=m))
    return draws[_ranks(gene[network.gene] * m + regulator[network.regulator])]


def _ranks(key: np.ndarray) -> np.ndarray:
    ranks = np.empty(len(key), dtype=np.int64)
    ranks[np.argsort(key, kind="stable")] = np.arange(len(key))
    return ranks
