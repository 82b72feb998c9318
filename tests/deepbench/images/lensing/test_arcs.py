"""Images of lensed galaxies: against lenstronomy and brute force, laws, and cases where formulas are singular."""

import json
import math

import numpy as np
import pytest
from lenstronomy.Data.pixel_grid import PixelGrid
from lenstronomy.Data.psf import PSF
from lenstronomy.ImSim.image_model import ImageModel
from lenstronomy.LensModel.lens_model import LensModel
from lenstronomy.LightModel.light_model import LightModel

from deepbench.lensing.deflector import DEFLECTOR_ROW
from deepbench.lensing.lens_equation import find_images
from deepbench.recipe import load_recipe, parse_recipe
from deepbench.samples import render
from tests.reference import lensed_galaxies as slow

MEDIAN, WORST = 1e-4, 1e-3  # of the peak
ONE = 3e-4  # of the peak: of images whose rays differ
LEAST_AGREED = 0.6  # part of the pixels in which the reference converges
GAUSSIAN = {"gaussian": {"fwhm": 3.2}}
SHEAR = {"shear": {"strength": 0.06, "shear_angle": 25}}
SIE = {"sie": {"einstein_radius": 7.3, "axis_ratio": 0.7, "position_angle": 40}}
SOURCE = {
    "flux": 1.0, "dx": 1.4, "dy": -0.8, "sersic_index": 1.2, "half_light_radius": 2.1,
    "axis_ratio": 0.6, "position_angle": 70,
}  # fmt: skip


def recipe_of(objects, size, psf, **table):
    described = {"kind": "image", "samples": 1, "size": list(size), "pixel_scale": 1.0, "psf": psf}
    described |= {"classes": {"lens": {"objects": objects}}, **table}
    head = {"name": "a", "version": "1.0.0", "title": "A", "seed": 5}
    return json.dumps({**head, "tables": {"images": described}})


def images(objects, *, size=(32, 32), psf=GAUSSIAN, **table):
    return render(parse_recipe(recipe_of(objects, size, psf, **table)), "images")


def arcs(masses, source, kind="sersic", **table):
    return images([*masses, {kind: source, "lensed": True}], **table).image.values[0]


def ellipticity(q, angle):
    size, twice = (1 - q) / (1 + q), 2 * math.radians(angle)
    return {"e1": size * math.cos(twice), "e2": size * math.sin(twice)}


def draw_system(rng, size):
    """Return the masses and the source of a random system, and the same for lenstronomy."""
    q, angle, slope = rng.uniform(0.3, 1), rng.uniform(0, 180), rng.uniform(1.5, 2.5)
    theta, shear, shear_angle = rng.uniform(3, 8), rng.uniform(0, 0.12), rng.uniform(0, 180)
    parity = (np.array(size[::-1]) % 2 - 1) / 2  # of pixels' centres
    at = np.round(rng.uniform(-1, 1, 2)) + parity if rng.random() < 0.3 else rng.uniform(-1, 1, 2)
    place = {"dx": at[0], "dy": at[1]}
    masses = [
        {"power_law": {"einstein_radius": theta, "axis_ratio": q, "position_angle": angle,
                       "slope": slope} | place},
        {"shear": {"strength": shear, "shear_angle": shear_angle} | place},
    ]  # fmt: skip
    offset = (
        rng.uniform(0, 1.1) * theta * np.array([*np.exp(2j * np.pi * rng.random(1)).view(float)])
    )
    source = {
        "flux": 1.0,
        "dx": at[0] + offset[0],
        "dy": at[1] + offset[1],
        "sersic_index": rng.uniform(0.5, 5),
        "half_light_radius": np.exp(rng.uniform(np.log(0.5), np.log(8))),
        "axis_ratio": rng.uniform(0.3, 1),
        "position_angle": rng.uniform(0, 180),
    }
    centre, twice = {"center_x": at[0], "center_y": at[1]}, 2 * math.radians(shear_angle)
    gammas = {"gamma1": shear * math.cos(twice), "gamma2": shear * math.sin(twice)}
    peer = (
        ["EPL", "SHEAR"],
        [
            {"theta_E": theta, "gamma": slope, **ellipticity(q, angle), **centre},
            {**gammas, "ra_0": at[0], "dec_0": at[1]},
        ],
    )
    return masses, source, peer


