"""Light curves as recipes make them: what is put together, observed, and measured."""

import numpy as np
import pytest
import yaml

from deepbench import parse_recipe
from deepbench.errors import LabelError, RecipeError
from deepbench.language.specification import parameters_of
from deepbench.light_curves.families.family import Family
from deepbench.light_curves.families.occultation import hidden
from deepbench.light_curves.families.registry import OBJECTS as REGISTRY
from deepbench.samples import labels, objects, render
from tests.ranges import ends

SURVEY = {
    "time_scale": "TDB",
    "epoch": 2457000,
    "unit": "electron/s",
    "cadence": {"regular": {"interval": 1800, "duration": 20}},
    "bands": {
        "red": {
            "zero_point": 20,
            "wavelengths": [600, 1000],
            "exposure": 1800,
            "noise": {"constant": {"sigma": 1.0}},
        }
    },
}
SOURCE = {"source": {"magnitude": 10}}
FLUX = 10.0**4

OBJECTS = {
    "source": {"magnitude": 10},
    "transit": {
        "period": 3.1, "transit_time": 1.2, "radius_ratio": 0.1, "scaled_semi_major_axis": 8,
        "impact_parameter": 0.3, "eccentricity": 0.2, "argument_of_periastron": 40, "u1": 0.4, "u2": 0.2,
        "third_light": 0.1,
    },
    "eclipsing_binary": {
        "period": 2.3, "eclipse_time": 0.7, "sum_of_radii": 0.35, "radius_ratio": 0.7, "inclination": 86,
        "surface_brightness_ratio": 0.5, "eccentricity": 0.1, "argument_of_periastron": 30, "q1": 0.4, "q2": 0.3,
        "third_light": 0.1,
    },
    "rr_lyrae_ab": {"period": 0.57, "peak_time": 0.1},
    "rr_lyrae_c": {"period": 0.32, "peak_time": 0.1, **{f"ratio_{k}1": 0.1 for k in range(5, 9)}},
    "cepheid": {"period": 6, "peak_time": 0.1, "amplitude": 0.7, "ratio_71": 0.1, "ratio_81": 0.1},
    "pulsator": {
        "period": 0.57, "peak_time": 0.1, "amplitude": 1,
        **{f"ratio_{k}1": 0.5 / k for k in range(2, 9)}, **{f"phase_{k}1": 0.3 * k for k in range(2, 9)},
    },
    "pulsation_mode": {"frequency": 1.7, "amplitude": 0.05, "phase": 0.4},
    "spot": {
        "rotation_period": 4, "inclination": 70, "latitude": 20, "longitude": 50, "depth": 0.02, "shear": 0.3,
        "peak_time": 9, "emergence": 3, "decay": 5,
    },
    "flare": {"peak_time": 8.01, "fwhm": 40, "relative_amplitude": 0.3},
    "microlensing": {"peak_time": 9, "einstein_time": 4, "impact_parameter": 0.3, "source_fraction": 0.8},
    "random_walk": {"timescale": 5, "structure_function": 0.2},
    "bazin": {
        "peak_time": 7, "redshift": 0.1, "peak_magnitude": 11, "peak_temperature": 12000,
        "floor_temperature": 5000, "cooling_time": 5, "reddening": 0.1, "rise_time": 1.5, "fall_time": 4,
    },
    "villar": {
        "peak_time": 7, "redshift": 0.1, "peak_magnitude": 11, "peak_temperature": 12000,
        "floor_temperature": 5000, "cooling_time": 5, "reddening": 0.1, "rise_time": 1.5, "fall_time": 4,
        "plateau_duration": 3, "plateau_slope": -0.05,
    },
    "tidal_disruption": {
        "peak_time": 7, "redshift": 0.1, "peak_magnitude": 11, "peak_temperature": 12000,
        "floor_temperature": 5000, "cooling_time": 5, "reddening": 0.1, "rise_time": 1.5, "fall_time": 4,
    },
    "lensed": {
        "dx": 0.1, "dy": 0.2, "light": {"tidal_disruption": {
            "peak_time": 7, "redshift": 0.5, "peak_magnitude": 11, "peak_temperature": 12000,
            "floor_temperature": 5000, "cooling_time": 5, "reddening": 0.1, "rise_time": 1.5, "fall_time": 4,
        }},
    },
    "gap": {"start": 5.01, "duration": 2},
    "outlier": {"time": 3.3, "deviation": 30},
}  # fmt: skip
TRANSIENTS = {"bazin", "villar", "tidal_disruption"}
MASSES = [{"lens": {"redshift": 0.1, "source_redshift": 0.5}}, {"sis": {"einstein_radius": 1}}]
FAMILIES = {kind for kind, chosen in REGISTRY.items() if issubclass(chosen, Family)}


