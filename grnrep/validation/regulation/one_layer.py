"""One-layer encoder and masked decoder of the load study, trained for several data sets side by side.

The models are two products and two rectifiers, so their gradients are written out: a step takes two
thirds of the time that it takes through autograd (0.73 and 0.82 ms for batches of 32 × 1,000 genes and
100 regulators on one core, against 0.87 and 1.2). Data sets of one size are a leading axis of every
tensor. That saves an eighth of the time for batches of 16 cells and nothing for full ones on a
processor; on a GPU a step takes as long for five data sets as for one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from tqdm.auto import tqdm

from grnrep.core.threads import threads_for


@dataclass(frozen=True, eq=False, kw_only=True)
class OneLayer:
    """Encoders z = LeakyReLU(A x + a) and decoders x̂ = ReLU(W z), one pair per data set.

    Parameters
    ----------
    encoder, bias
        A, ``(n_sets, m, n)``, and a, ``(n_sets, m)``.
    decoder
        W, ``(n_sets, n, m)``.
    slope
        Of the leaky ReLU below zero.
    history
        Mean squared error of every epoch, each batch as it was before its step, ``(n_sets, epochs)``.
    """

    encoder: Tensor
    bias: Tensor
    decoder: Tensor
    slope: float
    history: Tensor

    def encode(self, x: Tensor) -> Tensor:
        """Representations ``(n_sets, n_cells, m)`` of expression ``(n_sets, n_cells, n)``."""
        pre = torch.baddbmm(self.bias[:, None], x, self.encoder.mT)
        return functional.leaky_relu(pre, self.slope)

    def decode(self, z: Tensor) -> Tensor:
        """Expression of representations."""
        return torch.relu(torch.bmm(z, self.decoder.mT))


def train(
    x: Tensor,
    *,
    decoder: Tensor | None = None,
    mask: Tensor | None = None,
    seeds: Sequence[int],
    epochs: int,
    batch_size: int = 32,
    lr: float = 1e-4,
    weight_decay: float = 1e-5,
    slope: float = 0.1,
    start: OneLayer | None = None,
    progress: bool = True,
) -> OneLayer:
    """Train encoders on frozen decoders, or autoencoders from scratch, by Adam.

    The loss is the squared error averaged over genes and the cells of a batch, torch's ``MSELoss``. Adam
    does not heed the reduction, but the weight decay beside it does. Weights and biases start as those
    of ``torch.nn.Linear`` do; decoder weights as those of :class:`grnrep.nn.SparseLinear`, without bias.

    Parameters
    ----------
    x
        Expression, ``(n_sets, n_cells, n)``.
    decoder
        Frozen decoder weights, ``(n_sets, n, m)``; or instead
    mask
        edges of decoders to be trained too, ``(n_sets, n, m)`` of 0 and 1.
    seeds
        One per data set, for start values and batches. A data set is trained the same, up to rounding,
        whatever others are beside it.
    epochs, batch_size, lr, weight_decay
        Passes, cells per step, and rate and weight decay of Adam.
    slope
        Of the leaky ReLU below zero.
    start
        Model to go on from; by default weights are drawn.
    progress
        Whether to show a progress bar.

    Returns
    -------
    OneLayer

    Raises
    ------
    ValueError
        If not exactly one of ``decoder`` and ``mask`` is given.
    FloatingPointError
        If the training diverges.

    Examples
    --------
    >>> import torch
    >>> from grnrep.validation.regulation.one_layer import train
    >>> x = torch.rand(1, 20, 2)
    >>> model = train(x, decoder=torch.eye(2)[None], seeds=[0], epochs=300, lr=1e-2, progress=False)
    >>> bool((model.decode(model.encode(x)) - x).square().mean() < 1e-3)
    True
    """
    given = decoder if mask is None else mask
    if given is None or (decoder is not None and mask is not None):
        raise ValueError(
            "either decoder, frozen, or mask, of decoders to train, must be given, and not both"
        )
    (n_sets, n_cells, n_genes), m = x.shape, given.shape[-1]
    generators = [torch.Generator().manual_seed(int(seed)) for seed in seeds]
    encoder = _uniform((m, n_genes), n_genes, generators).to(x)
    bias = _uniform((m,), n_genes, generators).to(x)
    weight = given
    if mask is not None:
        mask = mask.to(x)
        weight = _uniform((n_genes, m), m, generators).to(x) * mask
    if start is not None:
        encoder, bias = start.encoder.clone(), start.bias.clone()
        weight = weight if mask is None else start.decoder.clone()
    learned = [encoder, bias] if mask is None else [encoder, bias, weight]
    for parameter in learned:
        parameter.grad = torch.zeros_like(parameter)
    adam = torch.optim.Adam(learned, lr=lr, weight_decay=weight_decay, fused=True)
    history = x.new_zeros(epochs, n_sets, dtype=torch.float64)
    sets = torch.arange(n_sets, device=x.device)[:, None]
    work = n_sets * batch_size * n_genes * m
    with torch.no_grad(), threads_for(work):
        for epoch in tqdm(range(epochs), desc="epochs", disable=not progress, leave=False, delay=2):
            order = torch.stack([torch.randperm(n_cells, generator=g) for g in generators]).to(
                x.device
            )
            for cells in order.split(batch_size, dim=1):
                seen = x[sets, cells]
                pre = torch.baddbmm(bias[:, None], seen, encoder.mT)
                z = functional.leaky_relu(pre, slope)
                fitted = torch.bmm(z, weight.mT).relu_()
                off = fitted - seen
                history[epoch] += off.square().sum((1, 2))
                off.masked_fill_(fitted == 0, 0).mul_(2 / off[0].numel())
                if mask is not None:
                    torch.bmm(off.mT, z, out=weight.grad).mul_(mask)
                back = torch.bmm(off, weight)
                back = torch.where(pre > 0, back, slope * back)
                torch.bmm(back.mT, seen, out=encoder.grad)
                torch.sum(back, 1, out=bias.grad)
                adam.step()
    history /= n_cells * n_genes
    if not bool(torch.isfinite(history).all()):
        raise FloatingPointError("the training diverged; lower lr, or scale x down")
    return OneLayer(encoder=encoder, bias=bias, decoder=weight, slope=slope, history=history.T)


def _uniform(shape: tuple[int, ...], n_in: int, generators: Sequence[torch.Generator]) -> Tensor:
    """Start values of every data set, uniform in ±1/sqrt(n_in), as torch's linear layers have them."""
    return torch.stack([(2 * torch.rand(shape, generator=g) - 1) * n_in**-0.5 for g in generators])
