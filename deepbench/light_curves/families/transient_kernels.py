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

from deepbench.light_curves.families.black_bodies import NODES, band_flux, spectrum, write_band
from deepbench.light_curves.families.loops import ascending_until, count_each
from deepbench.light_curves.survey.exposures import (
    ERROR,
    nodes_for_bend,
    nodes_for_kink,
    nodes_for_pole,
    nodes_for_rate,
    whole_panels,
)
from deepbench.light_curves.units import LOG_FLUX
from deepbench.numerics.kernels import inline, kernel
from deepbench.numerics.mathfast import exp64, log64

SHAPES = {"bazin": 0, "villar": 1, "disruption": 2}
"""Numbers by which the kernels know the shapes."""

DARK = 1e-12
"""Part of its maximum below which a shape has no light."""

VISIBLE = 0.01
"""Part of its maximum above which an observation counts as one of the event."""

_BAZIN, _VILLAR, _DISRUPTION = SHAPES["bazin"], SHAPES["villar"], SHAPES["disruption"]
_SHORT_WAVES = 14387768.775 / 300.0
"""Temperature hc / (k λ) of waves of 300 nm, K."""

_LOG_DARK = math.log(DARK)


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
def _shape(t, row):
    """Return the shape of a row, which is a ``TRANSIENT``, at a time of the rest frame, in days."""
    if row.shape == _BAZIN:
        return bazin(t, row.rise_time, row.fall_time)
    if row.shape == _VILLAR:
        return villar(t, row.rise_time, row.fall_time, row.plateau_duration, row.plateau_slope)
    return disruption(t, row.rise_time, row.fall_time, row.decay_index)


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
def peak_of(row):
    """Return the time at which the shape of a ``TRANSIENT`` is largest."""
    rise, fall = row.rise_time, row.fall_time
    if row.shape == _BAZIN:
        return rise * log64(fall / rise - 1.0)
    if row.shape == _VILLAR:
        return _villar_peak(rise, fall, row.plateau_duration, row.plateau_slope)
    return 0.0


@inline
def _bright(row, peak):
    """Return the times between which a shape is above DARK of its maximum, or a little more."""
    rise, fall = row.rise_time, row.fall_time
    level = _LOG_DARK + log64(_shape(peak, row))
    if row.shape == _BAZIN:
        return level / (1.0 / rise - 1.0 / fall), -level * fall
    if row.shape == _VILLAR:
        return (level - 5.0) * rise, row.plateau_duration - level * fall
    return -rise * np.sqrt(-2.0 * level), np.inf


@kernel
def write_shape(row, times, out):
    """Write the shape of a ``TRANSIENT`` (float64[m]) at times of the rest frame, in days."""
    rise, fall = row.rise_time, row.fall_time
    if row.shape == _BAZIN:
        for j in range(times.size):
            out[j] = bazin(times[j], rise, fall)
    elif row.shape == _VILLAR:
        plateau, slope = row.plateau_duration, row.plateau_slope
        for j in range(times.size):
            out[j] = villar(times[j], rise, fall, plateau, slope)
    else:
        index = row.decay_index
        for j in range(times.size):
            out[j] = disruption(times[j], rise, fall, index)


# --- light --------------------------------------------------------------------------------------


@inline
def _write_temperatures(row, peak, times, out):
    """Write the temperatures at times of the rest frame."""
    floor, rate = row.floor_temperature, -1.0 / row.cooling_time
    swing = row.peak_temperature - floor
    for j in range(times.size):
        out[j] = floor + swing * exp64(rate * max(times[j] - peak, 0.0))


