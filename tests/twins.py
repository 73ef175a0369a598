"""What tests compare with: weights as a dense matrix, and plain correlations."""

import numpy as np


def correlation(a, b):
    """Pearson correlation of every column of ``a`` with that of ``b``."""
    a, b = a - a.mean(0), b - b.mean(0)
    return (a * b).sum(0) / np.sqrt((a**2).sum(0) * (b**2).sum(0))


def dense(weight, network):
    """Weights of edges as a matrix (n_genes, n_regulators)."""
    w = np.zeros((network.n_genes, network.n_regulators))
    w[network.gene, network.regulator] = weight
    return w
