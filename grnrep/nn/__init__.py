"""Torch modules: parts of autoencoders and of the decoder without encoder, and ways to train them."""

from grnrep.nn.adversarial import Adversarial, Prior, Unpaired, data_and_made
from grnrep.nn.bottlenecks import KSparse, Variational
from grnrep.nn.classic import PCA, KMeans
from grnrep.nn.conv import cifar_decoder, cifar_encoder, mnist_decoder, mnist_encoder
from grnrep.nn.corruptions import GaussianNoise, Masking
from grnrep.nn.dense import Tied, freeze, linear, mlp, pretrain
from grnrep.nn.domains import (
    DomainCodes,
    DomainDecoder,
    DomainEncoder,
    DomainLoss,
    seen_domains,
)
from grnrep.nn.family import FAMILY, Member
from grnrep.nn.infer import errors, infer, reconstruct
from grnrep.nn.likelihoods import Bernoulli, NegativeBinomial, Poisson, SquaredError
from grnrep.nn.masked_vae import MaskedVAE, fit_masked_vae
from grnrep.nn.model import Batch, Code, Model
from grnrep.nn.penalties import KL, MMD, Contractive
from grnrep.nn.precision import Bfloat16
from grnrep.nn.recipe import fit_gradient, project_gradient
from grnrep.nn.representation import Representation
from grnrep.nn.sparse import SparseLinear
from grnrep.nn.trainer import Trainer
from grnrep.nn.training import Trained, train_member
from grnrep.nn.watch import Watch

__all__ = [
    "FAMILY",
    "KL",
    "MMD",
    "PCA",
    "Adversarial",
    "Batch",
    "Bernoulli",
    "Bfloat16",
    "Code",
    "Contractive",
    "DomainCodes",
    "DomainDecoder",
    "DomainEncoder",
    "DomainLoss",
    "GaussianNoise",
    "KMeans",
    "KSparse",
    "MaskedVAE",
    "Masking",
    "Member",
    "Model",
    "NegativeBinomial",
    "Poisson",
    "Prior",
    "Representation",
    "SparseLinear",
    "SquaredError",
    "Tied",
    "Trained",
    "Trainer",
    "Unpaired",
    "Variational",
    "Watch",
    "cifar_decoder",
    "cifar_encoder",
    "data_and_made",
    "errors",
    "fit_gradient",
    "fit_masked_vae",
    "freeze",
    "infer",
    "linear",
    "mlp",
    "mnist_decoder",
    "mnist_encoder",
    "pretrain",
    "project_gradient",
    "reconstruct",
    "seen_domains",
    "train_member",
]


def __dir__() -> list[str]:
    return sorted(__all__)