def recipe(*entries, samples=4, survey=SURVEY, **table):
    """Return the recipe of one class with these objects."""
    classes = {"one": {"objects": list(entries)}}
    table = {
        "kind": "light_curve", "samples": samples, "survey": survey, "classes": classes,
        "planes": ["flux_true", "flux_error_true"], **table,
    }  # fmt: skip
    data = {"name": "curves", "version": "1.0.0", "title": "t", "seed": 5, "tables": {"t": table}}
    return parse_recipe(yaml.safe_dump(data, sort_keys=False))


def of(kind, **changes):
    """Return the recipe of one object, and of its source where it needs one."""
    return recipe(*with_needs(kind, {kind: {**OBJECTS[kind], **changes}}))


def with_needs(kind, entry):
    """Return an object of a kind with what it needs: its source, or its masses."""
    if kind == "lensed":
        return [*MASSES, entry]
    return [entry] if kind in {"source", *TRANSIENTS} else [SOURCE, entry]


def curve(made, sample=0, name="flux_true"):
    return render(made, "t", sample, sample + 1)[name].values[0].astype(float)


def test_every_kind_of_object_is_tried_here():
    assert set(OBJECTS) == set(REGISTRY)
    assert set(REGISTRY) - {"source", "gap", "outlier"} == FAMILIES


# --- what is put together -----------------------------------------------------------------------


def test_a_constant_source_has_the_flux_of_its_magnitude():
    data = render(of("source"), "t")
    np.testing.assert_allclose(data["flux_true"], FLUX, rtol=1e-7)
    assert (data["observed.variability_snr"] == 0).all()
    assert (data["observed.n_observations"] == 960).all()
    np.testing.assert_allclose(data["source.snr"], FLUX * np.sqrt(960), rtol=1e-6)
    pulls = (data["flux"] - FLUX).values
    assert pulls.std() == pytest.approx(1, rel=4 / np.sqrt(2 * pulls.size))


def test_factors_multiply_and_light_adds():
    """A flaring, spotted star with a transit, seen in instants."""
    kinds = ["transit", "spot", "pulsation_mode", "microlensing"]
    survey = {**SURVEY, "bands": {"red": {**SURVEY["bands"]["red"], "exposure": 0}}}
    entries = [{kind: OBJECTS[kind]} for kind in kinds]
    alone = [curve(recipe(SOURCE, entry, survey=survey)) / FLUX for entry in entries]
    flare = curve(recipe(SOURCE, {"flare": OBJECTS["flare"]}, survey=survey)) - FLUX
    together = curve(recipe(SOURCE, *entries, {"flare": OBJECTS["flare"]}, survey=survey))
    np.testing.assert_allclose(together, FLUX * np.prod(alone, axis=0) + flare, rtol=3e-7)
    assert flare.max() > 0.01 * FLUX


@pytest.mark.parametrize("kind", sorted(FAMILIES - {"random_walk"}))
def test_the_exposure_is_averaged(kind):
    """Half an hour against 900 instants of two seconds, to 1e-6 of the source or 1e-4 of an eclipse's depth."""
    fine = {
        **SURVEY,
        "cadence": {"regular": {"interval": 2, "duration": 2, "start": 7 - 899 / 86400}},
        "bands": {"red": {**SURVEY["bands"]["red"], "exposure": 0}},
    }
    coarse = {**SURVEY, "cadence": {"regular": {"interval": 1800, "duration": 2, "start": 7}}}
    entry = {kind: OBJECTS[kind]}
    entries = with_needs(kind, entry)
    found = curve(recipe(*entries, survey=coarse))
    instants = curve(recipe(*entries, survey=fine)).reshape(-1, 900).mean(axis=1)
    change = np.ptp(instants)
    assert change > 1e-4 * FLUX
    eclipse = 1e-4 * change if kind in ("transit", "eclipsing_binary") else 0
    # the instants err, too: float32, and 900 of them where there is a kink
    np.testing.assert_allclose(found, instants, rtol=0, atol=max(1.2e-6 * FLUX, eclipse))


