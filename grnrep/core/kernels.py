"""All compiled code, in one file: what was compiled is kept on disk under the stamp of its file alone.

Were a part in another file, code compiled with an older version of that part would be taken for up to date.
So no other file has compiled code, and this one imports nothing of the package. A change of compiler
or processor is noticed by numba itself.

From top to bottom: how compiled code is kept; vectors of numbers, one a cell; products with sparse matrices;
residuals and gradients; conjugate gradients for the representations of cells.

Layout. Matrices are genes or regulators x cells, C-contiguous. Work is done on a *tile*: as many cells as a
vector has numbers (lanes), copied to a 1-d array of (rows x lanes), so that row i of the tile is
vector i. A tile and the decoder stay in the cache of the processor, whatever the number of cells.

Invariant. What is computed for a cell depends neither on the cells beside it nor on its lane: operations on
vectors are done number by number, sums run over genes or regulators in the order of the matrix, never
over lanes, and every lane goes through the same operations. Tests hold it to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.extending import intrinsic, models, register_model


def compiled(function: Any) -> Any:
    """Compile on first use, for any thread; what was compiled is kept on disk, if there is a place."""
    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # numba knows no folder that it can write to
        return numba.njit(nogil=True)(function)


# --- Vectors: a type for numba ---------------------------------------------------------------------------
# A vector fills 64 bytes: 16 numbers of single, 8 of double precision. LLVM keeps it in registers and does
# its operations with whatever instructions the processor has (one of AVX-512, two of AVX2, four of SSE or
# NEON). An array is contiguous and seen as an array of vectors: `load(array, i)` is its vector i.

_BITS: Final = 512
_BYTES: Final = _BITS // 8


def n_lanes(dtype: Any) -> int:
    """How many numbers a vector has."""
    return _BITS // (8 * np.dtype(dtype).itemsize)


class Vector(types.Type):
    """The type, for numba, of vectors of a kind of floating-point numbers."""

    def __init__(self, scalar: types.Float):
        self.scalar = scalar
        super().__init__(f"Vector({scalar})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Vector):
        scalar = manager.lookup(kind.scalar).get_value_type()
        super().__init__(manager, kind, ir.VectorType(scalar, _BITS // kind.scalar.bitwidth))


def _place(context: Any, builder: Any, signature: Any, args: Any, vector: ir.VectorType) -> Any:
    """Where the numbers from ``args[1]`` on of array ``args[0]`` are."""
    data = context.make_array(signature.args[0])(context, builder, args[0]).data
    return builder.bitcast(builder.gep(data, [args[1]]), vector.as_pointer())


def _vector(array: types.Array) -> Vector:
    """The type of the vectors of an array."""
    if array.layout != "C":
        raise TypingError(f"an array of vectors must be contiguous; found {array}")
    return Vector(array.dtype)


def _aligned(array: types.Array) -> int:
    """Bytes that places are multiples of: of a number, not of a vector, since arrays begin anywhere."""
    return array.dtype.bitwidth // 8


@intrinsic
def load_at(_typing, array, k):
    """The numbers from ``k`` on of an array."""
    kind = _vector(array)

    def code(context, builder, signature, args):
        place = _place(context, builder, signature, args, context.get_value_type(kind))
        return builder.load(place, align=_aligned(array))

    return kind(array, types.intp), code


@intrinsic
def store_at(_typing, array, k, value):
    """Set the numbers from ``k`` on of an array."""
    _vector(array)

    def code(context, builder, signature, args):
        place = _place(context, builder, signature, args, args[2].type)
        builder.store(args[2], place, align=_aligned(array))
        return context.get_dummy_value()

    return types.none(array, types.intp, value), code


@numba.njit(inline="always")
def load(array, i):
    """Vector ``i`` of an array."""
    return load_at(array, i * (_BYTES // array.itemsize))


@numba.njit(inline="always")
def store(array, i, value):
    """Set vector ``i`` of an array."""
    store_at(array, i * (_BYTES // array.itemsize), value)


@intrinsic
def splat(_typing, number):
    """The same number for every cell."""
    kind = Vector(number)

    def code(context, builder, _signature, args):
        vector = context.get_value_type(kind)
        undefined, index = ir.Constant(vector, ir.Undefined), ir.IntType(32)
        one = builder.insert_element(undefined, args[0], ir.Constant(index, 0))
        return builder.shuffle_vector(
            one, undefined, ir.Constant(ir.VectorType(index, vector.count), None)
        )

    return kind(number), code


@intrinsic
def multiply_add(_typing, a, b, c):
    """A b + c: rounded once where the processor does that in one instruction, else after each operation.

    Which of the two depends on the processor alone, never on lane or company. ``llvm.fma`` would always
    round once, and where there is no instruction for it call a function for every number.
    """

    def code(_context, builder, _signature, args):
        vector = args[0].type
        bits = _BITS // vector.count
        function = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(vector, [vector] * 3),
            f"llvm.fmuladd.v{vector.count}f{bits}",
        )
        return builder.call(function, args)

    return a(a, a, a), code


def _operation(name: str) -> Callable:
    @intrinsic
    def operation(_typing, a, b):
        def code(_context, builder, _signature, args):
            return getattr(builder, name)(*args)

        return a(a, a), code

    return operation


add, subtract, multiply = (_operation(name) for name in ("fadd", "fsub", "fmul"))


def _choice(sign: str) -> Callable:
    @intrinsic
    def choice(_typing, a, b):
        def code(_context, builder, _signature, args):
            return builder.select(builder.fcmp_ordered(sign, *args), *args)

        return a(a, a), code

    return choice


minimum, maximum = _choice("<"), _choice(">")


@intrinsic
def where(_typing, bits, a, b):
    """``a`` for the cells whose bit is set, else ``b``; as many bits as there are cells."""

    def code(_context, builder, _signature, args):
        chosen = builder.bitcast(args[0], ir.VectorType(ir.IntType(1), args[1].type.count))
        return builder.select(chosen, *args[1:])

    return a(bits, a, a), code


@intrinsic
def where_zero(_typing, test, a, b):
    """``a`` for the cells where ``test`` is zero, else ``b``."""

    def code(_context, builder, _signature, args):
        zero = ir.Constant(args[0].type, None)
        return builder.select(builder.fcmp_ordered("==", args[0], zero), *args[1:])

    return a(test, a, a), code


# --- Products with sparse matrices -----------------------------------------------------------------------


class Rows(NamedTuple):
    """A sparse matrix by rows, CSR; positions int32."""

    indptr: np.ndarray
    indices: np.ndarray
    values: np.ndarray


@numba.njit(inline="always")
def row_times(matrix, k, vectors):
    """Row k of the matrix times a tile: Σ_i values[i] · vector indices[i], over the entries i of the row."""
    zero = splat(vectors.dtype.type(0))
    a, b, c, d = zero, zero, zero, zero
    # unsigned: numba need not look for positions counted from the end
    i, last = np.uintp(matrix.indptr[k]), np.uintp(matrix.indptr[k + 1])
    while i + np.uintp(3) < last:  # four sums, so that no addition waits for the one before
        a = multiply_add(splat(matrix.values[i]), load(vectors, matrix.indices[i]), a)
        j = i + np.uintp(1)
        b = multiply_add(splat(matrix.values[j]), load(vectors, matrix.indices[j]), b)
        j = i + np.uintp(2)
        c = multiply_add(splat(matrix.values[j]), load(vectors, matrix.indices[j]), c)
        j = i + np.uintp(3)
        d = multiply_add(splat(matrix.values[j]), load(vectors, matrix.indices[j]), d)
        i += np.uintp(4)
    while i < last:
        a = multiply_add(splat(matrix.values[i]), load(vectors, matrix.indices[i]), a)
        i += np.uintp(1)
    return add(add(a, b), add(c, d))


@compiled
def add_gram(indptr: np.ndarray, indices: np.ndarray, values: np.ndarray, out: np.ndarray) -> None:
    """Add W'W to ``out``, (n_columns, n_columns): W by rows, CSR, with the columns of every row in order."""
    # W'W = Σ_rows w w' of their few entries: those on and below the diagonal, which is then mirrored
    for row in range(len(indptr) - 1):
        for i in range(indptr[row], indptr[row + 1]):
            for j in range(indptr[row], i + 1):
                out[indices[i], indices[j]] += values[i] * values[j]
    for i in range(len(out)):
        for j in range(i):
            out[j, i] = out[i, j]


