"""Activities by pseudo-inverse against least squares, cell by cell."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.linalg import lstsq
from scipy.sparse import csr_matrix

from grnrep.validation import tfa_activity


@pytest.fixture
def example():
    """Noisy data of a signed network, names in no particular order, and the matrix of its signs."""
    rng = np.random.default_rng(0)
    genes = [f"g{i}" for i in rng.permutation(40)]
    cells = [f"c{k}" for k in rng.permutation(7)]
    sign = pd.DataFrame(
        rng.choice([-1.0, 0.0, 1.0], size=(40, 4), p=[0.2, 0.6, 0.2]),
        index=genes,
        columns=list("DACB"),
    )
    x = rng.normal(size=(7, 4)) @ sign.to_numpy().T + rng.normal(size=(7, 40))
    adata = AnnData(
        x.astype(np.float32), obs=pd.DataFrame(index=cells), var=pd.DataFrame(index=genes)
    )
    return (
        adata,
        edges_of(sign, magnitude=rng.uniform(0.5, 3.0, size=int((sign != 0).sum().sum()))),
        sign,
    )


def edges_of(sign: pd.DataFrame, magnitude: np.ndarray | float = 1.0) -> pd.DataFrame:
    gene, regulator = np.nonzero(sign.to_numpy())
    return pd.DataFrame(
        {
            "source": sign.columns[regulator],
            "target": sign.index[gene],
            "weight": sign.to_numpy()[gene, regulator] * magnitude,
        }
    )


def oracle(adata: AnnData, prior: pd.DataFrame) -> pd.DataFrame:
    """Least squares of least norm, one cell at a time."""
    expression = adata.to_df()[prior.index].astype("float64")
    found = {
        cell: lstsq(prior.to_numpy(), values.to_numpy())[0]
        for cell, values in expression.iterrows()
    }
    return pd.DataFrame.from_dict(found, orient="index", columns=prior.columns)


def check(
    found: pd.DataFrame, adata: AnnData, prior: pd.DataFrame, *, tolerance: float = 1e-6
) -> None:
    expected = oracle(adata, prior)
    assert list(found.index) == list(adata.obs_names)
    assert list(found.columns) == sorted(prior.columns)
    np.testing.assert_allclose(
        found[prior.columns], expected.loc[found.index], rtol=0, atol=tolerance
    )


def test_every_cell_is_a_regression_on_the_signs_alone(example):
    adata, net, sign = example
    check(tfa_activity(adata, net), adata, sign)


@pytest.mark.parametrize("unknown", [0.0, np.nan])
def test_unknown_signs_count_as_activating(example, unknown):
    adata, net, sign = example
    check(tfa_activity(adata, net[["source", "target"]]), adata, sign.abs())
    some = sign.copy()
    some["A"] = some["A"].abs()
    net.loc[net["source"] == "A", "weight"] = unknown
    check(tfa_activity(adata, net), adata, some)


def test_regulators_with_the_same_targets_share(example):
    adata, net, sign = example
    twin = net[net["source"] == "A"].assign(source="A2")
    both = pd.concat([net, twin], ignore_index=True)
    found = tfa_activity(adata, both)
    check(found, adata, sign.assign(A2=sign["A"]))
    np.testing.assert_allclose(found["A"], found["A2"], atol=1e-9)
    np.testing.assert_allclose(found["A"] + found["A2"], tfa_activity(adata, net)["A"], atol=1e-9)


def test_more_regulators_than_genes(example):
    adata, net, sign = example
    few = adata[:, [(sign != 0).sum(axis=1).idxmax()]].copy()
    prior = sign.loc[few.var_names]
    prior = prior.loc[:, (prior != 0).any()]
    assert prior.shape[1] > prior.shape[0]
    check(tfa_activity(few, net), few, prior)


def test_order_format_and_layer_change_nothing_and_nothing_is_written(example, digest):
    adata, net, _ = example
    before, found = digest(adata), tfa_activity(adata, net)
    assert digest(adata) == before
    turned = tfa_activity(adata[::-1, ::-1].copy(), net.iloc[::-1])
    assert list(turned.index) == list(adata.obs_names[::-1])
    pd.testing.assert_frame_equal(turned.loc[found.index], found)
    other = AnnData(obs=adata.obs, var=adata.var, layers={"sparse": csr_matrix(adata.X)})
    pd.testing.assert_frame_equal(tfa_activity(other, net, layer="sparse"), found)


def test_a_gene_or_cell_more_changes_nothing(example):
    adata, net, _ = example
    found = tfa_activity(adata, net)
    wider = AnnData(adata.to_df().assign(unregulated=np.float32(100)))
    pd.testing.assert_frame_equal(tfa_activity(wider, net), found)
    pd.testing.assert_frame_equal(tfa_activity(adata[:1].copy(), net), found.iloc[:1])


def test_regulator_without_a_target_is_left_out(example):
    adata, net, _ = example
    lost = pd.DataFrame({"source": ["E"], "target": ["elsewhere"], "weight": [1.0]})
    found = tfa_activity(adata, pd.concat([net, lost], ignore_index=True))
    pd.testing.assert_frame_equal(found, tfa_activity(adata, net))


def test_bad_input_is_named(example):
    adata, net, _ = example
    with pytest.raises(TypeError, match="adata must be an AnnData; found DataFrame"):
        tfa_activity(adata.to_df(), net)
    with pytest.raises(ValueError, match="net must have columns 'source' and 'target'"):
        tfa_activity(adata, net.rename(columns={"source": "TF"}))
    with pytest.raises(KeyError, match="counts"):
        tfa_activity(adata, net, layer="counts")
    adata.X[0, adata.var_names.get_loc(net["target"].iloc[0])] = np.nan
    with pytest.raises(ValueError, match=r"adata\.X must be finite; found 1 NaN"):
        tfa_activity(adata, net)
