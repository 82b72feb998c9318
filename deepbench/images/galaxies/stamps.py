"""Objects of the sky in stamps: each in the smallest square that holds a part of its light, or on the whole frame.

Galaxies whose squares have one size are rendered together. The sizes are few and even; a stamp's middle pixel is the
pixel that holds the galaxy's centre, so that its bits depend on the galaxy alone. What a stamp holds of the frame is a
``cutout``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepbench.images.galaxies.fft_copies import galaxy_outside, psf_outside
from deepbench.images.galaxies.fourier import render_components
from deepbench.images.galaxies.image_psf import (
    add_arms_behind,
    add_truncated_behind,
    half_widths,
    render_behind,
)
from deepbench.images.galaxies.sersic import LEAST_AXIS_RATIO, ellipse, light_radius, sersic_tables
from deepbench.images.galaxies.sky_rows import SkyRows
from deepbench.images.galaxies.spirals import add_arms
from deepbench.images.galaxies.truncated import add_truncated
from deepbench.images.psf.psf_rows import Psfs
from deepbench.images.psf.psf_transforms import psf_radius
from deepbench.images.stars.point_sources import add_point, stamp_radius
from deepbench.numerics.kernels import inline, kernel
from deepbench.numerics.mathfast import log

if TYPE_CHECKING:
    from deepbench.images.psf.psf_files import PsfFile

SIZES = np.array(
    [16, 20, 24, *(m * 2**e for e in range(4, 11) for m in (2, 2.5, 3)), 4096], np.int64
)
"""Edges of stamps in pixels; their FFTs have periods of twice that."""

MAXIMUM_STAMP = int(SIZES[-1])

WIDTHS, PSF_WIDTHS = 3.0, 6.0
"""What galaxies are drawn on is so many times as wide as their semi-major half-light radius, and as their PSF."""

REST = 0.9999
"""The part of their light that stamps of arms and truncated profiles hold of galaxies on whole frames."""

STAMP_PIXELS = 2**18
"""Pixels of stamps that are rendered together."""


@kernel
def _outside(components, psf, half, tables):
    """Return about which part of a galaxy's light lies outside of a square of this half-width around it."""
    blur = ellipse(psf[1], psf[3], psf[4]).a
    total = psf_outside(psf, half)
    for row in components:
        total += row[0] * galaxy_outside(row, max(half - blur, 0.0), tables)
    return total


@kernel
def stamp_edges(parts, components, psfs, fractions, sizes, tables):
    """Return the edges of the smallest stamps that hold at least a fraction of the light of galaxies.

    Parameters
    ----------
    parts, components
        As in ``SkyRows``.
    psfs : float64[m, 5]
        As ``psf_transforms.PSF_ROW`` says.
    fractions : float64[m]
        Below 1; 0 where no edge is asked for.
    sizes : int64[s]
        The edges there are, even and in order.
    tables : SersicTables

    Returns
    -------
    int64[m]
        More than the largest of the sizes where none is enough.
    """
    edges = np.zeros(fractions.size, np.int64)
    for i in range(fractions.size):
        if fractions[i] <= 0.0:
            continue
        own, psf, lost = components[parts[i] : parts[i + 1]], psfs[i], 1.0 - fractions[i]
        least = ellipse(psf_radius(psf, lost), psf[3], psf[4]).a
        edges[i] = sizes[-1] + 1
        for size in sizes[::-1]:
            half = 0.5 * size - 1.0  # from the centre's pixel, to the nearer side
            if half < least or _outside(own, psf, half, tables) > lost:
                break
            edges[i] = size
    return edges


class Boxes(NamedTuple):
    """Where something is drawn.

    Attributes
    ----------
    edges : int64[m]
        Of the stamps in pixels; 0 for the whole frame, −1 where nothing of it is in the frame. Beyond
        ``MAXIMUM_STAMP``, it cannot be drawn.
    corners : int64[m, 2]
        x and y of the stamps' lower left pixels.
    """

    edges: NDArray[np.int64]
    corners: NDArray[np.int64]


class Stamps(NamedTuple):
    """Where galaxies are drawn: their components, the arms of spirals, and truncated profiles."""

    galaxies: Boxes
    arms: Boxes
    truncated: Boxes


