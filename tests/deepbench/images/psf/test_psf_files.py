"""Point spread functions from files: what they say, how light looks behind them, and what is refused."""

import hashlib
import json

import galsim
import numpy as np
import pytest
from astropy.io import fits

from deepbench.errors import LabelError, RecipeError
from deepbench.images.galaxies.image_psf import half_widths
from deepbench.images.psf import psf_files
from deepbench.images.psf.psf_files import PsfFile, samples_of
from deepbench.recipe import load_recipe
from deepbench.samples import render

STRICT = galsim.GSParams(
    folding_threshold=1e-4, maxk_threshold=1e-5, kvalue_accuracy=1e-7, maximum_fft_size=16384
)
PLACE = galsim.PositionD(31.3, 26.8)  # GalSim counts pixels from 1
STAR = {"star": {"x": 30.3, "y": 25.8, "flux": 1000.0, "stamp_flux": 0.99999}}
GALAXY = {
    "x": 30.3,
    "y": 25.8,
    "flux": 1000.0,
    "sersic_index": 2.0,
    "half_light_radius": 2.5,
    "axis_ratio": 0.5,
    "position_angle": 20.0,
}
SERSIC = {"sersic": GALAXY}
ARMS = {"bulge_half_light_radius": 1.0, "disk_half_light_radius": 3.0, "inner_radius": 1.0}
SPIRAL = {"x": 30.3, "y": 25.8, "flux": 1000.0, "bulge_fraction": 0.2, "pitch_angle": 20.0} | ARMS
PSF = {"file": "psf.npy", "oversampling": 4, "includes_pixel": False}


LOPSIDED = PSF | {"center": "array"}
"""The PSF in the file is meant to have its centroid beside its middle."""


def recipe(folder, objects, size=(56, 64), samples=1, **table):
    described = {"kind": "image", "samples": samples, "size": list(size), "pixel_scale": 1.0}
    described |= {"psf": {"image": PSF}, "classes": {"a": {"objects": objects}}}
    head = {"name": "a", "version": "1.0.0", "title": "A", "seed": 5}
    path = folder / "recipe.yaml"
    path.write_text(json.dumps({**head, "tables": {"images": described | table}}))
    return load_recipe(path)


def image(folder, objects, size=(56, 64), **table):
    return render(recipe(folder, objects, size, **table), "images").image.values[0]


def sampled(profile, oversampling, shape):
    """Return a profile of GalSim at the samples of an array, whose centre is the profile's."""
    drawn = profile.drawImage(
        nx=shape[1], ny=shape[0], scale=1 / oversampling, method="no_pixel", dtype=float
    )
    return drawn.array


def lopsided(fwhm=3.0):
    """Return a PSF without any symmetry: a core, and two fainter blobs."""
    core = galsim.Gaussian(fwhm=fwhm).shear(g1=0.1, g2=0.15)
    right = galsim.Gaussian(fwhm=fwhm, flux=0.3).shift(3.0, 0.5)
    above = galsim.Gaussian(fwhm=fwhm, flux=0.15).shift(-1.0, 4.0)
    return core + right + above


def kept(folder, samples):
    """Return the name of a file with samples that no new build would take, in a release."""
    (folder / "inputs").mkdir(exist_ok=True)
    np.save(folder / "inputs/psf.npy", samples)
    sha256 = _sha256(folder / "inputs/psf.npy")
    name = f"inputs/{sha256[:12]}.npy"
    (folder / "inputs/psf.npy").rename(folder / name)
    return name


def largest_difference(found, expected):
    """Return the largest difference inside the stamp, as a part of the peak."""
    inside = found != 0
    assert inside.sum() > 100
    return np.abs(found - expected)[inside].max() / expected.max()


# --- like the functions that they sample -------------------------------------------------------------------------


ANALYTIC = {
    "gaussian": (
        {"fwhm": 3.0, "axis_ratio": 0.6, "position_angle": 30.0},
        galsim.Gaussian(fwhm=3.0).shear(q=0.6, beta=30 * galsim.degrees),
        (4, 30),
        1e-5,
    ),
    "moffat": ({"fwhm": 2.5, "beta": 4.5}, galsim.Moffat(4.5, fwhm=2.5), (5, 80), 3e-5),
}


