"""AUROC and AUPRC of all pairs of condition and regulator, pooled as decoupler's benchmark does."""

from __future__ import annotations

import numpy as np

from grnrep._checks import check_choice

_TIES = ("magnitude", "shared")


def pooled_auc(
    scores: np.ndarray,
    truth: np.ndarray,
    *,
    weight: np.ndarray | None = None,
    ties: str = "magnitude",
) -> tuple[float, float]:
    """AUROC and calibrated AUPRC of all condition × regulator pairs pooled.

    The scores of every condition are divided by the largest absolute one among them
    before pooling, so that no strong condition outweighs the others. Pairs of regulators that were perturbed
    in no condition are then left out. The precision is calibrated to a prior of one half [1]_: the
    positives weigh together as much as the negatives, and the area no longer depends on the number of
    regulators.

    Parameters
    ----------
    scores
        Conditions × regulators, times the direction that is expected in the condition.
    truth
        True where the regulator was perturbed in the condition, same shape.
    weight
        Weight of every condition; by default 1.
    ties
        The division gives every condition one score of exactly ±1, tied with that of all
        others. ``"magnitude"`` orders equal scores by their size before the
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
    truth = np.asarray(truth, dtype=bool)
    ranks, judged = pooled_ranks(scores, ties), truth.any(axis=0)
    weight = np.ones(len(truth)) if weight is None else np.asarray(weight, dtype=np.float64)
    return areas(ranks[:, judged], truth[:, judged], weight)


def pooled_ranks(scores: np.ndarray, ties: str) -> np.ndarray:
    """Order of the normalised scores over all pairs, equal scores sharing a rank."""
    check_choice("ties", ties, _TIES)
    scores = np.asarray(scores, dtype=np.float64)
    largest = np.abs(scores).max(axis=1, keepdims=True)
    relative = (scores / np.where(largest > 0, largest, 1)).ravel()
    second = scores.ravel() if ties == "magnitude" else np.zeros(scores.size)
    order = np.lexsort((second, relative))
    new = (np.diff(relative[order]) != 0) | (np.diff(second[order]) != 0)
    ranks = np.empty(scores.size, dtype=np.int64)
    ranks[order] = np.concatenate([[0], np.cumsum(new)])
    return ranks.reshape(scores.shape)


def areas(ranks: np.ndarray, truth: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """AUROC, and AUPRC at a prior of one half, with a weight per row."""
    order = np.argsort(-ranks, axis=None)
    pair, positive = np.repeat(weight, ranks.shape[1])[order], truth.ravel()[order]
    last = np.append(np.diff(ranks.ravel()[order]) != 0, True)  # pairs of one rank come together
    hits, misses = (np.cumsum(pair * kind)[last] for kind in (positive, ~positive))
    hits, misses = hits / hits[-1], misses / misses[-1]  # at a prior of one half
    gain = np.diff(hits, prepend=0)
    # a positive is above the misses yet to come, and level with half of those of its own rank
    auroc = gain @ (1 - misses + np.diff(misses, prepend=0) / 2)
    found = hits + misses
    return float(auroc), float(gain @ (hits / np.where(found > 0, found, 1)))
