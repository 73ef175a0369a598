"""The verb that infers activities of new cells with a learned decoder."""

from __future__ import annotations

from contextlib import closing
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grnrep import _keys
from grnrep._importing import uncollected
from grnrep.tl._places import holding_places

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData


@holding_places
def transform(
    new: AnnData | pd.DataFrame,
    adata: AnnData,
    *,
    contrast: bool = False,
    key: str = _keys.FIT,
    solver: str | None = None,
    epochs: int | None = None,
    layer: str | None = None,
    use_raw: bool = False,
    device: str | None = None,
    activity_store: str | Path | None = None,
    block_size: int | None = None,
    client: Any = "auto",
    progress: bool = True,
    copy: bool = False,
) -> AnnData | None:
    r"""Infer the activities of new cells with a decoder that was learned before.

    The weights stay as they are; of every new cell the activities are found that
    explain its expression best. Genes are matched by name. Genes of the decoder that
    ``new`` lacks are left out, and a regulator all of whose targets are missing gets
    NaN, since nothing is known about it. Expression has to be on the scale of that of the fit: where
    sizes, signs, zeros or whole numbers show clearly that it is not, a warning says what was found.

    Parameters
    ----------
    new
        Annotated data, cells × genes, normalised as the data that was fitted; or a DataFrame of
        samples × genes: the result is then returned.
    adata
        Data on which :func:`grnrep.tl.fit` was run; only ``adata.uns[key]`` is used.
    contrast
        Whether rows of ``new`` are differences and not cells: log fold changes, or statistics such as t of
        differential expression, one row or many. They are projected without intercept and ReLU:

        .. math:: z = (W^\top \Psi^{-1} W + C^{-1})^{-1} W^\top \Psi^{-1} d

        (Ψ: noise of genes, C: covariance of activities, as the fit has them, and what its weights were left
        open by; with given penalties the ridge in place of all). So z is a difference of activities: of a
        Gaussian fit, that of a difference of means is the difference of mean activities. Genes that were not
        tested are to be left out, not set to 0. Log fold changes are on the scale of the fit, with the natural
        logarithm if that had it. Statistics are on another: signs and order of the regulators in a row hold,
        sizes do not.
    key
        Where the fit was kept, and where results are kept in ``new``.
    solver
        ``"exact"`` or ``"gradient"``; by default the one that fitted.
    epochs
        Passes over ``new`` by the gradient solver. By default the solver's own.
    layer
        Layer of ``new`` with the expression; by default ``new.X``.
    use_raw
        Whether to read ``new.raw`` instead.
    device
        Torch device, such as ``"cuda"``. By default the solver's own choice.
    activity_store, block_size, client
        As in :func:`grnrep.tl.fit`.
    progress
        Whether long work shows its progress.
    copy
        Whether to return a copy instead of changing ``new``.

    Returns
    -------
    None, or with ``copy=True`` the copy (in memory, also of backed data); of a DataFrame what was made of it.
    Sets the following fields:

    ``new.obsm[key]`` : :class:`~pandas.DataFrame` (n_obs, n_regulators), float32
        Activities, same columns as in ``adata.obsm[key]``.
    ``new.obsm[key + "_free"]`` : :class:`~pandas.DataFrame` (n_obs, n_factors), float32
        Free factors, where the decoder has any.
    ``new.uns[key]`` : dict
        What the fit kept, without its history, and ``"missing_genes"``: names of
        genes of the decoder that ``new`` lacks.

    Raises
    ------
    ValueError, TypeError, KeyError
        If an argument cannot be used; the message says which, what was found, and
        what would do.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> import grnrep as gr
    >>> activity = np.random.default_rng(0).random((40, 2))
    >>> weights = np.array([[1.0, 2.0, 0.5, 0.0], [0.0, 1.0, 1.5, 3.0]])
    >>> data = anndata.AnnData(activity @ weights, var=pd.DataFrame(index=["a", "b", "c", "d"]))
    >>> net = pd.DataFrame({"source": list("PPPQQQ"), "target": list("abcbcd")})
    >>> adata, new = data[:30].copy(), data[30:].copy()
    >>> gr.tl.fit(adata, net, min_targets=3)
    >>> gr.tl.transform(new, adata)
    >>> new.obsm["grnrep"].shape
    (10, 2)

    A row of log fold changes, of which "c" was not measured:

    >>> change = pd.DataFrame([[1.0, 2.0, 0.0]], index=["treated"], columns=["a", "b", "d"])
    >>> changed = gr.tl.transform(change, adata, contrast=True)
    >>> changed.obsm["grnrep"].abs().idxmax(axis=1)["treated"]
    'P'
    """
    with uncollected():
        import numpy as np

        from grnrep._checks import check_adata, check_place, record, report_names
        from grnrep._expression import open_expression
        from grnrep._inputs import as_adata, layer_of
        from grnrep._record import for_contrasts, read_decoder
        from grnrep.rows.sink import FREE, open_sink
        from grnrep.tl._config import check_engine, check_solver
        from grnrep.tl._infer import Inference, infer_blocks, parts_of
        from grnrep.tl._results import Results, copy_of, write

    new, is_table = as_adata(new, name="new")
    layer = layer_of(new, layer, use_raw=use_raw, name="new")
    check_place(new, key, copy=copy, argument="key", name="new")
    check_adata(adata, min_obs=0)
    check_engine(device, client, block_size)
    report_names(new, name="new")
    decoder = read_decoder(adata, key)
    if contrast:
        decoder = for_contrasts(decoder, key)
    solver = decoder.solver if solver is None else solver
    check_solver(solver, epochs=epochs)
    opened = open_expression(
        new,
        decoder,
        record(adata, key)[_keys.GENES],
        layer=layer,
        verb="transform",
        name="new",
        block_size=block_size,
        client=client,
        progress=progress,
        compare_scale=not contrast,
    )
    known, blocks = opened.decoder, opened.blocks

    regulators = decoder.regulators
    columns = regulators.get_indexer(known.regulators)
    places = parts_of(decoder)
    with open_sink(activity_store, new.obs_names, places, n_rows=blocks.n_rows) as sink:
        inference = Inference(
            blocks=replace(blocks, in_file_order=sink.in_file_order),
            decoder=known,
            cells=opened.cells,
            with_errors=False,
            solver=solver,
            device=device,
            epochs=epochs,
        )
        with closing(infer_blocks(inference, client=client, progress=progress)) as parts:
            for rows, block in parts:
                values = np.full((len(rows), len(regulators)), np.nan, dtype=np.float32)
                values[:, columns] = block.activity
                replace(block, activity=values).write(sink, rows)
    kept = {name: part for name, part in record(adata, key).items() if name != _keys.HISTORY}
    uns = {
        **deepcopy(kept),
        _keys.PARAMS: {
            **kept[_keys.PARAMS],
            "layer": _keys.X if layer is None else layer,
            "contrast": bool(contrast),
        },
        _keys.MISSING_GENES: np.array(decoder.genes.difference(known.genes), dtype=object),
    }
    out = copy_of(new) if copy else new
    free = sink.result(FREE) if FREE in places else None
    write(Results(obsm=sink.result(), varm=None, uns=uns, obsm_free=free), out, key)
    return out if copy or is_table else None
