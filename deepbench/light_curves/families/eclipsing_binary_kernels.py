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

from deepbench.light_curves.families.loops import change_each, count_each
from deepbench.light_curves.families.occultation import hidden64
from deepbench.light_curves.families.orbits import (
    Orbit,
    Window,
    count_events,
    find_window,
    grazing_tip,
    least_separation,
    make_orbit,
    multiply_events,
    opposite,
)
from deepbench.numerics.kernels import inline, kernel
from deepbench.numerics.mathfast import sincosd64


class Eclipse(NamedTuple):
    """One of the two eclipses: the orbit of the star in front, and both radii."""

    orbit: Orbit
    window: Window
    front: float
    back: float


@inline
def _eclipses(row):
    """Return the primary and the secondary eclipse of a row, which is an ``ECLIPSE``."""
    sine, cosine = sincosd64(row.argument_of_periastron_degrees)
    cos_inclination = sincosd64(row.inclination_degrees)[1]
    orbit = make_orbit(
        row.period, row.eclipse_time, 1.0, cos_inclination, row.eccentricity, sine, cosine
    )
    other = opposite(orbit)
    reach = row.sum_of_radii
    first = reach / (1.0 + row.radius_ratio)
    second = reach - first
    return (
        Eclipse(orbit, find_window(orbit, reach), second, first),
        Eclipse(other, find_window(other, reach), first, second),
    )


@inline
def _disc(row, primary):
    """Return (u1, u2, part of all light) of the star that is hidden at an eclipse of this row."""
    first = 1.0 - row.primary_u1 / 3.0 - row.primary_u2 / 6.0
    brightness = row.surface_brightness_ratio * row.radius_ratio * row.radius_ratio
    second = brightness * (1.0 - row.secondary_u1 / 3.0 - row.secondary_u2 / 6.0)
    own = (1.0 - row.third_light) / (first + second)
    if primary:
        return row.primary_u1, row.primary_u2, first * own
    return row.secondary_u1, row.secondary_u2, second * own


@inline
def _factor(row, shape, separation):
    """Return the light that an eclipse leaves in a band."""
    scale, radius, primary = shape
    u1, u2, light = _disc(row, primary)
    return 1.0 - light * hidden64(separation * scale, radius, u1, u2)


@inline
def _multiply(rows, times, bands, factors):
    both = _eclipses(rows[0])
    for which in range(2):
        eclipse = both[which]
        shape = 1.0 / eclipse.back, eclipse.front / eclipse.back, which == 0
        multiply_events(_factor, shape, eclipse.orbit, eclipse.window, rows, times, bands, factors)


@kernel
def multiply_eclipses(rows, owners, offsets, times, bands, factors):
    """Multiply by the light that binaries show of their stars; instants outside eclipses are not touched.

    ``rows`` is ``ECLIPSE[k, b]``; the rest is as in ``loops.change_each``.
    """
    change_each(_multiply, rows, owners, offsets, times, bands, factors)


@inline
def _count(rows, times, exposures, nodes):
    both = _eclipses(rows[0])
    never = Window(-1.0, -1.0)
    total = 0
    for which in range(2):
        eclipse, before = both[which], both[0]
        orbit, front, back = eclipse.orbit, eclipse.front, eclipse.back
        apart, depth = least_separation(orbit, eclipse.window) / back, 0.0
        for band in range(rows.size):
            u1, u2, light = _disc(rows[band], which == 0)
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
            times,
            exposures,
            nodes,
        )
    return total


@kernel
def count_eclipses(rows, owners, offsets, times, exposures, nodes, counts):
    """Raise the nodes of exposures that overlap an eclipse, and count these exposures: once where they overlap both.

    ``rows`` is ``ECLIPSE[k, b]``; the rest is as in ``loops.count_each``.
    """
    count_each(_count, rows, owners, offsets, times, exposures, nodes, counts)
