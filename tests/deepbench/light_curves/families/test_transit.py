"""Transits against batman, orbits solved by bisection, and means over exposures."""

from fractions import Fraction

import batman
import numpy as np
import pytest

from deepbench.light_curves.families.occultation import hidden
from deepbench.light_curves.families.orbits import fill_separations, find_window
from deepbench.light_curves.families.transit import TRANSIT, never_transits, touches
from deepbench.light_curves.families.transit_kernels import (
    count_transits,
    multiply_transits,
    transit_orbit,
)
from deepbench.numerics.kernels import kernel
from tests.reference.occultation import place

PLANET = {
    "period": 3.0,
    "transit_time": 1.1,
    "radius_ratio": 0.1,
    "scaled_semi_major_axis": 8.8,
    "impact_parameter": 0.3,
    "eccentricity": 0.0,
    "argument_of_periastron_degrees": 60.0,
    "u1": 0.4,
    "u2": 0.25,
    "third_light": 0.0,
}
MINUTE = 1 / 1440
GAUSS = [np.polynomial.legendre.leggauss(n) for n in range(1, 33)]


def rows_of(*planets):
    """Return rows of one band."""
    rows = [[tuple({**PLANET, **each}[name] for name in TRANSIT.names)] for each in planets]
    return np.array(rows, TRANSIT)


def render(times, *planets, bands=None, rows=None):
    """Return the factors of one sample."""
    rows = rows_of(*planets) if rows is None else rows
    bands = np.zeros(times.size, np.int8) if bands is None else bands
    factors = np.ones(times.size)
    owners = np.zeros(len(rows), np.int64)
    multiply_transits(rows, owners, np.array([0, times.size]), times, bands, factors)
    return factors


def count(times, exposures, *planets):
    """Return the nodes of every exposure of one sample and the counts of the planets."""
    rows = rows_of(*planets)
    nodes, counts = np.ones(times.size, np.int64), np.full(len(rows), -5)
    offsets, owners = np.array([0, times.size]), np.zeros(len(rows), np.int64)
    exposures = np.broadcast_to(exposures, times.shape).copy()
    count_transits(rows, owners, offsets, times, exposures, nodes, counts)
    return nodes, counts


def cos_inclination(planet):
    e, w = planet["eccentricity"], np.radians(planet["argument_of_periastron_degrees"])
    ratio = planet["impact_parameter"] / planet["scaled_semi_major_axis"]
    return min(ratio * (1 + e * np.sin(w)) / (1 - e * e), 1.0)


def separations(planet, days):
    """Return the reference's separations, infinite behind the star."""
    e, w = planet["eccentricity"], np.radians(planet["argument_of_periastron_degrees"])
    axis = planet["scaled_semi_major_axis"]
    apart, front = place(days, planet["period"], axis, cos_inclination(planet), e, w)
    return np.where(front > 0, apart, 1e300)


def missing(planet, days):
    """Return the reference's hidden light, times in days from conjunction."""
    names = ("radius_ratio", "u1", "u2")
    return hidden(separations(planet, days), *(planet[name] for name in names))


@kernel
def _window(row, reach):
    return find_window(transit_orbit(row), reach)


@kernel
def _separations(row, number, times, out):
    fill_separations(transit_orbit(row), number, times, out)


def window(planet, reach):
    return _window(rows_of(planet)[0, 0], reach)


def unwindowed(planet, times):
    """Return our factors without a window: the nearest conjunction by number is taken."""
    numbers = np.rint((times - planet["transit_time"]) / planet["period"])
    out = np.empty(times.size)
    for number in np.unique(numbers):
        chosen = numbers == number
        part = np.empty(chosen.sum())
        _separations(rows_of(planet)[0, 0], number, times[chosen], part)
        out[chosen] = part
    names = ("radius_ratio", "u1", "u2")
    return 1.0 - hidden(out, *(planet[name] for name in names))


