"""Eclipses of binaries: symmetry, limits, batman, areas of lenses, and times."""

import batman
import numpy as np
import pytest

from deepbench.light_curves.families.eclipsing_binary import ECLIPSE, never_eclipses, touches
from deepbench.light_curves.families.eclipsing_binary_kernels import (
    count_eclipses,
    multiply_eclipses,
)
from deepbench.light_curves.families.occultation import hidden
from deepbench.light_curves.families.transit import TRANSIT
from deepbench.light_curves.families.transit_kernels import multiply_transits
from deepbench.light_curves.survey.exposures import row_of, rules
from tests.reference.occultation import mean_anomaly, place

BINARY = {
    "period": 3.0,
    "eclipse_time": 1.1,
    "sum_of_radii": 0.3,
    "radius_ratio": 0.5,
    "surface_brightness_ratio": 0.3,
    "inclination_degrees": 86.0,
    "eccentricity": 0.0,
    "argument_of_periastron_degrees": 50.0,
    "primary_u1": 0.4,
    "primary_u2": 0.2,
    "secondary_u1": 0.5,
    "secondary_u2": 0.1,
    "third_light": 0.0,
}
MINUTE = 1 / 1440
GAUSS = [np.polynomial.legendre.leggauss(n) for n in range(1, 33)]


def rows_of(*binaries):
    rows = [[tuple({**BINARY, **each}[name] for name in ECLIPSE.names)] for each in binaries]
    return np.array(rows, ECLIPSE)


def render(times, *binaries, rows=None, bands=None):
    """Return the factors of one sample."""
    rows = rows_of(*binaries) if rows is None else rows
    bands = np.zeros(times.size, np.int8) if bands is None else bands
    factors = np.ones(times.size)
    owners = np.zeros(len(rows), np.int64)
    multiply_eclipses(rows, owners, np.array([0, times.size]), times, bands, factors)
    return factors


def count(times, exposures, binary):
    """Return the nodes of every exposure and the count of the binary."""
    nodes, counts = np.ones(times.size, np.int64), np.full(1, -5)
    offsets, owners = np.array([0, times.size]), np.zeros(1, np.int64)
    exposures = np.broadcast_to(exposures, times.shape).copy()
    count_eclipses(rows_of(binary), owners, offsets, times, exposures, nodes, counts)
    return nodes, counts[0]


def radii(binary):
    first = binary["sum_of_radii"] / (1 + binary["radius_ratio"])
    return first, first * binary["radius_ratio"]


def lights(binary):
    """Return the parts of all light of both stars."""
    first = 1 - binary["primary_u1"] / 3 - binary["primary_u2"] / 6
    second = 1 - binary["secondary_u1"] / 3 - binary["secondary_u2"] / 6
    second *= binary["surface_brightness_ratio"] * binary["radius_ratio"] ** 2
    total = (first + second) / (1 - binary["third_light"])
    return first / total, second / total


def secondary_phase(binary):
    """Return the part of the period from the primary to the secondary eclipse."""
    e, w = binary["eccentricity"], np.radians(binary["argument_of_periastron_degrees"])
    first, second = (mean_anomaly(angle - w, e) for angle in (0.5 * np.pi, 1.5 * np.pi))
    return ((second - first) / (2 * np.pi)) % 1.0


def where_star_2_is(binary, days):
    """Return whether star 2 is in front, and the separation; times from the primary eclipse."""
    e, w = binary["eccentricity"], np.radians(binary["argument_of_periastron_degrees"])
    cosine = np.cos(np.radians(binary["inclination_degrees"]))
    apart, front = place(days, binary["period"], 1.0, cosine, e, w)
    return front > 0, apart


def expected(binary, days):
    """Return the factor from separations by bisection, times in days from the primary eclipse."""
    front, apart = where_star_2_is(binary, days)
    r1, r2 = radii(binary)
    l1, l2 = lights(binary)
    first = hidden(apart / r1, r2 / r1, binary["primary_u1"], binary["primary_u2"])
    second = hidden(apart / r2, r1 / r2, binary["secondary_u1"], binary["secondary_u2"])
    return 1 - np.where(front, l1 * first, l2 * second)


