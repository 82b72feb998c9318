"""Stars and galaxies behind a point spread function that a file holds, through the plane of wave numbers.

The samples, o per pixel, are taken as band-limited: their transform ends at π o along each axis, where it counts half.
Its values at multiples of 2π/N are those of an FFT of the samples, padded to N o along each axis. Times the pixel's
transform, where the samples do not hold it, and each object's, and folded, they give the image and its copies N pixels
apart, as in ``fourier``. A star is an object whose transform is 1.

The samples reach E pixels. On a frame of F pixels N is at least F + E and 2 F, so that the point spread function of no
copy reaches into it. In a stamp of F pixels, in whose middle the object is, N is at least 2 F, and samples further than
N / 2 from the centre are left out. What is left of copies is the wings of galaxies. They are removed as if the point
spread function were a Gaussian with the same transform at a small wave number.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from deepbench.images.galaxies import truncated
from deepbench.images.galaxies.fft_copies import all_nodes, wing_scratch
from deepbench.images.galaxies.fourier import (
    CHUNK,
    STEPS,
    Scratch,
    add_component,
    add_wings,
    fold,
    inverse,
    near,
    period,
    rounded,
    smooth,
    write_phases,
    write_row,
)
from deepbench.images.galaxies.oversampled import FINER, grid_period
from deepbench.images.galaxies.sersic import ellipse, quadratic_form, sersic_tables, write_sersic
from deepbench.images.galaxies.sky_rows import POINT
from deepbench.images.galaxies.spirals import light_of_arms
from deepbench.images.psf.model import FWHM_OF_SIGMA
from deepbench.images.psf.psf_files import PsfFile, samples_of
from deepbench.images.psf.psf_transforms import optics_tables
from deepbench.images.psf.transform_tables import NODES, PIECES, piece_of
from deepbench.numerics.kernels import inline, kernel
from deepbench.numerics.mathfast import cos, log, sin

DARK = 1e-6
"""Where the transform of the point spread function and the pixel is below this, the plane ends."""

LINES = 64
"""Rows or columns of samples per FFT."""

WIDEST = 2046.0
"""The largest half-width of a stamp of a point spread function, in pixels."""

LOW = 4
"""The Gaussian agrees at this wave number, in steps of 2π / N."""


# the samples


@lru_cache(maxsize=8)
def _dark_outside(path, sha256) -> NDArray[np.float64]:  # type: ignore[no-untyped-def]
    """Return the light outside of squares of 0, 1, 2, … half samples around the centre, at most; it never rises."""
    samples = samples_of(path, sha256)
    ny, nx = samples.shape
    rows, columns = abs(2 * np.arange(ny) - (ny - 1)), abs(2 * np.arange(nx) - (nx - 1))
    ring = np.maximum(rows[:, None], columns)
    outside = 1.0 - np.cumsum(np.bincount(ring.ravel(), samples.ravel()))
    return np.maximum.accumulate(outside[::-1])[::-1]


def half_widths(file: PsfFile, outside: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return half the sides of the squares, in pixels, outside of which these parts of the light of a point lie."""
    rest = _dark_outside(file.path, file.sha256)
    reach = len(rest) - np.searchsorted(rest[::-1], outside, side="right")
    half = 0.5 * (np.minimum(reach, len(rest) - 1) + 1) / file.oversampling
    return np.minimum(half + (0.0 if file.includes_pixel else 0.5), WIDEST)


def _response(count: int, size: int, file: PsfFile) -> NDArray[np.float64]:
    """Return the pixel's transform along an axis at multiples of 2π / size; the last of all waves counts half."""
    phase = np.pi * np.arange(count) / size
    phase[0] = 1.0
    response = np.ones(count) if file.includes_pixel else sin(phase) / phase
    response[0] = 1.0
    last = size * file.oversampling // 2
    response[last:] *= 0.5
    return response


