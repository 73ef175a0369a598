"""Experiments that validate the method, runnable by name."""

from grnrep.validation.autoencoders.figures import autoencoders_figure, autoencoders_images
from grnrep.validation.autoencoders.study import autoencoders_study
from grnrep.validation.autoencoders.translation import (
    translation_figure,
    translation_images,
    translation_study,
)
from grnrep.validation.claims import cifar10_claims, mnist_claims
from grnrep.validation.family_claims import family_claims, translation_claims
from grnrep.validation.images.figures import cifar10_figure, mnist_figure
from grnrep.validation.images.study import cifar10_study, mnist_study
from grnrep.validation.loads import loads_figure
from grnrep.validation.regulation.ecoli import load_ecoli
from grnrep.validation.regulation.load_grid import load_grid
from grnrep.validation.regulation.load_report import load_claims, load_figure, load_grid_figure
from grnrep.validation.regulation.load_study import load_study
from grnrep.validation.regulation.masked_vae import masked_vae_activity
from grnrep.validation.regulation.nca import nca_activity
from grnrep.validation.regulation.peers import peer_activity
from grnrep.validation.regulation.perturbation import perturbation_metrics, perturbed_conditions
from grnrep.validation.regulation.perturbation_set import PerturbationSet, perturbations
from grnrep.validation.regulation.perturbation_study import (
    ecoli_knock_outs,
    perturbation_figure,
    perturbation_study,
    yeast_induction,
)
from grnrep.validation.regulation.pooled_auc import pooled_auc
from grnrep.validation.regulation.regimes import simulate_regime
from grnrep.validation.regulation.regression import tfa_activity
from grnrep.validation.regulation.sergio import load_sergio, sergio_recovery
from grnrep.validation.regulation.shuffle import (
    NetworkInformation,
    network_information,
    shuffled_network,
)
from grnrep.validation.regulation.theory import principal_angle, theory_figure, theory_study
from grnrep.validation.regulation.yeast import load_yeast

__all__ = [
    "NetworkInformation",
    "PerturbationSet",
    "autoencoders_figure",
    "autoencoders_images",
    "autoencoders_study",
    "cifar10_claims",
    "cifar10_figure",
    "cifar10_study",
    "ecoli_knock_outs",
    "family_claims",
    "load_claims",
    "load_ecoli",
    "load_figure",
    "load_grid",
    "load_grid_figure",
    "load_sergio",
    "load_study",
    "load_yeast",
    "loads_figure",
    "masked_vae_activity",
    "mnist_claims",
    "mnist_figure",
    "mnist_study",
    "nca_activity",
    "network_information",
    "peer_activity",
    "perturbation_figure",
    "perturbation_metrics",
    "perturbation_study",
    "perturbations",
    "perturbed_conditions",
    "pooled_auc",
    "principal_angle",
    "sergio_recovery",
    "shuffled_network",
    "simulate_regime",
    "tfa_activity",
    "theory_figure",
    "theory_study",
    "translation_claims",
    "translation_figure",
    "translation_images",
    "translation_study",
    "yeast_induction",
]
