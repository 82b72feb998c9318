"""Samples in COOLEST's standard: read by the package of that name and by lenstronomy, they are what we drew."""

import json

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS
from coolest.api.profiles import light, mass
from coolest.template.json import JSONSerializer
from scipy.integrate import quad
from scipy.ndimage import gaussian_filter

from deepbench.catalog import find
from deepbench.deflectors.planes import planes_of
from deepbench.errors import ExportError
from deepbench.lensing.maps import deflection
from deepbench.recipe import parse_recipe
from deepbench.samples import draw_labels, render
from pipeline.build import build
from pipeline.execution.cluster import ClusterOptions
from pipeline.export.coolest import position_angle
from pipeline.export.coolest_files import _stem, document_of, write_coolest

SIZE, SCALE, SAMPLES = 40, 0.12, 3
LENS = {
    "lens": {"redshift": 0.4, "source_redshift": 1.7, "hubble_constant": 68, "matter_density": 0.31}
}
CENTRE = {"dx": 0.11, "dy": -0.07}
TURNED = {"position_angle": {"uniform": [-200, 400]}}
SIE = {
    "sie": {**CENTRE, "velocity_dispersion": {"uniform": [230, 260]}, "axis_ratio": 0.7, **TURNED}
}
POWER_LAW = {
    "power_law": {
        "dx": 1.5,
        "dy": -1,
        "einstein_radius": 0.2,
        "axis_ratio": 0.6,
        "slope": 2.2,
        **TURNED,
    }
}
SHEAR = {
    "shear": {**CENTRE, "strength": 0.07, "shear_angle": {"uniform": [0, 180]}, "convergence": 0.04}
}
SPHERES = {
    "sis": {"dx": {"uniform": [-2, 2]}, "dy": 1.2, "einstein_radius": 0.1},
    "name": "clump",
    "repeat": 2,
}
GALAXY = {
    "name": "galaxy",
    "sersic": {
        **CENTRE, "flux": 200, "sersic_index": 1.5, "semi_major_half_light_radius": 0.9, "axis_ratio": 0.6, **TURNED,
    },
}  # fmt: skip
PLACE = {"dx": {"uniform": [-0.2, 0.4]}, "dy": {"uniform": [-0.3, 0.2]}}
SOURCE = {
    "name": "source", "lensed": True,
    "bulge_disk": {
        **PLACE, "flux": 60, "bulge_fraction": 0.3, "bulge_half_light_radius": 0.15, "bulge_sersic_index": 1.2,
        "bulge_axis_ratio": 0.8, "disk_half_light_radius": 0.3, "disk_axis_ratio": 0.5, **TURNED,
        "shear": {"g1": 0.1, "g2": -0.15, "magnification": 1.2},
    },
}  # fmt: skip
QUASAR = {
    "name": "quasar",
    "lensed": True,
    "star": {**PLACE, "flux": 5, "microlensing": {"minima": 0.3}},
}
SIMPLE = {"sie": {"einstein_radius": 1, "axis_ratio": 0.7}}
HALO = {"nfw": {"scale_radius": 1, "deflection": 0.1}, "name": "halo"}
ALL = (LENS, SIE, POWER_LAW, SHEAR, SPHERES, GALAXY, SOURCE)


def recipe_of(*objects, **table):
    described = {
        "kind": "image", "samples": SAMPLES, "size": [SIZE, SIZE], "pixel_scale": SCALE,
        "psf": {"gaussian": {"fwhm": 0.36}}, "noise": [{"gaussian": {"sigma": 0.02}}],
        "classes": {"a": {"objects": list(objects)}}, **table,
    }  # fmt: skip
    head = {"name": "lenses", "version": "1.0.0", "title": "Lenses", "seed": 5}
    return parse_recipe(json.dumps(head | {"tables": {"images": described}}))


def documents(*objects):
    table = recipe_of(*objects).table("images")
    return [document_of(table, draw_labels(table, n, n + 1), "", {}) for n in range(SAMPLES)]


@pytest.fixture
def read(tmp_path):
    """Read a document as the package does."""

    def run(document):
        (tmp_path / "system.json").write_text(json.dumps(document))
        return JSONSerializer(str(tmp_path / "system"), check_external_files=False).load(
            verbose=False
        )

    return run


@pytest.fixture(scope="module")
def systems(compile_kernels):
    compile_kernels(recipe_of(*ALL, QUASAR, planes=["image_true"]))
    return documents(*ALL)


