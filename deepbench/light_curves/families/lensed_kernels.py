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
from deepbench.numerics.streams import fill_normals_from

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
def _border(cell, base, mask, sample, k0, k1, c2, c3, three):
    """Return the process at the beginning of a cell."""
    kept, value = exp64(-1.0), 0.0
    for back in range(MEMORY - 1, -1, -1):
        block = base + (((cell - back) & mask) << BITS)
        fill_normals_from(three[:1], block, sample, k0, k1, c2, c3)
        value = kept * value + three[0]
    return np.sqrt(1.0 - kept * kept) * value


@inline
def _write_walk(times, rate, cells, number, sample, key, words, out):
    """Write a process of unit variance at some times.

    Parameters
    ----------
    times : float64[m]
        Days, in any order.
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
    coefficients, three = _coefficients(), np.empty(3, np.float32)
    mask, base = (1 << cells) - 1, number << (BITS + cells)
    at, left, right, known = 0, 0.0, 0.0, False
    for e in range(times.size):
        u = times[e] * rate
        cell = int(np.floor(u))
        if not known or cell != at:
            follows = known and cell == at + 1
            left = right if follows else _border(cell, base, mask, sample, k0, k1, c2, c3, three)
            right = _border(cell + 1, base, mask, sample, k0, k1, c2, c3, three)
            at, known = cell, True
        part = u - cell
        first = base + ((cell & mask) << BITS) + 1
        low, high, inside, count = left, right, 0, 1
        for pair in range(DEPTH):
            fill_normals_from(three, first + inside, sample, k0, k1, c2, c3)
            weight, sigma = coefficients[2 * pair, 0], coefficients[2 * pair, 1]
            middle, half = weight * (low + high) + sigma * three[0], 0
            part *= 2.0
            if part >= 1.0:
                low, part, half = middle, part - 1.0, 1
            else:
                high = middle
            weight, sigma = coefficients[2 * pair + 1, 0], coefficients[2 * pair + 1, 1]
            middle, quarter = weight * (low + high) + sigma * three[1 + half], 2 * half
            part *= 2.0
            if part >= 1.0:
                low, part, quarter = middle, part - 1.0, quarter + 1
            else:
                high = middle
            first, inside, count = first + count, 4 * inside + quarter, 4 * count
        out[e] = low + (high - low) * part


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
