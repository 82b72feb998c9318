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
    WingScratch,
    all_nodes,
    make_wing,
    subtract_copies,
    wing_scratch,
)
from deepbench.images.galaxies.fourier import (
    CHUNK,
    add_component,
    fold,
    half_chord,
    inverse,
    period,
    pixel_response,
    rounded,
    same,
    table_pieces,
    write_phases,
    write_psf_plane,
)
from deepbench.images.galaxies.oversampled import disc
from deepbench.images.galaxies.sersic import (
    COMPONENT_ROW,
    ellipse,
    light_radius,
    quadratic_form,
    sersic_tables,
    shape_constants,
    within_range,
)
from deepbench.images.psf.psf_profiles import disc_transform
from deepbench.images.psf.psf_transforms import optics_tables, write_psf
from deepbench.images.psf.transform_tables import NODES, PIECES
from deepbench.numerics.kernels import inline, kernel
from deepbench.numerics.mathfast import exp64, pow64

TRUNCATED_ROW = (*COMPONENT_ROW, "truncation")
"""The columns of a row, in pixels and degrees.

``half_light_radius`` is that of the profile before it is cut, ``truncation`` the circularised radius of the ellipse at
which it ends, ``flux`` the light inside.
"""

STEP = 0.2
"""Of |k| T in the table."""

LEAST_DISCS = 48
"""Discs of the stack, besides one for each unit of the largest |k| T."""

NOTHING = 1e-6
"""A profile is cut where it has no more than this part of its light left."""

_ONE, _TWO, _THREE, _SIX = np.float32(1.0), np.float32(2.0), np.float32(3.0), np.float32(6.0)


class Scratch(NamedTuple):
    """Arrays that the kernels write over; ``plane`` and ``psf_table`` are kept from image to image."""

    psf_table: NDArray[np.float32]
    values: NDArray[np.float32]
    plane: NDArray[np.float32]
    phases: NDArray[np.float32]
    pieces: NDArray[np.int32]
    lines: NDArray[np.float32]
    wing: WingScratch


def _make_scratch(size: int, side: int) -> Scratch:
    most = 3 * size // 2 + 1
    return Scratch(
        psf_table=np.empty((PIECES, 4), np.float32),
        values=np.empty((2, NODES), np.float32),
        plane=np.empty((2 * most - 1, most), np.float32),
        phases=np.empty((4, most), np.float32),
        pieces=np.empty(most, np.int32),
        lines=np.empty((3, most), np.float32),
        wing=wing_scratch(side),
    )


@inline
def _make_stack(row, end, discs, tables):
    """Return the radii of discs and their parts of the light, float64[discs] each; the last one ends at ``end``."""
    inverse_index = 1.0 / within_range(row[6])
    b = shape_constants(row[6], tables)[0]
    radii, light = np.empty(discs), np.empty(discs)
    total = 0.0
    for i in range(discs):
        tau = (i + 1.0) / discs
        rest = 1.0 - tau
        cube = tau * tau * tau
        radius = end * cube * tau * (35.0 - 84.0 * tau + 70.0 * tau * tau - 20.0 * cube)
        slope = end * 140.0 * cube * rest * rest * rest / discs
        t = b * pow64(radius / row[3], inverse_index)
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
def make_transform(row, radius, size, tables):
    """Return the transform of a profile up to a wave number, in steps of 2π / size, and its form for ``write_row``."""
    end = min(row[7], row[3] * light_radius(row[6], NOTHING, tables))
    shape = ellipse(2.0 * np.pi / size * end / STEP, row[4], row[5])
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
        place = np.sqrt(max((xx * x + xy) * x + yy, np.float32(0.0)))
        piece = np.int32(place)
        pieces[i] = piece
        target[i] = place - np.float32(piece)
    for i in range(count):
        at = np.uint32(pieces[i])
        p = target[i]
        before, after, beyond = p + _ONE, p - _ONE, p - _TWO
        value = (table[at + 3] * before - table[at] * beyond) * p * after / _SIX
        target[i] = value + (table[at + 1] * after - table[at + 2] * p) * before * beyond / _TWO


@kernel
def write_spectra(spectra, rows, psfs, sersic, optics, response, scratch):
    """Add the transforms of images; ``spectra`` is float32[images, N, N/2 + 1 or more, 2]."""
    size = spectra.shape[1]
    radius = 0
    values, real, imaginary = scratch.lines[0], scratch.lines[1], scratch.lines[2]
    for image in range(spectra.shape[0]):
        row, psf = rows[image], psfs[image]
        round_psf = psf[3] >= 1.0
        if image == 0 or not same(psf, psfs[image - 1]):
            first, last = table_pieces(ellipse(psf[1], psf[3], psf[4]), 2.0 * np.pi / size)
            write_psf(psf, optics, first, last, scratch.values, scratch.psf_table)
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
            add_component(values, np.float32(row[0]), scratch.phases, j, count, real, imaginary)
            at = abs(j) if round_psf else (j if j >= 0 else scratch.plane.shape[0] + j)
            plane = scratch.plane[at]
            for i in range(count):
                real[i] *= plane[i]
                imaginary[i] *= plane[i]
            fold(real, imaginary, count, j, size, spectra[image])


@kernel
def _subtract_wings(stamps, rows, psfs, size, sersic, optics, nodes, scratch):
    """Subtract the light of the copies of each profile, taken for points of light."""
    point = np.empty(7)
    for image in range(stamps.shape[0]):
        psf = psfs[image]
        if image == 0 or not same(psf, psfs[image - 1]):
            first, last = table_pieces(ellipse(psf[1], psf[3], psf[4]), 2.0 * np.pi / size)
            write_psf(psf, optics, first, last, scratch.values, scratch.psf_table)
        point[:] = rows[image, :7]
        point[3], point[4], point[6] = 0.01, 1.0, 0.5
        w = make_wing(point, psf, scratch.psf_table, sersic, size)
        subtract_copies(stamps[image], w, point, psf, size, sersic, nodes, scratch.wing)


def add_truncated(
    stamps: NDArray[np.float32], rows: NDArray[np.float64], psf_rows: NDArray[np.float64]
) -> None:
    """Add truncated Sérsic profiles behind point spread functions to stamps.

    Parameters
    ----------
    stamps : float32[m, side, side]
        Changed in place; at least as large as the ellipse at which the profile ends.
    rows : float64[m, 8]
        As ``TRUNCATED_ROW`` says, in pixels and degrees.
    psf_rows : float64[m, 5]
        As ``PSF_ROW`` says, in pixels and degrees.
    """
    side = stamps.shape[1]
    size = period(side, side)
    sersic, optics, scratch = sersic_tables(), optics_tables(), _make_scratch(size, side)
    for begin in range(0, len(stamps), CHUNK):
        some = slice(begin, begin + CHUNK)
        own, psfs = rows[some], psf_rows[some]
        spectra = np.zeros((len(own), size, rounded(size // 2 + 1), 2), np.float32)
        write_spectra(spectra, own, psfs, sersic, optics, pixel_response(size), scratch)
        images = inverse(spectra.view(np.complex64)[..., 0], side, side)
        stamps[some] += images
        _subtract_wings(
            stamps[some], own, psfs, size, sersic, optics, all_nodes(side, side), scratch
        )
