"""Spots on rotating stars: the exact cases, and geometry done with vectors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepbench.light_curves.families.spot import SPOT, Spot
from deepbench.light_curves.families.spot_kernels import count_spots, multiply_spots

EXACT = 1e-12


def row(**values):
    defaults = {"rotation_period": 1.0, "inclination": 90.0, "depth": 0.01}
    out = np.zeros((1, 1), SPOT)
    for name, value in {**defaults, **values}.items():
        out[name if name in SPOT.names else f"{name}_degrees"] = value
    return out


def light(rows, times, bands=None):
    factors = np.ones(times.size)
    bands = np.zeros(times.size, np.int8) if bands is None else np.full(times.size, bands, np.int8)
    owners = np.zeros(len(rows), np.int64)
    multiply_spots(rows, owners, np.array([0, times.size]), times, bands, factors)
    return factors


def seen(times, period, inclination, latitude, longitude):
    """Return cos β from vectors: the spot is turned about the axis, and the axis is tilted."""
    i, d = np.radians([inclination, latitude])
    phase = 2.0 * np.pi * times / period + np.radians(longitude)
    spot = np.stack(
        [np.cos(d) * np.cos(phase), np.cos(d) * np.sin(phase), np.full(times.size, np.sin(d))]
    )
    return np.array([np.sin(i), 0.0, np.cos(i)]) @ spot


def test_a_spot_on_the_equator_of_a_star_seen_from_it_takes_half_a_cosine():
    times = np.linspace(0.0, 2.0, 801)
    assert light(row(depth=0.02), times) == pytest.approx(
        1.0 - 0.02 * np.maximum(np.cos(2.0 * np.pi * times), 0.0), abs=1e-14
    )


@settings(max_examples=50, deadline=None)
@given(st.floats(0.3, 40.0), st.floats(0.0, 90.0), st.floats(-90.0, 90.0), st.floats(0.0, 360.0))
def test_the_loss_is_the_cosine_between_the_spot_and_the_line_of_sight(
    period, i, latitude, longitude
):
    times = np.linspace(0.0, 90.0, 300)
    rows = row(rotation_period=period, inclination=i, latitude=latitude, longitude=longitude)
    expected = 1.0 - 0.01 * np.maximum(seen(times, period, i, latitude, longitude), 0.0)
    assert light(rows, times) == pytest.approx(expected, abs=EXACT)


def test_a_spot_at_longitude_zero_faces_us_at_time_zero_and_a_larger_longitude_comes_earlier():
    times = np.linspace(-0.5, 0.5, 1001)[:-1]
    assert times[light(row(), times).argmin()] == pytest.approx(0.0, abs=1e-9)
    assert times[light(row(longitude=90.0), times).argmin()] == pytest.approx(-0.25, abs=1e-9)


def test_a_star_seen_from_its_pole_does_not_vary():
    times = np.linspace(0.0, 3.0, 100)
    assert light(row(inclination=0.0, latitude=30.0), times) == pytest.approx(
        1.0 - 0.005, abs=EXACT
    )
    assert np.all(light(row(inclination=0.0, latitude=-30.0), times) == 1.0)


def test_shear_slows_the_rotation_away_from_the_equator():
    times = np.linspace(0.0, 5.0, 400)
    sheared = light(row(rotation_period=2.0, latitude=30.0, shear=0.2), times)
    assert sheared == pytest.approx(
        light(row(rotation_period=2.0 / 0.95, latitude=30.0), times), abs=EXACT
    )
    assert np.all(light(row(shear=0.2), times) == light(row(), times))


def test_a_spot_grows_and_fades_with_its_own_scales():
    rows = row(inclination=0.0, latitude=90.0, peak_time=10.0, emergence=2.0, decay=5.0, depth=0.1)
    times = np.array([8.0, 10.0, 15.0, 20.0])
    expected = 1.0 - 0.1 * np.exp([-0.5, 0.0, -0.5, -2.0])
    assert light(rows, times) == pytest.approx(expected, abs=EXACT)
    early = row(inclination=0.0, latitude=90.0, peak_time=10.0, decay=5.0, depth=0.1)
    assert light(early, times) == pytest.approx([0.9, 0.9, *expected[2:]], abs=EXACT)


def test_bands_have_their_own_depths_and_spots_multiply():
    rows = np.concatenate([np.repeat(row(), 2, axis=1), np.repeat(row(longitude=60.0), 2, axis=1)])
    rows["depth"][:, 1] = -0.02
    times = np.linspace(0.0, 1.0, 300)
    one, two = (
        1.0 - 0.01 * np.maximum(np.cos(2.0 * np.pi * times + a), 0.0) for a in (0.0, np.pi / 3)
    )
    assert light(rows, times, 0) == pytest.approx(one * two, abs=EXACT)
    assert light(rows, times, 1) == pytest.approx((3.0 - 2.0 * one) * (3.0 - 2.0 * two), abs=EXACT)


def test_exposures_across_the_limb_get_enough_nodes():
    rows = row(rotation_period=0.5, depth=0.02, inclination=70.0, latitude=10.0)
    middles, length = np.arange(2000) * 0.00077, 0.0204
    nodes, counts = np.full(2000, 2), np.zeros(1, np.int64)
    count_spots(
        rows, np.zeros(1, int), np.array([0, 2000]), middles, np.full(2000, length), nodes, counts
    )
    assert counts[0] == np.count_nonzero(seen(middles, 0.5, 70.0, 10.0, 0.0) > 0.0)
    assert nodes.min() == 2
    assert nodes.max() > 8
    for n in np.unique(nodes):
        chosen = middles[nodes == n]
        x, w = np.polynomial.legendre.leggauss(max(n, 4))
        mean = (
            light(rows, (chosen[:, None] + 0.5 * length * x).ravel()).reshape(-1, x.size) * w
        ).sum(1) / 2.0
        fine = (np.arange(4000) + 0.5) / 4000.0 - 0.5
        exact = light(rows, (chosen[:, None] + length * fine).ravel()).reshape(-1, 4000).mean(1)
        assert np.abs(mean - exact).max() < 1e-6


def test_the_fastest_rate_is_that_of_rotation_or_growth():
    rows = np.concatenate(
        [row(rotation_period=2.0), row(shear=-0.5), row(rotation_period=40.0, emergence=0.5)]
    )
    any_spot = Spot(rotation_period=1, inclination=90, latitude=0, longitude=0, depth=0.01)
    assert any_spot.fastest(rows) == pytest.approx([np.pi, 3.0 * np.pi, 2.0])


def test_a_spot_that_is_gone_is_not_in_view():
    rows = row(inclination=0.0, latitude=90.0, peak_time=10.0, emergence=0.5, decay=2.0)
    times = np.arange(0.0, 30.0, 0.01)
    nodes, counts = np.ones(times.size, np.int64), np.zeros(1, np.int64)
    count_spots(
        rows,
        np.zeros(1, int),
        np.array([0, times.size]),
        times,
        np.zeros(times.size),
        nodes,
        counts,
    )
    assert counts[0] == pytest.approx(2.5 * np.sqrt(2.0 * np.log(100.0)) / 0.01, abs=2)
    assert (nodes == 1).all()
