"""Load: constraints per parameter, Eq. 3 to 5 of Schuster & Krogh (2021), arXiv 2108.13910."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

__all__ = [
    "count_constraints",
    "decoder_load",
    "decoder_load_from_encoder_load",
    "effective_load",
    "encoder_load",
    "n_obs_for_load",
]


def decoder_load(
    n_obs: ArrayLike, n_vars: ArrayLike, *, n_regulators: ArrayLike, n_edges: ArrayLike
) -> float | np.ndarray:
    r"""Constraints per parameter of a decoder learned together with its representations.

    .. math:: \alpha_d = \frac{N n}{C_d + N m}

    Above 1 the decoder and the representations are over-determined. With many
    cells the load approaches its limit n / m.

    Parameters
    ----------
    n_obs
        Number of cells, N.
    n_vars
        Number of genes, n.
    n_regulators
        Number of regulators, m.
    n_edges
        Number of free parameters of the decoder, C_d: the edges (and the intercepts, where
        there are any); 0 for a decoder that is not learned.

    Returns
    -------
    The load: a float, or an array of the shape that the arguments broadcast to.

    Raises
    ------
    ValueError
        If an argument is not a finite number above 0 (``n_edges``: 0 or above).

    References
    ----------
    Schuster & Krogh (2021), Eq. 3.

    Examples
    --------
    >>> import grnrep as gr
    >>> gr.metrics.decoder_load([40, 100, 10_000], 1000, n_regulators=100, n_edges=10_000).round(2).tolist()
    [2.86, 5.0, 9.9]
    """
    n_obs, n_vars = _positive("n_obs", n_obs), _positive("n_vars", n_vars)
    m, edges = _positive("n_regulators", n_regulators), _positive("n_edges", n_edges, zero=True)
    return _plain(n_obs * n_vars / (edges + n_obs * m))


def encoder_load(
    n_obs: ArrayLike, n_regulators: ArrayLike, *, n_weights: ArrayLike
) -> float | np.ndarray:
    r"""Constraints per parameter of an encoder trained on given representations.

    .. math:: \alpha_e = \frac{m N}{C_e}

    Parameters
    ----------
    n_obs
        Number of cells, N.
    n_regulators
        Dimension of the representation, m.
    n_weights
        Number of weights of the encoder, C_e.

    Returns
    -------
    The load: a float, or an array of the shape that the arguments broadcast to.

    Raises
    ------
    ValueError
        If an argument is not a finite number above 0.

    References
    ----------
    Schuster & Krogh (2021), Eq. 4.

    Examples
    --------
    >>> import grnrep as gr
    >>> gr.metrics.encoder_load(50, 100, n_weights=1000 * 100)
    0.05
    """
    m = _positive("n_regulators", n_regulators)
    return _plain(m * _positive("n_obs", n_obs) / _positive("n_weights", n_weights))


def decoder_load_from_encoder_load(
    load: ArrayLike, *, n_vars: ArrayLike, n_regulators: ArrayLike
) -> float | np.ndarray:
    r"""Convert an encoder load to the load of a decoder with the same number of weights.

    .. math:: \alpha_d = \frac{n}{m} \cdot \frac{\alpha_e}{1 + \alpha_e}

    Parameters
    ----------
    load
        Load of the encoder, Eq. 4.
    n_vars
        Number of genes, n.
    n_regulators
        Dimension of the representation, m.

    Returns
    -------
    The decoder load: a float, or an array of the shape that the arguments broadcast to.

    Raises
    ------
    ValueError
        If an argument is not a finite number above 0.

    References
    ----------
    Schuster & Krogh (2021), Eq. 5.

    Examples
    --------
    >>> import grnrep as gr
    >>> gr.metrics.decoder_load_from_encoder_load(1.0, n_vars=1000, n_regulators=100)
    5.0
    """
    load, n_vars = _positive("load", load), _positive("n_vars", n_vars)
    return _plain(n_vars / _positive("n_regulators", n_regulators) * (load / (1 + load)))


def effective_load(
    n_constraints: ArrayLike, n_obs: ArrayLike, *, n_regulators: ArrayLike, n_edges: ArrayLike
) -> float | np.ndarray:
    """Entries that constrain, per parameter: Eq. 3 without the censored zeros.

    Under ReLU an observed zero only says that the pre-activation is not
    positive. Such entries are left out of the numerator of Eq. 3, so that the
    effective load is the decoder load times the fraction of positive entries.

    Parameters
    ----------
    n_constraints
        Number of entries that constrain; see :func:`count_constraints`. Count
        only genes that have a regulator.
    n_obs
        Number of cells, N.
    n_regulators
        Number of regulators, m.
    n_edges
        Number of free parameters of the decoder, C_d: the edges (and the intercepts, where
        there are any); 0 for a decoder that is not learned.

    Returns
    -------
    The load: a float, or an array of the shape that the arguments broadcast to.

    Raises
    ------
    ValueError
        If an argument is not a finite number above 0 (``n_constraints``, ``n_edges``: 0 or above).

    Examples
    --------
    >>> import grnrep as gr
    >>> gr.metrics.effective_load(50_000, 100, n_regulators=100, n_edges=10_000)
    2.5

    From a matrix of expression, dense or sparse, cells × genes:

    >>> import numpy as np
    >>> x = np.array([[0.0, 1.0, 3.0], [2.0, 0.0, 5.0]])
    >>> gr.metrics.effective_load(gr.metrics.count_constraints(x), len(x), n_regulators=1, n_edges=2)
    1.0
    """
    n_constraints, n_obs = (
        _positive("n_constraints", n_constraints, zero=True),
        _positive("n_obs", n_obs),
    )
    m, edges = _positive("n_regulators", n_regulators), _positive("n_edges", n_edges, zero=True)
    return _plain(n_constraints / (edges + n_obs * m))


def count_constraints(x: np.ndarray | sp.sparray | sp.spmatrix) -> int:
    """Count the entries of an expression matrix that constrain under ReLU: those above 0.

    Counts of row blocks add up, so a matrix too large for memory can be counted block by block.

    Parameters
    ----------
    x
        Expression, cells × genes, dense or sparse.

    Returns
    -------
    Number of positive entries.

    Examples
    --------
    >>> import numpy as np
    >>> import grnrep as gr
    >>> gr.metrics.count_constraints(np.array([[0.0, 1.0], [2.0, 3.0]]))
    3
    """
    if not isinstance(x, sp.sparray | sp.spmatrix):
        return int(np.count_nonzero(np.asarray(x) > 0))
    rows = x if x.format in ("csr", "csc") else x.tocsr()
    if not rows.has_canonical_format:
        rows = rows.copy()  # the caller's matrix stays as it is
        rows.sum_duplicates()
    return int(np.count_nonzero(rows.data > 0))


def constraints_of(x: np.ndarray, *, likelihood: str) -> int:
    """Number of values that constrain: those above 0 where zeros are censored, else all."""
    return count_constraints(x) if likelihood == "tobit" else x.size


def n_obs_for_load(
    load: ArrayLike, n_vars: ArrayLike, *, n_regulators: ArrayLike, n_edges: ArrayLike
) -> int | np.ndarray:
    """Smallest number of cells whose decoder load reaches the wanted one: Eq. 3 solved for N.

    Parameters
    ----------
    load
        Wanted decoder load, below n / m.
    n_vars
        Number of genes, n.
    n_regulators
        Number of regulators, m.
    n_edges
        Number of free parameters of the decoder, C_d: the edges (and the intercepts, where
        there are any); 0 for a decoder that is not learned.

    Returns
    -------
    Number of cells: an int, or an integer array of the shape that the arguments broadcast to.

    Raises
    ------
    ValueError
        If the wanted load is n / m or more, which no number of cells reaches,
        or if an argument is not a finite number above 0 (``n_edges``: 0 or above).

    Examples
    --------
    >>> import grnrep as gr
    >>> gr.metrics.n_obs_for_load(1.0, 1000, n_regulators=100, n_edges=10_000)
    12
    """
    load, n_vars = _positive("load", load), _positive("n_vars", n_vars)
    m, edges = _positive("n_regulators", n_regulators), _positive("n_edges", n_edges, zero=True)
    limit = n_vars / m
    if np.any(load >= limit):
        raise ValueError(
            f"load must be below n_vars / n_regulators = {np.min(limit):g}, the limit for infinitely many "
            f"cells; found {np.max(load):g}. Ask for a smaller load or use fewer regulators"
        )
    # load = N n / (C_d + N m)  <=>  N = load · C_d / (n - load · m)
    n_obs = np.maximum(np.ceil(load * edges / (n_vars - load * m)), 1)
    # Rounding may put the closed form one cell off: settle it with Eq. 3 itself.
    n_obs = np.where(n_obs * n_vars / (edges + n_obs * m) < load, n_obs + 1, n_obs)
    fewer = n_obs - 1
    n_obs = np.where((fewer > 0) & (fewer * n_vars / (edges + fewer * m) >= load), fewer, n_obs)
    whole = n_obs.astype(np.int64)
    return int(whole) if whole.ndim == 0 else whole


def _positive(name: str, value: ArrayLike, *, zero: bool = False) -> np.ndarray:
    """As float64, or ``ValueError`` where not finite and above 0 (or 0 where ``zero``)."""
    array = np.asarray(value, dtype=np.float64)
    bad = ~np.isfinite(array) | ((array < 0) if zero else (array <= 0))
    if bad.any():
        wanted = "0 or above" if zero else "above 0"
        raise ValueError(f"{name} must be finite and {wanted}; found {array[bad].flat[0]:g}")
    return array


def _plain(array: np.ndarray) -> float | np.ndarray:
    """A float where all arguments were numbers, else the array."""
    return float(array) if np.ndim(array) == 0 else array
