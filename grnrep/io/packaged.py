"""Files that come with the package, and the models among them, which go by their names."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from grnrep._checks import some
from grnrep.io.store import as_path

MODELS: Final = ("blood_cells",)


def packaged(name: str, *, made_by: str) -> Path:
    """Path of a file that comes with the package, or lies in a source checkout."""
    package = Path(__file__).resolve().parents[1]
    folders = [package / "ds" / "data", package.parent / "data"]  # installed; source checkout
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(
        f"{name} is in none of {[str(folder) for folder in folders]}; "
        f"reinstall grnrep, or run data/{made_by} in a source checkout"
    )


def packaged_model(name: str) -> Path:
    """Path of a model that comes with the package."""
    return packaged(f"{name}.zarr.zip", made_by="make_decoder.py")


def model_path(path: str | Path) -> Path:
    """Path of a model: what is there, else the model of this name that comes with the package."""
    path = as_path(path)
    return packaged_model(str(path)) if not path.exists() and str(path) in MODELS else path


def not_there(path: Path) -> str:
    """Say that nothing is there; where that may be the name of a model, which names there are."""
    is_name = path.suffix == "" and path.name == str(path)
    names = f"; models that come with grnrep: {some(MODELS)}" if is_name else ""
    return f"{str(path)!r} does not exist{names}"
