"""Sizes of prior weights beside their signs: what they do to a fit, and where they are kept."""

from __future__ import annotations

import logging
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
import torch

import grnrep as gr
from grnrep._match import match
from grnrep.core.als.assumed import Assumptions, model_of
from grnrep.core.als.fit import fit_decoder
from grnrep.core.als.learn import fit_evidence
from grnrep.core.als.start import moments_of
from grnrep.core.network import Network
from grnrep.tl._config import FitConfig
from grnrep.tl._data import fingerprint, look

KEY = "grnrep"


@pytest.fixture(scope="module")
def data():
    """Cells, and a network with true weights."""
    sizes = {"n_regulators": 6, "connectivity": 0.3, "noise_sd": 0.5}
    return gr.ds.simulate(60, 50, **sizes, rng=0, progress=False)


def fitted(data, net=None, **options):
    adata, true = data
    return gr.tl.fit(adata, true if net is None else net, copy=True, progress=False, **options)


def arrays(adata):
    return adata.obsm[KEY].to_numpy(), adata.varm[KEY].toarray()


def expected_weights(net):
    """Sign times size by the root mean square of the sizes of the regulator."""
    rms = net.groupby("source")["weight"].transform(lambda part: np.sqrt(np.mean(part**2)))
    return net["weight"] / rms


def core_of(data):
    matched = match(data[1], data[0], magnitudes=True, min_targets=5)
    return np.asarray(data[0][:, matched.genes].X, dtype=np.float64), matched


@pytest.mark.parametrize("likelihood", ["gaussian", "tobit"])
def test_under_strong_shrinkage_weights_are_their_prior_means(data, likelihood):
    x, matched = core_of(data)
    fit = fit_evidence(
        x, matched.network, likelihood=likelihood, assumptions=Assumptions(1e-9), max_iter=5
    )
    spread = x.std(0) / np.sqrt(matched.network.regulators_per_gene())
    mean = expected_weights(matched.edges) * spread[matched.network.gene]
    np.testing.assert_allclose(fit.weight, mean, rtol=1e-3)
    np.testing.assert_allclose(fit.anchor, mean, rtol=1e-10)


@pytest.mark.parametrize("shared", [False, True])
def test_under_a_strong_penalty_too(data, shared):
    x, matched = core_of(data)
    network = matched.network
    fit = fit_decoder(x, network, ridge=1e-3, prior=1e8, shared=shared, intercept=True)
    size = network.regulators_per_gene()[network.gene] ** -0.5 if shared else 1.0
    np.testing.assert_allclose(fit.weight, expected_weights(matched.edges) * size, rtol=1e-4)


