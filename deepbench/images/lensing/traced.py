"""Light of galaxies behind a plane of masses, on grids finer than the pixels, by rays traced back to the sources.

A ray starts at every second point of the grid. That is enough where the light changes slowly: ``oversampled``
convolves the grid, and its point spread function lets no aliases of such light pass. It is not enough around cusps of
the light, centres of masses, and edges of truncated profiles. There smooth windows take the light from coarse
rays and give it to rays of half their distance, and so on. With C = Π (1 − window) over all such places, their radii
being a few steps,

    light = light C₀ + light (C₁ − C₀) + … + light (1 − C_L),

each part is drawn by the rays of its own level, and none has structure as fine as their distance. Finer rays have
smaller windows in steps of theirs, because what they err by is less light. Windows around light are measured in the
plane of the source, where images need no search, along its isophotes, and are wider where masses compress the source.
Distances have an offset there: at the level that resolves the offset, the windows close. Within it a polynomial stands
for the cusp, with the same light and the same second moments.

Rays between the grid's points spread their light over the nearest along each axis by Lagrange's weights, so that
polynomials keep their integral with the light. Rays are traced by blocks, whatever the lines they lie on.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepbench.images.galaxies.arms import MOST_TERMS, add_at, make_disk, write_series
from deepbench.images.galaxies.model import ARMS_ROW
from deepbench.images.galaxies.sersic import component_ellipse
from deepbench.images.lensing.cusps import MOST, NUMBERS, add_sersic, write_profiles
from deepbench.images.lensing.deposit import TOGETHER, WIDTH, deposit, lagrange_weights
from deepbench.images.lensing.windows import (
    LEAST_SIZE,
    LEVELS,
    MARGIN,
    MASS_EXTENT,
    MASS_LEVELS,
    MASS_RADIUS,
    MOST_COMPRESSED,
    compress,
    is_near,
    isophotes,
    least_of,
    open_window,
    smallest_distance,
    smallest_extent,
    window_radius,
)
from deepbench.lensing.deflector import EXTERNAL, PREPARED_ROW
from deepbench.lensing.plane import prepare
from deepbench.lensing.rays import SCRATCH, deflect_points
from deepbench.numerics.kernels import inline, kernel

ARMS = 0.3
"""Offset of the windows around the centre of spiral arms, which are wider (pixel)."""

ARMS_PART = 0.14
"""Their width over that of other windows, in units of ``Disk.core``."""

EDGE = 0.16
"""Offset around edges of truncated profiles (pixel)."""

GAP = 8
"""Largest number of rays between two windows that are traced with them."""

BLOCK = 512
"""Number of rays that are traced together."""

_ZERO, _ONE = np.float32(0.0), np.float32(1.0)
_TINY = np.float32(1e-20)
_MOST, _MOST_COMPRESSED = np.float32(MOST), np.float32(MOST_COMPRESSED)
_ARMS, _EDGE = np.float32(ARMS * ARMS), np.float32(EDGE * EDGE)


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
    sizes : float64[m]
        FWHM of the point spread function along the minor axis; 0 where only the grid's refinement tells.
    components, arms, truncated : structured arrays
        ``COMPONENT_ROW``, ``ARMS_ROW`` and ``TRUNCATED_ROW``.
    component_parts, arms_parts, truncated_parts : int64[m + 1]
        Galaxy i has the rows ``parts[i]`` … ``parts[i + 1] - 1`` of each.
    """

    planes: NDArray[np.int64]
    masses: NDArray[np.void]
    origins: NDArray[np.float64]
    centres: NDArray[np.float64]
    sizes: NDArray[np.float64]
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
    values: NDArray[np.float32]
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
        profiles=np.empty((16, NUMBERS), np.float32),
        arms=np.empty((9, BLOCK), np.float32),
        terms=np.empty(MOST_TERMS),
        weights=lagrange_weights(),
        values=np.zeros(BLOCK + 2 * TOGETHER, np.float32),
        spread=np.zeros(points + 3 * WIDTH, np.float32),
    )


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
def _mark(nearest, row, first, runs, count):
    """Append the runs of the next level's rays that windows reach to a list; return its length."""
    i = 0
    while i < nearest.size:
        if nearest[i] > _ONE:
            i += 1
            continue
        begin, end = i, i + 1
        i += 1
        while i < nearest.size and i - end < GAP:
            if nearest[i] <= _ONE:
                end = i + 1
            i += 1
        for below in range(2):
            runs[count, 0] = 2 * row + below
            runs[count, 1] = 2 * (first + begin)
            runs[count, 2] = 2 * (first + end)
            count += 1
        i = end
    return count


