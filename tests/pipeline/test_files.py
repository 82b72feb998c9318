"""The files of a release: those that its recipe names go into it, and it needs no others."""

from __future__ import annotations

import json
import re
import shutil

import healpy
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
    spots = [np.exp(-0.5 * ((np.arange(12) - at) / 1.3) ** 2) for at in (5.3, 5.6)]
    spots = [np.outer(*spots), np.outer(*spots[::-1])]
    np.save(folder / "psf.npy", [*spots, np.ones((12, 12))])
    psf = {"image": {"file": "psf.npy", "sample_scale": 0.3, "includes_pixel": True}}
    psf["image"] |= {"index": {"integers": [0, 1]}, "center": "peak"}
    star = {"star": {"x": {"uniform": [0, 16]}, "y": 7.5, "flux": 9.0}}
    table = {"kind": "image", "samples": 20, "size": [16, 16], "pixel_scale": 0.7}
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


def test_masks_and_beams_from_files_go_into_the_release(make, tmp_path, check):
    folder = tmp_path / "recipes"
    folder.mkdir()
    healpy.write_map(folder / "mask.fits", np.arange(192) % 3 > 0, dtype=np.uint8)
    rows = "".join(f"{ell},{0.95**ell}\n" for ell in range(9))
    (folder / "beam.csv").write_text("ell,bl\n" + rows)
    (folder / "cl.DAT").write_text("ell,cl\n2,1\n8,1\n")
    field = {"gaussian": {"spectrum": {"table": {"file": "cl.DAT"}}}}
    table = {"kind": "sphere", "samples": 6, "nside": 4, "classes": {"a": {"field": field}}}
    table |= {"mask": {"file": "mask.fits"}, "beam": {"file": "beam.csv", "apply": "after"}}
    head = {"name": "small", "version": "1.0.0", "title": "Maps", "seed": 3}
    (folder / "recipe.yaml").write_text(json.dumps(head | {"tables": {"maps": table}}))
    make(load_recipe(folder / "recipe.yaml"), tmp_path / "releases")
    manifest = check(tmp_path / "releases")
    shutil.rmtree(folder)

    copies = [each.path for each in manifest.objects if each.path.startswith("inputs/")]
    assert sorted(path.rpartition(".")[2] for path in copies) == ["csv", "dat", "fits"]
    release = deepbench.find("small", catalog=tmp_path / "releases")
    report = verify(release, rerender=1.0)
    assert (report.findings, report.rerendered) == ([], 6)
    hidden = np.isnan(release.open()["maps"]["map"].values[0])
    assert hidden.sum() == 64
