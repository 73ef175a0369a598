"""Conjugate gradients for many cells at once, compiled: see :func:`grnrep.core.cells.project_cells`.

The cells of a vector are worked on in step, in arrays that stay in the processor's cache. One that is done
makes room for the next, so that no work is spent on waiting. No cell depends on any other.
"""

from __future__ import annotations

import numba
import numpy as np

from grnrep.core.compiled import compiled, row_times
from grnrep.core.simd import (
    fma,
    load,
    minimum,
    multiply,
    splat,
    store,
    subtract,
    where,
    where_zero,
)

CENSORED, LEFT_OUT = 1, 2  # codes of entries: a zero under a ReLU; one that is not to count
SHORTER, LONGER = 0.1, 4.0  # what the secant step may make of a step


@numba.njit(inline="always")
def _censor(residual, censored, left_out):
    """Residuals of x - p: at most 0 where a zero is censored, 0 where an entry is left out."""
    zero = subtract(residual, residual)
    return where(left_out, zero, where(censored, minimum(residual, zero), residual))


@numba.njit(nogil=True)
def _enter(lane, cell, rest, codes, start, plain, r, censored, left_out, z, y, direction):
    """Put a cell into a lane, or nothing if there is none left."""
    lanes, bit = 8 * censored.itemsize, censored.dtype.type(1 << lane)
    here = 0 <= cell < rest.shape[1]
    for g in range(len(rest)):
        k = g * lanes + lane
        code = codes[g, cell] if here else LEFT_OUT
        value = rest[g, cell] if here else rest.dtype.type(0)
        plain[k] = value
        censored[g] = censored[g] | bit if code == CENSORED else censored[g] & ~bit
        left_out[g] = left_out[g] | bit if code == LEFT_OUT else left_out[g] & ~bit
        r[k] = 0 if code == LEFT_OUT or (code == CENSORED and value > 0) else value
    for j in range(len(start)):
        k = j * lanes + lane
        z[k] = start[j, cell] if here else 0
        y[k] = 0
        direction[k] = 0


