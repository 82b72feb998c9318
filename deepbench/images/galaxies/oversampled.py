"""Light given on a fine grid, behind a point spread function and in pixels.

A surface brightness without a known transform is sampled on a grid finer than the pixels, ``refinements`` times. The
transform of the samples is that of the light and its aliases; the point spread function and the pixel, known at all
wave numbers, let only low ones pass, where the aliases are faint. What passes is folded, as sampling at the pixels'
centres does, and the inverse FFT gives the image (as ``fourier`` has it, where transforms are known).

Light finer than the grid is drawn on grids 2, 4, 8, … times finer. ``halve`` hands it to the next coarser one as the
transpose of interpolation: each sample is spread over the points from which a polynomial of degree 7 would find the
value there, so that all smooth functions have the same integral with the light as before.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from deepbench.images.galaxies.fourier import (
    LANES,
    fold,
    half_chord,
    pixel_response,
    plane_row,
    rounded,
    write_psf_plane,
    write_psf_table,
)
from deepbench.images.galaxies.image_psf import plane_of, put_behind
from deepbench.images.galaxies.sersic import psf_ellipse
from deepbench.images.psf.psf_files import PsfFile
from deepbench.images.psf.psf_profiles import (
    is_round,
    psf_tables,
    same_transform,
    transform_size,
)
from deepbench.images.psf.transform_tables import NODES, PIECES, transform_at
from deepbench.numerics.kernels import inline, kernel

CHUNK = 8
"""Grids per FFT."""

FINE, FINER = 2, 4
"""Points per pixel along an axis."""

WIDE = 2.0
"""Least size of a point spread function for which FINE is enough (pixel along the minor axis)."""

LEAST_MARGIN = 8
"""Least distance between the stamp and the edge of its grid (pixel); an eighth of the stamp where that is more."""

DARK = 2e-6
"""Where the transform of the point spread function is below this, the disc of wave numbers ends."""

HALF_WAY = tuple(np.float32(weight / 2048.0) for weight in (1225.0, -245.0, 49.0, -5.0))
"""Lagrange's weights of the points ½, 3/2, 5/2 and 7/2 steps away."""

REACH = 2 * len(HALF_WAY)
"""Points beyond a grid's light that ``halve`` may write to."""


@kernel
def refinements(psfs):
    """Return how many times finer than the pixels grids are, from the width of each point spread function, int64[m]."""
    found = np.empty(psfs.shape[0], np.int64)
    for i in range(psfs.shape[0]):
        width = transform_size(psfs[i]) * np.sqrt(psfs[i].axis_ratio)
        found[i] = FINE if width >= WIDE else FINER
    return found


