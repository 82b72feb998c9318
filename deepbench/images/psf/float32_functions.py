"""Functions of float32 that the profiles of point spread functions share."""

from __future__ import annotations

import math

import numpy as np

from deepbench.numerics.kernels import from_bits, inline, polynomial, to_bits


def float32(*values: float) -> tuple[np.float32, ...]:
    """Return numbers as float32."""
    return tuple(np.float32(value) for value in values)


_ONE = np.float32(1.0)
_ROUND, _LEAST = float32(12582912.0, -126.0)
_ROUND_BITS, _FRACTION = np.uint32(0x4B400000), np.uint32(0x007FFFFF)
_SQRT_HALF_BITS, _OFFSET_BITS = np.uint32(0x3F3504F3), np.uint32(0x3F800000 - 0x3F3504F3)
# log2(1 + f) = f * polynomial(f), sqrt(1/2) <= 1 + f < sqrt(2), to 1.3e-7; 2**r, |r| <= 1/2, to 1e-7
_LOG2_32 = float32(
    1.442694902420044, -0.721352756023407, 0.4809240400791168, -0.36024197936058044,
    0.28707560896873474, -0.24882180988788605, 0.2342098504304886, -0.14620353281497955,
)  # fmt: skip
_EXP2_32 = float32(
    1.0000001192092896, 0.6931471824645996, 0.2402210682630539, 0.05550327152013779,
    0.009676037356257439, 0.0013400432653725147,
)  # fmt: skip
_INVERSE_TURN, _TURN_HIGH = float32(0.5 / math.pi, 6.28125)
_TURN_MIDDLE, _TURN_LOW = float32(0.0019350051879882812, 3.019916050561733e-07)
# cos(r) = polynomial(r**2), |r| <= pi
_COS_32 = float32(
    1.0, -0.49999988079071045, 0.041666481643915176, -0.0013887761160731316,
    2.4768965886323713e-05, -2.706998714074871e-07, 1.7211935210426077e-09,
)  # fmt: skip


@inline
def power(x, exponent):
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
def cosine(x):
    """Return cos(x) of a float32, 0 <= x <= 2e5, to 5e-7 for x below 1e4."""
    turns = (x * _INVERSE_TURN + _ROUND) - _ROUND
    r = ((x - turns * _TURN_HIGH) - turns * _TURN_MIDDLE) - turns * _TURN_LOW
    return polynomial(r * r, _COS_32)
