"""The verb that adds to a fit how far the data leave it open."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from grnrep import _keys
from grnrep._importing import uncollected
from grnrep.tl._places import holding_places

if TYPE_CHECKING:
    from anndata import AnnData


@holding_places
def posterior(
    adata: AnnData,
    *,
    key: str = _keys.FIT,
    copy: bool = False,
    device: str | None = None,
    progress: bool = True,
    checkpoint: str | Path | None = None,
    activity_store: str | Path | None = None,
    client: Any = "auto",
    block_size: int | None = None,
) -> AnnData | None:
    """Draw from the posterior of a fit, and keep its means with their standard deviations.

    The result is that of the same call of :func:`grnrep.tl.fit` with ``uncertainty=True``, but nothing is
    chosen anew: likelihood, intercepts, penalties and network are those of the fit. Its decoder is learned
    once more, from the same cells, and the chain begins there. It draws with the values below zero that a
    ReLU hides, from at most 1,000 cells, and takes many times as long as the fit; other cells get the
    deviation of a Laplace approximation. Counts keep the fit itself, with standard deviations from the
    curvature of its likelihood (:mod:`grnrep.core.posterior.spread`). What the deviations do not
    hold is doubt about the network itself, and about the choices.

    Parameters
    ----------
    adata
        The data that :func:`grnrep.tl.fit` was run on, with the same expression.
    key
        Where the fit was kept; it is replaced.
    copy, device, progress, checkpoint, activity_store, client, block_size
        As in :func:`grnrep.tl.fit`.

    Returns
    -------
    None, or with ``copy=True`` the copy. Sets the following fields, and those that :func:`grnrep.tl.fit` sets,
    at the means of the posterior:

    ``adata.obsm[key + "_sd"]`` : :class:`~pandas.DataFrame` (n_obs, n_regulators), float32
        Standard deviations of the activities.
    ``adata.uns[key]`` : dict
        ``"network"`` has ``std_err`` of every weight; and but for counts ``"genes"`` has ``noise_variance``
        and ``"regulators"`` ``rhat``: above 1.1 the chain was too short.

    Raises
    ------
    KeyError
        If there is no fit under ``key``.
    ValueError
        If the fit was by gradients, or of other cells.
    FitInterrupted
        At Ctrl-C once learning has begun: a KeyboardInterrupt whose ``model`` holds the decoder so far.

    Examples
    --------
    >>> import grnrep as gr
    >>> adata, net = gr.ds.simulate(40, 30, n_regulators=2, connectivity=0.5, rng=0, progress=False)
    >>> gr.tl.fit(adata, net, progress=False)
    >>> gr.tl.posterior(adata, progress=False)
    >>> adata.obsm["grnrep_sd"].shape
    (40, 2)
    """
    with uncollected():
        import numpy as np

        from grnrep._checks import check_adata, check_key, record
        from grnrep._record import is_contrast, read_decoder
        from grnrep._record_check import assumed_of, penalties_of
        from grnrep.tl._config import FitConfig
        from grnrep.tl._run import run

    check_adata(adata)
    check_key("key", key)
    fitted = read_decoder(adata, key)
    kept, net = record(adata, key), record(adata, key)[_keys.NETWORK]
    params = kept[_keys.PARAMS]
    if fitted.solver != "exact":
        raise ValueError(
            f"key={key!r} must be a fit of grnrep.tl.fit; found one by gradients, which has no posterior"
        )
    others = int(params["n_obs"]) != adata.n_obs or is_contrast(adata, key)
    if key not in adata.obsm or others:
        raise ValueError(
            f"key={key!r} must be a fit of these {adata.n_obs} cells; found one of {params['n_obs']}, or "
            "without activities. Call it on the data that were fitted, or fit first"
        )
    assumed = assumed_of(params)
    ridge, sign_shrinkage, shared = (
        penalties_of(params) if assumed is None else ("auto", "auto", None)
    )
    n_learned, max_iter = int(params["n_obs_learned"]), params.get("max_iter")
    covariates = None if fitted.covariates is None else fitted.covariates.names
    config = FitConfig(
        likelihood=fitted.likelihood,
        intercept=bool(params["intercept"]),
        ridge=ridge,
        sign_shrinkage=sign_shrinkage,
        shared=shared,
        assumed=assumed,
        signed=bool(np.isfinite(net[_keys.WEIGHT]).any()),
        magnitudes=bool(params.get("magnitudes", False)),
        min_targets=1,  # they were left out when it was fitted
        covariates=covariates,
        uncertainty=True,
        max_cells=None if n_learned == adata.n_obs else n_learned,
        stratify=params.get("stratify"),
        layer=fitted.layer,
        max_iter=None if max_iter is None else int(max_iter),
        rng=int(params["rng"]),
        key_added=key,
        copy=copy,
        device=device,
        progress=progress,
        checkpoint=checkpoint,
        activity_store=activity_store,
        client=client,
        block_size=block_size,
    )
    names = (_keys.DROPPED_REGULATORS, _keys.REPAIR)
    edges = net[[_keys.SOURCE, _keys.TARGET, _keys.WEIGHT]]
    return run(adata, edges, config, kept={name: kept[name] for name in names if name in kept})
