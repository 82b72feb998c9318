"""Surveys: presets, the laws of their noise, cadences."""

import numpy as np
import pytest
from pydantic_core import PydanticCustomError
from scipy.stats import binom, kstest

from deepbench import parse_recipe
from deepbench.errors import RecipeError
from deepbench.light_curves.survey.cadences import Regular, SharedTimes, TimesFile
from deepbench.light_curves.survey.surveys import presets
from deepbench.samples import labels, render

TABLE = """
name: curves
version: 1.0.0
title: Light curves
seed: 3
tables:
  t:
    kind: light_curve
    samples: {samples}
    survey: {survey}
    planes: [flux_true, flux_error_true]
    classes:
      one: {{objects: [{{source: {{magnitude: {magnitude}}}}}]}}
"""


def recipe(survey, magnitude=12, samples=100):
    return parse_recipe(TABLE.format(survey=survey, magnitude=magnitude, samples=samples))


# --- presets ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", presets())
def test_every_preset_makes_light_curves(name):
    made = recipe(f"{{preset: {name}}}", magnitude=13 if "t" in name[:2] else 18)
    data = render(made, "t", 0, 2)
    seen = data["mask"].values & 1 == 0
    assert np.isfinite(data["flux"].values[seen]).all()
    assert np.isnan(data["flux"].values[~seen]).all()
    assert (data["flux_error"].values[seen] > 0).all()
    assert made.resolved()["tables"]["t"]["survey"]["preset"] == name


@pytest.mark.parametrize("name", presets())
def test_a_resolved_preset_reads_back_as_it_is(name):
    made = recipe(f"{{preset: {name}}}")
    again = parse_recipe(made.to_yaml())
    assert again == made
    assert again.hash == made.hash
    written = made.resolved()["tables"]["t"]["survey"]
    assert set(written["bands"]) == set(presets()[name]["bands"])


def test_what_is_given_replaces_the_preset():
    made = recipe(
        "{preset: lsst_2019, bands: {r: {noise: {depth: {depth: 24}}}, u: {}}, "
        "cadence: {regular: {interval: 60, duration: 1}}}".replace("u: {}", "").replace(
            "}}}, }", "}}}}"
        )
    )
    survey = made.tables["t"].survey
    assert survey.names == ("r",)
    assert survey.bands["r"].noise.depth.depth.value == 24
    assert survey.bands["r"].noise.depth.gamma.value == 0.039
    assert survey.cadence.kind == "regular"


def test_a_preset_in_some_of_its_bands():
    for survey in ("{preset: ztf, bands: {g: {}}}", "{preset: lsst_2019, bands: {r: {}, i: {}}}"):
        nights = recipe(survey, 18).tables["t"].survey.cadence.nights
        assert set(nights.fractions) == set(recipe(survey, 18).tables["t"].survey.names)
    shares = "{preset: lsst_2019, cadence: {nights: {fractions: {r: 1, i: 1}}}}"
    data = render(recipe(shares, 18), "t", 0, 4)
    assert set(np.unique(data["band"])) == {-1, 2, 3}


def test_the_gap_in_the_middle_of_a_sector():
    absent = render(recipe("{preset: tess_2min}"), "t", 0, 1)
    assert absent.sizes["time"] == 19_008
    days = absent["time"].values - 1325.3
    assert np.diff(days).max() == pytest.approx(1 + 120 / 86400)
    assert ((days < 13.2) | (days >= 14.2 - 1e-9)).all()
    kept = render(recipe("{preset: tess_2min, cadence: {regular: {missing: nan}}}"), "t", 0, 1)
    assert kept.sizes["time"] == 19_728
    lost = kept["mask"].values[0] == 1
    assert lost.sum() == 720
    assert np.isnan(kept["flux"].values[0, lost]).all()
    assert np.isfinite(kept["flux"].values[0, ~lost]).all()
    assert kept["observed.n_observations"].values[0] == 19_008


