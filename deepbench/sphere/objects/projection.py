"""Stars, galaxies and shapes on full-sky maps, at their true angular sizes.

Galaxies, beams and shapes live on the plane of the Lambert azimuthal equal-area projection about their centre, so that
areas and fluxes are true; there, a radius of R degrees is seen at 2 asin(R / 2) in radian. Position angles are those of
the major axis, of a rectangle that of its height, from north through east. A pixel gets the light that falls into it
over its area: stars and galaxies their flux, exactly, and shapes their amplitude times the part of the pixel that they
cover.

The pixels that an object touches are found by a descent through the NEST hierarchy, from the smallest pixel of any
level that holds the whole object, or from the 12 faces; branches whose bounding disc misses the object are cut.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepbench.numerics.kernels import inline, kernel
from deepbench.numerics.mathfast import sincos64
from deepbench.sphere.objects.objects import ARCMIN
from deepbench.sphere.objects.outlines import (
    CROSSED,
    INSIDE,
    OUTSIDE,
    angle_of,
    cell_area,
    cell_radius,
    covered,
    make_outline,
    make_plane,
    relation,
)
from deepbench.sphere.objects.profiles import (
    PIECES,
    Profile,
    cell_light,
    profile_nodes,
    write_profile,
)
from deepbench.sphere.pixels.pixels import (
    MOST_LEVEL,
    STEEPEST,
    cell_of,
    face_position,
    nest_number,
)

LEAST_LEVEL = 5
"""Edges are followed on cells of nside 32 at least."""

FINER = 2
"""Levels by which the cells on an outline are below the pixels."""


POLAR = 12
"""The edges of cells whose centres are nearer to a pole than POLAR of their sides bend: these cells are cut, too."""

DEEPER = 4
"""Levels by which cells at a pole are below the others."""

POLAR_EDGE = 48
"""Sides from a pole as POLAR, of cells on an outline: their edges are straight. They are few: all levels are used."""


class Scratch(NamedTuple):
    """Arrays that the kernels write over.

    Attributes
    ----------
    levels : float64[30, 3]
        Of the cells of a level: the radius that bounds them, in radian, and the sine and cosine of its half.
    stack : int64[n, 5]
        Level, face, column and row of the cells that wait, and whether they are known to be inside.
    values : float64[PIECES + 1, 3]
    table : float64[PIECES, 6]
        The profile of the last Sérsic index.
    """

    levels: NDArray[np.float64]
    stack: NDArray[np.int64]
    values: NDArray[np.float64]
    table: NDArray[np.float64]


@inline
def _make_scratch():
    levels = np.empty((MOST_LEVEL + 1, 3))
    for level in range(MOST_LEVEL + 1):
        radius = cell_radius(level)
        levels[level, 0] = radius
        levels[level, 1], levels[level, 2] = sincos64(0.5 * radius)
    stack = np.empty((3 * MOST_LEVEL + 16, 5), np.int64)
    return Scratch(levels, stack, np.empty((PIECES + 1, 3)), np.empty((PIECES, 6)))


# --- the descent ---------------------------------------------------------------------------------


@inline
def _begin(stack, longitude, latitude, extent):
    """Put the smallest cell that holds a disc onto the stack, or all faces; return their number, and the level."""
    face, x, y = face_position(longitude, latitude)
    reach = STEEPEST * angle_of(extent)
    level = -1
    while level < MOST_LEVEL:
        count = float(1 << (level + 1))
        i, j = x * count - np.floor(x * count), y * count - np.floor(y * count)
        if not min(min(i, 1.0 - i), min(j, 1.0 - j)) > reach * count:
            break
        level += 1
    if level >= 0:
        stack[0, 0], stack[0, 1] = level, face
        stack[0, 2], stack[0, 3], stack[0, 4] = cell_of(level, x), cell_of(level, y), 0
        return 1, level
    for number in range(12):
        stack[number, 0], stack[number, 1] = 0, 11 - number
        stack[number, 2:] = 0
    return 12, level


@inline
def _push_children(stack, waiting, level, face, column, row, inside):
    """Put the quarters of a cell onto the stack, the first in NEST order on top; return how many cells wait."""
    for child in range(3, -1, -1):
        stack[waiting, 0], stack[waiting, 1] = level + 1, face
        stack[waiting, 2], stack[waiting, 3] = 2 * column + child % 2, 2 * row + child // 2
        stack[waiting, 4] = inside
        waiting += 1
    return waiting


@inline
def _relation(plane, outline, scratch, level, face, column, row):
    side = 1.0 / (1 << level)
    levels = scratch.levels
    bounds = (levels[level, 0], levels[level, 1], levels[level, 2])
    return relation(plane, outline, bounds, face, (column + 0.5) * side, (row + 0.5) * side)


@inline
def _is_polar(sides, level, face, column, row):
    """Tell whether a cell's centre is nearer to a pole than some of its sides."""
    count = 1 << level
    north = (2 + face // 4) * count - column - row - 1
    return min(north, 4 * count - north) < sides


@kernel
def _add_shape(sky, order, longitude, latitude, plane, outline, amplitude, scratch):
    """Add a shape to a map of nside = 2^order."""
    stack = scratch.stack
    waiting, level = _begin(stack, longitude, latitude, outline.extent)
    depth = min(max(order + FINER, LEAST_LEVEL, level), MOST_LEVEL)
    while waiting > 0:
        waiting -= 1
        level, face, column, row, _ = stack[waiting]
        how = _relation(plane, outline, scratch, level, face, column, row)
        if how == OUTSIDE:
            continue
        finer = level < depth or (
            level < MOST_LEVEL and _is_polar(POLAR_EDGE, level, face, column, row)
        )
        if how == CROSSED and finer:
            waiting = _push_children(stack, waiting, level, face, column, row, 0)
            continue
        number = nest_number(level, face, column, row)
        if how == INSIDE and level < order:
            first = number << (2 * (order - level))
            value = sky.dtype.type(amplitude)
            for pixel in range(first, first + (1 << (2 * (order - level)))):
                sky[pixel] += value
            continue
        part = 1.0 if how == INSIDE else covered(plane, outline, level, face, column, row)
        pixel = number >> (2 * (level - order))
        share = part * cell_area(level) / cell_area(order)
        sky[pixel] += sky.dtype.type(amplitude * share)


@kernel
def _gather(order, longitude, latitude, plane, outline, profile, scratch, pixels, light):
    """Write the pixels that a profile of unit light touches, and its light in each.

    Parameters
    ----------
    order : int
        Pixels are those of nside = 2^order.
    longitude, latitude : float
        In degrees.
    plane : Plane
    outline : Outline
        Of all light that is drawn.
    profile : Profile
    scratch : Scratch
    pixels : int64[n]
        Written; longer arrays replace them when needed.
    light : float64[n]

    Returns
    -------
    int64[m], float64[m], int, float
        The arrays, how many of their elements are written, and the sum of the light.
    """
    stack = scratch.stack
    waiting, level = _begin(stack, longitude, latitude, outline.extent)
    if level >= order:
        cell = nest_number(level, stack[0, 1], stack[0, 2], stack[0, 3])
        pixels[0], light[0] = cell >> (2 * (level - order)), 1.0
        return pixels, light, 1, 1.0
    depth = min(max(order, LEAST_LEVEL, level), MOST_LEVEL - DEEPER)
    count, total = 0, 0.0
    while waiting > 0:
        waiting -= 1
        level, face, column, row, inside = stack[waiting]
        if not inside:
            how = _relation(plane, outline, scratch, level, face, column, row)
            if how == OUTSIDE:
                continue
            inside = 1 if how == INSIDE else 0
        if level < depth or (level < depth + DEEPER and _is_polar(POLAR, level, face, column, row)):
            waiting = _push_children(stack, waiting, level, face, column, row, inside)
            continue
        part = cell_light(plane, profile, level, face, column, row)
        total += part
        pixel = nest_number(level, face, column, row) >> (2 * (level - order))
        if count > 0 and pixels[count - 1] == pixel:
            light[count - 1] += part
            continue
        if count == pixels.size:
            more_pixels, more_light = np.empty(2 * count, np.int64), np.empty(2 * count)
            more_pixels[:count], more_light[:count] = pixels, light
            pixels, light = more_pixels, more_light
        pixels[count], light[count] = pixel, part
        count += 1
    return pixels, light, count, total


@kernel
def _profile_of(row, reach, table):
    """Return the plane, the outline and the profile of a star with a beam or a galaxy, of the reach of its index."""
    return (
        make_plane(row.longitude_degrees, row.latitude_degrees, row.position_angle_degrees),
        make_outline(False, reach * row.a, reach * row.b, 0.0),
        Profile(table, row.a, row.b, reach),
    )


@kernel
def _add_objects(sky, order, rows, nodes):
    scratch = _make_scratch()
    pixels, light = np.empty(256, np.int64), np.empty(256)
    per_area = ARCMIN * ARCMIN / cell_area(order)
    last_index, reach = -1.0, 0.0
    for k in range(rows.size):
        row = rows[k]
        longitude, latitude, index = row.longitude_degrees, row.latitude_degrees, row.sersic_index
        if index == 0.0:
            plane = make_plane(longitude, latitude, row.position_angle_degrees)
            outline = make_outline(row.is_box, row.a, row.b, row.inner)
            if outline.a > 0.0 and outline.b > 0.0:
                _add_shape(sky, order, longitude, latitude, plane, outline, row.amount, scratch)
            continue
        if not row.a > 0.0:
            face, x, y = face_position(longitude, latitude)
            pixel = nest_number(order, face, cell_of(order, x), cell_of(order, y))
            sky[pixel] += sky.dtype.type(row.amount * per_area)
            continue
        if index != last_index:
            reach = write_profile(index, nodes, scratch.values, scratch.table)
            last_index = index
        plane, outline, profile = _profile_of(row, reach, scratch.table)
        pixels, light, count, total = _gather(
            order, longitude, latitude, plane, outline, profile, scratch, pixels, light
        )
        scale = row.amount * per_area / total
        for i in range(count):
            sky[pixels[i]] += sky.dtype.type(scale * light[i])


def add_objects(sky: NDArray[np.float32], nside: int, rows: NDArray[np.void]) -> None:
    """Add objects to a full-sky map.

    Parameters
    ----------
    sky : float32[12 nside²] or float64[12 nside²]
        In NEST order, per arcmin²; changed in place. The sum times a pixel's area is the sum of all fluxes.
    nside : int
        A power of two.
    rows : OBJECT[m]
        As ``SphereObject.write`` writes them.

    Notes
    -----
    The light of a galaxy or a beam outside of an ellipse that leaves out 5e-5 of it, and further from the centre than
    ``outlines.LIMIT``, 108.9 degrees on the plane, is spread over the rest in proportion; shapes are cut there.
    All of a star of no width, or of a galaxy of no size, is in its pixel; nothing is drawn of a shape of no size.
    Sérsic indices beyond those of ``deepbench.images.galaxies.sersic`` are drawn as the nearest.
    """
    order = nside.bit_length() - 1
    _add_objects(sky, order, rows, profile_nodes())
