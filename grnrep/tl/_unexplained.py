"""Residuals of a fit, and what is kept of the programmes in them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from grnrep._cells import Cells
from grnrep._record import Decoder
from grnrep.core.unexplained import Unexplained


def residuals_of(x: np.ndarray, p: np.ndarray, decoder: Decoder, cells: Cells) -> np.ndarray:
    """What the solver sees as residuals of cells, (n_cells, n_genes) float64: 0 on average wherever p is true.

    Slopes of the log-likelihood at x and ``p``, W z without what is known of cells, over the mean curvature of the
    gene: x - p where the curvature is constant.
    """
    fit = replace(decoder.fit, covariates=cells.covariates)
    at = torch.from_numpy((p + fit.offset()).T.astype(np.float64))
    likelihood, sizes = fit.likelihood.to(at), cells.size_factors
    size = None if sizes is None else torch.as_tensor(sizes).to(at)
    slope, curvature = likelihood.work(likelihood.block(torch.from_numpy(x.T).to(at), size), at)
    return (slope / curvature.mean(dim=1, keepdim=True)).numpy().T


def kept_of(found: Unexplained, genes: pd.Index, n_genes: int) -> dict[str, Any]:
    """What is written: numbers, and a table of the top genes of every programme."""
    n_genes = min(n_genes, len(genes))
    top = np.argsort(-found.gene_share, axis=0, kind="stable")[:n_genes].T  # (programmes, n_genes)
    programme = np.arange(found.n_programmes)[:, None]
    table = pd.DataFrame(
        {
            "programme": np.repeat(programme[:, 0] + 1, n_genes),
            "gene": genes.to_numpy(dtype=object)[top.ravel()],
            "loading": found.loadings[top, programme].ravel(),
            "share": found.gene_share[top, programme].ravel(),
        }
    )
    table.index = table.index.astype(str)
    return {
        "n_programmes": found.n_programmes,
        "share": found.share,
        "singular_values": found.singular_values,
        "chance": found.chance,
        "top_genes": table,
        "n_cells": len(found.values),
    }
