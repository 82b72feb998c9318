"""Point spread functions from files before they are believed: what is refused or warned about, with its number."""

import hashlib
import json
import warnings

import galsim
import numpy as np
import pytest
from astropy.io import fits

from deepbench.errors import InputWarning, RecipeError
from deepbench.images.psf.psf_checks import transform_left
from deepbench.images.psf.psf_files import PsfFile, centre_of, peak_of, samples_of
from deepbench.recipe import load_recipe
from deepbench.samples import labels, render

PSF = {"file": "psf.npy", "oversampling": 1, "includes_pixel": False}
STAR = {"star": {"x": 20.0, "y": 20.0, "flux": 1000.0}}


def recipe(folder, size=41, samples=1, pixel_scale=1.0, **psf):
    table = {"kind": "image", "samples": samples, "size": [size, size], "pixel_scale": pixel_scale}
    table |= {"psf": {"image": PSF | psf}, "classes": {"a": {"objects": [STAR]}}}
    head = {"name": "a", "version": "1.0.0", "title": "A", "seed": 5}
    (folder / "recipe.yaml").write_text(json.dumps({**head, "tables": {"images": table}}))
    return load_recipe(folder / "recipe.yaml")


def image(folder, **psf):
    return render(recipe(folder, **psf), "images").image.values[0]


def gaussian(shape=(25, 25), sigma=1.5, dx=0.0, dy=0.0):
    """Return samples of a Gaussian that is off the middle of the array."""
    y, x = ((np.arange(n) - (n - 1) / 2 - d) / sigma for n, d in zip(shape, (dy, dx), strict=True))
    return np.exp(-0.5 * (y[:, None] ** 2 + x**2))


STAMP = gaussian()


@pytest.fixture
def psf(tmp_path):
    """Return a function that writes samples and reads a recipe that names them."""

    def write(samples, **changes):
        np.save(tmp_path / "psf.npy", samples)
        return recipe(tmp_path, **changes)

    return write


def test_a_pedestal_is_refused_with_its_number(psf):
    """As archives keep stamps: a soft bias of 1,000 counts below a star of 30,000, which holds 60 % of all."""
    counts = (30_000 * STAMP + 1000).astype(np.uint16)
    share = counts.sum() - counts[1:-1, 1:-1].sum()
    with pytest.raises(RecipeError, match=f"has {share / counts.sum():.2%} of the light") as error:
        psf(counts)
    level = 1000 * counts.size / counts.sum()
    assert f"the whole array {level:.2%}; allowed are 1% and 10%: write `subtract: border`" in str(
        error.value
    )


def test_a_pedestal_in_a_large_array_is_refused_although_its_border_is_faint(psf):
    with pytest.raises(
        RecipeError, match=r"has 0\.[0-9]+% of the light, and a level .* 9[0-9]\.[0-9]+%"
    ):
        psf(30_000 * gaussian((1000, 1001)) + 1000)


def test_the_border_is_subtracted(psf):
    expected = render(psf(STAMP), "images").image.values
    counts = 30_000 * STAMP + 1000
    found = render(psf(counts, subtract="border"), "images").image.values
    np.testing.assert_allclose(found, expected, atol=1e-6 * expected.max())
    counts[0, 3] += 600  # a faint neighbour, which the median does not mind
    found = render(psf(counts, subtract="border"), "images").image.values
    middle = np.s_[:, 14:27, 14:27]
    np.testing.assert_allclose(found[middle], expected[middle], atol=2e-3 * expected.max())
    counts[0, 3] += 50_000
    with pytest.raises(RecipeError, match="allowed are 1% and 10%: give a larger array"):
        psf(counts, subtract="border")


def test_wings_that_are_cut_are_refused(psf):
    with pytest.raises(RecipeError, match="or wings that are cut off"):
        psf(gaussian(sigma=6.0))


def test_a_level_that_may_be_wings_is_a_warning(psf):
    with pytest.warns(
        InputWarning, match=r"psf\.npy: the border .* whole array 2\.[0-9]+%: a level"
    ):
        psf(STAMP + 5e-4)


