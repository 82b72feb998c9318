"""Images of point sources behind a plane of deflectors: all solutions θ of β = θ − ∇ψ(θ).

The image plane is divided into cells about the main deflector: sectors of rings, ρ and φ, in which the lens equation of
an isothermal deflector is linear in ρ; a square where the centre is a core. A cell is halved until one of these holds:

- it has no image: a linear function of the source plane has one sign at the corners, and curvature cannot change it;
- it has at most one image: the Jacobian J of β(u), u the coordinates of the cell, differs from its mean so little that
  mean⁻¹ J is strictly diagonally dominant everywhere, so that β(u) takes no value twice (Gale & Nikaidô 1965,
  Math. Ann. 159, 81). Newton's method then finds the image or leaves the cell;
- it is as small as ``LEAST_CELL``: the source lies on a caustic, and no image is returned there.

Curvature comes from the Jacobians at the corners: a function whose derivative changes by d along an edge differs from
the chord by at most d/8, and by 6/8 of what the trapezoidal rule misses where the curvature itself changes. ``SAFETY``
times that is taken. Cells near to another deflector's centre are halved until they are smaller than the distance to it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepbench.lensing import plane, reach
from deepbench.lensing.deflector import PREPARED_ROW
from deepbench.lensing.reach import CORE, REACH_ROW, SINGULAR
from deepbench.numerics.kernels import inline, kernel
from deepbench.numerics.mathfast import sincos64

_prepare, _field_at, _deflection_at = plane.prepare, plane.field_at, plane.deflection_at
_outer_radius, _find_reach = reach.outer_radius, reach.find_reach

MINIMUM, SADDLE, MAXIMUM = range(3)
"""Types of images, by the arrival time; a maximum is a central image."""

SECTORS = 16
"""Number of the sectors of a ring."""

SAFETY = 1.5
"""Factor of the curvature of a cell."""

DOMINANCE = 0.6
"""Largest change of the Jacobian, relative to its mean, in a cell that has at most one image."""

LEAST_CELL = 1e-8
"""Size of the smallest cells, arcsec."""

MOST_CELLS = 30_000
"""Number of cells after which the search ends: that many lie on an Einstein ring only."""

DEPTH = 256
"""Number of cells that wait."""

MOST_RINGS = 16
"""Largest number of rings."""

MOST_STEPS = 12
"""Largest number of Newton's steps."""

EMPTY, SINGLE, HALVE_U, HALVE_V = range(4)
"""What a cell is found to be."""

SAME = 1e-8
"""Distance below which two images of one parity are the same, arcsec."""

TOLERANCE = 1e-11
"""Largest distance from the source to which an image is traced back, relative to the largest coordinate or 1 arcsec."""

_TURN = 6.283185307179586
_START = 0.1
_CORNER = 6
"""Numbers of a corner: β − β_s and the columns of J, each x and y."""
_WIDTH = 5 + 4 * _CORNER
"""Numbers of a cell: least and largest coordinates, whether they are polar, and its corners."""

IMAGE_ROW = np.dtype(
    [
        ("x", np.float64),
        ("y", np.float64),
        ("magnification", np.float64),
        ("delay", np.float64),
        ("kind", np.int64),
    ],
    align=True,
)
"""Row of an image.

``x`` and ``y`` are its place, arcsec; ``magnification`` is negative at saddles; ``delay`` is the Fermat potential
½ (θ − β)² − ψ relative to the first image's, arcsec²; ``kind`` is ``MINIMUM``, ``SADDLE`` or ``MAXIMUM``.
"""


class LensedImages(NamedTuple):
    """Images of sources in the order of their arrival: those of source i are ``images[offsets[i]:offsets[i + 1]]``.

    ``resolved`` is false for a source so near to a caustic, or behind a ring, that some of its images merge.
    """

    offsets: NDArray[np.int64]
    images: NDArray[np.void]
    resolved: NDArray[np.bool_]


