"""Transients: the published shapes, and one black body in all bands."""

import light_curve
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepbench.light_curves.families.extinction import extinctions
from deepbench.light_curves.families.transient import TRANSIENT, Bazin
from deepbench.light_curves.families.transient_kernels import (
    DARK,
    SHAPES,
    add_transients,
    count_transients,
    peak_of,
    write_shape,
)

EDGES = np.array(
    [
        [320.0, 400.0],
        [400.0, 552.0],
        [552.0, 691.0],
        [691.0, 818.0],
        [818.0, 922.0],
        [950.0, 1070.0],
    ]
)
ZERO_POINTS = np.array([27.0, 28.0, 28.1, 27.8, 27.4, 26.2])
VALUES = {
    "bazin": {"rise_time": 4.0, "fall_time": 25.0},
    "villar": {
        "rise_time": 3.0,
        "fall_time": 20.0,
        "plateau_duration": 60.0,
        "plateau_slope": -0.006,
    },
    "disruption": {"rise_time": 12.0, "fall_time": 40.0, "decay_index": -5.0 / 3.0},
}
PHYSICS = {
    "peak_time": 100.0,
    "peak_magnitude": 20.0,
    "reference_band": 2,
    "peak_temperature": 12000.0,
    "floor_temperature": 5000.0,
    "cooling_time": 30.0,
}


def row(name, **values):
    out = np.zeros((1,), TRANSIENT)
    out["shape"] = SHAPES[name]
    for column, value in {**PHYSICS, **VALUES[name], **values}.items():
        out[column] = value
    return out[0]


def shape(name, times, **values):
    times = np.atleast_1d(np.asarray(times, float))
    out = np.empty(times.size)
    write_shape(row(name, **values), times, out)
    return out


def light(rows, times, bands, owners=None, offsets=None):
    rows, times = np.array(rows, TRANSIENT).reshape(-1, 1), np.asarray(times, float)
    out = np.zeros(times.size)
    bands = np.broadcast_to(bands, times.shape).astype(np.int8)
    owners = np.zeros(len(rows), np.int64) if owners is None else owners
    offsets = np.array([0, times.size]) if offsets is None else offsets
    rows = np.repeat(rows, len(ZERO_POINTS), axis=1)
    rows["zero_point"] = ZERO_POINTS
    add_transients(rows, owners, offsets, times, bands, out, EDGES)
    return out


def magnitudes(name, times, band, **values):
    """Return AB magnitudes."""
    return ZERO_POINTS[band] - 2.5 * np.log10(light(row(name, **values), times, band))


@settings(max_examples=50, deadline=None)
@given(st.floats(0.5, 20.0), st.floats(1.05, 20.0))
def test_bazins_shape_is_that_of_the_light_curve_package(rise, ratio):
    times, fall = np.linspace(-200.0, 400.0, 601), rise * ratio
    reference = light_curve.BazinFit("lmsder").model(times, np.array([1.0, 0.0, 0.0, rise, fall]))
    whole = np.isfinite(reference)  # theirs overflows long before the peak
    assert shape("bazin", times, rise_time=rise, fall_time=fall)[whole] == pytest.approx(
        reference[whole], abs=1e-12
    )


@settings(max_examples=50, deadline=None)
@given(st.floats(0.5, 20.0), st.floats(0.5, 90.0), st.floats(1.0, 200.0), st.floats(0.0, 0.99))
def test_villars_shape_is_that_of_the_light_curve_package(rise, fall, plateau, nu):
    """Theirs has ν = −β γ / A."""
    times = np.linspace(-200.0, 600.0, 801)
    parameters = np.array([1.0, 0.0, 0.0, rise, fall, nu, plateau])
    reference = light_curve.VillarFit("lmsder").model(times, parameters)
    ours = shape(
        "villar",
        times,
        rise_time=rise,
        fall_time=fall,
        plateau_duration=plateau,
        plateau_slope=-nu / plateau,
    )
    assert ours == pytest.approx(reference, abs=1e-12)


def test_a_disruption_rises_as_a_gaussian_and_falls_with_the_power_of_fallback():
    assert shape("disruption", [-12.0, 0.0, 40.0]) == pytest.approx(
        [np.exp(-0.5), 1.0, 2.0 ** (-5 / 3)], rel=1e-14
    )
    late = shape("disruption", [1e5, 2e5])
    assert np.log2(late[1] / late[0]) == pytest.approx(-5.0 / 3.0, abs=1e-3)


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_are_finite_and_dark_at_all_times(name):
    values = shape(name, [-1e6, -1e5, -1e3, 1e3, 1e5, 1e6])
    assert np.all(np.isfinite(values))
    assert np.all(values[:3] < 1e-30)


@settings(max_examples=60, deadline=None)
@given(st.floats(0.5, 20.0), st.floats(1.1, 90.0), st.floats(0.5, 200.0), st.floats(-0.5, 0.99))
def test_the_peak_is_the_largest_value(rise, ratio, plateau, nu):
    for name in SHAPES:
        values = {"rise_time": rise, "fall_time": rise * ratio}
        if name == "villar":
            values |= {"plateau_duration": plateau, "plateau_slope": -nu / plateau}
        peak = peak_of(row(name, **values))
        times = np.concatenate(
            [
                np.linspace(-30.0 * rise, plateau + 10.0 * rise * ratio, 3001),
                peak + np.linspace(-1, 1, 101),
            ]
        )
        assert shape(name, peak, **values)[0] >= shape(name, times, **values).max() * (1.0 - 1e-14)


