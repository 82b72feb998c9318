"""Potential, deflection, convergence and shear of deflectors, against lenstronomy, mpmath and the laws of lensing."""

import mpmath
import numpy as np
import pytest
from lenstronomy.LensModel.lens_model import LensModel

from deepbench.errors import LabelError
from deepbench.lensing.deflector import (
    DEFLECTOR_ROW,
    EXTERNAL,
    ISOTHERMAL,
    MULTIPOLE,
    NFW,
    POINT_MASS,
    POWER_LAW,
    TRUNCATED_NFW,
)
from deepbench.lensing.ellipticity import least_axis_ratio
from deepbench.lensing.maps import convergence, deflection, magnification, potential, prepare, shear

PLACE = {"x": 0.11, "y": -0.07, "angle": 0.4}
CENTRE = {"center_x": 0.11, "center_y": -0.07}


def deflector(family, **fields):
    row = np.zeros(1, DEFLECTOR_ROW)
    row["family"], row["axis_ratio"], row["slope"], row["strength"] = family, 1.0, 2.0, 1.2
    for name, value in fields.items():
        row[name] = value
    return row


FAMILIES = {
    "sie": deflector(POWER_LAW, **PLACE, axis_ratio=0.7),
    "shallow": deflector(POWER_LAW, **PLACE, axis_ratio=0.6, slope=1.5),
    "steep": deflector(POWER_LAW, **PLACE, axis_ratio=0.3, slope=2.5),
    "external": deflector(EXTERNAL, **PLACE, strength=0.07, convergence=0.1),
    "core": deflector(ISOTHERMAL, **PLACE, axis_ratio=0.4, scale=0.2),
    "point_mass": deflector(POINT_MASS, **PLACE),
    "nfw": deflector(NFW, **PLACE, axis_ratio=0.8, scale=1.1),
    "wide_nfw": deflector(NFW, **PLACE, axis_ratio=0.6, scale=20.0),
    "truncated_nfw": deflector(TRUNCATED_NFW, **PLACE, strength=0.1, scale=0.6, truncation=0.9),
    "cut_nfw": deflector(TRUNCATED_NFW, **PLACE, strength=0.1, scale=0.6, truncation=0.2),
    "three": deflector(MULTIPOLE, **PLACE, strength=0.05, order=3),
    "four": deflector(MULTIPOLE, **PLACE, strength=-0.05, order=4),
}


@pytest.fixture(scope="module")
def points():
    return np.random.default_rng(1).uniform(-2.0, 2.0, (2, 400))


@pytest.fixture(params=FAMILIES.values(), ids=FAMILIES)
def any_row(request):
    return request.param


# --- the laws ------------------------------------------------------------------------------------


def derivatives(function, x, y, step=2e-3):
    """Return the derivatives of a function of x and y, by central differences of sixth order."""
    weights = {1: 3 / 4, 2: -3 / 20, 3: 1 / 60}
    return [
        sum(w * (function(x + n * dx, y + n * dy) - function(x - n * dx, y - n * dy)) / step
            for n, w in weights.items())
        for dx, dy in ((step, 0.0), (0.0, step))
    ]  # fmt: skip


def test_the_deflection_is_the_gradient_of_the_potential(any_row, points):
    x, y = points[:, np.hypot(points[0] - 0.11, points[1] + 0.07) > 0.2]
    found = derivatives(lambda *at: potential(any_row, *at), x, y)
    np.testing.assert_allclose(found, deflection(any_row, x, y), rtol=0, atol=3e-9)


def test_convergence_and_shear_are_derivatives_of_the_deflection(any_row, points):
    x, y = points[:, np.hypot(points[0] - 0.11, points[1] + 0.07) > 0.2]
    xx, xy = derivatives(lambda *at: deflection(any_row, *at)[0], x, y)
    yx, yy = derivatives(lambda *at: deflection(any_row, *at)[1], x, y)
    gamma1, gamma2 = shear(any_row, x, y)
    for found, expected in (
        (0.5 * (xx + yy), convergence(any_row, x, y)),
        (0.5 * (xx - yy), gamma1),
        (xy, gamma2),
        (yx, gamma2),
    ):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-7)


