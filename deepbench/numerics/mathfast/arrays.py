"""Functions of arrays, outside kernels: any shape, broadcast; the bits are those of the float64 functions."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from deepbench.numerics.kernels import kernel
from deepbench.numerics.mathfast.float64 import (
    acos64,
    asin64,
    atan2_64,
    atan64,
    cos64,
    cosd64,
    erf64,
    erfinv64,
    exp64,
    log10_64,
    log64,
    normal_cdf64,
    normal_quantile64,
    pow64,
    sin64,
    sind64,
    tan64,
    tand64,
)


def _elementwise(loop: Any) -> Callable[..., Any]:
    """Return a function of arrays that broadcast, from a kernel over flat float64 arrays."""

    @functools.wraps(loop.py_func)
    def function(*arguments: ArrayLike) -> Any:
        shape = np.broadcast_shapes(*(np.shape(argument) for argument in arguments))
        out = np.empty(shape)
        copies = (
            np.array(np.broadcast_to(argument, shape), dtype=np.float64, order="C")
            for argument in arguments
        )
        loop(*(copy.reshape(-1) for copy in copies), out.reshape(-1))
        return out[()]

    return function


@_elementwise
@kernel
def exp(x, out):
    """Return exp(x)."""
    for i in range(out.size):
        out[i] = exp64(x[i])


@_elementwise
@kernel
def log(x, out):
    """Return the natural logarithm: -inf of 0, NaN of negative numbers."""
    for i in range(out.size):
        out[i] = log64(x[i])


@_elementwise
@kernel
def log10(x, out):
    """Return the decimal logarithm: -inf of 0, NaN of negative numbers; exact for powers of ten."""
    for i in range(out.size):
        out[i] = log10_64(x[i])


@_elementwise
@kernel
def pow(x, y, out):
    """Return x**y: 1 for y = 0, NaN for a negative x with a y that is not whole."""
    for i in range(out.size):
        out[i] = pow64(x[i], y[i])


@_elementwise
@kernel
def sin(x, out):
    """Return sin(x), x in radian: NaN where |x| >= 1e12."""
    for i in range(out.size):
        out[i] = sin64(x[i])


@_elementwise
@kernel
def cos(x, out):
    """Return cos(x), x in radian: NaN where |x| >= 1e12."""
    for i in range(out.size):
        out[i] = cos64(x[i])


@_elementwise
@kernel
def tan(x, out):
    """Return tan(x), x in radian: NaN where |x| >= 1e12."""
    for i in range(out.size):
        out[i] = tan64(x[i])


@_elementwise
@kernel
def sind(x, out):
    """Return sin(x), x in degrees: exact at multiples of 90, NaN where |x| >= 1e12."""
    for i in range(out.size):
        out[i] = sind64(x[i])


@_elementwise
@kernel
def cosd(x, out):
    """Return cos(x), x in degrees: exact at multiples of 90, NaN where |x| >= 1e12."""
    for i in range(out.size):
        out[i] = cosd64(x[i])


@_elementwise
@kernel
def tand(x, out):
    """Return tan(x), x in degrees: NaN where |x| >= 1e12."""
    for i in range(out.size):
        out[i] = tand64(x[i])


@_elementwise
@kernel
def asin(x, out):
    """Return the arc sine in radian: NaN where |x| > 1."""
    for i in range(out.size):
        out[i] = asin64(x[i])


@_elementwise
@kernel
def acos(x, out):
    """Return the arc cosine in radian: NaN where |x| > 1."""
    for i in range(out.size):
        out[i] = acos64(x[i])


@_elementwise
@kernel
def atan(x, out):
    """Return the arc tangent in radian."""
    for i in range(out.size):
        out[i] = atan64(x[i])


@_elementwise
@kernel
def atan2(y, x, out):
    """Return the angle of (x, y) in radian, -pi < angle <= pi: 0 at the origin."""
    for i in range(out.size):
        out[i] = atan2_64(y[i], x[i])


@_elementwise
@kernel
def erf(x, out):
    """Return the error function."""
    for i in range(out.size):
        out[i] = erf64(x[i])


@_elementwise
@kernel
def erfinv(x, out):
    """Return the inverse of the error function: inf of 1, NaN where |x| > 1."""
    for i in range(out.size):
        out[i] = erfinv64(x[i])


@_elementwise
@kernel
def normal_cdf(x, out):
    """Return the probability that a unit normal is below x."""
    for i in range(out.size):
        out[i] = normal_cdf64(x[i])


@_elementwise
@kernel
def normal_quantile(p, out):
    """Return the unit normal below which the probability is p: NaN outside [0, 1]."""
    for i in range(out.size):
        out[i] = normal_quantile64(p[i])