SHORT = {
    "period": 0.06, "transit_time": 0.30307, "radius_ratio": 1.1, "scaled_semi_major_axis": 60,
    "impact_parameter": 0.1, "u1": 0.3, "u2": 0.2,
}  # fmt: skip
LENS = {"peak_time": 1.003, "source_fraction": 1}
FAST_SPOT = {"inclination": 70, "latitude": 20, "longitude": 50}
YOUNG_SPOT = {
    "rotation_period": 4, "inclination": 20, "latitude": 80, "longitude": 50, "depth": 0.5, "peak_time": 0.503,
    "emergence": 0, "decay": 0.01,
}  # fmt: skip
SINE = {f"{name}_{k}1": 0 for name in ("ratio", "phase") for k in range(2, 9)}
QUICK = {"rise_time": 0.2, "fall_time": 0.5, "peak_magnitude": 10, "peak_time": 1.003}
PLATEAU = {**QUICK, "plateau_duration": 0.4, "plateau_slope": 8}
MODE = {"frequency": 20, "amplitude": 0.3, "phase": 0.4}
HARD = {
    "short eclipse": [{"transit": SHORT}],
    "sharp lens": [{"microlensing": {**LENS, "einstein_time": 1, "impact_parameter": 0.001}}],
    "bright lens": [{"microlensing": {**LENS, "einstein_time": 10, "impact_parameter": 0.001}}],
    "lens": [{"microlensing": {**LENS, "einstein_time": 1, "impact_parameter": 0.01}}],
    "eclipses": [{"eclipsing_binary": OBJECTS["eclipsing_binary"]}],
    "large pulsator": [{"pulsator": {"period": 0.05, "peak_time": 0.1, "amplitude": 5, **SINE}}],
    "large mode": [{"pulsation_mode": {**MODE, "frequency": 50, "amplitude": 2}}],
    "mode": [{"pulsation_mode": {**MODE, "amplitude": 1}}],
    "ten modes": [{"pulsation_mode": MODE, "repeat": 10}],
    "transit and mode": [{"transit": {**OBJECTS["transit"], "transit_time": 1}}, {"pulsation_mode": MODE}],
    "fast spot": [{"spot": {**FAST_SPOT, "rotation_period": 0.05, "depth": 0.3}}],
    "dark spot": [{"spot": {**FAST_SPOT, "rotation_period": 0.03, "depth": 0.9}}],
    "young spot": [{"spot": YOUNG_SPOT}],
    "bazin": [{"bazin": {**OBJECTS["bazin"], **QUICK}}],
    "villar": [{"villar": {**OBJECTS["villar"], **QUICK}}],
    "steep plateau": [{"villar": {**OBJECTS["villar"], **PLATEAU}}],
    "disruption": [{"tidal_disruption": {**OBJECTS["tidal_disruption"], **QUICK}}],
}  # fmt: skip


DEPTHS = {"short eclipse": 1, "eclipses": 0.37, "transit and mode": 0.01}


@pytest.mark.parametrize(
    ("name", "exposure"),
    [(name, 1800) for name in HARD] + [(name, 86400) for name in ("bazin", "villar", "disruption")],
)
def test_exposures_of_what_is_fast_are_averaged(name, exposure):
    """As the mean of 720 exposures that are as much shorter, to 1e-6 of the light or 1e-4 of an eclipse's depth."""
    alone = any(kind in TRANSIENTS for kind in HARD[name][0])
    entries = HARD[name] if alone else [SOURCE, *HARD[name]]
    parts = 720
    days = 1.5 if exposure == 1800 else 8

    def averaged(length, start):
        band = {**SURVEY["bands"]["red"], "exposure": length}
        regular = {"interval": length, "duration": days, "start": start}
        survey = {**SURVEY, "cadence": {"regular": regular}, "bands": {"red": band}}
        return curve(recipe(*entries, survey=survey, samples=1))

    found = averaged(exposure, 0)
    fine = averaged(exposure / parts, (1 - parts) / parts / 2 * exposure / 86400)
    fine = fine[: len(found) * parts].reshape(-1, parts).mean(axis=1)
    goal = np.maximum(1e-6 * np.maximum(FLUX, fine), 1e-4 * DEPTHS.get(name, 0) * FLUX)
    assert (np.abs(found - fine) / goal).max() < 1