# --- Residuals of a block of cells, and the gradient that follows from them ------------------------------


def residuals(
    w: Rows,
    x: np.ndarray,
    most: np.ndarray | None,
    least: np.ndarray | None,
    z: np.ndarray,
    out: np.ndarray,
) -> None:
    """Write x - W z, at most ``most`` and at least ``least``, to ``out``, (n_genes, n_cells), which may be x.

    Parameters
    ----------
    w
        W, (n_genes, m + q).
    x, most, least
        As in :class:`grnrep.core.likelihoods.gaussian.Observed`.
    z
        Representations, (m + q, n_cells).
    """
    none = out[:0, :0]
    _compute(
        w, w, none[:, 0:0].ravel(), x, *_bounds(x, most, least), z, n_lanes(x.dtype), out, none
    )


def gradients(
    w: Rows,
    w_t: Rows,
    ridge: np.ndarray,
    x: np.ndarray,
    most: np.ndarray | None,
    least: np.ndarray | None,
    z: np.ndarray,
    out: np.ndarray,
) -> None:
    """Write W' r - λ z, with the residuals r, to ``out``, (m, n_cells); λ is ``ridge``, ``(m,)``."""
    _compute(w, w_t, ridge, x, *_bounds(x, most, least), z, n_lanes(x.dtype), x[:0, :0], out)