@kernel
def _evaluate(rows, x0, y0, polar, u, v, out):
    """Write β and the columns of its Jacobian at u and v of cells about x0 and y0."""
    c, s = 1.0, 0.0
    if polar:
        s, c = sincos64(v)
        x, y = x0 + u * c, y0 + u * s
    else:
        x, y = x0 + u, y0 + v
    field = _field_at(rows, x, y)
    xx, xy, yy = 1.0 - field.xx, -field.xy, 1.0 - field.yy
    out[0], out[1] = x - field.x, y - field.y
    out[2], out[3] = xx * c + xy * s, xy * c + yy * s
    size = u if polar else 1.0
    out[4], out[5] = size * (xy * c - xx * s), size * (yy * c - xy * s)


@inline
def _corner(cell, k, du, dv, nx, ny):
    """Return n · (β − β_s) at a corner and its derivatives in units of the cell."""
    i = 5 + k * _CORNER
    return (
        nx * cell[i] + ny * cell[i + 1],
        du * (nx * cell[i + 2] + ny * cell[i + 3]),
        dv * (nx * cell[i + 4] + ny * cell[i + 5]),
    )


@inline
def _look(cell, du, dv, nx, ny):
    """Return what n · (β − β_s) and its derivatives p and q, by u and v in units of the cell, do in a cell.

    Whether the value can be 0 (a margin for it, negative where it cannot); changes of p along u, of p along v, of q
    along u, of q along v; largest deviation of p and q from their means, summed.
    """
    g0, p0, q0 = _corner(cell, 0, du, dv, nx, ny)
    g1, p1, q1 = _corner(cell, 1, du, dv, nx, ny)
    g2, p2, q2 = _corner(cell, 2, du, dv, nx, ny)
    g3, p3, q3 = _corner(cell, 3, du, dv, nx, ny)
    pu, pv = max(abs(p1 - p0), abs(p3 - p2)), max(abs(p2 - p0), abs(p3 - p1))
    qu, qv = max(abs(q1 - q0), abs(q3 - q2)), max(abs(q2 - q0), abs(q3 - q1))
    rest_u = max(abs(g1 - g0 - 0.5 * (p0 + p1)), abs(g3 - g2 - 0.5 * (p2 + p3)))
    rest_v = max(abs(g2 - g0 - 0.5 * (q0 + q2)), abs(g3 - g1 - 0.5 * (q1 + q3)))
    bend = 0.125 * SAFETY * (pu + qv + 6.0 * (rest_u + rest_v))
    room = bend - max(min(min(g0, g1), min(g2, g3)), -max(max(g0, g1), max(g2, g3)))
    p, q = 0.25 * (p0 + p1 + p2 + p3), 0.25 * (q0 + q1 + q2 + q3)
    away = max(max(abs(p0 - p), abs(p1 - p)), max(abs(p2 - p), abs(p3 - p)))
    away += max(max(abs(q0 - q), abs(q1 - q)), max(abs(q2 - q), abs(q3 - q)))
    return room, pu, pv, qu, qv, away + 1.5 * (rest_u + rest_v)


@inline
def _judge(cell, margin):
    """Return what to do with a cell: ``EMPTY``, ``SINGLE``, or along which coordinate to halve it.

    The margin is how far deflectors that are not resolved may move β.
    """
    du, dv = cell[1] - cell[0], cell[3] - cell[2]
    if _look(cell, du, dv, 1.0, 0.0)[0] < -margin or _look(cell, du, dv, 0.0, 1.0)[0] < -margin:
        return EMPTY
    px = 0.25 * du * (cell[7] + cell[13] + cell[19] + cell[25])
    py = 0.25 * du * (cell[8] + cell[14] + cell[20] + cell[26])
    qx = 0.25 * dv * (cell[9] + cell[15] + cell[21] + cell[27])
    qy = 0.25 * dv * (cell[10] + cell[16] + cell[22] + cell[28])
    room, pu, pv, qu, qv, away = _look(cell, du, dv, qy, -qx)
    if room < -margin * np.sqrt(qx * qx + qy * qy):
        return EMPTY
    other_room, other_pu, other_pv, other_qu, other_qv, other_away = _look(cell, du, dv, -py, px)
    if other_room < -margin * np.sqrt(px * px + py * py):
        return EMPTY
    if max(away, other_away) < DOMINANCE * abs(px * qy - py * qx):
        return SINGLE
    # halving along u divides p and the second function by 2, and halves what changes along u
    along_u = 0.5 * pu + pv + qu + 2.0 * qv
    along_u += 0.25 * other_pu + 0.5 * other_pv + 0.5 * other_qu + other_qv
    along_v = 0.25 * qv + 0.5 * pv + 0.5 * qu + pu
    along_v += 0.5 * other_qv + other_pv + other_qu + 2.0 * other_pu
    return HALVE_U if along_u < along_v else HALVE_V


