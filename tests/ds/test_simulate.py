import numpy as np
import pandas as pd
import pytest
from scipy import stats

from grnrep.ds import model, simulate

SMALL = {"n_vars": 80, "n_regulators": 12}


def prediction(adata, net):
    """W z by name, an edge at a time; no intercept, no noise."""
    p = pd.DataFrame(0.0, index=adata.obs_names, columns=adata.var_names)
    z = adata.obsm["true_activity"].astype(np.float64)
    for source, target, weight in net.itertuples(index=False):
        p[target] += weight * z[source]
    return p.to_numpy()


def test_without_noise_expression_is_relu_of_weighted_activities():
    adata, net = simulate(300, noise_sd=0.0, **SMALL)
    assert adata.X.dtype == np.float32
    np.testing.assert_allclose(adata.X, np.maximum(prediction(adata, net), 0), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("rng", range(3))
def test_noise_is_normal_and_inside_the_relu(rng):
    sd = 0.2
    adata, net = simulate(600, noise_sd=sd, rng=rng, n_vars=150, n_regulators=10)
    p = prediction(adata, net)
    assert (adata.X >= 0).all()
    assert (adata.X[p < -6 * sd] == 0).all()  # noise outside would show here
    far = p > 6 * sd  # never cut
    assert stats.kstest((adata.X - p)[far] / sd, "norm").pvalue > 1e-4
    # genes without a regulator: ReLU(noise)
    bare = adata.X[:, ~adata.var_names.isin(net["target"])]
    assert bare.size > 10_000
    assert abs((bare == 0).mean() - 0.5) < 5 * 0.5 / np.sqrt(bare.size)
    assert stats.kstest(bare[bare > 0] / sd, "halfnorm").pvalue > 1e-4


@pytest.mark.parametrize("rng", range(3))
@pytest.mark.parametrize(("shape", "scale"), [(1.0, 1.0), (2.5, 0.4)])
@pytest.mark.parametrize("correlation", [0.0, 0.6])
def test_activities_are_gamma_with_the_wanted_correlation(rng, shape, scale, correlation):
    adata, _ = simulate(
        2000,
        20,
        n_regulators=8,
        shape=shape,
        scale=scale,
        regulator_correlation=correlation,
        rng=rng,
    )
    z = adata.obsm["true_activity"]
    for name in z:
        assert stats.kstest(z[name], "gamma", args=(shape, 0, scale)).pvalue > 1e-5
    spearman = z.corr("spearman").to_numpy()[np.triu_indices(8, 1)]
    # of a Gaussian copula
    np.testing.assert_allclose(spearman.mean(), 6 / np.pi * np.arcsin(correlation / 2), atol=0.05)


def test_names_are_padded_and_sorted():
    adata, net = simulate(12, 30, n_regulators=5)
    assert [adata.obs_names[0], adata.var_names[-1]] == ["cell_0001", "gene_0030"]
    assert list(adata.obsm["true_activity"]) == [f"TF_00{j}" for j in range(1, 6)]
    big, _ = simulate(10_001, 3, n_regulators=1, min_targets=1)
    assert big.obs_names[0] == "cell_00001"
    for names in (adata.obs_names, adata.var_names, big.obs_names):
        assert names.is_monotonic_increasing
    assert list(net.columns) == ["source", "target", "weight"]
    assert net[["source", "target"]].apply(tuple, axis=1).is_monotonic_increasing
    assert set(net["target"]) <= set(adata.var_names)


def test_default_is_the_setting_of_the_paper():
    adata, net = simulate()
    assert adata.shape == (500, 1000)
    assert adata.obsm["true_activity"].shape == (500, 100)
    assert abs(len(net) - 10_000) < 5 * np.sqrt(100_000 * 0.1 * 0.9)
    assert net["weight"].abs().max() <= 1


def test_min_targets_is_honoured():
    _, net = simulate(5, 60, n_regulators=30, connectivity=0.02, min_targets=4)
    assert net["source"].value_counts().min() == 4
    assert net["source"].nunique() == 30


@pytest.mark.parametrize(
    "options", [{}, {"counts": "nb"}, {"zero_fraction": 0.8, "regulator_correlation": 0.3}]
)
def test_same_rng_same_result(options):
    first, net = simulate(40, rng=7, **SMALL, **options)
    again, net_again = simulate(40, rng=np.random.default_rng(7), **SMALL, **options)
    other, net_other = simulate(40, rng=8, **SMALL, **options)
    pd.testing.assert_frame_equal(net, net_again)
    np.testing.assert_array_equal(first.X, again.X)
    pd.testing.assert_frame_equal(first.obsm["true_activity"], again.obsm["true_activity"])
    if options.get("counts"):
        assert (first.layers["counts"] != again.layers["counts"]).nnz == 0
    assert not net.equals(net_other)
    assert (first.X != other.X).mean() > 0.3


def test_a_generator_moves_on():
    rng = np.random.default_rng(0)
    assert not simulate(5, rng=rng, **SMALL)[1].equals(simulate(5, rng=rng, **SMALL)[1])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"regulator_correlation": 0.5},
        {"counts": "nb"},
        {"counts": "poisson", "zero_fraction": 0.7},
    ],
)
@pytest.mark.parametrize("n_obs", [1, model.BLOCK - 1, model.BLOCK, 2 * model.BLOCK + 3])
def test_the_first_cells_do_not_depend_on_the_number_of_cells(options, n_obs):
    few, net = simulate(n_obs, **SMALL, **options)
    many, same = simulate(3 * model.BLOCK, **SMALL, **options)
    many = many[:n_obs].copy()
    assert net.equals(same)
    np.testing.assert_array_equal(few.X, many.X)
    pd.testing.assert_frame_equal(few.obsm["true_activity"], many.obsm["true_activity"])
    pd.testing.assert_frame_equal(few.obs, many.obs)
    pd.testing.assert_frame_equal(few.var, many.var)
    if "counts" in options:
        np.testing.assert_array_equal(
            few.layers["counts"].toarray(), many.layers["counts"].toarray()
        )


