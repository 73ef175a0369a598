"""Make blood_cells.zarr.zip beside this file: ``python data/make_decoder.py``."""

from pathlib import Path

import scanpy as sc

import grnrep as gr

CARD = {
    "data": "700 peripheral blood cells x 765 genes, log-normalised: scanpy.datasets.pbmc68k_reduced().raw, a part "
    "of the 68k PBMC of 10x Genomics (CC BY 4.0)",
    "network": "CollecTRI, human, Zenodo record 8192729 (CC BY 4.0), regulators with 5 targets or more",
    "licence": "CC-BY-4.0",
    "reference": "Zheng et al. 2017, Nature Communications 8:14049; Müller-Dott et al. 2023, Nucleic Acids Research "
    "51:10934",
}

adata = sc.datasets.pbmc68k_reduced()
gr.tl.fit(adata, gr.ds.collectri(), use_raw=True)
gr.io.save(adata, Path(__file__).parent / "blood_cells.zarr.zip", card=CARD, overwrite=True)
