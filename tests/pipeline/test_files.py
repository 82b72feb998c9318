"""The files of a release: those that its recipe names go into it, and it needs no others."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import healpy
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import deepbench
from deepbench import format as fmt
from deepbench import labels, render
from deepbench.catalog import find
from deepbench.errors import LabelError, RecipeError
from deepbench.language.load import write_document
from deepbench.recipe import load_recipe
from pipeline.export import export_table
from pipeline.files import metadata_files, recipe_files, release_files
from pipeline.verify import verify

ROOT = Path(__file__).parents[2]


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


def test_a_release_of_a_recipe_that_extends_another_opens_alone(
    make, with_catalogue, tmp_path, check, run
):
    folder = tmp_path / "more"
    folder.mkdir()
    table = 'tables: {squares: {samples: "= n", noise: [{gaussian: {sigma: "= n / 30"}}]}}'
    (folder / "recipe.yaml").write_text(
        f"extends: ../recipes/recipe.yaml\nconstants: {{n: 3}}\n{table}\n"
    )
    code, out, _ = run("validate", folder / "recipe.yaml", "--json", "--set", "constants.n=6")
    assert code == 0
    recipe = load_recipe(folder / "recipe.yaml").replace({"constants.n": 6})
    assert json.loads(out)["recipe_hash"] == recipe.hash
    assert json.loads(out)["samples"]["squares"] == 6
    make(recipe, tmp_path / "releases")
    check(tmp_path / "releases")
    shutil.rmtree(folder)
    shutil.rmtree(with_catalogue.parent)
    stored = tmp_path / "releases/small/1.0.0/recipe.yaml"
    assert not re.search("extends|constants|= n", stored.read_text())
    again = load_recipe(stored)
    assert again.hash == recipe.hash
    data = xr.open_datatree(stored.parent / "data.zarr", engine="zarr")["squares"].to_dataset()
    assert np.array_equal(render(again, "squares")["image"], data["image"])


def test_a_release_can_be_built_again_from_its_folder(
    make, with_catalogue, tmp_path, check, undated
):
    make(load_recipe(with_catalogue), tmp_path / "one")
    first = check(tmp_path / "one")
    make(load_recipe(tmp_path / "one/small/1.0.0/recipe.yaml"), tmp_path / "two")
    second = check(tmp_path / "two")
    assert second.tables == first.tables
    assert undated(second) == undated(first)


READERS = """\
import multiprocessing, sys, tempfile
from pathlib import Path
from deepbench import labels
from deepbench.catalog import find

def read(archive):
    assert set(labels(find(archive).recipe, "squares", 0, 9)["circle.radius"]) <= {1.5, 2.5, 3.25}
    assert [*Path(tempfile.gettempdir()).glob("deepbench-*/inputs/*.csv")]

if __name__ == "__main__":
    for method in ("fork", "spawn"):
        process = multiprocessing.get_context(method).Process(target=read, args=(sys.argv[1],))
        process.start()
        process.join(60)
        assert process.exitcode == 0
    read(sys.argv[1])
"""


@pytest.mark.slow
def test_processes_that_unpack_files_of_an_archive_leave_none_behind(
    make, with_catalogue, tmp_path, monkeypatch
):
    make(load_recipe(with_catalogue), tmp_path / "releases")
    release = find("small", catalog=tmp_path / "releases")
    export_table(release, None, str(tmp_path / "small.zip"))
    script, temporary = tmp_path / "readers.py", tmp_path / "temporary"
    script.write_text(READERS)
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    command = [sys.executable, script, tmp_path / "small.zip"]
    done = subprocess.run(command, check=False, cwd=ROOT, timeout=100)
    assert done.returncode == 0
    assert list(temporary.glob("deepbench-*")) == []


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
    assert sorted(release_files(built.recipe, fmt.FORMAT_VERSION)) == sorted(expected)


def test_metadata_files(recipe, make_recipe, monkeypatch):
    labels = ["metadata/squares.parquet", "metadata/squares.csv"]
    assert metadata_files(recipe.table("squares"), 1) == labels
    assert metadata_files(recipe.table("squares"), 2) == [
        *labels,
        "metadata/squares.statistics.json",
    ]
    assert metadata_files(recipe.table("images"), 1)[-1] == "metadata/images.objects.parquet"
    monkeypatch.setattr("deepbench.format.CSV_ROWS", 39)
    assert metadata_files(recipe.table("squares"), 1) == ["metadata/squares.parquet"]


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


# --- identifiers ---------------------------------------------------------------------------------

IDS = [5_853_498_713_190_525_952 + 4_295_806_976 * (row // 5) + row % 5 for row in range(50)]
"""Identifiers of 63 bits like Gaia's; float64 rounds them to 10."""


@pytest.fixture
def with_identifiers(make_recipe, tmp_path):
    """Return a recipe that draws rows of a catalogue with identifiers in one of two classes."""
    rows = "".join(f"{number},{0.5 + row / 50}\n" for row, number in enumerate(IDS))
    (tmp_path / "stars.csv").write_text(f"SOURCE_ID,radius\n{rows}")

    def make(**changes):
        drawn = {"file": "stars.csv", "identifiers": {"source": "SOURCE_ID"}} | changes
        data = make_recipe().resolved()
        circle = {"circle": {"x": 4, "y": 4, "radius": "= star.radius"}}
        square = data["tables"]["squares"]["classes"]["square"]
        data["tables"] = {"squares": data["tables"]["squares"] | {"samples": 120}}
        data["tables"]["squares"]["classes"] = {
            "round": {"variables": {"star": {"catalog": drawn}}, "objects": [circle]},
            "square": square,
        }
        (tmp_path / "recipe.yaml").write_text(write_document(data))
        return load_recipe(tmp_path / "recipe.yaml")

    return make