@lru_cache(maxsize=64)
def grid_period(side: int) -> int:
    """Return the pixels along an axis of the grid of a stamp: a multiple of 8 without prime factors above 5."""
    size = side + 2 * max(LEAST_MARGIN, side // 8)
    while True:
        rest = size
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1 and size % (LANES // FINE) == 0:
            return size
        size += 1


class GridScratch(NamedTuple):
    """Arrays that the kernels write over."""

    values: NDArray[np.float32]
    table: NDArray[np.float32]
    plane: NDArray[np.float32]
    pieces: NDArray[np.int32]
    lines: NDArray[np.float32]


def _grid_scratch(size: int) -> GridScratch:
    most = FINER * size // 2 + 1
    return GridScratch(
        values=np.empty((2, NODES), np.float32),
        table=np.empty((PIECES, 4), np.float32),
        plane=np.empty((2 * most - 1, most), np.float32),
        pieces=np.empty(most, np.int32),
        lines=np.empty((2, most), np.float32),
    )


@inline
def disc(psf, table, size, most):
    """Return the radius of the disc of wave numbers that the point spread function lets pass, in steps of 2π / size."""
    scale = 2.0 * np.pi / size * psf_ellipse(psf, transform_size(psf)).b
    radius = most
    while radius > 1 and abs(transform_at(table, (radius * scale) * (radius * scale))) < DARK:
        radius -= 1
    return radius


@kernel
def reach(psfs, tables, size, refined, scratch):
    """Return the radius of the disc of wave numbers of each point spread function."""
    radii = np.empty(psfs.shape[0], np.int64)
    most = refined * size // 2 - 1
    for image in range(psfs.shape[0]):
        psf = psfs[image]
        if image > 0 and same_transform(psf, psfs[image - 1]):
            radii[image] = radii[image - 1]
            continue
        write_psf_table(psf, tables, size, scratch.values, scratch.table)
        radii[image] = disc(psf, scratch.table, size, most)
    return radii


@kernel
def fold_spectra(fine, psfs, radii, tables, response, scratch, spectra):
    """Add the spectra of fine grids, behind the point spread functions and in pixels, to those of images.

    ``fine`` is float32[images, N, columns, 2], ``spectra`` float32[images, size, size/2 + 1 or more, 2].
    """
    size, rows = spectra.shape[1], fine.shape[1]
    real, imaginary = scratch.lines[0], scratch.lines[1]
    for image in range(fine.shape[0]):
        psf, radius = psfs[image], radii[image]
        round_psf = is_round(psf)
        if image == 0 or not same_transform(psf, psfs[image - 1]):
            write_psf_table(psf, tables, size, scratch.values, scratch.table)
            write_psf_plane(
                psf, scratch.table, radius, response, size, scratch.pieces, scratch.plane
            )
        for j in range(-radius, radius + 1):
            count = half_chord(radius, j) + 1
            plane = plane_row(scratch.plane, j, round_psf)
            source = fine[image, j if j >= 0 else rows + j]
            for i in range(count):
                real[i] = source[i, 0] * plane[i]
                imaginary[i] = source[i, 1] * plane[i]
            fold(real, imaginary, count, j, size, spectra[image])


def convolve(grids: NDArray[np.float32], psfs: NDArray[np.void], side: int) -> NDArray[np.float32]:
    """Return the images of light on fine grids.

    Parameters
    ----------
    grids : float32[images, N, N]
        Light per point, N = refinement × ``grid_period(side)``; overwritten. The first point is the centre of the pixel
        side // 2 − grid_period(side) / 2 along each axis, counted from the first one of the stamp.
    psfs : PSF_ROW[images]
        All of the same refinement.
    side : int
        Edge of the stamps in pixels.

    Returns
    -------
    float32[images, side, side]
    """
    size = grid_period(side)
    refined = grids.shape[1] // size
    tables = psf_tables()
    scratch = _grid_scratch(size)
    radii = reach(psfs, tables, size, refined, scratch)
    lines = scipy.fft.rfft(grids, axis=2, overwrite_x=True, workers=1)
    columns = lines[:, :, : rounded(int(radii.max()) + 1)]
    fine = np.ascontiguousarray(scipy.fft.fft(columns, axis=1, workers=1)).view(np.float32)
    spectra = np.zeros((len(grids), size, rounded(size // 2 + 1), 2), np.float32)
    fold_spectra(
        fine.reshape(*columns.shape, 2), psfs, radii, tables, pixel_response(size), scratch,
        spectra,
    )  # fmt: skip
    half = spectra.view(np.complex64)[..., 0]
    lines = scipy.fft.ifft(half, axis=1, overwrite_x=True, workers=1)
    edge = size // 2 - side // 2
    rows = lines[:, edge : edge + rounded(side), : size // 2 + 1]
    return scipy.fft.irfft(rows, n=size, axis=2, workers=1)[:, :side, edge : edge + side]


@kernel
def _fold_behind(fine, plane, real, imaginary, spectra):
    """Add the spectra of fine grids, behind the point spread function, to those of images."""
    size, rows, reach = spectra.shape[1], fine.shape[1], plane.values.shape[1] - 1
    most = min(reach, rows // 2 - 1)
    for image in range(fine.shape[0]):
        for j in range(-most, most + 1):
            count = min(plane.counts[j + reach], most + 1)
            source = fine[image, j if j >= 0 else rows + j]
            for i in range(count):
                real[i] = source[i, 0]
                imaginary[i] = source[i, 1]
            put_behind(plane.values[j + reach], count, real, imaginary)
            fold(real, imaginary, count, j, size, spectra[image])


def convolve_behind(grids: NDArray[np.float32], file: PsfFile, side: int) -> NDArray[np.float32]:
    """Return the images of light on grids of FINER behind a point spread function from a file; see ``convolve``."""
    size = grid_period(side)
    plane = plane_of(file, size)
    columns = rounded(min(plane.values.shape[1], FINER * size // 2 + 1))
    real, imaginary = np.empty((2, columns), np.float32)
    edge = size // 2 - side // 2
    lines = scipy.fft.rfft(grids, axis=2, overwrite_x=True, workers=1)[:, :, :columns]
    fine = np.ascontiguousarray(scipy.fft.fft(lines, axis=1, workers=1)).view(np.float32)
    spectra = np.zeros((len(grids), size, rounded(size // 2 + 1), 2), np.float32)
    _fold_behind(fine.reshape(*lines.shape, 2), plane, real, imaginary, spectra)
    half = scipy.fft.ifft(spectra.view(np.complex64)[..., 0], axis=1, workers=1)
    half = half[:, edge : edge + rounded(side), : size // 2 + 1]
    return scipy.fft.irfft(half, n=size, axis=2, workers=1)[:, :side, edge : edge + side]


@inline
def halve(line, first, last, coarse, row, half):
    """Spread a row of a grid over the rows of the next coarser one.

    Parameters
    ----------
    line : float32[2 m]
        The row: its point 2 i is the point i of the coarser rows.
    first, last : int
        Its points outside of first … last − 1 are dark, and so are the first and the last REACH ones.
    coarse : float32[:, m]
        Added to.
    row : int
        The row of the finer grid: 2 j is the row j of the coarser one.
    half : float32[m]
        Scratch.
    """
    spread = len(HALF_WAY)
    begin, end = max(first // 2 - spread, spread), min(last // 2 + spread + 1, half.size - spread)
    for i in range(begin, end):
        half[i] = line[2 * i]
    for t in range(spread):
        weight = HALF_WAY[t]
        for i in range(begin, end):
            half[i] += weight * (line[2 * i + 2 * t + 1] + line[2 * i - 2 * t - 1])
    if row % 2 == 0:
        _add(coarse[row // 2], np.float32(1.0), half, begin, end)
        return
    for t in range(spread):
        _add(coarse[(row + 2 * t + 1) // 2], HALF_WAY[t], half, begin, end)
        _add(coarse[(row - 2 * t - 1) // 2], HALF_WAY[t], half, begin, end)


@inline
def _add(target, weight, source, begin, end):
    for i in range(begin, end):
        target[i] += weight * source[i]
