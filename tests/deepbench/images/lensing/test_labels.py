"""Stars behind masses, planes, and labels of lenses: against lenstronomy, and against what they are made of."""

import json

import numpy as np
import pytest
from astropy.cosmology import FlatLambdaCDM
from lenstronomy.LensModel.lens_model import LensModel
from lenstronomy.LensModel.Solver.lens_equation_solver import LensEquationSolver

from deepbench.deflectors.planes import planes_of
from deepbench.errors import LabelError
from deepbench.lensing.maps import convergence
from deepbench.recipe import parse_recipe
from deepbench.samples import draw_labels, render

FLAT = FlatLambdaCDM(H0=70, Om0=0.3)
SIZE, SCALE, SAMPLES = 40, 0.1, 12
LENS = {"lens": {"redshift": 0.5, "source_redshift": 2.0}}
SIE = {
    "sie": {
        "einstein_radius": {"uniform": [0.8, 1.2]}, "axis_ratio": {"uniform": [0.5, 0.9]},
        "position_angle": {"uniform": [0, 180]},
    }
}  # fmt: skip
SHEAR = {"shear": {"strength": {"uniform": [0, 0.1]}, "shear_angle": {"uniform": [0, 180]}}}
PLACE = {"dx": {"uniform": [-0.3, 0.3]}, "dy": {"uniform": [-0.3, 0.3]}, "flux": 100.0}
STAR = {"star": PLACE, "name": "quasar", "lensed": True}
GALAXY = {
    "sersic": PLACE | {"sersic_index": 1.0, "half_light_radius": 0.15}, "name": "source", "lensed": True
}  # fmt: skip
NOISE = {"noise": [{"gaussian": {"sigma": 0.01}}], "measure": ["sky"]}


def table(*objects, psf=None, **more):
    described = {
        "kind": "image", "samples": SAMPLES, "size": [SIZE, SIZE], "pixel_scale": SCALE,
        "psf": psf or {"gaussian": {"fwhm": 0.3}}, "classes": {"a": {"objects": list(objects)}}, **more,
    }  # fmt: skip
    head = {"name": "lenses", "version": "1.0.0", "title": "Lenses", "seed": 3}
    return parse_recipe(json.dumps(head | {"tables": {"images": described}}))


def drawn(*objects, start=0, stop=SAMPLES, **more):
    return render(table(*objects, **more), "images", start, stop)


@pytest.fixture(scope="module")
def quasars():
    return drawn(LENS, SIE, SHEAR, STAR)


def label(data, name, sample=None):
    values = data[name].values
    return values if sample is None else float(values[sample])


def peer(data, sample):
    """Return lenstronomy's model of a sample, and its arguments."""
    q, angle = (
        label(data, "sie.axis_ratio", sample),
        np.deg2rad(label(data, "sie.position_angle", sample)),
    )
    e = (1 - q) / (1 + q)
    gamma, phi = (
        label(data, "shear.strength", sample),
        np.deg2rad(label(data, "shear.shear_angle", sample)),
    )
    model = LensModel(["EPL", "SHEAR"], z_lens=0.5, z_source=2.0, cosmo=FLAT)
    ellipse = {
        "theta_E": label(data, "sie.einstein_radius", sample), "gamma": 2.0,
        "e1": e * np.cos(2 * angle), "e2": e * np.sin(2 * angle), "center_x": 0, "center_y": 0,
    }  # fmt: skip
    return model, [ellipse, {"gamma1": gamma * np.cos(2 * phi), "gamma2": gamma * np.sin(2 * phi)}]


def test_images_of_stars_are_those_of_lenstronomy(quasars):
    counts = label(quasars, "quasar.image_count")
    assert {2, 4} <= set(counts)
    for sample in range(SAMPLES):
        model, arguments = peer(quasars, sample)
        beta = label(quasars, "quasar.dx", sample), label(quasars, "quasar.dy", sample)
        x, y = LensEquationSolver(model).image_position_from_source(
            *beta, arguments, min_distance=0.01, search_window=5, precision_limit=1e-12,
            num_iter_max=200, arrival_time_sort=True,
        )  # fmt: skip
        assert len(x) == counts[sample]
        times = model.arrival_time(x, y, arguments, x_source=beta[0], y_source=beta[1])
        magnification = model.magnification(x, y, arguments)
        for number in range(len(x)):
            name = f"quasar.image_{number + 1}_"
            assert label(quasars, name + "dx", sample) == pytest.approx(x[number], abs=1e-6)
            assert label(quasars, name + "dy", sample) == pytest.approx(y[number], abs=1e-6)
            assert label(quasars, name + "magnification", sample) == pytest.approx(
                magnification[number], rel=1e-5
            )
            delay = label(quasars, name + "delay", sample)
            assert delay == pytest.approx(times[number] - times[0], abs=1e-5 * np.ptp(times))
        assert np.isnan(label(quasars, f"quasar.image_{len(x) + 1}_dx", sample))
        assert label(quasars, "quasar.magnification", sample) == pytest.approx(
            np.abs(magnification).sum(), rel=1e-5
        )


