"""Loads of all experiments on one axis: as the rows of their studies have them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from grnrep.core.load import decoder_load_from_encoder_load
from grnrep.validation import loads_figure
from grnrep.validation.loads import EXPERIMENTS


def test_loads_are_those_that_the_paper_names():
    """Section 3.1: about 9 at 4,000 digits; Section 3.3: 1, 3.3 and 9 at 111, 493 and 9,000 cells or so."""
    loads = {name: one.loads(np.array([111, 493, 4000, 9900])) for name, one in EXPERIMENTS.items()}
    assert loads["MNIST"]["load_decoder"][2] == pytest.approx(9, abs=0.2)
    found = loads["Eq. 6, all weights counted"]["load_decoder"]
    np.testing.assert_allclose(found[[0, 1, 3]], [1, 3.3, 9.08], rtol=0.01)
    assert loads["CIFAR-10, 1x1"]["load_decoder"][1] < loads["CIFAR-10, 4x4"]["load_decoder"][1]


def test_equation_5_holds_where_encoder_and_decoder_are_of_one_size():
    n = np.array([10, 1000])
    load = EXPERIMENTS["Eq. 6, all weights counted"].loads(n)
    expected = decoder_load_from_encoder_load(load["load_encoder"], n_vars=1000, n_regulators=100)
    np.testing.assert_allclose(load["load_decoder"], expected, rtol=2e-3)  # but for 100 biases


def test_excess_is_a_share_of_the_first():
    rows = [
        {"per_class": n, "seed": 0, "kind": "4x4", "model": model, "test_error": error}
        for n, pair in {50: (0.01, 0.03), 100: (0.01, 0.02), 500: (0.01, 0.011)}.items()
        for model, error in zip(("decoder", "autoencoder"), pair, strict=True)
    ]
    _, by_decoder, by_encoder = loads_figure({"cifar10": pd.DataFrame(rows)}).axes
    loads = EXPERIMENTS["CIFAR-10, 4x4"].loads(np.array([500, 1000, 5000]))
    for ax, name in ((by_decoder, "load_decoder"), (by_encoder, "load_encoder")):
        (line,) = (line for line in ax.lines if line.get_label() == "CIFAR-10, 4x4")
        np.testing.assert_allclose(line.get_xdata(), loads[name])
        np.testing.assert_allclose(line.get_ydata(), [1, 0.5, 0.05])
