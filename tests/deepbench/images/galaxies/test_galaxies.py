"""Galaxies in recipes: Sérsic profiles behind each PSF, alone, composed, and beside stars and shapes."""

import json

import galsim
import numpy as np
import pytest

from deepbench.errors import LabelError, RecipeError
from deepbench.images.galaxies.fourier import render_components
from deepbench.recipe import parse_recipe
from deepbench.samples import labels, objects, render
from tests.sky_rows import airy_row, component_rows

SCALE = 0.2
SIZE = (48, 64)
PSFS = {
    "gaussian": {"sigma": 1.3},
    "moffat": {"fwhm": 0.7, "beta": 2.5},
    "airy": {"fwhm": 0.6, "obscuration": 0.3},
    "kolmogorov": {"fwhm": 0.8},
}
DISK = {
    "dx": 0.31,
    "dy": -0.23,
    "flux": 1000.0,
    "sersic_index": 1.0,
    "half_light_radius": 0.9,
    "axis_ratio": 0.6,
    "position_angle": 37.0,
}
BULGE = DISK | {"sersic_index": 4.0, "half_light_radius": 0.5, "axis_ratio": 0.8}


def recipe(*entries, psf="moffat", samples=2, **table):
    described = {
        "kind": "image",
        "samples": samples,
        "size": list(SIZE),
        "pixel_scale": SCALE,
        "psf": {psf: PSFS[psf]} if isinstance(psf, str) else psf,
        "classes": {"a": {"objects": list(entries)}},
    } | table
    described = {key: value for key, value in described.items() if value is not None}
    data = {"name": "a", "version": "1.0.0", "title": "A", "seed": 3, "tables": {"t": described}}
    return parse_recipe(json.dumps(data))


def draw(*entries, **keywords):
    return render(recipe(*entries, **keywords), "t")["image"].values


def reference(body, psf):
    """Return what GalSim draws."""
    strict = galsim.GSParams(folding_threshold=1e-3, maxk_threshold=1e-4, kvalue_accuracy=1e-6)
    galaxy = galsim.Sersic(
        body["sersic_index"],
        half_light_radius=body["half_light_radius"],
        flux=body["flux"],
        gsparams=strict,
    )
    angle = body["position_angle"] * galsim.degrees
    galaxy = galaxy.shear(q=body["axis_ratio"], beta=angle).shift(body["dx"], body["dy"])
    own = PSFS[psf]
    seen = {
        "gaussian": lambda: galsim.Gaussian(sigma=PSFS["gaussian"]["sigma"] * SCALE),
        "moffat": lambda: galsim.Moffat(PSFS["moffat"]["beta"], fwhm=own["fwhm"]),
        "kolmogorov": lambda: galsim.Kolmogorov(fwhm=own["fwhm"]),
    }[psf]()
    ny, nx = SIZE
    return galsim.Convolve(galaxy, seen, gsparams=strict).drawImage(nx=nx, ny=ny, scale=SCALE).array


@pytest.mark.parametrize("psf", ["gaussian", "moffat", "kolmogorov"])
@pytest.mark.parametrize("body", [DISK, BULGE], ids=["disk", "bulge"])
def test_a_galaxy_is_that_of_galsim(body, psf):
    image, other = draw({"sersic": body}, psf=psf)[0], reference(body, psf)
    assert np.abs(image - other).max() < 1e-4 * other.max()
    assert image.sum(dtype=np.float64) == pytest.approx(other.sum(dtype=np.float64), rel=1e-3)


@pytest.mark.parametrize("psf", PSFS)
def test_flux_is_that_of_the_plane(psf):
    image = draw({"sersic": DISK | {"half_light_radius": 0.3}}, psf=psf)[0]
    assert 930 < image.sum(dtype=np.float64) < 1000.5


@pytest.mark.parametrize("field", DISK)
def test_every_parameter_of_a_galaxy_changes_the_image(field):
    changed = DISK | {field: DISK[field] * 1.1}
    before, after = draw({"sersic": DISK})[0], draw({"sersic": changed})[0]
    assert np.abs(after - before).max() > 0.01 * before.max()
    if field == "flux":
        np.testing.assert_allclose(after, 1.1 * before, atol=1e-5 * before.max())


def test_pixels_or_arcsec_are_the_same_place():
    place = {"x": 31.5 + DISK["dx"] / SCALE, "y": 23.5 + DISK["dy"] / SCALE}
    other = {key: value for key, value in DISK.items() if key not in ("dx", "dy")} | place
    first, second = draw({"sersic": DISK}), draw({"sersic": other})
    np.testing.assert_allclose(first, second, atol=1e-5 * first.max())