def random_planet(rng, *, eccentricities=(0, 0.1, 0.3, 0.7, 0.95), largest=1.5, least_axis=2.0):
    k = np.exp(rng.uniform(np.log(0.003), np.log(largest)))
    axis = np.exp(rng.uniform(np.log(least_axis), np.log(100)))
    return {
        **PLANET,
        "period": 0.5 * (axis / 3) ** 1.5 * rng.uniform(0.5, 2),
        "transit_time": rng.uniform(-5, 5),
        "radius_ratio": k,
        "scaled_semi_major_axis": axis,
        "impact_parameter": rng.uniform(0, 1 + k),
        "eccentricity": rng.choice(eccentricities),
        "argument_of_periastron_degrees": rng.uniform(0, 360),
    }


# --- against batman ---


def batman_model(planet, times):
    found = batman.TransitParams()
    found.t0, found.per = planet["transit_time"], planet["period"]
    found.rp, found.a = planet["radius_ratio"], planet["scaled_semi_major_axis"]
    found.inc = np.degrees(np.arccos(cos_inclination(planet)))
    found.ecc, found.w = planet["eccentricity"], planet["argument_of_periastron_degrees"]
    found.limb_dark, found.u = (
        "quadratic",
        [planet["u1"], planet["u2"]],
    )
    model = batman.TransitModel(found, times)
    return model, model.light_curve(found)


@pytest.mark.parametrize("k", [0.003, 0.03, 0.1, 0.3, 0.7])
@pytest.mark.parametrize("impact", [0.0, 0.4, 0.9])
def test_circular_transits_are_batmans(k, impact):
    planet = {**PLANET, "radius_ratio": k, "impact_parameter": impact}
    times = np.sort(np.random.default_rng(1).uniform(-10, 40, 4000))
    # batman's elliptic integrals are polynomials good to some 1e-8
    np.testing.assert_allclose(
        render(times, planet), batman_model(planet, times)[1], rtol=0, atol=5e-8
    )


