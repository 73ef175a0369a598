"""Files with small data, and a runner of commands."""

from __future__ import annotations

import shutil

import anndata as ad
import pandas as pd
import pytest
from typer.testing import CliRunner

import grnrep as gr
from grnrep.cli import app


@pytest.fixture(scope="session")
def grnrep():
    """Run a command: ``grnrep("fit", path, ...)``; gives ``exit_code``, ``stdout``, ``stderr``."""

    def run(*arguments, **options):
        return CliRunner().invoke(app, [str(argument) for argument in arguments], **options)

    return run


@pytest.fixture(scope="session")
def sources(small, tmp_path_factory):
    """Folder with ``data.h5ad``, ``new.h5ad`` and ``net.csv``, which nobody changes."""
    folder = tmp_path_factory.mktemp("sources")
    adata, net = small(n_obs=80)
    adata[:60].write_h5ad(folder / "data.h5ad")
    adata[60:].write_h5ad(folder / "new.h5ad")
    net.to_csv(folder / "net.csv", index=False)
    return folder


@pytest.fixture(scope="session")
def fitted(sources, tmp_path_factory):
    """``data.h5ad`` with a fit, and with groups and donors, which nobody changes."""
    adata, path = (
        ad.read_h5ad(sources / "data.h5ad"),
        tmp_path_factory.mktemp("fitted") / "fitted.h5ad",
    )
    adata.obs["half"] = ["first"] * 30 + ["second"] * 30
    adata.obs["donor"] = [f"donor{k % 4}" for k in range(60)]
    net = pd.read_csv(sources / "net.csv")
    gr.tl.fit(adata, net, ridge=1e-3, sign_shrinkage=0.3, intercept=True, progress=False)
    adata.write_h5ad(path)
    return path


@pytest.fixture
def work(sources, tmp_path, monkeypatch):
    """Folder, the current one, with ``data.h5ad``, ``new.h5ad`` and ``net.csv``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GRNREP_DEBUG", raising=False)
    return shutil.copytree(sources, tmp_path, dirs_exist_ok=True)


@pytest.fixture
def listing(work):
    """Everything in the folder: names and, of files, contents."""

    def of() -> dict[str, bytes]:
        return {
            str(p.relative_to(work)): p.read_bytes() if p.is_file() else b""
            for p in work.rglob("*")
        }

    return of
