"""Long work says how far it is, on a screen and not in a file."""

from __future__ import annotations

import io
import re
import sys

import numpy as np
import pytest

import grnrep as gr
from grnrep.core.choose import ridge, shrinkage
from grnrep.core.network import Network
from grnrep.core.progress import end_bar, progress_bar


class Screen(io.StringIO):
    """What a terminal, or a file, is told."""

    def __init__(self, seen: bool):
        super().__init__()
        self.isatty = lambda: seen

    def last(self) -> dict[str, str]:
        """The last state of every bar, by its name."""
        bars = re.findall(r"(\w+): ([^\r\n]*)", self.getvalue())
        return {name: text.strip() for name, text in bars}


@pytest.fixture
def stderr(monkeypatch):
    """Standard error that is a screen, or a file."""

    def put(*, seen: bool) -> Screen:
        screen = Screen(seen)
        monkeypatch.setattr("sys.stderr", screen)
        monkeypatch.setitem(sys.modules, "ipykernel", None)
        monkeypatch.delitem(sys.modules, "ipykernel")
        return screen

    return put


def test_a_bar_is_for_a_screen(stderr):
    for seen, wanted in ((True, True), (True, False), (False, True)):
        screen = stderr(seen=seen)
        assert list(progress_bar(wanted, range(3), desc="steps")) == [0, 1, 2]
        assert ("steps: 100%" in screen.getvalue()) == (seen and wanted)


def test_a_notebook_is_a_screen(stderr, monkeypatch):
    screen = stderr(seen=False)
    monkeypatch.setitem(sys.modules, "ipykernel", object())
    list(progress_bar(True, range(3), desc="steps"))
    assert "steps: 100%" in screen.getvalue()


@pytest.mark.parametrize("converged", [True, False])
def test_a_bar_ends_where_the_work_does(stderr, converged):
    screen = stderr(seen=True)
    with progress_bar(True, desc="fit", total=300) as bar:
        bar.update(12)
        end_bar(bar, converged=converged)
    text = screen.last()["fit"]
    assert text.startswith("100%")
    assert "12/12" in text
    assert ("converged" in text) == converged


@pytest.mark.parametrize("signed", [True, False])
def test_choosing_penalties_counts_its_fits(stderr, monkeypatch, signed):
    draw = np.random.default_rng(0)
    gene, regulator = np.divmod(np.flatnonzero(draw.random(120 * 5) < 0.4), 5)
    sign = np.where(draw.random(len(gene)) < 0.5, -1.0, 1.0) if signed else np.zeros(len(gene))
    network = Network.from_edges(gene, regulator, sign, 120, 5)
    x = draw.normal(size=(30, 120)).astype(np.float32)
    n_fits, fit = [0], ridge.fit_decoder

    def counted(*args, **options):
        n_fits[0] += 1
        return fit(*args, **options)

    monkeypatch.setattr(ridge, "fit_decoder", counted)
    screen = stderr(seen=True)
    chosen = shrinkage.choose_shrinkage(x, network, likelihood="gaussian", progress=True)
    assert n_fits[0] > 1
    assert f"{n_fits[0]}fit" in screen.last()["choice"]
    silent = stderr(seen=True)
    assert shrinkage.choose_shrinkage(x, network, likelihood="gaussian") == chosen
    assert silent.getvalue() == ""


def test_a_fit_at_low_load_shows_all_its_bars(stderr):
    adata, net = gr.ds.simulate(
        20, 40, n_regulators=12, connectivity=0.4, rng=0, noise_sd=1.0, progress=False
    )
    net = net[["source", "target"]]
    screen = stderr(seen=True)
    gr.tl.fit(adata, net)
    assert {"choice", "tobit"} <= set(screen.last())
    assert adata.uns["grnrep"]["params"]["ridge"] > 0
    screen = stderr(seen=True)
    gr.tl.fit(adata, net, progress=False)
    assert screen.getvalue() == ""


def test_looking_for_programmes_counts_its_draws(stderr):
    adata, net = gr.ds.simulate(40, 30, n_regulators=3, noise_sd=1.0, rng=0, progress=False)
    gr.tl.fit(adata, net, ridge=0.1, sign_shrinkage=0.3, max_iter=3, progress=False)
    screen = stderr(seen=True)
    gr.tl.unexplained(adata)
    assert screen.last()["chance"].startswith("100%")
    screen = stderr(seen=True)
    gr.tl.unexplained(adata, progress=False)
    assert screen.getvalue() == ""
