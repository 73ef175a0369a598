"""What a fit kept may have been edited: it is a decoder, or one error of ours says why not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import grnrep as gr

PARTS = {"network", "regulators", "genes", "params", "covariates", "covariate_effects"}


@pytest.fixture(scope="module")
def fits(small):
    """Fits with all that a record can have, of new cells too."""
    data, net = small(n_obs=90)
    data.obs["batch"] = pd.Categorical(np.where(np.arange(90) % 3, "one", "two"))
    counts = data.copy()
    counts.X = np.random.default_rng(0).poisson(5 * data.X).astype(np.float32)
    out = []
    for adata, options in (
        (data, {"covariates": "batch", "ridge": 1e-3, "prior": 0.3}),
        (counts, {"likelihood": "nb"}),
    ):
        old, new = adata[:60].copy(), adata[60:].copy()
        gr.tl.fit(old, net, max_iter=10, progress=False, **options)
        out.append((old, new, _activity(new, old)))
    return out


def _activity(new, adata):
    return gr.tl.transform(new, adata, progress=False, copy=True).obsm["grnrep"]


def _with(adata, part, value):
    edited = adata.copy()
    edited.uns["grnrep"][part] = value
    return edited


# name of the part, how it is edited, and what the message says
EDITS = {
    "NaN weight": (
        "network",
        lambda t: t.assign(learned=np.nan),
        "'learned' in 'network' must be finite",
    ),
    "infinite weight": ("network", lambda t: t.assign(learned=np.inf), "first inf"),
    "absurd weight": ("network", lambda t: t.assign(learned=1e300), "first 1e+300"),
    "weights as text": (
        "network",
        lambda t: t.assign(learned="1"),
        "must be numbers; found dtype object",
    ),
    "complex weight": (
        "network",
        lambda t: t.assign(learned=1j),
        "must be numbers; found dtype complex",
    ),
    "no weights": (
        "network",
        lambda t: t.drop(columns="learned"),
        "'network' lacks the column 'learned'",
    ),
    "unknown gene": (
        "network",
        lambda t: t.assign(target="X9"),
        "a target that is not among its genes",
    ),
    "unknown regulator": (
        "network",
        lambda t: t.assign(source="X9"),
        "not among its regulators: 'X9'",
    ),
    "numbers for names": (
        "network",
        lambda t: t.assign(target=3),
        "'target' in 'network' must be texts",
    ),
    "an edge twice": (
        "network",
        lambda t: pd.concat([t, t[:1]]),
        "an edge is in its 'network' twice",
    ),
    "a column twice": ("network", lambda t: pd.concat([t, t], axis=1), "has a column twice"),
    "no edges": ("network", lambda t: t[:0], "'network' must be a table with rows"),
    "edges as a dict": ("network", dict, "'network' must be a table with rows; found dict"),
    "a gene twice": ("genes", lambda t: pd.concat([t, t[:1]]), "'genes' has a name twice"),
    "genes by number": (
        "genes",
        lambda t: t.reset_index(drop=True),
        "'genes' must be named by texts",
    ),
    "NaN intercept": (
        "genes",
        lambda t: t.assign(intercept=np.nan),
        "'intercept' in 'genes' must be finite",
    ),
    "no intercept": (
        "genes",
        lambda t: t.drop(columns="intercept"),
        "lacks the column 'intercept'",
    ),
    "scale as text": (
        "genes",
        lambda t: t.assign(expression_size="1"),
        "'expression_size' in 'genes'",
    ),
    "negative ridge": (
        "regulators",
        lambda t: t.assign(ridge=-1.0),
        "'ridge' in 'regulators' must be",
    ),
    "a regulator missing": (
        "regulators",
        lambda t: t[1:],
        "a source that is not among its regulators",
    ),
    "params as a list": ("params", list, "'params' must be a mapping; found list"),
    "no likelihood": (
        "params",
        lambda p: {n: v for n, v in p.items() if n != "likelihood"},
        "'params' lacks 'likelihood'",
    ),
    "odd link": (
        "params",
        lambda p: p | {"link": "tanh", "likelihood": "gaussian"},
        "params['link'] must be one of 'relu'",
    ),
    "link of counts": (
        "params",
        lambda p: p | {"link": "softplus", "likelihood": "gaussian"},
        "cannot be 'softplus' of likelihood",
    ),
    "a link beside a likelihood that has one": (
        "params",
        lambda p: p | {"link": "relu", "likelihood": "tobit"},
        "params['likelihood'] must be one of",
    ),
    "odd likelihood": (
        "params",
        lambda p: p | {"likelihood": ["nb"]},
        "params['likelihood'] must be one of",
    ),
    "odd intercept": (
        "params",
        lambda p: p | {"intercept": "yes"},
        "params['intercept'] must be True or",
    ),
    "odd version": ("params", lambda p: p | {"version": 3}, "params['version'] must be a version"),
    "odd inflation": (
        "params",
        lambda p: p | {"noise_inflation": "3"},
        "params['noise_inflation'] must be a number of at least 1; found '3'",
    ),
    "odd layer": (
        "params",
        lambda p: p | {"layer": None},
        "params['layer'] must be the name of a layer",
    ),
    "effects lacking": (
        "covariate_effects",
        lambda e: e[1:],
        "must be an array of 40 genes × 1 covariates",
    ),
    "NaN effects": ("covariate_effects", lambda e: e * np.nan, "not finite or absurd"),
    "odd kind": (
        "covariates",
        lambda t: t.assign(kind="odd"),
        "'kind' in its 'covariates' must be",
    ),
    "no scale": (
        "covariates",
        lambda t: t.assign(scale=0.0),
        "'scale' in 'covariates' must be finite",
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edited_record_is_refused(fits, refuses, tmp_path, name):
    adata, new = fits[0][0], fits[0][1].copy()
    part, edit, message = EDITS[name]
    edited = _with(adata, part, edit(adata.uns["grnrep"][part]))
    with refuses(
        ValueError, "adata.uns['grnrep'] is no decoder", message, "grnrep.tl.fit", adata=new
    ):
        gr.tl.transform(new, edited, progress=False)
    with refuses(ValueError, "adata.uns['grnrep'] is no decoder", adata=adata):
        gr.io.save(edited, tmp_path / "model.zarr")
    assert not (tmp_path / "model.zarr").exists()


@pytest.mark.parametrize(
    ("part", "edit", "message"),
    [
        (
            "params",
            lambda p: p | {"depth": 0.0},
            "params['depth'] must be a number above 0; found 0.0",
        ),
        (
            "params",
            lambda p: p | {"depth": "9"},
            "params['depth'] must be a number above 0; found '9'",
        ),
        ("genes", lambda t: t.drop(columns="mean"), "'genes' lacks the column 'mean'"),
        ("genes", lambda t: t.assign(softness=0.0), "'softness' in 'genes' must be finite"),
        ("genes", lambda t: t.drop(columns="dispersion"), "'genes' lacks the column 'dispersion'"),
    ],
)
def test_an_edited_record_of_counts_is_refused(fits, refuses, part, edit, message):
    adata, new = fits[1][0], fits[1][1].copy()
    edited = _with(adata, part, edit(adata.uns["grnrep"][part]))
    with refuses(ValueError, message, adata=new):
        gr.tl.transform(new, edited, progress=False)


@pytest.mark.parametrize("part", ["params", "genes", "regulators"])
def test_a_record_without_a_part_is_refused(fits, refuses, part):
    adata, new = fits[0][0], fits[0][1].copy()
    edited = adata.copy()
    del edited.uns["grnrep"][part]
    with refuses(
        KeyError, f"adata.uns['grnrep'] lacks '{part}'", "Run grnrep.tl.fit again", adata=new
    ):
        gr.tl.transform(new, edited, progress=False)


@pytest.mark.parametrize("version", ["9.1.0", "0.999.0.dev3", "1.0rc1"])
def test_a_record_of_a_later_version_is_refused(fits, refuses, version):
    adata, new = fits[0][0], fits[0][1].copy()
    edited = _with(adata, "params", adata.uns["grnrep"]["params"] | {"version": version})
    message = f"it was written by grnrep {version}; this is {gr.__version__}"
    with refuses(ValueError, message, "Update grnrep", adata=new):
        gr.tl.transform(new, edited, progress=False)


def test_earlier_records_and_other_patches_are_read(fits):
    adata, new, wanted = fits[0]
    params = dict(adata.uns["grnrep"]["params"])
    later = ".".join(gr.__version__.split(".")[:2]) + ".999"
    for version in (later, "0.0.1", None):
        edited = _with(adata, "params", params | {"version": version})
        if version is None:
            del edited.uns["grnrep"]["params"]["version"]
        np.testing.assert_array_equal(_activity(new, edited), wanted)


def test_order_and_unused_columns_do_not_matter(fits):
    adata, new, wanted = fits[0]
    edited = adata.copy()
    record = edited.uns["grnrep"]
    edges = record["network"][::-1]
    record["network"] = edges.assign(note="x", weight=np.inf * np.sign(edges["weight"]))
    record["regulators"] = record["regulators"][["ridge"]]
    record["genes"] = record["genes"][["intercept"]]
    np.testing.assert_allclose(_activity(new, edited), wanted, atol=1e-6)


ODD = [
    np.nan,
    np.inf,
    -np.inf,
    -1.0,
    0.0,
    1e-300,
    1e17,
    1e300,
    3,
    True,
    None,
    "",
    "x",
    b"x",
    (),
    [],
    {},
    1j,
]


@st.composite
def edited_records(draw, record):
    """A record in which one to three things are no longer as a fit wrote them."""
    record = dict(record)
    for _ in range(draw(st.integers(1, 3))):
        part = draw(st.sampled_from(sorted(PARTS & set(record))))
        value, odd = record[part], draw(st.sampled_from(ODD))
        if isinstance(value, pd.DataFrame) and len(value) and draw(st.booleans()):
            value, column = value.copy(), draw(st.sampled_from(list(value.columns)))
            row = draw(st.sampled_from([0, len(value) // 2, len(value) - 1]))
            cells = value[column].astype(object).to_list()
            cells[row] = odd
            kind = value[column].dtype
            value[column] = pd.Series(cells, index=value.index, dtype=object).infer_objects()
            if draw(st.booleans()) and isinstance(odd, float) and kind.kind == "f":
                value[column] = odd
            record[part] = value
        elif isinstance(value, pd.DataFrame) and len(value):
            edit = draw(st.sampled_from(["shuffle", "cut", "twice", "drop", "rename", "transpose"]))
            record[part] = {
                "shuffle": lambda v: v.sample(frac=1, random_state=0),
                "cut": lambda v: v[: len(v) // 2],
                "twice": lambda v: pd.concat([v, v[-1:]]),
                "drop": lambda v: v.drop(columns=v.columns[draw(st.integers(0, v.shape[1] - 1))]),
                "rename": lambda v: v.rename(index=lambda name: f"{name}x"),
                "transpose": lambda v: v.T,
            }[edit](value)
        elif isinstance(value, dict) and value:
            record[part] = value | {draw(st.sampled_from(sorted(value))): odd}
        elif isinstance(value, np.ndarray) and value.size and value.dtype.kind == "f":
            record[part] = draw(
                st.sampled_from([value[1:], value.T, value * np.nan, value.astype("U"), odd])
            )
        else:
            record[part] = odd
    return record


def _message_or_activity(new, adata):
    """The message of an error that may come, or activities."""
    try:
        return _activity(new, adata)
    except (KeyError, ValueError) as error:
        return str(error)


@settings(deadline=None, max_examples=50, derandomize=True)
@given(data=st.data())
def test_any_edited_record_gives_an_error_of_ours_or_numbers(fits, data):
    adata, new, _ = fits[data.draw(st.sampled_from([0, 0, 0, 0, 1]))]  # counts take long
    edited = adata[:0].copy()
    edited.uns["grnrep"] = data.draw(edited_records(adata.uns["grnrep"]))
    found = _message_or_activity(new[:4].copy(), edited)
    if isinstance(found, str):
        assert "uns['grnrep']" in found or "new" in found
    else:
        kept = edited.uns["grnrep"]
        assert list(found.columns) == list(kept["regulators"].index)
        assert np.isfinite(found[np.unique(kept["network"]["source"])]).all(axis=None)
