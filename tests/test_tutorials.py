"""Every tutorial runs from top to bottom, and those on real data give what they show."""

import ast
import html
import logging
import math
import re
from pathlib import Path

import matplotlib
import nbformat
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import torch
from matplotlib import pyplot as plt

import grnrep as gr
from grnrep.ds._files import find, folders_of
from grnrep.validation.regulation import load_models
from grnrep.validation.regulation import load_study as study_module
from grnrep.validation.regulation.load_models import RECIPE

TUTORIALS = sorted((Path(__file__).parents[1] / "tutorials").glob("*.ipynb"))
NUMBER = r"-?\d[\d,]*(?:\.\d+)?"


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
    """A tutorial draws without a screen, and what it sets for its session ends with it."""
    level, backend = logging.getLogger("grnrep").level, matplotlib.get_backend()
    plt.close("all")
    plt.switch_backend("agg")
    yield
    plt.close("all")
    plt.switch_backend(backend)
    logging.getLogger("grnrep").setLevel(level)


@pytest.fixture(autouse=True)
def same_threads():
    """Put back torch's threads, whose number decoupler's compiled code changes."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def with_a_third_of_the_genes(simulate):
    """The same simulation of as many cells, with fewer genes and regulators."""

    def smaller(n_obs, n_vars, *, n_regulators, **options):
        return simulate(n_obs, n_vars // 3, n_regulators=max(5, n_regulators // 3), **options)

    return smaller


@pytest.fixture
def short(quick_choices, short_chain, monkeypatch):
    """Few genes, two epochs of every training, two steps of every choice: what tutorials show is not looked at."""
    epochs = {"epochs": 2, "autoencoder_epochs": 2}
    monkeypatch.setattr(study_module, "RECIPE", RECIPE | epochs)
    for name, value in {"N_GENES": 100, "N_REGULATORS": 10}.items():
        monkeypatch.setattr(load_models, name, value)
    monkeypatch.setattr(gr.ds, "simulate", with_a_third_of_the_genes(gr.ds.simulate))
    return lambda source: re.sub(r"""(\bepochs"?[=:]\s*)\d+""", r"\g<1>2", source)


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


def alike(one: str, other: str) -> bool:
    """Whether two words are the same, or two numbers nearly."""
    if re.fullmatch(NUMBER, one) and re.fullmatch(NUMBER, other):
        numbers = (float(word.replace(",", "")) for word in (one, other))
        return math.isclose(*numbers, rel_tol=0.02, abs_tol=0.02)
    return one == other


def assert_shows(text: str, shown: str) -> None:
    """Text is what a tutorial shows, but for one word in fifty: ranks that rounding can turn around."""
    found, kept = parts(text), parts(shown)
    differ = [pair for pair in zip(found, kept, strict=False) if not alike(*pair)]
    assert len(found) == len(kept), "python docs/run_tutorials.py makes them anew"
    assert len(differ) <= len(kept) / 50, f"{differ}: python docs/run_tutorials.py makes them anew"


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_tutorial_runs(path, request, tmp_path, monkeypatch, capsys):
    """One process for all of them, and each has its own names: what a cell uses, a cell before it made."""
    real = path.stem in ("blood_cells", "perturbations")
    as_shown = real and request.getfixturevalue(path.stem)
    shorter = str if as_shown else request.getfixturevalue("short")
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type != "code":
            continue
        plt.close("all")
        value = run(shorter(cell.source), names)
        printed = capsys.readouterr().out
        kept = {
            output.output_type: output for output in cell.outputs if output.get("name") != "stderr"
        }
        assert (value is not None) == ("execute_result" in kept)
        html_kept = kept.get("execute_result", {}).get("data", {}).get("text/html")
        assert (html_kept is not None) == hasattr(value, "_repr_html_")
        assert ("stream" in kept) == bool(printed)
        assert ("display_data" in kept) == bool(plt.get_fignums())
        if as_shown and printed:
            assert_shows(printed, kept["stream"].text)
        if as_shown and html_kept is not None:
            assert_shows(value._repr_html_(), html_kept)
