"""The choice of the ridge, against activities that are known."""

from dataclasses import replace

import numpy as np
import pytest

import grnrep as gr
from grnrep._match import match
from grnrep.core.als.fit import fit_decoder
from grnrep.core.als.project import project
from grnrep.core.choose.ridge import RIDGES, choose_ridge
from grnrep.core.network import Network


def problem(seed, *, noise, n_cells, n_genes=200, m=20):
    rng = np.random.default_rng(seed)
    mask = rng.random((n_genes, m)) < 0.15
    w = mask * rng.uniform(-1, 1, mask.shape)
    z = rng.gamma(1.0, size=(n_cells, m))
    x = np.maximum(z @ w.T + noise * rng.normal(size=(n_cells, n_genes)), 0)
    gene, regulator = np.nonzero(mask)
    return x, Network.from_edges(gene, regulator, np.zeros(len(gene)), n_genes, m), z


def correlation(a, b):
    a, b = a - a.mean(0), b - b.mean(0)
    return np.abs((a * b).sum(0) / np.sqrt((a**2).sum(0) * (b**2).sum(0))).mean()


def recovery(x, network, z, ridge):
    return correlation(fit_decoder(x, network, ridge=ridge).activity, z)


@pytest.mark.parametrize("seed", range(3))
def test_noise_asks_for_shrinkage_and_clear_data_do_not(seed):
    clear, network, _ = problem(seed, noise=0.0, n_cells=200)
    assert choose_ridge(clear, network) == RIDGES[-1]
    noisy, network, z = problem(seed, noise=2.0, n_cells=60)
    chosen = choose_ridge(noisy, network)
    assert chosen >= 0.003
    assert recovery(noisy, network, z, chosen) > recovery(noisy, network, z, RIDGES[-1]) + 0.05


@pytest.mark.parametrize(("times", "share"), [(4, 0.5), (30, 0.3)])
def test_falls_with_the_root_of_the_cells_beyond_those_tried_by_one_step_at_most(times, share):
    x, network, _ = problem(0, noise=3.0, n_cells=200)
    repeated = np.tile(x, (times, 1))  # any 200 of these are as noisy as those
    chosen = choose_ridge(repeated, network)
    assert chosen in [max(RIDGES[-1], ridge * share) for ridge in RIDGES]


def test_recovery_does_not_fall_with_the_number_of_cells():
    """Under much noise inside the ReLU, whose bias more cells do not lower."""
    found = {1000: [], 6000: []}
    for seed in (0, 2):  # at 2, the search from weak ridges meets a bump
        adata, net = gr.ds.simulate(
            6000, 200, n_regulators=20, noise_sd=2, rng=seed, progress=False
        )
        matched = match(net, adata)
        network, true = matched.network, matched.edges["weight"].to_numpy()
        unsigned = replace(network, sign=np.zeros(network.n_edges))
        x, z = (
            np.asarray(adata.X[:, matched.columns]),
            adata.obsm["true_activity"][matched.regulators],
        )
        for n_cells, figures in found.items():
            fit = fit_decoder(x[:n_cells], unsigned, ridge=choose_ridge(x[:n_cells], unsigned))
            of = [unsigned.regulator == j for j in range(unsigned.n_regulators)]
            weights = np.mean([abs(np.corrcoef(fit.weight[j], true[j])[0, 1]) for j in of])
            activity = project(x[-500:], fit, unsigned)
            figures.append((weights, correlation(activity, z.to_numpy()[-500:])))
    few, many = (np.mean(figures, axis=0) for figures in found.values())
    assert np.all(many > few - 1e-3)


def test_same_seed_same_choice():
    x, network, _ = problem(1, noise=1.0, n_cells=50)
    assert choose_ridge(x, network, rng=5) == choose_ridge(x, network, rng=5)


@pytest.mark.parametrize("x", [np.zeros((5, 200)), np.ones((2, 200))], ids=["zeros", "ones"])
def test_data_that_say_nothing_get_the_weakest(x):
    _, network, _ = problem(0, noise=0.0, n_cells=2)
    assert choose_ridge(x, network) in RIDGES


def test_values_that_are_left_out_only_set_the_unit_of_the_ridge():
    x, network, _ = problem(2, noise=0.3, n_cells=30)
    held = np.random.default_rng(0).random(x.shape) < 0.1
    small, large = np.where(held, 0.5, x), np.where(held, 70.0, x)
    unit = np.sqrt(np.square(small).sum() / np.square(large).sum())
    options = {"without": held, "start": np.ones(network.n_edges)}
    a = fit_decoder(small, network, ridge=1e-4, **options)
    b = fit_decoder(large, network, ridge=1e-4 * unit, **options)
    assert b.history[-1] == pytest.approx(a.history[-1], rel=1e-6)
    w = np.zeros((network.n_genes, network.n_regulators))
    w[network.gene, network.regulator] = a.weight
    p = a.activity @ w.T
    r = np.where(x > 0, x - p, np.minimum(-p, 0))
    assert a.squared_error == pytest.approx((r[~held] ** 2).sum(), rel=1e-9)
