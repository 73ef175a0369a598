"""All compiled code, in one file: what was compiled is kept on disk under the stamp of its file alone.

Were a part in another file, code compiled with an older version of that part would be taken for up to date.
So no other file has compiled code, and this one imports nothing of the package. A change of compiler
or processor is noticed by numba itself.

From top to bottom: how compiled code is kept; vectors of numbers, one a cell, with exponentials and logarithms;
products with sparse matrices; residuals and gradients; conjugate gradients for the representations of cells; Newton
steps for those of counts; what is expected below zeros; regressions of genes; what is compiled ahead.

Layout. Matrices are genes or regulators x cells, C-contiguous. Work is done on a *tile*: as many cells as a
vector has numbers (lanes), copied to a 1-d array of (rows x lanes), so that row i of the tile is
vector i. A tile and the decoder stay in the cache of the processor, whatever the number of cells.

Invariant. What is computed for a cell depends neither on the cells beside it nor on its lane: operations on
vectors are done number by number, sums run over genes or regulators in the order of the matrix, never
over lanes, and every lane goes through the same operations. Tests hold it to the last bit.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, event, types
from numba.core.errors import TypingError
from numba.extending import intrinsic, models, register_model
from scipy.special import log_ndtr

logger = logging.getLogger("grnrep")


def compiled(function: Any) -> Any:
    """Compile on first use, for any thread; what was compiled is kept on disk, if there is a place."""
    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # numba knows no folder that it can write to
        return numba.njit(nogil=True)(function)


class _Notice(event.Listener):
    """Says so, once in a process, where a function of this file is compiled and not read from disk."""

    given = False

    def on_start(self, event: Any) -> None:
        ours = event.data["dispatcher"].py_func.__module__ == __name__
        if ours and not self.given:
            self.given = True
            logger.info(
                "compiling, once for this installation, which takes seconds; `grnrep compile` does it ahead"
            )

    def on_end(self, event: Any) -> None:
        pass


event.register("numba:compile", _Notice())


# Parts of compiled functions: copied into their callers by numba, or, quicker to compile, by LLVM (called, they
# take 5 to 10 % longer); and instructions of LLVM. Python calls no part: without a way in from there, which has to
# take tuples of arrays apart, a part compiles in half the time. Annotations are for the reader and for mypy, to
# which a vector is Any; numba finds types of its own.
_from_compiled_alone: Any = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
_inlined: Any = numba.njit(inline="always")
_part: Any = numba.njit(nogil=True, forceinline=True, **_from_compiled_alone)
_instruction: Any = intrinsic


# --- Vectors: a type for numba ---------------------------------------------------------------------------
# A vector fills 64 bytes: 16 numbers of single, 8 of double precision. LLVM keeps it in registers and does
# its operations with whatever instructions the processor has (one of AVX-512, two of AVX2, four of SSE or
# NEON). An array is contiguous and seen as an array of vectors: `load(array, i)` is its vector i.
#
# Plain loops over lanes would not do. LLVM cannot tell that a sum and what is added to it share no memory, so
# the sum is read and written for every few entries instead of staying in registers, after a check of addresses;
# and loops of 16 or 32 lanes it unrolls to single numbers. The best of those tried, of 64 lanes, with four
# entries a pass, took so many times as long as vectors (float32, AVX2; but for the second line, blocks as
# large as projections have them, which wide tiles fill badly):
#
#   genes x regulators, edges, cells a block    descend       residuals, gradients
#   1,000 x 100, 10,000, 512                    1.2 to 1.4    0.9 to 1.2
#   2,000 x 700, 40,000, 512                    1.2 to 1.7    1.2 to 1.3
#   2,000 x 700, 40,000, 262                    1.4 to 2.1    1.5 to 1.6
#   5,000 x 700, 100,000, 104                   1.7           1.3 to 1.4
#   20,000 x 700, 400,000, 26                   3.9           2.1 to 2.7

_BITS: Final = 512
_BYTES: Final = _BITS // 8


def n_lanes(dtype: Any) -> int:
    """How many numbers a vector has."""
    return _BYTES // np.dtype(dtype).itemsize


class Vector(types.Type):
    """The type, for numba, of vectors of a kind of floating-point numbers."""

    def __init__(self, scalar: Any):
        self.scalar = scalar
        super().__init__(f"Vector({scalar})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Vector):
        scalar = manager.lookup(kind.scalar).get_value_type()
        super().__init__(manager, kind, ir.VectorType(scalar, _BITS // kind.scalar.bitwidth))


def _vector(array: Any) -> Vector:
    """The type of the vectors of an array."""
    if array.layout != "C":
        raise TypingError(f"an array of vectors must be contiguous; found {array}")
    return Vector(array.dtype)


def _place(context: Any, llvm: Any, array: Any, value: Any, k: Any, vector: Any) -> tuple[Any, int]:
    """Where the numbers from ``k`` on of an array are, and which bytes that is a multiple of."""
    data = context.make_array(array)(context, llvm, value).data
    place = llvm.bitcast(llvm.gep(data, [k]), vector.as_pointer())
    return place, array.dtype.bitwidth // 8  # of a number, not of a vector: arrays begin anywhere


def _load_from(stride: Callable[[Vector], int]) -> Any:
    """A function that gets the numbers of an array from ``k`` strides on."""

    @_instruction
    def function(_typing: Any, array: Any, _k: Any) -> Any:
        kind = _vector(array)

        def code(context: Any, llvm: Any, _signature: Any, args: Any) -> Any:
            value, k = args
            start = llvm.mul(k, ir.Constant(k.type, stride(kind)))
            place, align = _place(context, llvm, array, value, start, context.get_value_type(kind))
            return llvm.load(place, align=align)

        return kind(array, types.intp), code

    return function


def _store_from(stride: Callable[[Vector], int]) -> Any:
    """A function that sets the numbers of an array from ``k`` strides on."""

    @_instruction
    def function(_typing: Any, array: Any, _k: Any, _vectors: Any) -> Any:
        kind = _vector(array)

        def code(context: Any, llvm: Any, _signature: Any, args: Any) -> Any:
            value, k, vector = args
            start = llvm.mul(k, ir.Constant(k.type, stride(kind)))
            place, align = _place(context, llvm, array, value, start, vector.type)
            llvm.store(vector, place, align=align)
            return context.get_dummy_value()

        return types.none(array, types.intp, kind), code

    return function


# load(array, i), store(array, i, vector): vector i; load_at(array, k), store_at: the numbers from k on
load, store = (of(lambda kind: _BITS // kind.scalar.bitwidth) for of in (_load_from, _store_from))
load_at, store_at = (of(lambda _kind: 1) for of in (_load_from, _store_from))


@_instruction
def splat(_typing: Any, number: Any) -> Any:
    """The same number for every cell."""
    kind = Vector(number)

    def code(context: Any, llvm: Any, _signature: Any, args: Any) -> Any:
        return _spread(llvm, args[0], context.get_value_type(kind))

    return kind(number), code


def _spread(llvm: Any, number: Any, vector: Any) -> Any:
    """The vector of a number."""
    index, undefined = ir.IntType(32), ir.Constant(vector, ir.Undefined)
    first = llvm.insert_element(undefined, number, ir.Constant(index, 0))
    all_first = ir.Constant(ir.VectorType(index, vector.count), None)
    return llvm.shuffle_vector(first, undefined, all_first)


@_instruction
def splat_like(_typing: Any, vector: Any, _number: Any) -> Any:
    """A number that is known when code is compiled, or of double precision, for every cell of such a vector."""

    def code(context: Any, llvm: Any, signature: Any, args: Any) -> Any:
        of_vector = context.cast(llvm, args[1], signature.args[1], vector.scalar)
        return _spread(llvm, of_vector, context.get_value_type(vector))

    return vector(vector, types.float64), code


def _of_two(write: Callable) -> Any:
    """A function of two vectors, as ``write(llvm, a, b)`` writes it."""

    @_instruction
    def function(_typing: Any, a: Any, b: Any) -> Any:
        return a(a, b), lambda _context, llvm, _signature, args: write(llvm, *args)

    return function


def _of_three(write: Callable) -> Any:
    """A function of anything and two vectors, as ``write(llvm, a, b, c)`` writes it."""

    @_instruction
    def function(_typing: Any, a: Any, b: Any, c: Any) -> Any:
        return c(a, b, c), lambda _context, llvm, _signature, args: write(llvm, *args)

    return function


def _multiply_add(llvm: Any, a: Any, b: Any, c: Any) -> Any:
    """A b + c: rounded once where the processor does that in one instruction, else after each operation.

    Which of the two depends on the processor alone, never on lane or company. ``llvm.fma`` would always
    round once, and where there is no instruction for it call a function for every number.
    """
    name = f"llvm.fmuladd.v{a.type.count}f{_BITS // a.type.count}"
    kind = ir.FunctionType(a.type, [a.type] * 3)
    return llvm.call(cgutils.get_or_insert_function(llvm.module, kind, name), (a, b, c))


def _where(llvm: Any, bits: Any, a: Any, b: Any) -> Any:
    """``a`` for the cells whose bit is set, else ``b``; as many bits as there are cells."""
    return llvm.select(llvm.bitcast(bits, ir.VectorType(ir.IntType(1), a.type.count)), a, b)


def _where_zero(llvm: Any, test: Any, a: Any, b: Any) -> Any:
    """``a`` for the cells where ``test`` is zero, else ``b``."""
    return llvm.select(llvm.fcmp_ordered("==", test, ir.Constant(test.type, None)), a, b)


def _where_positive(llvm: Any, test: Any, a: Any, b: Any) -> Any:
    """``a`` for the cells where ``test`` is above zero, else ``b``."""
    return llvm.select(llvm.fcmp_ordered(">", test, ir.Constant(test.type, None)), a, b)


add = _of_two(lambda llvm, a, b: llvm.fadd(a, b))
subtract = _of_two(lambda llvm, a, b: llvm.fsub(a, b))
multiply = _of_two(lambda llvm, a, b: llvm.fmul(a, b))
divide = _of_two(lambda llvm, a, b: llvm.fdiv(a, b))
minimum = _of_two(lambda llvm, a, b: llvm.select(llvm.fcmp_ordered("<", a, b), a, b))
maximum = _of_two(lambda llvm, a, b: llvm.select(llvm.fcmp_ordered(">", a, b), a, b))
multiply_add, where = map(_of_three, (_multiply_add, _where))
where_zero, where_positive = map(_of_three, (_where_zero, _where_positive))


# --- Exponentials and logarithms of vectors --------------------------------------------------------------
# Those of LLVM would call a function of the system for every number. These are power series whose first term left out
# is below rounding: right to a few units in the last place, in operations on vectors alone.

_LN_2_FIRST, _LN_2_REST = (
    0.693359375,
    -2.1219444005469057e-4,
)  # ln 2, the first of 10 bits: its multiples are exact


class _Precision(NamedTuple):
    """Of the numbers of a vector: bits, those of the fraction, and terms that series need."""

    bits: int
    fraction: int
    exponential: int
    logarithm: int  # of 1/√2 to √2
    of_one_plus: int  # of 1 to 2


def _precision(vector: Any) -> _Precision:
    return _Precision(32, 23, 8, 5, 8) if vector.count == 16 else _Precision(64, 52, 14, 11, 17)


def _number(vector: Any, value: float) -> Any:
    """A vector of the same number."""
    return ir.Constant(vector, [value] * vector.count)


def _series(llvm: Any, x: Any, factors: list[float]) -> Any:
    """Σ factors[k] x^k."""
    total = _number(x.type, factors[-1])
    for factor in reversed(factors[:-1]):
        total = _multiply_add(llvm, total, x, _number(x.type, factor))
    return total


def _whole(vector: Any) -> Any:
    """Vectors of whole numbers of as many bits."""
    return ir.VectorType(ir.IntType(_precision(vector).bits), vector.count)


def _exp(llvm: Any, x: Any) -> Any:
    """Exponential, of x whose exponential is in the normal range."""
    precise, whole = _precision(x.type), _whole(x.type)
    # x = k ln 2 + rest. What is added leaves k in the last bits, from where it is shifted to the exponent
    shift = 1.5 * 2.0**precise.fraction
    shifted = _multiply_add(llvm, x, _number(x.type, 1 / math.log(2)), _number(x.type, shift))
    k = llvm.fsub(shifted, _number(x.type, shift))
    rest = _multiply_add(llvm, k, _number(x.type, -_LN_2_FIRST), x)
    rest = _multiply_add(llvm, k, _number(x.type, -_LN_2_REST), rest)
    power = _series(llvm, rest, [1 / math.factorial(i) for i in range(precise.exponential)])
    exponent = llvm.shl(
        llvm.bitcast(shifted, whole), ir.Constant(whole, [precise.fraction] * x.type.count)
    )
    return llvm.bitcast(llvm.add(llvm.bitcast(power, whole), exponent), x.type)


def _twice_atanh(llvm: Any, x: Any, n_terms: int) -> Any:
    """2 artanh x = log((1 + x) / (1 - x))."""
    series = _series(llvm, llvm.fmul(x, x), [2 / (2 * i + 1) for i in range(n_terms)])
    return llvm.fmul(x, series)


def _log(llvm: Any, x: Any) -> Any:
    """Logarithm, of x above zero in the normal range."""
    precise, whole = _precision(x.type), _whole(x.type)
    # x = 2^k rest, with the rest from 1/√2 to √2
    root = np.array(0.5**0.5, f"f{precise.bits // 8}").view(f"i{precise.bits // 8}")
    n_bits = ir.Constant(whole, [precise.fraction] * x.type.count)
    bits = llvm.bitcast(x, whole)
    k = llvm.ashr(llvm.sub(bits, ir.Constant(whole, [int(root)] * x.type.count)), n_bits)
    rest, one = llvm.bitcast(llvm.sub(bits, llvm.shl(k, n_bits)), x.type), _number(x.type, 1)
    share = llvm.fdiv(llvm.fsub(rest, one), llvm.fadd(rest, one))
    of_rest = _twice_atanh(llvm, share, precise.logarithm)
    return _multiply_add(llvm, llvm.sitofp(k, x.type), _number(x.type, math.log(2)), of_rest)


def _log_of_one_plus(llvm: Any, x: Any) -> Any:
    """log(1 + x), of x from 0 to 1, as right as x is where that is small."""
    share = llvm.fdiv(x, llvm.fadd(x, _number(x.type, 2)))
    return _twice_atanh(llvm, share, _precision(x.type).of_one_plus)


def _of_one(write: Callable) -> Any:
    """A function of a vector, as ``write(llvm, a)`` writes it."""

    @_instruction
    def function(_typing: Any, a: Any) -> Any:
        return a(a), lambda _context, llvm, _signature, args: write(llvm, *args)

    return function


exp, log, log_of_one_plus = map(_of_one, (_exp, _log, _log_of_one_plus))


# --- Products with sparse matrices -----------------------------------------------------------------------


class Rows(NamedTuple):
    """A sparse matrix by rows, CSR; positions int32."""

    indptr: np.ndarray
    indices: np.ndarray
    values: np.ndarray


@_part
def row_times(matrix: Rows, k: int, tile: np.ndarray) -> Any:
    """Row k of the matrix times a tile: Σ_i values[i] · vector indices[i], over the entries i of the row."""
    zero = splat(tile.dtype.type(0))
    a, b, c, d = zero, zero, zero, zero
    # unsigned: numba need not look for positions counted from the end
    i, last = np.uintp(matrix.indptr[k]), np.uintp(matrix.indptr[k + 1])
    while i + np.uintp(3) < last:  # four sums, so that no addition waits for the one before
        a = multiply_add(splat(matrix.values[i]), load(tile, matrix.indices[i]), a)
        j = i + np.uintp(1)
        b = multiply_add(splat(matrix.values[j]), load(tile, matrix.indices[j]), b)
        j = i + np.uintp(2)
        c = multiply_add(splat(matrix.values[j]), load(tile, matrix.indices[j]), c)
        j = i + np.uintp(3)
        d = multiply_add(splat(matrix.values[j]), load(tile, matrix.indices[j]), d)
        i += np.uintp(4)
    while i < last:
        a = multiply_add(splat(matrix.values[i]), load(tile, matrix.indices[i]), a)
        i += np.uintp(1)
    return add(add(a, b), add(c, d))


@_part
def _set_gradient(
    w_t: Rows, ridge: np.ndarray, z: np.ndarray, r: np.ndarray, gradient: np.ndarray
) -> None:
    """Set g = W' r - λ z = -½ ∂/∂z (‖r‖² + Σ λ z²) of a tile."""
    for j in range(len(ridge)):
        g = multiply_add(splat(-ridge[j]), load(z, j), row_times(w_t, j, r))
        store(gradient, j, g)


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


