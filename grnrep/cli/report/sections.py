"""The sections of the page, one function each."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd

from grnrep import _keys, get, pp
from grnrep._values import matrix
from grnrep.cli.report import figures
from grnrep.cli.report.comparison import Comparison
from grnrep.cli.report.fitted import Fitted
from grnrep.cli.report.page import Picture, Section, Table

MIN_TARGETS: Final = 5  # with fewer, a regulator says little more than its genes
_LOW_LOAD: Final = 1.2  # as in check_network
_EMBEDDINGS: Final = ("X_umap", "X_tsne", "X_draw_graph_fa", "X_pca")  # the first that is there
_LISTED: Final = 20  # regulators of a table; of one of many, half
_IN_MATRIX: Final = 5  # regulators of a group
_NAMED: Final = 6  # targets of a regulator on each side
_PARAMS: Final = {
    "likelihood": "likelihood",
    "solver": "solver",
    "converged": "converged",
    "n_obs_learned": "cells that the decoder was learned from",
    "intercept": "intercept of every gene",
    "signed": "prior signs used",
    "magnitudes": "sizes of prior weights used",
    "sign_shrinkage": "how strongly weights are drawn to signs",
    "ridge": "ridge of activities",
    "free_factors": "programmes beside the network",
    "decoder_load": "load: constraints per parameter",
    "effective_load": "effective load, without zeros that constrain nothing",
    "layer": "expression",
    "rng": "seed",
    "version": "version of grnrep that fitted",
}


def summary(fitted: Fitted) -> Section:
    """What was fitted, and whether it can be relied upon."""
    params, regulators = fitted.kept[_keys.PARAMS], fitted.regulators
    warnings = []
    if not bool(params.get("converged", True)):
        warnings.append(
            "The fit had not converged when it stopped: fit again with a higher --max-iter."
        )
    load = float(params.get("effective_load", np.inf))
    if load < _LOW_LOAD:
        warnings.append(
            f"The effective load is {load:.2f}: the data have fewer than {_LOW_LOAD} values per parameter, so that "
            "activities and weights lean on the prior signs and on shrinkage. Read them as hints."
        )
    few = int((regulators["n_targets"] < MIN_TARGETS).sum())
    twins = regulators.loc[regulators["group"] >= 0, "group"]
    n_groups = twins.nunique()
    text = []
    if few:
        text.append(
            f"{few:,} of {len(regulators):,} regulators have fewer than {MIN_TARGETS} targets among the genes. They "
            "are in the file, but in none of the lists below."
        )
    if len(twins):
        text.append(
            f"{len(twins):,} regulators share all their targets with another one, in {n_groups:,} "
            f"{'group' if n_groups == 1 else 'groups'} that no data can tell apart; the lists name the first of each."
        )
    dropped = len(fitted.kept.get(_keys.DROPPED_REGULATORS, ()))
    if dropped:
        of = f"{dropped:,} of {len(regulators) + dropped:,} regulators of the network"
        text.append(f"{of} are not in the fit: they have too few targets among the genes.")
    return Section(title="Summary", warnings=tuple(warnings), text=tuple(text))


def network(fitted: Fitted) -> Section:
    """How well the network that was fitted suits the data."""
    title = "Network and data"
    if not fitted.has_expression:
        expression = matrix(fitted.layer)
        return Section(
            title=title, text=(f"Not checked: {expression}, which was fitted, is not in the file.",)
        )
    signed = bool(fitted.kept[_keys.PARAMS].get("signed", False))
    edges = fitted.edges[[_keys.SOURCE, _keys.TARGET, _keys.WEIGHT]]
    # as it was fitted, also where a regulator had fewer targets than today's default asks for
    report = pp.check_network(fitted.adata, edges, layer=fitted.layer, signed=signed, min_targets=1)
    counts = report.summary
    rows = (
        ("targets that are genes here", f"{counts['n_targets_found']:,.0f}"),
        ("regulators", f"{counts['n_regulators_kept']:,.0f}"),
        ("edges", f"{counts['n_edges_found']:,.0f}"),
        ("edges with a prior sign", f"{counts['n_edges_signed']:,.0f}"),
        ("regulators whose activity is identified", f"{counts['n_regulators_identified']:,.0f}"),
        ("effective load", f"{counts['effective_load']:.2f}"),
    )
    table = Table(
        caption="As fitted", columns=("what", "number"), rows=rows, right=frozenset({"number"})
    )
    # the report's own tables are not on the page
    verdict = report.verdict.replace(" (column group)", "").split("\n")
    text = tuple(f"{line[0].upper()}{line[1:]}." for line in [*verdict, report.advice] if line)
    return Section(title=title, text=text, tables=(table,), pictures=(figures.network(report),))


def regulators(fitted: Fitted, shares: pd.Series) -> Section:
    """Regulators that account for most, where there are no groups to compare."""
    known = fitted.regulators
    rows = tuple(
        (name, f"{known.at[name, 'n_targets']:,}", f"{100 * share:.1f} %", _sure(known, name))
        for name, share in shares.head(_LISTED).items()
    )
    columns = ("regulator", "targets", "share", "sign confidence")
    table = Table(
        caption="Regulators that account for most",
        columns=columns,
        rows=rows,
        right=frozenset(columns[1:]),
    )
    text = (
        "The share is that of the variance over cells which all regulators together give their targets, as if they "
        "were independent. To see how groups of cells differ, write the page again with --groupby.",
    )
    return Section(title="Regulators", text=text, tables=(table,))


def groups(fitted: Fitted, compared: Comparison) -> Section:
    """Regulators that are more active in each group than elsewhere."""
    known, tables = fitted.regulators, []
    for group in compared.names:
        top = compared.top(group, _LISTED // 2)
        tested = [name for name in ("pvals", "pvals_adj") if name in top]
        words = {"pvals": "p", "pvals_adj": "FDR"}
        columns = ("regulator", "targets", "difference", *(words[name] for name in tested))
        rows = tuple(
            (
                name,
                f"{known.at[name, 'n_targets']:,}",
                f"{top.at[name, 'effect']:.2f}",
                *(_probability(top.at[name, test]) for test in tested),
            )
            for name in top.index
        )
        size = int((compared.groups == group).sum())
        caption = f"{group}, {size:,} cells"
        tables.append(
            Table(caption=caption, columns=columns, rows=rows, right=frozenset(columns[1:]))
        )
    pictures: tuple[Picture, ...] = ()
    if shown := compared.of_groups(_IN_MATRIX):
        pictures = (figures.matrix(fitted.shown(shown), groupby=str(compared.groups.name)),)
    how = (
        "ordered by the p-value of a test with samples as replicates (grnrep rank-regulators); means are of samples."
        if compared.by_sample
        else "ordered by how clearly they stand out among cells. Without --sample there is no test: cells of one donor "
        "are no replicates."
    )
    text = (
        "The difference is the mean activity in the group less that of all other cells, in standard deviations over "
        f"all cells; the tables have regulators that are more active in the group, {how}",
    )
    return Section(title="Groups", text=text, tables=tuple(tables), pictures=pictures)


def cells(fitted: Fitted, compared: Comparison | None, top: list[str]) -> Section:
    """Cells on an embedding."""
    obsm = fitted.adata.obsm
    place = next((name for name in _EMBEDDINGS if name in obsm and obsm[name].shape[1] >= 2), None)
    if place is None or not top:
        text = f"Not drawn: obsm has no embedding ({', '.join(_EMBEDDINGS)})."
        return Section(title="Cells", text=(text,))
    pictures = []
    if compared is not None:
        points = np.asarray(obsm[place], dtype=np.float64)[:, :2]
        pictures.append(figures.groups(points, compared.groups, basis=place))
    pictures.append(figures.embedding(fitted.shown(top), basis=place))
    return Section(title="Cells", pictures=tuple(pictures))


def targets(fitted: Fitted, top: list[str]) -> Section:
    """The strongest edges of some regulators."""
    edges = get.network(fitted.adata, key=fitted.key)
    edges = edges[edges["status"] != "dropped"].set_index(_keys.SOURCE)
    rows = []
    for name in top:
        own = edges.loc[[name]].set_index(_keys.TARGET)[_keys.LEARNED]
        raised, lowered = own[own > 0], own[own < 0]
        rows.append((name, _edges(raised), _edges(lowered)))
    table = Table(
        caption="Strongest edges",
        columns=("regulator", "raises", "lowers"),
        rows=tuple(rows),
    )
    text = (
        "In brackets the learned weight: by how much expression changes per unit of activity. All edges: grnrep "
        "export.",
    )
    return Section(title="Targets", text=text, tables=(table,))


def fit(fitted: Fitted) -> Section:
    """What was asked for and chosen, how the fit went, and what it explains."""
    params = fitted.kept[_keys.PARAMS]
    rows = tuple(
        (words, _value(params[name]).removeprefix("."))
        for name, words in _PARAMS.items()
        if name in params
    )
    table = Table(caption="Options and choices", columns=("what", "value"), rows=rows)
    pictures = []
    if _keys.HISTORY in fitted.kept:
        pictures.append(figures.history(fitted.adata, key=fitted.key))
    r2 = fitted.genes["r2"]
    if np.isfinite(r2).any():
        pictures.append(figures.explained(r2))
    if _keys.UNEXPLAINED in fitted.kept:
        pictures.append(figures.unexplained(fitted.adata, key=fitted.key))
    if _keys.TRUE_ACTIVITY in fitted.adata.obsm and fitted.has_expression:
        pictures.append(figures.recovery(fitted.adata, key=fitted.key, truth=_keys.TRUE_ACTIVITY))
    return Section(title="The fit", pictures=tuple(pictures), tables=(table,))


def reading(fitted: Fitted, compared: Comparison | None) -> Section:
    """What the numbers mean, and what they do not."""
    kind = (
        "Activities on this page are marginal: of every regulator by itself, so that partners with common targets "
        "look alike."
        if fitted.marginal
        else "Activities on this page are conditional: of every regulator given all others. Partners with common "
        "targets share what they explain; for lineages and states, where that hides them, write the page with "
        "--marginal."
    )
    text = [
        kind,
        "The scale of an activity is a convention: groups are compared in standard deviations over cells, and every "
        "panel of cells has colours of its own. Compare one regulator between cells, not the values of two regulators.",
        "An activity says how the targets in the network behave together. It is neither the expression of the "
        "regulator nor proof that it is the cause.",
    ]
    if compared is not None and not compared.by_sample:
        text.append(
            "Differences between groups here are descriptions. To test them, give --sample."
        )
    return Section(title="Reading this page", text=tuple(text))


def _edges(weights: pd.Series) -> str:
    first = ", ".join(
        f"{gene} ({_signed(weight)})" for gene, weight in weights.head(_NAMED).items()
    )
    return first + (f" and {len(weights) - _NAMED:,} more" if len(weights) > _NAMED else "")


def _probability(p: float) -> str:
    """A p-value to read; empty where there was no test."""
    if not np.isfinite(p):
        return ""
    return f"{p:.3f}" if p >= 0.001 else f"{p:.0e}".replace("-", "−")


def _signed(weight: float) -> str:
    return f"{weight:.2f}".replace("-", "−")


def _sure(known: pd.DataFrame, name: str) -> str:
    value = known.at[name, "sign_confidence"]
    return f"{value:.2f}" if np.isfinite(value) else ""


def _value(value: Any) -> str:
    """A value of the record in words."""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float | np.floating):
        return f"{value:.4g}"
    if isinstance(value, int | np.integer) and abs(int(value)) >= 1000:
        return f"{value:,}"
    return str(value)
