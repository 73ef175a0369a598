"""Two domains, one representation: digits translated to their rotations or edges, with and without encoders."""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from scipy import ndimage
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor
from torch.nn import functional
from tqdm.auto import tqdm

from grnrep.ds.images import Images
from grnrep.nn.adversarial import Adversarial
from grnrep.nn.dense import mlp
from grnrep.nn.domains import DomainCodes, DomainDecoder, DomainEncoder, DomainLoss
from grnrep.nn.infer import reconstruct
from grnrep.nn.likelihoods import Bernoulli
from grnrep.nn.model import Model
from grnrep.nn.representation import Representation
from grnrep.pl._axes import GREY
from grnrep.pl.images import image_grid
from grnrep.validation.autoencoders.figures import SIZES, dots
from grnrep.validation.autoencoders.panels import FULL, QUICK, Settings, flat, load_digits, pick
from grnrep.validation.runs import Runs

DOMAINS: Final = ("rotated", "edges")
PAIRS: Final = ("all", "a tenth", "none, labels", "none")
MODELS: Final = ("decoders alone", "autoencoders")
_COPIES: Final = 5  # of a label, which is a tenth of an image's values and else not heeded


def translation_study(
    data_dir: str | os.PathLike[str] | None = None,
    *,
    quick: bool = False,
    rng: int = 0,
    out: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Learn one representation of two domains, and translate new images from each to the other.

    One domain is digits, the other the same turned by a quarter, or their edges. ``"autoencoders"`` have an
    encoder and a decoder for each domain, as Yang et al. (2019); ``"decoders alone"`` have one representation
    for each sample, and find that of a new image by descent on what is seen of it. Of how many training images
    both sides are seen differs: of all, of a tenth, or of none. Where there are unpaired ones, a critic of codes
    makes the domains alike. With labels, the class of every training image is a third domain.

    Parameters
    ----------
    data_dir
        As in :func:`grnrep.ds.mnist`.
    quick
        The digits of scikit-learn instead of MNIST: some minutes.
    rng
        Added to every seed.
    out
        JSON file of the rows, continued where it is there; by default none is written.
    progress
        Whether to show a progress bar.

    Returns
    -------
    DataFrame with a row for each size ``n``, ``seed``, ``domain``, ``pairs`` and ``model``. Mean squared errors
    per pixel on test images, both ways: ``own_error`` within a domain, ``test_error`` of translations, and
    ``mean_error`` of the mean image; ``class_error`` is the share of translations that nearest neighbours
    among training images of the other domain take for another class, ``true_class_error`` that of the images
    which they should be.

    Raises
    ------
    ValueError, OSError
        As :func:`grnrep.ds.mnist`, or if ``out`` holds other runs.

    References
    ----------
    Yang et al. (2019), Multi-domain translation between single-cell imaging and sequencing data using
    autoencoders, bioRxiv 2019.12.13.875922.

    Examples
    --------
    >>> from grnrep.validation import translation_study
    >>> table = translation_study(quick=True)  # doctest: +SKIP
    """
    settings = QUICK if quick else FULL
    made = asdict(settings) | {"rng": int(rng)}
    runs = Runs(None if out is None else Path(out), study="translation", settings=made)
    images = load_digits(settings, data_dir, progress)
    seeds = [seed + rng for seed in settings.seeds]
    keys = [
        dict(zip(("n", "seed", "domain", "pairs", "model"), key, strict=True))
        for key in product(settings.sizes, seeds, DOMAINS, PAIRS, MODELS)
    ]
    for key in tqdm(keys, desc="translation", unit="model", disable=not progress):
        if runs.find(key) is None:
            runs.add(key, _Translation(images, settings, **key).measure())
    return runs.table()


def translation_images(
    data_dir: str | os.PathLike[str] | None = None,
    *,
    quick: bool = False,
    rng: int = 0,
    progress: bool = True,
) -> Figure:
    """Show test digits, and their translations to each other domain.

    Parameters
    ----------
    data_dir, quick, rng, progress
        As in :func:`translation_study`.

    Returns
    -------
    The figure: a panel for each domain, a row for each way to learn.

    Examples
    --------
    >>> from grnrep.validation import translation_images
    >>> figure = translation_images(quick=True)  # doctest: +SKIP
    """
    images = load_digits(settings := QUICK if quick else FULL, data_dir, progress)
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    for ax, domain in zip(figure.subplots(1, 2), DOMAINS, strict=True):
        options: dict[str, Any] = {"n": settings.sizes[-1], "seed": rng, "domain": domain}
        learned = {
            f"{pairs}: {model}": _Translation(images, settings, pairs=pairs, model=model, **options)
            for pairs, model in product(PAIRS, MODELS)
        }
        first = next(iter(learned.values()))
        shown = {"digit": first.test[0], "truth": first.test[1]}
        shown |= {name: one.translate(0)[1] for name, one in learned.items()}
        rows = torch.cat([row[:12] for row in shown.values()]).reshape(-1, *images.test.shape[2:])
        image_grid(rows.numpy(), n_columns=12, row_labels=list(shown), ax=ax)
        ax.set_title(f"pairs seen, and translations: {domain}")
    return figure


def translation_figure(table: pd.DataFrame) -> Figure:
    """Draw errors of translation, and how often the class is lost, by how many pairs were seen.

    Parameters
    ----------
    table
        From :func:`translation_study`.

    Returns
    -------
    Figure, a row for each domain; dots are seeds. Lines, in the colours of the sizes: the mean image, and how
    often the true images are taken for another class.

    Examples
    --------
    >>> import pandas as pd
    >>> from grnrep.validation import translation_figure
    >>> row = {"n": 300, "seed": 0, "domain": "edges", "pairs": "all", "model": "autoencoders"}
    >>> row |= {"test_error": 0.02, "mean_error": 0.07, "class_error": 0.1, "true_class_error": 0.05}
    >>> len(translation_figure(pd.DataFrame([row])).axes)
    2
    """
    domains = list(table["domain"].unique())
    table = table.assign(member="pairs: " + table["pairs"] + "; " + table["model"])
    figure = Figure(figsize=(11, 3.2 * len(domains)), layout="constrained")
    columns = {
        "test_error": ("mean_error", "mean image", "test error, mean square"),
        "class_error": ("true_class_error", "true images", "share translated to another class"),
    }
    for axes, domain in zip(figure.subplots(len(domains), 2, squeeze=False), domains, strict=True):
        part = table[table["domain"] == domain]
        for ax, (column, (line, label, title)) in zip(axes, columns.items(), strict=True):
            for (_, own), colour in zip(part.groupby("n"), SIZES, strict=False):
                ax.axvline(own[line].mean(), color=colour, linestyle=":", linewidth=1)
            ax.plot([], [], color=GREY, linestyle=":", linewidth=1, label=label)
            dots(ax, part, column)
            ax.set(xlabel=title, xlim=(0, None), title=f"digits ↔ {domain}")
    return figure


def _other(images: np.ndarray, domain: str) -> np.ndarray:
    """The other side of digits: turned by a quarter, or lengths of their gradients, by Sobel's filters."""
    if domain == "rotated":
        return np.rot90(images, axes=(2, 3))
    slopes = [
        ndimage.correlate1d(ndimage.correlate1d(images, [-1, 0, 1], along), [1, 2, 1], across)
        for along, across in ((2, 3), (3, 2))
    ]
    return np.hypot(*slopes).clip(0, 4) / 4  # an edge from 0 to 1 has a slope of 4


class _Translation:
    """What is learned from one set of images, and what it makes of new ones."""

    def __init__(
        self, images: Images, settings: Settings, *, n: int, seed: int, domain: str, pairs: str, model: str
    ):  # fmt: skip
        train, test = (_other(part, domain) for part in (images.train, images.test))
        turned = replace(images, train=train, test=test)
        sets = [pick(one, n, settings.n_test, seed) for one in (images, turned)]
        self.sides, self.test = [one[0] for one in sets], [one[2] for one in sets]
        self.labels, self.test_labels = sets[0][1], sets[0][3]
        self.sizes, self.d = [flat(images.test).shape[1]] * 2, settings.d
        columns = list(self.sides)
        if pairs == "none, labels":
            one_hot = functional.one_hot(torch.from_numpy(self.labels), 10).float()
            columns.append(one_hot.repeat(1, _COPIES))
            self.sizes.append(10 * _COPIES)
        self.trainer = settings.trainer(seed)
        n_pairs = {"all": n, "a tenth": n // 10}.get(pairs, 0)
        cut = n_pairs + (n - n_pairs) // 2  # from here on only the second side is seen
        whole = torch.cat(columns, 1)
        first, second = (self._seen(whole, side) for side in (0, 1))
        seen = torch.cat([whole[:n_pairs], first[n_pairs:cut], second[cut:]])
        hidden = round(256 * settings.width)
        self.model = self._build(model, len(seen), seed, hidden, alike=n_pairs < n)
        if model == "autoencoders":  # sees one side of a pair at a time, and explains both
            shown = torch.cat([first[:n_pairs], second[:n_pairs], seen[n_pairs:]])
            target = torch.cat([whole[:n_pairs], whole[:n_pairs], seen[n_pairs:]])
            self.trainer.fit(self.model, shown, target=target)
        else:
            self.trainer.fit(self.model, seen)

    def _build(self, model: str, n: int, seed: int, hidden: int, *, alike: bool) -> Model:
        d, sizes = self.d, self.sizes
        decoders = [mlp((d, hidden, size), rng=5 * seed + k) for k, size in enumerate(sizes)]
        source: torch.nn.Module
        if model == "autoencoders":
            encoders = [mlp((sizes[k], hidden, d), rng=5 * seed + 3 + k) for k in (0, 1)]
            source = DomainEncoder(encoders, sizes)
        else:
            start = torch.randn(n, d, generator=torch.Generator().manual_seed(seed))
            source = Representation(n, d, init=0.1 * start)
        critic = mlp((d, hidden, 1), activation="leaky_relu", rng=5 * seed + 4)
        penalties = [Adversarial(critic, sets=DomainCodes(sizes))] if alike else []
        loss = DomainLoss(Bernoulli(), sizes)
        return Model(source, DomainDecoder(decoders), loss=loss, penalties=penalties)

    def _seen(self, whole: Tensor, side: int) -> Tensor:
        """Samples of which one side is seen, and the label where there is one."""
        parts = list(whole.split(self.sizes, dim=1))
        parts[1 - side] = torch.zeros_like(parts[1 - side])
        return torch.cat(parts, 1)

    def translate(self, side: int) -> list[Tensor]:
        """Both sides of test images of which one is seen."""
        given = torch.zeros(len(self.test[0]), sum(self.sizes))
        given[:, side * self.sizes[0] : (side + 1) * self.sizes[0]] = self.test[side]
        z = self.trainer.infer(self.model, given).z
        return list(reconstruct(self.model, z).split(self.sizes, dim=1)[:2])

    def measure(self) -> dict[str, float]:
        """Errors both ways, on average."""
        rows = []
        for side, other in ((0, 1), (1, 0)):
            made, truth = self.translate(side), self.test[other]
            mean = self.sides[other].mean(0).expand_as(truth)
            neighbours = KNeighborsClassifier(5).fit(self.sides[other].numpy(), self.labels)
            found, known = (neighbours.predict(x.numpy()) for x in (made[other], truth))
            row = {
                "own_error": float(functional.mse_loss(made[side], self.test[side])),
                "test_error": float(functional.mse_loss(made[other], truth)),
                "mean_error": float(functional.mse_loss(mean, truth)),
                "class_error": float((found != self.test_labels).mean()),
            }
            rows.append(row | {"true_class_error": float((known != self.test_labels).mean())})
        return pd.DataFrame(rows).mean().to_dict()