def test_a_plane_turned_by_37_degrees_deflects_into_turned_directions(any_row, points):
    c, s = np.cos(np.radians(37.0)), np.sin(np.radians(37.0))
    turned = any_row.copy()
    turned["x"], turned["y"] = (
        c * any_row["x"] - s * any_row["y"],
        s * any_row["x"] + c * any_row["y"],
    )
    turned["angle"] += np.radians(37.0)
    x, y = points
    ax, ay = deflection(any_row, x, y)
    found = deflection(turned, c * x - s * y, s * x + c * y)
    np.testing.assert_allclose(found, (c * ax - s * ay, s * ax + c * ay), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    ("row", "radius"),
    [
        *((deflector(POWER_LAW, slope=slope), 1.2) for slope in (1.5, 1.8, 2.0, 2.2, 2.5)),
        (deflector(ISOTHERMAL, scale=0.3), np.sqrt(1.2**2 - 2.0 * 0.3 * 1.2)),
        (deflector(NFW, strength=2.0, scale=2.0), 2.0),
    ],
)
def test_the_mean_convergence_within_the_einstein_radius_is_1(row, radius):
    nodes, weights = np.polynomial.legendre.leggauss(60)
    t = 0.5 * (nodes + 1.0)  # r = R t⁴: the centre is a cusp
    kappa = convergence(row, radius * t**4, 0.0)
    assert np.sum(weights * kappa * 4.0 * t**7) == pytest.approx(1.0, abs=1e-9)
    assert deflection(row, 0.0, radius)[1] == pytest.approx(radius, rel=1e-14)


@pytest.mark.parametrize("slope", [1.5, 2.0, 2.4])
@pytest.mark.parametrize("axis_ratio", [0.2, 0.7])
def test_an_ellipse_of_mean_convergence_1_has_the_area_of_the_einstein_radius(slope, axis_ratio):
    """The mean deflection through the ellipse's border, by Gauss's law."""
    row = deflector(POWER_LAW, slope=slope, axis_ratio=axis_ratio)
    turn = 2.0 * np.pi * np.arange(4000) / 4000
    x, y = 1.2 / np.sqrt(axis_ratio) * np.cos(turn), 1.2 * np.sqrt(axis_ratio) * np.sin(turn)
    ax, ay = deflection(row, x, y)
    flux = 1.2 * (ax * np.sqrt(axis_ratio) * np.cos(turn) + ay / np.sqrt(axis_ratio) * np.sin(turn))
    assert flux.mean() == pytest.approx(1.2**2, rel=1e-12)


def test_deflectors_add_up(points):
    rows = np.concatenate(list(FAMILIES.values()))
    single = [deflection(rows[i], *points) for i in range(rows.size)]
    np.testing.assert_allclose(deflection(rows, *points), np.sum(single, axis=0), rtol=1e-12)


def test_the_magnification_of_an_isothermal_sphere(points):
    radius = np.hypot(*points)
    found = magnification(deflector(POWER_LAW), *points)
    np.testing.assert_allclose(found, 1.0 / (1.0 - 1.2 / radius), rtol=1e-9)
    assert np.isinf(magnification(deflector(POWER_LAW), 1.2, 0.0))


# --- limits --------------------------------------------------------------------------------------


def test_everything_is_finite_at_the_centre_and_beside_it(any_row):
    x = any_row["x"] + np.array([0.0, 1e-300, 1e-40, 1e-12, 1e6])
    y = any_row["y"] + np.array([0.0, 0.0, 1e-40, 0.0, 1e6])
    values = [potential(any_row, x, y), *deflection(any_row, x, y), convergence(any_row, x, y)]
    assert np.isfinite([*values, *shear(any_row, x, y)]).all()
    np.testing.assert_array_equal([deflection(any_row, x[0], y[0])], 0.0)