@pytest.mark.parametrize("impact", [1.03, 1.045, 1.049])
def test_a_grazing_transit_is_averaged_to_its_own_depth(impact):
    """Its signal, of 1e-4 of the light and less, against 400 nodes between the contacts: 1e-4 of itself."""
    planet = {
        "period": 3.1, "transit_time": 1.2, "radius_ratio": 0.05, "scaled_semi_major_axis": 8,
        "impact_parameter": impact, "u1": 0.4, "u2": 0.2,
    }  # fmt: skip
    data = render(recipe(SOURCE, {"transit": planet}, samples=1), "t")
    turn = 2 * np.pi / 3.1
    last = np.arcsin(np.sqrt((1.05**2 - impact**2) / (8**2 - impact**2))) / turn
    days = (data["time"].values - 1.2 + 1.55) % 3.1 - 1.55
    low, high = (np.clip(days + side / 96, -last, last)[:, None] for side in (-1, 1))
    x, weights = np.polynomial.legendre.leggauss(400)
    nodes = 0.5 * (low + high) + 0.5 * (high - low) * np.sin(0.5 * np.pi * x)
    apart = np.hypot(8 * np.sin(turn * nodes), impact * np.cos(turn * nodes))
    dark = hidden(apart, 0.05, 0.4, 0.2) @ (0.25 * np.pi * np.cos(0.5 * np.pi * x) * weights)
    means = dark * (high - low)[:, 0] * 48
    assert 0 < means.max() < 2e-4
    expected = FLUX * np.sqrt((means**2).sum())
    assert data["transit.snr"].values[0] == pytest.approx(expected, rel=1e-4)


def test_samples_in_halves_are_the_same(monkeypatch):
    spot = {**FAST_SPOT, "rotation_period": 0.05, "depth": {"uniform": [0.1, 0.3]}}
    made = recipe(SOURCE, {"spot": spot}, samples=7)
    whole = render(made, "t")
    monkeypatch.setattr("deepbench.light_curves.render.MOST_AT_ONCE", 1000)
    again = render(made, "t")
    for name in whole:
        np.testing.assert_array_equal(again[name], whole[name], err_msg=str(name))


def test_a_source_without_noise_is_the_sum_of_many_colours():
    source = {"source": {"magnitude": 18, "colors": {"blue": 0.5}}}
    data = render(recipe(source, survey=nightly(BANDS), samples=2), "t")
    expected = np.array([10 ** (0.4 * (25 - 18.5)), 10 ** (0.4 * (26 - 18))])
    seen = data["band"].values >= 0
    assert set(data["band"].values[seen]) == {0, 1}
    found = data["flux_true"].values[seen]
    np.testing.assert_allclose(found, expected[data["band"].values[seen]], rtol=1e-6)
    assert np.isnan(data["flux"].values[~seen]).all()


NIGHTS = {
    "nights": {
        "duration": 400, "season": 200, "opposition": 100, "visit_probability": 0.5, "pair_probability": 0.3,
        "fractions": {"blue": 1, "red": 2}, "cap": 420,
    }
}  # fmt: skip
BANDS = {
    "blue": {"zero_point": 25, "wavelengths": [400, 500], "exposure": 30, "noise": {"constant": {"sigma": 1}}},
    "red": {"zero_point": 26, "wavelengths": [600, 800], "exposure": 30, "noise": {"constant": {"sigma": 1}}},
}  # fmt: skip


def nightly(bands):
    """Return a survey by night that visits each band as often, whatever the others."""
    fractions = {name: share for name, share in (("blue", 1), ("red", 2)) if name in bands}
    nights = {"nights": {**NIGHTS["nights"], "fractions": fractions}}
    return {**SURVEY, "cadence": nights, "bands": bands}


def half(kind, name, plural):
    """Return what the recipe says of both bands, and of each alone."""
    value = OBJECTS[kind][name]
    return {plural: {"blue": 2, "red": 1}}, {"blue": {name: 2 * value}, "red": {name: value}}


def apart(kind, name, plural):
    """Return the same, where each band has a value instead of a ratio."""
    return {name: None, plural: {"blue": 0.1, "red": 0.5}}, {
        "blue": {name: 0.1},
        "red": {name: 0.5},
    }