@inline
def _trace(
    light_of, image, masses, scale, step, level, n, box, profiles, disk, terms, scratch, form
):
    """Write the light of n rays of a level, which lie in a box, and how near they come to a window."""
    lines = scratch.lines
    x, y = scratch.x[:n], scratch.y[:n]
    bx, by, squares, here, before = (
        lines[0][:n], lines[1][:n], lines[2][:n], lines[3][:n], lines[4][:n],
    )  # fmt: skip
    nearest, light, inverse = lines[5][:n], lines[6][:n], lines[9][:n]
    ax, ay, values = lines[7][:n], lines[8][:n], lines[10][:n]
    origin_x, origin_y = light_of.origins[image]
    centre_x, centre_y = light_of.centres[image]
    left, right, low, high = box
    box = (left - origin_x, right - origin_x, low - origin_y, high - origin_y)
    for i in range(n):
        bx[i], by[i] = np.float32(x[i] - centre_x), np.float32(y[i] - centre_y)
        x[i], y[i] = (x[i] - origin_x) * scale, (y[i] - origin_y) * scale
    deflect_points(masses, x, y, scratch.deflection, ax, ay)
    pixels = np.float32(1.0 / scale)
    xx, xy, yy, smallest, size, extent = form
    for i in range(n):
        bx[i] -= pixels * ax[i]
        by[i] -= pixels * ay[i]
        squares[i] = xx * bx[i] * bx[i] + by[i] * (xy * bx[i] + yy * by[i])
        here[i], before[i], light[i], nearest[i], inverse[i] = _ONE, _ONE, _ZERO, _MOST, _ONE
    least = least_of(squares)
    for k in range(masses.shape[0]):
        compress(masses[k], box, x, y, scale, inverse)
    for i in range(n):
        inverse[i] = _ONE / min(inverse[i], _MOST_COMPRESSED)
        squares[i] = (squares[i] + smallest * smallest) * inverse[i]
    margin = MARGIN * step
    radius = window_radius(level, LEVELS, step, size, extent)
    earlier = window_radius(level - 1, LEVELS, 2.0 * step, size, extent)
    open_window(squares, radius, earlier, margin, here, before, nearest)
    if terms.size > 0:
        wide = np.float32(1.0 / (ARMS_PART * disk.core))
        wide *= wide
        for i in range(n):
            square = xx * bx[i] * bx[i] + by[i] * (xy * bx[i] + yy * by[i])
            squares[i] = (wide * square + _ARMS) * inverse[i]
        open_window(squares, radius, earlier, margin, here, before, nearest)
    for k in range(profiles.shape[0]):
        add_sersic(profiles[k], bx, by, squares, values, least, light)
    for k in range(light_of.truncated_parts[image], light_of.truncated_parts[image + 1]):
        own = light_of.truncated[k]
        shape = component_ellipse(own)
        c, s, q = np.float32(shape.cosine), np.float32(shape.sine), shape.b / shape.a
        flat, end = np.float32(q * q), np.float32(own.truncation * np.sqrt(q))
        for i in range(n):
            u, v = c * bx[i] + s * by[i], c * by[i] - s * bx[i]
            distance = np.sqrt(flat * u * u + v * v) - end
            squares[i] = (distance * distance + _EDGE) * inverse[i]
        open_window(squares, radius, earlier, margin, here, before, nearest)
    radius = MASS_RADIUS * window_radius(level, MASS_LEVELS, step, size, MASS_EXTENT)
    earlier = MASS_RADIUS * window_radius(level - 1, MASS_LEVELS, 2.0 * step, size, MASS_EXTENT)
    for k in range(masses.shape[0]):
        if masses[k].family == EXTERNAL or not is_near(masses[k], box, scale, max(radius, earlier)):
            continue
        own_x, own_y = masses[k].x, masses[k].y
        for i in range(n):
            dx, dy = pixels * np.float32(x[i] - own_x), pixels * np.float32(y[i] - own_y)
            squares[i] = dx * dx + dy * dy
        open_window(squares, radius, earlier, margin, here, before, nearest)
    area = np.float32(step * step)
    for i in range(n):
        light[i] *= area
    if terms.size > 0:
        _add_arms(disk, terms, step, bx, by, scratch.arms, light)
    for i in range(n):
        light[i] *= here[i] - (before[i] if level > 0 else _ZERO)


