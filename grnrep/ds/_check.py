"""Checks of numbers, shared by the files of this room."""

from __future__ import annotations

import numpy as np


def number(name: str, value: float, *, low: float = -np.inf, open_low: bool = False) -> float:
    """Return a finite number, at least ``low`` (above it if ``open_low``)."""
    scalar = np.isscalar(value) and not isinstance(value, bool | str)
    if not scalar or not np.isfinite(value):
        raise ValueError(f"{name} must be a finite number; found {value!r}")
    if value < low or (open_low and value == low):
        raise ValueError(
            f"{name} must be {'above' if open_low else 'at least'} {low:g}; found {value!r}"
        )
    return float(value)


def fraction(name: str, value: float, *, open_high: bool = False) -> float:
    """Return a number from 0 to 1 (below 1 if ``open_high``)."""
    value = number(name, value, low=0)
    if value > 1 or (open_high and value == 1):
        raise ValueError(f"{name} must be {'below' if open_high else 'at most'} 1; found {value!r}")
    return value
