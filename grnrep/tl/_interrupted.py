"""What a fit raises that is interrupted."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anndata import AnnData


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
