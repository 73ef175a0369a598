"""Data sets with noise of other kinds: what is said of them is what is in them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from grnrep.validation import simulate_regime
from grnrep.validation.regulation.regimes import (
    N_PROGRAMMES,
    REGIMES,
    T_FREEDOM,
    WRONG_EDGES,
)

SMALL = {"n_obs": 80, "n_vars": 150, "n_regulators": 12, "connectivity": 0.1}
WRONG = "wrong edges and programmes"
WITH_PROGRAMMES = [name for name, regime in REGIMES.items() if regime.loading_sd > 0]
LINEAR = [name for name, regime in REGIMES.items() if not regime.relu]


def true_edges(adata):
    """Signs of the true edges by source and target."""
    weight = pd.DataFrame(
        adata.varm["true_weight"].toarray(),
        index=adata.var_names.rename("target"),
        columns=adata.obsm["true_activity"].columns.rename("source"),
    )
    edges = weight.T.stack()
    return np.sign(edges[edges != 0])


def known_edges(net):
    return net.set_index(["source", "target"])["weight"]


def what_is_said(adata):
    """Expression without noise and before any cut, from the truth that is kept."""
    p = adata.obsm["true_activity"].to_numpy() @ adata.varm["true_weight"].toarray().T
    if "true_programmes" in adata.obsm:
        p += adata.obsm["true_programmes"].to_numpy() @ adata.varm["true_loadings"].to_numpy().T
    return p


@pytest.mark.parametrize("name", REGIMES)
def test_shapes_and_names(name):
    adata, net = simulate_regime(name, **SMALL)
    assert adata.shape == (80, 150)
    assert adata.X.dtype == np.float32
    assert [adata.obs_names[0], adata.var_names[-1]] == ["cell_0001", "gene_0150"]
    activity = adata.obsm["true_activity"]
    assert list(activity.columns) == [f"TF_{j:03d}" for j in range(1, 13)]
    assert adata.varm["true_weight"].shape == (150, 12)
    assert list(net.columns) == ["source", "target", "weight"]
    assert not net.duplicated(["source", "target"]).any()
    assert set(net["weight"]) == {-1.0, 1.0}
    assert set(net["target"]) <= set(adata.var_names)
    assert set(net["source"]) == set(activity.columns)
    strength = np.abs(adata.varm["true_weight"].data)
    assert strength.min() >= 0.2
    assert strength.max() <= 1.0
    has_programmes = name in WITH_PROGRAMMES
    assert ("true_programmes" in adata.obsm) == ("true_loadings" in adata.varm) == has_programmes
    if has_programmes:
        assert adata.obsm["true_programmes"].shape == (80, N_PROGRAMMES)


@pytest.mark.parametrize("name", REGIMES)
def test_a_seed_is_a_data_set(name):
    (one, net), (two, same), (other, _) = (
        simulate_regime(name, **SMALL, rng=rng) for rng in (3, np.random.default_rng(3), 4)
    )
    np.testing.assert_array_equal(one.X, two.X)
    pd.testing.assert_frame_equal(net, same)
    pd.testing.assert_series_equal(one.var["noise_sd"], two.var["noise_sd"])
    assert not np.isclose(one.X, other.X).all(axis=0).any()


def test_a_generator_goes_on():
    rng = np.random.default_rng(0)
    first, second = (simulate_regime("equal noise", **SMALL, rng=rng)[0] for _ in range(2))
    assert not np.isclose(first.X, second.X).all(axis=0).any()


def test_regimes_of_one_seed_share_activities_and_weights():
    sets = [simulate_regime(name, **SMALL, rng=1)[0] for name in REGIMES]
    for adata in sets[1:]:
        pd.testing.assert_frame_equal(adata.obsm["true_activity"], sets[0].obsm["true_activity"])
        assert (adata.varm["true_weight"] != sets[0].varm["true_weight"]).nnz == 0


@pytest.mark.parametrize("name", LINEAR)
def test_more_cells_begin_with_the_same(name):
    few, net = simulate_regime(name, **SMALL)
    more, same = simulate_regime(name, **(SMALL | {"n_obs": 130}))
    np.testing.assert_allclose(more.X[:80], few.X, rtol=1e-6)
    pd.testing.assert_frame_equal(net, same)


@pytest.mark.parametrize("name", [name for name in LINEAR if not REGIMES[name].heavy_tails])
def test_noise_is_as_large_as_it_is_said_to_be(name):
    """In every gene, and independent of what explains expression.

    The mean square of n values of variance 1 is chi-square / n, with standard deviation sqrt(2 / n): one
    of 300 genes is farther than 5 of these from 1 with probability 3e-4.
    """
    n = 2000
    adata, _ = simulate_regime(name, n_obs=n, n_vars=300, n_regulators=20)
    unit = (adata.X - what_is_said(adata)) / adata.var["noise_sd"].to_numpy()
    assert np.abs((unit**2).mean(axis=0) - 1).max() < 5 * np.sqrt(2 / n)
    assert np.abs(unit.mean(axis=0)).max() < 5 / np.sqrt(n)
    other = adata.obsm["true_activity"].to_numpy() - 1
    assert np.abs(other.T @ unit / n).max() < 5.5 / np.sqrt(n)  # 6,000 products of variance 1 / n


def test_tails_are_those_of_t_with_variance_one():
    """Share beyond one half and beyond 3, against the distribution itself: a sample's variance says little."""
    from scipy import stats

    adata, _ = simulate_regime("t noise", n_obs=1000, n_vars=200, n_regulators=10)
    noise = adata.X - what_is_said(adata)
    for cut in (0.5, 3.0, 10.0):
        # t with f degrees of freedom has variance f / (f - 2) = 5
        share = 2 * stats.t.sf(cut * np.sqrt(5), T_FREEDOM)
        error = np.sqrt(share * (1 - share) / noise.size)
        assert abs((np.abs(noise) > cut).mean() - share) < 4 * error
    assert (adata.var["noise_sd"] == 1).all()


