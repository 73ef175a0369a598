"""Variational autoencoder whose decoder is masked by a network: a reference with an encoder."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from grnrep.core.fitted import Fit
from grnrep.core.network import Network
from grnrep.core.threads import threads_for
from grnrep.nn._descent import check
from grnrep.nn.sparse import SparseLinear

_START = 0.3  # size of the first weights, in standard deviations of a gene


class MaskedVAE(nn.Module):
    r"""Dense encoder, linear decoder with the edges of a network only, Gaussian noise.

    The encoder gives every cell a normal distribution over activities, :math:`N(\mu, \sigma^2)` with
    diagonal covariance; the decoder maps a draw from it to expression, with one noise variance
    per gene. The latent units are the regulators, as in VEGA [1]_ and expiMap [2]_.

    Parameters
    ----------
    network
        Edges. Weights start with the prior signs, at random where a sign is unknown.
    n_hidden
        Width of the encoder's one hidden layer.
    generator
        Source of randomness for the start values.

    References
    ----------
    .. [1] Seninge et al. (2021), VEGA is an interpretable generative model for inferring biological
       network activity in single-cell transcriptomics, Nat Commun 12:5684.
    .. [2] Lotfollahi et al. (2023), Biologically informed deep learning to query gene programs in
       single-cell atlases, Nat Cell Biol 25:337.

    Examples
    --------
    >>> import torch
    >>> from grnrep.core.network import Network
    >>> from grnrep.nn.masked_vae import MaskedVAE
    >>> network = Network.from_edges([0, 1, 2], [0, 0, 1], [0, 0, 0], n_genes=3, n_regulators=2)
    >>> mean, log_variance = MaskedVAE(network).encode(torch.zeros(5, 3))
    >>> tuple(mean.shape)
    (5, 2)
    """

    def __init__(
        self, network: Network, *, n_hidden: int = 128, generator: torch.Generator | None = None
    ):
        super().__init__()
        self.hidden = _linear(network.n_genes, n_hidden, generator)
        self.latent = _linear(n_hidden, 2 * network.n_regulators, generator)
        draw = torch.randn(network.n_edges, generator=generator)
        sign = torch.as_tensor(network.sign, dtype=draw.dtype)
        self.decoder = SparseLinear(
            network, weight=_START * torch.where(sign == 0, draw.sign(), sign) * draw.abs()
        )
        self.log_noise = nn.Parameter(torch.zeros(network.n_genes))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of the activities, (n_cells, n_regulators) each."""
        return self.latent(torch.relu(self.hidden(x))).chunk(2, dim=1)

    def loss(self, x: Tensor, noise: Tensor, *, kl_weight: float = 1.0) -> Tensor:
        """Negative evidence bound per cell, without the constant ½ n_genes log 2π.

        Parameters
        ----------
        x
            Expression, (n_cells, n_genes).
        noise
            Standard normal draws, (n_cells, n_regulators).
        kl_weight
            Factor of the divergence from the prior.
        """
        mean, log_variance = self.encode(x)
        z = mean + (0.5 * log_variance).exp() * noise
        off = (x - self.decoder(z)).square() * (-self.log_noise).exp()
        likelihood = 0.5 * (off + self.log_noise).sum(1).mean()
        return likelihood + kl_weight * kl_divergence(mean, log_variance).mean()


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Divergence of N(mean, exp(log_variance)) from N(0, 1), summed over regulators, (n_cells,)."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)


def fit_masked_vae(
    x: np.ndarray,
    network: Network,
    *,
    n_hidden: int = 128,
    epochs: int = 300,
    batch_size: int = 128,
    lr: float = 3e-3,
    kl_weight: float = 1.0,
    rng: int = 0,
    device: torch.device | str | None = None,
    progress: bool = True,
) -> Fit:
    """Train a :class:`MaskedVAE` by Adam on expression standardised per gene.

    Parameters
    ----------
    x
        Expression, (n_cells, n_genes).
    network
        Edges.
    n_hidden
        Width of the encoder's hidden layer.
    epochs, batch_size, lr
        Passes over the cells, cells per step, and rate of Adam, which falls to zero along a cosine.
    kl_weight
        Factor of the divergence from the prior; 1 is the evidence bound.
    rng
        Seed of start values, batches and draws.
    device
        Where to compute; the CPU by default.
    progress
        Whether to show a progress bar.

    Returns
    -------
    Fit
        ``activity`` is the mean of every cell's distribution; ``weight`` and ``bias`` are in the
        units of ``x``; ``history`` is the loss of every epoch.

    Raises
    ------
    ValueError
        If ``x`` does not fit the network or a number is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from grnrep.core.network import Network
    >>> from grnrep.nn.masked_vae import fit_masked_vae
    >>> z = np.random.default_rng(0).normal(size=200)
    >>> network = Network.from_edges([0, 1, 2], [0, 0, 0], [1, 1, 1], n_genes=3, n_regulators=1)
    >>> fit = fit_masked_vae(np.outer(z, [1, 1, 1]), network, epochs=60, progress=False)
    >>> bool(np.corrcoef(fit.activity[:, 0], z)[0, 1] > 0.9)
    True
    """
    check(x, network, epochs=epochs, batch_size=batch_size, lr=lr)
    mean, spread = x.mean(0, dtype=np.float64), x.std(0, dtype=np.float64)
    spread = np.where(spread > 0, spread, 1.0)
    scaled = torch.as_tensor((x - mean) / spread, dtype=torch.float32, device=device)
    generator = torch.Generator().manual_seed(int(rng))
    model = MaskedVAE(network, n_hidden=n_hidden, generator=generator).to(scaled.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    history = []
    with threads_for(min(len(x), batch_size) * network.n_genes * n_hidden):
        for _ in tqdm(range(epochs), desc="vae", disable=not progress):
            total = 0.0
            for rows in torch.randperm(len(x), generator=generator).split(batch_size):
                noise = torch.randn(len(rows), network.n_regulators, generator=generator)
                loss = model.loss(
                    scaled[rows.to(scaled.device)], noise.to(scaled.device), kl_weight=kl_weight
                )
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += loss.item() * len(rows)
            schedule.step()
            history.append(total / len(x))
        with torch.no_grad():
            activity = model.encode(scaled)[0]
    weight, bias = (
        model.decoder.get_parameter(name).detach().double().cpu().numpy()
        for name in ("weight", "bias")
    )
    return Fit(
        weight=weight * spread[network.gene],
        bias=mean + spread * bias,
        activity=activity.double().cpu().numpy(),
        history=history,
    )


def _linear(n_in: int, n_out: int, generator: torch.Generator | None) -> nn.Linear:
    """Linear layer with torch's own distribution of start values, drawn from ``generator``."""
    layer = nn.Linear(n_in, n_out)
    with torch.no_grad():
        for parameter in (layer.weight, layer.bias):
            parameter.copy_((2 * torch.rand(parameter.shape, generator=generator) - 1) * n_in**-0.5)
    return layer