@pytest.mark.parametrize(
    ("kind", "say", "name", "plural"),
    [
        ("pulsation_mode", half, "amplitude", "amplitude_ratios"),
        ("pulsator", half, "amplitude", "amplitude_ratios"),
        ("spot", half, "depth", "depth_ratios"),
        ("flare", half, "relative_amplitude", "relative_amplitude_ratios"),
        ("random_walk", half, "structure_function", "structure_function_ratios"),
        ("transit", apart, "third_light", "third_lights"),
        ("eclipsing_binary", apart, "third_light", "third_lights"),
        ("eclipsing_binary", apart, "surface_brightness_ratio", "surface_brightness_ratios"),
        ("microlensing", apart, "source_fraction", "source_fractions"),
    ],
)
def test_bands_have_their_own_values(kind, say, name, plural):
    """In each band, the curve is that of a survey in this band alone, with the value of this band."""
    together, alone = say(kind, name, plural)
    base = OBJECTS[kind] | ({"fwhm": 4000} if kind == "flare" else {})
    whole = {field: value for field, value in {**base, **together}.items() if value is not None}
    both = render(recipe(SOURCE, {kind: whole}, survey=nightly(BANDS)), "t", 0, 1)
    for number, band in enumerate(BANDS):
        made = recipe(SOURCE, {kind: {**base, **alone[band]}}, survey=nightly({band: BANDS[band]}))
        single = render(made, "t", 0, 1)
        chosen = both["band"].values[0] == number
        for each in ("time", "flux_true"):
            found, expected = both[each].values[0, chosen], single[each].values[0, chosen]
            np.testing.assert_array_equal(found, expected)
        assert found.std() > 0


def test_the_bands_of_a_transient_are_one_black_body():
    """Magnitudes at the peak differ as Planck's law in the middles of the bands, to the width of the filters."""
    entry = {
        **OBJECTS["bazin"],
        "redshift": 0,
        "reddening": 0,
        "reference_band": "red",
        "peak_time": 100,
    }
    entry |= {"cooling_time": 1e6, "rise_time": 30, "fall_time": 90}
    data = render(recipe({"bazin": entry}, survey=nightly(BANDS)), "t", 0, 1)
    times, bands, flux = (data[name].values[0] for name in ("time", "band", "flux_true"))
    near = np.abs(times - 100) < 5
    magnitudes = [
        BANDS[name]["zero_point"] - 2.5 * np.log10(flux[near & (bands == number)].max())
        for number, name in enumerate(BANDS)
    ]
    x = 14387768.775 / np.array([np.sqrt(400 * 500), np.sqrt(600 * 800)]) / 12000
    planck = -2.5 * np.log10(x**3 / np.expm1(x))
    assert magnitudes[1] == pytest.approx(11, abs=0.02)
    assert magnitudes[0] - magnitudes[1] == pytest.approx(planck[0] - planck[1], abs=0.03)


@pytest.mark.parametrize("kind", sorted(FAMILIES))
def test_bands_that_are_observed_at_one_time_see_one_light(kind, tmp_path, monkeypatch):
    """Two equal bands have equal fluxes, those of one band alone, though each exposure has many nodes."""
    monkeypatch.chdir(tmp_path)
    days = np.arange(0.05, 20, 0.1).round(2)
    (tmp_path / "one.csv").write_text("time\n" + "".join(f"{day}\n" for day in days))
    (tmp_path / "two.csv").write_text(
        "time,band\n" + "".join(f"{day},blue\n{day},red\n" for day in days)
    )
    band = SURVEY["bands"]["red"] | {"exposure": 8640, "noise": {"constant": {"sigma": 1e-3}}}
    changes = {"timescale": 0.1} if kind == "random_walk" else {}
    entry = {kind: {**OBJECTS[kind], **changes}}

    def fluxes(file, *bands):
        survey = SURVEY | {
            "cadence": {"file": {"file": file}},
            "bands": dict.fromkeys(bands, band),
        }
        entries = with_needs(kind, entry)
        noise = {"sigma": 0.01, "timescale": 0.1}
        data = render(recipe(*entries, survey=survey, red_noise=noise), "t", 0, 1)
        return data["flux_true"].values[0], data["flux"].values[0]

    (found, noisy), (expected, _) = fluxes("two.csv", "blue", "red"), fluxes("one.csv", "red")
    np.testing.assert_array_equal(found[::2], found[1::2])
    assert found.std() > 0
    if kind != "random_walk":  # draws a number for each observation
        np.testing.assert_array_equal(found[::2], expected)
    np.testing.assert_allclose(noisy[::2], noisy[1::2], atol=0.02)
    assert np.abs(noisy - found).max() > 1


# --- every parameter ----------------------------------------------------------------------------

FIELDS = [
    (kind, field)
    for kind, chosen in REGISTRY.items()
    for field in parameters_of(chosen)
    if not field.endswith("s") or field.startswith(("argument", "secondary"))
]


