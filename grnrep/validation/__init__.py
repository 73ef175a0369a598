"""Experiments that validate the method, runnable by name."""

from grnrep.validation.peers import peer_activity
from grnrep.validation.perturbation import perturbation_metrics, perturbed_samples, pooled_auc
from grnrep.validation.regression import tfa_activity
from grnrep.validation.yeast import load_yeast, yeast_induction

__all__ = [
    "load_yeast",
    "peer_activity",
    "perturbation_metrics",
    "perturbed_samples",
    "pooled_auc",
    "tfa_activity",
    "yeast_induction",
]
