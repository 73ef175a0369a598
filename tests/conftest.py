"""Small data and fixtures for all tests."""

from __future__ import annotations

import gc
import hashlib
import os
from contextlib import contextmanager
from importlib.util import find_spec

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch

import grnrep as gr
from grnrep.core.als.fit import fit_decoder
from grnrep.core.als.learn import fit_evidence
from grnrep.core.choose import assumptions, held_out, intercept, ridge
from grnrep.core.network import Network
from grnrep.core.posterior import sample as posterior


def _small(n_obs: int = 60, n_vars: int = 40, n_regulators: int = 4, *, rng: int = 0):
    """Noise-free data of Eq. 6 with shuffled names, and its network with true weights."""
    draw = np.random.default_rng(rng)
    activity = draw.gamma(1.0, 1.0, size=(n_obs, n_regulators))
    weights = draw.uniform(0.2, 1.0, (n_vars, n_regulators)) * draw.choice(
        [-1, 1], (n_vars, n_regulators)
    )
    weights[draw.random((n_vars, n_regulators)) < 0.4] = 0
    weights[np.abs(weights).sum(axis=1) == 0, 0] = 1.0
    cells = [f"cell{i}" for i in draw.permutation(n_obs)]
    genes = [f"gene{i}" for i in draw.permutation(n_vars)]
    regulators = [f"TF{i}" for i in draw.permutation(n_regulators)]
    adata = ad.AnnData(
        np.maximum(activity @ weights.T, 0).astype(np.float32),
        obs=pd.DataFrame(index=cells),
        var=pd.DataFrame(index=genes),
        obsm={"true_activity": pd.DataFrame(activity, index=cells, columns=regulators)},
    )
    gene, regulator = np.nonzero(weights)
    net = pd.DataFrame(
        {
            "source": np.array(regulators, dtype=object)[regulator],
            "target": np.array(genes, dtype=object)[gene],
            "weight": weights[gene, regulator],
        }
    )
    return adata, net.sample(frac=1, random_state=rng).reset_index(drop=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long comes first, so that no process of tests waits for another in the middle or at the end."""
    items.sort(key=lambda item: item.path.stem not in ("test_site", "test_tutorials"))


def pytest_collection_finish() -> None:
    """What imports made stays: no later collection of garbage looks through it again."""
    gc.collect()
    gc.freeze()


def _compile_kernels() -> None:
    """What fits compile, for both precisions."""
    network = Network.from_edges(np.arange(20), np.arange(20) % 2, np.ones(20), 20, 2)
    for dtype in (np.float32, np.float64):
        x = np.maximum(np.random.default_rng(0).normal(size=(40, 20)), 0).astype(dtype)
        fit_evidence(x, network, likelihood="tobit", max_iter=1)
        fit_decoder(x, network, likelihood="tobit", max_iter=1)


def _compile_peers() -> None:
    """What decoupler compiles."""
    if find_spec("decoupler") is None:
        return
    table = pd.DataFrame(
        np.random.default_rng(0).gamma(1, size=(6, 20)),
        index=[f"c{k}" for k in range(6)],
        columns=[f"g{i}" for i in range(20)],
    )
    targets = [*table.columns[:12], *table.columns[8:]]
    net = pd.DataFrame({"source": ["a"] * 12 + ["b"] * 12, "target": targets, "weight": 1.0})
    threads = torch.get_num_threads()
    for method in ("ulm", "mlm", "aucell"):
        gr.validation.peer_activity(table, net, method=method)
    torch.set_num_threads(threads)


@pytest.fixture(scope="session", autouse=True)
def compiled_once():
    """Of several processes each compiles a part, which numba keeps on disk for all, while the first tests run."""
    parts, worker = (_compile_kernels, _compile_peers), os.environ.get("PYTEST_XDIST_WORKER", "")
    own = int(worker.removeprefix("gw") or len(parts))  # one alone: whatever is needed first
    if own < len(parts):
        parts[own]()


@pytest.fixture(autouse=True)
def same_threads():
    """Whatever a test does: torch has as many threads afterwards as before."""
    before = torch.get_num_threads()
    yield
    assert torch.get_num_threads() == before


@pytest.fixture
def quick_choices(monkeypatch):
    """Fits by which "auto" compares models are few and take few steps, where nobody asks what is chosen."""
    monkeypatch.setattr(assumptions, "_ITERATIONS", 2)
    monkeypatch.setattr(assumptions, "_HELD_OUT", 1)  # one fold
    monkeypatch.setattr(intercept, "_MAX_ITER", 15)
    monkeypatch.setattr(ridge, "_MAX_ITER", 2)
    monkeypatch.setattr(held_out, "_ITERATIONS", 2)
    monkeypatch.setattr(held_out, "_HELD_OUT", 1)


@pytest.fixture
def short_chain(monkeypatch):
    """As few draws as there can be, where only their way through a fit is looked at, and not their values."""
    monkeypatch.setattr(posterior, "_MOST", 30)


@pytest.fixture(scope="session")
def small():
    """Factory of small noise-free data with true weights: ``adata, net = small(n_obs=60)``."""
    return _small


def _update(sha, value) -> None:
    sha.update(type(value).__name__.encode())
    if isinstance(value, pd.DataFrame):
        _update(sha, value.index.to_numpy())
        for name in value.columns:
            _update(sha, str(name))
            _update(sha, value[name].to_numpy())
    elif sp.issparse(value):
        for part in (value.data, value.indices, value.indptr):
            _update(sha, part)
    elif isinstance(value, np.ndarray):
        sha.update(f"{value.dtype}{value.shape}".encode())
        sha.update(value.tobytes() if value.dtype != object else repr(value.tolist()).encode())
    elif hasattr(value, "items"):
        for name in sorted(value, key=str):
            _update(sha, str(name))
            _update(sha, value[name])
    else:
        sha.update(repr(value).encode())


@pytest.fixture
def digest():
    """Hash of everything in an AnnData: ``digest(adata)`` changes if anything in it does."""

    def of(adata: ad.AnnData) -> str:
        sha = hashlib.sha256(repr(adata.is_view).encode())
        for part in ("X", "layers", "obs", "var", "obsm", "varm", "obsp", "varp", "uns"):
            _update(sha, part)
            _update(sha, getattr(adata, part))
        return sha.hexdigest()

    return of


@pytest.fixture
def refuses(digest):
    """Context in which an error must come, say all of some fragments, and leave AnnData untouched."""

    @contextmanager
    def check(error: type[Exception], *fragments: str, adata=()):
        adatas = [adata] if isinstance(adata, ad.AnnData) else list(adata)
        before = [digest(a) for a in adatas]
        with pytest.raises(error) as caught:
            yield
        message = str(caught.value)
        for fragment in fragments:
            assert fragment in message
        assert [digest(a) for a in adatas] == before

    return check


@pytest.fixture
def fit_refuses(small, refuses):
    """Change small data or its network, then fit: ``fit_refuses(change, error, *fragments, **options)``."""

    def check(change, error, *fragments, **options):
        adata, net = small()
        adata, net = change(adata, net)
        with refuses(error, *fragments, adata=adata if isinstance(adata, ad.AnnData) else ()):
            gr.tl.fit(adata, net, progress=False, **options)

    return check
