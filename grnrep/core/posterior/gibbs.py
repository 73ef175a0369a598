"""One Markov chain over decoder, activities and noise: Gibbs steps, all cells and all genes at once."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from grnrep.core.als.data import cuts
from grnrep.core.als.genes import GeneSolver, Stats, Work, append, take
from grnrep.core.als.penalty import Penalty
from grnrep.core.decoder import Pattern
from grnrep.core.design import full_network, known_columns, known_rows, split_rows, without_known
from grnrep.core.fitted import Fit
from grnrep.core.likelihoods import LIKELIHOODS
from grnrep.core.likelihoods.base import Block
from grnrep.core.likelihoods.gaussian import censored_curvature
from grnrep.core.network import Network
from grnrep.core.posterior.normal_tail import log_below, quantile_below

_NOISE_CELLS = 4.0  # how many cells the noise of all genes counts for in that of one gene
# the same of activities; at 0 a regulator that is once near zero never leaves it
_SPREAD_CELLS = 1.0
_WANTED = 0.3  # share of jumps that are accepted


class Chain:
    """State of the sampler. Whitened: gene i is divided by σ_i."""

    def __init__(
        self,
        x: Tensor,
        fit: Fit,
        network: Network,
        *,
        link: str,
        prior: float,
        rng: int,
        shared: bool = False,
    ):
        m, n_cells = network.n_regulators, len(x)
        self.network, weight = full_network(network, fit)
        self.m, self.n_cells, self.n_known = m, n_cells, self.network.n_regulators - m
        known = known_columns(n_cells, intercept=fit.bias is not None, covariates=fit.covariates)
        self.pattern = Pattern(self.network).to(x.device)
        self.genes = GeneSolver(self.network, x.device)
        likelihood = LIKELIHOODS["tobit" if link == "relu" else "gaussian"].of(x.mT, None)
        self.blocks = [likelihood.block(x[cut].mT.contiguous()) for cut in cuts(x)]
        self.zeros = [
            None if block.most is None else torch.nonzero(block.most.view(-1) == 0)[:, 0]
            for block in self.blocks
        ]
        self.random = np.random.default_rng(rng)
        self.generator = torch.Generator(x.device).manual_seed(rng)

        squares = x.double().square().sum(0)
        rest = without_known(x, torch.as_tensor(known)) if self.n_known else x
        penalty = Penalty.build(
            self.network, m, sum_squares=float(squares.sum()), ridge=0.0, prior=prior, shared=shared,
            energy=float(rest.double().square().sum()), n_cells=n_cells,
        ).to(x.device)  # fmt: skip
        self.penalty, self.free = penalty, penalty.balanced[:m]
        column = self.pattern.regulator
        self.anchor = penalty.anchor
        # free weights have variance 1, intercepts a hundred times the mean square of all values
        wide = 100 * float(squares.mean()) / n_cells or 1.0
        spread = torch.where(column < m, 1.0, wide).double()
        self.known_spread = (column >= m) | torch.cat([self.free, self.free.new_ones(1)])[
            column.clamp(max=m)
        ]
        self.precision_w = 1 / spread

        self.weight = torch.as_tensor(weight, device=x.device)
        self.start = self.weight.clone()
        activity = torch.as_tensor(fit.activity, device=x.device).to(x).mT
        scale = self.start_scale = self.scale()
        self.weight = self.weight / _append_ones(scale, self.n_known)[column]
        self.z = []
        parts = activity.split([block.x.shape[1] for block in self.blocks], dim=1)
        rows = split_rows(known, [block.x for block in self.blocks])
        for block, part, known_part in zip(self.blocks, parts, rows, strict=True):
            z = known_rows(block.x, m, known_part)
            z[:m] = part * scale.to(x)[:, None]
            self.z.append(z)
        self.ridge = torch.zeros(m) if fit.ridge is None else torch.as_tensor(fit.ridge)
        self.ridge = self.ridge.to(squares)
        gram = sum(z[:m].double().square().sum(1) for z in self.z)
        self.mean = torch.zeros_like(gram)
        self.typical_spread = float(gram.mean()) / n_cells or 1.0
        self.precision_z = (n_cells + _SPREAD_CELLS) / (gram + _SPREAD_CELLS * self.typical_spread)
        n_values = max(1, int(torch.count_nonzero(x > 0)) if link == "relu" else x.numel())
        variance = max(fit.squared_error, 1e-6 * float(squares.sum())) / n_values
        self.noise = torch.full_like(squares, variance)
        self.typical_noise = variance
        degree = torch.as_tensor(self.network.regulators_per_gene(), device=x.device)
        self.degree, self.jump_root, self.adapting = degree.double(), None, True

    def scale(self) -> Tensor:
        """Root mean square of the weights of free regulators, with the sign of the start."""
        columns, m = self.pattern.regulator, self.m

        def total(values: Tensor) -> Tensor:
            return torch.zeros(
                m + self.n_known, dtype=torch.float64, device=values.device
            ).index_add_(0, columns, values)[:m]

        size = (
            total(self.weight.square()) / total(torch.ones_like(self.weight)).clamp(min=1)
        ).sqrt()
        sign = torch.where(total(self.weight * self.start) < 0, -1.0, 1.0)
        return torch.where(self.free & (size > 0), size * sign, 1.0)

    def normalised(self) -> tuple[Tensor, Tensor, Tensor]:
        """Activities (m, n_cells), weights (n_edges,) and 1 / σ_i², in a fixed scale and sign."""
        scale = self.scale()
        z = torch.cat([z[: self.m] for z in self.z], dim=1).double() * scale[:, None]
        return (
            z,
            self.weight / _append_ones(scale, self.n_known)[self.pattern.regulator],
            1 / self.noise,
        )

    def sweep(self) -> None:
        """Draw everything once."""
        m, sd = self.m, self.noise.sqrt()
        white = self.weight / sd[self.pattern.gene]
        gram = self.pattern.gram(white)[:m, :m]
        gram.diagonal().add_(self.precision_z)
        factor = torch.linalg.cholesky(gram)
        like = self.blocks[0].x
        inverse, root = (
            torch.cholesky_inverse(factor).to(like),
            torch.linalg.inv(factor).mT.to(like),
        )
        matrix, matrix_t = (
            self.pattern.matrix(white.to(like)),
            self.pattern.matrix_t(white.to(like)),
        )
        stats = self.genes.no_stats(like.device)
        for k, (block, z) in enumerate(zip(self.blocks, self.z, strict=True)):
            p = matrix @ z
            e = self.complete(block, self.zeros[k], p, sd)
            pull = self.precision_z.to(like)[:, None] * (self.mean.to(like)[:, None] - z[:m])
            change = inverse @ ((matrix_t @ e)[:m] + pull) + root @ self.normal(z[:m].shape, like)
            new = torch.cat([z[:m] + change, z[m:]])
            r = e.add_(p).sub_(matrix @ new)
            work = Work(r, None, torch.linalg.vector_norm(r, dim=1).double().square())
            stats.merge(self.genes.stats(self.pattern, new, work))
            self.z[k] = new
        squares = stats.loss.clone()
        self.draw_weight(stats, white, squares, sd)
        self.draw_noise(squares)
        if self.blocks[0].most is not None:
            self.jump()
        self.draw_activity_prior(stats)

    def complete(self, block: Block, zeros: Tensor | None, p: Tensor, sd: Tensor) -> Tensor:
        """Residuals, whitened; in censored entries drawn from N(0, 1) below -p."""
        e = block.x / sd.to(block.x)[:, None] - p
        if zeros is None:
            return e
        below = -p.view(-1)[zeros]
        share = torch.rand(below.shape, generator=self.generator, device=p.device, dtype=p.dtype)
        # shares from 0 exclusive to 1
        e.view(-1)[zeros] = quantile_below(below, share.neg_().add_(1))
        return e

    def draw_weight(self, stats: Stats, white: Tensor, squares: Tensor, sd: Tensor) -> None:
        """Draw weights of every gene; ``squares`` (Σ residual² per gene) follow."""
        gene = self.pattern.gene
        lam = self.weight_precision()
        rhs = append(stats.edge + lam * (self.anchor / sd[gene] - white), 0.0)
        lam, gram = append(lam, 1.0), append(stats.gram.reshape(-1), 0.0)
        linear = append(stats.edge, 0.0)
        change, owner = [white[:0]], torch.cat([gene, gene.new_zeros(1)])
        for _, edge, _, entry in self.genes.groups:
            own = take(gram, entry)
            system = own.clone()
            system.diagonal(dim1=1, dim2=2).add_(take(lam, edge))
            factor = torch.linalg.cholesky(system)
            noise = self.normal((*edge.shape, 1), system)
            d = torch.cholesky_solve(take(rhs, edge)[:, :, None], factor)
            d += torch.linalg.solve_triangular(factor.mT, noise, upper=True)
            fall = 2 * (d[:, :, 0] * take(linear, edge)).sum(1) - (d.mT @ own @ d)[:, 0, 0]
            squares.index_add_(0, owner[edge[:, 0]], -fall)
            change.append(d.reshape(-1))
        white = white + torch.cat(change)[self.genes.slot_of_edge]
        self.weight = white * sd[gene]

    def shape_jumps(self) -> None:
        """Fit the jumps to the posterior of every gene's weights at this state, with the decoder's curvature.

        A censored entry counts with the curvature of -log Φ(-p/σ).
        """
        white = self.weight / self.noise.sqrt()[self.pattern.gene]
        lam = append(self.weight_precision(), 1.0)
        matrix = self.pattern.matrix(white.to(self.blocks[0].x))
        system = [torch.diag_embed(take(lam, edge)) for _, edge, *_ in self.genes.groups]
        owner = torch.cat([self.pattern.gene, self.pattern.gene.new_zeros(1)])
        column = torch.cat(
            [
                self.pattern.regulator,
                self.pattern.regulator.new_full((1,), self.network.n_regulators),
            ]
        )
        for block, z in zip(self.blocks, self.z, strict=True):
            curvature = censored_curvature(block, matrix @ z)
            padded = torch.cat([z, z.new_zeros(1, z.shape[1])])
            for total, (_, edge, *_) in zip(system, self.genes.groups, strict=True):
                own = padded[column[edge]]
                total += (own * curvature[owner[edge[:, 0]]][:, None]) @ own.mT
        self.jump_root = [torch.linalg.inv(torch.linalg.cholesky(s)).mT for s in system]
        self.jump_size = (2.4 / self.degree.clamp(min=1).sqrt()).to(self.weight)
        self.n_jumps = 0

    def jump(self) -> None:
        """Metropolis step of every gene's weights, with what was censored integrated out.

        Given the noise in censored entries, weights move by no more than the noise allows;
        those of genes with few values above zero are open much further.
        """
        if self.jump_root is None:
            return
        sd = self.noise.sqrt()
        white = self.weight / sd[self.pattern.gene]
        draws = [root @ self.normal((*root.shape[:2], 1), root) for root in self.jump_root]
        change = torch.cat([white[:0], *[d.reshape(-1) for d in draws]])[self.genes.slot_of_edge]
        change = change * self.jump_size[self.pattern.gene]
        lam, off = self.weight_precision(), white - self.anchor / sd[self.pattern.gene]
        gain = torch.zeros_like(self.noise).index_add_(
            0, self.pattern.gene, -lam * change * (off + change / 2)
        )
        like = self.blocks[0].x
        old, new = self.pattern.matrix(white.to(like)), self.pattern.matrix(change.to(like))
        for block, zeros, z in zip(self.blocks, self.zeros, self.z, strict=True):
            p, d = old @ z, new @ z
            part = d * (block.x / sd.to(like)[:, None] - p - d / 2)
            u = p.view(-1)[zeros]
            part.view(-1)[zeros] = log_below(u + d.view(-1)[zeros]) - log_below(u)
            gain += part.sum(1, dtype=torch.float64)
        chance = torch.rand(
            gain.shape, generator=self.generator, device=gain.device, dtype=gain.dtype
        )
        accepted = chance.log() < gain
        self.weight = self.weight + torch.where(
            accepted[self.pattern.gene], change * sd[self.pattern.gene], 0.0
        )
        if self.adapting:  # Robbins & Monro
            self.n_jumps += 1
            self.jump_size = self.jump_size * torch.exp(
                (accepted.double() - _WANTED) / self.n_jumps**0.6
            )

    def weight_precision(self) -> Tensor:
        """Prior precision of every whitened weight."""
        noise = self.noise[self.pattern.gene]
        return torch.where(self.known_spread, self.precision_w * noise, self.penalty.edges(noise))

    def draw_noise(self, squares: Tensor) -> None:
        """Draw σ_i² of every gene around a σ² that they share."""
        total = (
            self.noise * squares.clamp(min=0)
        ).cpu().numpy() + _NOISE_CELLS * self.typical_noise
        noise = total / self.random.chisquare(self.n_cells + _NOISE_CELLS, len(total))
        half = _NOISE_CELLS / 2
        self.typical_noise = self.random.gamma(half * len(noise)) / (half * (1 / noise).sum())
        self.noise = torch.as_tensor(noise, device=squares.device)

    def draw_activity_prior(self, stats: Stats) -> None:
        """Draw mean and variance of every free regulator's activity, around a variance that they share.

        A mean only without intercepts.
        """
        n, m, draw = self.n_cells, self.m, self.random
        square = stats.gram.diagonal()[:m].cpu().numpy()
        summed = sum(z[:m].double().sum(1) for z in self.z).cpu().numpy()
        mean = np.zeros(m)
        if not self.n_known:
            mean = summed / n + draw.standard_normal(m) / np.sqrt(
                n * self.precision_z.cpu().numpy()
            )
        spread = square - 2 * mean * summed + n * mean**2
        total = spread.clip(min=0) + _SPREAD_CELLS * self.typical_spread
        precision = draw.chisquare(n + _SPREAD_CELLS, m) / total
        free = self.free.cpu().numpy()
        if free.any():
            half = _SPREAD_CELLS / 2
            self.typical_spread = draw.gamma(half * free.sum()) / (half * precision[free].sum())
        fixed = self.ridge.cpu().numpy() / self.typical_noise
        device = stats.gram.device
        self.mean = torch.as_tensor(np.where(free, mean, 0.0), device=device)
        self.precision_z = torch.as_tensor(np.where(free, precision, fixed), device=device)

    def normal(self, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """Standard normal draws."""
        return torch.randn(shape, generator=self.generator, device=like.device, dtype=like.dtype)


def _append_ones(values: Tensor, n: int) -> Tensor:
    """A vector with ``n`` ones behind the last value."""
    return torch.cat([values, values.new_ones(n)])
