"""What is on the page: a fit, put into sections."""

from __future__ import annotations

from anndata import AnnData

from grnrep import __version__
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
    fitted = Fitted.of(adata, key, marginal=marginal)
    spread = comparison.spreads(fitted.by_cell)
    shares = comparison.contributions(fitted.edges, spread)
    listed = comparison.listed(fitted.regulators, least=MIN_TARGETS)
    shares, spread = (values[values.index.isin(listed)] for values in (shares, spread))
    compared = None
    if groupby is not None:
        compared = comparison.compare(fitted, spread, groupby=groupby, sample=sample)
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
            sections.reading(fitted, compared),
        ),
        version=__version__,
    )
