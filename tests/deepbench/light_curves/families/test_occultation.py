"""The hidden light of a star against quadrature in 45 digits."""

import mpmath
import numpy as np
import pytest

from deepbench.light_curves.families.occultation import hidden
from tests.reference import occultation as reference

RADII = [0.001, 0.1, 0.3, 0.5, 0.7, 0.999999, 1.0, 1.2, 1.5]
OFFSETS = [0.0, 1e-16, -1e-14, 1e-12, -1e-9, 1e-6, -1e-3]


def error(b, r, u1, u2):
    value = hidden([b], r, u1, u2)[0]
    return abs(float(reference.hidden(b, r, u1, u2) - mpmath.mpf(float(value))))


def limb_darkening(rng):
    """Return u1 and u2 of a brightness that falls towards the limb and stays positive (Kipping 2013)."""
    q1, q2 = rng.uniform(0, 1, 2)
    return 2 * np.sqrt(q1) * q2, np.sqrt(q1) * (1 - 2 * q2)


def special_separations(r):
    """Return separations at and near the contacts, the crossing of the centre, and 0."""
    places = [0.0, abs(1 - r), r, 1 + r, 1.0]
    return [b + offset for b in places for offset in OFFSETS if b + offset >= 0]


@pytest.mark.slow
@pytest.mark.parametrize("r", [0.1, 0.5, 0.7, 1.2])
def test_hidden_light_keeps_its_digits_where_formulas_change(r):
    assert max(error(b, r, 0.4, 0.26) for b in special_separations(r)) < 2e-15


@pytest.mark.slow
@pytest.mark.parametrize("r", RADII)
def test_hidden_light_keeps_its_digits_for_every_radius(r):
    rng = np.random.default_rng(1)
    assert max(error(b, r, *limb_darkening(rng)) for b in special_separations(r)) < 2e-15


@pytest.mark.parametrize("draws", [40, pytest.param(400, marks=pytest.mark.slow)])
def test_hidden_light_of_random_discs_is_that_of_the_reference(draws):
    rng = np.random.default_rng(draws)
    radii = np.exp(rng.uniform(np.log(0.001), np.log(1.5), draws))
    found = [error(rng.uniform(0, 1 + r), r, *limb_darkening(rng)) for r in radii]
    assert max(found) < 2e-15


@pytest.mark.parametrize(("r", "tolerance"), [(5.0, 1e-13), (20.0, 2e-12)])
def test_large_discs_lose_few_digits(r, tolerance):
    separations = [r - 1 + 1e-9, *np.linspace(r - 0.9, r + 0.9, 6), r + 1 - 1e-6]
    assert max(error(b, r, 0.4, 0.26) for b in separations) < tolerance


def test_light_is_hidden_only_where_the_discs_overlap():
    assert (hidden([1.1, 1.1 + 1e-9, 2.0, 1e300], 0.1, 0.4, 0.3) == 0).all()
    assert hidden([1.1 - 1e-9], 0.1, 0.4, 0.3) > 0
    assert (hidden([0.0, 0.1, 0.2, 0.2 - 1e-12], 1.2, 0.4, 0.3) == 1).all()
    assert (hidden([0.0, 0.5, 1.0], 0.0, 0.4, 0.3) == 0).all()
    assert np.isnan(hidden([np.nan], 0.1, 0.4, 0.3)).all()


def test_a_uniform_star_loses_the_area_of_the_disc():
    np.testing.assert_allclose(hidden([0.0, 0.3, 0.9], 0.1, 0.0, 0.0), 0.01, rtol=1e-14)


def test_a_small_disc_at_the_centre_hides_the_central_brightness():
    r, u1, u2 = 1e-4, 0.5, 0.2
    expected = r * r / (1 - u1 / 3 - u2 / 6)
    np.testing.assert_allclose(hidden([0.0], r, u1, u2), expected, rtol=1e-7)


def test_hidden_light_is_between_nothing_and_all_and_falls_with_distance():
    rng = np.random.default_rng(3)
    for r in (0.01, 0.5, 0.999, 1.0, 1.4):
        found = hidden(np.linspace(0, 1 + r, 4001), r, *limb_darkening(rng))
        assert found.min() == 0
        assert found.max() <= 1
        assert (np.diff(found) <= 1e-15).all()
