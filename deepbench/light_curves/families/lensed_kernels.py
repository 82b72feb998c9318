"""Random walks as functions of time, and the light of images.

A damped random walk X(t) of unit variance, with the correlation exp(−|Δt| / τ), is drawn here as a function of time:
each of its values is a pure function of the seed, the stream, the sample, τ and t, whatever else is looked at. So the
images of one source show one walk at different times, and two surveys may see one source.

Time is cut into cells of one τ from t = 0 on. At their borders X is the moving average of the normals of ``MEMORY``
cells before, which is the process but for exp(−MEMORY). Inside a cell intervals are halved again and again: given X at
the ends of an interval of h τ, X in its middle is normal with the mean (X_0 + X_1) / (2 cosh(h / 2)) and the variance
tanh(h / 2) (the bridge of an Ornstein-Uhlenbeck process). After 2 ``DEPTH`` halvings X is taken for linear: the
smallest intervals are τ / 262,144, what is left out between them has a standard deviation of 1.4e-3 at most, and the
covariance of two times errs by less than 4e-6.

The normals of cell J are in the blocks of its stream from (J mod 2^cells) 2^``BITS`` on: the first has that of the
border, three normals of each further one belong to an interval and to its halves. A walk begins again after 2^cells τ.
"""

from __future__ import annotations

import math

import numpy as np

from deepbench.light_curves.survey.exposures import whole_panels
from deepbench.light_curves.units import LOG_FLUX
from deepbench.numerics.kernels import inline, kernel
from deepbench.numerics.mathfast import exp64
from deepbench.numerics.streams import normal_of, philox4x32

MEMORY = 40
"""Number of cells that the value at a border remembers: exp(−40) is below the rounding of float64."""

DEPTH = 9
"""Pairs of halvings of a cell."""

BITS = 17
"""Bits of the number of a block of a cell."""

SOURCE_CELLS, STARS_CELLS = 15, 11
"""Bits of the number of a cell in walks of sources and in microlensing, where four are left for the image's number."""

ERROR = 1e-3
"""Largest error of the mean of a walk over an exposure, in standard deviations of the walk."""

_OF_STRUCTURE = LOG_FLUX * math.sqrt(0.5)
"""Standard deviation of the natural logarithm of the flux for SF∞ = 1 mag, with its sign."""


@inline
def _coefficients():
    """Return weight and standard deviation of the middle of each interval, float64[2 DEPTH, 2]."""
    found = np.empty((2 * DEPTH, 2))
    h = 1.0
    for level in range(2 * DEPTH):
        kept = exp64(-0.5 * h)
        square = kept * kept
        found[level, 0] = kept / (1.0 + square)
        found[level, 1] = np.sqrt((1.0 - square) / (1.0 + square))
        h *= 0.5
    return found


@inline
def _border(cell, base, mask, sample, k0, k1, c2, c3):
    """Return the process at the beginning of a cell."""
    kept, value = exp64(-1.0), 0.0
    for back in range(MEMORY - 1, -1, -1):
        block = base + (((cell - back) & mask) << BITS)
        value = kept * value + normal_of(philox4x32(block, sample, c2, c3, k0, k1)[0])
    return np.sqrt(1.0 - kept * kept) * value


@inline
def _same_levels(one, other):
    """Return in how many pairs of halvings two places in a cell, given by their intervals, lie in one interval."""
    level = 0
    while level < DEPTH and one >> 2 * (DEPTH - 1 - level) == other >> 2 * (DEPTH - 1 - level):
        level += 1
    return level


@inline
def _write_walk(times, rate, cells, number, sample, key, words, out):
    """Write a process of unit variance at some times.

    Parameters
    ----------
    times : float64[m]
        Days, in any order; fast where they ascend.
    rate : float
        1 / τ.
    cells : int
        Bits of the number of a cell.
    number : int
        Number of the walk in its stream.
    sample, key, words
        As for ``add_walks``.
    out : float64[m]
        Written.
    """
    k0, k1, c2, c3 = key[0], key[1], words[0], words[1]
    coefficients, ends = _coefficients(), np.empty((DEPTH + 1, 2))
    mask, base = (1 << cells) - 1, number << (BITS + cells)
    at, interval, known = 0, 0, False
    for e in range(times.size):
        u = times[e] * rate
        cell = int(np.floor(u))
        part = (u - cell) * 4.0**DEPTH
        last, interval = interval, int(part)
        level = _same_levels(last, interval)
        if not known or cell != at:
            left = ends[0, 1]
            if not known or cell != at + 1:
                left = _border(cell, base, mask, sample, k0, k1, c2, c3)
            ends[0, 0], ends[0, 1] = left, _border(cell + 1, base, mask, sample, k0, k1, c2, c3)
            at, known, level = cell, True, 0
        block = base + ((cell & mask) << BITS)
        for pair in range(level, DEPTH):
            inside = interval >> 2 * (DEPTH - pair)
            quarter = interval >> 2 * (DEPTH - 1 - pair) & 3
            first = ((1 << 2 * pair) - 1) // 3 + 1  # after the blocks of larger intervals
            drawn = philox4x32(block + first + inside, sample, c2, c3, k0, k1)
            low, high = ends[pair, 0], ends[pair, 1]
            weight, sigma = coefficients[2 * pair, 0], coefficients[2 * pair, 1]
            middle = weight * (low + high) + sigma * normal_of(drawn[0])
            if quarter > 1:
                low = middle
            else:
                high = middle
            weight, sigma = coefficients[2 * pair + 1, 0], coefficients[2 * pair + 1, 1]
            own = normal_of(drawn[2] if quarter > 1 else drawn[1])
            middle = weight * (low + high) + sigma * own
            if quarter & 1:
                low = middle
            else:
                high = middle
            ends[pair + 1, 0], ends[pair + 1, 1] = low, high
        low, high = ends[DEPTH, 0], ends[DEPTH, 1]
        out[e] = low + (high - low) * (part - interval)