@pytest.mark.parametrize("kind", sorted(FAMILIES))
@pytest.mark.filterwarnings("ignore::deepbench.errors.RangeWarning")
def test_light_changes_up_to_the_ends_of_ranges(kind):
    """What a range allows is drawn as it is written, or refused: no value near an end is taken for another."""
    made = of(kind)
    row = labels(made, "t", 0, 1)
    unseen = ("spot", "latitude", -90)  # the pole that is turned away
    for field, end, inside in ends(REGISTRY[kind]):
        column = f"{kind}.{field}"
        if field not in OBJECTS[kind] or (kind, field, end) == unseen:
            continue
        try:
            at_end, further = (
                render(made, "t", labels=row.assign(**{column: value}))["flux_true"].values[0]
                for value in (end, inside)
            )
        except LabelError:
            continue
        assert np.abs(at_end - further).max() > 3e-7 * np.abs(further).max(), (field, end)


@pytest.mark.filterwarnings("ignore::deepbench.errors.RangeWarning")
@pytest.mark.parametrize(("kind", "field"), FIELDS)
def test_every_parameter_matters(kind, field):
    """A tenth more of it changes the light by 1e-4 of the source somewhere, as its label alone; fine ones by 3e-5."""
    values = dict(OBJECTS[kind])
    if field in ("q1", "q2", "u1", "u2"):
        values = {
            name: value for name, value in values.items() if name not in ("q1", "q2", "u1", "u2")
        }
        values |= {"q1": 0.4, "q2": 0.3} if field.startswith("q") else {"u1": 0.4, "u2": 0.2}
    if field.startswith("secondary"):
        values |= (
            {"secondary_q1": 0.4, "secondary_q2": 0.3}
            if "q" in field
            else {"secondary_u1": 0.4, "secondary_u2": 0.2}
        )
    entry = {kind: values}
    made = recipe(*with_needs(kind, entry))
    row = labels(made, "t", 0, 1)
    column = f"{kind}.{field}"
    name = "flux" if kind == "outlier" else "flux_true"
    before = render(made, "t", labels=row)[name].values[0]
    value = row[column].iloc[0]
    row[column] = value * 1.1 if value else 0.1
    if field == "inclination":
        row[column] = value * 0.97
    after = render(made, "t", labels=row)[name].values[0]
    if kind == "gap":
        assert (np.isnan(before) != np.isnan(after)).any()
        return
    least = 3e-5 if field in ("shear", "u2", "q1", "q2") else 1e-4
    assert np.abs(after - before).max() > least * FLUX


# --- what is observed ---------------------------------------------------------------------------


def test_rows_render_their_samples_again_bitwise_and_alone():
    entries = [
        SOURCE,
        {"transit": {**OBJECTS["transit"], "radius_ratio": {"uniform": [0.02, 0.2]}}},
        {"flare": {**OBJECTS["flare"], "peak_time": {"uniform": [0, 20]}}, "repeat": {"integers": [0, 5]}},
        {"random_walk": OBJECTS["random_walk"]},
        {"outlier": {**OBJECTS["outlier"], "time": {"uniform": [0, 20]}}, "repeat": 3},
        {"gap": {"start": {"uniform": [0, 18]}, "duration": 0.5}},
    ]  # fmt: skip
    made = recipe(*entries, samples=30, red_noise={"sigma": 1e-3, "timescale": 0.5})
    whole = render(made, "t")
    frame, long = labels(made, "t"), objects(made, "t")
    again = render(made, "t", labels=frame.sample(frac=1, random_state=1), objects=long)
    again = again.sortby("id")
    for name in whole:
        np.testing.assert_array_equal(again[name], whole[name], err_msg=str(name))
    alone = render(made, "t", 17, 18)
    for name in ("flux", "flux_error", "mask", "transit.snr", "observed.variability_snr"):
        np.testing.assert_array_equal(alone[name][0], whole[name][17])
    assert not np.array_equal(whole["flux"][1], whole["flux"][2])


def test_what_else_a_sample_holds_moves_no_draw():
    """Neither the random walk nor the noise changes where a gap, an outlier or a transit is added."""
    walk = {"random_walk": OBJECTS["random_walk"]}
    plain = render(recipe(SOURCE, walk), "t", 0, 1)
    rich = render(
        recipe(SOURCE, {"transit": OBJECTS["transit"]}, walk, {"gap": OBJECTS["gap"]}), "t", 0, 1
    )
    outside = rich["mask"].values[0] == 0
    factor = curve(recipe(SOURCE, {"transit": OBJECTS["transit"]})) / FLUX
    expected = plain["flux_true"].values[0] * factor
    np.testing.assert_allclose(rich["flux_true"].values[0, outside], expected[outside], rtol=3e-7)
    noise = (plain["flux"] - plain["flux_true"]).values[0] - (
        rich["flux"] - rich["flux_true"]
    ).values[0]
    assert np.abs(noise[outside]).max() < 2e-3  # float32 of 1e4


