"""What the paper says of its experiments on images, beside what was found."""

from __future__ import annotations

import numpy as np
import pandas as pd

_SIMILAR = 0.1  # share by which training errors may differ and count as similar
_CONSTANT = 0.05  # share by which a test error that is almost constant may change
_FROM = 4000  # images from which it should be

# what is said, when it holds, what was found, and whether it does; None: not tested
Claim = tuple[str, str, str, bool | None]


def mnist_claims(table: pd.DataFrame) -> pd.DataFrame:
    """Compare the statements of Section 3.1 with the rows of a study.

    Parameters
    ----------
    table
        From :func:`mnist_study`.

    Returns
    -------
    DataFrame with ``claim``, its ``criterion``, ``found`` (means over seeds, the number of images in brackets)
    and ``verdict``: confirmed, not confirmed, or not tested.

    Examples
    --------
    >>> import pandas as pd
    >>> from grnrep.validation import mnist_claims
    >>> rows = {"n_train": 500, "seed": 0, "model": ["decoder", "autoencoder"], "train_error": [0.06, 0.06]}
    >>> table = pd.DataFrame(rows | {"test_error": [0.09, 0.14], "load_decoder": 1.4, "load_encoder": 0.04})
    >>> mnist_claims(table)["verdict"].iloc[0]
    'confirmed'
    """
    test, train = (_wide(table, "n_train", column) for column in ("test_error", "train_error"))
    gap = (test["autoencoder"] - test["decoder"]).dropna()
    off = (train["autoencoder"] / train["decoder"] - 1).dropna()
    worse = (test["encoder_on_decoder"] - test[["decoder", "autoencoder"]].max(axis=1)).dropna()
    decoder, loads = _means(test["decoder"].dropna()), table.groupby("n_train")
    later = decoder[decoder.index >= _FROM]
    load, encoder_load = loads["load_decoder"].first(), loads["load_encoder"].first()
    return judged(
        (
            "on new images the decoder alone is better than the autoencoder",
            "in every seed",
            per_size(gap, "+.3f"),
            all_hold(gap > 0),
        ),
        (
            "the more images, the smaller the difference",
            "the mean falls with every size",
            per_size(gap, "+.3f"),
            _falling(gap),
        ),
        (
            "training errors are very similar",
            f"within {_SIMILAR:.0%} in every seed",
            per_size(off, "+.0%"),
            all_hold(off.abs() < _SIMILAR),
        ),
        (
            "an encoder on the trained decoder is worse than both",
            "in every seed",
            per_size(worse, "+.3f"),
            all_hold(worse > 0),
        ),
        (
            f"the decoder's test error is almost constant from about {_FROM:,} images",
            f"changes by less than {_CONSTANT:.0%}",
            per_size(later),
            None if len(later) < 2 else bool(later.max() < (1 + _CONSTANT) * later.min()),
        ),
        (
            "the decoder's load is above 1 for almost all sizes",
            "for all",
            per_size(load, ".1f"),
            all_hold(load > 1),
        ),
        (
            "the encoder's load is below 1 for all sizes but 15,000",
            "for all",
            per_size(encoder_load, ".2f"),
            all_hold((encoder_load < 1) == (encoder_load.index < 15_000)),
        ),
    )


def cifar10_claims(table: pd.DataFrame) -> pd.DataFrame:
    """Compare the statements of Section 3.2 with the rows of a study, for each kind of networks.

    Parameters
    ----------
    table
        From :func:`cifar10_study`.

    Returns
    -------
    DataFrame as of :func:`mnist_claims`, with the images of each class in brackets.

    Examples
    --------
    >>> import pandas as pd
    >>> from grnrep.validation import cifar10_claims
    >>> rows = {"per_class": 50, "seed": 0, "kind": "1x1", "model": ["decoder", "autoencoder"]}
    >>> table = pd.DataFrame(rows | {"test_error": [0.01, 0.03]})
    >>> cifar10_claims(table)[["found", "verdict"]].iloc[0].tolist()
    ['3.00 (50)', 'confirmed']
    """
    return pd.concat([_cifar10(kind, rows) for kind, rows in table.groupby("kind")]).reset_index(
        drop=True
    )


