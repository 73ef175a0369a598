"""Every tutorial runs from top to bottom and gives what it shows."""

import ast
import html
import logging
import re
import signal
from decimal import Decimal
from pathlib import Path

import matplotlib
import nbformat
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import torch
from IPython.core.formatters import DisplayFormatter
from matplotlib import pyplot as plt

import grnrep as gr
from grnrep.ds._files import find, folders_of

TUTORIALS = sorted((Path(__file__).parents[1] / "tutorials").glob("*.ipynb"))
NUMBER = r"-?(?:\d[\d,]*(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?"


def test_there_are_tutorials():
    assert [path.stem for path in TUTORIALS] == [
        "blood_cells",
        "imperfect_data",
        "loads",
        "many_cells",
        "perturbations",
        "representations",
    ]


@pytest.fixture(autouse=True)
def as_before():
    """A tutorial draws without a screen, prints as wide as a notebook, and what it sets ends with it."""
    level, backend = logging.getLogger("grnrep").level, matplotlib.get_backend()
    # a job in the background ignores Ctrl-C, which one of them presses
    interrupt = signal.signal(signal.SIGINT, signal.default_int_handler)
    plt.close("all")
    plt.switch_backend("agg")
    with pd.option_context("display.max_columns", 20):
        yield
    plt.close("all")
    plt.switch_backend(backend)
    signal.signal(signal.SIGINT, interrupt)
    logging.getLogger("grnrep").setLevel(level)


@pytest.fixture(autouse=True)
def same_threads():
    """Put back torch's threads, whose number decoupler's compiled code changes."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def blood_cells(monkeypatch):
    """CollecTRI, or a network drawn in its stead; whether it is CollecTRI."""
    there = find(folders_of(None, "networks"), "CollecTRI_regulons.csv", "collectri_human.csv")
    monkeypatch.setattr(gr.ds, "collectri", gr.ds.collectri if there else drawn_network)
    return there is not None


def drawn_network(**_) -> pd.DataFrame:
    """Eight targets each of regulators that the tutorial names, and of as many others."""
    rng = np.random.default_rng(0)
    genes = sc.datasets.pbmc68k_reduced().raw.var_names
    named = ["PAX5", "EBF1", "SPI1", "RUNX3", "GATA3", "TAL1"]
    edges = [
        (name, target, rng.choice([-1.0, 1.0]))
        for name in [*named, *(f"TF{i}" for i in range(6))]
        for target in rng.choice(genes, 8, replace=False)
    ]
    return pd.DataFrame(edges, columns=["source", "target", "weight"])


@pytest.fixture
def perturbations():
    """Skips where a set is missing, whose reason says where it comes from."""
    try:
        gr.validation.load_yeast(), gr.validation.load_ecoli()
    except (ValueError, FileNotFoundError) as missing:
        pytest.skip(str(missing))
    return True


def run(source: str, names: dict) -> object:
    """Run a cell as a notebook does; the value of its last expression, unless a semicolon hides it."""
    body = ast.parse(source).body
    shown = isinstance(body[-1], ast.Expr) and not source.rstrip().endswith(";")
    last = ast.Expression(body.pop().value) if shown else None
    exec(compile(ast.Module(body, []), "<cell>", "exec"), names)
    return eval(compile(last, "<cell>", "eval"), names) if shown else None


def parts(text: str) -> list[str]:
    """Numbers and words of a text, without marks of HTML."""
    text = re.sub(r"<style.*?</style>|<[^>]*>", " ", text, flags=re.DOTALL)
    return re.findall(rf"{NUMBER}|[^\W\d]\w*|[*%]", html.unescape(text))


def alike(found: str, kept: str) -> bool:
    """Whether words are the same, or numbers but for 2 % or one unit of the last decimal."""
    if not (re.fullmatch(NUMBER, found) and re.fullmatch(NUMBER, kept)):
        return found == kept
    one, other = (Decimal(word.replace(",", "")) for word in (found, kept))
    places = min(other.as_tuple().exponent, one.as_tuple().exponent)
    rounding = Decimal(1).scaleb(places) if "." in kept else Decimal(0)
    return abs(one - other) <= max(rounding, Decimal("0.02") * abs(other))


def assert_shows(text: str, shown: str) -> None:
    """Text is what a tutorial shows, but for one word in fifty: ranks that rounding can turn around."""
    found, kept = parts(text), parts(shown)
    differ = [pair for pair in zip(found, kept, strict=False) if not alike(*pair)]
    assert len(found) == len(kept), f"{text}\n{shown}\npython docs/run_tutorials.py makes them anew"
    assert len(differ) <= len(kept) / 50, f"{differ}: python docs/run_tutorials.py makes them anew"


def test_numbers_are_alike_but_for_rounding():
    assert alike("0.995", "0.995")
    assert alike("1,375", "1,380")
    assert alike("0.0015", "0.0014")
    assert alike("1e-07", "0.0")
    assert not alike("0.0017", "0.0015")
    assert not alike("0.87", "0.90")
    assert not alike("-0.5", "0.5")
    assert not alike("3", "4")
    assert not alike("3", "three")
    assert parts("SPI1 in <b>36%</b>: 2.5e-3, [1. -.5]") == [
        "SPI1", "in", "36", "%", "2.5e-3", "1.", "-.5",
    ]  # fmt: skip


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_tutorial_gives_what_it_shows(path, request, tmp_path, monkeypatch, capsys):
    """One process for all of them, and each has its own names: what a cell uses, a cell before it made.

    Text and tables are held to what the file keeps, all of them: a tutorial shows no times and nothing
    else that another run would change. Of pictures it is only asked whether there is one.
    """
    needs = path.stem in ("blood_cells", "perturbations")
    as_shown = request.getfixturevalue(path.stem) if needs else True
    monkeypatch.chdir(tmp_path)
    names, formatter = {"__name__": "__main__"}, DisplayFormatter()
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type != "code":
            continue
        plt.close("all")
        value = run(cell.source, names)
        found = {"stdout": capsys.readouterr().out}
        if value is not None:
            found |= formatter.format(value)[0]
        kept = {"stdout": ""}
        for output in cell.outputs:
            if output.output_type == "execute_result":
                kept |= output.data
            elif output.get("name") == "stdout":
                kept["stdout"] += output.text
        assert found.keys() == kept.keys()
        pictures = [output for output in cell.outputs if output.output_type == "display_data"]
        assert bool(pictures) == bool(plt.get_fignums())
        assert bool(found["stdout"]) == bool(kept["stdout"])
        for kind in found if as_shown else ():
            assert_shows(found[kind], kept[kind])
