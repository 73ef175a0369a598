"""Mistakes in Python: what docs/mistakes.md says is said, and the AnnData stays as it was."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest
from mistakes import mistakes

import grnrep as gr

ROWS = mistakes("In Python")


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_what_is_said_in_python(small, digest, caplog, row):
    adata, net = small()
    before = digest(adata)
    names = {"gr": gr, "np": np, "pd": pd, "adata": adata, "net": net}
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
    assert digest(adata) == before


def test_rows_differ():
    assert len({row.call for row in ROWS}) == len({row.done for row in ROWS}) == len(ROWS)
