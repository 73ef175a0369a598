"""How well expression is explained by the activities and the decoder."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from grnrep import _keys
from grnrep._checks import activities, check_adata, gene_names
from grnrep._inputs import expression_of
from grnrep._record import Decoder, decoder_of_rows, errors, r2, squared_errors
from grnrep._values import open_values


def reconstruction(
    adata: AnnData, *, key: str = _keys.FIT, layer: str | None = None
) -> pd.DataFrame:
    """Compare expression with what decoder and activities predict, gene by gene.

    Parameters
    ----------
    adata
        Data on which :func:`grnrep.tl.fit` or :func:`grnrep.tl.transform` was run.
    key
        Where results are in ``obsm`` and ``uns``.
    layer
        Layer with the expression. By default what the activities were inferred from.

    Returns
    -------
    Table with a row for every gene that the decoder and ``adata`` have: ``mse``, the mean squared
    residual (squared units of expression; of counts, of their rate at the median depth), and ``r2``,
    the share of variance explained, NaN for a constant gene.

    Raises
    ------
    ValueError, KeyError, TypeError
        If there is no fit under ``key``, or expression has no gene of it or is not finite.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> import grnrep as gr
    >>> x = np.outer(np.arange(1.0, 11.0), [0.7, 1.2])
    >>> adata = anndata.AnnData(x, var=pd.DataFrame(index=["a", "b"]))
    >>> gr.tl.fit(adata, pd.DataFrame({"source": "P", "target": ["a", "b"]}), min_targets=1)
    >>> gr.metrics.reconstruction(adata)["r2"].round(1).tolist()
    [1.0, 1.0]
    """
    check_adata(adata)
    decoder, residual, deviation = errors_by_gene(adata, key, layer=layer)
    return pd.DataFrame(
        {"mse": residual / adata.n_obs, "r2": r2(residual, deviation)},
        index=decoder.genes.rename(None),
    )


def errors_by_gene(
    adata: AnnData, key: str, *, layer: str | None = None
) -> tuple[Decoder, np.ndarray, np.ndarray]:
    """Get the decoder of the genes in ``adata``, and their squared residuals and deviations."""
    table, decoder = activities(adata, key), decoder_of_rows(adata, key)
    adata, layer = expression_of(adata, decoder.layer if layer is None else layer)
    names = gene_names(adata)
    decoder = decoder.restrict(names)
    if len(decoder.genes) == 0:
        raise ValueError(
            f"adata has no gene of the fit under key={key!r}; were genes renamed since?"
        )
    blocks, scan = open_values(adata, decoder.genes, names.get_indexer(decoder.genes), layer=layer)
    facts, z = decoder.cells(adata, scan), table[decoder.regulators].to_numpy()
    sums = np.zeros((4, len(decoder.genes)))
    for k in range(len(blocks)):
        rows = blocks.rows(k)
        sums = sums + squared_errors(blocks.read(k), z[rows], decoder, facts.part(rows))
    return decoder, *errors(sums, scan)
