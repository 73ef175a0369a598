"""Image data sets: formats read from made files, damage named, and the real files where they are."""

from __future__ import annotations

import gzip
import hashlib
import io
import logging
import os
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

import grnrep as gr
from grnrep.ds import _image_files, images

FOLDER = Path(os.environ.get("GRNREP_DATA_DIR", "$GRNREP_DATA_DIR"))


def needs(path):
    return pytest.mark.skipif(
        not (FOLDER / path).is_file(), reason=f"real data: {FOLDER / path} is missing"
    )


@pytest.fixture(autouse=True)
def no_network(monkeypatch, tmp_path):
    """Neither the user's cache nor the network is touched."""
    import pooch
    import requests

    def refuse(*args, **options):
        raise requests.ConnectionError("no network in tests")

    monkeypatch.setattr(requests, "get", refuse)
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / "cache")


# idx files


def idx(values: np.ndarray) -> bytes:
    return (
        bytes([0, 0, 8, values.ndim])
        + struct.pack(f">{values.ndim}I", *values.shape)
        + values.tobytes()
    )


@pytest.fixture
def mnist_folder(tmp_path, monkeypatch):
    """Files as the real ones are, of 5 and 3 images, whose checksums count as official; and the content."""
    rng = np.random.default_rng(0)
    content, sums = {}, {}
    (tmp_path / "mnist").mkdir()
    for part, n in (("train", 5), ("t10k", 3)):
        content[f"{part}-images-idx3-ubyte"] = rng.integers(0, 256, (n, 28, 28), dtype=np.uint8)
        content[f"{part}-labels-idx1-ubyte"] = rng.integers(0, 10, n, dtype=np.uint8)
    for name, values in content.items():
        (tmp_path / "mnist" / f"{name}.gz").write_bytes(gzip.compress(idx(values)))
        sums[name] = ("", hashlib.sha256(idx(values)).hexdigest())
    monkeypatch.setattr(images, "_MNIST", sums)
    return tmp_path, content


@pytest.mark.parametrize("sub", ["", "mnist"])
def test_mnist_of_a_folder(mnist_folder, sub):
    folder, content = mnist_folder
    found = gr.ds.mnist(data_dir=folder / sub)
    assert (found.name, found.note) == ("MNIST", "")
    for part, name in (("train", "train"), ("test", "t10k")):
        pixels, labels = getattr(found, part), getattr(found, f"{part}_labels")
        assert (pixels.dtype, labels.dtype) == (np.float32, np.int64)
        np.testing.assert_array_equal(pixels[:, 0] * 255, content[f"{name}-images-idx3-ubyte"])
        np.testing.assert_array_equal(labels, content[f"{name}-labels-idx1-ubyte"])


def test_folder_from_the_environment_and_files_without_gz(mnist_folder, monkeypatch):
    folder, content = mnist_folder
    path = folder / "mnist" / "t10k-labels-idx1-ubyte.gz"
    path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
    path.unlink()
    monkeypatch.setenv("GRNREP_DATA_DIR", str(folder))
    np.testing.assert_array_equal(gr.ds.mnist().test_labels, content["t10k-labels-idx1-ubyte"])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda raw: gzip.compress(raw)[:-20], "end-of-stream"),
        (lambda raw: raw, "gzip"),
        (
            lambda raw: gzip.compress(raw[:-1]),
            r"shape \(5, 28, 28\) takes 3,936 bytes; it holds 3,935",
        ),
        (lambda raw: gzip.compress(raw + b"0"), "it holds 3,937"),
        (lambda raw: gzip.compress(raw[:11]), "takes"),
        (lambda raw: gzip.compress(b""), "starts"),
        (
            lambda raw: gzip.compress(b"\0\0\x08\x01" + raw[4:]),
            r"with 3 axes was expected; it starts 00000801",
        ),
        (lambda raw: gzip.compress(b"\0\0\x0d\x03" + raw[4:]), "starts 00000d03"),
        (
            lambda raw: gzip.compress(raw[:-1] + bytes([raw[-1] ^ 1])),
            "not the official file.*sha256",
        ),
    ],
)
def test_damaged_mnist_is_named(mnist_folder, damage, message):
    folder, content = mnist_folder
    path = folder / "mnist" / "train-images-idx3-ubyte.gz"
    path.write_bytes(damage(idx(content["train-images-idx3-ubyte"])))
    with pytest.raises(ValueError, match=f"(?s)train-images-idx3-ubyte.gz.*{message}"):
        gr.ds.mnist(data_dir=folder)


