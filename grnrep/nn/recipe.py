"""The gradient recipe of Schuster & Krogh (2021): decoder by Adam, representations by momentum descent."""

from __future__ import annotations

import logging
from functools import partial
from typing import Final

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from grnrep.core.fitted import Fit
from grnrep.core.likelihoods.base import Likelihood
from grnrep.core.likelihoods.gaussian import Gaussian, Tobit, residual
from grnrep.core.network import Network
from grnrep.core.threads import threads_for
from grnrep.nn._descent import Matrix, Rows, check, run_epoch
from grnrep.nn.representation import Representation
from grnrep.nn.sparse import SparseLinear

logger = logging.getLogger("grnrep")

_LIKELIHOODS: Final[dict[str, Likelihood]] = {"relu": Tobit(), "identity": Gaussian()}  # of links


def fit_gradient(
    x: Matrix,
    network: Network,
    *,
    link: str = "relu",
    intercept: bool = False,
    epochs: int = 500,
    batch_size: int = 32,
    lr: float = 1e-3,
    weight_decay: float = 1e-5,
    lr_activity: float = 1e-2,
    momentum: float = 0.9,
    init_weight: np.ndarray | None = None,
    rng: int | np.random.Generator | None = 0,
    device: torch.device | str | None = None,
    progress: bool = True,
) -> Fit:
    r"""Learn decoder and representations by gradient descent, as in Section 3.3 of the paper.

    Minimises the squared error Σ (x - link(W z + b))² over the edges of the
    network and the representations of all cells. In every epoch the cells are
    shuffled into mini-batches. The decoder takes an Adam step after every
    batch; the gradients of the representations add up over the epoch, and then
    the whole table takes one step of descent with momentum.

    What the paper leaves open is settled as follows:

    - The loss of a batch is the squared error summed over genes and averaged over
      the ``batch_size`` cells of a batch. ``benchmarks/recipe_reduction.py`` compares
      reductions over the paper's grid of rates: a mean over genes too leaves the
      representations with hardly any gradient, a sum over cells too does worse.
    - Weights start uniform in ±1/sqrt(m), as ``torch.nn.Linear`` does.
    - Representations start uniform in [0, 1): positive, as activities of Eq. 6 are,
      which favours the right sign. All zeros would be a dead point under ReLU.
      With an intercept an activity is known up to a shift only, and under the
      identity link data may be centred; there they start as N(0, 0.01²).

    Parameters
    ----------
    x
        Expression, ``(n_cells, n_genes)``, array or scipy sparse. float64 is
        computed in float64, all else in float32. The rates are meant for values
        of the order of one.
    network
        Edges. Where the sign of an edge is known, its weight starts with that sign.
    link
        ``"relu"`` (Eq. 6) or ``"identity"``.
    intercept
        Whether every gene has a bias, which starts at zero.
    epochs
        Number of passes over the cells.
    batch_size
        Cells per step of the decoder. A last, smaller batch counts by its size.
    lr, weight_decay
        Rate and weight decay of Adam, for the decoder.
    lr_activity, momentum
        Rate and momentum of the descent, for the representations.
    init_weight
        Start weights, one per edge. By default drawn as :class:`~grnrep.nn.SparseLinear` does.
    rng
        Seed or generator of the start values and the batches.
    device
        Where to compute; by default the CPU.
    progress
        Whether to show a progress bar.

    Returns
    -------
    Decoder and representations. ``history`` is the mean squared error per epoch,
    every batch as it was before its step; a warning is logged where it rose.
    Nothing but ``epochs`` stops the descent, so ``converged`` is not informative.

    Raises
    ------
    ValueError
        If an argument is out of range or a shape does not match.
    FloatingPointError
        If the descent diverges.

    References
    ----------
    Schuster & Krogh, "A manifold learning perspective on representation
    learning", Entropy 2021, arXiv 2108.13910.

    Examples
    --------
    >>> import numpy as np
    >>> from grnrep.core.network import Network
    >>> from grnrep.nn import fit_gradient
    >>> network = Network.from_edges([0, 1, 1, 2], [0, 0, 1, 1], [0, 0, 0, 0], n_genes=3, n_regulators=2)
    >>> z = np.random.default_rng(0).gamma(1, size=(20, 2))
    >>> x = np.column_stack([z[:, 0], z[:, 0] + z[:, 1], 2 * z[:, 1]])
    >>> fit = fit_gradient(x, network, epochs=100, progress=False)
    >>> fit.activity.shape, len(fit.history), fit.history[-1] < fit.history[0]
    ((20, 2), 100, True)
    """
    _check_link(link)
    steps = {"epochs": epochs, "batch_size": batch_size, "lr": lr, "weight_decay": weight_decay}
    check(x, network, **steps, lr_activity=lr_activity, momentum=momentum)
    x = Rows(x, device)
    generator = torch.Generator().manual_seed(int(np.random.default_rng(rng).integers(2**63)))
    decoder = _start_decoder(
        network, init_weight, bias=intercept, dtype=x.dtype, generator=generator
    )
    positive = link == "relu" and not intercept
    representation = _start_representation(x, network, positive=positive, generator=generator)
    decoder, representation = decoder.to(x.device), representation.to(x.device)
    adam = torch.optim.Adam(decoder.parameters(), lr=lr, weight_decay=weight_decay, fused=True)
    descent = torch.optim.SGD(representation.parameters(), lr=lr_activity, momentum=momentum)
    error = partial(_error, link=link)
    history = []
    with threads_for(batch_size * network.n_edges):
        for _ in tqdm(range(epochs), desc="fit", unit="epoch", disable=not progress):
            batches = torch.randperm(x.shape[0], generator=generator).split(batch_size)
            descent.zero_grad(set_to_none=False)
            loss = run_epoch(
                x, representation, decoder, error, batches, batch_size=batch_size, optimizer=adam
            )
            history.append(loss)
            descent.step()
    if len(history) > 1 and history[-1] > history[0]:
        logger.warning(
            "fit: the mean squared error rose from %.4g to %.4g; lower lr and lr_activity, or scale x down",
            history[0],
            history[-1],
        )
    bias = None if decoder.bias is None else _float64(decoder.bias)
    return Fit(
        _float64(decoder.weight),
        bias,
        _float64(representation.table),
        _LIKELIHOODS[link],
        history=history,
    )


