"""Mistakes at the shell: what docs/mistakes.md says is said, in terms of the shell, and no file changes."""

from __future__ import annotations

import re
import shlex
import shutil

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from mistakes import mistakes

import grnrep as gr

ROWS = mistakes("At the shell")
# words of Python that nobody at a shell can use
PYTHON = re.compile(
    r"(?<!')\b(adata|net)\.\w|\bgrnrep\.\w+|\w+_\w+=|=(True|False|None)\b|\.\w+\(|\bdel "
)


@pytest.fixture(scope="module")
def folder(fitted, sources, tmp_path_factory):
    """The files that the page names, with the faults that it names."""
    folder = tmp_path_factory.mktemp("mistakes")
    for name in ("data.h5ad", "new.h5ad", "net.csv"):
        shutil.copy(sources / name, folder / name)
    shutil.copy(fitted, folder / "fitted.h5ad")
    data, net = ad.read_h5ad(folder / "fitted.h5ad"), pd.read_csv(folder / "net.csv")
    for name in ("model.zarr", "model.zarr.zip"):
        gr.io.save(data, folder / name)
    data = ad.read_h5ad(folder / "data.h5ad")
    # other data
    (folder / "broken.h5ad").write_bytes((folder / "data.h5ad").read_bytes()[:2000])
    (folder / "letters.zarr").mkdir()
    data[:3].write_h5ad(folder / "three.h5ad")
    twice = data.copy()
    twice.var_names = ["gene0", "gene0", *twice.var_names[2:]]
    twice.write_h5ad(folder / "twice.h5ad")
    data.copy().T.write_h5ad(folder / "transposed.h5ad")
    holes = data.copy()
    holes.X[0, 0] = np.nan
    holes.write_h5ad(folder / "holes.h5ad")
    named = data.copy()
    named.var["symbol"] = named.var_names
    named.var_names = [f"ENSG{10_000_000 + k}" for k in range(named.n_vars)]
    named.write_h5ad(folder / "ensembl.h5ad")
    # other networks
    net.rename(columns={"source": "tf", "target": "gene"}).to_csv(
        folder / "tf_gene.csv", index=False
    )
    net.rename(columns={"weight": "effect"}).to_csv(folder / "effect.csv", index=False)
    net.assign(weight=1).to_csv(folder / "ones.csv", index=False)
    words = net["weight"].gt(0).map({True: "activation", False: "repression"})
    net.assign(weight=words).to_csv(folder / "words.csv", index=False)
    pd.concat([net, net[:2]]).to_csv(folder / "repeats.csv", index=False)
    net.assign(target=net["target"].str.upper()).to_csv(folder / "upper.csv", index=False)
    net.assign(target=[*net["target"][:-1], None]).to_csv(folder / "gaps.csv", index=False)
    net.assign(target="other").drop_duplicates(["source"]).to_csv(folder / "fly.csv", index=False)
    net.to_csv(folder / "excel.csv", index=False, sep=";")
    net[:0].to_csv(folder / "empty.csv", index=False)
    return folder


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_what_is_said_at_the_shell(grnrep, folder, monkeypatch, row):
    monkeypatch.chdir(folder)
    before = _state(folder)
    program, *arguments = shlex.split(row.call.removesuffix(" < /dev/null"))
    assert program == "grnrep"
    result = grnrep(*arguments, input="")
    refused = row.said.startswith("error: ")
    assert result.exit_code == (2 if refused else 0), result.output
    said = result.stderr.splitlines()[-1:] if refused else result.output.splitlines()
    assert any(map(row.matches, said)), "\n".join(said)
    assert not any(map(PYTHON.search, said)), "\n".join(said)
    assert "Traceback" not in result.output
    assert _state(folder) == before


def test_rows_differ():
    assert len({row.call for row in ROWS}) == len({row.done for row in ROWS}) == len(ROWS)


def _state(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
