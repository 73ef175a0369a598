"""Network component analysis: each step against least squares, and the whole against known components."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest

import grnrep as gr
from grnrep.core.network import Network
from grnrep.validation import nca_activity
from grnrep.validation.regulation.nca import activities, dense, fit_nca, weights


def problem(seed=0, n_cells=40, n_genes=30, m=4, noise=0.0):
    """Centred data of a network in which every regulator has targets of its own."""
    rng = np.random.default_rng(seed)
    mask = rng.random((n_genes, m)) < 0.3
    mask[np.arange(2 * m), np.tile(np.arange(m), 2)] = True
    mask[: 2 * m] &= np.eye(m, dtype=bool)[np.tile(np.arange(m), 2)]
    gene, regulator = np.nonzero(mask)
    weight = rng.choice([-1.0, 1.0], len(gene)) * rng.uniform(0.5, 2, len(gene))
    network = Network.from_edges(gene, regulator, np.sign(weight), n_genes, m)
    z = rng.normal(size=(n_cells, m))
    z -= z.mean(0)
    x = z @ dense(weight, network).T + noise * rng.normal(size=(n_cells, n_genes))
    return x - x.mean(0), network, weight, z


def test_cell_step_is_the_normal_equations():
    x, network, weight, _ = problem(noise=1.0)
    w = dense(weight, network)
    np.testing.assert_allclose(
        activities(x, weight, network), np.linalg.solve(w.T @ w, w.T @ x.T).T, atol=1e-10
    )


def test_gene_step_is_least_squares_of_every_gene():
    x, network, _, z = problem(noise=1.0)
    found = dense(weights(x, z, network), network)
    for gene in range(network.n_genes):
        own = network.regulator[network.gene == gene]
        np.testing.assert_allclose(
            found[gene, own], np.linalg.lstsq(z[:, own], x[:, gene])[0], atol=1e-10
        )
        assert not np.delete(found[gene], own).any()


def test_every_iteration_lowers_the_error():
    x, network, *_ = problem(noise=1.0)
    history = fit_nca(x, network).history
    assert len(history) > 2
    assert np.all(np.diff(history) <= 1e-9 * history[0])


def test_what_it_finds_cannot_be_improved_by_either_step():
    x, network, *_ = problem(noise=0.3)
    fit = fit_nca(x, network)
    assert fit.converged
    error = np.square(x - fit.activity @ dense(fit.weight, network).T).sum()
    again = weights(x, fit.activity, network)
    np.testing.assert_allclose(
        np.square(x - fit.activity @ dense(again, network).T).sum(), error, rtol=1e-4
    )


def test_without_noise_it_finds_components_up_to_scale():
    """The network satisfies the identifiability conditions of Liao et al."""
    x, network, weight, z = problem()
    fit = fit_nca(x, network)
    assert fit.history[-1] < 1e-3 * np.square(x).sum()
    for j in range(network.n_regulators):
        assert np.corrcoef(fit.activity[:, j], z[:, j])[0, 1] > 0.999
        own = network.regulator == j
        assert np.corrcoef(fit.weight[own], weight[own])[0, 1] > 0.999


def as_tables(x, network):
    names = {
        "gene": [f"g{i:02d}" for i in range(network.n_genes)],
        "source": [f"R{j}" for j in range(network.n_regulators)],
    }
    adata = anndata.AnnData(
        pd.DataFrame(x, index=[f"c{k:02d}" for k in range(len(x))], columns=names["gene"])
    )
    net = pd.DataFrame(
        {
            "source": [names["source"][j] for j in network.regulator],
            "target": [names["gene"][i] for i in network.gene],
            "weight": network.sign,
        }
    )
    return adata, net


def test_table_follows_names():
    x, network, _, z = problem(noise=0.2)
    adata, net = as_tables(x, network)
    table = nca_activity(adata, net)
    assert list(table.columns) == ["R0", "R1", "R2", "R3"]
    order = np.random.default_rng(0).permutation(len(x))
    other = nca_activity(adata[order, ::-1].copy(), net.iloc[::-1])
    pd.testing.assert_frame_equal(other.loc[table.index], table, rtol=1e-6)
    assert (
        table.corrwith(pd.DataFrame(z, index=adata.obs_names, columns=table.columns)) > 0.98
    ).all()


def test_shift_of_a_gene_changes_nothing():
    x, network, *_ = problem(noise=0.2)
    adata, net = as_tables(x, network)
    before = nca_activity(adata, net)
    adata.X = adata.X + np.linspace(0, 3, adata.n_vars)
    pd.testing.assert_frame_equal(nca_activity(adata, net), before, atol=1e-4)


def test_agrees_with_the_exact_solver_where_the_load_is_high():
    adata, net = gr.ds.simulate(n_obs=150, n_vars=120, n_regulators=8, noise_sd=0.1, rng=0)
    adata.X = adata.X + 1e-3  # no zeros, and so nothing censored for either
    exact = gr.tl.fit(
        adata, net, likelihood="gaussian", sign_shrinkage=0.0, ridge=1e-4, progress=False, copy=True
    )
    assert (nca_activity(adata, net).corrwith(exact.obsm["grnrep"]) > 0.95).all()


def test_regulators_with_the_same_targets_share():
    """Nothing tells them apart: they come out finite and equal."""
    rng = np.random.default_rng(0)
    adata = anndata.AnnData(
        pd.DataFrame(
            rng.normal(size=(20, 4)), index=[f"c{k}" for k in range(20)], columns=list("abcd")
        )
    )
    net = pd.DataFrame([(s, t) for s in "PQ" for t in "abcd"], columns=["source", "target"])
    table = nca_activity(adata, net)
    assert np.isfinite(table.to_numpy()).all()
    np.testing.assert_allclose(table["P"], table["Q"], atol=1e-8)


def test_refuses():
    x, network, *_ = problem()
    adata, net = as_tables(x, network)
    with pytest.raises(ValueError, match="max_iter must be at least 1; found 0"):
        nca_activity(adata, net, max_iter=0)
    with pytest.raises(ValueError, match=r"at least 2 cell\(s\)"):
        nca_activity(adata[:1].copy(), net)
