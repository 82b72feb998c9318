"""Radial functions of the plane of wave numbers, as tables that a loop over the plane reads without branches.

A circular profile has a transform that depends on u = |k|² × size² alone. Its table has pieces of equal width inside
each octave of u, so the bits of a float32 u are the number of its piece (exponent and first bits of the fraction) and
its offset inside (the other bits): no logarithm, no search. On each piece the function is the parabola through its
values at both ends and in the middle.

Families of profiles (a Sérsic index n, a Moffat β) are Chebyshev series in a function of the parameter, whose
coefficients are themselves Chebyshev series in log u. ``transforms.npz`` holds the double series, made by
``benchmarks/transform_tables.py``. The inner series is summed once per process, at all nodes; the outer one for each
object, where it needs it.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepbench.numerics.kernels import inline, kernel, to_bits
from deepbench.numerics.mathfast import log

FIRST_OCTAVE, LAST_OCTAVE = -20, 20
"""Tables reach from u = 2^-20, where they are 1, to 2^20, whose value they keep beyond."""

PIECES_PER_OCTAVE = 32

PIECES = (LAST_OCTAVE - FIRST_OCTAVE) * PIECES_PER_OCTAVE

NODES = 2 * PIECES + 1
"""A value at both ends and in the middle of each piece."""

LEAST, MOST = np.float32(2.0**FIRST_OCTAVE), np.float32(2.0**LAST_OCTAVE * (1.0 - 1e-6))

_SHIFT = np.uint32(23 - 5)
_OFFSET = np.uint32((1 << 18) - 1)
_UNIT = np.float32(2.0**-18)
_FIRST_PIECE = np.uint32((127 + FIRST_OCTAVE) * PIECES_PER_OCTAVE)
_ZERO, _ONE, _TWO = np.float32(0.0), np.float32(1.0), np.float32(2.0)
_THREE, _FOUR = np.float32(3.0), np.float32(4.0)


def nodes() -> NDArray[np.float64]:
    """Return u at the nodes, float64[NODES]."""
    step = np.arange(NODES)
    octave, offset = np.divmod(step, 2 * PIECES_PER_OCTAVE)
    return np.ldexp(1.0 + offset / (2.0 * PIECES_PER_OCTAVE), octave + FIRST_OCTAVE)


@lru_cache(maxsize=1)
def series() -> dict[str, NDArray[np.float64]]:
    """Return the Chebyshev coefficients of ``transforms.npz`` by name."""
    with np.load(Path(__file__).with_name("transforms.npz")) as file:
        return {name: file[name] for name in file.files}


def at_nodes(coefficients: NDArray[np.float64]) -> NDArray[np.float32]:
    """Sum a Chebyshev series in log u over the octaves of the table.

    Parameters
    ----------
    coefficients : float64[m, t]
        The series of m functions.

    Returns
    -------
    float32[m, NODES]
        The functions at the nodes.
    """
    span = 0.5 * (LAST_OCTAVE - FIRST_OCTAVE) * 0.6931471805599453
    middle = 0.5 * (LAST_OCTAVE + FIRST_OCTAVE) * 0.6931471805599453
    x = (log(nodes()) - middle) / span
    out = np.zeros((len(coefficients), NODES))
    before, now = np.ones(NODES), x
    for term in range(coefficients.shape[1]):
        out += coefficients[:, term, None] * before
        before, now = now, 2.0 * x * now - before
    return out.astype(np.float32)


@inline
def chebyshev_coordinate(value, low, high):
    """Return where a value lies between two others, as a number from −1 to 1, clipped."""
    x = (2.0 * value - low - high) / (high - low)
    return min(max(x, -1.0), 1.0)


@inline
def chebyshev_sum(x, coefficients):
    """Return the sum of a Chebyshev series of float64."""
    total, before, now = 0.0, 1.0, x
    for term in range(coefficients.size):
        total += coefficients[term] * before
        before, now = now, 2.0 * x * now - before
    return total


@inline
def _piece_and_offset(u):
    """Return the number of the piece that holds u, a float32, and the offset inside, from 0 to 1."""
    bounded = LEAST if u < LEAST else u
    bounded = MOST if bounded > MOST else bounded
    bits = to_bits(bounded)
    piece = np.int32(np.uint32(np.uint32(bits >> _SHIFT) - _FIRST_PIECE))
    return piece, np.float32(np.int32(np.uint32(bits & _OFFSET))) * _UNIT


@inline
def piece_of(u):
    """Return the number of the piece that holds u, a float64."""
    return np.int64(_piece_and_offset(np.float32(u))[0])


@kernel
def write_table(x, functions, first, last, values, table):
    """Sum a Chebyshev series of functions and write the parabolas of the pieces from ``first`` to ``last``.

    Parameters
    ----------
    x : float
        Where the series is summed, from −1 to 1.
    functions : float32[m, NODES]
        The coefficients of the series, each a function of u.
    first, last : int
        Pieces, both included.
    values : float32[NODES]
        Scratch.
    table : float32[PIECES, 4]
        Written: the parabola's three coefficients in the offset inside a piece, from 0 to 1.
    """
    begin, end = 2 * first, 2 * last + 3
    total = values[begin:end]
    total[:] = 0.0
    before, now = 1.0, x
    for term in range(functions.shape[0]):
        weight = np.float32(before)
        function = functions[term, begin:end]
        for node in range(end - begin):
            total[node] += weight * function[node]
        before, now = now, 2.0 * x * now - before
    for piece in range(last - first + 1):
        left, middle, right = total[2 * piece], total[2 * piece + 1], total[2 * piece + 2]
        table[first + piece, 0] = left
        table[first + piece, 1] = _FOUR * middle - _THREE * left - right
        table[first + piece, 2] = _TWO * (left + right) - _FOUR * middle
    table[0, 0], table[0, 1], table[0, 2] = _ONE, _ZERO, _ZERO


@inline
def _parabola(table, piece, offset):
    piece = np.uint32(piece)  # so that no negative index is looked for
    return table[piece, 0] + offset * (table[piece, 1] + offset * table[piece, 2])


@inline
def write_form(table, xx, xy, yy, count, pieces, target):
    """Write the values of a table at u = xx i² + xy i + yy, i from 0 to count − 1.

    The first loop is made of vector operations, the second reads the table.

    Parameters
    ----------
    table : float32[PIECES, 4]
    xx, xy, yy : float32
    count : int
    pieces : int32[count]
        Scratch.
    target : float32[count]
    """
    for i in range(count):
        x = np.float32(np.int32(i))
        piece, offset = _piece_and_offset((xx * x + xy) * x + yy)
        pieces[i] = piece
        target[i] = offset
    for i in range(count):
        target[i] = _parabola(table, pieces[i], target[i])


@inline
def transform_at(table, u):
    """Return the value of a table at u, a float64."""
    piece, offset = _piece_and_offset(np.float32(u))
    return np.float64(_parabola(table, piece, offset))