def _bounds(
    x: np.ndarray, most: np.ndarray | None, least: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, int]:
    """Both bounds, of which the first so many count; x stands in for the others, and is not read."""
    return (
        x if most is None else most,
        x if least is None else least,
        (most is not None) + (least is not None),
    )


@compiled
def _compute(w, w_t, ridge, x, most, least, n_bounds, z, lanes, r_out, gradient_out):
    """Write residuals to ``r_out``, and minus half the gradient to ``gradient_out``, if they have columns."""
    (n, n_cells), m = x.shape, len(gradient_out)
    z_tile, r_tile = np.empty(len(z) * lanes, x.dtype), np.empty(n * lanes, x.dtype)
    most_tile, least_tile = np.empty(n * lanes, x.dtype), np.empty(n * lanes, x.dtype)
    gradient_tile = np.empty(m * lanes, x.dtype)
    for k in range(0, n_cells, lanes):
        _take(z, k, z_tile, lanes)
        _take(x, k, r_tile, lanes)
        if n_bounds > 0:
            _take(most, k, most_tile, lanes)
        if n_bounds > 1:
            _take(least, k, least_tile, lanes)
        for g in range(n):
            # r = x - W z; between its bounds, 0 where a censored zero is predicted below zero
            r = subtract(load(r_tile, g), row_times(w, g, z_tile))
            if n_bounds > 0:
                r = minimum(r, load(most_tile, g))
            if n_bounds > 1:
                r = maximum(r, load(least_tile, g))
            store(r_tile, g, r)
        if r_out.shape[1] > 0:
            _put(r_tile, r_out, k, lanes)
        if gradient_out.shape[1] > 0:
            for j in range(m):  # -½ ∂/∂z (‖r‖² + Σ λ z²) = W' r - λ z
                downhill = multiply_add(
                    splat(-ridge[j]), load(z_tile, j), row_times(w_t, j, r_tile)
                )
                store(gradient_tile, j, downhill)
            _put(gradient_tile, gradient_out, k, lanes)


@numba.njit(inline="always")
def _take(array, k, tile, lanes):
    """Copy the columns of an array from ``k`` on to a tile; where there are none left, zeros."""
    n_columns = array.shape[1]
    if k + lanes <= n_columns:
        for i in range(len(array)):
            store(tile, i, load_at(array, i * n_columns + k))
    else:
        for i in range(len(array)):
            for lane in range(lanes):
                tile[i * lanes + lane] = array[i, k + lane] if k + lane < n_columns else 0


