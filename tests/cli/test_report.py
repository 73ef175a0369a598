"""The page of a report: whole in itself, well-formed, and showing names as they are."""

from __future__ import annotations

import base64
import io
import re
import shutil
import subprocess
from html.parser import HTMLParser
from importlib import import_module

import anndata as ad
import matplotlib.image
import numpy as np
import pandas as pd
import pytest

import grnrep as gr
from grnrep import _marginal
from grnrep.cli.report import figures

NASTY = '<script>alert("$x$")&amp;'
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome", "chromium-headless-shell")
GIVEN = {"ridge": 1e-3, "sign_shrinkage": 0.3, "intercept": True, "max_iter": 30}
GIVEN |= {"likelihood": "gaussian", "progress": False}
VOID = {"meta", "img"}
SECTIONS = ["Summary", "Groups", "Cells", "Targets", "Network and data", "The fit"]


class Page(HTMLParser):
    """What a page holds, read strictly: every element is closed where it should be."""

    def __init__(self, html: str):
        super().__init__()
        self.open, self.found, self.text = [], [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text.append(" ".join(data.split()))

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.found if name == tag]

    @property
    def images(self) -> list[np.ndarray]:
        parts = [image["src"].removeprefix("data:image/png;base64,") for image in self.all("img")]
        return [matplotlib.image.imread(io.BytesIO(base64.b64decode(part))) for part in parts]


@pytest.fixture(scope="module")
def folder(small, tmp_path_factory):
    """A fit whose regulators, genes and groups have names that look like HTML, on an embedding."""
    folder = tmp_path_factory.mktemp("report")
    adata, net = small()
    first = net["source"].iloc[0]
    net["source"] = net["source"].replace(first, NASTY)
    adata.var_names = [NASTY if name == net["target"].iloc[0] else name for name in adata.var_names]
    net["target"] = net["target"].replace(net["target"].iloc[0], NASTY)
    adata.obs["state"] = pd.Categorical(
        [f"{NASTY}{k % 3}" for k in range(60)], categories=[f"{NASTY}{k}" for k in (2, 0, 1, 9)]
    )
    adata.obs["donor"] = [f"donor{k % 4}" for k in range(60)]
    gr.tl.fit(adata, net, **GIVEN)
    adata.write_h5ad(folder / "plain.h5ad")
    adata.obsm["X_umap"] = np.random.default_rng(0).normal(size=(60, 2))
    gr.tl.unexplained(adata)
    adata.write_h5ad(folder / "whole.h5ad")
    adata.X = None
    adata.write_h5ad(folder / "bare.h5ad")
    return folder


@pytest.fixture
def report(grnrep, folder, tmp_path):
    """Write the report of a file of the folder; gives the HTML."""

    def run(name: str, *options: str) -> str:
        result = grnrep("report", folder / name, "-o", tmp_path / "page.html", "-q", *options)
        assert result.exit_code == 0, result.output + repr(result.exception)
        assert result.stdout == ""
        # of groups without samples it is said that cells are no replicates
        cells = "--groupby" in options and "--sample" not in options
        assert ("which are no replicates" in result.stderr) == cells
        assert len(result.stderr.splitlines()) == cells
        return (tmp_path / "page.html").read_text(encoding="utf-8")

    return run


def check(html: str) -> Page:
    """Check what holds of every page."""
    page = Page(html)
    names = {attributes["id"] for _, attributes in page.found if "id" in attributes}
    assert {link["href"] for link in page.all("a")} == {f"#{name}" for name in names}
    # nothing is asked for elsewhere, and nothing runs
    assert all(image["src"].startswith("data:image/png;base64,") for image in page.all("img"))
    assert "default-src 'none'" in page.all("meta")[2]["content"]
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in page.found}
    assert not re.search(r"https?:|url\(|@import|\son\w+=", html)
    for image, attributes in zip(page.images, page.all("img"), strict=True):
        assert image.shape[1] in (2 * int(attributes["width"]), 2 * int(attributes["width"]) - 1)
        assert image[..., :3].std() > 0.01  # something is drawn
        assert attributes["alt"]
    return page


def test_a_page_with_everything(report):
    options = ["--groupby", "state", "--sample", "donor", "--title", NASTY]
    page = check(report("whole.h5ad", *options))
    assert page.text.count(NASTY) >= 4  # titles, and tables
    assert [text for text in page.text if text in SECTIONS][len(SECTIONS) :] == SECTIONS
    captions = [text for text in page.text if text.startswith(NASTY) and "20 cells" in text]
    assert captions == [f"{NASTY}{k}, 20 cells" for k in (2, 0, 1)]  # as the categories are
    assert {"difference", "p", "FDR"} <= set(page.text)
    assert len(page.images) == 8


def test_a_page_without_groups_embedding_or_test(report):
    page = check(report("plain.h5ad"))
    assert "Groups" not in page.text
    assert "Regulators that account for most" in page.text
    assert any(text.startswith("Not drawn: obsm has no embedding (X_umap") for text in page.text)
    shares = [float(text[:-2]) for text in page.text if re.fullmatch(r"[\d.]+ %", text)]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(100, abs=0.5)
    assert len(page.images) == 4
    values = pd.Series([0.1, 0.3, np.nan])
    assert figures.explained(values) == figures.explained(values)  # with no date in the image


