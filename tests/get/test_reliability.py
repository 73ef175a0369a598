"""Where it stands how much of an activity is the true one."""

from __future__ import annotations

import numpy as np
import pandas as pd

import grnrep as gr
from grnrep._match import match
from grnrep._record import read_decoder
from grnrep.core.reliability import reliability
from grnrep.tl import _learn


def test_it_is_of_the_cells_that_were_learned_from(monkeypatch):
    monkeypatch.setattr(_learn, "kept_by_new_cells", lambda *args, **options: 0.9)
    adata, net = gr.ds.simulate(
        80, 60, n_regulators=5, connectivity=0.2, noise_sd=1.0, rng=1, progress=False
    )
    gr.tl.fit(adata, net, progress=False)
    found = gr.get.activity(adata).var["reliability"]
    assert found.between(0, 1).all()
    decoder, z = read_decoder(adata, "grnrep"), adata.obsm["grnrep"].to_numpy(dtype=np.float64)
    zeros = (adata[:, match(net, adata, min_targets=5).genes].X == 0).mean(0)
    object.__setattr__(decoder.fit, "activity", z)
    expected = reliability(decoder.fit, decoder.network, zeros, kept=0.9)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    new = adata[:20].copy()
    gr.tl.transform(new, adata, progress=False)
    pd.testing.assert_series_equal(gr.get.activity(new).var["reliability"], found)


def test_penalised_fits_have_none(small):
    adata, net = small()
    gr.tl.fit(adata, net, ridge=0.1, sign_shrinkage=0.0, max_iter=3, progress=False)
    var = gr.get.activity(adata).var
    assert "reliability" not in var
    assert {"n_targets", "group", "sign_confidence"} <= {*var}
