"""Parts of the autoencoder study: the family on images, sparse codes, and masked decoders."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, Final, cast

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from grnrep.core.fitted import Fit
from grnrep.ds.images import Images, digits, mnist
from grnrep.nn.bottlenecks import KSparse
from grnrep.nn.corruptions import GaussianNoise, Masking
from grnrep.nn.dense import linear
from grnrep.nn.family import FAMILY, Architecture, Dense, Member, Parts
from grnrep.nn.likelihoods import SquaredError
from grnrep.nn.model import Model
from grnrep.nn.representation import Representation
from grnrep.nn.sparse import SparseLinear
from grnrep.nn.trainer import Trainer
from grnrep.nn.training import Trained, train_member
from grnrep.validation.regulation.load_models import RECIPE, Learned, Problem, draw, learn, measure

Row = Callable[[str, Callable[[], dict[str, Any]]], None]  # computes a row if it is not there yet


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Sizes and rates of the study; as they stand, those of MNIST.

    Parameters
    ----------
    data, sizes, n_test, seeds
        ``"mnist"`` or ``"digits"``, numbers of training and of test images, and seeds of all but regulators.
    d, width, epochs, lr, lr_representation
        Units of the code, factor of the widths of hidden layers, and training on images.
    n_sparse, hidden, epochs_sparse
        Training images, units and epochs of sparse codes.
    cells, replicates
        Numbers of cells to learn regulators from, and seeds of their data.
    encoder_sizes, encoder_cells
        Numbers of images and of cells to learn decoders from that encoders are put on.
    """

    data: str = "mnist"
    sizes: tuple[int, ...] = (500, 2000)
    n_test: int = 1000
    d: int = 20
    width: float = 1.0
    epochs: int = 100
    lr: float = 1e-3
    lr_representation: float = 0.1
    seeds: tuple[int, ...] = (0, 1)
    n_sparse: int = 10_000
    hidden: int = 1000
    epochs_sparse: int = 50
    cells: tuple[int, ...] = (20, 50, 100, 200, 500)
    replicates: tuple[int, ...] = (0, 1, 2)
    encoder_sizes: tuple[int, ...] = (500, 2000)
    encoder_cells: tuple[int, ...] = (20, 50, 100, 200)

    def trainer(self, seed: int) -> Trainer:
        """How models of images are trained."""
        rate = self.lr_representation
        return Trainer(
            epochs=self.epochs, lr=self.lr, lr_representation=rate, rng=seed, progress=False
        )


FULL: Final = Settings()
QUICK: Final = Settings(
    data="digits", sizes=(300, 1437), n_test=360, d=8, width=0.25, epochs=60, lr=2e-3,
    lr_representation=1.0, seeds=(0,), n_sparse=1437, hidden=250, cells=(20, 50), replicates=(0,),
    encoder_sizes=(100, 300, 1437), encoder_cells=(20, 50),
)  # fmt: skip

