"""Galaxies behind a point spread function, rendered through the plane of wave numbers.

The transform of an image of galaxies is the sum over its components of flux × profile × phase, times those of the point
spread function and of the pixel (Bertin 2011, ASP Conf. 442, 435; Rowe et al. 2015, Astronomy and Computing 10, 121),
all known in closed form or from tables. Its values at all k + 2πm are added, as sampling at the pixels' centres folds
them; wave numbers end at 5π, as point spread functions wider than a pixel, and Airy's of half a pixel, leave nothing
beyond. The inverse FFT has a period N of at least twice the frame, see ``periods``, and gives the image and its copies
N pixels apart; ``fft_copies`` removes their light. A pixel holds the profile integrated over its square, and a frame
what a larger frame holds there.

The time goes into the tables' values on a half-disc of wave numbers and into the FFT. The plane of a point spread
function is kept for as long as images follow that have the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from deepbench.images.galaxies.fft_copies import (
    CopyScratch,
    all_nodes,
    copy_scratch,
    make_far_light,
    subtract_copies,
)
from deepbench.images.galaxies.periods import draw_by_period, period
from deepbench.images.galaxies.sersic import (
    component_ellipse,
    ellipse,
    psf_ellipse,
    quadratic_form,
    sersic_tables,
    write_sersic,
)
from deepbench.images.psf.psf_profiles import (
    is_round,
    psf_tables,
    same_transform,
    transform_size,
    write_transform,
)
from deepbench.images.psf.transform_tables import NODES, PIECES, piece_of, transform_at, write_form
from deepbench.numerics.kernels import inline, kernel
from deepbench.numerics.mathfast import sin, sincos32

CHUNK = 16
"""Images per FFT: few enough to stay in the cache, enough to hide the cost of a call."""

CHUNK_POINTS = 2**24
"""Largest number of their points."""

LANES = 16
"""The FFT runs over a multiple of this number of columns and rows, so that each is computed in the same way in any
batch: always in the lanes of a vector, never in what remains of one."""

STEPS = 32
"""Steps of the radius of the disc of wave numbers in π."""

MOST_WAVES = 5
"""Largest radius of the disc of wave numbers, in π."""

TAIL = 3e-5
"""Largest part of the sum over the wave numbers that may lie outside of the disc."""

TURN = np.float32(2.0 * np.pi)


@lru_cache(maxsize=64)
def pixel_response(size: int) -> NDArray[np.float32]:
    """Return the transform of a pixel along an axis at multiples of 2π / size up to the last wave number, float32."""
    phase = np.pi * np.arange(MOST_WAVES * size // 2 + 1) / size
    phase[0] = 1.0
    response = sin(phase) / phase
    response[0] = 1.0
    return response.astype(np.float32)


class Scratch(NamedTuple):
    """Arrays that the kernels write over; ``psf_plane`` and ``psf_table`` are kept from image to image."""

    profile: NDArray[np.float32]
    psf_table: NDArray[np.float32]
    values: NDArray[np.float32]
    psf_plane: NDArray[np.float32]
    phases: NDArray[np.float32]
    forms: NDArray[np.float64]
    pieces: NDArray[np.int32]
    lines: NDArray[np.float32]
    copies: CopyScratch


def make_scratch(size: int, nx: int, components: int) -> Scratch:
    """Return the arrays for an FFT of ``size``, frames of ``nx`` columns and so many components in an image."""
    most = MOST_WAVES * size // 2 + 1
    return Scratch(
        profile=np.empty((components, PIECES, 4), np.float32),
        psf_table=np.empty((PIECES, 4), np.float32),
        values=np.empty((2, NODES), np.float32),
        psf_plane=np.empty((2 * most - 1, most), np.float32),
        phases=np.empty((components, 4, most), np.float32),
        forms=np.empty((components, 3)),
        pieces=np.empty(most, np.int32),
        lines=np.empty((3, most), np.float32),
        copies=copy_scratch(nx),
    )


@inline
def table_pieces(shape, step):
    """Return the first and the last piece of a table for all wave numbers: multiples of a step, and of π / STEPS."""
    low, high = min(step, np.pi / STEPS) * shape.b, np.pi * MOST_WAVES * shape.a
    return piece_of(low * low), piece_of(high * high)


@inline
def write_psf_table(psf, tables, size, values, table):
    """Write the transform of a point spread function for all wave numbers of an FFT of ``size``."""
    shape = psf_ellipse(psf, transform_size(psf))
    first, last = table_pieces(shape, 2.0 * np.pi / size)
    write_transform(psf, tables, first, last, values, table)


@kernel
def _reach(components, profiles, psf, psf_table, size):
    """Return the radius of the disc of wave numbers, in steps of 2π / size; 0 where no component has light."""
    outer = np.zeros(MOST_WAVES * STEPS + 1)
    inner = 0.0
    psf_shape = psf_ellipse(psf, transform_size(psf))
    for c in range(components.shape[0]):
        shape, flux = component_ellipse(components[c]), components[c].flux
        for i in range(1, MOST_WAVES * STEPS + 1):
            k = i * np.pi / STEPS
            square = k * k
            seen = k * abs(flux * transform_at(psf_table, square * psf_shape.b * psf_shape.b))
            outer[i] += seen * abs(transform_at(profiles[c], square * shape.b * shape.b))
            inner += seen * abs(transform_at(profiles[c], square * shape.a * shape.b))
    if inner == 0.0:
        return 0
    last, tail = MOST_WAVES * STEPS, 0.0
    while last > 1 and tail + outer[last] < TAIL * inner:
        tail += outer[last]
        last -= 1
    return min((last + 1) * size // (2 * STEPS), MOST_WAVES * size // 2)


@inline
def _write_phases_along(position, step_count, size, cosines, sines):
    """Write cos and −sin of k × position at the multiples of 2π / size."""
    turn = position / size
    for i in range(step_count):
        turns = i * turn
        s, c = sincos32(np.float32(turns - np.floor(turns + 0.5)) * TURN)
        cosines[i] = c
        sines[i] = -s


@inline
def write_phases(component, step_count, size, phases):
    """Write cos and −sin of k x, then of k y, at the multiples of 2π / size."""
    _write_phases_along(component.x, step_count, size, phases[0], phases[1])
    _write_phases_along(component.y, step_count, size, phases[2], phases[3])


@inline
def half_chord(radius, j):
    """Return the largest i with i² + j² <= radius²."""
    return int(np.sqrt(float(radius * radius - j * j)))


@inline
def write_row(form, j, count, table, pieces, target):
    """Write a table's values at the wave numbers (i, j), i from 0 to count − 1, in units of the form's."""
    xx, xy, yy = np.float32(form[0]), np.float32(form[1] * j), np.float32(form[2] * j * j)
    write_form(table, xx, xy, yy, count, pieces, target)


@kernel
def write_psf_plane(psf, psf_table, radius, response, size, pieces, plane):
    """Write the transforms of the point spread function and the pixel on a disc: row j, or from the end if negative."""
    form = quadratic_form(psf_ellipse(psf, transform_size(psf) * 2.0 * np.pi / size))
    for j in range(0 if is_round(psf) else -radius, radius + 1):
        count = half_chord(radius, j) + 1
        target = plane[j if j >= 0 else plane.shape[0] + j]
        write_row(form, j, count, psf_table, pieces, target)
        factor = response[abs(j)]
        for i in range(count):
            target[i] *= factor * response[i]


@inline
def plane_row(plane, j, round_psf):
    """Return the row j of a plane that ``write_psf_plane`` wrote."""
    return plane[abs(j) if round_psf else (j if j >= 0 else plane.shape[0] + j)]


@inline
def add_component(values, flux, phases, j, count, real, imaginary):
    """Add flux × profile × phase of one component along a row of the plane."""
    cosine, sine = flux * phases[2, abs(j)], flux * phases[3, abs(j)]
    sine = -sine if j < 0 else sine
    c, s = phases[0], phases[1]
    for i in range(count):
        value = values[i]
        real[i] += value * (c[i] * cosine - s[i] * sine)
        imaginary[i] += value * (c[i] * sine + s[i] * cosine)


@inline
def fold(real, imaginary, count, j, size, spectrum):
    """Add a row of the half-plane to the spectrum, wave numbers modulo 2π, and its mirror image where it folds in."""
    half = size // 2
    direct, mirror = spectrum[j % size], spectrum[-j % size]
    for first in range(0, count + half, size):
        for i in range(first, min(first + half + 1, count)):
            direct[i - first, 0] += real[i]
            direct[i - first, 1] += imaginary[i]
        for i in range(max(first - half, 0), min(first + 1, count)):
            if first > 0:
                mirror[first - i, 0] += real[i]
                mirror[first - i, 1] -= imaginary[i]


@inline
def _write_spectrum(spectrum, components, plane, round_psf, radius, size, scratch):
    """Add the image's transform on the disc of wave numbers."""
    step = 2.0 * np.pi / size
    for c in range(components.shape[0]):
        own = components[c]
        write_phases(own, radius + 1, size, scratch.phases[c])
        shape = ellipse(step * own.half_light_radius, own.axis_ratio, own.position_angle_degrees)
        form = quadratic_form(shape)
        for i in range(3):
            scratch.forms[c, i] = form[i]
    values, real, imaginary = scratch.lines[0], scratch.lines[1], scratch.lines[2]
    for j in range(-radius, radius + 1):
        count = half_chord(radius, j) + 1
        real[:count] = 0.0
        imaginary[:count] = 0.0
        for c in range(components.shape[0]):
            write_row(scratch.forms[c], j, count, scratch.profile[c], scratch.pieces, values)
            flux = np.float32(components[c].flux)
            add_component(values, flux, scratch.phases[c], j, count, real, imaginary)
        let_pass = plane_row(plane, j, round_psf)
        for i in range(count):
            real[i] *= let_pass[i]
            imaginary[i] *= let_pass[i]
        fold(real, imaginary, count, j, size, spectrum)


