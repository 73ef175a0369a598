"""Experiments that ``grnrep validate`` knows by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class Study:
    """What to call in :mod:`grnrep.validation`, which is loaded when a study runs.

    Parameters
    ----------
    about
        What it does, for the list.
    function, figure
        Give the rows of the study, and a figure of them.
    claims
        Gives what the paper claims beside what was found; None where there is no such table.
    images
        Gives a second figure, of images that trained models make up.
    by, show
        Columns that tell the lines of the printed table apart, and those of which it has means and
        standard deviations; without them, the rows are printed as they are.
    reads_data
        Whether it takes a folder with data.
    keeps_rows
        Whether it has a quick version, and writes its rows one by one, so that it can go on later.
    """

    about: str
    function: str
    figure: str
    claims: str | None = None
    images: str | None = None
    by: tuple[str, ...] = ()
    show: tuple[str, ...] = ()
    reads_data: bool = True
    keeps_rows: bool = True

    def run(
        self, data_dir: Path | None, *, quick: bool, rng: int, out: Path | None, progress: bool
    ) -> pd.DataFrame:
        """Rows of the study, in the file ``out`` too."""
        data = {"data_dir": data_dir} if self.reads_data else {}
        if self.keeps_rows:
            return self._call(
                self.function, **data, quick=quick, rng=rng, out=out, progress=progress
            )
        if out is None:
            return self._call(self.function, **data, rng=rng)
        from grnrep.validation.runs import Runs

        runs = Runs(out, study=out.stem, settings={"rng": rng})
        table = self._call(self.function, **data, rng=rng)
        for key, row in zip(
            table.index.to_frame().to_dict("records"), table.to_dict("records"), strict=True
        ):
            runs.add(key, row)
        return table

    def summary(self, table: pd.DataFrame) -> pd.DataFrame:
        """Means, with standard deviations where there is more than one row."""
        if not self.by:
            return table
        grouped = table.groupby(list(self.by), sort=False, dropna=False)[list(self.show)]
        mean, sd = grouped.mean(), grouped.std()
        words = mean.map("{:.4g}".format).where(mean.notna(), "")
        return words.where(sd.isna(), words + " ± " + sd.map("{:.2g}".format))

    def draw(self, table: pd.DataFrame) -> Figure:
        """Figure of the rows."""
        return self._call(self.figure, table)

    def picture(
        self, data_dir: Path | None, *, quick: bool, rng: int, progress: bool
    ) -> Figure | None:
        """Second figure, if the study has one."""
        options = {"quick": quick, "rng": rng, "progress": progress}
        return None if self.images is None else self._call(self.images, data_dir, **options)

    def judge(self, table: pd.DataFrame) -> pd.DataFrame | None:
        """Claims of the paper, if the study has any, beside what was found."""
        return None if self.claims is None else self._call(self.claims, table)

    def _call(self, name: str, *arguments: Any, **options: Any) -> Any:
        from grnrep import validation

        function: Callable[..., Any] = getattr(validation, name)
        return function(*arguments, **options)


_ERRORS = ("train_error", "test_error")

STUDIES = {
    "yeast": Study(
        about="Find the induced regulator in 179 inductions of single regulators in yeast.",
        function="yeast_induction",
        figure="perturbation_figure",
        keeps_rows=False,
    ),
    "ecoli": Study(
        about="Find the regulator that is missing in 27 knock-out conditions of E. coli.",
        function="ecoli_knock_outs",
        figure="perturbation_figure",
        keeps_rows=False,
    ),
    "load-study": Study(
        about="Decoder, encoder, autoencoder and exact solver on 5 to 10,000 simulated cells (Fig. 4).",
        function="load_study",
        figure="load_figure",
        claims="load_claims",
        by=("n", "model"),
        show=("load", "load_unmasked", "test_mse", "pcc", "abs_pcc", "worst_pcc"),
        reads_data=False,
    ),
    "load-grid": Study(
        about="Learning rates of the load study, searched on a grid.",
        function="load_grid",
        figure="load_grid_figure",
        by=("model", "lr", "lr_representation"),
        show=("test_mse", "pcc", "abs_pcc"),
        reads_data=False,
    ),
    "mnist": Study(
        about="Decoder against autoencoder on 500 to 15,000 images of digits (Fig. 2).",
        function="mnist_study",
        figure="mnist_figure",
        claims="mnist_claims",
        by=("n_train", "model"),
        show=_ERRORS,
    ),
    "cifar10": Study(
        about="Decoder against autoencoder on 50 to 5,000 photographs a class (Fig. 3).",
        function="cifar10_study",
        figure="cifar10_figure",
        claims="cifar10_claims",
        by=("per_class", "kind", "model"),
        show=_ERRORS,
    ),
    "autoencoders": Study(
        about="The family of autoencoders on digits and on simulated cells.",
        function="autoencoders_study",
        figure="autoencoders_figure",
        claims="family_claims",
        images="autoencoders_images",
        by=("panel", "n", "member"),
        show=("test_error", "probe_error", "test_mse", "pcc"),
    ),
    "translation": Study(
        about="Digits translated to their rotations and edges, with and without encoders.",
        function="translation_study",
        figure="translation_figure",
        claims="translation_claims",
        images="translation_images",
        by=("n", "domain", "pairs", "model"),
        show=("own_error", "test_error", "class_error"),
    ),
    "theory": Study(
        about="A linear decoder finds the principal subspace; loads of decoder and encoder (Eq. 5).",
        function="theory_study",
        figure="theory_figure",
        by=("method", "steps"),
        show=("angle", "excess_error"),
        reads_data=False,
    ),
}
