"""Profiles of point spread functions: what a telescope and the air make of a point.

A profile is a function f(t) of t = (r / scale)², with f(0) = 1; its intensity, flux 1 over the
infinite plane, is peak × f. An ellipse of axis ratio q has t = (u² q + v² / q) / scale² along its
axes u and v, which keeps areas and so the flux: ``fwhm`` is the geometric mean of the two widths.

=============  ===============  =======================================  ==============================
family         scale            f(t)                                     paper
=============  ===============  =======================================  ==============================
gaussian       σ                exp(−t/2)
moffat         α                (1 + t)^−β, to a truncation radius       Moffat 1969, A&A 3, 455;
                                                                         Trujillo et al. 2001, MNRAS
                                                                         328, 977
airy           λ/(πD)           ((j(x) − ε² j(εx)) / (1 − ε²))²,         Born & Wolf 1999, §8.5.2 and
                                j(x) = 2 J1(x)/x, x² = t                 §8.6.2
kolmogorov     the FWHM         the transform of exp(−k^(5/3))           Fried 1966, JOSA 56, 1372
=============  ===============  =======================================  ==============================

The polynomials are our own. j(x) is a Chebyshev fit in x² to x = 5, and beyond it x^(−3/2) times an
amplitude and a cosine, whose phase and amplitude are polynomials in x⁻² (9e-8 and 8e-9 apart). The
Kolmogorov profile is y^(11/5) p(2y − 1) with y = (1 + t/c)^(−5/6), whose powers are those of its tail
(r^−11/3, r^−16/3, …); p is a minimax fit (Lawson's iteration) to 300 values from its power series and
its asymptotic series in 80 digits or more, and is within 2.1e-7 of f(0) and 4e-4 of f. Its integral is
a polynomial of y as well, which gives the encircled flux. ``tests/reference/point_sources.py`` has
the profiles anew, from integrals and scipy's Bessel functions, and the tests compare them.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepbench.numerics.kernels import from_bits, inline, kernel, polynomial, to_bits
from deepbench.numerics.mathfast import asin64, cos64, exp32, exp64, log64, sin64

GAUSSIAN, MOFFAT, AIRY, KOLMOGOROV = 0, 1, 2, 3

ERROR = 1e-6
"""Pixels far from the centre are averaged over by differences where their error, of f(0), is below this."""

LIGHTLESS = 60.0
"""The Gaussian is taken as zero from this t on: 1e-13 of the peak."""

LN2 = math.log(2.0)


class Profile(NamedTuple):
    """A circular profile of flux 1.

    Attributes
    ----------
    family : int
        GAUSSIAN, MOFFAT, AIRY or KOLMOGOROV.
    scale, peak : float
        The length of t = 1 in pixels, and the intensity at the centre in 1/pixel².
    shape : float
        The Moffat's β, the Airy pattern's obscuration ε.
    end : float
        The t beyond which the profile is zero; inf if there is none.
    truncated : bool
        Whether it jumps to zero there.
    inside : float
        Of a Moffat, the flux to ``end`` as a part of the flux of one that is not truncated.
    width, growth : float
        f is as smooth at t as a Gaussian of the standard deviation width × w(t) in units of the scale, where
        w = √(1 + growth t), or its root for an Airy pattern.
    """

    family: int
    scale: float
    peak: float
    shape: float
    end: float
    truncated: bool
    inside: float
    width: float
    growth: float


# --- Airy ---

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

# --- Kolmogorov ---

_CORE = 1.4  # c
_CENTRE = 0.7479420802371068  # f(0) FWHM**2 of flux 1
_TAIL = 0.0318837022334219  # f = _TAIL t**(-11/6) far out
_KOLMOGOROV = (
    0.11060342937707901, 0.311591237783432, 0.476615309715271, 0.3366173207759857,
    -0.08826707303524017, -0.2758282721042633, 0.02373345196247101, 0.20986026525497437,
    -0.04453892260789871, -0.14418794214725494, 0.059139184653759, 0.06938011199235916,
    -0.03954431787133217, -0.01603573188185692, 0.010861734859645367,
)  # fmt: skip
_KOLMOGOROV_SUM = tuple(
    float(value) for value in np.polynomial.polynomial.polyint(_KOLMOGOROV, lbnd=-1)
)  # the integral of the polynomial from -1


def _float32(*values: float) -> tuple[np.float32, ...]:
    return tuple(np.float32(value) for value in values)


_NEAR_32, _AMPLITUDE_32, _PHASE_32 = _float32(*_NEAR), _float32(*_AMPLITUDE), _float32(*_PHASE)
_KOLMOGOROV_32 = _float32(*_KOLMOGOROV)
_ZERO, _ONE, _TWO, _FIVE = _float32(0.0, 1.0, 2.0, 5.0)
_HALF_NEGATIVE, _FIVE_SIXTHS_NEGATIVE = _float32(-0.5, -5.0 / 6.0)
_ROUND, _LEAST = _float32(12582912.0, -126.0)
_ROUND_BITS, _FRACTION = np.uint32(0x4B400000), np.uint32(0x007FFFFF)
_SQRT_HALF_BITS, _OFFSET_BITS = np.uint32(0x3F3504F3), np.uint32(0x3F800000 - 0x3F3504F3)
# log2(1 + f) = f * polynomial(f), sqrt(1/2) <= 1 + f < sqrt(2), to 1.3e-7; 2**r, |r| <= 1/2, to 1e-7
_LOG2_32 = _float32(
    1.442694902420044, -0.721352756023407, 0.4809240400791168, -0.36024197936058044,
    0.28707560896873474, -0.24882180988788605, 0.2342098504304886, -0.14620353281497955,
)  # fmt: skip
_EXP2_32 = _float32(
    1.0000001192092896, 0.6931471824645996, 0.2402210682630539, 0.05550327152013779,
    0.009676037356257439, 0.0013400432653725147,
)  # fmt: skip
_INVERSE_TURN, _TURN_HIGH, _LAST_WAVE = _float32(0.5 / math.pi, 6.28125, 2e5)
_TURN_MIDDLE, _TURN_LOW = _float32(0.0019350051879882812, 3.019916050561733e-07)
# cos(r) = polynomial(r**2), |r| <= pi
_COS_32 = _float32(
    1.0, -0.49999988079071045, 0.041666481643915176, -0.0013887761160731316,
    2.4768965886323713e-05, -2.706998714074871e-07, 1.7211935210426077e-09,
)  # fmt: skip
_NODE = 1.0 - 1.0 / (
    1.0 + 0.5 * math.sqrt(3.0)
)  # where a cubic Chebyshev polynomial on [0, 1] with a zero at 0 has others
_NEAR_SCALE, _THREE_QUARTER_TURNS = _float32(2.0 / 25.0, 0.75 * math.pi)
_INVERSE_CORE = np.float32(1.0 / _CORE)


@inline
def _power(x, exponent):
    """Return x**exponent of float32, x >= 1 and exponent < 0, not below 1e-38, to about 5e-7 of 1."""
    bits = np.uint32(to_bits(x) + _OFFSET_BITS)
    whole = np.float32(np.int32(np.int32(bits >> 23) - 127))
    rest = from_bits(np.uint32((bits & _FRACTION) + _SQRT_HALF_BITS)) - _ONE
    y = exponent * (whole + rest * polynomial(rest, _LOG2_32))
    y = y if y > _LEAST else _LEAST
    shifted = y + _ROUND
    n = np.int32(np.uint32(to_bits(shifted) - _ROUND_BITS))
    scale = from_bits(np.uint32(np.int32(n + 127) << 23))
    return polynomial(y - (shifted - _ROUND), _EXP2_32) * scale


@inline
def _cosine(x):
    """Return cos(x) of a float32, 0 <= x <= _LAST_WAVE, to 5e-7 for x below 1e4."""
    turns = (x * _INVERSE_TURN + _ROUND) - _ROUND
    r = ((x - turns * _TURN_HIGH) - turns * _TURN_MIDDLE) - turns * _TURN_LOW
    return polynomial(r * r, _COS_32)


@inline
def disc_transform(square):
    """Return 2 J1(x)/x of a float32 x², not negative."""
    x = np.sqrt(square)
    far = x if x > _FIVE else _FIVE
    inverse = _ONE / far
    v = inverse * inverse
    phase = far - _THREE_QUARTER_TURNS + inverse * polynomial(v, _PHASE_32)
    wave = _cosine(phase if phase < _LAST_WAVE else _LAST_WAVE)
    tail = inverse * np.sqrt(inverse) * polynomial(v, _AMPLITUDE_32) * wave
    return polynomial(square * _NEAR_SCALE - _ONE, _NEAR_32) if x < _FIVE else tail


@kernel
def evaluate(profile, values, count):
    """Replace the first ``count`` t in ``values`` (float32, not negative) by f(t); no truncation."""
    shape = np.float32(profile.shape)
    if profile.family == GAUSSIAN:
        for i in range(count):
            values[i] = exp32(values[i] * _HALF_NEGATIVE)
    elif profile.family == MOFFAT:
        for i in range(count):
            values[i] = _power(_ONE + values[i], -shape)
    elif profile.family == KOLMOGOROV:
        for i in range(count):
            far = _ONE + values[i] * _INVERSE_CORE
            y = _power(far, _FIVE_SIXTHS_NEGATIVE)
            values[i] = y / far * polynomial(_TWO * y - _ONE, _KOLMOGOROV_32)
    elif shape == _ZERO:
        for i in range(count):
            amplitude = disc_transform(values[i])
            values[i] = amplitude * amplitude
    else:
        part = shape * shape
        whole = _ONE / (_ONE - part)
        for i in range(count):
            amplitude = (
                disc_transform(values[i]) - part * disc_transform(part * values[i])
            ) * whole
            values[i] = amplitude * amplitude


def airy_fwhms(obscurations: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the FWHM of Airy patterns in units of λ/D, outside of kernels."""
    square = obscurations * obscurations
    total = np.full_like(square, _AIRY_FWHM[-1])
    for coefficient in _AIRY_FWHM[-2::-1]:
        total = total * square + coefficient
    return total


