"""The verb that learns activities and edge weights."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
from anndata import AnnData

from grnrep import __version__, _keys
from grnrep._checks import check_adata, check_key, check_writable, some
from grnrep._load import Loads, advice, loads
from grnrep._match import Match, match
from grnrep._record import Decoder
from grnrep._values import check_not_negative, read_values, where
from grnrep.core.signs import orient
from grnrep.tl._auto import check_max_cells, check_model, choose_cells, choose_model, choose_penalty
from grnrep.tl._repair import check_repair, repair_match, repair_table
from grnrep.tl._solve import SOLVERS, check_solver, learn, seed
from grnrep.tl._store import activity_table, copy_of, gene_table, regulator_table, store, weight_matrix
from grnrep.tl._uncertainty import add_uncertainty, check_uncertainty, posterior_of

logger = logging.getLogger("grnrep")


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
    max_cells: int | str | None = "auto",
    repair: bool = False,
    uncertainty: bool = False,
    max_iter: int | None = None,
    epochs: int | None = None,
    layer: str | None = None,
    mask_var: str | np.ndarray | None = None,
    key_added: str = _keys.FIT,
    device: str | None = None,
    rng: int | np.random.Generator | None = 0,
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
        sign is unknown. Regulators without a target among the genes are left out.
    solver
        ``"exact"``: alternating closed-form steps. ``"gradient"``: stochastic
        gradients, as in the paper.
    likelihood
        Distribution of expression around its prediction: ``"gaussian"``, which is
        also what ``"auto"`` chooses.
    link
        The function f: ``"relu"`` or ``"identity"``. ``"auto"`` takes identity if any
        value is negative, else ReLU, under which an observed zero only says that
        the sum is not positive.
    intercept
        Whether every gene has an intercept b. ``"auto"``: with identity link yes; with
        ReLU where short fits to some of the cells explain clearly more with intercepts.
    ridge
        Exact solver: penalty of the activities, as a share of the evidence that the
        targets of a typical regulator give. ``"auto"``: see ``prior``.
    prior
        Exact solver: how strongly the weights of a regulator with prior signs are drawn
        to ±1, as a share of the evidence in the data; at 0 they are free. ``"auto"``
        chooses ``ridge`` and ``prior`` by predicting genes that were held out, from
        up to 200 cells. Where less than half of the edges have a sign weights are free, and
        ``ridge`` is chosen by predicting values that were held out; with fewer than 100 genes
        ``prior`` is.
    max_cells
        Exact solver: how many cells to learn the decoder from, drawn at random; the
        activities of all cells follow from it. None: all cells. ``"auto"``: as many as determine
        it, at least 1,000 (:func:`grnrep.core.sufficient.sufficient_cells`).
    repair
        Exact solver: whether to drop edges that the data reject and to add edges that they
        demand, both at a false discovery rate of 5 %, before the fit. It refuses below an
        effective load of 2.
    uncertainty
        Exact solver: whether to draw from the posterior after the fit, with the values below
        zero that a ReLU hides, and to store its means with their standard deviations. Takes
        many times as long as the fit.
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
        ``std_err``, ``"genes"`` ``noise_variance`` and ``"regulators"`` ``rhat``: above 1.1 the chain
        was too short.
    ``adata.varm[key_added]`` : :class:`~scipy.sparse.csr_matrix` (n_vars, n_regulators), float32
        Learned weights; same order of regulators.
    ``adata.uns[key_added]`` : dict
        ``"network"``: the edges used, with prior ``weight`` (NaN: unknown) and
        ``learned`` weight. ``"regulators"``: per regulator ``n_targets``, ``n_signed``
        (edges with a prior sign), ``group`` (a number that regulators with the same targets
        share, which nothing can tell apart; else -1), ``sign_confidence``, ``sign_source`` and, of the exact
        solver, the ``ridge`` penalty of its activities. ``"genes"``: per gene used
        ``n_regulators``, ``intercept`` and ``r2``, the share of its variance that is explained
        (NaN: constant gene). ``"dropped_regulators"``: names of regulators without a target.
        ``"repair"``, with ``repair=True``: every edge of ``net`` and every added one with
        ``prior`` (was it in ``net``), ``learned``, ``std_err``, ``status`` (kept, dropped or added)
        and ``fdr``, the share of false edges among the kept, or added, ones at least as convincing.
        ``"params"``: what was asked for and what auto chose, the seed and the loads.
        ``"history"``: the objective while fitting.

    Raises
    ------
    ValueError, TypeError, KeyError
        If an argument cannot be used; the message says which, what was found, and
        what would do.

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
    >>> net = pd.DataFrame({"source": list("PPPQQQ"), "target": list("abcbcd"), "weight": 1.0})
    >>> gr.tl.fit(adata, net)
    >>> list(adata.obsm["grnrep"].columns), adata.uns["grnrep"]["params"]["link"]
    (['P', 'Q'], 'relu')
    """
    limit = check_solver(solver, max_iter=max_iter, epochs=epochs)
    asked = {"likelihood": likelihood, "link": link, "intercept": intercept}
    asked_penalty = {"ridge": ridge, "prior": prior}
    check_model(solver=solver, **asked, **asked_penalty)
    check_max_cells(max_cells, solver=solver)
    check_repair(repair, solver=solver)
    check_uncertainty(uncertainty, solver=solver)
    check_key("key_added", key_added)
    check_adata(adata)
    if adata.n_obs == 1:
        raise ValueError(
            "adata must have more than one cell: weights are learned from differences between cells. For "
            "one cell, use grnrep.tl.transform with a decoder learned on others"
        )
    if not copy:
        check_writable(adata)
    matched = match(net, adata, mask_var=mask_var)
    network = matched.network
    x, cells = read_values(adata, matched.genes, matched.columns, layer=layer)
    if link == "relu":
        remedy = "Choose link='auto' or 'identity', or pass data that were not centred"
        names = adata.obs_names[cells]
        check_not_negative(x, names, matched.genes, what=where(layer), remedy=remedy)

    chosen_seed = seed(rng)
    model = choose_model(x, network, **asked, rng=chosen_seed)
    shape = {"link": model["link"], "intercept": model["intercept"]}
    if repair:
        options = {"rng": chosen_seed, "device": device, "progress": progress}
        matched, repaired = repair_match(x, matched, **shape, **options)
        network = matched.network
    if solver == "exact":
        model |= choose_penalty(x, network, **shape, **asked_penalty, rng=chosen_seed)
        model["n_obs_learned"] = choose_cells(x, network, **shape, max_cells=max_cells)
        asked |= asked_penalty
    found = loads(x, network, **shape)
    params = {
        "solver": solver,
        **limit,
        **model,
        "layer": _keys.X if layer is None else layer,
        "rng": chosen_seed,
        "n_obs": adata.n_obs,
        "decoder_load": found.decoder,
        "effective_load": found.effective,
        "version": __version__,
    }
    constant = (x == x[0]).all(axis=0)
    _log_start(key_added, matched, asked, params, found, n_constant=int(constant.sum()))
    fitted = learn(x, network, params, device=device, progress=progress, **limit)
    if uncertainty:
        options = {"prior": params["prior"], "rng": chosen_seed, "device": device, "progress": progress}
        posterior, confidence, origin = posterior_of(x, fitted, network, link=params["link"], **options)
        fitted = posterior.fit
    else:
        fitted, confidence, origin = orient(fitted, network)
    params["converged"] = bool(fitted.converged)
    if not fitted.converged:
        logger.warning("fit %r: not converged; more %s may help", key_added, SOLVERS[solver])

    decoder = Decoder(
        network=network,
        fit=fitted,
        genes=matched.genes,
        regulators=matched.regulators,
        params=params,
    )
    regulators = regulator_table(decoder, constant=constant, sign_confidence=confidence, sign_source=origin)
    results = {
        "obsm": activity_table(adata, fitted.activity, cells, regulators=matched.regulators),
        "varm": weight_matrix(decoder, matched.columns, n_vars=adata.n_vars),
        "uns": {
            _keys.NETWORK: matched.edges.assign(learned=fitted.weight),
            _keys.REGULATORS: regulators,
            _keys.GENES: gene_table(x, decoder),
            _keys.DROPPED_REGULATORS: np.array(matched.dropped_regulators, dtype=object),
            _keys.PARAMS: params,
            _keys.HISTORY: {"objective": np.asarray(fitted.history, dtype=np.float64)},
        },
    }
    if uncertainty:
        add_uncertainty(results, posterior, adata, cells)
    if repair:
        results["uns"][_keys.REPAIR] = repair_table(repaired, decoder)
        logger.info(
            "fit %r: repair: %s", key_added, results["uns"][_keys.REPAIR]["status"].value_counts().to_dict()
        )
    out = copy_of(adata) if copy else adata
    store(out, key_added, **results)
    return out if copy else None


def _log_start(key: str, matched: Match, asked: dict, params: dict, found: Loads, *, n_constant: int) -> None:
    network, dropped = matched.network, matched.dropped_regulators
    logger.info("fit %r: %d cells, effective load %.2f", key, params["n_obs"], found.effective)
    sizes = (key, network.n_genes, network.n_regulators, network.n_edges, len(matched.net))
    logger.info("fit %r: %d genes, %d regulators, %d of %d edges of net", *sizes)
    for name, value in asked.items():
        if value == "auto":
            logger.info("fit %r: %s='auto' chose %r", key, name, params[name])
    if params.get("n_obs_learned", params["n_obs"]) < params["n_obs"]:
        logger.info("fit %r: learning the decoder from %d of the cells", key, params["n_obs_learned"])
    if dropped:
        logger.info("fit %r: %d regulators have no target in adata: %s", key, len(dropped), some(dropped, 10))
    if n_constant:
        logger.info("fit %r: %d genes are constant and say nothing about activities", key, n_constant)
    if advice(found):
        logger.warning("fit %r: %s", key, advice(found))
