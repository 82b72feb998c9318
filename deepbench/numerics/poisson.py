"""Poisson counts for pixels: the exact quantile of one random word each, found by vectors.

The count of an element is the quantile of (w + v) / 2**32 of its word w. Almost always w decides alone; else v comes
from further words of the element's own. Small means are summed; from 16 on, the quantile is an expansion about the
normal law's. Whatever lies within their error of a step of the law is settled by sums in float64.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepbench.numerics.kernels import from_bits, inline, kernel, polynomial, to_bits
from deepbench.numerics.mathfast import exp64, log64, normal_quantile64
from deepbench.numerics.mathfast.float32 import INVERSE_LN2_32, ROUND_32
from deepbench.numerics.streams import (
    HALF_32,
    MAGNITUDE,
    ONE_32,
    SCALE_32,
    SIGN,
    TWO_TO_MINUS_32,
    fill_words,
    key_words,
    philox4x32,
    require,
    stream_words,
    uniform53,
)

POISSON_TILE = 1024
"""Elements that ``fill_poissons`` takes at once; a multiple of 4."""

_LARGEST_MEAN = 1e15
_SUMMED = 16.0  # means below this: the law is summed; from here on: the expansion
_EXPANDED = 65536.0  # from here on the expansion alone is exact to 1e-13
_U63 = np.uint64(63)
_TWO_PI = 6.283185307179586
# log(k!) - log(sqrt(2 pi k) (k/e)**k) = polynomial(1/k**2) / k (Stirling)
_STIRLING = (1.0 / 12.0, -1.0 / 360.0, 1.0 / 1260.0, -1.0 / 1680.0, 1.0 / 1188.0)
# atanh(v) = v + v**3 polynomial(v**2), |v| <= 0.1
_ATANH = (1 / 3, 1 / 5, 1 / 7, 1 / 9, 1 / 11, 1 / 13, 1 / 15, 1 / 17)

# sums of the law in float32: what is lost by rounding stays below 5e-6
_SUM_ERROR = np.float32(8e-6)
_LEAST_MEAN = 1e-9  # smaller ones count as 0, and smaller probabilities than the next
_LEAST_PROBABILITY = np.float32(1e-10)  # also: both keep subnormal numbers away, which are slow
# exp(r) = 1 + r + r**2 polynomial(r), |r| <= ln 2 / 2, within 1.1e-7
_SMALL_EXP = (
    np.float32(0.4999923149420198), np.float32(0.16667114649517037),
    np.float32(0.04189015693812357), np.float32(0.008312520222991058),
)  # fmt: skip
_FEW_EXP = tuple(np.float32(c) for c in (1.0, -1.0, 1 / 2, -1 / 6, 1 / 24, -1 / 120))  # exp(-mean)
_FEW = np.float32(0.25)
_LN2_32 = np.float32(0.6931471805599453)
_ZERO_32, _SUMMED_32 = np.float32(0.0), np.float32(_SUMMED)

# z / q as a ratio in sqrt(p (1 - p)) as above, minimax within 1.3e-9
_WIDE_QUANTILE_OVER = (
    9.33698567632547, 1316.9771692333964, 29524.229550275963, 146298.92625988182,
    121257.57530849277, 2763.0466526774535,
)  # fmt: skip
_WIDE_QUANTILE_UNDER = (
    1.0, 185.23236521407398, 5504.7029039889785, 41625.469795023215, 88082.84600569088,
    44363.51067512965,
)  # fmt: skip
# the quantile is mean + sqrt(mean) z + z**2 polynomial(s) + polynomial(s) + polynomial(s) / mean
# + ..., s = z / sqrt(mean), |s| <= 3/4
_REACH = 0.75
_SQUARE = (
    0.16666666666666666, -0.013888888888888888, 0.003703703703703704, -0.0013310185185185185,
    0.0005584950029394474, -0.00025823360389091624, 0.0001274841274114376, -6.34530734287586e-05,
    3.3961128492510884e-05, -2.793528477767602e-05, 1.6030055902264887e-05,
)  # fmt: skip
_CONSTANT = (
    0.3333333333333333, -0.027777777777777776, 0.00864315433405158, -0.0035243743440384577,
    0.0016161473358420207, -0.0008234991966616637, 0.00062382136223501, -0.00035866637869388116,
)  # fmt: skip
_INVERSE = (
    -0.019753086419753086, 0.017018703026291205, -0.012542511794600258, 0.012297002453062367,
    -0.00863336909736787,
)  # fmt: skip


@inline
def _log_probability(k, mean):
    """Return log(p(k) sqrt(2 pi k)) of a whole k >= 16 without cancellation.

    As Loader (2000, *Fast and accurate computation of binomial probabilities*): Stirling's series,
    and the deviance k log(k/mean) + mean - k from v = (k - mean)/(k + mean).
    """
    stirling = polynomial(1.0 / (k * k), _STIRLING) / k
    difference = k - mean
    total = k + mean
    if abs(difference) > 0.1 * total:
        return difference - k * log64(k / mean) - stirling
    v = difference / total
    return -v * (difference + 2.0 * k * v * v * polynomial(v * v, _ATANH)) - stirling


@inline
def _probability(k, mean):
    """Return the probability of a whole k >= 0 for 0 < mean < 65536."""
    if k >= 16.0:
        return exp64(_log_probability(k, mean)) / np.sqrt(_TWO_PI * k)
    p = exp64(-mean)
    for j in range(1, np.int64(k) + 1):
        p *= mean / j
    return p


@inline
def _cumulative(k, mean):
    """Return P(count <= k) and P(count > k); the sum goes away from the mean: the smaller is exact."""
    term = _probability(k if k < mean else k + 1.0, mean)
    total = term
    if k < mean:
        while term > 1e-17 * total:
            term *= k / mean
            k -= 1.0
            total += term
        return total, 1.0 - total
    k += 1.0
    while term > 1e-17 * total:
        k += 1.0
        term *= mean / k
        total += term
    return 1.0 - total, total


@inline
def _is_beyond(upper, tail, k, mean):
    """Return whether P(count <= k) is below u = ``tail``, or 1 - ``tail`` in the ``upper`` half."""
    below, above = _cumulative(k, mean)
    return above > tail if upper else below < tail


@inline
def _excess(mean, z):
    """Return x - mean for the number x below which the probability is that of z.

    A count is floor(x), where P(count < x), as a function of real x, is the incomplete gamma
    function. The expansion is that of Giles (2016, ACM Transactions on Mathematical Software 42, 7,
    Algorithm 955) and of Temme, with one term more; what follows it is below 0.008 / mean**2.
    """
    inverse = 1.0 / np.sqrt(mean)
    s = z * inverse
    return mean * s + (
        z * z * polynomial(s, _SQUARE)
        + (polynomial(s, _CONSTANT) + polynomial(s, _INVERSE) * (inverse * inverse))
    )


@inline
def _expansion_error(mean):
    """Return a bound of the error of ``_excess`` where |s| <= 3/4."""
    return 2e-6 + 2e-3 / mean


@inline
def _settled(guess, mean, word, element, sample, k0, k1, c2, c3):
    """Return the quantile of (word + v) / 2**32, v from more words of the element."""
    if not mean > 0.0:
        return 0.0 if mean <= 0.0 else np.nan
    if mean > _LARGEST_MEAN:
        return np.nan
    upper = word > MAGNITUDE
    more = philox4x32(element, sample, c2, np.uint32(c3 | np.uint32(1 << 16)), k0, k1)
    tail = np.float64(~word if upper else word) + uniform53(more[0], more[1])
    tail *= TWO_TO_MINUS_32
    if mean >= _SUMMED:
        z = normal_quantile64(tail)
        z = -z if upper else z
        far = _REACH * np.sqrt(mean)
        reached = min(max(z, -far), far)
        whole = np.floor(mean)
        x = (mean - whole) + _excess(mean, reached)
        guess = whole + np.floor(x)
        inside = min(x - np.floor(x), np.floor(x) + 1.0 - x)
        if mean >= _EXPANDED or (reached == z and inside > _expansion_error(mean)):
            return guess
    while _is_beyond(upper, tail, guess, mean):
        guess += 1.0
    while guess > 0.0 and not _is_beyond(upper, tail, guess - 1.0, mean):
        guess -= 1.0
    return guess


@inline
def _small_exp(x):
    """Return exp(x) of a float32, -16 <= x <= 0; as ``exp32``, without its ends."""
    shifted = x * INVERSE_LN2_32 + ROUND_32
    r = x - (shifted - ROUND_32) * _LN2_32
    y = ONE_32 + (r + r * r * polynomial(r, _SMALL_EXP))
    return from_bits(np.uint32(to_bits(y) + np.uint32(to_bits(shifted) << 23)))


@inline
def _four_steps(place, mean, p, left, near, count):
    """Take four probabilities from ``left``, p the first; ``place``: 1/k of the four that follow."""
    d0 = left - p
    p *= mean * place[0]
    d1 = d0 - p
    p *= mean * place[1]
    d2 = d1 - p
    p *= mean * place[2]
    d3 = d2 - p
    p *= mean * place[3]
    p = p if p > _LEAST_PROBABILITY else _ZERO_32
    for d in (d0, d1, d2, d3):
        near = abs(d) if abs(d) < near else near
        count = np.int32(count + np.int32(np.int32(to_bits(d)) >> 31))
    return p, d3, near, count


@inline
def _few_counts(words, state):
    """Write the counts of means below 1/4 to ``state[0]``, as ``_sum_counts`` does."""
    for e in range(words.size):
        mean = state[0, e]
        u = np.float32(np.int32(words[e] ^ SIGN)) * SCALE_32 + HALF_32
        p = polynomial(mean, _FEW_EXP)
        d0 = u - p
        p *= mean
        d1 = d0 - p
        d2 = d1 - p * (mean * HALF_32)
        near = min(min(abs(d0), abs(d1)), abs(d2))
        near = near if d2 < _ZERO_32 else _ZERO_32
        count = ONE_32 if d0 > _ZERO_32 else _ZERO_32
        count += ONE_32 if d1 > _ZERO_32 else _ZERO_32
        count += ONE_32 if d2 > _ZERO_32 else _ZERO_32
        state[0, e] = count if near > _SUM_ERROR else -ONE_32 - count


@inline
def _sum_counts(words, most, state):
    """Write the counts of means below 16; -1 - count where rounding may decide.

    ``state`` holds the mean, the probability of the next count, what is left of u, the smallest
    distance of u to a step, and the count.
    """
    size = words.size
    counts = state[4].view(np.int32)
    place = ONE_32, np.float32(1 / 2), np.float32(1 / 3), np.float32(1 / 4)
    for e in range(size):
        mean = state[0, e] if state[0, e] < _SUMMED_32 else _SUMMED_32
        state[0, e] = mean
        u = np.float32(np.int32(words[e] ^ SIGN)) * SCALE_32 + HALF_32
        state[1, e], state[2, e], state[3, e], counts[e] = _four_steps(
            place, mean, _small_exp(-mean), u, ONE_32, np.int32(0)
        )
    groups = 1 + np.int64((most + 3.5 * np.sqrt(most) + 2.0) / 4)
    for group in range(1, groups):
        k = np.float32(4 * group)
        place = (
            ONE_32 / (k + np.float32(1.0)),
            ONE_32 / (k + np.float32(2.0)),
            ONE_32 / (k + np.float32(3.0)),
            ONE_32 / (k + np.float32(4.0)),
        )
        for e in range(size):
            state[1, e], state[2, e], state[3, e], counts[e] = _four_steps(
                place, state[0, e], state[1, e], state[2, e], state[3, e], counts[e]
            )
    for e in range(size):
        near = state[3, e] if state[2, e] < _ZERO_32 else _ZERO_32
        count = np.float32(np.int32(np.int32(4 * groups) + counts[e]))
        state[0, e] = count if near > _SUM_ERROR else -ONE_32 - count


@inline
def _expand_counts(means, words, out):
    """Write the counts of means from 16 on, or -1 where more than a word has to decide."""
    for e in range(words.size):
        mean = means[e]
        centred = np.int32(words[e] ^ SIGN)
        negative = np.int32(centred >> 31)
        from_centre = np.int32(centred ^ negative)
        m = np.int32(np.int32(MAGNITUDE) - from_centre)
        q = (np.float64(from_centre) + 0.5) * TWO_TO_MINUS_32
        p = (np.float64(m) + 0.5) * TWO_TO_MINUS_32
        v = np.sqrt(p * (1.0 - p))
        z = q * (polynomial(v, _WIDE_QUANTILE_OVER) / polynomial(v, _WIDE_QUANTILE_UNDER))
        z = -z if negative != 0 else z
        whole = np.floor(mean)
        x = (mean - whole) + _excess(mean, z)
        floor = np.floor(x)
        inside = min(x - floor, floor + 1.0 - x)
        error = _expansion_error(mean) + 3e-8 * np.sqrt(mean)
        count = whole + floor if inside > error else -1.0
        count = count if m >= 0x7FFFFF else -1.0
        count = count if mean <= _LARGEST_MEAN else -1.0
        out[e] = count


@kernel
def _settle(means, words, first, sample, k0, k1, c2, c3, out, start, stop):
    """Replace the negative numbers from ``start`` to ``stop`` by counts."""
    for e in range(start, stop):
        if out[e] < 0.0:
            guess, element = -1.0 - out[e], np.uint32(first + e)
            out[e] = _settled(guess, means[e], words[e], element, sample, k0, k1, c2, c3)


@inline
def _words_to_counts(means, words, first, sample, k0, k1, c2, c3, out):
    """Write the counts of words; element 0 has the number ``first``. See ``fill_poissons``."""
    size = words.size
    state = np.empty((5, POISSON_TILE), np.float32)
    for e in range(size):
        state[0, e] = np.float32(0.0 if means[e] < _LEAST_MEAN else means[e])
    expanded, most_bits = np.int32(0), np.int32(0)
    for e in range(size):
        mean = state[0, e]
        bits = np.int32(to_bits(mean))
        bits = bits if mean < _SUMMED_32 else np.int32(0)
        most_bits = bits if bits > most_bits else most_bits
        expanded = np.int32(expanded + np.int32(0 if mean < _SUMMED_32 else 1))
    if expanded < size:
        most = from_bits(np.uint32(most_bits))
        if most < _FEW:
            _few_counts(words, state)
        else:
            _sum_counts(words, most, state)
        for e in range(size):
            out[e] = np.float64(state[0, e])
    if expanded == size:
        _expand_counts(means, words, out)
    elif expanded > 0:
        counts = np.empty(POISSON_TILE)
        _expand_counts(means, words, counts)
        for e in range(size):
            out[e] = out[e] if np.float32(means[e]) < _SUMMED_32 else counts[e]
    groups = size // 32
    for g in range(groups):
        signs = np.uint64(0)
        for e in range(32 * g, 32 * g + 32):
            signs |= to_bits(out[e])
        if signs >> _U63:
            _settle(means, words, first, sample, k0, k1, c2, c3, out, 32 * g, 32 * g + 32)
    _settle(means, words, first, sample, k0, k1, c2, c3, out, 32 * groups, size)


@inline
def fill_poissons(out, means, first, sample, k0, k1, c2, c3):
    """Fill ``out`` with Poisson counts of ``means``: 0 of a mean <= 0, NaN of one beyond 1e15.

    Both are float64[n], contiguous, n <= POISSON_TILE; element 0 has the number ``first``, a
    multiple of 4. A count is the quantile of (w + v) / 2**32: w is the element's word, v a uniform
    of two more, which are drawn only where w leaves more than one count. Where the law is summed in
    float32, or expanded, the count is taken if its distance from the next is larger than the error;
    else the quantile is found from sums of the law in float64, or above 65536 from the expansion in
    float64. So a count does not show in which way it was found, and depends on the words and the
    mean of its own element only. The law is met to 1e-11 in total probability up to means of 1e7,
    and to the rounding of float64 beyond (1e-8 at 1e15).
    """
    words = np.empty(POISSON_TILE, np.uint32)[: out.size]
    fill_words(words, first // 4, sample, k0, k1, c2, c3)
    _words_to_counts(means, words, first, sample, k0, k1, c2, c3, out)


@kernel
def _poissons(means, sample, k0, k1, c2, c3, out):
    for first in range(0, out.size, POISSON_TILE):
        last = first + POISSON_TILE
        fill_poissons(out[first:last], means[first:last], first, sample, k0, k1, c2, c3)


def poissons(seed: int, stream: int, sample: int, means: ArrayLike) -> NDArray[np.float64]:
    """Return the counts that ``fill_poissons`` draws for the elements of one sample.

    Parameters
    ----------
    seed, stream, sample : int
        The recipe's seed, the number of the stream and the number of the sample.
    means : array_like of float64
        Means of the elements, numbered in C order.

    Returns
    -------
    ndarray of float64
        Counts, in the shape of ``means``; 0 where a mean is negative, NaN where it is NaN or
        beyond 1e15.

    Raises
    ------
    StreamError
        If a number does not fit into its place in the counter.

    Examples
    --------
    >>> poissons(2020, stream_number("images/noise/poisson"), 0, [0.5, 5.0, 5e4])
    array([1.0000e+00, 5.0000e+00, 4.9877e+04])
    """
    require("sample", sample, sample, 32)
    flat = np.array(means, dtype=np.float64, order="C")
    require("element", 0, max(flat.size - 1, 0), 32)
    out = np.empty(flat.shape)
    words = *key_words(seed), *stream_words(stream)
    _poissons(flat.reshape(-1), sample, *words, out.reshape(-1))
    return out