def test_times_say_what_they_are():
    time = render(recipe("{preset: tess_2min}"), "t", 0, 1)["time"]
    assert time.dtype == np.float64
    assert time.attrs["time_scale"] == "TDB"
    assert time.attrs["reference_julian_date"] == 2457000
    assert time.attrs["units"] == "d"
    assert render(recipe("{preset: tess_20s}"), "t", 0, 1).sizes["time"] == 114_048


# --- noise --------------------------------------------------------------------------------------

ONE = (
    "{{time_scale: TAI, epoch: 2400000.5, unit: nJy, cadence: {{regular: {{interval: 30, duration: 1}}}}, "
    "bands: {{r: {{zero_point: 31.4, exposure: 30, noise: {noise}}}}}}}"
)
DEPTH = ONE.format(noise="{depth: {depth: 24.35, gamma: 0.039, systematic: 0.005}}")


@pytest.mark.parametrize("magnitude", [60, 24.35, 22, 16])
def test_the_law_of_the_lsst(magnitude):
    """Ivezić et al. 2019, eqs. 4 and 5, from no flux over F5 to where the systematic error reigns."""
    data = render(recipe(DEPTH, magnitude, 200), "t", 0, 200)
    flux, limit = 10 ** (-0.4 * (magnitude - 31.4)), 10 ** (-0.4 * (24.35 - 31.4))
    x = flux / limit
    photons = (0.04 - 0.039) * flux * limit + 0.039 * limit**2
    sigma = np.sqrt((0.005 * np.log(10) / 2.5 * flux) ** 2 + photons)
    if magnitude == 22:  # the published form, in magnitudes
        x = 10 ** (0.4 * (magnitude - 24.35))
        assert (sigma / flux) ** 2 == pytest.approx(
            (0.04 - 0.039) * x + 0.039 * x**2 + (0.005 * np.log(10) / 2.5) ** 2
        )
    values = data["flux"].values.astype(float).ravel()
    n = values.size
    assert n == 200 * 2880
    np.testing.assert_allclose(data["flux_error_true"], sigma, rtol=1e-6)
    assert abs(values.mean() - flux) < 4 * sigma / np.sqrt(n)
    assert abs(values.var() / sigma**2 - 1) < 4 * np.sqrt(2 / n)
    assert kstest((values - flux) / sigma, "norm").pvalue > 1e-3


def test_error_bars_know_the_observed_flux_only():
    data = render(recipe(DEPTH, 24.0), "t", 0, 20)
    limit = 10 ** (-0.4 * (24.35 - 31.4))
    flux = data["flux"].values.astype(float)
    law = (0.005 * np.log(10) / 2.5 * flux) ** 2 + 0.001 * np.maximum(flux, 0) * limit
    expected = np.sqrt(law + 0.039 * limit**2)
    np.testing.assert_allclose(data["flux_error"], expected, rtol=1e-6)
    assert np.unique(data["flux_error_true"]).size == 1


def test_the_scatter_of_the_depth():
    survey = ONE.format(noise="{depth: {depth: 24.35, scatter: 0.3, gamma: 0.039, systematic: 0}}")
    data = render(recipe(survey, 60), "t", 0, 50)
    errors = data["flux_error_true"].values.astype(float)
    depths = 31.4 - 2.5 * np.log10(errors / np.sqrt(0.039))
    assert depths.mean() == pytest.approx(24.35, abs=4 * 0.3 / np.sqrt(depths.size))
    assert depths.std() == pytest.approx(0.3, rel=4 / np.sqrt(2 * depths.size))
    pulls = data["flux"].values / errors
    assert pulls.std() == pytest.approx(1, rel=4 / np.sqrt(2 * pulls.size))


def test_tess_sees_a_star_of_magnitude_10_as_required():
    """In an hour to 230 ppm by requirement, but no better than photons and the floor of 60 ppm allow: 165 ppm."""
    data = render(recipe("{preset: tess_2min}", 10), "t", 0, 1)
    hourly = data["flux_error_true"].values[0, 0] / data["flux_true"].values[0, 0] / np.sqrt(30)
    assert 165e-6 < hourly < 230e-6
    assert data["flux_true"].values[0, 0] == pytest.approx(10 ** (0.4 * 10.44), rel=1e-6)


