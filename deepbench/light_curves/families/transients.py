"""Transients: the shape of their bolometric light, and one black body that gives all bands.

With t in days of the rest frame, all shapes are of unit amplitude:

bazin (Bazin et al. 2009, A&A 499, 653, eq. 1, with the sign of its second exponent mended)::

    exp(−t / fall) / (1 + exp(−t / rise)),  fall > rise

villar (Villar et al. 2019, ApJ 884, 83, eq. 1, with A = 1, γ the plateau and β its slope in parts of A per day)::

    (1 + β t) / (1 + exp(−t / rise))                                t < γ
    (1 + β γ) exp(−(t − γ) / fall) / (1 + exp(−t / rise))           t ≥ γ,  β γ > −1

disruption of a star by a black hole (van Velzen et al. 2021, ApJ 908, 4): a Gaussian up to the peak, then the power law
of the debris that falls back, of index −5/3 (Rees 1988, Nature 333, 523)::

    exp(−t² / (2 rise²))                                            t < 0
    (1 + t / fall)^index                                            t ≥ 0

The light is that of a sphere with the spectrum of a black body. Its luminosity follows the shape; its temperature is
T_peak up to the peak and T_floor + (T_peak − T_floor) exp(−(t − t_peak) / τ) after it. Times run slower by 1 + z for
us, and wavelengths are longer by as much. ``peak_magnitude`` is the AB magnitude in the reference band at the peak of
the bolometric light, outside of the Milky Way, whose dust then dims and reddens all bands. The bands themselves peak
at other times, as the body cools. These are shapes, not models of explosions.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from deepbench.light_curves.families.black_bodies import NODES, band_flux, spectrum, write_band
from deepbench.light_curves.survey.exposures import (
    ERROR,
    nodes_for_bend,
    nodes_for_kink,
    nodes_for_pole,
    nodes_for_rate,
    whole_panels,
)
from deepbench.numerics.kernels import inline, kernel
from deepbench.numerics.mathfast import exp64, log64

BODY = (
    *("peak_time", "redshift", "peak_magnitude", "reference_band"),
    *("peak_temperature", "floor_temperature", "cooling_time", "reddening", "zero_point"),
)
"""Day (observed, of the largest bolometric light), z, AB magnitude, number of a band, K, K, days, magnitudes, and the
AB magnitude of unit flux (of each band)."""

TRANSIENTS = {
    "bazin": (*BODY, "rise_time", "fall_time"),
    "villar": (*BODY, "rise_time", "fall_time", "plateau_duration", "plateau_slope"),
    "disruption": (*BODY, "rise_time", "fall_time", "decay_index"),
}
"""The columns of each shape: those of ``BODY``, then days of the rest frame, the slope per day, and the index."""

SHAPES = {name: number for number, name in enumerate(TRANSIENTS)}
"""The numbers by which the kernels know the shapes."""

DARK = 1e-12
"""There is no light where a shape is below this part of its maximum."""

VISIBLE = 0.01
"""An observation counts as one of the event where the shape is above this part of its maximum."""

_BAZIN, _VILLAR, _DISRUPTION = SHAPES["bazin"], SHAPES["villar"], SHAPES["disruption"]
_SHORT_WAVES = 14387768.775 / 300.0
"""hc / (k λ) of waves of 300 nm, K."""

_TO_LOG_FLUX = -0.4 * math.log(10.0)
_LOG_DARK = math.log(DARK)
_OWN, _ZERO_POINT = len(BODY), BODY.index("zero_point")


# --- shapes -------------------------------------------------------------------------------------


@inline
def bazin(t, rise, fall):
    """Return the shape of Bazin et al. (2009); both exponents are negative, so that nothing overflows."""
    before = t < 0.0
    decay = exp64(t * (1.0 / rise - 1.0 / fall) if before else -t / fall)
    return decay / (1.0 + exp64(-abs(t) / rise))


@inline
def villar(t, rise, fall, plateau, slope):
    """Return the shape of Villar et al. (2019)."""
    small = exp64(-abs(t) / rise)
    risen = (small if t < 0.0 else 1.0) / (1.0 + small)
    return risen * (1.0 + slope * min(t, plateau)) * exp64(-max(t - plateau, 0.0) / fall)


@inline
def disruption(t, rise, fall, index):
    """Return the shape of a tidal disruption."""
    gaussian = -0.5 * (t / rise) * (t / rise)
    return exp64(gaussian if t < 0.0 else index * log64(1.0 + max(t, 0.0) / fall))


@inline
def _shape(number, t, row):
    rise, fall = row[_OWN], row[_OWN + 1]
    if number == _BAZIN:
        return bazin(t, rise, fall)
    if number == _VILLAR:
        return villar(t, rise, fall, row[_OWN + 2], row[_OWN + 3])
    return disruption(t, rise, fall, row[_OWN + 2])


@inline
def _villar_peak(rise, fall, plateau, slope):
    """Return where the shape of Villar et al. is largest: on the plateau, at its end, or later."""
    low, high = -50.0 * rise, plateau
    for _ in range(100):  # the sign of the derivative on the plateau, from rising to falling
        t = 0.5 * (low + high)
        small = exp64(-abs(t) / rise)
        left = small if t >= 0.0 else 1.0  # exp(−t / rise) and 1, times the same
        if slope * (1.0 + small) * rise + (1.0 + slope * t) * left > 0.0:
            low = t
        else:
            high = t
    after = max(rise * log64(fall / rise - 1.0), plateau) if fall > rise else plateau
    later = villar(after, rise, fall, plateau, slope)
    return after if later > villar(high, rise, fall, plateau, slope) else high


@kernel
def peak_of(number, row):
    """Return the time at which a shape is largest; row as in ``add_transients``."""
    rise, fall = row[_OWN], row[_OWN + 1]
    if number == _BAZIN:
        return rise * log64(fall / rise - 1.0)
    if number == _VILLAR:
        return _villar_peak(rise, fall, row[_OWN + 2], row[_OWN + 3])
    return 0.0


@inline
def _bright(number, row, peak):
    """Return the times between which a shape is above DARK of its maximum, or a little more."""
    rise, fall = row[_OWN], row[_OWN + 1]
    level = _LOG_DARK + log64(_shape(number, peak, row))
    if number == _BAZIN:
        return level / (1.0 / rise - 1.0 / fall), -level * fall
    if number == _VILLAR:
        return (level - 5.0) * rise, row[_OWN + 2] - level * fall
    return -rise * np.sqrt(-2.0 * level), np.inf


@kernel
def write_shape(number, row, times, out):
    """Write a shape (float64[m]) at times of the rest frame, in days; row as in ``add_transients``."""
    rise, fall = row[_OWN], row[_OWN + 1]
    if number == _BAZIN:
        for j in range(times.size):
            out[j] = bazin(times[j], rise, fall)
    elif number == _VILLAR:
        plateau, slope = row[_OWN + 2], row[_OWN + 3]
        for j in range(times.size):
            out[j] = villar(times[j], rise, fall, plateau, slope)
    else:
        index = row[_OWN + 2]
        for j in range(times.size):
            out[j] = disruption(times[j], rise, fall, index)


# --- light --------------------------------------------------------------------------------------


@inline
def _write_temperatures(row, peak, times, out):
    """Write the temperatures at times of the rest frame."""
    floor, swing, rate = row[5], row[4] - row[5], -1.0 / row[6]
    for j in range(times.size):
        out[j] = floor + swing * exp64(rate * max(times[j] - peak, 0.0))


@inline
def _group(bands, starts, order):
    """Write the places of nodes, those of each band together; band k has starts[k] … starts[k + 1] − 1."""
    starts[:] = 0
    for j in range(bands.size):
        starts[bands[j] + 1] += 1
    for k in range(1, starts.size):
        starts[k] += starts[k - 1]
    for j in range(bands.size):
        order[starts[bands[j]]] = j
        starts[bands[j]] += 1
    for k in range(starts.size - 1, 0, -1):
        starts[k] = starts[k - 1]
    starts[0] = 0


@inline
def _fluxes(temperatures, nodes, weights, shape):
    """Multiply a shape by the flux of a black body in one band, as ``band_flux`` gives it; written out to vectorise."""
    n0, n1, n2, n3, n4, n5, n6 = (
        nodes[0],
        nodes[1],
        nodes[2],
        nodes[3],
        nodes[4],
        nodes[5],
        nodes[6],
    )
    w0, w1, w2, w3 = weights[0], weights[1], weights[2], weights[3]
    w4, w5, w6 = weights[4], weights[5], weights[6]
    for j in range(temperatures.size):
        cold = 1.0 / temperatures[j]
        total = w0 * spectrum(n0 * cold) + w1 * spectrum(n1 * cold) + w2 * spectrum(n2 * cold)
        total += w3 * spectrum(n3 * cold) + w4 * spectrum(n4 * cold)
        total += w5 * spectrum(n5 * cold) + w6 * spectrum(n6 * cold)
        shape[j] *= cold * total


@kernel
def add_transients(number, rows, owners, offsets, times, bands, light, edges):
    """Add the light of transients of one shape.

    Parameters
    ----------
    number : int
        That of the shape in ``SHAPES``.
    rows : float64[k, b, p]
        The columns of ``TRANSIENTS`` of k objects; but for the zero point those of band 0 are read.
    owners : int64[k]
        The sample of each object.
    offsets : int64[n + 1]
        The nodes of sample i are offsets[i] … offsets[i + 1] − 1.
    times : float64[m]
        Days, ascending within a sample.
    bands : int8[m]
        Band of each node.
    light : float64[m]
        Added to, in place, in units of the flux of the zero points.
    edges : float64[b, 2]
        Shortest and longest wavelength of each band, nm.
    """
    count = edges.shape[0]
    nodes, weights = np.empty((count, NODES)), np.empty((count, NODES))
    scales, starts = np.empty(count), np.empty(count + 1, np.int64)
    for i in range(owners.size):
        row = rows[i, 0]
        peak = peak_of(number, row)
        stretch = 1.0 + row[1]
        dark, end = _bright(number, row, peak)
        low, high = offsets[owners[i]], offsets[owners[i] + 1]
        inside = times[low:high]
        first = low + np.searchsorted(inside, row[0] + stretch * (dark - peak))
        stop = low + np.searchsorted(inside, row[0] + stretch * (end - peak), side="right")
        if first >= stop:
            continue
        write_band(edges[int(row[3])], row[1], 0.0, nodes[0], weights[0])
        at_peak = _shape(number, peak, row) * band_flux(row[4], nodes[0], weights[0])
        for k in range(count):
            write_band(edges[k], row[1], row[7], nodes[k], weights[k])
            scales[k] = exp64(_TO_LOG_FLUX * (row[2] - rows[i, k, _ZERO_POINT])) / at_peak
        window = times[first:stop]
        size = window.size
        rest, shape, temperatures = np.empty(size), np.empty(size), np.empty(size)
        for j in range(size):
            rest[j] = (window[j] - row[0]) / stretch + peak
        write_shape(number, row, rest, shape)
        _write_temperatures(row, peak, rest, temperatures)
        order, grouped, flux = np.empty(size, np.int64), np.empty(size), np.empty(size)
        _group(bands[first:stop], starts, order)
        for j in range(size):
            grouped[j], flux[j] = temperatures[order[j]], shape[order[j]]
        for k in range(count):
            one, other = starts[k], starts[k + 1]
            _fluxes(grouped[one:other], nodes[k], weights[k], flux[one:other])
            for j in range(one, other):
                light[first + order[j]] += scales[k] * flux[j]


@inline
def _steepness(row, temperature):
    """Return the most that ln(flux) of a band may change with ln(temperature), in the light of short waves."""
    return max(3.0, _SHORT_WAVES * (1.0 + row[1]) / temperature - 3.0)


@inline
def _smooth_nodes(number, row, half):
    """Return the nodes of an exposure in which nothing jumps; ``half`` of it, in days of the rest frame."""
    rise, fall = row[_OWN], row[_OWN + 1]
    hot, cold = max(row[4], row[5]), min(row[4], row[5])
    rate = (1.0 + _steepness(row, cold) * (hot - cold) / hot) / row[6] if hot > cold else 0.0
    if number == _DISRUPTION:
        needed = nodes_for_rate(3.0 * half / rise)  # a Gaussian
        needed += nodes_for_pole(1.0 + fall / half, 0.0, 1.0 / ERROR) - 1  # a power of 1 + t / fall
    else:
        rate += 1.0 / fall
        if number == _VILLAR:
            rate += abs(row[_OWN + 3])
        needed = nodes_for_pole(0.0, math.pi * rise / half, 1.0 / ERROR)  # 1 + exp(−t / rise) = 0
    return needed + nodes_for_rate(rate * half) - 1


@inline
def _kinks(number, row, peak):
    """Return jumps of slope and of bend at the peak, and of slope at the end of the plateau, in parts of the peak."""
    rise, fall = row[_OWN], row[_OWN + 1]
    swing, hot = abs(row[4] - row[5]), max(row[4], row[5])
    slope = _steepness(row, row[4]) * swing / (hot * row[6])
    bend = slope * slope + slope / row[6]
    end = 0.0
    if number == _DISRUPTION:
        index = row[_OWN + 2]
        slope += abs(index) / fall
        bend += 1.0 / (rise * rise) + index * (index - 1.0) / (fall * fall)
    if number == _VILLAR:
        plateau, tilt = row[_OWN + 2], row[_OWN + 3]
        end = abs(tilt / (1.0 + tilt * plateau) + 1.0 / fall)
    return slope, bend, end


@kernel
def count_transients(number, rows, owners, offsets, times, exposures, nodes, counts):
    """Count the observations in whose middle (times) a transient has a hundredth of its largest bolometric light.

    As ``add_transients``, with the offsets of observations and their lengths in days; ``nodes`` (int64[m]) are raised,
    and ``counts`` (int64[k]) are written. The slope of the light jumps where the body begins to cool, at the end of a
    plateau, and where the debris of a star begins to fall back.
    """
    for i in range(owners.size):
        row = rows[i, 0]
        peak, stretch = peak_of(number, row), 1.0 + row[1]
        least = VISIBLE * _shape(number, peak, row)
        low, high = offsets[owners[i]], offsets[owners[i] + 1]
        rest, shape = np.empty(high - low), np.empty(high - low)
        for j in range(rest.size):
            rest[j] = (times[low + j] - row[0]) / stretch + peak
        write_shape(number, row, rest, shape)
        seen = 0
        for j in range(rest.size):
            seen += 1 if shape[j] >= least else 0
        counts[i] = seen
        dark, end = _bright(number, row, peak)
        slope, bend, drop = _kinks(number, row, peak)
        plateau = row[_OWN + 2] if number == _VILLAR else peak
        length, smooth = -1.0, 1
        for j in range(rest.size):
            half = 0.5 * exposures[low + j] / stretch
            if rest[j] < dark - half or rest[j] > end + half or half <= 0.0:
                continue
            if exposures[low + j] != length:
                length = exposures[low + j]
                smooth = _smooth_nodes(number, row, half)
            jump, more = 0.0, 1
            if abs(rest[j] - plateau) <= half:
                jump += drop
            if abs(rest[j] - peak) <= half:
                jump += slope
                more = nodes_for_bend(bend * half * half)
            needed = smooth + max(nodes_for_kink(jump * half), more) - 1 if jump > 0.0 else smooth
            nodes[low + j] = max(nodes[low + j], whole_panels(needed))
        counts[i] = seen


def fastest_transients(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return one over the shortest time scale of each object (rad/day, observed); rows as in ``add_transients``."""
    times = np.minimum(np.minimum(rows[:, 0, _OWN], rows[:, 0, _OWN + 1]), rows[:, 0, 6])
    return np.asarray(1.0 / (times * (1.0 + rows[:, 0, 1])), dtype=np.float64)
