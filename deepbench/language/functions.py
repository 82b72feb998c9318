"""Ingredients of expressions: functions, operators and constants.

Only ``+ - * /``, square roots, roundings and ``mathfast`` are used, so that the same columns give
the same bits on every computer. A function is added by one line of ``FUNCTIONS``.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]


def mathfast(name: str) -> Callable[..., Any]:
    """Return a function of ``deepbench.numerics.mathfast``, which is imported at the first call."""

    def call(*arguments: Any) -> Any:
        return getattr(importlib.import_module("deepbench.numerics.mathfast"), name)(*arguments)

    return call


def _where(condition: Array, chosen: Array, otherwise: Array) -> Array:
    """Return one of two values, NaN where the condition is."""
    return np.where(np.isnan(condition), np.nan, np.where(condition != 0, chosen, otherwise))


def _comoving_distance(redshift: Array, hubble_constant: Array, matter_density: Array) -> Array:
    """Return the comoving distance in Mpc, NaN where there is none: of redshifts below 0 and impossible universes."""
    from deepbench.lensing.cosmology import comoving_distance

    there = (redshift >= 0) & (hubble_constant > 0) & (matter_density > 0) & (matter_density <= 1)
    arguments = (
        np.where(there, each, np.nan) for each in (hubble_constant, matter_density, redshift)
    )
    return comoving_distance(*arguments)


FUNCTIONS: dict[str, tuple[int, Callable[..., Any]]] = {
    "sqrt": (1, np.sqrt),
    "exp": (1, mathfast("exp")),
    "log": (1, mathfast("log")),
    "log10": (1, mathfast("log10")),
    "sin": (1, mathfast("sin")),
    "cos": (1, mathfast("cos")),
    "tan": (1, mathfast("tan")),
    "sind": (1, mathfast("sind")),
    "cosd": (1, mathfast("cosd")),
    "tand": (1, mathfast("tand")),
    "asin": (1, mathfast("asin")),
    "acos": (1, mathfast("acos")),
    "atan": (1, mathfast("atan")),
    "atan2": (2, mathfast("atan2")),
    "abs": (1, np.abs),
    "min": (2, np.minimum),
    "max": (2, np.maximum),
    "floor": (1, np.floor),
    "ceil": (1, np.ceil),
    "round": (1, np.rint),
    "where": (3, _where),
    "comoving_distance": (3, _comoving_distance),
}
"""The functions: number of arguments, and what computes them. Angles are in radians, those of
``sind``, ``cosd`` and ``tand`` in degrees; ``log`` is the natural logarithm; ``round`` rounds
halves to the even number; ``where`` gives its second argument where the first is true, else its third;
``comoving_distance`` is Mpc of a redshift, H0 (km/s/Mpc) and Ωm, in a flat universe without radiation."""

LATER = frozenset({"where", "comoving_distance"})
"""Functions that older recipes do not know: variables may have these names, which are functions only before ``(``."""

OPERATORS: dict[str, Callable[..., Any]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "**": mathfast("pow"),
}
"""The operators between two values."""

COMPARISONS: dict[str, Callable[..., Any]] = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "!=": np.not_equal,
}
"""Comparisons of two values. Conditions give 1 where they hold, 0 where they do not, NaN where that is unknown."""

CONSTANTS = {"pi": math.pi}
"""The names that stand for numbers."""


def whole_power(x: Array, exponent: int) -> Array:
    """Return x to a whole power by repeated squaring; a negative power is a reciprocal."""
    result, square, left = np.ones_like(x), x, abs(exponent)
    while left:
        if left % 2:
            result = result * square
        square, left = square * square, left // 2
    return result if exponent >= 0 else 1.0 / result


# conditions: Kleene's logic of three values, in which NaN is unknown


def compare(name: str, left: Array, right: Array) -> Array:
    """Return 1 where a comparison holds, 0 where it does not, NaN where a side is NaN."""
    unknown = np.isnan(left) | np.isnan(right)
    return np.where(unknown, np.nan, COMPARISONS[name](left, right))


def both(left: Array, right: Array) -> Array:
    """Return 0 where either side is false, else NaN where either is unknown, else 1."""
    false, unknown = (left == 0) | (right == 0), np.isnan(left) | np.isnan(right)
    return np.where(false, 0.0, np.where(unknown, np.nan, 1.0))


def negation(value: Array) -> Array:
    """Return 1 where a value is false, 0 where it is true, NaN where it is unknown."""
    return np.where(np.isnan(value), np.nan, value == 0)


def either(left: Array, right: Array) -> Array:
    """Return 1 where either side is true, else NaN where either is unknown, else 0."""
    return negation(both(negation(left), negation(right)))
