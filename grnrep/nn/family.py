"""The autoencoder family by name: every member is a choice among parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NamedTuple

from torch import nn

from grnrep.nn.bottlenecks import KSparse, Variational
from grnrep.nn.classic import PCA, KMeans
from grnrep.nn.corruptions import GaussianNoise, Masking
from grnrep.nn.dense import Tied, mlp
from grnrep.nn.likelihoods import Bernoulli, NoiseModel, SquaredError
from grnrep.nn.penalties import KL, MMD, Contractive

_SOURCES: Final = ("encoder", "representations", "prior")
_EXAMPLES: Final = ("reconstruction", "data", "noise", "random")


class Parts(NamedTuple):
    """Encoder, decoder and noise model."""

    encoder: nn.Module
    decoder: nn.Module
    loss: NoiseModel


Architecture = Callable[
    [int, int], Parts
]  # from the units an encoder gives, and those a decoder takes


@dataclass(frozen=True, kw_only=True)
class Dense:
    """Mirrored dense layers for data in [0, 1]; widths are those of the encoder's hidden layers."""

    widths: tuple[int, ...] = ()
    activation: str = "relu"
    code: str = "identity"
    loss: Callable[[], NoiseModel] = Bernoulli
    tied: bool = False

    def build(self, n_features: int, *, width: float, rng: int) -> Architecture:
        """Layers for so many features, their widths multiplied by ``width``."""
        hidden = [max(2, round(width * units)) for units in self.widths]

        def parts(n_out: int, n_in: int) -> Parts:
            encoder = mlp(
                (n_features, *hidden, n_out), activation=self.activation, last=self.code, rng=rng
            )
            if self.tied:
                layer = next(part for part in encoder if isinstance(part, nn.Linear))
                return Parts(encoder, Tied(layer), self.loss())
            sizes = (n_in, *hidden[::-1], n_features)
            return Parts(encoder, mlp(sizes, activation=self.activation, rng=rng + 1), self.loss())

        return parts


_MLP: Final = Dense(widths=(256,))
_LINEAR: Final = Dense(loss=SquaredError)
_KRAMER: Final = Dense(widths=(64,), activation="tanh", loss=SquaredError)
_DEEP: Final = Dense(widths=(1000, 500, 250), activation="sigmoid")
_SIGMOID: Final = Dense(code="sigmoid", tied=True)
_TIED: Final = Dense(loss=SquaredError, tied=True)


@dataclass(frozen=True, kw_only=True)
class Member:
    """One way to learn representations.

    Parameters
    ----------
    about
        What it is, and who described it.
    closed_form
        From the number of units and a seed to what has ``fit``, ``encode`` and ``decode``. All else is
        unused then.
    layers
        Encoder, decoder and noise model for data in [0, 1].
    source
        Where z comes from: an ``"encoder"``; ``"representations"``, which are learned; or the ``"prior"``, of
        which it is drawn whatever the data are.
    encoder_on
        What an encoder learns from once a decoder is trained without one: ``"reconstruction"`` by the frozen
        decoder, or pairs of inputs and their representations by the frozen decoder, for inputs that are the
        ``"data"``, data with added ``"noise"``, or ``"random"``. Inputs stay in the range of what the noise
        model can explain: beyond it, a Bernoulli likelihood has no best representation.
    noise
        Standard deviation of the noise that is added, in standard deviations of the data.
    expand
        Units of the code per unit that is asked for.
    bottleneck
        From the number of units asked for to what shapes z.
    corruption, penalties
        As in :class:`Model`.
    critic
        Widths of a critic that tells data from what the decoder makes (:class:`Adversarial`).
    pretrained
        Whether layers are first trained pair by pair.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from grnrep.nn import FAMILY, GaussianNoise
    >>> replace(FAMILY["denoising"], corruption=GaussianNoise(1.0)).corruption
    GaussianNoise(sd=1.0)
    """

    about: str
    closed_form: Callable[[int, int], PCA | KMeans] | None = None
    layers: Dense = _MLP
    source: str = "encoder"
    encoder_on: str | None = None
    noise: float = 0.5
    expand: int = 1
    bottleneck: Callable[[int], nn.Module] | None = None
    corruption: nn.Module | None = None
    penalties: tuple[nn.Module, ...] = ()
    critic: tuple[int, ...] | None = None
    pretrained: bool = False

    def __post_init__(self) -> None:
        if self.source not in _SOURCES:
            raise ValueError(f"source must be one of {', '.join(_SOURCES)}; found {self.source!r}")
        if self.encoder_on not in (None, *_EXAMPLES):
            raise ValueError(
                f"encoder_on must be one of {', '.join(_EXAMPLES)}; found {self.encoder_on!r}"
            )


_MEMBERS: Final = {
    "pca": Member(about="principal components, in closed form", closed_form=lambda d, rng: PCA(d)),
    "k-means": Member(
        about="the discrete autoencoder: as many centres as units",
        closed_form=lambda d, rng: KMeans(d, rng=rng),
    ),
    "linear": Member(about="linear autoencoder (Bourlard & Kamp 1988)", layers=_LINEAR),
    "kramer": Member(about="bottleneck network, nonlinear PCA (Kramer 1991)", layers=_KRAMER),
    "autoencoder": Member(about="one hidden layer on both sides, nothing else"),
    "deep": Member(
        about="deep autoencoder (Hinton & Salakhutdinov 2006), random start", layers=_DEEP
    ),
    "deep-pretrained": Member(
        about="the same, pretrained layer by layer", layers=_DEEP, pretrained=True
    ),
    "denoising": Member(
        about="denoising, normal noise (Vincent et al. 2010)", corruption=GaussianNoise(0.3)
    ),
    "masking": Member(
        about="denoising, masked inputs (Vincent et al. 2008)", corruption=Masking(0.3)
    ),
    "contractive": Member(
        about="contractive, one tied layer (Rifai et al. 2011)",
        layers=_SIGMOID,
        expand=4,
        penalties=(Contractive(weight=0.1),),
    ),
    "k-sparse": Member(
        about="one tied linear layer, a quarter of its units at a time (Makhzani & Frey 2013)",
        layers=_TIED,
        expand=4,
        bottleneck=KSparse,
    ),
    "vae": Member(
        about="variational (Kingma & Welling 2014)",
        bottleneck=lambda d: Variational(),
        penalties=(KL(),),
    ),
    "beta-vae": Member(
        about="variational, twice the divergence (Higgins et al. 2017)",
        bottleneck=lambda d: Variational(),
        penalties=(KL(beta=2.0),),
    ),
    "infovae": Member(
        about="variational, all codes together normal (Zhao et al. 2019)",
        bottleneck=lambda d: Variational(),
        penalties=(KL(beta=0.1), MMD(weight=10.0)),
    ),
    "gan": Member(
        about="generator and critic (Goodfellow et al. 2014), codes by descent",
        source="prior",
        critic=(256,),
    ),
    "decoder": Member(
        about="decoder alone, representations learned (Schuster & Krogh 2021)",
        source="representations",
    ),
    "encoder-reconstruction": Member(
        about="encoder on the frozen decoder, by reconstruction", encoder_on="reconstruction"
    ),
    "encoder-data": Member(about="encoder to the learned representations", encoder_on="data"),
    "encoder-noise": Member(
        about="encoder of noisy inputs to their representations", encoder_on="noise"
    ),
    "encoder-random": Member(
        about="encoder of random inputs to their representations", encoder_on="random"
    ),
}
FAMILY: Final = MappingProxyType(_MEMBERS)
