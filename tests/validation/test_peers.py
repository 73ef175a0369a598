"""The adapters to other methods against the regressions that define them."""

from __future__ import annotations

import sys
from importlib import import_module

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.sparse import csr_matrix
from scipy.stats import linregress

from grnrep.validation import peer_activity


@pytest.fixture
def example():
    rng = np.random.default_rng(0)
    genes, regulators = [f"g{i}" for i in range(40)], ["A", "B", "C"]
    weight = rng.choice([-1.0, 0.0, 1.0], size=(40, 3), p=[0.2, 0.6, 0.2])
    x = rng.normal(size=(6, 3)) @ weight.T + rng.normal(size=(6, 40))
    adata = AnnData(
        x, obs=pd.DataFrame(index=[f"c{k}" for k in range(6)]), var=pd.DataFrame(index=genes)
    )
    gene, regulator = np.nonzero(weight)
    net = pd.DataFrame(
        {
            "source": np.array(regulators)[regulator],
            "target": np.array(genes)[gene],
            "weight": weight[gene, regulator],
        }
    )
    return adata, net, pd.DataFrame(weight, index=genes, columns=regulators)


@pytest.fixture
def decoupler():
    return import_module("decoupler")


@pytest.mark.usefixtures("decoupler")
def test_ulm_is_the_t_value_of_one_regression(example):
    adata, net, weight = example
    found = peer_activity(adata, net, method="ulm")
    for regulator in weight:
        for k, cell in enumerate(adata.obs_names):
            line = linregress(weight[regulator], adata.X[k])
            assert found.loc[cell, regulator] == pytest.approx(line.slope / line.stderr)


@pytest.mark.usefixtures("decoupler")
def test_mlm_is_the_t_value_of_the_joint_regression(example):
    adata, net, weight = example
    found = peer_activity(adata, net, method="mlm")
    design = np.column_stack([np.ones(40), weight])
    inverse = np.linalg.inv(design.T @ design)
    coefficient = adata.X @ design @ inverse
    residual = adata.X - coefficient @ design.T
    se = np.sqrt(np.outer((residual**2).sum(axis=1) / (40 - 4), np.diag(inverse)))
    expected = pd.DataFrame(
        (coefficient / se)[:, 1:], index=adata.obs_names, columns=weight.columns
    )
    pd.testing.assert_frame_equal(found[weight.columns], expected, check_names=False)


@pytest.mark.usefixtures("decoupler")
@pytest.mark.parametrize("method", ["ulm", "mlm", "viper", "aucell"])
def test_container_and_order_of_genes_change_nothing_and_nothing_is_written(example, method):
    adata, net, _ = example
    if method == "aucell":
        adata.X = np.abs(adata.X)
    before = adata.copy()
    found = peer_activity(adata, net, method=method)
    assert list(found.index) == list(adata.obs_names)
    assert set(found.columns) == {"A", "B", "C"}
    pd.testing.assert_frame_equal(peer_activity(adata.to_df(), net, method=method), found)
    adata.layers["sparse"] = csr_matrix(adata.X)
    pd.testing.assert_frame_equal(peer_activity(adata, net, method=method, layer="sparse"), found)
    pd.testing.assert_frame_equal(
        peer_activity(adata[:, ::-1], net.iloc[::-1], method=method)[found.columns], found
    )
    np.testing.assert_array_equal(adata.X, before.X)
    assert not adata.obsm
    assert not adata.uns


@pytest.mark.usefixtures("decoupler")
@pytest.mark.parametrize("method", ["ulm", "mlm", "viper"])
def test_a_cell_of_zeros_has_no_activity(example, method):
    adata, net, _ = example
    adata.X[2] = 0
    found = peer_activity(adata, net, method=method)
    assert list(found.index) == list(adata.obs_names)
    assert (found.iloc[2] == 0).all()
    assert (found.drop(index="c2") != 0).any(axis=None)


@pytest.mark.usefixtures("decoupler")
def test_regulators_with_few_targets_are_left_out(example):
    adata, net, _ = example
    rare = pd.DataFrame({"source": "D", "target": ["g0", "g1"], "weight": 1.0})
    both = pd.concat([net, rare], ignore_index=True)
    assert "D" not in peer_activity(adata, both, min_targets=3)
    assert "D" in peer_activity(adata, both, min_targets=2)


@pytest.mark.usefixtures("decoupler")
def test_mlm_says_that_twins_cannot_be_told_apart(example):
    adata, net, _ = example
    twin = net[net["source"] == "A"].assign(source="A2")
    with pytest.raises(ValueError, match="mlm cannot tell some regulators of net apart"):
        peer_activity(adata, pd.concat([net, twin], ignore_index=True), method="mlm")


def test_without_decoupler_the_error_says_what_to_install(example, monkeypatch):
    monkeypatch.setitem(sys.modules, "decoupler", None)
    with pytest.raises(ImportError, match=r"pip install 'grnrep\[peers\]'"):
        peer_activity(*example[:2])


def test_bad_input_is_named(example):
    adata, net, _ = example
    with pytest.raises(ValueError, match=r"method must be one of .*found 'gsea'"):
        peer_activity(adata, net, method="gsea")
    with pytest.raises(KeyError, match="no layer 'counts'; there are"):
        peer_activity(adata, net, layer="counts")
    with pytest.raises(ValueError, match="layer is given, but adata is a DataFrame"):
        peer_activity(adata.to_df(), net, layer="counts")