def relative_noise(survey, magnitude, samples=1):
    """Return the relative standard deviation of an exposure of a star, by the variance without noise."""
    data = render(recipe(survey, magnitude, samples), "t")
    return float(np.nanmedian(data["flux_error_true"] / data["flux_true"]))


@pytest.mark.parametrize(("magnitude", "published"), [(12, 54e-6), (14, 143e-6), (16, 523e-6)])
def test_kepler_sees_stars_as_published(magnitude, published):
    """The lower envelope of long cadences, Jenkins et al. 2010, ApJ 713, L120: √(c + 7e6 max(1, m/14)⁴) / c."""
    found = relative_noise("{preset: kepler_long}", magnitude)
    assert found == pytest.approx(published, rel=0.01)
    c = 3.46e8 * 10 ** (0.4 * (12 - magnitude))
    assert found == pytest.approx(np.sqrt(c + 7e6 * max(1, magnitude / 14) ** 4) / c, rel=1e-3)


def test_short_cadences_of_kepler_have_the_law_of_their_own():
    """The lower envelope of Gilliland et al. 2010, ApJ 713, L160: c = 1.28e7 electrons at magnitude 12 in 58.85 s."""
    survey = (
        "{preset: kepler_long, bands: {kepler: {exposure: 58.85, noise: {kepler: {effective_time: 60.13}}}}, "
        "cadence: {regular: {duration: 1}}}"
    )
    for magnitude in (9, 12, 16):
        c = 1.28e7 * 10 ** (0.4 * (12 - magnitude))
        expected = np.sqrt(c + 9.5e5 * (14 / magnitude) ** 5) / c
        assert relative_noise(survey, magnitude) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(("name", "seconds"), [("20s", 20), ("2min", 120), ("30min", 1800)])
@pytest.mark.parametrize(("magnitude", "published"), [(13, 1122e-6), (16, 13957e-6)])
def test_tess_sees_faint_stars_as_published(name, seconds, magnitude, published):
    """In an hour, by the fit of Stassun et al. 2018, arXiv:1706.00495v1, page 24: Σ a_i T^i = ln(σ / ppm).

    At T = 16 it is 2 % in half an hour, which Han & Brandt (2023, AJ 165, 71) find in flight. Exposures of 20 seconds
    keep the photons that the mitigation of cosmic rays takes from the others, up to a fifth.
    """
    fit = (
        3.29685004771,
        0.850021465753,
        -0.285041632435,
        0.0395908321369,
        -0.0022308015894,
        4.73508403525e-5,
    )
    assert published == pytest.approx(1e-6 * np.exp(np.polyval(fit[::-1], magnitude)), rel=1e-3)
    survey = f"{{preset: tess_{name}, cadence: {{regular: {{duration: 1, gaps: []}}}}}}"
    hourly = relative_noise(survey, magnitude) / np.sqrt(3600 / seconds)
    assert hourly == pytest.approx(published, rel=0.2)


@pytest.mark.parametrize(
    ("name", "depths"),
    [
        ("ztf", {"g": 20.8, "r": 20.6}),  # medians in 30 s: Bellm et al. 2019, PASP 131, 018002, table 1
        # one visit at zenith: Ivezić et al. 2019, ApJ 873, 111, table 2
        ("lsst_2019", {"u": 23.78, "g": 24.81, "r": 24.35, "i": 23.92, "z": 23.34, "y": 22.45}),
    ],
)  # fmt: skip
def test_surveys_detect_stars_at_5_sigma_at_their_published_depths(name, depths):
    for band, depth in depths.items():
        survey = f"{{preset: {name}, bands: {{{band}: {{}}}}}}"
        assert relative_noise(survey, depth, samples=20) == pytest.approx(0.2, rel=0.03)


