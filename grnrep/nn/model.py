"""One model for the whole family: where z comes from, what shapes it, and what it explains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from grnrep.nn.likelihoods import NoiseModel
from grnrep.nn.representation import Representation


@dataclass(frozen=True, eq=False)
class Code:
    """What a bottleneck makes of a batch.

    Parameters
    ----------
    z
        Representations that go to the decoder, ``(n, d)``.
    mean, log_variance
        Of the distribution that ``z`` was drawn from, where there is one.

    Examples
    --------
    >>> import torch
    >>> from grnrep.nn import Code
    >>> Code(torch.zeros(3, 2)).mean is None
    True
    """

    z: Tensor
    mean: Tensor | None = None
    log_variance: Tensor | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Batch:
    """What a penalty may look at.

    Parameters
    ----------
    x, seen
        Data, and what of it the source was given: corrupted, or None for a :class:`Representation`.
    hidden, code
        Output of the source, and what the bottleneck made of it.
    made
        What the decoder makes of the code, in units of the data.
    source
        Where z comes from.
    generator
        Source of randomness.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from grnrep.nn import Batch, Code, Model, SquaredError
    >>> class Small(nn.Module):
    ...     def forward(self, batch: Batch) -> torch.Tensor:
    ...         return batch.code.z.square().sum(1).mean()
    >>> model = Model(nn.Linear(4, 2), nn.Linear(2, 4), loss=SquaredError(), penalties=[Small()])
    >>> loss, reconstruction = model.objective(torch.ones(3, 4))
    >>> bool(loss > reconstruction)
    True
    """

    x: Tensor
    seen: Tensor | None
    hidden: Tensor
    code: Code
    made: Tensor
    source: nn.Module
    generator: torch.Generator | None


class Model(nn.Module):
    r"""A decoder with representations that are learned, or that an encoder gives.

    The loss is :math:`\frac1n \sum_k L(x^k, g(z^k))` plus penalties. Autoencoders, their regularised
    and variational kin and the encoder-free decoder are choices among these parts.

    Parameters
    ----------
    source
        Where z comes from: a :class:`~grnrep.nn.Representation` with a row for each sample, or an
        encoder, any module from data to representations.
    decoder
        What z explains: any module from representations to the parameters of ``loss``.
    loss
        Noise model, such as :class:`~grnrep.nn.SquaredError` or :class:`~grnrep.nn.Bernoulli`.
    bottleneck
        What shapes z; by default it passes as it is.
    corruption
        What is done to the data before an encoder sees them in training; by default nothing.
    penalties
        Terms that are added to the loss; each is given a :class:`Batch`.

    Raises
    ------
    ValueError
        If a corruption is given without an encoder that would see it.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from grnrep.nn import Model, SquaredError
    >>> model = Model(nn.Linear(5, 2), nn.Linear(2, 5), loss=SquaredError())
    >>> tuple(model(torch.zeros(3, 5)).shape)
    (3, 5)
    """

    def __init__(
        self,
        source: nn.Module,
        decoder: nn.Module,
        *,
        loss: NoiseModel,
        bottleneck: nn.Module | None = None,
        corruption: nn.Module | None = None,
        penalties: Sequence[nn.Module] = (),
    ):
        super().__init__()
        if corruption is not None and isinstance(source, Representation):
            raise ValueError(
                "corruption needs an encoder, which sees the data; source is a Representation"
            )
        self.source, self.decoder, self.loss = source, decoder, loss
        self.bottleneck, self.corruption = bottleneck, corruption
        self.penalties = nn.ModuleList(penalties)

    @property
    def has_encoder(self) -> bool:
        """Whether z is computed from the data."""
        return not isinstance(self.source, Representation)

    @property
    def weights(self) -> list[nn.Parameter]:
        """Parameters of encoder, decoder and the rest: all but a table of representations."""
        tables = set() if self.has_encoder else set(self.source.parameters())
        return [parameter for parameter in self.parameters() if parameter not in tables]

    def encode(
        self,
        x: Tensor | None = None,
        rows: Tensor | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> Code:
        """Representations of a batch: of the data ``x``, or of the rows of a table."""
        return self._shape(self._hidden(x, rows), generator)

    def forward(self, x: Tensor | None = None, rows: Tensor | None = None) -> Tensor:
        """Prediction of a batch, in units of the data."""
        return self.loss.mean(self.decoder(self.encode(x, rows).z))

    def objective(
        self,
        x: Tensor,
        rows: Tensor | None = None,
        *,
        target: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Loss with penalties, and the loss of reconstruction alone; means over the batch.

        Parameters
        ----------
        x
            Data, ``(n, ...)``.
        rows
            Their rows in the table of a :class:`Representation`.
        target
            What is to be predicted, where that is not ``x``.
        generator
            Source of randomness of corruptions and draws.
        """
        seen = x if self.has_encoder else None
        if self.corruption is not None:
            seen = self.corruption(x, generator=generator)
        hidden = self._hidden(seen, rows)
        code = self._shape(hidden, generator)
        p = self.decoder(code.z)
        reconstruction = self.loss(p, x if target is None else target).mean()
        batch = Batch(
            x=x,
            seen=seen,
            hidden=hidden,
            code=code,
            made=self.loss.mean(p),
            source=self.source,
            generator=generator,
        )
        return sum(
            (penalty(batch) for penalty in self.penalties), start=reconstruction
        ), reconstruction

    def _hidden(self, x: Tensor | None, rows: Tensor | None) -> Tensor:
        return self.source(x) if self.has_encoder else self.source(rows)

    def _shape(self, hidden: Tensor, generator: torch.Generator | None) -> Code:
        return (
            Code(hidden)
            if self.bottleneck is None
            else self.bottleneck(hidden, generator=generator)
        )
