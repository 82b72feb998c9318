"""Objects of the sky in stamps: each in the smallest square that holds a part of its light, or on the whole frame.

Galaxies whose squares have one size are rendered together. The sizes are few and even; a stamp's middle pixel is the
pixel that holds the galaxy's centre, so that its bits depend on the galaxy alone. What a stamp holds of the frame is a
``cutout``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepbench.images.fourier import render_components
from deepbench.images.point_sources import add_point, stamp_radius
from deepbench.images.psf_transforms import psf_radius
from deepbench.images.rows import Psfs, SkyRows
from deepbench.images.sersic import ellipse, sersic_tables
from deepbench.images.wings import galaxy_outside, psf_outside
from deepbench.kernels import inline, kernel

SIZES = np.array(
    [16, 20, 24, *(m * 2**e for e in range(4, 11) for m in (2, 2.5, 3)), 4096], np.int64
)
"""Edges of stamps in pixels; their FFTs have periods of twice that."""

MAXIMUM_STAMP = int(SIZES[-1])

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
        Below 1.
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
        own, psf, lost = components[parts[i] : parts[i + 1]], psfs[i], 1.0 - fractions[i]
        least = ellipse(psf_radius(psf, lost), psf[3], psf[4]).a
        edges[i] = sizes[-1] + 1
        for size in sizes[::-1]:
            half = 0.5 * size - 1.0  # from the centre's pixel, to the nearer side
            if half < least or _outside(own, psf, half, tables) > lost:
                break
            edges[i] = size
    return edges


def stamp_boxes(
    sky: SkyRows, psfs: Psfs, frame_shape: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where galaxies are drawn.

    Returns
    -------
    edges : int64[m]
        Of the stamps in pixels; 0 for the whole frame. Stars have −1, and what is wholly outside of the frame. Beyond
        ``MAXIMUM_STAMP``, a galaxy cannot be drawn.
    corners : int64[m, 2]
        x and y of the stamps' lower left pixels.
    """
    ny, nx = frame_shape
    whole = np.isnan(sky.stamp_flux)
    fractions = np.where(whole, 0.5, sky.stamp_flux)
    tables = sersic_tables()
    edges = stamp_edges(sky.parts, sky.components, psfs.transforms, fractions, SIZES, tables)
    whole |= edges >= max(ny, nx)
    edges = np.where(whole, 0, edges)
    middle = np.floor(sky.places + 0.5).astype(np.int64)
    corners = np.where(whole[:, None], 0, middle - edges[:, None] // 2)
    ends = corners + edges[:, None]
    outside = ~whole & ((ends <= 0) | (corners >= (nx, ny))).any(axis=1)
    return np.where(outside | sky.is_star, -1, edges), corners


def galaxy_stamps(
    sky: SkyRows,
    chosen: NDArray[np.intp],
    edges: NDArray[np.int64],
    corners: NDArray[np.int64],
    fluxes: NDArray[np.float64],
    psfs: Psfs,
    frame_shape: tuple[int, int],
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float32]]]:
    """Yield some of the chosen galaxies, and their stamps as float32[n, edge, edge] or frames.

    Frames come first, then stamps by their size; those of one size in the order in which they were chosen.
    """
    for edge in np.unique(edges[chosen]):
        members = chosen[edges[chosen] == edge]
        shape = frame_shape if edge == 0 else (int(edge), int(edge))
        length = max(1, STAMP_PIXELS // (shape[0] * shape[1]))
        for start in range(0, len(members), length):
            some = members[start : start + length]
            stamps = np.zeros((len(some), *shape), np.float32)
            offsets, components = sky.components_of(some, fluxes[some])
            components[:, 1:3] -= np.repeat(corners[some], np.diff(offsets), axis=0)
            render_components(stamps, offsets, components, psfs.transforms[some])
            yield some, stamps


@inline
def _overlap(corner, edge, size):
    """Return the first and last + 1 pixel of a stamp that is inside of a frame, along an axis of the frame."""
    return max(corner, 0), max(min(corner + edge, size), 0)


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
        image, stamp = images[samples[k]], stamps[k]
        left, right = _overlap(corners[k, 0], stamp.shape[1], image.shape[1])
        bottom, top = _overlap(corners[k, 1], stamp.shape[0], image.shape[0])
        for row in range(bottom, top):
            target = image[row, left:right]
            source = stamp[row - corners[k, 1], left - corners[k, 0] : right - corners[k, 0]]
            for i in range(right - left):
                target[i] += source[i]


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
    edges: NDArray[np.int64],
    corners: NDArray[np.int64],
    fluxes: NDArray[np.float64],
    psfs: Psfs,
    frame_shape: tuple[int, int],
) -> Cutouts:
    """Return the light of every object; the arguments are as for ``galaxy_stamps``."""
    stars = np.flatnonzero(sky.is_star)
    edges, corners = edges.copy(), corners.copy()
    radii = star_radii(psfs.families[stars], psfs.profiles[stars], sky.stamp_flux[stars])
    edges[stars] = 2 * radii + 1
    corners[stars] = np.floor(sky.places[stars] + 0.5).astype(np.int64) - radii[:, None]
    ny, nx = frame_shape
    ends = corners + edges[:, None]
    ends[edges == 0] = nx, ny
    ends[edges < 0] = 0
    low = np.clip(corners, 0, (nx, ny))
    high = np.maximum(np.clip(ends, 0, (nx, ny)), low)
    boxes = np.concatenate([low, high - low], axis=1)
    offsets = np.concatenate([[0], np.cumsum(boxes[:, 2] * boxes[:, 3])]).astype(np.int64)
    found = Cutouts(boxes, offsets, np.zeros(offsets[-1], np.float32))
    draw_stars(found, stars, radii, sky.places, fluxes, psfs.families, psfs.profiles)
    galaxies = np.flatnonzero((edges >= 0) & ~sky.is_star)
    for some, stamps in galaxy_stamps(sky, galaxies, edges, corners, fluxes, psfs, frame_shape):
        keep_stamps(found, some, stamps, corners[some])
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
    """Copy what stamps hold of the frame into the cutouts of some objects."""
    for k in range(some.size):
        i = some[k]
        left, bottom, width, height = found.boxes[i]
        view = found.light[found.offsets[i] : found.offsets[i + 1]].reshape((height, width))
        x, y = left - corners[k, 0], bottom - corners[k, 1]
        for row in range(height):
            view[row] = stamps[k, y + row, x : x + width]


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
