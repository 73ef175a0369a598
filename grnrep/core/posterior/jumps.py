"""Jumps of the chain: weights of every gene at once, in the shape of their posterior, accepted gene by gene."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from grnrep.core.als.genes import GeneSolver, append, take
from grnrep.core.network import Network

# length of jumps of d weights, times sqrt(d): best for a normal distribution (Gelman et al. 1996)
_LENGTH = 2.4
_ACCEPTED = 0.3  # share of jumps that are to be accepted
_ADAPTATION = 0.6  # power of the number of jumps by which the change of their length falls


class Jumps:
    """Steps of a random walk of every gene's weights, whitened.

    Parameters
    ----------
    precision
        Of the weights of every gene, (b, d, d) of every group of :class:`grnrep.core.als.genes.GeneSolver`.
    slot_of_edge
        Where an edge is among the slots of all groups, ``(n_edges,)``.
    degree
        Number of regulators of every gene, ``(n_genes,)``.

    References
    ----------
    Gelman, Roberts & Gilks, Bayesian Statistics 5 (1996). Robbins & Monro, Ann. Math. Statist. 22:400 (1951).
    """

    def __init__(self, precision: list[Tensor], slot_of_edge: Tensor, degree: Tensor):
        # Q = L L': L'⁻¹ times N(0, 1) has variance Q⁻¹
        self.roots = [torch.linalg.inv(torch.linalg.cholesky(q)).mT for q in precision]
        self.slot_of_edge = slot_of_edge
        self.size = _LENGTH / degree.double().clamp(min=1).sqrt()
        self.n_jumps = 0

    @classmethod
    def of(
        cls,
        network: Network,
        prior_precision: Tensor,
        blocks: Iterable[tuple[Tensor, Tensor]],
    ) -> Jumps:
        """Jumps by the curvature of the posterior, with the prior precision of every weight, ``(n_edges,)``.

        ``blocks`` are representations (m + q, cells) and curvatures (n_genes, cells), block by block.
        """
        lam = append(prior_precision, 1.0)
        layout = GeneSolver(network, lam.device, shared=False)
        systems = lam.new_zeros(layout.n_pairs)
        for z, curvature in blocks:
            systems += layout.systems(z, curvature)
        systems = append(systems, 0.0)
        precision = [  # λ + Σ a z z'
            take(systems, entry) + torch.diag_embed(take(lam, edge))
            for _, edge, _, entry in layout.groups
        ]
        degree = torch.as_tensor(network.regulators_per_gene(), device=lam.device)
        return cls(precision, layout.slot_of_edge, degree)

    def draw(self, normal: Callable[[tuple[int, ...], Tensor], Tensor]) -> Tensor:
        """Steps of length 1, ``(n_edges,)``; ``normal`` draws from N(0, 1)."""
        steps = [(root @ normal((*root.shape[:2], 1), root)).reshape(-1) for root in self.roots]
        return torch.cat([self.size.new_zeros(0), *steps])[self.slot_of_edge]

    def adapt(self, accepted: Tensor) -> None:
        """Longer jumps of genes whose last one was accepted, shorter ones of others."""
        self.n_jumps += 1
        change = (accepted.double() - _ACCEPTED) / self.n_jumps**_ADAPTATION
        self.size = self.size * torch.exp(change)
