"""Write the pages of all claims and of translation: docs/results/claims.md and translation.md, with figures.

    python benchmarks/claims_page.py

Rows are those that lie in docs/results; the commands that make them are named in the page.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from _pages import DOCS, lines, write

from grnrep import validation
from grnrep.validation.runs import Runs

HEAD = ["claim", "holds if", "found", "verdict"]
SECTIONS = {
    "load-study": ("Regulators (paper, Section 3.3, Fig. 4)", "grnrep validate load-study"),
    "theory": ("Theory (paper, Sections 2.1 and 2.3)", "grnrep validate theory"),
    "mnist": ("MNIST (paper, Section 3.1, Fig. 2)", "grnrep validate mnist"),
    "cifar10": ("CIFAR-10 (paper, Section 3.2, Fig. 3)", "grnrep validate cifar10"),
    "autoencoders": (
        "The family, on digits and on simulated cells",
        "grnrep validate autoencoders --quick",
    ),
    "autoencoders-mnist/autoencoders": ("The family, on MNIST", "grnrep validate autoencoders"),
    "translation": (
        "Translation between domains, on digits",
        "grnrep validate translation --quick",
    ),
    "translation-mnist/translation": (
        "Translation between domains, on MNIST",
        "grnrep validate translation",
    ),
}


def read(name: str) -> pd.DataFrame:
    """Rows of a study."""
    path = DOCS / f"{name}.json"
    content = json.loads(path.read_text())
    return Runs(path, study=Path(name).name, settings=content["settings"]).table()


def loads(table: pd.DataFrame) -> pd.DataFrame:
    """The three claims on loads, in the words of the others."""
    said = {
        "decoder": "the decoder is well determined above a load of",
        "encoder": "an encoder on the decoder needs a load of at least",
        "autoencoder": "the autoencoder needs a load of about",
    }
    found = validation.load_claims(table)
    count = found["counted"]
    return pd.DataFrame(
        {
            "claim": [
                f"{said[row.model]} {row.paper:g}, counting {row.counted}"
                for row in found.itertuples()
            ],
            "criterion": found["needs"] + ", from there on and not below",
            "found": found["load_from"]
            .map("from {:.2f} on".format)
            .where(found["n_from"].notna(), "at none"),
            "verdict": found["verdict"],
        }
    ).loc[count.index]


def theory(table: pd.DataFrame) -> pd.DataFrame:
    """The linear case, in the words of the others."""
    said = {
        "alternation": "a linear decoder alone spans the principal subspace: alternating least squares",
        "gradient": "the same: gradients, representations by momentum, decoder by Adam",
    }
    rows = []
    for method, part in table.groupby("method"):
        last = part[part["steps"] == part["steps"].max()]
        angle, excess = last["angle"].max(), last["excess_error"].abs().max()
        found = f"{angle:.0e} rad, error {excess:.0e} above, {len(last)} data sets, {last['steps'].iloc[0]:,} steps"
        verdict = "confirmed" if angle < 1e-12 else "not confirmed"
        rows.append(
            (said[str(method)], "largest angle below 1e-12 in every data set", found, verdict)
        )
    return pd.DataFrame(rows, columns=["claim", "criterion", "found", "verdict"])


CLAIMS: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "load-study": loads,
    "theory": theory,
    "mnist": validation.mnist_claims,
    "cifar10": validation.cifar10_claims,
    "autoencoders": validation.family_claims,
    "autoencoders-mnist/autoencoders": validation.family_claims,
    "translation": validation.translation_claims,
    "translation-mnist/translation": validation.translation_claims,
}


def main() -> None:
    tables = {name: read(name) for name in SECTIONS}
    parts, verdicts = [], []
    for name, (title, command) in SECTIONS.items():
        found = CLAIMS[name](tables[name])
        found = found[found["verdict"] != "not tested"] if "autoencoders" in name else found
        verdicts += list(found["verdict"])
        parts += [f"## {title}", f"    {command}", lines(found.to_numpy().tolist(), HEAD)]
    validation.loads_figure(tables).savefig(DOCS / "loads.png", dpi=110)
    validation.theory_figure(tables["theory"]).savefig(DOCS / "theory.png", dpi=110)
    for name in ("translation", "translation-mnist/translation"):
        validation.translation_figure(tables[name]).savefig(DOCS / f"{name}.png", dpi=110)
    write("translation", Path(__file__).with_name("translation_page.md").read_text())
    count = pd.Series(verdicts).map(lambda verdict: verdict.split(",")[0]).value_counts()
    template = Path(__file__).with_suffix(".md").read_text()
    write(
        "claims",
        template.format(
            tables="\n\n".join(parts),
            total=len(verdicts),
            **{
                name.replace(" ", "_"): count.get(name, 0)
                for name in ("confirmed", "not confirmed", "not tested")
            },
        ),
    )


if __name__ == "__main__":
    main()
