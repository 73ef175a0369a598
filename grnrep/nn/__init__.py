"""Torch modules: the sparse masked decoder and the gradient road."""

from grnrep.core.decoder import SparseLinear
from grnrep.nn.recipe import fit_gradient, project_gradient
from grnrep.nn.representation import Representation

__all__ = ["Representation", "SparseLinear", "fit_gradient", "project_gradient"]
