"""Experiments that validate the method, runnable by name."""

from grnrep.validation.masked_vae import masked_vae_activity
from grnrep.validation.nca import nca_activity
from grnrep.validation.peers import peer_activity
from grnrep.validation.perturbation import perturbation_metrics, perturbed_samples, pooled_auc
from grnrep.validation.regression import tfa_activity
from grnrep.validation.sergio import load_sergio, sergio_recovery
from grnrep.validation.shuffle import NetworkInformation, network_information, shuffled_network
from grnrep.validation.yeast import load_yeast, yeast_induction

__all__ = [
    "NetworkInformation",
    "load_sergio",
    "load_yeast",
    "masked_vae_activity",
    "nca_activity",
    "network_information",
    "peer_activity",
    "perturbation_metrics",
    "perturbed_samples",
    "pooled_auc",
    "sergio_recovery",
    "shuffled_network",
    "tfa_activity",
    "yeast_induction",
]
