"""Stars and galaxies behind a point spread function that a file holds, through the plane of wave numbers.

The samples, o per pixel, are taken as band-limited: their transform ends at π o along each axis, where it counts half.
Its values at multiples of 2π/N are those of an FFT of the samples, padded to N o along each axis, or where that is no
whole number, a sum that two FFTs convolve. Times the pixel's transform, where the samples do not hold it, and each
object's, and folded, they give the image and its copies N pixels apart, as in ``fourier``. A star is an object whose
transform is 1.

The samples reach E pixels, E / 2 on each side of their centre. On a frame of F pixels N is at least F + E and 2 F, so
that the point spread function of no copy reaches into it. In a stamp of F pixels, in whose middle the object is, N is
at least 2 F, and samples further than N / 2 from the centre are left out. Only wings of galaxies are left of the
copies. They are removed as if the point spread function were a Gaussian with the same transform at a small wave number.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from deepbench.images.galaxies.fft_copies import all_nodes, copy_scratch
from deepbench.images.galaxies.fourier import (
    STEPS,
    Scratch,
    add_component,
    chunks,
    fold,
    inverse,
    remove_copies,
    write_phases,
    write_row,
)
from deepbench.images.galaxies.periods import draw_by_period, period, smooth
from deepbench.images.galaxies.sersic import (
    component_ellipse,
    ellipse,
    quadratic_form,
    sersic_tables,
    write_sersic,
)
from deepbench.images.model.sky import POINT
from deepbench.images.psf.model import FWHM_OF_SIGMA
from deepbench.images.psf.psf import empty_rows
from deepbench.images.psf.psf_files import KEPT_PLANES, PsfFile, centre_of, extent_of, samples_of
from deepbench.images.psf.psf_profiles import psf_tables
from deepbench.images.psf.transform_tables import NODES, PIECES, piece_of
from deepbench.numerics.kernels import inline, kernel
from deepbench.numerics.mathfast import cos, log, sin

DARK = 1e-6
"""Where the transform of the point spread function and the pixel is below this, the plane ends."""

LINES = 64
"""Rows or columns of samples per FFT."""

WIDEST = 2046.0
"""Largest half-width of a stamp of a point spread function (pixel)."""

LOW = 4
"""Wave number at which the Gaussian agrees (2π / N)."""


# the samples


@lru_cache(maxsize=KEPT_PLANES)
def _dark_outside(file: PsfFile) -> NDArray[np.float64]:
    """Return the light outside of squares of 0, 1, 2, … half samples around the centre, at most; it never rises."""
    samples = samples_of(file)
    places = zip(samples.shape, centre_of(file), strict=True)
    rows, columns = (
        np.ceil(abs(2 * np.arange(length) - 2 * centre)).astype(np.int64)
        for length, centre in places
    )
    ring = np.maximum(rows[:, None], columns)
    outside = 1.0 - np.cumsum(np.bincount(ring.ravel(), samples.ravel()))
    return np.maximum.accumulate(outside[::-1])[::-1]


def half_widths(file: PsfFile, outside: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return half the sides of the squares, in pixels, outside of which these parts of the light of a point lie."""
    rest = _dark_outside(file)
    reach = len(rest) - np.searchsorted(rest[::-1], outside, side="right")
    half = 0.5 * (np.minimum(reach, len(rest) - 1) + 1) / file.oversampling
    return np.minimum(half + (0.0 if file.includes_pixel else 0.5), WIDEST)


def _response(count: int, size: int, file: PsfFile) -> NDArray[np.float64]:
    """Return the pixel's transform along an axis at multiples of 2π / size; the last of all waves counts half."""
    phase = np.pi * np.arange(count) / size
    phase[0] = 1.0
    response = np.ones(count) if file.includes_pixel else sin(phase) / phase
    response[0] = 1.0
    last = 0.5 * size * file.oversampling
    if float(last).is_integer():
        response[int(last) :] *= 0.5
    return response


