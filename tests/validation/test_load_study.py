"""The load study: its data, its models against the verbs, how it goes on, and what is said about it."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import pytest

import grnrep as gr
from grnrep.nn import project_gradient
from grnrep.validation import (
    load_claims,
    load_figure,
    load_grid,
    load_grid_figure,
    load_study,
)
from grnrep.validation.regulation import load_grid as grid_module
from grnrep.validation.regulation import load_models
from grnrep.validation.regulation import load_study as study_module
from grnrep.validation.regulation.load_models import RECIPE, draw, learn, measure

SHORT = {"epochs": 3, "autoencoder_epochs": 4}


@pytest.fixture
def small(monkeypatch):
    """A tenth of the genes and of the regulators."""
    for name, value in {"N_GENES": 100, "N_REGULATORS": 10, "N_TEST": 40}.items():
        monkeypatch.setattr(load_models, name, value)


@pytest.fixture
def short(small, monkeypatch):
    """A few epochs, for what does not depend on their number."""
    monkeypatch.setattr(study_module, "RECIPE", RECIPE | SHORT)
    monkeypatch.setattr(load_models, "project_gradient", partial(project_gradient, epochs=10))


def test_data_are_those_of_equation_6_with_a_test_set_of_the_same_network():
    one, other = (draw(12, k, weight_low=-1.0, rng=0) for k in range(2))
    assert one.x.shape == (12, 1000)
    assert one.test.shape == (100, 1000)
    assert one.network.n_edges == pytest.approx(10_000, rel=0.05)
    assert (one.network.sign == 0).all()
    assert not np.array_equal(one.network.gene, other.network.gene)
    # without noise the exact solver finds test activities by name; with names shuffled it does not
    learned = learn("exact", [draw(40, 0, weight_low=-1.0, rng=0)], RECIPE, [])[0]
    assert measure(draw(40, 0, weight_low=-1.0, rng=0), learned)["pcc"] > 0.99


def test_measures_as_the_verbs_do():
    """The same fit through fit, transform and recovery has the same figures."""
    problem = draw(30, 1, weight_low=-1.0, rng=3)
    found = measure(problem, learn("exact", [problem], RECIPE, [])[0])
    adata, net = gr.ds.simulate(
        130, 1000, n_regulators=100, connectivity=0.1, noise_sd=0, weight_low=-1.0,
        rng=np.random.default_rng([3, 30, 1]), progress=False,
    )  # fmt: skip
    test, train = adata[:100].copy(), adata[100:].copy()
    np.testing.assert_array_equal(train.X, problem.x)
    options = {
        "likelihood": "tobit",
        "intercept": False,
        "ridge": 1e-4,
        "rng": 0,
        "progress": False,
    }
    gr.tl.fit(train, net[["source", "target"]], **options)
    gr.tl.transform(test, train, progress=False)
    recovery = gr.metrics.recovery(test)
    assert found["pcc"] == pytest.approx(recovery["pearson"].mean(), abs=0.01)
    assert found["abs_pcc"] == pytest.approx(recovery["abs_pearson"].mean(), abs=0.01)
    params = train.uns["grnrep"]["params"]
    assert found["load"] == pytest.approx(params["decoder_load"])


def test_signs_are_settled_without_the_truth(small):
    problem = draw(10, 0, weight_low=0.0, rng=0)
    learned = learn("decoder", [problem], RECIPE, [])[0]
    fit = learned.fit
    flip = np.where(np.arange(10) % 2, 1.0, -1.0)
    turned = type(learned)(
        fit=type(fit)(fit.weight * flip[problem.network.regulator], None, fit.activity * flip),
        codes=learned.codes * flip,
        seconds=0.0,
    )
    one, other = measure(problem, learned), measure(problem, turned)
    assert other["pcc"] == pytest.approx(one["pcc"])
    assert abs(other["pcc_as_trained"]) < one["pcc_as_trained"] / 2
    assert other["test_mse"] == pytest.approx(one["test_mse"])


def test_a_dead_representation_counts_as_zero(small):
    problem = draw(5, 0, weight_low=0.0, rng=0)
    learned = learn("exact", [problem], RECIPE, [])[0]
    codes = learned.codes.copy()
    codes[:, :5] = 0
    result = measure(problem, type(learned)(fit=learned.fit, codes=codes, seconds=0.0))
    assert result["worst_pcc"] <= 0
    assert result["pcc"] < 0.55


def test_decoders_generalise_and_encoders_do_not_on_few_cells(small):
    table = load_study(sizes=[20], replicates=2, progress=False).set_index(["model", "replicate"])
    error, pcc = table["test_mse"], table["abs_pcc"]
    assert (error["exact"] < error["decoder"]).all()
    assert (error["decoder"] < error["encoder"]).all()
    assert (error["encoder"] < error["autoencoder"]).all()
    assert (pcc["decoder"] > pcc["encoder"] + 0.2).all()
    assert (table["load_unmasked"] == 20 * 100 / (100 * 10 + 20 * 10)).all()
    assert (table["load_encoder"] == 20 * 10 / (101 * 10)).all()


def test_goes_on_where_it_was(short, tmp_path, monkeypatch):
    sizes, out = [5, 6], tmp_path / "load.json"
    whole = load_study(sizes=sizes, replicates=2, progress=False)
    load_study(sizes=sizes[:1], replicates=1, out=out, progress=False)
    calls = []

    def interrupted(model, problems, *rest):
        calls.append((model, len(problems)))
        if len(calls) == 6:
            raise KeyboardInterrupt
        return learn(model, problems, *rest)

    monkeypatch.setattr(study_module, "learn", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load_study(sizes=sizes, replicates=2, out=out, progress=False)
    monkeypatch.setattr(study_module, "learn", learn)
    found = load_study(sizes=sizes, replicates=2, out=out, progress=False)
    assert calls[:4] == [("decoder", 1), ("encoder", 1), ("autoencoder", 1), ("exact", 1)]
    assert len(found) == 2 * 2 * 4
    # one after another or side by side, interrupted or not: the same to the rounding of products
    pd.testing.assert_frame_equal(
        found.drop(columns="seconds"), whole.drop(columns="seconds"), rtol=1e-3
    )
    with pytest.raises(ValueError, match=r"weight_low: there 0\.0, here -1\.0"):
        load_study(sizes=sizes, weight_low=-1.0, out=out, progress=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"models": ["vae"]}, r"models must be among decoder.*found \['vae'\]"),
        ({"models": []}, "models must be among"),
        ({"sizes": []}, "at least 1"),
        ({"sizes": [0]}, "at least 1"),
        ({"replicates": 0}, "at least 1"),
    ],
)
def test_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        load_study(**options)


# what is said about it


def made(pcc: dict[str, dict[int, float]], mse: dict[int, float] | None = None) -> pd.DataFrame:
    """A table of two replicates, 0.002 apart."""
    rows = []
    for model, by_size in pcc.items():
        for n, value in by_size.items():
            for replicate, shift in enumerate((-0.001, 0.001)):
                row = {"n": n, "replicate": replicate, "model": model, "pcc": value + shift}
                row |= {
                    "load": 1000 * n / (10_000 + 100 * n),
                    "load_unmasked": 1000 * n / (100_000 + 100 * n),
                }
                error = (mse or {}).get(n, 0.5) if model == "autoencoder" else 0.1
                rows.append(row | {"abs_pcc": value, "test_mse": error, "mean_mse": 10.0})
    return pd.DataFrame(rows)


# loads with all weights counted: 10 cells 0.1, 100 0.91, 200 1.67, 300 2.3, 500 3.3, 5000 8.3, 10,000 9.1
@pytest.mark.parametrize(
    ("decoder", "verdict", "n_from"),
    [
        ({10: 0.5, 100: 0.98, 200: 0.992, 500: 1.0}, "confirmed", 200),
        (
            {10: 0.5, 100: 0.98, 200: 0.9905, 500: 1.0},
            "not confirmed",
            500,
        ),  # one replicate is below
        ({10: 0.5, 100: 0.992, 200: 0.995, 500: 1.0}, "confirmed, and from less on", 100),
        ({10: 0.995, 100: 0.98, 200: 0.995, 500: 1.0}, "confirmed", 200),
        ({10: 0.5, 100: 0.98, 200: 0.98, 500: 1.0}, "not confirmed", 500),
        ({10: 0.5, 100: 0.98, 200: 1.0, 500: 0.9}, "not confirmed", np.nan),
        ({10: 0.5, 100: 0.98}, "not tested", np.nan),
    ],
)
def test_claim_about_the_decoder(decoder, verdict, n_from):
    claims = load_claims(made({"decoder": decoder})).set_index(["model", "counted"])
    row = claims.loc[("decoder", "all n · m")]
    assert row["verdict"] == verdict
    assert row["n_from"] == pytest.approx(n_from, nan_ok=True)
    if n_from == 200:
        assert row["load_from"] == pytest.approx(200_000 / 120_000)
    assert (claims.loc[["encoder", "autoencoder"], "verdict"] == "not tested").all()


def test_claim_about_the_encoder_counts_means():
    table = made({"encoder": {300: 0.98, 500: 0.9905, 5000: 1.0}})
    claims = load_claims(table).set_index(["model", "counted"])["verdict"]
    assert claims["encoder", "all n · m"] == "confirmed"
    assert claims["encoder", "edges"] == "not confirmed"  # there 300 cells are a load of 7.5


def test_claim_about_the_autoencoder_compares_with_the_encoder():
    pcc = dict.fromkeys((500, 5000, 10_000), 1.0)
    for last, verdict in ((0.15, "confirmed"), (0.25, "not confirmed")):
        table = made({"encoder": pcc, "autoencoder": pcc}, {500: 2.0, 5000: 0.3, 10_000: last})
        claims = load_claims(table).set_index(["model", "counted"])["verdict"]
        assert claims["autoencoder", "all n · m"] == verdict


def test_figure_shows_means_and_deviations():
    table = made({"decoder": {10: 0.5, 100: 0.9}, "encoder": {10: 0.1, 100: 0.2}})
    top, right = load_figure(table).axes[:2]
    assert [c.get_label() for c in right.containers] == [
        "decoder, learned representations",
        "encoder on that decoder",
    ]
    line, _, (bars,) = right.containers[0].lines
    np.testing.assert_allclose(
        line.get_xdata().astype(float), [10_000 / 101_000, 100_000 / 110_000]
    )
    np.testing.assert_allclose(line.get_ydata().astype(float), [0.5, 0.9])
    deviation = 0.002 / 2**0.5
    np.testing.assert_allclose(bars.get_segments()[0][:, 1], [0.5 - deviation, 0.5 + deviation])
    assert top.get_yscale() == "log"


# learning rates


def test_grid_goes_on_and_tells_divergence(small, tmp_path, monkeypatch):
    monkeypatch.setattr(grid_module, "RECIPE", RECIPE | SHORT)
    monkeypatch.setattr(grid_module, "_LR", (1e-3, 1e30))
    monkeypatch.setattr(grid_module, "_LR_REPRESENTATION", (1e-2,))
    monkeypatch.setattr(grid_module, "_LR_ENCODER", (1e-4,))
    out = tmp_path / "grid.json"
    table = load_grid(n=5, replicates=1, out=out, progress=False)
    assert table["model"].tolist() == ["decoder", "decoder", "encoder", "autoencoder"]
    assert table["test_mse"].isna().tolist() == [False, True, False, False]
    monkeypatch.setattr(grid_module, "learn", None)
    pd.testing.assert_frame_equal(load_grid(n=5, replicates=1, out=out, progress=False), table)
    axes = load_grid_figure(table).axes
    assert [ax.get_title() for ax in axes] == ["decoder", "encoder on a decoder", "autoencoder"]
    assert axes[0].get_legend().get_texts()[0].get_text() == "representations 0.01"
