"""Masks and beams from files: on which pixels they act, against healpy, and what is refused."""

import contextlib
import json

import healpy
import numpy as np
import pytest
from astropy.io import fits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepbench.errors import InputWarning, RecipeError
from deepbench.language.inputs.fits import hdus_of, read_columns
from deepbench.language.inputs.healpix import read_healpix
from deepbench.recipe import load_recipe
from deepbench.samples import render
from deepbench.sphere.fields.spectra import gaussian_beam

NSIDE = 8
FIELD = {"gaussian": {"spectrum": {"power_law": {"amplitude": 1e-3, "slope": 1}}}}


def recipe(folder, nside=NSIDE, samples=1, field=FIELD, **table):
    table = {
        "kind": "sphere",
        "samples": samples,
        "nside": nside,
        "classes": {"a": {"field": field}},
    } | table
    head = {"name": "a", "version": "1.0.0", "title": "A", "seed": 5}
    (folder / "recipe.yaml").write_text(json.dumps({**head, "tables": {"maps": table}}))
    return load_recipe(folder / "recipe.yaml")


def sky(folder, **table):
    return render(recipe(folder, **table), "maps")["map"].values[0]


def mask_of(nside, seed=3):
    """Return a mask in RING order: a belt, and holes of the size of a pixel."""
    z = healpy.pix2vec(nside, np.arange(12 * nside**2))[2]
    return (abs(z) > 0.3) & (np.random.default_rng(seed).random(z.size) > 0.1)


def write(path, values, **how):
    healpy.write_map(path, values, overwrite=True, **{"dtype": np.float32, **how})
    return path.name


@pytest.mark.parametrize("nside", [NSIDE, 4 * NSIDE, NSIDE // 2])
@pytest.mark.parametrize("nest", [False, True])
def test_a_mask_hides_what_it_hides_in_healpy(tmp_path, nside, nest):
    ring = mask_of(nside).astype(float)
    name = write(
        tmp_path / "mask.fits", healpy.reorder(ring, r2n=True) if nest else ring, nest=nest
    )
    part = healpy.ud_grade(ring, NSIDE, order_in="RING", order_out="NEST")
    for threshold in (None, 0.9):
        found = sky(tmp_path, mask={"file": name, "threshold": threshold})
        expected = part < (threshold or 0.5)
        np.testing.assert_array_equal(np.isnan(found), expected)
        assert 0.2 < expected.mean() < 0.8


def test_an_nside_that_is_no_power_of_two(tmp_path):
    ring = mask_of(12)
    table = fits.BinTableHDU.from_columns([fits.Column("MASK", "B", array=ring.astype(np.uint8))])
    table.header.update(PIXTYPE="HEALPIX", ORDERING="RING")
    table.writeto(tmp_path / "mask.fits")
    centres = healpy.pix2ang(NSIDE, np.arange(12 * NSIDE**2), nest=True)
    expected = ~ring[healpy.ang2pix(12, *centres)]
    np.testing.assert_array_equal(np.isnan(sky(tmp_path, mask={"file": "mask.fits"})), expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float64, bool])
def test_a_mask_may_be_of_any_type(tmp_path, dtype):
    ring = mask_of(NSIDE)
    name = write(tmp_path / "mask.fits", ring.astype(dtype), dtype=dtype)
    expected = ~healpy.reorder(ring, r2n=True)
    np.testing.assert_array_equal(np.isnan(sky(tmp_path, mask={"file": name})), expected)


def test_a_part_of_a_map_is_seen_where_it_has_pixels(tmp_path):
    ring = np.where(mask_of(NSIDE), 1.0, healpy.UNSEEN)
    name = write(tmp_path / "mask.fits", ring, partial=True)
    expected = healpy.reorder(ring, r2n=True) < 0
    np.testing.assert_array_equal(np.isnan(sky(tmp_path, mask={"file": name})), expected)
    name = write(tmp_path / "whole.fits", ring)
    np.testing.assert_array_equal(np.isnan(sky(tmp_path, mask={"file": name})), expected)


def test_a_belt_and_a_file_together_in_patches(tmp_path):
    ring = mask_of(NSIDE)
    name = write(tmp_path / "mask.fits", ring)
    belt = {"latitude": 30.0}
    hidden = [
        np.isnan(sky(tmp_path, mask=mask)) for mask in (belt, {"file": name}, belt | {"file": name})
    ]
    np.testing.assert_array_equal(hidden[0] | hidden[1], hidden[2])
    cut = recipe(tmp_path, samples=12, patches=1, mask=belt | {"file": name}, planes=["map_true"])
    found = render(cut, "maps")
    np.testing.assert_array_equal(np.isnan(found["map"].values).ravel(), hidden[2])
    assert np.isfinite(found["map_true"].values).all()


def test_a_column_is_chosen(tmp_path):
    ring = mask_of(NSIDE)
    name = write(tmp_path / "mask.fits", [~ring, ring], column_names=["GAL020", "GAL040"])
    found = sky(tmp_path, mask={"file": name, "column": "GAL040"})
    np.testing.assert_array_equal(np.isnan(found), ~healpy.reorder(ring, r2n=True))
    with pytest.raises(
        RecipeError, match="has the columns GAL020, GAL040: choose one with `column`"
    ):
        recipe(tmp_path, mask={"file": name})
    with pytest.raises(RecipeError, match=r"unknown column 'GAL04'; did you mean 'GAL0.0'"):
        recipe(tmp_path, mask={"file": name, "column": "GAL04"})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            np.arange(768.0),
            r"must hold a mask, values from 0 \(hidden\) to 1 \(seen\), but its pixel 2 is 2",
        ),
        (np.zeros(768), "hides the whole sky: none of its values is above 0"),
        (np.full(768, healpy.UNSEEN), "hides the whole sky"),
    ],
)
def test_maps_that_are_no_masks_are_refused(tmp_path, values, message):
    with pytest.raises(RecipeError, match=rf"tables\.maps\.mask: .*{message}"):
        recipe(tmp_path, mask={"file": write(tmp_path / "mask.fits", values)})


