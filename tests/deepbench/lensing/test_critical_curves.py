"""Critical curves and caustics: against formulas, brute force, and the images of sources on both sides of a caustic."""

import numpy as np
import pytest
from matplotlib.path import Path

from deepbench.lensing.critical_curves import measure_caustics
from deepbench.lensing.deflector import (
    EXTERNAL,
    ISOTHERMAL,
    NFW,
    POINT_MASS,
    POWER_LAW,
)
from deepbench.lensing.lens_equation import MINIMUM, find_images
from deepbench.lensing.maps import convergence, deflection, shear
from tests.deflector_rows import rows_of

SIE = {"family": POWER_LAW, "strength": 1.0, "axis_ratio": 0.6, "slope": 2.0}
SHEAR = {"family": EXTERNAL, "strength": 0.06, "angle": 0.8}


def measured(rows, sources=()):
    """Return the Einstein radius of one plane, and the distances of sources."""
    sources = np.reshape(np.asarray(sources, float), (-1, 2))
    found = measure_caustics(
        np.array([0, len(rows)]), rows, sources, np.zeros(len(sources), np.int64)
    )
    return found.einstein_radius[0], found.tangential


@pytest.mark.parametrize(
    ("axis_ratio", "within"), [(1.0, 1e-9), (0.6, 1e-9), (0.2, 1e-8), (0.1, 1e-4)]
)
def test_the_einstein_radius_of_an_isothermal_ellipsoid_is_its_strength(axis_ratio, within):
    """Its critical curve is one of κ = ½; rays are few for the slenderest ones."""
    radius, _ = measured(rows_of(SIE | {"strength": 1.3, "axis_ratio": axis_ratio}))
    assert radius == pytest.approx(1.3, rel=within)


def test_the_einstein_radius_is_that_of_an_area():
    rows = rows_of(SIE | {"slope": 1.7, "x": 0.3, "y": -0.2, "angle": 1.0}, SHEAR)
    x, y = np.meshgrid(*2 * [np.linspace(-2.5, 2.5, 1001)])
    negative = 1 - convergence(rows, x, y) - np.hypot(*shear(rows, x, y)) < 0
    radius, _ = measured(rows)
    assert radius == pytest.approx(np.sqrt(negative.sum() / np.pi) * 0.005, rel=1e-3)


def test_planes_without_critical_curves_have_no_radius_and_no_caustic():
    for rows in (rows_of(), rows_of(SHEAR)):
        radius, distances = measured(rows, [[0.1, 0.2]])
        assert np.isnan([radius, *distances]).all()


def test_the_caustic_of_a_point_is_a_point():
    radius, distances = measured(
        rows_of({"family": POINT_MASS, "strength": 1.2}), [[0.3, 0.4], [2, 0]]
    )
    assert radius == pytest.approx(1.2, rel=1e-12)
    np.testing.assert_allclose(distances, [-0.5, -2], rtol=1e-9)


def test_distances_from_the_astroid_of_an_ellipsoid_are_those_of_half_a_million_points():
    rows = rows_of(SIE)
    phi = np.linspace(0, 2 * np.pi, 500_001)
    r = 1 / np.sqrt(0.6 * np.cos(phi) ** 2 + np.sin(phi) ** 2 / 0.6)
    x, y = r * np.cos(phi), r * np.sin(phi)
    ax, ay = deflection(rows, x, y)
    sources = np.random.default_rng(1).uniform(-0.4, 0.4, (300, 2))
    _, found = measured(rows, sources)
    expected = [np.hypot(x - ax - sx, y - ay - sy).min() for sx, sy in sources]
    np.testing.assert_allclose(np.abs(found), expected, atol=3e-7)
    inside = Path(np.stack([x - ax, y - ay], axis=1)[::50]).contains_points(sources)
    np.testing.assert_array_equal(found > 0, inside)
    assert 0.1 < inside.mean() < 0.4


def test_inside_of_a_tangential_caustic_are_more_minima():
    rows = rows_of(SIE | {"x": 0.05, "y": -0.1, "angle": 0.3}, SHEAR)
    sources = np.random.default_rng(2).uniform(-0.5, 0.5, (500, 2))
    owners = np.zeros(len(sources), np.int64)
    images = find_images(np.array([0, 2]), rows, sources, owners)
    of_image = np.repeat(np.arange(len(sources)), np.diff(images.offsets))
    minima = np.bincount(of_image[images.images["type"] == MINIMUM], minlength=len(sources))
    _, found = measured(rows, sources)
    np.testing.assert_array_equal(found > 0, minima > 1)
    assert 50 < (found > 0).sum() < 450


@pytest.mark.parametrize(
    "row",
    [
        {"family": ISOTHERMAL, "strength": 1.0, "axis_ratio": 1.0, "slope": 2.0, "scale": 0.1},
        {"family": NFW, "strength": 0.8, "axis_ratio": 1.0, "scale": 2.0},
    ],
    ids=["core", "nfw"],
)
def test_round_masses_have_a_radial_caustic(row):
    rows, r = rows_of(row), np.linspace(1e-3, 2, 2_000_001)
    zero = np.zeros_like(r)
    kappa, gamma = convergence(rows, r, zero), np.hypot(*shear(rows, r, zero))
    radial = r[np.argmax(1 - kappa + gamma > 0)]
    edge = abs(radial - deflection(rows, np.array(radial), np.array(0.0))[0])
    sources = np.array([[0.05, 0.0], [3.0, 4.0]])
    found = measure_caustics(np.array([0, 1]), rows, sources, np.zeros(2, np.int64))
    assert found.einstein_radius[0] == pytest.approx(r[np.argmax(1 - kappa - gamma > 0)], abs=2e-6)
    np.testing.assert_allclose(found.tangential, [-0.05, -5], rtol=1e-8)
    np.testing.assert_allclose(found.radial, [edge - 0.05, edge - 5], atol=1e-6)


def test_turned_planes_have_turned_caustics_and_others_change_nothing():
    turn = np.deg2rad(37)
    matrix = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    sources = np.random.default_rng(3).uniform(-0.4, 0.4, (50, 2))
    one = rows_of(SIE | {"angle": 0.3}, SHEAR)
    other = rows_of(SIE | {"angle": 0.3 + turn}, SHEAR | {"angle": 0.8 + turn})
    radius, found = measured(one, sources)
    turned, again = measured(other, sources @ matrix)
    assert turned == pytest.approx(radius, rel=1e-10)
    np.testing.assert_allclose(again, found, atol=1e-7)
    radii, together, _ = measure_caustics(
        np.array([0, 2, 4]), np.concatenate([other, one]), sources, np.ones(50, np.int64)
    )
    assert radii[1] == radius
    np.testing.assert_array_equal(together, found)
