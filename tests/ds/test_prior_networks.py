"""Prior networks: from files in all forms, from the cache, and what is said where neither is there."""

from __future__ import annotations

import builtins
import http.server
import lzma
import os
import struct
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import grnrep as gr
from grnrep.ds import prior_networks
from grnrep.ds._rda import read_rda

TRI = pd.DataFrame({"source": ["MYC", "SPI1"], "target": ["TERT", "CD14"], "weight": [1, -1]})
GENY = pd.DataFrame(
    {
        "gene": ["MDM2", "BAX", "A", "FOS", "JUN"],
        "pathway": ["p53", "p53", "p53", "MAPK", "MAPK"],
        "weight": [9.0, -3.5, 1.0, 4.0, 2.0],
        "p.value": [1e-9, 0.01, 0.5, 1e-3, 1e-8],
    }
)
THEA = pd.DataFrame(
    {
        "tf": ["SPI1", "SPI1", "MYC", "JUN"],
        "confidence": ["A", "D", "C", "E"],
        "target": ["CD14", "MYC", "TERT", "FOS"],
        "mor": [1.0, -1.0, 1.0, -1.0],
    }
)


@pytest.fixture(autouse=True)
def _no_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("GRNREP_DATA_DIR", raising=False)
    monkeypatch.chdir(tmp_path)


# --- a writer of R's files, by the same manual ----------------------------------------------------


def _words(values) -> bytes:
    parts = [struct.pack(">i", len(values))]
    for value in values:
        text = b"" if value is None else value.encode()
        parts.append(struct.pack(">ii", 9, -1 if value is None else len(text)) + text)
    return b"".join(parts)


def _symbol(name: str) -> bytes:
    return struct.pack(">iii", 1, 9, len(name)) + name.encode()


def _attributes(**values: bytes) -> bytes:
    entries = [struct.pack(">i", 2 | 0x400) + _symbol(n) + v for n, v in values.items()]
    return b"".join(entries) + struct.pack(">i", 254)


def _strings(values) -> bytes:
    return struct.pack(">i", 16) + _words(values)


def _column(values: pd.Series, *, factor: bool) -> bytes:
    if values.dtype != object:
        return struct.pack(">ii", 14, len(values)) + values.to_numpy().astype(">f8").tobytes()
    if not factor:
        return _strings(list(values))
    codes, levels = pd.factorize(values, sort=True)
    codes = np.where(codes < 0, -(2**31), codes + 1).astype(">i4")
    about = {"levels": _strings(list(levels)), "class": _strings(["factor"])}
    return struct.pack(">ii", 13 | 0x200, len(codes)) + codes.tobytes() + _attributes(**about)


def _rda(table: pd.DataFrame, *, version: int = 3, factor: bool = True) -> bytes:
    compact = struct.pack(">i", 238)  # row names 1:n as R keeps them
    for entry in (_symbol("compact_intseq"), _symbol("base"), struct.pack(">iii", 13, 1, 13)):
        compact += struct.pack(">i", 2) + entry
    ends = np.array([len(table), 1, 1]).astype(">f8").tobytes()
    compact += struct.pack(">iii", 254, 14, 3) + ends + struct.pack(">i", 254)
    columns = b"".join(_column(table[name], factor=factor) for name in table)
    frame = struct.pack(">ii", 19 | 0x200, table.shape[1]) + columns
    about = {
        "names": _strings(list(table)),
        "class": _strings(["tbl", "data.frame"]),
        "row.names": compact
        if version == 3
        else struct.pack(">iiii", 13, 2, -(2**31), -len(table)),
    }
    saved = struct.pack(">i", 2 | 0x400) + _symbol("net") + frame + _attributes(**about)
    head = b"RDX%d\nX\n" % version + struct.pack(">iii", version, 0x40101, 0x30500)
    head += struct.pack(">i", 5) + b"UTF-8" if version == 3 else b""
    return head + saved + struct.pack(">i", 254)


