"""Windows that hand light over from rays to rays of half their distance; ``traced`` says what they are for.

A window is (1 − s)⁵ (1 + 5 s), s = (r/ρ)² < 1: flat at its centre, and nothing beyond its radius ρ. The rays of a level
keep C of the light, the product of 1 − window over all of its windows.
"""

from __future__ import annotations

import numpy as np

from deepbench.images.galaxies.sersic import component_ellipse
from deepbench.lensing.deflector import EXTERNAL, ISOTHERMAL, MULTIPOLE, POINT_MASS, POWER_LAW
from deepbench.numerics.kernels import from_bits, inline
from deepbench.numerics.mathfast import exp64, log64

LEVELS = 8
"""Number of times that the distance of rays is halved at most."""

MASS_LEVELS = 6
"""Number of times that it is halved around centres of masses."""

RADIUS = 19.2
"""Radius of windows in distances of rays, over 2π less the wave numbers that are seen."""

MASS_RADIUS, MASS_EXTENT = 1.3, 1.0
"""Ratio of windows around masses, about which light may change with the direction alone, to those of light of this
extent (pixel)."""

NARROWER, NARROWEST = 0.2, 0.6
"""Power of step / extent by which windows are narrower below the extent of the light, and the least of that."""

SEEN = 9.0
"""Wave numbers that a point spread function lets pass, in units of 1 / FWHM."""

LEAST_SIZE = 2.0
"""Least FWHM that is told from a smaller one, in distances of the coarsest rays."""

MARGIN = 0.25
"""Distance beyond a window up to which finer rays are traced, in distances of rays."""

SMOOTH = 0.7
"""Offset of the windows around a centre, in semi-minor half-light radii, where the light has no cusp."""

CUSP, CUSP_POWER = 0.01, -0.6
"""Offset at most, in FWHM of the point spread function: CUSP (n − ½)^CUSP_POWER for the Sérsic index n."""

FAINT = 0.1
"""t² of a mass that compresses no more; see ``compress``."""

MOST_COMPRESSED = 64.0
"""Square of the compression by which windows are wider at most."""

_ZERO, _ONE, _TINY, _FIVE = np.float32(0.0), np.float32(1.0), np.float32(1e-20), np.float32(5.0)
_MOST_BITS = np.int32(np.float32(1e30).view(np.int32))


@inline
def window_radius(level, levels, step, size, extent):
    """Return the radius of the windows of a level, whose rays are ``step`` apart, in pixels; 0 where there are none.

    Rays see light of the wave number k as that of 2π / step − k. ``size`` is the FWHM of the point spread function,
    ``extent`` that of the light: little of it is in smaller windows, which may err by more of theirs.
    """
    if not 0 <= level < levels:
        return 0.0
    part = max(exp64(NARROWER * log64(min(step / extent, 1.0))), NARROWEST)
    return RADIUS * part * step / (2.0 * np.pi - SEEN * step / size)


@inline
def least_of(values):
    """Return the least of numbers of float32 that are not negative, whose bits have their order."""
    bits = values.view(np.int32)
    least = _MOST_BITS
    for i in range(bits.size):
        least = bits[i] if bits[i] < least else least
    return from_bits(np.uint32(least))


@inline
def open_window(squares, radius, earlier, margin, here, before, nearest):
    """Take a window out of the light of this level, and that of the radius ``earlier`` out of the level before.

    ``squares`` has the squared distances from its centre; the least of them in units of (radius + margin)² becomes
    ``nearest``. A window of the radius 0 is none.
    """
    least = least_of(squares)
    if least < radius * radius:
        scale = np.float32(1.0 / (radius * radius))
        wider = np.float32(1.0 / ((radius + margin) * (radius + margin)))
        for i in range(here.size):
            nearest[i] = min(nearest[i], squares[i] * wider)
            here[i] *= _ONE - _window(squares[i] * scale)
    if least < earlier * earlier:
        scale = np.float32(1.0 / (earlier * earlier))
        for i in range(here.size):
            before[i] *= _ONE - _window(squares[i] * scale)


@inline
def _window(s):
    """Return a window's part of the light."""
    rest = max(_ONE - s, _ZERO)
    square = rest * rest
    return square * square * rest * (_ONE + _FIVE * s)


@inline
def _finest(row, size):
    """Return the distance from the centre of a Sérsic profile within which its light needs no finer rays, pixels."""
    width = SMOOTH * component_ellipse(row).b
    cusp = row.sersic_index - 0.5
    if cusp <= 0.0:
        return width
    return min(width, size * CUSP * exp64(CUSP_POWER * log64(cusp)))


