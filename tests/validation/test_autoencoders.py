"""The study of the autoencoder family: its rows, that it goes on where it was, and its figure."""

from __future__ import annotations

from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

mpl.use("Agg")

import matplotlib.pyplot as plt
import torch
from sklearn import decomposition

from grnrep.core.network import Network
from grnrep.ds import digits
from grnrep.nn import Trainer
from grnrep.validation import autoencoders_figure, autoencoders_study
from grnrep.validation.autoencoders import panels, study
from grnrep.validation.regulation.load_models import Problem

SOME = {"quick": True, "panels": ["images"], "members": ["mean", "pca"], "progress": False}


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def table():
    return autoencoders_study(**SOME)


def collect():
    rows = {}
    return rows, lambda name, compute: rows.update({name: compute()})


def test_errors_are_those_of_scikit_learn(table):
    images = digits()
    test = images.test.reshape(360, -1)[np.random.default_rng(0).permutation(360)]
    x = images.train.reshape(1437, -1)[np.random.default_rng(0).permutation(1437)[:300]]
    pca = decomposition.PCA(8).fit(x)
    expected = np.mean((test - pca.inverse_transform(pca.transform(test))) ** 2)
    row = table.query("n == 300").set_index("member")
    assert row.loc["pca", "test_error"] == pytest.approx(expected, rel=1e-4)
    assert row.loc["mean", "test_error"] == pytest.approx(
        np.mean((test - x.mean(0)) ** 2), rel=1e-4
    )
    assert 0 < row.loc["pca", "probe_error"] < 0.3
    assert len(table) == 2 * 2


def test_goes_on_where_it_was(tmp_path, table, monkeypatch):
    out = tmp_path / "study.json"
    autoencoders_study(**SOME | {"members": ["mean"]}, out=out)
    whole = autoencoders_study(**SOME, out=out)
    columns = ["panel", "n", "seed", "member", "test_error", "probe_error"]
    order = ["n", "seed", "member"]
    pd.testing.assert_frame_equal(
        whole[columns].sort_values(order, ignore_index=True),
        table[columns].sort_values(order, ignore_index=True),
    )
    monkeypatch.setattr(
        panels, "train_member", lambda *a, **k: pytest.fail("nothing is left to train")
    )
    assert len(autoencoders_study(**SOME, out=out)) == len(whole)


def test_seed_is_added(monkeypatch):
    monkeypatch.setattr(study, "QUICK", replace(study.QUICK, seeds=(0, 1)))
    tables = (autoencoders_study(**SOME, rng=rng) for rng in (0, 1))
    one, two = (t.query("seed == 1").reset_index(drop=True) for t in tables)
    assert len(one) == 4
    pd.testing.assert_frame_equal(one.drop(columns="seconds"), two.drop(columns="seconds"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"panels": ["sounds"]}, "images, sparse, regulators, .*; found"),
        ({"panels": []}, "panels must"),
        ({"members": ["dreams"]}, r"members must be among mean, pca.*\['dreams'\]"),
        ({"members": ["exact"]}, "members must"),  # of another panel
    ],
)
def test_refuses(change, message):
    with pytest.raises(ValueError, match=message):
        autoencoders_study(**SOME | change)


def test_members_share_the_decoder_they_need(monkeypatch):
    names = ["encoder-data", "decoder", "encoder-noise", "vae"]
    members = {name: panels.IMAGE_MEMBERS[name] for name in names}
    trained = []
    train = panels.train_member

    def spy(member, x, **settings):
        trained.append(next((k for k, m in members.items() if member in (k, m)), member))
        return train(member, x, **settings)

    monkeypatch.setattr(panels, "train_member", spy)
    settings = panels.Settings(n_test=50, d=4, width=0.1, epochs=2, lr=1e-3, lr_representation=1.0)
    rows, add = collect()
    panels.image_rows(digits(), members, 100, 0, settings, add)
    assert trained == ["decoder", "encoder-data", "encoder-noise", "vae"]
    assert list(rows) == names
    for row in rows.values():
        assert np.isfinite(list(row.values())).all()


def test_sparse_codes_keep_k_units(monkeypatch):
    seen = []
    measure = panels.probe

    def spy(codes, *rest):
        seen.append(codes)
        return measure(codes, *rest)

    monkeypatch.setattr(panels, "probe", spy)
    settings = panels.Settings(n_sparse=150, n_test=50, hidden=100, epochs_sparse=2, lr=1e-3)
    rows, add = collect()
    panels.sparse_rows(digits(), ["pixels", "k = 10"], 0, settings, add)
    pixels, k, three_k = seen
    assert pixels.shape == (150, 64)
    assert ((k != 0).sum(1) == 10).all()
    assert ((three_k != 0).sum(1) == 30).all()
    assert rows["k = 10"]["k"] == 10
    assert rows["k = 10"]["alpha"] in (1, 3)


