"""Repair of networks that are wrong in known places."""

from functools import cache

import numpy as np
import pytest
from scipy.stats import norm
from scipy.stats import t as student

from grnrep.core.als.fit import fit_decoder
from grnrep.core.network import Network
from grnrep.core.repair import probability_false, repair_network, tail_factor


def network_of(mask):
    gene, regulator = np.nonzero(mask)
    return Network.from_edges(gene, regulator, np.zeros(len(gene)), *mask.shape)


def problem(seed, *, missing=0.0, false=0.0, n_cells=300, n_genes=200, m=20, noise=0.2):
    rng = np.random.default_rng(seed)
    true = rng.random((n_genes, m)) < 0.2
    w = true * rng.uniform(-1, 1, true.shape)
    z = rng.gamma(1.0, size=(n_cells, m))
    x = np.maximum(z @ w.T + noise * rng.normal(size=(n_cells, n_genes)), 0)
    given = true & (rng.random(true.shape) >= missing)
    given |= ~true & (rng.random(true.shape) < false * true.mean() / (1 - true.mean()))
    return x, true, given, z


def dense(network):
    out = np.zeros((network.n_genes, network.n_regulators), dtype=bool)
    out[network.gene, network.regulator] = True
    return out


@cache
def wrong(seed):
    """A problem whose network lacks edges and has false ones, and its repair."""
    x, true, given, z = problem(seed, missing=0.2, false=0.2)
    return x, true, given, z, repair_network(x, network_of(given), rng=seed)


@pytest.mark.parametrize("seed", range(3))
def test_wrong_network_is_repaired(seed):
    x, true, given, z, repaired = wrong(seed)
    found = dense(repaired.network)
    for whole, before in ((found, given), (true, true)):  # precision, recall
        assert (found & true).sum() / whole.sum() > (given & true).sum() / before.sum() + 0.05
    added = found & ~given
    assert (added & true).sum() / added.sum() > 0.85

    def recovery(network, **start):
        a = fit_decoder(x, network, rng=seed, **start).activity
        return np.abs([np.corrcoef(a[:, j], z[:, j])[0, 1] for j in range(z.shape[1])]).mean()

    assert recovery(repaired.network, start=repaired.start_weight) > 0.95
    assert (
        recovery(repaired.network, start=repaired.start_weight) > recovery(network_of(given)) + 0.02
    )


@pytest.mark.parametrize("seed", range(3))
def test_correct_network_stays(seed):
    x, true, *_ = problem(seed)
    found = dense(repair_network(x, network_of(true), rng=seed).network)
    assert (found != true).sum() <= 0.01 * true.sum()


def test_report_lists_every_edge_of_before_and_after():
    _, _, given, _, r = wrong(0)
    before, after = np.zeros_like(given), np.zeros_like(given)
    before[r.gene[r.prior], r.regulator[r.prior]] = True
    after[r.gene[r.kept], r.regulator[r.kept]] = True
    np.testing.assert_array_equal(before, given)
    np.testing.assert_array_equal(after, dense(r.network))
    assert (r.prior | r.kept).all()
    assert np.isfinite(r.fdr[r.kept]).all()
    assert np.isnan(r.fdr[~r.kept]).all()
    assert np.mean(r.std_err[r.kept] > 0) > 0.8  # NaN for genes that are hardly ever seen


def test_order_of_cells_does_not_matter():
    x, _, given, _, a = wrong(1)
    b = repair_network(x[::-1].copy(), network_of(given), rng=1)
    assert (dense(a.network) != dense(b.network)).mean() < 2e-3


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6])
def test_share_of_false_edges_is_found(share):
    rng = np.random.default_rng(1)
    n = 5000
    true = np.where(rng.random(n) < share, 0.0, rng.uniform(-1, 1, n))
    std_err = rng.uniform(0.02, 0.1, n)
    p = probability_false(true + std_err * rng.normal(size=n), std_err)
    assert p.mean() == pytest.approx(share, abs=0.04)
    assert p[np.abs(true) > 0.5].max(initial=0) < 0.01


def test_edges_without_standard_error_are_as_likely_false_as_any_other():
    rng = np.random.default_rng(2)
    true = np.where(np.arange(2000) < 600, 0.0, rng.uniform(-1, 1, 2000))
    weight, std_err = true + 0.05 * rng.normal(size=2000), np.full(2000, 0.05)
    known = probability_false(weight, std_err)
    with_unknown = probability_false(
        np.append(weight, [0.0, 5.0]), np.append(std_err, [np.nan, np.nan])
    )
    np.testing.assert_array_equal(with_unknown[:-2], known)
    np.testing.assert_allclose(with_unknown[-2:], known.mean(), rtol=1e-4)
    assert probability_false(np.array([0.0, 1.0]), np.zeros(2)).tolist() == [0.0, 0.0]


def test_estimates_without_information_do_not_mislead():
    rng = np.random.default_rng(3)
    true = np.where(np.arange(3000) < 900, 0.0, rng.normal(size=3000))
    std_err = np.where(np.arange(3000) % 3 == 0, 1e4, 0.05)
    p = probability_false(true + std_err * rng.normal(size=3000), std_err)
    assert p[std_err > 1].mean() == pytest.approx(0.3, abs=0.04)
    assert p[std_err < 1].mean() == pytest.approx(0.3, abs=0.04)


def test_few_degrees_of_freedom_weaken_a_t_statistic():
    t = np.array([0.0, 1.0, 4.0, 300.0])
    heavier = tail_factor(t, np.array([5.0, 5.0, 5.0, 400.0]))
    assert (heavier >= 1).all()
    expected = t[1:3] / norm.isf(student.sf(t[1:3], 5))
    np.testing.assert_allclose(heavier[1:3], expected, rtol=1e-9)
    np.testing.assert_allclose(tail_factor(t[1:3], np.full(2, 1e7)), 1.0, rtol=1e-4)


def test_stated_share_of_false_edges_holds():
    """Genes that are mostly zero included: an edge that cannot be judged counts with its share."""
    stated, false, kept, silent = 0.0, 0, 0, 0
    for seed in range(4):
        _, true, _, _, r = wrong(seed)
        own = r.kept & r.prior
        assert r.fdr[r.kept].max() <= 0.05
        stated += r.fdr[own].max() * own.sum()
        false += (~true[r.gene[own], r.regulator[own]]).sum()
        kept += own.sum()
        silent += (own & np.isnan(r.std_err)).sum()
    assert silent > 0
    assert false / kept == pytest.approx(stated / kept, abs=0.02)
    assert false / kept < 0.05


def test_edges_that_cannot_be_judged_stay_as_long_as_few_are_false():
    x, true, given, _ = problem(14, false=0.6)
    x[:, :60] = 0
    r = repair_network(x, network_of(given))
    silent, own = r.gene < 60, r.kept & r.prior
    assert np.isnan(r.std_err[silent]).all()
    assert own[silent].sum() < 0.5 * silent.sum()
    assert r.fdr[own & silent].min(initial=1) >= r.fdr[own & ~silent].max() - 0.01
    assert true[r.gene[own], r.regulator[own]].mean() > 0.94
    assert own[~silent].sum() > 0.7 * (true & given)[60:].sum()
    r = repair_network(x, network_of(true))  # in a correct network nothing speaks against them
    assert r.kept[r.gene < 60].all()
