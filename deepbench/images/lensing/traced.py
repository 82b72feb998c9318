"""Light of galaxies behind a plane of masses, on grids finer than the pixels, by rays traced back to the sources.

A ray starts at every second point of the grid. That is enough where the light changes slowly: ``oversampled``
convolves the grid, and its point spread function lets no aliases of such light pass. It is not enough around cusps of
the light, centres of masses, and edges of truncated profiles. There smooth windows exp(−x²), x = (r/ρ)², take the light
from coarse rays and give it to rays of half their distance, and so on. With C = Π (1 − exp(−x²)) over all such places,
ρ being WINDOW steps,

    light = light C₀ + light (C₁ − C₀) + … + light (1 − C_L),

each part is drawn by the rays of its own level, and none has structure as fine as their distance. Windows around light
are measured in the plane of the source, where images need no search, along its isophotes, and are wider where masses
compress the source. x has an offset there: at the level that resolves the offset, the windows close. Within it a
polynomial stands for the cusp, with the same light and the same second moments.

Rays between the grid's points spread their light over the nearest along each axis by Lagrange's weights, so that
polynomials keep their integral with the light. Rays are traced by blocks, whatever the lines they lie on.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepbench.images.galaxies.arms import MOST_TERMS, add_at, make_disk, write_series
from deepbench.images.galaxies.model import ARMS_ROW
from deepbench.images.galaxies.sersic import (
    component_ellipse,
    light_outside,
    shape_constants,
    within_range,
)
from deepbench.lensing.deflector import (
    EXTERNAL,
    ISOTHERMAL,
    MULTIPOLE,
    POINT_MASS,
    POWER_LAW,
    PREPARED_ROW,
)
from deepbench.lensing.plane import prepare
from deepbench.lensing.rays import SCRATCH, deflect_points
from deepbench.numerics.kernels import inline, kernel
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

ARMS = 0.3
"""Offset of the windows around the centre of spiral arms, which are wider (pixel)."""

ARMS_PART = 0.33
"""Their ρ in steps, in units of ``Disk.core``."""

EDGE = 0.16
"""Offset around edges of truncated profiles (pixel)."""

CORE = 0.7
"""Semi-minor axis of the window in which a polynomial stands for a cusp, in offsets."""

CORE_FIRST, CORE_STEP, CORE_STEPS = -20.0, 0.25, 86
"""Points of ln t in the sums over a cusp: the first, their distance and their number."""

REACH = 1.8
"""Distance from a window's centre, in ρ, up to which finer rays are traced; it is dark from 2 on."""

GAP = 8
"""Largest number of rays between two windows that are traced with them."""

BLOCK = 512
"""Number of rays that are traced together."""

BESIDE = 3
"""Points on either side of the nearest over which the light of a ray is spread along an axis."""

PLACES = 2 ** (LEVELS - 1)
"""Number of rays of the finest level between two points of the grid."""

FAINT = 0.1
"""t² of a mass that compresses no more; see ``_compress``."""

MOST = 1e30
"""Square of a radius that no light reaches."""

_ZERO, _ONE = np.float32(0.0), np.float32(1.0)
_TINY, _FAR = np.float32(1e-20), np.float32(80.0)
_ARMS, _EDGE = np.float32(ARMS * ARMS), np.float32(EDGE * EDGE)
_REACH2 = np.float32(REACH * REACH)


class LensedLight(NamedTuple):
    """The light of lensed galaxies, in pixels of their stamps, and the masses before each.

    Attributes
    ----------
    planes : int64[m, 2]
        Galaxy i is seen through the masses ``planes[i, 0]`` … ``planes[i, 1] - 1``.
    masses : DEFLECTOR_ROW[d]
    origins : float64[m, 2]
        Origin of each plane.
    centres : float64[m, 2]
        Where each galaxy is without masses.
    components, arms, truncated : structured arrays
        ``COMPONENT_ROW``, ``ARMS_ROW`` and ``TRUNCATED_ROW``.
    component_parts, arms_parts, truncated_parts : int64[m + 1]
        Galaxy i has the rows ``parts[i]`` … ``parts[i + 1] - 1`` of each.
    """

    planes: NDArray[np.int64]
    masses: NDArray[np.void]
    origins: NDArray[np.float64]
    centres: NDArray[np.float64]
    components: NDArray[np.void]
    component_parts: NDArray[np.int64]
    arms: NDArray[np.void]
    arms_parts: NDArray[np.int64]
    truncated: NDArray[np.void]
    truncated_parts: NDArray[np.int64]


