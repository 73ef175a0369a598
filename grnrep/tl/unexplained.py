"""The verb that says what the network of a fit leaves unexplained."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from grnrep import _keys
from grnrep._importing import uncollected

if TYPE_CHECKING:
    import numpy as np
    from anndata import AnnData

logger = logging.getLogger("grnrep")


def unexplained(
    adata: AnnData,
    *,
    key: str = _keys.FIT,
    n_genes: int = 50,
    rng: int | np.random.Generator | None = 0,
    copy: bool = False,
    progress: bool = True,
) -> AnnData | None:
    """Look for programmes in the residuals of a fit: what genes do in common that its network does not explain.

    A programme, a value of every cell times a loading of every gene, may be a regulator or a target that the network
    lacks, the cell cycle, a batch. Singular values of the residuals are compared with those of noise from which
    the fit has taken as many degrees of freedom (:mod:`grnrep.core.unexplained`). The number is a lower bound where
    the fit is good, since strong programmes count as noise for weaker ones. Programmes strong enough to
    hinder the fit itself leave residuals of more directions than they have. Some 500 cells, drawn at random, are
    looked at.

    Parameters
    ----------
    adata
        Cells with expression, and a fit that they were fitted or projected with.
    key
        Where the fit is in ``uns``.
    n_genes
        How many genes of every programme to keep, those whose residuals it explains the most of.
    rng
        Seed, or a generator to draw it from.
    copy
        Whether to return a copy instead of changing ``adata``.
    progress
        Whether long work shows its progress.

    Returns
    -------
    None, or with ``copy=True`` the copy (in memory, also of backed data). Sets the following fields:

    ``adata.uns[key]["unexplained"]`` : dict
        ``"n_programmes"`` beyond chance, and the ``"share"`` of each in the variance of the residuals, with every
        gene in units of its noise, ``(n_programmes,)``. ``"singular_values"`` of the residuals, with squares that
        sum to 1, the largest first, and ``"chance"``: what the first exceeds with a chance of 1 % where there is no
        programme, or NaN where the fit has as many parameters as values. ``"top_genes"``: a table of ``programme``
        (1 is the strongest), ``gene``, ``loading`` in units of expression at a value with mean square 1, and
        ``share`` in the variance of the residuals of the gene. ``"n_cells"``: how many were looked at.

    Raises
    ------
    KeyError
        If there is no fit under ``key``.
    ValueError, TypeError
        If there is no expression, or none that the fit can be of, or an argument cannot be used.

    Examples
    --------
    >>> import grnrep as gr
    >>> adata, net = gr.ds.simulate(80, 60, n_regulators=4, connectivity=0.3, noise_sd=1.0, progress=False)
    >>> gr.tl.fit(adata, net, progress=False)
    >>> gr.tl.unexplained(adata)
    >>> adata.uns["grnrep"]["unexplained"]["n_programmes"]
    0
    """
    with uncollected():
        import numpy as np
        import torch

        from grnrep._checks import check_adata, check_whole, record, some
        from grnrep._expression import open_expression
        from grnrep._inputs import has_expression
        from grnrep._record import decoder_of_rows, is_contrast
        from grnrep._values import where
        from grnrep.core.design import full_network
        from grnrep.core.linalg import Pattern
        from grnrep.core.unexplained import sufficient_cells
        from grnrep.core.unexplained import unexplained as find_unexplained
        from grnrep.tl._config import seed_of
        from grnrep.tl._infer import Inference, infer_cells
        from grnrep.tl._results import copy_of
        from grnrep.tl._unexplained import kept_of, residuals_of

    check_adata(adata)
    check_whole("n_genes", n_genes)
    seed = seed_of(rng)
    kept, decoder = record(adata, key), decoder_of_rows(adata, key)
    if not has_expression(adata, decoder.layer):
        raise ValueError(
            f"unexplained needs the expression that key={key!r} was fitted to, {where(decoder.layer)}, which is "
            f"not there; layers: {some(adata.layers, 10)}. Put it back, or call this before it is dropped"
        )
    opened = open_expression(
        adata,
        decoder,
        kept[_keys.GENES],
        layer=decoder.layer,
        verb="unexplained",
        name="adata",
        compare_scale=not is_contrast(adata, key),
    )
    known, blocks = opened.decoder, opened.blocks
    # drawn by name, so that the order of cells does not matter
    draw = np.random.default_rng(seed).permutation(blocks.n_obs)
    drawn = blocks.order[np.sort(draw[: sufficient_cells(len(known.genes))])]
    x, cells = blocks.take(drawn), opened.cells.part(drawn)
    inference = Inference(
        blocks=blocks,
        decoder=known,
        cells=cells,
        with_errors=False,
        solver=decoder.solver,
        device=None,
    )
    both = infer_cells(inference, x, cells)
    # free factors are regulators of every gene here
    network, weight = full_network(known.network, replace(known.fit, bias=None, effects=None))
    found = find_unexplained(
        residuals_of(
            x,
            both @ Pattern(network).matrix(torch.as_tensor(weight)).to_dense().numpy().T,
            known,
            cells,
        ),
        both,
        weight,
        network,
        scale=known.fit.likelihood.arrays().get("noise_sd"),
        covariates=cells.covariates,
        rng=seed,
        progress=progress,
    )
    logger.info(
        "unexplained %r: %d programmes beyond chance, %.0f %% of the variance of the residuals",
        key, found.n_programmes, 100 * found.total_share
    )  # fmt: skip
    out = copy_of(adata) if copy else adata
    out.uns[key] = {**out.uns[key], _keys.UNEXPLAINED: kept_of(found, known.genes, n_genes)}
    return out if copy else None
