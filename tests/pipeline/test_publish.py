from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

import deepbench
from deepbench import format as fmt
from deepbench import render
from deepbench.catalog import releases
from deepbench.errors import ReleaseError
from deepbench.recipe import load_recipe
from pipeline import publish
from pipeline.software import versions
from pipeline.target import BucketTarget, FolderTarget, Hold, target_of
from pipeline.target import bucket as bucket_module
from pipeline.target.base import nothing


def test_a_release_is_what_its_manifest_lists(built, check):
    manifest = check(built.catalog)
    assert manifest == built.release.manifest
    names = {each.path.partition("/")[0] for each in manifest.objects}
    assert names == {"data.zarr", "metadata", "recipe.yaml", *fmt.DOCUMENTS[fmt.FORMAT_VERSION]}


def test_the_manifest(built):
    manifest = built.release.manifest
    assert (manifest.name, manifest.version) == ("small", "1.0.0")
    assert manifest.title == built.recipe.title
    assert manifest.seed == 7
    assert manifest.recipe_hash == built.recipe.hash
    assert manifest.format_version == fmt.FORMAT_VERSION
    assert manifest.render_version == fmt.RENDER_VERSION
    assert manifest.software == versions()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", manifest.created)
    images = manifest.tables["images"]
    assert images.kind == "image"
    assert images.shard_length == 16
    assert images.table_hash == built.recipe.table("images").hash
    assert images.variables == {
        "image": {"dtype": "float32", "dims": ["sample", "y", "x"], "shape": [300, 16, 16]}
    }
    assert [each.path for each in manifest.objects] == sorted(
        each.path for each in manifest.objects
    )


def test_the_resolved_recipe_is_in_the_release(built):
    again = load_recipe(built.path / "recipe.yaml")
    assert again == built.recipe
    assert again.hash == built.recipe.hash
    assert built.release.recipe.hash == built.recipe.hash


def test_the_data_card_describes_every_column(built):
    card = (built.path / "README.md").read_text()
    lines = card.splitlines()
    for table in built.recipe.tables:
        plan = built.recipe.table(table).plan
        for column in (*plan.columns, *plan.object_columns):
            unit = "" if column.meanings else column.unit
            assert f"| `{column.name}` | {unit} | {column.description} |" in lines
        summary = built.release.manifest.tables[table]
        assert f"## Table `{table}`: {summary.samples} samples" in lines
        assert summary.data_digest in card
    images = built.release.manifest.tables["images"]
    assert f"The {images.objects:,} copies of repeated objects are in" in card
    assert built.recipe.hash in card
    for words in ("CC-BY-4.0", "A. Tester", "A paper on tests", "For tests.", "Seed: 7"):
        assert words in card
    counts = ", ".join(f"{name} {count}" for name, count in images.classes.items())
    assert f"- Classes: {counts}" in lines


def test_the_data_card_of_a_recipe_with_few_words(make, make_recipe, tmp_path):
    recipe = make_recipe(license="", authors=[], references=[], description="")
    make(recipe, tmp_path)
    card = (tmp_path / "small/1.0.0/README.md").read_text()
    assert "Licence: not stated" in card
    assert "Authors: not stated" in card
    assert "## References" not in card
    assert re.search(r"The authors \(20\d\d\): Small images", card)


def test_the_code_in_the_data_card_runs(built):
    card = (built.path / "README.md").read_text()
    code = re.search(r"```python\n(.*?)```", card, re.DOTALL)[1]
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nprint(images.sizes['sample'], squares.sizes['sample'])"],
        cwd=built.path,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout == "300 40\n"


PLAIN = """
import sys, json
import xarray as xr
tree = xr.open_datatree(sys.argv[1], engine="zarr")
images = tree["images"].to_dataset()
print(json.dumps({name: [list(each.dims), str(each.dtype), each.attrs] for name, each in images.variables.items()}))
assert not [name for name in sys.modules if name.partition(".")[0] in ("deepbench", "pipeline")]
"""