def test_a_mask_that_hides_nothing_is_a_warning(tmp_path):
    name = write(tmp_path / "mask.fits", np.ones(768))
    with pytest.warns(InputWarning, match="hides nothing: all its values are 1"):
        recipe(tmp_path, mask={"file": name})


def test_masks_that_hide_every_pixel_are_refused(tmp_path):
    name = write(tmp_path / "mask.fits", np.full(768, 0.4))
    with pytest.raises(
        ValueError, match=r"hides every pixel of nside 8: less than 0\.5 of each is seen"
    ):
        sky(tmp_path, mask={"file": name})


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ({}, "must have latitude, or the file of a mask"),
        ({"latitude": 20, "threshold": 0.5}, "column and threshold go with file"),
        ({"file": "none.fits"}, r"the mask .*none\.fits cannot be read"),
        ({"file": "beam.csv"}, "is not a FITS file"),
        ({"file": "beam.fits"}, "has no HEALPix map: no binary table says NSIDE"),
        ({"file": "mask.fits", "sha256": "0" * 64}, "is another file than meant"),
        ({"file": "mask.fits", "threshold": 0}, "threshold"),
        ({"file": "order.fits"}, "its ORDERING is 'RAND', not RING or NESTED"),
        ({"file": "nside.fits"}, "has 768 pixels, a map of nside 16 has 3,072"),
    ],
)
def test_masks_that_are_refused(tmp_path, mask, message):
    write(tmp_path / "mask.fits", mask_of(NSIDE))
    healpy.write_cl(tmp_path / "beam.fits", np.ones(9), overwrite=True)
    (tmp_path / "beam.csv").write_text("ell,bl\n0,1\n")
    content = (tmp_path / "mask.fits").read_bytes()
    (tmp_path / "order.fits").write_bytes(content.replace(b"'RING    '", b"'RAND    '"))
    sides = (b"NSIDE   =                    8", b"NSIDE   =                   16")
    (tmp_path / "nside.fits").write_bytes(content.replace(*sides))
    with pytest.raises(RecipeError, match=message):
        recipe(tmp_path, mask=mask)


# --- beams -------------------------------------------------------------------------------------------------------

SIGMA = 400.0
"""Of a Gaussian beam (arcmin)."""
CMB = {"gaussian": {"spectrum": {"cmb": {}}}}


def beams(folder, lmax=3 * NSIDE):
    """Write the response of a Gaussian beam as CSV and as FITS; return the names of the files."""
    response = gaussian_beam(np.radians(SIGMA / 60), lmax)
    rows = "".join(f"{ell},{value!r}\n" for ell, value in enumerate(response.tolist()))
    (folder / "beam.csv").write_text("# of the instrument\nell,bl\n" + rows)
    healpy.write_cl(folder / "beam.fits", response, dtype=np.float64, overwrite=True)
    return "beam.csv", "beam.fits"


