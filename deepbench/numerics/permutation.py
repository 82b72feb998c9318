"""Random permutations of 0 … N − 1, of which each element is computed alone, without a table.

A generalised Feistel network (Black and Rogaway 2002, *Ciphers with arbitrary finite domains*, CT-RSA): a number is
written as left × columns + right, and each half in turn moves, modulo its size, by a random number that the other one
determines. It permutes rows × columns numbers, a few more than N; whoever lands on N or beyond goes on from there
("cycle walking"). The random numbers are words of Philox4x32-10. All of this is part of the format.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from deepbench.numerics.kernels import inline, kernel
from deepbench.numerics.streams import philox4x32

_ROUNDS = 24
"""Moves of a half. For N = 6 … 8, the smallest that mix slowly, 16 leave some permutations too rare."""

_U32 = np.uint64(32)


@inline
def _moved(half, size, other, turn, k0, k1):
    """Return a half after a move by a number below its size, which the other half and the turn determine."""
    word, _, _, _ = philox4x32(other, turn, 0, 0, k0, k1)
    half += np.uint64(word) * size >> _U32
    return half if half < size else half - size


@kernel
def _permute(numbers, count, rows, columns, k0, k1, out):
    for i in range(numbers.size):
        number = np.uint64(numbers[i])
        while True:
            left, right = number // columns, number % columns
            for turn in range(0, _ROUNDS, 2):
                left = _moved(left, rows, right, turn, k0, k1)
                right = _moved(right, columns, left, turn + 1, k0, k1)
            number = left * columns + right
            if number < count:
                break
        out[i] = number


def permuted(numbers: NDArray[np.int64], count: int, key: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return where a random permutation of 0 … count − 1 takes numbers.

    Parameters
    ----------
    numbers : int64[n]
        Of 0 … count − 1.
    count : int
        Size of what is permuted, at most 2³².
    key : float64[2]
        Uniform random numbers between 0 and 1, which determine the permutation.

    Returns
    -------
    int64[n]
        Of 0 … count − 1.

    Examples
    --------
    >>> sorted(permuted(np.arange(6), 6, np.array([0.3, 0.8])).tolist())
    [0, 1, 2, 3, 4, 5]
    """
    rows = math.isqrt(count - 1) + 1
    rows += rows % 2  # moves by an odd size are even permutations, which alone do not make all
    columns = -(-count // rows)
    sizes = np.uint64(count), np.uint64(rows), np.uint64(columns)
    k0, k1 = (key * 2.0**32).astype(np.uint32)
    out = np.empty(len(numbers), np.int64)
    _permute(np.ascontiguousarray(numbers, np.int64), *sizes, k0, k1, out)
    return out