class Scratch(NamedTuple):
    """Arrays that the kernel writes over, and the table of Lagrange's weights."""

    prepared: NDArray[np.void]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    pieces: NDArray[np.int64]
    deflection: NDArray[np.float32]
    lines: NDArray[np.float32]
    profiles: NDArray[np.float32]
    arms: NDArray[np.float32]
    terms: NDArray[np.float64]
    weights: NDArray[np.float32]
    spread: NDArray[np.float32]


def make_scratch(points: int, masses: int) -> Scratch:
    """Return the arrays for grids of so many points along an axis and so many masses of a plane."""
    return Scratch(
        prepared=np.zeros(masses, PREPARED_ROW),
        x=np.empty(BLOCK),
        y=np.empty(BLOCK),
        pieces=np.empty((BLOCK, 4), np.int64),
        deflection=np.empty((SCRATCH, BLOCK), np.float32),
        lines=np.empty((11, BLOCK), np.float32),
        profiles=np.empty((16, 11), np.float32),
        arms=np.empty((9, BLOCK), np.float32),
        terms=np.empty(MOST_TERMS),
        weights=_lagrange_weights(),
        spread=np.zeros(points + 4 * BESIDE + 2, np.float32),
    )


@lru_cache(maxsize=1)
def _lagrange_weights() -> NDArray[np.float32]:
    """Return Lagrange's weights of the points −BESIDE … BESIDE for places −½ … ½ in steps of 1 / PLACES."""
    places = np.arange(PLACES + 1)[:, None] / PLACES - 0.5
    points = np.arange(-BESIDE, BESIDE + 1)
    weights = [
        np.prod(
            [(places[:, 0] - other) / (own - other) for other in points if other != own], axis=0
        )
        for own in points
    ]
    return np.stack(weights, axis=1).astype(np.float32)


@inline
def _write_profile(row, end, core, tables, profile):
    """Write the numbers of a Sérsic profile, which ends at a circularised radius, as ``_add_sersic`` reads them.

    ``core`` is ε, the circularised radius of the window in which a polynomial stands for the cusp.
    """
    shape = component_ellipse(row)
    rate, norm = shape_constants(row.sersic_index, tables)
    part, last = 1.0, MOST
    if end < MOST:
        radius = end / row.half_light_radius
        part, last = 1.0 - light_outside(radius, row.sersic_index, tables), radius * radius
    profile[0], profile[1] = shape.cosine / shape.a, shape.sine / shape.a
    profile[2], profile[3] = shape.cosine / shape.b, shape.sine / shape.b
    profile[4] = row.flux * norm / (part * shape.a * shape.b)
    profile[5], profile[6] = 0.5 / within_range(row.sersic_index), -rate
    profile[7] = last
    epsilon = min(core / row.half_light_radius, 0.4 * np.sqrt(last))
    profile[8] = 1.0 / (epsilon * epsilon)
    profile[9], profile[10] = _core(within_range(row.sersic_index), rate, epsilon * epsilon)


@inline
def _core(index, rate, square):
    """Return the polynomial a + b t, t = (r/ε)², that has the light and the second moments of a profile in a window.

    With the window exp(−t²), ∫ (a + b t) t^k exp(−t²) dt is that of the profile, for k = 0 and 1. The sums are over
    equal steps of ln t.
    """
    zeroth, first = 0.0, 0.0
    for i in range(CORE_STEPS):
        logarithm = CORE_FIRST + i * CORE_STEP
        t = exp64(logarithm)
        light = t * exp64(-t * t - rate * exp64(0.5 / index * (logarithm + log64(square))))
        zeroth += light
        first += t * light
    zeroth *= CORE_STEP
    first *= CORE_STEP
    # the moments of the window are √π/2, 1/2 and √π/4
    determinant = np.pi / 8.0 - 0.25
    root = np.sqrt(np.pi)
    return (
        (0.25 * root * zeroth - 0.5 * first) / determinant,
        (0.5 * root * first - 0.5 * zeroth) / determinant,
    )


