"""Windows that hand light over from rays to rays of half their distance; ``traced`` says what they are for.

A window is exp(−x²), x = (r/ρ)²: the rays of a level keep C of the light, the product of 1 − exp(−x²) over all of its
windows.
"""

from __future__ import annotations

import numpy as np

from deepbench.images.galaxies.sersic import component_ellipse
from deepbench.lensing.deflector import EXTERNAL, ISOTHERMAL, MULTIPOLE, POINT_MASS, POWER_LAW
from deepbench.numerics.kernels import inline
from deepbench.numerics.mathfast import exp32, exp64, log32, log64

LEVELS = 8
"""Number of times that the distance of rays is halved at most."""

MASS_LEVELS = 6
"""Number of times that it is halved around centres of masses."""

WINDOW = 2.3
"""ρ of a window in distances of rays."""

MASS_WINDOW = 3.0
"""ρ of a window around a centre of mass, about which light may change with the direction alone."""

SMOOTH = 0.7
"""Offset of the windows around a centre, in semi-minor half-light radii, where the light has no cusp."""

CUSP, CUSP_POWER = 0.05, -0.6
"""Offset at most, in distances of the coarsest rays: CUSP (n − ½)^CUSP_POWER for the Sérsic index n."""

REACH = 1.8
"""Distance from a window's centre, in ρ, up to which finer rays are traced; it is dark from 2 on."""

FAINT = 0.1
"""t² of a mass that compresses no more; see ``compress``."""

FAR2 = np.float32(REACH * REACH)
"""Square of REACH."""

_ZERO, _ONE, _TINY = np.float32(0.0), np.float32(1.0), np.float32(1e-20)
_MOST, _DARK = np.float32(1e30), np.float32(80.0)


@inline
def open_window(squares, width, level, levels, here, before, nearest):
    """Take a window of width ρ out of the light of this level, and one of 2ρ out of that of the level before.

    ``squares`` has the squared distances from its centre; the least of them in units of ρ² becomes ``nearest``. There
    are windows below the level ``levels``, which is the last that has rays for them.
    """
    scale, least = np.float32(1.0 / (width * width)), _MOST
    for i in range(here.size):
        least = min(least, squares[i])
    if level < levels and least * scale < FAR2:
        for i in range(here.size):
            x = squares[i] * scale
            nearest[i] = min(nearest[i], x)
            here[i] *= _ONE - exp32(-min(x * x, _DARK))
    scale *= np.float32(0.25)
    if 0 < level <= levels and least * scale < FAR2:
        for i in range(here.size):
            x = squares[i] * scale
            before[i] *= _ONE - exp32(-min(x * x, _DARK))


@inline
def _finest(row, refined):
    """Return the distance from the centre of a Sérsic profile within which its light needs no finer rays, pixels."""
    width = SMOOTH * component_ellipse(row).b
    cusp = row.sersic_index - 0.5
    if cusp <= 0.0:
        return width
    return min(width, 2.0 / refined * CUSP * cusp**CUSP_POWER)


@inline
def smallest_distance(light_of, image, refined):
    """Return the distance from the centre of a galaxy within which its light needs no finer rays, pixels."""
    found = 1e3
    for k in range(light_of.component_parts[image], light_of.component_parts[image + 1]):
        found = min(found, _finest(light_of.components[k], refined))
    for k in range(light_of.truncated_parts[image], light_of.truncated_parts[image + 1]):
        found = min(found, _finest(light_of.truncated[k], refined))
    return found


@inline
def isophotes(light_of, image, smallest):
    """Return the form xx x² + xy x y + yy y² in which distances from the centre are measured, and ``smallest``².

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
    return (
        np.float32(part * xx), np.float32(part * xy), np.float32(part * yy),
        np.float32(smallest * smallest),
    )  # fmt: skip


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
    it; p = 1 for isothermal masses. Here is a smooth bound, without what it adds where t² = FAINT.
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
    exponent, radial = np.float32(power), np.float32(along)
    faint = np.float32(FAINT * FAINT / (8.0 + FAINT) + along * FAINT)
    for i in range(factors.size):
        dx, dy = np.float32(x[i] - mass.x), np.float32(y[i] - mass.y)
        u, v = c * dx + s * dy, c * dy - s * dx
        square = area / (q * u * u + flat * v * v + inner + _TINY)
        if power != 1.0:
            square = exp32(exponent * log32(square))
        added = square * (square / (np.float32(8.0) + square) + radial)
        factors[i] += max(added - faint, _ZERO)