@pytest.mark.parametrize("name", REGIMES)
def test_noise_over_genes_is_log_normal_of_a_stated_mean(name):
    """log σ is normal with standard deviation s and mean log(mean) - s² / 2, so that σ has that mean."""
    regime, n = REGIMES[name], 4000
    log = np.log(simulate_regime(name, n_obs=2, n_vars=n, n_regulators=3)[0].var["noise_sd"])
    s = regime.noise_spread
    assert abs(log.mean() - (np.log(regime.noise_mean) - s**2 / 2)) <= 4 * s / np.sqrt(n) + 1e-12
    assert abs(log.std() - s) <= 4 * s / np.sqrt(2 * n) + 1e-12


@pytest.mark.parametrize("name", WITH_PROGRAMMES)
def test_programmes_have_the_variance_that_is_said(name):
    """Ten standard normal programmes with loadings of sd v add 10 v² to the variance of a gene on average."""
    n_obs, n_vars = 1000, 2000
    adata, _ = simulate_regime(name, n_obs=n_obs, n_vars=n_vars, n_regulators=5)
    programmes, loadings = adata.obsm["true_programmes"], adata.varm["true_loadings"]
    assert list(programmes.columns) == list(loadings.columns)
    sd = REGIMES[name].loading_sd
    # mean square of k normal values: standard deviation sqrt(2 / k)
    for values, scale in ((programmes.to_numpy(), 1.0), (loadings.to_numpy(), sd)):
        assert abs((values**2).mean() / scale**2 - 1) < 4 * np.sqrt(2 / values.size)
    variance = (programmes.to_numpy() @ loadings.to_numpy().T).var(axis=0).mean()
    # squared norms of programmes and loadings each vary, and so does what two programmes share by chance
    error = np.sqrt(2 / (N_PROGRAMMES * n_obs) + 2 / (N_PROGRAMMES * n_vars) + 1 / n_obs)
    assert abs(variance / (N_PROGRAMMES * sd**2) - 1) < 4 * error


def test_activities_are_gamma_of_mean_and_variance_one():
    activity = simulate_regime("equal noise", n_obs=5000, n_vars=30, n_regulators=40)[0].obsm
    z = activity["true_activity"].to_numpy()
    assert z.min() >= 0
    assert abs(z.mean() - 1) < 4 / np.sqrt(z.size)
    # fourth central moment of an exponential variable is 9: its squared deviation has variance 8
    assert abs(z.var() - 1) < 4 * np.sqrt(8 / z.size)


def test_a_fifth_of_the_edges_is_missing_and_as_many_are_false():
    adata, net = simulate_regime(WRONG, n_obs=10)
    true, known = true_edges(adata), known_edges(net)
    both, n_wrong = known.index.intersection(true.index), round(WRONG_EDGES * len(true))
    assert len(known) == len(true)
    assert len(true) - len(both) == n_wrong
    assert (known[both] == true[both]).all()
    false = known.drop(both)
    assert len(false) == n_wrong
    assert abs((false > 0).mean() - 0.5) < 4 * 0.5 / np.sqrt(n_wrong)
    # anywhere: a regulator's share of false edges is binomial over the pairs that are free
    per_regulator = false.groupby("source").size().reindex(true.index.levels[0], fill_value=0)
    assert per_regulator.max() < n_wrong / 100 + 5 * np.sqrt(n_wrong / 100)


@pytest.mark.parametrize("name", [name for name in REGIMES if name != WRONG])
def test_elsewhere_the_network_is_the_true_one(name):
    adata, net = simulate_regime(name, **SMALL)
    pd.testing.assert_series_equal(
        known_edges(net).sort_index(), true_edges(adata).sort_index(), check_names=False
    )


def test_edges_are_bernoulli_of_both_signs():
    true = true_edges(simulate_regime("equal noise", n_obs=2)[0])
    n_pairs = 1000 * 100
    assert abs(len(true) - 0.05 * n_pairs) < 4 * np.sqrt(n_pairs * 0.05 * 0.95)
    assert abs(true.mean()) < 4 / np.sqrt(len(true))


def test_relu_cuts_every_gene_at_its_median():
    adata, _ = simulate_regime("ReLU, programmes", n_obs=400, n_vars=200, n_regulators=20)
    assert adata.X.min() == 0
    assert ((adata.X == 0).mean(axis=0) == 0.5).all()
    p = what_is_said(adata) + adata.var["true_intercept"].to_numpy()
    unit = (adata.X - p) / adata.var["noise_sd"].to_numpy()
    # what lies far above the cut has passed it whatever its noise was, and keeps noise of variance 1
    safe = p / adata.var["noise_sd"].to_numpy() > 6
    n = int(safe.sum())
    assert n > 5000
    assert abs((unit[safe] ** 2).mean() - 1) < 4 * np.sqrt(2 / n)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"name": "white noise"}, ValueError, "name must be one of 'equal noise', .*'t noise'"),
        ({"n_obs": 0}, ValueError, "n_obs must be at least 1; found 0"),
        ({"n_vars": 2}, ValueError, "n_vars must be at least 3; found 2"),
        ({"n_regulators": 2.5}, TypeError, "n_regulators must be a whole number; found 2.5"),
        ({"connectivity": 1.5}, ValueError, "connectivity must be at most 1; found 1.5"),
    ],
)
def test_refuses(arguments, error, message):
    with pytest.raises(error, match=message):
        simulate_regime(**({"name": "equal noise"} | arguments))