def test_a_larger_aperture_takes_more_sky():
    noise = (
        "{{aperture: {{effective_time: 100, pixels: {}, sky: {}, read_noise: {}, systematic: {}}}}}"
    )
    flux = 10 ** (0.4 * (31.4 - 10))

    def variance(*values, magnitude=10):
        made = recipe(ONE.format(noise=noise.format(*values)), magnitude)
        return float(render(made, "t", 0, 1)["flux_error_true"].values[0, 0]) ** 2

    assert variance(1, 0, 0, 0) == pytest.approx(flux / 100, rel=1e-6)
    assert variance(9, 1e9, 0, 0) == pytest.approx(flux / 100 + 9 * 1e7, rel=1e-6)
    assert variance(9, 0, 1e4, 0) == pytest.approx(flux / 100 + 9 * 1e4, rel=1e-6)
    assert variance(1, 0, 0, 0.1) == pytest.approx(flux / 100 + (0.1 * flux) ** 2, rel=1e-6)


# --- cadences -----------------------------------------------------------------------------------

NIGHTS = (
    "{{time_scale: TAI, epoch: 2400000.5, unit: nJy, cadence: {{nights: {{start: 60000, duration: 1461, "
    "season: 180, opposition: {opposition}, visit_probability: {visits}, pair_probability: {pairs}, "
    "fractions: {{g: 1, r: 3}}, cap: {cap}}}}}, bands: {{"
    "g: {{zero_point: 31.4, exposure: 30, noise: {{constant: {{sigma: 1}}}}}}, "
    "r: {{zero_point: 31.4, exposure: 30, noise: {{constant: {{sigma: 1}}}}}}}}}}"
)


def nights(opposition=60100, visits=0.3, pairs=0.5, cap=900):
    return recipe(
        NIGHTS.format(opposition=opposition, visits=visits, pairs=pairs, cap=cap), 20, 300
    )


def test_visits_are_in_their_season_at_night():
    data = render(nights(), "t", 0, 300)
    times, bands, mask = (data[name].values for name in ("time", "band", "mask"))
    counts = data["observed.n_observations"].values.astype(int)
    for time, band, masked, count in zip(times, bands, mask, counts, strict=True):
        assert (np.diff(time[:count]) > 0).all()
        assert np.isnan(time[count:]).all()
        assert (band[count:] == -1).all()
        assert (masked[count:] == 1).all()
        assert (masked[:count] & 1 == 0).all()
        since = (time[:count] - 60100 + 365.25 / 2) % 365.25 - 365.25 / 2
        assert (np.abs(since) <= 91).all()
        of_midnight = time[:count] - np.rint(time[:count])
        assert (np.abs(of_midnight) <= 5 / 24 + 1e-9).all()
        highest = -np.rint(since) / 365.25
        assert (np.abs(of_midnight - highest) <= (4 + 24 / 365) / 24).all()
    assert data["band"].attrs["flag_meanings"] == "g r"
    assert data["time"].attrs["reference_julian_date"] == 2400000.5


def test_numbers_of_visits_pairs_and_bands_are_binomial():
    data = render(nights(), "t", 0, 300)
    times, bands = data["time"].values, data["band"].values
    seen = np.isfinite(times)
    nights_seen = [np.unique(np.rint(time[np.isfinite(time)])).size for time in times]
    possible = sum(
        abs((day - 60100 + 365.25 / 2) % 365.25 - 365.25 / 2) <= 90
        for day in range(60000, 60000 + 1461)
    )
    total = sum(nights_seen)
    for found, of, p in (
        (total, possible * 300, 0.3),
        (seen.sum() - total, total, 0.5),
        ((bands == 1).sum(), seen.sum(), 0.75),
    ):
        tail = min(binom.cdf(found, of, p), binom.sf(found - 1, of, p))
        assert tail > 1e-4
    gaps = np.diff(times, axis=1)
    pairs = gaps[gaps < 0.1] * 1440
    assert kstest(pairs, "uniform", (15, 30)).pvalue > 1e-3


