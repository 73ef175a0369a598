"""Translation between domains: what is seen of which image, and what can be learned from it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from grnrep.ds import digits
from grnrep.nn import Trainer, seen_domains
from grnrep.validation import translation_figure, translation_study
from grnrep.validation.autoencoders import translation
from grnrep.validation.autoencoders.translation import MODELS, PAIRS, _other, _Translation

SHORT = replace(translation.QUICK, epochs=1, sizes=(40,))


def test_other_sides():
    """Light on the left of the first: one upright edge, and once turned all is at the bottom."""
    images = np.zeros((2, 1, 8, 8), dtype=np.float32)
    images[0, ..., :4] = 0.5
    turned, edges = (_other(images, domain) for domain in ("rotated", "edges"))
    np.testing.assert_array_equal(turned[0, 0, 4:], 0.5)
    np.testing.assert_array_equal(turned[0, 0, :4], 0)
    np.testing.assert_allclose(edges[0, 0, :, 3:5], 0.5)
    np.testing.assert_allclose(edges[0, 0][:, [0, 1, 2, 5, 6, 7]], 0)
    assert not edges[1].any()  # images have nothing to do with each other


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("pairs", "both"), [("all", 40), ("a tenth", 4), ("none", 0), ("none, labels", 0)]
)
def test_what_is_seen(model, pairs, both, monkeypatch):
    shown = {}

    def fit(self, model, x, *, target=None):
        shown.update(x=x, target=x if target is None else target)

    monkeypatch.setattr(Trainer, "fit", fit)
    one = _Translation(digits(), SHORT, n=40, seed=0, domain="edges", pairs=pairs, model=model)
    seen, explained = (seen_domains(shown[name], one.sizes) for name in ("x", "target"))
    one_side = (40 - both) // 2
    if model == "autoencoders":
        assert seen[:, :2].sum(0).tolist() == [both + one_side] * 2
        assert not (seen[:, 0] & seen[:, 1]).any()
        assert (explained[:, 0] & explained[:, 1]).sum() == 2 * both
    else:
        assert (seen[:, 0] & seen[:, 1]).sum() == both
        assert seen[:, :2].sum(0).tolist() == [both + one_side] * 2
        assert len(shown["x"]) == 40
    assert seen.shape[1] == (3 if "labels" in pairs else 2)
    assert seen[:, 2:].all()
    assert len(one.model.penalties) == (pairs != "all")


def test_pairs_are_learned_and_go_on_where_they_were(monkeypatch, tmp_path):
    settings = replace(translation.QUICK, sizes=(300,), epochs=30)
    monkeypatch.setattr(translation, "QUICK", settings)
    monkeypatch.setattr(translation, "PAIRS", ("all",))
    monkeypatch.setattr(translation, "DOMAINS", ("rotated",))
    out = tmp_path / "rows.json"
    table = translation_study(quick=True, progress=False, out=out)
    assert set(table["model"]) == set(MODELS)
    assert (table["test_error"] < 0.5 * table["mean_error"]).all()
    assert (table["own_error"] < 0.5 * table["mean_error"]).all()
    assert (table["class_error"] < 0.4).all()
    monkeypatch.setattr(translation, "_Translation", None)  # nothing is left to learn
    pd.testing.assert_frame_equal(translation_study(quick=True, progress=False, out=out), table)


def test_translations_are_of_the_side_that_is_seen():
    one = _Translation(
        digits(), SHORT, n=40, seed=0, domain="rotated", pairs="all", model="decoders alone"
    )
    torch.manual_seed(0)
    before = one.translate(0)[0]
    one.test[1] = torch.rand_like(one.test[1])
    assert torch.equal(one.translate(0)[0], before)
    one.test[0] = torch.rand_like(one.test[0])
    assert not torch.equal(one.translate(0)[0], before)


def test_figure_has_a_dot_a_row():
    rows = [
        {"n": n, "seed": 0, "domain": domain, "pairs": pairs, "model": model}
        for n in (10, 20)
        for domain in ("rotated", "edges")
        for pairs in PAIRS
        for model in MODELS
    ]
    table = pd.DataFrame(rows).assign(
        test_error=np.arange(32) / 100, mean_error=0.5, class_error=0.1, true_class_error=0.05
    )
    axes = translation_figure(table).axes
    assert len(axes) == 4
    drawn = np.concatenate([c.get_offsets()[:, 0] for ax in axes[::2] for c in ax.collections])
    np.testing.assert_allclose(sorted(drawn), table["test_error"])