def test_at_the_centre_of_a_singular_deflector_nothing_is_magnified():
    for row in (deflector(POWER_LAW), deflector(ISOTHERMAL, axis_ratio=0.5), deflector(POINT_MASS)):
        assert abs(magnification(row, 0.0, 0.0)) < 1e-40


@pytest.mark.parametrize("family", [POWER_LAW, ISOTHERMAL, NFW])
def test_an_axis_ratio_near_1_is_nearly_round(family, points):
    shape = {"family": family, "scale": 0.3, "slope": 1.8}
    expected = deflection(deflector(**shape), *points)
    found = deflection(deflector(**shape, axis_ratio=1.0 - 1e-12), *points)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11)
    found = deflection(deflector(**shape, axis_ratio=0.9), *points)
    assert np.abs(np.subtract(found, expected)).max() > 1e-3


def test_an_isothermal_ellipsoid_without_a_core_is_a_power_law(points):
    singular = deflector(POWER_LAW, axis_ratio=0.4)
    for core, tolerance in ((0.0, 1e-13), (1e-9, 1e-7)):
        row = deflector(ISOTHERMAL, axis_ratio=0.4, scale=core)
        for function in (potential, deflection, convergence, shear):
            np.testing.assert_allclose(
                function(row, *points), function(singular, *points), atol=tolerance
            )


def in_many_digits(x):
    """Return mean κ, κ and potential of a halo with κ_s = r_s = 1 at X, from their integrals' closed forms."""
    with mpmath.workdps(80):
        x = mpmath.mpf(x)
        root = mpmath.sqrt(mpmath.mpc(1 - x * x))
        f = (mpmath.atanh(root) / root).real if x != 1 else mpmath.mpf(1)
        kappa = 2 * (f - 1) / (1 - x * x) if x != 1 else mpmath.mpf(2) / 3
        mean = 4 * (mpmath.log(x / 2) + f) / x**2
        return mean, kappa, 2 * (mpmath.log(x / 2) ** 2 - (1 - x * x) * f * f)


def test_halos_are_exact_from_the_centre_to_far_out():
    x = np.concatenate([np.geomspace(1e-9, 1e4, 27), [0.79999, 0.8, 0.80001, 0.94, 1.06],
                        [1.0, 1.0 - 1e-9, 1.0 + 1e-9, 1.0 + 1e-5]])  # fmt: skip
    row = deflector(NFW, strength=4.0 * (1.0 - np.log(2.0)), scale=1.0)
    found = deflection(row, x, 0.0)[0] / x, convergence(row, x, 0.0), potential(row, x, 0.0)
    expected = np.array([[float(value) for value in in_many_digits(float(each))] for each in x]).T
    np.testing.assert_allclose(found, expected, rtol=1e-13)


def test_a_halo_cut_off_far_out_is_not_cut_off_and_one_cut_off_has_a_finite_mass(points):
    row = {"strength": 0.3, "scale": 0.7}
    whole = deflection(deflector(NFW, **row), *points)
    far = deflection(deflector(TRUNCATED_NFW, **row, truncation=1e8), *points)
    np.testing.assert_allclose(far, whole, rtol=1e-7)
    tau = 1.4 / 0.7  # Baltz et al.: the total mass in units of 4π ρ_s r_s³
    mass = tau**2 / (tau**2 + 1) ** 2 * ((tau**2 - 1) * np.log(tau) + tau * np.pi - tau**2 - 1)
    cut = deflection(deflector(TRUNCATED_NFW, **row, truncation=1.4), 1e7, 0.0)[0]
    assert cut == pytest.approx(0.3 * 0.7 / (1.0 - np.log(2.0)) * mass / 1e7, rel=1e-6)