@pytest.mark.parametrize("e", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("w", [0.0, 70.0, 200.0, 330.0])
def test_eccentric_transits_are_batmans(e, w):
    planet = {**PLANET, "eccentricity": e, "argument_of_periastron_degrees": w}
    times = np.sort(np.random.default_rng(2).uniform(0, 9, 6000))
    model, expected = batman_model(planet, times)
    # given batman's separations; its own solution of Kepler's equation is good to 1e-7
    np.testing.assert_allclose(1 - hidden(model.ds, 0.1, 0.4, 0.25), expected, rtol=0, atol=5e-8)
    np.testing.assert_allclose(render(times, planet), expected, rtol=0, atol=2e-6)
    assert (render(times, planet) < 1).sum() > 20


# --- orbits ---


@pytest.mark.parametrize("e", [0.0, 0.2, 0.6, 0.9])
def test_separations_are_those_of_orbits_solved_by_bisection(e):
    rng = np.random.default_rng(3)
    for _ in range(10):
        planet = random_planet(rng, eccentricities=(e,))
        planet |= {"transit_time": 0.0, "scaled_semi_major_axis": rng.uniform(2, 20)}
        days = rng.uniform(-0.5, 0.5, 300) * planet["period"]
        found = np.empty(days.size)
        _separations(rows_of(planet)[0, 0], 0.0, days, found)
        expected = separations(planet, days)
        np.testing.assert_array_equal(found == 1e300, expected == 1e300)
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_the_impact_parameter_is_the_separation_at_the_transit_time():
    for e, w in ((0.0, 10.0), (0.4, 10.0), (0.7, 250.0)):
        planet = {**PLANET, "eccentricity": e, "argument_of_periastron_degrees": w}
        found = np.empty(1)
        _separations(rows_of(planet)[0, 0], 0.0, np.array([1.1]), found)
        assert found[0] == pytest.approx(0.3, abs=1e-14)


def test_late_transits_of_a_long_period_keep_their_digits():
    planet = {**PLANET, "period": 400.3, "scaled_semi_major_axis": 230.0, "eccentricity": 0.3}
    t0, period = Fraction(planet["transit_time"]), Fraction(planet["period"])
    middle = float(t0 + 25 * period)
    assert middle > 1e4
    times = middle + np.linspace(-0.6, 0.6, 501)
    days = np.array([float(Fraction(float(t)) - t0 - 25 * period) for t in times])
    expected = 1 - missing(planet, days)
    assert (expected < 1).sum() > 100
    # a last place of 1e4 days is 2e-12, in which the planet moves 1e-11 radii
    np.testing.assert_allclose(render(times, planet), expected, rtol=0, atol=3e-12)
    assert (render(np.linspace(-199, -1, 500), planet) == 1).all()


# --- windows ---


@pytest.mark.parametrize("draws", [150, pytest.param(3000, marks=pytest.mark.slow)])
def test_windows_hold_every_point_that_is_not_one(draws):
    rng = np.random.default_rng(draws)
    tight = []
    for _ in range(draws):
        planet = random_planet(rng)
        before, after = window(planet, 1 + planet["radius_ratio"])
        period = planet["period"]
        days = np.linspace(-0.5, 0.5, 1501) * period
        days = np.sort(np.concatenate([days, np.linspace(-2 * before, 2 * after, 1501)]))
        days = days[np.abs(days) < 0.5 * period]
        dark = missing({**planet, "u1": 0, "u2": 0}, days)
        inside = (days >= -before) & (days <= after)
        if max(before, after) < 0.5 * period:
            assert not dark[~inside].any(), planet
            tight.append(dark[inside].astype(bool).mean())
        times = planet["transit_time"] + days
        expected = unwindowed(planet, times)
        got = render(times, planet)
        if max(before, after) < 0.5 * period:
            np.testing.assert_array_equal(got, expected)
        else:
            np.testing.assert_allclose(got, expected, rtol=0, atol=1e-11)
    assert np.median(tight) > 0.99


def test_windows_hold_transits_that_nearly_collide():
    rng = np.random.default_rng(5)
    for w in np.linspace(0, 350, 36):
        planet = {**PLANET, "eccentricity": 0.95, "argument_of_periastron_degrees": w}
        planet |= {"scaled_semi_major_axis": 2.0, "impact_parameter": rng.uniform(0, 1.1)}
        days = np.linspace(-0.5, 0.5, 20001)[1:-1] * planet["period"]
        expected = 1 - missing(planet, days)
        front = separations(planet, days)
        keep = np.abs(np.diff(front, append=front[-1])) < 1e200  # not at the step to behind
        got = render(planet["transit_time"] + days, planet)
        np.testing.assert_allclose(got[keep], expected[keep], rtol=0, atol=1e-10)


def test_sparse_and_dense_times_give_the_same_points():
    planet = {**PLANET, "period": 0.7, "eccentricity": 0.2}
    dense = np.sort(np.random.default_rng(6).uniform(-50, 300, 5000))
    got = render(dense, planet)
    assert 0 < (got < 1).sum() < 5000
    for step in (7, 100, 999):
        np.testing.assert_array_equal(render(dense[::step].copy(), planet), got[::step])


# --- samples, bands, edges ---


def test_every_object_has_its_own_sample():
    times = np.sort(np.random.default_rng(7).uniform(0, 20, 700))
    planets = [PLANET, {**PLANET, "period": 2.2, "radius_ratio": 0.05}, {**PLANET, "period": 5.5}]
    together, offsets = np.ones(700), np.array([0, 300, 300, 700])
    owners = np.array([0, 2, 2])
    bands = np.zeros(700, np.int8)
    multiply_transits(rows_of(*planets), owners, offsets, times, bands, together)
    np.testing.assert_array_equal(together[:300], render(times[:300], planets[0]))
    both = render(times[300:], planets[1]) * render(times[300:], planets[2])
    np.testing.assert_allclose(together[300:], both, rtol=1e-15)


def test_bands_have_their_own_limb_darkening_and_third_light():
    times = np.linspace(0.9, 1.3, 200)
    red = {"u1": 0.1, "u2": 0.3, "third_light": 0.25}
    rows = np.concatenate([rows_of({}), rows_of(red)], axis=1)
    bands = (np.arange(200) % 2).astype(np.int8)
    got = render(times, rows=rows, bands=bands)
    np.testing.assert_array_equal(got[::2], render(times, {})[::2])
    clean = render(times, {**red, "third_light": 0.0})
    np.testing.assert_allclose(got[1::2], (0.75 * clean + 0.25)[1::2], rtol=1e-15)


def test_a_large_planet_hides_the_star_and_one_behind_it_nothing():
    planet = {"radius_ratio": 1.4, "impact_parameter": 0.0}
    assert render(np.array([1.1]), planet) == 0.0
    assert render(np.array([1.1 + 1.5]), planet) == 1.0
    assert (render(np.linspace(0, 9, 500), {"radius_ratio": 0.0}) == 1).all()
    assert (render(np.linspace(0, 9, 500), {"impact_parameter": 1.2}) == 1).all()
    assert render(np.zeros(0), {}).size == 0


@pytest.mark.parametrize("column", TRANSIT.names)
def test_every_parameter_matters_and_none_hangs(column):
    times = np.linspace(0, 30, 4000)
    base = {"eccentricity": 0.2}
    value = {**PLANET, **base}[column]
    other = render(times, {**base, column: 1.03 * value + 0.01})
    assert (other != render(times, base)).any()
    for odd in (np.nan, np.inf, 0.0, -1.0):
        render(times[:50], {**base, column: odd})
        count(times[:50], 0.01, {**base, column: odd})


def test_rows_that_cannot_be_are_known():
    odd = [{}, {"impact_parameter": 1.1}, {"eccentricity": 0.88}, {"scaled_semi_major_axis": 1.1}]
    rows = rows_of(*odd)
    np.testing.assert_array_equal(never_transits(rows), [False, True, False, False])
    np.testing.assert_array_equal(touches(rows), [False, False, True, True])


# --- exposures ---


def mean_over(planet, middle, exposure, rule):
    x, weights = rule
    return (missing(planet, middle + 0.5 * exposure * x) * weights).sum(-1) / weights.sum()


def rule_of(number):
    if number <= len(GAUSS):
        return GAUSS[number - 1]
    panels = -(-number // 32)
    x, weights = GAUSS[31]
    middles = (2 * np.arange(panels) + 1) / panels - 1
    return (middles[:, None] + x / panels).ravel(), np.tile(weights, panels)


def of_sines(x, weights):
    """Return nodes that are sines of those of a rule, and their weights."""
    return np.sin(0.5 * np.pi * x), 0.5 * np.pi * np.cos(0.5 * np.pi * x) * weights


FINE = of_sines(*np.polynomial.legendre.leggauss(64))


def exact_mean(planet, middle, exposure):
    """Return the mean by 64 nodes between contacts; as sines of them, what is like a power of 3/2 there is smooth."""
    before, after = window(planet, 1 + planet["radius_ratio"])
    inner = window(planet, abs(1 - planet["radius_ratio"]))
    contacts = [-before, 0.0, after, *((-inner[0], inner[1]) if inner[1] >= 0 else ())]
    ends = middle - 0.5 * exposure, middle + 0.5 * exposure
    edges = np.unique(np.clip([*ends, *contacts], max(ends[0], -before), min(ends[1], after)))
    middles, halves = 0.5 * (edges[1:] + edges[:-1]), 0.5 * np.diff(edges)
    sines, weights = FINE
    days = middles[:, None] + halves[:, None] * sines
    dark = missing(planet, days.ravel()).reshape(days.shape)
    return (dark @ weights) @ halves / exposure


def grazing_planet(rng):
    """Return a planet whose disc never is before the star's as a whole, or only just touches it."""
    planet = random_planet(rng, eccentricities=(0, 0.3), largest=0.5, least_axis=2.5)
    reach, across = 1 + planet["radius_ratio"], 2 * planet["radius_ratio"]
    return planet | {"impact_parameter": reach - across * 10 ** rng.uniform(-3, 0)}


@pytest.mark.slow
@pytest.mark.parametrize("exposure", [29.4 * MINUTE, 2 * MINUTE])
@pytest.mark.parametrize("grazing", [False, True])
def test_nodes_give_the_mean_over_an_exposure(exposure, grazing):
    """Within 1e-4 of the depth that exposures see, where the light falls by more than 1e-6."""
    rng = np.random.default_rng(150)
    checked = 0
    while checked < 150:
        planet = (
            grazing_planet(rng)
            if grazing
            else random_planet(rng, eccentricities=(0, 0.3, 0.7), largest=0.5, least_axis=2.5)
        )
        planet |= {"u1": rng.uniform(0, 0.6), "transit_time": 0.0}
        if touches(rows_of(planet))[0]:
            continue
        checked += 1
        before, after = window(planet, 1 + planet["radius_ratio"])
        middles = np.sort(rng.uniform(-before - exposure, after + exposure, 30))
        nodes, counts = count(middles, exposure, planet)
        overlap = (middles + 0.5 * exposure > -before) & (middles - 0.5 * exposure < after)
        assert counts[0] == overlap.sum()
        assert (nodes[~overlap] == 1).all()
        assert (nodes >= 1).all()
        expected = [exact_mean(planet, middle, exposure) for middle in middles[overlap]]
        deepest = missing(planet, np.linspace(-before, after, 1001)).max()
        seen = max([exact_mean(planet, 0.5 * (after - before), exposure), *expected])
        goal = 1e-4 * seen if deepest > 1e-6 else 1e-6
        for middle, number, mean in zip(middles[overlap], nodes[overlap], expected, strict=True):
            error = abs(mean_over(planet, middle, exposure, rule_of(number)) - mean)
            assert error < goal, (planet, middle, number)


def test_nodes_are_raised_only_and_few_where_the_light_is_smooth():
    times = np.arange(0, 27.4, 2 * MINUTE)
    nodes, counts = count(times, 2 * MINUTE, {})
    assert counts[0] == pytest.approx((render(times, {}) < 1).sum(), abs=20)
    assert nodes[nodes > 1].mean() < 4
    rows = rows_of({})
    given, counts = np.full(times.size, 5), np.zeros(1, np.int64)
    exposures = np.full(times.size, 2 * MINUTE)
    count_transits(
        rows, np.zeros(1, np.int64), np.array([0, times.size]), times, exposures, given, counts
    )
    np.testing.assert_array_equal(given, np.maximum(nodes, 5))


def test_exposures_of_several_lengths_are_counted_each():
    rng = np.random.default_rng(8)
    times = np.sort(rng.uniform(0, 30, 500))
    exposures = rng.choice([0.0, 0.01, 0.4], 500)
    before, after = window({**PLANET}, 1.1)
    phases = times - 1.1 - 3.0 * np.rint((times - 1.1) / 3.0)
    overlap = (phases + 0.5 * exposures >= -before) & (phases - 0.5 * exposures <= after)
    assert count(times, exposures, {})[1][0] == overlap.sum()


def test_a_planet_that_passes_beside_its_star_raises_nothing():
    nodes, counts = count(np.linspace(0, 30, 500), 0.1, {"impact_parameter": 1.3})
    assert (nodes == 1).all()
    assert counts[0] == 0
