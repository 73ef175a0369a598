"""The verb that learns as the paper did, by stochastic gradients."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from grnrep import _keys
from grnrep._importing import uncollected
from grnrep.tl._places import holding_places

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from anndata import AnnData


@holding_places
def fit_gradient(
    adata: AnnData,
    net: pd.DataFrame,
    *,
    likelihood: str = "auto",
    intercept: bool | str = "auto",
    signed: bool | str = "auto",
    min_targets: int = 5,
    layer: str | None = None,
    mask_var: str | np.ndarray | None = None,
    key_added: str = _keys.FIT,
    rng: int | np.random.Generator | None = 0,
    copy: bool = False,
    device: str | None = None,
    progress: bool = True,
    checkpoint: str | Path | None = None,
    activity_store: str | Path | None = None,
    client: Any = "auto",
    block_size: int | None = None,
    epochs: int | None = None,
) -> AnnData | None:
    """Learn activities and weights by the recipe of the paper, stochastic gradients, as a reference.

    The model is that of :func:`grnrep.tl.fit`, which finds a better optimum in a fraction of the time. All
    cells are learned from, and nothing but the weight decay of the recipe shrinks weights.

    Parameters
    ----------
    adata
        Annotated data, cells × genes, in memory or backed by a file; the values of all cells are held.
    net
        Prior network, as in :func:`grnrep.tl.fit`. Signs say where the search starts, and how regulators
        are oriented at its end.
    likelihood
        ``"gaussian"``, ``"tobit"``, or ``"auto"``: the first if any value is negative. See
        :func:`grnrep.tl.fit`.
    intercept, signed, min_targets, layer, mask_var, key_added, rng, copy
        As in :func:`grnrep.tl.fit`.
    device, progress, checkpoint, activity_store, client, block_size
        As in :func:`grnrep.tl.fit`.
    epochs
        Passes over the data. By default 500.

    Returns
    -------
    None, or with ``copy=True`` the copy. Sets the following fields, as :func:`grnrep.tl.fit` does:

    ``adata.obsm[key_added]`` : :class:`~pandas.DataFrame` (n_obs, n_regulators), float32
        Activities, one column per regulator, sorted by name.
    ``adata.varm[key_added]`` : :class:`~scipy.sparse.csr_matrix` (n_vars, n_regulators), float32
        Learned weights; same order of regulators.
    ``adata.uns[key_added]`` : dict
        Tables, the options and what was chosen, and the loss of every epoch.

    Raises
    ------
    ValueError, TypeError, KeyError
        If an argument cannot be used; the message says which, what was found, and
        what would do.
    FitInterrupted
        At Ctrl-C once learning has begun: a KeyboardInterrupt whose ``model`` holds the decoder so far.

    References
    ----------
    Schuster & Krogh (2021), A manifold learning perspective on representation
    learning, Entropy 23:1403, arXiv 2108.13910; Section 3.3.

    Examples
    --------
    >>> import grnrep as gr
    >>> adata, net = gr.ds.simulate(30, 50, n_regulators=3, rng=0, progress=False)
    >>> gr.tl.fit_gradient(adata, net, epochs=5, progress=False)
    >>> adata.uns["grnrep"]["params"]["solver"], len(adata.uns["grnrep"]["history"]["objective"])
    ('gradient', 5)
    """
    with uncollected():
        from grnrep._checks import check_choice
        from grnrep.tl._config import BY_SIGN, FitConfig, seed_of
        from grnrep.tl._run import run

    if likelihood != BY_SIGN:
        check_choice("likelihood", likelihood, ("auto", "gaussian", "tobit"))
    config = FitConfig(
        solver="gradient",
        likelihood=BY_SIGN if likelihood == "auto" else likelihood,
        intercept=intercept,
        signed=signed,
        min_targets=min_targets,
        layer=layer,
        mask_var=mask_var,
        key_added=key_added,
        rng=seed_of(rng),
        copy=copy,
        device=device,
        progress=progress,
        checkpoint=checkpoint,
        activity_store=activity_store,
        client=client,
        block_size=block_size,
        epochs=epochs,
    )
    return run(adata, net, config)