def test_light_adds():
    star = {"star": {"x": 10.0, "y": 12.0, "flux": 300.0}}
    together = draw({"sersic": DISK}, {"sersic": BULGE}, star)[0]
    alone = [draw(entry)[0] for entry in ({"sersic": DISK}, {"sersic": BULGE}, star)]
    np.testing.assert_allclose(together, sum(alone), atol=1e-5 * together.max())


CROWD = {
    "x": {"uniform": [0, 63]},
    "y": {"uniform": [0, 47]},
    "flux": {"log_uniform": [100, 1000]},
    "sersic_index": {"uniform": [0.5, 4]},
    "half_light_radius": {"log_uniform": [0.2, 1]},
    "axis_ratio": {"uniform": [0.3, 1]},
    "position_angle": {"uniform": [0, 180]},
}


def test_rows_and_batches():
    made = recipe({"sersic": CROWD, "repeat": {"integers": [0, 5]}}, samples=40)
    every = render(made, "t")["image"].values
    backwards = {"labels": labels(made, "t").iloc[::-1], "objects": objects(made, "t")}
    np.testing.assert_array_equal(render(made, "t", **backwards)["image"].values[::-1], every)
    np.testing.assert_array_equal(render(made, "t", 17, 19)["image"].values, every[17:19])


@pytest.mark.parametrize(
    ("change", "table", "message"),
    [
        ({"sersic_index": 7}, {}, "sersic_index: must be .* at most 6.2"),
        ({"half_light_radius": 0}, {}, "half_light_radius: must be a number above 0"),
        ({"axis_ratio": 0.01}, {}, "axis_ratio: must be .* at least 0.05"),
        ({"flux": -1}, {}, "flux: must be .* at least 0"),
        ({"radius": 3}, {}, "unknown key 'radius'"),
        ({}, {"psf": None}, "a sersic is seen through a PSF: add `psf`"),
        ({}, {"size": [64, 513]}, "drawn on the whole frame, of at most 512 pixels a side"),
        (
            {},
            {"psf": {"moffat": {"fwhm": 1, "beta": 3, "truncation": 4}}},
            "a sersic cannot be seen through a truncated moffat",
        ),
    ],
)
def test_what_cannot_be_is_refused(change, table, message):
    with pytest.raises(RecipeError, match=message):
        recipe({"sersic": DISK | change}, **table)


def test_the_radius_needs_a_scale():
    place = {"x": 1, "y": 1}
    body = {key: value for key, value in DISK.items() if key not in ("dx", "dy")} | place
    with pytest.raises(
        RecipeError, match="the radius of a sersic is given in arcsec: add `pixel_sc"
    ):
        recipe({"sersic": body}, psf="gaussian", pixel_scale=None)


def test_a_psf_too_narrow_for_galaxies_is_refused():
    with pytest.raises(RecipeError, match="the PSF of a sersic can be 1 pixels wide .* be 1.2 or"):
        draw({"sersic": DISK}, psf={"moffat": {"fwhm": {"uniform": [0.2, 0.9]}, "beta": 3}})
    with pytest.raises(LabelError, match="the full width .* is 1 pixels, it must be 1.2 or more"):
        draw({"sersic": DISK}, psf={"moffat": {"fwhm": "= 0.2", "beta": 3}})


@pytest.mark.slow
@pytest.mark.parametrize(("width", "obscuration"), [(0.486, 0.0), (0.6, 0.33), (1.0, 0.33)])
@pytest.mark.parametrize("galaxy", [(1.0, 3.0, 0.6), (2.5, 4.0, 0.3), (4.0, 3.0, 0.8)])
def test_narrow_diffraction_is_that_of_galsim(galaxy, width, obscuration):
    """Airy's pattern lets waves shorter than a pixel pass: they fold in, down to half a pixel."""
    index, size, ratio = galaxy
    strict = galsim.GSParams(
        folding_threshold=5e-4, maxk_threshold=1e-4, kvalue_accuracy=1e-6, maximum_fft_size=8192
    )
    frames = np.zeros((1, 64, 64), np.float32)
    row = component_rows([1.0, 31.7, 32.2, size, ratio, 30.0, index])
    render_components(frames, np.array([0, 1]), row, airy_row(width, obscuration))
    seen = galsim.Airy(lam_over_diam=width, obscuration=obscuration, gsparams=strict)
    light = galsim.Sersic(index, half_light_radius=size, gsparams=strict)
    light = light.shear(q=ratio, beta=30 * galsim.degrees)
    image = galsim.Image(64, 64, scale=1.0, dtype=float)
    galsim.Convolve(light, seen).drawImage(image, offset=(0.2, 0.7))
    np.testing.assert_allclose(frames[0], image.array, atol=2e-6 * image.array.max())
    assert frames.sum(dtype=float) == pytest.approx(image.array.sum(), abs=5e-5)
