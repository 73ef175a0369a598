"""Cells to learn from, drawn with as many of every kind."""

from importlib import import_module

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import grnrep as gr
from grnrep.rows.blocks import Blocks
from grnrep.tl import _choose
from grnrep.tl._data import Sample, in_turn

GIVEN = {"ridge": 1e-3, "sign_shrinkage": 0.3, "intercept": False}  # it is cells that are chosen


def test_kinds_take_turns_until_they_are_used_up():
    rng = np.random.default_rng(0)
    strata = rng.permutation(np.repeat([0, 1, 2], [60, 25, 5]))
    draw = rng.permutation(90)
    taken = in_turn(draw, strata)
    assert sorted(taken) == list(range(90))
    for n, expected in {15: [5, 5, 5], 35: [15, 15, 5], 75: [45, 25, 5]}.items():
        assert np.bincount(strata[taken[:n]]).tolist() == expected
    for kind in range(3):  # each in the order of the draw
        assert taken[strata[taken] == kind].tolist() == draw[strata[draw] == kind].tolist()
    assert in_turn(draw, None) is draw


@pytest.fixture
def adata_net():
    adata, net = gr.ds.simulate(300, 60, n_regulators=5, connectivity=0.3, noise_sd=0.1, rng=0)
    kind = np.where(np.arange(300) % 30 == 0, "rare", "common")
    adata.obs["kind"] = pd.Categorical(kind)
    return adata, net


def _learned_from(monkeypatch, adata, net, **options):
    """Names of the cells that the decoder was learned from."""
    found, choose = [], _choose.choose

    def seen(*args, **more):
        found.append(choose(*args, **more))
        return found[0]

    monkeypatch.setattr(import_module("grnrep.tl._run"), "choose", seen)
    gr.tl.fit(adata, net, max_cells=20, progress=False, **GIVEN, **options)
    return adata.obs_names[found[0].sample.rows]


def test_rare_cells_are_learned_from_and_order_does_not_matter(adata_net, monkeypatch):
    adata, net = adata_net
    names = _learned_from(monkeypatch, adata, net, stratify="kind")
    assert adata.obs.loc[names, "kind"].value_counts().to_dict() == {"rare": 10, "common": 10}
    assert adata.uns["grnrep"]["params"]["stratify"] == "kind"
    other = adata[np.random.default_rng(1).permutation(300)].copy()
    assert sorted(_learned_from(monkeypatch, other, net, stratify="kind")) == sorted(names)
    pd.testing.assert_frame_equal(other.obsm["grnrep"].loc[adata.obs_names], adata.obsm["grnrep"])
    gr.tl.fit(adata, net, max_cells=20, progress=False, **GIVEN)
    assert "stratify" not in adata.uns["grnrep"]["params"]


def test_data_that_were_opened_lazily(adata_net, tmp_path):
    pytest.importorskip(
        "xarray", reason="data are opened lazily with xarray, of the extra grnrep[dask]"
    )
    adata, net = adata_net
    adata.write_h5ad(tmp_path / "data.h5ad")
    lazy = ad.experimental.read_lazy(tmp_path / "data.h5ad")
    for one in (adata, lazy):
        gr.tl.fit(one, net, max_cells=40, stratify="kind", progress=False, **GIVEN)
    found = pd.DataFrame(lazy.obsm["grnrep"], lazy.obs_names, adata.obsm["grnrep"].columns)
    pd.testing.assert_frame_equal(found, adata.obsm["grnrep"], check_dtype=False, atol=1e-4)


@pytest.mark.parametrize(
    ("value", "error", "says"),
    [
        ("nothing", KeyError, "stratify='nothing' is not in adata.obs; columns there: .*kind"),
        (3, TypeError, "stratify must be the name of a column"),
        ("number", TypeError, "must be categories; found float64"),
        ("holes", ValueError, "lacks a value for 2 of the cells"),
    ],
)
def test_what_cannot_be_used(adata_net, value, error, says):
    adata, net = adata_net
    adata.obs["number"] = 0.5
    adata.obs["holes"] = [None, None, *["a"] * 298]
    with pytest.raises(error, match=says):
        gr.tl.fit(adata, net, stratify=value, progress=False)
    assert "grnrep" not in adata.uns


def test_cells_of_a_sample_are_read_once_whatever_size_is_settled_on(monkeypatch):
    values = np.random.default_rng(0).random((40, 6), dtype=np.float32)
    blocks = Blocks.of(ad.AnnData(values), np.arange(6), n_rows=8)
    draw = np.random.default_rng(1).permutation(40)
    none = Sample(draw, draw[:0], values[:0], draw[:0], values[:0])
    whole = none.resized(blocks, 25)
    monkeypatch.setattr(Blocks, "take", lambda *_: pytest.fail("they are read again"))
    for n in (25, 10, 1):
        some = whole.resized(blocks, n)
        assert set(some.rows) == set(blocks.order[draw[:n]])
        np.testing.assert_array_equal(some.x, values[some.rows])
        assert some.settled().read.size == 0
