"""Experiments on images, on a few made images: what is trained, measured, kept and drawn."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest
import torch

from grnrep.ds.images import Images
from grnrep.nn.conv import mnist_decoder, mnist_encoder
from grnrep.nn.infer import errors, infer
from grnrep.nn.likelihoods import Bernoulli
from grnrep.nn.model import Code
from grnrep.nn.trainer import Trainer
from grnrep.nn.watch import Watch
from grnrep.validation.claims import cifar10_claims, mnist_claims
from grnrep.validation.images import models as image_models
from grnrep.validation.images import study as study_module
from grnrep.validation.images.figures import cifar10_figure, mnist_figure
from grnrep.validation.images.models import (
    Design,
    draw,
    draw_balanced,
    new_model,
    tensor,
    train,
)
from grnrep.validation.images.study import cifar10_study, mnist_study


def _blobs(n: int, shape: tuple[int, int, int], seed: int) -> np.ndarray:
    """Images of one bright spot at a random place."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: shape[1], : shape[2]]
    middle = rng.uniform(0.25, 0.75, (n, 2, 1, 1)) * shape[1]
    spot = np.exp(-((rows - middle[:, 0]) ** 2 + (columns - middle[:, 1]) ** 2) / 20)
    return np.repeat(spot[:, None], shape[0], axis=1).astype(np.float32)


def _images(shape: tuple[int, int, int], n_classes: int = 10) -> Images:
    labels = np.arange(40) % n_classes
    return Images(
        train=_blobs(40, shape, 0),
        train_labels=labels,
        test=_blobs(1000, shape, 1),
        test_labels=np.arange(1000) % n_classes,
        name="spots",
    )


@pytest.fixture
def small_tests(monkeypatch):
    monkeypatch.setattr(study_module, "_N_TEST", 12)
    monkeypatch.setattr(study_module, "_TEST_PER_CLASS", 1)
    monkeypatch.setattr(study_module, "mnist", lambda **_: _images((1, 28, 28)))
    monkeypatch.setattr(study_module, "cifar10", lambda **_: _images((3, 32, 32)))


DESIGN = Design(
    lambda seed: mnist_encoder(4, rng=seed),
    lambda seed: mnist_decoder(4, rng=seed),
    Bernoulli,
    4,
    Trainer(epochs=3, lr_representation=0.02, batch_size=8, progress=False),
)


@pytest.mark.parametrize("kind", image_models.MODELS)
def test_errors_are_losses_per_pixel(kind):
    x, test = tensor(_blobs(16, (1, 28, 28), 2)), tensor(_blobs(6, (1, 28, 28), 3))
    model = new_model(DESIGN, 16, kind=kind, seed=0, decoder=mnist_decoder(4))
    result, _ = train(model, DESIGN, x, test, seed=0, progress=False)
    code = infer(model, test, epochs=3, lr=0.02, batch_size=8)
    p = torch.sigmoid(model.decoder(code.z)).detach().double()
    by_hand = -(test * p.log() + (1 - test) * (1 - p).log()).mean()
    assert result["test_error"] == pytest.approx(float(by_hand), rel=1e-4)
    known = Code(model.source.table) if kind == "decoder" else infer(model, x)
    assert result["train_error"] == pytest.approx(float(errors(model, x, known).mean()) / 784)