def random_binary(rng, eccentricities=(0, 0.1, 0.4, 0.7)):
    e = rng.choice(eccentricities)
    total = rng.uniform(0.05, 0.9) * (1 - e)
    return {
        "period": np.exp(rng.uniform(-1, 4)),
        "eclipse_time": rng.uniform(-3, 3),
        "sum_of_radii": total,
        "radius_ratio": np.exp(rng.uniform(np.log(0.1), np.log(5))),
        "surface_brightness_ratio": rng.uniform(0, 3),
        "inclination_degrees": 90 - rng.uniform(-1, 1) * np.degrees(np.arcsin(total)),
        "eccentricity": e,
        "argument_of_periastron_degrees": rng.uniform(0, 360),
        "primary_u1": rng.uniform(0, 0.6),
        "primary_u2": rng.uniform(0, 0.4),
        "secondary_u1": rng.uniform(0, 0.6),
        "secondary_u2": rng.uniform(0, 0.4),
        "third_light": rng.choice([0, 0.4]),
    }


# --- the whole curve ---


@pytest.mark.parametrize("draws", [60, pytest.param(1500, marks=pytest.mark.slow)])
def test_curves_are_those_of_orbits_solved_by_bisection(draws):
    rng = np.random.default_rng(draws)
    for _ in range(draws):
        binary = random_binary(rng)
        days = np.sort(rng.uniform(-0.5, 0.5, 3000)) * binary["period"]
        got = render(binary["eclipse_time"] + days, binary)
        reference = expected(binary, days)
        # separations err by 1e-14 semi-major axes, the light by that over the smaller radius
        np.testing.assert_allclose(got, reference, rtol=0, atol=2e-12)
        assert (got[reference > 1 - 1e-15] == 1).all()


def test_stars_may_be_swapped():
    rng = np.random.default_rng(1)
    for _ in range(30):
        binary = random_binary(rng)
        swapped = {
            **binary,
            "eclipse_time": binary["eclipse_time"] + secondary_phase(binary) * binary["period"],
            "radius_ratio": 1 / binary["radius_ratio"],
            "surface_brightness_ratio": 1 / binary["surface_brightness_ratio"],
            "argument_of_periastron_degrees": binary["argument_of_periastron_degrees"] + 180,
        }
        for name in ("u1", "u2"):
            swapped[f"primary_{name}"] = binary[f"secondary_{name}"]
            swapped[f"secondary_{name}"] = binary[f"primary_{name}"]
        times = np.linspace(-1, 2, 4000) * binary["period"]
        np.testing.assert_allclose(render(times, swapped), render(times, binary), atol=2e-11)


@pytest.mark.parametrize("e", [0.0, 0.35])
def test_a_dark_second_star_is_a_planet(e):
    binary = {**BINARY, "surface_brightness_ratio": 0.0, "eccentricity": e, "third_light": 0.1}
    w = np.radians(50.0)
    planet = {
        "period": 3.0,
        "transit_time": 1.1,
        "radius_ratio": 0.5,
        "scaled_semi_major_axis": 5.0,
        "impact_parameter": 5 * np.cos(np.radians(86.0)) * (1 - e * e) / (1 + e * np.sin(w)),
        "eccentricity": e,
        "argument_of_periastron_degrees": 50.0,
        "u1": 0.4,
        "u2": 0.2,
        "third_light": 0.1,
    }
    rows = np.array([[tuple(planet[name] for name in TRANSIT.names)]], TRANSIT)
    times, factors = np.linspace(0, 9, 5000), np.ones(5000)
    owners, offsets = np.zeros(1, np.int64), np.array([0, 5000])
    multiply_transits(rows, owners, offsets, times, np.zeros(5000, np.int8), factors)
    np.testing.assert_allclose(render(times, binary), factors, rtol=0, atol=1e-13)