@kernel
def _write_tables(components, psf, new_psf, sersic, tables, size, scratch):
    """Write the tables of an image's components and, where it is new, of its point spread function."""
    if new_psf:
        write_psf_table(psf, tables, size, scratch.values, scratch.psf_table)
    for c in range(components.shape[0]):
        shape = component_ellipse(components[c])
        first, last = table_pieces(shape, 2.0 * np.pi / size)
        index = components[c].sersic_index
        write_sersic(index, sersic, first, last, scratch.values[0], scratch.profile[c])


@kernel
def write_spectra(spectra, offsets, components, psfs, sersic, tables, response, scratch):
    """Add the transforms of images; return how many columns are not zero.

    ``spectra`` is float32[images, N, N/2 + 1 or more, 2], zero before: real and imaginary parts.
    """
    size = spectra.shape[1]
    columns = 1
    plane_radius = -1
    for image in range(spectra.shape[0]):
        own, psf = components[offsets[image] : offsets[image + 1]], psfs[image]
        new_psf = image == 0 or not same_transform(psf, psfs[image - 1])
        _write_tables(own, psf, new_psf, sersic, tables, size, scratch)
        radius = _reach(own, scratch.profile, psf, scratch.psf_table, size)
        if new_psf or radius > plane_radius:
            write_psf_plane(
                psf, scratch.psf_table, radius, response, size, scratch.pieces, scratch.psf_plane
            )
            plane_radius = radius
        if radius > 0:
            _write_spectrum(
                spectra[image],
                own,
                scratch.psf_plane,
                is_round(psf),
                radius,
                size,
                scratch,
            )
            columns = max(columns, min(radius, size // 2) + 1)
    return columns


@kernel
def remove_copies(frames, offsets, components, psfs, size, sersic, tables, nodes, scratch):
    """Subtract the light of the copies of each component."""
    for image in range(frames.shape[0]):
        psf = psfs[image]
        if image == 0 or not same_transform(psf, psfs[image - 1]):
            write_psf_table(psf, tables, size, scratch.values, scratch.psf_table)
        for c in range(offsets[image], offsets[image + 1]):
            component, frame = components[c], frames[image]
            light = make_far_light(component, psf, scratch.psf_table, sersic, size)
            subtract_copies(frame, light, component, psf, size, sersic, nodes, scratch.copies)


def rounded(count: int) -> int:
    """Return the next multiple of LANES."""
    return -(-count // LANES) * LANES


def chunks(count: int, size: int) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Yield the numbers of some images at a time, and spectra for them, zero: float32[images, N, columns, 2].

    Parameters
    ----------
    count : int
        Number of images.
    size : int
        The period N of the FFT.
    """
    together = max(1, min(CHUNK, CHUNK_POINTS // (size * size)))
    for begin in range(0, count, together):
        some = slice(begin, min(begin + together, count))
        yield some, np.zeros((some.stop - begin, size, rounded(size // 2 + 1), 2), np.float32)


def inverse(spectra: NDArray[np.float32], columns: int, ny: int, nx: int) -> NDArray[np.float32]:
    """Return the images of spectra, of which the first ``columns`` may be not zero, cropped to the frame."""
    size = spectra.shape[1]
    half = spectra.view(np.complex64)[:, :, : rounded(columns), 0]
    lines = scipy.fft.ifft(half, axis=1, overwrite_x=True, workers=1)
    half = lines[:, : rounded(ny), : size // 2 + 1]
    return scipy.fft.irfft(half, n=size, axis=2, workers=1)[:, :ny, :nx]


def render_components(
    frames: NDArray[np.float32],
    offsets: NDArray[np.int64],
    components: NDArray[np.void],
    psfs: NDArray[np.void],
) -> None:
    """Add Sérsic components behind point spread functions to images.

    Parameters
    ----------
    frames : float32[images, ny, nx]
        Changed in place.
    offsets : int64[images + 1]
        Image i has the components offsets[i] to offsets[i + 1] − 1.
    components : COMPONENT_ROW[k]
    psfs : PSF_ROW[images]

    Notes
    -----
    The bits of an image do not depend on the other images of the call. Errors are some 1e-5 of the peak for a
    sersic_index from 0.5 on, a half_light_radius up to an eighth of the frame, an axis_ratio from 0.1 on, and a fwhm
    from 1.2 pixels to a tenth of the frame. For a galaxy outside, they are 1e-4 of its brightest pixel in the frame.
    """
    base = period(*frames.shape[1:])
    draw_by_period(frames, offsets, components, psfs, base, _render_components)


def _render_components(
    frames: NDArray[np.float32],
    offsets: NDArray[np.int64],
    components: NDArray[np.void],
    psfs: NDArray[np.void],
    size: int,
) -> None:
    """Add components to images by FFTs of a period; see ``render_components``."""
    count, ny, nx = frames.shape
    sersic, tables = sersic_tables(), psf_tables()
    scratch = make_scratch(size, nx, int(np.diff(offsets).max(initial=0)))
    for some, spectra in chunks(count, size):
        own, seen = offsets[some.start : some.stop + 1], psfs[some]
        columns = write_spectra(
            spectra, own, components, seen, sersic, tables, pixel_response(size), scratch
        )
        frames[some] += inverse(spectra, columns, ny, nx)
        remove_copies(
            frames[some], own, components, seen, size, sersic, tables, all_nodes(ny, nx), scratch
        )
