"""What is on the page: a fit, put into sections."""

from __future__ import annotations

from anndata import AnnData

from grnrep import __version__, _keys
from grnrep._checks import record
from grnrep.cli.report import comparison, sections
from grnrep.cli.report.fitted import Fitted
from grnrep.cli.report.page import Contents
from grnrep.cli.report.sections import MIN_TARGETS

_PANELS = 8  # regulators that are drawn on the embedding, and whose targets are named


def contents_of(
    adata: AnnData, *, key: str, groupby: str | None, sample: str | None, marginal: bool, title: str
) -> Contents:
    """Choose and compute what is on the page.

    Raises
    ------
    KeyError, ValueError
        If there is no fit, or the groups or samples cannot be used.
    """
    kept = record(adata, key)
    activities, spread = comparison.standardised(adata, key, marginal=marginal)
    listed = comparison.listed(kept[_keys.REGULATORS], least=MIN_TARGETS)
    activities = activities[activities.columns[activities.columns.isin(listed)]]
    fitted = Fitted(adata=adata, key=key, kept=kept, activities=activities)
    shares = comparison.contributions(fitted.edges, spread)
    shares = shares[shares.index.isin(listed)]
    compared = None
    if groupby is not None:
        compared = comparison.compare(adata, activities, groupby=groupby, sample=sample)
    top = list(shares.index[:_PANELS]) if compared is None else compared.leading(_PANELS)
    main = (
        sections.regulators(fitted, shares)
        if compared is None
        else sections.groups(fitted, compared)
    )
    return Contents(
        title=title,
        subtitle=(
            f"{adata.n_obs:,} cells; {len(fitted.regulators):,} regulators of {len(fitted.genes):,} genes by "
            f"{len(fitted.edges):,} edges; fit {key!r}"
        ),
        sections=(
            sections.summary(fitted),
            main,
            sections.cells(fitted, compared, top),
            sections.targets(fitted, top),
            sections.network(fitted),
            sections.fit(fitted),
            sections.reading(compared, marginal=marginal),
        ),
        version=__version__,
    )