def test_probe():
    z = torch.randn(300, 3, generator=torch.Generator().manual_seed(0))
    labels = (z[:, 0] > 0).long().numpy()
    assert panels.probe(z[:200], labels[:200], z[200:], labels[200:])[0] < 0.05
    guess = np.random.default_rng(0).integers(0, 2, 300)
    error, held_out = panels.probe(z[:200], guess[:200], z[200:], guess[200:])
    assert 0.3 < error < 0.7
    assert 0 <= held_out <= 0.6


@pytest.fixture(scope="module")
def problem():
    """Eight regulators with targets of their own, all activation: a layer can tell them apart."""
    generator = np.random.default_rng(0)
    gene, regulator = np.arange(40), np.repeat(np.arange(8), 5)
    z = generator.gamma(1.0, size=(300, 8))
    x = (z[:, regulator] * generator.uniform(0.5, 1, 40)).astype(np.float32)
    truth = pd.DataFrame(z[200:], columns=list("ABCDEFGH"))
    network = Network.from_edges(gene, regulator, np.zeros(40), 40, 8)
    return Problem(x=x[:200], test=x[200:], truth=truth, network=network, seed=0)


@pytest.mark.parametrize(
    "name", [n for n, m in panels.REGULATOR_MEMBERS.items() if m and m.source == "encoder"]
)
def test_members_with_a_masked_decoder(name, problem, monkeypatch):
    monkeypatch.setattr(
        panels, "_ENCODERS", Trainer(epochs=60, batch_size=32, lr=1e-2, progress=False)
    )
    monkeypatch.setitem(panels.RECIPE, "epochs", 60)
    member = panels.REGULATOR_MEMBERS[name]
    given = None
    if member.encoder_on is not None:
        given = panels.learn("exact", [problem], panels.RECIPE, [])[0].fit
    learned = panels.train_masked(problem, member, given)
    assert learned.fit.weight.shape == (40,)
    assert learned.codes.shape == (100, 8)
    if given is not None:
        np.testing.assert_allclose(learned.fit.weight, given.weight, rtol=1e-6)
    # a unit that is never among the k largest stays constant
    alive = np.ptp(learned.codes, axis=0) > 0
    pairs = zip(learned.codes.T[alive], problem.truth.to_numpy().T[alive], strict=True)
    assert alive.sum() >= (5 if name == "k-sparse" else 8)
    assert np.median([abs(np.corrcoef(*pair)[0, 1]) for pair in pairs]) > 0.9


def test_regulators_of_the_load_study():
    rows, add = collect()
    panels.regulator_rows({"exact": None}, 20, 0, 0, add)
    assert rows["exact"]["pcc"] > 0.98
    assert rows["exact"]["load"] == pytest.approx(1.67, abs=0.02)


def test_figure_has_a_dot_a_row(table):
    sparse = pd.DataFrame(
        {
            "panel": "sparse",
            "n": 10_000,
            "seed": 0,
            "member": ["pixels", "k = 25"],
            "probe_error": [0.1, 0.05],
        }
    )
    regulators = pd.DataFrame(
        {
            "panel": "regulators",
            "n": [20, 50],
            "seed": 0,
            "member": "exact",
            "load": [1.7, 3.3],
            "pcc": [0.5, 1.0],
        }
    )
    reconstruction, classification, codes, correlation = autoencoders_figure(
        pd.concat([table, sparse, regulators])
    ).axes
    for ax, column in ((reconstruction, "test_error"), (classification, "probe_error")):
        found = np.concatenate([np.asarray(c.get_offsets())[:, 0] for c in ax.collections])
        np.testing.assert_allclose(
            sorted(found), sorted(table.loc[table["member"] == "pca", column])
        )
    here, published = (np.asarray(c.get_offsets()) for c in codes.collections)
    assert here.tolist() == [[0, 0.1], [1, 0.05]]
    assert published.tolist() == [[0, 0.072], [1, 0.0135]]
    np.testing.assert_allclose(correlation.lines[0].get_xydata(), [[1.7, 0.5], [3.3, 1.0]])


def test_encoders_of_noisy_inputs():
    rows, add = collect()
    settings = panels.Settings(n_test=50, d=4, width=0.1, epochs=3, lr=1e-3, lr_representation=1.0)
    panels.image_rows(digits(), panels.ENCODERS, 60, 0, settings, add)
    assert list(rows) == list(panels.ENCODERS)
    found = pd.DataFrame(
        [{"panel": "image-encoders", "n": 60, "member": k, **v} for k, v in rows.items()]
    )
    ax, *rest = autoencoders_figure(found).axes
    assert not rest
    drawn = next(line for line in ax.lines if len(line.get_xdata()) == len(panels.NOISES))
    np.testing.assert_allclose(drawn.get_xdata(), panels.NOISES)
    np.testing.assert_allclose(
        drawn.get_ydata(), [rows[f"noise {sd:g}"]["test_error"] for sd in panels.NOISES]
    )


def test_figure_of_nothing(table):
    with pytest.raises(ValueError, match="table must have a panel"):
        autoencoders_figure(table.assign(panel="other"))
