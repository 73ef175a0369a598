"""Every tutorial runs from top to bottom."""

import ast
import logging
import re
from pathlib import Path

import matplotlib
import nbformat
import pytest
from matplotlib import pyplot as plt

import grnrep as gr
from grnrep.validation.regulation import load_models
from grnrep.validation.regulation import load_study as study_module
from grnrep.validation.regulation.load_models import RECIPE

TUTORIALS = sorted((Path(__file__).parents[1] / "tutorials").glob("*.ipynb"))


def test_there_are_tutorials():
    names = ["imperfect_data", "loads", "many_cells", "quickstart", "representations"]
    assert [path.stem for path in TUTORIALS] == names


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


def run(source: str, names: dict) -> object:
    """Run a cell as a notebook does; the value of its last expression, unless a semicolon hides it."""
    body = ast.parse(source).body
    shown = isinstance(body[-1], ast.Expr) and not source.rstrip().endswith(";")
    last = ast.Expression(body.pop().value) if shown else None
    exec(compile(ast.Module(body, []), "<cell>", "exec"), names)
    return eval(compile(last, "<cell>", "eval"), names) if shown else None


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_tutorial_runs(path, short, tmp_path, monkeypatch, capsys):
    """One process for all of them, and each has its own names: what a cell uses, a cell before it made."""
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type != "code":
            continue
        plt.close("all")
        value = run(short(cell.source), names)
        kept = {output.output_type: output for output in cell.outputs}
        assert (value is not None) == ("execute_result" in kept)
        assert ("text/html" in kept.get("execute_result", {}).get("data", {})) == hasattr(
            value, "_repr_html_"
        )
        assert ("stream" in kept) == bool(capsys.readouterr().out)
        assert ("display_data" in kept) == bool(plt.get_fignums())