class _Bounded(NamedTuple):
    """Expression of cells and the bounds of their residuals, (n_genes, n_cells), of which so many count."""

    x: np.ndarray
    most: np.ndarray
    least: np.ndarray
    n_bounds: int


def _bounded(x: np.ndarray, most: np.ndarray | None, least: np.ndarray | None) -> _Bounded:
    """Bounds that there are not are x, which is not read as such: numba compiles once, not for every case."""
    n_bounds = (most is not None) + (least is not None)
    return _Bounded(x, x if most is None else most, x if least is None else least, n_bounds)


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
        As in :class:`grnrep.core.likelihoods.base.Block`.
    z
        Representations, (m + q, n_cells).
    """
    _residuals(w, _bounded(x, most, least), z, out)


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
    _gradients(w, w_t, ridge, _bounded(x, most, least), z, out)


@compiled
def _residuals(w: Rows, block: _Bounded, z: np.ndarray, out: np.ndarray) -> None:
    lanes = _BYTES // z.itemsize
    z_tile, r = np.empty(len(z) * lanes, z.dtype), np.empty(len(out) * lanes, z.dtype)
    bound = np.empty_like(r)
    for k in range(0, z.shape[1], lanes):
        _set_residual(w, block, z, k, z_tile, r, bound)
        _put(r, out, k)


@compiled
def _gradients(
    w: Rows, w_t: Rows, ridge: np.ndarray, block: _Bounded, z: np.ndarray, out: np.ndarray
) -> None:
    lanes = _BYTES // z.itemsize
    z_tile, r = np.empty(len(z) * lanes, z.dtype), np.empty(len(block.x) * lanes, z.dtype)
    bound, gradient = np.empty_like(r), np.empty(len(ridge) * lanes, z.dtype)
    for k in range(0, z.shape[1], lanes):
        _set_residual(w, block, z, k, z_tile, r, bound)
        _set_gradient(w_t, ridge, z_tile, r, gradient)
        _put(gradient, out, k)


@_part
def _set_residual(
    w: Rows,
    block: _Bounded,
    z: np.ndarray,
    k: int,
    z_tile: np.ndarray,
    r: np.ndarray,
    bound: np.ndarray,
) -> None:
    """Set r = x - W z, within its bounds, of the tile of cells from ``k`` on; ``bound`` is room for a tile."""
    _take(z, k, z_tile)
    _take(block.x, k, r)
    # a residual of 0 where a censored zero is predicted below zero, or an entry is left out
    if block.n_bounds == 0:
        for g in range(len(block.x)):
            store(r, g, subtract(load(r, g), row_times(w, g, z_tile)))
        return
    _take(block.most, k, bound)
    for g in range(len(block.x)):
        store(r, g, minimum(subtract(load(r, g), row_times(w, g, z_tile)), load(bound, g)))
    if block.n_bounds > 1:
        _take(block.least, k, bound)
        for g in range(len(block.x)):
            store(r, g, maximum(load(r, g), load(bound, g)))


@_inlined
def _take(array: np.ndarray, k: int, tile: np.ndarray) -> None:
    """Copy the columns of an array from ``k`` on to a tile; where there are none left, zeros."""
    lanes, n_columns = _BYTES // tile.itemsize, array.shape[1]
    if k + lanes <= n_columns:
        for i in range(len(array)):
            store(tile, i, load_at(array, i * n_columns + k))
    else:
        for i in range(len(array)):
            for lane in range(lanes):
                tile[i * lanes + lane] = array[i, k + lane] if k + lane < n_columns else 0


@_inlined
def _put(tile: np.ndarray, array: np.ndarray, k: int) -> None:
    """Copy a tile to the columns of an array from ``k`` on, as far as there are any."""
    lanes, n_columns = _BYTES // tile.itemsize, array.shape[1]
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
#
# Invariant, at the top of an iteration, of every lane: `uncensored` is x - W z of its z, and `r` is that after
# censoring. A lane without a cell has all entries left out, z = 0 and d = 0, and stays so.

CENSORED, LEFT_OUT = 1, 2  # codes of entries: a zero under a ReLU; one that is not to count
SHORTER, LONGER = 0.1, 4.0  # what the secant step may make of a step


class _Cells(NamedTuple):
    """Cells to be projected: x - W z at the start and codes, (n_genes, n_cells); z, (m, n_cells)."""

    uncensored: np.ndarray
    codes: np.ndarray
    z: np.ndarray


class _Tile(NamedTuple):
    """Where the search of the cells in the lanes is."""

    uncensored: np.ndarray  # x - W z; a vector a gene, as in the next two
    r: np.ndarray  # residuals: the same, censored
    change: np.ndarray  # W d, by which W z changes along the direction d
    censored: np.ndarray  # a bit a lane, a number a gene, as in the next
    left_out: np.ndarray
    z: np.ndarray  # representations; a vector a regulator, as in the next two
    y: np.ndarray  # P g, the gradient preconditioned
    direction: np.ndarray  # d


class _Sums(NamedTuple):
    """Sums over the regulators or genes of a cell, one a lane; g is minus half the gradient."""

    yy: np.ndarray  # y'y
    zz: np.ndarray  # z'z
    gy: np.ndarray  # g'y
    last_gy: np.ndarray  # g'y of the iteration before
    cross: np.ndarray  # y' times g of the iteration before
    slope: np.ndarray  # g'd: minus half the slope of the objective along d
    ridge_slope: np.ndarray  # z'λd
    ridge_curvature: np.ndarray  # d'λd
    curvature: np.ndarray  # Σ (W d)², over genes with a residual
    end_slope: np.ndarray  # r'W d with the residuals at the end of a step


@compiled
def descend(
    w: Rows,
    w_t: Rows,
    inverse: Rows,
    ridge: np.ndarray,
    uncensored: np.ndarray,
    codes: np.ndarray,
    z_start: np.ndarray,
    censored: np.ndarray,
    max_iter: int,
    tol: float,
    out: np.ndarray,
    iterations: np.ndarray,
) -> None:
    """Minimise Σ residual(x, W z)² + Σ ridge z² for every cell.

    Parameters
    ----------
    w, w_t, inverse
        W (n_genes, m), W', and the preconditioner P (m, m).
    ridge
        One per regulator, ``(m,)``.
    uncensored, codes
        x - p at the start, and whether it is ``CENSORED``, ``LEFT_OUT`` or neither (0), uint8;
        (n_genes, n_cells).
    z_start
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
    (n, n_cells), m, dtype = uncensored.shape, len(z_start), uncensored.dtype
    number, lanes = dtype.type, _BYTES // uncensored.itemsize
    waiting = _Cells(uncensored, codes, z_start)
    # one by one: numba does not take rows of one array, unpacked, for contiguous
    tile = _Tile(
        np.zeros(n * lanes, dtype), np.zeros(n * lanes, dtype), np.zeros(n * lanes, dtype),
        censored, np.zeros_like(censored),
        np.zeros(m * lanes, dtype), np.zeros(m * lanes, dtype), np.zeros(m * lanes, dtype),
    )  # fmt: skip
    sums = _Sums(
        np.zeros(lanes, dtype), np.zeros(lanes, dtype), np.zeros(lanes, dtype),
        np.zeros(lanes, dtype), np.zeros(lanes, dtype), np.zeros(lanes, dtype),
        np.zeros(lanes, dtype), np.zeros(lanes, dtype), np.zeros(lanes, dtype),
        np.zeros(lanes, dtype),
    )  # fmt: skip
    gradient, last = np.zeros(m * lanes, dtype), np.zeros(m * lanes, dtype)
    beta, step = np.zeros(lanes, dtype), np.zeros(lanes, dtype)
    cells, ages = np.full(lanes, -1), np.zeros(lanes, np.int64)
    n_active = n_entered = 0
    for lane in range(lanes):
        if n_entered < n_cells:
            cells[lane] = n_entered
            n_entered, n_active = n_entered + 1, n_active + 1
        _enter(lane, cells[lane], waiting, tile)

    while n_active > 0:
        gradient, last = last, gradient
        _set_gradient(w_t, ridge, tile.z, tile.r, gradient)
        _precondition(inverse, gradient, last, tile, sums)

        # Cells that are done, ‖y‖ ≤ tol ‖z‖, leave; of the others β = max(0, (g - last g)'y / last (g'y))
        for lane in range(lanes):
            beta[lane] = 0
            if cells[lane] < 0:
                continue
            converged = sums.yy[lane] <= tol * tol * sums.zz[lane]
            if converged or ages[lane] >= max_iter:
                for j in range(m):
                    out[j, cells[lane]] = tile.z[j * lanes + lane]
                iterations[cells[lane]] = ages[lane]
                cells[lane], ages[lane] = -1, -1
                n_active -= 1
                if n_entered < n_cells:
                    cells[lane] = n_entered
                    n_entered, n_active = n_entered + 1, n_active + 1
                _enter(lane, cells[lane], waiting, tile)
                sums.gy[lane] = np.inf  # the next β is 0: no direction to go on from
            elif sums.last_gy[lane] > 0:
                conjugate = (sums.gy[lane] - sums.cross[lane]) / sums.last_gy[lane]
                beta[lane] = max(number(0), conjugate)
            ages[lane] += 1

        _set_direction(ridge, gradient, beta, tile, sums)
        for lane in range(lanes):
            # by rounding, d may have lost its meaning: then d = y
            if sums.slope[lane] <= 0 and ages[lane] > 0:
                sums.slope[lane] = sums.gy[lane]
                sums.ridge_curvature[lane], sums.ridge_slope[lane] = 0, 0
                for j in range(m):
                    k = j * lanes + lane
                    tile.direction[k] = tile.y[k]
                    sums.ridge_curvature[lane] += ridge[j] * tile.y[k] * tile.y[k]
                    sums.ridge_slope[lane] += ridge[j] * tile.z[k] * tile.y[k]
            sums.last_gy[lane] = sums.gy[lane]

        # step = g'd / (Σ (W d)² + d'λd): to the minimum along d, unless entries enter or leave their
        # censored range
        _set_change(w, tile, sums)
        for lane in range(lanes):
            curvature = sums.curvature[lane] + sums.ridge_curvature[lane]
            step[lane] = sums.slope[lane] / curvature if curvature > 0 else 0

        # One secant step along d, for entries that do. At z + step d, with r there, the slope is
        # r'W d - z'λd - step d'λd; the line through it and the slope at z is zero at step · longer.
        _look_ahead(step, tile, sums)
        for lane in range(lanes):
            ridge_part = sums.ridge_slope[lane] + step[lane] * sums.ridge_curvature[lane]
            end_slope = sums.end_slope[lane] - ridge_part
            if end_slope < sums.slope[lane]:
                longer = sums.slope[lane] / (sums.slope[lane] - end_slope)
                step[lane] *= min(max(longer, number(SHORTER)), number(LONGER))

        _move(step, tile)