Members = Mapping[str, Member | None]  # None: in closed form, and no member of the family
IMAGE_MEMBERS: Final[Members] = {"mean": None, **FAMILY}
NOISES: Final = (0.0, 0.1, 0.25, 0.5, 1.0)
ENCODERS: Final[Members] = {
    "decoder": FAMILY["decoder"],
    "encoder-reconstruction": FAMILY["encoder-reconstruction"],
    **{f"noise {sd:g}": replace(FAMILY["encoder-noise"], noise=sd) for sd in NOISES},
}
K: Final = (70, 40, 25, 10)
ALPHAS: Final = (1.0, 3.0)
SPARSE_MEMBERS: Final = ("pixels", "masking", *(f"k = {k}" for k in K))
_CODES: Final = (
    "decoder", "encoder-reconstruction", "encoder-data", "encoder-noise", "encoder-random",
    "autoencoder", "masking", "vae", "infovae",
)  # fmt: skip
# members whose code can be the regulators: one unit each
REGULATOR_MEMBERS: Final[Members] = {
    "exact": None,
    **{name: FAMILY[name] for name in _CODES},
    "denoising": replace(FAMILY["denoising"], corruption=GaussianNoise(0.5)),
    "contractive": replace(FAMILY["contractive"], expand=1),
    "k-sparse": replace(FAMILY["k-sparse"], expand=1, bottleneck=lambda d: KSparse(d // 2)),
}
# the load study averages losses over 1,000 genes, here they are summed: the decay beside them is so much more
_ENCODERS: Final = Trainer(
    epochs=RECIPE["autoencoder_epochs"], batch_size=RECIPE["batch_size"],
    lr=RECIPE["lr_autoencoder"], weight_decay=1000 * RECIPE["weight_decay"],
    lr_representation=RECIPE["lr_representation"], progress=False,
)  # fmt: skip


def load_digits(settings: Settings, data_dir: Any, progress: bool) -> Images:
    """Images that the settings name."""
    return digits() if settings.data == "digits" else mnist(data_dir=data_dir, progress=progress)


def flat(images: np.ndarray) -> Tensor:
    """Images as rows of pixels."""
    return torch.from_numpy(np.ascontiguousarray(images.reshape(len(images), -1)))


def pick(
    images: Images, n: int, n_test: int, seed: int
) -> tuple[Tensor, np.ndarray, Tensor, np.ndarray]:
    """Training images of this seed and their labels, and the test images, the same for every seed."""
    rows = np.random.default_rng(seed).permutation(len(images.train))[:n]
    test = np.random.default_rng(0).permutation(len(images.test))[:n_test]
    x, new = flat(images.train[rows]), flat(images.test[test])
    return x, images.train_labels[rows], new, images.test_labels[test]


def image_rows(
    images: Images, members: Members, n: int, seed: int, settings: Settings, row: Row
) -> None:
    """Train members on images: errors of reconstruction per pixel, and of a linear classifier of codes."""
    x, labels, test, test_labels = pick(images, n, settings.n_test, seed)
    trainer = settings.trainer(seed)

    def train(member: Member, decoder: Model | None = None) -> Trained:
        d, width = settings.d, settings.width
        return train_member(member, x, d=d, width=width, trainer=trainer, decoder=decoder)

    alone = cache(lambda: train(FAMILY["decoder"]))  # which several members share

    def result(name: str) -> dict[str, Any]:
        member = members[name]
        if member is None:
            return {"test_error": _mse(test, x.mean(0)), "train_error": _mse(x, x.mean(0))}
        start = time.perf_counter()
        if member.source == "representations":
            trained = alone()
        else:
            trained = train(member, decoder=alone().model if member.encoder_on else None)
        seconds = time.perf_counter() - start
        codes, test_codes = trained.encode(x), trained.encode(test)
        return {
            "test_error": _mse(test, trained.decode(test_codes)),
            "train_error": _mse(x, trained.decode(codes)),
            "probe_error": probe(codes, labels, test_codes, test_labels)[0],
            "n_parameters": trained.n_parameters,
            "seconds": seconds,
        }

    for name in members:
        row(name, partial(result, name))


def sparse_rows(
    images: Images, members: Iterable[str], seed: int, settings: Settings, row: Row
) -> None:
    """Classify digits by k-sparse codes, by those of a denoising autoencoder, and by their pixels."""
    x, labels, test, test_labels = pick(images, settings.n_sparse, settings.n_test, seed)
    trainer = replace(settings.trainer(seed), epochs=settings.epochs_sparse)

    def probed(codes: Tensor, test_codes: Tensor) -> dict[str, float]:
        return {"probe_error": probe(codes, labels, test_codes, test_labels)[0]}

    def train(member: Member) -> Trained:
        return train_member(member, x, d=settings.hidden, trainer=trainer)

    def sparse(k: int) -> dict[str, float]:
        strongest = KSparse(k)
        found = train(replace(FAMILY["k-sparse"], expand=1, bottleneck=lambda d: strongest))
        tried = []
        for alpha in ALPHAS:
            strongest.alpha = alpha
            error, held_out = probe(found.encode(x), labels, found.encode(test), test_labels)
            tried.append((held_out, alpha, error))
        return {"k": k, "alpha": min(tried)[1], "probe_error": min(tried)[2]}

    def masked() -> dict[str, float]:
        layers = Dense(code="relu", loss=SquaredError, tied=True)
        about = "one tied layer, a fifth of inputs masked"
        found = train(Member(about=about, layers=layers, corruption=Masking(0.2)))
        return probed(found.encode(x), found.encode(test))

    rows = {f"k = {k}": partial(sparse, k) for k in K}
    others = {"pixels": lambda: probed(x, test), "masking": masked}
    for name in members:
        row(name, (rows | others)[name])


def regulator_rows(members: Members, n: int, seed: int, rng: int, row: Row) -> None:
    """Members with the masked decoder on data of Eq. 6: loads, errors and correlations with the truth."""
    problem = draw(n, seed, weight_low=-1.0, rng=rng)
    recipe = cache(lambda: learn("decoder", [problem], RECIPE, [])[0])

    def result(name: str) -> dict[str, Any]:
        member = members[name]
        if member is None:
            return measure(problem, learn("exact", [problem], RECIPE, [])[0])
        if member.source == "representations":
            return measure(problem, recipe())
        decoder = recipe().fit if member.encoder_on else None
        return measure(problem, train_masked(problem, member, decoder))

    for name in members:
        row(name, partial(result, name))


def probe(
    codes: Tensor, labels: np.ndarray, test_codes: Tensor, test_labels: np.ndarray
) -> tuple[float, float]:
    """Test error of logistic regression on codes, and that on the held-out fifth that chose its ridge."""
    scale = float(codes.std()) or 1.0
    z, test = ((part / scale).numpy() for part in (codes, test_codes))
    cut = len(z) * 4 // 5

    def fitted(c: float, n: int) -> LogisticRegression:
        return LogisticRegression(C=c, max_iter=3000, tol=1e-3).fit(z[:n], labels[:n])

    held_out = {c: 1 - fitted(c, cut).score(z[cut:], labels[cut:]) for c in (0.01, 0.1, 1.0, 10.0)}
    best = min(held_out, key=held_out.__getitem__)
    return 1 - float(fitted(best, len(z)).score(test, test_labels)), float(held_out[best])


def train_masked(problem: Problem, member: Member, decoder: Fit | None) -> Learned:
    """Train a member whose decoder has the edges of the network only."""
    x, m = torch.from_numpy(problem.x), problem.network.n_regulators
    epochs = _ENCODERS.epochs if member.encoder_on is None else RECIPE["epochs"]
    trainer = replace(_ENCODERS, epochs=epochs, rng=problem.seed)
    given = None if decoder is None else _as_model(problem, decoder)
    start = time.perf_counter()
    layers = _architecture(problem)
    trained = train_member(member, x, d=m, trainer=trainer, architecture=layers, decoder=given)
    seconds = time.perf_counter() - start
    model = cast(Model, trained.model)  # there is one: no such member is in closed form
    layer = cast(SparseLinear, getattr(model.decoder, "module", model.decoder))  # frozen or not
    weight, activity = layer.weight.detach(), trained.encode(x)
    fit = Fit(weight=weight.double().numpy(), bias=None, activity=activity.double().numpy())
    codes = trained.encode(torch.from_numpy(problem.test)).double().numpy()
    return Learned(fit=fit, codes=codes, seconds=seconds)


def _architecture(problem: Problem) -> Architecture:
    """Section 3.3: a dense layer with leaky ReLU, and the masked decoder with ReLU."""

    def parts(n_out: int, n_in: int) -> Parts:
        encoder = linear(problem.x.shape[1], n_out, activation="leaky_relu", rng=problem.seed)
        generator = torch.Generator().manual_seed(problem.seed)
        decoder = SparseLinear(problem.network, bias=False, generator=generator)
        return Parts(encoder, decoder, SquaredError(link="relu"))

    return parts


def _as_model(problem: Problem, fit: Fit) -> Model:
    """The decoder and the representations that the recipe learned."""
    table, weight = (torch.from_numpy(part).float() for part in (fit.activity, fit.weight))
    decoder = SparseLinear(problem.network, bias=False, weight=weight)
    return Model(Representation(*table.shape, init=table), decoder, loss=SquaredError(link="relu"))


def _mse(x: Tensor, found: Tensor) -> float:
    return float((x - found).square().mean())
