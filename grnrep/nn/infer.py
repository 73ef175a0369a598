"""Representations of new data, and how well they are reconstructed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from tqdm.auto import tqdm

from grnrep.nn.model import Code, Model
from grnrep.nn.representation import Representation

_AT_ONCE = 256  # samples, where nothing depends on their number


def infer(
    model: Model,
    x: Tensor,
    *,
    epochs: int = 100,
    lr: float = 1e-2,
    momentum: float = 0.9,
    batch_size: int = 64,
    progress: bool = False,
) -> Code:
    """Representations of data under a trained model, all of whose parameters stay as they are.

    An encoder gives them at once. Without one they are found by the descent of the
    training (:class:`~grnrep.nn.Trainer`), one step for each epoch, from the mean of the
    representations that were learned. Nothing is random, and samples do not influence each other.

    Parameters
    ----------
    model
        Trained model.
    x
        Data, ``(n, ...)``.
    epochs, lr, momentum
        Of the descent, where there is no encoder.
    batch_size
        Samples at a time. The rate is one of the loss averaged over so many, as in training.
    progress
        Whether to show a progress bar.

    Returns
    -------
    Code
        Of all samples, without gradients.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from grnrep.nn import Model, Representation, SquaredError, infer
    >>> decoder = nn.Linear(1, 2, bias=False)
    >>> _ = decoder.weight.data.fill_(1.0)
    >>> model = Model(Representation(5, 1), decoder, loss=SquaredError())
    >>> code = infer(model, torch.tensor([[3.0, 3.0]]), epochs=200, lr=0.1, batch_size=1)
    >>> code.z.round(decimals=3).tolist()
    [[3.0]]
    """
    x = x.to(_device(model))
    with _evaluating(model):
        if not isinstance(model.source, Representation):
            with torch.no_grad():
                return _join([model.encode(part) for part in x.split(max(batch_size, _AT_ONCE))])
        start = model.source.table.detach().mean(0).expand(len(x), -1)
        descent = Descent(x, start, lr=lr, momentum=momentum, batch_size=batch_size)
        for _ in tqdm(range(epochs), desc="infer", unit="epoch", disable=not progress):
            descent.step(model)
        return descent.code(model)


def reconstruct(model: Model, z: Tensor, *, batch_size: int = 256) -> Tensor:
    """Data that representations stand for, in the units of the data.

    Parameters
    ----------
    model
        Trained model.
    z
        Representations, ``(n, d)``.
    batch_size
        Samples at a time.

    Returns
    -------
    Predictions, ``(n, ...)``, without gradients.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from grnrep.nn import Model, SquaredError, reconstruct
    >>> model = Model(nn.Linear(4, 2), nn.Linear(2, 4), loss=SquaredError(link="sigmoid"))
    >>> bool(reconstruct(model, torch.zeros(1, 2)).min() > 0)
    True
    """
    with _evaluating(model), torch.no_grad():
        parts = z.to(_device(model)).split(batch_size)
        return torch.cat([model.loss.mean(model.decoder(part)) for part in parts])


def errors(model: Model, x: Tensor, code: Code, *, batch_size: int = 256) -> Tensor:
    """Loss of the reconstruction of every sample.

    Parameters
    ----------
    model
        Trained model.
    x
        Data, ``(n, ...)``.
    code
        Their representations, from :func:`infer`.
    batch_size
        Samples at a time.

    Returns
    -------
    Losses, summed over the features of a sample, ``(n,)``, without gradients.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from grnrep.nn import Model, SquaredError, errors, infer
    >>> model = Model(nn.Linear(4, 2), nn.Linear(2, 4), loss=SquaredError())
    >>> x = torch.rand(3, 4)
    >>> tuple(errors(model, x, infer(model, x)).shape)
    (3,)
    """
    with _evaluating(model), torch.no_grad():
        codes, parts = (value.to(_device(model)).split(batch_size) for value in (code.z, x))
        pairs = zip(codes, parts, strict=True)
        return torch.cat([model.loss(model.decoder(z), part) for z, part in pairs])


class Descent:
    """Momentum descent of the representations of some data; the model itself stays as it is.

    Parameters
    ----------
    x
        Data, ``(n, ...)``.
    start
        Where it starts, ``(n, d)``.
    lr, momentum, batch_size
        As in :func:`infer`.
    """

    def __init__(self, x: Tensor, start: Tensor, *, lr: float, momentum: float, batch_size: int):
        self.x, self.batch_size = x, batch_size
        self.representation = Representation(*start.shape, init=start, device=x.device)
        self._sgd = torch.optim.SGD(self.representation.parameters(), lr=lr, momentum=momentum)

    def step(self, model: Model) -> None:
        """Take one step of all representations, with ``model`` in evaluation."""
        table = self.representation.table
        self._sgd.zero_grad(set_to_none=False)
        for rows in torch.arange(len(table), device=table.device).split(
            max(self.batch_size, _AT_ONCE)
        ):
            z = _shaped(model, self.representation(rows)).z
            loss = model.loss(model.decoder(z), self.x[rows]).sum() / self.batch_size
            torch.autograd.backward(loss, inputs=[table])
        self._sgd.step()

    def code(self, model: Model) -> Code:
        """The representations as they are now."""
        with torch.no_grad():
            return _shaped(model, self.representation.table.detach())


@contextmanager
def _evaluating(model: Model) -> Iterator[None]:
    """Switch to evaluation inside."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def _device(model: Model) -> torch.device:
    return next((p.device for p in model.parameters()), torch.device("cpu"))


def _shaped(model: Model, hidden: Tensor) -> Code:
    return Code(hidden) if model.bottleneck is None else model.bottleneck(hidden)


def _join(codes: list[Code]) -> Code:
    mean, log_variance = (
        None
        if getattr(codes[0], name) is None
        else torch.cat([getattr(code, name) for code in codes])
        for name in ("mean", "log_variance")
    )
    return Code(torch.cat([code.z for code in codes]), mean, log_variance)