@inline
def _add_sersic(profile, bx, by, squares, values, least, light):
    """Add the surface brightness of a Sérsic profile at points about its centre, per square pixel.

    ``squares`` and ``values`` are scratch; the points are no nearer to the centre than ``least``, a square.
    """
    c, s, d, e = profile[0], profile[1], profile[2], profile[3]
    amplitude, power, rate, last = profile[4], profile[5], profile[6], profile[7]
    for i in range(light.size):
        u, v = c * bx[i] + s * by[i], d * by[i] - e * bx[i]
        square = u * u + v * v + _TINY
        value = amplitude * exp32(rate * exp32(power * log32(square)))
        squares[i], values[i] = square, value
        light[i] += value if square < last else _ZERO
    narrow = profile[8]
    if least * min(c * c + s * s, d * d + e * e) * narrow > _REACH2 * np.float32(4.0):
        return
    constant, linear = amplitude * profile[9], amplitude * profile[10]
    for i in range(light.size):
        t = squares[i] * narrow
        light[i] += exp32(-min(t * t, _FAR)) * (constant + linear * t - values[i])


@inline
def _add_arms(disk, terms, step, bx, by, lines, light):
    """Add the light of spiral arms per ray, in squares of the distance ``step``, at points about their centre."""
    c, s, q = np.float32(disk.cosine), np.float32(disk.sine), np.float32(1.0 / disk.axis_ratio)
    us, vs, squares = lines[0], lines[1], lines[2]
    for i in range(light.size):
        u, v = c * bx[i] + s * by[i], q * (c * by[i] - s * bx[i])
        us[i], vs[i] = u, v
        squares[i] = u * u + v * v + _TINY
    add_at(disk, terms, step, 0.0, MOST, lines, light)


@inline
def _open(squares, width, level, levels, here, before, nearest):
    """Take a window of width ρ out of the light of this level, and one of 2ρ out of that of the level before.

    ``squares`` has the squared distances from its centre; the least of them in units of ρ² becomes ``nearest``. There
    are windows below the level ``levels``, which is the last that has rays for them.
    """
    scale, least = np.float32(1.0 / (width * width)), np.float32(MOST)
    for i in range(here.size):
        least = min(least, squares[i])
    if level < levels and least * scale < _REACH2:
        for i in range(here.size):
            x = squares[i] * scale
            nearest[i] = min(nearest[i], x)
            here[i] *= _ONE - exp32(-min(x * x, _FAR))
    scale *= np.float32(0.25)
    if 0 < level <= levels and least * scale < _REACH2:
        for i in range(here.size):
            x = squares[i] * scale
            before[i] *= _ONE - exp32(-min(x * x, _FAR))