@pytest.mark.parametrize("body", [STAR, SERSIC, {"spiral": SPIRAL}], ids=["star", "sersic", "arms"])
@pytest.mark.parametrize("kind", ["gaussian", "moffat"])
def test_a_sampled_function_is_that_function(tmp_path, kind, body):
    described, profile, (oversampling, extent), tolerance = ANALYTIC[kind]
    side = oversampling * extent + 1
    np.save(tmp_path / "psf.npy", 3.5 * sampled(profile, oversampling, (side, side)))
    through = {"image": PSF | {"oversampling": oversampling}}
    found, expected = (image(tmp_path, [body], psf=psf) for psf in (through, {kind: described}))
    assert largest_difference(found, expected) < tolerance


@pytest.mark.slow
@pytest.mark.parametrize(
    "body",
    [
        {"sersic": GALAXY | {"truncation": 6.0}},
        {"sersic": GALAXY | {"stamp_flux": 0.99}},
        {"sersic": GALAXY | {"x": 66.0, "sersic_index": 4.0}},
        {"sersic": GALAXY | {"half_light_radius": 9.0, "sersic_index": 4.0}},
        {"star": STAR["star"] | {"x": -3.0, "y": 57.5}},
    ],
    ids=["truncated", "stamp", "outside", "large", "star outside"],
)
def test_wherever_the_light_is(tmp_path, body):
    described, profile, _, _ = ANALYTIC["gaussian"]
    np.save(tmp_path / "psf.npy", sampled(profile, 4, (121, 121)))
    found, expected = image(tmp_path, [body]), image(tmp_path, [body], psf={"gaussian": described})
    both = (found != 0) & (expected != 0)
    np.testing.assert_allclose(found[both], expected[both], atol=2e-7 * 1000)
    assert both.sum() > 20


def test_just_enough_samples(tmp_path):
    """Samples 1.2 pixels of the fwhm apart leave 1e-3 of the transform beyond them."""
    np.save(tmp_path / "psf.npy", sampled(galsim.Gaussian(fwhm=2.6), 1, (33, 33)))
    through = {"image": PSF | {"oversampling": 1}}
    for body in (STAR, SERSIC):
        expected = image(tmp_path, [body], psf={"gaussian": {"fwhm": 2.6}})
        assert largest_difference(image(tmp_path, [body], psf=through), expected) < 1e-3


def test_an_airy_pattern_of_which_the_file_holds_a_part(tmp_path):
    """Its rings reach beyond any file; what the file leaves out is given to the rest."""
    pattern = galsim.Airy(lam_over_diam=2.4, obscuration=0.3)
    samples = sampled(pattern, 4, (801, 801))
    np.save(tmp_path / "psf.npy", samples)
    seen = galsim.Convolve(pattern, galsim.Pixel(1.0)).withFlux(1000 / samples.sum())
    drawn = seen.drawImage(galsim.Image(64, 56, scale=1), method="no_pixel", center=PLACE)
    assert largest_difference(image(tmp_path, [STAR]), drawn.array) < 1e-4


# --- like GalSim -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("includes_pixel", [False, True])
@pytest.mark.parametrize("shape", [(121, 121), (120, 130), (97, 128)])
@pytest.mark.parametrize("body", [STAR, SERSIC], ids=["star", "sersic"])
def test_an_image_is_seen_as_galsim_sees_it(tmp_path, body, shape, includes_pixel):
    samples = sampled(lopsided(), 4, shape)
    np.save(tmp_path / "psf.npy", samples * 0.02)
    through = {"image": LOPSIDED | {"includes_pixel": includes_pixel}}
    found = image(tmp_path, [body], psf=through)
    seen = galsim.InterpolatedImage(
        galsim.Image(samples, scale=0.25), x_interpolant="lanczos30", gsparams=STRICT
    )
    if body is SERSIC:
        round_galaxy = galsim.Sersic(2.0, half_light_radius=2.5, gsparams=STRICT)
        seen = galsim.Convolve(seen, round_galaxy.shear(q=0.5, beta=20 * galsim.degrees))
    method = "no_pixel" if includes_pixel else "auto"
    drawn = seen.withFlux(1000.0).drawImage(
        galsim.Image(64, 56, scale=1), method=method, center=PLACE
    )
    assert largest_difference(found, drawn.array) < 1e-4


