"""Bad options: the error names the argument, says what was found and what would do; nothing is written."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest


def _same(adata, net):
    return adata, net


# --- mask_var -------------------------------------------------------------------------------------


def test_mask_var(fit_refuses):
    def change(adata, net):
        adata.var["highly_variable"] = True
        adata.var["never"] = False
        adata.var["score"] = 1.0
        adata.var["holes"] = pd.array([True, None] * (adata.n_vars // 2), dtype="boolean")
        return adata, net

    fit_refuses(change, KeyError, "mask_var='hv'", "'highly_variable'", mask_var="hv")
    fit_refuses(change, ValueError, "False for every gene", mask_var="never")
    fit_refuses(change, TypeError, "adata.var['score'] must be boolean", "float64", mask_var="score")
    fit_refuses(change, TypeError, "without missing values", mask_var="holes")
    fit_refuses(change, TypeError, "mask_var must be boolean", mask_var=np.ones(40))
    fit_refuses(change, ValueError, "shape (40,)", "found (3,)", mask_var=np.ones(3, dtype=bool))


def test_mask_that_leaves_out_every_target(fit_refuses):
    def change(adata, net):
        adata.var["use"] = False
        adata.var.loc[net["target"].iloc[0], "use"] = True
        return adata, net[net["target"] != net["target"].iloc[0]]

    fit_refuses(change, ValueError, "targets are genes that mask_var leaves out", mask_var="use")


# --- choices --------------------------------------------------------------------------------------

CHOICES = {
    "solver": ({"solver": "adam"}, ValueError, ("'exact', 'gradient'; found 'adam'",)),
    "link": ({"link": "softmax"}, ValueError, ("'auto', 'relu', 'identity'; found 'softmax'",)),
    "likelihood": ({"likelihood": "nb"}, ValueError, ("adata.X must be counts",)),
    "intercept": (
        {"intercept": "yes"},
        ValueError,
        ("intercept must be True, False or 'auto'; found 'yes'",),
    ),
    "wrong limit": ({"epochs": 3}, ValueError, ("epochs is an option of solver='gradient' only",)),
    "other wrong limit": (
        {"solver": "gradient", "max_iter": 3},
        ValueError,
        ("max_iter is an option of solver='exact' only",),
    ),
    "ridge by gradient": (
        {"solver": "gradient", "ridge": 0.1},
        ValueError,
        ("ridge is an option of solver='exact' only",),
    ),
    "negative prior": (
        {"prior": -1.0},
        ValueError,
        ("prior must be a finite number of at least 0, or 'auto'; found -1.0",),
    ),
    "one cell": ({"max_cells": 1}, ValueError, ("max_cells must be", "None or 'auto'; found 1")),
    "some cells": ({"max_cells": "all"}, ValueError, ("max_cells must be", "found 'all'")),
    "no iterations": ({"max_iter": 0}, ValueError, ("max_iter must be at least 1; found 0",)),
    "part of an iteration": ({"max_iter": 2.5}, TypeError, ("max_iter must be a whole number; found 2.5",)),
    "rng": ({"rng": "seed"}, TypeError, ("rng must be a whole number; found 'seed'",)),
    "negative rng": ({"rng": -1}, ValueError, ("rng must be at least 0; found -1",)),
    "key type": ({"key_added": 3}, TypeError, ("key_added must be a string; found int",)),
    "key slash": ({"key_added": "a/b"}, ValueError, ("without '/'", "'a/b'")),
    "empty key": ({"key_added": ""}, ValueError, ("non-empty",)),
}


@pytest.mark.parametrize("case", CHOICES)
def test_choices(fit_refuses, case):
    options, error, fragments = CHOICES[case]
    fit_refuses(_same, error, *fragments, **options)