def test_a_page_of_what_was_projected_without_expression(grnrep, folder, report):
    page = check(report("bare.h5ad", "--groupby", "state"))
    assert "Not checked: X, which was fitted, is not in the file." in page.text
    assert any("there is no test" in text for text in page.text)
    assert "FDR" not in page.text
    refused = grnrep("report", folder / "bare.h5ad", "-o", folder / "page.html", "--marginal")
    assert refused.exit_code == 2
    assert "needs the expression" in refused.stderr


def test_activities_of_regulators_by_themselves_are_computed_once(report, monkeypatch):
    calls, compute = [], _marginal.marginal_activities

    def counted(*args, **options):
        calls.append(options["verb"])
        return compute(*args, **options)

    # which verbs take from here when they are called, but for get.activity, which did before
    monkeypatch.setattr(_marginal, "marginal_activities", counted)
    monkeypatch.setattr(import_module("grnrep.get.activity"), "marginal_activities", counted)
    page = check(report("whole.h5ad", "--groupby", "state", "--sample", "donor", "--marginal"))
    assert calls == ["activity"]
    assert len(page.images) == 8
    assert any(text.startswith("Activities on this page are marginal") for text in page.text)


def test_groups_on_the_page_are_those_of_the_verb(report, folder):
    adata = ad.read_h5ad(folder / "whole.h5ad")
    for marginal in (False, True):
        gr.tl.rank_regulators(adata, "state", sample="donor", marginal=marginal)
        table = adata.uns["rank_regulators"]
        first = table[table["difference"] > 0].drop_duplicates("group").set_index("group")
        options = ["--groupby", "state", "--sample", "donor", "--overwrite"]
        options += ["--marginal"] * marginal
        text = check(report("whole.h5ad", *options)).text
        for group, row in first.iterrows():
            words = text[text.index(f"{group}, 20 cells") :]
            assert row["regulator"] in words[:30]
            assert f"{row['pvals']:.3f}" in words[:30]


def test_weak_regulators_are_counted_and_not_listed(grnrep, small, tmp_path):
    adata, net = small()
    twins = pd.DataFrame({"source": ["TwinA"] * 6 + ["TwinB"] * 6, "weight": 1.0})
    twins["target"] = [*net["target"].unique()[:6]] * 2
    weak = pd.DataFrame({"source": "Weak", "target": net["target"].unique()[:3], "weight": 1.0})
    gr.tl.fit(adata, pd.concat([net, twins, weak]), min_targets=1, **GIVEN | {"max_iter": 2})
    adata.write_h5ad(tmp_path / "fit.h5ad")
    result = grnrep("report", tmp_path / "fit.h5ad", "-o", tmp_path / "page.html")
    assert result.exit_code == 0, result.stderr
    page = check((tmp_path / "page.html").read_text())
    assert any(text.startswith("1 of 7 regulators have fewer than 5 targets") for text in page.text)
    assert any(text.startswith("2 regulators share all their targets") for text in page.text)
    assert any("in 1 group that no data can tell apart" in text for text in page.text)
    assert any(text.startswith("The fit had not converged") for text in page.text)
    assert not {"Weak", "TwinB"} & set(page.text)
    assert "TwinA" in page.text


def test_too_many_groups_are_refused(grnrep, folder, tmp_path):
    adata = ad.read_h5ad(folder / "plain.h5ad")
    adata.obs["cell"] = [f"c{k}" for k in range(60)]
    adata.obs["one"] = "one"
    adata.write_h5ad(tmp_path / "many.h5ad")
    for column, n in (("cell", 60), ("one", 1)):
        result = grnrep("report", tmp_path / "many.h5ad", "-o", "x.html", "--groupby", column)
        assert result.exit_code == 2
        assert f"--groupby must name a column with 2 to 50 groups; found {n} in" in result.stderr


@pytest.fixture
def photograph(tmp_path):
    """Take a picture of a page with a browser that can; gives red, green and blue."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f"no browser on PATH ({', '.join(BROWSERS)})")

    def run(address: str, limit: float = 120) -> np.ndarray:
        shot = tmp_path / "page.png"
        shot.unlink(missing_ok=True)
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--window-size=1000,5000"]
        options += [f"--user-data-dir={tmp_path / 'profile'}", f"--screenshot={shot}"]
        subprocess.run([browser, *options, address], check=True, timeout=limit, capture_output=True)
        return matplotlib.image.imread(shot)[..., :3]

    try:
        run("about:blank", limit=30)
    except subprocess.TimeoutExpired:  # builds to be driven by another program know no --screenshot
        pytest.skip(f"{browser} takes no picture of an empty page")
    return run


def test_a_browser_shows_the_page_and_its_images(report, photograph, tmp_path):
    html = report("whole.h5ad", "--groupby", "state")
    (tmp_path / "damaged.html").write_text(
        html.replace("image/png;base64,", "image/png;base64,AAAA")
    )
    pages = [photograph((tmp_path / f"{name}.html").as_uri()) for name in ("page", "damaged")]
    coloured, without = (np.mean(np.ptp(page, axis=2) > 0.2) for page in pages)
    assert all(page.std() > 0.05 for page in pages)  # text
    assert coloured > 5 * without  # figures are coloured, and shown
