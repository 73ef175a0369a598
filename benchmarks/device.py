"""Inference of activities on an accelerator, beside processor cores of the same machine.

    python benchmarks/device.py                          # cuda and the cpu, 1,000,000 cells
    python benchmarks/device.py --devices cpu --cells 20000

2,000 genes, 700 regulators, 40,000 edges with signs, 90 % zeros; a decoder learned from 2,000 cells on the cpu. Cells
are in memory, float32, and are copied to the device block by block, which counts. So many are simulated once and
inferred again until there have been as many as asked for. Printed: seconds, cells a second, peak memory of the device,
largest difference of activities to the first device's, in their standard deviations, and the ratio.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

import grnrep as gr
from grnrep.core.als.fit import fit_decoder
from grnrep.core.als.project import Projection
from grnrep.core.network import Network

SIMULATED, LEARNED = 32_768, 2000
EXAMPLE = {"n_vars": 2000, "n_regulators": 700, "connectivity": 40_000 / (2000 * 700)}


def prepared(seed: int) -> tuple[np.ndarray, Network, object]:
    """Cells, network with signs, and a decoder learned from some of the cells."""
    adata, net = gr.ds.simulate(SIMULATED, **EXAMPLE, zero_fraction=0.9, rng=seed, progress=False)
    x = np.asarray(adata.X.todense() if hasattr(adata.X, "todense") else adata.X, dtype=np.float32)
    gene = adata.var_names.get_indexer(net["target"])
    regulator, names = net["source"].factorize(sort=True)
    sizes = (adata.n_vars, len(names))
    network = Network.from_edges(gene, regulator, np.sign(net["weight"]), *sizes)
    options = {"intercept": True, "ridge": 0.3, "prior": 0.03}
    return x, network, fit_decoder(x[:LEARNED], network, **options)


def timed(
    fit: object, network: Network, x: np.ndarray, n_cells: int, device: str
) -> tuple[float, np.ndarray]:
    """Seconds for ``n_cells``, after one block that does not count, and the activities of ``x``."""
    projection = Projection.of(fit, network, device=device)
    projection(x[:4096])
    done, first = 0, np.zeros(0)
    start = time.perf_counter()
    while done < n_cells:
        activity = projection(x[: n_cells - done])
        first = activity if done == 0 else first
        done += len(activity)
    return time.perf_counter() - start, first


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--devices", nargs="+", default=["cpu", "cuda"])
    parser.add_argument("--cells", type=int, default=1_000_000)
    parser.add_argument("--cpu-cells", type=int, default=100_000, help="of these, on the cpu")
    parser.add_argument("--threads", type=int, default=2, help="of the cpu")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    x, network, fit = prepared(asked.seed)
    rates: list[float] = []
    reference = np.zeros(0)
    print("| device | cells | seconds | cells a second | peak MB | difference | ratio |")
    print("|---|---|---|---|---|---|---|")
    for device in asked.devices:
        on_cpu = torch.device(device).type == "cpu"
        n_cells = min(asked.cells, asked.cpu_cells) if on_cpu else asked.cells
        seconds, activity = timed(fit, network, x, n_cells, device)
        rates.append(n_cells / seconds)
        n = min(len(activity), len(reference)) if len(rates) > 1 else 0
        reference = activity if len(rates) == 1 else reference
        off = np.abs(activity[:n] - reference[:n]) / reference.std(0) if n else np.zeros(1)
        peak = "" if on_cpu else f"{torch.cuda.max_memory_allocated(device) / 1e6:,.0f}"
        told = f"{seconds:.1f} | {rates[-1]:,.0f} | {peak} | {off.max():.1e}"
        print(f"| {device} | {n_cells:,} | {told} | {rates[-1] / rates[0]:.1f} |", flush=True)


if __name__ == "__main__":
    main()
