"""Periods of the FFTs of galaxies: the further outside of the frame a galaxy's centre is, the longer.

A galaxy in the frame is so much brighter there than its copies that what ``fft_copies`` leaves of them cannot be seen.
Of one outside, the frame has the wing alone, beside copies that may be as near. Its period is so long that the copies
have at most ``SHARE`` of the light that it has in the frame, of which a hundredth is left. A component that has no
light to speak of in the frame, ``LEAST_LIGHT``, is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from deepbench.images.galaxies.fft_copies import faint_brightness, make_far_light
from deepbench.images.galaxies.model import MAXIMUM_PERIOD
from deepbench.images.galaxies.sersic import component_ellipse, psf_ellipse, sersic_tables
from deepbench.images.model.sky import POINT
from deepbench.images.psf.psf_profiles import psf_tables, write_transform
from deepbench.images.psf.transform_tables import NODES, PIECES
from deepbench.numerics.kernels import inline, kernel

SHARE = 0.01
"""Largest light of the copies at points of the frame, in units of the galaxy's own largest light at these points."""

LEAST_LIGHT = 1e-7
"""Light of the brightest pixel in the frame, in units of the flux, below which a component outside is left out."""

WIDTHS, PSF_WIDTHS = 3.0, 6.0
"""Least width of what galaxies are drawn on, in their semi-major half-light radii and in widths of their PSF."""

GROWTH = 1.25
"""Factor between periods that are tried, up to MAXIMUM_PERIOD: no component that is drawn is half of that away."""


@lru_cache(maxsize=64)
def period(ny: int, nx: int) -> int:
    """Return the period of the FFT of a frame: at least 32 and twice the frame, see ``smooth``."""
    return smooth(2 * max(ny, nx, 16))


@lru_cache(maxsize=256)
def smooth(least: int) -> int:
    """Return the next multiple of 4 without prime factors above 5."""
    size = least
    while True:
        rest = size
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1 and size % 4 == 0:
            return size
        size += 1


def are_outside(positions: NDArray[np.float64], frame_shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return which of the positions, x and y along the last axis, are in no pixel of a frame."""
    ny, nx = frame_shape
    x, y = positions[..., 0], positions[..., 1]
    return (x < -0.5) | (x >= nx - 0.5) | (y < -0.5) | (y >= ny - 0.5)


@inline
def _points(frame_shape, component):
    """Return the corners, the middle, and the nearest pixel to a component, x and y, float32[6, 2]."""
    height, width = frame_shape
    points = np.empty((6, 2), np.float32)
    for i in range(4):
        points[i] = (i % 2) * (width - 1), (i // 2) * (height - 1)
    points[4] = 0.5 * (width - 1), 0.5 * (height - 1)
    points[5] = (
        min(max(component.x, 0.0), width - 1.0),
        min(max(component.y, 0.0), height - 1.0),
    )
    return points


@inline
def _most_light(w, component, points, size):
    """Return the most light at one of the points, of a component, or of the eight copies that are ``size`` away."""
    most = 0.0
    for i in range(points.shape[0]):
        total = 0.0
        for mx in range(-1, 2):
            for my in range(-1, 2):
                if (mx != 0 or my != 0) == (size > 0):
                    dx = np.float32(points[i, 0] - component.x - mx * size)
                    dy = np.float32(points[i, 1] - component.y - my * size)
                    total += abs(faint_brightness(w, dx, dy))
        most = max(most, total)
    return most


@kernel
def _write_periods(offsets, components, psfs, outside, frame_shape, ladder, sersic, tables, chosen):
    """Write the number of the period on the ladder for each image; make components without light in the frame dark."""
    table, values = np.empty((PIECES, 4), np.float32), np.empty((2, NODES), np.float32)
    for image in range(psfs.shape[0]):
        for c in range(offsets[image], offsets[image + 1]):
            component, psf = components[c], psfs[image]
            if not outside[c]:
                continue
            if component.half_light_radius <= POINT:
                # what shows a point ends, and no copy of one within half of the period reaches the frame
                x, y = component.x - 0.5 * frame_shape[1], component.y - 0.5 * frame_shape[0]
                if 2.0 * max(abs(x), abs(y)) > ladder[0]:
                    components[c].flux = 0.0
                continue
            write_transform(psf, tables, 0, PIECES - 1, values, table)
            w = make_far_light(component, psf, table, sersic, ladder[0])
            points = _points(frame_shape, component)
            light = _most_light(w, component, points, 0)
            if light < LEAST_LIGHT * abs(component.flux):
                components[c].flux = 0.0
                continue
            blur = psf_ellipse(psf, psf.fwhm + 2.0 * psf.jitter).a
            least = 2.0 * max(WIDTHS * component_ellipse(component).a, PSF_WIDTHS * blur)
            at = chosen[image]
            while at < ladder.size - 1 and (
                ladder[at] < least or _most_light(w, component, points, ladder[at]) > SHARE * light
            ):
                at += 1
            chosen[image] = at


@lru_cache(maxsize=64)
def _ladder(base: int) -> NDArray[np.int64]:
    """Return the periods from ``base`` on."""
    sizes = [base]
    while sizes[-1] < MAXIMUM_PERIOD:
        sizes.append(smooth(min(int(np.ceil(GROWTH * sizes[-1])), MAXIMUM_PERIOD)))
    return np.array(sizes, np.int64)


def draw_by_period(
    frames: NDArray[np.float32],
    offsets: NDArray[np.int64],
    components: NDArray[np.void],
    psfs: NDArray[np.void],
    base: int,
    draw: Callable[..., None],
) -> None:
    """Draw images together that have one period.

    Parameters
    ----------
    frames, offsets, components, psfs
        As for ``fourier.render_components``.
    base : int
        The period where all galaxies are in the frame.
    draw : callable
        It adds components to frames: ``draw(frames, offsets, components, psfs, period)``.
    """
    count, ny, nx = frames.shape
    positions = np.stack([components["x"], components["y"]], axis=-1)
    outside = are_outside(positions, (ny, nx))
    if not outside.any():
        draw(frames, offsets, components, psfs, base)
        return
    components, chosen, ladder = components.copy(), np.zeros(count, np.int64), _ladder(base)
    _write_periods(
        offsets, components, psfs, outside, (ny, nx), ladder, sersic_tables(), psf_tables(), chosen
    )
    for number in np.unique(chosen):
        some = np.flatnonzero(chosen == number)
        counts = offsets[some + 1] - offsets[some]
        own = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        rows = np.repeat(offsets[some] - own[:-1], counts) + np.arange(own[-1])
        part = frames[some]
        draw(part, own, components[rows], psfs[some], int(ladder[number]))
        frames[some] = part