def stamps_of(sky: SkyRows, psfs: Psfs, frame_shape: tuple[int, int]) -> Stamps:
    """Return where galaxies are drawn."""
    tables, optics = sersic_tables(), _optics(sky, psfs)
    whole, points = np.isnan(sky.stamp_flux), sky.is_star & ~psfs.are_images
    fractions = np.where(whole | points, 0.0, sky.stamp_flux)
    edges = stamp_edges(sky.parts, sky.components, optics, fractions, SIZES, tables)
    edges = _enlarged(sky, psfs, edges, frame_shape)
    absent = points | (np.diff(sky.parts) == 0)
    galaxies = _boxes(edges, absent, sky.places, frame_shape)
    fractions = np.where(whole, REST, sky.stamp_flux)
    disks = sky.arms[:, :7].copy()
    disks[:, 6] = 1.0
    own = optics[sky.arms_of], fractions[sky.arms_of]
    edges = stamp_edges(np.arange(len(disks) + 1), disks, *own, SIZES, tables)
    arms = _boxes(edges, edges < 0, sky.places[sky.arms_of], frame_shape)
    own = optics[sky.truncated_of], fractions[sky.truncated_of]
    edges = whole_edges(sky.truncated, *own, SIZES, tables)
    truncated = _boxes(edges, edges < 0, sky.places[sky.truncated_of], frame_shape)
    return Stamps(galaxies, arms, truncated)


def _enlarged(
    sky: SkyRows, psfs: Psfs, edges: NDArray[np.int64], frame_shape: tuple[int, int]
) -> NDArray[np.int64]:
    """Return edges that let galaxies be drawn well: those that are wide for a stamp, or the frame, need a larger one.

    Where 0 is given or the frame is as small as the stamp, 0 for the whole frame, if that is wide enough.
    """
    widths = np.zeros(len(sky))
    owner = np.repeat(np.arange(len(sky)), np.diff(sky.parts))
    ratio = np.maximum(sky.components[:, 4], LEAST_AXIS_RATIO)
    axes = np.where(sky.components[:, 0] > 0.0, sky.components[:, 3] / np.sqrt(ratio), 0.0)
    np.maximum.at(widths, owner, WIDTHS * axes)
    blurs = PSF_WIDTHS * psfs.profiles[:, 0] / np.sqrt(psfs.profiles[:, 3])
    least = np.where(np.diff(sky.parts) > 0, np.maximum(widths, blurs), 0.0)
    size = max(frame_shape)
    far = np.maximum(np.abs(sky.places), np.abs(np.array(frame_shape[::-1]) - 1 - sky.places))
    whole = (edges == 0) | (edges >= size)
    least = np.where(whole & (least > size), np.maximum(least, 2 * far.max(axis=1) + 4), least)
    return np.maximum(np.where(whole, 0, edges), np.where(whole & (least <= size), 0, _size(least)))


