"""What is told apart by a critic is made alike: generative adversarial networks, and domains that share codes."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from grnrep.nn.likelihoods import NoiseModel
from grnrep.nn.model import Batch

Sets = Callable[[Batch], tuple[Tensor, Tensor]]


def data_and_made(batch: Batch) -> tuple[Tensor, Tensor]:
    """Take the data, and what the decoder makes of the codes.

    Parameters
    ----------
    batch
        What a penalty is given.

    Returns
    -------
    Two sets of rows.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from grnrep.nn import Batch, Code, data_and_made
    >>> x, made = torch.zeros(3, 2), torch.ones(3, 2)
    >>> batch = Batch(x=x, seen=x, hidden=x, code=Code(x), made=made, source=nn.Identity(), generator=None)
    >>> [float(rows.mean()) for rows in data_and_made(batch)]
    [0.0, 1.0]
    """
    return batch.x, batch.made


class Adversarial(nn.Module):
    r"""A critic learns to tell two sets of rows apart, and whatever makes them learns to deceive it.

    .. math:: \langle \log(1 + e^{-c(a)}) \rangle + \langle \log(1 + e^{c(b)}) \rangle

    is what the critic c lowers, with a and b held fixed: the loss of a classifier of a and b. What makes them
    lowers the same with a and b exchanged and c held fixed, the loss of [1]_ that does not saturate. Both are
    in one sum, so that one optimiser trains all. Data, which nothing makes, have no part in the second. Such
    games circle around their end, unless the critic is flat there: half its squared slope at a is added, [3]_.

    Parameters
    ----------
    critic
        From rows to one number each, large where a row seems to be of the first set.
    sets
        The two sets of a batch. By default data and what the decoder makes, as in [1]_; codes of two
        domains, :class:`DomainCodes`, as in [2]_.
    weight
        Factor of the second part.
    flatness
        Factor of the mean of :math:`\|\nabla c(a)\|^2 / 2`.

    Raises
    ------
    ValueError
        If a factor is negative.

    References
    ----------
    .. [1] Goodfellow et al. (2014), Generative adversarial nets, NeurIPS 27.
    .. [2] Yang et al. (2019), Multi-domain translation between single-cell imaging and sequencing data using
       autoencoders, bioRxiv 2019.12.13.875922.
    .. [3] Mescheder, Geiger & Nowozin (2018), Which training methods for GANs do actually converge?, ICML.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from grnrep.nn import Adversarial, Batch, Code
    >>> x = torch.zeros(3, 1)
    >>> batch = Batch(x=x, seen=x, hidden=x, code=Code(x), made=x, source=nn.Identity(), generator=None)
    >>> critic = nn.Linear(1, 1, bias=False)  # which cannot tell x from itself: log 2, three times
    >>> round(float(Adversarial(critic, flatness=0)(batch).detach()), 4)
    2.0794
    """

    def __init__(
        self,
        critic: nn.Module,
        *,
        sets: Sets = data_and_made,
        weight: float = 1.0,
        flatness: float = 1.0,
    ):
        super().__init__()
        for name, value in (("weight", weight), ("flatness", flatness)):
            if not 0 <= value < math.inf:
                raise ValueError(f"{name} must not be negative; found {value!r}")
        self.critic, self.sets = critic, sets
        self.weight, self.flatness = float(weight), float(flatness)

    def forward(self, batch: Batch) -> Tensor:
        """Loss of the critic, and the weighted one of what it judges; 0 where a set is empty."""
        first, second = self.sets(batch)
        if not len(first) or not len(second):
            return batch.code.z.sum() * 0
        judged = _apart(self.critic(first.detach()), self.critic(second.detach()))
        judged = judged + self.flatness / 2 * self._steepness(first)
        held = {name: value.detach() for name, value in self.critic.named_parameters()}
        made = [functional_call(self.critic, held, rows) for rows in (first, second)]
        if not first.requires_grad:  # data: nothing there to learn
            return judged + self.weight * functional.softplus(-made[1]).mean()
        return judged + self.weight * _apart(made[1], made[0])

    def _steepness(self, rows: Tensor) -> Tensor:
        """Squared norm of the critic's gradient, mean over rows."""
        with torch.enable_grad():
            rows = rows.detach().requires_grad_()
            slope = torch.autograd.grad(self.critic(rows).sum(), rows, create_graph=True)[0]
        return slope.square().flatten(1).sum(1).mean()

    def extra_repr(self) -> str:
        """Weights, for printing."""
        return f"weight={self.weight}, flatness={self.flatness}"


class Prior(nn.Module):
    """A source that knows nothing of the data: with :class:`Variational`, codes are draws of N(0, 1).

    Parameters
    ----------
    d
        Number of units.

    Examples
    --------
    >>> import torch
    >>> from grnrep.nn import Prior, Variational
    >>> code = Variational()(Prior(2)(torch.ones(1000, 7)), generator=torch.Generator().manual_seed(0))
    >>> tuple(code.z.shape), bool(abs(code.z.std() - 1) < 0.05)
    ((1000, 2), True)
    """

    def __init__(self, d: int):
        super().__init__()
        self.d = d

    def forward(self, x: Tensor) -> Tensor:
        """Means and log variances of zero, ``(n, 2 d)``."""
        return x.new_zeros(len(x), 2 * self.d)

    def extra_repr(self) -> str:
        """Number of units, for printing."""
        return f"d={self.d}"


class Unpaired(nn.Module):
    """Noise model of samples that no single prediction stands for: it has the range of another, and no loss.

    What is predicted has to be like the data by a penalty, as :class:`Adversarial`.

    Parameters
    ----------
    loss
        Noise model that says what a prediction is.

    Examples
    --------
    >>> import torch
    >>> from grnrep.nn import Bernoulli, Unpaired
    >>> loss = Unpaired(Bernoulli())
    >>> loss(torch.zeros(2, 3), torch.ones(2, 3)).tolist(), float(loss.mean(torch.zeros(1)))
    ([0.0, 0.0], 0.5)
    """

    def __init__(self, loss: NoiseModel):
        super().__init__()
        self.loss = loss
        self.support = loss.support

    def mean(self, p: Tensor) -> Tensor:
        """Prediction in units of the data."""
        return self.loss.mean(p)

    def forward(self, p: Tensor, x: Tensor) -> Tensor:
        """Zeros, ``(n,)``."""
        return p.flatten(1).sum(1) * 0


def _apart(first: Tensor, second: Tensor) -> Tensor:
    """Loss of the judgement that the first are of the first set and the second of the second."""
    return functional.softplus(-first).mean() + functional.softplus(second).mean()
