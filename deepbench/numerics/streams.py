"""Random numbers that depend on the seed, the stream, the sample and the element only.

Every number is a pure function of a counter: Philox4x32-10 (Salmon, Moraes, Dror and Shaw 2011,
*Parallel random numbers: as easy as 1, 2, 3*, SC'11) maps a counter of four 32-bit words and a key
of two to four random words. So samples may be drawn in any order, and each alone.

====  ==========================================================================
word  holds
====  ==========================================================================
k0    low half of the recipe's seed, 0 <= seed < 2**64
k1    high half of the seed
c0    element: a pixel, a copy, a cell, or a block of four pixels; below 2**32
c1    number of the sample (of a label: of the sample or its group); below 2**32
c2    low 32 bits of the stream number
c3    bits 0 to 15: high 16 bits of the stream number; bit 16: second draw of a
      Poisson count; bits 17 to 31: attempt of a selection of samples
====  ==========================================================================

A stream's number is the first 48 bits of the SHA-256 of its name, so that a new field or object
moves no other draw. Labels are float64 uniforms, drawn by ``uniforms`` outside kernels. Pixels are
drawn inside kernels by ``fill_normals`` and ``fill_uniforms`` (counts: ``deepbench.numerics.poisson``), which
take the words ``k0, k1 = key_words(seed)`` and ``c2, c3 = stream_words(stream)``. All of this is part of the
format: the tests pin the values.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepbench.errors import StreamError
from deepbench.numerics.kernels import from_bits, inline, kernel, polynomial, to_bits
from deepbench.numerics.mathfast import normal_quantile64

# --- names and numbers --------------------------------------------------------------------------


def require(what: str, low: int, high: int, bits: int) -> None:
    """Refuse values between ``low`` and ``high`` of which some do not fit into ``bits`` bits."""
    if low < 0 or high >= 1 << bits:
        value = low if low < 0 else high
        raise StreamError(
            f"{what} is {value}; allowed is 0 <= {what} < 2**{bits}. "
            f"Choose a {what} in that range.",
            what=what,
            value=value,
        )


def key_words(seed: int) -> tuple[np.uint32, np.uint32]:
    """Return the two words (k0, k1) of the Philox key.

    Raises
    ------
    StreamError
        If the seed is not in 0 <= seed < 2**64.
    """
    require("seed", seed, seed, 64)
    return np.uint32(seed & 0xFFFFFFFF), np.uint32(seed >> 32)


def stream_words(stream: int, attempt: int = 0) -> tuple[np.uint32, np.uint32]:
    """Return the counter words (c2, c3) of a stream number.

    The number may be that of an attempt of a selection (``stream_names.at_attempt``).

    Raises
    ------
    StreamError
        If the stream number does not fit into 48 bits, with an attempt 64, or ``attempt`` not into 16.
    """
    selection = stream >> 49 << 49 if stream >= 0 else 0
    require("stream", stream - selection, stream - selection, 48)
    require("attempt", selection >> 49, selection >> 49, 15)
    require("attempt", attempt, attempt, 16)
    return np.uint32(stream & 0xFFFFFFFF), np.uint32(stream >> 32 | attempt << 16)


# --- Philox4x32-10 ------------------------------------------------------------------------------

_MASK = np.uint64(0xFFFFFFFF)
_MULTIPLIER_0, _MULTIPLIER_1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL_0, _WEYL_1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_U32 = np.uint64(32)


@inline
def _round(c0, c1, c2, c3, k0, k1):
    product_0 = (c0 & _MASK) * _MULTIPLIER_0
    product_1 = (c2 & _MASK) * _MULTIPLIER_1
    return (product_1 >> _U32) ^ c1 ^ k0, product_1, (product_0 >> _U32) ^ c3 ^ k1, product_0


@inline
def philox4x32(c0, c1, c2, c3, k0, k1):
    """Return the four random words (uint32) of a counter and a key of 32-bit words.

    They are kept in the lower halves of uint64, which vectorises twice as fast as uint32; what
    gathers in the upper halves is masked off at the multiply.
    """
    c0, c1, c2, c3 = np.uint64(c0), np.uint64(c1), np.uint64(c2), np.uint64(c3)
    k0, k1 = np.uint64(k0), np.uint64(k1)
    for _ in range(10):
        c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0, k1)
        k0 += _WEYL_0
        k1 += _WEYL_1
    return np.uint32(c0), np.uint32(c1), np.uint32(c2), np.uint32(c3)


@inline
def uniform53(high, low):
    """Return the uniform (w + 1/2) / 2**53 of the 53-bit number w that two words hold.

    It is rounded to float64, but the largest w gives the number below 1: the interval is open.
    """
    w = np.float64(high >> 5) * 67108864.0 + np.float64(low >> 6)
    u = (w + 0.5) * 1.1102230246251565e-16
    return u if u < 1.0 else 0.9999999999999999


# --- labels -------------------------------------------------------------------------------------


@kernel
def _uniforms(samples, elements, k0, k1, c2, c3, out):
    for i in range(out.size):
        w0, w1, _, _ = philox4x32(elements[i], samples[i], c2, c3, k0, k1)
        out[i] = uniform53(w0, w1)


def _whole_numbers(what: str, values: NDArray[Any]) -> NDArray[np.int64]:
    """Return a copy as int64, or refuse what does not fit into a word of the counter."""
    if values.size and values.dtype.kind not in "iu":
        raise StreamError(
            f"{what} numbers have the type {values.dtype}; allowed are integers below 2**32. "
            "Convert them first.",
            what=what,
            value=values.dtype,
        )
    if values.size:
        require(what, int(values.min()), int(values.max()), 32)
    return np.array(values, dtype=np.int64)


def uniforms(
    seed: int, stream: int, samples: ArrayLike, elements: ArrayLike = 0, attempt: int = 0
) -> NDArray[np.float64]:
    """Return uniforms of the open interval (0, 1), of 53 bits each.

    Parameters
    ----------
    seed, stream : int
        The recipe's seed and the number of the stream.
    samples : array_like of int64
        Numbers of samples, or of groups.
    elements : array_like of int64
        Numbers of the elements, such as copies of an object; broadcast to ``samples``.
    attempt : int
        Number of the attempt, where draws are rejected.

    Returns
    -------
    ndarray of float64
        One number per sample, in the shape of ``samples``.

    Raises
    ------
    StreamError
        If a number does not fit into its place in the counter.

    Examples
    --------
    >>> uniforms(2020, stream_number("images/circle/circle/radius"), [0, 1])
    array([0.52720705, 0.94714094])
    """
    rows = _whole_numbers("sample", np.atleast_1d(samples))
    columns = _whole_numbers("element", np.broadcast_to(elements, rows.shape))
    out = np.empty(rows.shape)
    words = *key_words(seed), *stream_words(stream, attempt)
    _uniforms(rows.reshape(-1), columns.reshape(-1), *words, out.reshape(-1))
    return out


# --- pixels: one word each ----------------------------------------------------------------------

TWO_TO_MINUS_32 = 2.0**-32
SIGN = np.uint32(0x80000000)
MAGNITUDE = np.uint32(0x7FFFFFFF)
_INFINITY = np.uint32(0x7F800000)
HALF_32, ONE_32, SCALE_32 = np.float32(0.5), np.float32(1.0), np.float32(TWO_TO_MINUS_32)
_BELOW_ONE_32 = np.float32(1.0 - 2.0**-24)
# z / q as a ratio in sqrt(p (1 - p)), q = p - 1/2, for 2**-9 <= p <= 1/2: minimax within 7e-8
_QUANTILE_OVER = (
    np.float32(9.003932571976291), np.float32(766.8166617395872), np.float32(8646.03695579337),
    np.float32(14436.608217812285), np.float32(549.1278500895039),
)  # fmt: skip
_QUANTILE_UNDER = (
    np.float32(1.0), np.float32(116.7069345364529), np.float32(1927.00630483085),
    np.float32(6861.15944292312), np.float32(5659.692045128319),
)  # fmt: skip


@inline
def fill_words(words, first, sample, k0, k1, c2, c3):
    """Write word e mod 4 of block first + e div 4 to element e."""
    blocks = words.size // 4
    for b in range(blocks):
        w0, w1, w2, w3 = philox4x32(first + b, sample, c2, c3, k0, k1)
        words[4 * b] = w0
        words[4 * b + 1] = w1
        words[4 * b + 2] = w2
        words[4 * b + 3] = w3
    last = philox4x32(first + blocks, sample, c2, c3, k0, k1)
    for e in range(4 * blocks, words.size):
        words[e] = last[e - 4 * blocks]


@inline
def fill_uniforms(out, sample, k0, k1, c2, c3):
    """Fill ``out`` (float32[n], contiguous) with uniforms of one word w each.

    The value is (w + 1/2) / 2**32 rounded to float32; the 128 words that would round to 1 give the
    next number below it.
    """
    words = out.view(np.uint32)
    fill_words(words, 0, sample, k0, k1, c2, c3)
    for e in range(out.size):
        u = np.float32((np.float64(words[e]) + 0.5) * TWO_TO_MINUS_32)
        out[e] = u if u < ONE_32 else _BELOW_ONE_32


@inline
def _central_normal(word):
    """Return the bits of a word's normal; in the outer 2**-9 of each tail, a NaN with the word.

    A sign and a 31-bit magnitude m keep the distance (m + 1/2) / 2**32 from the nearer end exact.
    """
    centred = np.int32(word ^ SIGN)
    negative = np.int32(centred >> 31)
    from_centre = np.int32(centred ^ negative)
    m = np.int32(np.int32(MAGNITUDE) - from_centre)
    q = (np.float32(from_centre) + HALF_32) * SCALE_32
    p = (np.float32(m) + HALF_32) * SCALE_32
    v = np.sqrt(p * (ONE_32 - p))
    z = to_bits(q * (polynomial(v, _QUANTILE_OVER) / polynomial(v, _QUANTILE_UNDER)))
    carrier = np.uint32(np.uint32(m) + np.uint32(_INFINITY + 1))
    return np.uint32((np.uint32(negative) & SIGN) | (carrier if m < 0x7FFFFF else z))


@inline
def _finish_tails(out, words, start, stop):
    """Replace the NaNs of ``_central_normal`` by the normals of the words they carry."""
    for e in range(start, stop):
        carrier = words[e] & MAGNITUDE
        if carrier > _INFINITY:
            p = (np.float64(carrier - (_INFINITY + 1)) + 0.5) * TWO_TO_MINUS_32
            z = np.float32(normal_quantile64(p))
            out[e] = z if words[e] > carrier else -z


@inline
def normal_of(word):
    """Return the unit normal of one word, which is that of ``fill_normals``."""
    bits = _central_normal(word)
    carrier = bits & MAGNITUDE
    if carrier > _INFINITY:
        p = (np.float64(carrier - (_INFINITY + 1)) + 0.5) * TWO_TO_MINUS_32
        z = np.float32(normal_quantile64(p))
        return z if bits > carrier else -z
    return from_bits(bits)


@inline
def _words_to_normals(out, words):
    """Turn the words that stand in ``out`` (seen as uint32 through ``words``) into unit normals."""
    for e in range(words.size):
        words[e] = _central_normal(words[e])
    groups = words.size // 16
    for g in range(groups):
        tails = 0
        for e in range(16 * g, 16 * g + 16):
            tails |= 1 if words[e] & MAGNITUDE > _INFINITY else 0
        if tails:
            _finish_tails(out, words, 16 * g, 16 * g + 16)
    _finish_tails(out, words, 16 * groups, words.size)


@inline
def fill_normals_from(out, first, sample, k0, k1, c2, c3):
    """Fill ``out`` with the unit normals of the elements 4 × first, 4 × first + 1, …; see ``fill_normals``."""
    words = out.view(np.uint32)
    fill_words(words, first, sample, k0, k1, c2, c3)
    _words_to_normals(out, words)


@inline
def fill_normals(out, sample, k0, k1, c2, c3):
    """Fill ``out`` (float32[n], contiguous) with unit normals.

    Each is the quantile of (w + 1/2) / 2**32 of one word w. The relative error is below 1e-6 for
    every word; the largest value is 6.34. The words are made, and turned into normals, where the
    results stand; the outer tails (0.4 % of the words) come last, as they do not vectorise.
    """
    fill_normals_from(out, 0, sample, k0, k1, c2, c3)


@kernel
def _normals(out, sample, k0, k1, c2, c3):
    fill_normals(out, sample, k0, k1, c2, c3)


def normals(seed: int, stream: int, sample: int, n: int) -> NDArray[np.float32]:
    """Return the unit normals that ``fill_normals`` draws for one sample.

    Parameters
    ----------
    seed, stream, sample : int
        The recipe's seed, the number of the stream and the number of the sample.
    n : int
        Number of elements.

    Returns
    -------
    ndarray of float32, shape (n,)

    Raises
    ------
    StreamError
        If a number does not fit into its place in the counter.

    Examples
    --------
    >>> normals(2020, stream_number("images/noise/gaussian"), 0, 3)
    array([1.656939  , 0.8049688 , 0.65266705], dtype=float32)
    """
    require("sample", sample, sample, 32)
    require("element", 0, max(n - 1, 0), 32)
    out = np.empty(n, dtype=np.float32)
    _normals(out, sample, *key_words(seed), *stream_words(stream))
    return out
