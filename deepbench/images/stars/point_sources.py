"""Point sources: a point's light after the optics and the air, integrated over each pixel.

The pixel (y = j, x = i) holds flux times the integral of a profile of ``deepbench.images.psf.psf_profiles``
over the square [i − ½, i + ½] × [j − ½, j + ½]. A frame holds what a larger frame holds there, and
each pixel's bits depend on the source alone. ``deepbench.images.stars.pixel_means`` finds the means of
smooth profiles; here are the two others:

- a pixel on the boundary of a truncated profile. With t g(t) = ∫₀ᵗ f/2 is f the divergence of
  (x, y) g(t), and g is continuous where f ends. By Gauss's theorem the integral is that of x g or y g
  along the pixel's edges, which are cut where they cross the boundary;
- a Gaussian along the axes, which is a product of normal distribution functions.
"""

from __future__ import annotations

import numpy as np

from deepbench.images.psf.jitter import NODES, write_table
from deepbench.images.psf.model import GAUSSIAN
from deepbench.images.psf.psf_profiles import (
    flux_radius,
    make_profile,
    mean_within,
    same_transform,
)
from deepbench.images.stars.pixel_means import (
    LIMIT,
    NODES_3,
    NODES_5,
    WEIGHTS_3,
    WEIGHTS_5,
    add_far,
    add_near,
    make_source,
    span,
    square,
)
from deepbench.numerics.kernels import inline, kernel
from deepbench.numerics.mathfast import log64, normal_cdf64

# --- on the boundary of a truncated profile ---


@inline
def _part(source, along, cross, other, fixed, start, stop, held):
    """Return the integral of the mean of f within t along a part of an edge that does not cross the boundary.

    ``held`` is t times that mean, beyond the boundary; 0 within.
    """
    if start >= stop:
        return 0.0
    nearest = min(max(-cross * fixed / along, start), stop)
    least = along * nearest * nearest + 2.0 * cross * fixed * nearest + other * fixed * fixed
    # the distance from the singularity: t = 0 beyond the boundary, t = −1 within
    distance = np.sqrt((max(least, source.profile.end) if held > 0.0 else 1.0 + least) / along)
    few = stop - start < 0.2 * distance
    nodes, weights = (NODES_3, WEIGHTS_3) if few else (NODES_5, WEIGHTS_5)
    parts = 1 + int(min((stop - start) / (0.7 * distance), 255.0))
    half = 0.5 * (stop - start) / parts
    total = 0.0
    for part in range(parts):
        middle = start + (2 * part + 1) * half
        for a in range(nodes.size):
            s = middle + half * nodes[a]
            t = along * s * s + 2.0 * cross * fixed * s + other * fixed * fixed
            mean = held / t if held > 0.0 else mean_within(source.profile, t)
            total += weights[a] * mean
    return 2.0 * half * total


@inline
def _edge(source, along, cross, other, fixed, start, held):
    """Return the flux out through an edge of a pixel, from ``start`` to ``start`` + 1, at the distance ``fixed``."""
    stop = start + 1.0
    middle = -cross * fixed / along
    rest = middle * middle + (source.profile.end - other * fixed * fixed) / along
    reach = np.sqrt(max(rest, 0.0))
    enter = min(max(middle - reach, start), stop)
    leave = min(max(middle + reach, start), stop)
    total = _part(source, along, cross, other, fixed, start, enter, held)
    total += _part(source, along, cross, other, fixed, enter, leave, 0.0)
    total += _part(source, along, cross, other, fixed, leave, stop, held)
    return 0.5 * fixed * total


@kernel
def _cut(source, dx, dy):
    """Return the mean of f over a pixel that the boundary may cross."""
    x, y = dx - 0.5, dy - 0.5
    xx, xy, yy = source.xx, source.xy, source.yy
    held = source.profile.end * mean_within(source.profile, source.profile.end)
    total = _edge(source, yy, xy, xx, x + 1.0, y, held) - _edge(source, yy, xy, xx, x, y, held)
    total += _edge(source, xx, xy, yy, y + 1.0, x, held)
    return total - _edge(source, xx, xy, yy, y, x, held)


# --- a Gaussian along the axes ---


@kernel
def _steps(centre, sigma, first, parts):
    """Write the parts of a Gaussian in the pixels from ``first`` on."""
    edge = (float(first) - 0.5 - centre) / sigma
    tail = normal_cdf64(-abs(edge))
    for i in range(parts.size):
        next_edge = (float(first + i) + 0.5 - centre) / sigma
        next_tail = normal_cdf64(-abs(next_edge))
        if edge < 0.0 < next_edge:
            parts[i] = 1.0 - tail - next_tail
        else:
            parts[i] = abs(next_tail - tail)
        edge, tail = next_edge, next_tail


@kernel
def _add_separable(image, source, flux, bottom, top, left, right):
    along, up = np.empty(right - left), np.empty(top - bottom)
    _steps(source.x, 1.0 / np.sqrt(source.xx), left, along)
    _steps(source.y, 1.0 / np.sqrt(source.yy), bottom, up)
    for j in range(top - bottom):
        target = image[bottom + j, left:right]
        amplitude = flux * up[j]
        for i in range(right - left):
            target[i] += np.float32(amplitude * along[i])


# --- all of it ---


