"""Light of galaxies behind a plane of masses, on grids finer than the pixels, by rays traced back to the sources.

A ray starts at every second point of the grid. That is enough where the light changes slowly: ``oversampled`` convolves
the grid, and its point spread function lets no aliases of such light pass. It is not enough around cusps of the light,
centres of masses, and the edges of truncated profiles. There smooth windows exp(−(r/ρ)⁴) take the light from coarse rays
and give it to rays of half their distance, and so on. With C = Π (1 − exp(−(r/ρ)⁴)) over all such places, ρ being WINDOW
steps,

    light = light C₀ + light (C₁ − C₀) + … + light (1 − C_L),

each part is drawn by the rays of its own level, and none has structure as fine as their distance. Windows around light
are measured in the plane of the source, where images need no search. Rays between the grid's points spread their light
over the five nearest along each axis by Lagrange's weights, so that polynomials keep their integral with the light.
"""

from __future__ import annotations

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
from deepbench.lensing.deflector import EXTERNAL, PREPARED_ROW
from deepbench.lensing.plane import prepare
from deepbench.lensing.rays import SCRATCH, deflect_line
from deepbench.numerics.kernels import inline, kernel
from deepbench.numerics.mathfast import exp32, log32

LEVELS = 8
"""Number of times that the distance of rays is halved around centres of masses, and at most elsewhere."""

ARMS_LEVELS = 4
"""Number of times that it is halved around the centre of spiral arms."""

EDGE_LEVELS = 5
"""Number of times that it is halved around edges of truncated profiles."""

WINDOW = 2.5
"""ρ of a window in distances of rays."""

REACH = 2.15
"""Distance from a window's centre, in ρ, up to which finer rays are traced; it is dark from 2 on."""

GAP = 8
"""Largest number of rays between two windows that are traced with them."""

MOST = 1e30
"""Square of a radius that no light reaches."""

_ZERO, _ONE = np.float32(0.0), np.float32(1.0)
_TINY, _FAR = np.float32(1e-20), np.float32(80.0)
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
    """Arrays that the kernel writes over."""

    prepared: NDArray[np.void]
    deflection: NDArray[np.float32]
    lines: NDArray[np.float32]
    profiles: NDArray[np.float32]
    arms: NDArray[np.float32]
    terms: NDArray[np.float64]
    spread: NDArray[np.float32]


