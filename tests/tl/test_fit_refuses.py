"""Bad input: the error names the argument, says what was found and what would do; nothing is written."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import grnrep as gr


def _same(adata, net):
    return adata, net


def _spoil(value, *, where=0):
    def change(adata, net):
        gene = adata.var_names.get_loc(net["target"].iloc[where])
        adata.X[7, gene] = value
        return adata, net

    return change


# --- values ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix, sp.csc_matrix])
def test_values_that_are_not_finite(small, refuses, value, form):
    adata, net = _spoil(value)(*small())
    adata.X = form(adata.X)
    cell, gene = adata.obs_names[7], net["target"].iloc[0]
    wanted = (
        "adata.X must be finite",
        "found 1 NaN or infinite value(s)",
        f"cell '{cell}', gene '{gene}'",
    )
    with refuses(ValueError, *wanted, adata=adata):
        gr.tl.fit(adata, net, progress=False)


def test_values_in_a_layer_are_called_by_its_name(small, refuses):
    adata, net = _spoil(np.nan)(*small())
    adata.layers["log"] = adata.X
    with refuses(ValueError, "adata.layers['log'] must be finite", adata=adata):
        gr.tl.fit(adata, net, layer="log", progress=False)


def test_negative_values_under_explicit_relu(small, refuses):
    adata, net = _spoil(-0.5)(*small())
    wanted = (
        "adata.X must not be negative under likelihood='tobit'",
        "found 1 negative value(s)",
        f"cell '{adata.obs_names[7]}', gene '{net['target'].iloc[0]}'",
        "likelihood='auto'",
    )
    with refuses(ValueError, *wanted, adata=adata):
        gr.tl.fit(adata, net, likelihood="tobit", progress=False)


def test_view_stays_a_view_when_refused(small, refuses):
    adata, net = _spoil(np.nan)(*small())
    view = adata[5:]
    with refuses(ValueError, "must be finite", adata=[view, adata]):
        gr.tl.fit(view, net, progress=False)
    assert view.is_view


def test_solver_that_diverges(small, refuses, monkeypatch):
    adata, net = small()
    solve = gr.tl._learn.fit_evidence

    def diverging(*args, **kwargs):
        fit = solve(*args, **kwargs)
        fit.activity[0, 0] = np.nan
        return fit

    monkeypatch.setattr(gr.tl._learn, "fit_evidence", diverging)
    with refuses(RuntimeError, "solver='exact' diverged", adata=adata):
        gr.tl.fit(adata, net, progress=False)


# --- adata ----------------------------------------------------------------------------------------


def test_not_anndata(fit_refuses):
    fit_refuses(lambda a, n: (a.X, n), TypeError, "adata must be an AnnData; found ndarray")


def test_no_cells(fit_refuses):
    fit_refuses(
        lambda a, n: (a[:0].copy(), n), ValueError, "adata must have at least 1 cell(s); found 0"
    )


def test_one_cell(fit_refuses):
    fit_refuses(
        lambda a, n: (a[:1].copy(), n), ValueError, "more than one cell", "grnrep.tl.transform"
    )


@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_duplicate_gene_names(fit_refuses):
    def change(adata, net):
        adata.var_names = ["twin", "twin", *adata.var_names[2:]]
        return adata, net

    fit_refuses(
        change,
        ValueError,
        "adata.var_names must be unique",
        "'twin'",
        "adata.var_names_make_unique()",
    )


def test_unknown_layer(fit_refuses):
    def change(adata, net):
        adata.layers["counts"] = adata.X.copy()
        return adata, net

    fit_refuses(change, KeyError, "layer='log'", "available: 'counts'", layer="log")
    fit_refuses(_same, KeyError, "layer='log'", "available: none", layer="log")


def test_backed_view(small, refuses, tmp_path):
    adata, net = small()
    adata.write_h5ad(tmp_path / "data.h5ad")
    view = ad.read_h5ad(tmp_path / "data.h5ad", backed="r")[:30]
    with refuses(ValueError, "view of a file", "to_memory()"):
        gr.tl.fit(view, net, progress=False)
    out = gr.tl.fit(view, net, max_iter=2, progress=False, copy=True)
    assert out.obsm["grnrep"].shape == (30, 4)


# --- net ------------------------------------------------------------------------------------------

NETS = {
    "not a table": (
        lambda n: n.to_dict(),
        TypeError,
        ("net must be a pandas DataFrame", "found dict"),
    ),
    "empty": (lambda n: n.iloc[:0], ValueError, ("net must have at least one edge; found none",)),
    "without source": (
        lambda n: n.rename(columns={"source": "tf"}),
        ValueError,
        ("missing 'source'", "found 'tf', 'target', 'weight'", "net.rename(columns={...})"),
    ),
    "without both": (
        lambda n: n[["weight"]],
        ValueError,
        ("missing 'source', 'target'", "found 'weight'"),
    ),
    "without a target somewhere": (
        lambda n: n.assign(target=n["target"].mask(n.index == 3)),
        ValueError,
        ("1 row(s) without", "index '3'", "dropna(subset=['source', 'target'])"),
    ),
    "repeated edge": (
        lambda n: pd.concat([n, n.iloc[:1].assign(weight=9.0)]),
        ValueError,
        ("every edge once", "1 row(s) repeat one", "->", "drop_duplicates", "groupby"),
    ),
    "signs that contradict each other": (
        lambda n: pd.concat([n, n.iloc[:2].assign(weight=-n["weight"]), n.iloc[2:3]]),
        ValueError,
        ("3 row(s) repeat one, 2 of them with opposite signs: ", "->"),
    ),
    "slash": (
        lambda n: n.assign(source="A/" + n["source"]),
        ValueError,
        ("net.source must not contain '/'", "'A/TF", "str.replace('/', '_')"),
    ),
    "weight as text": (
        lambda n: n.assign(weight=n["weight"].astype(object).mask(n.index == 0, "strong")),
        ValueError,
        ("net.weight must be finite numbers", "found 1 other value(s), first 'strong'"),
    ),
    "infinite weight": (
        lambda n: n.assign(weight=n["weight"].mask(n.index == 0, np.inf)),
        ValueError,
        ("net.weight must be finite numbers", "'inf'"),
    ),
}


@pytest.mark.parametrize("case", NETS)
def test_net(fit_refuses, case):
    spoil, error, fragments = NETS[case]
    fit_refuses(lambda a, n: (a, spoil(n)), error, *fragments)


# --- names that do not meet -----------------------------------------------------------------------


def test_no_gene_in_common_shows_both_sides(fit_refuses, small):
    adata, _ = small()
    fit_refuses(
        lambda a, n: (a, n.assign(target="other_" + n["target"])),
        ValueError,
        "net has no target among adata.var_names",
        "'other_gene",
        f"'{adata.var_names[0]}'",
        "same species",
    )


def test_case_mismatch_is_seen(fit_refuses):
    fit_refuses(
        lambda a, n: (a, n.assign(target=n["target"].str.capitalize())),
        ValueError,
        "40 would match but for upper and lower case",
        "str.upper()",
    )


def test_names_in_another_column_of_var_are_found(fit_refuses):
    def change(adata, net):
        adata.var["symbol"] = adata.var_names
        adata.var_names = [f"ENSG{i:011d}" for i in range(adata.n_vars)]
        return adata, net

    fit_refuses(change, ValueError, "adata.var_names = adata.var['symbol']", "'ENSG00000000000'")


@pytest.mark.parametrize("side", ["adata.var_names", "net.target"])
def test_ensembl_and_symbols_are_told_apart(fit_refuses, side):
    def change(adata, net):
        ids = {name: f"ENSMUSG{i:011d}.2" for i, name in enumerate(adata.var_names)}
        if side == "net.target":
            return adata, net.assign(target=net["target"].map(ids))
        adata.var_names = list(ids.values())
        return adata, net

    fit_refuses(
        change, ValueError, f"{side} holds Ensembl IDs", "'ENSMUSG000000000", "gene symbols"
    )


def test_ensembl_versions_are_seen(fit_refuses):
    def change(adata, net):
        ids = {name: f"ENSG{i:011d}" for i, name in enumerate(adata.var_names)}
        adata.var_names = [f"{name}.{i}" for i, name in enumerate(ids.values())]
        return adata, net.assign(target=net["target"].map(ids))

    fit_refuses(change, ValueError, "Without the version", "40 would match")
