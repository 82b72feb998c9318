"""Pulsating stars: exact series, Fourier parameters found again, and the shapes that astronomers know."""

import numpy as np
import pytest
from astropy.timeseries import LombScargle
from hypothesis import given, settings
from hypothesis import strategies as st

from deepbench.language.expressions import parse
from deepbench.light_curves.families.pulsation import (
    PULSATION,
    PULSATION_MODE,
    PulsationMode,
    Pulsator,
)
from deepbench.light_curves.families.pulsation_kernels import (
    multiply_pulsation_modes,
    multiply_pulsations,
)
from deepbench.light_curves.families.pulsation_relations import RELATIONS

EXACT = 1e-12  # magnitudes: rounding of a sum of eight cosines


def row(**values):
    out = np.zeros((), PULSATION)
    for name, value in {"period": 1.0, "amplitude": 1.0, **values}.items():
        out[name] = value
    return out


def shaped(ratios, phases, **values):
    """Return a row with these R_k1 and φ_k1."""
    names = [(f"ratio_{k}1", f"phase_{k}1") for k in range(2, 9)]
    for (ratio, phase), r, phi in zip(names, ratios, phases, strict=True):
        values |= {ratio: r, phase: phi}
    return row(**values)


def modes_of(rows):
    return np.array([[tuple(each) for each in of_bands] for of_bands in rows], PULSATION_MODE)


def of_kind(kind, period):
    fields = {
        name: parse(text).evaluate({"period": period}) for name, text in RELATIONS[kind].items()
    }
    return row(period=period, **fields)


def magnitudes(rows, times, bands=None, kernel=multiply_pulsations):
    rows = np.atleast_2d(rows)
    factors = np.ones(times.size)
    bands = np.zeros(times.size, np.int8) if bands is None else np.asarray(bands, np.int8)
    kernel(rows, np.zeros(len(rows), int), np.array([0, times.size]), times, bands, factors)
    return -2.5 * np.log10(factors)


def cycle(kind, period, n=4000):
    return magnitudes(of_kind(kind, period), np.arange(n) / n * period)


def fourier(m):
    """Return A_k and φ_k of one cycle."""
    a = 2.0 * np.fft.rfft(m)[1:9] / m.size
    return np.abs(a), np.angle(a)


def rise(m):
    """Return the part of the period from faintest to brightest."""
    return (m.argmin() - m.argmax()) % m.size / m.size


def shoulders(m):
    """Return the phases, from maximum light, where a branch is least steep between its steep parts."""
    steepness = np.abs(np.roll(m, -1) - np.roll(m, 1))
    least = (steepness < np.roll(steepness, 1)) & (steepness <= np.roll(steepness, -1))
    near = 0.03 * m.size
    ends = [m.argmin(), m.argmax()]
    far = [
        i
        for i in np.flatnonzero(least)
        if all(abs((i - e + m.size / 2) % m.size - m.size / 2) > near for e in ends)
    ]
    return [(i - m.argmin()) % m.size / m.size for i in far]


ratios = st.floats(0.0, 0.6)
angles = st.floats(0.0, 6.28)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(ratios, min_size=7, max_size=7),
    st.lists(angles, min_size=7, max_size=7),
    st.floats(-2.0, 2.0),
)
def test_any_series_has_the_amplitude_asked_for_its_maximum_at_the_peak_time_and_no_mean(
    r, phi, peak
):
    shape = shaped(r, phi, peak_time=peak, amplitude=0.7)
    times = peak + np.arange(-100, 900) / 1000.0
    m = magnitudes(shape, times)
    assert m[100] == pytest.approx(m.min(), abs=EXACT)
    assert abs(m.mean()) < 1e-12
    fine = magnitudes(shape, np.arange(20000) / 20000.0)
    assert 0.7 * (1.0 - 2e-5) < np.ptp(fine) <= 0.7 + EXACT


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.floats(0.02, 0.6), min_size=7, max_size=7), st.lists(angles, min_size=7, max_size=7)
)
def test_fourier_parameters_of_the_curve_are_those_of_the_row(r, phi):
    shape = shaped(r, phi, peak_time=0.3)
    sizes, phases = fourier(magnitudes(shape, np.arange(64) / 64.0))
    orders = np.arange(2, 9)
    assert sizes[1:] / sizes[0] == pytest.approx(r, abs=1e-12)
    turns = (phases[1:] - orders * phases[0] - phi) / (2.0 * np.pi)
    assert turns == pytest.approx(np.round(turns), abs=1e-11)


