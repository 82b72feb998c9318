"""Functions of float32 for kernels."""

from __future__ import annotations

import numpy as np

from deepbench.numerics.kernels import from_bits, inline, polynomial, to_bits
from deepbench.numerics.mathfast.float64 import (
    _HALF_PI,
    _INVERSE_LN2,
    _PI,
    _QUARTER_TURN,
    _ROUND,
    _ROUND_BITS,
    _TWO_OVER_PI,
    _power_of_two,
    _split,
    erfinv64,
)


def _float32(*values: float) -> tuple[np.float32, ...]:
    return tuple(np.float32(value) for value in values)


ROUND_32 = np.float32(12582912.0)
_ROUND_BITS_32 = np.uint32(0x4B400000)
_SQRT_HALF_BITS_32 = np.uint32(0x3F3504F3)
_OFFSET_BITS_32 = np.uint32(0x3F800000 - 0x3F3504F3)
_FRACTION_32 = np.uint32(0x007FFFFF)
_NAN_32, _INF_32 = np.float32(np.nan), np.float32(np.inf)
_ZERO_32, _HALF_32, _ONE_32 = _float32(0.0, 0.5, 1.0)
INVERSE_LN2_32 = np.float32(_INVERSE_LN2)
_LN2_HIGH_32, _LN2_LOW_32 = _float32(0.69140625, 0.0017409306)
_EXP_LEAST_32, _EXP_MOST_32 = _float32(-104.0, 89.0)
_NORMAL_32, _SCALE_32, _SCALE_EXPONENT_32 = _float32(1.1754943508222875e-38, 33554432.0, 25.0)
_PI_32, _HALF_PI_32 = _float32(_PI, _HALF_PI)
# as _EXP and _COS; log(1 + f) = f - f**2/2 + f**3 * polynomial(f);
# sin(r) = r + r z * polynomial(z); atan(t) = t + t z * polynomial(z), |t| <= 1
_EXP_32 = _float32(0.49999994, 0.1666652, 0.041668423, 0.0083688376, 0.0013812834)
_LOG_32 = _float32(
    0.3333333134651184, -0.2500082552433014, 0.20001250505447388, -0.16623225808143616,
    0.14201197028160095, -0.1316109299659729, 0.1276566982269287, -0.07636711001396179,
)  # fmt: skip
_SIN_32 = _float32(-0.16666655242443085, 0.008332173340022564, -0.00019516580505296588)
_COS_32 = _float32(0.04166664555668831, -0.001388736185617745, 2.443772609694861e-05)
_ATAN_32 = _float32(
    -0.33333301544189453, 0.19998633861541748, -0.14265190064907074, 0.10957295447587967,
    -0.08418644964694977, 0.05822066217660904, -0.03144187107682228, 0.011057006195187569,
    -0.0018255467293784022,
)  # fmt: skip
# log2((1 + s) / (1 - s)) = s * polynomial(s**2) and 2**r = polynomial(r), in float64, for pow32
_LOG2 = (
    2.8853900817778517, 0.9617966941125015, 0.577077942481481, 0.4122092467988737,
    0.3199057659202365, 0.2829008159734272,
)  # fmt: skip
_EXP2 = (
    0.9999999999619195, 0.6931471807330853, 0.24022651197886416, 0.05550410341339533,
    0.009618027181182614, 0.0013333931379028027, 0.00015469330517671904, 1.520007776762532e-05,
)  # fmt: skip


@inline
def _power_of_two_32(n):
    """Return 2**n for the integer n held in an int64, -126 <= n <= 127."""
    return from_bits(np.uint32((n + 127) << 23))


@inline
def exp32(x):
    """Return exp(x) of a float32."""
    x = _EXP_MOST_32 if x > _EXP_MOST_32 else x
    x = _EXP_LEAST_32 if x < _EXP_LEAST_32 else x
    shifted = x * INVERSE_LN2_32 + ROUND_32
    n = np.int32(np.uint32(to_bits(shifted) - _ROUND_BITS_32))
    whole = shifted - ROUND_32
    high = x - whole * _LN2_HIGH_32
    low = whole * _LN2_LOW_32
    r = high - low
    y = _ONE_32 + (high + (r * r * polynomial(r, _EXP_32) - low))
    half = np.int32(n >> 1)
    return y * _power_of_two_32(half) * _power_of_two_32(n - half)