def values(profile):
    return {name: each.point_estimate.value for name, each in profile.parameters.items()}


def bend(system, x, y):
    """Return the deflection of a system by the package's own functions; its SIE is a PEMD of slope 2."""
    total = np.zeros((2, *np.shape(x)))
    for entity in system.lensing_entities:
        for profile in entity.mass_model:
            isothermal = profile.type == "SIE"
            peer = getattr(mass, "PEMD" if isothermal else profile.type)()
            more = {"gamma": 2.0} if isothermal else {}
            total += peer.deflection(x, y, **values(profile), **more)
    return total


def brightness(system, x, y, bent):
    """Return the light of a system in a pixel, without PSF, by the package's own functions."""
    total = np.zeros_like(x)
    for entity in system.lensing_entities:
        behind = entity.redshift == 1.7
        at = (x - bent[0], y - bent[1]) if behind else (x, y)
        for profile in getattr(entity, "light_model", ()):
            total += light.Sersic().evaluate_surface_brightness(*at, **values(profile))
    return total * SCALE**2


def test_angles_count_from_y():
    assert [position_angle(angle) for angle in (-90, 0, 1, 90, 179.5, 180, 270)] == [
        0,
        90,
        -89,
        0,
        89.5,
        90,
        0,
    ]


def test_masses_bend_as_ours(systems, read):
    table = recipe_of(*ALL).table("images")
    planes = planes_of(table, draw_labels(table, 0, SAMPLES))
    x, y = np.random.default_rng(2).uniform(-3, 3, (2, 200))
    for number, document in enumerate(systems):
        rows = planes.rows[slice(*planes.offsets[number : number + 2])]
        assert len(rows) == 5
        found = bend(read(document), x - CENTRE["dx"], y - CENTRE["dy"])
        np.testing.assert_allclose(found, deflection(rows, x, y), rtol=0, atol=1e-9)


def test_light_is_what_is_drawn(systems, read):
    """The tolerance is that of sampling 9 × 9 points a pixel; a turn by 1° or radii longer by 0.4% exceed it."""
    drawn = render(recipe_of(*ALL, planes=["image_true"]), "images")["image_true"].values
    fine, wide = 9, 8
    edge = 0.5 * SCALE * (SIZE + 2 * wide)
    steps = (np.arange(fine * (SIZE + 2 * wide)) + 0.5) * SCALE / fine - edge
    x, y = np.meshgrid(steps - CENTRE["dx"], steps - CENTRE["dy"])
    sigma = 0.36 / SCALE * fine / np.sqrt(8 * np.log(2))
    for document, image in zip(systems, drawn, strict=True):
        system = read(document)
        seen = gaussian_filter(brightness(system, x, y, bend(system, x, y)), sigma)
        seen = seen.reshape(SIZE + 2 * wide, fine, -1, fine).mean((1, 3))[wide:-wide, wide:-wide]
        np.testing.assert_allclose(seen, image, rtol=0, atol=2e-3 * image.max())


@pytest.mark.parametrize("index", [0.5, 1.0, 4.0])
def test_half_of_the_light_is_inside_the_radius(index, read):
    body = {
        **GALAXY["sersic"],
        "sersic_index": index,
        "semi_major_half_light_radius": 0.9,
        "position_angle": 0,
    }
    galaxy = {"name": "galaxy", "sersic": body}
    (profile,) = read(documents(LENS, SIE, galaxy, SOURCE)[0]).lensing_entities[1].light_model
    own = values(profile) | {"phi": 90, "center_x": 0.0, "center_y": 0.0}

    def ring(a):
        return 2 * np.pi * 0.6 * a * light.Sersic().evaluate_surface_brightness(a, 0.0, **own)

    inside = quad(ring, 0, 0.9, epsrel=1e-10)[0]
    assert inside == pytest.approx(100, rel=1e-6)
    assert inside + quad(ring, 0.9, np.inf, epsrel=1e-9)[0] == pytest.approx(200, rel=1e-6)


