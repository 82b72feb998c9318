"""Measurements of each object of the sky on the image without noise, and the object that a pixel belongs to."""

from __future__ import annotations

import numpy as np

from deepbench.numerics.kernels import inline, kernel

FOOTPRINT = 0.1
"""Part of the light of an object's brightest pixel that the pixels of its footprint have, or more."""

MEASUREMENTS = np.dtype(
    [(name, np.float64) for name in ("snr", "snr_sky", "frame_flux", "neighbour_share")], align=True
)
"""Row of what is measured of an object: its labels without the number in the segmentation map."""


@inline
def _view(found, i):
    _, _, width, height = found.boxes[i]
    return found.light[found.offsets[i] : found.offsets[i + 1]].reshape((height, width))


@inline
def _shared(found, i, other, least):
    """Return the light of another object in the pixels where object i has at least so much."""
    left, bottom, width, height = found.boxes[i]
    x, y, other_width, other_height = found.boxes[other]
    begin, end = max(left, x), min(left + width, x + other_width)
    low, high = max(bottom, y), min(bottom + height, y + other_height)
    total = 0.0
    if begin >= end or low >= high:
        return total
    own, others = _view(found, i), _view(found, other)
    for row in range(low, high):
        mine = own[row - bottom, begin - left : end - left]
        theirs = others[row - y, begin - x : end - x]
        for column in range(end - begin):
            if mine[column] >= least:
                total += theirs[column]
    return total


@kernel
def measure(found, first, last, truth, variance, sky_variance, result):
    """Measure the objects of one image.

    Parameters
    ----------
    found : Cutouts
    first, last : int
        The image has the objects ``first`` … ``last - 1``.
    truth : float32[ny, nx]
        The light of everything.
    variance : float32[ny, nx]
        Variance of the noise, in units of the light, squared.
    sky_variance : float
        Variance of the noise where there are no sources.
    result : MEASUREMENTS[m]
        Rows ``first`` … ``last - 1`` are written. An object that is wholly outside of the frame has
        no light, no signal and no neighbours.
    """
    for i in range(first, last):
        left, bottom, width, height = found.boxes[i]
        own = _view(found, i)
        signal, square, light, peak = 0.0, 0.0, 0.0, np.float32(0.0)
        for row in range(height):
            v = variance[bottom + row, left : left + width]
            for column in range(width):
                s = own[row, column]
                signal += np.float64(s) * s / v[column]
                square += np.float64(s) * s
                light += s
                peak = max(peak, s)
        measured = result[i]
        measured.snr = np.sqrt(signal)
        measured.snr_sky = np.sqrt(square / sky_variance)
        measured.frame_flux = light
        measured.neighbour_share = 0.0
        if peak <= 0.0:
            continue
        least = np.float32(FOOTPRINT) * peak
        total, brightest = 0.0, 0.0
        for row in range(height):
            t = truth[bottom + row, left : left + width]
            for column in range(width):
                if own[row, column] >= least:
                    total += t[column]
        for other in range(first, last):
            if other != i:
                brightest = max(brightest, _shared(found, i, other, least))
        if total > 0.0:
            measured.neighbour_share = min(brightest / total, 1.0)


@kernel
def segment(found, first, last, least, brightest, segments):
    """Write which object has the most light in each pixel of an image.

    Parameters
    ----------
    found : Cutouts
    first, last : int
        The image has the objects ``first`` … ``last - 1``; they are numbered from 1 on.
    least : float
        Light of a pixel that belongs to an object; pixels with less have 0.
    brightest : float32[ny, nx]
        Overwritten.
    segments : int32[ny, nx]
        Written.
    """
    brightest[:] = least
    segments[:] = 0
    for i in range(first, last):
        left, bottom, width, height = found.boxes[i]
        own = _view(found, i)
        for row in range(height):
            best = brightest[bottom + row, left : left + width]
            for column in range(width):
                if own[row, column] > best[column]:
                    best[column] = own[row, column]
                    segments[bottom + row, left + column] = i - first + 1


@kernel
def measure_images(found, offsets, truths, variances, of_sky, result, segments):
    """Measure the objects of images, and find which pixels are theirs.

    Parameters
    ----------
    found : Cutouts
    offsets : int64[n + 1]
        Image i has the objects ``offsets[i]`` … ``offsets[i + 1] - 1``.
    truths, variances : float32[n, ny, nx]
        The light of everything, and the variance of the noise.
    of_sky : float64[n]
        The variance where there are no sources; its root is the least light of a pixel that belongs to an object.
    result : MEASUREMENTS[m]
        Written; see ``measure``.
    segments : int32[n, ny, nx]
        Written; see ``segment``.
    """
    brightest = np.empty(truths.shape[1:], np.float32)
    for i in range(len(truths)):
        first, last = offsets[i], offsets[i + 1]
        measure(found, first, last, truths[i], variances[i], of_sky[i], result)
        segment(found, first, last, np.sqrt(of_sky[i]), brightest, segments[i])
