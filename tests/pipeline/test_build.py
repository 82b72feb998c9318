from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from deepbench import format as fmt
from deepbench import labels
from deepbench.errors import CatalogError, PlanError, ReleaseError
from pipeline import build as building
from pipeline.build import build
from pipeline.execution.cluster import ClusterOptions
from pipeline.target import FolderTarget, target_of


def digests(manifest):
    return {name: table.data_digest for name, table in manifest.tables.items()}


def names_in(folder):
    return [path.name for path in folder.iterdir()]


def sample_digests(catalog, table="images", version="1.0.0"):
    path = Path(catalog, "small", version, "metadata", f"{table}.parquet")
    return pq.read_table(path)["digest.image"].to_pylist()


# --- the same data, however it is made -----------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "storage",
    [
        {"chunk_bytes": 4096, "shard_bytes": 4096},
        {"chunk_bytes": 1024, "shard_bytes": 65536},
        {"chunk_bytes": 2**20, "shard_bytes": 2**26},
    ],
    ids=["small", "uneven", "one block"],
)
def test_chunks_and_shards_change_no_value(make, make_recipe, built, tmp_path, check, storage):
    recipe = make_recipe(storage=storage)
    assert recipe.hash == built.recipe.hash
    make(recipe, tmp_path)
    assert digests(check(tmp_path)) == digests(built.release.manifest)


@pytest.mark.slow
def test_the_number_of_workers_changes_no_value(recipe, built, tmp_path, check):
    result = build(recipe, str(tmp_path), cluster=ClusterOptions(workers=1))
    assert digests(check(tmp_path)) == digests(built.release.manifest)
    assert (result.built, result.resumed_blocks, result.new_blocks) == (True, 0, 21)


def test_the_order_of_blocks_changes_no_value(make, recipe, built, tmp_path, check, monkeypatch):
    from pipeline.plan import Plan

    forwards = Plan.__iter__
    calls = []

    def backwards(self):
        calls.append(self)
        blocks = list(forwards(self))
        return iter(blocks if len(calls) > 2 else blocks[::-1])  # metadata is in order

    monkeypatch.setattr(Plan, "__iter__", backwards)
    make(recipe, tmp_path)
    assert len(calls) > 2
    assert digests(check(tmp_path)) == digests(built.release.manifest)


def test_more_samples_keep_the_earlier_ones(make, make_recipe, built, tmp_path):
    recipe = make_recipe(tables__images__samples=400, version="1.1.0")
    make(recipe, tmp_path)
    more = sample_digests(tmp_path, version="1.1.0")
    assert len(more) == 400
    assert more[:300] == sample_digests(built.catalog)
    assert sample_digests(tmp_path, "squares", "1.1.0") == sample_digests(built.catalog, "squares")
    assert labels(recipe, "images", 0, 300).equals(labels(built.recipe, "images"))


def test_another_seed_changes_the_samples(make, make_recipe, built, tmp_path):
    make(make_recipe(seed=8), tmp_path)
    assert not set(sample_digests(tmp_path)) & set(sample_digests(built.catalog))


# --- versions ------------------------------------------------------------------------------------


def test_a_release_that_is_there_is_found(make, recipe, copied, built, check):
    result = make(recipe, copied)
    assert not result.built
    assert Path(result.path) == copied / "small/1.0.0"
    assert result.manifest == built.release.manifest
    check(copied)


@pytest.mark.parametrize(
    "changes",
    [
        {"title": "Other words", "license": "CC0-1.0", "authors": [], "description": ""},
        {"storage__shard_bytes": 8192},
    ],
)
def test_words_and_storage_make_no_other_release(make, make_recipe, copied, built, changes):
    result = make(make_recipe(**changes), copied)
    assert not result.built
    assert result.manifest == built.release.manifest


@pytest.mark.parametrize("changes", [{"seed": 8}, {"tables__images__samples": 301}])
def test_a_version_never_changes(make, make_recipe, copied, check, changes):
    recipe = make_recipe(**changes)
    with pytest.raises(
        ReleaseError,
        match=rf"small@1.0.0 exists in '.*releases' with other content \(recipe hash [0-9a-f]{{12}}, "
        rf"this recipe has {recipe.hash[:12]}\); releases never change: raise `version`",
    ):
        make(recipe, copied)
    check(copied)


def test_a_folder_in_the_way_is_left_alone(make, recipe, tmp_path):
    (tmp_path / "small/1.0.0").mkdir(parents=True)
    (tmp_path / "small/1.0.0/mine.txt").write_text("mine")
    with pytest.raises(ReleaseError, match="1.0.0 is in the way: it is not a release; move it"):
        make(recipe, tmp_path)
    assert (tmp_path / "small/1.0.0/mine.txt").read_text() == "mine"
    assert names_in(tmp_path) == ["small"]


