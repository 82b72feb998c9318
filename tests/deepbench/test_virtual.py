"""Virtual datasets: recipes opened by xarray as if they were built; every value is that of a build."""

import pickle
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import dask
import numpy as np
import pytest
import xarray as xr

import deepbench
from deepbench import lazy_samples
from deepbench.catalog import find
from deepbench.errors import CatalogError, LabelError, RecipeError
from deepbench.format import FORMAT_VERSION
from deepbench.recipe import parse_recipe
from deepbench.samples import render

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "tests/releases"
ENTRY = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
ENGINE = EntryPoint("deepbench", ENTRY["xarray.backends"]["deepbench"], "xarray.backends").load()
"""What an installation enters as the engine ``deepbench``."""

SPOTS = """\
name: spots
version: 1.0.0
title: Spots
seed: 7
storage: {chunk_bytes: 1024, shard_bytes: 4096}
tables:
  images:
    kind: image
    samples: 40
    size: [6, 8]
    classes:
      dot: {objects: [{circle: {x: {uniform: [2, 6]}, y: 3, radius: {uniform: [1, 3]}}}]}
      many: {objects: [{circle: {x: {uniform: [2, 6]}, y: 3, radius: 2}, repeat: {integers: [1, 3]}}]}
    labels: {area: {value: "= psf.sigma ** 2", description: area of the PSF}}
    psf: {gaussian: {sigma: {uniform: [0.5, 1]}}}
    noise: [{gaussian: {sigma: 0.1}}]
"""

CATALOGUE = """\
extends: base/spots.yaml
tables:
  images:
    variables: {star: {catalog: {file: stars.csv}}}
    classes: {dot: {objects: [{circle: {x: 3, y: 3, radius: "= star.size"}}]}}
"""


@pytest.fixture
def path(tmp_path):
    (tmp_path / "spots.yaml").write_text(SPOTS)
    return tmp_path / "spots.yaml"


def opened(path, **options):
    return xr.open_dataset(path, engine=ENGINE, **options)


def test_every_kind_is_what_was_built():
    release = find("kinds", "2.0.0", KEPT)
    tree, built = xr.open_datatree(release.recipe, engine=ENGINE), release.open()
    assert tree.attrs == built.attrs | {"format_version": FORMAT_VERSION}
    assert [*tree.children] == [*release.recipe.tables]
    for name, summary in release.manifest.tables.items():
        found, expected = tree[name].to_dataset(), built[name].to_dataset()
        if not summary.tolerance:
            xr.testing.assert_identical(found, expected)
        rendered = render(release.recipe, name)
        assert {*found.variables} == {*expected.variables} == {*rendered.variables}
        for variable, values in found.variables.items():
            assert values.dtype == expected[variable].dtype
            assert values.attrs == expected[variable].attrs
            np.testing.assert_array_equal(values, rendered[variable])


@pytest.mark.parametrize("table", ["curves", "patches", "galaxies"])
def test_any_part_is_that_of_the_whole(table):
    recipe = find("kinds", "2.0.0", KEPT).recipe
    whole = render(recipe, table).drop_vars(["time", "x", "y", "pixel"], errors="ignore")
    for rows in ([3], [1, 2, 4], [5, 0, 0, 3]):
        found = opened(recipe, table=table).isel(sample=rows)
        for name, values in whole.isel(sample=rows).items():
            np.testing.assert_array_equal(found[name].values, values, err_msg=str(name))


