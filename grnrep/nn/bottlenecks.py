"""What shapes z: only the strongest units, or a draw from a normal distribution; without either, nothing."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from grnrep.nn._draw import normal_like
from grnrep.nn.model import Code


class KSparse(nn.Module):
    r"""Keep the k largest units of every sample and set all others to zero.

    Gradients pass through the units that are kept alone. With the encoder linear this is the k-sparse
    autoencoder of [1]_, which uses :math:`\alpha k` units once it is trained.

    Parameters
    ----------
    k
        Number of units that are kept in training.
    alpha
        In evaluation ``round(alpha * k)`` are kept, or all where there are fewer.

    Raises
    ------
    ValueError
        If ``k`` is no whole number of at least 1, or ``alpha`` would keep less than one unit.

    References
    ----------
    .. [1] Makhzani & Frey (2013), k-Sparse Autoencoders, arXiv 1312.5663.

    Examples
    --------
    >>> import torch
    >>> from grnrep.nn import KSparse
    >>> bottleneck, h = KSparse(1, alpha=2.0), torch.tensor([[1.0, 3.0, -5.0, 2.0]])
    >>> bottleneck(h).z.tolist(), bottleneck.eval()(h).z.tolist()
    ([[0.0, 3.0, 0.0, 0.0]], [[0.0, 3.0, 0.0, 2.0]])
    """

    parts = 1

    def __init__(self, k: int, *, alpha: float = 1.0):
        super().__init__()
        if k != int(k) or k < 1:
            raise ValueError(f"k must be a whole number of at least 1; found {k!r}")
        if not 0.5 <= alpha * k < float("inf"):
            raise ValueError(f"alpha must keep at least one of k={k} units; found {alpha!r}")
        self.k, self.alpha = int(k), float(alpha)

    def forward(self, h: Tensor, *, generator: torch.Generator | None = None) -> Code:
        """Units ``(n, d)``, all but the largest of every row zero."""
        n_units = h.shape[1]
        if self.k > n_units:
            raise ValueError(
                f"k={self.k} units are to be kept, but the source gives only {n_units}"
            )
        n_kept = self.k if self.training else min(max(1, round(self.alpha * self.k)), n_units)
        values, places = h.topk(n_kept, dim=1)
        return Code(torch.zeros_like(h).scatter(1, places, values))

    def extra_repr(self) -> str:
        """Numbers of units, for printing."""
        return f"k={self.k}, alpha={self.alpha}"


class Variational(nn.Module):
    r"""Draw z from a normal distribution of which the source gives mean and log variance.

    The source has two numbers a unit: all means, then all log variances. In training
    :math:`z = \mu + \sigma \epsilon` with :math:`\epsilon \sim N(0, 1)`, so that gradients reach
    both [1]_; in evaluation z is the mean.

    Raises
    ------
    ValueError
        When used, if the source gives an odd number of units.

    References
    ----------
    .. [1] Kingma & Welling (2014), Auto-Encoding Variational Bayes, arXiv 1312.6114.

    Examples
    --------
    >>> import torch
    >>> from grnrep.nn import Variational
    >>> code = Variational().eval()(torch.tensor([[1.0, 2.0, -3.0, -4.0]]))
    >>> code.z.tolist(), code.log_variance.tolist()
    ([[1.0, 2.0]], [[-3.0, -4.0]])
    """

    parts = 2

    def __init__(self) -> None:
        super().__init__()

    def forward(self, h: Tensor, *, generator: torch.Generator | None = None) -> Code:
        """Code of ``(n, d)`` from units ``(n, 2 d)``."""
        if h.shape[1] % 2:
            raise ValueError(
                f"the source must give two numbers a unit, mean and log variance; found {h.shape[1]}"
            )
        mean, log_variance = h.chunk(2, dim=1)
        if not self.training:
            return Code(mean, mean, log_variance)
        return Code(
            mean + (0.5 * log_variance).exp() * normal_like(mean, generator), mean, log_variance
        )