def _size(least: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the smallest of the sizes that are enough, or more than the largest of them."""
    sizes = np.append(SIZES, MAXIMUM_STAMP + 1)
    return sizes[np.minimum(np.searchsorted(SIZES, least), len(SIZES))]


def _optics(sky: SkyRows, psfs: Psfs) -> NDArray[np.float64]:
    """Return the transforms, in place of an image a Gaussian that holds the light in the square that holds the image's.

    Of a galaxy's light outside of a stamp, half may be that of the image.
    """
    optics = psfs.transforms
    for file, chosen in psfs.by_file():
        if file is None or not chosen.any():
            continue
        optics = optics.copy()
        outside = 1.0 - np.where(np.isnan(sky.stamp_flux), REST, sky.stamp_flux)[chosen]
        own = half_widths(file, np.where(sky.is_star[chosen], outside, 0.5 * outside))
        optics[chosen, 1] = own / np.sqrt(-log(outside) / math.log(16.0))
    return optics


def _boxes(
    edges: NDArray[np.int64],
    absent: NDArray[np.bool_],
    places: NDArray[np.float64],
    frame_shape: tuple[int, int],
) -> Boxes:
    """Return boxes around places; those that do not meet the frame are empty."""
    ny, nx = frame_shape
    middle = np.floor(places + 0.5).astype(np.int64)
    corners = np.where(edges[:, None] == 0, 0, middle - edges[:, None] // 2)
    outside = ((corners + edges[:, None] <= 0) | (corners >= (nx, ny))).any(axis=1) & (edges > 0)
    return Boxes(np.where(outside | absent, -1, edges), corners)


@kernel
def whole_edges(rows, psfs, fractions, sizes, tables):
    """Return the edges of stamps of truncated profiles: as large as the ellipse at which each ends, and its blur.

    Parameters
    ----------
    rows : float64[m, 8]
        As ``truncated.TRUNCATED_ROW`` says.
    psfs, fractions, sizes, tables
        As for ``stamp_edges``. A profile that falls to less than what is left out before it ends counts to there.

    Returns
    -------
    int64[m]
    """
    edges = np.zeros(len(rows), np.int64)
    for i in range(len(rows)):
        lost, row, psf = 0.5 * (1.0 - fractions[i]), rows[i], psfs[i]
        end = min(row[7], row[3] * light_radius(row[6], lost, tables))
        optics = ellipse(psf_radius(psf, lost), psf[3], psf[4]).a
        least = ellipse(end, row[4], row[5]).a + optics
        edges[i] = sizes[-1] + 1
        for size in sizes[::-1]:
            if 0.5 * size - 1.0 < least:
                break
            edges[i] = size
    return edges


def galaxy_stamps(
    sky: SkyRows,
    chosen: NDArray[np.bool_],
    where: Stamps,
    fluxes: NDArray[np.float64],
    psfs: Psfs,
    frame_shape: tuple[int, int],
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float32], NDArray[np.int64]]]:
    """Yield some of the galaxies, their stamps as float32[n, edge, edge], and x and y of the lower left pixels.

    First the components of those that are ``chosen``, whole frames before stamps by their size, then arms and truncated
    profiles of all; those of one size in their order. Objects behind images come with each image on its own, and last.
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
        components[:, 1:3] -= np.repeat(corners, np.diff(offsets), axis=0)
        whole = bool(where.galaxies.edges[some[0]] == 0)
        render_behind_any(stamps, offsets, components, psfs.take(some), centred=not whole)
        yield some, stamps, corners
    for rows, owners, boxes, add, add_behind in (
        (sky.arms, sky.arms_of, where.arms, add_arms, add_arms_behind),
        (sky.truncated, sky.truncated_of, where.truncated, add_truncated, add_truncated_behind),
    ):
        for some, stamps in _batches(boxes, seen[owners], frame_shape):
            own = rows[some]
            own[:, 0] *= fluxes[owners[some]]
            own[:, 1:3] -= boxes.corners[some]
            if file is None:
                add(stamps, own, psfs.transforms[owners[some]])
            else:
                add_behind(stamps, own, file)
            yield owners[some], stamps, boxes.corners[some]


def render_behind_any(
    frames: NDArray[np.float32],
    offsets: NDArray[np.int64],
    components: NDArray[np.float64],
    psfs: Psfs,
    *,
    centred: bool,
) -> None:
    """Add components to frames, one PSF for each: all of them functions, or all of them the same image."""
    if psfs.files[0] is None:
        render_components(frames, offsets, components, psfs.transforms)
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
    stars = np.flatnonzero(sky.is_star & ~psfs.are_images)
    radii = star_radii(psfs.families[stars], psfs.profiles[stars], sky.stamp_flux[stars])
    corners = np.floor(sky.places[stars] + 0.5).astype(np.int64) - radii[:, None]
    for owners, boxes in (
        (stars, Boxes(2 * radii + 1, corners)),
        (np.arange(len(sky)), where.galaxies),
        (sky.arms_of, where.arms),
        (sky.truncated_of, where.truncated),
    ):
        drawn = boxes.edges >= 0
        own, begin, edges = owners[drawn], boxes.corners[drawn], boxes.edges[drawn, None]
        low[own] = np.minimum(low[own], begin)
        high[own] = np.maximum(high[own], np.where(edges == 0, (nx, ny), begin + edges))
    low = np.clip(low, 0, (nx, ny))
    high = np.maximum(np.clip(high, 0, (nx, ny)), low)
    boxes_of = np.concatenate([low, high - low], axis=1)
    offsets = np.concatenate([[0], np.cumsum(boxes_of[:, 2] * boxes_of[:, 3])]).astype(np.int64)
    found = Cutouts(boxes_of, offsets, np.zeros(offsets[-1], np.float32))
    draw_stars(found, stars, radii, sky.places, fluxes, psfs.families, psfs.profiles)
    every = np.ones(len(sky), bool)
    for some, stamps, begin in galaxy_stamps(sky, every, where, fluxes, psfs, frame_shape):
        keep_stamps(found, some, stamps, begin)
    return found


@kernel
def star_radii(families, profiles, fractions):
    """Return the half-sizes of the squares that hold a fraction of the light of stars, int64[m]; see ``Psfs``."""
    radii = np.empty(fractions.size, np.int64)
    for i in range(fractions.size):
        fwhm, shape, truncation, ratio = (
            profiles[i, 0],
            profiles[i, 1],
            profiles[i, 2],
            profiles[i, 3],
        )
        radii[i] = stamp_radius(families[i], fwhm, shape, truncation, ratio, fractions[i])
    return radii


@kernel
def draw_stars(found, stars, radii, places, fluxes, families, profiles):
    """Draw stars in their cutouts."""
    for k in range(stars.size):
        i = stars[k]
        left, bottom, width, height = found.boxes[i]
        view = found.light[found.offsets[i] : found.offsets[i + 1]].reshape((height, width))
        x, y = places[i, 0] - left, places[i, 1] - bottom
        fwhm, shape, truncation, ratio, angle = profiles[i]
        add_point(
            view, x, y, fluxes[i], families[i], fwhm, shape, truncation, ratio, angle, radii[k]
        )


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
