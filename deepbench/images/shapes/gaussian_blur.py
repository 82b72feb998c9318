"""The blur of an image by a Gaussian.

The Gaussian is sampled at whole pixels up to 4σ and normalised, as in
``scipy.ndimage.gaussian_filter``; but where sampling would make it narrower than its label says (by
7 % at σ = ½ pixel, by 90 % at ¼), it is widened so that its variance is σ². A frame is a
window onto an infinite plane: objects are drawn on a plane that reaches ``margin(sigma)`` pixels
beyond the frame on each side, so light from outside the frame blurs into it, and light that blurs
out of it is lost. A frame therefore holds what a larger frame holds there.
"""

from __future__ import annotations

from deepbench.numerics.kernels import inline, kernel
from deepbench.numerics.mathfast import exp64, log64

TRUNCATE = 4.0
"""Number of standard deviations at which the Gaussian ends, rounded to a whole pixel."""

WELL_SAMPLED = 1.0
"""Standard deviation (pixel) from which on sampling keeps the width: to 1e-7, but for the tails cut at 4σ."""

LEAST = 1e-4
"""Standard deviation (pixel) below which a Gaussian would move less light than float32 can tell."""

NEWTON_STEPS = 6
"""Number of steps of Newton's iteration: enough for the variance to 1e-12 (tested)."""


@inline
def _radius(sigma):
    return max(int(TRUNCATE * sigma + 0.5), 1) if sigma > LEAST else 0


@kernel
def margin(sigma):
    """Return by how many pixels the plane exceeds the frame on each side.

    It is the kernel's radius int(4σ + ½), at least 1, or one more to be even, because taps are added
    in pairs. ``sigma`` is in pixels, not negative; below LEAST nothing is blurred.
    """
    return (_radius(sigma) + 1) // 2 * 2


@inline
def _moments(log_ratio, radius):
    """Return the sum of the weights exp(log_ratio t²) over both sides, and of t² and t⁴ times them."""
    total, second, fourth = 1.0, 0.0, 0.0
    for t in range(1, radius + 1):
        square = float(t * t)
        weight = 2.0 * exp64(log_ratio * square)
        total += weight
        second += weight * square
        fourth += weight * square * square
    return total, second, fourth


@inline
def _log_ratio(sigma, radius):
    """Return the factor a for which the weights exp(a t²) have the variance σ²; −1/(2σ²) where sampling is fine.

    Newton's iteration for the logarithm of the variance, from the ratio of the two innermost weights.
    """
    start = -0.5 / (sigma * sigma)
    if sigma >= WELL_SAMPLED:
        return start
    ratio = start if sigma > 0.5 else log64(0.5 * sigma * sigma)
    for _ in range(NEWTON_STEPS):
        total, second, fourth = _moments(ratio, radius)
        variance = second / total
        slope = fourth / second - variance  # of log(variance)
        ratio -= log64(variance / (sigma * sigma)) / slope
    return ratio


@inline
def _write_taps(sigma, taps):
    """Write the weights at the distances 0 to margin(sigma); those of both sides sum to 1."""
    radius = _radius(sigma)
    ratio = _log_ratio(sigma, radius)
    total = _moments(ratio, radius)[0]
    for t in range(margin(sigma) + 1):
        taps[t] = exp64(ratio * (t * t)) / total if t <= radius else 0.0


@kernel
def _convolve(source, start, stride, taps, reach, out, first, n):
    """Write n weighted sums of ``source``, from ``start`` on, over both sides along ``stride``."""
    target = out[first : first + n]
    centre = source[start : start + n]
    below1 = source[start - stride : start - stride + n]
    above1 = source[start + stride : start + stride + n]
    below2 = source[start - 2 * stride : start - 2 * stride + n]
    above2 = source[start + 2 * stride : start + 2 * stride + n]
    w0, w1, w2 = taps[0], taps[1], taps[2]
    for i in range(n):
        target[i] = w0 * centre[i] + w1 * (below1[i] + above1[i]) + w2 * (below2[i] + above2[i])
    for t in range(3, reach, 2):
        near, far = t * stride, (t + 1) * stride
        below1 = source[start - near : start - near + n]
        above1 = source[start + near : start + near + n]
        below2 = source[start - far : start - far + n]
        above2 = source[start + far : start + far + n]
        w1, w2 = taps[t], taps[t + 1]
        for i in range(n):
            target[i] += w1 * (below1[i] + above1[i]) + w2 * (below2[i] + above2[i])


@kernel
def gaussian_blur(plane, box, sigma, out, taps, line):
    """Blur a plane with a Gaussian and crop it to the frame, inside a kernel.

    Parameters
    ----------
    plane : float32[ny + 2 m, nx + 2 m], C-contiguous
        The image with a margin of m = ``margin(sigma)`` pixels on each side.
    box : tuple of int
        Bottom, top, left, right: the plane is zero outside plane[bottom:top, left:right], and the
        time follows this part. (0, h, 0, w) is always right; ``draw_object`` returns a smaller one.
    sigma : float
        Standard deviation in pixels, not negative.
    out : float32[ny, nx], C-contiguous
        The blurred frame. Every pixel is written.
    taps, line : float32[m + 1], float32[nx + 2 m], or longer
        Scratch, of any content.

    Notes
    -----
    From σ = 1 pixel on, the pixels are those of ``scipy.ndimage.gaussian_filter(plane, sigma,
    mode="constant")``, within 5e-7 of the largest. Below, the second moment grows by σ² exactly.
    """
    height, width = out.shape
    edge = margin(sigma)
    if edge == 0:
        for j in range(height):
            for i in range(width):
                out[j, i] = plane[j, i]
        return
    _write_taps(sigma, taps)
    bottom, top, left, right = box
    columns = width + 2 * edge
    line[:columns] = 0.0
    source = plane.reshape(plane.size)
    target = out.reshape(out.size)
    target[:] = 0.0
    first = max(left - 2 * edge, 0)
    last = min(right, width)
    if first >= last:
        return
    for j in range(max(bottom - 2 * edge, 0), min(top, height)):
        start = (j + edge) * columns + left
        _convolve(source, start, columns, taps, edge, line, left, right - left)
        _convolve(line, first + edge, 1, taps, edge, target, j * width + first, last - first)
