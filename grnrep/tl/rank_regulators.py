"""The verb that compares activities between groups of cells, with samples as replicates."""

from __future__ import annotations

import logging
import warnings

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import stats

from grnrep import _keys
from grnrep._checks import activities, check_table_place, obs_column, set_table, some
from grnrep._marginal import marginal_activities
from grnrep.tl._results import copy_of

logger = logging.getLogger("grnrep")

REST = "rest"


def rank_regulators(
    adata: AnnData,
    groupby: str,
    *,
    sample: str,
    reference: str = REST,
    key: str = _keys.FIT,
    marginal: bool = False,
    key_added: str = "rank_regulators",
    copy: bool = False,
) -> AnnData | None:
    """Rank regulators by how clearly their activity differs between groups, sample by sample.

    Activities are averaged over the cells of every sample and group (pseudobulk), and the
    averages are compared: by Welch's t-test, or by a paired t-test where every sample has cells
    on both sides, as when cell types are compared within donors. Cells of one sample resemble
    each other; tests that count cells as replicates call differences between samples
    differences between groups (Squair et al. 2021).

    Parameters
    ----------
    adata
        Data with activities in ``adata.obsm[key]``.
    groupby
        Column of ``adata.obs`` with the groups. Cells without a group are left out.
    sample
        Column of ``adata.obs`` with the biological replicate (donor, animal, culture).
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
        One row per group and regulator, sorted by p-value in each group: ``group``, ``regulator``,
        ``difference`` of mean activities, ``scores`` (t), ``pvals``, ``pvals_adj``
        (Benjamini & Hochberg within the group), ``n_samples``, ``n_samples_reference`` and ``test``
        ("welch" or "paired"). Where nothing varies there is no test, and p-values are NaN.

    Raises
    ------
    KeyError
        If there are no activities under ``key``, or no such column in ``adata.obs``.
    ValueError
        If there are fewer than two groups, no such ``reference``, or fewer than two samples
        on a side; or if marginal activities cannot be had.

    References
    ----------
    Squair et al. (2021), Confronting false discoveries in single-cell differential
    expression, Nature Communications 12:5692.

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
    >>> adata.uns["rank_regulators"][["group", "regulator", "difference"]].values.tolist()
    [['sick', 'P', 4.0], ['sick', 'Q', 0.0]]
    """
    check_table_place(adata, key_added, {"regulator", "pvals_adj"}, copy=copy)
    group, replicate = (
        obs_column(adata, groupby, argument="groupby"),
        obs_column(adata, sample, argument="sample"),
    )
    if marginal:
        alone, regulators = marginal_activities(adata, key, verb="rank_regulators")
        table = pd.DataFrame(alone.slope, index=adata.obs_names, columns=regulators)
    else:
        table = activities(adata, key)
    known = group.notna().to_numpy() & replicate.notna().to_numpy()
    group, replicate, table = group[known].astype(str), replicate[known].astype(str), table[known]
    groups = _groups(group, groupby, reference)
    parts = []
    for name in groups:
        inside = (group == name).to_numpy()
        outside = ~inside if reference == REST else (group == reference).to_numpy()
        sides = [
            table[side].groupby(replicate[side].to_numpy()).mean() for side in (inside, outside)
        ]
        _check_samples(sides, [name, reference], sample)
        parts.append(_compare(*sides).assign(group=name))
    order = ["group", "regulator", "difference", "scores", "pvals", "pvals_adj"]
    result = pd.concat(parts, ignore_index=True)
    result = result[[*order, *result.columns.difference(order, sort=False)]]
    logger.info("rank_regulators: %d groups, %d samples", len(groups), replicate.nunique())
    out = copy_of(adata) if copy else adata
    set_table(out, key_added, result)
    return out if copy else None


def _groups(group: pd.Series, groupby: str, reference: str) -> list[str]:
    """Groups to compare, in order of name."""
    found = sorted(group.unique())
    if len(found) < 2:
        raise ValueError(
            f"adata.obs[{groupby!r}] must have at least two groups; found {some(found)}"
        )
    if reference == REST:
        return found
    if reference not in found:
        raise ValueError(
            f"reference must be {REST!r} or a group of adata.obs[{groupby!r}] ({some(found, 10)}); "
            f"found {reference!r}"
        )
    return [name for name in found if name != reference]


def _check_samples(sides: list[pd.DataFrame], names: list[str], sample: str) -> None:
    """Check that there are replicates to judge a difference by."""
    for side, name in zip(sides, names, strict=True):
        if len(side) < 2:
            raise ValueError(
                f"group {name!r} must have cells of at least two samples; found {some(side.index)} in "
                f"adata.obs[{sample!r}]. Cells of one sample are no replicates: add samples, merge or leave "
                "out this group, or show the difference without a test, from grnrep.get.activity"
            )


def _compare(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """Test samples × regulators of one side against those of the other."""
    paired = a.index.equals(b.index)  # both are sorted
    x, y = a.to_numpy(dtype=np.float64), b.to_numpy(dtype=np.float64)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # where nothing varies: NaN or infinite
        test = stats.ttest_rel(x, y) if paired else stats.ttest_ind(x, y, equal_var=False)
    tested = np.isfinite(test.statistic)
    statistic, p, adjusted = (np.full(x.shape[1], np.nan) for _ in range(3))
    statistic[tested], p[tested] = test.statistic[tested], test.pvalue[tested]
    adjusted[tested] = stats.false_discovery_control(p[tested])
    return (
        pd.DataFrame(
            {
                "regulator": a.columns.astype(str),
                "difference": x.mean(0) - y.mean(0),
                "scores": statistic,
                "pvals": p,
                "pvals_adj": adjusted,
                "n_samples": len(a),
                "n_samples_reference": len(b),
                "test": "paired" if paired else "welch",
            }
        )
        .sort_values(["pvals", "regulator"])
        .reset_index(drop=True)
    )