def test_x_is_to_the_right_and_y_upwards(tmp_path):
    samples = np.zeros((7, 9))
    samples[3, 4], samples[3, 7], samples[5, 4] = 4.0, 2.0, 1.0
    name = kept(tmp_path, samples)
    through = {"image": PSF | {"file": name, "oversampling": 1, "includes_pixel": True}}
    found = image(tmp_path, [{"star": {"x": 30, "y": 20, "flux": 7.0}}], psf=through)
    np.testing.assert_allclose(
        [found[20, 30], found[20, 33], found[22, 30]], [4.0, 2.0, 1.0], atol=2e-5
    )
    assert found.sum(dtype=float) == pytest.approx(7.0, abs=1e-4)


# --- stamps, bands, bits -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("stamp_flux", [0.9, 0.99, 0.9999])
def test_a_stamp_holds_the_flux_it_promises(tmp_path, stamp_flux):
    np.save(tmp_path / "psf.npy", sampled(galsim.Moffat(2.5, fwhm=2.0, trunc=40), 4, (321, 321)))
    for kind, values in (("star", STAR["star"]), ("sersic", GALAXY)):
        body = {kind: values | {"x": 150.2, "y": 150.7, "stamp_flux": stamp_flux}}
        found = image(tmp_path, [body], size=(300, 300))
        assert 1000 * stamp_flux < found.sum(dtype=float) < 1000.5
        assert (found == 0).any()


def test_the_squares_of_a_uniform_image_are_known(tmp_path):
    through = {"image": PSF | {"file": kept(tmp_path, np.ones((100, 100)))}}
    described = recipe(tmp_path, [STAR], psf=through).tables["images"].psf.image
    (file,) = described.files({}, 1.0, 1)
    # 50 of 100 samples along an axis hold a quarter of the light: 25 samples, and half of a pixel
    np.testing.assert_allclose(half_widths(file, np.array([0.7501, 0.0])), [6.75, 13.0])


def test_each_band_and_object_may_have_its_own(tmp_path):
    np.save(tmp_path / "psf.npy", sampled(lopsided(), 4, (121, 121)))
    np.save(tmp_path / "wide.npy", sampled(lopsided(5.0), 2, (81, 80)))
    wide = {"image": LOPSIDED | {"file": "wide.npy", "oversampling": 2}}
    exposed = {"zero_point": 25.0, "exposure_time": 1.0, "sky_brightness": 22.0, "read_noise": 1.0}
    exposed |= {"full_well": 1e5, "gain": 1.0}
    psfs = {"g": {"image": LOPSIDED}, "r": wide, "i": {"moffat": {"fwhm": 3.0, "beta": 3.0}}}
    bands = {name: exposed | {"psf": psf} for name, psf in psfs.items()}
    camera = {"pixel_scale": 1.0, "unit": "flux", "bands": bands}
    objects = [STAR, SERSIC, {"name": "other", "sersic": GALAXY | {"x": 12.0, "psf": wide}}]
    described = recipe(
        tmp_path, objects, psf=None, pixel_scale=None, instrument=camera, planes=["image_true"],
        measure=True,
    )  # fmt: skip
    found = render(described, "images")["image_true"].values[0]
    for plane, psf in zip(found, psfs.values(), strict=True):
        alone = image(tmp_path, objects, psf=psf)
        np.testing.assert_allclose(plane, alone, atol=1e-6 * alone.max())


