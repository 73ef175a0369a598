"""Does a network carry information? The real one beside shuffled ones of the same degrees."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from anndata import AnnData
from tqdm.auto import tqdm

from grnrep import _keys
from grnrep._checks import check_adata, check_whole
from grnrep._match import check_net, match
from grnrep._values import read_values
from grnrep.core.als.fit import fit_decoder
from grnrep.core.choose.intercept import needs_intercept
from grnrep.core.choose.ridge import choose_ridge
from grnrep.core.network import Network

_TRADES = 10  # per regulator: Strona et al. find 5 enough for a well mixed matrix
_HELD_OUT = 0.1  # share of the values
_MAX_ITER, _TOL = 100, 3e-3  # predictions have settled long before weights have


def shuffled_network(
    net: pd.DataFrame, *, rng: int | np.random.Generator | None = 0
) -> pd.DataFrame:
    """Shuffle who regulates whom; everyone's number of edges stays.

    Every regulator keeps its number of targets and every gene its number of regulators.
    In a trade (the curveball algorithm [1]_) two regulators drawn at random pool the targets
    that only one of them has, and deal them again at random; ten trades per regulator.
    All networks with these degrees are then equally likely [2]_, whichever was given.

    A regulator keeps its weights too, and so its number of activated and repressed
    targets; which target has which is drawn at random. How many of a *gene's* regulators
    activate it is not kept.

    Parameters
    ----------
    net
        Edges ``source,target[,weight]``; other columns are left out.
    rng
        Seed or generator.

    Returns
    -------
    Edges sorted by source and target, with ``weight`` where ``net`` has it. The order of
    the rows of ``net`` does not matter.

    Raises
    ------
    TypeError, ValueError
        If ``net`` is no table of unique edges.

    References
    ----------
    .. [1] Strona et al. (2014), A fast and unbiased procedure to randomize ecological binary
       matrices with fixed row and column totals, Nat Commun 5:4114.
    .. [2] Carstens (2015), Proof of uniform sampling of binary matrices with fixed row sums and
       column sums for the fast Curveball algorithm, Phys Rev E 91:042812.

    Examples
    --------
    >>> import pandas as pd
    >>> from grnrep.validation import shuffled_network
    >>> net = pd.DataFrame({"source": list("AABBC"), "target": list("uvwxy"), "weight": [1, 1, -1, -1, 1]})
    >>> shuffled_network(net)["source"].tolist()
    ['A', 'A', 'B', 'B', 'C']
    """
    edges = check_net(net).sort_values([_keys.SOURCE, _keys.TARGET], ignore_index=True)
    genes, gene = np.unique(edges[_keys.TARGET].to_numpy(dtype=object), return_inverse=True)
    sizes = edges.groupby(_keys.SOURCE, sort=True).size().to_numpy()
    draw = np.random.default_rng(rng)
    gene = _trade(gene, sizes, draw)
    # the targets of a regulator arrive in no meaningful order: sorted, against permuted weights
    owner = np.repeat(np.arange(len(sizes)), sizes)
    gene = gene[np.lexsort((gene, owner))]
    given = edges[_keys.WEIGHT].to_numpy()[np.lexsort((draw.random(len(gene)), owner))]
    out = pd.DataFrame({_keys.SOURCE: edges[_keys.SOURCE], _keys.TARGET: genes[gene]})
    return out.assign(weight=given) if _keys.WEIGHT in net else out


@dataclass(frozen=True, eq=False, kw_only=True)
class NetworkInformation:
    """How well a network predicts values that were held out, beside shuffled ones.

    Parameters
    ----------
    real
        Share of the variance of the held-out values that the network explains.
    shuffled
        The same of every shuffled network, sorted.
    n_cells, n_held_out
        Cells that were used, and values of them that were held out.

    Examples
    --------
    >>> import numpy as np
    >>> from grnrep.validation import NetworkInformation
    >>> NetworkInformation(real=0.8, shuffled=np.array([0.1, 0.2, 0.3]), n_cells=9, n_held_out=50).p_value
    0.25
    """

    real: float
    shuffled: np.ndarray
    n_cells: int
    n_held_out: int

    @property
    def p_value(self) -> float:
        """Share of all networks, the real one among them, that predict at least as well as the real one."""
        return float((1 + np.count_nonzero(self.shuffled >= self.real)) / (1 + len(self.shuffled)))

    @property
    def z(self) -> float:
        """Distance of the real network from the mean of the shuffled, in their standard deviations."""
        spread = self.shuffled.std(ddof=1) if len(self.shuffled) > 1 else np.nan
        return float((self.real - self.shuffled.mean()) / spread) if spread > 0 else float("nan")

    def __str__(self) -> str:
        low, high = self.shuffled[[0, -1]]
        return (
            f"held-out variance explained: network {self.real:.3f}, "
            f"{len(self.shuffled)} shuffled ones {self.shuffled.mean():.3f} "
            f"({low:.3f} to {high:.3f}); p = {self.p_value:.3g}, z = {self.z:.1f}"
        )

    __repr__ = __str__


def network_information(
    adata: AnnData,
    net: pd.DataFrame,
    *,
    n_shuffles: int = 19,
    max_cells: int = 500,
    layer: str | None = None,
    mask_var: str | np.ndarray | None = None,
    rng: int = 0,
    progress: bool = True,
) -> NetworkInformation:
    r"""Ask whether a network carries information about these data: the negative control.

    A tenth of the values, drawn at random, is held out; decoder and activities are learned
    from the rest, and predict them. The figure is :math:`1 - \sum (x - \hat x)^2 / \sum (x - \bar x)^2`
    over the held-out values, with the mean of each gene over the values that were not held out.
    Shuffled networks (:func:`shuffled_network`, of the edges whose target is among the genes) have as
    many parameters, and the same degrees. A network whose figure is not above theirs says nothing
    about these data: its activities are components of the expression with names.

    Weights are free and signs are not used, so that the question is who regulates whom. The link
    and the intercepts are those that :func:`grnrep.tl.fit` would choose; the ridge is chosen for
    every network anew (:func:`grnrep.core.choose.ridge.choose_ridge`, without the held-out values).

    Parameters
    ----------
    adata
        Cells × genes. It is not changed.
    net
        Edges ``source,target``.
    n_shuffles
        Number of shuffled networks. The p-value cannot fall below 1 / (n_shuffles + 1).
    max_cells
        Cells to use at most, drawn at random.
    layer
        Layer of ``adata``; by default ``X``.
    mask_var
        Genes to use: name of a boolean column of ``adata.var``, or a boolean array. By default all.
    rng
        Seed of the choice of cells and values, and of the shuffles.
    progress
        Whether to show a progress bar.

    Returns
    -------
    NetworkInformation
        With ``real``, ``shuffled``, ``p_value`` and ``z``; prints as one line.

    Raises
    ------
    ValueError, TypeError, KeyError
        If an argument cannot be used; the message says what was found.

    Examples
    --------
    >>> import grnrep as gr
    >>> adata, net = gr.ds.simulate(60, 100, n_regulators=8)
    >>> answer = gr.validation.network_information(adata, net, n_shuffles=4, progress=False)
    >>> bool(answer.real > 0.6 > answer.shuffled.max()), answer.p_value
    (True, 0.2)
    """
    check_adata(adata, min_obs=10)
    check_whole("n_shuffles", n_shuffles)
    check_whole("max_cells", max_cells, least=10)
    check_whole("rng", rng, least=0)
    matched = match(net, adata, mask_var=mask_var)
    x, _ = read_values(adata, matched.genes, matched.columns, layer=layer)
    draw = np.random.default_rng(rng)
    x = x[np.sort(draw.permutation(len(x))[:max_cells])]
    held = draw.random(x.shape) < _HELD_OUT
    likelihood = "gaussian" if np.any(x < 0) else "tobit"
    real = _unsigned(matched.network)
    intercept = likelihood == "gaussian" or needs_intercept(x, real, rng=rng)
    edges = matched.edges[[_keys.SOURCE, _keys.TARGET]]
    figures = []
    for k in tqdm(range(n_shuffles + 1), desc="network", delay=1, disable=not progress):
        network = real
        if k > 0:
            network = _unsigned(match(shuffled_network(edges, rng=draw), adata).network)
        figures.append(
            explained_variance(
                x, network, held, likelihood=likelihood, intercept=intercept, rng=rng
            )
        )
    shuffled = np.sort(figures[1:])
    return NetworkInformation(
        real=figures[0], shuffled=shuffled, n_cells=len(x), n_held_out=int(np.count_nonzero(held))
    )


def explained_variance(
    x: np.ndarray, network: Network, held: np.ndarray, *, likelihood: str, intercept: bool, rng: int
) -> float:
    """Share of the variance of the values ``held`` (n_cells, n_genes) that the others explain.

    Parameters
    ----------
    x
        Expression, (n_cells, n_genes); values that are held out have no influence on the fit.
    network
        Edges.
    held
        Which values to hold out, bool of the shape of ``x``.
    likelihood, intercept, rng
        As in :func:`grnrep.core.als.fit.fit_decoder`.
    """
    mean = np.where(held, 0, x).sum(0, dtype=np.float64) / np.maximum((~held).sum(0), 1)
    filled = np.where(held, mean, x).astype(x.dtype)
    ridge = choose_ridge(filled, network, likelihood=likelihood, intercept=intercept, rng=rng)
    fit = fit_decoder(
        filled,
        network,
        likelihood=likelihood,
        intercept=intercept,
        ridge=ridge,
        max_iter=_MAX_ITER,
        tol=_TOL,
        rng=rng,
        without=held,
    )
    cell, gene = np.nonzero(held)
    p = (network.matrix(fit.weight) @ fit.activity.T).T[cell, gene] + (
        0.0 if fit.bias is None else fit.bias[gene]
    )
    truth = x[cell, gene].astype(np.float64)
    spread = np.square(truth - mean[gene]).sum()
    error = np.square(truth - (np.maximum(p, 0) if likelihood == "tobit" else p)).sum()
    return float(1 - error / spread) if spread > 0 else 0.0


def _trade(gene: np.ndarray, sizes: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """Deal targets anew, pair of regulators by pair; regulator j owns ``sizes[j]`` entries in turn."""
    if len(sizes) < 2:
        return gene
    targets = np.split(gene, np.cumsum(sizes)[:-1])
    for _ in range(_TRADES * len(sizes)):
        a, b = draw.choice(len(sizes), size=2, replace=False)
        shared = np.isin(targets[a], targets[b], assume_unique=True)
        own_a = targets[a][~shared]
        own_b = np.setdiff1d(targets[b], targets[a], assume_unique=True)
        pool = draw.permutation(np.concatenate([own_a, own_b]))
        targets[a] = np.concatenate([targets[a][shared], pool[: len(own_a)]])
        targets[b] = np.concatenate(
            [np.setdiff1d(targets[b], own_b, assume_unique=True), pool[len(own_a) :]]
        )
    return np.concatenate(targets)


def _unsigned(network: Network) -> Network:
    return replace(network, sign=np.zeros(network.n_edges))
