"""Perturbation figures against pair counting, replication of the positives, decoupler, and by hand."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score

from grnrep.validation import (
    perturbation_metrics,
    perturbations,
    perturbed_conditions,
    pooled_auc,
)

FIGURES = ["direction", "median_percentile", "auroc", "auprc"]


def _random_activity(n_samples=30, n_regulators=12, effect=1.0, seed=0):
    """Sample s perturbs regulator s mod n_regulators, with a noisy effect; one sample is the control."""
    rng = np.random.default_rng(seed)
    regulators = [f"R{j}" for j in range(n_regulators)]
    samples = [f"s{k}" for k in range(n_samples)]
    values = rng.normal(size=(n_samples, n_regulators))
    perturbed = {name: regulators[k % n_regulators] for k, name in enumerate(samples)}
    values[np.arange(n_samples), np.arange(n_samples) % n_regulators] += effect
    activity = pd.DataFrame(values, index=samples, columns=regulators)
    activity.loc["ref"] = rng.normal(size=n_regulators) / 10
    return activity, perturbed


def _induced(perturbed, **options):
    return perturbations(perturbed, controls="ref", **options)


def _truth(activity, perturbed):
    names = list(perturbed)
    truth = pd.Series(perturbed).to_numpy()[:, None] == activity.columns.to_numpy()
    return activity.loc[names].to_numpy(), truth


def _weighted_pair_count(scores, truth, weight):
    """Chance that a positive outranks a negative where pairs are drawn by weight, a tie counting one half."""
    wins = total = 0.0
    for i, j in np.argwhere(truth):
        for k, m in np.argwhere(~truth):
            total += weight[i] * weight[k]
            wins += (
                weight[i]
                * weight[k]
                * ((scores[i, j] > scores[k, m]) + (scores[i, j] == scores[k, m]) / 2)
            )
    return wins / total


def _pair_count(scores, truth):
    """Chance that a positive outranks a negative, a tie counting one half."""
    positive, negative = scores[truth], scores[~truth]
    wins = (positive[:, None] > negative).mean() + (positive[:, None] == negative).mean() / 2
    return wins


def test_inductions_relative_to_a_reference_by_hand():
    activity = pd.DataFrame(
        {"A": [1.0, 4.0, 0.0], "B": [2.0, 2.0, 3.0], "C": [0.0, 0.0, 0.0]},
        index=["wt", "up", "down"],
    )
    perturbed = perturbations(
        {"up": "A", "down": "B", "wt": "none"},
        expected={"up": 1, "down": -1, "wt": 1},
        controls="wt",
    )
    table = perturbed_conditions(activity, perturbed, relative=True)
    assert table["regulator"].to_dict() == {"up": "A", "down": "B"}
    assert table["change"].to_dict() == {"up": 3.0, "down": -1.0}
    assert table["moves_as_expected"].to_dict() == {"up": True, "down": False}
    # z of A over its three samples, population standard deviation
    np.testing.assert_allclose(table.loc["up", "z"], (4 - 5 / 3) / np.std([1, 4, 0]))
    # `up`: A above B and above the constant C, so two of three are below
    np.testing.assert_allclose(table.loc["up", "percentile"], 200 / 3)
    # `down`: B rose, so times -1 it is below the constant C; A fell, so times -1 it is above
    np.testing.assert_allclose(table.loc["down", "percentile"], 0)


@pytest.fixture
def knock_outs():
    """A is missing in two conditions, one with two replicates, B in one; D is perturbed nowhere."""
    activity = pd.DataFrame(
        {
            #    wt1  wt2  a1   a2   a3   b
            "A": [4.0, 2.0, 0.0, 2.0, 1.0, 3.0],
            "B": [1.0, 1.0, 1.0, 0.0, 1.0, 0.0],
            "D": [5.0, 5.0, 1.0, 5.0, 6.0, 5.0],
        },
        index=["wt1", "wt2", "a1", "a2", "a3", "b"],
    )
    perturbed = perturbations(
        {"a1": "A", "a2": "A", "a3": "A", "b": "B"},
        expected=-1,
        condition={"a1": "a glc", "a2": "a glc", "a3": "a trp", "b": "b glc"},
        controls={"a1": ("wt1", "wt2"), "a2": ("wt1", "wt2"), "a3": ("wt2",), "b": ("wt1", "wt2")},
    )
    return activity, perturbed


def test_knock_outs_against_matched_controls_by_hand(knock_outs):
    activity, perturbed = knock_outs
    table = perturbed_conditions(activity, perturbed)
    assert table["regulator"].to_dict() == {"a glc": "A", "a trp": "A", "b glc": "B"}
    # mean of the falls of the two replicates, 3 - 0 and 3 - 2; against the second wild type alone 2 - 1
    assert table["change"].to_dict() == {"a glc": 2.0, "a trp": 1.0, "b glc": 1.0}
    sd = activity.std(ddof=0)
    assert table["z"].to_dict() == pytest.approx(
        {"a glc": 2 / sd["A"], "a trp": 1 / sd["A"], "b glc": 1 / sd["B"]}
    )
    # in "a glc" D falls by 2, more than A only if its spread were less; B falls by .5
    assert table["percentile"].to_list() == pytest.approx([200 / 3, 200 / 3, 200 / 3])


def test_every_regulator_counts_once(knock_outs):
    activity, perturbed = knock_outs
    activity.loc["a3", "A"] = 9.0  # now it rises in the second condition of A
    table = perturbation_metrics(activity, perturbed, n_boot=0)
    assert table.loc["direction", "estimate"] == pytest.approx((1 / 2 + 1) / 2)
    assert table.loc["direction", "per_condition"] == pytest.approx(2 / 3)
    assert table[["n_regulators", "n_conditions"]].drop_duplicates().to_numpy().tolist() == [[2, 3]]
    # changes in units of spread, by the largest of the condition over all three regulators; pairs with A and B
    sd = activity.std(ddof=0)
    wild = activity.loc[["wt1", "wt2"]].mean()
    change = (
        pd.DataFrame(
            [
                wild - activity.loc[["a1", "a2"]].mean(),
                activity.loc["wt2"] - activity.loc["a3"],
                wild - activity.loc["b"],
            ]
        )
        / sd
    )
    scores = change.div(change.abs().max(axis=1), axis=0)[["A", "B"]].to_numpy()
    truth = np.array([[True, False], [True, False], [False, True]])
    for column, weight in (("estimate", [0.5, 0.5, 1]), ("per_condition", [1, 1, 1])):
        expected = _weighted_pair_count(scores, truth, weight)
        assert table.loc["auroc", column] == pytest.approx(expected, abs=1e-12)


def test_weights_are_repeats_of_conditions():
    activity, perturbed = _random_activity()
    scores, truth = _truth(activity.round(1), perturbed)
    times = np.random.default_rng(5).integers(1, 4, size=len(scores))
    weighted = pooled_auc(scores, truth, weight=times, ties="shared")
    repeated = pooled_auc(
        np.repeat(scores, times, axis=0), np.repeat(truth, times, axis=0), ties="shared"
    )
    assert weighted == pytest.approx(repeated, abs=1e-12)


def test_regulators_that_were_never_perturbed_set_the_scale_and_make_no_pairs():
    scores = np.array([[1.0, 0.5, 4.0], [0.5, 1.0, 0.0]])
    truth = np.array([[True, False, False], [False, True, False]])
    scaled = scores[:, :2] / [[4.0], [1.0]]
    expected = _weighted_pair_count(scaled, truth[:, :2], [1, 1])
    assert expected < 1
    assert pooled_auc(scores, truth)[0] == pytest.approx(expected)


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
    activity, perturbed = _random_activity(n_samples=300, n_regulators=60, effect=0.0)
    table = perturbation_metrics(activity, perturbations(perturbed), relative=True, n_boot=50)
    assert (
        abs(table["estimate"] - [0.5, 50, 0.5, 0.5]) < 4 * table["se"] + [0, 100 / 12, 0, 0]
    ).all()


def test_perfect_activities_reach_the_top():
    names = [f"R{j}" for j in range(50)]
    activity = pd.DataFrame(np.eye(50), index=names, columns=names)
    table = perturbation_metrics(
        activity, perturbations(dict(zip(names, names, strict=True))), relative=True, n_boot=20
    )
    assert table["estimate"].to_dict() == {
        "direction": 1, "median_percentile": 98, "auroc": 1, "auprc": pytest.approx(1)
    }  # fmt: skip
    assert (table["se"] < 1e-9).all()


@pytest.mark.parametrize("relative", [True, False])
@pytest.mark.parametrize("ties", ["magnitude", "shared"])
def test_order_of_samples_and_regulators_and_scale_change_nothing(ties, relative):
    activity, perturbed = _random_activity()
    table = _induced(perturbed, condition={name: f"c{int(name[1:]) % 24}" for name in perturbed})
    options = {"relative": relative, "ties": ties, "n_boot": 20}
    before = perturbation_metrics(activity, table, **options)
    rng = np.random.default_rng(1)
    shuffled = 4 * activity.iloc[rng.permutation(len(activity)), rng.permutation(activity.shape[1])]
    after = perturbation_metrics(shuffled, table.sample(frac=1, random_state=1), **options)
    pd.testing.assert_frame_equal(before, after)
    assert (before["n_conditions"] == 24).all()


def test_units_of_single_regulators_do_not_matter_where_changes_are_in_units_of_spread():
    activity, perturbed = _random_activity()
    units = np.random.default_rng(2).uniform(0.1, 10, size=activity.shape[1])
    before, after = (
        perturbation_metrics(x, _induced(perturbed), n_boot=10)
        for x in (activity, activity * units)
    )
    pd.testing.assert_frame_equal(before, after)


@pytest.mark.parametrize("relative", [True, False])
def test_knock_outs_mirror_inductions(relative):
    activity, perturbed = _random_activity()
    options = {"relative": relative, "n_boot": 10}
    up = perturbation_metrics(activity, _induced(perturbed), **options)
    down = perturbation_metrics(-activity, _induced(perturbed, expected=-1), **options)
    pd.testing.assert_frame_equal(up, down)
    wrong = perturbation_metrics(activity, _induced(perturbed, expected=-1), **options)["estimate"]
    assert wrong["direction"] == pytest.approx(1 - up.loc["direction", "estimate"])
    assert wrong["auroc"] < 0.5 < up.loc["auroc", "estimate"]


def test_change_is_against_the_controls():
    activity, perturbed = _random_activity()
    lifted = activity + 100  # every activity is positive now; only the control says what rose
    a, b = (
        perturbation_metrics(x, _induced(perturbed), n_boot=0)["estimate"]
        for x in (activity, lifted)
    )
    pd.testing.assert_series_equal(a, b)
    assert a["direction"] < 1
    alone = perturbation_metrics(lifted, perturbations(perturbed), relative=True, n_boot=0)
    assert alone.loc["direction", "estimate"] == 1


def test_samples_of_unknown_regulators_do_not_count():
    activity, perturbed = _random_activity()
    known = perturbation_metrics(activity, _induced(perturbed), n_boot=0)
    more = _induced(perturbed | {"ref": "elsewhere", "no such sample": "R0"})
    pd.testing.assert_frame_equal(known, perturbation_metrics(activity, more, n_boot=0))
    assert (known["n_conditions"] == 30).all()
    assert (known["n_regulators"] == 12).all()


def test_bootstrap_has_the_standard_error_of_a_share():
    activity, perturbed = _random_activity(n_samples=100, n_regulators=100, effect=0.5)
    table = perturbation_metrics(activity, _induced(perturbed), n_boot=200, rng=3)
    share = table.loc["direction", "estimate"]
    # the standard error of a standard deviation from 200 draws is 5 %
    assert table.loc["direction", "se"] == pytest.approx(
        np.sqrt(share * (1 - share) / 100), rel=0.2
    )
    assert ((table["low"] <= table["estimate"]) & (table["estimate"] <= table["high"])).all()
    assert list(table.index) == FIGURES


def test_replicated_conditions_make_no_interval_narrower():
    activity, perturbed = _random_activity(n_samples=40, n_regulators=40, effect=0.5)
    copies = [activity.loc[[*perturbed]].rename(index=f"{{}}_{k}".format) for k in range(4)]
    many = {f"{name}_{k}": regulator for name, regulator in perturbed.items() for k in range(4)}
    again = perturbation_metrics(
        pd.concat([*copies, activity.loc[["ref"]]]), _induced(many), n_boot=50
    )
    once = perturbation_metrics(activity, _induced(perturbed), n_boot=50)
    names = ["estimate", "se", "low", "high"]
    pd.testing.assert_frame_equal(again.loc[["direction"], names], once.loc[["direction"], names])
    assert again.loc["auroc", "se"] == pytest.approx(once.loc["auroc", "se"], rel=0.02)


def test_resamples_follow_the_seed():
    activity, perturbed = _random_activity()
    first, same, other = (
        perturbation_metrics(activity, _induced(perturbed), n_boot=10, rng=rng)
        for rng in (3, np.random.default_rng(3), 4)
    )
    pd.testing.assert_frame_equal(first, same)
    assert not np.allclose(first["se"], other["se"])


def test_without_resamples_there_is_no_interval():
    activity, perturbed = _random_activity()
    table = perturbation_metrics(activity, _induced(perturbed), n_boot=0)
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
        (
            lambda a: {"perturbed": perturbations({"s0": "R0"}, controls="wild")},
            KeyError,
            "controls 'wild' are no samples",
        ),
        (
            lambda a: {"perturbed": perturbations({"s0": "R0", "s1": "R1"})},
            ValueError,
            "no controls for 's0', 's1'",
        ),
        (
            lambda a: {"perturbed": perturbations({"s0": "X"})},
            ValueError,
            "perturbed names no sample and regulator",
        ),
        (lambda a: {"perturbed": {"s0": "R0"}}, ValueError, "perturbed must be a table"),
        (lambda a: {"ties": "random"}, ValueError, "ties must be one of"),
        (lambda a: {"n_boot": -1}, ValueError, "n_boot must be 0 or more"),
    ],
)
def test_bad_input_is_named(change, error, match):
    activity, perturbed = _random_activity()
    arguments = {"activity": activity, "perturbed": _induced(perturbed), "n_boot": 0}
    with pytest.raises(error, match=match):
        perturbation_metrics(**(arguments | change(activity)))


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"regulator": pd.Series(["R0", "R1"], index=["s0", "s0"])}, "repeats samples"),
        ({"regulator": {"s0": None}}, "regulator is missing for 's0'"),
        ({"expected": 2}, r"expected must be \+1 or -1"),
        ({"expected": {"s0": 1}}, r"expected must be \+1 or -1 .* found nan for 's1'"),
        ({"controls": {"s0": ("ref",)}}, "controls are missing for 's1'"),
        ({"condition": {"s0": "x"}}, "condition is missing for 's1'"),
        ({"condition": {"s0": "x", "s1": "x"}}, "must share regulator and direction; .* 'x'"),
    ],
)
def test_bad_perturbations_are_named(arguments, match):
    with pytest.raises(ValueError, match=match):
        perturbations(**({"regulator": {"s0": "R0", "s1": "R1"}} | arguments))
