"""Principal angles against scikit-learn and planes of known angle; the subspace that decoders find; Eq. 5."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA

from grnrep.validation import principal_angle, theory_figure, theory_study
from grnrep.validation.regulation import theory


@pytest.fixture(scope="module")
def table():
    """With fewer steps of the gradient, which are enough here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(theory, "_EPOCHS", (1, 30, 600))
        return theory_study(quick=True, rng=1, progress=False)


@pytest.mark.parametrize("angle", [0.0, 1e-6, 0.3, np.pi / 2])
def test_angle_of_planes(angle):
    x = np.diag([4.0, 3.0, 2.0, 1.0])
    turned = np.array([[1, 0], [0, np.cos(angle)], [0, np.sin(angle)], [0, 0]])
    mixed = turned @ np.array([[2.0, -1.0], [0.5, 3.0]])  # neither orthogonal nor of length 1
    assert principal_angle(mixed, x) == pytest.approx(angle, abs=1e-7)


def test_angle_to_the_components_of_scikit_learn():
    x = np.random.default_rng(0).normal(size=(50, 8)) * np.arange(1, 9)
    x -= x.mean(0)
    assert principal_angle(PCA(3).fit(x).components_.T, x) < 1e-7
    assert principal_angle(PCA(8).fit(x).components_[3:6].T, x) == pytest.approx(np.pi / 2)


@pytest.mark.parametrize("method", ["alternation", "gradient"])
def test_linear_decoders_find_the_principal_subspace(table, method):
    part = table[table["method"] == method].set_index("steps")
    assert part["angle"].iloc[0] > 0.1
    # the alternation to the precision of the numbers
    assert part["angle"].iloc[-1] < (1e-13 if method == "alternation" else 1e-3)
    # no subspace explains more than the principal one
    assert (part["excess_error"] > -1e-12).all()
    assert part["excess_error"].iloc[-1] < 1e-6


def test_an_interrupted_study_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(theory, "_CLOSED", (1, 2))
    monkeypatch.setattr(theory, "_EPOCHS", (1, 2))
    whole = theory_study(quick=True, out=tmp_path / "t.json", progress=False)
    called = []
    monkeypatch.setattr(theory, "_alternate", lambda *args: called.append(args))
    assert theory_study(quick=True, out=tmp_path / "t.json", progress=False).equals(whole)
    assert called == []


def test_curves_are_equation_5(table):
    ax = theory_figure(table).axes[0]
    for line, ratio in zip(ax.lines[:3], (2, 10, 100), strict=True):
        encoder, decoder = line.get_data()
        np.testing.assert_allclose(decoder, ratio * encoder / (1 + encoder))