@inline
def airy_fwhm(obscuration):
    """Return the FWHM of an Airy pattern in units of λ/D; ``obscuration`` is that of the diameter, below 1."""
    return polynomial(obscuration * obscuration, _AIRY_FWHM)


@inline
def make_profile(family, fwhm, shape, truncation):
    """Return the ``Profile`` of a family; see ``add_point``."""
    end, truncated, inside = np.inf, False, 1.0
    if family == GAUSSIAN:
        scale = fwhm / (2.0 * math.sqrt(2.0 * LN2))
        peak = 1.0 / (2.0 * math.pi * scale * scale)
        end, width, growth = LIGHTLESS, 1.0, 0.0
    elif family == MOFFAT:
        scale = 0.5 * fwhm / np.sqrt(exp64(LN2 / shape) - 1.0)
        if truncation > 0.0:
            end, truncated = (truncation / scale) * (truncation / scale), True
            inside = 1.0 - exp64((1.0 - shape) * log64(1.0 + end))
        peak = (shape - 1.0) / (math.pi * scale * scale * inside)
        # 15 / width⁶ is the sixth derivative at the centre, of (1 + x²)^−β as of exp(−x² / 2 width²)
        width, growth = exp64(log64(8.0 * shape * (shape + 1.0) * (shape + 2.0)) / -6.0), 1.0
    elif family == AIRY:
        light = 1.0 - shape * shape
        scale = fwhm / (math.pi * airy_fwhm(shape))
        peak = light / (4.0 * math.pi * scale * scale)
        width, growth = 1.55 - 0.39 * shape * shape, 0.03 * exp64(log64(light) * (4.0 / 3.0))
    else:
        scale = fwhm
        peak = _CENTRE / (fwhm * fwhm)
        width, growth = 0.398, 0.6
    return Profile(family, scale, peak, shape, end, truncated, inside, width, growth)


