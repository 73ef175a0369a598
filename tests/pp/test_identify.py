"""What the report says about single regulators: by name, whatever the order, in numbers and words."""

from __future__ import annotations

from functools import partial

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import grnrep as gr

# Targets of "in" and "free" are targets of "out", which has one of its own; those of "one" and "two" are
# the same; "lone", "pair" and "third" have two genes together. Gene z is constant, gene ! is not there.
TARGETS = {
    "free": "abc",
    "out": "abcdef",
    "in": "de",
    "one": "ghi",
    "two": "ghi",
    "lone": "j",
    "pair": "jk",
    "third": "k",
    "still": "z",
    "lost": "!",
}


_check = partial(gr.pp.check_network, min_targets=1)


def _net(targets: dict[str, str], weight: float = np.nan) -> pd.DataFrame:
    rows = [(source, target, weight) for source, genes in targets.items() for target in genes]
    return pd.DataFrame(rows, columns=["source", "target", "weight"])


def _adata(genes: str = "abcdefghijkz", n_obs: int = 50) -> ad.AnnData:
    """Positive values for every gene but z, which is constant."""
    x = np.random.default_rng(0).gamma(2.0, size=(n_obs, len(genes)))
    x[:, [gene == "z" for gene in genes]] = 1.0
    return ad.AnnData(x, var=pd.DataFrame(index=list(genes)))


@pytest.fixture
def report():
    return _check(_adata(), _net(TARGETS))


def test_words(report):
    words = report.regulators["verdict"]
    assert words["lost"] == "no target among the genes"
    assert words["still"] == "none of its targets varies"
    assert words["one"].startswith(
        "same targets as two: the network cannot tell them apart; 3 of 3 weights"
    )
    assert words["lone"].startswith(
        "activity undetermined: has, with pair, third, too few targets together"
    )
    assert words["in"].startswith("activity may contain that of out")
    assert words["free"].startswith("activity may contain that of out")
    assert words["out"] == "5 of 6 weights may contain those of others"


def test_numbers(report):
    table = report.regulators
    assert table["activity_identified"].to_dict() == {
        **dict.fromkeys(TARGETS, False),
        "out": True,
    }
    assert table["n_own_targets"][table["n_own_targets"] > 0].to_dict() == {"out": 1}
    deficit = table["rank_deficit"]
    assert deficit[deficit > 0].to_dict() == {"out": 2, "one": 1, "two": 1, "pair": 1}
    group = table["group"]
    assert group["one"] == group["two"] == 0
    assert (group.drop(["one", "two"]) == -1).all()
    assert np.isinf(table["vif"][["one", "two", "lone"]]).all()
    assert table["vif"][["still", "lost"]].isna().all()
    # in: 2 entries per cell shared with one other; out: d, e with "in", a to c with "free", f its own
    np.testing.assert_allclose(table["load"][["in", "out"]], [50 / 52, (5 / 2 + 1) * 50 / 56])
    assert np.isnan(table["load"]["lost"])
    assert table["load"]["still"] == 50 / 51
    pairs = set(report.nested.itertuples(index=False, name=None))
    assert pairs == {("in", "out"), ("free", "out"), ("lone", "pair"), ("third", "pair")}
    summary = report.summary
    assert summary["network_rank"] == 7
    assert summary["n_regulators_identified"] == 1
    assert summary["n_groups"] == 1
    assert np.isinf(summary["condition_number"])


def test_kinds_of_columns_do_not_depend_on_lost_regulators():
    net = _net({name: TARGETS[name] for name in ("in", "out")})
    whole = _check(_adata(), net).regulators
    lost = _check(_adata(), pd.concat([net, _net({"a lost one": "!"})])).regulators
    pd.testing.assert_series_equal(whole.dtypes, lost.dtypes)
    pd.testing.assert_frame_equal(lost.loc[whole.index], whole)


def test_overall_verdict(report):
    lines = report.verdict.split("\n")
    assert lines[0] == "1 of 9 regulators with an activity that is identified up to scale"
    assert lines[1].startswith("2 with the same targets as another")
    assert lines[2].startswith("6 that may contain the activity of others, or be undetermined")
    low = (report.regulators["load"] < 1).sum()
    assert lines[3].startswith(f"{low} with fewer constraints than parameters")
    assert report.verdict in str(report)
    assert all(f"<p>{line}</p>" in report._repr_html_() for line in lines)


def test_nothing_to_complain_about():
    report = _check(_adata(), _net({"P": "abcd", "Q": "defgh"}))
    assert report.regulators["verdict"].to_dict() == {"P": "identified", "Q": "identified"}
    assert report.verdict == "2 of 2 regulators with an activity that is identified up to scale"
    assert len(report.nested) == 0
    assert list(report.nested.columns) == ["regulator", "within"]


