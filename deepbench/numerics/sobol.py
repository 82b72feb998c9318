"""Sobol sequences, of which each point is computed alone.

Point i is the exclusive or of the direction numbers of the bits that are set in the Gray code of i (Antonov and Saleev
1979, USSR Comput. Math. Math. Phys. 19, 252). The direction numbers are those of Joe and Kuo.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

MAX_DIMENSION = 64
"""Largest number of dimensions."""

_BITS = 32
_SHIFT_BITS = 52

_JOE_KUO = """\
1 0 1
2 1 1 3
3 1 1 3 1
3 2 1 1 1
4 1 1 1 3 3
4 4 1 3 5 13
5 2 1 1 5 5 17
5 4 1 1 5 5 5
5 7 1 1 7 11 19
5 11 1 1 5 1 1
5 13 1 1 1 3 11
5 14 1 3 5 5 31
6 1 1 3 3 9 7 49
6 13 1 1 1 15 21 21
6 16 1 3 1 13 27 49
6 19 1 1 1 15 7 5
6 22 1 3 1 15 13 25
6 25 1 1 5 5 19 61
7 1 1 3 7 11 23 15 103
7 4 1 3 7 13 13 15 69
7 7 1 1 3 13 7 35 63
7 8 1 3 5 9 1 25 53
7 14 1 3 1 13 9 35 107
7 19 1 3 1 5 27 61 31
7 21 1 1 5 11 19 41 61
7 28 1 3 5 3 3 13 69
7 31 1 1 7 13 1 19 1
7 32 1 3 7 5 13 19 59
7 37 1 1 3 9 25 29 41
7 41 1 3 5 13 23 1 55
7 42 1 3 7 3 13 59 17
7 50 1 3 1 3 5 53 69
7 55 1 1 5 5 23 33 13
7 56 1 1 7 7 1 61 123
7 59 1 1 7 9 13 61 49
7 62 1 3 3 5 3 55 33
8 14 1 3 1 15 31 13 49 245
8 21 1 3 5 15 31 59 63 97
8 22 1 3 1 11 11 11 77 249
8 38 1 3 1 11 27 43 71 9
8 47 1 1 7 15 21 11 81 45
8 49 1 3 7 3 25 31 65 79
8 50 1 3 1 1 19 11 3 205
8 52 1 1 5 9 19 21 29 157
8 56 1 3 7 11 1 33 89 185
8 67 1 3 3 3 15 9 79 71
8 70 1 3 7 11 15 39 119 27
8 84 1 1 3 1 11 31 97 225
8 97 1 1 1 3 23 43 57 177
8 103 1 3 7 7 17 17 37 71
8 115 1 3 1 5 27 63 123 213
8 122 1 1 3 5 11 43 53 133
9 8 1 3 5 5 29 17 47 173 479
9 13 1 3 3 11 3 1 109 9 69
9 16 1 1 1 5 17 39 23 5 343
9 22 1 3 1 5 25 15 31 103 499
9 25 1 1 1 11 11 17 63 105 183
9 44 1 1 5 11 9 29 97 231 363
9 47 1 1 5 15 19 45 41 7 383
9 52 1 3 7 7 31 19 83 137 221
9 55 1 1 1 3 23 15 111 223 83
9 59 1 1 5 13 31 15 55 25 161
9 62 1 1 3 13 25 47 39 87 257
"""
"""Degree s, coefficients a of the polynomial, and initial direction numbers m_1 … m_s of the dimensions 2 … 64.

The first lines of the table new-joe-kuo-6.21201, without its first column (Joe and Kuo 2008, SIAM J. Sci. Comput. 30,
2635; https://web.maths.unsw.edu.au/~fkuo/sobol/; copyright 2008 Stephen Joe and Frances Y. Kuo).
"""


def directions(dimension: int) -> NDArray[np.uint32]:
    """Return the direction numbers v_1 … v_32 of each dimension times 2³², uint32[dimension, 32]."""
    found = np.empty((dimension, _BITS), np.uint32)
    found[0] = [1 << (_BITS - 1 - bit) for bit in range(_BITS)]
    for row, line in zip(found[1:], _JOE_KUO.splitlines(), strict=False):
        degree, polynomial, *initial = map(int, line.split())
        numbers = [m << (_BITS - 1 - bit) for bit, m in enumerate(initial)]
        for bit in range(degree, _BITS):
            number = numbers[bit - degree] ^ (numbers[bit - degree] >> degree)
            for k in range(1, degree):
                number ^= (polynomial >> (degree - 1 - k) & 1) * numbers[bit - k]
            numbers.append(number)
        row[:] = numbers
    return found


@lru_cache(maxsize=8)
def _tables(dimension: int) -> NDArray[np.uint32]:
    """Return the exclusive or of the direction numbers of the bits of each byte, uint32[4, 256, dimension].

    Element [k, b] is that of byte k of a Gray code, the lowest byte first.
    """
    steps = directions(dimension).T.reshape(4, 8, dimension)
    tables = np.zeros((4, 256, dimension), np.uint32)
    for bit in range(8):
        tables[:, 1 << bit : 2 << bit] = tables[:, : 1 << bit] ^ steps[:, bit, None]
    return tables


def points(numbers: NDArray[np.int64], dimension: int) -> NDArray[np.uint32]:
    """Return points of the sequence.

    Parameters
    ----------
    numbers : int64[n]
        Numbers of the points, 0 <= number < 2³².
    dimension : int
        Number of dimensions, at most 64.

    Returns
    -------
    uint32[n, dimension]
        The coordinates times 2³².

    Examples
    --------
    >>> points(np.arange(4), 2) / 2**32
    array([[0.  , 0.  ],
           [0.5 , 0.5 ],
           [0.75, 0.25],
           [0.25, 0.75]])
    """
    gray = numbers ^ (numbers >> 1)
    tables = _tables(dimension)
    result = tables[0, gray & 0xFF]
    for byte in range(1, 4):
        result ^= tables[byte, gray >> 8 * byte & 0xFF]
    return result


def shifted(found: NDArray[np.uint32], shifts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points after a digital shift: the exclusive or of their bits and those of a random point.

    The shift has 52 bits, 20 more than the points, so that values are as fine as any others; points that differ stay
    so, and as evenly spread (Matoušek 1998, J. Complexity 14, 527).

    Parameters
    ----------
    found : uint32[n, dimension]
        Points, as ``points`` returns them.
    shifts : float64[dimension]
        The random point, between 0 and 1.

    Returns
    -------
    float64[n, dimension]
        Of the open interval (0, 1): odd multiples of 2⁻⁵³.
    """
    shift = (shifts * 2.0**_SHIFT_BITS).astype(np.uint64)
    cells = found.astype(np.uint64) << np.uint64(_SHIFT_BITS - _BITS) ^ shift
    return (cells.astype(np.float64) + 0.5) * 2.0**-_SHIFT_BITS
