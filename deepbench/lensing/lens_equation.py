"""Images of point sources behind a plane of deflectors: all solutions θ of β = θ − ∇ψ(θ).

The image plane is divided into cells about the main deflector: sectors of rings, in whose coordinates ρ and φ the
deflection of an isothermal deflector does not depend on ρ, and a square where the centre is a core. About the centre of
each other deflector lies a disc with such cells of its own. A cell is halved until

- it has no image: a linear function of β − β_s has one sign at the corners, and curvature cannot change it;
- or it has at most one: the Jacobian of β by the coordinates changes so little that its product with the inverse of its
  mean is strictly diagonally dominant, so that β takes no value twice (Gale & Nikaidô 1965, Math. Ann. 159, 81);
  Newton's method then finds the image or leaves the cell;
- or it is as small as ``LEAST_CELL``: the source lies on a caustic, and the images that merge there are left out.

A cell is halved, too, where a deflector that is not resolved may bring the source in; where a cell lies in the disc of
another deflector, that disc is searched.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepbench.lensing import cells, plane, reach
from deepbench.lensing.cells import (
    CELL,
    CORNER,
    CORNERS,
    EMPTY,
    HALVE_U,
    RING,
    SINGLE,
    SQUARE,
    WIDE,
)
from deepbench.lensing.deflector import PREPARED_ROW
from deepbench.lensing.reach import CORE, REACH_ROW
from deepbench.numerics.kernels import inline, kernel
from deepbench.numerics.mathfast import sincos64

_prepare = plane.prepare
_field_at, _find_reach = reach.field_at, reach.find_reach
_fill, _evaluate, _place, _judge = cells.fill, cells.evaluate, cells.place, cells.judge
_halve, _find_image = cells.halve, cells.find_image

MINIMUM, SADDLE, MAXIMUM = range(3)
"""Types of images, by the arrival time; a maximum is a central image."""

SECTORS = 12
"""Number of the sectors of a ring."""

UNEVEN = 0.3
"""Change of the derivative of β by ρ, between the inner radius and the next, of a centre that is not isothermal."""

MOST_RINGS = 24
"""Largest number of rings."""

LEAST_CELL = 1e-8
"""Size of the smallest cells, arcsec."""

MOST_CELLS = 30_000
"""Number of cells after which a search ends: as many lie on an Einstein ring."""

DEPTH = 256
"""Largest number of cells that wait."""

SAME = 1e-8
"""Distance below which two images of one type are the same, arcsec."""

TOLERANCE = 1e-11
"""Largest distance of the source from the point to which an image is traced back, arcsec; relative beyond 1 arcsec."""

_START, _SECTOR = 0.1, 2.0 * math.pi / SECTORS

IMAGE_ROW = np.dtype(
    [
        ("x", np.float64),
        ("y", np.float64),
        ("magnification", np.float64),
        ("delay", np.float64),
        ("type", np.int64),
    ],
    align=True,
)
"""Row of an image.

