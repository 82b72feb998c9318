"""Spiral arms behind point spread functions, in stamps.

``arms`` has their light at points of a grid finer than the pixels, and ``oversampled`` convolves it. Near the centre
that fails, as the light changes within a wave there, and the more the narrower the ellipse; it is drawn on finer grids,
each on half of the radius of the one before, which pass into one another smoothly.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepbench.images.galaxies.arms import CORE, MOST_TERMS, add_light, make_disk, write_series
from deepbench.images.galaxies.oversampled import (
    CHUNK,
    FINER,
    REACH,
    convolve,
    convolve_behind,
    grid_period,
    halve,
    refinements,
)
from deepbench.images.galaxies.sersic import sersic_tables
from deepbench.images.galaxies.stamp_sizes import SIZES, component_edges
from deepbench.images.model.sky import COMPONENT_ROW, LEAST_AXIS_RATIO, rows_of
from deepbench.images.psf.psf_files import PsfFile
from deepbench.numerics.kernels import inline, kernel

FINEST = 0.04
"""Largest step of the finest grid in the plane of the disk (pixel)."""

DARK_CENTRE = 0.3
"""Part of the inner radius within which no finer grid needs to end."""

_ZERO = np.float32(0.0)


class Core(NamedTuple):
    """Arrays for the finer grids, all of the same shape, and a row."""

    fine: NDArray[np.float32]
    coarse: NDArray[np.float32]
    half: NDArray[np.float32]


def _core_half_size(axis_ratio: float) -> int:
    return int(CORE[1] / max(axis_ratio, LEAST_AXIS_RATIO)) + 2 * REACH + 2


def _make_core(least_axis_ratio: float) -> Core:
    """Return the arrays for disks of at least this axis ratio."""
    most = 2 * _core_half_size(least_axis_ratio)
    return Core(
        fine=np.empty((most, most), np.float32),
        coarse=np.empty((most, most), np.float32),
        half=np.empty(most // 2, np.float32),
    )


@inline
def _extent(disk):
    """Return the half-sizes along x and y, in points, of the boxes that hold the finer grids' light."""
    a, b = disk.core / disk.axis_ratio, disk.core
    c, s = disk.cosine, disk.sine
    width = int(np.sqrt(a * a * c * c + b * b * s * s))
    height = int(np.sqrt(a * a * s * s + b * b * c * c))
    return width + 2 * REACH, height + 2 * REACH


@inline
def _add_core(grid, disk, terms, start, refined, core, lines):
    """Add what the finer grids hold to a grid whose first point is at ``start``."""
    wide, high = _extent(disk)
    levels, points = 1, 2 * refined
    end = DARK_CENTRE * np.sqrt(disk.inner) * disk.axis_ratio
    while points * FINEST * disk.axis_ratio < 1.0 and 0.5 * disk.core > end * points:
        levels, points = levels + 1, 2 * points
    fine, coarse = core.fine, core.coarse
    fine[: 2 * high, : 2 * wide] = _ZERO
    half = core.half[:wide]
    for level in range(levels, 0, -1):
        points = refined * 2**level
        step = 1.0 / points
        # points and rows are counted from the grid's first; boxes start at even ones
        left = 2 * int(np.floor(0.5 * ((disk.x - start) * points - wide)))
        bottom = 2 * int(np.floor(0.5 * ((disk.y - start) * points - high)))
        next_left = 2 * int(np.floor(0.5 * ((disk.x - start) * 0.5 * points - wide)))
        next_bottom = 2 * int(np.floor(0.5 * ((disk.y - start) * 0.5 * points - high)))
        shift, rise = left // 2 - next_left, bottom // 2 - next_bottom
        coarse[: 2 * high, : 2 * wide] = _ZERO
        outside = disk.core * step / disk.axis_ratio
        inside = 0.0 if level == levels else 0.25 * outside
        for row in range(REACH, 2 * high - REACH):
            y, line = start + (bottom + row) * step, fine[row, : 2 * wide]
            first, last = add_light(
                disk, terms, start + left * step, y, step, inside, outside, lines, line
            )
            if last > first:
                halve(line, first, last, coarse[rise:, shift : shift + wide], row, half)
        fine, coarse = coarse, fine
        if level == 1:
            _add_box(grid, fine, next_left, next_bottom, 2 * wide, 2 * high)