def test_bits_do_not_depend_on_the_batch(tmp_path):
    np.save(tmp_path / "psf.npy", sampled(lopsided(), 4, (121, 121)))
    np.save(tmp_path / "wide.npy", sampled(lopsided(5.0), 2, (81, 80)))
    wide = {"image": LOPSIDED | {"file": "wide.npy", "oversampling": 2, "includes_pixel": True}}
    prior = {"x": {"uniform": [0, 64]}, "y": {"uniform": [0, 56]}, "flux": {"uniform": [1, 9]}}
    shape = {"half_light_radius": {"uniform": [1, 6]}, "sersic_index": {"uniform": [0.5, 4]}}
    many = {"repeat": {"integers": [0, 4]}}
    objects = [
        {"sersic": prior | shape | {"stamp_flux": 0.97}, **many},
        {"star": prior, **many},
        {"star": prior | {"psf": wide}, "name": "other", **many},
    ]
    described = recipe(tmp_path, objects, samples=100, psf={"image": LOPSIDED})
    every = render(described, "images").image.values
    for start, stop in ((0, 1), (7, 8), (31, 97)):
        some = render(described, "images", start, stop).image.values
        np.testing.assert_array_equal(some, every[start:stop])


# --- files -------------------------------------------------------------------------------------------------------


def test_a_fits_file_says_what_an_array_says(tmp_path):
    values = np.round(30000 * sampled(lopsided(), 2, (41, 60)) / 0.03) / 30000
    np.save(tmp_path / "a.npy", values)
    np.save(tmp_path / "b.npy", np.asfortranarray(values.astype(np.float32)))
    fits.PrimaryHDU(values.astype(np.float32)).writeto(tmp_path / "c.fits")
    scaled = fits.PrimaryHDU(values.copy())  # scaled in place
    scaled.scale("int16", bscale=1 / 30000, bzero=0.25)
    scaled.writeto(tmp_path / "d.fits")
    table = fits.BinTableHDU.from_columns([fits.Column("a", "D", array=np.arange(900.0))])
    cube = fits.ImageHDU(np.zeros((2, 3, 4), np.int64))
    hdus = [fits.PrimaryHDU(), table, cube, fits.ImageHDU(values, name="PSF")]
    fits.HDUList(hdus).writeto(tmp_path / "e.fits")
    fits.PrimaryHDU(np.rint(values * 30000).astype(np.uint16)).writeto(tmp_path / "f.fits")
    for path in sorted(tmp_path.glob("?.*")):
        found = samples_of(PsfFile(path, _sha256(path), 2, False))
        np.testing.assert_allclose(found, values / values.sum(), rtol=2e-6, atol=3e-7 * found.max())
        if path.suffix == ".fits":
            with fits.open(path) as opened:
                data = next(hdu.data for hdu in opened if hdu.header["NAXIS"] == 2 and hdu.is_image)
            expected = data.astype(np.float64)
            np.testing.assert_allclose(found, expected / expected.sum(), atol=1e-7 * found.max())


def _sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write(path, content):
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif path.suffix == ".npy":
        np.save(path, content, allow_pickle=True)
    else:
        content.writeto(path)


ONES = np.ones((8, 8))
SPOT = np.outer(*[np.exp(-0.5 * ((np.arange(12) - 5.5) / 1.3) ** 2)] * 2)