def test_an_encoder_on_a_decoder_leaves_it_alone():
    decoder = mnist_decoder(4)
    before = [p.clone() for p in decoder.parameters()]
    x = tensor(_blobs(16, (1, 28, 28), 2))
    model = new_model(DESIGN, 16, kind="encoder_on_decoder", seed=0, decoder=decoder)
    start = [p.clone() for p in model.source.parameters()]
    train(model, DESIGN, x, x, seed=0, progress=False)
    assert all(torch.equal(a, b) for a, b in zip(before, decoder.parameters(), strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(start, model.source.parameters(), strict=True))
    with pytest.raises(ValueError, match="needs a trained decoder"):
        new_model(DESIGN, 16, kind="encoder_on_decoder", seed=0)


def test_loads_are_those_of_the_paper():
    """Section 3.1: a decoder load of about 9 at 4,000 images, an encoder load above 1 at 15,000 only."""
    design = Design(
        lambda s: mnist_encoder(rng=s), lambda s: mnist_decoder(rng=s), Bernoulli, 20, Trainer()
    )
    found = {n: design.loads(n, 784) for n in (500, 4000, 8000, 15000)}
    assert found[4000]["load_decoder"] == pytest.approx(9, abs=0.2)
    assert found[500]["load_decoder"] > 1
    assert found[8000]["load_encoder"] < 1 < found[15000]["load_encoder"]


def test_a_larger_draw_holds_the_smaller():
    labels = np.repeat(np.arange(10), 50)
    assert set(draw(1000, 50, 3)) < set(draw(1000, 100, 3))
    small, large = draw_balanced(labels, 5, 3), draw_balanced(labels, 9, 3)
    assert set(small) < set(large)
    assert np.array_equal(np.bincount(labels[small]), np.full(10, 5))
    assert set(draw(1000, 50, 4)) != set(draw(1000, 50, 3))
    with pytest.raises(ValueError, match="at most 50"):
        draw_balanced(labels, 51, 0)


def test_watched_representations_descend_as_those_of_an_inference():
    """With a decoder that does not change, watching a training is inferring from the same start."""
    test = tensor(_blobs(6, (1, 28, 28), 3))
    model = new_model(DESIGN, 6, kind="decoder", seed=0)
    model.source.table.data.zero_()  # where watched representations start
    watch = Watch(DESIGN.trainer, test, 4, n_shown=2, epochs=(2,))
    for epoch in (1, 2, 3):
        watch(epoch, model)
    code = infer(model, test, epochs=3, lr=0.02, batch_size=8)
    assert watch.losses[-1] == pytest.approx(float(errors(model, test, code).mean()), rel=1e-5)
    assert watch.losses == sorted(watch.losses, reverse=True)
    assert watch.shown[2].shape == (2, 1, 28, 28)


def test_mnist_goes_on_where_it_was(small_tests, tmp_path, monkeypatch):
    whole = mnist_study(sizes=(8, 16), seeds=(0,), epochs=2, progress=False)
    out = tmp_path / "mnist.json"
    mnist_study(sizes=(8,), seeds=(0,), epochs=2, out=out, models=("decoder",), progress=False)
    trained = []
    monkeypatch.setattr(
        image_models, "train", lambda model, *a, **k: trained.append(1) or train(model, *a, **k)
    )
    table = mnist_study(sizes=(8, 16), seeds=(0,), epochs=2, out=out, progress=False)
    assert len(trained) == 6  # five rows, and the decoder that an encoder is put on once more
    key, figures = ["n_train", "seed", "model"], ["train_error", "test_error"]
    whole, table = (t.set_index(key)[figures].sort_index() for t in (whole, table))
    assert table.equals(whole)
    kept = {path.name for path in tmp_path.iterdir()}
    names = [f"mnist-{n}-0-{model}.npz" for n in (8, 16) for model in image_models.MODELS]
    assert kept == {"mnist.json", *names}
    with np.load(tmp_path / names[0]) as saved:
        assert {name: saved[name].shape for name in saved} == {
            "originals": (8, 1, 28, 28),
            "epoch2": (8, 1, 28, 28),
        }
    with pytest.raises(ValueError, match="epochs"):
        mnist_study(sizes=(8,), seeds=(0,), epochs=3, out=out, progress=False)


def test_rows_name_the_precision_of_their_products(small_tests):
    options = {"sizes": (8,), "seeds": (0,), "epochs": 3, "progress": False}
    exact, low = (mnist_study(precision=name, **options) for name in ("float32", "bfloat16"))
    assert set(exact["precision"]) == {"float32"}
    assert set(low["precision"]) == {"bfloat16"}
    assert (low["test_error"] != exact["test_error"]).all()
    assert low["test_error"].to_numpy() == pytest.approx(exact["test_error"].to_numpy(), rel=0.02)
    assert low["load_decoder"].equals(exact["load_decoder"])


def test_mnist_refuses():
    with pytest.raises(ValueError, match="precision must be"):
        mnist_study(precision="half")
    with pytest.raises(ValueError, match="models must be among"):
        mnist_study(models=("vae",))
    with pytest.raises(ValueError, match="must name decoder"):
        mnist_study(models=("encoder_on_decoder",))


def test_sizes_beyond_the_images(small_tests, caplog):
    with pytest.raises(ValueError, match="between 1 and 40"):
        mnist_study(sizes=(41,), epochs=1, progress=False)
    with caplog.at_level(logging.WARNING, logger="grnrep"):
        table = cifar10_study(sizes=(2, 500), seeds=(0,), kinds=("4x4",), epochs=1, progress=False)
    assert set(table["per_class"]) == {2}
    assert "500" in caplog.text
    with pytest.raises(ValueError, match="between 1 and 4"):
        cifar10_study(sizes=(5000,), progress=False)
    with pytest.raises(ValueError, match="kinds must be among"):
        cifar10_study(kinds=("2x2",))


def test_cifar10_keeps_curves_and_reconstructions(small_tests, tmp_path, monkeypatch):
    monkeypatch.setattr(study_module, "_WATCHED", (1, 2))
    options = {"sizes": (2,), "kinds": ("4x4",), "epochs": 2, "progress": False}
    table = cifar10_study(seeds=(0, 1), out=tmp_path / "cifar10.json", **options)
    assert len(table) == 4
    curves = table.set_index(["seed", "model"])["curve"]
    assert all(len(curves[0, model]) == 2 for model in ("decoder", "autoencoder"))
    assert curves[1].isna().all()
    with np.load(tmp_path / "cifar10-2-0-4x4-decoder.npz") as saved:
        assert set(saved) == {"originals", "epoch1", "epoch2"}
        assert {saved[name].shape for name in saved} == {(8, 3, 32, 32)}
    assert len(cifar10_figure(table).axes) == 2


def test_figures_have_a_line_for_each_model(small_tests):
    table = mnist_study(sizes=(8, 16), seeds=(0, 1), epochs=1, progress=False)
    left, right = mnist_figure(table).axes
    assert len(left.get_legend().get_texts()) == 6
    assert len(right.get_legend().get_texts()) == 2


def _errors(test: dict[tuple[int, str], list[float]], train: float = 0.06) -> pd.DataFrame:
    """Rows of a study with these test errors, one for each seed."""
    rows = [
        {"n_train": n, "seed": seed, "model": model, "train_error": train, "test_error": error,
         "load_decoder": n / 300, "load_encoder": n / 13_000}
        for (n, model), errors in test.items()
        for seed, error in enumerate(errors)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_claims_on_mnist():
    sizes = {500: (0.09, 0.14), 4000: (0.08, 0.10), 15_000: (0.079, 0.085)}
    test = {}
    for n, (decoder, autoencoder) in sizes.items():
        test |= {(n, "decoder"): [decoder] * 2, (n, "autoencoder"): [autoencoder] * 2}
    verdicts = list(mnist_claims(_errors(test))["verdict"])
    assert verdicts == ["confirmed"] * 3 + ["not tested"] + ["confirmed"] * 3
    test[4000, "autoencoder"] = [0.10, 0.07]  # one seed is enough against the first claim
    test[15_000, "autoencoder"] = [0.12, 0.12]
    test[15_000, "decoder"] = [0.07, 0.07]
    test[500, "encoder_on_decoder"] = [0.12, 0.15]
    claims = mnist_claims(_errors(test)).set_index("claim")
    assert list(claims["verdict"])[:5] == [
        "not confirmed",
        "not confirmed",
        "confirmed",
        "not confirmed",
        "not confirmed",
    ]
    assert claims["found"].iloc[0] == "+0.050 (500), +0.005 (4,000), +0.050 (15,000)"
    small = _errors({(100, "decoder"): [0.1]})
    assert list(mnist_claims(small)["verdict"])[:5] == ["not tested"] * 5
    assert mnist_claims(small)["verdict"].iloc[5] == "not confirmed"  # a load of a third


def test_claims_on_cifar10():
    base = {"seed": 0, "kind": "1x1"}
    rows = [
        {"per_class": 50, "model": "decoder", "test_error": 0.010, "curve": [0.05, 0.010]},
        {"per_class": 50, "model": "autoencoder", "test_error": 0.030, "curve": [0.009, 0.030]},
        {"per_class": 100, "model": "decoder", "test_error": 0.009, "curve": None},
        {"per_class": 100, "model": "autoencoder", "test_error": 0.012, "curve": None},
    ]
    table = pd.DataFrame([base | row for row in rows])
    found = cifar10_claims(table)
    # the second row's best epoch was better than the decoder's last
    assert list(found["verdict"]) == ["confirmed", "confirmed", "not confirmed", "not tested"]
    assert found["found"].iloc[0] == "3.00 (50), 1.33 (100)"
    other = table.assign(kind="4x4")
    both = cifar10_claims(pd.concat([table, other]))
    pd.testing.assert_frame_equal(both.iloc[:4], found)
    assert both["claim"].iloc[4].startswith("4x4: with 50 images")
