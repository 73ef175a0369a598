"""The autoencoder family side by side: on images, in sparse codes, and with the masked decoder."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

import pandas as pd
from tqdm.auto import tqdm

from grnrep.validation.autoencoders.panels import (
    ENCODERS,
    FULL,
    IMAGE_MEMBERS,
    QUICK,
    REGULATOR_MEMBERS,
    SPARSE_MEMBERS,
    Settings,
    image_rows,
    load_digits,
    regulator_rows,
    sparse_rows,
)
from grnrep.validation.runs import Runs

PANELS: Final = {
    "images": IMAGE_MEMBERS,
    "sparse": dict.fromkeys(SPARSE_MEMBERS),
    "regulators": REGULATOR_MEMBERS,
    "image-encoders": ENCODERS,
    "regulator-encoders": ENCODERS,
}


def autoencoders_study(
    data_dir: str | os.PathLike[str] | None = None,
    *,
    quick: bool = False,
    panels: Sequence[str] = tuple(PANELS),
    members: Sequence[str] | None = None,
    rng: int = 0,
    out: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Train every member of the autoencoder family, and measure what each is for.

    ``"images"``: all members with as many units between encoder and decoder, on few images: how well test
    images are reconstructed, and how well their class can be read off the code by logistic
    regression. ``"mean"`` is the mean image.

    ``"sparse"``: the table of Makhzani & Frey (2013), one tied layer of 1,000 units of which k are kept, and
    logistic regression on its codes. They had 60,000 images to learn from; here there are 10,000. Codes
    are taken with k or 3 k units (``alpha``), whichever does better on held-out training images.

    ``"regulators"``: members whose decoder has the edges of a network, on the data of the load study
    (Eq. 6) with weights from -1 to 1, whose units are to be the regulators. All encoders are one layer, as
    in Section 3.3, and all rates the paper's. ``"exact"`` is the solver of this package.

    ``"image-encoders"`` and ``"regulator-encoders"``: what the paper leaves open, encoders for a decoder that
    was trained alone, learned from noisy inputs and the representations that descent finds for them, beside an
    encoder that learns by reconstruction, and descent. Inputs are the data and four copies with noise, in
    standard deviations of the data; with none, the encoder takes as many steps and sees no new input.

    Parameters
    ----------
    data_dir
        As in :func:`grnrep.ds.mnist`.
    quick
        The digits of scikit-learn instead of MNIST, fewer images and cells: some minutes.
    panels, members
        Which parts to run, and which members to train; by default all.
    rng
        Added to every seed.
    out
        JSON file of the rows, continued where it is there; by default none is written.
    progress
        Whether to show a progress bar.

    Returns
    -------
    DataFrame with a row for each panel, size ``n``, ``seed`` and ``member``. ``test_error`` and
    ``train_error`` are mean squared errors per pixel, ``probe_error`` that of the classifier;
    in the panel of regulators ``test_mse``, ``pcc`` and so on are as in :func:`load_study`.

    Raises
    ------
    ValueError, OSError
        As :func:`grnrep.ds.mnist`, if a name is unknown, or if ``out`` holds other runs.

    Examples
    --------
    >>> from grnrep.validation import autoencoders_study
    >>> some = {"panels": ["images"], "members": ["mean", "pca"], "progress": False}
    >>> table = autoencoders_study(quick=True, **some)
    >>> error = table.groupby("member")["test_error"].mean()
    >>> bool(error["pca"] < 0.5 * error["mean"])
    True
    """
    unknown = [name for name in panels if name not in PANELS]
    if unknown or not panels:
        raise ValueError(f"panels must be among {', '.join(PANELS)}; found {list(panels)}")
    known = dict.fromkeys(name for panel in panels for name in PANELS[panel])
    wrong = [name for name in members or () if name not in known]
    if wrong:
        raise ValueError(f"members must be among {', '.join(known)}; found {wrong}")
    settings = QUICK if quick else FULL
    made = asdict(settings) | {"rng": int(rng)}
    runs = Runs(None if out is None else Path(out), study="autoencoders", settings=made)
    wanted = {
        panel: {n: m for n, m in PANELS[panel].items() if members is None or n in members}
        for panel in panels
    }
    load = cache(partial(load_digits, settings, data_dir, progress))
    sets = [(panel, *where) for panel in wanted for where in _sets(panel, settings, rng)]
    total = sum(len(wanted[panel]) for panel, _, _ in sets)
    with tqdm(total=total, desc="autoencoders", unit="model", disable=not progress) as bar:
        for panel, n, seed in sets:
            add = partial(_add, runs, bar, {"panel": panel, "n": n, "seed": seed})
            some = wanted[panel]
            if panel == "sparse":
                sparse_rows(load(), some, seed, settings, add)
            elif "image" in panel:
                image_rows(load(), some, n, seed, settings, add)
            else:
                regulator_rows(some, n, seed, rng, add)
    return runs.table()


def _add(runs: Runs, bar: tqdm, where: Any, member: str, compute: Callable[[], Any]) -> None:
    """Compute and keep the row of a member, if it is not there yet."""
    key = where | {"member": member}
    bar.set_postfix_str(f"{where['panel']}, {member}")
    if runs.find(key) is None:
        runs.add(key, compute())
    bar.update()


def _sets(panel: str, settings: Settings, rng: int) -> list[tuple[int, int]]:
    """Sizes and seeds of a panel."""
    seeds = settings.replicates if "regulator" in panel else [k + rng for k in settings.seeds]
    sizes = {
        "images": settings.sizes, "sparse": (settings.n_sparse,), "regulators": settings.cells,
        "image-encoders": settings.encoder_sizes, "regulator-encoders": settings.encoder_cells,
    }  # fmt: skip
    return [(n, seed) for n in sizes[panel] for seed in seeds]