def header(*cards):
    text = "".join(f"{card:<80}" for card in ("SIMPLE  =                    T", *cards, "END"))
    return text.encode().ljust(2880, b" ")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.npy", None, "cannot be read: No such file"),
        ("a.txt", b"1 2 3", r"must be a \.npy or a \.fits file"),
        ("a.npy", b"1 2 3", r"is not a \.npy file"),
        ("a.npy", np.ones(8), "two dimensions, not 1"),
        ("a.npy", np.ones((0, 4)), "is empty: it has 0 × 4"),
        ("a.npy", np.ones((1, 4097), np.uint8), "at most 4096 × 4096"),
        ("a.npy", bytes(2**26 + 1), "a point spread function at most 67,108,864"),
        ("a.npy", np.array([[1.0, np.nan]]), r"finite numbers, but the sample \[0, 1\] is nan"),
        ("a.npy", np.array([[1.0, -1.0]]), "a sum above 0; it is 0"),
        ("a.npy", np.array([["a", None]], object), "numbers of at most 64 bits, not object"),
        ("a.npy", ONES.astype(complex), "numbers of at most 64 bits, not complex128"),
        ("a.npy", ONES > 0, "numbers of at most 64 bits, not bool"),
        ("a.fits", b"1 2 3", "is not a FITS file"),
        ("a.fits", fits.PrimaryHDU(), "has no image of two dimensions"),
        ("a.fits", fits.PrimaryHDU(np.ones((1, 4097), np.uint8)), "at most 4096 × 4096"),
        ("a.fits", b"SIMPLE  =                    T", "ends within a header"),
        ("a.fits", header("BITPIX  = 16", "NAXIS   = 2", "NAXIS1  = 4", "NAXIS2  = 4"), "ends within its image"),
        ("a.fits", header("BITPIX  = 17", "NAXIS   = 2"), "its BITPIX is 17"),
        ("a.fits", header("BITPIX  = 16", "NAXIS   = 2", "NAXIS1  = 4"), "its NAXIS2 is missing"),
        ("a.fits", header("BITPIX  = 16", "NAXIS   = two"), "its NAXIS is 'two'"),
    ],
)  # fmt: skip
def test_what_is_refused(tmp_path, name, content, message):
    if content is not None:
        write(tmp_path / name, content)
    place = r"tables\.images\.psf\.image: .*"
    with pytest.raises(RecipeError, match=place + message):
        recipe(tmp_path, [STAR], psf={"image": PSF | {"file": name}})


def test_a_damaged_array_is_refused(tmp_path):
    np.save(tmp_path / "psf.npy", ONES)
    (tmp_path / "psf.npy").write_bytes((tmp_path / "psf.npy").read_bytes()[:-8])
    with pytest.raises(RecipeError, match="is damaged: it ends within its array"):
        recipe(tmp_path, [STAR])


def test_an_undefined_pixel_of_a_fits_file_is_refused(tmp_path):
    hdu = fits.PrimaryHDU(ONES.astype(np.int16))
    hdu.header["BLANK"] = 1
    hdu.writeto(tmp_path / "a.fits")
    with pytest.raises(RecipeError, match=r"the sample \[0, 0\] is nan"):
        recipe(tmp_path, [STAR], psf={"image": PSF | {"file": "a.fits"}})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"oversampling": 0}, "greater than or equal to 1"),
        ({"oversampling": 1.5}, "oversampling"),
        ({"oversampling": None}, "oversampling"),
        ({"includes_pixel": 1}, "includes_pixel"),
        ({"fwhm": 3.0}, "fwhm"),
        ({"sha256": "0" * 64}, "is another file than meant"),
    ],
)
def test_values_that_are_refused(tmp_path, changes, message):
    np.save(tmp_path / "psf.npy", SPOT)
    with pytest.raises(RecipeError, match=message):
        recipe(tmp_path, [STAR], psf={"image": PSF | changes})


def test_shapes_are_not_seen_through_an_image(tmp_path):
    np.save(tmp_path / "psf.npy", SPOT)
    with pytest.raises(RecipeError, match="a circle can be blurred by a round"):
        recipe(tmp_path, [{"circle": {"x": 3, "y": 3, "radius": 2}}])


def test_the_hash_follows_the_content_not_the_name(tmp_path):
    np.save(tmp_path / "psf.npy", SPOT)
    np.save(tmp_path / "other.npy", SPOT)
    first = recipe(tmp_path, [STAR])
    named = recipe(tmp_path, [STAR], psf={"image": PSF | {"file": "other.npy"}})
    assert first.hash == named.hash
    np.save(tmp_path / "psf.npy", SPOT**1.1)
    assert recipe(tmp_path, [STAR]).hash != first.hash
    for changes in ({"includes_pixel": True}, {"oversampling": 3}):
        through = {"image": PSF | {"file": "other.npy"} | changes}
        assert recipe(tmp_path, [STAR], psf=through).hash != first.hash
    psf_files.stack_of.cache_clear()
    psf_files._samples.cache_clear()
    with pytest.raises(LabelError, match="has changed"):
        render(first, "images")
