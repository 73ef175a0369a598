"""One Markov chain over decoder, activities and noise: Gibbs steps, all cells and all genes at once."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from grnrep.core.als.data import Penalty, Scale, cuts
from grnrep.core.als.genes import GeneSolver, Stats, Work, append, take
from grnrep.core.design import full_network, known_columns, split_rows, without_known
from grnrep.core.fitted import Fit
from grnrep.core.likelihoods import LIKELIHOODS
from grnrep.core.likelihoods.base import Block
from grnrep.core.likelihoods.gaussian import censored_curvature
from grnrep.core.linalg import Pattern
from grnrep.core.network import Network
from grnrep.core.normal_tail import quantile_below
from grnrep.core.posterior.jumps import Jumps, likelihood_gain

_NOISE_CELLS = 4.0  # how many cells the noise of all genes counts for in that of one gene
_SPREAD_CELLS = 1.0  # the same of activities' variance; at 0 a regulator once near zero stays there
_INTERCEPT_VARIANCE = 100.0  # of the prior of an intercept, in mean squares of all values
_LEAST_NOISE = 1e-6  # share of Σx² that the noise starts with at least


class Chain:
    """State of the sampler.

    Steps are those of whitened data: x, w and residuals of gene i are divided by σ_i.

    Attributes
    ----------
    z
        Representations of every block, (m + q, cells); known rows last.
    weight
        Of every edge, known columns too, not whitened, ``(n_edges,)``.
    noise
        σ_i² of every gene, ``(n_genes,)``.
    mean, precision_z
        Of the normal prior of every regulator's activity, ``(m,)``.
    typical_noise, typical_spread
        What σ_i², and the variances of activities, are drawn around.
    """

    def __init__(
        self,
        x: Tensor,
        fit: Fit,
        network: Network,
        *,
        likelihood: str,
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
        model = LIKELIHOODS[likelihood].of(x.mT, None)
        self.blocks = [model.block(x[cut].mT.contiguous()) for cut in cuts(x)]
        self.zeros = [
            None if block.most is None else torch.nonzero(block.most.view(-1) == 0)[:, 0]
            for block in self.blocks
        ]
        self.random = np.random.default_rng(rng)
        self.generator = torch.Generator(x.device).manual_seed(rng)
        self.jumps: Jumps | None = None
        self.adapting = True

        squares = x.double().square().sum(0)  # of every gene
        self._set_priors(x, known, fit, squares, prior=prior, shared=shared)
        self.weight = self.first_weight = torch.as_tensor(weight, device=x.device)
        targets = torch.as_tensor(network.targets_per_regulator(), device=x.device)
        self.n_targets = targets.clamp(min=1)
        self.first_scale = self.scale()
        self.weight = self.weight / self._of_edges(self.first_scale)
        self.z = self._first_activities(x, fit, known)

        gram = torch.zeros(m, dtype=torch.float64, device=x.device)  # Σ z² of every regulator
        for z in self.z:
            gram += z[:m].double().square().sum(1)
        self.mean = torch.zeros_like(gram)
        self.typical_spread = float(gram.mean()) / n_cells or 1.0
        self.precision_z = (n_cells + _SPREAD_CELLS) / (gram + _SPREAD_CELLS * self.typical_spread)
        n_values = max(1, int(torch.count_nonzero(x > 0)) if likelihood == "tobit" else x.numel())
        least = _LEAST_NOISE * float(squares.sum())
        self.typical_noise = max(fit.squared_error, least) / n_values
        self.noise = torch.full_like(squares, self.typical_noise)

    def _set_priors(
        self, x: Tensor, known: np.ndarray, fit: Fit, squares: Tensor, *, prior: float, shared: bool
    ) -> None:
        """Priors of weights: N(0, 1) of free ones, the penalties of the fit of those shrunk to signs."""
        m, column = self.m, self.pattern.regulator
        unexplained = without_known(x, torch.as_tensor(known)) if self.n_known else x
        beyond_known = float(unexplained.double().square().sum())
        scale = Scale(float(squares.sum()), beyond_known, self.n_cells)
        self.penalty = Penalty.of(
            self.network, m, scale, ridge=0.0, prior=prior, shared=shared, device=x.device
        )
        self.free = self.penalty.balanced[:m]
        wide = _INTERCEPT_VARIANCE * float(squares.mean()) / self.n_cells or 1.0
        self.own_precision = 1 / torch.where(column < m, 1.0, wide).double()
        # free weights and those of known columns; of all others the penalty has the precision
        of_free = torch.cat([self.free, self.free.new_ones(1)])[column.clamp(max=m)]
        self.has_own_precision = (column >= m) | of_free
        ridge = torch.zeros(m) if fit.ridge is None else torch.as_tensor(fit.ridge)
        self.ridge = ridge.to(squares)

    def _first_activities(self, x: Tensor, fit: Fit, known: np.ndarray) -> list[Tensor]:
        """Representations of the fit in the scale of the chain, of every block."""
        activity = torch.as_tensor(fit.activity, device=x.device).to(x).mT
        parts = activity.split([block.x.shape[1] for block in self.blocks], dim=1)
        rows = split_rows(known, [block.x for block in self.blocks])
        scale = self.first_scale.to(x)[:, None]
        return [torch.cat([part * scale, row]) for part, row in zip(parts, rows, strict=True)]

    def _of_edges(self, scale: Tensor) -> Tensor:
        """Factor of a regulator at each of its edges, and 1 of known columns, ``(n_edges,)``."""
        return torch.cat([scale, scale.new_ones(self.n_known)])[self.pattern.regulator]

    def scale(self) -> Tensor:
        """Root mean square of the weights of free regulators, with the sign of the start."""
        column = self.pattern.regulator
        sums = torch.zeros(2, self.network.n_regulators, dtype=torch.float64, device=column.device)
        sums[0].index_add_(0, column, self.weight.square())
        sums[1].index_add_(0, column, self.weight * self.first_weight)
        squares, products = sums[:, : self.m]
        size = (squares / self.n_targets).sqrt()
        sign = torch.where(products < 0, -1.0, 1.0)
        return torch.where(self.free & (size > 0), size * sign, 1.0)

    def normalised(self) -> tuple[Tensor, Tensor, Tensor]:
        """Activities (m, n_cells), weights (n_edges,) and 1 / σ_i², in a fixed scale and sign."""
        scale = self.scale()
        z = torch.cat([z[: self.m] for z in self.z], dim=1).double() * scale[:, None]
        return z, self.weight / self._of_edges(scale), 1 / self.noise

    def sweep(self) -> None:
        """Draw everything once, each part given all others."""
        sd = self.noise.sqrt()
        white = self.weight / sd[self.pattern.gene]
        stats, squares = self.draw_activities(white, sd)
        self.draw_weight(stats, white, squares, sd)
        self.draw_noise(squares)
        if self.blocks[0].most is not None:
            self.jump()
        self.draw_activity_prior(stats)

    def draw_activities(self, white: Tensor, sd: Tensor) -> tuple[Stats, Tensor]:
        """Draw what was censored, and activities of all cells; sums for the weights, and Σ residual² per gene.

        All cells share the precision Q = W'W + Λ of a normal distribution. With residuals e at z, and the prior
        N(μ, Λ⁻¹), its mean is z + Q⁻¹ (W'e + Λ (μ - z)).
        """
        m, like = self.m, self.blocks[0].x
        precision = self.pattern.gram(white)[:m, :m]
        precision.diagonal().add_(self.precision_z)
        # Q = L L', so that L'⁻¹ times N(0, 1) has variance Q⁻¹
        factor = torch.linalg.cholesky(precision)
        inverse = torch.cholesky_inverse(factor).to(like)
        root = torch.linalg.inv(factor).mT.to(like)
        matrix = self.pattern.matrix(white.to(like))
        matrix_t = self.pattern.matrix_t(white.to(like))
        lam, mean = self.precision_z.to(like)[:, None], self.mean.to(like)[:, None]
        stats = self.genes.no_stats(like.device)
        for k, (block, z) in enumerate(zip(self.blocks, self.z, strict=True)):
            p = matrix @ z
            e = self.complete(block, self.zeros[k], p, sd)
            slope = (matrix_t @ e)[:m] + lam * (mean - z[:m])
            change = inverse @ slope + root @ self.normal(z[:m].shape, like)
            new = torch.cat([z[:m] + change, z[m:]])
            r = e.add_(p).sub_(matrix @ new)
            work = Work(r, None, torch.linalg.vector_norm(r, dim=1).double().square())
            stats.merge(self.genes.stats(self.pattern, new, work))
            self.z[k] = new
        return stats, stats.loss.clone()

    def complete(self, block: Block, zeros: Tensor | None, p: Tensor, sd: Tensor) -> Tensor:
        """Residuals, whitened; in censored entries drawn from N(0, 1) below -p."""
        e = block.x / sd.to(block.x)[:, None] - p
        if zeros is None:
            return e
        below = -p.view(-1)[zeros]
        share = 1 - self.uniform(below.shape, p)  # above 0, and up to 1
        e.view(-1)[zeros] = quantile_below(below, share)
        return e

    def draw_weight(self, stats: Stats, white: Tensor, squares: Tensor, sd: Tensor) -> None:
        """Draw weights of every gene; ``squares`` (Σ residual² per gene) follow.

        As activities: precision Q = Σ z z' + λ, and mean w + Q⁻¹ (Σ r z + λ (anchor - w)).
        """
        gene = self.pattern.gene
        lam = self.weight_precision()
        slope = append(stats.edge + lam * (self.penalty.anchor / sd[gene] - white), 0.0)
        lam, gram = append(lam, 1.0), append(stats.gram.reshape(-1), 0.0)
        linear = append(stats.edge, 0.0)
        change, gene_of_edge = [white[:0]], append(gene, 0)
        for _, edge, _, entry in self.genes.groups:
            of_data = take(gram, entry)  # Σ z z'
            precision = of_data.clone()
            precision.diagonal(dim1=1, dim2=2).add_(take(lam, edge))
            factor = torch.linalg.cholesky(precision)
            noise = self.normal((*edge.shape, 1), precision)
            d = torch.cholesky_solve(take(slope, edge)[:, :, None], factor)
            d += torch.linalg.solve_triangular(factor.mT, noise, upper=True)
            # Σ (r - d'z)² = Σ r² - 2 d' Σ r z + d' Σ z z' d
            fall = 2 * (d[:, :, 0] * take(linear, edge)).sum(1) - (d.mT @ of_data @ d)[:, 0, 0]
            squares.index_add_(0, gene_of_edge[edge[:, 0]], -fall)
            change.append(d.reshape(-1))
        self.weight = (white + torch.cat(change)[self.genes.slot_of_edge]) * sd[gene]

    def shape_jumps(self) -> None:
        """Fit the jumps to the posterior of every gene's weights at this state."""
        white = self.weight / self.noise.sqrt()[self.pattern.gene]
        matrix = self.pattern.matrix(white.to(self.blocks[0].x))
        pairs = zip(self.blocks, self.z, strict=True)
        curved = ((z, censored_curvature(block, matrix @ z)) for block, z in pairs)
        self.jumps = Jumps.of(self.network, self.weight_precision(), curved)

    def jump(self) -> None:
        """Metropolis step of every gene's weights, with what was censored integrated out.

        Given the noise in censored entries, weights move by no more than the noise allows;
        those of genes with few values above zero are open much further.
        """
        if self.jumps is None:
            return
        gene, sd = self.pattern.gene, self.noise.sqrt()
        white, like = self.weight / sd[gene], self.blocks[0].x
        change = self.jumps.draw(self.normal) * self.jumps.size[gene]
        # logarithm of the posterior after by that before. Prior: -½ λ ((w + d - a)² - (w - a)²)
        lam, off = self.weight_precision(), white - self.penalty.anchor / sd[gene]
        gain = torch.zeros_like(self.noise).index_add_(0, gene, -lam * change * (off + change / 2))
        matrix, change_of_matrix = (self.pattern.matrix(w.to(like)) for w in (white, change))
        for block, zeros, z in zip(self.blocks, self.zeros, self.z, strict=True):
            white_x = block.x / sd.to(like)[:, None]
            gain += likelihood_gain(white_x, zeros, matrix @ z, change_of_matrix @ z)
        accepted = self.uniform(gain.shape, gain).log() < gain
        self.weight = self.weight + torch.where(accepted[gene], change * sd[gene], 0.0)
        if self.adapting:
            self.jumps.adapt(accepted)

    def weight_precision(self) -> Tensor:
        """Prior precision of every whitened weight."""
        noise = self.noise[self.pattern.gene]
        of_fit = self.penalty.edges(noise)
        return torch.where(self.has_own_precision, self.own_precision * noise, of_fit)

    def draw_noise(self, squares: Tensor) -> None:
        """Draw σ_i² of every gene around a σ² that they share.

        With ν cells more of mean square σ²: σ_i² = (Σ residual² + ν σ²) / χ²(N + ν), and σ² from its Gamma
        distribution given all σ_i².
        """
        residual = (self.noise * squares.clamp(min=0)).cpu().numpy()  # no longer whitened
        total = residual + _NOISE_CELLS * self.typical_noise
        noise = total / self.random.chisquare(self.n_cells + _NOISE_CELLS, len(total))
        half = _NOISE_CELLS / 2
        self.typical_noise = self.random.gamma(half * len(noise)) / (half * (1 / noise).sum())
        self.noise = torch.as_tensor(noise, device=squares.device)

    def draw_activity_prior(self, stats: Stats) -> None:
        """Draw mean and variance of every free regulator's activity, around a variance that they share.

        As noise is drawn. A mean only without intercepts.
        """
        n, m, draw = self.n_cells, self.m, self.random
        square = stats.gram.diagonal()[:m].cpu().numpy()  # Σ z²
        sums = torch.zeros(m, dtype=torch.float64, device=stats.gram.device)
        for z in self.z:
            sums += z[:m].double().sum(1)
        summed = sums.cpu().numpy()  # Σ z
        mean = np.zeros(m)
        if not self.n_known:
            root = np.sqrt(n * self.precision_z.cpu().numpy())  # of the mean's precision
            mean = summed / n + draw.standard_normal(m) / root
        spread = square - 2 * mean * summed + n * mean**2  # Σ (z - mean)²
        total = spread.clip(min=0) + _SPREAD_CELLS * self.typical_spread
        precision = draw.chisquare(n + _SPREAD_CELLS, m) / total
        free, half = self.free.cpu().numpy(), _SPREAD_CELLS / 2
        if free.any():
            self.typical_spread = draw.gamma(half * free.sum()) / (half * precision[free].sum())
        fixed = self.ridge.cpu().numpy() / self.typical_noise
        device = stats.gram.device
        self.mean = torch.as_tensor(np.where(free, mean, 0.0), device=device)
        self.precision_z = torch.as_tensor(np.where(free, precision, fixed), device=device)

    def normal(self, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """Standard normal draws."""
        return torch.randn(shape, generator=self.generator, device=like.device, dtype=like.dtype)

    def uniform(self, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """Draws from 0 to 1, 1 exclusive."""
        return torch.rand(shape, generator=self.generator, device=like.device, dtype=like.dtype)
