"""Names that meet in part, or that files cannot hold; columns of signs under other names."""

from __future__ import annotations

import logging

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import grnrep as gr
from grnrep._checks import storable

QUICK = {
    "ridge": 0.01,
    "sign_shrinkage": 0.0,
    "intercept": False,
    "max_iter": 2,
    "progress": False,
    "copy": True,
}


def _genes(adata, change):
    """Rename the genes, all but every fifth."""
    adata.var_names = [
        name if i % 5 == 0 else change(name, i) for i, name in enumerate(adata.var_names)
    ]
    return adata


def _versions(adata, net):
    ids = {name: f"ENSG{i:011d}" for i, name in enumerate(adata.var_names)}
    adata.var_names = [ids[name] for name in adata.var_names]
    return _genes(adata, lambda name, i: f"{name}.{i}"), net.replace(ids)


def _column(adata, net):
    adata.var["n"], adata.var["symbol"] = 3.0, adata.var_names
    return _genes(adata, lambda name, i: f"ENSG{i:011d}"), net


def _swapped(adata, net):
    """Regulators are genes too, as in life."""
    genes = dict(zip(net["source"].unique(), adata.var_names, strict=False))
    net = net.assign(source=net["source"].map(genes))
    return adata, net.rename(columns={"source": "target", "target": "source"})


def _transposed(adata, net):
    flipped = adata.T.copy()
    flipped.var_names = [*net["target"].unique()[:4], *flipped.var_names[4:]]
    return flipped, net


CAUSES = {
    "case": (
        lambda a, n: (_genes(a, lambda name, i: name.upper()), n),
        "40 would match but for upper and lower",
    ),
    "blanks": (
        lambda a, n: (_genes(a, lambda name, i: name + " "), n),
        "40 would match without blanks",
    ),
    "versions": (_versions, "Without the version, the part after the dot, 40 would match"),
    "column": (
        _column,
        "40 of them are in adata.var['symbol']: set adata.var_names = adata.var['symbol']",
    ),
    "swapped": (_swapped, "40 of the sources are genes: are the columns swapped?"),
    "transposed": (
        _transposed,
        "40 of them are among adata.obs_names: adata must be cells × genes",
    ),
    "other names": (
        lambda a, n: (_genes(a, lambda name, i: f"other{i}"), n),
        "Are both from the same species",
    ),
    "identifiers": (
        lambda a, n: (_genes(a, lambda name, i: f"ENSG{i:011d}"), n),
        "adata.var_names holds Ensembl IDs, net.target does not",
    ),
}


@pytest.mark.parametrize("verb", [gr.tl.fit, gr.pp.check_network])
@pytest.mark.parametrize("cause", CAUSES)
def test_names_that_meet_in_part_are_told_with_their_cause(small, caplog, cause, verb):
    change, fragment = CAUSES[cause]
    adata, net = change(*small())
    verb(adata, net, min_targets=1, **QUICK if verb is gr.tl.fit else {})
    said = [
        r.getMessage()
        for r in caplog.records
        if r.levelno == logging.WARNING and fragment in r.message
    ]
    assert len(said) == 1
    found, total = net["target"].isin(adata.var_names), len(net)
    n_found, n_targets = net["target"][found].nunique(), net["target"].nunique()
    wanted = (
        f"{n_found} of {n_targets} targets of net, with {found.sum()} of {total} edges, are among"
    )
    assert said[0].startswith(wanted)


@pytest.mark.parametrize("cause", ["swapped", "transposed"])
def test_the_cause_is_named_where_nothing_meets(fit_refuses, cause):
    change = {
        "swapped": lambda a, n: (a, n.rename(columns={"source": "target", "target": "source"})),
        "transposed": lambda a, n: (a.T.copy(), n),
    }[cause]
    fit_refuses(change, ValueError, "net has no target among adata.var_names", CAUSES[cause][1])


@pytest.mark.parametrize("cause", ["case", "blanks", "versions", "other names", "identifiers"])
@pytest.mark.parametrize("verb", [gr.tl.fit, gr.pp.check_network])
def test_the_cause_is_named_where_no_regulator_has_enough_targets(
    small, refuses, caplog, cause, verb
):
    change, fragment = CAUSES[cause]
    adata, net = change(*small())
    found = net["target"].isin(adata.var_names)
    firsts = [
        net["target"][~found].iloc[0],
        adata.var_names[~adata.var_names.isin(net["target"])][0],
    ]
    words = [fragment, "min_targets=20 targets", *map(repr, firsts)]
    with refuses(ValueError, "names of net and adata hardly match", *words, adata=adata):
        verb(adata, net, min_targets=20)
    assert "among adata.var_names" not in caplog.text  # the error has said it


@pytest.mark.parametrize("side", ["net['target']", "adata.var_names"])
def test_the_side_that_is_no_upper_case_is_named(fit_refuses, side):
    def change(adata, net):
        if side == "adata.var_names":
            return adata, net.assign(target=net["target"].str.upper())
        adata.var_names = adata.var_names.str.upper()
        return adata, net

    fit_refuses(change, ValueError, f"make both upper case, e.g. {side} = {side}.str.upper()")


