"""Releases of format version 1 are verified, repaired, grown and compared as those of version 2."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import deepbench
from deepbench import format as fmt
from deepbench.catalog import find
from pipeline import encoding
from pipeline.diff import Side, compare
from pipeline.documents import WRITERS, documents
from pipeline.files import release_files
from pipeline.repair import repair
from pipeline.staging import Staging
from pipeline.target import target_of
from pipeline.verify import verify


def as_version_1(catalog, recipe):
    """Make of a release what version 1 would have been: its list of files, and what its store says of itself."""
    release = find(recipe.name, recipe.version, catalog)
    folder = Path(release.path)
    manifest = replace(release.manifest, format_version=1)
    changed = {"data.zarr/zarr.json": encoding.template(recipe, format_version=1)["zarr.json"]}
    changed |= documents(recipe, manifest)
    for name, content in changed.items():
        folder.joinpath(name).unlink()
        folder.joinpath(name).write_bytes(content)
    for name in {each.path for each in manifest.objects} - {*release_files(recipe, 1)}:
        folder.joinpath(name).unlink()
    kept = (each for each in manifest.objects if folder.joinpath(each.path).exists())
    objects = (
        fmt.StoredObject(
            each.path, len(changed[each.path]), hashlib.sha256(changed[each.path]).hexdigest()
        )
        if each.path in changed
        else each
        for each in kept
    )
    folder.joinpath(fmt.MANIFEST).unlink()
    text = replace(manifest, objects=tuple(objects)).to_json()
    folder.joinpath(fmt.MANIFEST).write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def old(built, tmp_path_factory):
    """A catalog with a release of version 1. Not to be changed."""
    catalog = tmp_path_factory.mktemp("old") / "releases"
    shutil.copytree(built.catalog, catalog)
    as_version_1(catalog, built.recipe)
    return catalog


@pytest.fixture
def catalog(old, tmp_path):
    shutil.copytree(old, tmp_path / "releases")
    return tmp_path / "releases"


def contents(folder):
    return {path: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def test_new_releases_are_of_version_2(built):
    assert built.release.manifest.format_version == 2
    assert deepbench.open("small", catalog=built.catalog).attrs["format_version"] == 2


def test_version_1_is_whole_and_opens(old):
    release = find("small", catalog=old)
    report = verify(release, rerender=0.1)
    assert (report.findings, report.notes) == ([], [])
    assert release.manifest.format_version == 1
    assert release.open().attrs["format_version"] == 1
    files = {path.name for path in Path(release.path).iterdir() if path.is_file()}
    assert files == {fmt.CARD, fmt.MANIFEST, fmt.RECIPE}


def test_the_version_says_which_files_there_are(catalog):
    """A manifest that lists the files of the other version is not believed."""
    folder = Path(catalog, "small", "1.0.0")
    manifest = find("small", catalog=catalog).manifest
    folder.joinpath(fmt.MANIFEST).unlink()
    folder.joinpath(fmt.MANIFEST).write_text(replace(manifest, format_version=2).to_json())
    found = {each.message for each in verify(find("small", catalog=catalog)).findings}
    names = {fmt.statistics_file("images"), fmt.statistics_file("squares")}
    names |= {*fmt.DOCUMENTS[2]} - {*fmt.DOCUMENTS[1]}
    assert found == {f"does not list {name}, unlike the format" for name in names}


def test_version_1_is_repaired_to_the_same_bytes(catalog):
    release = find("small", catalog=catalog)
    before = contents(release.path)
    damaged = [
        "README.md",
        "data.zarr/images/image/c/3/0/0",
        "data.zarr/zarr.json",
        "metadata/squares.parquet",
    ]
    for name in damaged:
        path = Path(release.path, name)
        path.chmod(0o644)
        path.write_bytes(b"")
    done = repair(release, str(catalog))
    assert (sorted(done.repaired), done.refused) == (damaged, {})
    assert contents(release.path) == before


def test_version_1_is_grown_into_version_2(make, make_recipe, catalog):
    larger = make_recipe(version="1.1.0", tables__squares__samples=60)
    result = make(larger, catalog)
    assert result.manifest.format_version == 2
    assert result.reused.blocks == 19 + 1
    assert verify(find("small", "1.1.0", catalog), rerender=0.1).findings == []


def test_statistics_of_version_1_are_computed(built, old):
    release = find("small", catalog=old)
    for name in built.recipe.tables:
        assert release.statistics(name) == built.release.statistics(name)


def test_versions_of_the_same_values_are_the_same(built, old):
    one, other = (Side.of(find("small", catalog=each)) for each in (old, built.catalog))
    assert compare(one, other).level == "none"


def test_a_build_that_version_1_began_is_begun_again(make, recipe, tmp_path, check):
    """Its folder is another one, and goes when the release is there."""
    begun = Staging.of(target_of(tmp_path), recipe, 1)
    begun.release.write(fmt.RECIPE, b"")
    begun.target.write("parts/images/a.parquet", b"")
    assert begun.name != Staging.of(target_of(tmp_path), recipe).name
    result = make(recipe, tmp_path)
    assert (result.resumed_blocks, result.new_blocks) == (0, 21)
    check(tmp_path)


def test_a_manifest_of_which_no_document_can_be_written(catalog, monkeypatch):
    monkeypatch.setitem(WRITERS, fmt.CARD, lambda *_: str(int("no number")))
    (finding,) = verify(find("small", catalog=catalog)).findings
    assert str(finding).startswith("manifest: manifest.json: says what no document can tell: inv")


def test_a_document_in_other_words_is_a_note(catalog, monkeypatch):
    monkeypatch.setitem(WRITERS, fmt.CARD, lambda *_: "# Another card\n")
    report = verify(find("small", catalog=catalog))
    assert report.ok
    assert report.notes == ["words: README.md: this DeepBench writes it otherwise"]
