"""A fit depends neither on order nor on storage: bit-identical by name."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import grnrep as gr

pytestmark = pytest.mark.usefixtures("quick_choices")


def _fit(adata, net, **options):
    return gr.tl.fit(adata, net, max_iter=30, progress=False, copy=True, **options)


SETTLED = {"ridge": 1e-3, "sign_shrinkage": 0.0}  # nothing to choose


def _assert_same(one, two):
    cells, genes = one.obs_names, one.var_names
    pd.testing.assert_frame_equal(
        one.obsm["grnrep"], two.obsm["grnrep"].loc[cells], check_exact=True
    )
    rows = two.var_names.get_indexer(genes)
    np.testing.assert_array_equal(one.varm["grnrep"].toarray(), two.varm["grnrep"][rows].toarray())
    for table in ("network", "regulators", "genes"):
        pd.testing.assert_frame_equal(
            one.uns["grnrep"][table], two.uns["grnrep"][table], check_exact=True
        )
    objectives = [fit.uns["grnrep"]["history"]["objective"] for fit in (one, two)]
    np.testing.assert_array_equal(*objectives)


@pytest.fixture(scope="module")
def once():
    """What a function gives, made once for every key: ``once(key, function)``."""
    made = {}

    def of(key, function):
        if key not in made:
            made[key] = function()
        return made[key]

    return of


@pytest.fixture(params=["signed", "unsigned"])
def noisy(small, request):
    adata, net = small()
    noise = np.random.default_rng(3).normal(0, 0.2, adata.shape)
    adata.X = np.maximum(adata.X + noise * (adata.X > 0), 0).astype(np.float32)
    return adata, net if request.param == "signed" else net[["source", "target"]]


@pytest.fixture
def chosen(noisy, once, request):
    """The fit of the noisy data by which penalties are chosen."""
    return once(("chosen", request.node.callspec.params["noisy"]), lambda: _fit(*noisy))


@pytest.fixture
def settled(noisy, once, request):
    """The fit of the noisy data with settled penalties."""
    key = ("settled", request.node.callspec.params["noisy"])
    return once(key, lambda: _fit(*noisy, **SETTLED))


@pytest.mark.parametrize("what", ["cells", "genes", "edges", "all"])
def test_order_does_not_matter(noisy, chosen, what):
    adata, net = noisy
    draw = np.random.default_rng(11)
    cells = draw.permutation(adata.n_obs) if what in ("cells", "all") else slice(None)
    genes = draw.permutation(adata.n_vars) if what in ("genes", "all") else slice(None)
    shuffled = adata[cells][:, genes].copy()
    edges = net.sample(frac=1, random_state=5) if what in ("edges", "all") else net
    _assert_same(chosen, _fit(shuffled, edges))


@pytest.mark.parametrize("form", [sp.csr_matrix, sp.csc_matrix, sp.csr_array, np.asfortranarray])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_format_and_precision_do_not_matter(noisy, settled, form, dtype):
    adata, net = noisy
    other = adata.copy()
    other.X = form(adata.X.astype(dtype))
    _assert_same(settled, _fit(other, net, **SETTLED))


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8, np.float64])
def test_counts_of_any_dtype_give_the_same(noisy, once, request, dtype):
    adata, net = noisy
    adata.X = np.round(10 * adata.X)
    other = adata.copy()
    other.X = adata.X.astype(dtype)
    key = ("counts", request.node.callspec.params["noisy"])
    expected = once(key, lambda: _fit(adata, net, **SETTLED))
    _assert_same(expected, _fit(other, net, **SETTLED))


def test_layer_gives_the_same_as_x(noisy, chosen):
    adata, net = noisy
    other = adata.copy()
    other.layers["log"] = sp.csr_matrix(adata.X)
    other.X = np.zeros_like(adata.X)
    _assert_same(chosen, _fit(other, net, layer="log"))


def test_edges_outside_the_data_do_not_matter(noisy, chosen):
    adata, net = noisy
    extra = pd.DataFrame(
        {"source": ["A0", net["source"][0]], "target": ["absent", "absent"], "weight": 1.0}
    )
    _assert_same(chosen, _fit(adata, pd.concat([extra[net.columns], net])))


def test_another_alphabet_is_no_more_than_another_draw():
    adata, net = gr.ds.simulate(150, 130, n_regulators=6, noise_sd=0.2, rng=2, progress=False)
    net = net[["source", "target"]]
    names = dict(
        zip(adata.var_names, np.random.default_rng(3).permutation(adata.var_names), strict=True)
    )
    other = adata.copy()
    other.var_names = other.var_names.map(names)
    one, two = _fit(adata, net), _fit(other, net.replace({"target": names}))
    wanted = one.obsm["grnrep"]
    found = two.obsm["grnrep"][wanted.columns]
    assert wanted.corrwith(found).min() > 0.99