``x`` and ``y`` are its place, arcsec; ``magnification`` is negative at saddles; ``delay`` is the Fermat potential
½ (θ − β)² − ψ relative to the first image's, arcsec²; ``type`` is ``MINIMUM``, ``SADDLE`` or ``MAXIMUM``.
"""


class LensedImages(NamedTuple):
    """Images of sources: those of source i are ``images[offsets[i]:offsets[i + 1]]``, in the order of their arrival.

    ``resolved`` is false where images merge and are left out: the source lies on a caustic, or the image is a ring.
    """

    offsets: NDArray[np.int64]
    images: NDArray[np.void]
    resolved: NDArray[np.bool_]


@inline
def _add(rows, x, y, image_x, image_y, least, images, first, end):
    """Add an image that is bright enough and new, in the order of arrival; return the end of the images."""
    field = _field_at(rows, image_x, image_y)
    gx, gy = image_x - field.x - x, image_y - field.y - y
    xx, xy, yy = 1.0 - field.xx, -field.xy, 1.0 - field.yy
    determinant = xx * yy - xy * xy
    image_x -= (yy * gx - xy * gy) / determinant
    image_y -= (xx * gy - xy * gx) / determinant
    field = _field_at(rows, image_x, image_y)
    gx, gy = image_x - field.x - x, image_y - field.y - y
    allowed = TOLERANCE * max(1.0, max(abs(image_x), abs(image_y)))
    xx, xy, yy = 1.0 - field.xx, -field.xy, 1.0 - field.yy
    determinant = xx * yy - xy * xy
    if not (gx * gx + gy * gy <= allowed * allowed and abs(determinant) * least <= 1.0):
        return end
    kind = SADDLE if determinant < 0.0 else (MINIMUM if xx + yy > 0.0 else MAXIMUM)
    for i in range(first, end):
        dx, dy = images[i].x - image_x, images[i].y - image_y
        if images[i].type == kind and dx * dx + dy * dy < SAME * SAME:
            return end
    dx, dy = image_x - x, image_y - y
    delay = 0.5 * (dx * dx + dy * dy) - field.potential
    i = end
    while i > first and images[i - 1].delay > delay:
        images[i] = images[i - 1]
        i -= 1
    row = images[i]
    row.x, row.y, row.magnification, row.delay, row.type = (
        image_x, image_y, 1.0 / determinant, delay, kind,
    )  # fmt: skip
    return end + 1


@inline
def _surroundings(x, y, size, own, reaches):
    """Return what the corners of a cell do not show of other deflectors than its own.

    How far they may move β; whether the cell is too coarse for one; the number of the one in whose disc it lies, or −1.
    x and y are the cell's middle, size is half of its diagonal.
    """
    margin, is_coarse, inside = 0.0, False, -1
    for j in range(reaches.size):
        other = reaches[j]
        if j == own or other.fine == 0.0:
            continue
        dx, dy = x - other.x, y - other.y
        square = dx * dx + dy * dy
        if size < other.disc and square < (other.disc - size) ** 2:
            margin += 2.0 * other.most
            inside = j
        elif square < 4.0 * size * size and size > 0.25 * other.fine:
            margin += 2.0 * other.most
            is_coarse = True
    return margin, is_coarse, inside


@kernel
def _search_waiting(
    rows, x0, y0, x, y, least, own, reaches, waiting, count, work, budget, images, first, end
):
    """Search the first cells of ``waiting`` and their parts.

    Return the end of the images, −1 where there is no room for one; how many cells are left; whether no images merge.
    """
    is_clear = True
    while count > 0:
        cell = waiting[count - 1]
        image_x, image_y, width, height = _place(cell)
        margin, is_coarse, inside = 0.0, False, -1
        if reaches.size > 1:
            size = 0.5 * np.sqrt(width * width + height * height)
            margin, is_coarse, inside = _surroundings(
                x0 + image_x, y0 + image_y, size, own, reaches
            )
        found = _judge(cell, margin)
        if found == EMPTY:
            count -= 1
        elif inside >= 0:
            reaches[inside].is_wanted = 1
            count -= 1
        elif found == SINGLE and not is_coarse:
            count -= 1
            is_there, image_x, image_y = _find_image(rows, x0, y0, x, y, cell, work[2])
            if is_there:
                if end == images.size:
                    return np.int64(-1), budget, False
                end = _add(rows, x, y, x0 + image_x, y0 + image_y, least, images, first, end)
        elif max(width, height) < LEAST_CELL or budget <= 0 or count == DEPTH:
            is_clear = False
            count -= 1
        else:
            along_u = width > height if is_coarse else found == HALVE_U
            if min(width, height) < LEAST_CELL:
                along_u = width > height
            _halve(rows, x0, y0, x, y, cell, along_u, work, waiting[count])
            budget -= 1
            count += 1
    return end, budget, is_clear


@kernel
def _search_disc(rows, x, y, least, own, reaches, waiting, work, nodes, images, first, end):
    """Search the disc of a deflector; return the end of the images, and whether they are all."""
    center = reaches[own]
    x0, y0, inner, disc = center.x, center.y, center.inner, center.disc
    budget, is_clear, cell = np.int64(MOST_CELLS), True, waiting[0]
    if center.kind == CORE:
        _fill(cell, -inner, inner, -inner, inner, SQUARE)
        for k in range(4):
            corner = cell[CORNERS + k * CORNER : CORNERS + (k + 1) * CORNER]
            _evaluate(rows, x0, y0, SQUARE, cell[k % 2], cell[2 + k // 2], 1.0, 0.0, corner)
            corner[0] -= x
            corner[1] -= y
        end, budget, is_clear = _search_waiting(
            rows, x0, y0, x, y, least, own, reaches, waiting, 1, work, budget, images, first, end
        )
        inner *= 0.5
    # radii of the rings halve inwards; about a centre that is not isothermal there is one ring more, and a wide one
    edge, rings, radii = disc, 0, np.empty(MOST_RINGS + 3)
    while edge > max(2.0 * center.einstein, 16.0 * inner) and rings < MOST_RINGS:
        edge *= 0.5
        rings += 1
    radii[0], radii[1] = inner, 0.25 * edge
    for i in range(2):
        _evaluate(rows, x0, y0, RING, radii[i], 0.0, 1.0, 0.0, work[i])
    change = abs(work[1, 2] - work[0, 2]) + abs(work[1, 3] - work[0, 3])
    start = 2 if change > UNEVEN and edge > 16.0 * inner else 1
    for i in range(rings + 1):
        radii[start + i] = edge * 2.0**i
    rings += start
    for k in range(SECTORS):
        s, c = sincos64(_START + k * _SECTOR)
        for i in range(rings + 1):
            _evaluate(rows, x0, y0, RING, radii[i], 0.0, c, s, nodes[i, k])
    for i in range(rings):
        if end < 0:
            break
        low, high, kind = radii[i], radii[i + 1], WIDE if i == 0 and start == 2 else RING
        for k in range(SECTORS):
            cell = waiting[k]
            _fill(cell, low, high, _START + k * _SECTOR, _START + (k + 1) * _SECTOR, kind)
            for corner in range(4):
                node = nodes[i + corner % 2, (k + corner // 2) % SECTORS]
                place = CORNERS + corner * CORNER
                for m in range(CORNER):
                    cell[place + m] = node[m]
                cell[place] -= x
                cell[place + 1] -= y
        end, budget, own_clear = _search_waiting(
            rows,
            x0,
            y0,
            x,
            y,
            least,
            own,
            reaches,
            waiting,
            SECTORS,
            work,
            budget,
            images,
            first,
            end,
        )
        is_clear = is_clear and own_clear
    return end, is_clear


@kernel
def _search(rows, x, y, least, reaches, waiting, work, nodes, images, first):
    """Write the images of a source; return their end, −1 where there is no room, and whether they are all."""
    count = _find_reach(rows, x, y, least, reaches)
    reaches = reaches[:count]
    end, is_clear, own = first, True, np.int64(0)
    while own < count and end >= 0:
        if reaches[own].is_wanted == 1:
            reaches[own].is_wanted = 2
            end, own_clear = _search_disc(
                rows, x, y, least, own, reaches, waiting, work, nodes, images, first, end
            )
            is_clear = is_clear and own_clear
            own = np.int64(0)
        else:
            own += 1
    return end, is_clear


@kernel
def _find(offsets, rows, prepared, sources, owners, least, start, images, counts, resolved):
    """Write the images of sources from number ``start`` on; return the number of the next, where there is no room."""
    reaches, waiting = np.zeros(prepared.size + 1, REACH_ROW), np.empty((DEPTH + 1, CELL))
    work, nodes = np.empty((3, CORNER)), np.empty((MOST_RINGS + 3, SECTORS, CORNER))
    first, owner = np.int64(0), np.int64(-1)  # of one type from the start: numba compiles less
    for i in range(start, owners.size):
        low, high = offsets[owners[i]], offsets[owners[i] + 1]
        own = prepared[: high - low]
        if owners[i] != owner:
            owner = owners[i]
            _prepare(rows[low:high], own)
        x, y = sources[i, 0], sources[i, 1]
        end, is_clear = _search(own, x, y, least, reaches, waiting, work, nodes, images, first)
        if end < 0:
            return i
        counts[i], resolved[i] = end - first, is_clear
        for k in range(end - 1, first - 1, -1):
            images[k].delay -= images[first].delay
        first = end
    return owners.size


def find_images(
    offsets: NDArray[np.int64],
    rows: NDArray[np.void],
    sources: NDArray[np.float64],
    owners: NDArray[np.int64],
    least_magnification: float = 1e-3,
) -> LensedImages:
    """Return the images of point sources.

    Parameters
    ----------
    offsets : int64[n + 1]
        Those of the deflectors of each plane in ``rows``.
    rows : DEFLECTOR_ROW
        Deflectors of n planes.
    sources : float64[k, 2]
        x and y of each source, arcsec.
    owners : int64[k]
        Plane of each source; sources of one plane side by side are faster.
    least_magnification : float
        Least absolute magnification of an image that counts, above 0.
    """
    most = int(np.diff(offsets).max(initial=0))
    prepared, images = np.zeros(most, PREPARED_ROW), np.zeros(6 * owners.size + 64, IMAGE_ROW)
    counts, resolved = np.zeros(owners.size, np.int64), np.zeros(owners.size, np.bool_)
    done, parts = 0, []
    while done < owners.size:
        start = done
        done = _find(
            offsets, rows, prepared, sources, owners, float(least_magnification), start, images, counts, resolved
        )  # fmt: skip
        parts.append(images[: counts[start:done].sum()].copy())
        if done == start:
            images = np.zeros(2 * images.size, IMAGE_ROW)
    return LensedImages(
        np.concatenate([[0], np.cumsum(counts)]), np.concatenate([images[:0], *parts]), resolved
    )