@inline
def smoothness(profile, t):
    """Return the standard deviation, in units of the scale, of a Gaussian as smooth as f is at t."""
    factor = np.sqrt(1.0 + profile.growth * t)
    return profile.width * (np.sqrt(factor) if profile.family == AIRY else factor)


@inline
def _sinc(angle):
    return sin64(angle) / angle


@inline
def _airy_differences(frequency):
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
def differences(profile, axis_ratio):
    """Return how pixels far from the centre follow from the values at centres.

    Returns
    -------
    sparse : float
        The t from which on the error is below ``ERROR``.
    a, b : float
        Along an axis, the mean over a pixel is f − a/2 δ²f + b/4 δ⁴f with the second difference δ²f.

    Notes
    -----
    The first term left out of the series is 367/967680 of the sixth derivative, which is 15/σ⁶ for a Gaussian and
    p (p+1) … (p+5) / r⁶ for a power r^−p. An Airy pattern has no frequency above 2/scale, and waves of half its
    envelope at the highest.
    """
    small = profile.scale * np.sqrt(axis_ratio)  # pixels
    least = 16.0 / (small * small) - 1.0  # 4 pixels
    if profile.family == AIRY:
        a, b, error = _airy_differences(2.0 / small)
        root, part = 1.0 + np.sqrt(profile.shape), profile.shape * profile.shape
        envelope = 4.0 / math.pi * (root * root) / ((1.0 - part) * (1.0 - part))
        sparse = exp64(log64(error * envelope / ERROR) * (2.0 / 3.0))
        return max(sparse, 64.0, least), a, b
    a, b = -1.0 / 12.0, -17.0 / 1440.0
    sixth = 367.0 / 967680.0 / (small * small * small * small * small * small)
    if profile.family == GAUSSIAN:
        return (0.0 if 15.0 * sixth < ERROR else np.inf), a, b
    power, factor, core = 2.0 * profile.shape, 1.0, 1.0
    if profile.family == KOLMOGOROV:
        power, factor, core = 11.0 / 3.0, 10.0 * _TAIL, 0.5
    for k in range(6):
        factor *= power + k
    return max(exp64(log64(sixth * factor / ERROR) / (0.5 * power + 3.0)) - core, least), a, b