@inline
def _halve(cell, along_u, middle, corners, rest):
    """Cut a cell at the middle, where it has new corners; the first part stays, the other is written to ``rest``."""
    for i in range(_WIDTH):
        rest[i] = cell[i]
    for k in range(2):
        # corners 2k and 2k + 1 end an edge along u, corners k and k + 2 an edge along v
        low, high = (2 * k, 2 * k + 1) if along_u else (k, k + 2)
        for i in range(_CORNER):
            cell[5 + high * _CORNER + i] = corners[k, i]
            rest[5 + low * _CORNER + i] = corners[k, i]
    if along_u:
        cell[1], rest[0] = middle, middle
    else:
        cell[3], rest[2] = middle, middle


@kernel
def _search_cell(rows, x0, y0, x, y, cell, work):
    """Return whether Newton's method finds an image in a cell that has at most one, and its coordinates."""
    polar = cell[4] != 0.0
    du, dv = cell[1] - cell[0], cell[3] - cell[2]
    u, v = 0.5 * (cell[0] + cell[1]), 0.5 * (cell[2] + cell[3])
    outside = 0
    for _ in range(MOST_STEPS):
        _evaluate(rows, x0, y0, polar, u, v, work)
        gx, gy = work[0] - x, work[1] - y
        determinant = work[2] * work[5] - work[3] * work[4]
        step_u = (work[5] * gx - work[4] * gy) / determinant
        step_v = (work[2] * gy - work[3] * gx) / determinant
        if not (abs(step_u) < 1e300 and abs(step_v) < 1e300):
            return False, u, v
        new_u = min(max(u - step_u, cell[0] - 0.2 * du), cell[1] + 0.2 * du)
        new_v = min(max(v - step_v, cell[2] - 0.2 * dv), cell[3] + 0.2 * dv)
        if new_u != u - step_u or new_v != v - step_v:
            outside += 1
            if outside == 3:
                return False, u, v
        done = abs(new_u - u) <= 1e-9 * du and abs(new_v - v) <= 1e-9 * dv
        u, v = new_u, new_v
        if done:
            break
    slack = 1e-6
    inside = cell[0] - slack * du <= u <= cell[1] + slack * du
    inside = inside and cell[2] - slack * dv <= v <= cell[3] + slack * dv
    return inside, u, v


@inline
def _polish(rows, x, y, image_x, image_y):
    """Return an image after the last of Newton's steps, and the field there."""
    for _ in range(2):
        field = _field_at(rows, image_x, image_y)
        gx, gy = image_x - field.x - x, image_y - field.y - y
        xx, xy, yy = 1.0 - field.xx, -field.xy, 1.0 - field.yy
        determinant = xx * yy - xy * xy
        image_x -= (yy * gx - xy * gy) / determinant
        image_y -= (xx * gy - xy * gx) / determinant
    return image_x, image_y, _field_at(rows, image_x, image_y)


@inline
def _add(rows, x, y, image_x, image_y, least, images, first, count):
    """Add an image that is bright enough and new, in the order of arrival; return the number of images."""
    image_x, image_y, field = _polish(rows, x, y, image_x, image_y)
    gx, gy = image_x - field.x - x, image_y - field.y - y
    scale = max(1.0, max(abs(image_x), abs(image_y)))
    if not gx * gx + gy * gy < (TOLERANCE * scale) ** 2:
        return count
    xx, xy, yy = 1.0 - field.xx, -field.xy, 1.0 - field.yy
    determinant = xx * yy - xy * xy
    if not abs(determinant) * least <= 1.0:
        return count
    kind = SADDLE if determinant < 0.0 else (MINIMUM if xx + yy > 0.0 else MAXIMUM)
    for i in range(first, count):
        dx, dy = images[i].x - image_x, images[i].y - image_y
        if images[i].kind == kind and dx * dx + dy * dy < SAME * SAME:
            return count
    dx, dy = image_x - x, image_y - y
    delay = 0.5 * (dx * dx + dy * dy) - field.potential
    place = count
    while place > first and images[place - 1].delay > delay:
        images[place] = images[place - 1]
        place -= 1
    row = images[place]
    row.x, row.y, row.magnification = image_x, image_y, 1.0 / determinant
    row.delay, row.kind = delay, kind
    return count + 1