def test_signs_may_tell_the_same_targets_apart():
    net = _net({"P": "abcd", "Q": "abcd", "R": "efgh"}, 1.0)
    net.loc[(net["source"] == "Q") & net["target"].isin(["a", "b"]), "weight"] = -1.0
    table = _check(_adata(), net).regulators
    assert table["verdict"]["P"].startswith("same targets as Q: only prior signs tell them apart")
    np.testing.assert_allclose(table["vif"], 1)
    assert table["group"].to_dict() == {"P": 0, "Q": 0, "R": -1}


def test_collinear_regulators_are_named():
    net = _net({"P": "abcdefghijk", "Q": "bcdefghijk", "R": "k"}, 1.0)
    adata = _adata()
    alone = _check(adata, net[net["source"] != "R"])
    np.testing.assert_allclose(alone.regulators["vif"], 11)
    assert "collinear with others (VIF 11)" in alone.regulators["verdict"]["Q"]
    assert "2 collinear with others" in alone.verdict


def test_zeros_do_not_count_for_the_load_of_a_regulator():
    adata = _adata()
    adata.X[:40, 0] = 0
    net = _net({"P": "ab", "Q": "bc"})
    load = _check(adata, net).regulators["load"]
    np.testing.assert_allclose(load["P"], (10 + 25) / 52)
    adata.X[:, 0] -= 1  # with negative values nothing is censored, and genes have intercepts
    load = _check(adata, net).regulators["load"]
    np.testing.assert_allclose(load["P"], (50 + 25) / (52 + 1.5))


def test_a_constant_gene_tells_nothing_apart():
    adata = _adata()
    net = _net({"P": "ab", "Q": "abc"})
    assert _check(adata, net).regulators["group"].tolist() == [-1, -1]
    adata.X[:, 2] = 0
    table = _check(adata, net).regulators
    assert table["group"].tolist() == [0, 0]
    assert "2 of 2 weights" in table["verdict"]["Q"]


@pytest.mark.parametrize("seed", range(5))
def test_order_of_cells_genes_and_edges_does_not_matter(report, seed):
    draw = np.random.default_rng(seed)
    adata, net = _adata(), _net(TARGETS)
    moved = adata[draw.permutation(adata.n_obs), draw.permutation(adata.n_vars)].copy()
    found = _check(moved, net.sample(frac=1, random_state=seed))
    pd.testing.assert_frame_equal(found.regulators, report.regulators)
    pd.testing.assert_frame_equal(found.nested, report.nested)
    pd.testing.assert_series_equal(found.summary, report.summary)
    assert found.verdict == report.verdict


def test_what_is_not_identified_can_be_changed_without_a_trace():
    """Move activities and weights as the report says is possible: the same prediction, other activities."""
    draw = np.random.default_rng(4)
    targets = {name: TARGETS[name] for name in ("out", "in", "free")}
    genes = "abcdef"
    weight = pd.DataFrame(0.0, index=list(genes), columns=list(targets))
    for name, mine in targets.items():
        weight.loc[list(mine), name] = draw.uniform(0.5, 1.5, len(mine))
    activity = pd.DataFrame(draw.gamma(2.0, size=(50, 3)), columns=list(targets))
    expression = activity @ weight.T
    table = _check(ad.AnnData(expression.set_axis(map(str, range(50)))), _net(targets)).regulators

    other_weight, other_activity = weight.copy(), activity.copy()
    other_weight["out"] += 0.2 * weight["in"]
    other_activity["in"] -= 0.2 * activity["out"]
    np.testing.assert_allclose(other_activity @ other_weight.T, expression)
    assert ((other_weight != 0) == (weight != 0)).all(axis=None)
    changed = [
        name
        for name in targets
        if abs(np.corrcoef(activity[name], other_activity[name])[0, 1]) < 0.999
    ]
    assert changed == ["in"]
    assert not table["activity_identified"]["in"]
    assert table["activity_identified"]["out"]


def test_a_large_network_is_examined_whole():
    draw = np.random.default_rng(5)
    n, m = 20_000, 1_000
    edge = np.unique(draw.integers(0, n, 40_000) * m + draw.integers(0, m, 40_000))
    names = {"source": [f"R{j}" for j in edge % m], "target": [f"g{i}" for i in edge // m]}
    x = draw.poisson(1.0, (5, n)).astype(np.float32)
    adata = ad.AnnData(x, var=pd.DataFrame(index=[f"g{i}" for i in range(n)]))
    report = _check(adata, pd.DataFrame(names))
    assert report.summary["network_rank"] == m
    assert report.regulators["activity_identified"].all()