def test_truncated_halos_near_the_centre_against_mpmath():
    """Lenstronomy's are constant within 0.001 scale radii."""
    tau = mpmath.mpf(3)
    row = deflector(TRUNCATED_NFW, strength=4.0 * (1.0 - np.log(2.0)), scale=1.0, truncation=3.0)
    for x in (1e-8, 1e-5, 1e-3, 0.1, 0.8, 1.5, 40.0, 1e4):
        with mpmath.workdps(80):
            X = mpmath.mpf(x)
            w = mpmath.sqrt(mpmath.mpc(1 - X * X))
            f, r = (mpmath.atanh(w) / w).real, mpmath.sqrt(tau**2 + X**2)
            level = mpmath.log(X / (r + tau))
            m = (tau**2 + 1 + 2 * (X**2 - 1)) * f + tau * mpmath.pi
            m += (tau**2 - 1) * mpmath.log(tau) + r * (-mpmath.pi + (tau**2 - 1) / tau * level)
            expected = float(4 * tau**2 / (tau**2 + 1) ** 2 * m / X)
        assert deflection(row, 0.0, x)[1] == pytest.approx(expected, rel=1e-11)


def test_the_convergence_of_a_flat_halo_is_negative_from_where_it_is_said_to_be():
    for extent in (1.3, 3.0, 20.0):
        least = least_axis_ratio(extent)
        for far, sign in ((1.001, -1.0), (0.999, 1.0)):
            row = deflector(NFW, scale=1.0, axis_ratio=least)
            assert sign * convergence(row, 0.0, far * extent) > 0.0
        turn = np.linspace(0.0, 2.0 * np.pi, 73)
        inside = np.outer(np.geomspace(1e-3, 0.999 * extent, 40), [np.cos(turn), np.sin(turn)])
        x, y = inside.reshape(40, 2, 73).swapaxes(0, 1)
        assert (convergence(row, x, y) > 0.0).all()
    assert least_axis_ratio(0.0) < least_axis_ratio(0.1) < 0.1
    assert 0.95 < least_axis_ratio(1e6) < 1.0


# --- lenstronomy ---------------------------------------------------------------------------------


def ellipticity(axis_ratio):
    e = (1.0 - axis_ratio) / (1.0 + axis_ratio)
    return {"e1": e * np.cos(0.8), "e2": e * np.sin(0.8)}


def compare(points, row, model, keywords, *, atol, hessian_atol):
    """Compare with lenstronomy, whose second derivatives are finite differences for some models."""
    theirs, keywords = LensModel([model]), [keywords]
    x, y = points
    np.testing.assert_allclose(
        deflection(row, x, y), theirs.alpha(x, y, keywords), rtol=0, atol=atol
    )
    assert np.ptp(potential(row, x, y) - theirs.potential(x, y, keywords)) < 2.0 * atol
    xx, xy, _, yy = theirs.hessian(x, y, keywords)
    gamma1, gamma2 = shear(row, x, y)
    for found, expected in (
        (convergence(row, x, y), 0.5 * (xx + yy)), (gamma1, 0.5 * (xx - yy)), (gamma2, xy),
    ):  # fmt: skip
        np.testing.assert_allclose(found, expected, rtol=0, atol=hessian_atol)


@pytest.mark.parametrize("axis_ratio", [0.1, 0.2, 0.5, 0.8, 0.99, 1.0])
@pytest.mark.parametrize("slope", [1.5, 1.9, 2.0, 2.1, 2.5])
def test_power_laws_are_those_of_lenstronomy(slope, axis_ratio, points):
    row = deflector(POWER_LAW, **PLACE, axis_ratio=axis_ratio, slope=slope)
    keywords = {"theta_E": 1.2, "gamma": slope, **ellipticity(axis_ratio), **CENTRE}
    compare(points, row, "EPL", keywords, atol=1e-12, hessian_atol=1e-11)