def test_blocks_are_independent():
    adata, net = simulate(2 * model.BLOCK, **SMALL, connectivity=0.05)
    z = adata.obsm["true_activity"].to_numpy()
    noise = adata.X[:, ~adata.var_names.isin(net["target"])]  # cut at 0
    assert noise.shape[1] > 10
    for values in (z, noise):
        r = np.corrcoef(values[: model.BLOCK].ravel(), values[model.BLOCK :].ravel())[0, 1]
        assert abs(r) < 5 / np.sqrt(values.size / 2)


def test_noise_and_counts_leave_network_and_activities_alone():
    plain, net = simulate(50, **SMALL)
    for options in ({"noise_sd": 0.0}, {"counts": "nb"}, {"zero_fraction": 0.9}):
        other, same = simulate(50, **SMALL, **options)
        assert net.equals(same)
        pd.testing.assert_frame_equal(plain.obsm["true_activity"], other.obsm["true_activity"])
    np.testing.assert_array_equal(simulate(50, **SMALL, counts="poisson")[0].X, plain.X)


@pytest.mark.parametrize("zero_fraction", [0.3, 0.9])
def test_thresholds_give_the_wanted_zeros(zero_fraction):
    adata, net = simulate(4000, zero_fraction=zero_fraction, n_vars=300, n_regulators=20)
    # the thresholds are set on the first cells; the others have the spread of a sample
    others = (adata.X[model.REFERENCE :] == 0).mean(axis=0)
    spread = np.sqrt(
        zero_fraction * (1 - zero_fraction) * (1 / (4000 - model.REFERENCE) + 1 / model.REFERENCE)
    )
    assert np.abs(others - zero_fraction).max() < 5 * spread
    first = (adata.X[: model.REFERENCE] == 0).mean(axis=0)
    np.testing.assert_allclose(first, zero_fraction, atol=2 / model.REFERENCE)
    quiet, _ = simulate(200, zero_fraction=zero_fraction, noise_sd=0.0, n_vars=300, n_regulators=20)
    expected = np.maximum(prediction(quiet, net) + quiet.var["true_intercept"].to_numpy(), 0)
    np.testing.assert_allclose(quiet.X, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("counts", ["poisson", "nb"])
@pytest.mark.parametrize("rng", range(3))
def test_counts_have_the_wanted_mean_and_variance(counts, rng):
    options = {"library_size": 3000.0, "library_sd": 0.5, "dispersion": 0.5}
    adata, _ = simulate(1000, n_vars=120, n_regulators=20, counts=counts, rng=rng, **options)
    observed = adata.layers["counts"].toarray().astype(np.float64)
    library = adata.obs["true_library_size"].to_numpy()
    share = adata.X.astype(np.float64)
    mean = library[:, None] * share / share.sum(axis=1, keepdims=True)
    variance = mean + (0.5 * mean**2 if counts == "nb" else 0)
    assert adata.layers["counts"].dtype == np.int32
    assert (observed[adata.X == 0] == 0).all()
    positive = mean > 0
    score = (observed - mean)[positive] / np.sqrt(variance[positive])
    assert abs(score.mean()) < 5 / np.sqrt(score.size)
    assert abs((score**2).mean() - 1) < 6 * np.std(score**2) / np.sqrt(score.size)
    log = np.log(library)
    assert abs(log.mean() - (np.log(3000) - 0.5**2 / 2)) < 5 * 0.5 / np.sqrt(1000)
    assert stats.kstest((log - np.log(3000) + 0.125) / 0.5, "norm").pvalue > 1e-4


def test_a_cell_without_expression_has_no_counts():
    adata, _ = simulate(
        50, 5, n_regulators=1, weight_low=-1.0, weight_high=-0.5, noise_sd=0.0, counts="nb"
    )
    assert (adata.X == 0).all()
    assert adata.layers["counts"].nnz == 0


def test_uns_holds_network_and_plain_parameters():
    adata, net = simulate(10, counts="poisson", rng=4, **SMALL)
    stored = adata.uns["simulation"]
    pd.testing.assert_frame_equal(stored["network"], net)
    assert stored["network"] is not net
    params = stored["params"]
    assert {type(value) for value in params.values()} <= {int, float, str}
    assert (params["n_obs"], params["noise_sd"], params["rng"], params["counts"]) == (
        10,
        0.2,
        4,
        "poisson",
    )
    assert "zero_fraction" not in params
    again, _ = simulate(**params)
    np.testing.assert_array_equal(again.X, adata.X)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"n_obs": 0}, ValueError, "n_obs must be at least 1"),
        ({"n_vars": 2.5}, TypeError, "n_vars must be a whole number"),
        ({"n_regulators": True}, TypeError, "n_regulators must be a whole number"),
        ({"connectivity": 1.2}, ValueError, "connectivity must be at most 1"),
        ({"min_targets": 99}, ValueError, "min_targets must be at most n_vars = 80"),
        ({"min_targets": 0}, ValueError, "min_targets must be at least 1"),
        ({"shape": 0.0}, ValueError, "shape must be above 0"),
        ({"scale": -1}, ValueError, "scale must be at least 0|scale must be above 0"),
        ({"regulator_correlation": 1.0}, ValueError, "regulator_correlation must be below 1"),
        ({"weight_low": 1.0}, ValueError, "weight_high must be above weight_low = 1.0"),
        ({"noise_sd": -0.1}, ValueError, "noise_sd must be at least 0"),
        ({"noise_sd": "high"}, ValueError, "noise_sd must be a finite number; found 'high'"),
        ({"zero_fraction": 1.5}, ValueError, "zero_fraction must be at most 1"),
        (
            {"counts": "binomial"},
            ValueError,
            "counts must be one of 'poisson', 'nb'; found 'binomial'",
        ),
        ({"counts": "nb", "dispersion": 0.0}, ValueError, "dispersion must be above 0"),
        (
            {"counts": "nb", "library_size": float("inf")},
            ValueError,
            "library_size must be a finite number",
        ),
    ],
)
def test_bad_arguments_are_named(options, error, message):
    with pytest.raises(error, match=message):
        simulate(**{"n_obs": 5, **SMALL, **options})
