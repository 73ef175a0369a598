"""One reweighted least-squares step of all cells, or of all genes, under a count likelihood.

Every entry has its own weight, so every cell (gene) has its own Gram matrix. None of them is
built: a few conjugate gradients per cell (gene) solve the systems, all at once, with the Gram
matrix that they would share under average weights as the preconditioner. Each cell (gene)
then halves its step until its own objective does not rise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from grnrep.core.als.cells import CellSolver, cell_solver, project_cells
from grnrep.core.als.genes import GeneSolver, Stats
from grnrep.core.decoder import Pattern
from grnrep.core.design import known_rows
from grnrep.core.likelihoods.counts import Counted, CountModel
from grnrep.core.likelihoods.gaussian import Observed

_CELL_GRADIENTS, _GENE_GRADIENTS = 6, 3  # conjugate gradients a step
_START_ITERATIONS, _START_TOL = 50, 1e-2
_HALVINGS = 25
_ROUNDING = 16  # relative rise of a sum that says nothing, in units of its values' precision


@dataclass(frozen=True)
class CountCells:
    """A decoder, ready to find the representations of any cells under it.

    Parameters
    ----------
    model
        Count model of the genes.
    matrix, matrix_t
        The decoder W, (n_genes, m + q): m regulators, then q known columns; and W'. CSR.
    ridge
        λ of the penalty λ‖z‖², (m + q, 1), and 0 for known columns.
    inverse
        (W'AW + λ)⁻¹ under typical weights A, zero in the rows of known columns.
    gaussian
        The solver of the same decoder for expression whose entries have weights A.
    """

    model: CountModel
    matrix: Tensor
    matrix_t: Tensor
    ridge: Tensor
    inverse: Tensor
    gaussian: CellSolver

    @classmethod
    def of(
        cls, model: CountModel, pattern: Pattern, weight: Tensor, n_free: int, ridge: Tensor
    ) -> CountCells:
        """Factorise the shared Gram matrix, in float64. ``ridge`` is ``(m,)``."""
        narrow = weight.to(model.weight)
        scaled = narrow * model.weight[pattern.gene, 0].sqrt()
        gaussian = cell_solver(pattern, scaled, n_free, ridge)
        known = pattern.shape[1] - n_free
        inverse = torch.nn.functional.pad(gaussian.inverse, (0, known, 0, known))
        padded = torch.nn.functional.pad(gaussian.ridge, (0, known))[:, None]
        return cls(
            model, pattern.matrix(narrow), pattern.matrix_t(narrow), padded, inverse, gaussian
        )

    def begin(self, block: Counted, known: Tensor) -> Tensor:
        """Censored least squares of c / s under typical weights, (m + q, n_cells)."""
        rates = Observed.of(block.c / block.s * self.model.weight.sqrt(), "relu")
        z = known_rows(block.c, self.gaussian.n_free, known)
        return project_cells(self.gaussian, rates, z, max_iter=_START_ITERATIONS, tol=_START_TOL)

    def step(self, block: Counted, z: Tensor) -> tuple[Tensor, Tensor]:
        """Better representations (m + q, n_cells), and their pre-activations."""
        p = self.matrix @ z
        r, weight = self.model.work(block, p)
        change = _conjugate_gradients(
            self.matrix_t @ r - self.ridge * z,
            lambda q: self.matrix_t @ (weight * (self.matrix @ q)) + self.ridge * q,
            lambda v: self.inverse @ v,
            lambda a, b: (a * b).sum(0),
            _CELL_GRADIENTS,
        )
        change_p = self.matrix @ change

        def objective(t: Tensor, some: Tensor | None) -> Tensor:
            parts = (block, z, change, p, change_p)
            if some is not None:
                parts = (block.cells(some), *(part[:, some] for part in parts[1:]))
            here, a, b, pa, pb = parts
            penalty = (self.ridge * (a + t * b).square()).sum(0, dtype=torch.float64)
            return self.model.deviance(here, pa + t * pb).sum(0, dtype=torch.float64) + penalty

        t, _ = _backtrack(objective, z.new_zeros(z.shape[1]), z.dtype)
        return z + t * change, p + t * change_p


def step_genes(
    model: CountModel,
    pattern: Pattern,
    genes: GeneSolver,
    weight: Tensor,
    pairs: list[tuple[Counted, Tensor, Tensor]],
    ridge: Tensor,
    anchor: Tensor,
) -> tuple[Tensor, float]:
    """Better weights of all genes, given representations.

    Parameters
    ----------
    model, pattern, genes
        Count model, edges, and their systems in batches.
    weight
        Weights, ``(n_edges,)`` float64.
    pairs
        Counts, representations (m + q, n_cells) and pre-activations of every block.
    ridge, anchor
        λ of the penalty λ (w - anchor)², and the anchor, ``(n_edges,)`` each.

    Returns
    -------
    The weights, ``(n_edges,)`` float64, and deviance plus penalty at them.
    """
    gene = pattern.gene
    zero = torch.zeros_like(weight)
    gram, slope, by_gene = 0.0, zero, 0.0
    weights = []
    for block, z, p in pairs:
        r, entry = model.work(block, p)
        weights.append(entry)
        wide = z.double() * entry.mean(0).double().sqrt()
        gram = gram + wide @ wide.mT
        slope = slope + pattern.edge_products(r, z).double()
        by_gene = by_gene + entry.sum(1, dtype=torch.float64)
    scale = by_gene.mean() / by_gene.clamp(min=1e-12 * float(by_gene.max()))

    def curvature(q: Tensor) -> Tensor:
        narrow = q.to(pairs[0][1])
        products = [
            pattern.edge_products(entry * pattern.matmul(narrow, z), z).double()
            for entry, (_, z, _) in zip(weights, pairs, strict=True)
        ]
        return sum(products) + ridge * q

    def per_gene(a: Tensor) -> Tensor:
        return weight.new_zeros(pattern.shape[0]).index_add_(0, gene, a)

    change = _conjugate_gradients(
        slope - ridge * (weight - anchor),
        curvature,
        lambda v: genes.step(Stats(gram, v, zero.sum()), zero, ridge, zero) * scale[gene],
        lambda a, b: per_gene(a * b)[gene],
        _GENE_GRADIENTS,
    )
    change_p = [pattern.matmul(change.to(z), z) for _, z, _ in pairs]

    def objective(t: Tensor, some: Tensor | None) -> Tensor:
        full = t if some is None else zero_t.index_copy(0, some, t)
        penalty = per_gene(ridge * (weight + full[gene] * change - anchor).square())
        value = penalty if some is None else penalty[some]
        step, of_genes = t.to(model.weight)[:, None], model if some is None else model.genes(some)
        for (block, _, p), d in zip(pairs, change_p, strict=True):
            if some is not None:
                block, p, d = block.genes(some), p[some], d[some]
            value = value + of_genes.deviance(block, p + step * d).sum(1, dtype=torch.float64)
        return value

    zero_t = weight.new_zeros(pattern.shape[0])
    t, value = _backtrack(objective, zero_t, model.weight.dtype)
    return weight + t[gene] * change, float(value.sum())


def _conjugate_gradients(
    residual: Tensor,
    apply: Callable[[Tensor], Tensor],
    precondition: Callable[[Tensor], Tensor],
    dot: Callable[[Tensor, Tensor], Tensor],
    n_iter: int,
) -> Tensor:
    """Solve many systems at once, from zero; ``dot`` gives each of them its own products."""
    y = precondition(residual)
    x, q, rho = torch.zeros_like(residual), y, dot(residual, y)
    for _ in range(n_iter):
        bent = apply(q)
        length = _ratio(rho, dot(q, bent))
        x = x + length * q
        residual = residual - length * bent
        y = precondition(residual)
        following = dot(residual, y)
        q = y + _ratio(following, rho) * q
        rho = following
    return x


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    """Quotient, or 0 where rounding has left nothing to divide by: a system that is solved stays as it is."""
    ratio = a / b
    return torch.where((b > 0) & ratio.isfinite(), ratio, 0.0)


def _backtrack(
    objective: Callable[[Tensor, Tensor | None], Tensor], zero: Tensor, precision: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Halve every step that makes its own objective rise, until it does not; else 0.

    ``objective`` is given step lengths and which cells (genes) they are of, None for all.
    """
    before, t = objective(zero, None), torch.ones_like(zero)
    allowed = before + _ROUNDING * torch.finfo(precision).eps * before.abs()
    value = objective(t, None)
    for _ in range(_HALVINGS):
        some = (~(value <= allowed)).nonzero()[:, 0]  # a value that is not a number rises too
        if len(some) == 0:
            return t, value
        t[some] /= 2
        value[some] = objective(t[some], some)
    rises = ~(value <= allowed)
    return torch.where(rises, 0.0, t), torch.where(rises, before, value)