# --- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("factor", [True, False])
@pytest.mark.parametrize("pack", [lzma.compress, bytes])
def test_data_frames_of_r(tmp_path, version, factor, pack):
    table = GENY.assign(note=["a", None, "b", "a", "é"])
    path = tmp_path / "net.rda"
    path.write_bytes(pack(_rda(table, version=version, factor=factor)))
    pd.testing.assert_frame_equal(read_rda(path)["net"], table)


def test_a_damaged_file_of_r_is_refused(tmp_path):
    whole = _rda(GENY)
    path = tmp_path / "net.rda"
    for content in (
        b"",
        b"PK",
        whole[:-40],
        whole[:60],
        lzma.compress(whole)[:-9],
        whole[:7] + whole,
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"net\.rda' must be a file of R with data frames"):
            read_rda(path)
    # a closure (3), a language object (6): code of R, never to be looked into
    for kind in (3, 6):
        path.write_bytes(
            _rda(GENY).replace(struct.pack(">ii", 19 | 0x200, 4), struct.pack(">ii", kind, 4))
        )
        with pytest.raises(ValueError, match=f"an object of type {kind}, which is no plain data"):
            read_rda(path)


@pytest.mark.parametrize("form", ["csv", "csv.gz", "tsv", "parquet", "rda"])
def test_all_forms_say_the_same(form):
    tables = {"tri": TRI, "geny": GENY, "thea": THEA}
    for name, table in tables.items():
        path = Path(f"{name}.{form}")
        if form == "rda":
            path.write_bytes(
                lzma.compress(_rda(table.astype(dict.fromkeys({"weight"} & {*table}, float))))
            )
        elif form == "parquet":
            table.to_parquet(path)
        else:
            table.to_csv(path, sep="\t" if form == "tsv" else ",", index=False)
    found = gr.ds.collectri(path=f"tri.{form}")
    pd.testing.assert_frame_equal(found, TRI.astype({"weight": float}))
    found = gr.ds.progeny(top=2, path=f"geny.{form}")
    assert found["target"].tolist() == ["JUN", "FOS", "MDM2", "BAX"]
    assert found["weight"].tolist() == [2.0, 4.0, 9.0, -3.5]
    assert len(gr.ds.progeny(top=None, path=f"geny.{form}")) == 5
    found = gr.ds.dorothea(path=f"thea.{form}")
    assert list(found.columns) == ["source", "target", "weight", "confidence"]
    assert found["target"].tolist() == ["CD14", "TERT"]
    assert gr.ds.dorothea("D", path=f"thea.{form}")["weight"].tolist() == [-1.0]


def test_what_a_file_lacks_is_named():
    TRI.drop(columns="weight").to_csv("tri.csv", index=False)
    with pytest.raises(ValueError, match=r"missing 'weight', found 'source', 'target'"):
        gr.ds.collectri(path="tri.csv")
    GENY.drop(columns="p.value").to_csv("geny.csv", index=False)
    with pytest.raises(ValueError, match=r"top=500 needs a column p_value"):
        gr.ds.progeny(path="geny.csv")
    assert len(gr.ds.progeny(top=None, path="geny.csv")) == 5
    with pytest.raises(FileNotFoundError, match=r"path='none\.csv' is no file"):
        gr.ds.collectri(path="none.csv")
    with pytest.raises(
        ValueError, match=r"levels must be some of 'A', 'B', 'C', 'D', 'E'; found 'F'"
    ):
        gr.ds.dorothea("F", path="tri.csv")
    with pytest.raises(ValueError, match="top must be at least 1"):
        gr.ds.progeny(top=0)
    Path("empty.csv").touch()
    with pytest.raises(ValueError, match=r"empty\.csv' cannot be read as a table"):
        gr.ds.collectri(path="empty.csv")


# --- where they come from -------------------------------------------------------------------------


