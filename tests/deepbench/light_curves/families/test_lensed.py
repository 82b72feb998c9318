"""Lensed sources that vary: against sums of unlensed curves, the law of the walk, and lenstronomy's delays."""

import numpy as np
import pytest
import yaml
from astropy.cosmology import FlatLambdaCDM
from lenstronomy.LensModel.lens_model import LensModel
from lenstronomy.Util.param_util import phi_q2_ellipticity

from deepbench import parse_recipe
from deepbench.errors import LabelError, RecipeError
from deepbench.light_curves import batches
from deepbench.light_curves.families.lensed import MOST_PATHS, PATHS, WALKING
from deepbench.light_curves.families.lensed_kernels import add_walks, magnify
from deepbench.light_curves.render import LightCurves
from deepbench.light_curves.streams import TableStreams
from deepbench.numerics.streams import key_words, stream_words
from deepbench.samples import draw_labels, labels, render

KEY = np.array(key_words(2020), np.uint32)
WORDS = np.array(stream_words(12345), np.uint32)
BAND = {
    "zero_point": 25, "wavelengths": [500, 600], "exposure": 0, "noise": {"constant": {"sigma": 1e-3}},
}  # fmt: skip
SURVEY = {
    "time_scale": "TAI", "epoch": 2400000.5, "unit": "nJy",
    "cadence": {"regular": {"interval": 86400, "duration": 400, "start": 61000}},
    "bands": {"g": BAND},
}  # fmt: skip
NIGHTS = {
    "nights": {
        "start": 61000, "duration": 400, "season": 300, "opposition": 61150, "visit_probability": 0.3,
        "fractions": {"g": 1, "r": 2}, "cap": 200,
    }
}  # fmt: skip
TWO_BANDS = SURVEY | {
    "cadence": NIGHTS,
    "bands": {"g": BAND, "r": BAND | {"wavelengths": [600, 700], "zero_point": 26}},
}
LENS = {"lens": {"redshift": 0.5, "source_redshift": 2}}
SIE = {
    "sie": {
        "einstein_radius": {"uniform": [0.8, 1.6]},
        "axis_ratio": {"uniform": [0.6, 0.95]},
        "position_angle": {"uniform": [0, 180]},
    }
}
SHEAR = {"shear": {"strength": 0.05, "shear_angle": 25}}
WALK = {"random_walk": {"magnitude": 20, "timescale": 90, "structure_function": 0.3}}
PLACE = {"dx": {"uniform": [-0.3, 0.3]}, "dy": {"uniform": [-0.3, 0.3]}}
QUASAR = {"lensed": {**PLACE, "light": WALK}, "name": "quasar"}
BAZIN = {
    "peak_time": 61150, "redshift": 2, "peak_magnitude": 22, "peak_temperature": 12000,
    "floor_temperature": 5000, "cooling_time": 10, "reddening": 0.1, "rise_time": 4, "fall_time": 25,
}  # fmt: skip
STARS = {"minima": 0.2, "saddles": 0.5, "timescale": 2000}


def table(*entries, samples=40, survey=SURVEY, **more):
    return {
        "kind": "light_curve", "samples": samples, "survey": survey, "planes": ["flux_true"],
        "classes": {"one": {"objects": list(entries)}}, **more,
    }  # fmt: skip


def recipe(*entries, **table_keys):
    return of_tables(t=table(*entries, **table_keys))


def of_tables(**tables):
    head = {"name": "delays", "version": "1.0.0", "title": "t", "seed": 5}
    return parse_recipe(yaml.safe_dump({**head, "tables": tables}, sort_keys=False))


def flux_of(made, sample=0):
    """Return the flux of a sample without noise in float64."""
    view = made.table("t")
    curves = LightCurves(view, draw_labels(view, sample, sample + 1))
    own, scratch = slice(0, 1), batches.Scratch()
    seen = curves._schedule.observations(own)
    parts = [each.part(own) for each in curves._batches]
    nodes = batches.lay_out(seen, batches.nodes_of(seen, parts), scratch)
    return batches.flux_of(nodes, curves._of_source, parts, scratch)[0]


def images_of(row, field):
    """Return what is measured of the images of a row of labels."""
    return np.array(
        [row[f"quasar.image_{k + 1}_{field}"] for k in range(int(row["quasar.image_count"]))]
    )


