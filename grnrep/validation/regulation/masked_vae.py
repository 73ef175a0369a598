"""Activities by a variational autoencoder whose decoder is the network."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from grnrep._checks import check_adata, check_whole
from grnrep._match import match
from grnrep._values import read_values
from grnrep.core.signs import orient
from grnrep.nn.masked_vae import fit_masked_vae


def masked_vae_activity(
    adata: AnnData,
    net: pd.DataFrame,
    *,
    layer: str | None = None,
    epochs: int = 300,
    kl_weight: float = 1.0,
    rng: int = 0,
    device: str | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Estimate activities by a masked variational autoencoder, as VEGA and expiMap do.

    A small one of its own (:class:`grnrep.nn.masked_vae.MaskedVAE`), with Gaussian noise and without the
    group penalties, batch covariates and count likelihoods of these packages.

    Parameters
    ----------
    adata
        Cells × genes. It is not changed.
    net
        Edges ``source,target[,weight]``. Only the sign of ``weight`` is used: for the start, and to
        turn regulators to agree with it.
    layer
        Layer of ``adata``; by default ``X``.
    epochs, kl_weight, rng, device, progress
        As in :func:`grnrep.nn.masked_vae.fit_masked_vae`.

    Returns
    -------
    DataFrame cells × regulators: means of the encoder's distributions, regulators sorted by
    name, those without a target among the genes left out.

    Raises
    ------
    ValueError, TypeError, KeyError
        If the network or the expression cannot be used; the message says what was found.

    Examples
    --------
    >>> import grnrep as gr
    >>> adata, net = gr.ds.simulate(50, 60, n_regulators=4)
    >>> gr.validation.masked_vae_activity(adata, net, epochs=5, progress=False).shape
    (50, 4)
    """
    check_adata(adata, min_obs=2)
    check_whole("epochs", epochs)
    check_whole("rng", rng, least=0)
    matched = match(net, adata)
    x, cells = read_values(adata, matched.genes, matched.columns, layer=layer)
    fit = fit_masked_vae(
        x,
        matched.network,
        epochs=epochs,
        kl_weight=kl_weight,
        rng=rng,
        device=device,
        progress=progress,
    )
    fit, *_ = orient(fit, matched.network)
    activity = np.empty(fit.activity.shape)
    activity[cells] = fit.activity
    return pd.DataFrame(activity, index=adata.obs_names, columns=matched.regulators)
