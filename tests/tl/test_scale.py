"""New cells on another scale than the fit are noticed, and no others."""

from __future__ import annotations

import os
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import grnrep as gr
from grnrep._values import SCALE, another_scale, open_values, scale_of

pytestmark = pytest.mark.usefixtures("quick_choices")


def _opened(x):
    x = x if sp.issparse(x) else np.asarray(x, dtype=np.float32)
    adata = ad.AnnData(x, var=pd.DataFrame(index=[f"g{i}" for i in range(x.shape[1])]))
    return open_values(adata, adata.var_names, np.arange(adata.n_vars), layer=None)


def _table(x):
    """What a fit to cells (n_cells, n_genes) keeps."""
    blocks, scan = _opened(x)
    return pd.DataFrame(
        scale_of(blocks.take(blocks.order), scan), index=[f"g{i}" for i in range(x.shape[1])]
    )


def _found(fitted, new):
    """What is said of new cells, given the cells that were fitted."""
    return another_scale(_table(fitted), *_opened(new))


def _counts(n_cells=120, n_genes=300, *, depth=4000, rng=0):
    """Counts of cells of two types, and their types."""
    draw = np.random.default_rng(rng)
    share = draw.lognormal(0, 2, (2, n_genes)) ** 0.5 * draw.lognormal(0, 2, n_genes) ** 0.7
    kind = np.arange(n_cells) % 2
    share = share[kind] / share[kind].sum(1, keepdims=True)
    return draw.poisson(share * depth * draw.lognormal(0, 0.5, (n_cells, 1))).astype(float), kind


def _logarithms(counts):
    return np.log1p(counts / np.maximum(counts.sum(1, keepdims=True), 1) * 1e4)


COUNTS, KIND = _counts()
LOGS = _logarithms(COUNTS)
OLD, NEW = slice(0, 60), slice(60, 120)
SD = LOGS[OLD].std(0) + 1e-9
SCALED = np.clip((LOGS - LOGS[OLD].mean(0)) / SD, -10, 10)

OTHER_SCALES = {
    "times 100": (LOGS[OLD], 100 * LOGS[NEW], "times those of the fit in the median gene"),
    "times 100, one cell": (
        LOGS[OLD],
        100 * LOGS[NEW][:1],
        "times those of the fit in the median gene",
    ),
    "by 100": (LOGS[OLD], LOGS[NEW] / 100, "times those of the fit in the median gene"),
    "centred, times 100": (
        SCALED[OLD],
        100 * SCALED[NEW],
        "times those of the fit in the median gene",
    ),
    "counts": (
        LOGS[OLD],
        COUNTS[NEW],
        "all values are whole numbers, and those of the fit are not",
    ),
    "counts of one cell": (LOGS[OLD], COUNTS[NEW][:1], "all values are whole numbers"),
    "logarithms into counts": (
        COUNTS[OLD],
        LOGS[NEW],
        "values are no whole numbers, and those of the fit are",
    ),
    "no logarithm": (
        LOGS[OLD],
        np.expm1(LOGS[NEW]),
        "A logarithm was taken of one and not of the other",
    ),
    "not scaled": (SCALED[OLD], LOGS[NEW], "no value is negative, and"),
    "not scaled, one cell": (SCALED[OLD], LOGS[NEW][:1], "no value is negative, and"),
    "scaled": (LOGS[OLD], SCALED[NEW], "of the values are negative, and none of the fit is"),
    "scaled without centring": (
        LOGS[OLD] / SD * np.geomspace(0.2, 5, 300),
        LOGS[NEW] / SD,
        "genes have a standard deviation of 1, and those of the fit do not",
    ),
    "without zeros": (
        LOGS[OLD] * (COUNTS[OLD] > 3),
        LOGS[NEW] + 0.3,
        "0% of the values are zero, and",
    ),
}


@pytest.mark.parametrize("name", OTHER_SCALES)
def test_another_scale_is_noticed(name):
    old, new, message = OTHER_SCALES[name]
    assert message in _found(old, new)
    assert message in _found(old, sp.csr_matrix(new))
    assert _found(old, old) is None


@settings(deadline=None, max_examples=80, derandomize=True)
@given(data=st.data())
def test_other_cells_on_the_same_scale_pass(data):
    """Of one type, of another depth, few, with some of the genes only; as logarithms, scaled, or of Eq. 6."""
    draw = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    depth = data.draw(st.sampled_from([1.0, 0.3, 0.1]))
    new = _logarithms(draw.binomial(COUNTS[NEW].astype(int), depth))
    old = LOGS[OLD][KIND[OLD] == 0] if data.draw(st.booleans()) else LOGS[OLD]
    kind = data.draw(st.sampled_from(["logarithms", "scaled", "simulated", "centred"]))
    if kind == "scaled" and depth == 1:
        old, new = ((x - LOGS.mean(0)) / (LOGS.std(0) + 1e-9) for x in (old, new))
    elif kind != "logarithms":
        sim, _ = gr.ds.simulate(
            n_obs=100, n_vars=80, n_regulators=8, noise_sd=0.2, rng=int(draw.integers(99))
        )
        values = sim.X - (sim.X[:60].mean(0) if kind == "centred" else 0)
        old, new = values[:60], values[60:]
    cells = draw.permutation(len(new))[: data.draw(st.sampled_from([1, 2, 5, 30]))]
    genes = draw.permutation(new.shape[1])[: data.draw(st.sampled_from([3, 10, 40, 300]))]
    table = _table(old).iloc[genes]
    assert another_scale(table, *_opened(new[cells][:, genes])) is None


