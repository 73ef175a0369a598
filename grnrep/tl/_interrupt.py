"""A fit that was stopped leaves what it had learned within reach."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import csr_matrix

from grnrep._record import Decoder
from grnrep.core.fitted import Fit
from grnrep.core.fitted import Interrupted

logger = logging.getLogger("grnrep")


class FitInterrupted(KeyboardInterrupt):
    """Ctrl-C during :func:`grnrep.tl.fit`, with the decoder so far.

    Parameters
    ----------
    model
        Data without cells, ready as second argument of :func:`grnrep.tl.transform`, or for
        :func:`grnrep.io.save`.

    Examples
    --------
    >>> import grnrep as gr
    >>> try:
    ...     raise gr.tl.FitInterrupted(None)
    ... except gr.tl.FitInterrupted as stop:
    ...     print(stop.model)
    None
    """

    def __init__(self, model: AnnData):
        super().__init__("the decoder so far is in the attribute model of this exception")
        self.model = model


class Reach:
    """What has been learned so far.

    Parameters
    ----------
    fit
        None before there is one.
    """

    def __init__(self) -> None:
        self.fit: Fit | None = None


@contextmanager
def within_reach(
    make: Callable[[Fit], tuple[Decoder, dict]], key: str, *, counts: bool
) -> Iterator[Reach]:
    """At Ctrl-C raise :class:`FitInterrupted` where a decoder is there, or had begun to be learned.

    Parameters
    ----------
    make
        Decoder and record of a fit.
    key
        Where the record is kept.
    counts
        Whether expression is counts: then a fit that was interrupted is of rates, and no use.
    """
    reach = Reach()
    try:
        yield reach
    except KeyboardInterrupt as stop:
        fit = stop.so_far if isinstance(stop, Interrupted) and not counts else reach.fit
        if fit is None:
            raise
        decoder, record = make(fit)
        model = AnnData(
            var=pd.DataFrame(index=decoder.genes),
            uns={key: record},
            varm={key: csr_matrix(decoder.weights(), dtype=np.float32)},
        )
        logger.warning("fit %r: interrupted; nothing was written", key)
        raise FitInterrupted(model) from stop