def _turns(
    count: int, centre: float, waves: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return cosines and sines that move a centre to the first sample."""
    turn = np.pi * (np.arange(count) * (2 * centre) % (2 * waves)) / waves
    return cos(turn), sin(turn)


def _waves_from(
    samples: NDArray[Any], waves: float, first: int, count: int
) -> NDArray[np.complex128]:
    """Return Σ f_n exp(−2πi n k / waves) along the last axis for k = first … first + count − 1, complex128[…, count].

    The number of waves need not be whole: nk = (n² + k² − (k − n)²) / 2 makes a convolution of the sum (Bluestein 1970,
    IEEE Trans. Audio Electroacoust. 18, 451).
    """
    length = samples.shape[-1]

    def chirp(begin: int, end: int) -> NDArray[np.complex128]:
        numbers = np.arange(begin, end, dtype=np.float64)
        turn = np.pi * (numbers * numbers % (2.0 * waves)) / waves
        return _complex(cos(turn), sin(turn))

    size = scipy.fft.next_fast_len(length + count - 1)
    light = _product(samples, chirp(0, length).conj())
    spread = chirp(first - length + 1, first + count)
    transforms = (scipy.fft.fft(each, size, workers=1) for each in (light, spread))
    sums = scipy.fft.ifft(_product(*transforms), workers=1)[..., length - 1 : length - 1 + count]
    return _product(sums, chirp(first, first + count).conj())


def _complex(real: NDArray[np.float64], imaginary: NDArray[np.float64]) -> NDArray[np.complex128]:
    values = np.empty(real.shape, np.complex128)
    values.real, values.imag = real, imaginary
    return values


def _product(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.complex128]:
    """Return products of complex numbers; numpy's own round as the processor likes."""
    return _complex(
        one.real * other.real - one.imag * other.imag, one.real * other.imag + one.imag * other.real
    )


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
        Number of values of each row that are used.
    gaussian : PSF_ROW[1]
        The Gaussian with the same transform at a small wave number, without the pixel.
    """

    values: NDArray[np.float32]
    counts: NDArray[np.int64]
    gaussian: NDArray[np.void]


def _transform(file: PsfFile, size: int, reach: int) -> NDArray[np.float32]:
    """Return the values of a ``Plane`` up to a wave number."""
    waves = size * file.oversampling
    samples, (y, x) = _near_centre(file, waves)
    whole = int(waves) if float(waves).is_integer() else 0
    lines = np.empty((len(samples), reach + 1), np.complex128)
    for begin in range(0, len(samples), LINES):
        some = slice(begin, begin + LINES)
        if whole:
            lines[some] = scipy.fft.rfft(samples[some], whole, axis=1, workers=1)[:, : reach + 1]
        else:
            lines[some] = _waves_from(samples[some], waves, 0, reach + 1)
    response = _response(reach + 1, size, file)
    move_x, move_y = _turns(reach + 1, x, waves), _turns(reach + 1, y, waves)
    plane = np.empty((2 * reach + 1, reach + 1, 2), np.float32)
    for begin in range(0, reach + 1, LINES):
        some_lines = lines[:, begin : begin + LINES]
        if whole:
            columns = scipy.fft.fft(some_lines, whole, axis=0, workers=1)
        else:
            found = _waves_from(some_lines.T, waves, -reach, 2 * reach + 1)
            columns = np.ascontiguousarray(np.roll(found, -reach, axis=1).T)
        parts = columns.view(np.float64).reshape(len(columns), -1, 2)
        _write_columns(parts, begin, response, response, move_x, move_y, plane)
    return plane


def _near_centre(file: PsfFile, waves: float) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """Return the samples that are no further than half of ``waves`` from the centre, and the centre among them."""
    samples, centre = samples_of(file), centre_of(file)
    some, moved = [], []
    for length, middle in zip(samples.shape, centre, strict=True):
        first = max(0, math.ceil(middle - (waves - 1) / 2))
        some.append(slice(first, min(length, math.floor(middle + (waves - 1) / 2) + 1)))
        moved.append(middle - first)
    return samples[some[0], some[1]], (moved[0], moved[1])


@lru_cache(maxsize=4096)
def _last_wave(file: PsfFile) -> float:
    """Return the largest wave number along an axis at which the transform is not dark, in units of 2π per pixel."""
    size = smooth(math.ceil(extent_of(file) / file.oversampling))
    most = int(size * file.oversampling // 2)
    plane = _transform(file, size, most)
    counts = _counts(plane)
    rows = np.flatnonzero(counts)
    return max(counts.max() - 1, abs(rows - most).max(initial=0)) / size


@lru_cache(maxsize=KEPT_PLANES)
def plane_of(file: PsfFile, size: int) -> Plane:
    """Return the plane of a file for a period of ``size`` pixels, a multiple of 4."""
    most = int(size * file.oversampling // 2)
    reach = min(most, max(int(_last_wave(file) * size) + 2, LOW))
    values = _transform(file, size, reach)
    ends = (values[reach, LOW], values[reach + LOW, 0])
    bare = file._replace(includes_pixel=True)
    pixel = _response(LOW + 1, size, file)[LOW] / _response(LOW + 1, size, bare)[LOW]
    squares = [max(float(x) ** 2 + float(y) ** 2, 1e-12) for x, y in ends]
    k = 2.0 * np.pi * LOW / size
    variance = -(log(np.array(squares)).sum() / 2.0 - 2.0 * log(np.float64(pixel))) / (k * k)
    variance -= 1.0 / 12.0 if file.includes_pixel else 0.0
    gaussian = empty_rows(1)
    gaussian["fwhm"] = FWHM_OF_SIGMA * np.sqrt(max(float(variance), 1e-4))
    return Plane(values, _counts(values), gaussian)


# galaxies and stars


def _period(file: PsfFile, frame_shape: tuple[int, int], centred: bool) -> int:
    """Return the period for a frame, or for stamps with their objects in the middle."""
    size = period(*frame_shape)
    if centred:
        return size
    extent = extent_of(file) / file.oversampling
    return max(size, smooth(int(np.ceil(max(frame_shape) + extent)) + 2))


@inline
def put_behind(plane_row, count, real, imaginary):
    """Multiply a row of the half-plane by that of the point spread function."""
    for i in range(count):
        x, y = plane_row[i, 0], plane_row[i, 1]
        light = real[i]
        real[i] = light * x - imaginary[i] * y
        imaginary[i] = light * y + imaginary[i] * x


@kernel
def _write_spectra(spectra, offsets, components, plane, sersic, scratch):
    """Add the transforms of images; ``spectra`` is float32[images, N, N/2 + 1 or more, 2]."""
    size, reach = spectra.shape[1], plane.values.shape[1] - 1
    step = 2.0 * np.pi / size
    values, real, imaginary = scratch.lines[0], scratch.lines[1], scratch.lines[2]
    for image in range(spectra.shape[0]):
        own = components[offsets[image] : offsets[image + 1]]
        for c in range(own.shape[0]):
            write_phases(own[c], reach + 1, size, scratch.phases[c])
            shape = component_ellipse(own[c])
            low, high = min(step, np.pi / STEPS) * shape.b, 1.5 * reach * step * shape.a
            first, last = piece_of(low * low), piece_of(high * high)
            index = own[c].sersic_index
            write_sersic(index, sersic, first, last, scratch.values[0], scratch.profile[c])
            shape = ellipse(
                step * own[c].half_light_radius, own[c].axis_ratio, own[c].position_angle_degrees
            )
            form = quadratic_form(shape)
            for i in range(3):
                scratch.forms[c, i] = form[i]
        for j in range(-reach, reach + 1):
            count = plane.counts[j + reach]
            if count == 0:
                continue
            real[:count] = 0.0
            imaginary[:count] = 0.0
            for c in range(own.shape[0]):
                if own[c].half_light_radius <= POINT:
                    values[:count] = 1.0
                else:
                    write_row(
                        scratch.forms[c], j, count, scratch.profile[c], scratch.pieces, values
                    )
                flux = np.float32(own[c].flux)
                add_component(values, flux, scratch.phases[c], j, count, real, imaginary)
            put_behind(plane.values[j + reach], count, real, imaginary)
            fold(real, imaginary, count, j, size, spectra[image])


def make_scratch(reach: int, nx: int, components: int) -> Scratch:
    """Return the arrays for planes up to ``reach``, frames of ``nx`` columns and so many components in an image."""
    return Scratch(
        profile=np.empty((components, PIECES, 4), np.float32),
        psf_table=np.empty((PIECES, 4), np.float32),
        values=np.empty((2, NODES), np.float32),
        psf_plane=np.empty((1, 1), np.float32),
        phases=np.empty((components, 4, reach + 1), np.float32),
        forms=np.empty((components, 3)),
        pieces=np.empty(reach + 1, np.int32),
        lines=np.empty((3, reach + 1), np.float32),
        copies=copy_scratch(nx),
    )


def render_behind(
    frames: NDArray[np.float32],
    offsets: NDArray[np.int64],
    components: NDArray[np.void],
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
        Image i has the components offsets[i] to offsets[i + 1] − 1.
    components : COMPONENT_ROW[k]
        Those of radius ``POINT`` are stars.
    file : PsfFile
    centred : bool
        Whether the frames are stamps, with their objects in the middle.
    """
    count, ny, nx = frames.shape
    base = _period(file, (ny, nx), centred)
    gaussians = np.repeat(plane_of(file, base).gaussian, count)

    def draw(
        frames: NDArray[np.float32],
        offsets: NDArray[np.int64],
        components: NDArray[np.void],
        psfs: NDArray[np.void],
        size: int,
    ) -> None:
        _render_behind(frames, offsets, components, plane_of(file, size), size)

    draw_by_period(frames, offsets, components, gaussians, base, draw)


def _render_behind(
    frames: NDArray[np.float32],
    offsets: NDArray[np.int64],
    components: NDArray[np.void],
    plane: Plane,
    size: int,
) -> None:
    """Add stars and components to images by FFTs of a period; see ``render_behind``."""
    count, ny, nx = frames.shape
    sersic, tables = sersic_tables(), psf_tables()
    reach = plane.values.shape[1] - 1
    scratch = make_scratch(reach, nx, int(np.diff(offsets).max(initial=0)))
    galaxies = components["half_light_radius"] > POINT
    before = np.concatenate([[0], np.cumsum(galaxies)])
    for some, spectra in chunks(count, size):
        own = offsets[some.start : some.stop + 1]
        _write_spectra(spectra, own, components, plane, sersic, scratch)
        frames[some] += inverse(spectra, min(reach, size // 2) + 1, ny, nx)
        remove_copies(
            frames[some], before[own], components[galaxies], np.repeat(plane.gaussian, len(spectra)),
            size, sersic, tables, all_nodes(ny, nx), scratch,
        )  # fmt: skip
