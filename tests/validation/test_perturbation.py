"""Perturbation figures against pair counting, replication of the positives, decoupler, and by hand."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score

from grnrep.validation import perturbation_metrics, perturbed_samples, pooled_auc

FIGURES = ["direction", "median_percentile", "auroc", "auprc"]


def _random_activity(n_samples=30, n_regulators=12, effect=1.0, seed=0):
    """Sample s perturbs regulator s mod n_regulators, with a noisy effect; one sample is the reference."""
    rng = np.random.default_rng(seed)
    regulators = [f"R{j}" for j in range(n_regulators)]
    samples = [f"s{k}" for k in range(n_samples)]
    values = rng.normal(size=(n_samples, n_regulators))
    perturbed = {name: regulators[k % n_regulators] for k, name in enumerate(samples)}
    values[np.arange(n_samples), np.arange(n_samples) % n_regulators] += effect
    activity = pd.DataFrame(values, index=samples, columns=regulators)
    activity.loc["ref"] = rng.normal(size=n_regulators) / 10
    return activity, perturbed


def _truth(activity, perturbed):
    table = perturbed_samples(activity, perturbed)
    truth = table["regulator"].to_numpy()[:, None] == activity.columns.to_numpy()
    return activity.loc[table.index].to_numpy(), truth


def _pair_count(scores, truth):
    """Chance that a positive outranks a negative, a tie counting one half."""
    positive, negative = scores[truth], scores[~truth]
    wins = (positive[:, None] > negative).mean() + (positive[:, None] == negative).mean() / 2
    return wins


def test_samples_by_hand():
    activity = pd.DataFrame(
        {"A": [1.0, 4.0, 0.0], "B": [2.0, 2.0, 3.0], "C": [0.0, 0.0, 0.0]},
        index=["wt", "up", "down"],
    )
    table = perturbed_samples(
        activity,
        {"up": "A", "down": "B", "wt": "none"},
        expected={"up": 1, "down": -1},
        reference="wt",
    )
    assert table["regulator"].to_dict() == {"up": "A", "down": "B"}
    assert table["change"].to_dict() == {"up": 3.0, "down": -1.0}
    assert table["moves_as_expected"].to_dict() == {"up": True, "down": False}
    # z of A over its three samples, population standard deviation
    np.testing.assert_allclose(table.loc["up", "z"], (4 - 5 / 3) / np.std([1, 4, 0]))
    # `up`: A above B and above the constant C, so two of three are below
    np.testing.assert_allclose(table.loc["up", "percentile"], 200 / 3)
    # `down`: B rose, so times -1 it is below the constant C; A fell, so times -1 it is above
    np.testing.assert_allclose(table.loc["down", "percentile"], 0)


@pytest.mark.parametrize("decimals", [1, 8])
def test_auroc_is_the_share_of_ordered_pairs(decimals):
    activity, perturbed = _random_activity()
    scores, truth = _truth(activity.round(decimals), perturbed)
    largest = np.abs(scores).max(axis=1, keepdims=True)
    expected = _pair_count(scores / largest, truth)
    assert pooled_auc(scores, truth, ties="shared")[0] == pytest.approx(expected, abs=1e-12)


def test_auprc_is_that_of_positives_repeated_until_classes_balance():
    activity, perturbed = _random_activity()
    scores, truth = _truth(activity, perturbed)
    relative = (scores / np.abs(scores).max(axis=1, keepdims=True)).ravel()
    # one positive among the regulators of a sample
    repeats = np.where(truth.ravel(), truth.shape[1] - 1, 1)
    balanced = np.repeat(truth.ravel(), repeats)
    assert balanced.mean() == 0.5
    expected = average_precision_score(balanced, np.repeat(relative, repeats))
    assert pooled_auc(scores, truth, ties="shared")[1] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("effect", [0.0, 1.0])
def test_shared_ties_agree_with_the_benchmark_of_decoupler(effect):
    metric = import_module("decoupler.bm.metric")
    activity, perturbed = _random_activity(effect=effect)
    scores, truth = _truth(activity, perturbed)
    expected = metric.auc(y_true=truth.astype(float), y_score=scores)
    np.testing.assert_allclose(pooled_auc(scores, truth, ties="shared"), expected, atol=1e-12)


def test_magnitude_orders_ties_as_a_tiny_number_added_to_the_divisor_does():
    activity, perturbed = _random_activity(seed=1)
    scores, truth = _truth(activity, perturbed)
    nudged = scores / (np.abs(scores).max(axis=1, keepdims=True) + 1e-9)
    expected = _pair_count(nudged, truth)
    auroc, _ = pooled_auc(scores, truth, ties="magnitude")
    assert auroc == pytest.approx(expected, abs=1e-12)
    assert auroc != pytest.approx(pooled_auc(scores, truth, ties="shared")[0], abs=1e-6)


def test_without_effect_the_areas_are_at_chance():
    activity, perturbed = _random_activity(n_samples=300, effect=0.0)
    table = perturbation_metrics(activity, perturbed, n_boot=50)
    assert (
        abs(table["estimate"] - [0.5, 50, 0.5, 0.5]) < 4 * table["se"] + [0, 100 / 12, 0, 0]
    ).all()


def test_perfect_activities_reach_the_top():
    names = [f"R{j}" for j in range(50)]
    activity = pd.DataFrame(np.eye(50), index=names, columns=names)
    table = perturbation_metrics(activity, dict(zip(names, names, strict=True)), n_boot=20)
    assert table["estimate"].to_dict() == {
        "direction": 1, "median_percentile": 98, "auroc": 1, "auprc": pytest.approx(1)
    }  # fmt: skip
    assert (table["se"] < 1e-9).all()


@pytest.mark.parametrize("ties", ["magnitude", "shared"])
def test_order_of_samples_and_regulators_and_scale_change_nothing(ties):
    activity, perturbed = _random_activity()
    before = perturbation_metrics(activity, perturbed, reference="ref", ties=ties, n_boot=0)[
        "estimate"
    ]
    rng = np.random.default_rng(1)
    shuffled = 4 * activity.iloc[rng.permutation(len(activity)), rng.permutation(activity.shape[1])]
    perturbed = pd.Series(perturbed).sample(frac=1, random_state=1)
    after = perturbation_metrics(shuffled, perturbed, reference="ref", ties=ties, n_boot=0)[
        "estimate"
    ]
    pd.testing.assert_series_equal(before, after)


def test_knock_outs_mirror_inductions():
    activity, perturbed = _random_activity()
    up = perturbation_metrics(activity, perturbed, reference="ref", n_boot=10)
    down = perturbation_metrics(-activity, perturbed, expected=-1, reference="ref", n_boot=10)
    pd.testing.assert_frame_equal(up, down)
    wrong = perturbation_metrics(activity, perturbed, expected=-1, reference="ref", n_boot=0)[
        "estimate"
    ]
    assert wrong["direction"] == pytest.approx(1 - up.loc["direction", "estimate"])
    assert wrong["auroc"] < 0.5 < up.loc["auroc", "estimate"]


def test_change_is_against_the_reference():
    activity, perturbed = _random_activity()
    lifted = activity + 100  # every activity is positive now; only the reference says what rose
    a, b = (
        perturbation_metrics(x, perturbed, reference="ref", n_boot=0).loc["direction", "estimate"]
        for x in (activity, lifted)
    )
    assert a == b < 1
    assert perturbation_metrics(lifted, perturbed, n_boot=0).loc["direction", "estimate"] == 1


def test_samples_of_unknown_regulators_do_not_count():
    activity, perturbed = _random_activity()
    known = perturbation_metrics(activity, perturbed, n_boot=0)
    more = perturbation_metrics(
        activity, perturbed | {"ref": "elsewhere", "no such sample": "R0"}, n_boot=0
    )
    pd.testing.assert_frame_equal(known, more)
    assert (known["n_samples"] == 30).all()


def test_bootstrap_has_the_standard_error_of_a_share():
    activity, perturbed = _random_activity(n_samples=100, effect=0.5)
    table = perturbation_metrics(activity, perturbed, n_boot=200, rng=3)
    share = table.loc["direction", "estimate"]
    # the standard error of a standard deviation from 200 draws is 5 %
    assert table.loc["direction", "se"] == pytest.approx(
        np.sqrt(share * (1 - share) / 100), rel=0.2
    )
    assert ((table["low"] <= table["estimate"]) & (table["estimate"] <= table["high"])).all()
    assert list(table.index) == FIGURES


def test_resamples_follow_the_seed():
    activity, perturbed = _random_activity()
    first, same, other = (
        perturbation_metrics(activity, perturbed, n_boot=10, rng=rng)
        for rng in (3, np.random.default_rng(3), 4)
    )
    pd.testing.assert_frame_equal(first, same)
    assert not np.allclose(first["se"], other["se"])


def test_without_resamples_there_is_no_interval():
    activity, perturbed = _random_activity()
    table = perturbation_metrics(activity, perturbed, n_boot=0)
    assert table[["se", "low", "high"]].isna().all(axis=None)
    assert table["estimate"].notna().all()


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        (lambda a: {"activity": a.to_numpy()}, TypeError, "activity must be a DataFrame"),
        (lambda a: {"activity": pd.concat([a, a])}, ValueError, "activity repeats samples"),
        (
            lambda a: {"activity": pd.concat([a, a], axis=1)},
            ValueError,
            "activity repeats regulators",
        ),
        (lambda a: {"activity": a[["R0"]]}, ValueError, "two regulators or more"),
        (
            lambda a: {"activity": a.drop(index="s1").reindex(a.index)},
            ValueError,
            "12 values that are not finite",
        ),
        (lambda a: {"reference": "wild"}, KeyError, "reference 'wild' is no sample"),
        (
            lambda a: {"perturbed": {"s0": "X"}},
            ValueError,
            "perturbed names no sample and regulator",
        ),
        (
            lambda a: {"perturbed": pd.Series(["R0", "R1"], index=["s0", "s0"])},
            ValueError,
            "repeats samples",
        ),
        (lambda a: {"expected": 2}, ValueError, r"expected must be \+1 or -1"),
        (lambda a: {"expected": {"s0": 1}}, ValueError, r"expected must be \+1 or -1 .* found nan"),
        (lambda a: {"ties": "random"}, ValueError, "ties must be one of"),
        (lambda a: {"n_boot": -1}, ValueError, "n_boot must be 0 or more"),
    ],
)
def test_bad_input_is_named(change, error, match):
    activity, perturbed = _random_activity()
    arguments = {"activity": activity, "perturbed": perturbed, "n_boot": 0} | change(activity)
    with pytest.raises(error, match=match):
        perturbation_metrics(**arguments)