@pytest.fixture
def served(tmp_path, monkeypatch):
    """Serve a folder on this machine in place of the publishers; gives the folder and all requests."""
    folder, requests = tmp_path / "served", []
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(folder))

        def log_message(self, *args):
            requests.append(self.path)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/"
    monkeypatch.setattr("pooch.os_cache", lambda name: tmp_path / "cache")
    for name in ("_COLLECTRI", "_PROGENY"):
        monkeypatch.setattr(prior_networks, name, getattr(prior_networks, name)._replace(url=url))
    yield folder, requests
    server.shutdown()
    server.server_close()


def test_a_download_is_checked_and_kept(served, monkeypatch):
    folder, requests = served
    TRI.to_csv(folder / "CollecTRI_regulons.csv", index=False)
    with pytest.raises(ValueError, match="hash"):
        gr.ds.collectri(progress=False)
    import pooch

    sha256 = "sha256:" + pooch.file_hash(folder / "CollecTRI_regulons.csv")
    right = prior_networks._COLLECTRI._replace(known_hash=sha256)
    monkeypatch.setattr(prior_networks, "_COLLECTRI", right)
    for _ in range(2):
        found = gr.ds.collectri(progress=False)
        pd.testing.assert_frame_equal(found, TRI.astype({"weight": float}))
    assert requests == ["/CollecTRI_regulons.csv"] * 2  # the wrong one, and the right one once


@pytest.mark.parametrize("verb", [gr.ds.collectri, gr.ds.progeny])
def test_offline_it_is_said_what_to_get_and_where_to_put_it(served, verb, monkeypatch, tmp_path):
    name = {"collectri": "CollecTRI_regulons.csv", "progeny": "model_human_full.rda"}[verb.__name__]
    with pytest.raises(OSError, match=f"{name} is not there and could not be downloaded") as caught:
        verb(progress=False)
    assert f"put it at $GRNREP_DATA_DIR/networks/{name}" in str(caught.value)
    assert "name it by path=" in str(caught.value)
    monkeypatch.setenv("GRNREP_DATA_DIR", str(tmp_path))
    with pytest.raises(OSError, match="could not be downloaded") as caught:
        verb(progress=False)
    (place := tmp_path / "networks").mkdir()
    assert str(place / name) in str(caught.value)
    (place / name).write_bytes(TRI.to_csv(index=False).encode() if "csv" in name else _rda(GENY))
    assert len(verb(progress=False)) > 0


def test_dorothea_says_where_else_it_is_to_be_had(monkeypatch):
    with pytest.raises(ValueError, match=r"level 'E' .* dorothea_hs\.rda"):
        gr.ds.dorothea("E")
    decoupler = pytest.importorskip("decoupler")

    def offline(**options):
        raise ConnectionError("no route")

    monkeypatch.setattr(decoupler.op, "dorothea", offline)
    with pytest.raises(
        OSError, match=r"OmniPath could not be reached .* dorothea_hs\.rda .* as path"
    ):
        gr.ds.dorothea()
    shape = {"source": ["SPI1"], "target": ["CD14"], "weight": [-0.5], "confidence": ["B"]}
    monkeypatch.setattr(decoupler.op, "dorothea", lambda levels: pd.DataFrame(shape))
    assert gr.ds.dorothea()["weight"].tolist() == [-1.0]
    real = builtins.__import__

    def without(name, *args):
        if name == "decoupler":
            raise ImportError(name)
        return real(name, *args)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(
        ImportError, match=r"pip install 'grnrep\[peers\]'; or get dorothea_hs\.rda"
    ):
        gr.ds.dorothea()


DATA = os.environ.get("GRNREP_DATA_DIR", "")


@pytest.mark.skipif(
    not (Path(DATA) / "networks" / "collectri_human.csv").is_file(),
    reason="networks/collectri_human.csv is not in GRNREP_DATA_DIR",
)
def test_the_real_one(monkeypatch):
    monkeypatch.setenv("GRNREP_DATA_DIR", DATA)
    net = gr.ds.collectri()
    assert len(net) > 40_000
    assert set(net["weight"]) == {-1.0, 1.0}
    assert not net.duplicated(["source", "target"]).any()
    assert {"SPI1", "AP1", "NFKB"} <= {*net["source"]}