def test_a_damaged_manifest_is_no_reason_to_build(make, recipe, copied):
    (copied / "small/1.0.0/manifest.json").write_text("{")
    with pytest.raises(
        ReleaseError, match="manifest.json is not a manifest of a DeepBench release"
    ):
        make(recipe, copied)


def test_another_process_builds_it(make, recipe, tmp_path, staging_of):
    with (
        target_of(tmp_path).lock(".building/small-1.0.0.lock"),
        pytest.raises(ReleaseError, match="another process is building small@1.0.0 in '.*'; wait"),
    ):
        make(recipe, tmp_path)


def test_another_process_published_it_meanwhile(make, recipe, copied, monkeypatch, check, built):
    answers = iter([None])
    found = building.find_published

    def blind_once(*arguments):
        return next(answers, found(*arguments))

    monkeypatch.setattr(building, "find_published", blind_once)
    result = make(recipe, copied)
    assert not result.built
    assert result.manifest == built.release.manifest
    check(copied)


def test_two_versions_side_by_side(make, make_recipe, copied, built, check):
    make(make_recipe(version="2.0.0", seed=9), copied)
    assert sorted(path.name for path in (copied / "small").iterdir()) == ["1.0.0", "2.0.0"]
    assert check(copied) == built.release.manifest
    check(copied, version="2.0.0")


# --- what is refused before the first block ------------------------------------------------------


@pytest.fixture
def no_cluster(monkeypatch):
    def start(*_):
        raise AssertionError("a cluster was started")

    monkeypatch.setattr("pipeline.execution.connect", start)


def test_a_disk_too_small(recipe, tmp_path, monkeypatch, no_cluster):
    monkeypatch.setattr(FolderTarget, "free_bytes", lambda _: 100_000)
    with pytest.raises(PlanError, match=r"of disk, but 97.7 KiB are free; .* about \d+ samples"):
        build(recipe, str(tmp_path))
    assert not (tmp_path / "small").exists()


def test_too_little_memory(recipe, tmp_path, monkeypatch, no_cluster):
    monkeypatch.setattr("distributed.system.MEMORY_LIMIT", 2**30)
    with pytest.raises(PlanError, match="a worker has 102.4 MiB; use fewer workers"):
        build(recipe, str(tmp_path), cluster=ClusterOptions(workers=10))
    assert names_in(tmp_path) == []


def test_a_catalog_that_cannot_be_written(recipe, tmp_path, no_cluster):
    (tmp_path / "file").write_text("")
    with pytest.raises(CatalogError, match="cannot write to the catalog '.*file': Not a directory"):
        build(recipe, str(tmp_path / "file"))


# --- what is told --------------------------------------------------------------------------------


def test_progress_and_times(make, recipe, tmp_path):
    told = []
    result = make(recipe, tmp_path, progress=lambda *each: told.append(each))
    steps = list(dict.fromkeys(step for step, _, _ in told))
    assert steps == ["starting workers", "rendering", "publishing"]
    rendering = [(done, total) for step, done, total in told if step == "rendering"]
    assert rendering[0] == (0, 340)
    assert rendering[-1] == (340, 340)
    assert rendering == sorted(rendering)
    assert len(rendering) == 22
    publishing = [(done, total) for step, done, total in told if step == "publishing"]
    assert publishing[0] == (0, 4)
    assert publishing[-1] == (4, 4)
    assert publishing == sorted(publishing)
    assert {"start", "blocks", "publish", "cpu.render", "cpu.encode"} <= set(result.seconds)
    assert all(value >= 0 for value in result.seconds.values())


def test_a_relative_catalog_is_the_coordinators(make, recipe, tmp_path, monkeypatch, check):
    """Workers that run already have another working directory."""
    monkeypatch.chdir(tmp_path)
    result = make(recipe, "releases")
    assert result.path == "releases/small/1.0.0"
    check(tmp_path / "releases")
    assert names_in(tmp_path) == ["releases"]


def test_nothing_is_under_the_name_before_it_is_whole(make, recipe, tmp_path):
    seen = []

    def look(step, done, total):
        if step != "publishing" or done < total:
            seen.append((tmp_path / "small/1.0.0").exists())

    make(recipe, tmp_path, progress=look)
    assert len(seen) > 20
    assert not any(seen)


def test_the_staging_folder_is_hidden_from_lists(make, recipe, tmp_path, monkeypatch):
    from deepbench.catalog import releases
    from pipeline import publish

    def end(*_):
        raise InterruptedError

    monkeypatch.setattr(publish, "publish", end)
    with pytest.raises(InterruptedError):
        make(recipe, tmp_path)
    assert (tmp_path / fmt.BUILDING).is_dir()
    assert releases(tmp_path) == []