def test_a_lensed_supernova_is_the_sum_of_unlensed_ones_that_are_late_and_bright():
    lensed = {"lensed": {"dx": 0.1, "dy": 0.05, "light": {"bazin": BAZIN}}, "name": "quasar"}
    made = recipe(LENS, SIE, SHEAR, lensed, survey=TWO_BANDS)
    row = labels(made, "t", 0, 1).iloc[0]
    delays, sizes = images_of(row, "delay"), np.abs(images_of(row, "magnification"))
    assert len(delays) == 4
    expected = 0
    for delay, size in zip(delays, sizes, strict=True):
        late = {"bazin": BAZIN | {"peak_time": BAZIN["peak_time"] + float(delay)}}
        expected = expected + size * flux_of(recipe(late, survey=TWO_BANDS))
    found = flux_of(made)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9 * expected.max())
    assert expected.max() > 50 * expected.min()


def test_each_image_alone_shows_the_walk_of_the_first_one_later():
    """Hubble's constant is chosen so that the delay is 40 days, to which the survey comes back; flux is in float32."""
    lens, sis = (
        {"lens": LENS["lens"] | {"hubble_constant": {"uniform": [50, 150]}}},
        {"sis": {"einstein_radius": 1}},
    )
    quasar = {"lensed": {"dx": 0.3, "dy": 0.2, "light": WALK}, "name": "quasar"}
    made = recipe(lens, sis, quasar, images_apart=3)
    row = labels(made, "t", 0, 1)
    row["lens.hubble_constant"] *= row["quasar.image_2_delay"] / 40
    data = render(made, "t", labels=row)
    assert data["quasar.image_2_delay"].values[0] == pytest.approx(40, rel=1e-12)
    first, second, third = data["flux_true"].values[0].astype(float)
    sizes = np.abs([data[f"quasar.image_{k}_magnification"].values[0] for k in (1, 2)])
    np.testing.assert_allclose(second[40:] / sizes[1], first[:-40] / sizes[0], rtol=3e-7)
    assert np.ptp(first) > 0.2 * first.mean()
    assert np.isnan(third).all()
    assert (data["mask"].values[0] == [[0], [0], [1]]).all()


def test_images_apart_add_up_to_the_blend_and_have_noise_of_their_own():
    quasar = {"lensed": {**PLACE, "light": WALK, "microlensing": STARS}, "name": "quasar"}
    entries = LENS, SIE, SHEAR, quasar
    together = render(recipe(*entries, survey=TWO_BANDS), "t")
    apart = render(recipe(*entries, survey=TWO_BANDS, images_apart=5), "t")
    for name in ("time", "band", "quasar.image_4_delay", "quasar.image_3_microlensing"):
        np.testing.assert_array_equal(apart[name], together[name])
    seen = ~np.isnan(together["flux_true"].values)
    total = np.nansum(apart["flux_true"].values, axis=1)
    np.testing.assert_allclose(total[seen], together["flux_true"].values[seen], rtol=3e-7)
    there = ~np.isnan(apart["flux"].values)
    counts = together["quasar.image_count"].values
    assert (there.any(axis=2).sum(axis=1) == counts).all()
    assert set(counts) >= {2, 4}
    observed = together["observed.n_observations"].values
    np.testing.assert_array_equal(apart["observed.n_observations"], counts * observed)
    noise = (apart["flux"] - apart["flux_true"]).values[:, :2][:, :, :50]
    both = np.isfinite(noise).all(axis=1)
    pairs = noise.swapaxes(1, 2)[both].T
    assert abs(np.corrcoef(pairs)[0, 1]) < 4 / np.sqrt(pairs.shape[1])
    variances = apart["flux_true"].values.astype(float) ** 2 / 1e-6
    expected = np.sqrt(np.nansum(variances, axis=(1, 2)))
    np.testing.assert_allclose(apart["quasar.snr"], expected, rtol=1e-5)


# --- the walk and microlensing ------------------------------------------------------------------


def walks(times, samples, timescale, structure_function=1.0):
    """Return the magnitudes of walks at the same times, of many samples."""
    rows = np.full((samples, 1), np.array((timescale, structure_function, 1.0), WALKING))
    size = len(times)
    light, offsets = np.zeros(samples * size), np.arange(samples + 1) * size
    bands = np.zeros(light.size, np.int8)
    add_walks(
        rows, np.arange(samples), offsets, np.tile(times, samples), bands, light, np.arange(samples), KEY, WORDS,
    )  # fmt: skip
    return -2.5 * np.log10(light.reshape(samples, size))


