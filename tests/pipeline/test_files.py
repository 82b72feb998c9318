"""The files of a release: those that its recipe names go into it, and it needs no others."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import xarray as xr

import deepbench
from deepbench import labels, render
from deepbench.recipe import load_recipe
from pipeline.files import metadata_files, recipe_files, release_files
from pipeline.verify import verify


@pytest.fixture
def with_catalogue(make_recipe, tmp_path):
    """A recipe's file, beside it the catalogue that it names."""
    folder = tmp_path / "recipes"
    folder.mkdir()
    (folder / "sizes.csv").write_text("radius,flux\n1.5,10\n2.5,20\n3.25,40\n")
    recipe = make_recipe()
    data = recipe.resolved()
    data["tables"]["squares"]["variables"] = {"row": {"catalog": {"file": "sizes.csv"}}}
    data["tables"]["squares"]["classes"]["square"]["objects"] = [
        {"circle": {"x": 4, "y": 4, "radius": "= row.radius", "amplitude": "= row.flux"}}
    ]
    from deepbench.language.load import write_document

    (folder / "recipe.yaml").write_text(write_document(data))
    return folder / "recipe.yaml"


def test_a_release_renders_again_from_its_folder_alone(make, with_catalogue, tmp_path, check):
    recipe = load_recipe(with_catalogue)
    make(recipe, tmp_path / "releases")
    manifest = check(tmp_path / "releases")
    folder = tmp_path / "releases/small/1.0.0"
    (copy,) = [each.path for each in manifest.objects if each.path.startswith("inputs/")]
    assert re.fullmatch(r"inputs/[0-9a-f]{12}\.csv", copy)
    moved = tmp_path / "elsewhere"
    folder.rename(moved)
    for path in with_catalogue.parent.iterdir():
        path.unlink()

    again = load_recipe(moved / "recipe.yaml")
    assert again.hash == recipe.hash
    data = xr.open_datatree(moved / "data.zarr", engine="zarr")["squares"].to_dataset()
    rendered = render(again, "squares")
    assert np.array_equal(rendered["image"], data["image"])
    assert set(labels(again, "squares")["circle.radius"]) == {1.5, 2.5, 3.25}


def test_a_release_can_be_built_again_from_its_folder(make, with_catalogue, tmp_path, check):
    make(load_recipe(with_catalogue), tmp_path / "one")
    first = check(tmp_path / "one")
    make(load_recipe(tmp_path / "one/small/1.0.0/recipe.yaml"), tmp_path / "two")
    second = check(tmp_path / "two")
    assert second.tables == first.tables
    assert second.objects == first.objects


def test_a_psf_from_a_file_goes_into_the_release(make, tmp_path, check):
    folder = tmp_path / "recipes"
    folder.mkdir()
    np.save(folder / "psf.npy", np.outer([1, 3, 2, 1], [1, 2, 4, 2, 1]))
    psf = {"image": {"file": "psf.npy", "oversampling": 1, "includes_pixel": True}}
    star = {"star": {"x": {"uniform": [0, 16]}, "y": 7.5, "flux": 9.0}}
    table = {"kind": "image", "samples": 20, "size": [16, 16]}
    alike = {"classes": {"star": {"objects": [star]}}, "psf": psf}
    own = {"classes": {"star": {"objects": [{"star": star["star"] | {"psf": psf}}]}}, "psf": psf}
    head = {"name": "small", "version": "1.0.0", "title": "Stars", "seed": 3}
    tables = {"stars": table | alike, "others": table | own}
    (folder / "recipe.yaml").write_text(json.dumps(head | {"tables": tables}))
    make(load_recipe(folder / "recipe.yaml"), tmp_path / "releases")
    manifest = check(tmp_path / "releases")
    (copy,) = [each.path for each in manifest.objects if each.path.startswith("inputs/")]
    assert re.fullmatch(r"inputs/[0-9a-f]{12}\.npy", copy)
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()

    recipe = (tmp_path / "releases/small/1.0.0/recipe.yaml").read_text()
    assert recipe.count(copy) == 3
    report = verify(deepbench.find("small", catalog=tmp_path / "releases"), rerender=1.0)
    assert report.findings == []
    assert report.rerendered == 40


def test_recipe_files(recipe, with_catalogue):
    assert list(recipe_files(recipe)) == ["recipe.yaml"]
    files = recipe_files(load_recipe(with_catalogue))
    assert len(files) == 2
    assert b"3.25,40" in next(iter(files.values()))


def test_release_files(built):
    """They are those that the manifest lists, in whatever order."""
    expected = [each.path for each in built.release.manifest.objects]
    assert sorted(release_files(built.recipe)) == sorted(expected)


def test_metadata_files(recipe, make_recipe, monkeypatch):
    assert metadata_files(recipe.table("squares")) == [
        "metadata/squares.parquet",
        "metadata/squares.csv",
    ]
    assert metadata_files(recipe.table("images"))[-1] == "metadata/images.objects.parquet"
    monkeypatch.setattr("deepbench.format.CSV_ROWS", 39)
    assert metadata_files(recipe.table("squares")) == ["metadata/squares.parquet"]