def make_scratch(points: int, masses: int) -> Scratch:
    """Return the arrays for grids of so many points along an axis and so many masses of a plane."""
    most = (points // 2 + 1) * 2**LEVELS
    return Scratch(
        prepared=np.zeros(masses, PREPARED_ROW),
        deflection=np.empty((SCRATCH, most), np.float32),
        lines=np.empty((9, most), np.float32),
        profiles=np.empty((16, 8), np.float32),
        arms=np.empty((9, most), np.float32),
        terms=np.empty(MOST_TERMS),
        spread=np.zeros(points + 8, np.float32),
    )


@inline
def _write_profile(row, end, tables, profile):
    """Write the numbers of a Sérsic profile, which ends at a circularised radius, as ``_add_sersic`` reads them."""
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


@inline
def _add_sersic(profile, bx, by, light):
    """Add the surface brightness of a Sérsic profile at points about its centre, per square pixel."""
    c, s, d, e = profile[0], profile[1], profile[2], profile[3]
    amplitude, power, rate, last = profile[4], profile[5], profile[6], profile[7]
    for i in range(light.size):
        u, v = c * bx[i] + s * by[i], d * by[i] - e * bx[i]
        square = u * u + v * v + _TINY
        value = amplitude * exp32(rate * exp32(power * log32(square)))
        light[i] += value if square < last else _ZERO


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
def _weights(t):
    """Return Lagrange's weights of the points −2 … 2 for a place t between −½ and ½."""
    a, b = t * t - 1.0, t * t - 4.0
    return (
        np.float32(t * a * (t - 2.0) / 24.0),
        np.float32(-t * b * (t - 1.0) / 6.0),
        np.float32(a * b / 4.0),
        np.float32(-t * b * (t + 1.0) / 6.0),
        np.float32(t * a * (t + 2.0) / 24.0),
    )


@inline
def _deposit(grid, row, first, light, level, spread):
    """Add the light of rays of a level to a grid; ``row`` and ``first`` are numbers among the rays of the level."""
    size = grid.shape[0]
    if level < 2:
        stride = 2 - level
        target = grid[row * stride]
        for i in range(light.size):
            target[(first + i) * stride] += light[i]
        return
    parts = 2 ** (level - 1)
    begin = max((first + parts // 2) // parts - 2, 0)
    end = min((first + light.size - 1 + parts // 2) // parts + 3, size)
    line = spread[4:]  # what falls beyond the grid's edge is left in the margins
    for phase in range(min(parts, light.size)):
        number = first + phase
        nearest = (number + parts // 2) // parts
        w0, w1, w2, w3, w4 = _weights(number / parts - nearest)
        for k in range((light.size - phase + parts - 1) // parts):
            value, at = light[phase + k * parts], nearest + k + 2
            spread[at] += w0 * value
            spread[at + 1] += w1 * value
            spread[at + 2] += w2 * value
            spread[at + 3] += w3 * value
            spread[at + 4] += w4 * value
    nearest = (row + parts // 2) // parts
    weights = _weights(row / parts - nearest)
    for m in range(5):
        at = nearest - 2 + m
        if 0 <= at < size:
            target, weight = grid[at], weights[m]
            for i in range(begin, end):
                target[i] += weight * line[i]
    spread[max(begin, 0) : end + 8] = _ZERO


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
def _trace_run(
    light_of, image, masses, scale, start, step, level, run, profiles, disk, terms, scratch, levels
):
    """Write the light of a run of rays of a level, and how near they come to a window; return their number."""
    row, first, last = run
    n = last - first
    x, y = start + first * step, start + row * step
    lines = scratch.lines
    bx, by, squares, here, before = (
        lines[0][:n], lines[1][:n], lines[2][:n], lines[3][:n], lines[4][:n],
    )  # fmt: skip
    nearest, light = lines[5][:n], lines[6][:n]
    ax, ay = lines[7][:n], lines[8][:n]
    origin_x, origin_y = light_of.origins[image]
    deflect_line(
        masses, (x - origin_x) * scale, (y - origin_y) * scale, step * scale,
        scratch.deflection, ax, ay,
    )  # fmt: skip
    centre_x, centre_y = light_of.centres[image]
    from_x, from_y = np.float32(x - centre_x), np.float32(y - centre_y)
    step32, pixels = np.float32(step), np.float32(1.0 / scale)
    for i in range(n):
        bx[i] = from_x + np.float32(np.int32(i)) * step32 - pixels * ax[i]
        by[i] = from_y - pixels * ay[i]
        squares[i] = bx[i] * bx[i] + by[i] * by[i]
        here[i], before[i], light[i], nearest[i] = _ONE, _ONE, _ZERO, np.float32(MOST)
    width = WINDOW * step
    _open(squares, width, level, levels, here, before, nearest)
    beyond = 2.0 * REACH * width
    for k in range(masses.shape[0]):
        if masses[k].family == EXTERNAL:
            continue
        mass_x, mass_y = origin_x + masses[k].x / scale, origin_y + masses[k].y / scale
        if abs(y - mass_y) > beyond or x - mass_x > beyond or mass_x - (x + n * step) > beyond:
            continue
        dx, dy = np.float32(x - mass_x), np.float32(y - mass_y)
        for i in range(n):
            u = dx + np.float32(np.int32(i)) * step32
            squares[i] = u * u + dy * dy
        _open(squares, width, level, LEVELS, here, before, nearest)
    area = np.float32(step * step)
    for k in range(profiles.shape[0]):
        _add_sersic(profiles[k], bx, by, light)
    for k in range(light_of.truncated_parts[image], light_of.truncated_parts[image + 1]):
        own = light_of.truncated[k]
        shape = component_ellipse(own)
        c, s, q = np.float32(shape.cosine), np.float32(shape.sine), shape.b / shape.a
        flat, radius = np.float32(q * q), np.float32(own.truncation * np.sqrt(q))
        for i in range(n):
            u, v = c * bx[i] + s * by[i], c * by[i] - s * bx[i]
            distance = np.sqrt(flat * u * u + v * v) - radius
            squares[i] = distance * distance
        _open(squares, width, level, EDGE_LEVELS, here, before, nearest)
    for i in range(n):
        light[i] *= area
    if terms.size > 0:
        _add_arms(disk, terms, step, bx, by, scratch.arms, light)
    for i in range(n):
        light[i] *= here[i] - (before[i] if level > 0 else _ZERO)
    return n


@inline
def _cusp_levels(row, refined):
    """Return how often the distance of rays is halved around the cusp of a Sérsic profile."""
    width = component_ellipse(row).b * 0.5 * refined
    narrow = max(-1.442695 * np.float64(log32(np.float32(width))), 0.0)
    return int(min(np.ceil(2.0 + 0.75 * row.sersic_index + narrow), float(LEVELS)))


@inline
def _levels(light_of, image, refined):
    """Return how often the distance of rays is halved around the centre of a galaxy."""
    levels = 0
    for k in range(light_of.component_parts[image], light_of.component_parts[image + 1]):
        levels = max(levels, _cusp_levels(light_of.components[k], refined))
    for k in range(light_of.truncated_parts[image], light_of.truncated_parts[image + 1]):
        levels = max(levels, _cusp_levels(light_of.truncated[k], refined))
    if light_of.arms_parts[image + 1] > light_of.arms_parts[image]:
        levels = max(levels, ARMS_LEVELS)
    return levels


@inline
def _write_profiles(light_of, image, tables, profiles):
    """Return the numbers of all Sérsic profiles of a galaxy, float32[n, 8]."""
    count = 0
    for k in range(light_of.component_parts[image], light_of.component_parts[image + 1]):
        _write_profile(light_of.components[k], MOST, tables, profiles[count])
        count += 1
    for k in range(light_of.truncated_parts[image], light_of.truncated_parts[image + 1]):
        own = light_of.truncated[k]
        _write_profile(own, own.truncation, tables, profiles[count])
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
        profiles = _write_profiles(light_of, image, tables, scratch.profiles)
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
        levels = _levels(light_of, image, refined)
        for level in range(LEVELS + 1):
            step = 2.0 / (refined * 2**level)
            finer, more = np.empty((64, 3), np.int64), 0
            for r in range(count):
                n = _trace_run(
                    light_of,
                    image,
                    masses,
                    scale,
                    start,
                    step,
                    level,
                    runs[r],
                    profiles,
                    disk,
                    terms,
                    scratch,
                    levels,
                )
                light = scratch.lines[6][:n]
                row, begin = runs[r, 0], runs[r, 1]
                _deposit(grids[image], row, begin, light, level, scratch.spread)
                for i in range(n):
                    total += light[i]
                if level < LEVELS:
                    finer, more = _mark(scratch.lines[5][:n], row, begin, finer, more)
            runs, count = finer, more
        found[image] = total