@settings(deadline=None, max_examples=30, derandomize=True)
@given(st.integers(-20, 20), st.sampled_from(["logarithms", "scaled"]))
def test_columns_follow_the_unit_and_the_answer_does_not_depend_on_it(power, kind):
    x, c = {"logarithms": LOGS, "scaled": SCALED}[kind].astype(np.float32), np.float32(2.0**power)
    before, after = _table(x[OLD]), _table(c * x[OLD])
    for column in SCALE:
        unit = c if column.startswith("expression") else 1
        np.testing.assert_allclose(
            after[column], unit * before[column], rtol=1e-5, atol=1e-7 * unit
        )
    assert _found(c * x[OLD], c * x[NEW]) is None
    assert _found(c * x[OLD], 100 * c * x[NEW]) is not None


@pytest.mark.parametrize("at_once", [7, 256])
def test_columns_are_what_they_are_called(at_once, monkeypatch):
    monkeypatch.setattr("grnrep._values._SCALED_AT_ONCE", at_once)
    x = LOGS[OLD].astype(np.float32)
    x[:, 0] = 0
    table = _table(x)
    np.testing.assert_allclose(table["expression_mean"], x.mean(0), rtol=1e-5)
    np.testing.assert_allclose(table["expression_sd"], x.std(0), atol=1e-4)
    np.testing.assert_allclose(table["share_zero"], (x == 0).mean(0))
    assert not table["share_negative"].any()
    assert np.isnan(table["expression_size"].iloc[0])
    for gene in range(1, 20):
        there = np.sort(x[x[:, gene] > 0, gene])
        assert table["expression_size"].iloc[gene] == there[(len(there) - 1) // 2]


@pytest.mark.parametrize("form", ["memory", "h5ad"])
def test_transform_warns_and_keeps_what_the_fit_had(small, tmp_path, caplog, form):
    data, net = small(n_obs=90)
    adata, new = data[:60].copy(), data[60:].copy()
    gr.tl.fit(adata, net, progress=False)
    table = adata.uns["grnrep"]["genes"]
    new.X = 100 * new.X
    if form == "h5ad":
        new.write_h5ad(tmp_path / "new.h5ad")
        new = ad.read_h5ad(tmp_path / "new.h5ad", backed="r")
    out = gr.tl.transform(new, adata, progress=False, copy=True)
    (message,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert message.startswith("transform: new.X is not on the scale of the fit: values are ")
    assert 50 < float(message.split("values are ")[1].split(" times")[0]) < 200
    pd.testing.assert_frame_equal(out.uns["grnrep"]["genes"], table)


def test_a_fit_that_kept_no_scale_is_read(small, caplog):
    data, net = small(n_obs=90)
    adata, new = data[:60].copy(), data[60:].copy()
    gr.tl.fit(adata, net, progress=False)
    adata.uns["grnrep"]["genes"] = adata.uns["grnrep"]["genes"].drop(columns=list(SCALE))
    new.X = 100 * new.X
    gr.tl.transform(new, adata, progress=False)
    assert "scale" not in caplog.text


def test_counts_have_no_scale_of_their_own(small, caplog):
    data, net = small(n_obs=90)
    data.X = np.random.default_rng(0).poisson(5 * data.X).astype(np.float32)
    adata, new = data[:60].copy(), data[60:].copy()
    gr.tl.fit(adata, net, likelihood="poisson", max_iter=10, progress=False)
    new.X = 100 * new.X
    gr.tl.transform(new, adata, progress=False)
    assert "scale" not in caplog.text


def test_blood_cells_by_type_and_one_by_one_pass():
    path = Path(os.environ.get("GRNREP_DATA_DIR", "lost")) / "pbmc" / "pbmc3k_subset160.h5ad"
    if not path.exists():
        pytest.skip(f"{path} is missing")
    adata = ad.read_h5ad(path)
    x, kinds = adata.X, adata.obs["cell_type"].to_numpy()
    x = np.asarray(x.todense() if sp.issparse(x) else x, dtype=np.float32)[:, ::3]
    for kind in np.unique(kinds):
        table = _table(x[kinds != kind])
        assert another_scale(table, *_opened(x[kinds == kind])) is None
        for cell in np.flatnonzero(kinds == kind)[:4]:
            assert another_scale(table, *_opened(x[[cell]])) is None
        assert another_scale(table, *_opened(np.expm1(x[kinds == kind]))) is not None