@pytest.mark.parametrize("measured", [{}, NOISE | {"planes": ["image_true"]}])
def test_stars_are_drawn_at_their_images(quasars, measured):
    found = drawn(LENS, SIE, SHEAR, STAR, **measured)
    images = found["image_true" if measured else "image"].values
    for sample in range(3):
        stars = []
        for number in range(int(label(quasars, "quasar.image_count", sample))):
            x, y, size = (
                label(quasars, f"quasar.image_{number + 1}_{name}", sample)
                for name in ("dx", "dy", "magnification")
            )
            stars.append({"star": {"dx": x, "dy": y, "flux": 100.0 * abs(size)}})
        expected = drawn(*stars, stop=1)["image"].values[0]
        np.testing.assert_allclose(images[sample], expected, atol=2e-6 * expected.max())


def test_samples_alone_and_together_are_the_same():
    objects = LENS, SIE, SHEAR, GALAXY, STAR
    planes = {"planes": ["image_true", "arcs_true", "source_true", "convergence", "segmentation"]}
    together = drawn(*objects, **NOISE, **planes)
    alone = drawn(*objects, **NOISE, **planes, start=5, stop=6)
    for name in together.data_vars:
        np.testing.assert_array_equal(together[name].values[5:6], alone[name].values, err_msg=name)


def test_planes_show_what_is_lensed_and_its_masses():
    light = {
        "sersic": {"dx": 0, "dy": 0, "flux": 50.0, "sersic_index": 2.0, "half_light_radius": 0.3}
    }
    planes = {"planes": ["arcs_true", "source_true", "convergence"]}
    found = drawn(LENS, SIE, SHEAR, light, GALAXY, **planes)
    total = found["image"].values
    unlensed = drawn(
        light, GALAXY | {"lensed": False}, LENS, SIE, SHEAR, GALAXY | {"name": "other"}
    )
    assert unlensed["image"].shape == total.shape
    only = drawn(LENS, SIE, SHEAR, GALAXY)["image"].values
    peak = only.max()
    np.testing.assert_allclose(found["arcs_true"].values, only, atol=1e-6 * peak)
    alone = drawn(LENS, SIE, SHEAR, GALAXY | {"lensed": False})["image"].values
    np.testing.assert_allclose(found["source_true"].values, alone, atol=1e-6 * peak)
    x = (np.arange(SIZE) - (SIZE - 1) / 2) * SCALE
    own = table(LENS, SIE, SHEAR, light, GALAXY).table("images")
    rows = planes_of(own, draw_labels(own, 0, 1)).rows[:2]
    steps = (np.arange(4) - 1.5) / 4 * SCALE
    fine = (x[:, None] + steps).ravel()
    kappa = convergence(rows, fine[None, :], fine[:, None]).reshape(SIZE, 4, SIZE, 4).mean((1, 3))
    np.testing.assert_allclose(found["convergence"].values[0], kappa, rtol=1e-6)


def test_a_galaxy_magnified_is_as_bright_as_its_label_says():
    wide = {"size": [80, 80]}
    found = drawn(LENS, SIE, SHEAR, GALAXY, **wide)
    flux = found["image"].values.sum(axis=(1, 2)) / 100.0
    np.testing.assert_allclose(label(found, "source.magnification"), flux, rtol=2e-3)
    tiny = drawn(
        LENS,
        SIE,
        SHEAR,
        GALAXY | {"sersic": GALAXY["sersic"] | {"half_light_radius": 0.002}},
        **wide,
    )
    sums = sum(
        np.nan_to_num(np.abs(label(tiny, f"source.image_{k}_magnification"))) for k in range(1, 7)
    )
    far = np.abs(label(tiny, "source.caustic_distance")) > 0.05
    if far.any():
        np.testing.assert_allclose(label(tiny, "source.magnification")[far], sums[far], rtol=5e-3)


def test_lenses_have_labels_where_nothing_is_lensed():
    unlensed = GALAXY | {"lensed": False}
    found, lensed = drawn(LENS, SIE, SHEAR, unlensed), drawn(LENS, SIE, SHEAR, GALAXY)
    radii = label(found, "lens.einstein_radius")
    np.testing.assert_array_equal(radii, label(lensed, "lens.einstein_radius"))
    assert np.isfinite(radii).all()


