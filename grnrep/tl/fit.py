"""The verb that learns activities and edge weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grnrep import _keys
from grnrep._importing import uncollected
from grnrep.tl._old_names import accepts_old_names
from grnrep.tl._places import holding_places

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from anndata import AnnData


@accepts_old_names
@holding_places
def fit(
    adata: AnnData | pd.DataFrame,
    net: pd.DataFrame,
    *,
    likelihood: str = "auto",
    intercept: bool | str = "auto",
    covariates: str | Sequence[str] | None = None,
    sign_shrinkage: float | str = "auto",
    ridge: float | str = "auto",
    free_factors: int | str = "auto",
    signed: bool | str = "auto",
    magnitudes: bool = False,
    min_targets: int = 5,
    max_cells: int | str | None = "auto",
    stratify: str | None = None,
    layer: str | None = None,
    use_raw: bool = False,
    mask_var: str | np.ndarray | None = None,
    key_added: str = _keys.FIT,
    rng: int | np.random.Generator | None = 0,
    copy: bool = False,
    repair: bool = False,
    uncertainty: bool = False,
    device: str | None = None,
    progress: bool = True,
    checkpoint: str | Path | None = None,
    activity_store: str | Path | None = None,
    client: Any = "auto",
    block_size: int | None = None,
    max_iter: int | None = None,
) -> AnnData | None:
    r"""Learn the activity of every regulator in every cell, and the weight of every edge.

    Expression is explained as :math:`\hat x_{ki} = f(b_i + \sum_j w_{ij} z_{kj})` with a weight for every edge j→i of
    the network only, and activities z that are parameters themselves: there is no encoder. Both are learned together.

    **Units.** Fits by evidence give activities in spreads of the regulator's targets: √r more moves a target with r
    regulators by about one standard deviation of its own. Penalised fits, and those of counts, give them in units of
    expression (counts: of its link). With intercepts 0 is no landmark: differences between cells count. One
    regulator may be compared between cells and groups; two regulators have each the scale of its own weights: compare
    their z-scores over cells, :func:`grnrep.tl.rank_regulators`, or ``grnrep.get.activity(adata, marginal=True)``.
    ``grnrep.get.activity(adata).var["reliability"]`` says how far a single activity is to be trusted.

    The result depends neither on the order of cells, genes and edges nor on the format in which expression is kept.
    Nothing is written unless all succeeded.

    Parameters
    ----------
    adata
        Annotated data, cells × genes, in memory or backed by a file (of MuData a modality, ``mdata["rna"]``); or a
        DataFrame of samples × genes, such as bulk expression: the result is then returned.
    net
        Prior network with columns ``source`` (regulator), ``target`` (gene) and, if known, ``weight``, of which
        the sign is used: NaN and 0 are unknown, and so are weights that are all 1 (see ``signed``, ``magnitudes``).
    likelihood
        Distribution of expression around the prediction, with its function f. ``"gaussian"``: f is the identity.
        ``"tobit"``: f is the ReLU, under which an observed zero only says that the sum is not positive.
        ``"poisson"`` or ``"nb"`` (negative binomial): raw counts, whose size factors are total counts over
        their median; f is a smooth ReLU, and zeros are values like others. ``"bernoulli"``: values of 0 and 1, such
        as open chromatin; f is the logistic function. It is never chosen. ``"auto"``: whole numbers with
        differing totals are counts, unless at least half of the edges have a prior sign, which only the other
        likelihoods draw weights to; else ``"gaussian"`` if any value is negative, and ``"tobit"`` if none is.
    intercept
        Whether every gene has an intercept b. ``"auto"``: yes, and under ``"tobit"`` their size is learned; of
        penalised fits (see ``sign_shrinkage``) where short fits explain clearly more with them, or with covariates.
    covariates
        Columns of ``adata.obs``, such as ``["batch", "pct_mito"]``, with an effect on every gene that is fitted
        too: levels of categorical ones against the first, numbers per standard deviation. What they can explain
        of an activity counts as theirs: no activity is correlated with a covariate.
    sign_shrinkage
        How strongly the weights of a regulator with prior signs are drawn to ±1, as a share of the evidence in the
        data; at 0 they are free. ``"auto"``, of what is not counts: the noise of every gene is learned, and with it
        how far activities and weights spread, so that the unit of a gene changes nothing. How far weights may
        leave the prior signs is chosen by predicting genes that were held out, from up to 400 cells and with at least
        100 genes; without signs it is learned too. A number, here or for ``ridge``, is for penalised least
        squares in the unit of expression, with the same noise for all genes; there ``"auto"`` chooses the other one
        by prediction. So it is where data are few: at an effective load below 1.1 (with signs 0.6), and
        below 3 values for every weight, under ``"tobit"`` 10 above zero.
    ridge
        Penalty of the activities, as a share of the evidence that the targets of a typical regulator give.
        ``"auto"``: see ``sign_shrinkage``.
    free_factors
        Number of programmes beside the network: regulators of every gene, learned with the others. ``"auto"``: with
        signs, as many as rise above chance (20 at most), if genes that were held out are then predicted better by
        more than 5 %, else none; without signs, as many as rise above chance, reach many genes, and are well
        determined. What both could explain they share by the variances of their priors.
    signed
        Whether weights of ``net`` are signs. ``"auto"``: yes, unless every weight that is given is 1, as
        tables of binding sites have it and as is filled in by default, which says nothing about signs. True:
        also then, where regulators activate all their targets. False: no sign is used.
    magnitudes
        Whether sizes of weights count too, as of :func:`grnrep.ds.progeny`: in place of ±1 the prior mean of an edge
        is its weight over the root mean square of those of its regulator.
    min_targets
        Regulators with fewer targets than this among the genes of ``adata`` are left out, with their edges: an
        activity that rests on one or two genes is hardly more than their expression. Who falls out is logged,
        and listed in ``uns`` with its number of targets and the reason. 1 keeps all that have a target.
    max_cells
        How many cells to learn the decoder from, drawn at random; the activities of all cells follow from it.
        ``"auto"``: as many as determine it, at least 1,000 (:func:`grnrep.core.choose.sample_size.sufficient_cells`).
        None: all cells; from what ``"auto"`` learns, passes over all of them go on, without holding them in memory.
    stratify
        Column of ``adata.obs``, such as ``"cell_type"``, of whose kinds as many cells each are
        learned from, as far as there are, so that rare ones count. By default all cells alike.
    layer
        Layer with the expression to explain; by default ``adata.X``.
    use_raw
        Whether to explain ``adata.raw``, which may have more genes: ``varm`` has weights of those of ``adata`` alone.
    mask_var
        Genes to use: name of a boolean column of ``adata.var``, or a boolean array (n_vars,). By default all genes.
    key_added
        Where in ``obsm``, ``varm`` and ``uns`` results are kept; what is there already is replaced.
    rng
        Seed, or a generator to draw it from. The seed is kept in ``uns``.
    copy
        Whether to return a copy instead of changing ``adata``.
    repair
        Whether to drop edges that the data reject and to add edges that they demand before the fit, at a false
        discovery rate of 5 % each; see :func:`grnrep.tl.repair`.
    uncertainty
        Whether to draw from the posterior after the fit; see :func:`grnrep.tl.posterior`.
    device
        Torch device, such as ``"cuda"``. By default the solver's own choice.
    progress
        Whether long work shows its progress.
    checkpoint
        Folder for what has been done so far. A run that was killed goes on there when it is called again,
        to the same result; at its end the folder is removed. Another run is refused, as is a folder in which
        anything was damaged. By default nothing is kept.
    activity_store
        Path of a zarr store to write activities to, block by block, for more cells than memory holds: an
        AnnData cells × regulators. ``obsm`` then has them as dask arrays. By default they are in memory.
    client
        `dask.distributed` client whose workers read the data and infer activities. ``"auto"``: the active
        one, if there is one and the data are on disk. None: compute here. The result is the same.
    block_size
        Cells that are read at a time; by default as many as take 32 MiB.
    max_iter
        Limit of iterations. By default the solver's own.

    Returns
    -------
    None, or with ``copy=True`` the copy (in memory, also of backed data); of a DataFrame what was made of it.
    Sets the following fields:

    ``adata.obsm[key_added]`` : :class:`~pandas.DataFrame` (n_obs, n_regulators), float32
        Activities, one column per regulator, sorted by name.
    ``adata.obsm[key_added + "_sd"]`` : :class:`~pandas.DataFrame` (n_obs, n_regulators), float32
        With ``uncertainty=True``, standard deviations of the activities. ``"network"`` then has
        ``std_err``, and but for counts ``"genes"`` ``noise_variance`` and ``"regulators"`` ``rhat``:
        above 1.1 the chain was too short.
    ``adata.varm[key_added]`` : :class:`~scipy.sparse.csr_matrix` (n_vars, n_regulators), float32
        Learned weights; same order of regulators.
    ``adata.obsm[key_added + "_free"]`` : :class:`~pandas.DataFrame` (n_obs, n_factors), float32
        Where there are free factors, their values, and in ``adata.varm[key_added + "_free"]`` (n_vars, n_factors)
        their loadings, in units of expression.
    ``adata.uns[key_added]`` : dict
        ``"network"``: the edges used, with prior ``weight`` (NaN: unknown) and ``learned`` weight, and
        ``learned_sd``, what it was left open by as its noise was learned (less than a posterior says).
        ``"regulators"``: per regulator ``n_targets``, ``n_signed`` (edges with a prior sign), ``group`` (a number
        that regulators with the same targets share, which nothing can tell apart; else -1), ``sign_confidence``,
        ``sign_source``, and ``variance`` of activities before the data and ``reliability``, or ``ridge`` penalty.
        ``"activity_correlation"`` (n_regulators, n_regulators) beside it, from ten cells a regulator on.
        ``"genes"``: per gene used ``n_regulators``, ``intercept``, ``noise_sd`` where it was learned, and ``r2``, the
        share of its variance that regulators explain (NaN: constant gene); and the scale of its expression, by
        which :func:`grnrep.tl.transform` knows cells on another one: ``expression_mean`` and ``expression_sd``,
        and of the cells learned from ``expression_size``, the median absolute value of what is not zero,
        ``share_zero`` and ``share_negative``.
        ``"dropped_regulators"``: per regulator that was left out ``n_targets``, ``n_signed`` and ``reason``.
        ``"repair"``, with ``repair=True``: every edge of ``net`` and every added one with
        ``prior`` (was it in ``net``), ``learned``, ``std_err``, ``status`` (kept, dropped or added)
        and ``fdr``, the share of false edges among the kept, or added, ones at least as convincing.
        ``"covariates"`` and ``"covariate_effects"``, with covariates: what each column stands for, and
        its effect on every gene, (n_genes, n_columns); ``"regulators"`` then has ``covariate_r2``, the
        share of its targets' variance that the covariates explain alone. ``"genes"`` of counts has
        ``mean``, ``softness`` of the link, and under ``"nb"`` ``dispersion``; of values of 0 and 1 ``share``.
        ``"params"``: what was asked for and what auto chose, the seed and the loads.
        ``"history"``: the objective while fitting.

    Raises
    ------
    ValueError, TypeError, KeyError
        If an argument cannot be used; the message says which, what was found, and what would do.
    FitInterrupted
        At Ctrl-C once learning has begun: a KeyboardInterrupt whose ``model`` holds the decoder so far.

    References
    ----------
    Schuster & Krogh (2021), A manifold learning perspective on representation learning, Entropy 23:1403; Eq. 6.

    Examples
    --------
    >>> import grnrep as gr
    >>> adata, net = gr.ds.simulate(60, 40, n_regulators=3, connectivity=0.3, rng=0, progress=False)
    >>> gr.tl.fit(adata, net, progress=False)
    >>> list(adata.obsm["grnrep"].columns), adata.uns["grnrep"]["params"]["likelihood"]
    (['TF_001', 'TF_002', 'TF_003'], 'tobit')
    """
    with uncollected():
        from grnrep._inputs import as_adata, layer_of
        from grnrep.tl._config import FitConfig, seed_of
        from grnrep.tl._run import run

    adata, is_table = as_adata(adata)
    config = FitConfig(
        likelihood=likelihood,
        intercept=intercept,
        covariates=covariates,
        sign_shrinkage=sign_shrinkage,
        ridge=ridge,
        free_factors=free_factors,
        signed=signed,
        magnitudes=magnitudes,
        min_targets=min_targets,
        max_cells=max_cells,
        stratify=stratify,
        layer=layer_of(adata, layer, use_raw=use_raw),
        mask_var=mask_var,
        key_added=key_added,
        rng=seed_of(rng),
        copy=copy,
        repair=repair,
        uncertainty=uncertainty,
        device=device,
        progress=progress,
        checkpoint=checkpoint,
        activity_store=activity_store,
        client=client,
        block_size=block_size,
        max_iter=max_iter,
    )
    done = run(adata, net, config)
    return adata if is_table and done is None else done
