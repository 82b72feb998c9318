"""Interval arithmetic: what the values of an expression can be, from what the values it uses can be."""

from __future__ import annotations

import math

import numpy as np

from deepbench.language.functions import COMPARISONS, FUNCTIONS, OPERATORS, whole_power

ANYTHING = (-math.inf, math.inf)
_RISING = frozenset({"sqrt", "exp", "log", "log10", "atan", "asin", "floor", "ceil", "round"})
"""Functions of one argument that never fall."""


def bounds_of(item: str, arguments: list[tuple[float, float]]) -> tuple[float, float]:
    """Return an interval that holds the values of an operator or function, from those of its arguments."""
    (low, high), (other_low, other_high) = arguments[0], arguments[-1]
    if item in COMPARISONS or item in ("and", "or", "not"):
        return 0.0, 1.0
    if item == "where":
        lows, highs = zip(*arguments[1:], strict=True)
        return min(lows), max(highs)
    if not all(math.isfinite(end) for pair in arguments for end in pair):
        return ANYTHING
    if item in ("+", "-", "*", "min", "max") or (item == "/" and other_low * other_high > 0):
        operator = OPERATORS.get(item) or FUNCTIONS[item][1]
        with np.errstate(all="ignore"):
            ends = [float(operator(a, b)) for a in (low, high) for b in (other_low, other_high)]
    elif item == "negative":
        ends = [-low, -high]
    elif item == "abs":
        ends = [abs(low), abs(high), *([0.0] if low < 0 < high else [])]
    elif item in _RISING:
        with np.errstate(all="ignore"):
            ends = [float(FUNCTIONS[item][1](end)) for end in (low, high)]
    elif item in ("sin", "cos", "sind", "cosd"):
        ends = [-1.0, 1.0]
    else:
        return ANYTHING
    return ANYTHING if any(map(math.isnan, ends)) else (min(ends), max(ends))


def bounds_of_power(low: float, high: float, exponent: int) -> tuple[float, float]:
    """Return an interval that holds the values of a whole power."""
    if not (math.isfinite(low) and math.isfinite(high)) or (exponent < 0 and low <= 0 <= high):
        return ANYTHING
    with np.errstate(all="ignore"):
        ends = [float(whole_power(np.asarray(end), exponent)) for end in (low, high)]
    if exponent % 2 == 0 and low < 0 < high:
        ends.append(0.0)
    return min(ends), max(ends)
