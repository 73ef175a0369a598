"""Image data sets for the experiments on images: MNIST, CIFAR-10, and small digits without a download."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from typing import Final

import numpy as np

from grnrep.ds._files import download, find, folders_of
from grnrep.ds._image_files import check_md5, read_batches, read_idx

logger = logging.getLogger("grnrep")


@dataclass(frozen=True, eq=False, kw_only=True)
class Images:
    """Images and their labels, for training and for testing.

    Parameters
    ----------
    train, test
        Images, ``(n, channels, height, width)``, float32 from 0 to 1.
    train_labels, test_labels
        Class of every image, ``(n,)``, int64.
    name
        Name of the data set, for titles.
    note
        What to say beside any figure made from it; empty if it is the original.

    Examples
    --------
    >>> import grnrep as gr
    >>> digits = gr.ds.digits()
    >>> digits.name, digits.train.shape, digits.test.shape
    ('digits', (1437, 1, 8, 8), (360, 1, 8, 8))
    """

    train: np.ndarray
    train_labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray
    name: str
    note: str = ""


_MNIST_URL: Final = "https://ossci-datasets.s3.amazonaws.com/mnist/"
# name: md5 of the official archive, sha256 of what is in it
_MNIST: Final = {
    "train-images-idx3-ubyte": (
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    "train-labels-idx1-ubyte": (
        "d53e105ee54ea40749a09fcbcd1e9432",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    "t10k-images-idx3-ubyte": (
        "9fb629c4189551a2d022fa330f9573f3",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    "t10k-labels-idx1-ubyte": (
        "ec29112dd5afa0611ce80d1b7f02629c",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
}

_CIFAR_URL: Final = "https://www.cs.toronto.edu/~kriz/"
_CIFAR: Final = "cifar-10-binary.tar.gz"
_CIFAR_MD5: Final = "c32a1d4ab5d03f1284b67883e8d87530"
_SUBSET: Final = "cifar-10-binary-subset.tar.gz"
_SUBSET_SHA256: Final = {
    "data_batch_1.bin": "6b6a788313f267ff19d850b174093065f8aca8b3eeb230b2b817685451ea806a",
    "test_batch.bin": "8c1d1b003359d8cb29ebae1bafac1634acc11f818346b92d6f7d5e30b852b142",
}
_SUBSET_NOTE: Final = (
    "a subset of CIFAR-10, 1,000 training and 100 test images a class, whose pixels went through JPEG "
    "(root mean square error about 7.6 of 255 grey levels)"
)

_HELD_OUT: Final = 360  # digits kept for testing, the last ones


def mnist(*, data_dir: str | os.PathLike[str] | None = None, progress: bool = True) -> Images:
    """Load MNIST: 60,000 training and 10,000 test images of handwritten digits, 28 × 28.

    Files are looked for in a local folder, and downloaded to the user's cache if they are not
    there. Either way their content is compared with the official checksums.

    Parameters
    ----------
    data_dir
        Folder with the four files ``train-images-idx3-ubyte[.gz]`` and so on, or the folder above
        ``mnist`` with them; by default the environment variable ``GRNREP_DATA_DIR``, if it is set.
    progress
        Whether to show a progress bar for a download.

    Returns
    -------
    Images
        Of shape ``(n, 1, 28, 28)``.

    Raises
    ------
    ValueError
        If a file is damaged or not the official one; the message names it.
    OSError
        If a file is not there and cannot be downloaded.

    References
    ----------
    LeCun et al. (1998), Gradient-based learning applied to document recognition, Proc IEEE 86:2278.

    Examples
    --------
    >>> import grnrep as gr
    >>> gr.ds.mnist().train.shape  # doctest: +SKIP
    (60000, 1, 28, 28)
    """
    folders = folders_of(data_dir, "mnist")
    arrays = {}
    for name, (md5, sha256) in _MNIST.items():
        path = find(folders, f"{name}.gz", name)
        if path is None:
            path = download(
                _MNIST_URL,
                f"{name}.gz",
                known_hash=f"md5:{md5}",
                folders=folders,
                progress=progress,
            )
        arrays[name] = read_idx(path, n_axes=3 if "images" in name else 1, sha256=sha256)
    pixels = {part: arrays[f"{part}-images-idx3-ubyte"][:, None] for part in ("train", "t10k")}
    labels = {
        part: arrays[f"{part}-labels-idx1-ubyte"].astype(np.int64) for part in ("train", "t10k")
    }
    return Images(
        train=_unit(pixels["train"]),
        train_labels=labels["train"],
        test=_unit(pixels["t10k"]),
        test_labels=labels["t10k"],
        name="MNIST",
    )


def cifar10(
    *,
    data_dir: str | os.PathLike[str] | None = None,
    allow_subset: bool = False,
    progress: bool = True,
) -> Images:
    """Load CIFAR-10: 50,000 training and 10,000 test photographs of ten classes, 32 × 32.

    The official archive is looked for in a local folder, and downloaded to the user's cache if it is
    not there; its checksum is compared either way.

    Parameters
    ----------
    data_dir
        Folder with ``cifar-10-binary.tar.gz``, or the folder above ``cifar10`` with it; by default
        the environment variable ``GRNREP_DATA_DIR``, if it is set.
    allow_subset
        Whether a local ``cifar-10-binary-subset.tar.gz`` is good enough, where the official archive
        is not in the folder: 1,000 training and 100 test images a class, whose pixels went through
        JPEG. The result then says so in ``note``.
    progress
        Whether to show a progress bar for a download.

    Returns
    -------
    Images
        Of shape ``(n, 3, 32, 32)``.

    Raises
    ------
    ValueError
        If the archive is damaged or not the official one; the message names it.
    OSError
        If the archive is not there and cannot be downloaded.

    References
    ----------
    Krizhevsky (2009), Learning multiple layers of features from tiny images, technical report.

    Examples
    --------
    >>> import grnrep as gr
    >>> gr.ds.cifar10().train.shape  # doctest: +SKIP
    (50000, 3, 32, 32)
    """
    folders = folders_of(data_dir, "cifar10")
    path, subset = find(folders, _CIFAR), find(folders, _SUBSET)
    if path is None and subset is not None and allow_subset:
        logger.warning("cifar10: %s is %s", subset, _SUBSET_NOTE)
        batches = read_batches(subset, list(_SUBSET_SHA256), sha256=_SUBSET_SHA256)
        train, test, note = batches[:-1], batches[-1], _SUBSET_NOTE
    else:
        if path is None:
            hint = (
                ""
                if subset is None
                else f"; or accept the subset {str(subset)!r} by allow_subset=True"
            )
            path = download(
                _CIFAR_URL,
                _CIFAR,
                known_hash=f"md5:{_CIFAR_MD5}",
                folders=folders,
                progress=progress,
                hint=hint,
            )
        check_md5(path, _CIFAR_MD5)
        names = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]
        *train, test = read_batches(path, names)
        note = ""
    return Images(
        train=np.concatenate([_unit(pixels) for pixels, _ in train]),
        train_labels=np.concatenate([labels for _, labels in train]),
        test=_unit(test[0]),
        test_labels=test[1],
        name="CIFAR-10",
        note=note,
    )


def digits() -> Images:
    """Load the small handwritten digits of scikit-learn, 8 × 8: no file, no download.

    The last 360 of the 1,797 images are for testing. The images are in the order in which they
    were collected, so this is no random split.

    Returns
    -------
    Images
        Of shape ``(n, 1, 8, 8)``.

    References
    ----------
    Alpaydin & Kaynak (1998), Optical recognition of handwritten digits, UCI Machine Learning Repository.

    Examples
    --------
    >>> import grnrep as gr
    >>> images = gr.ds.digits()
    >>> float(images.train.min()), float(images.train.max())
    (0.0, 1.0)
    """
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    pixels = (pixels / 16).astype(np.float32).reshape(-1, 1, 8, 8)  # grey levels from 0 to 16
    labels = labels.astype(np.int64)
    return Images(
        train=pixels[:-_HELD_OUT],
        train_labels=labels[:-_HELD_OUT],
        test=pixels[-_HELD_OUT:],
        test_labels=labels[-_HELD_OUT:],
        name="digits",
    )


def _unit(pixels: np.ndarray) -> np.ndarray:
    return pixels.astype(np.float32) / 255
