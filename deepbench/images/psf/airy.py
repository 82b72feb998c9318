"""Diffraction by a round aperture with a round obstacle: the Airy pattern and its transform.

With x = π r D/λ the amplitude is (j(x) − ε² j(εx)) / (1 − ε²), where j(x) = 2 J1(x)/x and ε is the obscuration (Born &
Wolf 1999, §8.5.2 and §8.6.2); the transform is the overlap of two annular pupils (O'Neill 1956, JOSA 46, 285). The
polynomials are our own: j(x) is a Chebyshev fit in x² to x = 5, and beyond it x^(−3/2) times an amplitude and a cosine,
whose phase and amplitude are polynomials in x⁻² (9e-8 and 8e-9 apart).
"""

from __future__ import annotations

import math

import numpy as np

from deepbench.images.psf.float32_functions import cosine, float32
from deepbench.numerics.kernels import inline, kernel, polynomial
from deepbench.numerics.mathfast import acos64, asin64, cos64, sin64

# j(x) = polynomial(2 x**2 / 25 - 1), x <= 5
_NEAR = (
    0.06928172707557678, -0.4540262520313263, 0.3457736372947693, -0.10930154472589493,
    0.019255775958299637, -0.002177950693294406, 0.0001730156218400225, -1.0093448508996516e-05,
)  # fmt: skip
# j(x) = x**-1.5 amplitude(x**-2) cos(x - 3 pi / 4 + phase(x**-2) / x), x >= 5
_AMPLITUDE = (1.5957691669464111, 0.2991279363632202, -0.297685831785202, 0.7479185461997986)
_PHASE = (0.3749998211860657, -0.16389989852905273, 0.3479679822921753, -1.1827996969223022)
# FWHM / (lambda / D) = polynomial(obscuration**2), to 2e-8
_AIRY_FWHM = (
    1.0289939483639596, -0.5772954918812708, 0.5562170489745659, -0.6572624624303575,
    0.8511909694729646, -1.0840357049316096, 1.203560289434142, -1.0386111882444082,
    0.6244908780915595, -0.2276151562405857, 0.037432631650120694,
)  # fmt: skip

_NEAR_32, _AMPLITUDE_32, _PHASE_32 = float32(*_NEAR), float32(*_AMPLITUDE), float32(*_PHASE)
_ZERO, _ONE, _FIVE = float32(0.0, 1.0, 5.0)
_LAST_WAVE, _NEAR_SCALE, _THREE_QUARTER_TURNS = float32(2e5, 2.0 / 25.0, 0.75 * math.pi)
# where a cubic Chebyshev polynomial on [0, 1] with a zero at 0 has others
_NODE = 1.0 - 1.0 / (1.0 + 0.5 * math.sqrt(3.0))


@inline
def disc_transform(square):
    """Return 2 J1(x)/x of a float32 x², not negative."""
    x = np.sqrt(square)
    far = x if x > _FIVE else _FIVE
    inverse = _ONE / far
    v = inverse * inverse
    phase = far - _THREE_QUARTER_TURNS + inverse * polynomial(v, _PHASE_32)
    wave = cosine(phase if phase < _LAST_WAVE else _LAST_WAVE)
    tail = inverse * np.sqrt(inverse) * polynomial(v, _AMPLITUDE_32) * wave
    return polynomial(square * _NEAR_SCALE - _ONE, _NEAR_32) if x < _FIVE else tail


@inline
def airy_fwhm(obscuration):
    """Return the FWHM of an Airy pattern in units of λ/D; ``obscuration`` is that of the diameter, below 1."""
    return polynomial(obscuration * obscuration, _AIRY_FWHM)


@inline
def _sinc(angle):
    return sin64(angle) / angle


@inline
def airy_differences(frequency):
    """Return the coefficients (a, b) of ``differences`` for an Airy pattern, and their error.

    A wave cos(kx) has the mean sinc(k/2) over a pixel, which 1 + a z + b z² with z = 1 − cos k interpolates at 0 and
    at two k below the highest frequency, where the largest error between them is least. From π on that error is that
    of the wave that looks the same at whole pixels.
    """
    span = 1.0 - cos64(min(frequency, math.pi))
    z1, z2 = span * _NODE, 2.0 * span * _NODE
    slope1 = (_sinc(asin64(np.sqrt(0.5 * z1))) - 1.0) / z1
    slope2 = (_sinc(asin64(np.sqrt(0.5 * z2))) - 1.0) / z2
    b = (slope2 - slope1) / (z2 - z1)
    a = slope1 - b * z1
    z = 1.0 - cos64(frequency)
    error = abs(1.0 + a * z + b * z * z - _sinc(0.5 * frequency))
    if frequency > math.pi:
        error = max(error, 1.0 + 2.0 * a + 4.0 * b - 2.0 / math.pi)
    return a, b, error


@inline
def airy_radius(obscuration, fraction):
    """Return the x within which a part of the flux of an Airy pattern lies: (1 − ε²)/2 times the integral of f x.

    Far out 2 / (π (1 − ε) x) of the flux lies beyond x.
    """
    part = obscuration * obscuration
    step, reached = 0.0625, 0.0
    for k in range(int(100.0 / (step * (1.0 - obscuration)))):
        x = step * (k + 0.5)
        outer, inner = disc_transform(np.float32(x * x)), disc_transform(np.float32(part * x * x))
        amplitude = np.float64(outer) - part * np.float64(inner)
        held = 0.5 * step * x * amplitude * amplitude / (1.0 - part)
        if reached + held >= fraction:
            return step * (k + (fraction - reached) / held) if held > 0.0 else x
        reached += held
    return 2.0 / (math.pi * (1.0 - obscuration) * (1.0 - fraction))


@inline
def _lens(distance, first, second):
    """Return the area that two discs of these radii share, their centres a distance apart."""
    small, large = min(first, second), max(first, second)
    if distance >= small + large:
        return 0.0
    if distance <= large - small:
        return math.pi * small * small
    a, b, d = small * small, large * large, distance * distance
    one = acos64(min(max((d + a - b) / (2.0 * distance * small), -1.0), 1.0))
    two = acos64(min(max((d + b - a) / (2.0 * distance * large), -1.0), 1.0))
    product = (small + large - distance) * (distance + small - large)
    product *= (distance - small + large) * (distance + small + large)
    return a * one + b * two - 0.5 * np.sqrt(max(product, 0.0))


@kernel
def airy_transform(s, obscuration):
    """Return the transform of an Airy profile at s = |k| λ/D."""
    distance = s / math.pi  # in radii of the pupil
    inner = obscuration
    shared = _lens(distance, 1.0, 1.0) - 2.0 * _lens(distance, 1.0, inner)
    shared += _lens(distance, inner, inner)
    return shared / (math.pi * (1.0 - inner * inner))
