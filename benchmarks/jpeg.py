"""What JPEG does to the comparison on CIFAR-10: the images at hand, and the same after another JPEG.

The subset at hand has gone through JPEG once (root mean square error about 7.6 of 255 grey levels), and the originals
are not there. So the step is repeated, at the quality that takes about as much away again, on training and on test
images, and decoder and autoencoder (4x4 networks) are trained on both.

GRNREP_DATA_DIR=... OMP_NUM_THREADS=1 python benchmarks/jpeg.py [--epochs 40] [--out FILE]
"""

from __future__ import annotations

import argparse
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from grnrep.ds.images import cifar10
from grnrep.validation.images.models import draw_balanced, new_model, tensor, train
from grnrep.validation.images.study import CIFAR
from grnrep.validation.runs import Runs

PER_CLASS, TARGET = 50, 7.6  # images of every class; grey levels


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "jpeg.json")
    args = parser.parse_args()
    images = cifar10(allow_subset=True)
    sets = [
        part[draw_balanced(labels, n, 0)]
        for part, labels, n in (
            (images.train, images.train_labels, PER_CLASS),
            (images.test, images.test_labels, 100),
        )
    ]
    quality = min(range(20, 96), key=lambda q: abs(lost(sets[0], q) - TARGET))
    design = CIFAR["4x4"]
    design = replace(design, trainer=replace(design.trainer, epochs=args.epochs))
    settings = design.settings() | {"per_class": PER_CLASS, "quality": quality}
    runs = Runs(args.out, study="jpeg", settings=settings)
    for again in (False, True):
        x, test = (tensor(again_jpeg(part, quality) if again else part) for part in sets)
        for kind in ("decoder", "autoencoder"):
            key = {"again": again, "model": kind}
            if runs.find(key) is None:
                model = new_model(design, len(x), kind=kind, seed=0)
                result, _ = train(model, design, x, test, seed=0, progress=False)
                runs.add(key, result | {"rmse": lost(sets[0], quality) if again else 0.0})
    print(runs.table()[["again", "model", "rmse", "train_error", "test_error"]].to_string())


def again_jpeg(images: np.ndarray, quality: int) -> np.ndarray:
    """Images through JPEG, each by itself."""
    out = np.empty_like(images)
    for place, image in enumerate((255 * images).round().astype(np.uint8)):
        file = io.BytesIO()
        Image.fromarray(image.transpose(1, 2, 0)).save(file, "JPEG", quality=quality)
        out[place] = np.asarray(Image.open(file)).transpose(2, 0, 1) / 255
    return out


def lost(images: np.ndarray, quality: int) -> float:
    """Root mean square error of JPEG, in grey levels."""
    return float(255 * np.sqrt(np.mean((again_jpeg(images, quality) - images) ** 2)))


if __name__ == "__main__":
    main()