def test_the_walk_is_a_damped_random_walk():
    """Its covariances, within a cell and beyond, before and after time 0, with the scatter of 20,000 walks."""
    tau, count = 30.0, 20_000
    times = np.array([-61.0, -0.01, 0.0, 0.02, 0.5, 7.0, 14.9, 15.1, 29.0, 31.0, 120.0])
    found = walks(times, count, tau, np.sqrt(2))
    expected = np.exp(-np.abs(times[:, None] - times) / tau)
    scatter = np.sqrt((1 + expected**2) / count)
    assert (np.abs(np.cov(found.T) - expected) < 4.5 * scatter).all()
    assert (np.abs(found.mean(axis=0)) < 4.5 / np.sqrt(count)).all()
    steps = np.diff(found[:, 1:5], axis=1)
    law = 2 - 2 * np.exp(-np.diff(times[1:5]) / tau)
    assert (np.abs((steps**2).mean(axis=0) / law - 1) < 4.5 * np.sqrt(2 / count)).all()
    assert abs((found**4).mean() / (found**2).mean() ** 2 - 3) < 0.1


def test_the_walk_is_a_function_of_time():
    times = np.random.default_rng(3).uniform(60000, 64000, 500)
    (found,), (ordered,) = walks(times, 1, 90.0), walks(np.sort(times), 1, 90.0)
    np.testing.assert_array_equal(np.sort(times), times[np.argsort(times)])
    np.testing.assert_array_equal(found[np.argsort(times)], ordered)
    near = np.array([times[:50], times[:50] + 1e-7]).ravel()
    (pairs,) = walks(near, 1, 90.0)
    assert np.abs(pairs[:50] - pairs[50:]).max() < 1e-5


def test_microlensing_has_the_mean_one_in_flux_and_the_structure_function_of_its_walk():
    count, images, tau = 20_000, 2, 1500.0
    times = np.array([61000.0, 61001.0, 61100.0, 63000.0])
    scatter = np.array([0.3, 0.6])
    rows = np.zeros(images * count, PATHS)
    rows["magnifications"], rows["timescale"] = 2.0, tau
    rows["scatters"][:, :images] = scatter
    numbers, samples = np.tile([0, 1], count), np.repeat(np.arange(count), images)
    light, offsets = np.ones(rows.size * times.size), np.arange(rows.size + 1) * times.size
    deviations = np.empty(rows.size)
    magnify(
        rows, numbers, samples, offsets, np.tile(times, rows.size), KEY, WORDS, light, deviations
    )
    flux = light.reshape(count, images, times.size) / 2
    spread = np.sqrt(np.exp(scatter**2) - 1)
    assert (np.abs(flux.mean(axis=0) - 1) < 4.5 * spread[:, None] / np.sqrt(count)).all()
    logarithm = np.log(flux)
    np.testing.assert_allclose(deviations.reshape(count, images), logarithm.std(axis=2), atol=1e-9)
    lags = times[1:] - times[0]
    square = ((logarithm[:, :, 1:] - logarithm[:, :, :1]) ** 2).mean(axis=0)
    law = 2 * scatter[:, None] ** 2 * (1 - np.exp(-lags / tau))
    assert (np.abs(square / law - 1) < 4.5 * np.sqrt(2 / count)).all()
    assert abs(np.corrcoef(logarithm[:, 0, 0], logarithm[:, 1, 0])[0, 1]) < 4.5 / np.sqrt(count)


def test_microlensing_follows_the_parity_and_is_labelled():
    plain = {"lensed": {"dx": 0.1, "dy": 0.05, "light": WALK}, "name": "quasar"}
    micro = {"lensed": plain["lensed"] | {"microlensing": STARS | {"minima": 0}}, "name": "quasar"}
    (base, data), row = (
        [
            render(recipe(LENS, SIE, SHEAR, each, images_apart=4), "t", 0, 1)
            for each in (plain, micro)
        ],
        labels(recipe(LENS, SIE, SHEAR, micro, images_apart=4), "t", 0, 1).iloc[0],
    )
    ratios = (data["flux_true"] / base["flux_true"]).values[0].astype(float)
    found = np.std(np.log(ratios), axis=1)
    saddles = images_of(row, "magnification") < 0
    assert saddles.tolist() == [False, False, True, True]
    np.testing.assert_allclose(found, images_of(row, "microlensing"), atol=1e-6)
    assert (found[:2] == 0).all()
    assert (found[2:] > 0.05).all()


