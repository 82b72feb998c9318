"""Objects of the sky in stamps: each in the smallest square that holds a part of its light, or on the whole frame.

Galaxies whose squares have one size are rendered together. The sizes are few and even; a stamp's middle pixel is the
pixel that holds the galaxy's centre, so that its bits depend on the galaxy alone. What a stamp holds of the frame is a
``cutout``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from deepbench.errors import LabelError
from deepbench.images.galaxies.fourier import render_components
from deepbench.images.galaxies.image_psf import half_widths, render_behind
from deepbench.images.galaxies.model import ENGINES
from deepbench.images.galaxies.periods import PSF_WIDTHS, WIDTHS, are_outside
from deepbench.images.galaxies.sersic import sersic_tables
from deepbench.images.galaxies.sky_rows import SkyRows
from deepbench.images.galaxies.stamp_sizes import MAXIMUM_STAMP, SIZES, component_edges
from deepbench.images.lensing.lensed_objects import shown
from deepbench.images.lensing.stamps import add_lensed, lensed_boxes
from deepbench.images.model.sky import LEAST_AXIS_RATIO
from deepbench.images.psf.model import FWHM_OF_SIGMA
from deepbench.images.psf.psf_rows import Psfs
from deepbench.images.stars.point_sources import add_point, jitter_table, stamp_radii
from deepbench.numerics.kernels import inline, kernel
from deepbench.numerics.mathfast import log

if TYPE_CHECKING:
    from deepbench.images.psf.psf_files import PsfFile

REST = 0.9999
"""Part of their light that stamps of arms and truncated profiles hold of galaxies on whole frames."""

STAMP_PIXELS = 2**18
"""Pixels of stamps that are rendered together."""


class Engine(Protocol):
    """Functions of a module of ``model.ENGINES``: it draws pieces in stamps, one in each, as large as they need.

    The rows of pieces are structured arrays of its own type, with the fields ``flux``, ``x`` and ``y``; ``psfs`` is
    ``PSF_ROW[m]``.
    """

    def stamp_edges(
        self, rows: NDArray[np.void], psfs: NDArray[np.void], fractions: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        """Return the edges of stamps that hold parts of the light, int64[m]; see ``component_edges``."""

    def add_to_stamps(
        self, stamps: NDArray[np.float32], rows: NDArray[np.void], psfs: NDArray[np.void]
    ) -> None:
        """Add pieces behind point spread functions to stamps, float32[m, side, side]."""

    def add_behind_image(
        self, stamps: NDArray[np.float32], rows: NDArray[np.void], file: PsfFile
    ) -> None:
        """Add pieces behind a point spread function from a file to stamps, float32[m, side, side]."""


def engine_of(name: str) -> Engine:
    """Return an engine by its name in ``model.ENGINES``."""
    module: Any = import_module(ENGINES[name])
    return module


class Boxes(NamedTuple):
    """Where something is drawn.

    Attributes
    ----------
    edges : int64[m]
        Edges of the stamps in pixels; 0 for the whole frame, −1 where nothing of it is in the frame. Beyond
        ``MAXIMUM_STAMP``, it cannot be drawn.
    corners : int64[m, 2]
        x and y of the stamps' lower left pixels.
    """

    edges: NDArray[np.int64]
    corners: NDArray[np.int64]

    def take(self, chosen: slice) -> Boxes:
        """Return some of them."""
        return Boxes(self.edges[chosen], self.corners[chosen])


class Stamps(NamedTuple):
    """Where galaxies are drawn: their components together, each of ``SkyRows.pieces`` on its own, and those lensed."""

    galaxies: Boxes
    pieces: tuple[Boxes, ...]
    lensed: Boxes

    def between(self, sky: SkyRows, first: int, last: int) -> Stamps:
        """Return where the galaxies from ``first`` to ``last`` − 1 are drawn."""
        some = [slice(*np.searchsorted(piece.owners, [first, last])) for piece in sky.pieces]
        boxes = zip(self.pieces, some, strict=True)
        lensed = slice(0, 0)
        if sky.lensed is not None:
            lensed = slice(*np.searchsorted(sky.lensed.owners, [first, last]))
        return Stamps(
            self.galaxies.take(slice(first, last)),
            tuple(each.take(rows) for each, rows in boxes),
            self.lensed.take(lensed),
        )

    def check_sizes(self, sky: SkyRows, table_name: str, samples: NDArray[np.int64]) -> None:
        """Refuse galaxies that need a stamp of too many pixels.

        Parameters
        ----------
        sky : SkyRows
        table_name : str
        samples : int64[m]
            The sample of each object, for the message.

        Raises
        ------
        LabelError
        """
        owners = [np.arange(len(sky)), *(piece.owners for piece in sky.pieces)]
        owners.append(np.zeros(0, np.int64) if sky.lensed is None else sky.lensed.owners)
        for boxes, owner in zip((self.galaxies, *self.pieces, self.lensed), owners, strict=True):
            large = np.flatnonzero(boxes.edges > MAXIMUM_STAMP)
            if large.size:
                raise LabelError.of_sample(
                    table_name,
                    samples[owner[large[0]]],
                    f"a galaxy needs a stamp of more than {MAXIMUM_STAMP} pixels; "
                    "give it a lower stamp_flux, such as 0.995, or make it smaller",
                )


def stamps_of(sky: SkyRows, psfs: Psfs, frame_shape: tuple[int, int]) -> Stamps:
    """Return where galaxies are drawn."""
    rows, whole = _enclosing_rows(sky, psfs), np.isnan(sky.stamp_flux)
    if sky.lensed is not None:
        whole[sky.lensed.owners] = True
    absent = (sky.are_points & ~psfs.are_images) | (np.diff(sky.parts) == 0)
    fractions = np.where(whole | absent, 0.0, sky.stamp_flux)
    edges = np.zeros(len(sky), np.int64)
    if fractions.any():
        tables = sersic_tables()
        edges = component_edges(sky.parts, sky.components, rows, fractions, SIZES, tables)
    edges = _enlarged(sky, psfs, edges, frame_shape)
    galaxies = _boxes(edges, absent, sky.positions, frame_shape)
    fractions = np.where(whole, REST, sky.stamp_flux)
    pieces = []
    for piece in sky.pieces:
        own = rows[piece.owners], fractions[piece.owners]
        edges = engine_of(piece.engine).stamp_edges(piece.rows, *own)
        pieces.append(_boxes(edges, edges < 0, sky.positions[piece.owners], frame_shape))
    return Stamps(galaxies, tuple(pieces), _lensed_boxes(sky, rows, frame_shape))


def _lensed_boxes(sky: SkyRows, psfs: NDArray[np.void], frame_shape: tuple[int, int]) -> Boxes:
    """Return where lensed galaxies are drawn; lensed stars, which are no pieces, are not."""
    if sky.lensed is None:
        return Boxes(np.zeros(0, np.int64), np.zeros((0, 2), np.int64))
    owners = sky.lensed.owners
    edges, corners = lensed_boxes(psfs[owners], frame_shape)
    return Boxes(np.where(sky.are_points[owners], -1, edges), corners)


def _enlarged(
    sky: SkyRows, psfs: Psfs, edges: NDArray[np.int64], frame_shape: tuple[int, int]
) -> NDArray[np.int64]:
    """Return edges that let galaxies be drawn well: those that are wide for a stamp, or the frame, need a larger one.

    Where 0 is given or the frame is as small as the stamp, 0 for the whole frame, if that is wide enough or the
    galaxy's centre is outside of it.
    """
    widths = np.zeros(len(sky))
    owner = np.repeat(np.arange(len(sky)), np.diff(sky.parts))
    components = sky.components
    ratio = np.maximum(components["axis_ratio"], LEAST_AXIS_RATIO)
    axes = np.where(components["flux"] > 0.0, components["half_light_radius"] / np.sqrt(ratio), 0.0)
    np.maximum.at(widths, owner, WIDTHS * axes)
    jitters = FWHM_OF_SIGMA * psfs.rows["jitter"]
    blurs = np.sqrt(psfs.rows["fwhm"] * psfs.rows["fwhm"] + jitters * jitters)
    blurs *= PSF_WIDTHS / np.sqrt(psfs.rows["axis_ratio"])
    least = np.where(np.diff(sky.parts) > 0, np.maximum(widths, blurs), 0.0)
    size = max(frame_shape)
    far = np.maximum(np.abs(sky.positions), np.abs(np.array(frame_shape[::-1]) - 1 - sky.positions))
    whole = (edges == 0) | (edges >= size)
    least = np.where(whole & are_outside(sky.positions, frame_shape), 0.0, least)  # see ``periods``
    least = np.where(whole & (least > size), np.maximum(least, 2 * far.max(axis=1) + 4), least)
    return np.maximum(np.where(whole, 0, edges), np.where(whole & (least <= size), 0, _size(least)))


def _size(least: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the smallest of the sizes that are enough, or more than the largest of them."""
    sizes = np.append(SIZES, MAXIMUM_STAMP + 1)
    return sizes[np.minimum(np.searchsorted(SIZES, least), len(SIZES))]


