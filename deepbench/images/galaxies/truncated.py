"""Sérsic profiles that end at an ellipse, behind point spread functions.

A circular profile that falls outwards is a stack of uniform discs. Their transform is 2 J1(x) / x, x = |k| × radius, so
that of the profile exp(−t), t = b (R / R_e)^(1/n), which ends at the radius T, is

    ∫_0^T exp(−t) (t / n R) π R² 2 J1(|k| R) / (|k| R) dR + exp(−t(T)) π T² 2 J1(|k| T) / (|k| T),

divided by its value at k = 0. The integral is a sum over R = T v(τ), equal steps of τ, where v is a polynomial so flat
at both ends that neither the cusp nor the edge is felt (Sag & Szekeres 1964, Math. Comp. 18, 245). It is found for
equal steps of |k|, with cubics between them. The image follows as in ``fourier``; the copies that an FFT adds bring no
more light than wings of the point spread function.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepbench.images.galaxies.fft_copies import (
    CopyScratch,
    all_nodes,
    copy_scratch,
    make_far_light,
    subtract_copies,
)
from deepbench.images.galaxies.fourier import (
    add_component,
    chunks,
    fold,
    half_chord,
    inverse,
    pixel_response,
    plane_row,
    write_phases,
    write_psf_plane,
    write_psf_table,
)
from deepbench.images.galaxies.image_psf import make_scratch, plane_of, put_behind
from deepbench.images.galaxies.oversampled import disc
from deepbench.images.galaxies.periods import period
from deepbench.images.galaxies.sersic import (
    ellipse,
    light_radius,
    quadratic_form,
    sersic_tables,
    shape_constants,
    within_range,
)
from deepbench.images.galaxies.stamp_sizes import SIZES, psf_reach
from deepbench.images.model.sky import COMPONENT_ROW, rows_of
from deepbench.images.psf.airy import disc_transform
from deepbench.images.psf.psf_files import PsfFile
from deepbench.images.psf.psf_profiles import is_round, psf_tables, same_transform
from deepbench.images.psf.transform_tables import NODES, PIECES
from deepbench.numerics.kernels import inline, kernel
from deepbench.numerics.mathfast import exp64, pow64

STEP = 0.2
"""Step of |k| T in the table."""

LEAST_DISCS = 48
"""Number of discs of the stack, besides one for each unit of the largest |k| T."""

NOTHING = 1e-6
"""Part of its light that is left where a profile is cut."""

_ONE, _TWO, _THREE, _SIX = np.float32(1.0), np.float32(2.0), np.float32(3.0), np.float32(6.0)


class Scratch(NamedTuple):
    """Arrays that the kernels write over; ``plane`` and ``psf_table`` are kept from image to image."""

    psf_table: NDArray[np.float32]
    values: NDArray[np.float32]
    plane: NDArray[np.float32]
    phases: NDArray[np.float32]
    pieces: NDArray[np.int32]
    lines: NDArray[np.float32]
    copies: CopyScratch


def _make_scratch(size: int, side: int) -> Scratch:
    most = 3 * size // 2 + 1
    return Scratch(
        psf_table=np.empty((PIECES, 4), np.float32),
        values=np.empty((2, NODES), np.float32),
        plane=np.empty((2 * most - 1, most), np.float32),
        phases=np.empty((4, most), np.float32),
        pieces=np.empty(most, np.int32),
        lines=np.empty((3, most), np.float32),
        copies=copy_scratch(side),
    )


@inline
def _make_stack(row, end, discs, tables):
    """Return the radii of discs and their parts of the light, float64[discs] each; the last one ends at ``end``."""
    inverse_index, half_light_radius = 1.0 / within_range(row.sersic_index), row.half_light_radius
    b = shape_constants(row.sersic_index, tables)[0]
    radii, light = np.empty(discs), np.empty(discs)
    total = 0.0
    for i in range(discs):
        tau = (i + 1.0) / discs
        rest = 1.0 - tau
        cube = tau * tau * tau
        radius = end * cube * tau * (35.0 - 84.0 * tau + 70.0 * tau * tau - 20.0 * cube)
        slope = end * 140.0 * cube * rest * rest * rest / discs
        t = b * pow64(radius / half_light_radius, inverse_index)
        area = np.pi * radius * radius
        share = area if i == discs - 1 else area * slope * t * inverse_index / radius
        radii[i], light[i] = radius, share * exp64(-t)
        total += light[i]
    for i in range(discs):
        light[i] /= total
    return radii, light


@inline
def _write_transform(radii, light, step, table):
    """Write the transform of a stack of discs at (i − 1) × step."""
    table[:] = np.float32(0.0)
    for j in range(radii.size):
        radius, part = np.float32(radii[j] * step), np.float32(light[j])
        for i in range(table.size):
            x = radius * np.float32(np.int32(i - 1))
            table[i] += part * disc_transform(x * x)


@inline
def _end(row, lost, tables):
    """Return the circularised radius where a profile ends, or falls to less than a part of its light before that."""
    radius = row.half_light_radius * light_radius(row.sersic_index, lost, tables)
    return min(row.truncation, radius)


@inline
def make_transform(row, radius, size, tables):
    """Return the transform of a profile up to a wave number, in steps of 2π / size, and its form for ``write_row``."""
    end = _end(row, NOTHING, tables)
    shape = ellipse(2.0 * np.pi / size * end / STEP, row.axis_ratio, row.position_angle_degrees)
    most = radius * shape.a
    radii, light = _make_stack(row, end, LEAST_DISCS + int(most * STEP), tables)
    table = np.empty(int(most) + 5, np.float32)
    _write_transform(radii, light, STEP / end, table)
    return table, quadratic_form(shape)


@inline
def write_row(form, j, count, table, pieces, target):
    """Write the transform at the wave numbers (i, j), i from 0 to count − 1; ``form`` is in steps of the table."""
    xx, xy, yy = np.float32(form[0]), np.float32(form[1] * j), np.float32(form[2] * j * j)
    for i in range(count):
        x = np.float32(np.int32(i))
        step = np.sqrt(max((xx * x + xy) * x + yy, np.float32(0.0)))
        piece = np.int32(step)
        pieces[i] = piece
        target[i] = step - np.float32(piece)
    for i in range(count):
        at = np.uint32(pieces[i])
        p = target[i]
        before, after, beyond = p + _ONE, p - _ONE, p - _TWO
        value = (table[at + 3] * before - table[at] * beyond) * p * after / _SIX
        target[i] = value + (table[at + 1] * after - table[at + 2] * p) * before * beyond / _TWO


@kernel
def write_spectra(spectra, rows, psfs, sersic, tables, response, scratch):
    """Add the transforms of images; ``spectra`` is float32[images, N, N/2 + 1 or more, 2]."""
    size = spectra.shape[1]
    radius = 0
    values, real, imaginary = scratch.lines[0], scratch.lines[1], scratch.lines[2]
    for image in range(spectra.shape[0]):
        row, psf = rows[image], psfs[image]
        round_psf, flux = is_round(psf), np.float32(row.flux)
        if image == 0 or not same_transform(psf, psfs[image - 1]):
            write_psf_table(psf, tables, size, scratch.values, scratch.psf_table)
            radius = disc(psf, scratch.psf_table, size, 3 * size // 2)
            write_psf_plane(
                psf, scratch.psf_table, radius, response, size, scratch.pieces, scratch.plane
            )
        table, form = make_transform(row, radius, size, sersic)
        write_phases(row, radius + 1, size, scratch.phases)
        for j in range(-radius, radius + 1):
            count = half_chord(radius, j) + 1
            write_row(form, j, count, table, scratch.pieces, values)
            real[:count] = 0.0
            imaginary[:count] = 0.0
            add_component(values, flux, scratch.phases, j, count, real, imaginary)
            plane = plane_row(scratch.plane, j, round_psf)
            for i in range(count):
                real[i] *= plane[i]
                imaginary[i] *= plane[i]
            fold(real, imaginary, count, j, size, spectra[image])


@kernel
def _remove_copies(stamps, points, psfs, size, sersic, tables, nodes, scratch):
    """Subtract the light of the copies of each profile, taken for points of light."""
    for image in range(stamps.shape[0]):
        psf = psfs[image]
        if image == 0 or not same_transform(psf, psfs[image - 1]):
            write_psf_table(psf, tables, size, scratch.values, scratch.psf_table)
        light = make_far_light(points[image], psf, scratch.psf_table, sersic, size)
        subtract_copies(
            stamps[image], light, points[image], psf, size, sersic, nodes, scratch.copies
        )


def add_to_stamps(
    stamps: NDArray[np.float32], rows: NDArray[np.void], psfs: NDArray[np.void]
) -> None:
    """Add truncated Sérsic profiles behind point spread functions to stamps.

    Parameters
    ----------
    stamps : float32[m, side, side]
        Changed in place; at least as large as the ellipse at which the profile ends.
    rows : TRUNCATED_ROW[m]
    psfs : PSF_ROW[m]
    """
    side = stamps.shape[1]
    size = period(side, side)
    sersic, tables, scratch = sersic_tables(), psf_tables(), _make_scratch(size, side)
    fields = {name: rows[name] for name in ("flux", "x", "y", "position_angle_degrees")}
    like_points = {"half_light_radius": 0.01, "axis_ratio": 1.0, "sersic_index": 0.5}
    points = rows_of(COMPONENT_ROW, len(rows), **fields, **like_points)
    for some, spectra in chunks(len(stamps), size):
        seen = psfs[some]
        write_spectra(spectra, rows[some], seen, sersic, tables, pixel_response(size), scratch)
        stamps[some] += inverse(spectra, size // 2 + 1, side, side)
        _remove_copies(
            stamps[some], points[some], seen, size, sersic, tables, all_nodes(side, side), scratch
        )


# behind an image of a point spread function


@kernel
def _write_behind(spectra, rows, plane, sersic, scratch):
    """Add the transforms of profiles behind the plane of a point spread function, one in each image."""
    size, reach = spectra.shape[1], plane.values.shape[1] - 1
    values, real, imaginary = scratch.lines[0], scratch.lines[1], scratch.lines[2]
    for image in range(spectra.shape[0]):
        table, form = make_transform(rows[image], 1.5 * reach, size, sersic)
        write_phases(rows[image], reach + 1, size, scratch.phases[0])
        flux = np.float32(rows[image].flux)
        for j in range(-reach, reach + 1):
            count = plane.counts[j + reach]
            write_row(form, j, count, table, scratch.pieces, values)
            real[:count] = 0.0
            imaginary[:count] = 0.0
            add_component(values, flux, scratch.phases[0], j, count, real, imaginary)
            put_behind(plane.values[j + reach], count, real, imaginary)
            fold(real, imaginary, count, j, size, spectra[image])


def add_behind_image(stamps: NDArray[np.float32], rows: NDArray[np.void], file: PsfFile) -> None:
    """Add truncated Sérsic profiles behind a point spread function from a file; see ``add_to_stamps``."""
    side = stamps.shape[1]
    size = period(side, side)
    plane, sersic = plane_of(file, size), sersic_tables()
    scratch = make_scratch(plane.values.shape[1] - 1, side, 1)
    for some, spectra in chunks(len(stamps), size):
        _write_behind(spectra, rows[some], plane, sersic, scratch)
        stamps[some] += inverse(spectra, size // 2 + 1, side, side)


# the size of the stamps


@kernel
def _edges(rows, psfs, fractions, sizes, tables):
    """Return the edges of stamps; see ``stamp_edges``."""
    edges = np.zeros(len(rows), np.int64)
    for i in range(len(rows)):
        lost = 0.5 * (1.0 - fractions[i])
        row, blur = rows[i], psf_reach(psfs[i], lost)
        shape = ellipse(_end(row, lost, tables), row.axis_ratio, row.position_angle_degrees)
        least = shape.a + blur
        edges[i] = sizes[-1] + 1
        for size in sizes[::-1]:
            if 0.5 * size - 1.0 < least:
                break
            edges[i] = size
    return edges


def stamp_edges(
    rows: NDArray[np.void], psfs: NDArray[np.void], fractions: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Return the edges of stamps of truncated profiles: as large as the ellipse at which each ends, and its blur.

    Parameters
    ----------
    rows : TRUNCATED_ROW[m]
    psfs : PSF_ROW[m]
    fractions : float64[m]
        Parts of the light, below 1. A profile that falls to less than what is left out before it ends counts to there.

    Returns
    -------
    int64[m]
        Edges among ``SIZES``, or more than the largest where none is enough.
    """
    return _edges(rows, psfs, fractions, SIZES, sersic_tables())
