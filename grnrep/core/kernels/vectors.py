"""Vectors of numbers, one a cell: a type for numba, and its operations.

A vector fills 64 bytes: 16 numbers of single, 8 of double precision. LLVM keeps it in registers and does
its operations with whatever instructions the processor has (one of AVX-512, two of AVX2, four of SSE or
NEON). An array is contiguous and seen as an array of vectors: ``load(array, i)`` is its vector i.

Plain loops over lanes would not do. LLVM cannot tell that a sum and what is added to it share no memory, so
the sum is read and written for every few entries instead of staying in registers, after a check of addresses;
and loops of 16 or 32 lanes it unrolls to single numbers. The best of those tried, of 64 lanes, with four
entries a pass, took so many times as long as vectors (float32, AVX2; but for the second line, blocks as
large as projections have them, which wide tiles fill badly)::

    genes x regulators, edges, cells a block    descend       residuals, gradients
    1,000 x 100, 10,000, 512                    1.2 to 1.4    0.9 to 1.2
    2,000 x 700, 40,000, 512                    1.2 to 1.7    1.2 to 1.3
    2,000 x 700, 40,000, 262                    1.4 to 2.1    1.5 to 1.6
    5,000 x 700, 100,000, 104                   1.7           1.3 to 1.4
    20,000 x 700, 400,000, 26                   3.9           2.1 to 2.7
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.extending import models, register_model

from grnrep.core.kernels.kept import instruction, part

_BITS: Final = 512
BYTES: Final = _BITS // 8


def n_lanes(dtype: Any) -> int:
    """How many numbers a vector has."""
    return BYTES // np.dtype(dtype).itemsize


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

    @instruction
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

    @instruction
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


@instruction
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


@instruction
def splat_like(_typing: Any, vector: Any, _number: Any) -> Any:
    """A number that is known when code is compiled, or of double precision, for every cell of such a vector."""

    def code(context: Any, llvm: Any, signature: Any, args: Any) -> Any:
        of_vector = context.cast(llvm, args[1], signature.args[1], vector.scalar)
        return _spread(llvm, of_vector, context.get_value_type(vector))

    return vector(vector, types.float64), code


@instruction
def sum_of(_typing: Any, vector: Any) -> Any:
    """The sum of the numbers of a vector, in whatever order the processor does it in fewest steps."""

    def code(context: Any, llvm: Any, _signature: Any, args: Any) -> Any:
        kind = args[0].type
        name = f"llvm.vector.reduce.fadd.v{kind.count}f{_BITS // kind.count}"
        function = ir.FunctionType(kind.element, [kind.element, kind])
        start = ir.Constant(kind.element, 0.0)
        reduce = cgutils.get_or_insert_function(llvm.module, function, name)
        return llvm.call(reduce, (start, args[0]), fastmath=("reassoc",))

    return vector.scalar(vector), code


def of_one(write: Callable) -> Any:
    """A function of a vector, as ``write(llvm, a)`` writes it."""

    @instruction
    def function(_typing: Any, a: Any) -> Any:
        return a(a), lambda _context, llvm, _signature, args: write(llvm, *args)

    return function


def _of_two(write: Callable) -> Any:
    """A function of two vectors, as ``write(llvm, a, b)`` writes it."""

    @instruction
    def function(_typing: Any, a: Any, b: Any) -> Any:
        return a(a, b), lambda _context, llvm, _signature, args: write(llvm, *args)

    return function


def _of_three(write: Callable) -> Any:
    """A function of anything and two vectors, as ``write(llvm, a, b, c)`` writes it."""

    @instruction
    def function(_typing: Any, a: Any, b: Any, c: Any) -> Any:
        return c(a, b, c), lambda _context, llvm, _signature, args: write(llvm, *args)

    return function


def write_multiply_add(llvm: Any, a: Any, b: Any, c: Any) -> Any:
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
multiply_add, where = map(_of_three, (write_multiply_add, _where))
where_zero, where_positive = map(_of_three, (_where_zero, _where_positive))


@part
def tile_of(n: int, like: np.ndarray) -> np.ndarray:
    """A tile of n vectors, all zero, of the kind of numbers that ``like`` has, each in one line of the cache.

    One that lay in two would take as long to load as two do, and arrays begin in the middle of a line as often as not.
    """
    lanes = BYTES // like.itemsize
    room = np.zeros((n + 1) * lanes, like.dtype)
    first = -room.ctypes.data % BYTES // like.itemsize
    return room[first : first + n * lanes]