@pytest.mark.parametrize("options", [{}, {"ridge": 1e-3, "sign_shrinkage": 0.1}])
def test_equal_sizes_are_signs_to_the_last_digit(data, options):
    signs = data[1].assign(weight=np.sign(data[1]["weight"]))
    of_size = signs.assign(weight=signs["weight"] * signs["source"].map(lambda s: 0.1 * int(s[-1])))
    for a, b in zip(
        arrays(fitted(data, signs, **options)),
        arrays(fitted(data, of_size, magnitudes=True, **options)),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


def test_neither_the_scale_of_a_regulator_nor_the_order_of_edges_matters(data):
    net = data[1]
    scale = net["source"].map(lambda name: 10.0 ** int(name[-1]))
    other = net.assign(weight=net["weight"] * scale).sample(frac=1, random_state=0)
    one, two = (fitted(data, each, magnitudes=True) for each in (net, other))
    for a, b in zip(arrays(one), arrays(two), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * np.abs(a).max())
    assert not np.allclose(arrays(one)[0], arrays(fitted(data))[0], rtol=1e-2)


def test_units_of_single_genes_change_no_activity(data):
    """A size is beside the spread of the target, whatever its unit."""
    adata, net = data
    scaled = adata.copy()
    scaled.X = adata.X * (10.0 ** np.random.default_rng(0).uniform(-2, 2, adata.n_vars)).astype(
        "f4"
    )
    a, b = (fitted((each, net), magnitudes=True).obsm[KEY].to_numpy() for each in (adata, scaled))
    np.testing.assert_allclose(a, b, atol=1e-3 * np.abs(a).max())


def test_a_search_goes_on_from_a_fit_with_its_prior_means(data):
    """τ² of the iterate is of differences from them, not from the signs."""
    x, matched = core_of(data)
    signs = replace(matched.network, magnitude=np.ones(matched.network.n_edges))
    fit = fit_evidence(x, matched.network, assumptions=Assumptions(1e-9), max_iter=5)
    unit = torch.as_tensor(x.std(0))
    tau2 = []
    for network in (matched.network, signs):
        model = model_of(
            [], network, 1, 0, Assumptions(), n_cells=0, device=None, intercept=True, censored=False
        )
        tau2.append(moments_of(fit, network, unit, model.prior).tau2)
    assert tau2[0] < 1e-6 < 0.05 < tau2[1]


def test_at_low_load_true_sizes_find_more_than_signs():
    """Mean over seeds; sizes in random order lose, and are no error."""
    found = []
    for seed in range(5):
        adata, net = gr.ds.simulate(
            25, 120, n_regulators=8, connectivity=0.15, noise_sd=1.5, rng=seed, progress=False
        )
        size = net["weight"].abs().groupby(net["source"])
        mixed = size.transform(np.random.default_rng(seed).permutation)
        wrong = net.assign(weight=np.sign(net["weight"]) * mixed)
        row = []
        for each, magnitudes in ((net, False), (net, True), (wrong, True)):
            matched = match(each, adata, magnitudes=magnitudes)
            x = np.asarray(adata[:, matched.genes].X)
            fit = fit_evidence(x, matched.network, likelihood="tobit", assumptions=Assumptions(0.1))
            true = adata.obsm["true_activity"][matched.regulators].to_numpy()
            row.append(
                np.mean(
                    [np.corrcoef(a, b)[0, 1] for a, b in zip(fit.activity.T, true.T, strict=True)]
                )
            )
        found.append(row)
    signs, sizes, mixed = np.mean(found, axis=0)
    assert sizes > signs + 0.01
    assert signs - 0.1 < mixed < sizes


def test_the_record_says_it_and_a_posterior_keeps_it(data, monkeypatch):
    fit = fitted(data, magnitudes=True)
    assert fit.uns[KEY]["params"]["magnitudes"] is True
    assert fitted(data).uns[KEY]["params"]["magnitudes"] is False
    edges = fit.uns[KEY]["network"].merge(data[1], on=["source", "target"])
    np.testing.assert_array_equal(edges["weight_x"], edges["weight_y"])
    asked = []
    module = import_module("grnrep.tl._run")
    monkeypatch.setattr(module, "run", lambda *args, **kept: asked.append(args))
    gr.tl.posterior(fit, progress=False)
    adata, net, config = asked[0]
    again = look(adata, net, config).matched.network
    np.testing.assert_array_equal(again.expected, core_of(data)[1].network.expected)


def test_new_cells_are_treated_as_those_of_the_fit(data):
    fit = fitted(data, magnitudes=True)
    new = data[0].copy()
    gr.tl.transform(new, fit, progress=False)
    np.testing.assert_allclose(new.obsm[KEY], fit.obsm[KEY], rtol=1e-3, atol=1e-4)


def test_a_repaired_network_has_the_sizes_of_its_table(data):
    """So that a repair within a fit is one before it; edges that it added have no size of their own."""
    adata, net = data
    matched = match(net, adata, magnitudes=True)
    network = matched.network
    shape = (network.n_genes, network.n_regulators)
    chosen = np.zeros(shape, dtype=bool)
    chosen[network.gene[::2], network.regulator[::2]] = True
    gene, regulator = np.nonzero(chosen | (np.random.default_rng(0).random(shape) < 0.05))
    within = matched.with_network(Network.from_edges(gene, regulator, np.zeros(len(gene)), *shape))
    before = match(within.edges, adata, magnitudes=True)
    np.testing.assert_array_equal(within.network.expected, before.network.expected)
    added = within.edges["weight"].isna().to_numpy()
    assert added.any()
    assert (within.network.expected[added] == 0).all()
    own = within.network.regulator == 0
    assert np.isclose(np.mean(within.network.expected[own & ~added] ** 2), 1)


def test_fits_of_a_repair_have_them(data, monkeypatch):
    given = []

    def first(x, network, **options):
        given.append(network)
        raise StopIteration

    monkeypatch.setattr("grnrep.core.repair.fit_evidence", first)
    for magnitudes in (True, False):
        with pytest.raises(StopIteration):
            gr.tl.repair(*data, magnitudes=magnitudes, progress=False)
    np.testing.assert_array_equal(given[0].expected, core_of(data)[1].network.expected)
    np.testing.assert_array_equal(given[1].expected, np.sign(given[0].expected))


def test_a_checkpoint_is_of_one_or_the_other(data):
    of = [
        fingerprint(look(*data, config), config)
        for config in (FitConfig(client=None), FitConfig(client=None, magnitudes=True))
    ]
    assert {name for name in of[0] if of[0][name] != of[1][name]} == {"magnitudes"}


def test_the_estimator_is_the_fit(data):
    fit, table = fitted(data, magnitudes=True), data[0].to_df()
    decoder = gr.SparseDecoder(data[1], magnitudes=True).fit(table)
    np.testing.assert_allclose(decoder.weights_.toarray(), fit.varm[KEY].toarray(), rtol=1e-5)
    with_array = gr.SparseDecoder(
        data[1]
        .pivot(index="target", columns="source", values="weight")
        .reindex(table.columns)
        .fillna(0)
        .to_numpy(),
        magnitudes=True,
    ).fit(table)
    np.testing.assert_allclose(with_array.weights_.toarray(), decoder.weights_.toarray(), rtol=1e-6)


@pytest.mark.parametrize(
    "against", [{"signed": False}, {"likelihood": "poisson"}, {"sign_shrinkage": 0}]
)
def test_refused_where_no_weight_is_drawn_to_its_prior(data, against):
    name, value = next(iter(against.items()))
    with pytest.raises(ValueError, match=f"magnitudes=True needs .* found {name}={value!r}"):
        fitted(data, magnitudes=True, **against)


def test_must_be_true_or_false(data):
    with pytest.raises(TypeError, match="magnitudes must be True or False; found 'yes'"):
        fitted(data, magnitudes="yes")


@pytest.mark.parametrize(
    ("weight", "sizes"), [(1.0, "'1.0'"), (np.nan, "none is known"), (2.5, "'2.5'")]
)
def test_said_where_all_sizes_are_the_same(data, caplog, weight, sizes):
    net = data[1].assign(weight=np.sign(data[1]["weight"]) * weight)
    with caplog.at_level(logging.WARNING, logger="grnrep"):
        match(net, data[0], magnitudes=True)
    assert (
        f"magnitudes=True changes nothing: no regulator of net has weights of different sizes (sizes: {sizes})"
        in (caplog.text)
    )
    caplog.clear()
    match(data[1], data[0], magnitudes=True)
    match(net, data[0])
    assert "magnitudes" not in caplog.text


def test_counts_by_themselves_are_no_likelihood_for_sizes(caplog):
    """``"auto"`` takes none in which weights are free, however few of them are known."""
    adata, net = gr.ds.simulate(
        60, 40, n_regulators=3, connectivity=0.4, counts="poisson", rng=0, progress=False
    )
    adata.X = adata.layers["counts"]
    net.loc[net.index % 3 > 0, "weight"] = np.nan
    options = {"max_iter": 2}
    found = [
        fitted((adata, net), magnitudes=magnitudes, **options).uns[KEY]["params"]["likelihood"]
        for magnitudes in (False, True)
    ]
    assert found[0] in ("poisson", "nb")
    assert found[1] == "tobit"
    assert "those of counts draw no weights" in caplog.text
