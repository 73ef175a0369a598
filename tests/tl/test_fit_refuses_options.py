"""Bad options: the error names the argument, says what was found and what would do; nothing is written."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch

import grnrep as gr


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
    fit_refuses(
        change, TypeError, "adata.var['score'] must be boolean", "float64", mask_var="score"
    )
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
    "likelihood": ({"likelihood": "nb"}, ValueError, ("adata.X must be counts",)),
    "intercept": (
        {"intercept": "yes"},
        ValueError,
        ("intercept must be True, False or 'auto'; found 'yes'",),
    ),
    "negative shrinkage": (
        {"sign_shrinkage": -1.0},
        ValueError,
        ("sign_shrinkage must be a finite number of at least 0, or 'auto'; found -1.0",),
    ),
    "one cell": ({"max_cells": 1}, ValueError, ("max_cells must be", "None or 'auto'; found 1")),
    "some cells": ({"max_cells": "all"}, ValueError, ("max_cells must be", "found 'all'")),
    "no iterations": ({"max_iter": 0}, ValueError, ("max_iter must be at least 1; found 0",)),
    "part of an iteration": (
        {"max_iter": 2.5},
        TypeError,
        ("max_iter must be a whole number; found 2.5",),
    ),
    "rng": ({"rng": "seed"}, TypeError, ("rng must be a whole number; found 'seed'",)),
    "negative rng": ({"rng": -1}, ValueError, ("rng must be at least 0; found -1",)),
    "key type": ({"key_added": 3}, TypeError, ("key_added must be a string; found int",)),
    "key slash": ({"key_added": "a/b"}, ValueError, ("without '/'", "'a/b'")),
    "empty key": ({"key_added": ""}, ValueError, ("non-empty",)),
}


CHOICES |= {
    f"device {device}": ({"device": device}, ValueError, (f"found {device!r}: ", "'cpu'"))
    for device in ("gpu", "cuda:99", "meta", 3.5)
}
CHOICES |= {
    f"client {client}": (
        {"client": client},
        TypeError,
        (f"Client, None or 'auto'; found {client!r}",),
    )
    for client in ("x", "", 0)
}


@pytest.mark.parametrize("case", CHOICES)
def test_choices(fit_refuses, case):
    options, error, fragments = CHOICES[case]
    fit_refuses(_same, error, *fragments, **options)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is one")
def test_a_device_that_is_not_there(fit_refuses):
    fit_refuses(
        _same,
        ValueError,
        "device must be None or one that torch finds here",
        "'cuda'",
        device="cuda",
    )


@pytest.mark.parametrize("option", [{"device": "gpu"}, {"client": "x"}])
def test_transform_refuses_them_too(small, refuses, option):
    adata, net = small()
    fitted = gr.tl.fit(
        adata, net, ridge=0.1, sign_shrinkage=0.1, max_iter=2, progress=False, copy=True
    )
    ((name, value),) = option.items()
    with refuses(
        (TypeError, ValueError), f"{name} must be", f"found {value!r}", adata=[adata, fitted]
    ):
        gr.tl.transform(adata, fitted, progress=False, **option)


# --- what is there already ------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["obsm", "varm", "uns", "sd"])
def test_results_of_others_are_not_replaced(small, refuses, part):
    adata, net = small()
    fitted = gr.tl.fit(
        adata,
        net,
        key_added="X_pca",
        ridge=0.1,
        sign_shrinkage=0.1,
        max_iter=2,
        progress=False,
        copy=True,
    )
    theirs = adata.copy()
    size = theirs.n_vars if part == "varm" else theirs.n_obs
    there, key = {"sd": ("obsm", "X_pca_sd")}.get(part, (part, "X_pca"))
    getattr(theirs, there)[key] = {"params": {}} if part == "uns" else np.zeros((size, 2))
    wanted = ("'X_pca' would replace", f"adata.{there}[{key!r}]", f"del adata.{there}[{key!r}]")
    with refuses(ValueError, f"key_added={wanted[0]}", *wanted[1:], adata=theirs):
        gr.tl.fit(theirs, net, key_added="X_pca", progress=False)
    with refuses(
        ValueError,
        f"key={wanted[0]}",
        *(w.replace("adata", "new") for w in wanted[1:]),
        adata=theirs,
    ):
        gr.tl.transform(theirs, fitted, key="X_pca", progress=False)
    again = gr.tl.transform(fitted, fitted, key="X_pca", progress=False, copy=True)
    assert again.obsm["X_pca"].shape == fitted.obsm["X_pca"].shape


def test_a_ranking_does_not_replace_a_fit(small, refuses):
    adata, net = small()
    gr.tl.fit(adata, net, ridge=0.1, sign_shrinkage=0.1, max_iter=2, progress=False)
    adata.obs["group"], adata.obs["sample"] = list("ab") * 30, list("uvwx") * 15
    with refuses(ValueError, "key_added='grnrep' would replace adata.uns['grnrep']", adata=adata):
        gr.tl.rank_regulators(adata, "group", sample="sample", key_added="grnrep")
    for _ in range(2):
        gr.tl.rank_regulators(adata, "group", sample="sample")


# --- matrices that say nothing --------------------------------------------------------------------


@pytest.mark.parametrize("values", ["zeros", "one value", "one value a gene", "tiny"])
def test_matrices_without_differences(fit_refuses, values):
    def change(adata, net):
        matrix = {
            "zeros": 0.0,
            "one value": 2.5,
            "one value a gene": np.arange(40.0),
            "tiny": 1e-50,
        }[values]
        adata.X = np.zeros(adata.shape) + matrix
        adata.X[::2] += 1e-60 if values == "tiny" else 0
        return adata, net

    found = "0 everywhere" if values in ("zeros", "tiny") else "one value in every gene"
    for options in ({}, {"likelihood": "gaussian"}):
        fit_refuses(
            change, ValueError, "adata.X must differ between cells", f"found {found}", **options
        )


def test_matrices_without_genes(fit_refuses):
    change = lambda a, n: (ad.AnnData(np.zeros((5, 0))), n)  # noqa: E731
    fit_refuses(change, ValueError, "adata must have genes; found none")
