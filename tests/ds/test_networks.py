import numpy as np
import pandas as pd
import pytest
from scipy import stats

from grnrep.ds import corrupt_network, simulate
from grnrep.ds.networks import draw_network

EDGE = ["source", "target"]


def pairs(net):
    return set(zip(net["source"], net["target"], strict=True))


@pytest.fixture(scope="module")
def net():
    return simulate(n_obs=2, n_vars=200, n_regulators=40, rng=3)[1]


def draw(rng, **kwargs):
    options = {
        "connectivity": 0.1,
        "min_targets": 1,
        "weight_low": -1.0,
        "weight_high": 1.0,
    } | kwargs
    genes, regulators = [f"g{i}" for i in range(300)], [f"r{j}" for j in range(80)]
    return draw_network(genes, regulators, **options, rng=np.random.default_rng(rng))


@pytest.mark.parametrize("rng", range(3))
def test_edges_are_bernoulli_and_weights_uniform(rng):
    net = draw(rng, weight_low=-0.5, weight_high=2.0)
    assert not net.duplicated(EDGE).any()
    n_pairs = 300 * 80
    assert abs(len(net) - 0.1 * n_pairs) < 5 * np.sqrt(n_pairs * 0.1 * 0.9)
    for side, n in [("source", 300), ("target", 80)]:
        degrees = net[side].value_counts()
        # binomial, as Bernoulli edges give
        assert degrees.var() == pytest.approx(n * 0.1 * 0.9, rel=0.8)
    assert stats.kstest(net["weight"], "uniform", args=(-0.5, 2.5)).pvalue > 1e-4


def test_every_regulator_has_min_targets():
    sparse = draw(0, connectivity=0.01, min_targets=5)
    degrees = sparse["source"].value_counts()
    assert len(degrees) == 80
    assert degrees.min() == 5
    assert degrees.max() > 5
    assert (draw(0, connectivity=0.0, min_targets=2)["source"].value_counts() == 2).all()
    assert len(draw(0, connectivity=1.0)) == 300 * 80


@pytest.mark.parametrize(
    ("missing", "false"), [(0.0, 0.0), (0.2, 0.0), (0.0, 0.3), (0.2, 0.2), (0.9, 1.5)]
)
def test_missing_and_false_fractions_are_exact(net, missing, false):
    out = corrupt_network(net, missing=missing, false=false)
    kept, added = pairs(out) & pairs(net), pairs(out) - pairs(net)
    assert len(kept) == len(net) - round(missing * len(net))
    assert len(added) == round(false * len(net))
    assert not out.duplicated(EDGE).any()
    assert set(out["source"]) == set(net["source"])
    assert set(out["target"]) <= set(net["target"])


def test_weights_stay_with_their_edges(net):
    out = corrupt_network(net, missing=0.3, false=0.3)
    both = out.merge(net, on=EDGE, suffixes=("", "_true"))
    np.testing.assert_array_equal(both["weight"], both["weight_true"])
    assert set(out["weight"]) <= set(net["weight"])


def test_hidden_and_flipped_are_exact_and_disjoint(net):
    out = corrupt_network(net, hide_signs=0.25, flip_signs=0.1).merge(
        net, on=EDGE, suffixes=("", "_true")
    )
    assert len(out) == len(net)
    hidden = out["weight"].isna()
    flipped = out["weight"] == -out["weight_true"]
    same = out["weight"] == out["weight_true"]
    assert hidden.sum() == round(0.25 * len(net))
    assert flipped.sum() == round(0.1 * len(net))
    assert (hidden ^ flipped ^ same).all()
    assert corrupt_network(net, hide_signs=1.0)["weight"].isna().all()


def test_signs_unknown_before_stay_unknown():
    net = pd.DataFrame(
        {"source": list("aabb"), "target": list("xyxy"), "weight": [1.0, np.nan, 0.0, -1.0]}
    )
    out = corrupt_network(net, flip_signs=1.0)
    np.testing.assert_array_equal(out["weight"], [-1.0, np.nan, 0.0, 1.0])


def test_every_free_pair_is_found_and_no_other():
    net = pd.DataFrame({"source": list("aabc"), "target": list("xyzx")})
    every = {(s, t) for s in "abc" for t in "xyz"}
    out = corrupt_network(net, false=5 / 4)  # exactly the five pairs that are free
    assert pairs(out) == every
    assert list(out.columns) == EDGE


def test_false_edges_are_uniform_over_free_pairs():
    net = pd.DataFrame({"source": list("aabc"), "target": list("xyzx")})
    found = [
        pair
        for seed in range(100)
        for pair in pairs(corrupt_network(net, false=0.25, rng=seed)) - pairs(net)
    ]
    counts = pd.Series(found).value_counts()
    assert len(counts) == 5
    assert stats.chisquare(counts).pvalue > 1e-4


def test_false_edges_reach_other_genes_and_regulators(net):
    genes = [*net["target"].unique(), *(f"other_{i}" for i in range(800))]
    out = corrupt_network(net, false=0.9, sources=["new"], targets=genes)
    added = out[out["source"] == "new"]
    assert len(added) == round(0.9 * len(net)) == len(out) - len(net)
    assert set(added["target"]) <= set(genes)
    # most of the genes offered are not targets in net
    assert added["target"].str.startswith("other").mean() > 0.5


def test_result_depends_on_the_seed_alone_not_on_the_order_of_rows(net):
    options = {"missing": 0.2, "false": 0.2, "hide_signs": 0.2, "flip_signs": 0.2}
    out = corrupt_network(net, **options, rng=5)
    pd.testing.assert_frame_equal(
        out, corrupt_network(net.sample(frac=1, random_state=0), **options, rng=5)
    )
    pd.testing.assert_frame_equal(
        out, corrupt_network(net, **options, rng=np.random.default_rng(5))
    )
    assert not out.equals(corrupt_network(net, **options, rng=6))


def test_input_is_left_alone(net):
    before = net.copy()
    corrupt_network(net, missing=0.2, false=0.2, hide_signs=0.2, flip_signs=0.2)
    pd.testing.assert_frame_equal(net, before)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"missing": 1.1}, ValueError, "missing must be at most 1"),
        ({"missing": -0.1}, ValueError, "missing must be at least 0"),
        ({"missing": 1.0}, ValueError, "regulators keeps an edge; at most"),
        ({"false": 1000.0}, ValueError, "only .* pairs of sources and targets are not edges"),
        ({"hide_signs": 0.6, "flip_signs": 0.6}, ValueError, r"hide_signs \+ flip_signs"),
        ({"false": float("nan")}, ValueError, "false must be a finite number"),
    ],
)
def test_bad_fractions(net, options, error, message):
    with pytest.raises(error, match=message):
        corrupt_network(net, **options)


def test_bad_networks(net):
    with pytest.raises(KeyError, match=r"lacks the columns \['target'\]; found"):
        corrupt_network(net.drop(columns="target"))
    with pytest.raises(KeyError, match="no column 'weight'"):
        corrupt_network(net[EDGE], hide_signs=0.1)
    with pytest.raises(ValueError, match="every edge once; found 1 repeats"):
        corrupt_network(pd.concat([net, net.iloc[[4]]]))
    with pytest.raises(TypeError, match="DataFrame"):
        corrupt_network([("a", "b")])
