"""One Markov chain over decoder, activities and noise: Gibbs steps, all cells and all genes at once."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from grnrep.core.als.data import cuts
from grnrep.core.als.genes import GeneSolver, append, take
from grnrep.core.als.stats import Stats, Work
from grnrep.core.design import full_network, known_columns, split_rows
from grnrep.core.fitted import Fit
from grnrep.core.likelihoods import LIKELIHOODS
from grnrep.core.likelihoods.gaussian import censored_curvature
from grnrep.core.linalg import Pattern
from grnrep.core.network import Network
from grnrep.core.posterior.censored import complete, likelihood_gain
from grnrep.core.posterior.jumps import Jumps
from grnrep.core.posterior.prior import chain_prior, draw_precisions, first_noise
from grnrep.core.posterior.shear import share_variance, shear, without_known_share

_NOISE_CELLS = 4.0  # how many cells the noise of all genes counts for in that of one gene
_SPREAD_CELLS = 1.0  # the same of activities' variance; at 0 a regulator once near zero stays there


class Chain:
    """State of the sampler.

    Steps are those of whitened data: x, w and residuals of gene i are divided by σ_i.

    Attributes
    ----------
    n_regulators, m
        Number of regulators, and of columns whose representations are drawn: free factors follow regulators.
    z
        Representations of every block, (m + q, cells); known rows last.
    weight
        Of every edge, known columns too, not whitened, ``(n_edges,)``.
    noise
        σ_i² of every gene, ``(n_genes,)``.
    mean, precision_z
        Of the normal prior of representations, ``(m,)`` and (m, m).
    typical_noise, typical_spread
        What σ_i², in squared units of the gene, and the variances of activities are drawn around.
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
        n_cells, censored = len(x), likelihood == "tobit"
        self.n_cells, self.n_regulators = n_cells, network.n_regulators
        self.m = m = network.n_regulators + fit.n_factors
        self.network, weight = full_network(network, fit)
        self.n_known = self.network.n_regulators - m
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

        self.prior = chain_prior(
            x, known, fit, network, self.network, censored=censored, prior=prior, shared=shared
        )
        self.weight = self.first_weight = torch.as_tensor(weight, device=x.device)
        targets = np.maximum(1, network.targets_per_regulator())
        self.n_targets = torch.as_tensor(targets, device=x.device)
        columns = np.concatenate([fit.representation(), known], axis=1)
        self.z = split_rows(columns, [block.x for block in self.blocks])
        self.first_scale = torch.ones_like(self.n_targets, dtype=torch.float64)
        if self.prior.spread is None:
            self.first_scale = self.scale()
            self.weight = self.weight / self._of_edges(self.first_scale)
            for z in self.z:
                z[: self.m] *= self.first_scale.to(z)[:, None]
        self.noise, self.typical_noise = first_noise(x, fit, self.prior, censored=censored)

        gram = torch.cat(self.z, dim=1)[:m].double().square().sum(1)  # Σ z² of every column
        self.mean = torch.zeros_like(gram)
        self.typical_spread = float(gram[: self.n_regulators].mean()) / n_cells or 1.0
        own = (n_cells + _SPREAD_CELLS) / (gram + _SPREAD_CELLS * self.typical_spread)
        fixed = self.prior.fixed_precision(self.typical_noise)
        self.precision_z = torch.where(torch.diag(self.prior.drawn), torch.diag(own), fixed)

    def _of_edges(self, scale: Tensor) -> Tensor:
        """Factor of a regulator at each of its edges, and 1 of other columns, ``(n_edges,)``."""
        others = self.network.n_regulators - self.n_regulators
        return pad(scale, (0, others), value=1.0)[self.pattern.regulator]

    def scale(self) -> Tensor:
        """Root mean square of weights where their scale is open, with the sign of the start."""
        squares, sign = self._against_first()
        size = (squares / self.n_targets).sqrt()
        return torch.where(self.prior.open_scale & (size > 0), size * sign, 1.0)

    def _against_first(self) -> tuple[Tensor, Tensor]:
        """Σ w² of every regulator, and -1 where its weights have turned since the start, else 1."""
        column = self.pattern.regulator
        sums = self.weight.new_zeros(2, self.network.n_regulators)
        sums[0].index_add_(0, column, self.weight.square())
        sums[1].index_add_(0, column, self.weight * self.first_weight)
        squares, products = sums[:, : self.n_regulators]
        return squares, torch.where(products < 0, -1.0, 1.0)

    def normalised(self) -> tuple[Tensor, Tensor, Tensor]:
        """Representations (m, n_cells), weights (n_edges,) and 1 / σ_i², in a fixed scale and sign."""
        z, weight, spread = torch.cat(self.z, dim=1).double(), self.weight, self.prior.spread
        if spread is None:
            scale = self.scale()
        else:
            z, weight = without_known_share(z, weight, self.pattern, self.network, self.m)
            square = z[: self.n_regulators].square().mean(1)
            scale = (spread / square).sqrt().where(square > 0, 1.0) * self._against_first()[1]
        z = z[: self.m] * pad(scale, (0, self.m - self.n_regulators), value=1.0)[:, None]
        return z, weight / self._of_edges(scale), 1 / self.noise

    def sweep(self) -> None:
        """Draw everything once, each part given all others."""
        sd = self.noise.sqrt()
        white = self.weight / sd[self.pattern.gene]
        stats, squares = self.draw_activities(white, sd)
        self.draw_weight(stats, white, squares, sd)
        self.draw_noise(squares)
        if self.jumps is not None:
            self.jump(self.jumps)
        self.draw_activity_prior(stats)
        if self.m > self.n_regulators:
            self.shear()

    def draw_activities(self, white: Tensor, sd: Tensor) -> tuple[Stats, Tensor]:
        """Draw what was censored, and activities of all cells; sums for the weights, and Σ residual² per gene.

        All cells share the precision Q = W'W + Λ of a normal distribution. With residuals e at z, and the prior
        N(μ, Λ⁻¹), its mean is z + Q⁻¹ (W'e + Λ (μ - z)).
        """
        m, like = self.m, self.blocks[0].x
        precision = self.pattern.gram(white)[:m, :m] + self.precision_z
        # Q = L L', so that L'⁻¹ times N(0, 1) has variance Q⁻¹
        factor = torch.linalg.cholesky(precision)
        inverse = torch.cholesky_inverse(factor).to(like)
        root = torch.linalg.inv(factor).mT.to(like)
        matrix = self.pattern.matrix(white.to(like))
        matrix_t = self.pattern.matrix_t(white.to(like))
        lam, mean = self.precision_z.to(like), self.mean.to(like)[:, None]
        stats, larger = self.genes.no_stats(like.device), torch.zeros_like(sd)
        for k, (block, z) in enumerate(zip(self.blocks, self.z, strict=True)):
            p = matrix @ z
            white_x = block.x / sd.to(like)[:, None]
            e, excess = complete(white_x, self.zeros[k], p, self.uniform, self.prior.inflation)
            larger = larger + excess
            slope = (matrix_t @ e)[:m] + lam @ (mean - z[:m])
            change = inverse @ slope + root @ self.normal(z[:m].shape, like)
            new = torch.cat([z[:m] + change, z[m:]])
            r = e.add_(p).sub_(matrix @ new)
            work = Work(r, None, torch.linalg.vector_norm(r, dim=1).double().square())
            self.genes.add(stats, self.pattern, new, work)
            self.z[k] = new
        return stats, (stats.loss - larger).clamp(min=0)

    def draw_weight(self, stats: Stats, white: Tensor, squares: Tensor, sd: Tensor) -> None:
        """Draw weights of every gene; ``squares`` (Σ residual² per gene) follow.

        As activities: precision Q = Σ z z' + λ, and mean w + Q⁻¹ (Σ r z + λ (anchor - w)).
        """
        gene = self.pattern.gene
        lam = self.weight_precision()
        slope = append(stats.edge + lam * (self.prior.anchor / sd[gene] - white), 0.0)
        lam, gram = append(lam, 1.0), append(stats.gram.reshape(-1), 0.0)
        linear, change = append(stats.edge, 0.0), [white[:0]]
        for genes, edge, _, entry in self.genes.groups:
            of_data = take(gram, entry)  # Σ z z'
            precision = of_data.clone()
            precision.diagonal(dim1=1, dim2=2).add_(take(lam, edge))
            factor = torch.linalg.cholesky(precision)
            noise = self.normal((*edge.shape, 1), precision)
            d = torch.cholesky_solve(take(slope, edge)[:, :, None], factor)
            d += torch.linalg.solve_triangular(factor.mT, noise, upper=True)
            # Σ (r - d'z)² = Σ r² - 2 d' Σ r z + d' Σ z z' d
            fall = 2 * (d[:, :, 0] * take(linear, edge)).sum(1) - (d.mT @ of_data @ d)[:, 0, 0]
            squares[genes] -= fall
            change.append(d.reshape(-1))
        self.weight = (white + torch.cat(change)[self.genes.slot_of_edge]) * sd[gene]

    def shape_jumps(self) -> None:
        """Fit the jumps to the posterior of every gene's weights at this state."""
        white = self.weight / self.noise.sqrt()[self.pattern.gene]
        matrix = self.pattern.matrix(white.to(self.blocks[0].x))
        pairs = zip(self.blocks, self.z, strict=True)
        root = self.prior.inflation**0.5
        curved = ((z, censored_curvature(block, root * (matrix @ z))) for block, z in pairs)
        self.jumps = Jumps.of(self.network, self.weight_precision(), curved)

    def jump(self, jumps: Jumps) -> None:
        """Metropolis step of every gene's weights, with what was censored integrated out.

        Given the noise in censored entries, weights move by no more than the noise allows;
        those of genes with few values above zero are open much further.
        """
        gene, sd = self.pattern.gene, self.noise.sqrt()
        white, like = self.weight / sd[gene], self.blocks[0].x
        change = jumps.draw(self.normal) * jumps.size[gene]
        # logarithm of the posterior after by that before. Prior: -½ λ ((w + d - a)² - (w - a)²)
        lam, off = self.weight_precision(), white - self.prior.anchor / sd[gene]
        gain = torch.zeros_like(self.noise).index_add_(0, gene, -lam * change * (off + change / 2))
        matrix, change_of_matrix = (self.pattern.matrix(w.to(like)) for w in (white, change))
        for block, zeros, z in zip(self.blocks, self.zeros, self.z, strict=True):
            white_x = block.x / sd.to(like)[:, None]
            p, more = matrix @ z, change_of_matrix @ z
            gain += likelihood_gain(white_x, zeros, p, more, self.prior.inflation)
        accepted = self.uniform(gain.shape, gain).log() < gain
        self.weight = self.weight + torch.where(accepted[gene], change * sd[gene], 0.0)
        if self.adapting:
            jumps.adapt(accepted)

    def weight_precision(self) -> Tensor:
        """Prior precision of every whitened weight."""
        return self.prior.of_whitened(self.noise[self.pattern.gene])

    def draw_noise(self, squares: Tensor) -> None:
        """Draw σ_i² of every gene around a σ² that they share.

        With ν cells more of mean square σ², in squared units of the gene: σ_i² = (Σ residual² + ν σ²) / χ²(N + ν),
        and σ² from its Gamma distribution given all σ_i².
        """
        # no longer whitened, but in units of the gene
        residual = self.noise * squares / self.prior.unit
        sharpness, self.typical_noise = draw_precisions(
            self.random, residual, self.n_cells, _NOISE_CELLS, self.typical_noise
        )
        self.noise = self.prior.inflation * self.prior.unit / sharpness

    def draw_activity_prior(self, stats: Stats) -> None:
        """Draw mean and variance of activities whose prior is not fixed, around a variance that they share.

        As noise is drawn. A mean only without intercepts.
        """
        n, drawn = self.n_cells, self.prior.drawn
        total = torch.cat(self.z, dim=1)[: self.m].sum(1, dtype=torch.float64)  # Σ z
        mean = torch.zeros_like(total)
        if not self.n_known:
            sd = (n * self.precision_z.diagonal()).rsqrt()
            mean = torch.as_tensor(self.random.standard_normal(self.m)).to(sd) * sd + total / n
            mean = torch.where(drawn, mean, 0.0)
        # Σ (z - mean)²
        spread = stats.squares[: self.m] - 2 * mean * total + n * mean.square()
        fixed = self.prior.fixed_precision(self.typical_noise).clone()
        if drawn.any():
            precision, self.typical_spread = draw_precisions(
                self.random, spread[drawn], n, _SPREAD_CELLS, self.typical_spread
            )
            fixed.diagonal()[drawn] = precision
        self.mean, self.precision_z = mean, fixed

    def shear(self) -> None:
        """Draw how much activities have of free factors."""
        r, z = self.n_regulators, torch.cat(self.z, dim=1)[: self.m].double()
        self.weight, change = shear(
            self.pattern, self.weight, self.prior.variance, z - self.mean[:, None],
            self.precision_z[:r, :r], self.normal,
        )  # fmt: skip
        for z, part in zip(self.z, change.split([z.shape[1] for z in self.z], dim=1), strict=True):
            z[:r] += part.to(z)

    def share_variance(self) -> Tensor:
        """How far it is open how much activities have of free factors, (n_factors, n_regulators), at this state."""
        r, weight, variance = self.n_regulators, self.weight, self.prior.variance
        factors = torch.cat(self.z, dim=1)[r : self.m].double()
        return share_variance(self.pattern, weight, variance, factors, self.precision_z[:r, :r])

    def normal(self, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """Standard normal draws."""
        return torch.randn(shape, generator=self.generator, device=like.device, dtype=like.dtype)

    def uniform(self, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """Draws from 0 to 1, 1 exclusive."""
        return torch.rand(shape, generator=self.generator, device=like.device, dtype=like.dtype)