def test_gaps_and_outliers_are_in_the_mask():
    made = recipe(SOURCE, {"gap": OBJECTS["gap"]}, {"outlier": OBJECTS["outlier"]})
    data = render(made, "t", 0, 1)
    time, mask, flux = (data[name].values.squeeze() for name in ("time", "mask", "flux"))
    lost = (time >= 5.01) & (time < 7.01)
    assert (mask[lost] == 1).all()
    assert np.isnan(flux[lost]).all()
    assert data["observed.n_observations"].values[0] == 960 - lost.sum()
    wrong = np.flatnonzero(mask == 2)
    assert wrong.tolist() == [np.abs(time - 3.3).argmin()]
    assert flux[wrong[0]] - FLUX == pytest.approx(30, abs=5)
    assert (mask[~lost & (mask != 2)] == 0).all()
    assert data["mask"].attrs["flag_meanings"] == "missing outlier upper_limit"


def test_outliers_at_one_observation_add_up():
    once = recipe(SOURCE, {"outlier": {"time": 3.3, "deviation": 30}})
    twice = recipe(
        SOURCE,
        {"outlier": {"time": 3.3, "deviation": 10}},
        {"outlier": {"time": 3.3, "deviation": 20}},
    )
    np.testing.assert_array_equal(curve(once, name="flux"), curve(twice, name="flux"))


def test_what_is_not_detected_is_an_upper_limit():
    made = recipe({"bazin": {**OBJECTS["bazin"], "peak_magnitude": 18}}, detection=3)
    data = render(made, "t", 0, 1)
    flux, error, mask = (data[name].values[0] for name in ("flux", "flux_error", "mask"))
    limit = mask & 4 > 0
    assert (flux[limit] < 3 * error[limit]).all()
    assert (flux[~limit] >= 3 * error[~limit]).all()
    assert data["observed.n_detections"].values[0] == (~limit).sum()
    assert 0 < limit.sum() < limit.size


def test_red_noise_is_correlated_and_not_in_the_error_bars():
    made = recipe(SOURCE, red_noise={"sigma": 0.01, "timescale": 0.5}, samples=200)
    data = render(made, "t")
    x = (data["flux"].values / FLUX - 1) / 0.01
    assert x.std() == pytest.approx(1, rel=0.03)
    lag = 24  # half a day
    found = (x[:, lag:] * x[:, :-lag]).mean()
    assert found == pytest.approx(np.exp(-1), abs=0.03)
    np.testing.assert_allclose(data["flux_error"], 1, rtol=1e-6)


# --- what is measured ---------------------------------------------------------------------------


def test_signal_to_noise_ratios_are_those_of_each_object_alone():
    entries = [{kind: OBJECTS[kind]} for kind in ("transit", "flare", "spot")]
    data = render(recipe(SOURCE, *entries), "t", 0, 1)
    for entry in entries:
        (kind,) = entry
        alone = curve(recipe(SOURCE, entry)) - FLUX
        assert data[f"{kind}.snr"].values[0] == pytest.approx(np.sqrt((alone**2).sum()), rel=1e-5)
    whole = data["flux_true"].values[0].astype(float)
    variability = np.sqrt(((whole - whole.mean()) ** 2).sum())
    assert data["observed.variability_snr"].values[0] == pytest.approx(variability, rel=1e-5)


def test_observations_in_events_are_counted():
    transit = of("transit")
    changed = curve(transit) < FLUX * (1 - 1e-9)
    assert labels(transit, "t", 0, 1)["transit.n_in_event"].iloc[0] == changed.sum()
    lens = render(of("microlensing"), "t", 0, 1)
    half = 4 * np.sqrt(1 - 0.3**2)
    inside = np.abs(lens["time"].values - 9) <= half + 1 / 96
    assert lens["microlensing.n_in_event"].values[0] == inside.sum()
    gap = recipe(SOURCE, {"transit": OBJECTS["transit"]}, {"gap": {"start": 0, "duration": 10}})
    assert labels(gap, "t", 0, 1)["transit.n_in_event"].iloc[0] == changed[480:].sum()


def test_copies_are_measured_each():
    flare = {"flare": {**OBJECTS["flare"], "peak_time": {"uniform": [0, 20]}}, "repeat": 4}
    made = recipe(SOURCE, flare)
    long = objects(made, "t", 0, 1)
    for row in long.itertuples():
        entry = {"flare": {**OBJECTS["flare"], "peak_time": float(row.peak_time)}}
        alone = curve(recipe(SOURCE, entry)) - FLUX
        assert row.snr == pytest.approx(np.sqrt((alone**2).sum()), rel=1e-5)


