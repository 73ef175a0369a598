"""What scale.py has written before it measures: the data, and a decoder that was learned from other cells."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from _scale_clock import Clock

N_TRUTH = 10_000  # first cells, whose true activities are kept to compare with
N_OTHER = 10_000  # cells that the kept decoder is learned from
_OTHER = 1  # seed of these; the cells of the data have that of `simulate`


def simulate(job: dict, clock: Clock) -> dict:
    """Write cells, the network with signs, and the true activities of the first cells."""
    import h5py

    import grnrep as gr

    path = Path(job["data"])
    rough, part = path.with_suffix(".rough.h5ad"), path.with_suffix(".part")
    rough.unlink(missing_ok=True)
    adata, net = gr.ds.simulate(job["cells"], **_model(job), path=rough, progress=False)
    net.assign(weight=np.sign(net["weight"])).to_csv(job["net"], index=False)
    adata.obsm["true_activity"].iloc[:N_TRUTH].to_parquet(job["truth"])
    with h5py.File(rough) as source, h5py.File(part, "w") as target:
        target.attrs.update(source.attrs)
        for name in source:
            # true activities of all cells, which opening would read
            if name not in ("obsm", "uns", "raw"):
                source.copy(name, target)
    rough.unlink()
    part.rename(path)
    return clock.cost()


def learn(job: dict, clock: Clock) -> dict:
    """Write a decoder of the network of the data, learned from cells that are not in the data."""
    import grnrep as gr

    adata = other_cells(job)
    gr.tl.fit(adata, pd.read_csv(job["net"]), progress=False)
    cost = clock.cost()
    gr.io.save(adata, job["decoder"])
    return cost


def other_cells(job: dict) -> anndata.AnnData:
    """Draw cells as `gr.ds.simulate` does, with the weights and intercepts of the data and another seed.

    Larger data begin with the cells of smaller ones, so that no further rows would be others for all sizes.
    """
    import scipy.sparse as sps

    import grnrep as gr

    like, net = gr.ds.simulate(1, **_model(job), progress=False)
    genes, regulators = like.var_names, like.obsm["true_activity"].columns
    edges = genes.get_indexer(net["target"]), regulators.get_indexer(net["source"])
    shape, strength = (len(genes), len(regulators)), net["weight"].to_numpy(np.float32)
    weight = sps.csr_array((strength, edges), shape=shape)
    draw, noise = np.random.default_rng(_OTHER), like.uns["simulation"]["params"]["noise_sd"]
    activity = draw.standard_gamma(1.0, (N_OTHER, len(regulators))).astype(np.float32)
    x = (weight @ activity.T).T + like.var["true_intercept"].to_numpy()
    x += noise * draw.standard_normal(x.shape, dtype=np.float32)
    cells = pd.DataFrame(index=[f"other{i:05}" for i in range(N_OTHER)])
    return anndata.AnnData(sps.csr_matrix(x.clip(min=0)), cells, pd.DataFrame(index=genes))


def _model(job: dict) -> dict:
    """Arguments of `gr.ds.simulate`: network, weights and intercepts are the same for any number of cells."""
    n_genes, n_regulators = job["genes"], job["regulators"]
    sizes = {"n_vars": n_genes, "n_regulators": n_regulators}
    return sizes | {"connectivity": job["edges"] / (n_genes * n_regulators), "zero_fraction": 0.9}
