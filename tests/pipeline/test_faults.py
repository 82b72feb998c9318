"""Whatever dies, at whatever moment: the release is the same, or absent, and nothing else is left behind."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import sys
from pathlib import Path

import cloudpickle
import psutil
import pytest

from deepbench import format as fmt
from deepbench import labels
from deepbench.catalog import find
from deepbench.errors import BuildError, ClusterError, LabelError, ReleaseError
from deepbench.recipe import load_recipe
from pipeline import block as work
from pipeline import build as building
from pipeline import documents, encoding, publish
from pipeline.build import build
from pipeline.cli.main import exit_code
from pipeline.plan import Block, make_plan
from pipeline.target import FolderTarget, Hold

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import tests

MANY = {"storage__shard_bytes": 4096, "storage__chunk_bytes": 4096}
"""Four images to a block: 75 blocks of the first table and 5 of the second."""


@pytest.fixture
def digests(built):
    return {name: table.data_digest for name, table in built.release.manifest.tables.items()}


@pytest.fixture
def same(digests, check):
    """Check that a catalog holds the same release as a build without faults, and nothing else."""

    def compare(catalog):
        manifest = check(catalog)
        assert {name: table.data_digest for name, table in manifest.tables.items()} == digests
        return manifest

    return compare


# --- processes that die --------------------------------------------------------------------------


@pytest.mark.slow
def test_a_killed_coordinator(
    command, make, make_recipe, recipe_file, tmp_path, parts_in, half_way, same
):
    catalog = tmp_path / "releases"
    first = command("build", recipe_file(**MANY), "--catalog", catalog, "--workers", 2)
    half_way(first, catalog)
    workers = first.children()
    first.process.kill()
    first.process.wait(timeout=30)
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert alive == []  # workers do not outlive it
    done = len(parts_in(catalog))
    assert 5 <= done < 80
    assert not Path(catalog, "small").exists()

    result = make(make_recipe(**MANY), catalog)
    assert (result.resumed_blocks, result.new_blocks) == (done, 80 - done)
    same(catalog)


@pytest.mark.slow
def test_a_killed_worker(command, recipe_file, tmp_path, half_way, same):
    catalog = tmp_path / "releases"
    running = command("build", recipe_file(**MANY), "--catalog", catalog, "--workers", 2, "--json")
    half_way(running, catalog)
    victim = running.workers()[0]
    victim.kill()
    code, out, err = running.end()
    assert (code, err) == (0, "")
    assert json.loads(out)["new_blocks"] == 80
    same(catalog)


RUDE = """
import signal, sys
from short_lived import ShortLived
for each in (signal.SIGINT, signal.SIGTERM):  # dask-jobqueue does so to the first when it is imported
    signal.signal(each, lambda *_: sys.exit())
