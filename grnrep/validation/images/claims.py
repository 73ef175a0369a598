"""What the paper says of its experiments on images, beside what was found."""

from __future__ import annotations

import numpy as np
import pandas as pd

_SIMILAR = 0.1  # share by which training errors may differ and count as similar
_CONSTANT = 0.05  # share by which a test error that is almost constant may change
_FROM = 4000  # images from which it should be

# what is said, what was found, and whether it holds; None: not tested
_Claim = tuple[str, str, bool | None]


def mnist_claims(table: pd.DataFrame) -> pd.DataFrame:
    """Compare the statements of Section 3.1 with the rows of a study.

    Training errors count as similar where they differ by less than 10 %, a test error as almost constant
    where it changes by less than 5 %.

    Parameters
    ----------
    table
        From :func:`mnist_study`.

    Returns
    -------
    DataFrame with ``claim``, ``found`` (means over seeds, the number of images in brackets) and ``verdict``:
    confirmed, not confirmed, or not tested.

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
    encoder_load = loads["load_encoder"].first()
    return _table(
        (
            "on new images the decoder alone is better than the autoencoder, in every seed",
            _text(gap, "+.3f"),
            _all(gap > 0),
        ),
        ("the more images, the smaller the difference", _text(gap, "+.3f"), _falling(gap)),
        ("training errors are very similar", _text(off, "+.0%"), _all(off.abs() < _SIMILAR)),
        (
            "an encoder on the trained decoder is worse than both",
            _text(worse, "+.3f"),
            _all(worse > 0),
        ),
        (
            f"the decoder's test error is almost constant from about {_FROM:,} images",
            _text(later),
            None if len(later) < 2 else bool(later.max() < (1 + _CONSTANT) * later.min()),
        ),
        (
            "the decoder's load is above 1 for almost all sizes",
            _text(loads["load_decoder"].first(), ".1f"),
            _all(loads["load_decoder"].first() > 1),
        ),
        (
            "the encoder's load is below 1 for all sizes but 15,000",
            _text(encoder_load, ".2f"),
            _all((encoder_load < 1) == (encoder_load.index < 15_000)),
        ),
    )


def cifar10_claims(table: pd.DataFrame) -> pd.DataFrame:
    """Compare the statements of Section 3.2 on the 1x1 networks with the rows of a study.

    "About three times" is taken to be a ratio of 2 to 4, and "converged" one below 1.2.

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
    table = table[table["kind"] == "1x1"]
    test = _wide(table, "per_class", "test_error")
    ratio = _means((test["autoencoder"] / test["decoder"]).dropna())
    both = test.dropna(how="all").groupby(level=0).mean()[["autoencoder", "decoder"]].dropna()
    fall = both.iloc[0] / both.iloc[-1] if len(both) > 1 else None
    words = (
        ""
        if fall is None
        else (
            f"error falls by a factor of {fall['decoder']:.2f}, the autoencoder's by "
            f"{fall['autoencoder']:.2f}, from {both.index[0]:,} to {both.index[-1]:,}"
        )
    )
    return _table(
        (
            "with 50 images a class the autoencoder's test error is about three times "
            "the decoder's",
            _text(ratio, ".2f"),
            None if 50 not in ratio else bool(2 <= ratio[50] <= 4),
        ),
        (
            "the number of images matters much less to the decoder",
            words,
            None if fall is None else bool(fall["decoder"] < fall["autoencoder"]),
        ),
        ("the difference is not for want of training time", *_time(table)),
        (
            "with 5,000 images a class the errors converge",
            _text(ratio[ratio.index >= 5000], ".2f"),
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


def _text(values: pd.Series, form: str = ".3f") -> str:
    return ", ".join(f"{mean:{form}} ({size:,})" for size, mean in _means(values).items())


def _all(holds: pd.Series) -> bool | None:
    return None if holds.empty else bool(holds.all())


def _falling(values: pd.Series) -> bool | None:
    means = _means(values)
    return None if len(means) < 2 else bool((np.diff(means) < 0).all())


def _table(*claims: _Claim) -> pd.DataFrame:
    verdicts = {True: "confirmed", False: "not confirmed", None: "not tested"}
    rows = [(said, found, verdicts[holds]) for said, found, holds in claims]
    return pd.DataFrame(rows, columns=["claim", "found", "verdict"])
