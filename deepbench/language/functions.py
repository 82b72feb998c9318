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
}
"""The functions: number of arguments, and what computes them. Angles are in radians, those of
``sind``, ``cosd`` and ``tand`` in degrees; ``log`` is the natural logarithm; ``round`` rounds
halves to the even number."""

OPERATORS: dict[str, Callable[..., Any]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "**": mathfast("pow"),
}
"""The operators between two values."""

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