def _cifar10(kind: str, table: pd.DataFrame) -> pd.DataFrame:
    test = _wide(table, "per_class", "test_error")
    ratio = _means((test["autoencoder"] / test["decoder"]).dropna())
    both = test.dropna(how="all").groupby(level=0).mean()[["autoencoder", "decoder"]].dropna()
    fall = both.iloc[0] / both.iloc[-1] if len(both) > 1 else None
    words = (
        ""
        if fall is None
        else f"decoder {fall['decoder']:.2f}, autoencoder {fall['autoencoder']:.2f}, from "
        f"{both.index[0]:,} to {both.index[-1]:,}"
    )
    return judged(
        (
            f"{kind}: with 50 images a class the autoencoder's test error is about three times "
            "the decoder's",
            "2 to 4 times",
            per_size(ratio, ".2f"),
            None if 50 not in ratio else bool(2 <= ratio[50] <= 4),
        ),
        (
            f"{kind}: the number of images matters much less to the decoder",
            "its error falls by a smaller factor",
            words,
            None if fall is None else bool(fall["decoder"] < fall["autoencoder"]),
        ),
        (
            f"{kind}: the difference is not for want of training time",
            "autoencoder at its best epoch above the decoder at its last",
            *_time(table),
        ),
        (
            f"{kind}: with 5,000 images a class the errors converge",
            "below 1.2 times",
            per_size(ratio[ratio.index >= 5000], ".2f"),
            None if 5000 not in ratio else bool(ratio[5000] < 1.2),
        ),
    )


def _time(table: pd.DataFrame) -> tuple[str, bool | None]:
    """Whether the autoencoder at its best epoch is still worse than the decoder at its last."""
    if "curve" not in table:
        return "", None
    rows = table[table["curve"].map(lambda curve: isinstance(curve, list))]
    best = {
        (row.per_class, row.model): (min(row.curve), int(np.argmin(row.curve)) + 1, row.curve[-1])
        for row in rows.itertuples()
    }
    words, holds = [], []
    for size in sorted({size for size, _ in best}):
        if {(size, "decoder"), (size, "autoencoder")} <= best.keys():
            low, epoch, _ = best[size, "autoencoder"]
            words.append(
                f"autoencoder at its best epoch, {epoch}: "
                f"{low / best[size, 'decoder'][2]:.2f} ({size:,})"
            )
            holds.append(low > best[size, "decoder"][2])
    return ", ".join(words), all(holds) if holds else None


def _wide(table: pd.DataFrame, size: str, column: str) -> pd.DataFrame:
    """Rows (size, seed), a column for each model, empty where one was not trained."""
    wide = table.pivot_table(index=[size, "seed"], columns="model", values=column)
    return wide.reindex(columns=["decoder", "autoencoder", "encoder_on_decoder"])


def _means(values: pd.Series) -> pd.Series:
    return values.groupby(level=0).mean()


def per_size(values: pd.Series, form: str = ".3f") -> str:
    """Means by size, the first level of the index."""
    return ", ".join(f"{mean:{form}} ({size:,})" for size, mean in _means(values).items())


def all_hold(holds: pd.Series) -> bool | None:
    """Whether something holds in every row; None without any."""
    return None if holds.empty else bool(holds.all())


def _falling(values: pd.Series) -> bool | None:
    means = _means(values)
    return None if len(means) < 2 else bool((np.diff(means) < 0).all())


def judged(*claims: Claim) -> pd.DataFrame:
    """Claims as a table, with verdicts."""
    verdicts = {True: "confirmed", False: "not confirmed", None: "not tested"}
    rows = [(*words, verdicts[holds]) for *words, holds in claims]
    return pd.DataFrame(rows, columns=["claim", "criterion", "found", "verdict"])
