"""What the decoder explains: links, residuals and the censored squared error."""

from __future__ import annotations

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


def squared_sum(r: Tensor) -> Tensor:
    """Sum of squares, accumulated in float64 over rows."""
    return torch.linalg.vector_norm(r, dim=1).double().square().sum()
