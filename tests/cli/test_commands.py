"""Commands do what the verbs do, on files of every kind."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import grnrep as gr

pytestmark = pytest.mark.usefixtures("quick_choices")

# where nobody asks what is chosen: for a verb, and for a command
GIVEN = {"sign_shrinkage": 0.3, "ridge": 1e-3, "intercept": True}
PENALTIES = ["--sign-shrinkage=0.3", "--ridge=0.001", "--intercept=yes"]
COMMANDS = [
    *("check-network", "fit", "transform", "rank-regulators", "export", "report", "evaluate"),
    *("compile", "demo", "simulate", "validate"),
]


def _read(path):
    return ad.read_h5ad(path) if str(path).endswith("h5ad") else ad.read_zarr(path)


def _save(adata, path):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Writing zarr v2")
        adata.write_h5ad(path) if str(path).endswith("h5ad") else adata.write_zarr(path)


def test_help_names_every_command(grnrep):
    result = grnrep("--help")
    assert result.exit_code == 0
    for command in COMMANDS:
        assert f" {command} " in result.stdout
        assert grnrep(command, "--help").exit_code == 0
    assert grnrep("--version").stdout == f"grnrep {gr.__version__}\n"


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from grnrep.cli import app\n"
        "try: app(['fit', '--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'scanpy', 'anndata', 'pandas', 'numpy', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, stdout=subprocess.DEVNULL)


# simulate


@pytest.mark.parametrize(
    ("form", "table"), [("h5ad", "csv"), ("h5ad", "tsv"), ("h5ad", "parquet"), ("zarr", "csv")]
)
def test_simulate_as_in_memory(grnrep, work, form, table):
    sizes = {"n_obs": 30, "n_vars": 25, "n_regulators": 4, "connectivity": 0.3, "noise_sd": 0.1}
    options = [f"--{name.replace('_', '-')}={value}" for name, value in sizes.items()]
    result = grnrep(
        "simulate",
        "-o",
        f"x.{form}",
        "--network-output",
        f"n.{table}",
        *options,
        "--rng",
        3,
        "--counts",
        "nb",
    )
    assert result.exit_code == 0, result.stderr
    assert f"wrote x.{form}" in result.stderr
    assert f"wrote n.{table}" in result.stderr
    adata, net = gr.ds.simulate(**sizes, rng=3, counts="nb")
    back = _read(f"x.{form}")
    np.testing.assert_array_equal(back.X.toarray(), adata.X)
    np.testing.assert_array_equal(back.layers["counts"].toarray(), adata.layers["counts"].toarray())
    readers = {
        "csv": pd.read_csv,
        "tsv": lambda p: pd.read_csv(p, sep="\t"),
        "parquet": pd.read_parquet,
    }
    pd.testing.assert_frame_equal(readers[table](f"n.{table}"), net)


# fit


@pytest.mark.parametrize("form", ["h5ad", "zarr"])
def test_fit_is_the_same_for_every_format(grnrep, work, small, form):
    adata, net = small(n_obs=80)
    adata = adata[:60].copy()
    _save(adata, f"in.{form}")
    # once with every choice left to the fit
    options = ([], {}) if form == "h5ad" else (PENALTIES, GIVEN)
    result = grnrep("fit", f"in.{form}", "net.csv", "--output", f"out.{form}", *options[0])
    assert result.exit_code == 0, result.stderr
    assert f"wrote out.{form}" in result.stderr
    gr.tl.fit(adata, net, progress=False, **options[1])
    back = _read(f"out.{form}")
    pd.testing.assert_frame_equal(
        back.obsm["grnrep"], adata.obsm["grnrep"], check_column_type=False
    )
    np.testing.assert_array_equal(back.varm["grnrep"].toarray(), adata.varm["grnrep"].toarray())
    assert dict(back.uns["grnrep"]["params"]) == adata.uns["grnrep"]["params"]


@pytest.mark.parametrize(("given", "used"), [("auto", False), ("yes", True), ("no", False)])
def test_fit_passes_its_options_on(grnrep, work, given, used):
    data = ad.read_h5ad("data.h5ad")
    data.layers["twice"] = 2 * data.X
    data.write_h5ad("data.h5ad")
    options = {
        "--intercept": given,
        "--layer": "twice",
        "--key-added": "mine",
        "--max-iter": 7,
        "--rng": 5,
    }
    result = grnrep(
        "fit",
        "data.h5ad",
        "net.csv",
        "-o",
        "out.h5ad",
        "--likelihood=tobit",
        *PENALTIES,
        *sum(options.items(), ()),
    )
    assert result.exit_code == 0, result.stderr
    params = ad.read_h5ad("out.h5ad").uns["mine"]["params"]
    wanted = {
        "intercept": used,
        "layer": "twice",
        "max_iter": 7,
        "rng": 5,
        "likelihood": "tobit",
        "solver": "exact",
    }
    assert {name: params[name] for name in wanted} == wanted


@pytest.mark.parametrize("given", [[], ["--magnitudes"]])
def test_sizes_of_weights_are_used_where_asked_for(grnrep, work, given):
    limits = ["--max-iter=2", "--likelihood=gaussian", *PENALTIES]
    result = grnrep("fit", "data.h5ad", "net.csv", "-o", "out.h5ad", *given, *limits)
    assert result.exit_code == 0, result.stderr
    found = ad.read_h5ad("out.h5ad")
    asked = {"likelihood": "gaussian", "max_iter": 2, "progress": False, **GIVEN}
    adata = ad.read_h5ad("data.h5ad")
    gr.tl.fit(adata, pd.read_csv("net.csv"), magnitudes=bool(given), **asked)
    assert found.uns["grnrep"]["params"]["magnitudes"] == bool(given)
    np.testing.assert_allclose(found.obsm["grnrep"], adata.obsm["grnrep"], rtol=1e-5)


@pytest.mark.parametrize(("given", "n_signed"), [("auto", 0), ("yes", 99), ("no", 0)])
def test_signs_of_a_network_of_ones_are_believed_where_asked_for(grnrep, work, given, n_signed):
    net = pd.read_csv("net.csv").assign(weight=1)
    net.to_csv("net.csv", index=False)
    assert len(net) == 99
    report = grnrep("check-network", "data.h5ad", "net.csv", "--signed", given)
    assert f"n_edges_signed{n_signed}" in report.stdout.replace(" ", "")
    assert ("all 99 weights that are given are 1" in report.stderr) is (given == "auto")
    limits = ["--max-iter=2", "--likelihood=gaussian", *PENALTIES]
    result = grnrep("fit", "data.h5ad", "net.csv", "-o", "out.h5ad", "--signed", given, *limits)
    assert result.exit_code == 0, result.stderr
    found = ad.read_h5ad("out.h5ad").uns["grnrep"]
    assert found["regulators"]["n_signed"].sum() == n_signed
    assert bool(found["params"]["signed"]) is (given == "yes")


def test_fit_with_the_other_solver(grnrep, work):
    options = ["--solver", "gradient", "--epochs", 3, "--likelihood", "gaussian"]
    result = grnrep("fit", "data.h5ad", "net.csv", "-o", "out.h5ad", *options)
    assert result.exit_code == 0, result.stderr
    params = ad.read_h5ad("out.h5ad").uns["grnrep"]["params"]
    assert (params["solver"], params["epochs"], params["likelihood"]) == ("gradient", 3, "gaussian")


def test_an_old_option_goes_on_with_a_warning(grnrep, work):
    given = ["fit", "data.h5ad", "net.csv", "-o", "out.h5ad", "--max-iter=2", "--link", "identity"]
    result = grnrep(*given, "--sign-shrinkage", "0.3")
    assert result.exit_code == 0, result.stderr
    said = " ".join(result.stderr.split())
    assert "instead of --link='identity' write --likelihood='gaussian'" in said
    params = ad.read_h5ad("out.h5ad").uns["grnrep"]["params"]
    assert (params["likelihood"], params["sign_shrinkage"]) == ("gaussian", 0.3)
    assert "--link" not in grnrep("fit", "--help").stdout


def test_an_old_option_fits_the_regulators_of_0_1_0_unless_told_otherwise(grnrep, work):
    net = pd.read_csv("net.csv")
    few = pd.DataFrame({"source": "Few", "target": net["target"].unique()[:2]})
    pd.concat([net, few]).to_csv("wide.csv", index=False)
    given = ["fit", "data.h5ad", "wide.csv", "-o", "out.h5ad", "--max-iter=2", "--overwrite"]
    given += ["--sign-shrinkage=0.3", "--likelihood"]
    for options, kept in {
        ("auto", "--link=identity"): True,  # as in Python
        ("auto", "--link=identity", "--min-targets=5"): False,
        ("gaussian",): False,
    }.items():
        result = grnrep(*given, *options)
        assert result.exit_code == 0, result.stderr
        assert ("Few" in ad.read_h5ad("out.h5ad").obsm["grnrep"]) == kept
        said = "for the same regulators write --min-targets=1" in " ".join(result.stderr.split())
        assert said == kept


@pytest.mark.usefixtures("short_chain")
def test_fit_with_everything_that_is_off_by_default(grnrep, work):
    data = ad.read_h5ad("data.h5ad")
    data.obs["batch"] = np.where(np.arange(data.n_obs) % 2, "one", "two")
    data.obs["depth"] = np.arange(data.n_obs) * 1.5
    data.write_h5ad("data.h5ad")
    options = ["--covariate", "batch", "--covariate", "depth", "--repair", "--uncertainty"]
    result = grnrep(
        "fit", "data.h5ad", "net.csv", "-o", "out.h5ad", *options, "--likelihood=tobit", *PENALTIES
    )
    assert result.exit_code == 0, result.stderr
    back = ad.read_h5ad("out.h5ad")
    assert back.uns["grnrep"]["covariates"]["covariate"].tolist() == ["batch", "depth"]
    assert "repair" in back.uns["grnrep"]
    assert "grnrep_sd" in back.obsm


def test_quiet_is_quiet(grnrep, work):
    loud = grnrep("fit", "data.h5ad", "net.csv", "-o", "loud.h5ad", *PENALTIES)
    assert "effective load" in loud.stderr
    quiet = grnrep("fit", "data.h5ad", "net.csv", "-o", "quiet.h5ad", "--quiet", *PENALTIES)
    assert (quiet.exit_code, quiet.stdout, quiet.stderr) == (0, "", "")
    once = ["fit", "data.h5ad", "net.csv", "-o", "warned.h5ad", "--quiet", "--max-iter=1"]
    warned = grnrep(*once, *PENALTIES)
    assert warned.stderr.startswith("warning: fit 'grnrep': not converged")


def test_names_that_look_like_missing_values_or_numbers(grnrep, work):
    genes = ["NA", "nan", "1433", "null", "None"]
    x = np.random.default_rng(0).random((20, 5))
    ad.AnnData(x, var=pd.DataFrame(index=genes)).write_h5ad("odd.h5ad")
    weight = ["", "NaN", "1", "-1", "1"]
    net = pd.DataFrame({"source": ["7"] * 5, "target": genes, "weight": weight})
    net.to_csv("odd.csv", index=False)
    result = grnrep("fit", "odd.h5ad", "odd.csv", "-o", "out.h5ad", "--max-iter=2")
    assert result.exit_code == 0, result.stderr
    edges = ad.read_h5ad("out.h5ad").uns["grnrep"]["network"].set_index("target")["weight"]
    assert set(edges.index) == set(genes)
    np.testing.assert_array_equal(edges[genes], [np.nan, np.nan, 1, -1, 1])


# transform


@pytest.mark.parametrize("form", ["h5ad", "zarr"])
def test_transform_as_in_memory(grnrep, work, fitted, form):
    adata, new = ad.read_h5ad(fitted), ad.read_h5ad("new.h5ad")
    adata.uns["mine"] = adata.uns.pop("grnrep")
    _save(adata, f"fitted.{form}")
    result = grnrep(
        "transform", "new.h5ad", f"fitted.{form}", "-o", f"out.{form}", "--key", "mine", "-q"
    )
    assert result.exit_code == 0, result.stderr
    gr.tl.transform(new, adata, key="mine", progress=False)
    back = _read(f"out.{form}")
    pd.testing.assert_frame_equal(back.obsm["mine"], new.obsm["mine"], check_column_type=False)
    assert list(back.uns["mine"]["missing_genes"]) == []


def test_raw_min_targets_and_contrasts_as_in_memory(grnrep, work):
    data, net = ad.read_h5ad("data.h5ad"), pd.read_csv("net.csv")
    data.raw = data.copy()
    data[:, data.var_names[:5]].copy().write_h5ad("data.h5ad")  # its raw has all genes
    few = pd.DataFrame({"source": "Few", "target": data.var_names[:3], "weight": 1.0})
    pd.concat([net, few]).to_csv("net.csv", index=False)
    asked = ["--use-raw", "--min-targets", 3]
    result = grnrep("fit", "data.h5ad", "net.csv", "-o", "out.h5ad", *asked, *PENALTIES)
    assert result.exit_code == 0, result.stderr
    back = ad.read_h5ad("out.h5ad")
    assert "Few" in back.obsm["grnrep"]
    assert back.uns["grnrep"]["params"]["layer"] == ".raw"
    checked = grnrep("check-network", "data.h5ad", "net.csv", "--use-raw")
    assert "fewer than 5 targets among the genes" in checked.stdout
    shown = grnrep("report", "out.h5ad", "-o", "page.html", "-q")
    assert shown.exit_code == 0, shown.stderr
    assert "Loads of regulators over" in Path("page.html").read_text()
    changes = ad.AnnData(data.X[:2] - data.X[2:4], var=data.var)
    changes.write_h5ad("changes.h5ad")
    result = grnrep("transform", "changes.h5ad", "out.h5ad", "-o", "changed.h5ad", "--contrast")
    assert result.exit_code == 0, result.stderr
    gr.tl.transform(changes, back, contrast=True, progress=False)
    found = ad.read_h5ad("changed.h5ad").obsm["grnrep"]
    pd.testing.assert_frame_equal(found, changes.obsm["grnrep"], check_column_type=False)


# models


def test_a_model_does_what_the_data_do(grnrep, work):
    written = grnrep(
        *("fit", "data.h5ad", "net.csv", "-o", "out.h5ad", "--model", "m.zarr", "--key-added=mine"),
        *PENALTIES,
    )
    assert written.exit_code == 0, written.stderr
    assert "wrote m.zarr" in written.stderr
    assert "wrote out.h5ad" in written.stderr
    for fitted in ("out.h5ad", "m.zarr"):
        result = grnrep(
            "transform", "new.h5ad", fitted, "-o", f"by_{fitted[:-5]}.h5ad", "--key", "mine", "-q"
        )
        assert result.exit_code == 0, result.stderr
    by_data, by_model = ad.read_h5ad("by_out.h5ad"), ad.read_h5ad("by_m.h5ad")
    pd.testing.assert_frame_equal(by_data.obsm["mine"], by_model.obsm["mine"], check_exact=True)
    model = gr.io.load("m.zarr")
    np.testing.assert_array_equal(
        model.varm["mine"].toarray(),
        ad.read_h5ad("out.h5ad")[:, model.var_names].varm["mine"].toarray(),
    )


def test_a_model_is_replaced_on_request(grnrep, work):
    fit = ["fit", "data.h5ad", "net.csv", "-o", "out.h5ad", "--model", "m.zarr", "-q"]
    fit += [*PENALTIES, "--max-iter"]
    assert grnrep(*fit, 5).exit_code == 0
    assert grnrep(*fit, 6, "--overwrite").exit_code == 0
    assert gr.io.load("m.zarr").uns["grnrep"]["params"]["max_iter"] == 6
    assert sorted(p.name for p in work.iterdir()) == [
        "data.h5ad",
        "m.zarr",
        "net.csv",
        "new.h5ad",
        "out.h5ad",
    ]


# evaluate


def test_evaluate_prints_and_saves_recovery(grnrep, work, fitted):
    adata = ad.read_h5ad(fitted)
    adata.obsm["grnrep"] *= [1, -1, 1, 1]
    adata.obsm["other"] = adata.obsm.pop("true_activity")
    adata.write_h5ad("fitted.h5ad")
    result = grnrep("evaluate", "fitted.h5ad", "--truth", "other", "--csv", "table.csv")
    assert result.exit_code == 0, result.stderr
    table = gr.metrics.recovery(adata, truth="other")
    genes = gr.metrics.reconstruction(adata)["r2"]
    rows = {" ".join(line.split()[:-7]): line.split()[-7:] for line in result.stdout.splitlines()}
    for name, values in {
        "PCC, signed": table["pearson"],
        "PCC, absolute": table["abs_pearson"],
        "R², regulators": table["r2"],
        "R², genes": genes,
    }.items():
        quantiles = values.quantile([0, 0.05, 0.5, 0.95, 1])
        assert rows[name] == [
            str(values.count()),
            *(f"{v:.3f}" for v in (values.mean(), *quantiles)),
        ]
    saved = pd.read_csv("table.csv", index_col="regulator", float_precision="round_trip")
    pd.testing.assert_frame_equal(saved, table, check_names=False)


def test_evaluate_activities_of_another_method(grnrep, work):
    adata = ad.read_h5ad("data.h5ad")
    adata.obsm["mlm"] = adata.obsm["true_activity"] ** 2
    adata.write_h5ad("other.h5ad")
    result = grnrep("evaluate", "other.h5ad", "--key", "mlm")
    assert result.exit_code == 0, result.stderr
    assert "PCC, signed" in result.stdout
    assert "R²" not in result.stdout


# check-network


def test_check_network_prints_the_report(grnrep, work):
    net = pd.read_csv("net.csv")
    net.loc[len(net)] = ["[red]", "absent", 1.0]
    net.to_csv("net.csv", index=False)
    result = grnrep("check-network", "data.h5ad", "net.csv")
    assert result.exit_code == 0, result.stderr
    report = gr.pp.check_network(ad.read_h5ad("data.h5ad"), net)
    rows = [line.split() for line in result.stdout.splitlines()]
    for name, value in report.summary.round(2).items():
        assert [name, f"{value:,.10g}"] in rows
    assert "regulators would be left out; first of them" in result.stdout
    assert ["[red]", "1", "no", "target", "among", "the", "genes"] in rows


def test_check_network_advises(grnrep, work):
    ad.read_h5ad("data.h5ad")[:3].write_h5ad("few.h5ad")
    result = grnrep("check-network", "few.h5ad", "net.csv")
    assert "below 1.2: too few values per parameter" in result.stdout


def test_transform_by_a_model_that_comes_along(grnrep, work):
    model = gr.ds.decoder("blood_cells")
    draw = np.random.default_rng(0)
    new = ad.AnnData(draw.exponential(size=(4, model.n_vars)).astype("float32"), var=model.var)
    new.write_h5ad("cells.h5ad")
    result = grnrep("transform", "cells.h5ad", "blood_cells", "-o", "out.h5ad")
    assert result.exit_code == 0, result.output
    gr.tl.transform(new, model, progress=False)
    found = ad.read_h5ad("out.h5ad").obsm["grnrep"]
    pd.testing.assert_frame_equal(found, new.obsm["grnrep"])