def project_gradient(
    x: Matrix,
    fit: Fit,
    network: Network,
    *,
    link: str = "relu",
    epochs: int = 500,
    batch_size: int = 512,
    device: torch.device | str | None = None,
    progress: bool = True,
) -> np.ndarray:
    r"""Infer the representations of cells by the descent of :func:`fit_gradient`, its decoder frozen.

    Minimises the same squared error over the representations alone, made to
    depend on nothing else. Nothing is random, and cells do not influence each
    other: all start at zero. Under ReLU that may be a dead point, as is any
    pre-activation p < 0 where x > 0. So the first half of the epochs takes the
    error there to be x - p, that of a censored observation, with which the loss
    is convex; the second half starts from its minimum. The descent runs in units
    in which the weights W of every regulator have norm one, with momentum 0.9
    and the rate :math:`1/\| |W|^\top |W| \|_\infty`, so it cannot diverge, and
    the result follows any sign and scale that regulators were given after the fit.

    Parameters
    ----------
    x
        Expression of the cells, ``(n_cells, n_genes)``, array or scipy sparse.
    fit
        Decoder; only ``weight`` and ``bias`` are used.
    network, link
        As in the fit.
    epochs
        Number of steps.
    batch_size
        Cells at a time: bounds the memory, does not change the result.
    device, progress
        As in :func:`fit_gradient`.

    Returns
    -------
    Representations, ``(n_cells, n_regulators)`` float64; zero for regulators without targets.

    Raises
    ------
    ValueError
        If an argument is out of range or a shape does not match.

    Examples
    --------
    >>> import numpy as np
    >>> from grnrep.core.fitted import Fit
    >>> from grnrep.core.network import Network
    >>> from grnrep.nn import project_gradient
    >>> network = Network.from_edges([0, 1], [0, 0], [0, 0], n_genes=2, n_regulators=1)
    >>> fit = Fit(weight=np.array([1.0, 2.0]), bias=None, activity=np.ones((1, 1)))
    >>> project_gradient(np.array([[3.0, 6.0]]), fit, network, progress=False).round(3)
    array([[3.]])
    """
    _check_link(link)
    check(x, network, epochs=epochs, batch_size=batch_size)
    x = Rows(x, device)
    decoder, norm = _frozen_decoder(fit, network, x.dtype)
    init = torch.zeros(x.shape[0], network.n_regulators, dtype=x.dtype)
    representation = Representation(*init.shape, init=init, device=x.device)
    curvature = _curvature(decoder)
    # run_epoch divides the loss by the size of a batch
    rate = 0.0 if curvature == 0 else batch_size / curvature
    descent = torch.optim.SGD(representation.parameters(), lr=rate, momentum=0.9)
    decoder = decoder.to(x.device)
    batches = torch.arange(x.shape[0]).split(batch_size)

    with threads_for(batch_size * network.n_edges):
        for epoch in tqdm(range(epochs), desc="project", unit="epoch", disable=not progress):
            error = _censored if 2 * epoch < epochs else _error
            descent.zero_grad(set_to_none=False)
            run_epoch(
                x,
                representation,
                decoder,
                partial(error, link=link),
                batches,
                batch_size=batch_size,
            )
            descent.step()
    return _float64(representation.table) / norm


