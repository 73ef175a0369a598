"""Repair of networks that are wrong in known places."""

from functools import cache

import numpy as np
import pytest

from grnrep.core.als.fit import fit_decoder
from grnrep.core.als.learn import fit_evidence
from grnrep.core.network import Network
from grnrep.core.repair import repair_network


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


def noise_of(rng, p, kind):
    """Noise of sd 1 by kind; ``p`` is what it is added to."""
    if kind == "t noise":
        return rng.standard_t(2.5, p.shape) / np.sqrt(5)
    if kind == "noise grows":
        return np.exp((p - p.mean(0)) / np.maximum(2 * p.std(0), 1e-9)) * rng.normal(size=p.shape)
    if kind == "noise per gene":
        return np.exp(rng.normal(size=p.shape[1]) - 0.5) * rng.normal(size=p.shape)
    return rng.normal(size=p.shape)


@pytest.mark.parametrize(
    "kind", ["one factor", "ten factors", "noise grows", "t noise", "noise per gene"]
)
def test_noise_as_it_is_makes_no_edges_and_takes_none(kind):
    rng = np.random.default_rng(7)
    n_cells, n_genes, m = 300, 200, 12
    true = rng.random((n_genes, m)) < 0.15
    w = true * rng.uniform(0.3, 1, true.shape) * rng.choice([-1, 1], true.shape)
    p = rng.gamma(1.0, size=(n_cells, m)) @ w.T
    n_factors = {"one factor": 1, "ten factors": 10}.get(kind, 0)
    size = 1.0 if n_factors == 1 else 0.5
    loadings = size * rng.normal(size=(n_factors, n_genes))
    x = p + rng.normal(size=(n_cells, n_factors)) @ loadings + noise_of(rng, p, kind)
    given = true & (rng.random(true.shape) >= 0.2)
    given |= ~true & (rng.random(true.shape) < 0.03)
    found = dense(repair_network(x, network_of(given), likelihood="gaussian").network)
    added, dropped, missing = found & ~given, given & ~found, true & ~given
    assert (added & ~true).sum() <= max(2, 0.08 * added.sum())
    assert (dropped & true).sum() <= 0.02 * (given & true).sum()
    assert (added & true).sum() > 0.6 * missing.sum()
    assert (dropped & ~true).sum() > 0.6 * (given & ~true).sum()


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


def test_a_fit_goes_on_from_another_one():
    x, _, given, _ = problem(3, n_cells=150, n_genes=80, m=8)
    network, options = network_of(given), {"likelihood": "tobit", "tol": 1e-4}
    whole = fit_evidence(x, network, **options)
    again = fit_evidence(x, network, start=whole, **options)
    assert len(again.history) < len(whole.history) / 2
    r = [np.corrcoef(a, b)[0, 1] for a, b in zip(whole.activity.T, again.activity.T, strict=True)]
    assert min(r) > 0.999
    np.testing.assert_allclose(
        again.likelihood.arrays()["noise_sd"], whole.likelihood.arrays()["noise_sd"], rtol=0.05
    )


@pytest.mark.parametrize("seed", range(4))
def test_regulators_that_are_turned_off_on_the_way(seed):
    """Few cells and genes: here some regulators lose all they explain, in some rounds or for good."""
    x, true, given, _ = problem(
        seed, missing=0.2, false=0.5, n_cells=60, n_genes=40, m=6, noise=0.4
    )
    repaired = repair_network(x.astype(np.float32), network_of(given), rng=seed)
    assert np.isfinite(repaired.weight).all()
    assert np.abs(repaired.weight).max() < 100
    found = dense(repaired.network)
    assert (found & true).sum() / found.sum() > (given & true).sum() / given.sum()