@pytest.mark.parametrize("sigma", [0.637, 0.85])
def test_samples_that_are_too_coarse_are_a_warning(psf, sigma):
    """The transform of a Gaussian at 0.9 π with its alias at 1.1 π, which has the other sign between samples."""
    at, alias = (np.exp(-0.5 * (k * np.pi * sigma) ** 2) for k in (0.9, 1.1))
    for shape, expected in (((25, 25), at + alias), ((24, 25), at + alias), ((24, 24), at - alias)):
        samples = gaussian(shape, sigma)
        assert transform_left(samples / samples.sum()) == pytest.approx(expected, rel=0.1)
    with pytest.warns(InputWarning, match=r"too coarse: its transform is [0-9.]+% at 90% of"):
        psf(gaussian(sigma=sigma))


def test_a_psf_that_is_all_right_passes_in_silence(psf):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        psf(STAMP)
        psf(gaussian((24, 25), 1.2, dx=0.09, dy=-0.09))
        psf(gaussian(dx=0.3, dy=0.3), oversampling=4)


# --- the centre --------------------------------------------------------------------------------------------------


def test_a_psf_off_its_centre_is_refused_with_its_offset(psf):
    message = r"its peak is \+1\.00 pixels in x and \+1\.00 in y and its centroid is \+1\.00 pixels"
    with pytest.raises(
        RecipeError, match=message + r".*write `center: peak` or `center: centroid`"
    ):
        psf(np.roll(STAMP, (1, 1), (0, 1)))
    with pytest.raises(RecipeError, match=r"\-0\.20 pixels in x and \+0\.00 in y"):
        psf(gaussian(dx=-0.8, sigma=3.0, shape=(41, 41)), oversampling=4)


@pytest.mark.parametrize("center", ["peak", "centroid"])
@pytest.mark.parametrize("offset", [(1.0, 1.0), (-0.37, 2.61)])
def test_the_centre_is_put_where_the_star_is(psf, center, offset):
    expected = render(psf(STAMP), "images").image.values
    moved = gaussian(dx=offset[0], dy=offset[1])
    found = render(psf(moved, center=center), "images").image.values
    both = (found != 0) & (expected != 0)
    np.testing.assert_allclose(found[both], expected[both], atol=3e-4 * expected.max())
    assert both.sum() > 200


def test_to_keep_the_array_s_centre_is_to_say_so(psf):
    moved = np.roll(STAMP, 2, 1)
    found = render(psf(moved, center="array"), "images").image.values[0]
    y, x = np.indices(found.shape)
    assert (found * x).sum() / found.sum() == pytest.approx(22.0, abs=1e-3)
    assert (found * y).sum() / found.sum() == pytest.approx(20.0, abs=1e-3)


def test_a_lopsided_psf_is_a_warning(psf):
    lopsided = gaussian((41, 41)) + 0.1 * gaussian((41, 41), dx=7.0)
    with pytest.warns(
        InputWarning, match=r"its centroid is \+0\.64 pixels in x and \+0\.00 in y off"
    ):
        psf(lopsided)
    for center in ("array", "peak", "centroid"):
        psf(lopsided, center=center)  # in silence


def test_peaks_between_samples(tmp_path):
    """The peak of a Gaussian is found wherever it is; other profiles within a tenth of a sample of GalSim's place."""
    for dx, dy in ((0.5, 0.5), (0.25, -0.4), (-0.123, 3.3)):
        y, x = peak_of(gaussian((24, 25), 1.1, dx, dy))
        np.testing.assert_allclose((y - 11.5, x - 12.0), (dy, dx), atol=1e-9)
    profile = galsim.Moffat(2.5, fwhm=3.0).shear(g1=0.2, g2=0.2).shift(0.3, -0.45)
    drawn = profile.drawImage(nx=41, ny=41, scale=1.0, method="no_pixel", dtype=float)
    y, x = peak_of(drawn.array)
    np.testing.assert_allclose((y - 20, x - 20), (-0.45, 0.3), atol=0.1)


def test_a_symmetric_array_has_its_centre_in_the_middle_bit_by_bit(tmp_path):
    for shape in ((24, 25), (25, 25)):
        np.save(tmp_path / "psf.npy", gaussian(shape))
        sha256 = hashlib.sha256((tmp_path / "psf.npy").read_bytes()).hexdigest()
        for center in ("array", "peak", "centroid"):
            file = PsfFile(tmp_path / "psf.npy", sha256, 1, False, center=center)
            assert centre_of(file) == ((shape[0] - 1) / 2, 12.0)


