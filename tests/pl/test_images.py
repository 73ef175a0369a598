"""Images are where they belong, in the values that they have."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("Agg")

import matplotlib.pyplot as plt
from scipy.stats import norm

import grnrep as gr


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def shown(ax):
    return np.asarray(ax.images[0].get_array())


def test_images_row_by_row():
    images = np.random.default_rng(0).random((5, 4, 3))
    grid = shown(gr.pl.image_grid(images, n_columns=2))
    assert grid.shape == (3 * 5 - 1, 2 * 4 - 1)
    for place, image in enumerate(images):
        top, left = place // 2 * 5, place % 2 * 4
        np.testing.assert_array_equal(grid[top : top + 4, left : left + 3], image)
    assert (grid[4] == 1).all()  # white between
    assert (grid[10:, 4:] == 1).all()  # and where there is no image


def test_colours():
    images = np.random.default_rng(0).random((2, 3, 4, 4))
    grid = shown(gr.pl.image_grid(images, n_columns=2))
    np.testing.assert_array_equal(grid[:, 5:], images[1].transpose(1, 2, 0))


def test_bytes_and_values_out_of_range():
    levels = np.array([[[0, 51, 255]]], dtype=np.uint8)
    np.testing.assert_allclose(shown(gr.pl.image_grid(levels)), [[0, 0.2, 1]])
    np.testing.assert_allclose(
        shown(gr.pl.image_grid(np.array([[[-1.0, 0.2, 7.0]]]))), [[0, 0.2, 1]]
    )


def test_square_by_default():
    assert shown(gr.pl.image_grid(np.zeros((9, 2, 2)))).shape == (8, 8)


def test_rows_have_names():
    ax = gr.pl.image_grid(np.zeros((4, 2, 2)), n_columns=2, row_labels=["a", "b"])
    assert [text.get_text() for text in ax.get_yticklabels()] == ["a", "b"]
    assert ax.get_yticks().tolist() == [1, 4]  # the middle of each


@pytest.mark.parametrize(
    ("images", "other", "message"),
    [
        (np.zeros((2, 5)), {}, r"found \(2, 5\)"),
        (np.zeros((0, 2, 2)), {}, "images must"),
        (np.zeros((3, 2, 4, 4)), {}, "1 or 3"),
        (np.zeros((4, 2, 2)), {"n_columns": 2, "row_labels": ["a"]}, "2 rows; found 1"),
    ],
)
def test_refuses(images, other, message):
    with pytest.raises(ValueError, match=message):
        gr.pl.image_grid(images, **other)


def spy():
    seen = []

    def decode(z):
        seen.append(z)
        return np.zeros((len(z), 2, 2))

    return seen, decode


def test_manifold_is_even_in_probability():
    seen, decode = spy()
    gr.pl.manifold(decode, n=5)
    z = seen[0].reshape(5, 5, 2)
    shares = norm.cdf(z)
    np.testing.assert_allclose(shares[0, :, 0], np.linspace(0.02, 0.98, 5))  # to the right
    np.testing.assert_allclose(shares[:, 0, 1], np.linspace(0.98, 0.02, 5))  # upwards
    assert (np.ptp(z[:, :, 0], axis=0) == 0).all()


def test_manifold_of_codes():
    seen, decode = spy()
    codes = np.column_stack([np.arange(101.0), -np.arange(101.0)])
    gr.pl.manifold(decode, codes=codes, n=3)
    np.testing.assert_allclose(seen[0][:3, 0], [2, 50, 98])
    np.testing.assert_allclose(seen[0][::3, 1], [-2, -50, -98])
    with pytest.raises(ValueError, match=r"codes must.*\(101, 1\)"):
        gr.pl.manifold(decode, codes=codes[:, :1])
