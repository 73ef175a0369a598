"""The verb that compares activities between groups of cells, with samples as replicates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grnrep import _keys

if TYPE_CHECKING:
    from anndata import AnnData


def rank_regulators(
    adata: AnnData,
    groupby: str,
    *,
    sample: str | None = None,
    reference: str = "rest",
    key: str = _keys.FIT,
    marginal: bool = False,
    key_added: str = "rank_regulators",
    copy: bool = False,
) -> AnnData | None:
    """Rank regulators by how clearly their activity differs between groups, sample by sample.

    Activities are averaged over the cells of every sample and group (pseudobulk), and the averages are compared.
    Which test it is follows from the design:

    - *welch*: no sample has cells on both sides, as with patients and controls. Welch's t-test.
    - *paired*: every sample has, as when cell types are compared within donors. The paired t-test: differences
      within donors.
    - *mixed*: some have, as when a donor lacks a cell type, or was seen once only. Generalised least squares with
      a correlation within donors, by restricted maximum likelihood, and the standard errors and degrees of freedom
      of Kenward & Roger (1997). Both sides are taken to vary alike. With three shared donors, 5 to 7 % of true nulls
      have p < .05 (9 % where also a side has more donors and less variance), with five or more 5 to 6 %.

    Without ``sample`` cells are compared, by Welch's t-test. **Cells are no replicates.** Those of one donor, or
    culture, resemble each other: p-values then say that groups differ in these very samples, and not that others of
    the kind would, and nearly everything is significant where cells are many (Squair et al. 2021). They are too
    small also where groups are clusters of the same expression. Use the order of regulators and ``difference``, not
    ``pvals``; a warning says so, and ``unit`` in the table.

    Parameters
    ----------
    adata
        Data with activities in ``adata.obsm[key]``.
    groupby
        Column of ``adata.obs`` with the groups. Cells without a group are left out.
    sample
        Column of ``adata.obs`` with the biological replicate (donor, animal, culture). By default, as where there is
        one only, cells are compared.
    reference
        ``"rest"``: compare each group with all other cells. Else the group that the
        others are compared with.
    key
        Where the activities are in ``adata.obsm``, and the fit in ``adata.uns``.
    marginal
        Whether to compare the activity of every regulator by itself, the slopes of
        :func:`grnrep.get.activity` with ``marginal=True``, which says which to use for what.
    key_added
        Where the table is kept in ``adata.uns``; a table of an earlier call is replaced.
    copy
        Whether to return a copy instead of changing ``adata``.

    Returns
    -------
    None, or with ``copy=True`` the copy. Sets the following fields:

    ``adata.uns[key_added]`` : :class:`~pandas.DataFrame`
        One row per group and regulator, the smallest p-value of each group first: ``group``, ``reference``,
        ``regulator``; ``difference`` of mean activities, in their units, with its ``std_err``; ``scores``, the one
        over the other (t), with ``dof`` degrees of freedom; ``pvals``, two-sided, and ``pvals_adj`` (Benjamini &
        Hochberg within the group). Where nothing varies there is no test, and these are NaN. What was compared:
        ``test`` ("welch", "paired" or "mixed"), ``unit`` ("sample", or "cell, no replicate"), ``n_samples``,
        ``n_samples_reference`` and ``n_samples_shared`` (on both sides; all 0 where cells are compared), ``n_cells``,
        ``n_cells_reference``, ``groupby``, ``marginal`` and ``key``. And ``sd``, the standard deviation of the
        activity over the cells of all groups: ``difference / sd`` compares regulators, as plots do.

    The result of :func:`grnrep.get.activity` has the same under the same name in the layout of
    :func:`scanpy.tl.rank_genes_groups`, with differences as "logfoldchanges", for scanpy's functions:
    ``sc.pl.rank_genes_groups_dotplot(gr.get.activity(adata), key="rank_regulators")``.

    Raises
    ------
    KeyError
        If there are no activities under ``key``, or no such column in ``adata.obs``.
    ValueError
        If there are fewer than two groups, no such ``reference``, or fewer than two samples, or cells,
        on a side; or if marginal activities cannot be had.

    References
    ----------
    Squair et al. (2021), Confronting false discoveries in single-cell differential
    expression, Nature Communications 12:5692. Kenward & Roger (1997), Small sample inference for fixed
    effects from restricted maximum likelihood, Biometrics 53:983.

    Examples
    --------
    >>> import anndata, numpy as np, pandas as pd
    >>> import grnrep as gr
    >>> obs = pd.DataFrame({"donor": list("aabbccdd"), "state": ["sick"] * 4 + ["well"] * 4})
    >>> obs.index = [f"cell{i}" for i in range(8)]
    >>> adata = anndata.AnnData(np.ones((8, 1)), obs=obs)
    >>> values = {"P": [5.0, 5, 6, 6, 1, 1, 2, 2], "Q": [1.0, 2, 3, 4, 1, 3, 2, 4]}
    >>> adata.obsm["grnrep"] = pd.DataFrame(values, index=adata.obs_names)
    >>> gr.tl.rank_regulators(adata, "state", sample="donor", reference="well")
    >>> adata.uns["rank_regulators"][["group", "regulator", "difference", "test"]].values.tolist()
    [['sick', 'P', 4.0, 'welch'], ['sick', 'Q', 0.0, 'welch']]
    """
    import pandas as pd

    from grnrep._checks import activities, check_table_place, obs_column, set_table
    from grnrep._marginal import marginal_activities
    from grnrep.tl._groups import compare_groups
    from grnrep.tl._results import copy_of

    check_table_place(adata, key_added, {"regulator", "pvals_adj"}, copy=copy)
    group = obs_column(adata, groupby, argument="groupby")
    replicate = None if sample is None else obs_column(adata, sample, argument="sample")
    if marginal:
        alone, regulators = marginal_activities(adata, key, verb="rank_regulators")
        table = pd.DataFrame(alone.slope, index=adata.obs_names, columns=regulators)
    else:
        table = activities(adata, key)
    result = compare_groups(table, group, replicate, reference=reference)
    out = copy_of(adata) if copy else adata
    set_table(out, key_added, result.assign(marginal=marginal, key=key))
    return out if copy else None