def test_the_season_is_a_label_that_moves_the_visits():
    made = nights(opposition="{uniform: [60000, 60365]}")
    found = labels(made, "t", 0, 40)
    times = render(made, "t", 0, 40)["time"].values
    since = (times - found["cadence.opposition"].values[:, None] + 365.25 / 2) % 365.25
    assert (np.abs(since[np.isfinite(times)] - 365.25 / 2) <= 91).all()


def test_visits_do_not_depend_on_what_is_rendered_with_them():
    made = nights()
    alone, together = render(made, "t", 7, 8), render(made, "t", 0, 20)
    np.testing.assert_array_equal(alone["time"].values[0], together["time"].values[7])
    assert not np.array_equal(together["time"].values[7], together["time"].values[8])


@pytest.mark.parametrize("missing", ["absent", "nan"])
def test_thousands_of_gaps_in_millions_of_exposures(missing):
    rng = np.random.default_rng(5)
    ends = np.unique(rng.uniform(-1, 2390, 4000).round(3))
    gaps = [*ends[: len(ends) // 2 * 2].reshape(-1, 2).tolist(), [2391.0, 2391.5], [2391.5, 2392.0]]
    cadence = Regular(interval=50, duration=2_400, gaps=gaps, missing=missing)
    assert cadence.count == 4_147_200
    since = np.arange(cadence.count) * 50.0 / 86400.0
    begins, stops = np.array(gaps).T * (1 - 1e-12)
    last = np.searchsorted(begins, since, side="right") - 1
    lost = (last >= 0) & (since < stops[last])
    times = cadence.shared(())
    np.testing.assert_array_equal(times.days, since[~lost] if missing == "absent" else since)
    assert times.missing.sum() == (0 if missing == "absent" else lost.sum())


def test_times_from_a_file(tmp_path):
    from deepbench import load_recipe

    (tmp_path / "times.csv").write_text("time,band\n10.5,r\n11.25,g\n20,r\n")
    survey = NIGHTS.format(opposition=0, visits=1, pairs=0, cap=9999)
    start, end = survey.index("cadence: "), survey.index(", bands: ")
    survey = survey[:start] + "cadence: {file: {file: times.csv}}" + survey[end:]
    path = tmp_path / "recipe.yaml"
    path.write_text(TABLE.format(survey=survey, magnitude=20, samples=5))
    data = render(load_recipe(path), "t")
    assert data.sizes["observation"] == 3
    assert data["time"].values.tolist() == [[10.5, 11.25, 20.0]] * 5
    assert data["band"].values.tolist() == [[1, 0, 1]] * 5
    (tmp_path / "times.csv").write_text("time\n10.5\n11.25\n20\n")
    start, end = survey.index("g: {zero"), survey.index(", r: {zero")
    path.write_text(
        TABLE.format(survey=survey[:start] + survey[end + 2 :], magnitude=20, samples=5)
    )
    data = render(load_recipe(path), "t")
    assert data["flux"].dims == ("sample", "time")
    assert data["time"].values.tolist() == [10.5, 11.25, 20.0]
    assert (
        len(load_recipe(path).resolved()["tables"]["t"]["survey"]["cadence"]["file"]["sha256"])
        == 64
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time\n1\n1\n", r"times must increase, but 1 in row 2 follows 1"),
        ("time\n1\n5\n4.5\n", r"times must increase, but 4.5 in row 3 follows 5"),
        ("time\n1\nx\n", r"column 'time' of times.csv must hold finite numbers, but row 2 is 'x'"),
        ("when\n1\n", r"has no column 'time'. Its columns: 'when'; `columns: {time: NAME}`"),
        ("time\n", r"times.csv has no rows"),
        ("time,band\n1,r\n2,h\n", r"no band 'h'|unknown band 'h'|'h' is no band|band 'h'"),
        ("time\n1\n2\n3\n", r"must have a column 'band': the survey has g, r"),
        ("time,band\n1,r\n1.0001,r\n", r"the exposure at the time 1 does not end before the next begins"),
        ("time,band\n1,r\n1,g\n1,r\n", r"times must increase in the band r, but 1 in row 3 follows 1"),
        ("time,band\n1,r\n1,g\n1.0001,g\n", r"the exposure at the time 1 does not end before the next begins"),
        ("\x00\x01", r"times.csv"),
        ("time\n1,2\n2,3\n", r"times.csv"),
        ("time\n1_0\n", r"must hold finite numbers, but row 1 is '1_0'"),
    ],
)  # fmt: skip
def test_bad_files_of_times(tmp_path, text, message):
    from deepbench import load_recipe

    (tmp_path / "times.csv").write_text(text)
    survey = NIGHTS.format(opposition=0, visits=1, pairs=0, cap=9999)
    start, end = survey.index("cadence: "), survey.index(", bands: ")
    survey = survey[:start] + "cadence: {file: {file: times.csv}}" + survey[end:]
    path = tmp_path / "recipe.yaml"
    path.write_text(TABLE.format(survey=survey, magnitude=20, samples=5))
    with pytest.raises(RecipeError, match=message):
        load_recipe(path)


def test_bands_at_one_time_have_one_exposure():
    cadence = TimesFile.model_construct(columns=None)
    times = SharedTimes(np.array([1.0, 1.0, 2.0]), np.array([0, 1, 0], np.int8), np.zeros(3, bool))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TimesFile, "shared", lambda self, bands: times)
        cadence.check({"g": 30.0, "r": 30.0})
        with pytest.raises(
            PydanticCustomError, match="at the time 1 there are exposures of 30 s and of 40 s"
        ):
            cadence.check({"g": 30.0, "r": 40.0})