@inline
def _group(bands, starts, order):
    """Write the numbers of nodes, those of each band together; band k has starts[k] … starts[k + 1] − 1."""
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
def add_transients(rows, owners, offsets, times, bands, light, edges):
    """Add the light of transients.

    Parameters
    ----------
    rows : TRANSIENT[k, b]
        All but the zero point is read in band 0.
    owners : int64[k]
        The sample of each object.
    offsets : int64[n + 1]
        The nodes of sample i are offsets[i] … offsets[i + 1] − 1.
    times : float64[m]
        Days, ascending within a sample, but that the nodes of an exposure of several bands come again for each.
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
        peak, start = peak_of(row), row.peak_time
        stretch = 1.0 + row.redshift
        dark, end = _bright(row, peak)
        low, high = offsets[owners[i]], offsets[owners[i] + 1]
        while low < high:
            until = ascending_until(times, low, high)
            inside = times[low:until]
            first = low + np.searchsorted(inside, start + stretch * (dark - peak))
            stop = low + np.searchsorted(inside, start + stretch * (end - peak), side="right")
            low = until
            if first >= stop:
                continue
            write_band(edges[row.reference_band], row.redshift, 0.0, nodes[0], weights[0])
            at_peak = _shape(peak, row) * band_flux(row.peak_temperature, nodes[0], weights[0])
            for k in range(count):
                write_band(edges[k], row.redshift, row.reddening, nodes[k], weights[k])
                brighter = row.peak_magnitude - rows[i, k].zero_point
                scales[k] = exp64(LOG_FLUX * brighter) / at_peak
            window = times[first:stop]
            size = window.size
            rest, shape, temperatures = np.empty(size), np.empty(size), np.empty(size)
            for j in range(size):
                rest[j] = (window[j] - start) / stretch + peak
            write_shape(row, rest, shape)
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
    return max(3.0, _SHORT_WAVES * (1.0 + row.redshift) / temperature - 3.0)


@inline
def _smooth_nodes(row, half):
    """Return the nodes of an exposure in which nothing jumps; ``half`` of it, in days of the rest frame."""
    rise, fall = row.rise_time, row.fall_time
    hot = max(row.peak_temperature, row.floor_temperature)
    cold = min(row.peak_temperature, row.floor_temperature)
    rate = 0.0
    if hot > cold:
        rate = (1.0 + _steepness(row, cold) * (hot - cold) / hot) / row.cooling_time
    if row.shape == _DISRUPTION:
        needed = nodes_for_rate(3.0 * half / rise)  # a Gaussian
        needed += nodes_for_pole(1.0 + fall / half, 0.0, 1.0 / ERROR) - 1  # a power of 1 + t / fall
    else:
        rate += 1.0 / fall
        if row.shape == _VILLAR:
            rate += abs(row.plateau_slope)
        needed = nodes_for_pole(0.0, math.pi * rise / half, 1.0 / ERROR)  # 1 + exp(−t / rise) = 0
    return needed + nodes_for_rate(rate * half) - 1


@inline
def _kinks(row):
    """Return jumps of slope and of bend at the peak, and of slope at the end of the plateau, in parts of the peak."""
    rise, fall, cooling = row.rise_time, row.fall_time, row.cooling_time
    swing = abs(row.peak_temperature - row.floor_temperature)
    hot = max(row.peak_temperature, row.floor_temperature)
    slope = _steepness(row, row.peak_temperature) * swing / (hot * cooling)
    bend = slope * slope + slope / cooling
    end = 0.0
    if row.shape == _DISRUPTION:
        index = row.decay_index
        slope += abs(index) / fall
        bend += 1.0 / (rise * rise) + index * (index - 1.0) / (fall * fall)
    if row.shape == _VILLAR:
        plateau, tilt = row.plateau_duration, row.plateau_slope
        end = abs(tilt / (1.0 + tilt * plateau) + 1.0 / fall)
    return slope, bend, end


@inline
def _count(rows, times, exposures, nodes):
    row = rows[0]
    peak, stretch, start = peak_of(row), 1.0 + row.redshift, row.peak_time
    least = VISIBLE * _shape(peak, row)
    rest, shape = np.empty(times.size), np.empty(times.size)
    for j in range(rest.size):
        rest[j] = (times[j] - start) / stretch + peak
    write_shape(row, rest, shape)
    seen = 0
    for j in range(rest.size):
        seen += 1 if shape[j] >= least else 0
    dark, end = _bright(row, peak)
    slope, bend, drop = _kinks(row)
    plateau = row.plateau_duration if row.shape == _VILLAR else peak
    length, smooth = -1.0, 1
    for j in range(rest.size):
        half = 0.5 * exposures[j] / stretch
        if rest[j] < dark - half or rest[j] > end + half or half <= 0.0:
            continue
        if exposures[j] != length:
            length = exposures[j]
            smooth = _smooth_nodes(row, half)
        jump, more = 0.0, 1
        if abs(rest[j] - plateau) <= half:
            jump += drop
        if abs(rest[j] - peak) <= half:
            jump += slope
            more = nodes_for_bend(bend * half * half)
        needed = smooth + max(nodes_for_kink(jump * half), more) - 1 if jump > 0.0 else smooth
        nodes[j] = max(nodes[j], whole_panels(needed))
    return seen


@kernel
def count_transients(rows, owners, offsets, times, exposures, nodes, counts):
    """Count the observations in whose middle a transient has a hundredth of its largest bolometric light.

    The slope of the light jumps where the body begins to cool, at the end of a plateau, and where the debris of a star
    begins to fall back: nodes are raised there. ``rows`` is ``TRANSIENT[k, b]``; the rest is as in
    ``loops.count_each``.
    """
    count_each(_count, rows, owners, offsets, times, exposures, nodes, counts)
