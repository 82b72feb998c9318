"""A catalog in an object store: everything that is done in a folder is done there."""

from __future__ import annotations

import json

import numpy as np
import pytest

import deepbench
from deepbench import format as fmt
from deepbench import render
from deepbench.catalog import find, releases
from deepbench.errors import CatalogError, MissingDataError, ReleaseError, StorageError
from deepbench.storage import object_store as stores
from deepbench.storage.locations import location_of
from pipeline.target import target_of
from pipeline.verify import verify


@pytest.fixture
def catalog(bucket):
    return f"{bucket}/releases"


@pytest.mark.slow
def test_build_open_read(make, recipe, catalog, built):
    result = make(recipe, catalog)
    assert result.path == f"{catalog}/small/1.0.0"
    assert (result.built, result.new_blocks) == (True, 21)
    assert not make(recipe, catalog).built
    assert list(location_of(catalog).files(fmt.BUILDING)) == []

    (release,) = releases(catalog)
    assert release.path == f"{catalog}/small/1.0.0"
    assert release.manifest.tables == built.release.manifest.tables
    ours = {each.path: each.sha256 for each in release.manifest.objects}
    assert ours == {each.path: each.sha256 for each in built.release.manifest.objects}
    assert set(release.location.files()) == {*ours, fmt.MANIFEST}
    for each in release.manifest.objects:
        assert release.location.size(each.path) == each.size
        assert release.location.sha256(each.path) == each.sha256

    tree = deepbench.open("small", catalog=catalog)
    images = render(recipe, "images")["image"].values
    assert np.array_equal(tree["images"]["image"].values, images)
    assert np.array_equal(release.sample("images", 37)["image"].values, images[37])
    assert release.labels("images").equals(built.release.labels("images"))
    assert release.label("images", 299).equals(built.release.label("images", 299))
    assert release.objects("images").equals(built.release.objects("images"))
    assert release.recipe == recipe


def test_a_missing_object_is_an_error(make, recipe, catalog):
    make(recipe, catalog)
    location = target_of(catalog)
    location.remove("small/1.0.0/data.zarr/images/image/c/3/0/0")
    tree = find("small", catalog=catalog).open()
    with pytest.raises(MissingDataError, match="images/image/c/3/0/0 is missing from the release"):
        tree["images"]["image"][50].load()
    with pytest.raises(
        ReleaseError, match="is damaged: data.zarr/images/image/c/3/0/0 and 0 other"
    ):
        make(recipe, catalog)


def test_a_build_that_ends_resumes(make, recipe, catalog, monkeypatch):
    from pipeline import publish

    def end(*_):
        raise InterruptedError

    monkeypatch.setattr(publish, "publish", end)
    with pytest.raises(InterruptedError):
        make(recipe, catalog)
    monkeypatch.undo()
    assert releases(catalog) == []
    location = target_of(catalog)
    (part, *_) = [name for name in location.files(fmt.BUILDING) if name.endswith(".parquet")]
    location.remove(part)
    result = make(recipe, catalog)
    assert (result.resumed_blocks, result.new_blocks) == (20, 1)


@pytest.mark.slow
def test_the_command(command, recipe_file, catalog):
    arguments = ("build", recipe_file(), "--catalog", catalog, "--workers", 1, "--json")
    code, out, err = command(*arguments).end()
    assert (code, err) == (0, "")
    assert json.loads(out)["path"] == f"{catalog}/small/1.0.0"
    code, out, err = command("list", "--catalog", catalog, "--json").end()
    assert (code, err) == (0, "")
    assert [each["path"] for each in json.loads(out)] == [f"{catalog}/small/1.0.0"]


def test_a_store_that_ignores_conditions_is_refused_before_the_first_block(
    make, recipe, new_bucket
):
    catalog = f"{new_bucket('ignores-if-none-match')}/releases"
    with pytest.raises(CatalogError, match="ignores `If-None-Match: .*; use a store that honours"):
        make(recipe, catalog)
    assert list(location_of(catalog).files()) == []


@pytest.mark.parametrize("name", ["list", "build", "plan", "prune"])
def test_a_bucket_that_is_not_there(run, object_store, recipe_file, name):
    arguments = [name, *([recipe_file()] if name in ("build", "plan") else [])]
    code, out, err = run(*arguments, "--catalog", "s3://no-such-bucket/releases")
    if name == "plan":  # it writes nothing and reads nothing
        assert (code, err) == (0, "")
        return
    assert (code, out) == (2, "")
    assert (
        "its bucket does not exist; make it, or check its name, AWS_ENDPOINT_URL and AWS_REGION"
        in err
    )
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [("list",), ("build", "small.yaml"), ("info", "small"), ("verify", "small@1.0.0"), ("prune",)],
)
def test_an_endpoint_that_is_dead(run, object_store, recipe_file, monkeypatch, arguments):
    recipe_file()
    monkeypatch.setattr(stores, "RETRIES", 0)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    stores.client_of.cache_clear()
    code, out, err = run(*arguments, "--catalog", "s3://bucket/releases")
    stores.client_of.cache_clear()
    assert (code, out) == (2, "")
    assert "the object store does not answer as it should; check AWS_ENDPOINT_URL" in err
    assert "fault of DeepBench" not in err
    assert len(err.splitlines()) == 1


def test_a_store_that_falls_silent_is_no_damage(make, recipe, catalog, monkeypatch):
    make(recipe, catalog)
    release = find("small", catalog=catalog)

    def silent(*_):
        raise StorageError("the object store does not answer")

    for name in ("read", "sha256"):
        with monkeypatch.context() as patch:
            patch.setattr(type(release.location), name, silent)
            with pytest.raises(StorageError):
                verify(release)
    assert release.manifest
    monkeypatch.setattr(type(release.location), "read", silent)
    for each in (release, find("small", catalog=catalog)):  # with its manifest, and without
        with pytest.raises(StorageError):
            each.open()


def test_credentials_appear_nowhere(make, recipe, catalog, secrets):
    make(recipe, catalog)
    location = find("small", catalog=catalog).location
    for name in location.files():
        content = location.read(name)
        assert not [word for word in secrets if word.encode() in content], name


def test_catalogues_of_rows_are_read_from_the_store(make, rows_recipe, catalog):
    make(deepbench.load_recipe(rows_recipe[0]), catalog)
    release = find("drawn", catalog=catalog)
    assert set(release.labels("images")["variables.row.radius"]) == {1.5, 2.5, 3.5}
    again = render(release.recipe, "images")["image"].values
    assert np.array_equal(release.open()["images"]["image"].values, again)