KEYS = {
    "one": {"sample": 3},
    "the last": {"sample": -1},
    "a scalar of numpy": {"sample": np.int32(5), "y": -2},
    "slice": {"sample": slice(5, 17)},
    "every third, backwards": {"sample": slice(30, 2, -3), "x": slice(None, None, -1)},
    "empty": {"sample": slice(4, 4)},
    "empty, backwards": {"sample": slice(0, 5, -1)},
    "none": {"sample": []},
    "in any order, twice": {"sample": [7, 3, 3, -1], "y": [4, 0]},
    "inside": {"y": 2, "x": slice(1, 4)},
    "mask": {"sample": np.arange(40) % 7 == 2},
    "points": {"sample": xr.DataArray([9, 2, 9], dims="point"), "x": xr.DataArray([1, 0, 7], dims="point")},
    "matrix of samples": {"sample": xr.DataArray([[9, 2], [9, -40]], dims=("a", "b"))},
}  # fmt: skip


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_selections_are_those_of_what_is_rendered(path, key):
    expected = render(deepbench.load_recipe(path), "images")
    found = opened(path)
    for name in ("image", "id", "psf.sigma", "labels.area", "class"):
        own = {dim: each for dim, each in key.items() if dim in expected[name].dims}
        xr.testing.assert_equal(found[name].isel(own), expected[name].isel(own))
    twice = found.isel(key).transpose(
        ..., *[each for each in ("x",) if each in found.isel(key).dims]
    )
    np.testing.assert_array_equal(
        twice["image"], expected.isel(key)["image"].transpose(*twice["image"].dims)
    )


def test_blocks_are_joined(path, monkeypatch):
    monkeypatch.setattr(lazy_samples, "LABEL_ROWS", 16)
    monkeypatch.setattr(lazy_samples, "KEPT", 2**13)
    expected, found = (
        render(deepbench.load_recipe(path), "images", 0, 100),
        opened(path, samples=100),
    )
    assert lazy_samples.Samples(deepbench.load_recipe(path), "images").rows("image") < 50
    xr.testing.assert_equal(found, expected)
    backwards = slice(None, None, -1)
    xr.testing.assert_equal(found.isel(sample=backwards), expected.isel(sample=backwards))


def test_a_sample_does_not_depend_on_how_many_there_are(path):
    many = opened(path, samples=10**9)
    assert many.sizes["sample"] == 10**9
    assert many.nbytes > 10**11
    np.testing.assert_array_equal(many["id"][-2:], [10**9 - 2, 10**9 - 1])
    expected = render(deepbench.load_recipe(path), "images", 10**9 - 3, 10**9)
    xr.testing.assert_equal(many.isel(sample=slice(-3, None)), expected)
    assert opened(path, samples=2**32).isel(sample=-1)["id"] == 2**32 - 1
    with pytest.raises(
        LabelError, match=r"'image' takes 179 GiB .* \.isel\(sample=slice\(0, 1000\)\)"
    ):
        many.image.load()
    with pytest.raises(IndexError, match="no sample 40: allowed are -40 to 39|out of range"):
        opened(path).image[40].load()


def test_several_variables_of_the_same_samples_are_rendered_once(monkeypatch):
    recipe = find("kinds", "2.0.0", KEPT).recipe
    calls = []
    real = deepbench.samples.render_arrays
    monkeypatch.setattr(
        "deepbench.samples.render_arrays",
        lambda *given: calls.append(len(given[1])) or real(*given),
    )
    part = opened(recipe, table="galaxies").isel(sample=slice(1, 4)).load()
    assert calls == [3]
    part["image"].values[:] = 7
    patches = opened(recipe, table="patches")
    for sample in range(3):
        patches["map"][sample].load()
    assert calls == [3, recipe.tables["patches"].together]


def test_what_is_kept_is_not_what_is_given(path):
    recipe = find("kinds", "2.0.0", KEPT).recipe
    whole = opened(recipe, table="galaxies", cache=False)
    first = whole.isel(sample=slice(2)).load()
    for variable in first.data_vars.values():
        variable.values[:] = 1
    second = whole.isel(sample=slice(2)).load()
    xr.testing.assert_identical(
        second.drop_encoding(), opened(recipe, table="galaxies").isel(sample=slice(2))
    )


@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
def test_dask_arrays_have_chunks_of_shards(path, scheduler):
    expected = render(deepbench.load_recipe(path), "images", 0, 100)
    found = opened(path, samples=100, chunks={})
    length = deepbench.load_recipe(path).table("images").shard_length
    assert found.chunksizes["sample"][0] == length < 100
    with dask.config.set(scheduler=scheduler):
        xr.testing.assert_equal(found.compute(), expected)
        last = opened(path, samples=10**6, chunks={"sample": 1000 * length})["image"][-20:]
        expected = opened(path, samples=10**6)["image"][-20:]
        xr.testing.assert_equal(last.compute(), expected)


