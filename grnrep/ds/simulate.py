"""Simulated expression with known activities and weights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from grnrep._checks import check_choice, check_whole
from grnrep.core.progress import progress_bar
from grnrep.ds import model
from grnrep.ds._check import fraction, number
from grnrep.ds.networks import draw_network, numbered_names
from grnrep.ds.write import attach, check_path, write_blocks


def simulate(
    n_obs: int = 500,
    n_vars: int = 1000,
    *,
    n_regulators: int = 100,
    connectivity: float = 0.1,
    min_targets: int = 5,
    shape: float = 1.0,
    scale: float = 1.0,
    regulator_correlation: float = 0.0,
    weight_low: float = -1.0,
    weight_high: float = 1.0,
    noise_sd: float = 0.2,
    zero_fraction: float | None = None,
    counts: str | None = None,
    library_size: float = 5000.0,
    library_sd: float = 0.3,
    dispersion: float = 0.2,
    path: str | Path | None = None,
    rng: int | np.random.Generator | None = 0,
    progress: bool = True,
) -> tuple[AnnData, pd.DataFrame]:
    r"""Simulate expression from regulator activities and a random network.

    .. math:: x_i = \mathrm{ReLU}\Big(b_i + \sum_j a_{ij} w_{ij} z_j + \epsilon_i\Big)

    Activities z are gamma, edges a Bernoulli, weights w uniform, noise ε normal
    and inside the ReLU; b is 0 unless ``zero_fraction`` is given.

    Parameters
    ----------
    n_obs, n_vars
        Number of cells and of genes.
    n_regulators
        Number of regulators.
    connectivity
        Probability of every edge.
    min_targets
        Regulators with fewer targets get random ones up to this number. A gene may have no regulator.
    shape, scale
        Of the gamma distribution of the activities. The paper states no values;
        the default has mean 1 and variance 1.
    regulator_correlation
        Correlation, from 0 to below 1, of every pair of regulators on the normal
        scale of a Gaussian copula. The margins stay gamma; the Pearson
        correlation of the activities is somewhat lower.
    weight_low, weight_high
        Range of the uniform weights.
    noise_sd
        Standard deviation of ε.
    zero_fraction
        Wanted fraction of zeros in every gene: b is minus this quantile of the
        gene's pre-activation. Default: b = 0, about half zeros.
    counts
        ``"poisson"`` or ``"nb"`` (negative binomial) also draws counts. A
        count's mean is the cell's library size times the gene's share of the
        cell's expression. Default: none.
    library_size
        Mean over cells of the expected number of counts of a cell.
    library_sd
        Standard deviation of the log library size.
    dispersion
        Of the negative binomial, variance μ + dispersion · μ².
    path
        New ``.h5ad`` file or ``.zarr`` store to write to, block by block; only
        the activities are held in memory. Default: simulate in memory.
    rng
        Seed or generator. The same one gives the same cells in memory and on
        disk, and the same first cells, network and weights for every ``n_obs``.
    progress
        Whether to show a progress bar when it takes more than a second.

    Returns
    -------
    adata
        Cells × genes. ``X`` is float32, dense in memory. With ``path``, ``X`` and
        the counts are CSR and stay on disk until they are indexed
        (``adata.to_memory()`` reads all).
    net
        DataFrame with columns source, target and weight, the true signed
        strength of every edge.

    Sets the following fields of the new object:

    `.obsm["true_activity"]` : :class:`~pandas.DataFrame` (n_obs × n_regulators, float32)
        Activities z.
    `.uns["simulation"]` : :class:`dict`
        ``network``, a copy of ``net``, and ``params``, the arguments that were in use.
    `.var["true_intercept"]` : :class:`~pandas.Series` (float32)
        Intercepts b, if ``zero_fraction`` is given.
    `.layers["counts"]` : :class:`~scipy.sparse.csr_matrix` (n_obs × n_vars, int32)
        If ``counts`` is given; the library sizes are in `.obs["true_library_size"]`.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of range or of the wrong type.
    FileExistsError, FileNotFoundError
        If ``path`` exists or its folder does not.

    References
    ----------
    Schuster & Krogh (2021), Eq. 6.

    Examples
    --------
    >>> import grnrep as gr
    >>> adata, net = gr.ds.simulate(n_obs=50, n_vars=200, n_regulators=20)
    >>> adata.shape, adata.obsm["true_activity"].shape, list(net.columns)
    ((50, 200), (50, 20), ['source', 'target', 'weight'])

    More cells of the same regulators and network, here to hold out:

    >>> more, same = gr.ds.simulate(n_obs=80, n_vars=200, n_regulators=20)
    >>> bool((more.X[:50] == adata.X).all()), same.equals(net)
    (True, True)
    """
    sizes = {
        "n_obs": n_obs,
        "n_vars": n_vars,
        "n_regulators": n_regulators,
        "min_targets": min_targets,
    }
    for name, value in sizes.items():
        check_whole(name, value)
    params: dict[str, float | str] = {
        **{name: int(value) for name, value in sizes.items()},
        "connectivity": fraction("connectivity", connectivity),
        "shape": number("shape", shape, low=0, open_low=True),
        "scale": number("scale", scale, low=0, open_low=True),
        "regulator_correlation": fraction(
            "regulator_correlation", regulator_correlation, open_high=True
        ),
        "weight_low": number("weight_low", weight_low),
        "weight_high": number("weight_high", weight_high),
        "noise_sd": number("noise_sd", noise_sd, low=0),
    }
    if min_targets > n_vars:
        raise ValueError(f"min_targets must be at most n_vars = {n_vars}; found {min_targets}")
    if weight_high <= weight_low:
        raise ValueError(
            f"weight_high must be above weight_low = {weight_low}; found {weight_high}"
        )
    if zero_fraction is not None:
        params["zero_fraction"] = fraction("zero_fraction", zero_fraction)
    if counts is not None:
        check_choice("counts", counts, ("poisson", "nb"))
        params["counts"] = counts
        params["library_size"] = number("library_size", library_size, low=0, open_low=True)
        params["library_sd"] = number("library_sd", library_sd, low=0)
        if counts == "nb":
            params["dispersion"] = number("dispersion", dispersion, low=0, open_low=True)
    if path is not None:
        path = check_path(path)
    if isinstance(rng, (int, np.integer)):
        params["rng"] = int(rng)

    seed = model.new_seed(np.random.default_rng(rng))
    shell, net, expression = _draw_decoder_and_cells(seed, params)
    blocks = _blocks(expression, shell, params, progress)
    if path is None:
        return _fill(shell, blocks), net
    write_blocks(path, shell, blocks)
    return attach(shell, path), net


def _draw_decoder_and_cells(
    seed: tuple[int, ...], params: dict
) -> tuple[AnnData, pd.DataFrame, model.Expression]:
    """AnnData without X, the network, and what draws X."""
    n_obs = params["n_obs"]
    cells, genes = numbered_names("cell", n_obs, 4), numbered_names("gene", params["n_vars"], 4)
    regulators = numbered_names("TF", params["n_regulators"], 3)
    keys = ("connectivity", "min_targets", "weight_low", "weight_high")
    rng = model.stream(seed, model.Stream.NETWORK)
    net = draw_network(genes, regulators, **{key: params[key] for key in keys}, rng=rng)
    weight = sp.csr_array(
        (
            net["weight"].to_numpy(np.float32),
            (genes.get_indexer(net["target"]), regulators.get_indexer(net["source"])),
        ),
        shape=(len(genes), len(regulators)),
    )
    gamma = {
        "shape": params["shape"],
        "scale": params["scale"],
        "correlation": params["regulator_correlation"],
    }
    activity = model.draw_activity(seed, n_obs, len(regulators), **gamma)
    obs, var, intercept = pd.DataFrame(index=cells), pd.DataFrame(index=genes), None
    if "counts" in params:
        size, sd = params["library_size"], params["library_sd"]
        obs["true_library_size"] = model.draw_library(seed, n_obs, size=size, sd=sd)
    if "zero_fraction" in params:
        intercept = model.thresholds(
            seed, weight, params["noise_sd"], params["zero_fraction"], **gamma
        )
        var["true_intercept"] = intercept
    shell = AnnData(
        obs=obs,
        var=var,
        obsm={"true_activity": pd.DataFrame(activity, index=cells, columns=regulators)},
        uns={"simulation": {"network": net.copy(), "params": params}},
    )
    return shell, net, model.Expression(seed, weight, activity, params["noise_sd"], intercept)


def _blocks(
    expression: model.Expression, shell: AnnData, params: dict, progress: bool
) -> Iterator[dict]:
    """Row blocks of X, dense, and of the counts where they are wanted, CSR."""
    rows = model.block_rows(shell.n_obs)
    for k in progress_bar(progress, range(len(rows)), desc="simulate", unit="block", delay=1):
        x = expression.block(k)
        block = {"X": x}
        if "counts" in params:
            library = shell.obs["true_library_size"].to_numpy()[rows[k]]
            dispersion = params.get("dispersion")
            block["layers/counts"] = model.draw_counts(
                expression.seed, k, x, library, dispersion=dispersion
            )
        yield block


def _fill(adata: AnnData, blocks: Iterator[dict]) -> AnnData:
    x, counts = np.empty(adata.shape, dtype=np.float32), []
    for rows, block in zip(model.block_rows(adata.n_obs), blocks, strict=True):
        x[rows] = block["X"]
        counts += [block["layers/counts"]] if "layers/counts" in block else []
    adata.X = x
    if counts:
        adata.layers["counts"] = sp.csr_matrix(sp.vstack(counts))
    return adata