def test_exposures_that_are_long_against_the_walk_are_averaged():
    """Half a day of a walk of a day, against 1500 instants: to a thousandth of its standard deviation, of 0.2."""
    band = BAND | {"exposure": 43200, "wavelengths": None}
    regular = {"interval": 43200, "duration": 150, "start": 61000}
    survey = SURVEY | {"cadence": {"regular": regular}, "bands": {"g": band}}
    walk = WALK["random_walk"] | {
        "timescale": 1,
        "structure_function": float(0.2 / 0.4 / np.log(10) * 2**0.5),
    }
    quasar = {"lensed": {"dx": 0.3, "light": {"random_walk": walk}}, "name": "quasar"}
    made = recipe(LENS, {"sis": {"einstein_radius": 1}}, quasar, survey=survey, images_apart=2)
    data = render(made, "t", 0, 1)
    found = data["flux_true"].values[0, 0] / data["quasar.image_1_magnification"].values[0] / 100
    streams = TableStreams(made.table("t"))
    middles = (np.arange(1500) + 0.5) / 3000 - 0.25
    times = (data["time"].values[:, None] + middles).ravel()
    row, light = (
        np.full((1, 1), np.array((1, walk["structure_function"], 1), WALKING)),
        np.zeros(times.size),
    )
    words = streams.words("one/quasar/steps")
    add_walks(
        row, np.zeros(1, np.int64), np.array([0, times.size]), times, np.zeros(times.size, np.int8), light,
        np.zeros(1, np.int64), streams.key, words,
    )  # fmt: skip
    error = found / light.reshape(-1, 1500).mean(axis=1) - 1
    assert np.sqrt((error**2).mean()) < 0.2 * 1.2e-3


# --- delays -------------------------------------------------------------------------------------


def test_delays_and_magnifications_are_those_of_lenstronomy():
    frame = labels(recipe(LENS, SIE, SHEAR, QUASAR, samples=30), "t")
    universe = FlatLambdaCDM(70, 0.3, Tcmb0=0)
    model = LensModel(["EPL", "SHEAR"], z_lens=0.5, z_source=2, cosmo=universe)
    angle = np.deg2rad(50)
    shear = {"gamma1": 0.05 * np.cos(angle), "gamma2": 0.05 * np.sin(angle)}
    for _, row in frame.iterrows():
        e1, e2 = phi_q2_ellipticity(np.deg2rad(row["sie.position_angle"]), row["sie.axis_ratio"])
        size = {"theta_E": row["sie.einstein_radius"], "gamma": 2.0}
        values = [{**size, "e1": e1, "e2": e2}, shear]
        x, y, delay = (images_of(row, each) for each in ("dx", "dy", "delay"))
        times = model.arrival_time(
            x, y, values, x_source=row["quasar.dx"], y_source=row["quasar.dy"]
        )
        assert delay == pytest.approx(times - times[0], abs=1e-6 * delay.max())
        assert (np.diff(delay) >= 0).all()
        expected = model.magnification(x, y, values)
        assert images_of(row, "magnification") == pytest.approx(expected, rel=1e-5)
    assert set(frame["quasar.image_count"]) == {2, 4}


# --- samples and twins --------------------------------------------------------------------------


def test_samples_do_not_depend_on_those_beside_them(monkeypatch):
    quasar = {"lensed": {**PLACE, "light": WALK, "microlensing": STARS}, "name": "quasar"}
    for keys in ({}, {"images_apart": 4}):
        made = recipe(LENS, SIE, SHEAR, quasar, survey=TWO_BANDS, samples=12, **keys)
        whole, rows = render(made, "t"), labels(made, "t").iloc[[7, 2]]
        with monkeypatch.context() as patch:
            patch.setattr("deepbench.light_curves.render.BATCH", 500)
            patch.setattr("deepbench.light_curves.families.lensed.MOST_AT_ONCE", 300)
            small, alone = render(made, "t"), render(made, "t", 7, 8)
        again = render(made, "t", labels=rows)
        for name in ("flux", "flux_true", "quasar.snr", "quasar.image_2_delay"):
            np.testing.assert_array_equal(small[name], whole[name])
            np.testing.assert_array_equal(alone[name].values[0], whole[name].values[7])
            np.testing.assert_array_equal(again[name].values, whole[name].values[[7, 2]])


