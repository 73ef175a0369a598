"""What the solver asks of a likelihood, and the block of cells that it is asked about.

A likelihood is a loss of every entry of expression, ℓ(x, p), at the pre-activation p = W z + b; twice the
log-likelihood ratio of a perfect prediction, up to a factor. The solver needs its value, and a quadratic that
touches it at p: minus half its slope r, and half a curvature a > 0. A step of cells or of genes then minimises
Σ a (r / a - Δp)². Where the curvature is the same for all entries (squared error, zeros censored or not) all cells
share one Gram matrix W'W, and all genes Z'Z; elsewhere every cell and every gene has one of its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from grnrep.core.kernels import CountGenes, n_lanes


@dataclass(frozen=True)
class Block:
    """Expression of a block of cells, as a likelihood has prepared it.

    Parameters
    ----------
    x
        Expression, (n_genes, n_cells).
    most
        Largest residual x - p of every entry: 0 where a zero is censored, else infinity. None where nothing is
        censored or left out.
    least
        Smallest residual of every entry: 0 where an entry is left out (``most`` is 0 there too), else minus
        infinity. None where nothing is left out.
    size
        Size factor of every cell, ``(n_cells,)``; None where cells have none.
    log_x
        Logarithm of counts, 0 where they are 0: the part of their loss that does not change. Else None.
    """

    x: Tensor
    most: Tensor | None = None
    least: Tensor | None = None
    size: Tensor | None = None
    log_x: Tensor | None = None

    def cells(self, which: Tensor | slice) -> Block:
        """Some of the cells."""
        return self._part((slice(None), which), which)

    def genes(self, which: Tensor) -> Block:
        """Some of the genes."""
        return self._part(which, slice(None))

    def _part(self, entries: Tensor | tuple[slice, Tensor | slice], cells: Tensor | slice) -> Block:
        most, least, log_x = (
            None if a is None else a[entries] for a in (self.most, self.least, self.log_x)
        )
        size = None if self.size is None else self.size[cells]
        return Block(self.x[entries], most, least, size, log_x)

    @classmethod
    def joined(cls, blocks: Sequence[Block]) -> Block:
        """The cells of blocks of one kind, of which there is at least one."""
        parts = {
            field.name: [getattr(block, field.name) for block in blocks] for field in fields(cls)
        }
        return cls(**{name: torch.cat(p, dim=-1) for name, p in parts.items() if p[0] is not None})

    def censor(self, r: Tensor, out: Tensor | None = None) -> Tensor:
        """Turn x - p into residuals, in place or in ``out``."""
        out = r if out is None else out
        if self.most is None:
            return out if out is r else out.copy_(r)
        torch.minimum(r, self.most, out=out)
        return out if self.least is None else torch.maximum(out, self.least, out=out)

    def counted(self) -> tuple[Tensor, Tensor, Tensor]:
        """Counts, size factors and the logarithm of counts, of a block that has them."""
        if self.size is None or self.log_x is None:
            raise TypeError("this block was not prepared for counts: it has no size factors")
        return self.x, self.size, self.log_x

    def arrays(self) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        """Expression and bounds of residuals as arrays, of a block on the CPU."""
        most, least = (
            None if a is None else a.contiguous().numpy() for a in (self.most, self.least)
        )
        return self.x.contiguous().numpy(), most, least

    @cached_property
    def bits(self) -> tuple[np.ndarray, np.ndarray]:
        """Which entries are censored, and which left out, as :class:`grnrep.core.kernels.Cells` has them."""
        lanes = n_lanes(self.x.numpy().dtype)
        shape = (len(self.x), -(-self.x.shape[1] // lanes) * lanes // 8)

        def packed(bound: Tensor | None) -> np.ndarray:
            out = np.zeros(shape, np.uint8)
            if bound is not None:
                bits = np.packbits(torch.eq(bound, 0).numpy(), axis=1, bitorder="little")
                out[:, : bits.shape[1]] = bits
            return out.view(f"<u{lanes // 8}")

        return packed(self.most), packed(self.least)


@dataclass(frozen=True)
class Likelihood(ABC):
    """How expression scatters about a pre-activation: a frozen dataclass of parameters, (n_genes, 1) each.

    A new one implements what is abstract here, in a file of its own, and is named in
    ``grnrep.core.likelihoods.LIKELIHOODS``.

    Attributes
    ----------
    name
        As in ``likelihood=`` of a fit.
    first
        Name of the likelihood of constant curvature under which a search starts.
    constant_curvature
        Whether half the curvature is 1 at every entry, and the residual x - p within the bounds of its block.
    has_sizes
        Whether cells have size factors.
    values
        What expression can be: "real", "not negative", "counts" or "binary".
    zeros_are_values
        Whether a zero constrains its cell and gene as other values do. Censored zeros do not, and few counts say
        as little.
    warm_up
        Iterations after which :meth:`updated` is called; 0 where nothing is estimated on the way.
    """

    name: ClassVar[str]
    first: ClassVar[str]
    constant_curvature: ClassVar[bool] = False
    has_sizes: ClassVar[bool] = False
    values: ClassVar[str] = "real"
    zeros_are_values: ClassVar[bool] = True
    warm_up: ClassVar[int] = 0

    @classmethod
    @abstractmethod
    def of(cls, x: Tensor, size: Tensor | None) -> Self:
        """With what follows for its parameters from expression (n_genes, n_cells) and size factors alone."""

    @abstractmethod
    def block(self, x: Tensor, size: Tensor | None = None, without: Tensor | None = None) -> Block:
        """Prepare expression (n_genes, n_cells); entries ``without`` say nothing."""

    @abstractmethod
    def expected(self, p: Tensor) -> Tensor:
        """Expected expression at size factor 1, same shape as ``p``."""

    @abstractmethod
    def loss(self, block: Block, p: Tensor) -> Tensor:
        """Loss of every entry, (n_genes, n_cells)."""

    @abstractmethod
    def work(self, block: Block, p: Tensor) -> tuple[Tensor, Tensor]:
        """Minus half the slope of the loss in p, and half a positive curvature, (n_genes, n_cells) each."""

    @abstractmethod
    def curvature(self, size: Tensor | None = None) -> Tensor:
        """Half the curvature of a gene's typical entry in cells of these size factors ``(n_cells,)``.

        (n_genes, n_cells), or (n_genes, 1): of a typical cell where no sizes are given, of all where there are none.
        """

    @abstractmethod
    def working(self, block: Block) -> Tensor:
        """Values of p that entries ask for by themselves, (n_genes, n_cells).

        Their squared error, times the typical curvature, is what a search starts with.
        """

    def bend(self, block: Block, p: Tensor) -> Tensor:
        """Half the second derivative of the loss in p, (n_genes, n_cells), which may be negative.

        What the curvature of :meth:`work` is where the loss bends upwards everywhere.
        """
        return self.work(block, p)[1]

    def compiled(self) -> CountGenes | None:
        """Parameters for compiled Newton steps of cells; None where there are none, and torch has to do."""
        return None

    def information(self, block: Block, p: Tensor, scatter: Tensor) -> Tensor:
        """Half the curvature of the loss that standard deviations follow from, (n_genes, n_cells).

        ``scatter`` (n_genes, 1) is the variance of expression as a multiple of what the loss takes it for.
        """
        return self.work(block, p)[1]

    def updated(self, blocks: list[Block], p: list[Tensor], *, n_parameters: int) -> Self:
        """With what residuals at ``p``, (n_genes, n_cells) of every block, say of its parameters."""
        return self

    @classmethod
    def parameter_names(cls) -> list[str]:
        """Names of parameters that it can have, (n_genes, 1) each."""
        return [field.name for field in fields(cls) if str(field.type).startswith("Tensor")]

    def parameters(self) -> dict[str, Tensor]:
        """Parameters that are there, by name."""
        values = {name: getattr(self, name) for name in self.parameter_names()}
        return {name: value for name, value in values.items() if value is not None}

    def arrays(self) -> dict[str, np.ndarray]:
        """Parameters by name, ``(n_genes,)`` float64: what :func:`grnrep.core.likelihoods.restored` takes."""
        values = self.parameters().items()
        return {name: value[:, 0].double().cpu().numpy() for name, value in values}

    def numbers(self) -> dict[str, float]:
        """What it has beside them, one number for all genes."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, float)}

    def genes(self, which: Tensor) -> Self:
        """Some of the genes."""
        return replace(self, **{name: value[which] for name, value in self.parameters().items()})

    def to(self, like: Tensor) -> Self:
        """With parameters of the precision, and on the device, of ``like``."""
        return replace(self, **{name: value.to(like) for name, value in self.parameters().items()})
