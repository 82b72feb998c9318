"""Patches against the geometry of HEALPix and xdggs."""

import healpy
import numpy as np
import pytest
import xarray as xr
import xdggs  # noqa: F401

from deepbench.sphere.pixels.patches import patch_cells, patch_count, pool_pixels, split_map


@pytest.mark.parametrize(("nside", "order"), [(1, 1), (8, 1), (8, 2), (8, 4), (8, 8)])
def test_a_patch_is_a_pixel_of_a_coarser_map(nside, order):
    sky = np.arange(healpy.nside2npix(nside))
    patches = split_map(sky, order)
    assert patches.shape == (patch_count(order), (nside // order) ** 2)
    for number, patch in enumerate(patches):
        np.testing.assert_array_equal(patch, patch_cells(nside, order, number))
        directions = healpy.pix2vec(nside, patch, nest=True)
        assert (healpy.vec2pix(order, *directions, nest=True) == number).all()


def test_patches_of_several_maps_are_views():
    maps = np.zeros((5, 2, healpy.nside2npix(4)), np.float32)
    patches = split_map(maps, 2)
    assert patches.shape == (5, 2, 48, 4)
    assert np.shares_memory(maps, patches)


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_pooling_is_that_of_healpy(levels):
    sky = np.random.default_rng(1).standard_normal(healpy.nside2npix(16))
    coarse = healpy.ud_grade(sky, 16 >> levels, order_in="NESTED", order_out="NESTED")
    np.testing.assert_allclose(pool_pixels(sky, levels), coarse, rtol=1e-12, atol=1e-14)
    patches = pool_pixels(split_map(sky, 2).astype(np.float32), levels)
    assert patches.dtype == np.float32
    np.testing.assert_allclose(patches.reshape(-1), coarse, rtol=1e-5, atol=1e-6)


def test_xdggs_finds_the_centres_of_a_patch():
    cells = patch_cells(16, 4, 100)
    attrs = {"grid_name": "healpix", "level": 4, "indexing_scheme": "nested"}
    data = xr.Dataset(coords={"cell_ids": ("cell", cells, attrs)}).dggs.decode()
    centres = data.dggs.cell_centers()
    longitude, latitude = healpy.pix2ang(16, cells, nest=True, lonlat=True)
    np.testing.assert_allclose(centres["latitude"], latitude, atol=1e-9)
    np.testing.assert_allclose(centres["longitude"] % 360, longitude, atol=1e-9)
