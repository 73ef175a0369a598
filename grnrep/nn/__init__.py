"""Torch modules: the sparse masked decoder, the gradient road, and a masked autoencoder."""

from grnrep.core.decoder import SparseLinear
from grnrep.nn.masked_vae import MaskedVAE, fit_masked_vae
from grnrep.nn.recipe import fit_gradient, project_gradient
from grnrep.nn.representation import Representation

__all__ = [
    "MaskedVAE",
    "Representation",
    "SparseLinear",
    "fit_gradient",
    "fit_masked_vae",
    "project_gradient",
]
