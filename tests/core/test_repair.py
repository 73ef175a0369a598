"""Repair of networks that are wrong in known places, and the score test against regression."""

import numpy as np
import pytest

from grnrep.core.exact import fit_exact
from grnrep.core.fitted import Fit
from grnrep.core.network import Network
from grnrep.core.repair import probability_false, repair_network
from grnrep.core.scores import edge_scores


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


@pytest.mark.parametrize("seed", range(3))
def test_wrong_network_is_repaired(seed):
    x, true, given, z = problem(seed, missing=0.2, false=0.2)
    repaired = repair_network(x, network_of(given), rng=seed)
    found = dense(repaired.network)
    for whole, before in ((found, given), (true, true)):  # precision, recall
        assert (found & true).sum() / whole.sum() > (given & true).sum() / before.sum() + 0.05
    added = found & ~given
    assert (added & true).sum() / added.sum() > 0.85

    def recovery(network, **start):
        a = fit_exact(x, network, rng=seed, **start).activity
        return np.abs([np.corrcoef(a[:, j], z[:, j])[0, 1] for j in range(z.shape[1])]).mean()

    assert recovery(repaired.network, start=repaired.start) > 0.95
    assert recovery(repaired.network, start=repaired.start) > recovery(network_of(given)) + 0.02


@pytest.mark.parametrize("seed", range(3))
def test_correct_network_stays(seed):
    x, true, *_ = problem(seed)
    found = dense(repair_network(x, network_of(true), rng=seed).network)
    assert (found != true).sum() <= 0.01 * true.sum()


def test_report_lists_every_edge_of_before_and_after():
    x, _, given, _ = problem(5, missing=0.2, false=0.2)
    r = repair_network(x, network_of(given))
    before, after = np.zeros_like(given), np.zeros_like(given)
    before[r.gene[r.prior], r.regulator[r.prior]] = True
    after[r.gene[r.kept], r.regulator[r.kept]] = True
    np.testing.assert_array_equal(before, given)
    np.testing.assert_array_equal(after, dense(r.network))
    assert (r.prior | r.kept).all()
    assert np.isfinite(r.fdr[r.kept]).all()
    assert np.isnan(r.fdr[~r.kept]).all()
    assert np.mean(r.std_err[r.kept] > 0) > 0.6  # NaN for genes that are hardly ever seen


def test_order_of_cells_does_not_matter():
    x, _, given, _ = problem(6, missing=0.2, false=0.2)
    a = repair_network(x, network_of(given), rng=1)
    b = repair_network(x[::-1].copy(), network_of(given), rng=1)
    assert (dense(a.network) != dense(b.network)).mean() < 2e-3


def test_scores_equal_regression_of_residuals_where_nothing_is_censored():
    rng = np.random.default_rng(0)
    mask = rng.random((6, 5)) < 0.5
    mask[:, 0], mask[:, 4] = True, False
    z = rng.normal(size=(400, 5))
    x = rng.normal(size=(400, 6))
    network = network_of(mask)
    weight = np.concatenate([np.linalg.lstsq(z[:, mask[i]], x[:, i], rcond=None)[0] for i in range(6)])
    scores = edge_scores(x, Fit(weight, None, z), network, link="identity")
    left = [
        x[:, i] - z[:, mask[i]] @ np.linalg.lstsq(z[:, mask[i]], x[:, i], rcond=None)[0] for i in range(6)
    ]
    typical = np.sort([(r**2).sum() / (400 / 6 - mask[i].sum()) for i, r in enumerate(left)])[2]
    for i in range(6):
        own = z[:, mask[i]]
        r = x[:, i] - own @ np.linalg.lstsq(own, x[:, i], rcond=None)[0]
        dof = 400 * (1 - 5 / 6) - mask[i].sum()
        variance = (r @ r + 4 * typical) / (dof + 4)
        assert scores.dof[i] == pytest.approx(dof)
        expected = np.sqrt(variance * np.linalg.inv(own.T @ own).diagonal())
        edges = slice(network.indptr[i], network.indptr[i + 1])
        np.testing.assert_allclose(scores.std_err[edges], expected, rtol=1e-6)
        for j in np.flatnonzero(~mask[i]):
            beyond = z[:, j] - own @ np.linalg.lstsq(own, z[:, j], rcond=None)[0]
            step = (r @ beyond) / (beyond @ beyond)
            assert scores.weight[i, j] == pytest.approx(step, rel=1e-6)
            assert scores.add[i, j] == pytest.approx(step / np.sqrt(variance / (beyond @ beyond)), rel=1e-6)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6])
def test_share_of_false_edges_is_found(share):
    rng = np.random.default_rng(1)
    n = 5000
    true = np.where(rng.random(n) < share, 0.0, rng.uniform(-1, 1, n))
    std_err = rng.uniform(0.02, 0.1, n)
    p = probability_false(true + std_err * rng.normal(size=n), std_err)
    assert p.mean() == pytest.approx(share, abs=0.04)
    assert p[np.abs(true) > 0.5].max(initial=0) < 0.01


def test_edges_without_standard_error_are_taken_to_be_true():
    assert probability_false(np.array([0.0, 1.0]), np.zeros(2)).tolist() == [0.0, 0.0]
