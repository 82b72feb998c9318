"""Elliptic functions against scipy and mpmath."""

import mpmath
import numpy as np
import pytest
from scipy.special import ellipj, ellipk, ellipkinc

from deepbench.numerics.elliptic_functions import LEVELS, incomplete, jacobi, landen
from deepbench.numerics.kernels import kernel
from deepbench.numerics.mathfast import sincos64


@kernel
def functions(u, complement, sines, cosines, deltas):
    moduli = np.empty(LEVELS)
    count, mean = landen(complement, moduli)
    for i in range(u.size):
        sines[i], cosines[i] = sincos64(mean * u[i])
    jacobi(count, moduli, sines, cosines, deltas)
    return mean, count


@kernel
def integral(amplitude, complement):
    return incomplete(amplitude, complement)


def evaluate(u, complement):
    found = [np.empty(len(u)) for _ in range(3)]
    mean, count = functions(u, complement, *found)
    return found, mean, count


@pytest.mark.parametrize("m", [0.0, 1e-12, 0.1, 0.5, 0.9, 0.999, 1 - 1e-9])
def test_the_functions_are_those_of_scipy(m):
    u = np.linspace(-20, 20, 501)
    found, mean, _ = evaluate(u, np.sqrt(1 - m))
    for ours, theirs in zip(found, ellipj(u, m), strict=False):
        # some units of the last place of u, scipy's and ours; scipy's own error near 1 is larger
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=5e-14 if m < 0.99 else 1e-7)
    assert np.pi / (2 * mean) == pytest.approx(ellipk(m), rel=1e-15 if m < 0.99 else 1e-7)


@pytest.mark.parametrize("complement", [1.0, 0.6, 1e-3, 1e-8, 1e-15])
def test_the_functions_are_those_of_mpmath(complement):
    u = np.array([-7.3, -0.4, 0.0, 1e-9, 0.7, 3.0, 30.0])
    found, _, count = evaluate(u, complement)
    assert count <= 9
    assert evaluate(u, 0.0)[2] == LEVELS - 2  # the least complement
    with mpmath.workdps(50):
        m = 1 - mpmath.mpf(complement) ** 2
        for i, each in enumerate(u):
            for name, ours in zip(("sn", "cn", "dn"), found, strict=True):
                theirs = mpmath.ellipfun(name, mpmath.mpf(float(each)), m=m)
                # the phase has the rounding of u, which at most doubles at each of the levels
                assert float(abs(ours[i] - theirs)) < 1e-15 * (10 + abs(each))


@pytest.mark.parametrize("m", [0.0, 0.3, 0.9, 0.9999])
def test_the_integral_is_that_of_scipy(m):
    for amplitude in np.linspace(-7, 7, 57):
        ours = integral(amplitude, np.sqrt(1 - m))
        assert ours == pytest.approx(ellipkinc(amplitude, m), rel=1e-11, abs=1e-15)