@inline
def smallest_distance(light_of, image, size):
    """Return the distance from the centre of a galaxy within which its light needs no finer rays, pixels."""
    found = 1e3
    for k in range(light_of.component_parts[image], light_of.component_parts[image + 1]):
        found = min(found, _finest(light_of.components[k], size))
    for k in range(light_of.truncated_parts[image], light_of.truncated_parts[image + 1]):
        found = min(found, _finest(light_of.truncated[k], size))
    return found


@inline
def smallest_extent(light_of, image):
    """Return the least semi-minor half-light radius of a galaxy's components, pixels."""
    found = 1e3
    for k in range(light_of.component_parts[image], light_of.component_parts[image + 1]):
        found = min(found, component_ellipse(light_of.components[k]).b)
    for k in range(light_of.truncated_parts[image], light_of.truncated_parts[image + 1]):
        found = min(found, component_ellipse(light_of.truncated[k]).b)
    return found


@inline
def isophotes(light_of, image):
    """Return the form xx x² + xy x y + yy y² in which distances from the centre are measured.

    It is that of the isophotes, of unit length along the minor axis; the mean of the components' where there are more.
    """
    xx, xy, yy, count = 0.0, 0.0, 0.0, 0
    for k in range(light_of.component_parts[image], light_of.component_parts[image + 1]):
        shape = component_ellipse(light_of.components[k])
        xx, xy, yy, count = _add_form(shape, xx, xy, yy, count)
    for k in range(light_of.truncated_parts[image], light_of.truncated_parts[image + 1]):
        shape = component_ellipse(light_of.truncated[k])
        xx, xy, yy, count = _add_form(shape, xx, xy, yy, count)
    part = 1.0 / max(count, 1)
    return np.float32(part * xx), np.float32(part * xy), np.float32(part * yy)


@inline
def _add_form(shape, xx, xy, yy, count):
    """Add the form of an ellipse to a sum of ``count`` of them."""
    c, s, q = shape.cosine, shape.sine, shape.b / shape.a
    flat = q * q
    return (
        xx + flat * c * c + s * s,
        xy + 2.0 * (flat - 1.0) * c * s,
        yy + flat * s * s + c * c,
        count + 1,
    )


@inline
def is_near(mass, box, scale, beyond):
    """Tell whether a mass is within a distance of a box; both in pixels from the origin of the plane."""
    x, y = mass.x / scale, mass.y / scale
    left, right, low, high = box
    return left - beyond < x < right + beyond and low - beyond < y < high + beyond


@inline
def compress(mass, box, x, y, scale, factors):
    """Add what a mass adds to the square of the compression of the source's plane into that of the lens.

    With t = (θ_E / R)^p a power law compresses by |1 − t| across the direction to its centre and by 1 + (p − 1) t along
    it; p = 1 for isothermal masses. Here is a smooth bound, without what it adds where t² = FAINT; p is 1, 3/2 or 2.
    """
    if mass.family == EXTERNAL:
        return
    size, core, power = abs(mass.strength), 0.0, 1.0
    if mass.family == POWER_LAW:
        power = mass.slope - 1.0
    elif mass.family == POINT_MASS:
        power = 2.0
    elif mass.family == ISOTHERMAL:
        core = mass.scale
    elif mass.family != MULTIPOLE:
        core = 0.5 * mass.scale
    q = mass.axis_ratio if mass.axis_ratio > 0.0 else 1.0
    along = max(power - 1.0, 0.0)
    along *= 2.0 + along
    beyond = size / scale * exp64(-0.5 / power * log64(FAINT)) / np.sqrt(q)
    if size == 0.0 or not is_near(mass, box, scale, beyond):
        return
    q, flat = np.float32(q), np.float32(1.0 / q)
    c, s = np.float32(mass.cosine), np.float32(mass.sine)
    inner, area = np.float32(core * core), np.float32(size * size)
    radial = np.float32(along)
    faint = np.float32(FAINT * FAINT / (8.0 + FAINT) + along * FAINT)
    for i in range(factors.size):
        dx, dy = np.float32(x[i] - mass.x), np.float32(y[i] - mass.y)
        u, v = c * dx + s * dy, c * dy - s * dx
        square = area / (q * u * u + flat * v * v + inner + _TINY)
        if power > 1.0:
            square *= square if power == 2.0 else np.sqrt(square)
        added = square * (square / (np.float32(8.0) + square) + radial)
        factors[i] += max(added - faint, _ZERO)
