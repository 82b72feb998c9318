"""Upkeep of a catalog: remove, deprecate, prune; in a folder and in an object store."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path

import pytest

import deepbench
from deepbench import format as fmt
from deepbench.catalog import find, releases
from deepbench.errors import CatalogError
from deepbench.release import DeprecatedReleaseWarning, Deprecation
from pipeline import upkeep
from pipeline.target import target_of


@pytest.fixture(params=["folder", "store"])
def catalog(request, make, recipe):
    """A catalog of each kind with one release."""
    if request.param == "folder":
        return str(request.getfixturevalue("copied"))
    catalog = f"{request.getfixturevalue('bucket')}/releases"
    make(recipe, catalog)
    return catalog


@pytest.fixture
def run(command):
    def end(*arguments):
        return command(*arguments).end()

    return end


def test_remove(catalog):
    target = target_of(catalog)
    upkeep.deprecate(target, find("small", catalog=catalog), "wrong")
    upkeep.remove(target, find("small", catalog=catalog))
    assert releases(catalog) == []
    assert list(target.files()) == []


def test_what_is_being_built_is_not_removed(catalog, monkeypatch):
    monkeypatch.setattr("pipeline.target.bucket.BEAT", 0.05)
    target, release = target_of(catalog), find("small", catalog=catalog)
    with (
        target.lock(".building/small-1.0.0.lock"),
        pytest.raises(CatalogError, match="another process works on small@1.0.0; wait for it"),
    ):
        upkeep.remove(target, release)
    assert len(releases(catalog)) == 1


@pytest.mark.slow
def test_after_an_interrupted_remove_nothing_is_deprecated(catalog, make, recipe, monkeypatch):
    target = target_of(catalog)
    upkeep.deprecate(target, find("small", catalog=catalog), "wrong")
    withdraw = type(target).withdraw

    def end(*arguments):
        withdraw(*arguments)
        raise InterruptedError

    monkeypatch.setattr(type(target), "withdraw", end)
    with pytest.raises(InterruptedError):
        upkeep.remove(target, find("small", catalog=catalog))
    make(recipe, catalog)
    assert find("small", catalog=catalog).deprecation is None


def test_an_interrupted_remove_is_ended_by_prune(copied, monkeypatch):
    import shutil

    def fail(*_):
        raise OSError("Input/output error")

    target = target_of(copied)
    monkeypatch.setattr(shutil, "rmtree", fail)
    with pytest.raises(OSError, match="Input/output error"):
        upkeep.remove(target, find("small", catalog=copied))
    monkeypatch.undo()
    assert releases(copied) == []
    (removed,) = [each for each in upkeep.prune(target, 0)[0] if "removed-" in each.name]
    assert removed.bytes > 100_000
    assert list(target.files()) == []


@pytest.mark.slow
def test_deprecation(catalog, make, make_recipe):
    target = target_of(catalog)
    make(make_recipe(version="1.0.1", title="Better"), catalog)
    upkeep.deprecate(target, find("small", "1.0.0", catalog), "labels leak", "small@1.0.1")
    release = find("small", "1.0.0", catalog)
    with pytest.warns(
        DeprecatedReleaseWarning,
        match=r"small@1.0.0 is deprecated since \d{4}-\d\d-\d\d: labels leak; use small@1.0.1 instead",
    ) as caught:
        deepbench.open("small", "1.0.0", catalog)
    assert caught[0].filename == __file__
    deepbench.open("small", "1.0.1", catalog)  # without a warning, which would be an error here
    assert release.deprecation == Deprecation(
        release.deprecation.since, "labels leak", "small@1.0.1"
    )
    upkeep.undeprecate(target, release)
    assert find("small", "1.0.0", catalog).deprecation is None


def test_deprecations_that_cannot_be(copied):
    target, release = target_of(copied), find("small", catalog=copied)
    with pytest.raises(CatalogError, match="say why with --reason"):
        upkeep.deprecate(target, release, " ")
    with pytest.raises(CatalogError, match="there is no release small@3.0.0"):
        upkeep.deprecate(target, release, "wrong", "small@3.0.0")
    with pytest.raises(CatalogError, match="is not a version"):
        upkeep.deprecate(target, release, "wrong", "small")
    with pytest.raises(CatalogError, match="is not a release's name"):
        upkeep.deprecate(target, release, "wrong", "../small@1.0.0")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "deprecated: yes",
        "deprecated: {since: now}",
        "deprecated: {since: 1, reason: 2, more: 3}",
        "deprecated: {since: a, reason: b}\nmore: 1",
        "deprecated: {since: !!python/object/apply:os.system [exit], reason: b}",
    ],
)
def test_entries_that_are_none(copied, text):
    (copied / "small/1.0.0.yaml").write_text(text)
    with pytest.raises(CatalogError, match=r"small/1.0.0.yaml must be `deprecated: \{since, "):
        find("small", catalog=copied).deprecation  # noqa: B018


@pytest.fixture
def unfinished(make, make_recipe, copied, monkeypatch):
    """A catalog with a release, and a build of another version that ended before it was published."""
    from pipeline import publish

    def end(*_):
        raise InterruptedError

    monkeypatch.setattr(publish, "publish", end)
    with pytest.raises(InterruptedError):
        make(make_recipe(version="2.0.0", seed=8), copied)
    monkeypatch.undo()
    return copied


def test_prune_removes_what_is_old(unfinished):
    target = target_of(unfinished)
    assert upkeep.prune(target, 3600) == ([], [])
    (folder,), busy = upkeep.prune(target, 0, dry=True)
    assert busy == []
    assert folder.version == "small-2.0.0"
    assert folder.bytes > 50_000
    assert target.exists(folder.name)
    for path in Path(unfinished, fmt.BUILDING).rglob("*"):
        if path.is_file():
            os.utime(path, (0, time.time() - 7200))
    removed, _ = upkeep.prune(target, 3600)
    assert folder.name in [each.name for each in removed]
    assert list(target.files(fmt.BUILDING)) == []
    assert len(releases(unfinished)) == 1


def test_prune_leaves_builds_that_run(unfinished):
    target = target_of(unfinished)
    with target.lock(".building/small-2.0.0.lock"):
        removed, busy = upkeep.prune(target, 0)
    assert removed == []
    assert {each.version for each in busy} == {"small-2.0.0"}
    assert upkeep.prune(target, 0)[0] != []


def test_prune_believes_no_clock_that_went_backwards(unfinished):
    """Files that seem to come from the future are not old."""
    for path in Path(unfinished, fmt.BUILDING).rglob("*"):
        if path.is_file():
            os.utime(path, (0, time.time() + 1e6))
    assert upkeep.prune(target_of(unfinished), 0) == ([], [])


def test_prune_clears_interrupted_publishes_in_a_store(bucket, make, recipe):
    target = target_of(bucket)
    make(recipe, bucket)
    target.write("small/2.0.0/data.zarr/images/image/c/0/0/0", b"copied before the end")
    target.write("small/notes/file", b"mine")
    removed, _ = upkeep.prune(target, 0)
    assert [each.name for each in removed] == ["small/2.0.0"]
    assert target.exists("small/notes/file")
    assert len(releases(bucket)) == 1


def test_prune_never_touches_what_else_lies_in_a_folder(copied):
    (copied / "small/2.0.0").mkdir()
    (copied / "small/2.0.0/thesis.pdf").write_text("years of work")
    assert upkeep.prune(target_of(copied), 0) == ([], [])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("15m", 900), ("1.5h", 5400), ("7d", 604800), ("2w", 1209600)],
)
def test_ages(text, seconds):
    assert upkeep.parse_age(text) == seconds


@pytest.mark.parametrize("text", ["", "7", "d", "-1d", "1y", "7 d", "٧d"])
def test_what_is_no_age(text):
    with pytest.raises(CatalogError, match="is not an age: use a number and one of s, m, h, d, w"):
        upkeep.parse_age(text)


@pytest.mark.slow
def test_the_commands(run, copied):
    at = ("--catalog", copied)
    code, out, err = run("deprecate", "small@1.0.0", "--reason", "labels leak", *at)
    assert (code, err) == (0, "")
    assert "small@1.0.0 is deprecated since" in out
    assert "(deprecated) Small images" in run("list", *at)[1]
    code, out, _ = run("info", "small", "--json", *at)
    assert json.loads(out)["deprecated"]["reason"] == "labels leak"
    assert "is deprecated since" in run("info", "small", *at)[1]
    assert run("deprecate", "small@1.0.0", "--undo", *at)[1] == "small@1.0.0 is not deprecated\n"

    code, _, err = run("remove", "small", *at)
    assert (code, err) == (2, "error: say which version: small@VERSION\n")
    code, _, err = run("remove", "small@", "--yes", *at)
    assert code == 2
    assert "'' is not a version" in err
    code, out, err = run("remove", "small@1.0.0", *at)  # nobody answers the question
    assert code == 130
    assert len(releases(copied)) == 1
    assert run("remove", "small@1.0.0", "--yes", *at)[:2] == (0, "removed small@1.0.0\n")
    code, out, err = run("prune", "--older-than", "1d", *at)
    assert (code, out) == (0, "no unfinished build is older than 1d\n")
    assert run("prune", "--older-than", "soon", *at)[0] == 2


@pytest.mark.slow
def test_info_shows_recipe_and_citation(run, built):
    code, out, err = run("info", "small", "--catalog", built.catalog)
    assert (code, err) == (0, "")
    assert re.search(
        r"cite as: A. Tester \(20..\): Small images of everything that the pipeline stores. sm", out
    )
    code, out, _ = run("info", "small", "--catalog", built.catalog, "--recipe")
    assert deepbench.parse_recipe(out) == built.recipe
    code, out, _ = run("info", "small", "--catalog", built.catalog, "--json")
    assert json.loads(out)["recipe"] == built.recipe.resolved()


@pytest.mark.slow
def test_prune_looks_again_when_it_holds_the_lock(bucket, make, recipe, monkeypatch):
    """What was the rest of an interrupted publish when it was listed may be a release by now."""
    target = target_of(bucket)
    listed = [upkeep.Leftover("small/1.0.0", "small-1.0.0", 1e6, 1)]
    make(recipe, bucket)
    monkeypatch.setattr(upkeep, "leftovers", lambda _: iter(listed))
    assert upkeep.prune(target, 0) == ([], [])
    assert len(releases(bucket)) == 1


def test_prune_survives_files_that_vanish(unfinished, monkeypatch):
    target = target_of(unfinished)
    names = list(target.files(fmt.BUILDING))
    listing = type(target).files

    def stale(self, folder=""):
        yield from listing(self, folder)
        yield from (f"{name}.gone" for name in names if folder and name.startswith(folder))

    monkeypatch.setattr(type(target), "files", stale)
    assert upkeep.prune(target, 0)[0] != []
