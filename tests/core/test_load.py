from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse as sp

from grnrep import metrics as public
from grnrep.core import load

PAPER = {"n_regulators": 100, "n_edges": 10_000}  # with 1000 genes: connectivity 0.1


@pytest.mark.parametrize(
    ("n_obs", "expected"),
    [
        (12, Fraction(12_000, 11_200)),
        (40, Fraction(40_000, 14_000)),
        (50, Fraction(10, 3)),
        (100, Fraction(5)),
        (10_000, Fraction(10_000_000, 1_010_000)),
    ],
)
def test_decoder_load_of_the_paper_by_hand(n_obs, expected):
    assert load.decoder_load(n_obs, 1000, **PAPER) == pytest.approx(float(expected), rel=1e-15)


def test_decoder_load_tends_to_compression_rate():
    assert load.decoder_load(1e12, 1000, **PAPER) == pytest.approx(10, rel=1e-6)
    assert load.decoder_load(7, 1000, n_regulators=100, n_edges=0) == 10


def test_encoder_load_by_hand():
    # the paper's linear encoder for 1000 genes and 100 regulators has 100,000 weights
    np.testing.assert_allclose(
        load.encoder_load([10, 1000, 5000], 100, n_weights=100_000), [0.01, 1, 5]
    )


@pytest.mark.parametrize("n_obs", [1, 37, 4000])
def test_equation_5_joins_equations_3_and_4(n_obs):
    n_vars, m, weights = 784, 20, 12_345
    from_encoder = load.decoder_load_from_encoder_load(
        load.encoder_load(n_obs, m, n_weights=weights), n_vars=n_vars, n_regulators=m
    )
    direct = load.decoder_load(n_obs, n_vars, n_regulators=m, n_edges=weights)
    assert from_encoder == pytest.approx(direct, rel=1e-14)


def test_effective_load_is_the_load_times_the_positive_fraction():
    x = np.maximum(np.random.default_rng(0).normal(size=(30, 50)), 0)
    n_constraints = load.count_constraints(x)
    effective = load.effective_load(n_constraints, 30, n_regulators=4, n_edges=60)
    assert effective == pytest.approx(
        (x > 0).mean() * load.decoder_load(30, 50, n_regulators=4, n_edges=60)
    )
    assert load.effective_load(0, 30, n_regulators=4, n_edges=60) == 0


def test_count_constraints_does_not_depend_on_the_container():
    x = np.random.default_rng(1).integers(-1, 3, size=(20, 15)).astype(np.float32)
    expected = sum(value > 0 for value in x.ravel().tolist())
    forms = [
        np.asarray,
        np.asfortranarray,
        sp.csr_matrix,
        sp.csc_array,
        sp.coo_matrix,
        sp.lil_matrix,
    ]
    assert [load.count_constraints(form(x)) for form in forms] == [expected] * len(forms)
    assert load.count_constraints(x[:8]) + load.count_constraints(x[8:]) == expected


def test_count_constraints_sums_repeated_and_ignores_stored_zeros():
    x = sp.csr_matrix(([1.0, -1.0, 0.0, 2.0], [0, 0, 1, 1], [0, 2, 4]), shape=(2, 2))
    before = x.data.copy()
    assert load.count_constraints(x) == int((x.toarray() > 0).sum()) == 1
    np.testing.assert_array_equal(x.data, before)


def test_n_obs_for_load_inverts_decoder_load():
    n_obs = np.array([1, 2, 12, 40, 50, 100, 333, 10_000, 1_000_000])
    loads = load.decoder_load(n_obs, 1000, **PAPER)
    np.testing.assert_array_equal(load.n_obs_for_load(loads, 1000, **PAPER), n_obs)


def test_n_obs_for_load_is_the_smallest():
    rng = np.random.default_rng(2)
    wanted = rng.uniform(0.01, 9.99, size=500)
    n_obs = load.n_obs_for_load(wanted, 1000, **PAPER)
    assert (load.decoder_load(n_obs, 1000, **PAPER) >= wanted).all()
    more = n_obs > 1
    assert more.sum() > 100
    assert (load.decoder_load(n_obs[more] - 1, 1000, **PAPER) < wanted[more]).all()


def test_n_obs_for_load_at_the_edge_of_rounding():
    n_obs = np.arange(1, 3000)
    loads = load.decoder_load(n_obs, 1000, **PAPER)
    just_above = np.nextafter(loads, np.inf)
    np.testing.assert_array_equal(load.n_obs_for_load(loads, 1000, **PAPER), n_obs)
    np.testing.assert_array_equal(load.n_obs_for_load(just_above, 1000, **PAPER), n_obs + 1)


def test_n_obs_for_load_of_the_paper_by_hand():
    # N > 1 · 10,000 / (1000 - 100) = 11.1
    found = load.n_obs_for_load(1.0, 1000, **PAPER)
    assert found == 12
    assert isinstance(found, int)


@pytest.mark.parametrize("wanted", [10.0, 11.0, [1.0, 12.0]])
def test_a_load_out_of_reach_names_the_limit(wanted):
    with pytest.raises(ValueError, match=r"n_vars / n_regulators = 10, the limit"):
        load.n_obs_for_load(wanted, 1000, **PAPER)


def test_arrays_broadcast():
    table = load.decoder_load(
        np.array([[10], [20]]), np.array([100, 200, 300]), n_regulators=5, n_edges=50
    )
    assert table.shape == (2, 3)
    assert table[1, 2] == 20 * 300 / (50 + 20 * 5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: load.decoder_load(0, 10, n_regulators=1, n_edges=1),
            "n_obs must be finite and above 0",
        ),
        (lambda: load.decoder_load(1, [10, -2], n_regulators=1, n_edges=1), "n_vars .* found -2"),
        (
            lambda: load.decoder_load(1, 10, n_regulators=np.nan, n_edges=1),
            "n_regulators .* found nan",
        ),
        (lambda: load.decoder_load(1, 10, n_regulators=1, n_edges=-1), "n_edges .* 0 or above"),
        (lambda: load.encoder_load(1, 10, n_weights=0), "n_weights"),
        (lambda: load.effective_load(-1, 10, n_regulators=1, n_edges=1), "n_constraints"),
        (lambda: load.n_obs_for_load(-1, 10, n_regulators=1, n_edges=1), "load must be finite"),
        (
            lambda: load.decoder_load_from_encoder_load(np.inf, n_vars=2, n_regulators=1),
            "load .* found inf",
        ),
    ],
)
def test_bad_numbers_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_public_face_is_the_core():
    assert set(load.__all__) <= set(public.__all__)
    assert all(getattr(public, name) is getattr(load, name) for name in load.__all__)