def test_points_are_the_images(read):
    objects = (LENS, SIE, SHEAR, QUASAR)
    data = render(recipe_of(*objects), "images")
    for number, document in enumerate(documents(*objects)):
        system = read(document)
        (points,) = system.lensing_entities[-1].light_model
        assert (points.type, system.lensing_entities[-1].redshift) == ("LensedPS", 1.7)
        x, y, amplitudes = (
            np.array(values(points)[name]) for name in ("ra_list", "dec_list", "amps")
        )
        assert len(x) == data["quasar.image_count"][number]
        bent = bend(system, x, y)
        for at, moved, centre, label in ((x, bent[0], 0.11, "dx"), (y, bent[1], -0.07, "dy")):
            place = float(data[f"quasar.{label}"][number]) - centre
            np.testing.assert_allclose(at - moved, place, rtol=0, atol=1e-8)
        assert amplitudes.sum() == pytest.approx(5 * float(data["quasar.magnification"][number]))


@pytest.mark.parametrize(
    ("objects", "words"),
    [
        ([GALAXY], "class 'a' has no masses"),
        ([SIMPLE, SOURCE], "needs a `lens` with redshift"),
        ([LENS, {"sie": SIMPLE["sie"] | {"core_radius": 0.1}}, SOURCE], "'sie' is a sie .* Einstein radius a core"),
        ([LENS, SIE, HALO, SOURCE], "'halo' is a nfw .* unit"),
        ([LENS, {"point_mass": {"einstein_radius": 1}}, SOURCE], "no point masses"),
        ([LENS, SIE, {"multipole": {"order": 4, "amplitude": 0.01}}, SOURCE], "no multipoles"),
        ([LENS, SIE, SHEAR, {"shear": {"strength": 0.01}}, SOURCE], "different centres"),
        ([LENS, SIE, {"star": {"dx": 0, "dy": 0, "flux": 1}}, SOURCE], "'star' is a star that is not lensed"),
        ([LENS, SIE, {"sersic": {**GALAXY["sersic"], "sersic_index": 0.4}}, SOURCE], "index 0.4; .* from 0.5 to 10"),
        ([LENS, SIE, {"sersic": {**GALAXY["sersic"], "truncation": 3}}, SOURCE], "no truncated profiles"),
        ([LENS, SIE, {"sersic": {**GALAXY["sersic"], "psf": {"gaussian": {"fwhm": 0.5}}}}, SOURCE], "PSF of its own"),
        ([LENS, SIE, {"circle": {"x": 9, "y": 9, "radius": 3}}, SOURCE], "'circle' is a circle, .* no shapes"),
    ],
)  # fmt: skip
def test_what_has_no_equal_is_refused_by_name(objects, words):
    with pytest.raises(ExportError, match=words):
        documents(*objects)


def test_an_sie_whose_core_is_empty_is_written():
    (document, *_) = documents(LENS, {"sie": SIMPLE["sie"] | {"core_radius": 0}}, SOURCE)
    assert document["lensing_entities"][0]["mass_model"][0]["type"] == "SIE"


# --- files ---------------------------------------------------------------------------------------

TIMES = {"g": 80 * 15, "r": 184 * 15}
"""Exposures of 15 s."""


def by_magnitude(entry, kind, magnitude):
    body = {name: value for name, value in entry[kind].items() if name != "flux"}
    return {**entry, kind: {**body, "magnitude": magnitude, "colors": {"g": 0.7}}}


