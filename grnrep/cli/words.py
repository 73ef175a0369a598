"""What the verbs say, in terms of the shell: options by their names there, arguments by their files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

ARGUMENTS: Final = ("adata", "net", "new")  # of verbs, that are files here

# What messages advise in Python, and what does the same to a file; the rest of a sentence stays.
_REMEDIES: Final = (
    (r"Use net\.rename\(columns=\{\.\.\.\}\)", "Rename them in its first line"),
    (r"Drop them with net\.dropna\([^)]*\)", "Remove these rows"),
    (r"Keep one with net\.drop_duplicates\([^)]*\), or average with .*", "Keep one row of each"),
    (r"Rename, e\.g\. with net\[.*", "Rename them in the file, for instance with _ instead"),
    (r"use net\.rename\(columns=\{'([^']+)': 'weight'\}\)", r"rename the column \1 to weight"),
    (
        r"net\.rename\(columns=\{'source': 'target', 'target': 'source'\}\)",
        "rename them in the first line",
    ),
    (r"use \.str\.strip\(\) on net\.target and adata\.var_names", "remove them"),
    (r", e\.g\. (?:adata|net)\S+ = \S+\.str\.upper\(\)", ""),
    (r": \.str\.split\('\.'\)\.str\[0\]", ""),
    (
        r"set adata\.var_names = adata\.var\['([^']*)'\]",
        r"make the column \1 of var the var_names of adata",
    ),
    (
        r"set new\.var_names = new\.var\['([^']*)'\]",
        r"make the column \1 of var its var_names",
    ),
    (r"; use (adata|new) = \1\.T", ": transpose it"),
    (r"Call (adata|new)\.var_names_make_unique\(\)", "Make them unique first"),
    (r", or remove it first: del .*", ""),
    (r", or show the difference without a test, from grnrep\.get\.activity", ""),
    (
        r"Use net\['weight'\]\.map\(.*",
        "Write 1 and -1 instead, and nothing where the sign is unknown",
    ),
    (r"; 'link' .*", ""),
    (r"by sample=None, which", "without --sample, which"),
    (r"None or 'auto'", "'all' or 'auto'"),
    (r"grnrep\.tl\.transform\(cells, model\)", "grnrep transform CELLS MODEL"),
    (r"device must be None or one", "device must be one"),
)
_VERBS: Final = {
    "fit_gradient": "fit --solver=gradient",
    "io.save": "fit --model",
    "io.load": "transform",
}


@dataclass(frozen=True, kw_only=True)
class Terms:
    """How a command calls the parameters of its verb.

    Parameters
    ----------
    options
        Name in the shell of every option, by the name of the parameter: ``{"min_targets": "--min-targets"}``.
    flags
        Those that take no value.
    files
        What was given for every argument, by the name of the parameter: ``{"adata": "'cells.h5ad'"}``.
    """

    options: Mapping[str, str]
    flags: frozenset[str] = frozenset()
    files: Mapping[str, str]

    def put(self, text: str) -> str:
        """Put a message of a verb in terms of the shell."""
        for python, shell in _REMEDIES:
            text = re.sub(python, shell, text)
        text = re.sub(r"\bgrnrep\.(?:tl|pp|metrics)\.(\w+)|\bgrnrep\.(io\.\w+)", _command, text)
        for name, file in self.files.items():
            text = _named(text, name, file)
        for name, option in self.options.items():
            if name in self.flags:
                text = re.sub(rf"\b{name}=True\b", option, text)
            text = re.sub(rf"(?<![\w.\-]){name}=(?!=)", f"{option}=", text)
            text = re.sub(rf"(?<![\w.'\-]){name}(?= (?:must|is an option|leaves))", option, text)
            if "_" in name:  # else it may be a word of English
                text = re.sub(rf"(?<![\w.'\-]){name}\b", option, text)
            text = text.replace(f"{option}=True", f"{option}=yes").replace(
                f"{option}=False", f"{option}=no"
            )
        return text


def _command(match: re.Match[str]) -> str:
    verb = match[1] or match[2]
    return f"grnrep {_VERBS.get(verb, verb.replace('_', '-'))}"


def _named(text: str, name: str, file: str) -> str:
    """Call an argument by its file; a part of it, such as adata.obs['batch'], too."""
    text = re.sub(
        rf"(?<![\w.'/\-]){name}\.((?:raw\.)?\w+(?:\[[^\]]*\])?)", rf"\1 of {_literal(file)}", text
    )
    if name == "new":  # a word of English
        return re.sub(r"(?:^|(?<=: ))new (?=must|has)", lambda _: f"{file} ", text)
    return re.sub(rf"(?<![\w.'/\-]){name}(?![\w=.'/\-]|\.\w)", lambda _: file, text)


def _literal(text: str) -> str:
    return text.replace("\\", r"\\")