def test_a_gzip_bomb_is_not_unpacked(mnist_folder, monkeypatch):
    folder, _ = mnist_folder
    monkeypatch.setattr(_image_files, "_IDX_LIMIT", 1000)
    with pytest.raises(ValueError, match="more than 1,000 bytes"):
        gr.ds.mnist(data_dir=folder)


def test_missing_files_are_downloaded_or_named(mnist_folder, monkeypatch):
    import pooch

    folder, content = mnist_folder
    path = folder / "mnist" / "t10k-labels-idx1-ubyte.gz"
    path.rename(folder / "elsewhere.gz")
    with pytest.raises(
        OSError, match=rf"downloaded from https://.*no network.*put it at .*{path.name}"
    ):
        gr.ds.mnist(data_dir=folder)
    asked = {}

    def retrieve(url, **options):
        asked.update(options, url=url)
        return str(folder / "elsewhere.gz")

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    monkeypatch.setattr(images, "_MNIST", {k: ("some md5", v[1]) for k, v in images._MNIST.items()})
    found = gr.ds.mnist(data_dir=folder, progress=False)
    np.testing.assert_array_equal(found.test_labels, content["t10k-labels-idx1-ubyte"])
    assert asked["url"] == "https://ossci-datasets.s3.amazonaws.com/mnist/t10k-labels-idx1-ubyte.gz"
    assert (asked["known_hash"], asked["progressbar"]) == ("md5:some md5", False)


@needs("mnist/train-images-idx3-ubyte.gz")
def test_real_mnist():
    found = gr.ds.mnist(data_dir=FOLDER)
    assert (found.train.shape, found.test.shape) == ((60000, 1, 28, 28), (10000, 1, 28, 28))
    assert found.train_labels[:9].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1]
    # the mean and standard deviation that the field normalises by
    assert found.train.mean(dtype=np.float64) == pytest.approx(0.1307, abs=5e-5)
    assert found.train.std(dtype=np.float64) == pytest.approx(0.3081, abs=5e-5)
    assert np.bincount(found.test_labels).tolist() == [
        980,
        1135,
        1032,
        1010,
        982,
        892,
        958,
        1028,
        974,
        1009,
    ]


# CIFAR


def archive(path: Path, files: dict[str, bytes], *, kind: bytes = tarfile.REGTYPE) -> None:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size, member.type, member.linkname = len(content), kind, "elsewhere"
            tar.addfile(member, io.BytesIO(content))


def records(n: int, *, seed: int) -> tuple[bytes, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, n, dtype=np.uint8)
    pixels = rng.integers(0, 256, (n, 3, 32, 32), dtype=np.uint8)
    return (
        b"".join(bytes([k]) + p.tobytes() for k, p in zip(labels, pixels, strict=True)),
        labels,
        pixels,
    )


@pytest.fixture
def cifar_folder(tmp_path, monkeypatch):
    """An archive as the official one, of 2 images a file, and a subset; their checksums count as official."""
    (tmp_path / "cifar10").mkdir()
    names = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]
    made = {name: records(2, seed=i) for i, name in enumerate(names)}
    path = tmp_path / "cifar10" / "cifar-10-binary.tar.gz"
    # other files among them, and not in the order of the names
    files = {"batches.meta.txt": b"classes", **{name: made[name][0] for name in reversed(names)}}
    archive(path, files)
    monkeypatch.setattr(images, "_CIFAR_MD5", hashlib.md5(path.read_bytes()).hexdigest())
    few = {
        name: records(3, seed=i)[0] for i, name in enumerate(["data_batch_1.bin", "test_batch.bin"])
    }
    archive(tmp_path / "cifar10" / "cifar-10-binary-subset.tar.gz", few)
    monkeypatch.setattr(
        images,
        "_SUBSET_SHA256",
        {name: hashlib.sha256(raw).hexdigest() for name, raw in few.items()},
    )
    return tmp_path, [made[name] for name in names]


@pytest.mark.parametrize("sub", ["", "cifar10"])
@pytest.mark.parametrize("allow_subset", [False, True])
def test_cifar_of_a_folder(cifar_folder, sub, allow_subset):
    folder, made = cifar_folder
    found = gr.ds.cifar10(data_dir=folder / sub, allow_subset=allow_subset)
    assert (found.name, found.note) == ("CIFAR-10", "")
    assert (found.train.dtype, found.train_labels.dtype) == (np.float32, np.int64)
    np.testing.assert_array_equal(found.train * 255, np.concatenate([p for _, _, p in made[:5]]))
    np.testing.assert_array_equal(found.train_labels, np.concatenate([k for _, k, _ in made[:5]]))
    np.testing.assert_array_equal(found.test * 255, made[5][2])
    np.testing.assert_array_equal(found.test_labels, made[5][1])