def test_a_twin_shares_lens_source_and_images():
    """Two surveys see one quasar: its labels, and, with ``noise_from``, its walk, as both visit it in one night."""
    first = table(LENS, SIE, SHEAR, QUASAR)
    other = SURVEY | {
        "cadence": {"regular": {"interval": 4 * 86400, "duration": 200, "start": 61003}}
    }
    second = table(LENS, SIE, SHEAR, QUASAR, survey=other, draw_from="t", noise_from="t")
    made = of_tables(t=first, again=second)
    one, two = labels(made, "t"), labels(made, "again")
    shared = [name for name in one if name.startswith(("lens.", "sie.", "shear.", "quasar."))]
    shared.remove("quasar.snr")
    assert one[shared].equals(two[shared])
    assert one["quasar.dx"].nunique() == len(one)
    seen, again = render(made, "t")["flux_true"].values, render(made, "again")["flux_true"].values
    np.testing.assert_array_equal(seen[:, 3:203:4], again)


def test_a_picture_of_the_same_system_has_the_same_images():
    place = {"dx": {"uniform": [-0.3, 0.3]}, "dy": {"uniform": [-0.3, 0.3]}}
    star = {"star": {**place, "flux": 100}, "name": "quasar", "lensed": True}
    picture = {
        "kind": "image", "samples": 40, "size": [24, 24], "pixel_scale": 0.2,
        "psf": {"moffat": {"fwhm": 0.7, "beta": 3}},
        "classes": {"one": {"objects": [LENS, SIE, SHEAR, star]}}, "draw_from": "t",
    }  # fmt: skip
    made = of_tables(t=table(LENS, SIE, SHEAR, QUASAR), picture=picture)
    curves, pictures = labels(made, "t"), labels(made, "picture")
    drawn = ["lens.source_redshift", "sie.einstein_radius", "quasar.dx", "quasar.dy"]
    assert curves[drawn].equals(pictures[drawn])
    shared = [name for name in curves if name.startswith("quasar.image_") or "caustic" in name]
    assert "quasar.image_4_delay" in shared
    np.testing.assert_allclose(pictures[shared], curves[shared], rtol=1e-9, atol=1e-11)


# --- what cannot be -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entries", "keys", "message"),
    [
        ([SIE, QUASAR], {}, "delays follow from redshifts: add a `lens` with redshift"),
        ([{"lens": {}}, SIE, QUASAR], {}, "delays follow from redshifts"),
        ([LENS, QUASAR], {}, "has masses, such as an sie: add one"),
        ([LENS, SIE], {}, "has no light"),
        ([LENS, SIE, QUASAR, {"source": {"magnitude": 20}}], {"images_apart": 4}, "has lensed, source"),
        ([{"source": {"magnitude": 20}}], {"images_apart": 4}, "one `lensed` source and no other"),
        ([LENS, SIE, QUASAR], {"images_apart": 17}, "less than or equal to 16"),
        ([LENS, SIE, {**QUASAR, "repeat": 2}], {}, "a lensed cannot be repeated"),
        ([LENS, SIE, {"lensed": {"light": {"flare": {}}}}], {}, "unknown key 'flare'"),
        ([LENS, SIE, {"lensed": {"light": {"bazin": BAZIN | {"reference_band": "y"}}}}], {}, "must be one of g"),
    ],
)  # fmt: skip
def test_recipes_that_cannot_be(entries, keys, message):
    with pytest.raises(RecipeError, match=message):
        recipe(*entries, **keys)


@pytest.mark.parametrize(
    ("entries", "keys", "message"),
    [
        (
            [{"lens": {"redshift": {"uniform": [2, 3]}, "source_redshift": {"choice": [2, 2.0001]}}}, SIE, QUASAR],
            {}, "is not above that of",
        ),
        ([LENS, SIE, {"lensed": {"light": {"bazin": BAZIN | {"redshift": 1}}}}], {}, "= lens.source_redshift"),
        ([LENS, {"sis": {"einstein_radius": 1}}, {"lensed": {"light": WALK}}], {}, "it is on a caustic"),
        ([LENS, SIE, QUASAR], {"images_apart": 1}, "images, but `images_apart` has room for 1"),
    ],
)  # fmt: skip
def test_labels_that_cannot_be(entries, keys, message):
    with pytest.raises(LabelError, match=message):
        render(recipe(*entries, **keys), "t")


def test_more_images_than_any_light_is_followed_along_are_refused(monkeypatch):
    monkeypatch.setattr("deepbench.light_curves.families.lensed.MOST_PATHS", 3)
    quasar = {"lensed": {"dx": 0.1, "dy": 0.05, "light": WALK}}
    with pytest.raises(LabelError, match="more than 3 images; raise the lens's min_magnification"):
        render(recipe(LENS, SIE, SHEAR, quasar), "t", 0, 1)
    assert MOST_PATHS == 16