@pytest.mark.parametrize("name", SHAPES)
def test_the_magnitude_at_the_peak_is_the_one_asked_for(name):
    for band in (0, 2, 5):
        assert magnitudes(name, [100.0], band, reference_band=band)[0] == pytest.approx(
            20.0, abs=1e-12
        )
    for redshift in (0.0, 0.3, 1.0):
        assert magnitudes(name, [100.0], 2, redshift=redshift)[0] == pytest.approx(20.0, abs=1e-12)


@pytest.mark.parametrize("name", SHAPES)
def test_at_constant_temperature_every_band_has_the_bolometric_shape(name):
    times = np.linspace(60.0, 400.0, 200)
    peak = peak_of(row(name))
    expected = shape(name, times - 100.0 + peak)
    for band in range(6):
        flux = light(row(name, floor_temperature=12000.0), times, band)
        assert flux / flux.max() == pytest.approx(
            expected / expected.max(), rel=1e-12, abs=2.0 * DARK
        )


@pytest.mark.parametrize("name", SHAPES)
def test_redshift_stretches_time(name):
    times = np.linspace(-50.0, 200.0, 100)
    flat = {"floor_temperature": 12000.0}
    near = magnitudes(name, 100.0 + times, 2, **flat)
    far = magnitudes(name, 100.0 + 1.5 * times, 2, redshift=0.5, **flat)
    assert far == pytest.approx(near, abs=1e-9)


def test_colours_redden_as_the_body_cools_and_with_distance():
    times = 100.0 + np.array([0.0, 10.0, 30.0, 60.0, 100.0])
    for name in SHAPES:
        colour = magnitudes(name, times, 1) - magnitudes(name, times, 3)
        assert np.all(np.diff(colour) > 0.0)
    hot, cold = (
        magnitudes("bazin", [100.0], 1, peak_temperature=t)
        - magnitudes("bazin", [100.0], 3, peak_temperature=t)
        for t in (20000.0, 6000.0)
    )
    assert hot < cold
    far = magnitudes("bazin", [100.0], 1, redshift=0.5) - magnitudes(
        "bazin", [100.0], 3, redshift=0.5
    )
    assert far > magnitudes("bazin", [100.0], 1) - magnitudes("bazin", [100.0], 3)


def test_bluer_bands_fade_first():
    times = np.linspace(60.0, 250.0, 1901)
    tops = [times[magnitudes("bazin", times, b).argmin()] for b in range(6)]
    assert np.all(np.diff(tops) > 0.0)


def test_dust_dims_and_reddens_after_the_magnitude_is_set():
    dimming = [
        (magnitudes("bazin", [100.0], b, reddening=0.2) - magnitudes("bazin", [100.0], b))[0]
        for b in range(6)
    ]
    assert np.all(np.diff(dimming) < 0.0)
    assert dimming == pytest.approx(0.2 * extinctions(EDGES.mean(axis=1)), rel=0.05)


def test_bands_have_their_own_zero_points():
    """A body that is flat in f_ν between two bands has one AB magnitude in both; here, its colour is Planck's."""
    flux = np.array([light(row("bazin"), [100.0], b)[0] for b in range(6)])
    ab = ZERO_POINTS - 2.5 * np.log10(flux)
    middles = np.sqrt(EDGES.prod(axis=1))
    x = 14387768.775 / middles / 12000.0
    planck = -2.5 * np.log10(x**3 / np.expm1(x))
    assert ab - ab[2] == pytest.approx(planck - planck[2], abs=0.01)


def test_objects_stay_in_their_samples_and_lights_add():
    times = np.tile(np.linspace(50.0, 300.0, 120), 2)
    bands = np.tile(np.arange(120) % 6, 2)
    rows = np.stack([row("bazin"), row("bazin", peak_time=150.0, redshift=0.2, reddening=0.1)])
    both = light(rows, times, bands, np.array([1, 1]), np.array([0, 120, 240]))
    assert np.all(both[:120] == 0.0)
    alone = [light(r, times[:120], bands[:120]) for r in rows]
    assert both[120:] == pytest.approx(alone[0] + alone[1], rel=1e-14)


@pytest.mark.parametrize("name", SHAPES)
def test_only_what_is_dark_is_left_out(name):
    times = 100.0 + np.linspace(-400.0, 3000.0, 5000)
    flux = light(row(name, floor_temperature=12000.0), times, 2)
    expected = shape(name, times - 100.0 + peak_of(row(name)))
    assert expected[flux == 0.0].max() < DARK * expected.max()
    assert np.any(flux == 0.0)


def test_observations_are_counted_above_a_hundredth_of_the_peak():
    times = np.linspace(0.0, 400.0, 4001)
    for name in SHAPES:
        counts = np.empty(1, np.int64)
        count_transients(
            np.array([[row(name, redshift=0.1)]], TRANSIENT),
            np.zeros(1, int),
            np.array([0, 4001]),
            times,
            np.zeros(4001),
            np.ones(4001, int),
            counts,
        )
        values = shape(name, (times - 100.0) / 1.1 + peak_of(row(name)))
        assert counts[0] == np.count_nonzero(values >= 0.01 * shape(name, peak_of(row(name)))[0])


def test_the_fastest_rate_is_that_of_the_shortest_scale():
    rows = np.stack([row("bazin", redshift=1.0), row("bazin", cooling_time=0.5)])[:, None]
    values = {name: value for name, value in PHYSICS.items() if name != "reference_band"}
    assert Bazin(**values, **VALUES["bazin"]).fastest(rows) == pytest.approx([0.125, 2.0])