def test_identifiers_are_exact_from_the_file_to_the_release(
    with_identifiers, make, tmp_path, check
):
    recipe = with_identifiers()
    assert recipe.resolved()["tables"]["squares"]["classes"]["round"]["variables"]["star"][
        "catalog"
    ]["columns"] == ["radius"]
    drawn = labels(recipe, "squares")
    name, inside = "variables.star.source", (drawn["class"] == "round").to_numpy()
    assert drawn[name].dtype == np.int64
    assert (drawn[name][~inside] == -1).all()
    assert set(drawn[name][inside]) <= set(IDS)
    rows = np.rint((drawn["variables.star.radius"][inside] - 0.5) * 50).astype(int)
    assert drawn[name][inside].tolist() == [IDS[row] for row in rows]
    assert len(set(map(float, IDS))) == 10

    make(recipe, tmp_path / "releases")
    check(tmp_path / "releases")
    folder = tmp_path / "releases/small/1.0.0"
    expected = drawn[name].to_numpy()
    stored = pd.read_parquet(folder / "metadata/squares.parquet")[name]
    text = pd.read_csv(folder / "metadata/squares.csv")[name]
    zarr = xr.open_datatree(folder / "data.zarr", engine="zarr")["squares"][name]
    for found in (stored, text, zarr):
        assert found.dtype == np.int64
        np.testing.assert_array_equal(found.to_numpy(), expected)
    assert zarr.attrs["long_name"] == "identifier in the catalogue; -1 where there is none"
    again = pd.read_csv(folder / "metadata/squares.csv")
    rendered = render(recipe, "squares", labels=again)
    np.testing.assert_array_equal(rendered[name].values, expected)


def test_integers_that_would_be_rounded_are_refused_in_new_recipes_alone(
    with_identifiers, make, tmp_path
):
    message = (
        "column 'SOURCE_ID' of stars.csv holds integers beyond 2\\*\\*53, which numbers round: "
        f"row 2 is {IDS[1]}; if it identifies something, list it in `identifiers`"
    )
    for changes in ({"identifiers": None}, {"identifiers": None, "columns": ["source_id"]}):
        with pytest.raises(RecipeError, match=message):
            with_identifiers(**changes)
    recipe = with_identifiers()
    folder, content = tmp_path / "kept", (tmp_path / "stars.csv").read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    (folder / "inputs").mkdir(parents=True)
    (folder / "inputs" / f"{sha256[:12]}.csv").write_bytes(content)
    data = recipe.resolved()
    data["tables"]["squares"]["classes"]["round"]["variables"]["star"]["catalog"] = {
        "file": f"inputs/{sha256[:12]}.csv", "sha256": sha256, "columns": ["radius", "source_id"],
    }  # fmt: skip
    (folder / "recipe.yaml").write_text(write_document(data))
    kept = load_recipe(folder / "recipe.yaml")
    assert labels(kept, "squares")["variables.star.source_id"].dtype == np.float64


def test_identifiers_are_no_numbers(with_identifiers):
    recipe = with_identifiers(identifiers=["source_id"])
    data = recipe.resolved()["tables"]["squares"]["classes"]["round"]
    data["objects"] = [{"circle": {"x": 4, "y": 4, "radius": "= star.source_id"}}]
    with pytest.raises(RecipeError, match="'star.source_id' is an identifier, .* no expression"):
        recipe.replace({"tables.squares.classes.round": data})
    number = data | {"objects": [{"circle": {"x": 4, "y": 4, "radius": 1}}]}
    number["variables"] = {"star": {"multivariate_normal": {
        "columns": ["source_id"], "mean": [0], "covariance": [[1]]
    }}}  # fmt: skip
    with pytest.raises(RecipeError, match="'variables.star.source_id' is an identifier in one"):
        recipe.replace({"tables.squares.classes.square": number})
    with pytest.raises(RecipeError, match="'source_id' stands in `columns` and in `identifiers`"):
        with_identifiers(identifiers=["source_id"], columns=["source_id", "radius"])


def test_labels_that_were_rounded_are_refused(with_identifiers):
    recipe = with_identifiers()
    frame = labels(recipe, "squares", 0, 20)
    name = "variables.star.source"
    with pytest.raises(LabelError, match=f"column '{name}' holds 5.85.*must be integers of 64"):
        render(recipe, "squares", labels=frame.assign(**{name: frame[name].astype(float)}))
    frame[name] = frame[name].astype("Int64")
    assert render(recipe, "squares", labels=frame)[name].values.max() > 2**53
    frame.loc[frame["class"] == "square", name] = 5
    with pytest.raises(LabelError, match=f"'{name}' is 5, but its class 'square' has no such"):
        render(recipe, "squares", labels=frame)
    frame = labels(recipe, "squares", 0, 20)
    frame["circle.x"] = np.where(frame["class"] == "round", 2**53 + 1, 0)
    with pytest.raises(LabelError, match=r"column 'circle.x' holds 9007199254740993, which a"):
        render(recipe, "squares", labels=frame)