@pytest.mark.parametrize("apply", ["target", "after"])
def test_a_beam_from_a_file_is_that_beam(tmp_path, apply):
    expected = sky(tmp_path, beam={"sigma": SIGMA, "apply": apply}, pixel_window=True)
    bare = sky(tmp_path, pixel_window=True)
    assert expected.std() < 0.7 * bare.std()
    for name in beams(tmp_path):
        found = sky(tmp_path, beam={"file": name, "apply": apply}, pixel_window=True)
        np.testing.assert_allclose(found, expected, atol=1e-6 * expected.std())


def test_the_power_of_polarised_maps_is_that_behind_the_beam(tmp_path):
    """One b_ℓ for T, Q and U, in the coefficients of maps that healpy analyses."""
    name, _ = beams(tmp_path)
    with_spin = {"field": CMB, "channels": "polarization", "lmax": 2 * NSIDE}
    bare, seen = sky(tmp_path, **with_spin), sky(tmp_path, beam={"file": name}, **with_spin)
    alms = [
        healpy.map2alm(healpy.reorder(each.astype(float), n2r=True), lmax=2 * NSIDE, iter=10)
        for each in (bare, seen)
    ]
    response = gaussian_beam(np.radians(SIGMA / 60), 2 * NSIDE)
    for before, after in zip(*(each[:2] for each in alms), strict=True):
        np.testing.assert_allclose(
            after, healpy.almxfl(before, response), atol=2e-4 * abs(before).max()
        )


def test_a_beam_has_no_label_and_counts_in_the_hash(tmp_path):
    name, other = beams(tmp_path)
    described = recipe(tmp_path, beam={"file": name})
    assert not [
        each for each in described.table("maps").plan.columns if each.name.startswith("beam")
    ]
    assert described.hash != recipe(tmp_path, beam={"file": other}).hash
    (tmp_path / "moved.csv").write_bytes((tmp_path / name).read_bytes())
    assert described.hash == recipe(tmp_path, beam={"file": "moved.csv"}).hash


def test_a_beam_that_does_not_begin_with_1_is_a_warning(tmp_path):
    (tmp_path / "beam.csv").write_text("ell,bl\n" + "".join(f"{ell},0.9\n" for ell in range(20)))
    with pytest.warns(InputWarning, match=r"b_0 = 0\.9, so that the beam changes the flux"):
        recipe(tmp_path, beam={"file": "beam.csv"})


@pytest.mark.parametrize(
    ("beam", "content", "message"),
    [
        ({}, "", "either sigma .* or the file of a response; it has neither"),
        ({"sigma": 3, "file": "beam.csv"}, "ell,bl\n0,1\n", "it has both"),
        ({"sigma": 3, "column": "T"}, "", "column goes with file"),
        ({"file": "beam.csv"}, "ell,bl\n0,1\n1,1\n", "the beam is known up to ℓ = 1; lmax is 16"),
        ({"file": "beam.csv"}, "ell,cl\n0,1\n", "no column 'bl'. Its columns: 'ell', 'cl'; `column: NAME` says"),
        ({"file": "beam.csv"}, "ell,bl\n1,1\n2,1\n", "a row for each ell from 0 on"),
        ({"file": "beam.csv"}, "ell,bl\n0,1\n1,nan\n", "must hold finite numbers, but row 2 is 'nan'"),
        ({"file": "beam.xls"}, "1\n", "must be a .csv, .ecsv, .txt, .dat, .parquet or .fits file"),
    ],
)  # fmt: skip
def test_beams_that_are_refused(tmp_path, beam, content, message):
    for name in ("beam.csv", "beam.xls"):
        (tmp_path / name).write_text(content)
    with pytest.raises(RecipeError, match=message):
        recipe(tmp_path, beam=beam)


# --- damaged files -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("maps") / "mask.fits"
    write(path, [mask_of(4), mask_of(4)], partial=True, column_names=["A", "B"])
    return path.read_bytes()


@settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(
        st.tuples(st.integers(0, 8700), st.sampled_from(b" '-/0159EJLPTX=\x00\xff")), max_size=4
    ),
    st.none() | st.integers(0, 12000),
)
def test_a_damaged_map_is_read_or_refused(whole_file, changes, end):
    damaged = bytearray(whole_file)
    for place, byte in changes:
        damaged[place % len(damaged)] = byte
    content = bytes(damaged[:end])
    with contextlib.suppress(ValueError):
        for table in hdus_of(content):
            if table.is_table:
                read_columns(content, table)
        for numbers, values in read_healpix(content, "A").pieces():
            assert numbers.shape == values.shape