@inline
def _limits(centre, reach, radius, size):
    """Return the first and last + 1 pixel of a stamp along one axis."""
    middle = np.floor(centre + 0.5)
    low = max(middle - radius, np.ceil(centre - reach), 0.0)
    high = min(middle + radius, np.floor(centre + reach), size - 1.0)
    return (int(low), int(high) + 1) if low <= high else (0, 0)


@inline
def jitter_table(psfs, i, table):
    """Return the table of a row's jitter, that of the row before where it is the same; empty where no row has any."""
    if psfs[i].jitter > 0.0 and (i == 0 or not same_transform(psfs[i], psfs[i - 1])):
        if table.size == 0:
            table = np.empty(NODES, np.float32)
        write_table(psfs[i], table)
    return table


@kernel
def add_point(image, x, y, flux, psf, radius, table):
    """Add a point source, inside a kernel.

    Parameters
    ----------
    image : float32[ny, nx]
        The image, changed in place.
    x, y : float
        Position in pixels from the centre of the pixel at the lower left; may lie outside the image.
    flux : float
        Total flux over the infinite plane; of a truncated profile, as truncated.
    psf : PSF_ROW
        Row of a point spread function; its ``fwhm`` is positive, of an Airy pattern ``airy_fwhm(obscuration)`` λ/D.
    radius : int
        Pixels further than this from the source's pixel along x or y are left alone; see ``stamp_radius``.
    table : float32[NODES]
        What ``jitter.write_table`` writes; not read where the row has no jitter.

    Notes
    -----
    Each pixel's value is rounded to float32 and added once. It follows from the source alone: not from the image's
    size or content, nor from ``radius``. Pixels of smooth profiles are within 1e-5 of the brightest (tested).
    """
    source = make_source(x, y, psf, table)
    profile = source.profile
    ny, nx = image.shape
    # the distance over which √t may change from the centre of a pixel to its corner, and the extent of the light
    corner = np.sqrt(max(square(source, 0.5, 0.5), square(source, 0.5, -0.5)))
    outer = np.sqrt(profile.end) + corner
    area = profile.scale * profile.scale
    bottom, top = _limits(source.y, outer * area * np.sqrt(source.xx), radius, ny)
    left, right = _limits(source.x, outer * area * np.sqrt(source.yy), radius, nx)
    if bottom == top or left == right:
        return
    if psf.family == GAUSSIAN and abs(source.xy) <= 1e-12 * np.sqrt(source.xx * source.yy):
        _add_separable(image, source, flux, bottom, top, left, right)
        return

    # columns where light begins, where pixels near the centre begin and end, where light ends
    amplitude = np.float32(flux * profile.peak)
    spans = np.empty((top - bottom, 4), np.int64)
    inner = np.sqrt(profile.end) - corner
    whole = inner * inner if inner > 0.0 else -1.0
    cut = profile.truncated
    distant, close = False, False
    for k in range(top - bottom):
        dy = float(bottom + k) - source.y
        first, last = span(source, outer * outer, dy, left, right)
        if cut:
            outer_first, outer_last = first, last
            first, last = span(source, whole, dy, left, right)
            for i in range(outer_first, outer_last):
                if i < first or i >= last:
                    mean = _cut(source, float(i) - source.x, dy)
                    image[bottom + k, i] += amplitude * np.float32(max(mean, 0.0))
        near_first, near_last = span(source, source.sparse, dy, first, last)
        spans[k] = first, near_first, near_last, last
        close = close or near_last > near_first
        distant = distant or last - first > near_last - near_first
    if distant:
        add_far(image, source, amplitude, bottom, left, spans)
    if close:
        add_near(image, source, amplitude, bottom, spans)


@kernel
def stamp_radius(psf, fraction):
    """Return the ``radius`` of the smallest stamp around the ellipse that holds a part of a point source's flux.

    Parameters
    ----------
    psf : PSF_ROW
    fraction : float
        Part of the flux, from 0 to below 1.

    Returns
    -------
    int
        Half the side of the stamp in pixels, rounded up, at most ``LIMIT``. The square holds more than the ellipse.
    """
    profile, spread = make_profile(psf), 0.0
    if psf.jitter > 0.0:
        # a hundredth of the light outside may be what the Gaussian moves further than this
        moved = 0.01 * (1.0 - fraction)
        fraction, spread = fraction + moved, psf.jitter * np.sqrt(-2.0 * log64(moved))
    reach = flux_radius(profile, fraction) + spread
    return int(np.ceil(min(reach / np.sqrt(psf.axis_ratio), LIMIT)))


@kernel
def stamp_radii(psfs, fractions):
    """Return the ``stamp_radius`` of each row of ``PSF_ROW[m]`` for its fraction, int64[m]."""
    radii = np.empty(fractions.size, np.int64)
    for i in range(fractions.size):
        radii[i] = stamp_radius(psfs[i], fractions[i])
    return radii


@kernel
def add_stars(images, samples, positions, fractions, fluxes, psfs):
    """Add stars to images, each as its PSF shows it.

    Parameters
    ----------
    images : float32[n, y, x]
        Changed.
    samples : int64[m]
        The image of each star.
    positions : float64[m, 2]
        x and y in pixels.
    fractions, fluxes : float64[m]
        The part of the light that the stamp holds, and the flux.
    psfs : PSF_ROW[m]
    """
    table = np.empty(0, np.float32)
    for j in range(samples.size):
        x, y = positions[j]
        table = jitter_table(psfs, j, table)
        radius = stamp_radius(psfs[j], fractions[j])
        add_point(images[samples[j]], x, y, fluxes[j], psfs[j], radius, table)
