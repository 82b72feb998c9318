"""Detached eclipsing binaries: two spherical stars with quadratic limb darkening.

Star 2 hides star 1 at the primary eclipse and is hidden at the secondary one. The light of a star
is in proportion to J R² (1 − u1/3 − u2/6), where J is the brightness at the centre of its disc over
that of star 1. The factor of a band is 1 − (1 − l) h, where h is the hidden part of the light of both,
and l is the third light. Lengths are in semi-major axes. The time of eclipse is that of inferior
conjunction of star 2, where the true anomaly is 90° − ω and ω is that of star 1, as radial
velocities give it; the secondary eclipse follows at 270° − ω.

There is no reflection, no ellipsoidal shape, no boosting: the light is 1 out of eclipse.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepbench.light_curves.families.occultation import hidden64
from deepbench.light_curves.families.orbits import (
    TILE,
    Orbit,
    Window,
    count_events,
    fill_separations,
    find_window,
    grazing_tip,
    least_separation,
    make_orbit,
    next_event,
    opposite,
)
from deepbench.numerics.kernels import inline, kernel
from deepbench.numerics.mathfast import sincosd64

ECLIPSE = (
    "period",
    "eclipse_time",
    "sum_of_radii",
    "radius_ratio",
    "surface_brightness_ratio",
    "inclination",
    "eccentricity",
    "argument_of_periastron",
    "primary_u1",
    "primary_u2",
    "secondary_u1",
    "secondary_u2",
    "third_light",
)
"""Columns of the rows: day, day, then numbers without unit, both angles in degrees.

The radii are over the semi-major axis, their ratio is R2 / R1. The surface brightness ratio, the
limb darkening and the third light are those of each band.
"""


class Eclipse(NamedTuple):
    """One of the two eclipses: the orbit of the star in front, and both radii."""

    orbit: Orbit
    window: Window
    front: float
    back: float


@inline
def _eclipses(row):
    """Return the primary and the secondary eclipse of a row of ECLIPSE."""
    sine, cosine = sincosd64(row[7])
    orbit = make_orbit(row[0], row[1], 1.0, sincosd64(row[5])[1], row[6], sine, cosine)
    other = opposite(orbit)
    first = row[2] / (1.0 + row[3])
    second = row[2] - first
    return (
        Eclipse(orbit, find_window(orbit, row[2]), second, first),
        Eclipse(other, find_window(other, row[2]), first, second),
    )


@inline
def _disc(row, primary):
    """Return (u1, u2, part of all light) of the star that is hidden at an eclipse of this row."""
    first = 1.0 - row[8] / 3.0 - row[9] / 6.0
    second = row[4] * row[3] * row[3] * (1.0 - row[10] / 3.0 - row[11] / 6.0)
    own = (1.0 - row[12]) / (first + second)
    if primary:
        return row[8], row[9], first * own
    return row[10], row[11], second * own


@inline
def _multiply_eclipse(rows, eclipse, primary, times, bands, separations, factors):
    """Multiply by what one eclipse leaves; ``rows`` are those of one binary."""
    orbit, window = eclipse.orbit, eclipse.window
    scale, radius = 1.0 / eclipse.back, eclipse.front / eclipse.back
    first, stop = 0, times.size
    while first < stop:
        number, begin, end = next_event(orbit, window, times, first, stop)
        first = max(end, first + 1)
        for start in range(begin, end, TILE):
            part = times[start : min(start + TILE, end)]
            fill_separations(orbit, number, part, separations)
            for i in range(part.size):
                u1, u2, light = _disc(rows[bands[start + i]], primary)
                dark = hidden64(separations[i] * scale, radius, u1, u2)
                factors[start + i] *= 1.0 - light * dark


@kernel
def multiply_eclipses(rows, owners, offsets, times, bands, factors):
    """Multiply by the light that binaries show of their stars.

    ``rows`` is float64[k, b, 13], as ECLIPSE names them; the rest is as in ``multiply_transits``.
    """
    separations = np.empty(TILE)
    for k in range(owners.size):
        own = slice(offsets[owners[k]], offsets[owners[k] + 1])
        both = _eclipses(rows[k, 0])
        for which in range(2):
            if both[which].window.after >= 0.0:
                _multiply_eclipse(
                    rows[k],
                    both[which],
                    which == 0,
                    times[own],
                    bands[own],
                    separations,
                    factors[own],
                )


@kernel
def count_eclipses(rows, owners, offsets, times, exposures, nodes, counts):
    """Raise the nodes of exposures that overlap an eclipse, and count these exposures.

    An exposure that overlaps both eclipses counts once; see ``count_transits``.
    """
    for k in range(owners.size):
        own = slice(offsets[owners[k]], offsets[owners[k] + 1])
        both = _eclipses(rows[k, 0])
        never = Window(-1.0, -1.0)
        total = 0
        for which in range(2):
            eclipse, before = both[which], both[0]
            orbit, front, back = eclipse.orbit, eclipse.front, eclipse.back
            apart, depth = least_separation(orbit, eclipse.window) / back, 0.0
            for band in range(rows.shape[1]):
                u1, u2, light = _disc(rows[k, band], which == 0)
                dark = hidden64(apart, front / back, u1, u2)
                depth = max(depth, light * dark)
            total += count_events(
                orbit,
                eclipse.window,
                find_window(orbit, abs(front - back)),
                grazing_tip(apart * back, front + back, abs(front - back)),
                depth,
                before.orbit,
                before.window if which == 1 else never,
                times[own],
                exposures[own],
                nodes[own],
            )
        counts[k] = total


def never_eclipses(rows: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which binaries pass beside each other; ``rows`` is float64[k, band, column].

    The separations at both conjunctions are compared, as impact parameters are; the smallest
    separations are less by a part of order (sum of radii)².
    """
    first = rows[:, 0]
    e = first[:, 6]
    distance = (1.0 - e * e) / (1.0 + e * np.abs(np.sin(np.radians(first[:, 7]))))
    return distance * np.abs(np.cos(np.radians(first[:, 5]))) >= first[:, 2]


def collides(rows: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which binaries touch at periastron; ``rows`` is float64[k, band, column]."""
    first = rows[:, 0]
    return 1.0 - first[:, 6] <= first[:, 2]