@pytest.mark.parametrize(
    ("survey", "message"),
    [
        ("{preset: tess_3min}", r"'tess_3min'.*tess_2min"),
        ("{preset: ztf, bands: {r: {}, u: {}}}", r"band of 'ztf'.*'u'|'u'.*band"),
        ("{preset: tess_2min, cadence: {regular: {interval: 60}}}", r"an exposure of 120 s does not end before"),
        ("{preset: tess_2min, cadence: {regular: {duration: 0.001}}}", r"has 0 exposures; allowed are 1 to"),
        ("{preset: tess_2min, cadence: {regular: {gaps: [[3, 2]]}}}", r"must be pairs of start and end in"),
        ("{preset: tess_2min, cadence: {regular: {interval: 1.e-300, duration: 1.e+300}}}", r"has inf exposures; all"),
        ("{preset: tess_2min, cadence: {regular: {start: 1.0e+300}}}", r"must be less than or equal to 10000000"),
        ("{preset: tess_2min, epoch: -5}", r"must be greater than or equal to 0"),
        ("{preset: tess_2min, cadence: {regular: {gaps: [[0, 28]]}}}", r"has no exposure outside of its gaps"),
        ("{preset: lsst_2019, cadence: {regular: {interval: 60, duration: 1}}}", r"a regular cadence has one band"),
        ("{preset: ztf, cadence: {nights: {fractions: {g: 1, q: 2}}}}", r"'q'.*g, r"),
        ("{preset: ztf, cadence: {nights: {pair_interval: [30, 20]}}}", r"pair_interval must be \[least, greatest\]"),
        ("{preset: ztf, cadence: {nights: {pair_interval: [0.1, 20]}}}", r"does not end before the second visit"),
        ("{preset: ztf, cadence: {nights: {cap: 20}}}", r"needs a cap of \d+ or more.*it is 20"),
        ("{preset: tess_2min, bands: {tess: {wavelengths: [1000, 600]}}}", r"must be \[shortest, longest\]"),
        (
            "{preset: tess_2min, bands: {tess: {noise: {constant: {sigma: 1}, kepler: {effective_time: 1}}}}}",
            r"must have exactly one of depth, aperture, kepler, kepler_long, constant",
        ),
    ],
)  # fmt: skip
def test_bad_surveys(survey, message):
    with pytest.raises(RecipeError, match=message):
        recipe(survey)
