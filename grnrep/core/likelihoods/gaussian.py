"""Squared error: Gaussian, and Tobit, whose zeros are censored as the ReLU of Eq. 6 censors them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor

from grnrep.core.likelihoods.base import Block, Likelihood
from grnrep.core.normal_tail import mean_above

SQUARED_ERROR = ("tobit", "gaussian")


def check_squared_error(likelihood: str) -> None:
    """Raise ``ValueError`` unless ``likelihood`` is one of :data:`SQUARED_ERROR`."""
    if likelihood not in SQUARED_ERROR:
        raise ValueError(f"likelihood must be one of {SQUARED_ERROR}; found {likelihood!r}")


def residual(x: Tensor, p: Tensor, likelihood: str) -> Tensor:
    """Residual whose squared sum is the loss, same shape as ``x``.

    Under a ReLU an observed zero is censored: it only says p ≤ 0, so its
    residual is 0 - max(p, 0). It is also t - p for the majoriser
    t = x where x > 0, else min(p, 0): the quadratic ‖t - p'‖² touches the loss
    at p and lies above it for every other p'.
    """
    r = x - p
    return torch.where(x > 0, r, r.clamp(max=0)) if likelihood == "tobit" else r


@dataclass(frozen=True)
class SquaredError(Likelihood):
    """Normal noise: the loss is the squared residual, within the bounds of a block.

    Parameters
    ----------
    noise_sd
        Standard deviation of every gene's noise, (n_genes, 1), in which residuals are measured; None where it is
        the same for all, and residuals have the unit of expression.
    """

    noise_sd: Tensor | None = None

    constant_curvature: ClassVar[bool] = True

    @classmethod
    def of(cls, x: Tensor, size: Tensor | None) -> Self:
        """Nothing follows from the data alone."""
        return cls()

    def loss(self, block: Block, p: Tensor) -> Tensor:
        """Squared residual."""
        return self._white(block.censor(block.x - p)).square()

    def work(self, block: Block, p: Tensor) -> tuple[Tensor, Tensor]:
        """Residual, and 1; of noise of every gene both by its variance."""
        r, one = block.censor(block.x - p), torch.ones_like(p)
        return self._white(self._white(r)), self._white(self._white(one))

    def curvature(self, size: Tensor | None = None) -> Tensor:
        """One, of every gene; of noise of every gene one by its variance."""
        return torch.ones(1, 1) if self.noise_sd is None else 1 / self.noise_sd.square()

    def _white(self, values: Tensor) -> Tensor:
        return values if self.noise_sd is None else values / self.noise_sd

    def working(self, block: Block) -> Tensor:
        """Expression itself."""
        return block.x


@dataclass(frozen=True)
class Gaussian(SquaredError):
    """x = p + ε."""

    name: ClassVar[str] = "gaussian"
    first: ClassVar[str] = "gaussian"

    def block(self, x: Tensor, size: Tensor | None = None, without: Tensor | None = None) -> Block:
        """Leave out the entries ``without``."""
        return _bounded(x, None, without)

    def expected(self, p: Tensor) -> Tensor:
        """The pre-activation."""
        return p


@dataclass(frozen=True)
class Tobit(SquaredError):
    """x = ReLU(p + ε): a zero is censored, and costs max(p, 0)² (Schuster & Krogh 2021, Eq. 6; Tobin 1958).

    The quadratic with t = x where x > 0, else min(p, 0), lies above the loss and touches it at p, so that the
    curvature is that of squared error at every entry: :func:`residual`.
    """

    name: ClassVar[str] = "tobit"
    first: ClassVar[str] = "tobit"
    values: ClassVar[str] = "not negative"
    zeros_are_values: ClassVar[bool] = False

    def block(self, x: Tensor, size: Tensor | None = None, without: Tensor | None = None) -> Block:
        """Censor zeros; leave out the entries ``without``."""
        # x / 0 is infinite where x > 0, and not a number at a zero: in a tenth of the time of a comparison
        return _bounded(x, (x / 0.0).nan_to_num_(nan=0.0, posinf=torch.inf, neginf=0.0), without)

    def expected(self, p: Tensor) -> Tensor:
        """Mean of max(p + ε, 0): p Φ(p / σ) + σ φ(p / σ); where σ is not known, that without noise."""
        if self.noise_sd is None:
            return p.clamp(min=0)
        u = p / self.noise_sd
        density = torch.exp(-u.square() / 2) / math.sqrt(2 * math.pi)
        return p * torch.special.ndtr(u) + self.noise_sd * density

    def information(self, block: Block, p: Tensor, scatter: Tensor) -> Tensor:
        """1 above zero, and at a zero the curvature of -log Φ(-p / σ), with the scatter σ²."""
        one = scatter.sqrt()
        sd = one if self.noise_sd is None else one * self.noise_sd
        curvature = censored_curvature(block, p / sd)
        return self._white(self._white(curvature))


def censored_curvature(block: Block, p: Tensor) -> Tensor:
    """Second derivative of -log likelihood by p, whitened: 1, and h (h - p), h = mean_above(p), at a zero."""
    out = torch.ones_like(p)
    if block.most is not None:
        zero = block.most == 0
        u = p[zero]
        h = mean_above(u)
        out[zero] = (h * (h - u)).clamp(0, 1)
    return out


def _bounded(x: Tensor, most: Tensor | None, without: Tensor | None) -> Block:
    """A block whose residuals are bounded where entries are censored, and 0 where they are left out."""
    if without is None:
        return Block(x, most)
    most = torch.full_like(x, torch.inf) if most is None else most
    least = torch.where(without, 0.0, -torch.inf).to(x.dtype)
    return Block(x, most.masked_fill(without, 0.0), least)


def squared_sum(r: Tensor) -> Tensor:
    """Sum of squares, accumulated in float64 over rows."""
    return torch.linalg.vector_norm(r, dim=1).double().square().sum()