def test_min_magnification_and_counter_image_matter():
    outer = GALAXY | {"sersic": GALAXY["sersic"] | {"dx": {"uniform": [0.4, 0.7]}}}
    many = label(drawn(LENS, SIE, SHEAR, outer), "source.image_count")
    bright = {"lens": LENS["lens"] | {"min_magnification": 1.0}}
    assert (label(drawn(bright, SIE, SHEAR, outer), "source.image_count") < many).any()
    never, always = (
        label(
            drawn({"lens": LENS["lens"] | {"counter_image": part}}, SIE, SHEAR, outer),
            "source.configuration",
        )
        for part in (0.0, 1.0)
    )
    assert set(never[many > 1]) <= {2, 3, 4}
    assert (always[many > 1] == 1).all()


def test_microlensing_keeps_the_mean_flux_and_follows_parity():
    star = {
        "star": PLACE | {"microlensing": {"minima": 0.5, "saddles": 0.0}},
        "name": "quasar",
        "lensed": True,
    }
    many = {"samples": 400}
    found = drawn(LENS, SIE, SHEAR, star, stop=400, **many)
    still = drawn(LENS, SIE, SHEAR, STAR, stop=400, **many)
    size = label(found, "quasar.magnification")
    minima = sum(
        np.nan_to_num(np.maximum(label(still, f"quasar.image_{k}_magnification"), 0))
        for k in range(1, 7)
    )
    ratio = (size - (label(still, "quasar.magnification") - minima)) / minima
    factors = np.stack([label(found, f"quasar.image_{k}_microlensing") for k in range(1, 7)])
    sizes = np.stack([label(still, f"quasar.image_{k}_magnification") for k in range(1, 7)])
    np.testing.assert_array_equal(factors[sizes < 0], 1.0)
    np.testing.assert_allclose(np.nansum(factors * np.abs(sizes), axis=0), size)
    assert ratio.mean() == pytest.approx(1, abs=0.07)
    assert 0.3 < np.log(ratio).std() < 0.55


def test_bands_share_the_images_and_differ_in_light():
    place = {name: value for name, value in PLACE.items() if name != "flux"}
    star = {
        "star": place | {"magnitude": 20.0, "colors": {"r": -1.0}},
        "name": "quasar",
        "lensed": True,
    }
    instrument = {"preset": "lsst", "bands": {"g": {}, "r": {}}}
    psf = {"gaussian": {"fwhm": 0.7}}
    found = drawn(
        LENS, SIE, star, psf=psf, pixel_scale=None, instrument=instrument, planes=["arcs_true"]
    )
    green, red = found["arcs_true"].values.transpose(1, 0, 2, 3)
    zero_points = [float(found[f"instrument.{band}.zero_point"].values[0]) for band in "gr"]
    ratio = 10 ** (0.4 * (1 + zero_points[1] - zero_points[0]))
    np.testing.assert_allclose(red, ratio * green, rtol=1e-4, atol=1e-6 * red.max())


def test_stars_behind_an_image_of_a_psf_are_drawn_at_their_images(tmp_path):
    grid = (np.arange(81) - 40) / 4
    samples = np.exp(-(grid[:, None] ** 2 + grid[None, :] ** 2) / (2 * 1.3**2))
    np.save(tmp_path / "psf.npy", samples / samples.sum())
    psf = {"image": {"file": str(tmp_path / "psf.npy"), "oversampling": 4, "includes_pixel": False}}
    for more in ({}, NOISE | {"planes": ["image_true"]}):
        found = drawn(LENS, SIE, STAR, psf=psf, **more)["image_true" if more else "image"].values
        gaussian = drawn(LENS, SIE, STAR, psf={"gaussian": {"fwhm": 0.13 * 2.3548200450309493}})[
            "image"
        ].values
        np.testing.assert_allclose(found, gaussian, atol=2e-3 * gaussian.max())


def test_a_star_on_a_caustic_is_refused():
    sis = {"sis": {"einstein_radius": 1.0}}
    behind = STAR | {"star": PLACE | {"dx": 0.0, "dy": 0.0}}
    with pytest.raises(LabelError, match="sample 0: quasar: it is on a caustic"):
        drawn(LENS, sis, behind)


def test_rings_arcs_and_quads_are_told_apart():
    centred = GALAXY | {"sersic": GALAXY["sersic"] | {"dx": 0.0, "dy": 0.0}}
    ring = drawn(LENS, SIE, centred, **NOISE)
    assert (label(ring, "source.configuration") == 5).all()
    assert (label(ring, "source.arc_azimuth") >= 270).all()
    far = GALAXY | {"sersic": GALAXY["sersic"] | {"dx": 1.9, "dy": 0.0}}
    assert (label(drawn(LENS, SIE, far, **NOISE), "source.configuration") == 0).all()
    faint = GALAXY | {"sersic": GALAXY["sersic"] | {"flux": 0.5, "half_light_radius": 0.05}}
    found = drawn(LENS, SIE, SHEAR, faint, **NOISE)
    counts, codes = label(found, "source.image_count"), label(found, "source.configuration")
    assert (codes[counts == 4] == 4).all()
    assert set(codes[counts == 2]) <= {1, 2}