def test_the_peak_time_is_kept_to_rounding_after_many_cycles():
    shape = of_kind("rr_lyrae_ab", 0.57)
    shape["peak_time"] = 12.345
    around = 12.345 + 0.57 * 100000 + np.linspace(-1e-3, 1e-3, 2001)
    assert abs(around[magnitudes(shape, around).argmin()] - (12.345 + 57000.0)) < 2e-6


def test_each_band_has_its_own_amplitude_and_the_same_shape():
    rows = np.stack([row(amplitude=a, ratio_21=0.4, phase_21=4.0) for a in (1.0, 0.5, 0.0)])[None]
    times = np.linspace(0.0, 1.0, 601)
    one, half, none = (magnitudes(rows, times, np.full(601, b)) for b in range(3))
    assert half == pytest.approx(0.5 * one, abs=EXACT)
    assert np.all(none == 0.0)


def test_objects_stay_in_their_samples_and_factors_multiply():
    rows = np.stack([row(period=2.0)[None], row(period=3.0)[None], row(period=5.0)[None]])
    times = np.tile(np.linspace(0.0, 4.0, 300), 3)
    factors = np.full(900, 2.0)
    multiply_pulsations(
        rows,
        np.array([0, 2, 2]),
        np.array([0, 300, 600, 900]),
        times,
        np.zeros(900, np.int8),
        factors,
    )
    first, second, third = (10.0 ** (-0.4 * magnitudes(r, times[:300])) for r in rows)
    assert factors[:300] == pytest.approx(2.0 * first, rel=1e-14)
    assert np.all(factors[300:600] == 2.0)
    assert factors[600:] == pytest.approx(2.0 * second * third, rel=1e-14)


@pytest.mark.parametrize("period", [0.45, 0.5, 0.55, 0.6, 0.65])
def test_rrab_stars_rise_fast(period):
    assert 0.10 < rise(cycle("rr_lyrae_ab", period)) < 0.25


@pytest.mark.parametrize("period", [0.25, 0.3, 0.35, 0.4])
def test_rrc_stars_rise_slowly_but_faster_than_they_fall(period):
    assert 0.33 < rise(cycle("rr_lyrae_c", period)) < 0.48


def test_rrab_amplitudes_fall_and_rises_slow_down_with_the_period():
    curves = [cycle("rr_lyrae_ab", p) for p in (0.45, 0.5, 0.55, 0.6, 0.65)]
    assert np.all(np.diff([np.ptp(m) for m in curves]) < 0.0)
    assert np.all(np.diff([rise(m) for m in curves]) >= 0.0)


@pytest.mark.parametrize(("period", "amplitude"), [(0.45, 1.310), (0.55, 1.016), (0.6, 0.744)])
def test_rrab_amplitudes_are_those_of_the_published_parabola(period, amplitude):
    x = np.log10(period)
    assert -2.627 - 22.046 * x - 30.876 * x**2 == pytest.approx(amplitude, abs=0.01)
    assert np.ptp(cycle("rr_lyrae_ab", period)) == pytest.approx(amplitude, abs=0.01)


def test_fourier_phases_are_within_the_ranges_of_the_literature():
    """Jurcsik & Kovács (1996): [Fe/H] = −5.038 − 5.394 P + 1.345 φ31 for sines, which is φ31 − π for cosines."""
    for period in (0.5, 0.55, 0.6):
        phase = parse(RELATIONS["rr_lyrae_ab"]["phase_31"]).evaluate({"period": period}) + np.pi
        assert -2.0 < -5.038 - 5.394 * period + 1.345 * phase < -0.8  # stars of the halo


@pytest.mark.parametrize("period", [6.0, 7.0, 8.0])
def test_short_cepheids_have_their_bump_on_the_descending_branch(period):
    m = cycle("cepheid", period)
    places = shoulders(m)
    assert any(0.05 < x < 0.3 for x in places)
    assert all(x < 1.0 - rise(m) for x in places)