def test_pickles_hold_the_recipe_alone(path, tmp_path):
    (tmp_path / "base").mkdir()
    path.rename(tmp_path / "base/spots.yaml")
    (tmp_path / "stars.csv").write_text("size\n1.5\n2.5\n3.5\n")
    (tmp_path / "own.yaml").write_text(CATALOGUE)
    data = opened(tmp_path / "own.yaml", samples=10**8)
    data.isel(sample=slice(1000)).load()
    content = pickle.dumps(data["image"])
    assert len(content) < 6000
    again = pickle.loads(content)
    assert again.shape == (10**8, 6, 8)
    xr.testing.assert_identical(again[5:9], data["image"][5:9])


def test_a_release_opens_by_the_same_engine():
    built = deepbench.open("kinds", "2.0.0", KEPT)
    tree = xr.open_datatree("kinds@2.0.0", engine=ENGINE, catalog=KEPT)
    assert tree.identical(built)
    release = find("kinds", "2.0.0", KEPT)
    found = opened(release, table="films", chunks={}, drop_variables="position")
    length = release.manifest.tables["films"].shard_length
    assert found.chunksizes["sample"][0] == min(length, 6)
    xr.testing.assert_identical(
        found.compute(), built["films"].to_dataset().drop_vars("position").load()
    )


def test_the_source_is_known_by_its_content(path, tmp_path):
    guess = ENGINE().guess_can_open
    (tmp_path / "own.yml").write_text(CATALOGUE)
    assert guess(path)
    assert guess(str(tmp_path / "own.yml"))
    for name, text in {
        "compose.yaml": "version: '3'\nservices: {}\n",
        "other.yaml": "extends: base.yaml\nrules: {}\n",
        "broken.yaml": "name: [",
        "list.yaml": "[1, 2]",
        "spots.json": SPOTS,
    }.items():
        (tmp_path / name).write_text(text)
        assert not guess(tmp_path / name), name
    for other in ("absent.yaml", "https://host/recipe.yaml", b"name: a", "kinds@2.0.0", tmp_path):
        assert not guess(other)


TWO = SPOTS.replace("version: 1.0.0", "version: 1.1.0") + SPOTS.split("tables:\n")[1].replace(
    "images", "other"
)


@pytest.mark.parametrize(
    ("source", "options", "error", "words"),
    [
        (SPOTS, {"table": "image"}, CatalogError, "no table 'image' in 'spots'; did you mean 'images'"),
        (TWO, {}, CatalogError, "has several tables; add table='images' to open one of images, other"),
        (SPOTS, {"samples": 0}, LabelError, r"`samples` must be a whole number from 1 to 4294967296 .* not 0; "),
        (SPOTS, {"samples": -5}, LabelError, "not -5; without it, 'images' has 40"),
        (SPOTS, {"samples": 2**32 + 1}, LabelError, "not 4294967297"),
        (SPOTS, {"samples": 1e9}, LabelError, "not 1000000000.0"),
        (SPOTS, {"catalog": "releases"}, CatalogError, "`catalog` is where releases .* no name of one is given"),
        ("absent.yaml", {}, RecipeError, "cannot be read: No such file"),
        ("kinds@2.0.0", {"catalog": KEPT, "samples": 5}, CatalogError, "is a release .* leave out `samples`"),
        ("kinds@2.0.0", {"catalog": KEPT, "table": "sly"}, CatalogError, "no table 'sly' .* did you mean 'sky'"),
        ("kinds@", {"catalog": KEPT}, CatalogError, "'' is not a version"),
        (7, {}, RecipeError, "opens the file of a recipe, or 'name@version', not 7"),
    ],
)  # fmt: skip
def test_mistakes_are_refused(source, options, error, words):
    if isinstance(source, str) and "\n" in source:
        source = parse_recipe(source)
    with pytest.raises(error, match=words):
        opened(source, **options)
