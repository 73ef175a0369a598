"""The page as data, and as HTML: sections of paragraphs, tables and figures."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from importlib.resources import files

from jinja2 import Environment, StrictUndefined


@dataclass(frozen=True, kw_only=True)
class Table:
    """Cells as text; columns named in ``right`` hold numbers."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure as PNG, drawn at twice the ``width`` in pixels at which it is shown."""

    caption: str
    alt: str
    png: bytes
    width: int

    @property
    def source(self) -> str:
        """The image itself as an address, so that none is asked for elsewhere."""
        return f"data:image/png;base64,{b64encode(self.png).decode('ascii')}"


@dataclass(frozen=True, kw_only=True)
class Section:
    """What stands under one title; ``warnings`` are paragraphs that stand out."""

    title: str
    warnings: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()

    @property
    def anchor(self) -> str:
        """Name for links on the page."""
        return self.title.lower().replace(" ", "-")


@dataclass(frozen=True, kw_only=True)
class Contents:
    """Everything on the page."""

    title: str
    subtitle: str
    sections: tuple[Section, ...]
    version: str


def page(contents: Contents) -> str:
    """Write the page as HTML; whatever names contain, they are shown as text."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = files("grnrep.cli.report").joinpath("page.html").read_text(encoding="utf-8")
    return environment.from_string(template).render(page=contents)