@numba.njit(inline="always")
def _put(tile, array, k, lanes):
    """Copy a tile to the columns of an array from ``k`` on, as far as there are any."""
    n_columns = array.shape[1]
    if k + lanes <= n_columns:
        for i in range(len(array)):
            store_at(array, i * n_columns + k, load(tile, i))
    else:
        for i in range(len(array)):
            for lane in range(n_columns - k):
                array[i, k + lane] = tile[i * lanes + lane]


# --- Conjugate gradients for many cells at once: see grnrep.core.als.cells.project_cells ----------------------
# The cells of a tile are worked on in step. One that is done makes room for the next, in its lane, so that no
# work is spent on waiting: each lane has a cell of its own age, and steps, directions and ends of its own.

CENSORED, LEFT_OUT = 1, 2  # codes of entries: a zero under a ReLU; one that is not to count
SHORTER, LONGER = 0.1, 4.0  # what the secant step may make of a step


@compiled
def descend(w, w_t, inverse, ridge, rest, codes, start, censored, max_iter, tol, out, iterations):
    """Minimise Σ residual(x, W z)² + Σ ridge z² for every cell.

    Parameters
    ----------
    w, w_t, inverse
        :class:`Rows` of W (n_genes, m), of W', and of the preconditioner (m, m).
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
        As in :func:`grnrep.core.als.cells.project_cells`.
    out
        Becomes the representations, (m, n_cells).
    iterations
        Becomes the number of iterations of every cell, ``(n_cells,)``.

    References
    ----------
    Polak and Ribière (1969); with β ≥ 0: Nocedal and Wright, Numerical Optimization (2006), section 5.2.
    """
    (n, n_cells), m, number = rest.shape, len(start), rest.dtype.type
    lanes = 8 * censored.itemsize
    left_out = np.zeros_like(censored)
    # Tiles of genes: x - p; the residuals r = censor(x - p); W d, by which p changes along the direction d.
    # One by one: numba does not take rows of one array, unpacked, for contiguous.
    long, short, dtype = n * lanes, m * lanes, rest.dtype
    plain, r, change = np.zeros(long, dtype), np.zeros(long, dtype), np.zeros(long, dtype)
    # Tiles of regulators: z; y = P g, preconditioned; d; g, minus half the gradient, and the g before.
    z, y, direction = np.zeros(short, dtype), np.zeros(short, dtype), np.zeros(short, dtype)
    gradient, last = np.zeros(short, dtype), np.zeros(short, dtype)
    # Of every lane: sums over its regulators or genes, and what follows from them.
    yy, zz, gy = np.zeros(lanes, dtype), np.zeros(lanes, dtype), np.zeros(lanes, dtype)
    cross, last_gy, beta = np.zeros(lanes, dtype), np.zeros(lanes, dtype), np.zeros(lanes, dtype)
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
        # g = W' r - λ z, minus half the gradient of the objective
        gradient, last = last, gradient
        for j in range(m):
            downhill = multiply_add(splat(-ridge[j]), load(z, j), row_times(w_t, j, r))
            store(gradient, j, downhill)
        # y = P g, with the sums y'y, z'z, g'y and (last g)'y
        a, b, c, d = zero, zero, zero, zero
        for j in range(m):
            v, at, g = row_times(inverse, j, gradient), load(z, j), load(gradient, j)
            store(y, j, v)
            a, b = multiply_add(v, v, a), multiply_add(at, at, b)
            c, d = multiply_add(g, v, c), multiply_add(load(last, j), v, d)
        store(yy, 0, a)
        store(zz, 0, b)
        store(gy, 0, c)
        store(cross, 0, d)

        # Cells that are done, ‖y‖ ≤ tol ‖z‖, leave; of the others β = max(0, (g - last g)'y / last (g'y))
        for lane in range(lanes):
            beta[lane] = 0
            if cells[lane] < 0:
                continue
            if yy[lane] <= tol * tol * zz[lane] or ages[lane] >= max_iter:
                for j in range(m):
                    out[j, cells[lane]] = z[j * lanes + lane]
                iterations[cells[lane]] = ages[lane]
                more = following < n_cells
                _enter(
                    lane,
                    following,
                    rest,
                    codes,
                    start,
                    plain,
                    r,
                    censored,
                    left_out,
                    z,
                    y,
                    direction,
                )
                cells[lane], ages[lane] = following if more else -1, -1
                following += more
                active -= not more
                gy[lane] = np.inf  # the next β is 0: no direction to go on from
            elif last_gy[lane] > 0:
                beta[lane] = max(number(0), (gy[lane] - cross[lane]) / last_gy[lane])
            ages[lane] += 1

        # d = y + β d, with the sums g'd, d'λd and z'λd (0 for a cell that has just entered: its y and d are)
        a, b, c, keep = zero, zero, zero, load(beta, 0)
        for j in range(m):
            v, rho = multiply_add(keep, load(direction, j), load(y, j)), splat(ridge[j])
            store(direction, j, v)
            a = multiply_add(load(gradient, j), v, a)
            b = multiply_add(rho, multiply(v, v), b)
            c = multiply_add(rho, multiply(load(z, j), v), c)
        store(slope, 0, a)
        store(pull, 0, b)
        store(along, 0, c)
        for lane in range(lanes):
            if slope[lane] <= 0 and ages[lane] > 0:  # rounding: the direction has lost its meaning
                slope[lane], pull[lane], along[lane] = gy[lane], 0, 0
                for j in range(m):
                    k = j * lanes + lane
                    direction[k] = y[k]
                    pull[lane] += ridge[j] * y[k] * y[k]
                    along[lane] += ridge[j] * z[k] * y[k]
            last_gy[lane] = gy[lane]

        # step = g'd / (Σ_seen (W d)² + d'λd), to the minimum along d unless entries enter or leave their
        # censored range; seen are entries with a residual
        a = zero
        for g in range(n):
            v = row_times(w, g, direction)
            store(change, g, v)
            seen = where_zero(load(r, g), zero, v)  # what censored entries do not resist
            a = multiply_add(seen, seen, a)
        store(curve, 0, a)
        for lane in range(lanes):
            resists = curve[lane] + pull[lane]
            step[lane] = slope[lane] / resists if resists > 0 else 0
            minus[lane] = -step[lane]

        # One secant step along d, for entries that do. At z + step d, with r there, the slope is
        # r'W d - z'λd - step d'λd; the line through it and the slope at z is zero at step · further.
        a, back = zero, load(minus, 0)
        for g in range(n):
            v = load(change, g)
            a = multiply_add(
                _censor(multiply_add(back, v, load(plain, g)), censored[g], left_out[g]), v, a
            )
        store(end, 0, a)
        for lane in range(lanes):
            end_slope = end[lane] - along[lane] - step[lane] * pull[lane]
            if end_slope < slope[lane]:
                further = slope[lane] / (slope[lane] - end_slope)
                step[lane] *= min(max(further, number(SHORTER)), number(LONGER))
            minus[lane] = -step[lane]

        # z += step d; x - p -= step W d, and r anew
        back, forth = load(minus, 0), load(step, 0)
        for g in range(n):
            v = multiply_add(back, load(change, g), load(plain, g))
            store(plain, g, v)
            store(r, g, _censor(v, censored[g], left_out[g]))
        for j in range(m):
            store(z, j, multiply_add(forth, load(direction, j), load(z, j)))


@numba.njit(inline="always")
def _censor(residual, censored, left_out):
    """Residuals of x - p: at most 0 where a zero is censored, 0 where an entry is left out."""
    zero = subtract(residual, residual)
    return where(left_out, zero, where(censored, minimum(residual, zero), residual))


@numba.njit(nogil=True)
def _enter(lane, cell, rest, codes, start, plain, r, censored, left_out, z, y, direction):
    """Put a cell into a lane of the tiles, or nothing (all entries left out) if there is none left."""
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
