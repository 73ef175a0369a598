"""Make example.h5ad and example_network.csv beside this file: ``python data/make_example.py``."""

from pathlib import Path

from grnrep.ds.simulate import simulate

adata, net = simulate(n_obs=250, n_vars=300, n_regulators=30, noise_sd=0.2, rng=0)
folder = Path(__file__).resolve().parent
adata.write_h5ad(folder / "example.h5ad", compression="gzip")
net.to_csv(folder / "example_network.csv", index=False)