@inline
def log32(x):
    """Return the natural logarithm of a float32: -inf of 0, NaN of negative numbers."""
    tiny = x < _NORMAL_32
    bits = np.uint32(to_bits(x * _SCALE_32 if tiny else x) + _OFFSET_BITS_32)
    k = np.float32(np.int32(np.int32(bits >> 23) - 127))
    k = k - _SCALE_EXPONENT_32 if tiny else k
    f = from_bits(np.uint32((bits & _FRACTION_32) + _SQRT_HALF_BITS_32)) - _ONE_32
    square = f * f
    y = k * _LN2_HIGH_32 + (
        f + (k * _LN2_LOW_32 + (f * square * polynomial(f, _LOG_32) - _HALF_32 * square))
    )
    y = y if x < _INF_32 else x
    y = -_INF_32 if x == _ZERO_32 else y
    return _NAN_32 if x < _ZERO_32 else y


@inline
def pow32(x, y):
    """Return x**y of float32, x >= 0: 1 for y = 0, NaN for a negative x."""
    size = np.float64(x)
    k, m = _split(size)
    s = (m - 1.0) / (m + 1.0)
    exponent = np.float64(y) * (k + s * polynomial(s * s, _LOG2))
    exponent = 200.0 if exponent > 200.0 else exponent
    exponent = -200.0 if exponent < -200.0 else exponent
    shifted = exponent + _ROUND
    power = polynomial(exponent - (shifted - _ROUND), _EXP2) * _power_of_two(
        to_bits(shifted) - _ROUND_BITS
    )
    power = (np.inf if y < _ZERO_32 else 0.0) if size == 0.0 else power
    power = (0.0 if y < _ZERO_32 else np.inf) if size == np.inf else power
    power = power if size >= 0.0 and y == y else np.nan
    return _ONE_32 if y == _ZERO_32 else np.float32(power)


@inline
def sincos32(x):
    """Return (sin(x), cos(x)) of a float32 in radian; NaN where |x| >= 1e6 (0.06 apart)."""
    wide = np.float64(x)
    shifted = wide * _TWO_OVER_PI + _ROUND
    n = shifted - _ROUND
    quadrant = np.uint32(to_bits(shifted))
    r = np.float32((wide - n * _QUARTER_TURN[0]) - n * _QUARTER_TURN[1])
    z = r * r
    sine = r + r * z * polynomial(z, _SIN_32)
    cosine = _ONE_32 - (_HALF_32 * z - z * z * polynomial(z, _COS_32))
    swap = (quadrant & 1) != 0
    s = cosine if swap else sine
    c = sine if swap else cosine
    s = -s if (quadrant & 2) != 0 else s
    c = -c if ((quadrant + 1) & 2) != 0 else c
    valid = abs(wide) < 1e6
    return (s if valid else _NAN_32), (c if valid else _NAN_32)


@inline
def sin32(x):
    """Return sin(x) of a float32 in radian; see ``sincos32``."""
    return sincos32(x)[0]


@inline
def cos32(x):
    """Return cos(x) of a float32 in radian; see ``sincos32``."""
    return sincos32(x)[1]


@inline
def atan2_32(y, x):
    """Return the angle of (x, y) in radian, -pi < angle <= pi; 0 at the origin.

    Zeros count as positive.
    """
    width, height = abs(x), abs(y)
    steep = height > width
    small = width if steep else height
    large = height if steep else width
    t = _ONE_32 if small == large else small / large
    z = t * t
    angle = t + t * z * polynomial(z, _ATAN_32)
    angle = _HALF_PI_32 - angle if steep else angle
    angle = _PI_32 - angle if x < _ZERO_32 else angle
    angle = _ZERO_32 if x == _ZERO_32 and y == _ZERO_32 else angle
    angle = -angle if y < _ZERO_32 else angle
    return angle if x == x and y == y else _NAN_32


@inline
def erfinv32(x):
    """Return the inverse of the error function of a float32; see ``erfinv64``."""
    return np.float32(erfinv64(np.float64(x)))
