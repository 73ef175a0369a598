"""Units of expression: the same answer in any, or an error."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import grnrep as gr

FIT = {"ridge": 0.01, "max_iter": 10, "progress": False, "copy": True}


@settings(deadline=None, max_examples=6, derandomize=True)
@given(
    exponent=st.integers(-30, 30),
    signed=st.booleans(),
    intercept=st.booleans(),
    dtype=st.sampled_from("fd"),
)
@example(exponent=38, signed=True, intercept=False, dtype="f")
@example(exponent=300, signed=True, intercept=False, dtype="d")
@example(exponent=12, signed=False, intercept=True, dtype="f")
@example(exponent=-12, signed=True, intercept=False, dtype="d")
def test_any_unit_gives_the_same_answer_or_an_error(small, exponent, signed, intercept, dtype):
    adata, net = small(n_obs=20)
    options = FIT | {"sign_shrinkage": 0.1 * signed, "intercept": intercept}
    before = gr.tl.fit(adata, net, **options)
    unit = 10.0**exponent
    with np.errstate(over="ignore"):
        adata.X = (adata.X.astype(np.float64) * unit).astype(dtype)
    try:
        after = gr.tl.fit(adata, net, **options)
    except ValueError as error:
        assert abs(exponent) > 11
        message = str(error)
    else:
        assert abs(exponent) < 13
        projected = gr.tl.transform(adata, after, progress=False, copy=True)
        z = before.obsm["grnrep"].to_numpy()
        for fit in (after, projected):
            scaled = fit.obsm["grnrep"].to_numpy(np.float64) / unit
            np.testing.assert_allclose(scaled, z, atol=2e-3 * np.abs(z).max())
        weights = [fit.varm["grnrep"].toarray() for fit in (before, after)]
        np.testing.assert_allclose(*weights, atol=1e-3)
        assert after.uns["grnrep"]["params"]["likelihood"] == "tobit"
        return
    assert message.startswith(
        ("adata.X must have a root mean square from 1e-12 to 1e+12", "adata.X must be finite")
    )


@pytest.mark.parametrize("unit", [1e30, 1e-25])
def test_new_cells_in_a_unit_that_cannot_be_summed_are_refused(small, refuses, unit):
    adata, net = small()
    fitted = gr.tl.fit(adata, net, **FIT | {"sign_shrinkage": 0.1, "intercept": False})
    adata.X = adata.X * np.float32(unit)
    with refuses(ValueError, "new.X must have a root mean square", "another unit", adata=adata):
        gr.tl.transform(adata, fitted, progress=False)


@pytest.mark.parametrize("exponent", [7, 8, 10, 11])
def test_values_too_large_to_have_fractions_are_no_counts(small, exponent):
    adata, net = small()
    adata.X = adata.X * np.float32(10.0**exponent)
    out = gr.tl.fit(
        adata, net[["source", "target"]], **FIT | {"sign_shrinkage": 0.0, "max_iter": 2}
    )
    assert out.uns["grnrep"]["params"]["likelihood"] == "tobit"