def _check_link(link: str) -> None:
    """Raise ``ValueError`` unless there is such a link."""
    if link not in _LIKELIHOODS:
        raise ValueError(f"link must be one of {tuple(_LIKELIHOODS)}; found {link!r}")


def _censored(x: Tensor, p: Tensor, link: str) -> Tensor:
    """Residual in which zeros are censored under a ReLU: it has a slope wherever it is not 0."""
    return residual(x, p, _LIKELIHOODS[link].name)


def _error(x: Tensor, p: Tensor, link: str) -> Tensor:
    return (torch.relu(p) if link == "relu" else p) - x


def _start_decoder(
    network: Network,
    weight: np.ndarray | None,
    *,
    bias: bool,
    dtype: torch.dtype,
    generator: torch.Generator,
) -> SparseLinear:
    """Build a decoder with the given weights, or with random ones of the prior sign."""
    start = None if weight is None else torch.as_tensor(np.asarray(weight), dtype=dtype)
    decoder = SparseLinear(network, bias=bias, weight=start, dtype=dtype, generator=generator)
    if weight is None:
        sign, drawn = torch.as_tensor(network.sign, dtype=dtype), decoder.weight.data
        drawn.copy_(torch.where(sign != 0, drawn.abs() * sign, drawn))
    return decoder


def _start_representation(
    x: Rows, network: Network, *, positive: bool, generator: torch.Generator
) -> Representation:
    """Random start; regulators without targets, of which nothing can be learned, stay at zero."""
    shape = (x.shape[0], network.n_regulators)
    init = None if positive else 0.01 * torch.randn(shape, generator=generator, dtype=torch.float64)
    representation = Representation(*shape, init=init, dtype=x.dtype, generator=generator)
    representation.table.data[:, torch.as_tensor(network.targets_per_regulator() == 0)] = 0
    return representation


def _frozen_decoder(
    fit: Fit, network: Network, dtype: torch.dtype
) -> tuple[SparseLinear, np.ndarray]:
    """Decoder in which the weights of every regulator have norm one, and the norms that they had."""
    if fit.weight.shape != (network.n_edges,):
        raise ValueError(
            f"fit.weight must have shape ({network.n_edges},); found {fit.weight.shape}"
        )
    if fit.bias is not None and fit.bias.shape != (network.n_genes,):
        raise ValueError(f"fit.bias must have shape ({network.n_genes},); found {fit.bias.shape}")
    size = (
        np.bincount(network.regulator, weights=fit.weight**2, minlength=network.n_regulators) ** 0.5
    )
    norm = np.where(size > 0, size, 1.0)
    weight = torch.as_tensor(fit.weight / norm[network.regulator], dtype=dtype)
    decoder = SparseLinear(network, bias=fit.bias is not None, weight=weight).requires_grad_(False)
    if decoder.bias is not None:
        decoder.bias.copy_(torch.as_tensor(fit.bias))
    return decoder, norm


def _curvature(decoder: SparseLinear) -> float:
    """Bound λ_max(WᵀW) by the largest row sum of abs(W)ᵀ abs(W), which no sign or scale of W changes."""
    size, pattern = decoder.weight.abs(), decoder.pattern
    ones = size.new_ones(pattern.shape[1], 1)
    sums = pattern.matmul_t(size, pattern.matmul(size, ones))
    return float(sums.max()) if len(sums) else 0.0


def _float64(parameter: Tensor) -> np.ndarray:
    return parameter.detach().cpu().double().numpy()