def test_a_centre_outside_of_the_samples_is_refused(psf):
    samples = gaussian(dx=8.0) - 0.25 * gaussian(dx=-8.0)
    with pytest.raises(RecipeError, match=r"has its centroid at y = .*, outside of its samples"):
        psf(samples, center="centroid")


# --- in a release ------------------------------------------------------------------------------------------------


def test_a_file_that_a_release_holds_is_taken_as_it_was(tmp_path):
    """Releases of before these questions still open and render; the same file elsewhere is refused."""
    np.save(tmp_path / "psf.npy", np.roll(STAMP, (1, 1), (0, 1)) + 0.1)
    content = (tmp_path / "psf.npy").read_bytes()
    name = f"inputs/{hashlib.sha256(content).hexdigest()[:12]}.npy"
    with pytest.raises(RecipeError, match="beside the light"):
        recipe(tmp_path)
    (tmp_path / "inputs").mkdir()
    (tmp_path / name).write_bytes(content)
    assert np.isfinite(image(tmp_path, file=name)).all()
    (tmp_path / "inputs/psf.npy").write_bytes(content)
    with pytest.raises(RecipeError, match="beside the light"):
        recipe(tmp_path, file="inputs/psf.npy")


# --- geometry ----------------------------------------------------------------------------------------------------


def test_a_sample_scale_is_an_oversampling(psf):
    """Samples 0.05 arcsec apart on pixels of 0.2 arcsec are four in a pixel: one hash for each, the same bits."""
    spot = gaussian((61, 60), sigma=4.0)
    by_number = psf(spot, oversampling=4, pixel_scale=0.2)
    by_scale = psf(spot, oversampling=None, sample_scale=0.05, pixel_scale=0.2)
    assert by_number.hash != by_scale.hash
    pixels = [render(each, "images").image.values for each in (by_number, by_scale)]
    np.testing.assert_array_equal(*pixels)


@pytest.mark.parametrize("scale", [0.03, 0.0567])
def test_samples_may_be_any_number_of_arcsec_apart(psf, scale):
    expected = render(psf(STAMP, pixel_scale=0.2), "images").image.values
    fine = gaussian((301, 300), sigma=1.5 * 0.2 / scale)
    found = render(psf(fine, oversampling=None, sample_scale=scale, pixel_scale=0.2), "images")
    both = (found.image.values != 0) & (expected != 0)
    np.testing.assert_allclose(found.image.values[both], expected[both], atol=2e-5 * expected.max())


def test_scales_that_are_refused(psf, tmp_path):
    with pytest.raises(RecipeError, match="either oversampling .* or sample_scale .*; it has both"):
        psf(STAMP, sample_scale=0.2)
    with pytest.raises(
        RecipeError, match="either oversampling .* or sample_scale .*; it has neither"
    ):
        psf(STAMP, oversampling=None)
    with pytest.raises(
        RecipeError, match=r"0\.5 samples per pixel of 0\.2 arcsec; allowed are 1 to 64"
    ):
        psf(STAMP, oversampling=None, sample_scale=0.4, pixel_scale=0.2)
    with pytest.raises(
        RecipeError, match=r"inf samples per pixel of 10 arcsec; allowed are 1 to 64"
    ):
        psf(STAMP, oversampling=None, sample_scale=1e-308, pixel_scale=10.0)
    with pytest.raises(RecipeError, match="is given in arcsec: add `pixel_scale`"):
        psf(STAMP, oversampling=None, sample_scale=0.4, pixel_scale=None)


@pytest.fixture
def several(tmp_path):
    """Three point spread functions in an array and in the HDU of a FITS file; the last is off its centre."""
    stack = np.stack([gaussian(sigma=1.5), gaussian(sigma=2.0), gaussian(dx=1.0)])
    np.save(tmp_path / "psf.npy", stack)
    extensions = [fits.ImageHDU(stack[1], name="wide"), fits.ImageHDU(stack, name="Cube")]
    fits.HDUList([fits.PrimaryHDU(stack[0]), *extensions]).writeto(tmp_path / "psf.fits")
    return stack


def test_one_of_several_is_drawn(tmp_path, several):
    described = recipe(tmp_path, samples=12, index={"choice": [0, 1]})
    drawn = labels(described, "images")["psf.index"]
    assert set(drawn) == {0, 1}
    found = render(described, "images").image.values
    for index in (0, 1):
        np.save(tmp_path / "one.npy", several[index])
        expected = image(tmp_path, file="one.npy")
        for each in found[drawn == index]:
            np.testing.assert_array_equal(each, expected)
    alone = render(described, "images", 5, 6).image.values[0]
    np.testing.assert_array_equal(alone, found[5])