"""


@pytest.fixture
def described(tmp_path):
    """Describe a cluster of a job that runs and one that waits; return arguments, and Python to run first."""
    (tmp_path / "rude.py").write_text(RUDE)
    (tmp_path / "cluster.yaml").write_text(
        f"class: rude.ShortLived\narguments: {{queue: {tmp_path}/queue, lifetime: 60, room: 1}}\nworkers: 2\n"
    )
    places = [str(Path(__file__).parents[2] / "benchmarks"), str(tmp_path)]
    return ("--cluster", "cluster.yaml"), f"import sys; sys.path += {places}"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("where", "number", "exit_code"),
    [("local", signal.SIGINT, 130), ("described", signal.SIGTERM, 143)],
)
def test_a_signal_stops_a_build(
    command,
    make,
    make_recipe,
    recipe_file,
    tmp_path,
    parts_in,
    half_way,
    same,
    described,
    where,
    number,
    exit_code,
):
    catalog = tmp_path / "releases"
    arguments = ("build", recipe_file(**MANY), "--catalog", catalog, "--json")
    options, before = (("--workers", 2), "") if where == "local" else described
    first = command(*arguments, *options, before=before)
    half_way(first, catalog)
    workers = first.children()
    if where == "described":
        assert len(list(tmp_path.glob("queue/job-*"))) == 2
    os.killpg(first.process.pid, number)  # as a terminal does: to all processes
    code, out, err = first.end()
    assert code == exit_code
    assert out == ""
    assert (
        err == "stopped; a build keeps what was finished, and the same command goes on from there\n"
    )
    assert psutil.wait_procs(workers, timeout=30)[1] == []
    assert list(tmp_path.glob("queue/job-*")) == []
    done = len(parts_in(catalog))
    assert 5 <= done < 80

    assert make(make_recipe(**MANY), catalog).resumed_blocks == done
    same(catalog)


@pytest.mark.slow
def test_a_second_build_at_the_same_time_is_told(command, recipe_file, tmp_path, half_way, same):
    catalog = tmp_path / "releases"
    arguments = ("build", recipe_file(**MANY), "--catalog", catalog, "--workers", 1)
    first = command(*arguments)
    half_way(first, catalog)
    os.kill(first.process.pid, signal.SIGSTOP)
    try:
        code, out, err = command(*arguments).end()
    finally:
        os.kill(first.process.pid, signal.SIGCONT)
    assert (code, out) == (2, "")
    assert f"another process is building small@1.0.0 in '{catalog}'; wait for it" in err
    assert err.count("\n") == 1
    assert first.end()[0] == 0
    same(catalog)


# --- blocks that fail ----------------------------------------------------------------------------

SIZE = "tables__images__classes__circle__variables"


def late_fault(make_recipe):
    """Return a recipe in which one late sample, and it alone, leaves the range of its radius."""
    margin = {SIZE: {"margin": {"uniform": [0, 1]}}}
    column = labels(make_recipe(**margin), "images")["variables.margin"]
    sample = int(column.idxmin())
    limit = (column.min() + column.drop(sample).min()) / 2
    objects = [{"circle": {"x": 8, "y": 8, "radius": f"= margin - {float(limit)!r}"}}]
    return make_recipe(**margin, tables__images__classes__circle__objects=objects), sample


def test_a_recipe_that_fails_in_one_late_sample(make, make_recipe, tmp_path, parts_in):
    recipe, sample = late_fault(make_recipe)
    assert sample >= 16  # not in the first block
    start = sample // 16 * 16
    stop = min(start + 16, 300)
    with pytest.raises(
        BuildError,
        match=rf"1 of 21 blocks of small@1.0.0 \(recipe hash {recipe.hash[:12]}\) failed; 20 are done and kept, "
        rf"and the same command goes on from there\ntable 'images', samples {start} … {stop - 1}: LabelError: "
        rf"table 'images', sample {sample}: circle.radius = -.* must be .*greater than 0|above 0",
    ) as info:
        make(recipe, tmp_path)
    assert isinstance(info.value.__cause__, LabelError)
    assert [block for block, _ in info.value.failures] == [Block("images", start, stop)]
    assert exit_code(info.value) == 2
    assert len(parts_in(tmp_path)) == 20
    assert not Path(tmp_path, "small").exists()


def broken(staging, block):
    from pipeline.block import make_block

    if block == Block("images", 32, 48):
        raise ZeroDivisionError("our fault")
    return make_block(staging, block)


def deadly(staging, block):
    from pipeline.block import make_block

    if block == Block("images", 32, 48):
        os.kill(os.getpid(), signal.SIGKILL)
    return make_block(staging, block)


def full(staging, block):
    from pipeline.block import make_block

    if block.start == 160:
        raise OSError(errno.ENOSPC, "No space left on device")
    return make_block(staging, block)


def stumbling(staging, block):
    from pipeline.block import make_block

    once = Path(staging.target.root, f"stumbled-{block.table}-{block.start}")
    if not once.exists():
        once.write_text("")
        raise OSError(errno.EIO, "Input/output error")
    return make_block(staging, block)


def twice(staging, block):
    from pipeline.block import make_block

    make_block(staging, block)
    return make_block(staging, block)


def test_a_block_that_fails_for_our_fault(make, recipe, tmp_path, monkeypatch, same):
    monkeypatch.setattr(work, "make_block", broken)
    with pytest.raises(
        BuildError, match="'images', samples 32 … 47: ZeroDivisionError: our"
    ) as info:
        make(recipe, tmp_path)
    assert exit_code(info.value) == 1
    monkeypatch.undo()
    result = make(recipe, tmp_path)
    assert (result.resumed_blocks, result.new_blocks) == (20, 1)
    same(tmp_path)


@pytest.mark.slow
def test_a_block_that_kills_its_workers(make, recipe, tmp_path, monkeypatch, parts_in):
    monkeypatch.setattr(work, "make_block", deadly)
    with pytest.raises(BuildError, match="1 of 21 .*\n.*samples 32 … 47: the worker died") as info:
        make(recipe, tmp_path)
    assert exit_code(info.value) == 1
    ranges = {name.rpartition("-")[0] for name in parts_in(tmp_path)}  # some were made twice
    assert len(ranges) == 20


@pytest.mark.slow
def test_errors_that_pass(make, recipe, tmp_path, monkeypatch, same):
    monkeypatch.setattr(work, "make_block", stumbling)
    assert make(recipe, tmp_path).new_blocks == 21
    same(tmp_path)


def test_blocks_that_run_twice(make, recipe, tmp_path, monkeypatch, same):
    monkeypatch.setattr(work, "make_block", twice)
    assert make(recipe, tmp_path).new_blocks == 21
    same(tmp_path)


def test_a_full_disk(make, recipe, tmp_path, monkeypatch, same):
    monkeypatch.setattr(work, "make_block", full)
    with pytest.raises(BuildError, match="the disk is full; .* make room") as info:
        make(recipe, tmp_path)
    assert exit_code(info.value) == 2
    assert not Path(tmp_path, "small").exists()
    monkeypatch.undo()
    assert make(recipe, tmp_path).resumed_blocks > 0
    same(tmp_path)


def test_a_disk_that_is_full_only_when_it_comes_to_metadata(
    make, recipe, tmp_path, monkeypatch, same
):
    def no_room(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setitem(documents.WRITERS, fmt.CARD, no_room)
    with pytest.raises(BuildError, match="the disk is full; .* make room"):
        make(recipe, tmp_path)
    monkeypatch.undo()
    assert make(recipe, tmp_path).resumed_blocks == 21
    same(tmp_path)


# --- what lies in the staging folder -------------------------------------------------------------


@pytest.fixture
def unfinished(make, recipe, tmp_path, monkeypatch, staging_of):
    """The staging folder of a build that ended just before it would have been published."""

    def end(*_):
        raise InterruptedError

    monkeypatch.setattr(publish, "publish", end)
    with pytest.raises(InterruptedError):
        make(recipe, tmp_path)
    monkeypatch.undo()
    return staging_of(tmp_path, recipe)


def parts_of(staging):
    return [staging.target.path(name) for _, _, name in staging.part_names("images")]


def truncate(staging):
    path = parts_of(staging)[0]
    path.write_bytes(path.read_bytes()[:-10])


def empty(staging):
    parts_of(staging)[0].write_bytes(b"")


def flip(path, position=-40):
    content = bytearray(path.read_bytes())
    content[position] ^= 4
    path.write_bytes(content)


def flip_in_part(staging):
    flip(parts_of(staging)[0], 300)


def foreign_name(staging):
    """Another block's part under this block's range."""
    first, second = parts_of(staging)[:2]
    digest = second.name.rpartition("-")[2]
    first.unlink()
    shutil.copy(second, first.with_name(f"{first.name[:25]}-{digest}"))


def rewritten(staging, **changes):
    """Replace a part by one with another receipt."""
    from dataclasses import replace

    path = parts_of(staging)[0]
    receipt, table = staging.read_part(f"parts/images/{path.name}")
    path.unlink()
    staging.write_part(replace(receipt, **changes), table)


def foreign_recipe(staging):
    rewritten(staging, table_hash="0" * 64)


def foreign_version(staging):
    rewritten(staging, render_version=0)


def strange_content(staging):
    """A file whose name and checksum are right, but which is no part."""
    import xxhash

    path = parts_of(staging)[0]
    path.unlink()
    digest = xxhash.xxh3_128_hexdigest(b"strange")
    path.with_name(f"{path.name[:25]}-{digest}.parquet").write_bytes(b"strange")


def strange_receipt(staging):
    """A part whose receipt another version of the software wrote."""

    class Receipt:
        block = Block("images", 0, 16)

        @staticmethod
        def to_json():
            return '{"block": {"table": "images", "start": 0, "stop": 16}, "objects": [], "new": 1}'

    path = parts_of(staging)[0]
    _, table = staging.read_part(f"parts/images/{path.name}")
    path.unlink()
    staging.write_part(Receipt, table)


def shard(staging):
    return staging.release.path("data.zarr/images/image/c/0/0/0")


def flip_in_shard(staging):
    flip(shard(staging))


def truncated_shard(staging):
    shard(staging).write_bytes(shard(staging).read_bytes()[:-1])


def lost_shard(staging):
    shard(staging).unlink()


def swapped_shards(staging):
    other = staging.release.path("data.zarr/images/image/c/1/0/0")
    content = shard(staging).read_bytes()
    shard(staging).write_bytes(other.read_bytes())
    other.write_bytes(content)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "made_again"),
    [
        (lambda _: None, 0),
        (truncate, 1),
        (empty, 1),
        (flip_in_part, 1),
        (foreign_name, 1),
        (foreign_recipe, 1),
        (foreign_version, 1),
        (strange_content, 1),
        (strange_receipt, 1),
        (flip_in_shard, 1),
        (truncated_shard, 1),
        (lost_shard, 1),
        (swapped_shards, 2),
    ],
)
def test_damage_is_made_again(make, recipe, tmp_path, unfinished, same, damage, made_again):
    damage(unfinished)
    result = make(recipe, tmp_path)
    assert result.new_blocks == made_again
    assert result.resumed_blocks == 21 - made_again
    same(tmp_path)


def test_leftovers_are_swept(make, recipe, tmp_path, unfinished, same):
    folder = unfinished.release.folder
    (folder / "data.zarr/images/image/c/0/0/0.123.partial").write_bytes(b"half")
    (folder / "metadata").mkdir(exist_ok=True)
    (folder / "metadata/images.csv.9.partial").write_bytes(b"half")
    (folder / "data.zarr/images/image/c/99/0").mkdir(parents=True)
    (folder / "data.zarr/images/image/c/99/0/0").write_bytes(b"a foreign shard")
    (folder / "empty/folder").mkdir(parents=True)
    (folder / "manifest.json").write_text("{}")
    (folder / "notes.txt").write_text("mine")
    (unfinished.target.folder / "parts/images/notes.txt").write_text("not a part")
    make(recipe, tmp_path)
    same(tmp_path)
    assert not list(Path(tmp_path, "small").rglob("empty"))


def test_damaged_metadata_of_the_store_is_written_again(make, recipe, tmp_path, unfinished, same):
    unfinished.release.path("data.zarr/zarr.json").write_text("{}")
    unfinished.release.path("data.zarr/images/x/c/0").write_text("")
    make(recipe, tmp_path)
    folder = tmp_path / "small/1.0.0"
    same(tmp_path)
    for key, content in encoding.template(recipe).items():
        assert (folder / fmt.DATA / key).read_bytes() == content


def test_words_that_change_between_two_attempts(make, make_recipe, tmp_path, unfinished, same):
    words = {"title": "Other words", "license": "CC0-1.0"}
    result = make(make_recipe(**words), tmp_path)
    assert result.resumed_blocks == 21
    manifest = same(tmp_path)
    folder = tmp_path / "small/1.0.0"
    assert manifest.title == "Other words"
    assert "CC0-1.0" in (folder / "README.md").read_text()
    assert "Other words" in (folder / "recipe.yaml").read_text()
    attributes = json.loads((folder / "data.zarr/zarr.json").read_text())["attributes"]
    assert (attributes["title"], attributes["license"]) == ("Other words", "CC0-1.0")


def test_an_end_between_publishing_and_tidying_up(
    make, recipe, tmp_path, monkeypatch, same, unfinished
):
    def end(*_):
        raise InterruptedError

    with monkeypatch.context() as patch:
        patch.setattr(building, "tidy", end)
        with pytest.raises(InterruptedError):
            make(recipe, tmp_path)
    assert unfinished.target.folder.exists()  # the release is published, the staging folder left
    assert not make(recipe, tmp_path).built
    same(tmp_path)


def test_an_end_before_the_release_gets_its_name(
    make, recipe, tmp_path, monkeypatch, same, unfinished
):
    def end(*_):
        raise InterruptedError

    with monkeypatch.context() as patch:
        patch.setattr(FolderTarget, "publish", end)
        with pytest.raises(InterruptedError):
            make(recipe, tmp_path)
    assert unfinished.release.exists(fmt.MANIFEST)
    assert not Path(tmp_path, "small").exists()
    assert make(recipe, tmp_path).resumed_blocks == 21
    same(tmp_path)


def test_a_part_lost_while_publishing(recipe, tmp_path, unfinished):
    parts_of(unfinished)[3].unlink()
    with pytest.raises(
        BuildError, match="part of .*start=48, stop=64.* is missing or damaged; run"
    ):
        publish.publish(unfinished, recipe, make_plan(recipe), Hold(lambda: None), lambda *_: None)
    assert not Path(tmp_path, "small").exists()


@pytest.mark.slow
def test_an_interrupted_local_build_ends_its_workers(recipe, tmp_path):
    """A local cluster ends with the build, however that ends."""
    from pipeline.execution.cluster import ClusterOptions

    before = set(psutil.Process().children(recursive=True))

    def stop(step, done, total):
        if step == "rendering" and done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(recipe, str(tmp_path), cluster=ClusterOptions(workers=1), progress=stop)
    new = [
        child
        for child in set(psutil.Process().children(recursive=True)) - before
        if "resource_tracker" not in " ".join(child.cmdline())
    ]
    assert psutil.wait_procs(new, timeout=30)[1] == []


def test_more_samples_go_on_from_an_unfinished_build(
    make, make_recipe, tmp_path, unfinished, check
):
    larger = make_recipe(
        tables__images__samples=330
    )  # the last block of 12 samples becomes one of 16
    result = make(larger, tmp_path)
    assert (result.resumed_blocks, result.new_blocks) == (20, 3)
    check(tmp_path)


def test_a_half_written_file_is_never_in_the_release(unfinished):
    with unfinished.release.writing("data.zarr/images/image/c/99/0/0") as file:
        file.write(b"half")
        assert not [name for name in unfinished.release.files() if "99" in name]
    assert unfinished.release.read("data.zarr/images/image/c/99/0/0") == b"half"


def test_a_block_made_again_is_the_same_part(unfinished):
    before = list(unfinished.part_names("images"))
    work.make_block(unfinished, Block("images", 16, 32))
    assert list(unfinished.part_names("images")) == before


def test_a_worker_that_was_updated_meanwhile_makes_no_blocks(unfinished, monkeypatch):
    monkeypatch.setattr("pipeline.staging.versions", lambda: {"deepbench": "9.9"})
    with pytest.raises(
        ClusterError, match=r"this worker has deepbench version 9.9, not .*; install the same"
    ):
        work.make_block(unfinished, Block("images", 16, 32))


def test_a_catalogue_that_changes_during_the_build(make, rows_recipe, tmp_path, monkeypatch, check):
    path, table = rows_recipe
    recipe = load_recipe(path)
    catalog = tmp_path / "catalog"
    table.write_text("radius\n9.5\n")
    with pytest.raises(
        LabelError, match=r"radii.csv has changed since the recipe was read; run the same"
    ):
        make(recipe, catalog)
    table.write_text("radius\n1.5\n2.5\n3.5\n")
    original = building.prepare

    def prepare_then_change(*arguments):
        original(*arguments)
        table.write_text("radius\n9.5\n")

    monkeypatch.setattr(building, "prepare", prepare_then_change)
    make(recipe, catalog)
    check(catalog, name="drawn")
    release = find("drawn", catalog=catalog)
    assert release.recipe.hash == recipe.hash
    assert set(release.labels("images")["variables.row.radius"]) == {1.5, 2.5, 3.5}


@pytest.mark.parametrize("harm", ["lost", "cut"])
def test_a_published_version_that_is_damaged_is_told(make, recipe, copied, harm):
    shard = copied / "small/1.0.0/data.zarr/images/image/c/3/0/0"
    if harm == "lost":
        shard.unlink()
    else:
        shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(
        ReleaseError,
        match=r"small@1.0.0 in .* is damaged: data.zarr/images/image/c/3/0/0 and 0 other",
    ):
        make(recipe, copied)
