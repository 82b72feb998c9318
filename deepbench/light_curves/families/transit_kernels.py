"""Transits of planets over limb-darkened stars.

The factor of a band is 1 − (1 − l) h, where h is the part of the star's light that the planet
hides and l is the third light, the part of the band's light that is not the star's. Lengths are in
radii of the star. The inclination i follows from the impact parameter b, the separation at the
transit time: b = (a/R★) cos i (1 − e²) / (1 + e sin ω) (Winn 2010, arXiv:1001.2010). That time is
of inferior conjunction, where the true anomaly is 90° − ω; ω is the argument of periastron of the
star, as radial velocities give it. Both conventions are batman's (Kreidberg 2015, PASP 127, 1161).
"""

from __future__ import annotations

from deepbench.light_curves.families.loops import change_each, count_each
from deepbench.light_curves.families.occultation import hidden64
from deepbench.light_curves.families.orbits import (
    Window,
    count_events,
    find_window,
    grazing_tip,
    least_separation,
    make_orbit,
    multiply_events,
)
from deepbench.numerics.kernels import inline, kernel
from deepbench.numerics.mathfast import sincosd64


@inline
def transit_orbit(row):
    """Return the orbit of a planet in radii of its star; ``row`` is a ``TRANSIT``."""
    e = row.eccentricity
    axis = row.scaled_semi_major_axis
    sine, cosine = sincosd64(row.argument_of_periastron_degrees)
    cos_inclination = row.impact_parameter * (1.0 + e * sine) / (axis * (1.0 - e) * (1.0 + e))
    return make_orbit(row.period, row.transit_time, axis, cos_inclination, e, sine, cosine)


@inline
def _factor(row, radius, separation):
    """Return the light that a planet of this radius leaves in a band; lengths in radii of the star."""
    dark = hidden64(separation, radius, row.u1, row.u2)
    return 1.0 - (1.0 - row.third_light) * dark


@inline
def _multiply(rows, times, bands, factors):
    orbit, radius = transit_orbit(rows[0]), rows[0].radius_ratio
    window = find_window(orbit, 1.0 + radius)
    multiply_events(_factor, radius, orbit, window, rows, times, bands, factors)


@kernel
def multiply_transits(rows, owners, offsets, times, bands, factors):
    """Multiply by the light that planets leave of their stars; instants outside transits are not touched.

    ``rows`` is ``TRANSIT[k, b]``; the rest is as in ``loops.change_each``.
    """
    change_each(_multiply, rows, owners, offsets, times, bands, factors)


@inline
def _count(rows, times, exposures, nodes):
    never = Window(-1.0, -1.0)
    orbit, radius = transit_orbit(rows[0]), rows[0].radius_ratio
    window = find_window(orbit, 1.0 + radius)
    inner = find_window(orbit, abs(1.0 - radius))
    apart, depth = least_separation(orbit, window), 0.0
    for band in range(rows.size):
        row = rows[band]
        dark = hidden64(apart, radius, row.u1, row.u2)
        depth = max(depth, (1.0 - row.third_light) * dark)
    tip = grazing_tip(apart, 1.0 + radius, abs(1.0 - radius))
    return count_events(orbit, window, inner, tip, depth, orbit, never, times, exposures, nodes)


@kernel
def count_transits(rows, owners, offsets, times, exposures, nodes, counts):
    """Raise the nodes of exposures that overlap a transit to what they need, at most 2048, and count these exposures.

    ``rows`` is ``TRANSIT[k, b]``; the rest is as in ``loops.count_each``.
    """
    count_each(_count, rows, owners, offsets, times, exposures, nodes, counts)