@inline
def mean_within(profile, t):
    """Return the mean of a Moffat's f over the ellipse t, as if it were not truncated."""
    power = 1.0 - profile.shape
    if t < 1e-8:
        return 1.0 - 0.5 * profile.shape * t
    return (exp64(power * log64(1.0 + t)) - 1.0) / (power * t)


@inline
def _airy_radius(profile, fraction):
    """Return the x within which a part of the flux of an Airy pattern lies: (1 − ε²)/2 times the integral of f x.

    Far out 2 / (π (1 − ε) x) of the flux lies beyond x.
    """
    part = profile.shape * profile.shape
    step, reached = 0.0625, 0.0
    for k in range(int(100.0 / (step * (1.0 - profile.shape)))):
        x = step * (k + 0.5)
        outer, inner = disc_transform(np.float32(x * x)), disc_transform(np.float32(part * x * x))
        amplitude = np.float64(outer) - part * np.float64(inner)
        held = 0.5 * step * x * amplitude * amplitude / (1.0 - part)
        if reached + held >= fraction:
            return step * (k + (fraction - reached) / held) if held > 0.0 else x
        reached += held
    return 2.0 / (math.pi * (1.0 - profile.shape) * (1.0 - fraction))


@inline
def flux_radius(profile, fraction):
    """Return the circularised radius in pixels within which a part of the flux lies, 0 <= fraction < 1."""
    if profile.family == GAUSSIAN:
        t = -2.0 * log64(1.0 - fraction)
    elif profile.family == MOFFAT:
        t = exp64(log64(1.0 - fraction * profile.inside) / (1.0 - profile.shape)) - 1.0
    elif profile.family == AIRY:
        x = _airy_radius(profile, fraction)
        t = x * x
    else:
        low, high = 0.0, 1.0
        for _ in range(60):
            y = 0.5 * (low + high)
            beyond = 0.6 * math.pi * _CENTRE * _CORE * polynomial(2.0 * y - 1.0, _KOLMOGOROV_SUM)
            low, high = (y, high) if beyond < 1.0 - fraction else (low, y)
        t = _CORE * (exp64(log64(high) * -1.2) - 1.0)
    return profile.scale * np.sqrt(t)
