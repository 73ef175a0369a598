"""What the scripts that write pages of docs/results share."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import fill

DOCS = Path(__file__).parents[1] / "docs" / "results"
_WIDTH = 120
_NOT_PROSE = ("|", "#", "![", "    ")  # tables, headings, images, code
_BULLET = re.compile(r"(?:[-*]|\d+\.) ")


def lines(rows: list[list[str]], head: list[str]) -> str:
    """A table in Markdown."""
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def write(name: str, page: str) -> None:
    """Write the page ``docs/results/NAME.md``, its prose in lines of at most 120 characters."""
    blocks = re.split(r"\n{2,}", page.strip())
    (DOCS / f"{name}.md").write_text("\n\n".join(map(_wrapped, blocks)) + "\n")


def _wrapped(block: str) -> str:
    """One paragraph or list, wrapped; anything else as it is."""
    if block.startswith(_NOT_PROSE):
        return block
    parts = re.split(rf"\n(?={_BULLET.pattern})", block)  # the paragraph before a list, its items
    return "\n".join(map(_filled, parts))


def _filled(part: str) -> str:
    """A paragraph or an item, whose further lines are indented as far as its text."""
    bullet = _BULLET.match(part)
    indent = " " * len(bullet[0]) if bullet else ""
    text = re.sub(r"(?<=\d) (?=%)", "\0", " ".join(part.split()))  # no line begins with a "%"
    text = re.sub(r" (?=[-+=·] )", "\0", text)  # nor with what would be a bullet
    return fill(
        text, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    ).replace("\0", " ")
