"""Complete elliptic integrals against mpmath's."""

import mpmath
import numpy as np
import pytest

from deepbench.numerics.elliptic_integrals import cel_pair64
from deepbench.numerics.kernels import kernel


@kernel
def pair(kc, p, a, b, c, d):
    return cel_pair64(kc, p, a, b, c, d)


def by_quadrature(kc, p, a, b):
    def integrand(phi):
        c2, s2 = mpmath.cos(phi) ** 2, mpmath.sin(phi) ** 2
        return (a * c2 + b * s2) / (c2 + p * s2) / mpmath.sqrt(c2 + kc * kc * s2)

    with mpmath.workdps(30):
        return float(mpmath.quad(integrand, [0, mpmath.pi / 4, mpmath.pi / 2]))


@pytest.mark.parametrize("kc", [1e-8, 1e-3, 0.3, 0.9, 1.0, 1.5])
def test_both_legendre_integrals_are_found(kc):
    with mpmath.workdps(40):
        m = 1 - mpmath.mpf(kc) ** 2
        expected = float(mpmath.ellipk(m)), float(mpmath.ellipe(m))
    found = pair(kc, 1.0, 1.0, 1.0, 1.0, kc * kc)
    assert found == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize("kc", [0.05, 0.5, 0.99, 2.0])
@pytest.mark.parametrize("p", [1e-3, 0.2, 1.0, 30.0])
def test_the_general_integral_is_that_of_its_definition(kc, p):
    a, b, c, d = 1.3, 0.4, 0.7, 2.2
    first, second = pair(kc, p, a, b, c, d)
    assert first == pytest.approx(by_quadrature(kc, p, a, b), rel=1e-14)
    assert second == pytest.approx(by_quadrature(kc, 1.0, c, d), rel=1e-14)


def test_the_third_integral_is_found_where_its_pole_is_near():
    kc, p = 0.2, 1e-10
    third, _ = pair(kc, p, 1.0, 1.0, 0.0, 0.0)
    with mpmath.workdps(40):
        expected = float(mpmath.ellippi(1 - mpmath.mpf(p), 1 - mpmath.mpf(kc) ** 2))
    assert third == pytest.approx(expected, rel=1e-14)


def test_steps_end_for_the_smallest_arguments():
    values = pair(1e-150, 1.0, 1.0, 1.0, 1.0, 1e-300)
    expected = np.log(4.0) + 150 * np.log(10.0)
    assert values == pytest.approx((expected, 1.0), rel=1e-13)
