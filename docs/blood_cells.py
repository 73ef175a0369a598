"""Where two lineage regulators are at work in blood cells: the picture at the top of the README.

    python docs/blood_cells.py                               # writes blood_cells.png
    python docs/blood_cells.py docs/figures/blood_cells.png  # writes it there

The cells come with scanpy; the network is downloaded, or read from the folder that GRNREP_DATA_DIR names.
"""

from __future__ import annotations

import sys

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import scanpy as sc

import grnrep as gr

# of the labels of the set: the lineage, and its colour (Okabe & Ito 2008, which everybody can tell apart)
LINEAGES = {
    "CD14+ Monocyte": "monocytes",
    "Dendritic": "dendritic cells",
    "CD19+ B": "B cells",
    "CD56+ NK": "NK cells",
    "CD34+": "progenitors",
}
COLOURS = {
    "monocytes": "#D55E00",
    "dendritic cells": "#E69F00",
    "B cells": "#0072B2",
    "NK cells": "#009E73",
    "T cells": "#56B4E9",
    "progenitors": "#333333",
}
# where the name of a lineage covers no cell, in units of the UMAP
PLACES = {
    "monocytes": (-6.0, 8.4),
    "dendritic cells": (5.2, 1.6),
    "B cells": (-11.6, -9.0),
    "NK cells": (-3.9, -0.9),
    "T cells": (-6.5, -9.8),
    "progenitors": (1.1, -8.3),
}


def main(path: str) -> None:
    """Fit, and draw the lineages beside the activities."""
    adata = sc.datasets.pbmc68k_reduced()
    gr.tl.fit(adata, gr.ds.collectri(), use_raw=True)

    lineage = adata.obs["bulk_labels"].astype(str).map(lambda label: LINEAGES.get(label, "T cells"))
    adata.obs["lineage"] = lineage.astype("category")
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
    sc.pl.umap(
        adata, color="lineage", palette=COLOURS, legend_loc=None, frameon=False, title="", size=45,
        ax=axes[0], show=False,
    )  # fmt: skip
    axes[0].set_title("700 blood cells", loc="left")
    for name, place in PLACES.items():
        side = "right" if name == "monocytes" else "center"
        axes[0].text(*place, name, ha=side, va="center", fontsize=11)
    for ax, regulator in zip(axes[1:], ["SPI1", "PAX5"], strict=True):
        gr.pl.embedding(adata, regulator, marginal=True, size=45, ax=ax)
        ax.set_title(f"activity of {regulator}", loc="left")
    figure.savefig(path, dpi=110, metadata={"Software": None})
    print(f"wrote {path}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "blood_cells.png")
