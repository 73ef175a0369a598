"""Activities as an AnnData of their own."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.special import ndtr

from grnrep import _keys
from grnrep._checks import activities, check_adata, stored_names
from grnrep._marginal import marginal_activities
from grnrep._ranking import as_rank_genes_groups, is_ranking


def activity(adata: AnnData, *, key: str = _keys.FIT, marginal: bool = False) -> AnnData:
    r"""Get activities as an AnnData cells × regulators, for all of scanpy's plots and tests.

    Activities are *conditional* as a fit finds them: of every regulator given all others. *Marginal* ones
    are of every regulator by itself, with the weights of the fit. Use conditional ones to tell a regulator from
    others with the same targets, as after a perturbation, and marginal ones to see in which cells a regulator
    is at work together with its partners, as in lineages and states: what partners share is not
    divided among them.

    The genes of a cell, centred and divided by their mean and standard deviation in the cells of the fit,
    are regressed on the weights :math:`a_{ij} = w_{ij} / \mathrm{sd}_i` of regulator j, 0 where there is no
    edge, and a constant. The score is the slope over :math:`1 / \sqrt{\sum_i (a_{ij} - \bar a_j)^2}`, the
    standard error that it has if genes are independent and vary in the cell as they do over all cells. It compares
    regulators and cells, as the t of decoupler's ulm does.

    Parameters
    ----------
    adata
        Data on which :func:`grnrep.tl.fit` or :func:`grnrep.tl.transform` was run. For marginal activities
        its expression is read, in blocks, from where the fit, or the transform, read it; genes are
        matched by name.
    key
        Where the activities are in ``adata.obsm``, and the fit in ``adata.uns``.
    marginal
        Whether to score every regulator by itself. The fit must be of normalised expression, not of counts.

    Returns
    -------
    AnnData with the activities as X (n_obs, n_regulators), a dask array where they lie in a store;
    ``obs``, ``obsm`` and the colours in ``uns`` are copies of those of ``adata``. ``var`` says how far to
    trust a regulator:

    ``n_targets``, ``n_signed``
        Targets in the fit, and those with a prior sign.
    ``reliability``
        The squared correlation of inferred and true activity over the cells that were learned from, as far as it is to
        be expected if weights and noise are right (:func:`grnrep.core.reliability.reliability`): what is seen to vary
        beyond the noise of genes, and is not other regulators'. Below .5 differences between single cells are mostly
        chance, and means over many cells may still be well known. Of fits that learned noise and priors.
    ``group``
        Number that regulators with the same targets share, which nothing can tell apart; else -1.
    ``sign_confidence``, ``sign_source``
        How sure the direction of the activity is, and where it comes from.

    Tables of :func:`grnrep.tl.rank_regulators` are in ``uns``, under their names, in the layout of
    :func:`scanpy.tl.rank_genes_groups`: name one as ``key`` to scanpy's functions.

    With standard deviations (``uncertainty=True``, :func:`grnrep.tl.posterior`) ``layers`` has them as ``std_err``,
    and ``pvalue``: two-sided, of the activity over it by the normal distribution, not corrected for many
    regulators. It asks on which side of 0 the activity of this one cell is, where it would be without data. Activities
    are drawn there, so that p is too large where a cell says little: of true zeros 4 % had p < .05 in a simulation
    with little noise, and 1.5 % with three times as much.

    With ``marginal=True`` X has the scores, in memory, and ``layers`` the regression by itself:

    ``slope``
        In the units of conditional activities of the same fit.
    ``std_err``
        Its standard error from the scatter of the cell's own genes.
    ``pvalue``
        Two-sided, by the t distribution of slope over ``std_err``, not corrected for many regulators. It asks
        whether the genes of this one cell follow the weights more closely than if these were given to genes at
        random. Genes that are correlated for other reasons make it too small, and it compares no
        groups of cells: for that use :func:`grnrep.tl.rank_regulators`.

    Effects of covariates are taken out first, under a ReLU of the values above zero. NaN has a regulator without
    a target in ``adata``, or whose weights tell no gene from another.

    Raises
    ------
    KeyError, TypeError
        If there is no table of activities under ``key``; for marginal ones, no fit.
    ValueError
        If ``adata`` is a model, which has no cells; for marginal activities if there is no expression, it cannot be
        that of the fit, the fit is of counts, or rows are differences (``contrast=True``).

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> import grnrep as gr
    >>> adata = anndata.AnnData(np.ones((2, 3)))
    >>> adata.obsm["grnrep"] = pd.DataFrame({"P": [1.0, 3.0], "Q": [2.0, 4.0]}, index=adata.obs_names)
    >>> gr.get.activity(adata)[:, "Q"].X.tolist()
    [[2.0], [4.0]]

    >>> adata, net = gr.ds.simulate(n_obs=50, n_vars=40, n_regulators=3, rng=0)
    >>> gr.tl.fit(adata, net, progress=False)
    >>> alone = gr.get.activity(adata, marginal=True)
    >>> alone.shape, sorted(alone.layers)
    ((50, 3), ['pvalue', 'slope', 'std_err'])
    """
    check_adata(adata, min_obs=0)
    layers = {}
    std_err = adata.obsm.get(key + _keys.SD)
    if marginal:
        alone, names = marginal_activities(adata, key, verb="activity")
        values = alone.score
        layers = {"slope": alone.slope, "std_err": alone.std_err, "pvalue": alone.pvalue()}
    elif key in adata.obsm and (stored := stored_names(adata, key)) is not None:
        names, values = stored, adata.obsm[key]
    else:
        table = activities(adata, key)
        names, values = table.columns, table.to_numpy(copy=True)
    if not marginal and std_err is not None:
        std_err = std_err.to_numpy(copy=True) if isinstance(std_err, pd.DataFrame) else std_err
        with np.errstate(divide="ignore", invalid="ignore"):  # where nothing is left open
            layers = {"std_err": std_err, "pvalue": 2 * ndtr(-abs(values / std_err))}
    record = adata.uns.get(key)
    var = pd.DataFrame(index=names)
    if isinstance(record, Mapping) and _keys.REGULATORS in record:
        var = record[_keys.REGULATORS].reindex(names)
    return AnnData(
        X=values,
        layers=layers,
        obs=adata.obs.copy(),
        var=var,
        obsm={name: values.copy() for name, values in adata.obsm.items()},
        uns={
            name: colours.copy() for name, colours in adata.uns.items() if name.endswith("_colors")
        }
        | {
            name: as_rank_genes_groups(table)
            for name, table in adata.uns.items()
            if is_ranking(table, names)
        },
    )
