"""Programmes in residuals: the projection against its definition, none where there are none, all where there are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from grnrep.core import unexplained as module
from grnrep.core.als.fit import fit_decoder
from grnrep.core.network import Network
from grnrep.core.unexplained import unexplained


def _network(rng, n_genes, n_regulators, connectivity, n_dense=0):
    edges = rng.random((n_genes, n_regulators)) < connectivity
    edges[rng.integers(n_genes, size=n_regulators), np.arange(n_regulators)] = True
    edges = np.column_stack([edges, np.ones((n_genes, n_dense), dtype=bool)])
    gene, regulator = np.nonzero(edges)
    return Network.from_edges(gene, regulator, np.zeros(len(gene)), *edges.shape)


def _data(
    seed, n_cells, n_genes, n_regulators, connectivity, noise, *, n_programmes=0, loading=0.5
):
    """Expression in units of the noise of every gene, log-normal(1), the network, and values of programmes."""
    rng = np.random.default_rng(seed)
    network = _network(rng, n_genes, n_regulators, connectivity)
    weights = np.zeros((n_genes, n_regulators))
    size = rng.uniform(0.2, 1, network.n_edges)
    weights[network.gene, network.regulator] = size * rng.choice([-1, 1], network.n_edges)
    value = rng.standard_normal((n_cells, n_programmes))
    loadings = loading * rng.standard_normal((n_genes, n_programmes))
    sd = noise * np.exp(rng.standard_normal(n_genes) - 0.5)
    x = rng.gamma(1, 1, (n_cells, n_regulators)) @ weights.T + value @ loadings.T
    x = x / sd + rng.standard_normal(x.shape)
    sign = np.sign(weights[network.gene, network.regulator])
    edges = network.gene, network.regulator, sign
    return x.astype(np.float32), Network.from_edges(*edges, n_genes, n_regulators), value


def _fit(x, network, *, n_free=0, max_iter=1000):
    """Residuals, activities and weights of a fit, with regulators of every gene beside the network."""
    gene = np.repeat(np.arange(network.n_genes), n_free)
    dense = network.n_regulators + np.tile(np.arange(n_free), network.n_genes)
    network = Network.from_edges(
        np.concatenate([network.gene, gene]),
        np.concatenate([network.regulator, dense]),
        np.concatenate([network.sign, np.zeros(len(gene))]),
        network.n_genes,
        network.n_regulators + n_free,
    )
    fit = fit_decoder(x, network, likelihood="gaussian", intercept=True, max_iter=max_iter)
    weights = np.zeros((network.n_genes, network.n_regulators))
    weights[network.gene, network.regulator] = fit.weight
    return x - fit.activity @ weights.T - fit.bias, fit.activity, fit.weight, network


def _noise(seed=0, n_cells=60, n_genes=50, n_regulators=6):
    """Noise, with any activities and weights."""
    rng = np.random.default_rng(seed)
    network = _network(rng, n_genes, n_regulators, 0.3)
    activity, weight = rng.gamma(1, 1, (n_cells, n_regulators)), rng.normal(size=network.n_edges)
    noise = rng.standard_normal((n_cells, n_genes)) * np.exp(rng.standard_normal(n_genes))
    return noise, activity, weight, network


def test_takes_out_what_weights_activities_and_constants_change(monkeypatch):
    monkeypatch.setattr(module, "_TOL", 0.0)
    monkeypatch.setattr(module, "_SWEEPS", 1000)
    _, activity, weight, network = _noise(n_cells=9, n_genes=14, n_regulators=3)
    scale = np.random.default_rng(1).gamma(2, 1, 14)
    known = np.arange(9.0)[:, None] % 2
    columns = []  # of p over scale, gene after gene
    for j in range(3):
        for k in range(9):  # δz
            change = np.zeros((14, 9))
            mine = network.regulator == j
            change[network.gene[mine], k] = weight[mine] / scale[network.gene[mine]]
            columns.append(change.ravel())
    rows = [(i, activity[:, j]) for i, j in zip(network.gene, network.regulator, strict=True)]
    rows += [(i, column) for i in range(14) for column in (np.ones(9), known[:, 0])]
    for i, row in rows:  # δw
        change = np.zeros((14, 9))
        change[i] = row
        columns.append(change.ravel())
    jacobian = np.column_stack(columns)
    e = np.random.default_rng(2).standard_normal((14, 9, 2))
    flat = e.reshape(-1, 2)
    expected = flat - jacobian @ np.linalg.lstsq(jacobian, flat, rcond=1e-10)[0]
    fitted = module._Fitted.of(activity, weight, network, scale, known)
    np.testing.assert_allclose(fitted.take_out(e).reshape(-1, 2), expected, atol=0.01)


def test_finds_none_where_there_are_none():
    shapes = [
        (60, 150, 15, 0.1),
        (12, 200, 20, 0.05),
        (80, 100, 25, 0.08),
        (60, 80, 30, 0.05),
        (30, 120, 40, 0.05),
    ]  # loads of 7 down to 2.5
    found = []
    for seed in range(40):
        noise = 0.2 if seed % 2 else 2.0
        x, network, _ = _data(seed, *shapes[seed % 5], noise)
        # what noise leaves is there long before a fit of small noise ends
        found.append(unexplained(*_fit(x, network, max_iter=60)).n_programmes)
    # no more than 5 % of data sets may have any: more than this many would with a chance of 1 %
    assert np.count_nonzero(found) <= stats.binom.ppf(0.99, 40, 0.05)


@pytest.mark.parametrize("kind", ["outliers", "cells"])
def test_heavy_tails_and_noisy_cells_are_no_programmes(kind):
    rng, found = np.random.default_rng(0), []
    for seed in range(10):
        noise, *rest = _noise(seed, n_cells=150, n_genes=100)
        if kind == "outliers":
            noise = rng.standard_t(2.5, noise.shape)
        else:
            noise = noise * np.exp(0.7 * rng.standard_normal((150, 1)))
        found.append(unexplained(noise, *rest).n_programmes)
    assert np.count_nonzero(found) <= stats.binom.ppf(0.99, 10, 0.05)


@pytest.mark.parametrize("n_programmes", [1, 5, 10])
def test_finds_those_that_there_are(n_programmes):
    x, network, value = _data(3, 200, 400, 40, 0.05, 1.0, n_programmes=n_programmes, loading=0.2)
    residual, *rest = _fit(x, network)
    found = unexplained(residual, *rest)
    assert found.n_programmes == n_programmes
    # values span those of the truth
    on = np.column_stack([np.ones(200), found.values])
    left = value - on @ np.linalg.lstsq(on, value, rcond=None)[0]
    assert (left.var(0) / value.var(0)).max() < 0.1
    np.testing.assert_allclose(np.square(found.values).mean(0), 1, rtol=1e-5)
    np.testing.assert_allclose(np.square(found.singular_values).sum(), 1, rtol=1e-6)
    np.testing.assert_allclose(found.singular_values[:n_programmes] ** 2, found.share)
    assert (
        found.singular_values[n_programmes] < found.chance < found.singular_values[n_programmes - 1]
    )
    # what programmes take out of the residuals of a gene is their share of them
    scale, (activity, weight, edges) = residual.std(0), rest
    fitted = module._Fitted.of(activity, weight, edges, scale, None)
    before = fitted.take_out((residual / scale).T[:, :, None])[:, :, 0].T * scale
    after = before - found.values @ found.loadings.T
    share = 1 - np.square(after).sum(0) / np.square(before).sum(0)
    np.testing.assert_allclose(found.gene_share.sum(1), share, atol=1e-3)


def test_the_fewest_free_factors_that_leave_nothing_are_as_many_as_there_are_programmes():
    x, network, _ = _data(0, 200, 300, 30, 0.05, 1.0, n_programmes=4, loading=1.0)
    left = {n: unexplained(*_fit(x, network, n_free=n)).n_programmes for n in (0, 3, 4, 6)}
    assert left[0] >= 4
    assert left[3] >= 1
    assert left[4] == left[6] == 0


def test_what_other_weights_and_activities_would_explain_is_no_programme():
    noise, activity, weight, network = _noise(4)
    rng = np.random.default_rng(5)
    decoder, change = np.zeros((2, 50, 6))
    decoder[network.gene, network.regulator] = weight
    change[network.gene, network.regulator] = 3 * rng.normal(size=network.n_edges)
    more = (
        activity @ change.T + 3 * rng.normal(size=activity.shape) @ decoder.T + rng.normal(size=50)
    )
    rest, scale = (activity, weight, network), noise.std(0)
    expected = unexplained(noise, *rest, scale=scale)
    found = unexplained(noise + more, *rest, scale=scale)
    assert found.n_programmes == 0
    np.testing.assert_allclose(found.singular_values, expected.singular_values, atol=0.01)


def _with_programme(seed):
    noise, *rest = _noise(seed)
    rng = np.random.default_rng(seed)
    return noise + 2 * np.outer(rng.normal(size=60), rng.normal(size=50)) * noise.std(0), *rest


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 50), st.integers(0, 49), st.floats(1e-3, 1e3))
def test_unit_of_a_gene_does_not_matter(seed, gene, unit):
    residual, activity, weight, network = _with_programme(seed)
    factor = np.ones(50)
    factor[gene] = unit
    one = unexplained(residual, activity, weight, network)
    other = unexplained(residual * factor, activity, weight * factor[network.gene], network)
    assert one.n_programmes == other.n_programmes == 1
    np.testing.assert_allclose(other.share, one.share, rtol=1e-4)
    np.testing.assert_allclose(other.chance, one.chance, rtol=1e-4)
    np.testing.assert_allclose(
        other.loadings / factor[:, None], one.loadings, atol=1e-3 * np.abs(one.loadings).max()
    )


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 50))
def test_order_of_cells_and_genes_does_not_matter(seed):
    residual, activity, weight, network = _with_programme(seed)
    rng = np.random.default_rng(seed)
    cells, genes = rng.permutation(60), rng.permutation(50)
    decoder = np.full((50, 6), np.nan)
    decoder[network.gene, network.regulator] = weight
    decoder = decoder[genes]
    gene, regulator = np.nonzero(~np.isnan(decoder))
    again = Network.from_edges(gene, regulator, np.zeros(len(gene)), 50, 6)
    one = unexplained(residual, activity, weight, network)
    other = unexplained(
        residual[np.ix_(cells, genes)], activity[cells], decoder[gene, regulator], again
    )
    assert one.n_programmes == other.n_programmes == 1
    np.testing.assert_allclose(other.singular_values, one.singular_values, atol=1e-4)
    np.testing.assert_allclose(other.loadings, one.loadings[genes], atol=1e-3)
    np.testing.assert_allclose(other.values, one.values[cells], atol=1e-3)


@pytest.mark.parametrize("n_cells", [1, 2, 3, 6])
def test_nothing_is_found_where_nothing_is_left(n_cells):
    noise, activity, weight, network = _noise(n_cells=n_cells, n_regulators=50)
    found = unexplained(noise, activity, weight, network)
    assert found.n_programmes == 0
    assert found.loadings.shape == (50, 0)
    assert found.values.shape == (n_cells, 0)
    assert found.total_share == 0


def test_constant_genes_and_regulators_without_targets_are_left_alone():
    residual, activity, weight, network = _with_programme(0)
    residual, weight = residual.copy(), weight.copy()
    residual[:, 7] = 0.0
    weight[network.regulator == 2] = 0.0
    found = unexplained(residual, activity, weight, network)
    assert found.n_programmes == 1
    assert max(abs(found.loadings[7, 0]), found.gene_share[7, 0]) < 1e-12
    assert np.isfinite(found.loadings).all()