@pytest.mark.parametrize("period", [11.0, 12.0, 14.0])
def test_long_cepheids_have_their_bump_on_the_rising_branch(period):
    m = cycle("cepheid", period)
    assert any(1.0 - rise(m) < x < 0.97 for x in shoulders(m))


def test_the_bump_is_brightest_at_ten_days():
    def height(period):
        m = cycle("cepheid", period)
        brightest = min(
            m[round((x + m.argmin() / m.size) * m.size) % m.size]
            for x in shoulders(m)
            if x > 1.0 - rise(m)
        )
        return (m.max() - brightest) / np.ptp(m)

    heights = [height(p) for p in (10.0, 11.0, 12.0, 14.0, 16.0)]
    assert np.all(np.diff(heights) < 0.0)
    assert heights[0] > 0.6


def test_second_harmonics_of_cepheids_vanish_at_ten_days():
    ratio = parse(RELATIONS["cepheid"]["ratio_21"])
    periods = np.array([4.0, 7.0, 9.0, 10.0, 11.0, 14.0, 20.0])
    values = ratio.evaluate({"period": periods})
    assert values.argmin() == 3
    assert values[3] < 0.12
    assert np.all(values[[0, 6]] > 0.3)


@pytest.mark.parametrize("kind", RELATIONS)
def test_relations_are_finite_and_physical_at_every_period(kind):
    periods = np.geomspace(0.05, 200.0, 500)
    for name, text in RELATIONS[kind].items():
        assert name in PULSATION.names
        values = parse(text).evaluate({"period": periods}) * np.ones(500)
        assert np.all(np.isfinite(values))
        if name.startswith("ratio"):
            assert np.all((values > -2e-4) & (values < 0.5))
        if name == "amplitude":
            assert np.all((values > 0.1) & (values < 1.4))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "period"), [("rr_lyrae_ab", 0.57), ("rr_lyrae_c", 0.32), ("cepheid", 9.3)]
)
def test_lomb_scargle_finds_the_period(kind, period):
    rng = np.random.default_rng(5)
    times = np.sort(rng.uniform(0.0, 100.0 * period, 300))
    m = magnitudes(of_kind(kind, period), times)
    found = LombScargle(times, m, nterms=3)
    frequencies = np.linspace(0.6, 1.7, 20001) / period
    assert frequencies[found.power(frequencies).argmax()] * period == pytest.approx(1.0, abs=2e-4)


def test_modes_are_sines_in_magnitudes_and_add():
    modes = [[[12.3, 0.02, 0.4]], [[17.9, 0.01, 2.0]]]
    times = np.sort(np.random.default_rng(1).uniform(0.0, 1e4, 500))
    expected = sum(a * np.sin(2.0 * np.pi * (f * times % 1.0) + phi) for ((f, a, phi),) in modes)
    assert magnitudes(modes_of(modes), times, kernel=multiply_pulsation_modes) == pytest.approx(
        expected, abs=1e-11
    )


def test_modes_have_amplitudes_in_each_band():
    rows = modes_of([[[10.0, 0.3, 1.0], [7.0, 0.1, 0.0]]])
    times = np.linspace(0.0, 1.0, 50)
    one = magnitudes(rows, times, np.zeros(50), multiply_pulsation_modes)
    two = magnitudes(rows, times, np.ones(50), multiply_pulsation_modes)
    assert two == pytest.approx(one / 3.0, abs=1e-14)


def test_the_fastest_rate_is_that_of_the_highest_harmonic():
    rows = np.stack(
        [row(period=2.0)[None], row(period=2.0, ratio_31=0.1)[None], row(ratio_81=0.01)[None]]
    )
    star = Pulsator(period=1, peak_time=0, amplitude=1)
    assert star.fastest(rows) == pytest.approx(2.0 * np.pi * np.array([0.5, 1.5, 8.0]))
    mode = PulsationMode(frequency=1, amplitude=0.1)
    assert mode.fastest(modes_of([[[12.0, 0.1, 0.0]]])) == pytest.approx([24.0 * np.pi])
