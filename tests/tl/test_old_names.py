"""Options as 0.1.0 named them go on for one release, with a warning that says what to write."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import grnrep as gr
from grnrep.core.posterior import sample

pytestmark = pytest.mark.usefixtures("quick_choices")

QUICK = {"ridge": 0.1, "max_iter": 3, "progress": False, "copy": True}


@pytest.fixture
def pair(small):
    adata, net = small()
    centred = adata.copy()
    centred.X = centred.X - centred.X.mean(axis=0)
    return adata, centred, net


def same(one, other):
    for part in ("network", "genes", "regulators"):
        pd.testing.assert_frame_equal(one.uns["grnrep"][part], other.uns["grnrep"][part])
    assert one.uns["grnrep"]["params"] == other.uns["grnrep"]["params"]


@pytest.mark.parametrize(
    ("old", "new", "centred", "says"),
    [
        ({"link": "relu"}, {"likelihood": "tobit"}, False, "write likelihood='tobit'"),
        ({"link": "identity"}, {"likelihood": "gaussian"}, False, "write likelihood='gaussian'"),
        ({"link": "auto"}, {"likelihood": "auto"}, False, "leave out link='auto'"),
        (
            {"link": "auto", "likelihood": "gaussian"},
            {"likelihood": "tobit"},
            False,
            "likelihood='gaussian' now has the identity link",
        ),
        (
            {"link": "auto", "likelihood": "gaussian"},
            {"likelihood": "gaussian"},
            True,
            "likelihood='gaussian' now has the identity link",
        ),
        ({"prior": 0.3}, {"sign_shrinkage": 0.3}, False, "write sign_shrinkage"),
        ({"solver": "exact"}, {}, False, "leave out solver='exact'"),
        (
            {"likelihood": "gaussian", "prior": 0.0},
            {"likelihood": "tobit", "sign_shrinkage": 0.0},
            False,
            "write likelihood='tobit'",
        ),
    ],
    ids=str,
)
def test_an_old_name_means_what_it_meant(pair, old, new, centred, says):
    adata, net = pair[int(centred)], pair[2]
    with pytest.warns(FutureWarning, match=says) as caught:
        before = gr.tl.fit(adata, net, **QUICK | old)
    assert [warning.filename for warning in caught] == [__file__]
    same(before, gr.tl.fit(adata, net, min_targets=1, **QUICK | new))


def test_the_recipe_is_a_verb(pair):
    adata, _, net = pair
    options = {"progress": False, "copy": True, "rng": 1}
    with pytest.warns(FutureWarning, match=r"solver='gradient' is now the verb .*fit_gradient"):
        before = gr.tl.fit(adata, net, solver="gradient", epochs=2, repair=False, **options)
    same(before, gr.tl.fit_gradient(adata, net, epochs=2, min_targets=1, **options))


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"solver": "adam"}, ValueError, "'exact', 'gradient'; found 'adam'"),
        ({"link": "softmax"}, ValueError, "'auto', 'relu', 'identity'; found 'softmax'"),
        ({"likelihood": "nb", "link": "relu"}, ValueError, "leave out link='relu'"),
        ({"prior": 0.1, "sign_shrinkage": 0.1}, TypeError, "leave out prior"),
        ({"epochs": 3}, ValueError, "epochs is an option of solver='gradient' only"),
        (
            {"solver": "gradient", "max_iter": 3},
            ValueError,
            "max_iter is an option of solver='exact'",
        ),
        ({"solver": "gradient", "ridge": 0.1}, ValueError, "ridge is an option of solver='exact'"),
        (
            {"solver": "gradient", "repair": True},
            ValueError,
            "repair is an option of solver='exact'",
        ),
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_what_0_1_0_refused_is_refused(pair, refuses, options, error, says):
    adata, _, net = pair
    with refuses(error, says, adata=adata):
        gr.tl.fit(adata, net, progress=False, **options)


@pytest.mark.parametrize("centred", [False, True])
def test_gaussian_of_values_that_are_never_negative_is_spoken_of(pair, caplog, centred):
    gr.tl.fit(pair[int(centred)], pair[2], likelihood="gaussian", **QUICK)
    assert ("which is now likelihood='tobit'" in caplog.text) is not centred


def test_records_of_0_1_0_are_read(pair, tmp_path):
    """They have a link beside the likelihood, and prior for sign_shrinkage."""
    adata, centred, net = pair
    for data, link in ((adata, "relu"), (centred, "identity")):
        fitted = gr.tl.fit(data, net, intercept=True, **QUICK | {"sign_shrinkage": 0.1})
        wanted = gr.tl.transform(data, fitted, progress=False, copy=True)
        params = dict(fitted.uns["grnrep"]["params"])
        params |= {"likelihood": "gaussian", "link": link, "prior": params.pop("sign_shrinkage")}
        params["shared_prior"] = params.pop("sign_shrinkage_shared")
        old = fitted.copy()
        old.uns["grnrep"]["params"] = params
        gr.io.save(old, tmp_path / f"{link}.zarr")
        found = gr.tl.transform(
            data, gr.io.load(tmp_path / f"{link}.zarr"), progress=False, copy=True
        )
        pd.testing.assert_frame_equal(found.obsm["grnrep"], wanted.obsm["grnrep"])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sample, "_FEWEST", 4)
            patch.setattr(sample, "_CELLS", 60)
            both = [gr.tl.posterior(fit, progress=False, copy=True) for fit in (old, fitted)]
        same(*both)
        reconstruction = [gr.metrics.reconstruction(fit) for fit in (old, fitted)]
        pd.testing.assert_frame_equal(*reconstruction)
    assert not np.allclose(*(gr.metrics.reconstruction(fit)["mse"] for fit in (both[0], fitted)))
