"""What scale.py measures: reading, rates, grnrep, and its peers. Each takes a job and a running clock."""

from __future__ import annotations

import compileall
import dataclasses
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from _scale_clock import Clock
from _scale_data import N_TRUTH, learn, simulate

STORE_FROM = 100_000  # cells from which on activities go to disk
_READ_ROWS = 4096
_BLOCK, _ITERATIONS = 256, 20  # cells of a block of the solver, about; and what it is timed with


def read(job: dict, clock: Clock) -> dict:
    """Read the file once, block by block, and do nothing with it."""
    x, stored = anndata.read_h5ad(job["data"], backed="r").X, 0
    for start in range(0, x.shape[0], _READ_ROWS):
        stored += x[start : start + _READ_ROWS].nnz
    megabytes = Path(job["data"]).stat().st_size / 1e6
    return clock.cost() | {"stored_values": stored, "file_mb": megabytes}


def rates(job: dict, clock: Clock) -> dict:
    """CPU nanoseconds that an edge and a gene add to an iteration of a cell, on one thread.

    From a quarter and a half of the edges, so that the model predicts the whole, and not what it was made of.
    """
    import torch

    from grnrep.core.als import cells, preconditioners
    from grnrep.core.likelihoods.gaussian import Tobit
    from grnrep.core.linalg import Pattern
    from grnrep.core.network import Network

    torch.set_num_threads(1)
    net, found = pd.read_csv(job["net"]), []
    gene, regulator = (pd.factorize(net[name], sort=True)[0] for name in ("target", "source"))
    sign, shape, draw = (
        net["weight"].to_numpy(),
        (gene.max() + 1, regulator.max() + 1),
        np.random.default_rng(0),
    )
    x = torch.rand(shape[0], _BLOCK) * (torch.rand(shape[0], _BLOCK) < 0.1)
    block, start = Tobit().block(x), torch.zeros(shape[1], _BLOCK)
    for share in (4, 2):
        some = draw.permutation(len(net))[: len(net) // share]
        network = Network.from_edges(gene[some], regulator[some], sign[some], *shape)
        weight, ridge = torch.as_tensor(network.sign).float(), torch.ones(shape[1])
        solver = preconditioners.cell_solver(Pattern(network), weight, shape[1], ridge)
        solver = dataclasses.replace(solver, inverse=torch.full((shape[1], 1), 0.01))

        def call(solver=solver) -> None:
            cells.project_cells(solver, block, start, max_iter=_ITERATIONS, tol=0.0)

        found.append((network.n_edges, 1e9 * _fastest(call) / _BLOCK / _ITERATIONS))
    (few, fast), (many, slow) = found
    per_edge = (slow - fast) / (many - few)
    per_gene = (fast - per_edge * few) / shape[0]
    told = {"ns_edge": per_edge, "ns_gene": per_gene, "n_edges": len(net), "n_genes": shape[0]}
    return clock.cost() | {name: float(value) for name, value in told.items()}


def grnrep(job: dict, clock: Clock) -> dict:
    """Fit and activities of all cells; also its parts, and the iterations of a cell."""
    import grnrep as gr
    from grnrep._importing import uncollected

    with uncollected():  # as the verb does, which would be the first to import them
        from grnrep.core.als import cells
        from grnrep.tl import _run

    spent: dict[str, float] = {}
    seen = []  # iterations of the cells of every block, and whether with the dense inverse; threads append
    descend = cells.descend

    def timed(name: str, function: Callable) -> Callable:
        def call(*args, **options):
            seen.clear()  # iterations of learning are not those of inferring
            part = Clock()
            result = function(*args, **options)
            spent[f"{name}_seconds"], spent[f"{name}_cpu_seconds"] = part.spent()
            return result

        return call

    def counted(w, w_t, inverse, *others) -> None:
        descend(w, w_t, inverse, *others)
        seen.append((int(others[-1].sum()), len(inverse.values) > len(inverse.indptr)))

    _run.look = timed("look", _run.look)
    _run.infer = timed("infer", _run.infer)
    cells.descend = counted
    store = _new_store(job)
    adata, net = anndata.read_h5ad(job["data"], backed="r"), pd.read_csv(job["net"])
    max_cells = None if job["max_cells"] == "all" else job["max_cells"]
    gr.tl.fit(adata, net, max_cells=max_cells, activity_store=store, progress=False)
    cost = clock.cost()
    spent["learn_seconds"] = cost["seconds"] - spent["look_seconds"] - spent["infer_seconds"]
    record = adata.uns["grnrep"]
    told = ("n_obs_learned", "ridge", "sign_shrinkage", "sign_variance", "intercept", "converged")
    return {
        **cost,
        **spent,
        "iterations": sum(n for n, _ in seen) / adata.n_obs,
        "dense_iterations": sum(n for n, dense in seen if dense) / adata.n_obs,
        **{name: record["params"][name] for name in told if name in record["params"]},
        "pcc": _pcc(_first_activities(adata, store), job),
    }


def kept(job: dict, clock: Clock) -> dict:
    """Activities of all cells by a decoder that was learned from others, and saved."""
    import grnrep as gr

    store = _new_store(job)
    adata = anndata.read_h5ad(job["data"], backed="r")
    decoder = gr.io.load(job["decoder"])
    gr.tl.transform(adata, decoder, activity_store=store, progress=False)
    return clock.cost() | {"pcc": _pcc(_first_activities(adata, store), job)}


def peer(job: dict, clock: Clock) -> dict:
    """One of decoupler's methods, in memory."""
    import decoupler

    adata = anndata.read_h5ad(job["data"])
    getattr(decoupler.mt, job["method"])(adata, pd.read_csv(job["net"]))
    cost = clock.cost()
    return cost | {"pcc": _pcc(adata.obsm[f"score_{job['method']}"].iloc[:N_TRUTH], job)}


def vae(job: dict, clock: Clock) -> dict:
    """The masked variational autoencoder of this package, in memory, with its defaults."""
    import grnrep as gr

    adata, net = anndata.read_h5ad(job["data"]), pd.read_csv(job["net"])
    activity = gr.validation.masked_vae_activity(adata, net, progress=False)
    return clock.cost() | {"pcc": _pcc(activity.iloc[:N_TRUTH], job)}


def install(job: dict, clock: Clock) -> dict:
    """Compile what is kept on disk for later processes: `grnrep compile`; of others, by one tiny call."""
    import grnrep as gr
    from grnrep.core.kernels import compile_all

    if job["for"] in ("grnrep", "kept"):
        compile_all()
    else:
        warm_up(job["for"], job)
    # bytecode, which installing a wheel leaves too
    compileall.compile_dir(Path(gr.__file__).parent, quiet=1)
    return clock.cost()


def warm_up(method: str, job: dict) -> None:
    """Import, compile and load what there is, so that it is not part of the time."""
    import scipy.sparse as sps

    genes, x = (
        [f"g{i}" for i in range(60)],
        np.random.default_rng(0).random((50, 60), dtype=np.float32),
    )
    cells = pd.DataFrame(index=[f"c{i}" for i in range(50)])
    adata = anndata.AnnData(sps.csr_matrix(x), obs=cells, var=pd.DataFrame(index=genes))
    net = pd.DataFrame({"source": np.repeat(list("PQRS"), 14), "target": genes[:56], "weight": 1.0})
    if method == "grnrep":
        import grnrep as gr

        gr.tl.fit(adata, net, signed=True, progress=False)
    elif method == "kept":
        import grnrep as gr

        few = anndata.read_h5ad(job["data"], backed="r")[: len(cells)].to_memory()
        gr.tl.transform(few, gr.io.load(job["decoder"]), progress=False)
    elif method == "vae":
        import grnrep as gr

        gr.validation.masked_vae_activity(adata, net, epochs=1, progress=False)
    elif WORK.get(method) is peer:
        import decoupler

        getattr(decoupler.mt, method)(adata, net)


def _fastest(call: Callable, n: int = 20) -> float:
    seconds = []
    for _ in range(n):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def _new_store(job: dict) -> Path | None:
    """Where activities of many cells go; nothing is there."""
    if job["cells"] < STORE_FROM:
        return None
    store = Path(job["data"]).with_suffix(".activity.zarr")
    shutil.rmtree(store, ignore_errors=True)
    return store


def _first_activities(adata: anndata.AnnData, store: Path | None) -> pd.DataFrame:
    """Those of which the truth is known; a store is removed."""
    first = adata.obsm["grnrep"][:N_TRUTH]
    first = first.to_numpy() if store is None else first.compute()
    if store is not None:
        shutil.rmtree(store)
    return pd.DataFrame(first, columns=adata.uns["grnrep"]["regulators"].index)


def _pcc(activity: pd.DataFrame, job: dict) -> float:
    """Mean over regulators of the signed correlation with the truth, over the first cells."""
    truth = pd.read_parquet(job["truth"])
    a, b = activity.to_numpy(dtype=np.float64), truth[activity.columns].to_numpy(dtype=np.float64)
    a, b = a - a.mean(0), b - b.mean(0)
    return float(((a * b).sum(0) / np.sqrt((a**2).sum(0) * (b**2).sum(0)).clip(min=1e-300)).mean())


WORK = {
    "simulate": simulate,
    "learn": learn,
    "install": install,
    "read": read,
    "read, cached": read,
    "rates": rates,
    "grnrep": grnrep,
    "kept": kept,
    "ulm": peer,
    "mlm": peer,
    "viper": peer,
    "vae": vae,
}