@compiled
def descend(w, w_t, inverse, ridge, rest, codes, start, censored, max_iter, tol, out, iterations):
    """Minimise Σ residual(x, W z)² + Σ ridge z² for every cell.

    Parameters
    ----------
    w, w_t, inverse
        :class:`grnrep.core.compiled.Rows` of W (n_genes, m), of W', and of the preconditioner (m, m).
    ridge
        One per regulator, ``(m,)``.
    rest, codes
        x - p at the start, and whether it is ``CENSORED``, ``LEFT_OUT`` or neither (0), uint8;
        (n_genes, n_cells).
    start
        Representations to start from, (m, n_cells).
    censored
        Room for an unsigned number a gene, ``(n_genes,)``, with as many bits as vectors have lanes.
    max_iter, tol
        As in :func:`grnrep.core.cells.project_cells`.
    out
        Becomes the representations, (m, n_cells).
    iterations
        Becomes the number of iterations of every cell, ``(n_cells,)``.
    """
    (n, n_cells), m, number = rest.shape, len(start), rest.dtype.type
    lanes = 8 * censored.itemsize
    left_out = np.zeros_like(censored)
    # one by one: numba does not take rows of one array, unpacked, for contiguous
    long, short, dtype = n * lanes, m * lanes, rest.dtype
    plain, r, change = np.zeros(long, dtype), np.zeros(long, dtype), np.zeros(long, dtype)
    z, y, direction = np.zeros(short, dtype), np.zeros(short, dtype), np.zeros(short, dtype)
    gradient, last = np.zeros(short, dtype), np.zeros(short, dtype)
    # of every lane: sums over its regulators or genes, and what follows from them
    yy, zz, now = np.zeros(lanes, dtype), np.zeros(lanes, dtype), np.zeros(lanes, dtype)
    cross, size, beta = np.zeros(lanes, dtype), np.zeros(lanes, dtype), np.zeros(lanes, dtype)
    slope, pull, along = np.zeros(lanes, dtype), np.zeros(lanes, dtype), np.zeros(lanes, dtype)
    curve, end, step = np.zeros(lanes, dtype), np.zeros(lanes, dtype), np.zeros(lanes, dtype)
    minus = np.zeros(lanes, dtype)
    cells, ages = np.full(lanes, -1), np.zeros(lanes, np.int64)
    active = following = 0
    for lane in range(lanes):
        cells[lane] = following if following < n_cells else -1
        active += following < n_cells
        _enter(lane, following, rest, codes, start, plain, r, censored, left_out, z, y, direction)
        following += 1
    zero = splat(number(0))

    while active > 0:
        gradient, last = last, gradient
        for j in range(m):
            downhill = fma(splat(-ridge[j]), load(z, j), row_times(w_t, j, r))
            store(gradient, j, downhill)
        a, b, c, d = zero, zero, zero, zero
        for j in range(m):
            v, at, g = row_times(inverse, j, gradient), load(z, j), load(gradient, j)
            store(y, j, v)
            a, b, c, d = fma(v, v, a), fma(at, at, b), fma(g, v, c), fma(load(last, j), v, d)
        store(yy, 0, a)
        store(zz, 0, b)
        store(now, 0, c)
        store(cross, 0, d)

        for lane in range(lanes):
            beta[lane] = 0
            if cells[lane] < 0:
                continue
            if yy[lane] <= tol * tol * zz[lane] or ages[lane] >= max_iter:
                for j in range(m):
                    out[j, cells[lane]] = z[j * lanes + lane]
                iterations[cells[lane]] = ages[lane]
                more = following < n_cells
                _enter(lane, following, rest, codes, start, plain, r, censored, left_out, z, y, direction)
                cells[lane], ages[lane] = following if more else -1, -1
                following += more
                active -= not more
                now[lane] = np.inf  # no direction to go on from
            elif size[lane] > 0:
                beta[lane] = max(number(0), (now[lane] - cross[lane]) / size[lane])
            ages[lane] += 1

        a, b, c, keep = zero, zero, zero, load(beta, 0)
        for j in range(m):
            v, rho = fma(keep, load(direction, j), load(y, j)), splat(ridge[j])
            store(direction, j, v)
            a = fma(load(gradient, j), v, a)
            b = fma(rho, multiply(v, v), b)
            c = fma(rho, multiply(load(z, j), v), c)
        store(slope, 0, a)
        store(pull, 0, b)
        store(along, 0, c)
        for lane in range(lanes):
            if slope[lane] <= 0 and ages[lane] > 0:  # rounding: the direction has lost its meaning
                slope[lane], pull[lane], along[lane] = now[lane], 0, 0
                for j in range(m):
                    k = j * lanes + lane
                    direction[k] = y[k]
                    pull[lane] += ridge[j] * y[k] * y[k]
                    along[lane] += ridge[j] * z[k] * y[k]
            size[lane] = now[lane]

        a = zero
        for g in range(n):
            v = row_times(w, g, direction)
            store(change, g, v)
            seen = where_zero(load(r, g), zero, v)  # what censored entries do not resist
            a = fma(seen, seen, a)
        store(curve, 0, a)
        for lane in range(lanes):
            resists = curve[lane] + pull[lane]
            step[lane] = slope[lane] / resists if resists > 0 else 0
            minus[lane] = -step[lane]

        # one secant step along the line, for entries that enter or leave their censored range
        a, back = zero, load(minus, 0)
        for g in range(n):
            v = load(change, g)
            a = fma(_censor(fma(back, v, load(plain, g)), censored[g], left_out[g]), v, a)
        store(end, 0, a)
        for lane in range(lanes):
            rest_of = end[lane] - along[lane] - step[lane] * pull[lane]
            if rest_of < slope[lane]:
                further = slope[lane] / (slope[lane] - rest_of)
                step[lane] *= min(max(further, number(SHORTER)), number(LONGER))
            minus[lane] = -step[lane]

        back, forth = load(minus, 0), load(step, 0)
        for g in range(n):
            v = fma(back, load(change, g), load(plain, g))
            store(plain, g, v)
            store(r, g, _censor(v, censored[g], left_out[g]))
        for j in range(m):
            store(z, j, fma(forth, load(direction, j), load(z, j)))