@pytest.mark.parametrize("ratio", [0.1, 0.6])
def test_a_dark_second_star_is_batmans_planet(ratio):
    binary = {**BINARY, "surface_brightness_ratio": 0.0, "radius_ratio": ratio}
    times = np.linspace(0, 9, 5000)
    given = batman.TransitParams()
    given.t0, given.per, given.inc, given.ecc, given.w = 1.1, 3.0, 86.0, 0.0, 50.0
    given.rp, given.a = ratio, (1 + ratio) / 0.3
    given.limb_dark, given.u = "quadratic", [0.4, 0.2]
    curve = batman.TransitModel(given, times).light_curve(given)
    np.testing.assert_allclose(render(times, binary), curve, rtol=0, atol=5e-8)


def test_uniform_stars_lose_the_area_of_a_lens():
    dark = dict.fromkeys(("primary_u1", "primary_u2", "secondary_u1", "secondary_u2"), 0.0)
    binary = {**BINARY, **dark}
    days = np.linspace(-1.5, 1.5, 6001)
    angle = 2 * np.pi * days / 3.0
    d = np.sqrt(np.sin(angle) ** 2 + (np.cos(angle) * np.cos(np.radians(86.0))) ** 2)
    r1, r2 = radii(binary)
    at_1 = np.arccos(np.clip((d * d + r1 * r1 - r2 * r2) / (2 * d * r1), -1, 1))
    at_2 = np.arccos(np.clip((d * d + r2 * r2 - r1 * r1) / (2 * d * r2), -1, 1))
    lens = r1**2 * (at_1 - np.sin(2 * at_1) / 2) + r2**2 * (at_2 - np.sin(2 * at_2) / 2)
    brightness = np.where(np.cos(angle) > 0, 1.0, 0.3)
    curve = 1 - brightness * lens / (np.pi * (r1**2 + 0.3 * r2**2))
    np.testing.assert_allclose(render(1.1 + days, binary), curve, rtol=0, atol=1e-8)


# --- depths and times ---


def test_total_and_annular_eclipses_have_the_depths_of_their_discs():
    binary = {**BINARY, "inclination_degrees": 90.0, "third_light": 0.2}
    primary, secondary = render(np.array([1.1, 2.6]), binary)
    l1, l2 = lights(binary)
    assert l1 + l2 == pytest.approx(0.8)
    assert secondary == pytest.approx(1 - l2, abs=1e-15)
    annular = hidden([0.0], 0.5, 0.4, 0.2)[0]
    assert primary == pytest.approx(1 - l1 * annular, abs=1e-15)
    equal = {**binary, "radius_ratio": 1.0}
    primary, secondary = render(np.array([1.1, 2.6]), equal)
    l1, l2 = lights(equal)
    assert (primary, secondary) == pytest.approx((1 - l1, 1 - l2), abs=1e-15)


@pytest.mark.parametrize(("e", "w"), [(0.0, 0.0), (0.2, 0.0), (0.3, 200.0), (0.6, 90.0)])
def test_the_secondary_eclipse_comes_when_kepler_says(e, w):
    binary = {
        **BINARY,
        "eccentricity": e,
        "argument_of_periastron_degrees": w,
        "inclination_degrees": 90.0,
    }
    binary |= {"sum_of_radii": 0.02, "radius_ratio": 1.0}
    phase = secondary_phase(binary)
    if e == 0.2:  # Sterne's first order
        assert phase == pytest.approx(0.5 + 2 / np.pi * e, abs=0.3 * e**2)
    middle = 1.1 + 3 * phase
    assert render(np.array([middle]), binary) == pytest.approx(1 - lights(binary)[1], abs=1e-9)
    nodes, number = count(middle + np.array([-0.4, 0.0, 0.4]), 0.01, binary)
    assert number == 1
    assert nodes[1] > 1


# --- bands, samples, exposures ---