@inline
def _add_box(grid, box, left, bottom, width, height):
    """Add the part of a box that lies on a grid."""
    size = grid.shape[0]
    first, last = max(left, 0), min(left + width, size)
    for row in range(max(bottom, 0), min(bottom + height, size)):
        target, source = grid[row], box[row - bottom]
        for i in range(first, last):
            target[i] += source[i - left]


@kernel
def write_arms(grids, rows, start, refined, tables, core, lines):
    """Write the arms' light per point of fine grids; see ``oversampled.convolve``."""
    terms = np.empty(MOST_TERMS)
    step = 1.0 / refined
    for image in range(grids.shape[0]):
        disk = make_disk(rows[image], tables)
        count = write_series(rows[image].arm_width, terms)
        inside = 0.25 * disk.core * step / disk.axis_ratio
        for row in range(grids.shape[1]):
            add_light(
                disk, terms[:count], start, start + row * step, step, inside, 1e9,
                lines, grids[image, row],
            )  # fmt: skip
        _add_core(grids[image], disk, terms[:count], start, refined, core, lines)


def light_of_arms(
    rows: NDArray[np.void], refined: int, side: int
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Yield the light of spiral arms on fine grids for stamps, some at a time; see ``oversampled.convolve``.

    ``rows`` is ``ARMS_ROW[m]``; x and y are near the pixel side // 2.
    """
    size = grid_period(side)
    core = _make_core(rows["axis_ratio"].min(initial=1.0))
    lines = np.empty((9, max(refined * size, len(core.fine))), np.float32)
    for begin in range(0, len(rows), CHUNK):
        some = slice(begin, begin + CHUNK)
        own = rows[some]
        grids = np.zeros((len(own), refined * size, refined * size), np.float32)
        start = float(side // 2 - size // 2)
        write_arms(grids, own, start, refined, sersic_tables(), core, lines)
        yield some, grids


def add_to_stamps(
    stamps: NDArray[np.float32], rows: NDArray[np.void], psfs: NDArray[np.void]
) -> None:
    """Add spiral arms behind point spread functions to stamps.

    Parameters
    ----------
    stamps : float32[m, side, side]
        Changed in place.
    rows : ARMS_ROW[m]
        With x and y near the pixel side // 2.
    psfs : PSF_ROW[m]
    """
    finer = refinements(psfs)
    for refined in np.unique(finer):
        chosen = np.flatnonzero(finer == refined)
        for some, grids in light_of_arms(rows[chosen], refined, stamps.shape[1]):
            stamps[chosen[some]] += convolve(grids, psfs[chosen[some]], stamps.shape[1])


def add_behind_image(stamps: NDArray[np.float32], rows: NDArray[np.void], file: PsfFile) -> None:
    """Add spiral arms behind a point spread function from a file to stamps; see ``add_to_stamps``."""
    for some, grids in light_of_arms(rows, FINER, stamps.shape[1]):
        stamps[some] += convolve_behind(grids, file, stamps.shape[1])


# the size of the stamps


def stamp_edges(
    rows: NDArray[np.void], psfs: NDArray[np.void], fractions: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Return the edges of the smallest stamps that hold at least a fraction of the light of the arms' disks.

    Parameters
    ----------
    rows : ARMS_ROW[m]
    psfs : PSF_ROW[m]
    fractions : float64[m]
        Below 1.

    Returns
    -------
    int64[m]
        Edges among ``SIZES``, or more than the largest where none is enough.
    """
    shared = [name for name in COMPONENT_ROW.names or () if name != "sersic_index"]
    fields = {name: rows[name] for name in shared}
    disks = rows_of(COMPONENT_ROW, len(rows), **fields, sersic_index=1.0)
    parts = np.arange(len(rows) + 1)
    return component_edges(parts, disks, psfs, fractions, SIZES, sersic_tables())