def test_plain_xarray_shows_described_variables(built):
    """In a process that imports nothing of ours."""
    done = subprocess.run(
        [sys.executable, "-c", PLAIN, built.path / "data.zarr"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    shown = json.loads(done.stdout)
    assert shown["image"][:2] == [["sample", "y", "x"], "float32"]
    assert shown["image"][2] == {"long_name": "image", "units": "1"}
    assert shown["x"][2] == {"long_name": "pixel centre, to the right", "units": "pixel"}
    for column in built.recipe.table("images").plan.columns:
        dims, dtype, attributes = shown[column.name]
        assert (dims, dtype) == (["sample"], str(column.dtype))
        assert attributes["long_name"] == column.description
        if column.meanings:
            assert attributes["flag_meanings"].split() == list(column.meanings)
            assert attributes["flag_values"] == list(range(len(column.meanings)))
        else:
            assert attributes["units"] == column.unit
    assert shown["circle.radius"][2]["units"] == "pixel"


def test_plain_xarray_shows_what_the_release_is(built):
    tree = xr.open_datatree(built.path / "data.zarr", engine="zarr")
    assert tree.attrs["title"] == built.recipe.title
    assert tree.attrs["license"] == "CC-BY-4.0"
    assert tree.attrs["recipe_hash"] == built.recipe.hash
    assert list(tree["images"]["y"].values) == list(range(16))


def test_open_reads_the_data(built):
    tree = deepbench.open("small", catalog=built.catalog)
    image = tree["images"]["image"]
    assert image.chunks is None
    assert np.array_equal(image[17:19].values, render(built.recipe, "images", 17, 19)["image"])


def test_open_with_shards_as_chunks(built):
    tree = deepbench.open("small", version="1.0.0", catalog=built.catalog, chunks="shards")
    image = tree["images"]["image"]
    assert image.chunks == ((16,) * 18 + (12,), (16,), (16,))
    assert tree["squares"]["image"].chunks[0] == (32, 8)
    whole = render(built.recipe, "images")["image"].values
    assert np.array_equal(image.compute(scheduler="synchronous").values, whole)


def test_publishing_onto_something_is_refused(make, recipe, tmp_path, monkeypatch, staging_of):
    """Another process was faster: ours is refused, and its own files stay until the next command."""
    publish_of = FolderTarget.publish

    def late(self, source, final, last, check):
        Path(self.root, final).mkdir(parents=True)
        Path(self.root, final, "file").write_text("another's")
        publish_of(self, source, final, last, check)

    monkeypatch.setattr(FolderTarget, "publish", late)
    with pytest.raises(ReleaseError, match="1.0.0 exists already; releases never change"):
        make(recipe, tmp_path)
    assert [path.name for path in (tmp_path / "small/1.0.0").iterdir()] == ["file"]
    assert staging_of(tmp_path, recipe).release.exists(fmt.MANIFEST)


def test_a_lost_lease_stops_a_publish(make, recipe, bucket, monkeypatch):
    publish_of = BucketTarget.publish

    def late(*arguments):
        monkeypatch.setattr(bucket_module, "LEASE", 0.0)  # nobody has heard of us for too long
        publish_of(*arguments)

    monkeypatch.setattr(BucketTarget, "publish", late)
    with pytest.raises(ReleaseError, match="could not renew its lock .*small-1.0.0.lock in time"):
        make(recipe, bucket)
    assert list(target_of(bucket).files("small")) == []


@pytest.mark.slow
@pytest.mark.parametrize("location", ["tmp_path", "bucket"])
def test_versions_that_are_published_at_once_wait_for_one_another(
    make, make_recipe, request, monkeypatch, location
):
    """The later is compared with the earlier, although neither was there when they were begun."""
    catalog = request.getfixturevalue(location)
    target = target_of(catalog)
    ready, arrived = [], []

    def end(*arguments):
        ready.append(arguments)
        raise InterruptedError

    with monkeypatch.context() as patch:
        patch.setattr(publish, "publish", end)
        for changes in ({}, {"version": "1.0.1", "seed": 8}):
            with pytest.raises(InterruptedError):
                make(make_recipe(**changes), catalog)
    other = threading.Event()
    publish_of = type(target).publish

    def meet(*arguments):
        arrived.append(arguments)
        if len(arrived) == 2:
            other.set()
        assert other.wait(30)  # until the other arrives, or has to wait for its turn
        publish_of(*arguments)

    def wait(seconds):
        other.set()
        time.sleep(0.05)

    monkeypatch.setattr(type(target), "publish", meet)
    monkeypatch.setattr(publish, "time", SimpleNamespace(sleep=wait))
    monkeypatch.setattr(bucket_module, "BEAT", 0.05)

    def run(staging, recipe, plan, _, report):
        publish.publish(staging, recipe, plan, Hold(nothing), report)

    with ThreadPoolExecutor(2) as pool:
        ends = [pool.submit(run, *arguments).exception for arguments in ready]
        refused = [end() for end in ends if end() is not None]
    assert [type(error) for error in refused] == [ReleaseError]
    assert refused[0].claimed == "patch"
    assert len(releases(catalog)) == 1


def test_a_file_that_disappears_is_an_error(make, recipe, tmp_path, monkeypatch):
    sweep = FolderTarget.sweep

    def careless(self, folder, keep):
        removed = sweep(self, folder, keep)
        self.remove(f"{folder}/metadata/images.csv")
        return removed

    monkeypatch.setattr(FolderTarget, "sweep", careless)
    with pytest.raises(
        ReleaseError, match="images.csv has disappeared; run the same command again"
    ):
        make(recipe, tmp_path)
    assert not (tmp_path / "small").exists()
