"""The verb that learns activities and edge weights."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from grnrep import __version__, _keys
from grnrep._cells import is_count
from grnrep._checks import check_block_size
from grnrep._covariates import read_covariates
from grnrep._match import match
from grnrep._values import check_counts, check_not_negative, check_varies, open_values, where
from grnrep.rows.atomic import undisturbed
from grnrep.tl._auto import (
    check_covariates,
    check_gaussian_only,
    check_model,
    settle_penalty,
)
from grnrep.tl._checkpoint import open_checkpoint
from grnrep.tl._checks import check_data, check_engine, check_extras
from grnrep.tl._fingerprint import fingerprint
from grnrep.tl._log import log_choices, log_start
from grnrep.tl._places import holding_places
from grnrep.tl._plan import settle
from grnrep.tl._repair import repair_match
from grnrep.tl._run import run
from grnrep.tl._solve import check_solver, seed
from grnrep.tl._steps import choices, keep_choices
from grnrep.tl._store import copy_of, store
from grnrep.tl._strata import read_strata

logger = logging.getLogger("grnrep")


@holding_places
def fit(
    adata: AnnData,
    net: pd.DataFrame,
    *,
    solver: str = "exact",
    likelihood: str = "auto",
    link: str = "auto",
    intercept: bool | str = "auto",
    ridge: float | str = "auto",
    prior: float | str = "auto",
    signed: bool | str = "auto",
    max_cells: int | str | None = "auto",
    stratify: str | None = None,
    covariates: str | Sequence[str] | None = None,
    repair: bool = False,
    uncertainty: bool = False,
    max_iter: int | None = None,
    epochs: int | None = None,
    layer: str | None = None,
    mask_var: str | np.ndarray | None = None,
    key_added: str = _keys.FIT,
    device: str | None = None,
    rng: int | np.random.Generator | None = 0,
    activity_store: str | Path | None = None,
    checkpoint: str | Path | None = None,
    block_size: int | None = None,
    client: Any = "auto",
    progress: bool = True,
    copy: bool = False,
) -> AnnData | None:
    r"""Learn the activity of every regulator in every cell, and the weight of every edge.

    Expression is explained as :math:`\hat x_{ki} = f(b_i + \sum_j w_{ij} z_{kj})`
    with a weight for every edge j→i of the network only, and activities z that
    are parameters themselves: there is no encoder. Both are optimised together.

    The result depends neither on the order of cells, genes and edges nor on the
    format in which expression is kept. Nothing is written unless all succeeded.

    Parameters
    ----------
    adata
        Annotated data, cells × genes, in memory or backed by a file.
    net
        Prior network with columns ``source`` (regulator), ``target`` (gene) and,
        if known, ``weight``, of which only the sign is used; NaN and 0 mean that the
        sign is unknown, and so do weights that are all 1: see ``signed``. Regulators without a target among
        the genes are left out.
    solver
        ``"exact"``: alternating closed-form steps. ``"gradient"``: stochastic
        gradients, as in the paper.
    likelihood
        Distribution of expression around its prediction: ``"gaussian"``; ``"poisson"`` or ``"nb"``
        (negative binomial) for raw counts, whose size factors are total counts over their median.
        ``"auto"`` decides by the values: whole numbers with differing totals are counts, unless at least half
        of the edges have a prior sign: only the Gaussian likelihood draws weights to signs.
    link
        The function f: ``"relu"`` or ``"identity"``. ``"auto"`` takes identity if any
        value is negative, else ReLU, under which an observed zero only says that
        the sum is not positive. Counts have a smooth ReLU, and their zeros are values like others.
    intercept
        Whether every gene has an intercept b. ``"auto"``: with identity link yes; with
        ReLU where short fits to some of the cells explain clearly more with intercepts.
    ridge
        Exact solver: penalty of the activities, as a share of the evidence that the
        targets of a typical regulator give. ``"auto"``: see ``prior``.
    prior
        Exact solver: how strongly the weights of a regulator with prior signs are drawn
        to ±1, as a share of the evidence in the data; at 0 they are free. Edges of such a
        regulator whose own sign is unknown have only their size from it. ``"auto"``
        chooses ``ridge`` and ``prior`` by predicting genes that were held out, from
        up to 400 cells. Where less than half of the edges have a sign weights are free, and
        ``ridge`` is chosen by predicting values that were held out; with fewer than 100 genes
        ``prior`` is, and so is whether a gene's regulators share its variance: weights are then drawn to
        ±1 / sqrt(number of regulators of the gene), and ``"params"`` has ``shared_prior``.
    signed
        Whether weights of ``net`` are signs. ``"auto"``: yes, unless every weight that is given is 1, as
        tables of binding sites have it and as is filled in by default, which says nothing about signs. True:
        also then, where regulators activate all their targets. False: no sign is used.
    max_cells
        Exact solver: how many cells to learn the decoder from, drawn at random; the
        activities of all cells follow from it. ``"auto"``: as many as determine
        it, at least 1,000 (:func:`grnrep.core.choose.sample_size.sufficient_cells`). None: all cells; from what
        ``"auto"`` learns, passes over all of them go on, without holding them in memory (counts are held).
    stratify
        Exact solver: column of ``adata.obs``, such as ``"cell_type"``, of whose kinds as many cells each are
        learned from, as far as there are, so that rare ones count. By default all cells alike.
    covariates
        Exact solver: columns of ``adata.obs``, such as ``["batch", "pct_mito"]``, that have an effect
        on every gene, fitted together with all else: levels of categorical ones against the first level,
        numbers per standard deviation. What they can explain of an activity counts as theirs: no
        activity is correlated with a covariate.
    repair
        Exact solver: whether to drop edges that the data reject and to add edges that they
        demand, both at a false discovery rate of 5 %, before the fit. It refuses below an
        effective load of 2. The 5 % hold where noise is independent between genes and alike at all levels
        of expression. With one factor outside the network that moves many genes, such as a batch that is
        no covariate, half of the additions were false (156 of 309); with noise that grows with the
        mean, 30 to 118 of 540 true edges were dropped.
    uncertainty
        Exact solver: whether to draw from the posterior after the fit, with the values below
        zero that a ReLU hides, and to store its means with their standard deviations. Takes
        many times as long as the fit. Counts keep the fit itself, with standard deviations from the
        curvature of its likelihood (:mod:`grnrep.core.posterior.count_laplace`).
    max_iter
        Limit of iterations of the exact solver. By default the solver's own.
    epochs
        Passes over the data by the gradient solver. By default the solver's own.
    layer
        Layer with the expression to explain; by default ``adata.X``.
    mask_var
        Genes to use: name of a boolean column of ``adata.var``, or a boolean array
        (n_vars,). By default all genes.
    key_added
        Where in ``obsm``, ``varm`` and ``uns`` results are kept; what is there
        already is replaced.
    device
        Torch device, such as ``"cuda"``. By default the solver's own choice.
    rng
        Seed, or a generator to draw it from. The seed is kept in ``uns``.
    activity_store
        Path of a zarr store to write activities to, block by block, for more cells than memory holds: an
        AnnData cells × regulators. ``obsm`` then has them as dask arrays. By default they are in memory.
    checkpoint
        Folder for what has been done so far. A run that was killed goes on there when it is called again,
        to the same result; at its end the folder is removed. Another run is refused, as is a folder in which
        anything was damaged. By default nothing is kept.
    block_size
        Cells that are read at a time; by default as many as take 32 MiB.
    client
        `dask.distributed` client whose workers read the data and infer activities. ``"auto"``: the active
        one, if there is one and the data are on disk. None: compute here. The result is the same.
    progress
        Whether long work shows its progress.
    copy
        Whether to return a copy instead of changing ``adata``.

    Returns
    -------
    None, or with ``copy=True`` the copy (in memory, also of backed data). Sets the following fields:

    ``adata.obsm[key_added]`` : :class:`~pandas.DataFrame` (n_obs, n_regulators), float32
        Activities, one column per regulator, sorted by name.
    ``adata.obsm[key_added + "_sd"]`` : :class:`~pandas.DataFrame` (n_obs, n_regulators), float32
        With ``uncertainty=True``, standard deviations of the activities. ``"network"`` then has
        ``std_err``, and but for counts ``"genes"`` ``noise_variance`` and ``"regulators"`` ``rhat``:
        above 1.1 the chain was too short.
    ``adata.varm[key_added]`` : :class:`~scipy.sparse.csr_matrix` (n_vars, n_regulators), float32
        Learned weights; same order of regulators.
    ``adata.uns[key_added]`` : dict
        ``"network"``: the edges used, with prior ``weight`` (NaN: unknown) and
        ``learned`` weight. ``"regulators"``: per regulator ``n_targets``, ``n_signed``
        (edges with a prior sign), ``group`` (a number that regulators with the same targets
        share, which nothing can tell apart; else -1), ``sign_confidence``, ``sign_source`` and, of the exact
        solver, the ``ridge`` penalty of its activities. ``"genes"``: per gene used
        ``n_regulators``, ``intercept`` and ``r2``, the share of its variance that is explained
        (NaN: constant gene); and the scale of its expression, by which
        :func:`grnrep.tl.transform` knows cells on another one: ``expression_mean`` and ``expression_sd``,
        and of the cells learned from ``expression_size``, the median absolute value of what is not zero,
        ``share_zero`` and ``share_negative``. ``"dropped_regulators"``: names of regulators without a target.
        ``"repair"``, with ``repair=True``: every edge of ``net`` and every added one with
        ``prior`` (was it in ``net``), ``learned``, ``std_err``, ``status`` (kept, dropped or added)
        and ``fdr``, the share of false edges among the kept, or added, ones at least as convincing.
        ``"covariates"`` and ``"covariate_effects"``, with covariates: what each column stands for, and
        its effect on every gene, (n_genes, n_columns); ``"regulators"`` then has ``covariate_r2``, the
        share of its targets' variance that the covariates explain alone. ``"genes"`` of counts has
        ``mean``, ``softness`` of the link, and under ``"nb"`` ``dispersion``.
        ``"params"``: what was asked for and what auto chose, the seed and the loads.
        ``"history"``: the objective while fitting.

    Raises
    ------
    ValueError, TypeError, KeyError
        If an argument cannot be used; the message says which, what was found, and
        what would do.
    FitInterrupted
        At Ctrl-C once learning has begun: a KeyboardInterrupt whose ``model`` holds the decoder so far.

    References
    ----------
    Schuster & Krogh (2021), A manifold learning perspective on representation
    learning, Entropy 23:1403, arXiv 2108.13910; Eq. 6.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> import grnrep as gr
    >>> rng = np.random.default_rng(0)
    >>> activity = rng.random((30, 2))
    >>> weights = np.array([[1.0, 2.0, 0.5, 0.0], [0.0, 1.0, 1.5, 3.0]])
    >>> adata = anndata.AnnData(activity @ weights, var=pd.DataFrame(index=["a", "b", "c", "d"]))
    >>> net = pd.DataFrame({"source": list("PPPQQQ"), "target": list("abcbcd")})
    >>> gr.tl.fit(adata, net)
    >>> list(adata.obsm["grnrep"].columns), adata.uns["grnrep"]["params"]["link"]
    (['P', 'Q'], 'relu')
    """
    limit = check_solver(solver, max_iter=max_iter, epochs=epochs)
    asked = {"likelihood": likelihood, "link": link, "intercept": intercept}
    asked_penalty = {"ridge": ridge, "prior": prior}
    extras = {
        "max_cells": max_cells,
        "repair": repair,
        "uncertainty": uncertainty,
        "stratify": stratify,
    }
    check_model(solver=solver, **asked, **asked_penalty)
    check_extras(solver=solver, **extras)
    check_engine(device, client)
    check_block_size(block_size)
    check_data(adata, key_added, copy=copy)
    design = read_covariates(adata, covariates)
    strata = read_strata(adata, stratify)
    check_covariates(design, solver=solver, intercept=intercept)
    matched = match(net, adata, mask_var=mask_var, signed=signed)
    data = {"layer": layer, "block_size": block_size, "client": client, "progress": progress}
    blocks, scan = open_values(adata, matched.genes, matched.columns, **data)
    check_varies(scan, what=where(layer))
    if link == "relu":
        remedy = "Choose link='auto' or 'identity', or pass data that were not centred"
        check_not_negative(scan, adata, matched.genes, what=where(layer), remedy=remedy)
    if is_count(likelihood):
        check_counts(scan, adata, matched.genes, what=where(layer))

    options = {"rng": seed(rng), "device": device, "progress": progress}
    given = {"solver": solver, "max_cells": max_cells, "rng": options["rng"]}
    asked_for = given | asked | asked_penalty | extras | limit | {"layer": layer, "device": device}
    asked_for |= {"block_size": blocks.n_rows, "activity_store": activity_store is not None}
    about = partial(fingerprint, adata, matched, blocks, scan, design, strata, asked_for)
    done = open_checkpoint(checkpoint, activity_store, about)
    chosen = choices(done)
    settled = {name: chosen.get(name, value) for name, value in asked.items()}
    plan = settle(adata, blocks, scan, matched.network, design, strata=strata, **given, **settled)
    check_gaussian_only(plan.model["likelihood"], repair=repair)
    x, some, model = plan.x, plan.some, dict(plan.model)
    shape = {"link": model["link"], "intercept": model["intercept"]}
    repaired = None
    if repair:
        matched, repaired = repair_match(blocks, scan, plan, matched, **options)
    network = matched.network
    found = log_start(key_added, matched, scan, plan, what=where(layer))
    if solver == "exact":
        penalty = {name: chosen.get(name, value) for name, value in asked_penalty.items()}
        model |= settle_penalty(x, network, some, **shape, **penalty, rng=options["rng"])
        model["n_obs_learned"] = scan.n_obs if plan.passes else len(x)
        asked |= asked_penalty
    model["signed"] = matched.signed
    params = {"solver": solver, **limit, **model, "layer": _keys.X if layer is None else layer}
    if stratify is not None:
        params["stratify"] = stratify
    params |= {"rng": options["rng"], "n_obs": adata.n_obs, "decoder_load": found.decoder}
    params |= {"effective_load": found.effective, "version": __version__}
    log_choices(key_added, asked, params)
    keep_choices(
        done, {n: params[n] for n in ("likelihood", "intercept", *asked_penalty) if n in params}
    )
    parts = run(
        adata,
        matched,
        blocks,
        scan,
        plan,
        design,
        params,
        key=key_added,
        repaired=repaired,
        uncertainty=bool(uncertainty),
        activity_store=activity_store,
        checkpoint=done,
        client=client,
        device=device,
        progress=progress,
        limit=limit,
    )
    out = copy_of(adata) if copy else adata
    with undisturbed():
        store(out, key_added, **parts)
        if done is not None:
            done.finish()
    return out if copy else None