def peer_image(size, factor, peer, source, psf, margin, reach):
    """Return lenstronomy's image with its supersampling, convolution included; sides differ by an even number."""
    side = max(size) + 2 * margin  # its supersampling takes squares alone
    grid = PixelGrid(side, side, np.eye(2), -(side - 1) / 2, -(side - 1) / 2)
    half = reach * factor
    offsets = np.arange(-half, half + 1) / factor
    kernel = psf(np.hypot(*np.meshgrid(offsets, offsets))) / factor**2
    spread = PSF(
        "PIXEL", kernel_point_source=kernel, point_source_supersampling_factor=factor,
        kernel_point_source_normalisation=False,
    )  # fmt: skip
    model = ImageModel(
        grid, spread, LensModel(peer[0]), LightModel(["SERSIC_ELLIPSE"]),
        kwargs_numerics={"supersampling_factor": factor, "supersampling_convolution": True,
                         "supersampling_kernel_size": None},
    )  # fmt: skip
    q, n, radius = (source[name] for name in ("axis_ratio", "sersic_index", "half_light_radius"))
    radius, amplitude = slow.lenstronomy_sersic(n, radius)
    one = {
        "amp": amplitude, "R_sersic": radius, "n_sersic": n, "center_x": source["dx"],
        "center_y": source["dy"], **ellipticity(q, source["position_angle"]),
    }  # fmt: skip
    image = model.image(peer[1], [one], lens_light_add=False, point_source_add=False)
    low, left = ((side - each) // 2 for each in size)
    return image[low : side - low, left : side - left]


def compare(found, references):
    expected, good = slow.agreed(references)
    assert good.mean() > LEAST_AGREED
    return np.abs(found - expected)[good].max() / expected.max()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`axes` should not be:DeprecationWarning")  # lenstronomy's
def test_random_systems_agree_with_lenstronomy():
    rng, errors = np.random.default_rng(0), []
    for _ in range(12):
        size = rng.integers(24, 29) + 2 * rng.integers(0, 3, 2)
        masses, source, peer = draw_system(rng, size)
        fwhm = np.exp(rng.uniform(np.log(2.2), np.log(4.5)))
        psf, profile = {"gaussian": {"fwhm": fwhm}}, lambda r, f=fwhm: slow.gaussian(r, f)
        if rng.random() < 0.4:
            beta = rng.uniform(3.5, 5)
            psf = {"moffat": {"fwhm": fwhm, "beta": beta}}
            profile = lambda r, f=fwhm, b=beta: slow.moffat(r, f, b)  # noqa: E731
        found = arcs(masses, source, size=[int(side) for side in size], psf=psf)
        references = [
            peer_image(size, factor, peer, source, profile, 8, 14) for factor in slow.FACTORS
        ]
        errors.append(compare(found, references))
    assert np.median(errors) < MEDIAN, errors
    assert max(errors) < WORST, errors


# --- against rays on a grid ----------------------------------------------------------------------

EPL = (
    ["EPL", "SHEAR"],
    [
        {"theta_E": 7.3, "gamma": 2.0, **ellipticity(0.7, 40), "center_x": 0, "center_y": 0},
        {
            "gamma1": 0.06 * math.cos(math.radians(50)),
            "gamma2": 0.06 * math.sin(math.radians(50)),
            "ra_0": 0,
            "dec_0": 0,
        },
    ],
)
CLUMPS = [(5.2, 4.0, 0.5), (-6.1, 2.5, 0.3), (-5.6, 2.9, 0.4), (2.0, -7.1, 0.25)]
CENTRED = {"center_x": 0.3, "center_y": -0.2}
ASIDE = {"dx": 0.3, "dy": -0.2}

MASSES = {
    "sie": ([SIE, SHEAR], EPL),
    "subhaloes": (
        [SIE, SHEAR, *({"sis": {"dx": x, "dy": y, "einstein_radius": t}} for x, y, t in CLUMPS)],
        (
            [*EPL[0], *["SIS"] * len(CLUMPS)],
            [*EPL[1], *({"theta_E": t, "center_x": x, "center_y": y} for x, y, t in CLUMPS)],
        ),
    ),
    "truncated": (
        [
            SIE, SHEAR,
            *(
                {"nfw": {"dx": x, "dy": y, "scale_radius": 1.5, "deflection": t,
                         "truncation_radius": 4.0}}
                for x, y, t in CLUMPS
            ),
        ],
        (
            [*EPL[0], *["TNFW"] * len(CLUMPS)],
            [
                *EPL[1],
                *(
                    {"Rs": 1.5, "alpha_Rs": t, "r_trunc": 4.0, "center_x": x, "center_y": y}
                    for x, y, t in CLUMPS
                ),
            ],
        ),
    ),
    "nfw": (
        [{"nfw": {"scale_radius": 12.0, "deflection": 7.0} | ASIDE}],
        (["NFW"], [{"Rs": 12.0, "alpha_Rs": 7.0} | CENTRED]),
    ),
    "point_mass": (
        [{"point_mass": {"einstein_radius": 6.0} | ASIDE}],
        (["POINT_MASS"], [{"theta_E": 6.0} | CENTRED]),
    ),
    "multipole": (
        [SIE, {"multipole": {"order": 4, "amplitude": 0.2, "angle": 40}}],
        (
            ["EPL", "MULTIPOLE"],
            [EPL[1][0], {"m": 4, "a_m": 0.2, "phi_m": math.radians(40), "center_x": 0,
                         "center_y": 0}],
        ),
    ),
}  # fmt: skip


def smooth(x, y):
    return slow.sersic(x - 1.4, y + 0.8, 1.0, 1.2, 2.1, 0.6, 70)


def brute(masses, brightness, size=(32, 32), margin=9, fwhm=3.2):
    return [
        slow.image(size, factor, *masses, brightness, lambda r: slow.gaussian(r, fwhm), margin)
        for factor in slow.FACTORS
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", MASSES)
def test_masses_agree_with_brute_force(name):
    masses, peer = MASSES[name]
    assert compare(arcs(masses, SOURCE), brute(peer, smooth)) < WORST


SPIRAL = {
    "flux": 1.0, "dx": 1.4, "dy": -0.8, "bulge_fraction": 0.2, "bulge_half_light_radius": 0.8,
    "bulge_sersic_index": 2.0, "disk_half_light_radius": 5.0, "inclination": 60.0, "arms": 2,
    "pitch_angle": 25.0, "arm_width": 0.4, "inner_radius": 1.5, "arm_contrast": 0.8,
    "arm_angle": 20.0, "position_angle": 70.0,
}  # fmt: skip


def spiral(x, y):
    x, y, radius = x - 1.4, y + 0.8, 5.0 * math.sqrt(0.5)
    disk = slow.sersic(x, y, 0.8, 1.0, radius, 0.5, 70)
    pattern = slow.arms(x, y, 0.8, 5.0, 0.5, 70, 2, 25.0, 0.8, 0.4, 1.5, 20.0)
    return disk + pattern + slow.sersic(x, y, 0.2, 2.0, 0.8)


BULGE_DISK = {
    "flux": 1.0, "dx": 1.4, "dy": -0.8, "bulge_fraction": 0.3, "bulge_half_light_radius": 1.0,
    "bulge_sersic_index": 4.0, "bulge_axis_ratio": 0.8, "disk_half_light_radius": 3.0,
    "disk_axis_ratio": 0.4, "position_angle": 70.0,
}  # fmt: skip


def bulge_disk(x, y):
    x, y = x - 1.4, y + 0.8
    return slow.sersic(x, y, 0.7, 1.0, 3.0, 0.4, 70) + slow.sersic(x, y, 0.3, 4.0, 1.0, 0.8, 70)


def truncated(x, y):
    return slow.sersic(x - 1.4, y + 0.8, 1.0, 1.2, 2.1, 0.6, 70, 3.0)


SOURCES = {
    "bulge_disk": ("bulge_disk", BULGE_DISK, bulge_disk, 3e-4),
    "spiral": ("spiral", SPIRAL, spiral, 1e-3),
    "truncated": ("sersic", SOURCE | {"truncation": 3.0}, truncated, 1e-3),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SOURCES)
def test_sources_agree_with_brute_force(name):
    kind, source, brightness, tolerance = SOURCES[name]
    assert compare(arcs([SIE, SHEAR], source, kind), brute(EPL, brightness)) < tolerance


@pytest.mark.slow
def test_light_outside_of_the_frame_blurs_in():
    size = (30, 11)
    found = arcs([SIE, SHEAR], SOURCE, size=size)
    assert compare(found, brute(EPL, smooth, size)) < 3e-4


def test_a_point_spread_function_of_a_file_does_as_its_function(tmp_path):
    offsets = np.arange(-60, 61) / 4
    np.save(tmp_path / "psf.npy", slow.gaussian(np.hypot(*np.meshgrid(offsets, offsets)), 3.2))
    path, objects = tmp_path / "a.yaml", [SIE, SHEAR, {"sersic": SOURCE, "lensed": True}]
    image = {"image": {"file": "psf.npy", "oversampling": 4, "includes_pixel": False}}
    path.write_text(recipe_of(objects, (32, 32), image))
    found, expected = (
        render(load_recipe(path), "images").image.values[0],
        arcs([SIE, SHEAR], SOURCE),
    )
    np.testing.assert_allclose(found, expected, atol=ONE * expected.max())


# --- laws ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("index", [0.5, 1.0, 4.0])
def test_without_mass_a_galaxy_is_seen_as_it_is(index):
    source = SOURCE | {"sersic_index": index}
    found = arcs([{"sis": {"einstein_radius": 0}}], source)
    expected = images([{"sersic": source}]).image.values[0]
    np.testing.assert_allclose(found, expected, atol=ONE * expected.max())


def test_a_small_source_is_magnified_as_its_images():
    mass = np.zeros(1, DEFLECTOR_ROW)
    mass["strength"], mass["axis_ratio"], mass["slope"] = 7.3, 0.7, 2.0
    mass["angle"] = math.radians(40)
    where = np.array([[2.9, -0.6]])
    solved = find_images(np.array([0, 1]), mass, where, np.array([0]), 1e-3)
    source = SOURCE | {"dx": 2.9, "dy": -0.6, "half_light_radius": 0.02, "sersic_index": 1}
    found = arcs([SIE], source, size=(64, 64))
    assert found.sum() == pytest.approx(np.abs(solved.images["magnification"]).sum(), rel=1e-3)


def test_a_quarter_turn_turns_the_image():
    turned = {"sie": SIE["sie"] | {"position_angle": 130}}
    shear = {"shear": SHEAR["shear"] | {"shear_angle": 115}}
    source = SOURCE | {"dx": 0.8, "dy": 1.4, "position_angle": 160}
    found, expected = arcs([turned, shear], source), arcs([SIE, SHEAR], SOURCE)
    np.testing.assert_allclose(np.rot90(found), expected, atol=MEDIAN * expected.max())


def test_lensed_galaxies_add_up():
    other = SOURCE | {"dx": -3.0, "flux": 2.0}
    both = [{"sersic": SOURCE, "lensed": True}, {"sersic": other, "lensed": True, "name": "b"}]
    found = images([SIE, SHEAR, *both]).image.values[0]
    expected = arcs([SIE, SHEAR], SOURCE) + arcs([SIE, SHEAR], other)
    np.testing.assert_allclose(found, expected, atol=1e-6 * expected.max())


# --- singular cases ------------------------------------------------------------------------------

CENTRAL = {"dx": 0, "dy": 0}
HERE_AND_THERE = {"dx": {"uniform": [-15, 15]}, "dy": {"uniform": [-15, 15]}}
SINGULAR = {
    "ring": ([{"sis": {"einstein_radius": 7.3}}], SOURCE | CENTRAL | {"axis_ratio": 1}),
    "point in a ring": ([{"sis": {"einstein_radius": 7.3}}],
                        SOURCE | CENTRAL | {"half_light_radius": 0.01}),
    "on a caustic": ([SIE, SHEAR], SOURCE | {"dx": 7.3, "dy": 0.0}),
    "no shear": ([SIE, {"shear": {"strength": 0}}], SOURCE),
    "round": ([{"sie": SIE["sie"] | {"axis_ratio": 1}}], SOURCE),
    "shallow": ([{"power_law": SIE["sie"] | {"slope": 1.5}}], SOURCE),
    "steep": ([{"power_law": SIE["sie"] | {"slope": 2.5}}], SOURCE),
    "on a pixel": ([{"sie": SIE["sie"] | {"dx": 0.5, "dy": -0.5}}], SOURCE),
    "two at one place": ([SIE, {"sis": {"einstein_radius": 0.5, "dx": 3.0}, "repeat": 3}], SOURCE),
    "hundreds": (
        [SIE, {"sis": {"einstein_radius": 0.05} | HERE_AND_THERE, "repeat": 300}],
        SOURCE,
    ),
    "far away": ([SIE, SHEAR], SOURCE | {"dx": {"uniform": [10, 1000]}}),
    "dark": ([SIE, SHEAR], SOURCE | {"flux": 0}),
}  # fmt: skip


@pytest.mark.parametrize("name", SINGULAR)
def test_singular_cases_have_an_image(name):
    masses, source = SINGULAR[name]
    found = arcs(masses, source)
    assert np.isfinite(found).all()
    assert found.min() > -1e-4 * max(found.max(), 1e-3)
    assert (found.sum() > 0.5) == (name not in ("far away", "dark"))
