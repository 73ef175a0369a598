"""Score tests, standard errors and refined weights against regression and a general optimiser."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from grnrep.core.fitted import Fit
from grnrep.core.network import Network
from grnrep.core.scores import edge_scores


def network_of(mask):
    gene, regulator = np.nonzero(mask)
    return Network.from_edges(gene, regulator, np.zeros(len(gene)), *mask.shape)


def residuals(y, columns):
    return y - columns @ np.linalg.lstsq(columns, y, rcond=None)[0] if columns.shape[1] else y


def problem(seed=0, n_cells=400, n_genes=8, m=5, noise=0.3, shift=0.0):
    """Censored expression of genes whose network lacks edges and has false ones, and true activities."""
    rng = np.random.default_rng(seed)
    z = rng.gamma(1.0, size=(n_cells, m))
    w = np.where(rng.random((n_genes, m)) < 0.6, rng.uniform(-1, 1, (n_genes, m)), 0.0)
    x = np.maximum(z @ w.T + shift + noise * rng.normal(size=(n_cells, n_genes)), 0)
    mask = (w != 0) ^ (rng.random(w.shape) < 0.2)
    mask[:, 0] = True
    mask[0] = [True, True, False, False, True]
    return x, z, mask, rng.normal(size=mask.sum())


@pytest.mark.parametrize("intercept", [False, True])
def test_scores_equal_regression_of_residuals_where_nothing_is_censored(intercept):
    rng = np.random.default_rng(0)
    mask = rng.random((6, 5)) < 0.5
    mask[:, 0], mask[:, 4], mask[5] = True, False, False  # the last gene has no regulator
    z = rng.normal(size=(400, 5)) + 0.5
    x = rng.normal(size=(400, 6)) + 0.3 * z[:, 4:]
    network = network_of(mask)
    fit = Fit(rng.normal(size=network.n_edges), np.zeros(6) if intercept else None, z)
    scores = edge_scores(x, fit, network, likelihood="gaussian")
    ones = np.ones((400, int(intercept)))
    own = [np.hstack([z[:, row], ones]) for row in mask]
    left = [residuals(x[:, i], own[i]) for i in range(6)]
    dof = np.array([400 * (1 - 5 / 6) - o.shape[1] for o in own])
    np.testing.assert_allclose(scores.dof, dof)
    raw = np.array([r @ r for r in left]) / dof
    variance = (dof * raw + 4 * np.sort(raw)[2]) / (dof + 4)
    for i in range(6):
        edges = slice(network.indptr[i], network.indptr[i + 1])
        weight = np.linalg.lstsq(own[i], x[:, i], rcond=None)[0][: mask[i].sum()]
        # a weak ridge
        np.testing.assert_allclose(scores.refined[edges], weight, rtol=1e-3, atol=1e-4)
        expected = np.sqrt(variance[i] * np.linalg.inv(own[i].T @ own[i]).diagonal())[
            : mask[i].sum()
        ]
        np.testing.assert_allclose(scores.std_err[edges], expected, rtol=1e-4)
        for j in np.flatnonzero(~mask[i]):
            beyond = residuals(z[:, j], own[i])
            step = (left[i] @ beyond) / (beyond @ beyond)
            assert scores.weight[i, j] == pytest.approx(step, rel=1e-3, abs=1e-4)
            t = step / np.sqrt(variance[i] / (beyond @ beyond))
            assert scores.add[i, j] == pytest.approx(t, rel=1e-3, abs=1e-2)


@pytest.mark.parametrize("shift", [0.0, -2.0])
def test_refined_weights_are_the_optimum_of_the_censored_loss(shift):
    x, z, mask, start = problem(shift=shift)
    network = network_of(mask)
    scores = edge_scores(x, Fit(start, None, z), network)

    def loss(w, i):
        r = x[:, i] - z[:, mask[i]] @ w
        return (np.where(x[:, i] > 0, r, np.minimum(r, 0)) ** 2).sum()

    seen = (x > 0).sum(0)
    assert (seen > 30).any()
    for i in np.flatnonzero(seen > 30):
        w = scores.refined[network.indptr[i] : network.indptr[i + 1]]
        best = minimize(loss, w, args=(i,), options={"gtol": 1e-8})
        assert loss(w, i) <= best.fun * (1 + 1e-3) + 1e-9
        assert loss(w, i) <= loss(start[network.indptr[i] : network.indptr[i + 1]], i)


def test_only_cells_above_zero_are_evidence_on_precision():
    x, z, mask, start = problem(1)
    network = network_of(mask)
    scores = edge_scores(x, Fit(start, None, z), network)
    ratio = []
    for i in range(len(mask)):
        seen = x[:, i] > 0
        if seen.sum() < 60:
            continue
        own = z[seen][:, mask[i]]
        edges = slice(network.indptr[i], network.indptr[i + 1])
        wald = np.sqrt(np.linalg.inv(own.T @ own).diagonal())
        ratio.append(scores.std_err[edges] / wald)  # the same noise for all edges of a gene
        for j in np.flatnonzero(~mask[i]):
            beyond = residuals(z[seen, j], own)
            assert scores.weight[i, j] / scores.add[i, j] == pytest.approx(
                ratio[-1][0] / np.sqrt(beyond @ beyond), rel=1e-6
            )
    assert len(ratio) > 3
    for values in ratio:
        np.testing.assert_allclose(values, values[0], rtol=1e-6)


def test_genes_that_are_hardly_ever_seen_are_not_judged():
    x, z, mask, start = problem(2)
    x[:, 0] = 0
    x[4:, 1] = 0
    network = network_of(mask)
    scores = edge_scores(x, Fit(start, None, z), network)
    silent = np.isin(network.gene, [0, 1])
    assert np.isnan(scores.std_err[silent]).all()
    often = np.flatnonzero((x > 0).sum(0) > 60)
    assert len(often) > 3
    assert (scores.std_err[np.isin(network.gene, often)] > 0).all()
    assert (scores.add[:2] == 0).all()
    assert (np.abs(scores.add[often][~mask[often]]) > 0).all()
    assert np.isfinite(scores.refined).all()


def test_false_pairs_have_t_statistics_of_size_one():
    rng = np.random.default_rng(3)
    z = rng.gamma(1.0, size=(500, 12))
    mask = rng.random((200, 12)) < 0.3
    x = np.maximum(
        z @ (mask * rng.uniform(-1, 1, mask.shape)).T + 0.2 * rng.normal(size=(500, 200)), 0
    )
    scores = edge_scores(x, Fit(np.zeros(mask.sum()), None, z), network_of(mask))
    # values just above zero are not normal around their prediction
    often = ((x > 0).sum(0) > 400)[:, None]
    assert 0.9 < np.median(np.abs(scores.add[~mask & often])) / 0.6745 < 1.2


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_order_of_genes_and_cells_and_dtype_do_not_matter(dtype):
    x, z, mask, start = problem(4)
    scores = edge_scores(x, Fit(start, None, z), network_of(mask))
    rng = np.random.default_rng(0)
    genes, cells = rng.permutation(len(mask)), rng.permutation(len(x))
    weight = np.zeros(mask.shape)
    weight[mask] = start
    fit = Fit(weight[genes][mask[genes]], None, z[cells])
    threads = torch.get_num_threads()
    other = edge_scores(x[np.ix_(cells, genes)].astype(dtype), fit, network_of(mask[genes]))
    assert torch.get_num_threads() == threads
    np.testing.assert_allclose(other.add, scores.add[genes], rtol=1e-4, atol=1e-4)
    refined = np.zeros(mask.shape)
    refined[mask] = scores.refined
    np.testing.assert_allclose(other.refined, refined[genes][mask[genes]], rtol=1e-4, atol=1e-5)