def test_a_subset_only_if_accepted(cifar_folder, caplog):
    folder, _ = cifar_folder
    (folder / "cifar10" / "cifar-10-binary.tar.gz").unlink()
    with pytest.raises(
        OSError, match=r"no network.*accept the subset '.*subset\.tar\.gz' by allow_subset"
    ):
        gr.ds.cifar10(data_dir=folder)
    with caplog.at_level(logging.WARNING, logger="grnrep"):
        found = gr.ds.cifar10(data_dir=folder, allow_subset=True)
    assert found.train.shape == (3, 3, 32, 32)
    np.testing.assert_array_equal(found.test * 255, records(3, seed=1)[2])
    assert "JPEG" in found.note
    assert found.note in caplog.text


def test_a_changed_official_archive_is_named(cifar_folder):
    folder, _ = cifar_folder
    path = folder / "cifar10" / "cifar-10-binary.tar.gz"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"cifar-10-binary\.tar\.gz.*its md5 is"):
        gr.ds.cifar10(data_dir=folder)


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        ({"test_batch.bin": b"\0" * 3073}, {}, r"it lacks data_batch_1\.bin"),
        (
            {"data_batch_1.bin": b"\0" * 3072, "test_batch.bin": b""},
            {},
            "data_batch_1.bin has 3,072 bytes",
        ),
        ({"data_batch_1.bin": b"", "test_batch.bin": b"\0" * 3073}, {}, "has 0 bytes"),
        (
            dict.fromkeys(("data_batch_1.bin", "test_batch.bin"), b"\x0a" * 3073),
            {},
            "label.* is 10",
        ),
        (
            dict.fromkeys(("data_batch_1.bin", "test_batch.bin"), b""),
            {"kind": tarfile.SYMTYPE},
            "lacks",
        ),
    ],
)
def test_damaged_batches_are_named(tmp_path, files, options, message):
    path = tmp_path / "some.tar.gz"
    archive(path, files, **options)
    with pytest.raises(ValueError, match=rf"some\.tar\.gz.*{message}"):
        _image_files.read_batches(path, ["data_batch_1.bin", "test_batch.bin"])


@pytest.mark.parametrize("cut", [0, 10, 5000])
def test_truncated_archives_are_named(cifar_folder, cut):
    folder, _ = cifar_folder
    path = folder / "cifar10" / "cifar-10-binary-subset.tar.gz"
    path.write_bytes(path.read_bytes()[:cut])
    (folder / "cifar10" / "cifar-10-binary.tar.gz").unlink()
    with pytest.raises(ValueError, match=r"subset\.tar\.gz.*damaged"):
        gr.ds.cifar10(data_dir=folder, allow_subset=True)


def test_a_changed_subset_is_named(cifar_folder):
    folder, _ = cifar_folder
    (folder / "cifar10" / "cifar-10-binary.tar.gz").unlink()
    path = folder / "cifar10" / "cifar-10-binary-subset.tar.gz"
    archive(path, {name: records(3, seed=7)[0] for name in ("data_batch_1.bin", "test_batch.bin")})
    with pytest.raises(
        ValueError, match=r"data_batch_1\.bin of .*subset\.tar\.gz is not the official"
    ):
        gr.ds.cifar10(data_dir=folder, allow_subset=True)


@needs("cifar10/cifar-10-binary-subset.tar.gz")
def test_real_subset():
    found = gr.ds.cifar10(data_dir=FOLDER, allow_subset=True)
    if not found.note:
        pytest.skip(
            f"the official archive in {FOLDER} is read instead of the subset that this is about"
        )
    assert (found.train.shape, found.test.shape) == ((10000, 3, 32, 32), (1000, 3, 32, 32))
    assert np.bincount(found.train_labels).tolist() == [1000] * 10
    assert np.bincount(found.test_labels).tolist() == [100] * 10
    # channel means of CIFAR-10, in thousandths 491, 482 and 447
    np.testing.assert_allclose(
        found.train.mean((0, 2, 3), dtype=np.float64), [0.491, 0.482, 0.447], atol=0.005
    )


# digits


def test_digits_are_those_of_scikit_learn():
    found = gr.ds.digits()
    pixels, labels = load_digits(return_X_y=True)
    both = np.concatenate([found.train, found.test])
    np.testing.assert_array_equal(both.reshape(1797, 64) * 16, pixels)
    np.testing.assert_array_equal(np.concatenate([found.train_labels, found.test_labels]), labels)
    assert (found.train.dtype, found.train_labels.dtype, len(found.test)) == (
        np.float32,
        np.int64,
        360,
    )
