"""What a fit chooses, says and keeps of how it went."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import grnrep as gr
from grnrep.core.choose import shrinkage
from grnrep.core.choose.shrinkage import Shrinkage
from grnrep.tl import _choose_model


def _fit(adata, net, **options):
    gr.tl.fit(adata, net, progress=False, **options)
    return adata.uns[options.get("key_added", "grnrep")]


@pytest.mark.usefixtures("quick_choices")
def test_low_load_warns_and_says_what_helps(small, caplog):
    adata, net = small(n_obs=2)
    record = _fit(adata, net)
    assert record["params"]["effective_load"] < 1.2
    assert f"effective load {record['params']['effective_load']:.2f} is below 1.2" in caplog.text
    assert "More cells" in caplog.text


@pytest.mark.usefixtures("quick_choices")
def test_high_load_does_not_warn(small, caplog):
    adata, net = small()
    record = _fit(adata, net)
    assert record["params"]["effective_load"] > 1.2
    assert "below" not in caplog.text


def test_low_load_is_said_before_the_search(small, caplog, monkeypatch):
    adata, net = small(n_obs=2)

    def search(*args, **kwargs):
        raise RuntimeError("the search has begun")

    monkeypatch.setattr(gr.tl._choose_priors, "choose_shrinkage", search)
    with pytest.raises(RuntimeError, match="the search has begun"):
        _fit(adata, net)
    assert "is below 1.2" in caplog.text


@pytest.mark.parametrize(("one_gene", "advised"), [(False, "More cells"), (True, "More genes")])
def test_more_cells_are_advised_only_where_some_number_is_enough(small, caplog, one_gene, advised):
    adata, net = small(n_obs=2)
    if one_gene:
        net = net[net["target"] == net["target"].value_counts().index[0]]
    given = {"ridge": 0.1, "sign_shrinkage": 0.1, "intercept": False, "max_iter": 2}
    _fit(adata, net, min_targets=1, **given)
    report = gr.pp.check_network(adata, net, min_targets=1)
    for text in (caplog.text, report.advice):
        assert ("no number of such cells" in text) is one_gene
        assert f"{advised}, fewer regulators" in text
    assert not one_gene or "add cells" not in report.verdict


@pytest.mark.parametrize("signed", [True, False])
def test_the_end_of_a_search_is_spoken_of(caplog, signed):
    adata, net = gr.ds.simulate(60, 120, n_regulators=8, noise_sd=3.0, rng=0, progress=False)
    if not signed:
        net = net[["source", "target"]]
    strongest = 30.0 if signed else 0.1
    for ridge in (strongest, strongest / 10):
        caplog.clear()
        chosen = Shrinkage(ridge, 0.3 * signed)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                gr.tl._choose_priors, "choose_shrinkage", lambda *a, chosen=chosen, **k: chosen
            )
            record = _fit(adata, net, sign_shrinkage=0.3 * signed, intercept=False, max_iter=2)
            assert record["params"]["ridge"] == ridge
        assert ("the strongest that it tries" in caplog.text) is (ridge == strongest)
    caplog.clear()
    _fit(adata, net, ridge=strongest, intercept=False, max_iter=2, sign_shrinkage=0.3 * signed)
    assert "the strongest that it tries" not in caplog.text


@pytest.mark.usefixtures("quick_choices")
def test_iteration_limit_is_kept_and_reported(small, caplog):
    adata, net = small()
    record = _fit(adata, net, max_iter=3)
    assert len(record["history"]["objective"]) == 2  # the first iterate has no bound
    assert record["params"]["max_iter"] == 3
    assert record["params"]["converged"] is False
    assert "not converged; more max_iter may help" in caplog.text


@pytest.mark.usefixtures("quick_choices")
def test_same_seed_same_result_and_generators_are_reproducible(small):
    adata, net = small()
    net = net[["source", "target"]]
    fits = [
        gr.tl.fit(adata, net, rng=rng, max_iter=5, progress=False, copy=True)
        for rng in (7, 7, np.random.default_rng(7), np.random.default_rng(7), 8)
    ]
    one, again, drawn, redrawn, other = (fit.obsm["grnrep"] for fit in fits)
    pd.testing.assert_frame_equal(one, again, check_exact=True)
    pd.testing.assert_frame_equal(drawn, redrawn, check_exact=True)
    assert not np.array_equal(one, other)
    seed = fits[2].uns["grnrep"]["params"]["rng"]
    seeded = gr.tl.fit(adata, net, rng=seed, max_iter=5, progress=False, copy=True)
    pd.testing.assert_frame_equal(seeded.obsm["grnrep"], drawn, check_exact=True)


def test_gradient_solver(small):
    adata, net = small()
    gr.tl.fit_gradient(adata, net, epochs=4, progress=False)
    record = adata.uns["grnrep"]
    assert record["params"]["solver"] == "gradient"
    assert record["params"]["epochs"] == 4
    assert len(record["history"]["objective"]) == 4
    assert adata.obsm["grnrep"].shape == (adata.n_obs, 4)


@pytest.mark.parametrize("zero_fraction", [None, 0.7])
def test_intercepts_cost_nothing_where_there_are_none(zero_fraction):
    adata, net = gr.ds.simulate(
        200, 300, n_regulators=30, zero_fraction=zero_fraction, rng=1, progress=False
    )
    gr.tl.fit(adata, net[["source", "target"]], progress=False)
    assert adata.uns["grnrep"]["params"]["intercept"] is True
    assert gr.metrics.recovery(adata)["pearson"].median() > 0.95


@pytest.mark.usefixtures("quick_choices")
def test_decoder_is_learned_from_as_many_cells_as_asked(small):
    adata, net = small(n_obs=80)
    every, some, two = (
        gr.tl.fit(adata, net, max_cells=n, progress=False, copy=True)
        for n in (None, 60, np.int64(100))
    )
    assert [f.uns["grnrep"]["params"]["n_obs_learned"] for f in (every, some, two)] == [80, 60, 80]
    pd.testing.assert_frame_equal(every.obsm["grnrep"], two.obsm["grnrep"])
    assert not np.array_equal(every.varm["grnrep"].data, some.varm["grnrep"].data)
    again = gr.tl.transform(adata, some, progress=False, copy=True)
    np.testing.assert_allclose(again.obsm["grnrep"], some.obsm["grnrep"], atol=1e-4)
    assert gr.metrics.recovery(some)["abs_pearson"].mean() > 0.9


@pytest.mark.usefixtures("quick_choices")
def test_cells_learned_from_do_not_depend_on_their_order(small):
    adata, net = small(n_obs=80)
    order = np.random.default_rng(0).permutation(80)
    a = gr.tl.fit(adata, net, max_cells=50, progress=False, copy=True)
    b = gr.tl.fit(adata[order].copy(), net, max_cells=50, progress=False, copy=True)
    pd.testing.assert_frame_equal(
        b.obsm["grnrep"].loc[a.obs_names], a.obsm["grnrep"], check_exact=True
    )


@pytest.mark.parametrize(
    ("prior", "drawn"), [(0.0, "free"), (0.03, "drawn to them as sign_shrinkage=0.03 does")]
)
def test_signs_that_say_nothing_are_reported(small, caplog, monkeypatch, prior, drawn):
    choice = Shrinkage(0.01, prior, signs_predict=False)
    monkeypatch.setattr(gr.tl._choose_priors, "choose_shrinkage", lambda *a, **k: choice)
    adata, net = small()
    params = _fit(adata, net, sign_shrinkage=prior)["params"]
    assert (params["ridge"], params["sign_shrinkage"]) == choice[:2]
    assert f"no better than chance; weights are {drawn}" in caplog.text


@pytest.mark.parametrize("needed", [True, False])
def test_penalties_are_compared_on_the_same_cells_whoever_chose_intercepts(monkeypatch, needed):
    adata, net = gr.ds.simulate(
        3000, 400, n_regulators=100, zero_fraction=0.9, noise_sd=1.0, rng=0, progress=False
    )
    net, seen, score = net.assign(weight=np.sign(net["weight"])), [], shrinkage.held_out_score

    def noted(x, *args):
        seen.append(x)
        return score(x, *args)

    monkeypatch.setattr(shrinkage, "held_out_score", noted)
    found = _choose_model.compare_intercepts
    monkeypatch.setattr(
        _choose_model,
        "compare_intercepts",
        lambda *args, **options: found(*args, **options)._replace(needed=needed),
    )
    # intercepts ask for more cells than a decoder without
    chosen = gr.tl.fit(adata, net, progress=False, copy=True).uns["grnrep"]["params"]
    of_auto = seen.copy()
    seen.clear()
    given = gr.tl.fit(adata, net, intercept=chosen["intercept"], progress=False, copy=True)
    assert chosen["intercept"] == needed
    # one pair was scored with that choice, of the same cells where these are those that intercepts ask for
    assert len(seen) - needed == len(of_auto) > 0
    for x in (*of_auto, *seen):
        np.testing.assert_array_equal(x, seen[0])
    assert given.uns["grnrep"]["params"]["ridge"] == chosen["ridge"]
