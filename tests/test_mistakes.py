"""Mistakes in Python: what docs/mistakes.md says is said, and the AnnData stays as it was."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest
from mistakes import mistakes

import grnrep as gr

ROWS = mistakes("In Python")


@pytest.fixture(scope="module")
def fits(small):
    """What the page calls so: cells with a fit, counts with one, and an estimator that was fitted."""
    options = {"ridge": 0.1, "sign_shrinkage": 0.0, "max_iter": 2, "progress": False}
    (fitted, net), (counted, _) = small(), small()
    few = pd.DataFrame({"source": "Few", "target": fitted.var_names[:2]})
    gr.tl.fit(fitted, pd.concat([net, few]), **options)
    fitted.obs["state"] = ["ill", "well"] * 30
    counted.X = np.round(counted.X)
    gr.tl.fit(counted, net, likelihood="poisson", **options)
    decoder = gr.SparseDecoder(net, **{k: v for k, v in options.items() if k != "progress"})
    table = fitted.to_df()
    return {"fitted": fitted, "counted": counted, "decoder": decoder.fit(table), "table": table}


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """No network, and nothing that was downloaded before."""

    def unreachable(*args, **options):
        raise OSError("Network is unreachable")

    monkeypatch.setattr("socket.getaddrinfo", unreachable)
    monkeypatch.setattr("pooch.os_cache", lambda name: tmp_path / "cache")
    monkeypatch.delenv("GRNREP_DATA_DIR", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_what_is_said_in_python(small, fits, digest, caplog, row):
    adata, net = small()
    before = [digest(each) for each in (adata, fits["fitted"], fits["counted"])]
    names = {"gr": gr, "np": np, "pd": pd, "adata": adata, "net": net, **fits}
    with caplog.at_level(logging.WARNING, logger="grnrep"):
        if row.said.startswith("warning: "):
            exec(row.call, names)
            said = [f"warning: {record.getMessage()}" for record in caplog.records]
        else:
            with pytest.raises(Exception) as caught:  # noqa: PT011  whichever; it is compared
                exec(row.call, names)
            error = caught.value
            text = error.args[0] if isinstance(error, KeyError) else error  # which adds quotes
            said = [f"{type(error).__name__}: {text}"]
    assert any(map(row.matches, said)), "\n".join(said)
    assert [digest(each) for each in (adata, fits["fitted"], fits["counted"])] == before


def test_rows_differ():
    assert len({row.call for row in ROWS}) == len({row.done for row in ROWS}) == len(ROWS)