def test_bands_have_their_own_brightness_and_limb_darkening():
    red = {"surface_brightness_ratio": 0.8, "primary_u1": 0.1, "secondary_u2": 0.3}
    rows = np.concatenate([rows_of({}), rows_of(red)], axis=1)
    times, bands = np.linspace(0, 6, 2000), (np.arange(2000) % 2).astype(np.int8)
    got = render(times, rows=rows, bands=bands)
    np.testing.assert_array_equal(got[::2], render(times, {})[::2])
    np.testing.assert_array_equal(got[1::2], render(times, red)[1::2])


def test_every_binary_has_its_own_sample():
    times, factors = np.linspace(0, 6, 900), np.ones(900)
    rows, offsets = rows_of({}, {"period": 1.7}), np.array([0, 400, 900])
    bands = np.zeros(900, np.int8)
    multiply_eclipses(rows, np.array([0, 1]), offsets, times, bands, factors)
    np.testing.assert_array_equal(factors[:400], render(times[:400], {}))
    np.testing.assert_array_equal(factors[400:], render(times[400:], {"period": 1.7}))


@pytest.mark.parametrize("column", ECLIPSE.names)
def test_every_parameter_matters_and_none_hangs(column):
    times = np.linspace(0, 30, 4000)
    base = {"eccentricity": 0.2}
    value = {**BINARY, **base}[column]
    other = render(times, {**base, column: 1.01 * value + 0.01})
    assert (other != render(times, base)).any()
    for odd in (np.nan, np.inf, 0.0, -1.0):
        render(times[:50], {**base, column: odd})
        count(times[:50], 0.01, {**base, column: odd})


@pytest.mark.slow
@pytest.mark.parametrize("exposure", [29.4 * MINUTE, 2 * MINUTE])
def test_nodes_give_the_mean_over_an_exposure(exposure):
    rng = np.random.default_rng(100)
    x, weights = GAUSS[7]
    abscissae, rule_weights, _ = rules()
    edges = np.linspace(-1, 1, 61)
    fine = (0.5 * (edges[1:] + edges[:-1])[:, None] + x / 60).ravel()
    for _ in range(100):
        binary = {**random_binary(rng), "eclipse_time": 0.0}
        binary["period"] = rng.uniform(0.5, 20)
        days = np.linspace(-0.5, 0.5, 5001) * binary["period"]
        days = np.append(days, secondary_phase(binary) * binary["period"])
        missing, primary = 1 - expected(binary, days), where_star_2_is(binary, days)[0]
        depths = missing[~primary].max(), missing[primary].max()
        times = np.sort(rng.uniform(-0.5, 0.5, 150)) * binary["period"]
        nodes, number = count(times, exposure, binary)
        means = expected(binary, times[:, None] + 0.5 * exposure * fine).reshape(150, 60, -1)
        means = (means @ weights).mean(1) / 2
        assert number == pytest.approx((means < 1).sum(), abs=1)
        depth = np.where(where_star_2_is(binary, times)[0], depths[1], depths[0])
        goal = np.where(depth > 1e-6, 1e-4 * depth, 1e-6)
        for n in np.unique(nodes):
            row, there = row_of(n), nodes == n
            days = times[there, None] + exposure * abscissae[row, :n]
            errors = np.abs((expected(binary, days) * rule_weights[row, :n]).sum(1) - means[there])
            assert (errors < goal[there]).all(), (binary, times[there], n)


def test_an_exposure_of_both_eclipses_counts_once():
    binary = {"sum_of_radii": 0.8}
    times = np.arange(0.0, 30.0, 1.4)
    assert count(times, 1.4, binary)[1] == times.size


# --- what cannot be ---


def test_rows_that_cannot_be_are_known():
    odd = [
        {},
        {"inclination_degrees": 70.0},
        {"inclination_degrees": 108.0},
        {"eccentricity": 0.71},
    ]
    rows = rows_of(*odd)
    np.testing.assert_array_equal(never_eclipses(rows), [False, True, True, False])
    np.testing.assert_array_equal(touches(rows), [False, False, False, True])
    assert (render(np.linspace(0, 9, 999), {"inclination_degrees": 70.0}) == 1).all()
