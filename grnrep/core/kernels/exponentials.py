"""Exponentials and logarithms of vectors.

Those of LLVM would call a function of the system for every number. These are power series whose first term left out
is below rounding: right to a few units in the last place, in operations on vectors alone.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np
from llvmlite import ir

from grnrep.core.kernels.vectors import of_one, write_multiply_add

_LN_2_FIRST: Final = 0.693359375  # ln 2, its first 10 bits: multiples are exact
_LN_2_REST: Final = -2.1219444005469057e-4


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
        total = write_multiply_add(llvm, total, x, _number(x.type, factor))
    return total


def _whole(vector: Any) -> Any:
    """Vectors of whole numbers of as many bits."""
    return ir.VectorType(ir.IntType(_precision(vector).bits), vector.count)


def _exp(llvm: Any, x: Any) -> Any:
    """Exponential, of x whose exponential is in the normal range."""
    precise, whole = _precision(x.type), _whole(x.type)
    # x = k ln 2 + rest. What is added leaves k in the last bits, from where it is shifted to the exponent
    shift = 1.5 * 2.0**precise.fraction
    shifted = write_multiply_add(llvm, x, _number(x.type, 1 / math.log(2)), _number(x.type, shift))
    k = llvm.fsub(shifted, _number(x.type, shift))
    rest = write_multiply_add(llvm, k, _number(x.type, -_LN_2_FIRST), x)
    rest = write_multiply_add(llvm, k, _number(x.type, -_LN_2_REST), rest)
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
    return write_multiply_add(llvm, llvm.sitofp(k, x.type), _number(x.type, math.log(2)), of_rest)


def _log_of_one_plus(llvm: Any, x: Any) -> Any:
    """log(1 + x), of x from 0 to 1, as right as x is where that is small."""
    share = llvm.fdiv(x, llvm.fadd(x, _number(x.type, 2)))
    return _twice_atanh(llvm, share, _precision(x.type).of_one_plus)


exp, log, log_of_one_plus = map(of_one, (_exp, _log, _log_of_one_plus))
