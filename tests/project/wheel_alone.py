"""Install a built wheel into an empty environment, away from the checkout, and use it there; run by name.

    python tests/project/wheel_alone.py [DIST]

DIST holds one wheel (by default it is built). Needs a package index, and takes some minutes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]
USE = """
import matplotlib
matplotlib.use("agg")
import grnrep as gr
assert "site-packages" in gr.__file__, gr.__file__
adata, net = gr.ds.example()
print(gr.pp.check_network(adata, net))
gr.tl.fit(adata, net, progress=False)
pearson = gr.metrics.recovery(adata)["pearson"].median()
assert pearson > 0.98, pearson
gr.pl.recovery(adata).figure.savefig("recovery.png")
gr.io.save(adata, "model.zarr")
new = adata[:5].copy()
gr.tl.transform(new, gr.io.load("model.zarr"), progress=False)
assert abs(new.obsm["grnrep"] - adata.obsm["grnrep"][:5]).to_numpy().max() < 1e-4
adata.write_h5ad("fitted.h5ad")
print(f"grnrep {gr.__version__}: median correlation of the example {pearson:.4f}")
"""


def main() -> None:
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with tempfile.TemporaryDirectory() as folder:

        def call(*command: object) -> None:
            print("$", *(str(part) if part is not USE else "USE" for part in command), flush=True)
            subprocess.run([str(part) for part in command], cwd=folder, env=clean, check=True)

        if len(sys.argv) > 1:
            dist = Path(sys.argv[1]).resolve()
        else:
            dist = Path(folder, "dist")
            call(sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", dist, ROOT)
        (wheel,) = dist.glob("*.whl")
        venv.create(Path(folder, "venv"), with_pip=True)
        place = Path(folder, "venv", "Scripts" if os.name == "nt" else "bin")
        python = place / "python"
        call(python, "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt", wheel)
        call(python, "-m", "pip", "check")
        call(python, "-c", USE)
        call(place / "grnrep", "evaluate", "fitted.h5ad")
        call(place / "grnrep", "demo", "--help")


if __name__ == "__main__":
    main()
