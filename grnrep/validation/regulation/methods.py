"""Activities by any method, by name: what studies set side by side."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from anndata import AnnData

from grnrep._checks import check_choice
from grnrep.validation.regulation.masked_vae import masked_vae_activity
from grnrep.validation.regulation.nca import nca_activity
from grnrep.validation.regulation.peers import PEERS, peer_activity
from grnrep.validation.regulation.regression import tfa_activity

METHODS: Final = ("grnrep", "ulm", "mlm", "viper", "tfa", "nca", "vae")  # those that look at signs


def regulator_activity(
    adata: AnnData, net: pd.DataFrame, *, method: str, rng: int = 0
) -> pd.DataFrame:
    """Activities by a method of that name, with its defaults, all regulators kept.

    Parameters
    ----------
    adata
        Cells × genes.
    net
        Edges with signs.
    method
        ``"grnrep"`` (:func:`grnrep.tl.fit`); ``"ulm"``, ``"mlm"``, ``"viper"`` or ``"aucell"``
        (:func:`peer_activity`); ``"tfa"`` (:func:`tfa_activity`); ``"nca"`` (:func:`nca_activity`);
        ``"vae"`` (:func:`masked_vae_activity`).
    rng
        Seed, for the methods that have one.
    """
    check_choice("method", method, tuple(dict.fromkeys((*METHODS, *PEERS))))
    if method in PEERS:
        signed = net.assign(weight=np.sign(net["weight"]))
        return peer_activity(adata, signed, method=method, min_targets=1)
    if method == "tfa":
        return tfa_activity(adata, net)
    if method == "nca":
        return nca_activity(adata, net)
    if method == "vae":
        return masked_vae_activity(adata, net, rng=rng, progress=False)
    from grnrep.tl import fit

    fitted = adata.copy()
    # as the other methods here: every regulator that has a target
    fit(fitted, net, rng=rng, min_targets=1, progress=False)
    return fitted.obsm["grnrep"]
