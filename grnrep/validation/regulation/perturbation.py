"""How well activities find the regulator that an experiment perturbed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, roc_auc_score

_TIES = ("magnitude", "shared")


def perturbed_samples(
    activity: pd.DataFrame,
    perturbed: Mapping[str, str] | pd.Series,
    *,
    expected: int | Mapping[str, int] | pd.Series = 1,
    reference: str | None = None,
) -> pd.DataFrame:
    """Where the perturbed regulator of every sample stands.

    Parameters
    ----------
    activity
        Samples × regulators, finite. The reference is one of the samples.
    perturbed
        Regulator that was perturbed, by sample. Samples without an entry and
        samples whose regulator is no column of ``activity`` have no row in the
        result, yet they count in the z-scores.
    expected
        Direction in which the activity should move: +1 (induced) or -1 (knocked
        out), one for all samples or by sample.
    reference
        Name of the unperturbed sample. By default changes are taken against zero,
        which suits expression that is given relative to a reference.

    Returns
    -------
    DataFrame by sample, in the order of ``activity``: ``regulator``; ``expected``;
    ``change``, its activity less that of the reference, times the expected direction;
    ``moves_as_expected``, whether the change is positive; ``z``, its activity z-scored
    over all samples, times the expected direction; ``percentile``, per cent of all
    regulators with a smaller z in that sample, so that the best of 50 has 98.

    Raises
    ------
    TypeError
        If ``activity`` is no DataFrame.
    ValueError
        If names repeat, values are not finite, no sample counts, or a direction is not ±1.
    KeyError
        If ``reference`` is no sample.

    Examples
    --------
    >>> import pandas as pd
    >>> from grnrep.validation import perturbed_samples
    >>> activity = pd.DataFrame({"A": [0.0, 3.0, 1.0], "B": [0.0, 1.0, -2.0]}, index=["wt", "a_up", "b_down"])
    >>> table = perturbed_samples(
    ...     activity, {"a_up": "A", "b_down": "B"}, expected={"a_up": 1, "b_down": -1}, reference="wt"
    ... )
    >>> table[["regulator", "change", "percentile"]].values.tolist()
    [['A', 3.0, 50.0], ['B', 2.0, 50.0]]
    """
    _check_activity(activity, reference)
    perturbed = pd.Series(perturbed, dtype=object)
    if not perturbed.index.is_unique:
        raise ValueError("perturbed repeats samples; give each one regulator")
    perturbed = perturbed[perturbed.index.isin(activity.index) & perturbed.isin(activity.columns)]
    if perturbed.empty:
        raise ValueError(
            "perturbed names no sample and regulator of activity; activity has samples "
            f"{list(activity.index[:3])} and regulators {list(activity.columns[:3])}"
        )
    samples = activity.index[activity.index.isin(perturbed.index)]
    regulator = perturbed.loc[samples]
    sign = _directions(expected, samples)
    row, column = activity.index.get_indexer(samples), activity.columns.get_indexer(regulator)
    values = activity.to_numpy(dtype=np.float64)
    base = 0.0 if reference is None else values[activity.index.get_loc(reference)][column]
    change = sign * (values[row, column] - base)
    spread = values.std(axis=0)
    z = (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1)
    z = sign[:, None] * z[row]
    own = z[np.arange(len(row)), column]
    return pd.DataFrame(
        {
            "regulator": regulator.to_numpy(),
            "expected": sign,
            "change": change,
            "moves_as_expected": change > 0,
            "z": own,
            "percentile": 100 * (z < own[:, None]).mean(axis=1),
        },
        index=samples,
    )


def pooled_auc(
    scores: np.ndarray, truth: np.ndarray, *, ties: str = "magnitude"
) -> tuple[float, float]:
    """AUROC and calibrated AUPRC of all sample × regulator pairs pooled.

    The scores of every sample are divided by the largest absolute one among them
    before pooling, so that no strong sample outweighs the others. The precision is
    calibrated to a prior of one half [1]_: the positives weigh together as much as
    the negatives, and the area no longer depends on the number of regulators.

    Parameters
    ----------
    scores
        Samples × regulators, times the direction that is expected in the sample.
    truth
        True where the regulator was perturbed in the sample, same shape.
    ties
        The division gives every sample one score of exactly ±1, tied with that of all
        other samples. ``"magnitude"`` orders equal scores by their size before the
        division; ``"shared"`` leaves them tied, as the ``benchmark`` of decoupler does.

    Returns
    -------
    AUROC and AUPRC (as average precision), both 0.5 by chance.

    References
    ----------
    .. [1] Siblini et al. (2020), Master your metrics with calibration, IDA.

    Examples
    --------
    >>> import numpy as np
    >>> from grnrep.validation import pooled_auc
    >>> pooled_auc(np.array([[3.0, 1.0], [0.1, 2.0]]), np.eye(2, dtype=bool))
    (1.0, 1.0)
    """
    return _areas(_pooled_ranks(scores, ties), np.asarray(truth, dtype=bool))


def perturbation_metrics(
    activity: pd.DataFrame,
    perturbed: Mapping[str, str] | pd.Series,
    *,
    expected: int | Mapping[str, int] | pd.Series = 1,
    reference: str | None = None,
    ties: str = "magnitude",
    n_boot: int = 1000,
    rng: int | np.random.Generator | None = 0,
) -> pd.DataFrame:
    """Score activities on perturbation experiments, with bootstrap intervals.

    Four figures over the samples with a perturbed regulator among the columns:
    ``direction``, the share in which its activity moves the expected way against the
    reference; ``median_percentile``, the median of its percentile among all regulators of
    the sample (:func:`perturbed_samples`); ``auroc`` and ``auprc`` of all pairs pooled
    (:func:`pooled_auc`).

    Parameters
    ----------
    activity, perturbed, expected, reference
        As in :func:`perturbed_samples`.
    ties
        As in :func:`pooled_auc`.
    n_boot
        Number of bootstrap resamples, which draw samples with replacement; the z-scores
        and the other regulators stay as they are. The same ``rng`` draws the same samples
        for every method, so that their differences can be compared.
    rng
        Seed or generator of the resamples.

    Returns
    -------
    DataFrame with one row per figure and the columns ``estimate``; ``se``, the standard
    deviation over resamples; ``low`` and ``high``, the 2.5 and 97.5 % quantiles;
    ``n_samples``. Without resamples the three are NaN.

    Raises
    ------
    ValueError, TypeError, KeyError
        As :func:`perturbed_samples`; also for an unknown ``ties`` or a negative ``n_boot``.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from grnrep.validation import perturbation_metrics
    >>> names = ["A", "B", "C"]
    >>> activity = pd.DataFrame(np.eye(3), index=names, columns=names)
    >>> table = perturbation_metrics(activity, {name: name for name in names}, n_boot=0)
    >>> table["estimate"].round(2).to_dict()
    {'direction': 1.0, 'median_percentile': 66.67, 'auroc': 1.0, 'auprc': 1.0}
    """
    if n_boot < 0:
        raise ValueError(f"n_boot must be 0 or more; found {n_boot}")
    table = perturbed_samples(activity, perturbed, expected=expected, reference=reference)
    scores = table["expected"].to_numpy()[:, None] * activity.loc[table.index].to_numpy(
        dtype=np.float64
    )
    ranks = _pooled_ranks(scores, ties)
    truth = table["regulator"].to_numpy()[:, None] == activity.columns.to_numpy()
    moves, percentile = table["moves_as_expected"].to_numpy(), table["percentile"].to_numpy()

    def figures(rows: np.ndarray) -> list[float]:
        return [moves[rows].mean(), np.median(percentile[rows]), *_areas(ranks[rows], truth[rows])]

    names = ["direction", "median_percentile", "auroc", "auprc"]
    out = pd.DataFrame({"estimate": figures(np.arange(len(table)))}, index=names)
    draws = np.random.default_rng(rng).integers(len(table), size=(n_boot, len(table)))
    boot = np.array([figures(rows) for rows in draws]) if n_boot else np.full((1, 4), np.nan)
    out["se"] = boot.std(axis=0)
    out["low"], out["high"] = np.quantile(boot, [0.025, 0.975], axis=0)
    out["n_samples"] = len(table)
    return out.rename_axis("metric")


def _check_activity(activity: pd.DataFrame, reference: str | None) -> None:
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
    if reference is not None and reference not in activity.index:
        raise KeyError(
            f"reference {reference!r} is no sample of activity; first: {list(activity.index[:5])}"
        )


def _directions(expected: int | Mapping[str, int] | pd.Series, samples: pd.Index) -> np.ndarray:
    if isinstance(expected, Mapping | pd.Series):
        sign = pd.Series(expected).reindex(samples).to_numpy(dtype=np.float64)
    else:
        sign = np.full(len(samples), expected, dtype=np.float64)
    wrong = ~np.isin(sign, [-1, 1])
    if wrong.any():
        raise ValueError(
            f"expected must be +1 or -1 for every perturbed sample; found {sign[wrong][0]} "
            f"for {list(samples[wrong][:3])}"
        )
    return sign


def _pooled_ranks(scores: np.ndarray, ties: str) -> np.ndarray:
    """Order of the normalised scores over all pairs, equal scores sharing a rank."""
    if ties not in _TIES:
        raise ValueError(f"ties must be one of {_TIES}; found {ties!r}")
    scores = np.asarray(scores, dtype=np.float64)
    largest = np.abs(scores).max(axis=1, keepdims=True)
    relative = (scores / np.where(largest > 0, largest, 1)).ravel()
    second = scores.ravel() if ties == "magnitude" else np.zeros(scores.size)
    order = np.lexsort((second, relative))
    new = (np.diff(relative[order]) != 0) | (np.diff(second[order]) != 0)
    ranks = np.empty(scores.size, dtype=np.int64)
    ranks[order] = np.concatenate([[0], np.cumsum(new)])
    return ranks.reshape(scores.shape)


def _areas(ranks: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    ranks, truth = ranks.ravel(), truth.ravel()
    prior = truth.mean()
    weight = np.where(truth, 0.5 / prior, 0.5 / (1 - prior))
    return float(roc_auc_score(truth, ranks)), float(
        average_precision_score(truth, ranks, sample_weight=weight)
    )