def _turns(count: int, length: int, waves: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return cosines and sines that move the centre of ``length`` samples to the first one."""
    turn = np.pi * (np.arange(count) * (length - 1) % (2 * waves)) / waves
    return cos(turn), sin(turn)


@kernel
def _write_columns(lines, first, along, up, move_x, move_y, plane):
    """Write columns of the plane: the samples' transform, moved to their centre, times the pixel's.

    Parameters
    ----------
    lines : float64[waves, columns, 2]
    first : int
        Number of the first of the columns.
    along, up : float64[reach + 1]
        The pixel's transform.
    move_x, move_y : pair of float64[reach + 1]
        ``_turns`` along each axis.
    plane : float32[2 reach + 1, reach + 1, 2]
    """
    reach = along.size - 1
    for j in range(-reach, reach + 1):
        source = lines[j if j >= 0 else lines.shape[0] + j]
        cy, sy = move_y[0][abs(j)], move_y[1][abs(j)] * (-1.0 if j < 0 else 1.0)
        for i in range(source.shape[0]):
            cx, sx = move_x[0][first + i], move_x[1][first + i]
            c, s = cx * cy - sx * sy, cx * sy + sx * cy
            factor = along[first + i] * up[abs(j)]
            real, imaginary = source[i, 0], source[i, 1]
            plane[j + reach, first + i, 0] = np.float32(factor * (real * c - imaginary * s))
            plane[j + reach, first + i, 1] = np.float32(factor * (real * s + imaginary * c))


@kernel
def _counts(plane):
    """Return how many values there are in each row up to the last that is not dark."""
    counts = np.zeros(plane.shape[0], np.int64)
    for j in range(plane.shape[0]):
        for i in range(plane.shape[1] - 1, -1, -1):
            if plane[j, i, 0] ** 2 + plane[j, i, 1] ** 2 > np.float32(DARK * DARK):
                counts[j] = i + 1
                break
    return counts


class Plane(NamedTuple):
    """The transform of a point spread function, and of the pixel, at multiples of 2π / N.

    Attributes
    ----------
    values : float32[2 reach + 1, reach + 1, 2]
        Real and imaginary parts at the wave numbers (j − reach, i).
    counts : int64[2 reach + 1]
        Values of each row that are used.
    gaussian : float64[5]
        The Gaussian with the same transform at a small wave number, without the pixel, as ``PSF_ROW`` says.
    """

    values: NDArray[np.float32]
    counts: NDArray[np.int64]
    gaussian: NDArray[np.float64]


def _transform(file: PsfFile, size: int, reach: int) -> NDArray[np.float32]:
    """Return the values of a ``Plane`` up to a wave number; ``size`` × oversampling is even."""
    samples, waves = samples_of(file.path, file.sha256), size * file.oversampling
    cut = [max(0, -(-(length - waves) // 2)) for length in samples.shape]
    samples = samples[cut[0] : samples.shape[0] - cut[0], cut[1] : samples.shape[1] - cut[1]]
    ny, nx = samples.shape
    lines = np.empty((ny, reach + 1), np.complex128)
    for begin in range(0, ny, LINES):
        some = slice(begin, begin + LINES)
        lines[some] = scipy.fft.rfft(samples[some], waves, axis=1, workers=1)[:, : reach + 1]
    response = _response(reach + 1, size, file)
    move_x, move_y = _turns(reach + 1, nx, waves), _turns(reach + 1, ny, waves)
    plane = np.empty((2 * reach + 1, reach + 1, 2), np.float32)
    for begin in range(0, reach + 1, LINES):
        columns = scipy.fft.fft(lines[:, begin : begin + LINES], waves, axis=0, workers=1)
        parts = columns.view(np.float64).reshape(waves, -1, 2)
        _write_columns(parts, begin, response, response, move_x, move_y, plane)
    return plane


@lru_cache(maxsize=32)
def _last_wave(file: PsfFile) -> float:
    """Return the largest wave number along an axis at which the transform is not dark, in units of 2π per pixel."""
    longest = max(samples_of(file.path, file.sha256).shape)
    size = smooth(-(-longest // file.oversampling))
    most = size * file.oversampling // 2
    plane = _transform(file, size, most)
    counts = _counts(plane)
    rows = np.flatnonzero(counts)
    return max(counts.max() - 1, abs(rows - most).max(initial=0)) / size


@lru_cache(maxsize=16)
def plane_of(file: PsfFile, size: int) -> Plane:
    """Return the plane of a file for a period of ``size`` pixels, a multiple of 4."""
    most = size * file.oversampling // 2
    reach = min(most, max(int(_last_wave(file) * size) + 2, LOW))
    values = _transform(file, size, reach)
    ends = (values[reach, LOW], values[reach + LOW, 0])
    bare = PsfFile(file.path, file.sha256, file.oversampling, True)
    pixel = _response(LOW + 1, size, file)[LOW] / _response(LOW + 1, size, bare)[LOW]
    squares = [max(float(x) ** 2 + float(y) ** 2, 1e-12) for x, y in ends]
    k = 2.0 * np.pi * LOW / size
    variance = -(log(np.array(squares)).sum() / 2.0 - 2.0 * log(np.float64(pixel))) / (k * k)
    variance -= 1.0 / 12.0 if file.includes_pixel else 0.0
    width = FWHM_OF_SIGMA * np.sqrt(max(float(variance), 1e-4))
    return Plane(values, _counts(values), np.array([0.0, width, 0.0, 1.0, 0.0]))


# galaxies and stars


def _period(file: PsfFile, frame_shape: tuple[int, int], centred: bool) -> int:
    """Return the period for a frame, or for stamps with their objects in the middle."""
    size = period(*frame_shape)
    if centred:
        return size
    extent = max(samples_of(file.path, file.sha256).shape) / file.oversampling
    return max(size, smooth(int(np.ceil(max(frame_shape) + extent)) + 2))


@inline
def _behind(plane_row, count, real, imaginary):
    """Multiply a row of the half-plane by that of the point spread function."""
    for i in range(count):
        x, y = plane_row[i, 0], plane_row[i, 1]
        light = real[i]
        real[i] = light * x - imaginary[i] * y
        imaginary[i] = light * y + imaginary[i] * x


@kernel
def _write_spectra(spectra, offsets, rows, plane, frame_shape, sersic, scratch):
    """Add the transforms of images; ``spectra`` is float32[images, N, N/2 + 1 or more, 2]."""
    size, reach = spectra.shape[1], plane.values.shape[1] - 1
    step = 2.0 * np.pi / size
    values, real, imaginary = scratch.lines[0], scratch.lines[1], scratch.lines[2]
    for image in range(spectra.shape[0]):
        own = rows[offsets[image] : offsets[image + 1]]
        for c in range(own.shape[0]):
            write_phases(own[c], reach + 1, size, scratch.phases[c])
            shape = ellipse(own[c, 3], own[c, 4], own[c, 5])
            low, high = min(step, np.pi / STEPS) * shape.b, 1.5 * reach * step * shape.a
            first, last = piece_of(low * low), piece_of(high * high)
            write_sersic(own[c, 6], sersic, first, last, scratch.values[0], scratch.profile[c])
            form = quadratic_form(ellipse(step * own[c, 3], own[c, 4], own[c, 5]))
            for i in range(3):
                scratch.forms[c, i] = form[i]
        for j in range(-reach, reach + 1):
            count = plane.counts[j + reach]
            if count == 0:
                continue
            real[:count] = 0.0
            imaginary[:count] = 0.0
            for c in range(own.shape[0]):
                if not near(own[c], frame_shape, size):
                    continue
                if own[c, 3] <= POINT:
                    values[:count] = 1.0
                else:
                    write_row(
                        scratch.forms[c], j, count, scratch.profile[c], scratch.pieces, values
                    )
                flux = np.float32(own[c, 0])
                add_component(values, flux, scratch.phases[c], j, count, real, imaginary)
            _behind(plane.values[j + reach], count, real, imaginary)
            fold(real, imaginary, count, j, size, spectra[image])


def _scratch(reach: int, nx: int, components: int) -> Scratch:
    return Scratch(
        profile=np.empty((components, PIECES, 4), np.float32),
        psf_table=np.empty((PIECES, 4), np.float32),
        values=np.empty((2, NODES), np.float32),
        psf_plane=np.empty((1, 1), np.float32),
        phases=np.empty((components, 4, reach + 1), np.float32),
        forms=np.empty((components, 3)),
        pieces=np.empty(reach + 1, np.int32),
        lines=np.empty((3, reach + 1), np.float32),
        wing=wing_scratch(nx),
    )


def render_behind(
    frames: NDArray[np.float32],
    offsets: NDArray[np.int64],
    rows: NDArray[np.float64],
    file: PsfFile,
    *,
    centred: bool,
) -> None:
    """Add stars and Sérsic components behind a point spread function from a file to images.

    Parameters
    ----------
    frames : float32[images, ny, nx]
        Changed in place.
    offsets : int64[images + 1]
        The components of image i are the rows offsets[i] to offsets[i + 1] − 1.
    rows : float64[components, 7]
        As ``COMPONENT_ROW`` says, in pixels and degrees; those of radius ``POINT`` are stars.
    file : PsfFile
    centred : bool
        Whether the frames are stamps, with their objects in the middle.
    """
    count, ny, nx = frames.shape
    size = _period(file, (ny, nx), centred)
    plane = plane_of(file, size)
    reach = plane.values.shape[1] - 1
    scratch = _scratch(reach, nx, int(np.diff(offsets).max(initial=0)))
    galaxies = rows[:, 3] > POINT
    before = np.concatenate([[0], np.cumsum(galaxies)])
    for begin in range(0, count, CHUNK):
        end = min(begin + CHUNK, count)
        own = offsets[begin : end + 1]
        spectra = np.zeros((end - begin, size, rounded(size // 2 + 1), 2), np.float32)
        _write_spectra(spectra, own, rows, plane, (ny, nx), sersic_tables(), scratch)
        columns = rounded(min(reach, size // 2) + 1)
        frames[begin:end] += inverse(spectra.view(np.complex64)[:, :, :columns, 0], ny, nx)
        add_wings(
            frames[begin:end], before[own], rows[galaxies],
            np.tile(plane.gaussian, (end - begin, 1)), size, sersic_tables(), optics_tables(),
            all_nodes(ny, nx), scratch,
        )  # fmt: skip


# truncated profiles and arms


@kernel
def _write_truncated(spectra, rows, plane, sersic, scratch):
    """Add the transforms of truncated profiles, one in each image."""
    size, reach = spectra.shape[1], plane.values.shape[1] - 1
    values, real, imaginary = scratch.lines[0], scratch.lines[1], scratch.lines[2]
    for image in range(spectra.shape[0]):
        table, form = truncated.make_transform(rows[image], 1.5 * reach, size, sersic)
        write_phases(rows[image], reach + 1, size, scratch.phases[0])
        flux = np.float32(rows[image, 0])
        for j in range(-reach, reach + 1):
            count = plane.counts[j + reach]
            truncated.write_row(form, j, count, table, scratch.pieces, values)
            real[:count] = 0.0
            imaginary[:count] = 0.0
            add_component(values, flux, scratch.phases[0], j, count, real, imaginary)
            _behind(plane.values[j + reach], count, real, imaginary)
            fold(real, imaginary, count, j, size, spectra[image])


def add_truncated_behind(
    stamps: NDArray[np.float32], rows: NDArray[np.float64], file: PsfFile
) -> None:
    """Add truncated Sérsic profiles behind a point spread function from a file; see ``truncated.add_truncated``."""
    side = stamps.shape[1]
    size = _period(file, (side, side), True)
    plane = plane_of(file, size)
    scratch = _scratch(plane.values.shape[1] - 1, side, 1)
    for begin in range(0, len(stamps), CHUNK):
        own = rows[begin : begin + CHUNK]
        spectra = np.zeros((len(own), size, rounded(size // 2 + 1), 2), np.float32)
        _write_truncated(spectra, own, plane, sersic_tables(), scratch)
        images = inverse(spectra.view(np.complex64)[..., 0], side, side)
        stamps[begin : begin + CHUNK] += images


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
            _behind(plane.values[j + reach], count, real, imaginary)
            fold(real, imaginary, count, j, size, spectra[image])


def add_arms_behind(stamps: NDArray[np.float32], rows: NDArray[np.float64], file: PsfFile) -> None:
    """Add spiral arms behind a point spread function from a file to stamps; see ``spirals.add_arms``."""
    side = stamps.shape[1]
    size = grid_period(side)
    plane = plane_of(file, size)
    columns = rounded(min(plane.values.shape[1], FINER * size // 2 + 1))
    real, imaginary = np.empty((2, columns), np.float32)
    edge = size // 2 - side // 2
    for some, grids in light_of_arms(rows, FINER, side):
        lines = scipy.fft.rfft(grids, axis=2, overwrite_x=True, workers=1)[:, :, :columns]
        fine = np.ascontiguousarray(scipy.fft.fft(lines, axis=1, workers=1)).view(np.float32)
        spectra = np.zeros((len(grids), size, rounded(size // 2 + 1), 2), np.float32)
        _fold_behind(fine.reshape(*lines.shape, 2), plane, real, imaginary, spectra)
        half = scipy.fft.ifft(spectra.view(np.complex64)[..., 0], axis=1, workers=1)
        half = half[:, edge : edge + rounded(side), : size // 2 + 1]
        images = scipy.fft.irfft(half, n=size, axis=2, workers=1)
        stamps[some] += images[:, :side, edge : edge + side]