@kernel
def add_walks(rows, owners, offsets, times, bands, light, samples, key, words):
    """Add the light of walking sources.

    Parameters
    ----------
    rows : WALKING[k, b]
        The timescale is read in band 0.
    owners : int64[k]
        Each object's path or sample.
    offsets : int64[n + 1]
        The nodes of path i are offsets[i] … offsets[i + 1] − 1.
    times, bands : float64[m], int8[m]
    light : float64[m]
        Added to.
    samples : int64[k]
        The sample of each object, as a number of the table.
    key, words : uint32[2]
        Those of the seed and of the stream.
    """
    longest = 0
    for j in range(owners.size):
        longest = max(longest, offsets[owners[j] + 1] - offsets[owners[j]])
    walk = np.empty(longest)
    for j in range(owners.size):
        first, last = offsets[owners[j]], offsets[owners[j] + 1]
        own = walk[: last - first]
        _write_walk(
            times[first:last], 1.0 / rows[j, 0].timescale, SOURCE_CELLS, 0,
            samples[j], key, words, own,
        )  # fmt: skip
        for e in range(first, last):
            row = rows[j, bands[e]]
            light[e] += row.flux * exp64(_OF_STRUCTURE * row.structure_function * own[e - first])


@kernel
def count_walks(rows, owners, offsets, exposures, nodes):
    """Raise the nodes of exposures that are long against a walk.

    The mean of a walk over h τ differs from its middle by √(h / 6) standard deviations, from the mean of n nodes by
    one n-th of that.
    """
    for j in range(owners.size):
        rate, length, needed = 1.0 / rows[j, 0].timescale, -1.0, 1
        for e in range(offsets[owners[j]], offsets[owners[j] + 1]):
            if exposures[e] != length:
                length = exposures[e]
                needed = whole_panels(int(np.ceil(np.sqrt(min(length * rate, 6.0) / 6.0) / ERROR)))
            nodes[e] = max(nodes[e], needed)


@kernel
def magnify(rows, numbers, samples, offsets, times, key, words, light, deviations):
    """Multiply the light along paths by the magnification of the image, and by its microlensing.

    Parameters
    ----------
    rows : PATHS[p]
    numbers : int64[p]
        Number of the image.
    samples : int64[p]
        The sample, as a number of the table.
    offsets : int64[p + 1]
        The nodes of path i are offsets[i] … offsets[i + 1] − 1.
    times : float64[m]
        Days, those of the observer.
    key, words : uint32[2]
        Those of the seed and of the stream of microlensing.
    light : float64[m]
        Multiplied in place.
    deviations : float64[p]
        Written: standard deviation of the logarithm of the microlensing over the nodes.
    """
    longest = 0
    for i in range(numbers.size):
        longest = max(longest, offsets[i + 1] - offsets[i])
    walk = np.empty(longest)
    for i in range(numbers.size):
        number, first, last = numbers[i], offsets[i], offsets[i + 1]
        size, scatter = rows[i].magnifications[number], rows[i].scatters[number]
        deviations[i] = 0.0
        if scatter == 0.0 or first == last:
            for e in range(first, last):
                light[e] *= size
            continue
        own, total, squares = walk[: last - first], 0.0, 0.0
        _write_walk(
            times[first:last], 1.0 / rows[i].timescale, STARS_CELLS, number,
            samples[i], key, words, own,
        )  # fmt: skip
        size *= exp64(-0.5 * scatter * scatter)
        for e in range(first, last):
            value = own[e - first]
            total += value
            squares += value * value
            light[e] *= size * exp64(scatter * value)
        mean = total / own.size
        deviations[i] = scatter * np.sqrt(max(squares / own.size - mean * mean, 0.0))