@pytest.fixture(scope="module")
def release(tmp_path_factory, compile_kernels, cluster):
    bands = {band: {"exposure_time": 15, "exposures": time // 15} for band, time in TIMES.items()}
    source = {
        "sersic": {**PLACE, "sersic_index": 1, "half_light_radius": 0.2},
        "name": "source",
        "lensed": True,
    }
    recipe = recipe_of(
        LENS, SIE, SHEAR, SPHERES, by_magnitude(GALAXY, "sersic", 20), by_magnitude(source, "sersic", 22.5),
        by_magnitude(QUASAR, "star", 22), pixel_scale=None, noise=[],
        instrument={"preset": "lsst", "bands": bands}, planes=["variance"],
        psf={"moffat": {"fwhm": {"uniform": [0.6, 0.8]}, "beta": 3}},
        require={"where": "quasar.dx > 0.1"},
        wcs={"ra": 150, "dec": {"uniform": [-30, -20]}, "rotation": 20},
    )  # fmt: skip
    compile_kernels(recipe)
    catalog = tmp_path_factory.mktemp("lenses") / "releases"
    build(recipe, str(catalog), cluster=ClusterOptions(scheduler=cluster.scheduler_address))
    return find("lenses", catalog=catalog)


@pytest.mark.slow
def test_lenstronomy_reads_a_release(release, tmp_path, monkeypatch):
    from lenstronomy.LensModel.lens_model import LensModel
    from lenstronomy.Util.coolest_interface import create_lenstronomy_from_coolest

    written = write_coolest(release, "images", 1, str(tmp_path / "lens.json"))
    assert written == [str(tmp_path / f"lens-{band}.json") for band in TIMES]
    monkeypatch.chdir(tmp_path)  # it looks for FITS there
    table, label = release.recipe.table("images"), release.label("images", 1)
    rows = planes_of(table, draw_labels(table, 1, 2)).rows
    drawn = release.sample("images", 1)
    x, y = np.random.default_rng(3).uniform(-2, 2, (2, 50))
    ax, ay = deflection(rows, x, y)
    place = (
        -(label["quasar.dx"] - CENTRE["dx"]),
        label["quasar.dy"] - CENTRE["dy"],
    )  # its x is to the left
    for number, (band, time) in enumerate(TIMES.items()):
        found = create_lenstronomy_from_coolest(str(tmp_path / f"lens-{band}"))
        image, variance = (drawn[name][number].values for name in ("image", "variance"))
        np.testing.assert_allclose(
            found["kwargs_data"]["image_data"], image / time, rtol=1e-5, atol=1e-5
        )
        np.testing.assert_allclose(
            found["kwargs_data"]["noise_map"], np.sqrt(variance) / time, rtol=1e-5
        )
        kernel = found["kwargs_psf"]["kernel_point_source"]
        assert kernel.shape == (2 * SIZE - 1, 2 * SIZE - 1)
        assert 0.98 < kernel.sum() < 1
        assert np.unravel_index(kernel.argmax(), kernel.shape) == (SIZE - 1, SIZE - 1)
        model = LensModel(found["kwargs_model"]["lens_model_list"])
        bodies = found["kwargs_result"]["kwargs_lens"]
        bent = model.alpha(CENTRE["dx"] - x, y - CENTRE["dy"], bodies)
        np.testing.assert_allclose(bent, (-ax, ay), rtol=0, atol=1e-6)
        (points,) = found["kwargs_result"]["kwargs_ps"]
        at = model.ray_shooting(points["ra_image"], points["dec_image"], bodies)
        for one, other in zip(at, place, strict=True):
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_the_command_writes_files_that_the_package_reads(release, tmp_path, run):
    options = ("--catalog", release.location.folder.parents[1], "--coolest", tmp_path / "lens.json")
    code, out, _ = run("sample", "lenses", 1, *options)
    assert (code, out.split()) == (0, [str(tmp_path / f"lens-{band}.json") for band in TIMES])
    label = release.label("images", 1)
    assert label["attempt"] > 0
    for band, time in TIMES.items():
        system = JSONSerializer(str(tmp_path / f"lens-{band}")).load(verbose=False)
        assert (system.instrument.band, system.observation.exposure_time) == (band, time)
        assert system.observation.mag_zero_point == label[f"instrument.{band}.zero_point"]
        assert (system.cosmology.H0, system.cosmology.Om0) == (68, 0.31)
        flux = 10 ** (0.4 * (label[f"instrument.{band}.zero_point"] - 22 - 0.7 * (band == "g")))
        amplitudes = values(system.lensing_entities[-1].light_model[0])["amps"]
        assert sum(amplitudes) == pytest.approx(flux * label["quasar.magnification"])
        origin = system.coordinates_origin
        ours = WCS(release.recipe.table("images").specification.wcs_header(label)).pixel_to_world(
            *(0.5 * (SIZE - 1) + CENTRE[axis] / 0.2 for axis in ("dx", "dy"))
        )
        assert SkyCoord(origin.ra, origin.dec).separation(ours).arcsec < 1e-3
        assert system.meta["deepbench"]["release"] == "lenses@1.0.0"
    code, _, message = run("sample", "lenses", 1, *options)
    assert code != 0
    assert "lens-g.image.fits' exists already" in message


@pytest.mark.parametrize(
    ("path", "words"), [("lens.txt", "ends with .json"), ("none/lens.json", "there is no folder 'none'; make it")]
)  # fmt: skip
def test_files_that_cannot_be_written(path, words):
    with pytest.raises(ExportError, match=words):
        _stem(path)
