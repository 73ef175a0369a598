"""The documentation site is built as it is published: without a network, and warnings are errors."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html import unescape
from inspect import ismodule
from pathlib import Path
from urllib.parse import unquote

import pytest
from filelock import FileLock

import grnrep

ROOT = Path(__file__).parents[2]
ROOMS = [name for name in grnrep.__all__ if name not in ("core", "validation")]
OFFLINE = """
import runpy, socket, sys

def refuse(*args, **options):
    raise OSError("the site is built without a network")

socket.create_connection = socket.getaddrinfo = refuse
runpy.run_module("sphinx", run_name="__main__")
"""


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """Built once, also by several processes of tests: two at a time would write the same pages of the API."""
    place = tmp_path_factory.getbasetemp()
    place = place.parent if "PYTEST_XDIST_WORKER" in os.environ else place
    folder, done = place / "site", place / "site_done"
    options = ["-W", "--keep-going", "-q", "-d", folder / "doctrees", "-c", ROOT / "docs"]
    command = [sys.executable, "-c", OFFLINE, *options, ROOT, folder / "html"]
    with FileLock(place / "site_lock"):
        if not done.exists():
            built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
            assert built.returncode == 0, built.stderr
            done.touch()
    return folder / "html"


def _pages(site: Path) -> dict[Path, str]:
    return {page: page.read_text(encoding="utf-8") for page in site.rglob("*.html")}


def test_every_public_name_has_a_page(site):
    rooms = [grnrep, *(module for name in ROOMS if ismodule(module := getattr(grnrep, name)))]
    public = [
        f"{room.__name__}.{name}"
        for room in rooms
        for name in room.__all__
        if callable(getattr(room, name))
    ]
    assert public
    missing = [name for name in public if not (site / "docs" / "api" / f"{name}.html").exists()]
    assert not missing


def test_every_plot_has_a_picture(site):
    pictures = ROOT / "docs" / "figures" / "api"
    plots = {f"grnrep.pl.{name}" for name in grnrep.pl.__all__}
    drawn = {path.stem for path in pictures.glob("*.png")}
    assert plots == drawn, "run `python docs/make_pictures.py`, and remove what shows no plot"
    for name in plots:
        page = (site / "docs" / "api" / f"{name}.html").read_text(encoding="utf-8")
        assert f"{name}.png" in page


def test_every_page_and_notebook_is_in_the_site(site):
    for page in [*ROOT.glob("docs/**/*.md"), *ROOT.glob("tutorials/*.ipynb")]:
        assert (site / page.relative_to(ROOT).with_suffix(".html")).exists()


def test_links_lead_to_pages_and_their_parts(site):
    """Of the text, not of the frame around it, which is the theme's."""
    pages, wrong = _pages(site), []
    anchors = {page: set(re.findall(r'\bid="([^"]+)"', text)) for page, text in pages.items()}
    for page, text in pages.items():
        article = re.search(r"<article.*?</article>", text, flags=re.DOTALL)
        for link in re.findall(r'(?:href|src)="([^"]+)"', article[0] if article else ""):
            place, _, part = unquote(unescape(link)).partition("#")
            if re.match(r"[a-z]+:|//", place):
                continue
            to = (page.parent / place).resolve() if place else page
            if not to.is_file() or (part and to in anchors and part not in anchors[to]):
                wrong.append(f"{page.relative_to(site)}: {link}")
    assert not wrong, "\n".join(wrong)
