"""Transits of planets over limb-darkened stars.

The factor of a band is 1 − (1 − l) h, where h is the part of the star's light that the planet
hides and l is the third light, the part of the band's light that is not the star's. Lengths are in
radii of the star. The inclination i follows from the impact parameter b, the separation at the
transit time: b = (a/R★) cos i (1 − e²) / (1 + e sin ω) (Winn 2010, arXiv:1001.2010). That time is
of inferior conjunction, where the true anomaly is 90° − ω; ω is the argument of periastron of the
star, as radial velocities give it. Both conventions are batman's (Kreidberg 2015, PASP 127, 1161).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deepbench.light_curves.families.occultation import hidden64
from deepbench.light_curves.families.orbits import (
    TILE,
    Window,
    count_events,
    fill_separations,
    find_window,
    grazing_tip,
    least_separation,
    make_orbit,
    next_event,
)
from deepbench.numerics.kernels import inline, kernel
from deepbench.numerics.mathfast import sincosd64

TRANSIT = (
    "period",
    "transit_time",
    "radius_ratio",
    "scaled_semi_major_axis",
    "impact_parameter",
    "eccentricity",
    "argument_of_periastron",
    "limb_darkening_u1",
    "limb_darkening_u2",
    "third_light",
)
"""Columns of the rows: day, day, then numbers without unit, the argument of periastron in degrees.

The limb darkening and the third light are those of each band.
"""


@inline
def transit_orbit(row):
    """Return the orbit of a planet in radii of its star; ``row`` is one of TRANSIT."""
    e = row[5]
    sine, cosine = sincosd64(row[6])
    cos_inclination = row[4] * (1.0 + e * sine) / (row[3] * (1.0 - e) * (1.0 + e))
    return make_orbit(row[0], row[1], row[3], cos_inclination, e, sine, cosine)


@kernel
def multiply_transits(rows, owners, offsets, times, bands, factors):
    """Multiply by the light that planets leave of their stars.

    Parameters
    ----------
    rows : float64[k, b, 10]
        Parameters of k planets in b bands, as TRANSIT names them.
    owners : int64[k]
        The sample of each planet.
    offsets : int64[n + 1]
        The instants of sample i are offsets[i] … offsets[i + 1] − 1.
    times : float64[m]
        Days, ascending within a sample.
    bands : int8[m]
        The band of each instant.
    factors : float64[m]
        Changed in place; instants outside transits are not touched.
    """
    separations = np.empty(TILE)
    for k in range(owners.size):
        first, stop = offsets[owners[k]], offsets[owners[k] + 1]
        radius = rows[k, 0, 2]
        orbit = transit_orbit(rows[k, 0])
        window = find_window(orbit, 1.0 + radius)
        if not window.after >= 0.0:
            continue
        while first < stop:
            number, begin, end = next_event(orbit, window, times, first, stop)
            first = max(end, first + 1)
            for start in range(begin, end, TILE):
                part = times[start : min(start + TILE, end)]
                fill_separations(orbit, number, part, separations)
                for i in range(part.size):
                    row = rows[k, bands[start + i]]
                    dark = hidden64(separations[i], radius, row[7], row[8])
                    factors[start + i] *= 1.0 - (1.0 - row[9]) * dark


@kernel
def count_transits(rows, owners, offsets, times, exposures, nodes, counts):
    """Raise the nodes of exposures that overlap a transit, and count these exposures.

    ``rows``, ``owners`` and ``offsets`` are as in ``multiply_transits``.

    Parameters
    ----------
    times, exposures : float64[m]
        The middles and lengths of the exposures, days; middles ascend within a sample.
    nodes : int64[m]
        Raised to the Gauss–Legendre nodes that an exposure needs, at most 2048.
    counts : int64[k]
        Written: how many exposures overlap a transit.
    """
    never = Window(-1.0, -1.0)
    for k in range(owners.size):
        own = slice(offsets[owners[k]], offsets[owners[k] + 1])
        radius = rows[k, 0, 2]
        orbit = transit_orbit(rows[k, 0])
        window = find_window(orbit, 1.0 + radius)
        inner = find_window(orbit, abs(1.0 - radius))
        apart, depth = least_separation(orbit, window), 0.0
        for band in range(rows.shape[1]):
            row = rows[k, band]
            dark = hidden64(apart, radius, row[7], row[8])
            depth = max(depth, (1.0 - row[9]) * dark)
        tip = grazing_tip(apart, 1.0 + radius, abs(1.0 - radius))
        counts[k] = count_events(
            orbit, window, inner, tip, depth, orbit, never, times[own], exposures[own], nodes[own]
        )


def never_transits(rows: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which planets pass beside their stars; ``rows`` is float64[k, band, column]."""
    first = rows[:, 0]
    return first[:, 4] >= 1.0 + first[:, 2]


def collides(rows: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which planets touch their stars at periastron; ``rows`` is float64[k, band, column]."""
    first = rows[:, 0]
    return first[:, 3] * (1.0 - first[:, 5]) <= 1.0 + first[:, 2]
