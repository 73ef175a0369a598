"""The E. coli knock-out set (PRECISE): 77 samples without one of 26 regulators, among 278, as ground truth."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import pandas as pd
from anndata import AnnData

from grnrep.validation.regulation.perturbation_set import (
    PerturbationSet,
    data_folder,
    perturbations,
)

MIN_TARGETS: Final = 4
# regulators all of whose edges, or some, were found with these very samples
NOT_INDEPENDENT: Final = frozenset(
    ("nac", "yafC", "yeiE", "yieP", "ybaO", "ybaQ", "ybiH", "ydcI", "yddM", "yheO")
)
PARTLY_INDEPENDENT: Final = frozenset(
    ("fur", "oxyR", "soxR", "soxS", "gadE", "gadW", "gadX", "ompR", "cra")
)

_SOURCE = "the package pymodulon (pip install 'grnrep[ecoli]'; Sastry et al. 2019, MIT)"
_FILES = ("expression.tsv.gz", "network.tsv", "perturbations.tsv")
_PACKAGE_FILES = ("log_tpm.csv", "sample_table.csv", "gene_table.csv", "trn.csv")
_STRAIN = (
    r"^Escherichia coli (?:K-12 )?(?:MG1655|BW25113) del_(\w+)$"  # one deletion and no other change
)
# Where the wild type of the same project and medium is not "wt_" and the medium, or was not measured
_CONTROLS: Final = {
    "fur__delfur_fe2": ("fur__wt_fe",),
    "nac_ntrc__bw_delnac_nh4": ("fps__bw_glc",),
    "misc__bw_delcbl": ("fps__bw_glc", "omics__bw_glc"),
    "misc__bw_delfabr": ("fps__bw_glc", "omics__bw_glc"),
    "misc__bw_delfadr": ("fps__bw_glc", "omics__bw_glc"),
    "cra_crp__delcra_glc": ("control__wt_glc",),
    "crp__delcrp_fru": ("crp__wt_fru", "cra_crp__wt_fru"),
    "crp__delcrp_glc": ("control__wt_glc",),
    "ica__bw_delpurR_cytd": ("fps__bw_glc",),
}


@dataclass(frozen=True, eq=False)
class _Tables:
    """Expression (samples × genes), edges, and knock-outs: regulator, condition, controls by sample."""

    expression: pd.DataFrame
    net: pd.DataFrame
    knock_outs: pd.DataFrame


def load_ecoli(data_dir: str | os.PathLike[str] | None = None) -> PerturbationSet:
    """Read the E. coli knock-out set and its network.

    Expression is log2(TPM + 1) of 278 RNA-seq samples. A knock-out is compared with wild types of the same
    project, medium and strain, or the closest there are. Edges from a regulator to its own gene are
    left out, as its deletion would show there, as are edges without a sign, regulators with fewer than
    4 targets, and genes without a regulator.

    The network (RegulonDB and additions of the laboratory that measured the samples) is not wholly
    independent of them: see ``NOT_INDEPENDENT`` and ``PARTLY_INDEPENDENT`` in
    :mod:`grnrep.validation.regulation.ecoli`.

    Parameters
    ----------
    data_dir
        Folder with ``ecoli/expression.tsv.gz`` (samples × genes), ``ecoli/network.tsv`` (source, target,
        weight) and ``ecoli/perturbations.tsv`` (sample, regulator, condition, controls), or the folder
        ``ecoli`` itself. By default the environment variable ``GRNREP_DATA_DIR``, and where that has
        no such files the package pymodulon, from whose tables the same set is made. It only has to be
        installed, not imported.

    Returns
    -------
    Set with ``adata`` (278 samples × 2,205 genes) and ``net`` (6,080 edges of 151 regulators).
    Activities are expected to fall, in 27 conditions of 15 of these regulators.

    Raises
    ------
    ValueError
        If no folder is given and pymodulon is not installed.
    FileNotFoundError
        If files are missing; the message says where they come from.

    References
    ----------
    Sastry et al. (2019), The Escherichia coli transcriptome mostly consists of independently regulated
    modules, Nature Communications 10:5536.

    Examples
    --------
    >>> from grnrep.validation import load_ecoli
    >>> ecoli = load_ecoli("data")  # doctest: +SKIP
    """
    try:
        tables = _from_files(data_folder(data_dir, "ecoli", _FILES, source=_SOURCE))
    except (ValueError, FileNotFoundError):
        package = None if data_dir is not None else find_spec("pymodulon")
        if package is None or package.origin is None:
            raise
        tables = _from_package(Path(package.origin).parent / "data" / "ecoli")
    net, knock_outs = tables.net, tables.knock_outs
    knock_outs = knock_outs.reindex([s for s in tables.expression.index if s in knock_outs.index])
    net = net[(net["weight"] != 0) & (net["source"] != net["target"])]
    net = net[net["target"].isin(tables.expression.columns)]
    net = net[net.groupby("source")["target"].transform("size") >= MIN_TARGETS]
    expression = tables.expression.rename_axis(index=None, columns=None)
    expression = expression.loc[:, expression.columns.isin(net["target"])]
    perturbed = perturbations(
        knock_outs["regulator"],
        expected=-1,
        controls=knock_outs["controls"],
        condition=knock_outs["condition"],
    )
    return PerturbationSet(
        adata=AnnData(expression.astype("float64")),
        net=net[["source", "target", "weight"]]
        .astype({"weight": "float64"})
        .reset_index(drop=True),
        perturbed=perturbed,
        relative=False,
    )


def _from_files(folder: Path) -> _Tables:
    expression, net, knock_outs = (
        pd.read_csv(folder / name, sep="\t", index_col=index)
        for name, index in zip(_FILES, (0, None, "sample"), strict=True)
    )
    knock_outs["controls"] = (
        knock_outs["controls"].str.split(";").map(lambda names: tuple(sorted(names)))
    )
    return _Tables(expression, net, knock_outs)


def _from_package(folder: Path) -> _Tables:
    """Make the tables from those that pymodulon installs: names for b-numbers, signs, and knock-outs."""
    missing = [name for name in _PACKAGE_FILES if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{', '.join(missing)} missing in {folder}; version 0.2.1 of pymodulon has them"
        )
    levels, samples, genes = (
        pd.read_csv(folder / name, index_col=0) for name in _PACKAGE_FILES[:3]
    )
    trn = pd.read_csv(folder / _PACKAGE_FILES[3])
    name = genes["gene_name"].reindex(levels.index)
    name = name.where(name.notna() & ~name.duplicated(keep=False), levels.index)
    net = pd.DataFrame(
        {
            "source": trn["regulator"],
            "target": trn["gene_id"].map(name),
            "weight": trn["effect"].map({"+": 1, "-": -1}).fillna(0),
        }
    )
    # four decimals, as in the files, so that both ways give the same numbers
    expression = levels.T.round(4).rename(columns=name)
    return _Tables(expression, net, _knock_outs(samples))


def _knock_outs(samples: pd.DataFrame) -> pd.DataFrame:
    """Samples whose strain lacks one regulator, with the samples of the closest wild type."""
    condition = samples["project"] + "__" + samples["condition"]
    table = pd.DataFrame(
        {
            "regulator": samples["Strain Description"].str.extract(_STRAIN)[0],
            "condition": condition,
        }
    ).dropna()
    controls = {}
    for name, regulator in table.drop_duplicates("condition")[
        ["condition", "regulator"]
    ].to_numpy():
        project, detail = name.split("__")
        # "bw_delcra_trp" or "delcra_trp" of a project is compared with its "wt_trp"; glucose is not always said
        medium = detail.lower().partition(f"del{regulator.lower()}")[2].strip("_") or "glc"
        wild = _CONTROLS.get(name, (f"{project}__wt_{medium}",))
        controls[name] = tuple(sorted(condition.index[condition.isin(wild)]))
    table["controls"] = table["condition"].map(controls)
    return table