@_part
def _enter(lane: int, cell: int, waiting: _Cells, tile: _Tile) -> None:
    """Put a cell into a lane of the tile, or nothing (all entries left out) where it is -1."""
    lanes, bit = 8 * tile.censored.itemsize, tile.censored.dtype.type(1 << lane)
    for g in range(len(waiting.codes)):
        k, code, value = g * lanes + lane, LEFT_OUT, tile.r.dtype.type(0)
        if cell >= 0:
            code, value = waiting.codes[g, cell], waiting.uncensored[g, cell]
        tile.censored[g] = tile.censored[g] | bit if code == CENSORED else tile.censored[g] & ~bit
        tile.left_out[g] = tile.left_out[g] | bit if code == LEFT_OUT else tile.left_out[g] & ~bit
        tile.uncensored[k] = value
        tile.r[k] = 0 if code == LEFT_OUT or (code == CENSORED and value > 0) else value
    for j in range(len(waiting.z)):
        k = j * lanes + lane
        tile.z[k] = waiting.z[j, cell] if cell >= 0 else 0
        tile.y[k], tile.direction[k] = 0, 0  # so that it stays where it is in this iteration


@_part
def _precondition(
    inverse: Rows, gradient: np.ndarray, last: np.ndarray, tile: _Tile, sums: _Sums
) -> None:
    """Set y = P g, and y'y, z'z, g'y and (last g)'y."""
    zero = splat(gradient.dtype.type(0))
    yy, zz, gy, cross = zero, zero, zero, zero
    for j in range(len(inverse.indptr) - 1):
        y, z, g = row_times(inverse, j, gradient), load(tile.z, j), load(gradient, j)
        store(tile.y, j, y)
        yy, zz = multiply_add(y, y, yy), multiply_add(z, z, zz)
        gy, cross = multiply_add(g, y, gy), multiply_add(load(last, j), y, cross)
    store(sums.yy, 0, yy)
    store(sums.zz, 0, zz)
    store(sums.gy, 0, gy)
    store(sums.cross, 0, cross)


