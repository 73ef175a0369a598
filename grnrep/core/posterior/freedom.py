"""Degrees of freedom that a fit leaves to its residuals, where counting parameters does not tell them.

Around the optimum p changes by J (δw, δz), where J has z at the edges and w at the activities of a cell. With
penalties Λ the residual of noise e is (I - H) e, H = J (J'J + Λ)⁻¹ J', so that its expected square is
σ² tr (I - H)². What the data do not determine, and scales that cancel in w · z, take nothing from it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from grnrep.core.als.cells import CellSolver
from grnrep.core.als.problem import Problem
from grnrep.core.likelihoods.base import Block

# conjugate gradients end where one changes the result by less than this share
_MAX_ITER, _TOL = 30, 0.02
_CELLS = 125  # whose residuals are looked at, at least, where there are more than twice as many


def residual_freedom(
    problem: Problem, solver: CellSolver, z: list[Tensor], n_seen: int, seed: int = 0
) -> float:
    """Trace of (I - H)² over entries that are not censored, by ‖(I - H) v‖² for a v of random signs.

    By conjugate gradients from zero, each of which costs what an iteration of the fit does. The standard
    error is at most sqrt(2 / result), as a share of the result. ``solver`` has the decoder of the fit, ``z``
    the representations (m + q, cells) of every block of the problem, of which so many entries are not censored
    (:func:`count_seen`).

    Of many cells v is zero but for some, spread evenly; as many others, each of them counted so many times, stand for
    what all cells say of the weights.
    """
    pattern, m = problem.pattern, problem.n_free
    generator = torch.Generator().manual_seed(seed)
    blocks, z, times = _some(problem.blocks, z)
    r = [_signs(block, generator) for block in blocks]  # v - J x, x the solution so far
    if not r:
        return 0.0
    # entries of every gene that are not censored
    seen = _total([part.abs().sum(1, dtype=torch.float64) for part in r])
    n_cells = sum(part.shape[1] for part in r)
    if n_seen == 0:
        return 0.0
    of_cells = len(seen) * n_cells / max(1.0, float(seen.sum()))
    for part, n in zip(r, times, strict=True):
        if n != 1:
            part.zero_()
    freedom = n_looked = _dot(r, r)
    if n_looked == 0:
        return 0.0
    ridge = [problem.penalty.w, *[solver.ridge[:, None] for _ in z]]  # Λ, of weights and of cells
    # preconditioner: the diagonal of J'J + Λ of weights, as if all cells of a gene were like those seen; of
    # cells the solver's inverse, which is of W'W over all genes
    squares = _total([n * part.double().square().sum(1) for part, n in zip(z, times, strict=True)])
    diagonal = squares[pattern.regulator] * (seen / n_cells)[pattern.gene] + ridge[0]
    of_weights = torch.where(diagonal > 0, 1 / diagonal, 0.0)

    def transposed(r: Tensor, z: Tensor, n: float) -> tuple[Tensor, Tensor]:
        """J'r of a block."""
        return n * pattern.edge_products(r, z).double(), (solver.matrix_t @ r)[:m]

    def product(block: Block, z: Tensor, change: Tensor) -> Tensor:
        """J d of a block: W δz + δW z, at entries that are seen."""
        padded = torch.cat([change, torch.zeros_like(z[m:])])
        q = torch.addmm(solver.matrix @ padded, change_of_matrix, z)
        return q if block.most is None else q.mul_(block.most > 0)

    # minimise ½ ‖v - J x‖² + ½ x'Λ x; at its end r = v - J (J'J + Λ)⁻¹ J'v = (I - H) v
    x = [torch.zeros_like(ridge[0]), *[torch.zeros_like(part[:m]) for part in z]]
    direction, slope, each = [torch.zeros_like(part) for part in x], math.inf, [1.0, *times]
    for _ in range(_MAX_ITER):
        of_blocks = list(problem.map(transposed, r, z, times))
        of_weight = _total([part for part, _ in of_blocks])
        gradient = [of_weight, *[part for _, part in of_blocks]]  # minus it: J'r - Λ x
        gradient = [g - lam * part for g, lam, part in zip(gradient, ridge, x, strict=True)]
        y = [of_weights * gradient[0], *[of_cells * solver.precondition(g) for g in gradient[1:]]]
        # d = y + β d, with the β of Fletcher and Reeves
        following = _dot(gradient, y, each)
        direction = [a.add_(d, alpha=following / slope) for a, d in zip(y, direction, strict=True)]
        slope, change_of_matrix = following, pattern.matrix(direction[0].to(z[0]))
        q = list(problem.map(product, blocks, z, direction[1:]))
        # d'(J'J + Λ) d, and the step to the minimum along d
        penalties = [lam * d for lam, d in zip(ridge, direction, strict=True)]
        curvature = _dot(q, q, times) + _dot(direction, penalties, each)
        if not curvature > 0:
            break
        for a, d in zip([*x, *r], [*direction, *(-part for part in q)], strict=True):
            a.add_(d, alpha=slope / curvature)
        last, freedom = freedom, _dot(r, r, times)
        if last - freedom <= _TOL * freedom:
            break
    return freedom * n_seen / n_looked


def _some(blocks: list[Block], z: list[Tensor]) -> tuple[list[Block], list[Tensor], list[float]]:
    """Some cells of every block, and how many times each counts: once those that are looked at.

    Spread evenly, so that they are of all kinds of cells in whatever order these come.
    """
    n_cells = sum(part.shape[1] for part in z)
    if n_cells <= 2 * _CELLS:
        return blocks, z, [1.0] * len(blocks)
    step, start = max(3, n_cells // _CELLS), 0
    looked, others = list[tuple[Block, Tensor]](), list[tuple[Block, Tensor]]()
    for block, part in zip(blocks, z, strict=True):
        for chosen, k in ((looked, 0), (others, step // 2)):
            some = slice((k - start) % step, None, step)
            if some.start < part.shape[1]:
                chosen.append((block.cells(some), part[:, some]))
        start += part.shape[1]
    # one block of each: a few cells of every block would cost calls alone
    both = [Block.joined([block for block, _ in chosen]) for chosen in (looked, others)]
    parts = [torch.cat([part for _, part in chosen], dim=1) for chosen in (looked, others)]
    n_looked, n_others = (part.shape[1] for part in parts)
    return both, parts, [1.0, (n_cells - n_looked) / n_others]


def count_seen(blocks: list[Block]) -> int:
    """Entries that are not censored."""
    return sum(b.x.numel() if b.most is None else int((b.most > 0).sum()) for b in blocks)


def _signs(block: Block, generator: torch.Generator) -> Tensor:
    """1 or -1, at random, at every entry that is not censored, and 0 elsewhere."""
    signs = torch.randint(0, 2, block.x.shape, generator=generator).mul_(2).sub_(1).to(block.x)
    return signs if block.most is None else signs.mul_(block.most > 0)


def _total(parts: list[Tensor]) -> Tensor:
    """Sum over blocks, of which there is at least one."""
    return sum(parts[1:], parts[0])


def _dot(a: list[Tensor], b: list[Tensor], times: list[float] | None = None) -> float:
    """Product of two vectors in parts, each counted so many times, summed in float64 over rows."""
    products = (
        float((p * q).sum(-1, dtype=torch.float64).sum()) for p, q in zip(a, b, strict=True)
    )
    if times is None:
        return sum(products)
    return sum(n * part for n, part in zip(times, products, strict=True))
