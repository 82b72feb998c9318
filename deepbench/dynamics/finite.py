"""The check that stored numbers are finite."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deepbench.numerics.kernels import kernel

INFINITE = np.uint64(0x7FF << 52)
WITHOUT_SIGN = np.uint64((1 << 63) - 1)
"""Bits of a float64: those of infinity, and all but the sign."""


@kernel
def _first_infinite(rows, width, words):
    """Return the first of the rows with a number that is not finite among the first ``width``; −1 without one."""
    for i in range(rows.size):
        own, largest = words[rows[i]], np.uint64(0)
        for step in range(own.shape[0]):
            for k in range(width):
                largest = max(largest, own[step, k] & WITHOUT_SIGN)
        if largest >= INFINITE:
            return i
    return -1


def first_infinite(rows: NDArray[np.int64], parts: int, values: NDArray[np.float64]) -> int:
    """Return which is the first sample with a value that is not finite; −1 when there is none.

    Parameters
    ----------
    rows : int64[k]
        Rows of the samples in the values.
    parts : int
        Number of bodies, or degrees of freedom, that they have; values of further ones are not looked at.
    values : float64[n, t, p, …]
    """
    count, steps, room = values.shape[:3]
    words = values.reshape(count, steps, -1).view(np.uint64)
    width = words.shape[2] // room * parts
    if parts == room:  # without gaps
        width *= steps
        words = words.reshape(count, 1, width)
    return int(_first_infinite(rows, width, words))