@_part
def _set_direction(
    ridge: np.ndarray, gradient: np.ndarray, beta: np.ndarray, tile: _Tile, sums: _Sums
) -> None:
    """Set d = y + β d, and g'd, d'λd and z'λd: 0 for a cell that has just entered, since its y and d are."""
    zero, b = splat(gradient.dtype.type(0)), load(beta, 0)
    slope, ridge_slope, ridge_curvature = zero, zero, zero
    for j in range(len(ridge)):
        d, lam = multiply_add(b, load(tile.direction, j), load(tile.y, j)), splat(ridge[j])
        store(tile.direction, j, d)
        slope = multiply_add(load(gradient, j), d, slope)
        ridge_slope = multiply_add(lam, multiply(load(tile.z, j), d), ridge_slope)
        ridge_curvature = multiply_add(lam, multiply(d, d), ridge_curvature)
    store(sums.slope, 0, slope)
    store(sums.ridge_slope, 0, ridge_slope)
    store(sums.ridge_curvature, 0, ridge_curvature)


@_part
def _set_change(w: Rows, tile: _Tile, sums: _Sums) -> None:
    """Set W d, and Σ (W d)² over genes with a residual: those that are censored resist no change."""
    zero = splat(tile.r.dtype.type(0))
    curvature = zero
    for g in range(len(tile.censored)):
        change = row_times(w, g, tile.direction)
        store(tile.change, g, change)
        resisted = where_zero(load(tile.r, g), zero, change)
        curvature = multiply_add(resisted, resisted, curvature)
    store(sums.curvature, 0, curvature)


