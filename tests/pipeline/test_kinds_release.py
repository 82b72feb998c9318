"""Releases of light curves and of spherical maps: built, read by others, verified, grown; under any names."""

import numpy as np
import pytest
import xarray as xr

from deepbench.catalog import find
from deepbench.recipe import parse_recipe
from deepbench.samples import labels, render
from pipeline.software import transforms
from pipeline.verify import verify

RECIPE = """\
name: kinds
version: 1.0.0
title: Two kinds
seed: 7
tables:
  c:
    kind: light_curve
    samples: 150
    survey: {preset: ztf, cadence: {nights: {duration: 400, cap: 300}}}
    classes:
      quiet: {objects: [{source: {magnitude: 19}}]}
      loud:
        objects:
          - source: {magnitude: 19}
          - flare: {peak_time: {uniform: [58200, 58600]}, fwhm: 500, relative_amplitude: 2}
            repeat: {integers: [0, 3]}
  sky:
    kind: sphere
    samples: 96
    nside: 8
    patches: 2
    noise: {sigma: {uniform: [0, 1]}}
    classes:
      one: {field: {gaussian: {spectrum: {power_law: {amplitude: 1.0e-4, slope: 1}}}}}
storage: {chunk_bytes: 1024, shard_bytes: 4096}
"""


@pytest.fixture
def catalog(make, tmp_path, compile_kernels):
    compile_kernels(RECIPE)
    make(parse_recipe(RECIPE), tmp_path / "releases")
    return tmp_path / "releases"


@pytest.mark.slow
def test_they_are_what_is_rendered_and_whole(catalog):
    recipe = parse_recipe(RECIPE)
    release = find("kinds", "1.0.0", catalog)
    tree = xr.open_datatree(f"{release.path}/data.zarr", engine="zarr")
    for name, described in recipe.tables.items():
        expected = render(recipe, name)
        for variable in described.data_variables():
            np.testing.assert_array_equal(tree[name][variable.name], expected[variable.name])
        found = release.labels(name)
        for column, values in labels(recipe, name).items():
            np.testing.assert_array_equal(found[column], values)
    assert release.manifest.tables["sky"].tolerance
    assert not release.manifest.tables["c"].tolerance
    assert set(transforms()) <= set(release.manifest.software)
    assert release.manifest.software["ducc0 instructions"]
    report = verify(release, rerender=1.0)
    assert report.ok, report.findings
    assert report.rerendered == 246


@pytest.mark.slow
def test_whole_maps_of_a_patch_table_are_in_one_shard_and_one_split(catalog):
    release = find("kinds", "1.0.0", catalog)
    assert release.manifest.tables["sky"].shard_length == 48
    frame = release.labels("sky")
    assert frame.groupby("group")["split"].nunique().max() == 1
    assert frame.groupby("group")["noise.sigma"].nunique().max() == 1
    assert frame["map.index"].nunique() == 2


@pytest.mark.slow
def test_a_larger_version_keeps_the_smaller_one(catalog, make):
    changes = {"version": "1.1.0", "tables.c.samples": 200, "tables.sky.samples": 144}
    make(parse_recipe(RECIPE).replace(changes), catalog)
    old, new = (find("kinds", version, catalog) for version in ("1.0.0", "1.1.0"))
    for name, count in (("c", 150), ("sky", 96)):
        few, many = (
            each.open()[name].to_dataset().isel(sample=slice(0, count)) for each in (old, new)
        )
        for variable in few:
            np.testing.assert_array_equal(few[variable], many[variable])


@pytest.mark.slow
def test_the_data_card_says_what_variables_are(catalog):
    card = (catalog / "kinds/1.0.0/README.md").read_text()
    assert "`flux` (sample, observation): 150 × 300, float32; flux (nJy)" in card
    assert "time_scale UTC" in card