def _enclosing_rows(sky: SkyRows, psfs: Psfs) -> NDArray[np.void]:
    """Return rows, where an image has a Gaussian that holds the light in the square that holds the image's.

    Of a galaxy's light outside of a stamp, half may be that of the image.
    """
    rows = psfs.rows
    for file, chosen in psfs.by_file():
        if file is None or not chosen.any():
            continue
        rows = rows.copy()
        outside = 1.0 - np.where(np.isnan(sky.stamp_flux), REST, sky.stamp_flux)[chosen]
        own = half_widths(file, np.where(sky.are_points[chosen], outside, 0.5 * outside))
        rows["fwhm"][chosen] = own / np.sqrt(-log(outside) / math.log(16.0))
    return rows


def _boxes(
    edges: NDArray[np.int64],
    absent: NDArray[np.bool_],
    positions: NDArray[np.float64],
    frame_shape: tuple[int, int],
) -> Boxes:
    """Return boxes around positions; those that do not meet the frame are empty."""
    ny, nx = frame_shape
    middle = np.floor(positions + 0.5).astype(np.int64)
    corners = np.where(edges[:, None] == 0, 0, middle - edges[:, None] // 2)
    outside = ((corners + edges[:, None] <= 0) | (corners >= (nx, ny))).any(axis=1) & (edges > 0)
    return Boxes(np.where(outside | absent, -1, edges), corners)


def galaxy_stamps(
    sky: SkyRows,
    chosen: NDArray[np.bool_],
    where: Stamps,
    fluxes: NDArray[np.float64],
    psfs: Psfs,
    frame_shape: tuple[int, int],
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float32], NDArray[np.int64]]]:
    """Yield some of the galaxies, their stamps as float32[n, edge, edge], and x and y of the lower left pixels.

    First the components of those that are ``chosen``, whole frames before stamps by their size, then the pieces of all
    by their engines; those of one size in their order. Objects behind images come with each image on its own, and last.
    """
    for file, seen in psfs.by_file():
        own = chosen & seen
        yield from _stamps_behind(file, seen, sky, own, where, fluxes, psfs, frame_shape)


