"""Vectors of numbers, one for each of several cells, in compiled code: a type for numba.

A vector fills 64 bytes: 16 numbers of single, 8 of double precision. It lives in the registers of the
processor, with whatever instructions there are for it. Arrays are contiguous, and seen as
arrays of vectors: ``load(array, i)`` is their vector ``i``. Operations are done number by number, so
that what happens to one cell never depends on the others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.extending import intrinsic, models, register_model

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
        return builder.shuffle_vector(one, undefined, ir.Constant(ir.VectorType(index, vector.count), None))

    return kind(number), code


@intrinsic
def fma(_typing, a, b, c):
    """The sum a b + c, rounded once."""

    def code(_context, builder, _signature, args):
        vector = args[0].type
        bits = _BITS // vector.count
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(vector, [vector] * 3), f"llvm.fma.v{vector.count}f{bits}"
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
