"""Simulated expression whose noise is not that of Eq. 6: unequal, heavy-tailed, or shared by genes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import csr_matrix

from grnrep._checks import check_choice, check_whole
from grnrep.ds._check import fraction
from grnrep.ds.networks import corrupt_network, draw_network, numbered_names

N_PROGRAMMES: Final = 10
WRONG_EDGES: Final = 0.2
T_FREEDOM: Final = 2.5
_MIN_TARGETS: Final = 3
_WEIGHT_RANGE: Final = (0.2, 1.0)  # of absolute weights, so that every edge matters


@dataclass(frozen=True)
class Regime:
    """How the noise of a data set, and what is known of its network, differ from the plain model.

    Parameters
    ----------
    noise_mean
        Mean over genes of the noise's standard deviation.
    noise_spread
        Standard deviation of its logarithm, which is normal; with 0 all genes are alike.
    loading_sd
        Of the loadings of dense programmes outside the network; with 0 there are none.
    wrong_edges
        Share of edges that the user's network lacks, and of false ones in it.
    relu
        Every gene is cut at its median; what lies below is zero.
    heavy_tails
        Noise is t-distributed, scaled to the same standard deviation.
    """

    noise_mean: float = 1.0
    noise_spread: float = 0.0
    loading_sd: float = 0.0
    wrong_edges: float = 0.0
    relu: bool = False
    heavy_tails: bool = False


REGIMES: Final[dict[str, Regime]] = {
    "equal noise": Regime(),
    "noise log-normal(1)": Regime(noise_spread=1.0),
    "noise log-normal(1.5)": Regime(noise_mean=2.0, noise_spread=1.5),
    "programmes sd .5": Regime(loading_sd=0.5),
    "programmes sd 1": Regime(noise_spread=0.5, loading_sd=1.0),
    "wrong edges and programmes": Regime(noise_spread=1.0, loading_sd=0.5, wrong_edges=WRONG_EDGES),
    "ReLU, programmes": Regime(noise_spread=1.0, loading_sd=0.5, relu=True),
    "t noise": Regime(heavy_tails=True),
}


def simulate_regime(
    name: str,
    *,
    n_obs: int = 500,
    n_vars: int = 1000,
    n_regulators: int = 100,
    connectivity: float = 0.05,
    rng: int | np.random.Generator | None = 0,
) -> tuple[AnnData, pd.DataFrame]:
    r"""Simulate expression under one kind of noise, and the network that a user would have.

    .. math:: p_{ki} = \sum_j w_{ij} z_{kj} + \sum_l v_{il} u_{kl} + \sigma_i \epsilon_{ki}

    Activities z are gamma with mean and variance 1, absolute weights w uniform from 0.2 to 1 with random
    signs, and ε has variance 1. ``"programmes"`` are ten, u standard normal and their loadings v normal:
    every gene is in each, and the network knows nothing of them. Expression is p itself, or under
    ``"ReLU"`` what p exceeds the gene's median by.

    Parameters
    ----------
    name
        ``"equal noise"`` (σ = 1); ``"noise log-normal(1)"`` and ``"noise log-normal(1.5)"`` (σ
        log-normal over genes, with mean 1 and 2); ``"programmes sd .5"`` (standard deviation of v, σ = 1)
        and ``"programmes sd 1"`` (σ log-normal(.5), mean 1); ``"wrong edges and programmes"``
        (20 % of edges missing in the network and as many false ones, v sd .5, σ log-normal(1));
        ``"ReLU, programmes"`` (v sd .5, σ log-normal(1)); ``"t noise"`` (2.5 degrees of freedom, σ = 1).
    n_obs, n_vars, n_regulators
        Number of cells, genes and regulators.
    connectivity
        Probability of every edge; a regulator has at least 3 targets.
    rng
        Seed or generator. A seed gives the same activities, edges and weights under every name, and the
        same first cells whatever ``n_obs`` is (under ReLU up to the medians).

    Returns
    -------
    adata
        Cells × genes, float32, with the truth in

        - ``obsm["true_activity"]``, DataFrame (n_obs × n_regulators): z
        - ``varm["true_weight"]``, csr (n_vars × n_regulators): w
        - ``var["noise_sd"]``: σ
        - ``obsm["true_programmes"]``, DataFrame (n_obs × 10): u, and ``varm["true_loadings"]``,
          DataFrame (n_vars × 10): v, where there are programmes
        - ``var["true_intercept"]``: minus the median, under ReLU
    net
        DataFrame with columns source, target and weight, the sign of every edge, 1 or -1; of a
        false edge a random one.

    Raises
    ------
    ValueError, TypeError
        If the name is unknown, or a size or ``connectivity`` is out of range.

    Examples
    --------
    >>> from grnrep.validation import simulate_regime
    >>> adata, net = simulate_regime("noise log-normal(1)", n_obs=50, n_vars=200, n_regulators=20)
    >>> adata.shape, adata.obsm["true_activity"].shape, set(net["weight"]) == {-1, 1}
    ((50, 200), (50, 20), True)
    >>> bool(adata.var["noise_sd"].max() > 5 * adata.var["noise_sd"].min())
    True
    """
    check_choice("name", name, tuple(REGIMES))
    regime = REGIMES[name]
    check_whole("n_obs", n_obs)
    check_whole("n_vars", n_vars, least=_MIN_TARGETS)
    check_whole("n_regulators", n_regulators)
    fraction("connectivity", connectivity)
    # a stream for each quantity, so that what regimes share is the same under one seed
    edge_rng, activity_rng, sd_rng, noise_rng, programme_rng, loading_rng, wrong_rng = (
        np.random.default_rng(rng).spawn(7)
    )
    cells, genes = numbered_names("cell", n_obs, 4), numbered_names("gene", n_vars, 4)
    regulators = numbered_names("TF", n_regulators, 3)
    edges = _signed_network(genes, regulators, connectivity, edge_rng)
    weight = csr_matrix(
        (
            edges["weight"],
            (genes.get_indexer(edges["target"]), regulators.get_indexer(edges["source"])),
        ),
        shape=(n_vars, n_regulators),
    )
    activity = activity_rng.standard_gamma(1.0, size=(n_obs, n_regulators))
    spread = regime.noise_spread
    # exp(s ε - s²/2) has mean 1 whatever s is
    noise_sd = regime.noise_mean * np.exp(spread * sd_rng.standard_normal(n_vars) - spread**2 / 2)

    p = (weight @ activity.T).T + noise_sd * _unit_noise(regime, (n_obs, n_vars), noise_rng)
    adata = AnnData(
        obs=pd.DataFrame(index=cells),
        var=pd.DataFrame({"noise_sd": noise_sd}, index=genes),
        obsm={"true_activity": pd.DataFrame(activity, index=cells, columns=regulators)},
        varm={"true_weight": weight},
    )
    if regime.loading_sd > 0:
        programmes = programme_rng.standard_normal((n_obs, N_PROGRAMMES))
        loadings = regime.loading_sd * loading_rng.standard_normal((n_vars, N_PROGRAMMES))
        p += programmes @ loadings.T
        names = numbered_names("programme", N_PROGRAMMES, 2)
        adata.obsm["true_programmes"] = pd.DataFrame(programmes, index=cells, columns=names)
        adata.varm["true_loadings"] = pd.DataFrame(loadings, index=genes, columns=names)
    if regime.relu:
        median = np.median(p, axis=0)
        p = np.maximum(p - median, 0)
        adata.var["true_intercept"] = -median
    adata.X = p.astype(np.float32)
    return adata, _known(edges, regime, genes, wrong_rng)


def _signed_network(
    genes: pd.Index, regulators: pd.Index, connectivity: float, rng: np.random.Generator
) -> pd.DataFrame:
    """True edges, with weights away from zero and of both signs."""
    low, high = _WEIGHT_RANGE
    edges = draw_network(
        genes,
        regulators,
        connectivity=connectivity,
        min_targets=_MIN_TARGETS,
        weight_low=low,
        weight_high=high,
        rng=rng,
    )
    return edges.assign(weight=edges["weight"] * rng.choice([-1.0, 1.0], size=len(edges)))


def _unit_noise(regime: Regime, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Noise of variance 1; that of t with f degrees of freedom is f / (f - 2)."""
    if regime.heavy_tails:
        return rng.standard_t(T_FREEDOM, shape) / np.sqrt(T_FREEDOM / (T_FREEDOM - 2))
    return rng.standard_normal(shape)


def _known(
    edges: pd.DataFrame, regime: Regime, genes: pd.Index, rng: np.random.Generator
) -> pd.DataFrame:
    """What a user knows of the edges: which there are, rightly or wrongly, and their signs."""
    share = regime.wrong_edges
    known = corrupt_network(edges, missing=share, false=share, targets=genes, rng=rng)
    return known.assign(weight=np.sign(known["weight"]))