@inline
def _deposit(grid, row, first, light, level, table, spread):
    """Add the light of rays of a level to a grid; ``row`` and ``first`` are numbers among the rays of the level."""
    size = grid.shape[0]
    if level < 2:
        stride = 2 - level
        target = grid[row * stride]
        for i in range(light.size):
            target[(first + i) * stride] += light[i]
        return
    parts = 2 ** (level - 1)
    half, each = parts // 2, PLACES // parts
    for i in range(light.size):
        place = first + i + half
        nearest = place // parts
        weights, value = table[(place - nearest * parts) * each], light[i]
        for m in range(2 * BESIDE + 1):
            spread[nearest + BESIDE + m] += weights[m] * value
    begin = max((first + half) // parts - BESIDE, 0)
    end = min((first + light.size - 1 + half) // parts + BESIDE + 1, size)
    line = spread[2 * BESIDE :]  # what falls beyond the grid's edge is left in the margins
    place = row + half
    nearest = place // parts
    weights = table[(place - nearest * parts) * each]
    for m in range(2 * BESIDE + 1):
        at = nearest - BESIDE + m
        if 0 <= at < size:
            target, weight = grid[at], weights[m]
            for i in range(begin, end):
                target[i] += weight * line[i]
    spread[begin : end + 4 * BESIDE] = _ZERO


@inline
def _mark(nearest, row, first, runs, count):
    """Append the runs of the next level's rays that windows reach to a list; return it and its length."""
    i = 0
    while i < nearest.size:
        if nearest[i] > _REACH2:
            i += 1
            continue
        begin, end = i, i + 1
        i += 1
        while i < nearest.size and i - end < GAP:
            if nearest[i] <= _REACH2:
                end = i + 1
            i += 1
        if count + 2 > runs.shape[0]:
            longer = np.empty((2 * runs.shape[0], 3), np.int64)
            longer[:count] = runs[:count]
            runs = longer
        for below in range(2):
            runs[count, 0] = 2 * row + below
            runs[count, 1] = 2 * (first + begin)
            runs[count, 2] = 2 * (first + end)
            count += 1
        i = end
    return runs, count


@inline
def _trace(light_of, image, masses, scale, step, level, n, profiles, disk, terms, scratch, form):
    """Write the light of n rays of a level, and how near they come to a window."""
    lines = scratch.lines
    x, y = scratch.x[:n], scratch.y[:n]
    bx, by, squares, here, before = (
        lines[0][:n], lines[1][:n], lines[2][:n], lines[3][:n], lines[4][:n],
    )  # fmt: skip
    nearest, light, inverse = lines[5][:n], lines[6][:n], lines[9][:n]
    ax, ay, values = lines[7][:n], lines[8][:n], lines[10][:n]
    origin_x, origin_y = light_of.origins[image]
    centre_x, centre_y = light_of.centres[image]
    left, right = x[0], x[0]
    for i in range(n):
        left, right = min(left, x[i]), max(right, x[i])
    low, high = y[0], y[n - 1]
    for i in range(n):
        bx[i], by[i] = np.float32(x[i] - centre_x), np.float32(y[i] - centre_y)
        x[i], y[i] = (x[i] - origin_x) * scale, (y[i] - origin_y) * scale
    deflect_points(masses, x, y, scratch.deflection, ax, ay)
    pixels = np.float32(1.0 / scale)
    xx, xy, yy, smallest = form
    for i in range(n):
        bx[i] -= pixels * ax[i]
        by[i] -= pixels * ay[i]
        squares[i] = xx * bx[i] * bx[i] + by[i] * (xy * bx[i] + yy * by[i])
        here[i], before[i], light[i], nearest[i] = _ONE, _ONE, _ZERO, np.float32(MOST)
    least = np.float32(MOST)
    for i in range(n):
        least = min(least, squares[i])
        inverse[i] = _ONE
    box = (left - origin_x, right - origin_x, low - origin_y, high - origin_y)
    for k in range(masses.shape[0]):
        _compress(masses[k], box, x, y, scale, inverse)
    for i in range(n):
        inverse[i] = _ONE / inverse[i]
        squares[i] = (squares[i] + smallest) * inverse[i]
    width = WINDOW * step
    _open(squares, width, level, LEVELS, here, before, nearest)
    width = MASS_WINDOW * step
    beyond = 2.0 * REACH * width
    for k in range(masses.shape[0]):
        if masses[k].family == EXTERNAL or not _is_near(masses[k], box, scale, beyond):
            continue
        own_x, own_y = masses[k].x, masses[k].y
        for i in range(n):
            dx, dy = pixels * np.float32(x[i] - own_x), pixels * np.float32(y[i] - own_y)
            squares[i] = dx * dx + dy * dy
        _open(squares, width, level, MASS_LEVELS, here, before, nearest)
    width = WINDOW * step
    if terms.size > 0:
        wide = np.float32(WINDOW / (ARMS_PART * disk.core))
        wide *= wide
        for i in range(n):
            square = xx * bx[i] * bx[i] + by[i] * (xy * bx[i] + yy * by[i])
            squares[i] = (wide * square + _ARMS) * inverse[i]
        _open(squares, width, level, LEVELS, here, before, nearest)
    area = np.float32(step * step)
    for k in range(profiles.shape[0]):
        _add_sersic(profiles[k], bx, by, squares, values, least, light)
    for k in range(light_of.truncated_parts[image], light_of.truncated_parts[image + 1]):
        own = light_of.truncated[k]
        shape = component_ellipse(own)
        c, s, q = np.float32(shape.cosine), np.float32(shape.sine), shape.b / shape.a
        flat, radius = np.float32(q * q), np.float32(own.truncation * np.sqrt(q))
        for i in range(n):
            u, v = c * bx[i] + s * by[i], c * by[i] - s * bx[i]
            distance = np.sqrt(flat * u * u + v * v) - radius
            squares[i] = (distance * distance + _EDGE) * inverse[i]
        _open(squares, width, level, LEVELS, here, before, nearest)
    for i in range(n):
        light[i] *= area
    if terms.size > 0:
        _add_arms(disk, terms, step, bx, by, scratch.arms, light)
    for i in range(n):
        light[i] *= here[i] - (before[i] if level > 0 else _ZERO)


@inline
def _finest(row, refined):
    """Return the distance from the centre of a Sérsic profile within which its light needs no finer rays, pixels."""
    width = SMOOTH * component_ellipse(row).b
    cusp = row.sersic_index - 0.5
    if cusp <= 0.0:
        return width
    return min(width, 2.0 / refined * CUSP * cusp**CUSP_POWER)


@inline
def _smallest(light_of, image, refined):
    """Return the distance from the centre of a galaxy within which its light needs no finer rays, pixels."""
    found = 1e3
    for k in range(light_of.component_parts[image], light_of.component_parts[image + 1]):
        found = min(found, _finest(light_of.components[k], refined))
    for k in range(light_of.truncated_parts[image], light_of.truncated_parts[image + 1]):
        found = min(found, _finest(light_of.truncated[k], refined))
    return found


@inline
def _form(light_of, image, smallest):
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
def _is_near(mass, box, scale, beyond):
    """Tell whether a mass is within a distance of a box; both in pixels from the origin of the plane."""
    x, y = mass.x / scale, mass.y / scale
    left, right, low, high = box
    return left - beyond < x < right + beyond and low - beyond < y < high + beyond


@inline
def _compress(mass, box, x, y, scale, factors):
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
    if size == 0.0 or not _is_near(mass, box, scale, beyond):
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


@inline
def _write_profiles(light_of, image, smallest, tables, profiles):
    """Return the numbers of all Sérsic profiles of a galaxy, float32[n, 8]."""
    count = 0
    for k in range(light_of.component_parts[image], light_of.component_parts[image + 1]):
        own = light_of.components[k]
        core = CORE * smallest / component_ellipse(own).b * own.half_light_radius
        _write_profile(own, MOST, core, tables, profiles[count])
        count += 1
    for k in range(light_of.truncated_parts[image], light_of.truncated_parts[image + 1]):
        own = light_of.truncated[k]
        core = CORE * smallest / component_ellipse(own).b * own.half_light_radius
        _write_profile(own, own.truncation, core, tables, profiles[count])
        count += 1
    return profiles[:count]


@kernel
def write_traced(grids, light_of, scale, start, refined, tables, scratch, found):
    """Add the light of lensed galaxies per point to fine grids; see ``oversampled.convolve``.

    Parameters
    ----------
    grids : float32[m, N, N]
        Changed.
    light_of : LensedLight
    scale : float
        Arcseconds per pixel.
    start : float
        Pixel along both axes at which the grids begin.
    refined : int
        Points of the grid per pixel.
    tables : SersicTables
    scratch : Scratch
    found : float64[m]
        Written: the light of each on its grid.
    """
    blank = np.zeros(1, ARMS_ROW)
    for image in range(grids.shape[0]):
        first, last = light_of.planes[image]
        masses = scratch.prepared[: last - first]
        prepare(light_of.masses[first:last], masses)
        smallest = _smallest(light_of, image, refined)
        profiles = _write_profiles(light_of, image, smallest, tables, scratch.profiles)
        disk, terms = make_disk(blank[0], tables), scratch.terms[:0]
        if light_of.arms_parts[image + 1] > light_of.arms_parts[image]:
            arms = light_of.arms[light_of.arms_parts[image]]
            disk = make_disk(arms, tables)
            terms = scratch.terms[: write_series(arms.arm_width, scratch.terms)]
        rows = grids.shape[1] // 2
        runs = np.empty((rows, 3), np.int64)
        for row in range(rows):
            runs[row, 0], runs[row, 1], runs[row, 2] = row, 0, rows
        count, total = rows, 0.0
        form = _form(light_of, image, smallest)
        for level in range(LEVELS + 1):
            step = 2.0 / (refined * 2**level)
            finer, more = np.empty((64, 3), np.int64), 0
            r = 0
            while r < count:
                n, pieces = 0, 0
                while r < count and n < BLOCK:  # runs that are traced together
                    row, begin = runs[r, 0], runs[r, 1]
                    taken = min(runs[r, 2] - begin, BLOCK - n)
                    for i in range(taken):
                        scratch.x[n + i] = start + (begin + i) * step
                        scratch.y[n + i] = start + row * step
                    piece = scratch.pieces[pieces]
                    piece[0], piece[1], piece[2], piece[3] = row, begin, n, n + taken
                    n, pieces = n + taken, pieces + 1
                    runs[r, 1] += taken
                    if runs[r, 1] == runs[r, 2]:
                        r += 1
                _trace(
                    light_of, image, masses, scale, step, level, n, profiles, disk, terms,
                    scratch, form,
                )  # fmt: skip
                for p in range(pieces):
                    row, begin, here, end = scratch.pieces[p]
                    light = scratch.lines[6][here:end]
                    _deposit(
                        grids[image], row, begin, light, level, scratch.weights, scratch.spread
                    )
                    for i in range(light.size):
                        total += light[i]
                    if level < LEVELS:
                        nearest = scratch.lines[5][here:end]
                        finer, more = _mark(nearest, row, begin, finer, more)
            runs, count = finer, more
        found[image] = total
