"""Open or closed: values of 0 and 1, as chromatin accessibility has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from torch import Tensor
from torch.nn.functional import softplus

from grnrep.core.likelihoods.base import Block, Likelihood

_LEAST = 1e-3  # share of entries that are open, or closed, in a gene without any
_FLAT = 1e-3  # curvature, as a share of its largest, that is left far from p = 0: steps stay finite


@dataclass(frozen=True)
class Bernoulli(Likelihood):
    """P(x = 1) = σ(p), with the logistic σ; the loss is twice the negative log-likelihood.

    Parameters
    ----------
    share
        Of entries that are 1, of every gene, (n_genes, 1).
    """

    share: Tensor

    name: ClassVar[str] = "bernoulli"
    first: ClassVar[str] = "gaussian"
    values: ClassVar[str] = "binary"

    @classmethod
    def of(cls, x: Tensor, size: Tensor | None) -> Self:
        """From the share of ones of every gene."""
        share = x.double().mean(1, keepdim=True).clamp(_LEAST, 1 - _LEAST)
        return cls(share)

    def block(self, x: Tensor, size: Tensor | None = None, without: Tensor | None = None) -> Block:
        """Values as they are."""
        return Block(x)

    def expected(self, p: Tensor) -> Tensor:
        """Probability of 1."""
        return p.sigmoid()

    def loss(self, block: Block, p: Tensor) -> Tensor:
        """-2 log P = 2 (log(1 + e^p) - x p)."""
        return 2 * (softplus(p) - block.x * p)

    def work(self, block: Block, p: Tensor) -> tuple[Tensor, Tensor]:
        """X - σ, and σ (1 - σ)."""
        chance = self.expected(p)
        bend = (chance * (1 - chance)).clamp(min=_FLAT / 4)
        return block.x - chance, bend

    def curvature(self, size: Tensor | None = None) -> Tensor:
        """At the share of ones."""
        return self.share * (1 - self.share)

    def working(self, block: Block) -> Tensor:
        """One Newton step of every entry, from the share of ones of its gene."""
        spread = self.share * (1 - self.share)
        return self.share.logit() + (block.x - self.share) / spread