def _stamps_behind(
    file: PsfFile | None,
    seen: NDArray[np.bool_],
    sky: SkyRows,
    chosen: NDArray[np.bool_],
    where: Stamps,
    fluxes: NDArray[np.float64],
    psfs: Psfs,
    frame_shape: tuple[int, int],
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float32], NDArray[np.int64]]]:
    """Yield the stamps of objects that are ``seen`` through a file, or through none; see ``galaxy_stamps``."""
    for some, stamps in _batches(where.galaxies, chosen, frame_shape):
        corners = where.galaxies.corners[some]
        offsets, components = sky.components_of(some, fluxes[some])
        _move(components, np.repeat(corners, np.diff(offsets), axis=0))
        whole = bool(where.galaxies.edges[some[0]] == 0)
        render_behind_any(stamps, offsets, components, psfs.take(some), centred=not whole)
        yield some, stamps, corners
    for piece, boxes in zip(sky.pieces, where.pieces, strict=True):
        engine, owners = engine_of(piece.engine), piece.owners
        for some, stamps in _batches(boxes, seen[owners], frame_shape):
            own = piece.rows[some]
            own["flux"] *= fluxes[owners[some]]
            _move(own, boxes.corners[some])
            if file is None:
                engine.add_to_stamps(stamps, own, psfs.rows[owners[some]])
            else:
                engine.add_behind_image(stamps, own, file)
            yield owners[some], stamps, boxes.corners[some]
    if sky.lensed is None:
        return
    owners = sky.lensed.owners
    for some, stamps in _batches(where.lensed, seen[owners], frame_shape):
        drawn, corners = owners[some], where.lensed.corners[some]
        add_lensed(
            stamps, sky.lensed, some, corners, sky.positions[drawn], fluxes[drawn],
            psfs.rows[drawn], file,
        )  # fmt: skip
        yield drawn, stamps, corners


