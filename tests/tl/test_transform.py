"""Inferring activities of new cells with a learned decoder."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import grnrep as gr


@pytest.fixture(scope="module")
def fitted(small):
    data, net = small(n_obs=90)
    adata, new = data[:60].copy(), data[60:].copy()
    gr.tl.fit(adata, net, ridge=1e-4, sign_shrinkage=0.01, progress=False)
    return adata, new


@pytest.fixture
def halves(fitted):
    """A fit of some cells, and other cells; copies for every test."""
    return tuple(adata.copy() for adata in fitted)


def _activity(new, adata, **options):
    return gr.tl.transform(new, adata, progress=False, copy=True, **options).obsm["grnrep"]


def test_sets_activity_and_a_decoder_that_transforms_again(halves):
    adata, new = halves
    assert gr.tl.transform(new, adata, progress=False) is None
    assert list(new.obsm["grnrep"].columns) == list(adata.obsm["grnrep"].columns)
    assert new.obsm["grnrep"].index.equals(new.obs_names)
    record = new.uns["grnrep"]
    assert set(record) == set(adata.uns["grnrep"]) - {"history"} | {"missing_genes"}
    assert len(record["missing_genes"]) == 0
    assert record["network"] is not adata.uns["grnrep"]["network"]
    pd.testing.assert_frame_equal(_activity(new, new), new.obsm["grnrep"], check_exact=True)


def test_recovers_held_out_activities(halves):
    adata, new = halves
    activity = _activity(new, adata)
    for name, true in new.obsm["true_activity"].items():
        assert np.corrcoef(true, activity[name])[0, 1] > 0.999


def test_activities_of_the_fitted_cells_come_again(halves):
    adata, _ = halves
    again = _activity(adata, adata)
    np.testing.assert_allclose(again, adata.obsm["grnrep"], atol=1e-3)


def test_original_is_left_alone(halves, digest):
    adata, new = halves
    before = digest(adata), digest(new)
    _activity(new, adata)
    assert (digest(adata), digest(new)) == before
    gr.tl.transform(new, adata, progress=False)
    assert digest(adata) == before[0]


def test_only_names_in_uns_are_used(halves):
    adata, new = halves
    bare = ad.AnnData(obs=pd.DataFrame(index=["x"]), uns=adata.uns)
    pd.testing.assert_frame_equal(_activity(new, bare), _activity(new, adata), check_exact=True)


@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix, sp.csc_matrix, sp.csr_array])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_order_format_and_extra_genes_do_not_matter(halves, form, dtype):
    adata, new = halves
    draw = np.random.default_rng(0)
    extra = ad.AnnData(
        np.full((new.n_obs, 5), np.nan),
        obs=new.obs,
        var=pd.DataFrame(index=[f"extra{i}" for i in range(5)]),
    )
    wide = ad.concat([new, extra], axis="var")
    wide = wide[draw.permutation(wide.n_obs)][:, draw.permutation(wide.n_vars)].copy()
    wide.X = form(wide.X.astype(dtype))
    found = _activity(wide, adata)
    pd.testing.assert_frame_equal(found.loc[new.obs_names], _activity(new, adata), check_exact=True)


def test_missing_genes_are_left_out_and_reported(halves, caplog):
    adata, new = halves
    lacking = new[:, 5:].copy()
    gr.tl.transform(lacking, adata, progress=False)
    missing = sorted(new.var_names[:5])
    assert "5 of 40 genes of the decoder are not among new.var_names" in caplog.text
    assert list(lacking.uns["grnrep"]["missing_genes"]) == missing
    for name, true in new.obsm["true_activity"].items():
        assert np.corrcoef(true, lacking.obsm["grnrep"][name])[0, 1] > 0.99


def test_regulator_without_any_target_gets_nan_and_the_others_do_not(halves, caplog):
    adata, new = halves
    edges = adata.uns["grnrep"]["network"]
    lost = edges["source"].iloc[0]
    keep = ~new.var_names.isin(edges.loc[edges["source"] == lost, "target"])
    lacking = new[:, keep].copy()
    gr.tl.transform(lacking, adata, progress=False)
    assert f"1 regulator(s) have no target there and get NaN: '{lost}'" in caplog.text
    assert lacking.obsm["grnrep"][lost].isna().all()
    others = lacking.obsm["grnrep"].drop(columns=lost)
    assert np.isfinite(others).all(axis=None)
    assert others.shape[1] == 3


def test_one_cell_is_enough(halves):
    adata, new = halves
    one = _activity(new[:1].copy(), adata)
    np.testing.assert_allclose(one, _activity(new, adata).iloc[:1], atol=1e-4)


def test_view_and_backed(halves, tmp_path):
    adata, new = halves
    wanted = _activity(new, adata)
    view = new[3:9]
    gr.tl.transform(view, adata, progress=False)
    assert not view.is_view
    np.testing.assert_allclose(view.obsm["grnrep"], wanted.iloc[3:9], atol=1e-4)
    new.write_h5ad(tmp_path / "new.h5ad")
    backed = ad.read_h5ad(tmp_path / "new.h5ad", backed="r")
    pd.testing.assert_frame_equal(_activity(backed, adata), wanted, check_exact=True)


def test_layer_is_read_and_kept_and_a_change_warns(halves, caplog):
    adata, new = halves
    wanted = _activity(new, adata)
    assert caplog.text == ""
    new.layers["log"] = new.X
    new.X = np.zeros_like(new.X)
    gr.tl.transform(new, adata, layer="log", progress=False)
    pd.testing.assert_frame_equal(new.obsm["grnrep"], wanted, check_exact=True)
    assert new.uns["grnrep"]["params"]["layer"] == "log"
    assert "reading new.layers['log']; the fit read X" in caplog.text


def test_intercepts_are_used(small):
    data, net = small(n_obs=90)
    data.X = data.X + np.arange(data.n_vars, dtype=np.float32)
    adata, new = data[:60].copy(), data[60:].copy()
    gr.tl.fit(
        adata,
        net,
        intercept=True,
        likelihood="gaussian",
        ridge=1e-4,
        sign_shrinkage=0.1,
        progress=False,
    )
    gr.tl.transform(new, adata, progress=False)
    genes = new.uns["grnrep"]["genes"]
    assert np.ptp(genes["intercept"]) > 10
    weights = adata.varm["grnrep"].toarray()
    bias = genes["intercept"].reindex(new.var_names).to_numpy()
    residual = new.X - bias - new.obsm["grnrep"].to_numpy() @ weights.T
    # least squares: what is left is orthogonal to the weights, up to the ridge
    assert np.abs(residual @ weights).max() < 1e-2 * np.abs((new.X - bias) @ weights).max()


@pytest.mark.parametrize(("sign", "intercept"), [(1, False), (1, True), (-1, True)])
def test_gradient_projection_gives_the_activities_of_the_fit_again(small, sign, intercept):
    data, net = small(n_obs=90)
    net["weight"] *= sign  # the fit takes its signs from the prior, and the projection follows
    gr.tl.fit_gradient(data, net, epochs=150, intercept=intercept, progress=False)
    again = _activity(data, data, epochs=150)
    for name in again.columns:
        assert np.corrcoef(again[name], data.obsm["grnrep"][name])[0, 1] > 0.9


def test_gradient_fit_is_projected_by_gradient_unless_told(small):
    data, net = small(n_obs=90)
    adata, new = data[:60].copy(), data[60:].copy()
    gr.tl.fit_gradient(adata, net, epochs=50, progress=False)
    by_gradient = _activity(new, adata, epochs=100)
    by_exact = _activity(new, adata, solver="exact")
    assert np.isfinite(by_gradient).all(axis=None)
    assert not np.allclose(by_gradient, by_exact)


# --- bad input ------------------------------------------------------------------------------------


def test_refuses_data_that_is_no_anndata(halves, refuses):
    adata, new = halves
    with refuses(TypeError, "new must be an AnnData; found ndarray", adata=adata):
        gr.tl.transform(new.X, adata)
    with refuses(TypeError, "adata must be an AnnData; found DataFrame", adata=new):
        gr.tl.transform(new, adata.obsm["grnrep"])


def test_refuses_unknown_key(halves, refuses):
    adata, new = halves
    adata.uns["neighbors"] = {"params": {}}
    with refuses(
        KeyError, "key='fit' is no fit in adata.uns", "fits there: 'grnrep'", adata=[adata, new]
    ):
        gr.tl.transform(new, adata, key="fit")
    with refuses(KeyError, "fits there: none", "Run grnrep.tl.fit first", adata=[adata, new]):
        gr.tl.transform(adata, new)


def test_refuses_genes_without_any_in_common(halves, refuses):
    adata, new = halves
    first = sorted(adata.var_names)[0]
    new.var_names = "other" + new.var_names
    wanted = ("new.var_names must have genes of the decoder", f"'{first}'", "'othergene")
    with refuses(ValueError, *wanted, adata=[adata, new]):
        gr.tl.transform(new, adata)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_refuses_values_that_are_not_finite(halves, refuses, value):
    adata, new = halves
    new.X[2, 3] = value
    wanted = ("new.X must be finite", f"cell '{new.obs_names[2]}', gene '{new.var_names[3]}'")
    with refuses(ValueError, *wanted, adata=[adata, new]):
        gr.tl.transform(new, adata)


def test_refuses_negative_values_for_a_relu_decoder(halves, refuses):
    adata, new = halves
    new.X[2, 3] = -1
    with refuses(ValueError, "new.X must not be negative", "Normalise new", adata=[adata, new]):
        gr.tl.transform(new, adata)


@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_refuses_names_that_are_not_unique(halves, refuses):
    adata, new = halves
    new.var_names = ["twin", "twin", *new.var_names[2:]]
    with refuses(
        ValueError,
        "new.var_names must be unique",
        "new.var_names_make_unique()",
        adata=[adata, new],
    ):
        gr.tl.transform(new, adata)


def test_refuses_results_that_are_not_finite(halves, refuses, monkeypatch):
    adata, new = halves
    monkeypatch.setattr(
        gr.tl._infer.Projection, "representation", lambda _, x, *__: np.full((len(x), 4), np.nan)
    )
    with refuses(RuntimeError, "solver='exact' diverged", adata=[adata, new]):
        gr.tl.transform(new, adata)


def test_refuses_no_cells_unknown_layer_and_unknown_options(halves, refuses):
    adata, new = halves
    with refuses(ValueError, "new must have at least 1 cell(s); found 0", adata=adata):
        gr.tl.transform(new[:0].copy(), adata)
    with refuses(KeyError, "layer='log' is not in new.layers", adata=[adata, new]):
        gr.tl.transform(new, adata, layer="log")
    with refuses(ValueError, "solver must be one of 'exact', 'gradient'", adata=[adata, new]):
        gr.tl.transform(new, adata, solver="newton")
    with refuses(ValueError, "epochs is an option of solver='gradient' only", adata=[adata, new]):
        gr.tl.transform(new, adata, epochs=5)


def _raw_fit(small):
    adata, net = small()
    adata.raw = adata
    adata.var_names = "other_" + adata.var_names
    gr.tl.fit(adata, net, use_raw=True, ridge=0.01, sign_shrinkage=0.0, max_iter=2, progress=False)
    return adata, net


def test_after_a_fit_of_raw_the_error_names_use_raw(small, refuses):
    adata, net = _raw_fit(small)
    n_genes = net["target"].nunique()
    new = adata.copy()
    wanted = f"The fit read raw.X: use_raw=True reads new.raw, which has {n_genes} of the genes"
    with refuses(ValueError, "new.var_names must have genes of the decoder", wanted):
        gr.tl.transform(new, adata)
    gr.tl.transform(new, adata, use_raw=True, progress=False)  # what the message advises
    new.raw = None
    with refuses(ValueError, "The fit read raw.X (use_raw=True), which may have had genes"):
        gr.tl.transform(new, adata)


def test_after_a_fit_of_x_the_error_says_to_leave_out_use_raw(small, refuses):
    adata, net = small()
    gr.tl.fit(adata, net, ridge=0.01, sign_shrinkage=0.0, max_iter=2, progress=False)
    new = adata.copy()
    new.raw = adata[:, ~adata.var_names.isin(net["target"])]
    with refuses(
        ValueError, "new.raw.var_names must have genes", "The fit read X: leave out use_raw"
    ):
        gr.tl.transform(new, adata, use_raw=True)


def test_it_is_said_why_names_of_new_cells_do_not_match(halves, refuses, caplog):
    adata, new = halves
    upper, named = new.copy(), new.copy()
    upper.var_names = upper.var_names.str.upper()
    named.var["symbol"] = named.var_names
    named.var_names = [f"ENSG{k:011d}" for k in range(named.n_vars)]
    with refuses(
        ValueError, "would match but for upper and lower case: are both from one species?"
    ):
        gr.tl.transform(upper, adata)
    with refuses(ValueError, "set new.var_names = new.var['symbol']"):
        gr.tl.transform(named, adata)
    known = adata.uns["grnrep"]["genes"].index[0]
    upper.var_names = [known if name == known.upper() else name for name in upper.var_names]
    gr.tl.transform(upper, adata, progress=False)
    assert "would match but for upper and lower case" in caplog.text


def test_cells_that_have_all_genes_and_no_raw_go_with_a_fit_of_raw(small, caplog):
    adata, _ = _raw_fit(small)
    caplog.clear()
    gr.tl.transform(adata.raw.to_adata(), adata, progress=False)
    assert "raw" not in caplog.text


def test_versions_of_genes_and_transposed_cells_are_named(small, refuses):
    adata, net = small()
    ids = {gene: f"ENSG{10_000_000 + i}" for i, gene in enumerate(adata.var_names)}
    adata.var_names = [*ids.values()]
    net = net.assign(target=net["target"].map(ids))
    gr.tl.fit(adata, net, ridge=0.01, sign_shrinkage=0.0, max_iter=2, progress=False)
    new = adata.copy()
    new.var_names = new.var_names + ".2"
    with refuses(ValueError, f"Without the version, the part after the dot, {new.n_vars} would"):
        gr.tl.transform(new, adata)
    with refuses(ValueError, "among new.obs_names: new must be cells × genes; use new = new.T"):
        gr.tl.transform(adata.to_df().T, adata)


def test_a_model_in_place_of_cells_is_called_so(halves, refuses):
    adata, new = halves
    model = adata[:0].copy()
    with refuses(ValueError, "new is a model, which has no cells; give data"):
        gr.tl.transform(model, adata)
    with refuses(TypeError, "adata must be an AnnData; found str; read it first, a model with"):
        gr.tl.transform(new, "model.zarr.zip")
