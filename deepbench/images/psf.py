"""Point spread functions: the blur of an image.

The Gaussian is sampled at whole pixels up to 4σ and normalised, as ``scipy.ndimage.gaussian_filter``
does. A frame is a window onto an infinite plane: objects are drawn on a plane that reaches
``margin(sigma)`` pixels beyond the frame on each side, so light from outside the frame blurs into
it, and light that blurs out of it is lost. A frame therefore holds what a larger frame holds there.
"""

from __future__ import annotations

import numpy as np

from deepbench.mathfast import exp64, inline, kernel

TRUNCATE = 4.0
"""The kernel ends at this many standard deviations, rounded to a whole pixel."""


@inline
def _radius(sigma):
    return int(TRUNCATE * sigma + 0.5)


@kernel
def margin(sigma):
    """Return by how many pixels the plane exceeds the frame on each side.

    It is the radius of the kernel, int(4σ + ½), or one more to be even: taps are added in pairs.
    ``sigma`` is in pixels, not negative.
    """
    return (_radius(sigma) + 1) // 2 * 2


@inline
def gaussian_taps(sigma, taps):
    """Write the weights of the pixels at the distances 0 to margin(sigma) from the centre.

    Parameters
    ----------
    sigma : float
        Standard deviation in pixels, at least 1/8.
    taps : float32[margin(sigma) + 1] or longer
        Changed in place. The weights of both sides sum to 1, as those of
        ``scipy.ndimage.gaussian_filter`` with ``truncate=4``; beyond the radius they are 0.
    """
    radius = _radius(sigma)
    scale = -0.5 / (sigma * sigma)
    total = 1.0
    for t in range(1, radius + 1):
        total += 2.0 * exp64(scale * (t * t))
    for t in range(margin(sigma) + 1):
        taps[t] = exp64(scale * (t * t)) / total if t <= radius else 0.0


@kernel
def _convolve(source, start, stride, taps, reach, out, first, n):
    """Write n sums of ``source`` around ``start``, weighted by the taps at multiples of ``stride``."""
    target = out[first : first + n]
    centre = source[start : start + n]
    k0 = taps[0]
    for i in range(n):
        target[i] = k0 * centre[i]
    for t in range(1, reach, 2):
        k1, k2 = taps[t], taps[t + 1]
        a = source[start - t * stride : start - t * stride + n]
        b = source[start + t * stride : start + t * stride + n]
        c = source[start - (t + 1) * stride : start - (t + 1) * stride + n]
        d = source[start + (t + 1) * stride : start + (t + 1) * stride + n]
        for i in range(n):
            target[i] += k1 * (a[i] + b[i]) + k2 * (c[i] + d[i])


@kernel
def gaussian_blur(plane, box, sigma, out, taps, work):
    height, width = out.shape
    edge = margin(sigma)
    bottom, top, left, right = box
    if edge > 0:
        gaussian_taps(sigma, taps)
    else:
        taps[0] = 1.0
    columns = width + 2 * edge
    source = plane.reshape(plane.size)
    target = out.reshape(out.size)
    target[:] = 0.0
    first = max(left - 2 * edge, 0)
    last = min(right, width)
    work[:columns] = 0.0
    for j in range(max(bottom - 2 * edge, 0), min(top, height)):
        start = (j + edge) * columns + left
        _convolve(source, start, columns, taps, edge, work, left, right - left)
        _convolve(work, first + edge, 1, taps, edge, target, j * width + first, last - first)
