"""How well activities find the regulator that an experiment perturbed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from grnrep._checks import some
from grnrep.validation.regulation.perturbation_set import COLUMNS
from grnrep.validation.regulation.pooled_auc import areas, pooled_ranks

METRICS = ("direction", "median_percentile", "auroc", "auprc")


def perturbed_conditions(
    activity: pd.DataFrame, perturbed: pd.DataFrame, *, relative: bool = False
) -> pd.DataFrame:
    """Where the perturbed regulator of every condition stands.

    Parameters
    ----------
    activity
        Samples × regulators, finite. Controls are among the samples.
    perturbed
        From :func:`perturbations`. Samples that are not in ``activity``, and those whose regulator is no
        column of it, are left out; what is in ``activity`` counts in the spread of a regulator.
    relative
        Whether activities are those of expression that is relative to the unperturbed state. If so they
        are z-scored over all samples; else the change, the activity less the mean of those of the controls,
        is divided by the regulator's standard deviation over all samples.

    Returns
    -------
    DataFrame by condition, sorted by name: ``regulator``; ``expected``; ``change``, its activity less that of
    the controls (0 without any), times the expected direction; ``moves_as_expected``, whether the change
    is positive; ``z``, the change or activity in units of spread, times the expected direction;
    ``percentile``, per cent of all regulators with a smaller z in that condition, so that the best of 50
    has 98. Changes and z are means over the samples of a condition.

    Raises
    ------
    TypeError
        If ``activity`` is no DataFrame.
    ValueError
        If names repeat, values are not finite, columns are missing, no sample counts, or samples have no
        controls although ``relative`` is False.
    KeyError
        If a control is no sample.

    Examples
    --------
    >>> import pandas as pd
    >>> from grnrep.validation import perturbations, perturbed_conditions
    >>> activity = pd.DataFrame({"A": [0.0, 3.0, 1.0], "B": [0.0, 1.0, -2.0]}, index=["wt", "a_up", "b_down"])
    >>> perturbed = perturbations(
    ...     {"a_up": "A", "b_down": "B"}, expected={"a_up": 1, "b_down": -1}, controls="wt"
    ... )
    >>> table = perturbed_conditions(activity, perturbed)
    >>> table[["regulator", "change", "percentile"]].values.tolist()
    [['A', 3.0, 50.0], ['B', 2.0, 50.0]]
    """
    return _score(activity, perturbed, relative=relative).table


def perturbation_metrics(
    activity: pd.DataFrame,
    perturbed: pd.DataFrame,
    *,
    relative: bool = False,
    ties: str = "magnitude",
    n_boot: int = 1000,
    rng: int | np.random.Generator | None = 0,
) -> pd.DataFrame:
    """Score activities on perturbation experiments, with bootstrap intervals.

    Four figures over the conditions with a perturbed regulator among the columns:
    ``direction``, the share in which its activity moves the expected way against the
    controls; ``median_percentile``, the median of its percentile among all regulators of
    the condition (:func:`perturbed_conditions`); ``auroc`` and ``auprc`` of all pairs pooled
    (:func:`pooled_auc`; of activities as they are where ``relative``, else of changes in units of spread).
    Every regulator counts once: a condition has the weight 1 / number of conditions of its regulator.

    Parameters
    ----------
    activity, perturbed, relative
        As in :func:`perturbed_conditions`.
    ties
        As in :func:`pooled_auc`.
    n_boot
        Number of bootstrap resamples, which draw regulators, with all their conditions, with replacement; the
        spread and the other regulators stay as they are. The same ``rng`` draws the same regulators
        for every method, so that their differences can be compared.
    rng
        Seed or generator of the resamples.

    Returns
    -------
    DataFrame with one row per figure and the columns ``estimate``; ``se``, the standard
    deviation over resamples; ``low`` and ``high``, the 2.5 and 97.5 % quantiles; ``per_condition``,
    the estimate where every condition, and not every regulator, counts once; ``n_regulators`` and
    ``n_conditions``. Without resamples the intervals are NaN.

    Raises
    ------
    ValueError, TypeError, KeyError
        As :func:`perturbed_conditions`; also for an unknown ``ties`` or a negative ``n_boot``.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from grnrep.validation import perturbation_metrics, perturbations
    >>> names = ["A", "B", "C"]
    >>> activity = pd.DataFrame(np.eye(3), index=names, columns=names)
    >>> induced = perturbations({name: name for name in names})
    >>> table = perturbation_metrics(activity, induced, relative=True, n_boot=0)
    >>> table["estimate"].round(2).to_dict()
    {'direction': 1.0, 'median_percentile': 66.67, 'auroc': 1.0, 'auprc': 1.0}
    """
    if n_boot < 0:
        raise ValueError(f"n_boot must be 0 or more; found {n_boot}")
    scores = _score(activity, perturbed, relative=relative)
    table, ranks = scores.table, pooled_ranks(scores.scores, ties)
    regulators, index, counts = np.unique(
        table["regulator"].astype(str), return_inverse=True, return_counts=True
    )
    columns = activity.columns.get_indexer(regulators)
    truth = index[:, None] == np.arange(len(regulators))
    ranks = ranks[:, columns]
    moves = table["moves_as_expected"].to_numpy(dtype=np.float64)
    percentile = table["percentile"].to_numpy()

    def figures(weight: np.ndarray) -> list[float]:
        return [
            float(np.average(moves, weights=weight)),
            _weighted_median(percentile, weight),
            *areas(ranks, truth, weight),
        ]

    once = 1 / counts[index]
    out = pd.DataFrame({"estimate": figures(once)}, index=list(METRICS))
    draws = np.random.default_rng(rng).integers(len(regulators), size=(n_boot, len(regulators)))
    times = [np.bincount(draw, minlength=len(regulators)) for draw in draws]
    boot = np.array([figures(once * n[index]) for n in times] or [[np.nan] * len(METRICS)])
    out["se"] = boot.std(axis=0)
    out["low"], out["high"] = np.quantile(boot, [0.025, 0.975], axis=0)
    out["per_condition"] = figures(np.ones(len(table)))
    out["n_regulators"], out["n_conditions"] = len(regulators), len(table)
    return out.rename_axis("metric")


@dataclass(frozen=True, eq=False)
class _Scores:
    """Scores of all regulators in every condition, (n_conditions, n_regulators), and where the perturbed stand."""

    scores: np.ndarray
    table: pd.DataFrame


def _score(activity: pd.DataFrame, perturbed: pd.DataFrame, *, relative: bool) -> _Scores:
    _check_activity(activity)
    perturbed = _judged(activity, perturbed, relative=relative)
    values = activity.to_numpy(dtype=np.float64)
    sample = activity.index.get_indexer(perturbed.index)
    sign = perturbed["expected"].to_numpy(dtype=np.float64)[:, None]
    base = np.zeros((len(sample), values.shape[1]))
    for row, controls in enumerate(perturbed["controls"]):
        if controls:
            base[row] = values[activity.index.get_indexer(list(controls))].mean(axis=0)
    spread = values.std(axis=0)
    spread = np.where(spread > 0, spread, 1)
    change = sign * (values[sample] - base)
    if (
        relative
    ):  # expression has been compared already: no sample of the set has to be the reference
        scores, z = sign * values[sample], sign * (values[sample] - values.mean(axis=0)) / spread
    else:
        scores = z = change / spread
    names, condition, n = np.unique(
        perturbed["condition"].astype(str), return_inverse=True, return_counts=True
    )
    change, z, scores = (_means(a, condition, n) for a in (change, z, scores))
    first = perturbed.iloc[np.unique(condition, return_index=True)[1]]
    own = np.arange(len(names)), activity.columns.get_indexer(first["regulator"])
    table = pd.DataFrame(
        {
            "regulator": first["regulator"].to_numpy(),
            "expected": first["expected"].to_numpy(),
            "change": change[own],
            "moves_as_expected": change[own] > 0,
            "z": z[own],
            "percentile": 100 * (z < z[own][:, None]).mean(axis=1),
        },
        index=pd.Index(names, name="condition"),
    )
    return _Scores(scores, table)


def _means(values: np.ndarray, group: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    total = np.zeros((len(sizes), values.shape[1]))
    np.add.at(total, group, values)
    return total / sizes[:, None]


def _judged(activity: pd.DataFrame, perturbed: pd.DataFrame, *, relative: bool) -> pd.DataFrame:
    """Perturbed samples that are there, of regulators that are there, in order of name."""
    if not isinstance(perturbed, pd.DataFrame) or not set(COLUMNS) <= set(perturbed.columns):
        raise ValueError(
            f"perturbed must be a table with the columns {', '.join(COLUMNS)}, "
            "as gr.validation.perturbations makes it"
        )
    table = perturbed[
        perturbed.index.isin(activity.index) & perturbed["regulator"].isin(activity.columns)
    ].sort_index()
    if table.empty:
        raise ValueError(
            "perturbed names no sample and regulator of activity; activity has samples "
            f"{list(activity.index[:3])} and regulators {list(activity.columns[:3])}"
        )
    controls = pd.Index([name for names in table["controls"] for name in names])
    lost = controls[~controls.isin(activity.index)].unique()
    if len(lost):
        raise KeyError(
            f"controls {some(lost)} are no samples of activity; first: {list(activity.index[:5])}"
        )
    alone = ~table["controls"].astype(bool)
    if not relative and alone.any():
        raise ValueError(
            f"perturbed has no controls for {some(table.index[alone])}; name them, or pass "
            "relative=True if expression is relative to the unperturbed state"
        )
    return table


def _check_activity(activity: pd.DataFrame) -> None:
    if not isinstance(activity, pd.DataFrame):
        raise TypeError(
            f"activity must be a DataFrame samples × regulators; found {type(activity).__name__}"
        )
    for what, names in (("samples", activity.index), ("regulators", activity.columns)):
        if not names.is_unique:
            raise ValueError(
                f"activity repeats {what}: {list(names[names.duplicated()].unique()[:3])}"
            )
    if activity.shape[1] < 2:
        raise ValueError(
            f"activity needs two regulators or more to rank; found {list(activity.columns)}"
        )
    bad = ~np.isfinite(activity.to_numpy(dtype=np.float64))
    if bad.any():
        where = [str(name) for name in activity.columns[bad.any(axis=0)][:3]]
        raise ValueError(f"activity has {bad.sum()} values that are not finite, first in {where}")


def _weighted_median(values: np.ndarray, weight: np.ndarray) -> float:
    """Middle of the values below and above which at most half of the weight lies."""
    order = np.argsort(values)
    share = np.cumsum(weight[order]) / weight.sum()
    low, high = np.searchsorted(share, [0.5 - 1e-9, 0.5 + 1e-9])
    return float(values[order][[low, min(high, len(order) - 1)]].mean())
