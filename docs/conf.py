"""Settings of the documentation site.

The source folder is the repository itself, so that one relative link serves the code host and the site:

    sphinx-build -W --keep-going -c docs . docs/_build

Nothing is downloaded, no notebook is run, and warnings are errors.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # what is documented is this checkout
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = PROJECT["name"]
author = PROJECT["authors"][0]["name"]
copyright = author
version = release = PROJECT["version"]

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
]
include_patterns = ["*.md", "docs/**", "tutorials/*.ipynb"]
exclude_patterns = [
    ".*",
    "README.md",  # included by index.md
    "benchmarks",
    "build",
    "data",
    "dist",
    "docs/_*",
    "grnrep",
    "grnrep_demo",
    "shared",
    "tests",
]
smartquotes_action = "D"  # quotes stay as they are: names in them are code
templates_path = [str(ROOT / "docs/_templates")]

# pages: Markdown, and notebooks as they are committed
myst_enable_extensions = ["amsmath", "colon_fence", "dollarmath"]
myst_heading_anchors = 4
nb_execution_mode = "off"
nb_merge_streams = True

# functions: one page each, listed by the __all__ of their room
autosummary_generate = True
autosummary_ignore_module_all = False
autosummary_imported_members = True
autosummary_context = {
    "pictures": sorted(path.stem for path in (ROOT / "docs/figures/api").glob("*.png"))
}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 88
python_display_short_literal_types = True
napoleon_google_docstring = False
napoleon_use_rtype = False

html_theme = "furo"
html_title = f"{project} {release}"
html_static_path = ["_static"]
html_css_files = ["notebook.css"]
html_copy_source = False
html_theme_options = {
    "source_repository": PROJECT["urls"]["Source"],
    "source_branch": "main",
    "source_directory": "",
}


def plain_names(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Drop the marks of code around names under Returns, which napoleon makes bold as they are."""
    lines[:] = [re.sub(r"^``(.+)``(?= : )", r"\1", line) for line in lines]


def setup(app: Any) -> None:
    """Connect it, before napoleon."""
    app.connect("autodoc-process-docstring", plain_names, priority=400)
