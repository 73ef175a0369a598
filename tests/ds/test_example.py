from importlib import import_module

import numpy as np
import pandas as pd
import pytest

from grnrep.ds import example, simulate


def test_example_is_what_its_parameters_simulate():
    adata, net = example()
    params = {
        key: getattr(value, "item", lambda v=value: v)()
        for key, value in adata.uns["simulation"]["params"].items()
    }
    again, net_again = simulate(**params)
    np.testing.assert_allclose(adata.X, again.X, rtol=1e-5, atol=1e-6)
    pd.testing.assert_frame_equal(adata.obsm["true_activity"], again.obsm["true_activity"])
    pd.testing.assert_frame_equal(net, net_again)
    pd.testing.assert_frame_equal(adata.uns["simulation"]["network"], net)


def test_example_matches_its_description():
    adata, net = example()
    assert adata.shape == (250, 300)
    assert set(net["source"]) == set(adata.obsm["true_activity"].columns)
    assert len(set(net["source"])) == 30
    assert set(net["target"]) <= set(adata.var_names)
    assert adata.uns["simulation"]["params"]["noise_sd"] == 0.2


def test_missing_files_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(
        import_module("grnrep.io.packaged"),
        "__file__",
        str(tmp_path / "grnrep" / "io" / "packaged.py"),
    )
    with pytest.raises(FileNotFoundError, match=r"example.h5ad is in none of"):
        example()