@settings(deadline=None, max_examples=8, derandomize=True)
@given(n_panel=st.integers(1, 40), n_lost=st.integers(0, 500), masked=st.booleans())
def test_a_large_network_on_a_small_panel_is_no_reason_to_warn(small, n_panel, n_lost, masked):
    adata, net = small()
    lost = pd.DataFrame(
        {"source": net["source"][0], "target": [f"absent{i}" for i in range(n_lost)]}
    )
    panel, messages = adata[:, :n_panel].copy(), []
    if masked:
        panel, keep = adata, np.arange(adata.n_vars) < n_panel
    handler = logging.Handler()
    handler.emit = messages.append
    logger = logging.getLogger("grnrep")
    logger.addHandler(handler)
    try:
        wanted = pd.concat([net, lost])
        mask = keep if masked else None
        gr.tl.fit(panel, wanted, mask_var=mask, min_targets=1, **QUICK)
    finally:
        logger.removeHandler(handler)
    assert not [
        m for m in messages if m.levelno >= logging.WARNING and "targets of net" in m.getMessage()
    ]


# --- signs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["Weight", " weight", "sign", "Effect", "interaction"])
def test_a_column_that_may_hold_signs_is_named(small, caplog, column):
    adata, net = small()
    gr.tl.fit(adata, net.rename(columns={"weight": column}), **QUICK)
    assert (
        f"net has no column 'weight', so that no sign is known, but it has {column!r}"
        in caplog.text
    )
    assert f"net.rename(columns={{{column!r}: 'weight'}})" in caplog.text


def test_mor_is_the_weight_of_older_tables(small):
    adata, net = small()
    wanted, found = (
        gr.tl.fit(adata, table, **QUICK).uns["grnrep"]["network"]
        for table in (net, net.rename(columns={"weight": "mor"}))
    )
    pd.testing.assert_frame_equal(found, wanted)


def test_other_columns_are_none_of_our_business(small, caplog):
    adata, net = small()
    gr.tl.fit(adata, net.assign(mor=1.0, pmid="x"), **QUICK)
    gr.tl.fit(adata, net.drop(columns="weight").assign(p_value=0.1), **QUICK)
    assert "weight" not in caplog.text


@pytest.mark.parametrize("dtype", [bool, "boolean", object])
def test_true_and_false_are_no_signs(fit_refuses, dtype):
    fit_refuses(
        lambda a, n: (a, n.assign(weight=(n["weight"] > 0).astype(dtype))),
        TypeError,
        "net.weight must be numbers",
        "found True or False",
        "map({True: 1, False: -1})",
    )


def test_complex_numbers_are_no_signs(fit_refuses):
    fit_refuses(
        lambda a, n: (a, n.assign(weight=n["weight"] + 1j)),
        TypeError,
        "net.weight must be real numbers",
        "found complex ones",
    )


# --- what files hold ------------------------------------------------------------------------------

RESERVED = ["", ".", "..", "_index", "a/b", "a\0b", "\ud800"]
NAMES = st.one_of(st.sampled_from([*RESERVED, "__x", "index", ".a", "é", " "]), st.text(max_size=4))


@settings(deadline=None, max_examples=20, derandomize=True)
@given(name=NAMES)
def test_what_is_called_storable_comes_back_from_files(tmp_path_factory, name):
    cells = pd.DataFrame(index=["a", "b"])
    if storable(name):
        adata = ad.AnnData(
            np.ones((2, 1)), cells, obsm={name: pd.DataFrame({name: [1.0, 2.0]}, cells.index)}
        )
    elif storable(name, as_name=False):
        adata = ad.AnnData(
            np.ones((2, 1)), cells, uns={"table": pd.DataFrame({"target": [name, "b"]})}
        )
    else:
        assert set(name) & {"\0", *map(chr, range(0xD800, 0xE000))}
        return
    path = tmp_path_factory.mktemp("names") / "data.h5ad"
    adata.write_h5ad(path)
    back = ad.read_h5ad(path)
    if storable(name):
        pd.testing.assert_frame_equal(back.obsm[name], adata.obsm[name])
    else:
        assert back.uns["table"]["target"].tolist() == [name, "b"]


@pytest.mark.parametrize("name", RESERVED)
def test_regulators_and_keys_that_files_cannot_hold_are_refused_before_the_fit(fit_refuses, name):
    fit_refuses(lambda a, n: (a, n), ValueError, "key_added must be", repr(name), key_added=name)
    fit_refuses(
        lambda a, n: (a, n.replace({"source": {"TF0": name}})),
        ValueError,
        "net.source must not contain",
        f"found {name!r}. Rename",
    )


@pytest.mark.parametrize("name", ["a\0b", "\ud800"])
def test_genes_that_files_cannot_hold_are_refused_before_the_fit(fit_refuses, name):
    change = lambda a, n: (a, n.replace({"target": {n["target"][0]: name}}))  # noqa: E731
    fit_refuses(change, ValueError, "net.target must not contain NUL", f"found {name!r}")


@pytest.mark.parametrize("axis", ["obs", "var"])
@pytest.mark.parametrize("names", ["numbers", "mixed"])
def test_names_of_data_that_files_cannot_hold_are_spoken_of(small, caplog, axis, names):
    adata, net = small()
    del adata.obsm["true_activity"]
    gr.tl.fit(adata, net, **QUICK)
    assert "should be strings" not in caplog.text
    table = getattr(adata, axis)
    index = list(range(len(table))) if names == "numbers" else [1, *table.index[1:]]
    table.index = pd.Index(index, dtype=None if names == "numbers" else object)
    if axis == "var":
        net = net.assign(target=[str(adata.var_names[i % adata.n_vars]) for i in range(len(net))])
        net = net.drop_duplicates(["source", "target"])
    gr.tl.fit(adata, net, **QUICK)
    assert f"adata.{axis}_names should be strings" in caplog.text
    assert f"adata.{axis}_names = adata.{axis}_names.astype(str)" in caplog.text
