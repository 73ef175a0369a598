"""Decoder, noise and priors learned together, by variational expectation and maximisation.

Of gene i in cell k, in units of the gene's spread,

    x_ki = p_ki + ε_ki,   p_ki = b_i + Σ_j w_ij z_kj,   ε_ki ~ N(0, ψ_i),   z_k ~ N(0, C),   w_ij ~ N(a_ij, v_ij),

and under a ReLU a zero says p + ε ≤ 0. Posteriors are taken to be q(z_k) = N(z̄_k, Σ), one Σ for all cells,
q(w_i) = N(w̄_i, V_i), and below a zero the normal distribution cut there. Each is the best given the others, and so
are ψ and v: the bound on the evidence rises with their steps. Steps of cells and genes are least squares, with
N Σ added to Σ z z' and Σ_i V_i / ψ_i to W'Ψ⁻¹W: what is not known well counts for less (Bishop 1999, Variational
principal components; Attias 1999). For C alone Σ is wider under a ReLU, that of what is observed (Louis 1982): what is
expected below a zero moves with the activity, and taken for independent of it says more than it knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from torch.nn.functional import pad
from tqdm import tqdm

from grnrep.core.als.expectation import Cells, observed_covariance
from grnrep.core.als.genes import GeneSolver
from grnrep.core.als.loop import check_finite
from grnrep.core.als.moments import Moments, Prior, Sums
from grnrep.core.als.posteriors import Regressions, posteriors
from grnrep.core.als.variances import pooled
from grnrep.core.fitted import Interrupted
from grnrep.core.likelihoods.base import Block
from grnrep.core.linalg import Pattern
from grnrep.core.network import Network

LEAST_NOISE = 1e-5  # ψ in squared spreads of the gene: below, a value is explained
_MISFIT = 0.02  # share of a gene's variance that is added to ψ, if predicted: none follows its regulators better
_LEAST_SPREAD = 1e-8  # C_jj of a regulator that explains nothing
LEAST_VARIANCE = 1e-12  # v of a free factor that explains nothing
_LEAST_TAU2 = 1e-3  # that is learned


@dataclass(frozen=True, eq=False)
class Model:
    """What is fixed during a search.

    Parameters
    ----------
    blocks
        Expression in units of the genes' spreads.
    network
        Edges: m free columns, of regulators and then of free factors, and known ones.
    n_free, n_factors
        m, and how many of these are free factors, whose representations have variance 1.
    prior
        Of weights and representations.
    n_cells
        Of blocks, or of cells of which only sums are known.
    centred
        Whether an intercept, the first known column, takes the means of representations.
    map
        Over blocks: side by side, if it can.
    """

    blocks: list[Block]
    network: Network
    n_free: int
    n_factors: int
    prior: Prior
    n_cells: int
    centred: bool
    map: Callable[..., Iterator] = map
    pattern: Pattern = field(init=False)
    genes: GeneSolver = field(init=False)
    n_seen: Tensor = field(init=False)  # entries of every gene that are not censored

    def __post_init__(self) -> None:
        device, x = self.prior.anchor.device, [block.x for block in self.blocks]
        seen = [
            torch.full_like(part[:, 0], part.shape[1]) if block.most is None else (part > 0).sum(1)
            for block, part in zip(self.blocks, x, strict=True)
        ]
        derived = {
            "pattern": Pattern(self.network).to(device),
            "genes": GeneSolver(self.network, device),
            "n_seen": sum((part.double() for part in seen), start=torch.zeros(())),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    def cells(self, at: Moments) -> Cells:
        """What finds representations under the decoder of an iterate."""
        prior, like, inflation = self._precision(at), self.blocks[0].x, self.prior.inflation
        return Cells.of(self.pattern, at.weight, at.noise, prior, like, inflation=inflation)

    def _precision(self, at: Moments) -> Tensor:
        """C⁻¹ + doubt, (m, m + q): that of representations before expression is seen."""
        m = self.n_free
        prior = at.doubt[:m].clone()
        if self.prior.correlated:
            prior[:, :m] += torch.cholesky_inverse(torch.linalg.cholesky(at.covariance))
        else:
            prior[:, :m].diagonal().add_(1 / at.covariance.diagonal())
        return prior

    def sums(self, cells: Cells, z: list[Tensor]) -> tuple[list[Tensor], Sums]:
        """Representations after a step from ``z``, and sums over all cells there."""
        out, total = [], Sums.none(self.network, cells.inverse.device)

        def step(block: Block, before: Tensor) -> tuple[Tensor, Sums]:
            after, r, loss, hidden, penalty = cells.step(block, before)
            return after, Sums.at(self.pattern, after, r, hidden, loss, penalty)

        for after, part in self.map(step, self.blocks, z):
            out.append(after)
            total.merge(part)
        return out, total

    def step(self, at: Moments) -> tuple[Moments, float]:
        """Representations, then weights, then parameters; and -2 times the bound where it began."""
        cells = self.cells(at)
        z, sums = self.sums(cells, at.z)
        cost = (self.n_seen * at.noise.log()).sum() + sums.loss.sum() + sums.penalty
        # N (log |Σ⁻¹| + log |C|): what representations that are known cost
        if self.prior.correlated:
            log_det = torch.linalg.slogdet(at.covariance)[1]
        else:
            log_det = at.covariance.diagonal().log().sum()
        cost += self.n_cells * (cells.log_det + log_det)
        for before in at.z:  # Σ_k z̄' doubt z̄ of known columns, which the penalty is without
            known = before[self.n_free :]
            cost += (known * (at.doubt[self.n_free :].to(before) @ before)).sum()
        return self.decoder(replace(at, z=z), sums, cells.sigma), float(cost) + self.divergence(at)

    def divergence(self, at: Moments) -> float:
        """Twice that of the posterior of weights from their prior, up to a constant where that is flat."""
        variance = self.prior.variance(at.tau2, at.of_group)
        square = (at.weight - self.prior.anchor).square() + at.weight_sd.square()
        return (
            float((square / variance + variance.log() - 1)[variance.isfinite()].sum()) + at.log_det
        )

    def decoder(self, at: Moments, sums: Sums, sigma: Tensor) -> Moments:
        """Weights, noise and variances of priors from sums over cells at ``at``; ``sigma`` is Σ, (m, m)."""
        n, known = self.n_cells, self.network.n_regulators - self.n_free
        spread = pad(n * sigma, (0, known, 0, known))
        variance = self.prior.variance(at.tau2, at.of_group)
        pull = (self.prior.anchor - at.weight) / variance
        given = Regressions(sums, spread, n, at.weight, at.noise, 1 / variance, pull)
        found = posteriors(given, self.genes, self.network)
        noise = self._noise(sums.squares + sums.hidden + found.change, found.signal)
        off = (found.weight - self.prior.anchor).square() + found.variance
        tau2, of_group = self._variances(at, off)
        second = sums.gram[: self.n_free, : self.n_free] + n * self._observed(at, sums, sigma)
        return Moments(
            found.weight, at.z, noise, self._covariance(second, sums.z), tau2, of_group,
            found.doubt(noise), found.variance.sqrt(), found.log_det,
        )  # fmt: skip

    def _observed(self, at: Moments, sums: Sums, sigma: Tensor) -> Tensor:
        """Σ by what is observed, (m, m): that of steps, ``sigma``, where nothing is hidden."""
        if not sums.hidden.any():
            return sigma
        hidden = sums.hidden * self.prior.inflation / (self.n_cells * at.noise)
        prior = self._precision(at)[:, : self.n_free]
        return observed_covariance(
            self.pattern, at.weight, at.noise, (1 - hidden).clamp(min=0), prior
        )

    def _noise(self, squares: Tensor, signal: Tensor) -> Tensor:
        """ψ of every gene from expected squared residuals, and the variance of its prediction."""
        noise = squares.clamp(min=0) / self.n_cells
        own = pooled(noise, self.n_cells)
        # expression has variance 1; what a prediction varies more is below zeros, where nothing can be missed
        own = own + _MISFIT * signal.clamp(0, 1)
        return (self.prior.inflation * own).clamp(min=LEAST_NOISE)

    def _covariance(self, second: Tensor, total: Tensor) -> Tensor:
        """C from Σ E[z z'] and Σ z̄: variances as much alike as they are, correlations as many as cells show."""
        m, n = self.n_free, self.n_cells
        r = m - self.n_factors
        square = second[:r, :r].tril() + second[:r, :r].tril(-1).mT
        if self.centred:
            square = square - torch.outer(total[:r], total[:r]) / n
        variance = (square.diagonal() / n).clamp(min=_LEAST_SPREAD)
        out = torch.eye(m, dtype=torch.float64, device=square.device)
        if self.prior.correlated:
            # as if r more cells had shown no correlation
            scale = (n * variance).sqrt()
            out[:r, :r] = n / (n + r) * square / scale[:, None] / scale
            out.diagonal().fill_(1.0)
        size = out.new_ones(m)
        size[:r] = pooled(variance, n).sqrt()
        return out * size[:, None] * size

    def _variances(self, at: Moments, off: Tensor) -> tuple[float, Tensor]:
        """τ², and v of every group, from expected squared differences of weights from their anchors."""
        prior, tau2, of_group = self.prior, at.tau2, at.of_group
        if prior.tau2 is None and bool(prior.signed.any()):
            tau2 = max(_LEAST_TAU2, float((off / prior.size.square())[prior.signed].mean()))
        grouped = prior.group >= 0
        if prior.n_groups:
            group = prior.group[grouped]
            sums = torch.zeros_like(of_group).index_add_(0, group, off[grouped])
            of_group = sums / torch.bincount(group, minlength=prior.n_groups).clamp(min=1)
            of_group = of_group.clamp(min=LEAST_VARIANCE)
        return tau2, of_group


def search(
    model: Model,
    at: Moments,
    *,
    max_iter: int,
    tol: float,
    window: int = 10,
    bar: tqdm | None = None,
) -> tuple[Moments, list[float], bool]:
    """Steps with Nesterov's momentum, which starts anew where the bound would fall.

    The end is where the bound rose by less than ``tol`` a value over ``window`` steps.

    Returns
    -------
    The last iterate, -2 times the bound before every step but the first, and whether the end was reached.

    Raises
    ------
    FloatingPointError
        If the bound is not a finite number.
    Interrupted
        At Ctrl-C, with the last iterate.
    """
    previous, momentum, history = at, 1.0, list[float]()
    enough = tol * model.n_cells * model.network.n_genes
    try:
        for k in range(max_iter):
            following = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
            new, cost = model.step(_ahead(at, previous, (momentum - 1) / following))
            if history and momentum > 1 and not cost <= history[-1]:
                following = 1.0
                new, cost = model.step(at)
            check_finite(cost, history)
            # where a search starts weights need not have a posterior, and then there is no bound
            if k > 0:
                history.append(cost)
            previous, at, momentum = at, new, following
            if bar is not None:
                bar.update()
            if len(history) > window and history[-1 - window] - cost <= enough:
                return at, history, True
    except KeyboardInterrupt as stop:
        raise Interrupted(at) from stop
    return at, history, False


def _ahead(at: Moments, previous: Moments, share: float) -> Moments:
    """Means from ``previous`` through ``at``, and on by a share."""
    if share == 0:
        return at
    z = [torch.lerp(b, a, 1 + share) for a, b in zip(at.z, previous.z, strict=True)]
    return replace(at, weight=torch.lerp(previous.weight, at.weight, 1 + share), z=z)
