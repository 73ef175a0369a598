"""Terms that are added to the loss: divergence of codes from N(0, 1), or sensitivity of the encoder."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from grnrep.nn._draw import normal_like
from grnrep.nn.masked_vae import kl_divergence
from grnrep.nn.model import Batch
from grnrep.nn.representation import Representation

_KERNELS = ("rbf", "imq")
_ELEMENTWISE = (nn.Identity, nn.ReLU, nn.LeakyReLU, nn.Sigmoid, nn.Tanh)


class KL(nn.Module):
    r"""Divergence of the distribution of every code from N(0, 1), summed over units.

    .. math:: \frac{\beta}{2} \sum_j \left(\mu_j^2 + \sigma_j^2 - 1 - \log \sigma_j^2\right)

    Parameters
    ----------
    beta
        Weight: 1 makes the loss the negative evidence bound of a variational autoencoder; more draws
        codes towards independence (β-VAE, Higgins et al. 2017).

    Raises
    ------
    ValueError
        If ``beta`` is negative; when used, if the bottleneck is not :class:`Variational`.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from grnrep.nn import KL, Batch, Code
    >>> code = Code(torch.ones(3, 2), mean=torch.ones(3, 2), log_variance=torch.zeros(3, 2))
    >>> x = torch.zeros(3, 5)
    >>> batch = Batch(x=x, seen=x, hidden=x, code=code, made=x, source=nn.Identity(), generator=None)
    >>> float(KL()(batch))
    1.0
    """

    def __init__(self, *, beta: float = 1.0):
        super().__init__()
        self.beta = _weight("beta", beta)

    def forward(self, batch: Batch) -> Tensor:
        """Weighted divergence, mean over the batch."""
        code = batch.code
        if code.mean is None or code.log_variance is None:
            raise ValueError(
                "KL needs codes with mean and log variance; use the bottleneck Variational()"
            )
        return self.beta * kl_divergence(code.mean, code.log_variance).mean()

    def extra_repr(self) -> str:
        """Weight, for printing."""
        return f"beta={self.beta}"


class MMD(nn.Module):
    r"""Squared maximum mean discrepancy between the codes of a batch and draws of N(0, 1).

    .. math:: \frac{1}{n(n-1)} \sum_{k \neq l} \left[\kappa(z^k, z^l) + \kappa(e^k, e^l)\right]
              - \frac{2}{n^2} \sum_{k,l} \kappa(z^k, e^l)

    with codes z and as many draws e: the unbiased estimate of [1]_, which may be below zero. A batch of one
    says nothing on how codes are spread, and has 0. In InfoVAE [2]_ it makes the codes of all samples
    together normal, where :class:`KL` makes those of every single sample so.

    Parameters
    ----------
    weight
        Factor of the discrepancy.
    kernel
        With s the squared distance and b the bandwidth, ``"rbf"``: exp(-s / b), or ``"imq"``: b / (b + s),
        whose tails reach further.
    bandwidth
        Scale of squared distances. By default twice the number of units, which is what two draws of
        N(0, 1) are apart on average.

    Raises
    ------
    ValueError
        If a number is out of range or the kernel unknown.

    References
    ----------
    .. [1] Gretton et al. (2012), A kernel two-sample test, JMLR 13:723, lemma 6.
    .. [2] Zhao, Song & Ermon (2019), InfoVAE, AAAI, arXiv 1706.02262.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from grnrep.nn import MMD, Batch, Code
    >>> def mmd(z):
    ...     parts = {"source": nn.Identity(), "generator": torch.Generator().manual_seed(1)}
    ...     return float(MMD()(Batch(x=z, seen=z, hidden=z, code=Code(z), made=z, **parts)))
    >>> z = torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
    >>> mmd(z) < 0.01 < 0.1 < mmd(z + 2)
    True
    """

    def __init__(self, *, weight: float = 1.0, kernel: str = "rbf", bandwidth: float | None = None):
        super().__init__()
        if kernel not in _KERNELS:
            raise ValueError(f"kernel must be one of {', '.join(_KERNELS)}; found {kernel!r}")
        if bandwidth is not None and not 0 < bandwidth < math.inf:
            raise ValueError(f"bandwidth must be positive; found {bandwidth!r}")
        self.weight, self.kernel, self.bandwidth = _weight("weight", weight), kernel, bandwidth

    def forward(self, batch: Batch) -> Tensor:
        """Weighted discrepancy of the batch."""
        z = batch.code.z.flatten(1)
        if len(z) < 2:
            return z.sum() * 0
        draws = normal_like(z, batch.generator)
        same = self._among(z) + self._among(draws)
        return self.weight * (same - 2 * self._kernel(z, draws).mean())

    def _among(self, z: Tensor) -> Tensor:
        """Mean over pairs of different rows."""
        values = self._kernel(z, z)
        return (values.sum() - values.trace()) / (len(z) * (len(z) - 1))

    def _kernel(self, a: Tensor, b: Tensor) -> Tensor:
        distance = (a.square().sum(1)[:, None] + b.square().sum(1) - 2 * a @ b.mT).clamp(min=0)
        scaled = distance / (2 * a.shape[1] if self.bandwidth is None else self.bandwidth)
        return (-scaled).exp() if self.kernel == "rbf" else 1 / (1 + scaled)

    def extra_repr(self) -> str:
        """Settings, for printing."""
        return f"weight={self.weight}, kernel={self.kernel!r}, bandwidth={self.bandwidth}"


class Contractive(nn.Module):
    r"""Squared Frobenius norm of the encoder's Jacobian, :math:`\|\partial h / \partial x\|_F^2`.

    Exact for any encoder that treats samples one by one, so not with batch normalisation, at the cost of a
    backward pass for every unit; one dense layer costs no more than the layer does. It is taken at what the
    encoder saw.

    Parameters
    ----------
    weight
        Factor of the norm.

    Raises
    ------
    ValueError
        If the weight is negative; when used, if the source is a :class:`Representation`.

    References
    ----------
    Rifai et al. (2011), Contractive auto-encoders: explicit invariance during feature extraction, ICML.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from grnrep.nn import Batch, Code, Contractive
    >>> encoder, x = nn.Linear(3, 2), torch.zeros(4, 3)
    >>> h = encoder(x)
    >>> batch = Batch(x=x, seen=x, hidden=h, code=Code(h), made=x, source=encoder, generator=None)
    >>> bool(torch.isclose(Contractive()(batch), encoder.weight.square().sum()))
    True
    """

    def __init__(self, *, weight: float = 1.0):
        super().__init__()
        self.weight = _weight("weight", weight)

    def forward(self, batch: Batch) -> Tensor:
        """Weighted norm, mean over the batch."""
        if isinstance(batch.source, Representation) or batch.seen is None:
            raise ValueError("Contractive needs an encoder; the source is a Representation")
        with torch.enable_grad():
            encoder, x = batch.source, batch.seen.detach()
            layer = _one_layer(encoder)
            norms = _any_encoder(encoder, x) if layer is None else _dense_layer(*layer, x)
            return self.weight * norms / len(x)

    def extra_repr(self) -> str:
        """Weight, for printing."""
        return f"weight={self.weight}"


def _any_encoder(encoder: nn.Module, x: Tensor) -> Tensor:
    """Squared norms of the Jacobians at all rows of x, summed: every unit in turn, backwards."""
    x.requires_grad_()
    units = encoder(x).flatten(1).sum(0)
    each = torch.eye(len(units), dtype=units.dtype, device=units.device)
    jacobian = torch.autograd.grad(units, x, each, create_graph=True, is_grads_batched=True)[0]
    return jacobian.square().sum()


def _dense_layer(layer: nn.Linear, activation: nn.Module, x: Tensor) -> Tensor:
    """The same for one dense layer, at the cost of the layer: slope² · ‖weights of the unit‖²."""
    before = layer(x)
    slope = torch.autograd.grad(activation(before).sum(), before, create_graph=True)[0]
    return (slope.square() @ layer.weight.square().sum(1)).sum()


def _one_layer(encoder: nn.Module) -> tuple[nn.Linear, nn.Module] | None:
    """Layer and activation of an encoder that has one of each; None for any other."""
    if not isinstance(encoder, nn.Sequential) or len(encoder) != 2:
        return None
    layer, activation = encoder
    if type(layer) is not nn.Linear or type(activation) not in _ELEMENTWISE:
        return None
    return layer, activation


def _weight(name: str, value: float) -> float:
    if not 0 <= value < math.inf:
        raise ValueError(f"{name} must not be negative; found {value!r}")
    return float(value)
