"""Run the tutorials and keep what they gave, as the committed files have it.

    python docs/run_tutorials.py                # all of them
    python docs/run_tutorials.py blood_cells    # these, by name

Data that are not in the cache are downloaded, or read from the folder that GRNREP_DATA_DIR names.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[1] / "tutorials"
# that widgets are not installed says nothing about what is shown
QUIET = {"PYTHONWARNINGS": "ignore:IProgress not found"}


def run(path: Path) -> None:
    """Run a notebook in a kernel of its own, and write it with its outputs and without times."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=600, kernel_name="python3", record_timing=False)
    with TemporaryDirectory() as folder:  # tables that it writes are not kept
        client.execute(cwd=folder, env=os.environ | QUIET)
    notebook.metadata.pop("language_info", None)  # which Python it was says nothing
    nbformat.write(notebook, path)


def main() -> None:
    """Run what is asked for, or all."""
    names = sys.argv[1:] or sorted(path.stem for path in FOLDER.glob("*.ipynb"))
    for name in names:
        start = time.perf_counter()
        run(FOLDER / f"{name}.ipynb")
        print(f"{name}: {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