def test_an_hdu_is_chosen_by_number_or_name(tmp_path, several):
    narrow, wide = (image(tmp_path, index=index) for index in (0, 1))
    same = [{"hdu": 0}, {}, {"hdu": 2, "index": 0}, {"index": 0}, {"hdu": "cube", "index": 0}]
    for changes in same:
        np.testing.assert_array_equal(image(tmp_path, file="psf.fits", **changes), narrow)
    for changes in ({"hdu": 1}, {"hdu": "WIDE"}, {"index": 1}):
        np.testing.assert_array_equal(image(tmp_path, file="psf.fits", **changes), wide)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"index": {"integers": [0, 2]}}, r"index 2, is off its centre: its peak is \+1\.00"),
        ({"index": "= 1 + 1"}, r"index 2, is off its centre"),
        ({"index": 3}, "has 3 point spread functions, numbered 0 to 2; the index is 3"),
        ({"index": 0.5}, "must be a whole number"),
        ({"index": -1}, "a whole number at least 0"),
        ({}, "must have two dimensions, not 3; choose one of its .* with `index`"),
        ({"hdu": 1, "index": 0}, "is no FITS file: leave out `hdu`"),
        ({"file": "psf.fits", "hdu": 2}, "no image of two dimensions in the HDU 2; HDU 0 has 25 × 25, .*HDU 2 has 3 ×"),
        ({"file": "psf.fits", "hdu": 7}, "no image of two dimensions in the HDU 7"),
        ({"file": "psf.fits", "hdu": 1, "index": 0}, "no image of three dimensions in the HDU 1"),
        ({"file": "psf.fits", "hdu": -1}, "the number of an HDU, from 0, or its EXTNAME, not -1"),
        ({"file": "psf.fits", "hdu": ""}, "the number of an HDU, from 0, or its EXTNAME"),
    ],
)  # fmt: skip
def test_choices_that_are_refused(tmp_path, several, changes, message):
    with pytest.raises(RecipeError, match=message):
        recipe(tmp_path, **changes)


def test_an_index_beyond_the_file_is_refused_in_labels(tmp_path, several):
    described = recipe(tmp_path, index=0)
    frame = labels(described, "images")
    frame["psf.index"] = 3.0
    with (
        pytest.warns(UserWarning, match="beyond what the recipe draws"),
        pytest.raises(ValueError, match="numbered 0 to 2; the index is 3"),
    ):
        render(described, "images", labels=frame)


def test_one_image_alone_has_no_index(psf):
    with pytest.raises(RecipeError, match="must have three dimensions, not 2.*leave out `index`"):
        psf(STAMP, index=0)


def test_a_model_of_psfex_is_refused_by_its_name(tmp_path):
    mask = fits.Column("PSF_MASK", "625E", dim="(25, 25, 1)", array=STAMP[None])
    table = fits.BinTableHDU.from_columns([mask], name="PSF_DATA")
    for name in ("model.psf", "model.fits"):
        table.writeto(tmp_path / name)
        with pytest.raises(
            RecipeError, match=rf"{name} is a model of PSFEx, which is not read: draw it at a place"
        ):
            recipe(tmp_path, file=name)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.fits", b"\x1f\x8b\x08", "is compressed by gzip: unpack it"),
        ("a.psf", b"1 2 3", "is not a FITS file"),
        ("a.npz", b"PK", r"must be a \.npy or a \.fits file"),
    ],
)
def test_other_files_are_refused_by_their_names(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RecipeError, match=message):
        recipe(tmp_path, file=name)


def test_samples_are_read_alike_from_any_ending(tmp_path):
    fits.PrimaryHDU(STAMP).writeto(tmp_path / "PSF.FITS")
    recipe(tmp_path, file="PSF.FITS")
    sha256 = hashlib.sha256((tmp_path / "PSF.FITS").read_bytes()).hexdigest()
    found = samples_of(PsfFile(tmp_path / "PSF.FITS", sha256, 1, False))
    np.testing.assert_allclose(found, STAMP / STAMP.sum(), rtol=1e-12)