@inline
def _blur(cell, x0, y0, reaches, count, main):
    """Return how far deflectors that a cell does not resolve may move β, −1 where the cell is to be left out, and
    whether there are such deflectors.
    """
    u, v = 0.5 * (cell[0] + cell[1]), 0.5 * (cell[2] + cell[3])
    width, height = cell[1] - cell[0], cell[3] - cell[2]
    if cell[4] != 0.0:
        height *= cell[1]
        s, c = sincos64(v)
        x, y = x0 + u * c, y0 + u * s
    else:
        x, y = x0 + u, y0 + v
    size = 0.5 * np.sqrt(width * width + height * height)
    margin, unresolved = 0.0, False
    for j in range(count):
        if j == main or reaches[j].inner < 0.0:
            continue
        dx, dy = x - reaches[j].x, y - reaches[j].y
        square = dx * dx + dy * dy
        if square < 4.0 * size * size and size > 0.5 * reaches[j].inner:
            margin += reaches[j].most
            unresolved = True
        elif reaches[j].kind == SINGULAR and size < reaches[j].inner:
            if square < (reaches[j].inner - size) ** 2:
                return -1.0, False, width > height
    return margin, unresolved, width > height


@inline
def _fill(cell, u0, u1, v0, v1, polar):
    """Write where a cell is."""
    cell[0], cell[1], cell[2], cell[3], cell[4] = u0, u1, v0, v1, polar


@kernel
def _search_waiting(
    rows, x0, y0, x, y, least, reaches, count, main, cells, waiting, budget, images, first, found
):
    """Search the cells that wait, and their parts; return the number of images, the cells left, and if all is clear."""
    work, corners = np.empty(_CORNER), np.empty((2, _CORNER))
    clear = True
    while waiting > 0:
        cell = cells[waiting - 1]
        margin, unresolved, wide = _blur(cell, x0, y0, reaches, count, main)
        verdict = EMPTY if margin < 0.0 else _judge(cell, margin)
        if verdict == EMPTY:
            waiting -= 1
            continue
        if verdict == SINGLE and not unresolved:
            waiting -= 1
            is_found, u, v = _search_cell(rows, x0, y0, x, y, cell, work)
            if is_found:
                if cell[4] != 0.0:
                    s, c = sincos64(v)
                    u, v = u * c, u * s
                if found == images.size:
                    return -1, 0, False
                found = _add(rows, x, y, x0 + u, y0 + v, least, images, first, found)
            continue
        height = (cell[3] - cell[2]) * (cell[1] if cell[4] != 0.0 else 1.0)
        width = cell[1] - cell[0]
        budget -= 1
        if max(width, height) < LEAST_CELL or budget < 0 or waiting == DEPTH:
            clear = False
            waiting -= 1
            continue
        along_u = wide if unresolved or verdict == SINGLE else verdict == HALVE_U
        if along_u and width < LEAST_CELL:
            along_u = False
        elif not along_u and height < LEAST_CELL:
            along_u = True
        polar = cell[4] != 0.0
        middle = 0.5 * (cell[0] + cell[1]) if along_u else 0.5 * (cell[2] + cell[3])
        if polar and along_u and cell[1] > 4.0 * cell[0]:
            middle = np.sqrt(cell[0] * cell[1])
        for k in range(2):
            u = middle if along_u else cell[k]
            v = cell[2 + k] if along_u else middle
            _evaluate(rows, x0, y0, polar, u, v, corners[k])
            corners[k, 0] -= x
            corners[k, 1] -= y
        _halve(cell, along_u, middle, corners, cells[waiting])
        waiting += 1
    return found, budget, clear


