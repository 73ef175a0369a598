"""What the decoder explains: links, residuals and the censored squared error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

LINKS = ("relu", "identity")


def check_link(link: str) -> None:
    """Raise ``ValueError`` unless ``link`` is one of :data:`LINKS`."""
    if link not in LINKS:
        raise ValueError(f"link must be one of {LINKS}; found {link!r}")


def predict(p: Tensor, link: str) -> Tensor:
    """Expected expression for pre-activations ``p``."""
    return p.clamp(min=0) if link == "relu" else p


def residual(x: Tensor, p: Tensor, link: str) -> Tensor:
    """Residual whose squared sum is the loss, same shape as ``x``.

    With the ReLU link an observed zero is censored: it only says p ≤ 0, so its
    residual is 0 - max(p, 0). It is also t - p for the majoriser
    t = x where x > 0, else min(p, 0): the quadratic ‖t - p'‖² touches the loss
    at p and lies above it for every other p'.
    """
    r = x - p
    return torch.where(x > 0, r, r.clamp(max=0)) if link == "relu" else r


@dataclass(frozen=True)
class Observed:
    """Expression of a block of cells, with what its zeros say: :func:`residual` prepared.

    Parameters
    ----------
    x
        Expression, (n_genes, n_cells).
    most
        Largest residual of every entry: 0 where a zero is censored, else infinity.
        None where nothing is censored or left out.
    least
        Smallest residual of every entry: 0 where an entry is left out (``most`` is 0
        there too), else minus infinity. None where nothing is left out.
    """

    x: Tensor
    most: Tensor | None
    least: Tensor | None = None

    @classmethod
    def of(cls, x: Tensor, link: str, without: Tensor | None = None) -> Observed:
        """Censor the zeros of ``x`` if the link is a ReLU; leave out the entries ``without``."""
        most = None
        if link == "relu":
            most = torch.where(x > 0, torch.inf, 0.0).to(x.dtype)
        if without is None:
            return cls(x, most)
        most = torch.full_like(x, torch.inf) if most is None else most
        return cls(
            x, most.masked_fill(without, 0.0), torch.where(without, 0.0, -torch.inf).to(x.dtype)
        )

    def censor(self, r: Tensor, out: Tensor | None = None) -> Tensor:
        """Turn x - p into residuals, in place or in ``out``."""
        out = r if out is None else out
        if self.most is None:
            return out if out is r else out.copy_(r)
        torch.minimum(r, self.most, out=out)
        return out if self.least is None else torch.maximum(out, self.least, out=out)

    def arrays(self) -> tuple[np.ndarray | None, ...]:
        """Expression and bounds as arrays, of a block on the CPU."""
        return tuple(
            None if a is None else a.contiguous().numpy() for a in (self.x, self.most, self.least)
        )

    def cells(self, which: Tensor) -> Observed:
        """Some of the cells."""
        return Observed(
            *(None if a is None else a[:, which] for a in (self.x, self.most, self.least))
        )


def squared_sum(r: Tensor) -> Tensor:
    """Sum of squares, accumulated in float64 over rows."""
    return torch.linalg.vector_norm(r, dim=1).double().square().sum()