@_part
def _look_ahead(step: np.ndarray, tile: _Tile, sums: _Sums) -> None:
    """Set r'W d, with the residuals r at z + step d."""
    zero = splat(step.dtype.type(0))
    minus_step, end_slope = subtract(zero, load(step, 0)), zero
    for g in range(len(tile.censored)):
        change = load(tile.change, g)
        uncensored = multiply_add(minus_step, change, load(tile.uncensored, g))
        end_slope = multiply_add(
            _censor(uncensored, tile.censored[g], tile.left_out[g]), change, end_slope
        )
    store(sums.end_slope, 0, end_slope)


@_part
def _move(step: np.ndarray, tile: _Tile) -> None:
    """Go from z to z + step d, and from x - W z to x - W z - step W d, with its residuals."""
    plus_step = load(step, 0)
    minus_step = subtract(splat(step.dtype.type(0)), plus_step)
    for g in range(len(tile.censored)):
        uncensored = multiply_add(minus_step, load(tile.change, g), load(tile.uncensored, g))
        store(tile.uncensored, g, uncensored)
        store(tile.r, g, _censor(uncensored, tile.censored[g], tile.left_out[g]))
    for j in range(len(tile.z) * step.itemsize // _BYTES):
        store(tile.z, j, multiply_add(plus_step, load(tile.direction, j), load(tile.z, j)))


@_inlined
def _censor(uncensored: Any, censored: Any, left_out: Any) -> Any:
    """Residuals of x - W z: at most 0 where a zero is censored, 0 where an entry is left out."""
    zero = subtract(uncensored, uncensored)
    return where(left_out, zero, where(censored, minimum(uncensored, zero), uncensored))


# --- Newton steps for the representations of counts: see grnrep.core.als.newton -------------------------------
# Cells are worked on in lanes, and make room for the next, as in `descend`. What is halved, what the negative
# binomial adds, and why, is in grnrep.core.likelihoods.counts.

_FAR: Final = 15.0  # p / τ below minus which log f is p / τ, to single precision
_LEAST_EXPONENT: Final = -80.0  # whose exponential is a normal number in either precision
_TOO_FAR: Final = 1e30  # length of a step that rounding makes


class CountGenes(NamedTuple):
    """Parameters of counts, ``(n_genes,)`` each: τ of the smooth ReLU f, and the dispersion φ, 0 of Poisson counts."""

    softness: np.ndarray
    dispersion: np.ndarray


class Newton(NamedTuple):
    """How Newton steps are taken and when they end.

    Parameters
    ----------
    n_gradients
        Conjugate gradients of a step.
    n_halvings
        Times that a step is halved at most.
    near
        Step, as a share of the representation, from which on curvatures are those of the loss itself, of any sign.
    rounding
        Rise of the objective that says nothing, as a share of Σ |loss|.
    flat
        Share of the curvature of a count under exponential f that it keeps where f is that.
    max_iter, tol
        Steps at most, and step, as a share of the representation, at which a cell is done.
    """

    n_gradients: int
    n_halvings: int
    near: float
    rounding: float
    flat: float
    max_iter: int
    tol: float


class CountCells(NamedTuple):
    """Counts and W z at the start, (n_genes, n_cells); size factors ``(n_cells,)``; z, (m, n_cells)."""

    counts: np.ndarray
    p: np.ndarray
    size: np.ndarray
    z: np.ndarray


class _NewtonTile(NamedTuple):
    """Where the search of the cells in the lanes is."""

    counts: np.ndarray  # a vector a gene, as in the next five
    p: np.ndarray  # W z
    r: np.ndarray  # minus half the slope of the loss
    curvature: np.ndarray  # half its curvature
    loss: np.ndarray  # half of it, up to what counts alone say
    change_p: np.ndarray  # W d, of directions and then of the whole step
    z: np.ndarray  # a vector a regulator, as in the next five
    gradient: np.ndarray  # what remains of minus half the gradient of the objective
    preconditioner: np.ndarray  # 1 / diagonal of W'AW + λ
    y: np.ndarray  # the gradient, preconditioned
    direction: np.ndarray  # d
    change: np.ndarray  # the step
    size: np.ndarray  # a vector, as in the next four
    near: np.ndarray  # 1 where curvatures are those of the loss itself, else 0
    length: np.ndarray  # of the step, as a share of it
    rise: np.ndarray  # of half the objective by a step of that length
    sums: (
        np.ndarray
    )  # three vectors: Σ |loss|; Σ of squares of the step, and of the representation behind it


def newton_counts(
    w: Rows,
    w_t: Rows,
    ridge: np.ndarray,
    genes: CountGenes,
    cells: CountCells,
    how: Newton,
    out: np.ndarray,
    steps: np.ndarray,
) -> None:
    """Take Newton steps towards the least deviance + Σ ridge z² of every cell.

    Parameters
    ----------
    w, w_t
        W (n_genes, m), and W'.
    ridge
        One per regulator, ``(m,)``.
    genes, cells
        What is given.
    how
        How steps are taken.
    out, steps
        Become the representations, (m, n_cells), and the number of steps of every cell, ``(n_cells,)``.

    References
    ----------
    Conjugate gradients that end where there is no curvature: Steihaug, SIAM J. Numer. Anal. 20 (1983).
    """
    squares = Rows(w_t.indptr, w_t.indices, np.square(w_t.values))
    _newton_counts(w, w_t, squares, ridge, genes, cells, how, out, steps)


@compiled
def _newton_counts(
    w: Rows,
    w_t: Rows,
    squares: Rows,
    ridge: np.ndarray,
    genes: CountGenes,
    waiting: CountCells,
    how: Newton,
    out: np.ndarray,
    steps: np.ndarray,
) -> None:
    (n, n_cells), m, dtype = waiting.counts.shape, len(ridge), waiting.counts.dtype
    lanes = _BYTES // waiting.counts.itemsize
    tile = _NewtonTile(
        np.zeros(n * lanes, dtype), np.zeros(n * lanes, dtype), np.zeros(n * lanes, dtype),
        np.zeros(n * lanes, dtype), np.zeros(n * lanes, dtype), np.zeros(n * lanes, dtype),
        np.zeros(m * lanes, dtype), np.zeros(m * lanes, dtype), np.zeros(m * lanes, dtype),
        np.zeros(m * lanes, dtype), np.zeros(m * lanes, dtype), np.zeros(m * lanes, dtype),
        np.zeros(lanes, dtype), np.zeros(lanes, dtype), np.zeros(lanes, dtype),
        np.zeros(lanes, dtype), np.zeros(3 * lanes, dtype),
    )  # fmt: skip
    cells, ages = np.full(lanes, -1), np.zeros(lanes, np.int64)
    n_active = n_entered = 0
    for lane in range(lanes):
        if n_entered < n_cells:
            cells[lane] = n_entered
            n_entered, n_active = n_entered + 1, n_active + 1
        _enter_count(lane, cells[lane], waiting, tile)

    while n_active > 0:
        _set_work(genes, how.flat, tile)
        _set_start(w_t, squares, ridge, tile)
        for k in range(how.n_gradients):
            _add_gradient(k, w, w_t, ridge, tile)
        for g in range(n):
            store(tile.change_p, g, row_times(w, g, tile.change))

        # every cell halves its step until its own objective does not rise
        for lane in range(lanes):
            tile.length[lane] = 1
        for k in range(how.n_halvings + 1):
            _set_rise(genes, ridge, tile)
            n_rising = 0
            for lane in range(lanes):
                allowed = how.rounding * tile.sums[lane]
                if cells[lane] >= 0 and not tile.rise[lane] <= allowed:  # not a number rises too
                    tile.length[lane] = tile.length[lane] / 2 if k < how.n_halvings else 0
                    n_rising += 1
            if n_rising == 0:
                break

        _take_step(tile)
        for lane in range(lanes):
            if cells[lane] < 0:
                continue
            ages[lane] += 1
            moved, size = tile.sums[lanes + lane], tile.sums[2 * lanes + lane]
            done = moved <= how.tol * how.tol * size or tile.length[lane] == 0
            tile.near[lane] = moved <= how.near * how.near * size
            if done or ages[lane] >= how.max_iter:
                for j in range(m):
                    out[j, cells[lane]] = tile.z[j * lanes + lane]
                steps[cells[lane]] = ages[lane]
                cells[lane], ages[lane] = -1, 0
                n_active -= 1
                if n_entered < n_cells:
                    cells[lane] = n_entered
                    n_entered, n_active = n_entered + 1, n_active + 1
                _enter_count(lane, cells[lane], waiting, tile)


@_part
def _enter_count(lane: int, cell: int, waiting: CountCells, tile: _NewtonTile) -> None:
    """Put a cell into a lane of the tile, or one without counts, of size 0, where it is -1."""
    lanes = len(tile.size)
    for g in range(len(waiting.counts)):
        k = g * lanes + lane
        tile.counts[k] = waiting.counts[g, cell] if cell >= 0 else 0
        tile.p[k] = waiting.p[g, cell] if cell >= 0 else 0
    for j in range(len(waiting.z)):
        tile.z[j * lanes + lane] = waiting.z[j, cell] if cell >= 0 else 0
    tile.size[lane] = waiting.size[cell] if cell >= 0 else 0
    tile.near[lane] = 0


@_part
def _link(p: Any, softness: Any) -> tuple[Any, Any, Any, Any]:
    """The smooth ReLU f / τ = log(1 + exp u) at u = p / τ; u; and σ(u) and 1 - σ(u)."""
    zero = subtract(p, p)
    u = divide(p, softness)
    e = exp(maximum(minimum(u, subtract(zero, u)), splat_like(p, _LEAST_EXPONENT)))
    one = splat_like(p, 1.0)
    share = divide(one, add(one, e))
    low = multiply(e, share)
    soft = add(maximum(u, zero), log_of_one_plus(e))
    return soft, u, where_positive(u, share, low), where_positive(u, low, share)


@_part
def _half_loss(c: Any, soft: Any, u: Any, mu: Any, dispersion: Any) -> Any:
    """Half the deviance of counts with the mean μ, up to what counts alone say."""
    far = add(u, splat_like(u, _FAR))
    log_soft = where_positive(far, log(maximum(soft, splat_like(soft, 1e-30))), u)
    explained = multiply(c, log_soft)
    if dispersion == 0:
        return subtract(mu, explained)
    one, phi = splat_like(u, 1.0), splat(dispersion)
    weight = add(c, divide(one, phi))
    return subtract(multiply(weight, log(multiply_add(phi, mu, one))), explained)


@_part
def _set_work(genes: CountGenes, flat: float, tile: _NewtonTile) -> None:
    """Set minus half the slope, half the curvature and half the loss of every entry, and Σ |loss|."""
    size, near = load(tile.size, 0), load(tile.near, 0)
    zero = subtract(size, size)
    total, kept = zero, splat_like(size, flat)
    for g in range(len(genes.softness)):
        c, softness, dispersion = load(tile.counts, g), genes.softness[g], genes.dispersion[g]
        r, curvature, soft, u, mu = _work(
            c, load(tile.p, g), size, near, kept, splat(softness), dispersion
        )
        loss = _half_loss(c, soft, u, mu, dispersion)
        store(tile.r, g, r)
        store(tile.curvature, g, curvature)
        store(tile.change_p, g, maximum(curvature, zero))
        store(tile.loss, g, loss)
        total = add(total, maximum(loss, subtract(zero, loss)))
    store(tile.sums, 0, total)


@_part
def _work(
    c: Any, p: Any, size: Any, near: Any, kept: Any, softness: Any, dispersion: Any
) -> tuple[Any, Any, Any, Any, Any]:
    """Minus half the slope of the deviance, half its curvature; and f / τ, p / τ, and the mean μ."""
    zero, one = subtract(p, p), splat_like(p, 1.0)
    soft, u, up, down = _link(p, softness)
    rate = multiply(soft, softness)
    mu, slope = multiply(rate, size), divide(up, rate)  # f' / f
    bend = multiply(slope, divide(down, softness))  # f'' / f
    square = multiply(slope, slope)
    excess = subtract(mu, c)
    r = subtract(zero, multiply(excess, slope))
    of_count = multiply(c, multiply_add(kept, square, maximum(subtract(square, bend), zero)))
    curvature = multiply_add(mu, bend, of_count)
    if dispersion != 0:
        of_mean = multiply(splat(dispersion), mu)
        damp = divide(one, add(one, of_mean))
        # of the loss itself: f''/f (μ - c) + (f'/f)² (c + φμ (2c - μ)) / (1 + φμ)
        beyond = multiply_add(of_mean, subtract(c, excess), c)
        itself = multiply_add(multiply(square, beyond), damp, multiply(bend, excess))
        itself = multiply_add(multiply(kept, square), c, itself)
        curvature = multiply_add(near, subtract(itself, curvature), curvature)
        r, curvature = multiply(r, damp), multiply(curvature, damp)
    return r, curvature, soft, u, mu


@_part
def _set_start(w_t: Rows, squares: Rows, ridge: np.ndarray, tile: _NewtonTile) -> None:
    """Set what conjugate gradients start from: minus half the gradient, the preconditioner, and a step of zero."""
    zero = splat(tile.z.dtype.type(0))
    one = splat_like(zero, 1.0)
    _set_gradient(w_t, ridge, tile.z, tile.r, tile.gradient)
    slope = zero
    for j in range(len(ridge)):
        diagonal = add(row_times(squares, j, tile.change_p), splat(ridge[j]))
        inverse = where_positive(diagonal, divide(one, diagonal), zero)
        gradient = load(tile.gradient, j)
        y = multiply(inverse, gradient)
        slope = multiply_add(gradient, y, slope)
        store(tile.preconditioner, j, inverse)
        store(tile.direction, j, y)
        store(tile.change, j, zero)
    # between iterations, `length` is g'y, and `rise` 0 for cells that have met a direction without curvature
    store(tile.length, 0, slope)
    store(tile.rise, 0, one)


@_part
def _add_gradient(k: int, w: Rows, w_t: Rows, ridge: np.ndarray, tile: _NewtonTile) -> None:
    """Iteration k of conjugate gradients for (W'AW + λ) step = g.

    Cells that meet a direction d with d'(W'AW + λ) d ≤ 0 stay where they are; with the first of all directions as
    their step (Steihaug 1983).
    """
    zero = splat(tile.z.dtype.type(0))
    resisted = zero
    for g in range(len(tile.counts) * tile.z.itemsize // _BYTES):
        change = row_times(w, g, tile.direction)
        weighted = multiply(load(tile.curvature, g), change)
        resisted = multiply_add(weighted, change, resisted)
        store(tile.change_p, g, weighted)
    for j in range(len(ridge)):
        d = load(tile.direction, j)
        resisted = multiply_add(splat(ridge[j]), multiply(d, d), resisted)
    slope, going = load(tile.length, 0), load(tile.rise, 0)
    length = where_positive(
        resisted, divide(slope, resisted), load(tile.near, 0) if k == 0 else zero
    )
    too_far = subtract(
        length, splat_like(zero, _TOO_FAR)
    )  # rounding has left next to nothing to divide by
    length = multiply(going, where_positive(subtract(zero, too_far), length, zero))
    going = where_positive(resisted, going, zero)
    following = zero
    for j in range(len(ridge)):
        d = load(tile.direction, j)
        store(tile.change, j, multiply_add(length, d, load(tile.change, j)))
        product = multiply_add(splat(ridge[j]), d, row_times(w_t, j, tile.change_p))
        gradient = subtract(load(tile.gradient, j), multiply(length, product))
        y = multiply(load(tile.preconditioner, j), gradient)
        following = multiply_add(gradient, y, following)
        store(tile.gradient, j, gradient)
        store(tile.y, j, y)
    share = where_positive(slope, divide(following, slope), zero)
    for j in range(len(ridge)):
        store(tile.direction, j, multiply_add(share, load(tile.direction, j), load(tile.y, j)))
    store(tile.length, 0, following)
    store(tile.rise, 0, going)


@_part
def _set_rise(genes: CountGenes, ridge: np.ndarray, tile: _NewtonTile) -> None:
    """Set the rise of half the objective by the step at its length: a sum of differences, which rounding spares."""
    length, size = load(tile.length, 0), load(tile.size, 0)
    total = subtract(size, size)
    half = multiply(splat_like(size, 0.5), length)
    for j in range(len(ridge)):
        # λ ((z + t d)² - z²) / 2 = λ t d (z + t d / 2)
        change = load(tile.change, j)
        middle = multiply_add(half, change, load(tile.z, j))
        total = multiply_add(multiply(splat(ridge[j]), multiply(length, change)), middle, total)
    for g in range(len(genes.softness)):
        p = multiply_add(length, load(tile.change_p, g), load(tile.p, g))
        softness = splat(genes.softness[g])
        soft, u, _, _ = _link(p, softness)
        mu = multiply(multiply(soft, softness), size)
        loss = _half_loss(load(tile.counts, g), soft, u, mu, genes.dispersion[g])
        total = add(total, subtract(loss, load(tile.loss, g)))
    store(tile.rise, 0, total)


@_part
def _take_step(tile: _NewtonTile) -> None:
    """Go from z to z + length · step, and sum the squares of the whole step and of z there."""
    length, lanes = load(tile.length, 0), len(tile.size)
    moved = subtract(length, length)
    size = moved
    for g in range(len(tile.p) // lanes):
        p = load(tile.p, g)
        store(tile.p, g, where_zero(length, p, multiply_add(length, load(tile.change_p, g), p)))
    for j in range(len(tile.z) // lanes):
        change, z = load(tile.change, j), load(tile.z, j)
        z = where_zero(length, z, multiply_add(length, change, z))  # no step, though it be infinite
        moved, size = multiply_add(change, change, moved), multiply_add(z, z, size)
        store(tile.z, j, z)
    store(tile.sums, 1, moved)
    store(tile.sums, 2, size)


# --- what is expected below zeros

_LOG_TWO_PI: Final = float(np.log(2 * np.pi))
_TABLE_END, _PER_UNIT = 8, 32  # of a table of -2 log Φ(-u) and its slope 2 h, in between by cubics
_U: Final = np.arange(-_TABLE_END * _PER_UNIT, _TABLE_END * _PER_UNIT + 2) / _PER_UNIT
_LOSS: Final = -2.0 * log_ndtr(-_U)
_MEAN: Final = np.exp(-0.5 * _U**2 - 0.5 * np.log(2 * np.pi) + 0.5 * _LOSS)  # h = φ(u) / Φ(-u)


def expect_below(x: np.ndarray, sd: np.ndarray, r: np.ndarray, sums: np.ndarray) -> None:
    """Turn residuals into those of expected expression, in place; and sum what genes say of it.

    Parameters
    ----------
    x
        Expression, (n_genes, n_cells); what is not above zero is censored.
    sd
        Noise of every gene, σ, ``(n_genes,)``.
    r
        x - p, (n_genes, n_cells). At a zero it becomes -σ h, with u = p / σ and h = φ(u) / Φ(-u).
    sums
        To which is added, (2, n_genes) float64: Σ (r / σ)², at zeros -2 log Φ(-u); and at zeros the variance of what
        is below, Σ σ² (1 - h (h - u)).
    """
    _expect_below(x, sd, _LOSS, _MEAN, r, sums)


@compiled
def _expect_below(
    x: np.ndarray,
    sd: np.ndarray,
    loss_at: np.ndarray,
    mean_at: np.ndarray,
    r: np.ndarray,
    sums: np.ndarray,
) -> None:
    step = 1.0 / _PER_UNIT
    for i in range(len(r)):
        s = float(sd[i])
        per_s, loss, hidden = 1.0 / s, 0.0, 0.0
        for k in range(r.shape[1]):
            u = -r[i, k] * per_s
            if x[i, k] > 0:
                loss += u * u
                continue
            if u >= _TABLE_END:  # φ(u) / Φ(-u) = u + 1 / (u + 2 / (u + ...))
                h = u + 1.0 / (u + 2.0 / (u + 3.0 / (u + 4.0 / (u + 5.0 / (u + 6.0 / u)))))
                loss += u * u + 2.0 * np.log(h) + _LOG_TWO_PI
            elif u <= -_TABLE_END:
                h = 0.0
            else:
                place = (u + _TABLE_END) * _PER_UNIT
                j = int(place)
                a, b, f = mean_at[j], mean_at[j + 1], place - j
                u_j = j * step - _TABLE_END
                # cubics with the slopes at both ends: h' = h (h - u), and (-2 log Φ(-u))' = 2 h
                slope_a, slope_b = step * a * (a - u_j), step * b * (b - u_j - step)
                h = _cubic(f, a, b, slope_a, slope_b)
                loss += _cubic(f, loss_at[j], loss_at[j + 1], 2.0 * step * a, 2.0 * step * b)
            hidden += max(0.0, 1.0 - h * (h - u))
            r[i, k] = -s * h
        sums[0, i] += loss
        sums[1, i] += hidden * s * s


@_inlined
def _cubic(f: float, a: float, b: float, slope_a: float, slope_b: float) -> float:
    """Value at the share f from a to b of a cubic with these values and slopes at its ends (Hermite)."""
    rise = b - a
    return a + f * (
        slope_a + f * (3 * rise - 2 * slope_a - slope_b + f * (slope_a + slope_b - 2 * rise))
    )


# --- Regressions of genes ----------------------------------------------------------------------------


@compiled
def add_systems(
    indptr: np.ndarray,
    column: np.ndarray,
    first_pair: np.ndarray,
    z: np.ndarray,
    curvature: np.ndarray,
    out: np.ndarray,
) -> None:
    """Add Σ a z z' of every gene at its own columns to ``out``, as in `grnrep.core.als.genes.Stats`.

    Parameters
    ----------
    indptr, column, first_pair
        Edges of every gene, their columns, and where its system begins in ``out``.
    z, curvature
        Representations (m + q, n_cells) and a, (n_genes, n_cells), of one precision.
    out
        In rows, gene after gene, float64.
    """
    # these sums are over cells: here, and here alone, lanes are added up
    lanes, n_cells = _BYTES // z.itemsize, z.shape[1]
    n_whole = n_cells - n_cells % lanes
    most = 0
    for i in range(len(curvature)):
        most = max(most, indptr[i + 1] - indptr[i])
    sums = np.empty(most * (most + 1) // 2 * lanes, z.dtype)
    for i in range(len(curvature)):
        first, d = indptr[i], indptr[i + 1] - indptr[i]
        sums[: d * (d + 1) // 2 * lanes] = 0
        for k in range(0, n_whole, lanes):
            a, pair = load_at(curvature, i * n_cells + k), 0
            for row in range(d):
                weighted = multiply(a, load_at(z, column[first + row] * n_cells + k))
                for other in range(row + 1):
                    of_other = load_at(z, column[first + other] * n_cells + k)
                    store(sums, pair, multiply_add(weighted, of_other, load(sums, pair)))
                    pair += 1
        pair = 0
        for row in range(d):
            for other in range(row + 1):
                total = 0.0
                for lane in range(lanes):
                    total += sums[pair * lanes + lane]
                for k in range(n_whole, n_cells):
                    both = z[column[first + row], k] * z[column[first + other], k]
                    total += curvature[i, k] * both
                out[first_pair[i] + row * d + other] += total
                if other < row:
                    out[first_pair[i] + other * d + row] += total
                pair += 1


@compiled
def regress_genes(
    indptr: np.ndarray,
    column: np.ndarray,
    first_pair: np.ndarray,
    gram: np.ndarray,
    spread: np.ndarray,
    mean: np.ndarray,
    edge: np.ndarray,
    noise: np.ndarray,
    precision: np.ndarray,
    pull: np.ndarray,
    n_cells: int,
    weight: np.ndarray,
    variance: np.ndarray,
    pairs: np.ndarray,
    of_gene: np.ndarray,
) -> None:
    """Posterior of the weights of every gene; equations and names are those of `grnrep.core.als.posteriors`.

    Parameters
    ----------
    indptr, column, first_pair
        Edges of every gene, their columns, and where V begins in ``pairs``.
    gram, spread, mean, edge, noise, precision, pull
        Σ z̄ z̄', of which the lower triangle is read, N Σ, mean z̄, Σ r z̄, ψ, 1 / v, (a - w) / v.
    weight
        w, and then w̄, ``(n_edges,)``.
    variance, pairs, of_gene
        Set to the diagonal of V; V in rows, gene after gene; and change, signal and log |V⁻¹|, (3, n_genes).
    """
    for i in range(len(noise)):
        first, d = indptr[i], indptr[i + 1] - indptr[i]
        g, s, v = np.empty((d, d)), np.empty((d, d)), np.empty((d, d))
        for a in range(d):
            for b in range(a + 1):
                g[a, b] = g[b, a] = gram[column[first + a], column[first + b]]
                s[a, b] = s[b, a] = spread[column[first + a], column[first + b]]
        for a in range(d):
            for b in range(d):
                v[a, b] = (g[a, b] + s[a, b]) / noise[i]
            v[a, a] += precision[first + a]
        of_gene[2, i] = _invert(v)
        w, slope, change = weight[first : first + d], np.empty(d), np.zeros(d)
        for a in range(d):
            slope[a] = edge[first + a]
            for b in range(d):
                slope[a] -= s[a, b] * w[b]
            slope[a] = slope[a] / noise[i] + pull[first + a]
        for a in range(d):
            for b in range(d):
                change[a] += v[a, b] * slope[b]
            variance[first + a] = v[a, a]
        # Σ E[(x - w'z)²] = Σ (x - w̄'z̄)² + w̄'N Σ w̄ + tr V Σ E[z z']
        rise, signal, of_mean = 0.0, 0.0, 0.0
        for a in range(d):
            rise -= 2.0 * change[a] * edge[first + a]
            w[a] += change[a]
            of_mean += w[a] * mean[column[first + a]]
        for a in range(d):
            for b in range(d):
                rise += change[a] * g[a, b] * change[b] + w[a] * s[a, b] * w[b]
                rise += v[a, b] * (g[a, b] + s[a, b])
                signal += w[a] * g[a, b] * w[b]
                pairs[first_pair[i] + a * d + b] = v[a, b]
        of_gene[0, i] = rise
        of_gene[1, i] = signal / n_cells - of_mean * of_mean


@_part
def _invert(a: Any) -> float:
    """Invert a positive definite matrix in its place, and return the logarithm of its determinant.

    By sweeps of its lower triangle, which leave the negative of the inverse (Beaton 1964).
    """
    d, log_det = len(a), 0.0
    u = np.empty(d)
    for k in range(d):
        pivot = a[k, k]
        log_det += np.log(pivot)
        for b in range(d):
            u[b] = a[k, b] if b <= k else a[b, k]
        u[k] = 0.0
        for r in range(d):
            share = u[r] / pivot
            for b in range(r + 1):
                a[r, b] -= share * u[b]
        for b in range(k):
            a[k, b] = u[b] / pivot
        for r in range(k + 1, d):
            a[r, k] = u[r] / pivot
        a[k, k] = -1.0 / pivot
    for r in range(d):
        for b in range(r + 1):
            a[r, b] = a[b, r] = -a[r, b]
    return log_det


@compiled
def add_doubt(
    indptr: np.ndarray,
    column: np.ndarray,
    first_pair: np.ndarray,
    pairs: np.ndarray,
    noise: np.ndarray,
    out: np.ndarray,
) -> None:
    """Add Σ_i V_i / ψ_i to ``out`` (m + q, m + q); V as :func:`regress_genes` sets it."""
    for i in range(len(noise)):
        first, d = indptr[i], indptr[i + 1] - indptr[i]
        for a in range(d):
            for b in range(d):
                value = pairs[first_pair[i] + a * d + b] / noise[i]
                out[column[first + a], column[first + b]] += value


# --- What verbs call, compiled ahead of the first fit ----------------------------------------------------


def calls() -> list[tuple[Any, tuple]]:
    """Every compiled function, with the types of the arguments that verbs call it with."""

    def arrays(kind: type, n_dim: int = 1) -> np.ndarray:
        return np.empty((0,) * n_dim, kind)

    single, double, place = arrays(np.float32), arrays(np.float64), arrays(np.int64)
    x, sums = arrays(np.float32, 2), arrays(np.float64, 2)
    w, block = Rows(arrays(np.int32), arrays(np.int32), single), _bounded(x, None, None)
    codes, bits = arrays(np.uint8, 2), np.empty(0, f"u{n_lanes(np.float32) // 8}")
    edges = (place, place, place)
    of_counts = (w, w, w, single, CountGenes(single, single), CountCells(x, x, single, x))
    how = Newton(0, 0, 0.0, 0.0, 0.0, 0, 0.0)
    of_genes = (sums, sums, *(double,) * 5, 0, *(double,) * 3, sums)
    given: list[tuple[Any, tuple]] = [
        (_residuals, (w, block, x, x)),
        (_newton_counts, (*of_counts, how, x, place)),
        (add_systems, (*edges, x, x, double)),
        (_expect_below, (x, single, _LOSS, _MEAN, x, sums)),
        (regress_genes, (*edges, *of_genes)),
        (add_doubt, (*edges, double, double, sums)),
        (descend, (w, w, w, single, x, codes, x, bits, 0, 0.0, x, place)),
        (_gradients, (w, w, single, block, x, x)),
        (add_gram, (place, place, single, x)),
        (add_gram, (place, place, double, sums)),
    ]
    return [(function, tuple(map(numba.typeof, arguments))) for function, arguments in given]


def compile_all() -> None:
    """Compile what verbs call, or read from disk what was compiled before; in the order that a fit needs it."""
    for function, types_of_arguments in calls():
        function.compile(types_of_arguments)