@pytest.mark.parametrize("core", [1e-6, 0.05, 0.7])
@pytest.mark.parametrize("axis_ratio", [0.2, 0.8])
def test_isothermal_ellipsoids_with_a_core_are_those_of_lenstronomy(core, axis_ratio, points):
    row = deflector(ISOTHERMAL, **PLACE, axis_ratio=axis_ratio, scale=core)
    keywords = {"theta_E": 1.2, "s_scale": core, **ellipticity(axis_ratio), **CENTRE}
    compare(points, row, "NIE", keywords, atol=1e-12, hessian_atol=1e-4)


@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0])
def test_round_halos_are_those_of_lenstronomy(scale, points):
    row = deflector(NFW, **PLACE, scale=scale)
    compare(points, row, "NFW", {"Rs": scale, "alpha_Rs": 1.2, **CENTRE}, atol=1e-11, hessian_atol=1e-9)  # fmt: skip


@pytest.mark.parametrize("axis_ratio", [0.4, 0.8])
def test_flat_halos_are_those_of_lenstronomy(axis_ratio, points):
    """Lenstronomy's axes are √(1 − e) and √(1 + e), ours √q and 1/√q."""
    e = (1.0 - axis_ratio**2) / (1.0 + axis_ratio**2)
    factor = (1.0 - e * e) ** 0.25
    row = deflector(NFW, **PLACE, axis_ratio=axis_ratio, scale=1.3)
    keywords = {"Rs": 1.3 * factor, "alpha_Rs": 1.2 / factor, **ellipticity(axis_ratio), **CENTRE}
    compare(points, row, "NFW_ELLIPSE_POTENTIAL", keywords, atol=1e-11, hessian_atol=0.05)


@pytest.mark.parametrize("tau", [0.1, 1.0, 7.0, 1e4])
def test_truncated_halos_are_those_of_lenstronomy(tau, points):
    row = deflector(TRUNCATED_NFW, **PLACE, scale=0.5, truncation=0.5 * tau)
    keywords = {"Rs": 0.5, "alpha_Rs": 1.2, "r_trunc": 0.5 * tau, **CENTRE}
    compare(points, row, "TNFW", keywords, atol=1e-11, hessian_atol=1e-9)


@pytest.mark.parametrize("order", [3, 4])
def test_multipoles_are_those_of_lenstronomy(order, points):
    row = deflector(MULTIPOLE, **PLACE, strength=0.06, order=order)
    keywords = {"m": order, "a_m": 0.06, "phi_m": 0.4, **CENTRE}
    compare(points, row, "MULTIPOLE", keywords, atol=1e-14, hessian_atol=1e-12)


def test_point_masses_and_shear_are_those_of_lenstronomy(points):
    keywords = {"theta_E": 1.2, **CENTRE}
    compare(points, deflector(POINT_MASS, **PLACE), "POINT_MASS", keywords, atol=1e-11, hessian_atol=1e-9)  # fmt: skip
    row = deflector(EXTERNAL, **PLACE, strength=0.1)
    keywords = {
        "gamma1": 0.1 * np.cos(0.8),
        "gamma2": 0.1 * np.sin(0.8),
        "ra_0": 0.11,
        "dec_0": -0.07,
    }
    compare(points, row, "SHEAR", keywords, atol=1e-14, hessian_atol=1e-14)


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "name"),
    [
        (deflector(7), "family"),
        (deflector(POWER_LAW, axis_ratio=0.09), "axis_ratio"),
        (deflector(POWER_LAW, slope=3.0), "slope"),
        (deflector(POWER_LAW, strength=np.nan), "strength"),
        (deflector(ISOTHERMAL, axis_ratio=1.1), "axis_ratio"),
        (deflector(ISOTHERMAL, scale=-0.1), "scale"),
        (deflector(NFW), "scale"),
        (deflector(TRUNCATED_NFW, scale=1.0), "truncation"),
        (deflector(MULTIPOLE, order=5), "order"),
    ],
)
def test_values_for_which_no_formula_holds_are_refused(row, name):
    with pytest.raises(LabelError, match=f"^{name} of a deflector must lie from"):
        prepare(row)
