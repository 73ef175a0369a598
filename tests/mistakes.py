"""The table of mistakes in the documentation, whose rows are run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "mistakes.md"


@dataclass(frozen=True)
class Mistake:
    """A row: what was done, the command or code, and what is said, where … stands for anything."""

    done: str
    call: str
    said: str

    def matches(self, text: str) -> bool:
        """Whether this is what is said."""
        parts = self.said.split("…")
        return bool(re.fullmatch(".*".join(map(re.escape, parts)), " ".join(text.split())))

    def __str__(self) -> str:
        return re.sub(r"\W+", "-", self.done).strip("-").lower()


def mistakes(title: str) -> list[Mistake]:
    """Rows of the table under a title of the page."""
    section = PAGE.read_text().split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")][1:]
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return [Mistake(done, call.strip("`"), said.strip("`")) for done, call, said in rows]