@inline
def _sum(grid, line):
    """Return the sum of a grid; ``line`` is dark scratch, which is left dark."""
    line, total = line[: grid.shape[1]], 0.0
    for j in range(grid.shape[0]):
        row = grid[j]
        for i in range(line.size):
            line[i] += row[i]
    for i in range(line.size):
        total += line[i]
        line[i] = _ZERO
    return total


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
        size = max(light_of.sizes[image], LEAST_SIZE * 2.0 / refined)
        smallest = smallest_distance(light_of, image, size)
        profiles = write_profiles(light_of, image, smallest, tables, scratch.profiles)
        disk, terms = make_disk(blank[0], tables), scratch.terms[:0]
        if light_of.arms_parts[image + 1] > light_of.arms_parts[image]:
            arms = light_of.arms[light_of.arms_parts[image]]
            disk = make_disk(arms, tables)
            terms = scratch.terms[: write_series(arms.arm_width, scratch.terms)]
        rows = grids.shape[1] // 2
        runs = np.empty((rows, 3), np.int64)
        for row in range(rows):
            runs[row, 0], runs[row, 1], runs[row, 2] = row, 0, rows
        count = rows
        xx, xy, yy = isophotes(light_of, image)
        form = (xx, xy, yy, np.float32(smallest), size, smallest_extent(light_of, image))
        for level in range(LEVELS + 1):
            step = 2.0 / (refined * 2**level)
            finer, more = np.empty((64, 3), np.int64), 0
            r = 0
            while r < count:
                n, pieces = 0, 0
                left, right, low, high = MOST, -MOST, MOST, -MOST
                while r < count and n < BLOCK:  # runs that are traced together
                    row, begin = runs[r, 0], runs[r, 1]
                    taken = min(runs[r, 2] - begin, BLOCK - n)
                    xs, ys = scratch.x[n : n + taken], scratch.y[n : n + taken]
                    x0, y0 = start + begin * step, start + row * step
                    for i in range(taken):
                        xs[i], ys[i] = x0 + i * step, y0
                    left, right = min(left, x0), max(right, x0 + (taken - 1) * step)
                    low, high = min(low, y0), max(high, y0)
                    piece = scratch.pieces[pieces]
                    piece[0], piece[1], piece[2], piece[3] = row, begin, n, n + taken
                    n, pieces = n + taken, pieces + 1
                    runs[r, 1] += taken
                    if runs[r, 1] == runs[r, 2]:
                        r += 1
                _trace(
                    light_of, image, masses, scale, step, level, n, (left, right, low, high),
                    profiles, disk, terms, scratch, form,
                )  # fmt: skip
                most = more + 2 * (n // GAP + pieces)
                if most > finer.shape[0]:
                    longer = np.empty((2 * most, 3), np.int64)
                    longer[:more] = finer[:more]
                    finer = longer
                for p in range(pieces):
                    row, begin, here, end = scratch.pieces[p]
                    light, nearest = scratch.lines[6][here:end], scratch.lines[5][here:end]
                    deposit(
                        grids[image], row, begin, light, level, scratch.weights, scratch.values,
                        scratch.spread,
                    )  # fmt: skip
                    if least_of(nearest) <= _ONE:
                        more = _mark(nearest, row, begin, finer, more)
            runs, count = finer, more
        found[image] = _sum(grids[image], scratch.spread)