def _move(rows: NDArray[np.void], corners: NDArray[np.int64]) -> None:
    """Count the positions of rows from corners."""
    rows["x"] -= corners[:, 0]
    rows["y"] -= corners[:, 1]


def render_behind_any(
    frames: NDArray[np.float32],
    offsets: NDArray[np.int64],
    components: NDArray[np.void],
    psfs: Psfs,
    *,
    centred: bool,
) -> None:
    """Add components to frames, one PSF for each: all of them functions, or all of them the same image."""
    if psfs.files[0] is None:
        render_components(frames, offsets, components, psfs.rows)
    else:
        render_behind(frames, offsets, components, psfs.files[0], centred=centred)


def _batches(
    boxes: Boxes, chosen: NDArray[np.bool_], frame_shape: tuple[int, int]
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float32]]]:
    """Yield numbers of boxes of one size and empty stamps for them."""
    for edge in np.unique(boxes.edges[chosen & (boxes.edges >= 0)]):
        members = np.flatnonzero(chosen & (boxes.edges == edge))
        shape = frame_shape if edge == 0 else (int(edge), int(edge))
        length = max(1, STAMP_PIXELS // (shape[0] * shape[1]))
        for start in range(0, len(members), length):
            some = members[start : start + length]
            yield some, np.zeros((len(some), *shape), np.float32)


@inline
def _add_stamp(image, stamp, x, y):
    """Add a stamp whose lower left pixel is (x, y) to an image."""
    left, right = max(x, 0), min(x + stamp.shape[1], image.shape[1])
    for row in range(max(y, 0), min(y + stamp.shape[0], image.shape[0])):
        target, source = image[row], stamp[row - y]
        for column in range(left, right):
            target[column] += source[column - x]


@kernel
def add_stamps(images, samples, stamps, corners):
    """Add stamps to images.

    Parameters
    ----------
    images : float32[n, ny, nx]
        Changed.
    samples : int64[k]
        The image of each stamp.
    stamps : float32[k, h, w]
    corners : int64[k, 2]
        x and y of their lower left pixels.
    """
    for k in range(len(stamps)):
        _add_stamp(images[samples[k]], stamps[k], corners[k, 0], corners[k, 1])


class Cutouts(NamedTuple):
    """The light of each object of the sky inside of the frame.

    Attributes
    ----------
    boxes : int64[m, 4]
        x and y of the lower left pixel in the frame, width and height.
    offsets : int64[m + 1]
        Object i has ``light[offsets[i] : offsets[i + 1]]``, row after row.
    light : float32[total]
    """

    boxes: NDArray[np.int64]
    offsets: NDArray[np.int64]
    light: NDArray[np.float32]


def cutouts(
    sky: SkyRows,
    where: Stamps,
    fluxes: NDArray[np.float64],
    psfs: Psfs,
    frame_shape: tuple[int, int],
) -> Cutouts:
    """Return the light of every object; the arguments are as for ``galaxy_stamps``."""
    ny, nx = frame_shape
    low, high = np.full((len(sky), 2), max(ny, nx)), np.zeros((len(sky), 2), np.int64)
    stars = np.flatnonzero(sky.are_points & ~psfs.are_images)
    seen = shown(sky.lensed, sky.positions, stars)
    stars, radii = stars[seen.stars], np.zeros(0, np.int64)
    if len(stars):
        radii = stamp_radii(psfs.rows[stars], sky.stamp_flux[stars])
    corners = np.floor(seen.positions + 0.5).astype(np.int64) - radii[:, None]
    lensed = np.zeros(0, np.int64) if sky.lensed is None else sky.lensed.owners
    for owners, boxes in (
        (lensed, where.lensed),
        (stars, Boxes(2 * radii + 1, corners)),
        (np.arange(len(sky)), where.galaxies),
        *((piece.owners, own) for piece, own in zip(sky.pieces, where.pieces, strict=True)),
    ):
        drawn = boxes.edges >= 0
        own, begin, edges = owners[drawn], boxes.corners[drawn], boxes.edges[drawn, None]
        np.minimum.at(low, own, begin)
        np.maximum.at(high, own, np.where(edges == 0, (nx, ny), begin + edges))
    low = np.clip(low, 0, (nx, ny))
    high = np.maximum(np.clip(high, 0, (nx, ny)), low)
    boxes_of = np.concatenate([low, high - low], axis=1)
    offsets = np.concatenate([[0], np.cumsum(boxes_of[:, 2] * boxes_of[:, 3])]).astype(np.int64)
    found = Cutouts(boxes_of, offsets, np.zeros(offsets[-1], np.float32))
    if len(stars):
        light = fluxes[stars] * seen.parts
        draw_stars(found, stars, radii, seen.positions, light, psfs.rows[stars])
    every = np.ones(len(sky), bool)
    for some, stamps, begin in galaxy_stamps(sky, every, where, fluxes, psfs, frame_shape):
        keep_stamps(found, some, stamps, begin)
    return found


@kernel
def draw_stars(found, stars, radii, positions, fluxes, psfs):
    """Draw images of stars in the stars' cutouts, each with its radius, position, light and row of a PSF."""
    table = np.empty(0, np.float32)
    for k in range(stars.size):
        i = stars[k]
        table = jitter_table(psfs, k, table)
        left, bottom, width, height = found.boxes[i]
        view = found.light[found.offsets[i] : found.offsets[i + 1]].reshape((height, width))
        x, y = positions[k, 0] - left, positions[k, 1] - bottom
        add_point(view, x, y, fluxes[k], psfs[k], radii[k], table)


@kernel
def keep_stamps(found, some, stamps, corners):
    """Add what stamps hold of the frame to the cutouts of some objects."""
    for k in range(some.size):
        left, bottom, width, height = found.boxes[some[k]]
        light = found.light[found.offsets[some[k]] : found.offsets[some[k] + 1]]
        _add_stamp(
            light.reshape((height, width)), stamps[k], corners[k, 0] - left, corners[k, 1] - bottom
        )


@kernel
def add_cutouts(images, samples, found):
    """Add the light of every object to the image of its sample."""
    for i in range(samples.size):
        left, bottom, width, height = found.boxes[i]
        view = found.light[found.offsets[i] : found.offsets[i + 1]].reshape((height, width))
        for row in range(height):
            target = images[samples[i], bottom + row, left : left + width]
            for column in range(width):
                target[column] += view[row, column]
