"""Flares of cool stars, averaged over exposures exactly.

The template of Davenport et al. (2014, ApJ 797, 122, eqs 1 and 4), from 885 flares of GJ 1243, in units of the flux at
the peak and with h = (t − t_peak) / fwhm::

    1 + 1.941 h − 0.175 h² − 2.246 h³ − 1.125 h⁴             −1 ≤ h < 0
    0.6890 exp(−1.600 h) + 0.3030 exp(−0.2783 h)             h ≥ 0

It is taken as printed: with its small steps, from 0 to 0.005 at h = −1 and from 1 to 0.992 at h = 0, and with a full
width at half maximum that is 0.913 of the scale that the paper names so. Where the tail has fallen to 6e-9 of the peak,
at h = ``TAIL``, it is cut. A flare lasts minutes and an exposure may last half an hour, so that the mean is not taken
from nodes but from the antiderivative.
"""

from __future__ import annotations

from deepbench.numerics.kernels import inline, kernel
from deepbench.numerics.mathfast import exp64

TAIL = 64.0
"""End of the template, in units of the full width at half maximum."""

VISIBLE = 12.26
"""Time after the peak, in the same units, up to which an observation sees the flare: the tail is at a hundredth."""

_FAST, _SLOW = 1.600, 0.2783
_FAST_SHARE, _SLOW_SHARE = 0.6890, 0.3030


@inline
def flare_shape(h):
    """Return the template at h, the time from the peak in units of the full width at half maximum."""
    if h < -1.0 or h > TAIL:
        return 0.0
    if h < 0.0:
        return 1.0 + h * (1.941 + h * (-0.175 + h * (-2.246 + h * -1.125)))
    return _FAST_SHARE * exp64(-_FAST * h) + _SLOW_SHARE * exp64(-_SLOW * h)


@inline
def flare_integral(h):
    """Return the integral of the template from the peak to h, for −1 ≤ h ≤ TAIL; negative before the peak."""
    if h < 0.0:
        return h * (1.0 + h * (1.941 / 2.0 + h * (-0.175 / 3.0 + h * (-2.246 / 4.0 + h * -0.225))))
    fast = _FAST_SHARE / _FAST * (1.0 - exp64(-_FAST * h))
    return fast + _SLOW_SHARE / _SLOW * (1.0 - exp64(-_SLOW * h))


@inline
def _within(h):
    return min(max(h, -1.0), TAIL)


@kernel
def mean_flare(start, end):
    """Return the mean of the template between two times h; its value where they are equal."""
    if end <= start:
        return flare_shape(start)
    return (flare_integral(_within(end)) - flare_integral(_within(start))) / (end - start)


@inline
def _first_after(times, low, high, time):
    """Return the first element, from low to high, at or after a time; high if there is none."""
    while low < high:
        middle = (low + high) // 2
        if times[middle] < time:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def add_flares(rows, owners, offsets, times, exposures, bands, light, counts):
    """Add the mean light of flares over each exposure.

    Parameters
    ----------
    rows : FLARE[k, b]
        All but the amplitude is read in band 0.
    owners : int64[k]
        The sample of each flare.
    offsets : int64[n + 1]
        The observations of sample i are offsets[i] … offsets[i + 1] − 1.
    times, exposures : float64[m]
        Middles and lengths of the observations, days; the middles ascend within a sample.
    bands : int8[m]
        Band of each observation.
    light : float64[m]
        Added to, in place.
    counts : int64[k]
        Written: the observations that overlap the flare while it is above a hundredth of its peak.
    """
    sample, reach = -1, 0.0
    for i in range(owners.size):
        low, high = offsets[owners[i]], offsets[owners[i] + 1]
        if owners[i] != sample:
            sample, reach = owners[i], 0.0
            for j in range(low, high):
                reach = max(reach, exposures[j])
        peak_time, fwhm = rows[i, 0].peak_time, rows[i, 0].fwhm
        last = peak_time + TAIL * fwhm + 0.5 * reach
        seen = 0
        for j in range(_first_after(times, low, high, peak_time - fwhm - 0.5 * reach), high):
            if times[j] > last:
                break
            half = 0.5 * exposures[j]
            start = (times[j] - half - peak_time) / fwhm
            end = (times[j] + half - peak_time) / fwhm
            if end >= -1.0 and start <= TAIL:
                light[j] += rows[i, bands[j]].relative_amplitude * mean_flare(start, end)
                seen += 1 if start <= VISIBLE else 0
        counts[i] = seen