# --- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("transit", {"impact_parameter": "= 1.2"}, "its impact_parameter is 1 .* or more, so it never transits"),
        ("transit", {"scaled_semi_major_axis": 1.2}, "it touches its star"),
        ("transit", {"u1": 0.9, "u2": 0.3}, "its limb darkening must have u1 ≥ 0"),
        ("eclipsing_binary", {"inclination": 20}, "the stars never eclipse each other"),
        ("eclipsing_binary", {"sum_of_radii": 0.95}, "the stars touch"),
        ("bazin", {"fall_time": 1}, "its fall_time must be above its rise_time"),
        ("villar", {"plateau_slope": -1}, "its light is gone before the plateau ends"),
        ("pulsation_mode", {"frequency": 5000}, "it changes by 3.142e\\+04 radians a day, but exposures of"),
        ("transit", {"period": 1e-6}, "the period of its transit is 1e-06 days, but exposures of 0.0208 days need"),
        ("eclipsing_binary", {"period": 0.001}, "the period of its eclipsing_binary is 0.001 days"),
        ("source", {"magnitude": -90}, "its flux or its noise is not finite"),
    ],
)  # fmt: skip
def test_labels_that_cannot_be(kind, changes, message):
    with pytest.raises(LabelError, match=f"table 't', sample 0: .*{message}"):
        render(of(kind, **changes), "t")


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("transit", {"eccentricity": 1}, "must be a number at least 0 and below 1"),
        ("transit", {"q1": 0.3}, "must have either u1 and u2, or q1 and q2"),
        ("transit", {"radius_ratio": 0}, "must be a number above 0"),
        ("transit", {"impact_parametre": 0}, "impact_parameter"),
        ("eclipsing_binary", {"surface_brightness_ratios": {"red": 1}}, "must have exactly one of surface_"),
        ("eclipsing_binary", {"secondary_u1": 0.2}, "must have secondary_u1 and secondary_u2, or"),
        ("spot", {"depth_ratios": {"blue": 1}}, "must be given for the bands red, not for blue"),
        ("microlensing", {"impact_parameter": 0}, "must be a number at least 0.001"),
        ("source", {"magnitudes": {"red": 3}}, "must have either magnitude or magnitudes; it has both"),
        ("bazin", {"reference_band": "blue"}, "reference_band of a bazin must be one of red, not 'blue'"),
    ],
)  # fmt: skip
def test_recipes_that_cannot_be(kind, changes, message):
    with pytest.raises(RecipeError, match=message):
        of(kind, **changes)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([SOURCE, SOURCE], "has 2 sources|two entries|called 'source'"),
        ([{"spot": OBJECTS["spot"]}], "a spot changes the light of a source: add a `source`"),
        ([{"gap": OBJECTS["gap"]}], "has no light"),
        ([{**SOURCE, "repeat": 2}], "a source cannot be repeated"),
        ([SOURCE, {"random_walk": OBJECTS["random_walk"], "repeat": 2}], "a random_walk cannot be repeated"),
        ([SOURCE, {"spot": OBJECTS["spot"], "name": "observed"}], "'observed' cannot be the name of an object"),
    ],
)  # fmt: skip
def test_classes_that_cannot_be(entries, message):
    with pytest.raises(RecipeError, match=message):
        recipe(*entries)


def test_a_law_that_needs_a_magnitude_needs_a_source():
    survey = {"preset": "tess_2min"}
    with pytest.raises(
        RecipeError, match="follows from the magnitude of the source, which the class 'one'"
    ):
        recipe({"bazin": OBJECTS["bazin"]}, survey=survey)


def test_a_transient_needs_wavelengths():
    band = {name: value for name, value in SURVEY["bands"]["red"].items() if name != "wavelengths"}
    with pytest.raises(RecipeError, match="a bazin needs the `wavelengths` of the band red"):
        recipe({"bazin": OBJECTS["bazin"]}, survey={**SURVEY, "bands": {"red": band}})


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"planes": ["flux_true", "flux_true"]}, "names a plane twice"),
        ({"planes": ["true"]}, "flux_true"),
        ({"red_noise": {"sigma": 0.1}}, "'timescale' is missing"),
        ({"detection": -1}, "must be greater than or equal to 0"),
        ({"kind": "light_curves"}, "'light_curve'"),
    ],
)
def test_tables_that_cannot_be(table, message):
    with pytest.raises(RecipeError, match=message):
        recipe(SOURCE, **table)