@inline
def _search(rows, x, y, least, reaches, cells, nodes, images, first):
    """Write the images of a source; return their number and whether they are all, or −1 where there is no room."""
    outer = _outer_radius(rows, x, y)
    count, main = _find_reach(rows, outer, least, reaches)
    x0, y0, inner, einstein, square = 0.0, 0.0, 0.0, 0.0, True
    if main >= 0:
        x0, y0, inner, einstein = (
            reaches[main].x, reaches[main].y, reaches[main].inner, reaches[main].einstein,
        )  # fmt: skip
        square = reaches[main].kind == CORE
        outer += np.sqrt(x0 * x0 + y0 * y0)
        for j in range(count):
            dx, dy = reaches[j].x - x0, reaches[j].y - y0
            if dx * dx + dy * dy < inner * inner:
                reaches[j].inner = -1.0
    found, budget, clear = first, MOST_CELLS, True
    if square:
        half = inner if main >= 0 else outer
        cell = cells[0]
        _fill(cell, -half, half, -half, half, 0.0)
        for k in range(4):
            corner = cell[5 + k * _CORNER : 5 + (k + 1) * _CORNER]
            _evaluate(rows, x0, y0, False, cell[k % 2], cell[2 + k // 2], corner)
            corner[0] -= x
            corner[1] -= y
        found, budget, own = _search_waiting(
            rows, x0, y0, x, y, least, reaches, count, main, cells, 1, budget, images, first, found,
        )  # fmt: skip
        clear = clear and own
    if main < 0 or found < 0:
        return found, clear
    edge, rings = outer, 1
    smallest = max(2.0 * einstein, 0.1 * outer if einstein == 0.0 else inner)
    while edge > smallest and rings < MOST_RINGS:
        edge *= 0.5
        rings += 1
    step = _TURN / SECTORS
    for i in range(rings + 1):
        u = inner if i == 0 else outer * 0.5 ** (rings - i)
        for k in range(SECTORS):
            _evaluate(rows, x0, y0, True, u, _START + k * step, nodes[i, k])
    for i in range(rings):
        low = inner if i == 0 else outer * 0.5 ** (rings - i)
        high = outer * 0.5 ** (rings - i - 1)
        for k in range(SECTORS):
            cell = cells[0]
            _fill(cell, low, high, _START + k * step, _START + (k + 1) * step, 1.0)
            for corner in range(4):
                node = nodes[i + corner % 2, (k + corner // 2) % SECTORS]
                for m in range(_CORNER):
                    cell[5 + corner * _CORNER + m] = node[m]
                cell[5 + corner * _CORNER] -= x
                cell[6 + corner * _CORNER] -= y
            found, budget, own = _search_waiting(
                rows, x0, y0, x, y, least, reaches, count, main, cells, 1, budget, images, first, found,
            )  # fmt: skip
            clear = clear and own
            if found < 0:
                return found, clear
    return found, clear


@kernel
def _find(offsets, rows, prepared, sources, owners, least, start, images, counts, resolved):
    """Write the images of sources from number ``start`` on; return the number of the first for which there is no room."""
    reaches = np.zeros(prepared.size, REACH_ROW)
    cells, nodes = np.empty((DEPTH + 1, _WIDTH)), np.empty((MOST_RINGS + 1, SECTORS, _CORNER))
    first, owner = 0, -1
    for i in range(start, owners.size):
        low, high = offsets[owners[i]], offsets[owners[i] + 1]
        own = prepared[: high - low]
        if owners[i] != owner:
            owner = owners[i]
            _prepare(rows[low:high], own)
        end, clear = _search(
            own, sources[i, 0], sources[i, 1], least, reaches, cells, nodes, images, first
        )
        if end < 0:
            return i
        counts[i], resolved[i] = end - first, clear
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
        Plane of each source.
    least_magnification : float
        Least absolute magnification of an image, above 0.
    """
    least = float(least_magnification)
    prepared = np.empty(max(1, int(np.diff(offsets).max(initial=1))), PREPARED_ROW)
    counts, resolved = np.zeros(owners.size, np.int64), np.zeros(owners.size, np.bool_)
    images = np.zeros(6 * owners.size + 64, IMAGE_ROW)
    done, parts = 0, []
    while done < owners.size:
        start = done
        done = _find(
            offsets, rows, prepared, sources, owners, least, start, images, counts, resolved
        )
        parts.append(images[: counts[start:done].sum()].copy())
        if done == start:
            images = np.zeros(2 * images.size, IMAGE_ROW)
    ends = np.concatenate([[0], np.cumsum(counts)])
    return LensedImages(ends, np.concatenate([images[:0], *parts]), resolved)
