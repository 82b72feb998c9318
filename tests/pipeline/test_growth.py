"""A larger version takes the finished shards of a smaller one, and is what it would be without it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deepbench import format as fmt
from deepbench.catalog import find
from pipeline import block as work
from pipeline.build import build
from pipeline.growth import reusable
from pipeline.plan import Block, make_plan
from pipeline.target import target_of

LARGER = {"version": "1.1.0", "tables__images__samples": 410}


@pytest.fixture(scope="module")
def apart(tmp_path_factory, cluster, make_recipe):
    """The larger version, made without the smaller one."""
    from pipeline.execution.cluster import ClusterOptions

    catalog = tmp_path_factory.mktemp("apart")
    options = ClusterOptions(scheduler=cluster.scheduler_address)
    build(make_recipe(**LARGER), str(catalog), cluster=options)
    return find("small", "1.1.0", catalog).manifest


def shards(manifest):
    return {each.path: each.sha256 for each in manifest.objects if "/image/c/" in each.path}


def statistics(manifest):
    return [each for each in manifest.objects if each.path.endswith(fmt.STATISTICS)]


def test_a_larger_version_takes_whole_shards(make, make_recipe, copied, apart, check):
    result = make(make_recipe(**LARGER), copied)
    assert result.manifest.tables == apart.tables
    assert shards(result.manifest) == shards(apart)
    assert statistics(result.manifest) == statistics(apart)
    # 18 of 19 blocks of images, whose last has 12 of 16 samples, and both of squares
    assert (result.reused.blocks, result.new_blocks, result.resumed_blocks) == (20, 8, 0)
    assert result.reused.samples == 18 * 16 + 40
    old = find("small", "1.0.0", copied)
    taken = [each for each in old.manifest.objects if "image/c/" in each.path]
    assert result.reused.bytes == sum(
        each.size for each in taken if "images/image/c/18/" not in each.path
    )
    assert result.reused.cpu_seconds > 0
    for path, linked in (
        ("data.zarr/images/image/c/3/0/0", True),
        ("data.zarr/squares/image/c/1/0/0", True),
        ("data.zarr/images/image/c/18/0/0", False),
    ):
        one, other = (Path(copied, "small", version, path) for version in ("1.0.0", "1.1.0"))
        assert one.samefile(other) is linked
        assert other.stat().st_mode & 0o777 == 0o444


@pytest.mark.slow
def test_the_same_in_an_object_store(make, make_recipe, recipe, bucket, apart):
    make(recipe, bucket)
    result = make(make_recipe(**LARGER), bucket)
    assert (result.reused.blocks, result.new_blocks) == (20, 8)
    assert shards(result.manifest) == shards(apart)
    release = find("small", "1.1.0", bucket)
    for path, sha256 in shards(apart).items():
        assert release.location.sha256(path) == sha256


def test_other_tables_and_layouts_are_made(make, make_recipe, copied):
    target = target_of(copied)

    def taken(**changes):
        recipe = make_recipe(**{"version": "2.0.0"} | changes)
        return {block.table for block in reusable(target, recipe, make_plan(recipe))}

    assert taken() == {"images", "squares"}
    assert taken(tables__squares__size=[8, 13]) == {"images"}
    assert taken(seed=8) == set()
    assert taken(storage__chunk_bytes=2048) == set()
    assert taken(name="other") == set()
    assert taken(title="Other words") == {"images", "squares"}


def test_fewer_samples_take_whole_shards_too(make_recipe, copied):
    recipe = make_recipe(version="2.0.0", tables__images__samples=70)
    found = reusable(target_of(copied), recipe, make_plan(recipe))
    blocks = [block for block in found if block.table == "images"]
    assert blocks == [Block("images", start, start + 16) for start in (0, 16, 32, 48)]


def test_another_rendering_is_not_reused(make_recipe, copied, monkeypatch):
    monkeypatch.setattr(fmt, "RENDER_VERSION", 1000)
    recipe = make_recipe(**LARGER)
    assert reusable(target_of(copied), recipe, make_plan(recipe)) == {}


@pytest.mark.slow
@pytest.mark.parametrize("harm", ["flip", "lose", "manifest"])
def test_damaged_shards_are_rendered(make, make_recipe, copied, apart, harm, caplog):
    folder = copied / "small/1.0.0"
    path = folder / (fmt.MANIFEST if harm == "manifest" else "data.zarr/images/image/c/3/0/0")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.unlink()
    if harm != "lose":
        path.write_bytes(content)
    result = make(make_recipe(**LARGER | {"version": "2.0.0"}), copied)
    assert shards(result.manifest) == shards(apart)
    assert result.reused.blocks == (0 if harm == "manifest" else 19)
    words = "is not reused" if harm == "manifest" else "are damaged"
    assert any(words in record.getMessage() for record in caplog.records)


def test_a_killed_growth_goes_on(make, make_recipe, copied, apart, monkeypatch):
    from pipeline import publish

    def end(*_):
        raise InterruptedError

    monkeypatch.setattr(publish, "publish", end)
    with pytest.raises(InterruptedError):
        make(make_recipe(**LARGER), copied)
    monkeypatch.undo()
    result = make(make_recipe(**LARGER), copied)
    assert (result.resumed_blocks, result.reused.blocks, result.new_blocks) == (28, 0, 0)
    assert shards(result.manifest) == shards(apart)


@pytest.mark.slow
def test_the_command_tells_what_was_saved(run, options, recipe_file, copied):
    where = ("--catalog", copied, "--scheduler", options.scheduler)
    code, out, err = run("build", recipe_file(**LARGER), *where, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["reused"]["blocks"] == 20
    code, out, err = run("build", recipe_file(**LARGER | {"version": "1.2.0"}), *where)
    assert (code, err) == (0, "")
    assert "450 samples" in out
    assert "are those of earlier versions: about" in out


def test_a_reused_block_has_the_part_that_it_would_have(
    make, make_recipe, copied, staging_of, monkeypatch
):
    from pipeline import publish

    def end(*_):
        raise InterruptedError

    recipe = make_recipe(**LARGER)
    monkeypatch.setattr(publish, "publish", end)
    with pytest.raises(InterruptedError):
        make(recipe, copied)
    staging = staging_of(copied, recipe)
    before = sorted(staging.target.files("parts"))
    block = Block("images", 16, 32)
    work.make_block(staging, block)
    release = find("small", "1.0.0", copied)
    some = release.manifest.shards("images")[1]
    assert work.reuse_block(staging, block, release.location, some)
    assert sorted(staging.target.files("parts")) == before


def test_digests_of_a_damaged_table_are_not_believed(make, make_recipe, copied, apart):
    """They are made from the data: a wrong one of the old version would be compared with itself."""
    path = copied / "small/1.0.0/metadata/images.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.unlink()
    path.write_bytes(content)
    result = make(make_recipe(**LARGER | {"version": "2.0.0"}), copied)
    assert result.manifest.tables == apart.tables
    assert result.reused.blocks == 20


def test_a_shard_that_is_a_link_is_rendered(make, make_recipe, copied, apart, tmp_path):
    shard = copied / "small/1.0.0/data.zarr/images/image/c/3/0/0"
    shard.rename(tmp_path / "elsewhere")
    shard.symlink_to(tmp_path / "elsewhere")
    result = make(make_recipe(**LARGER | {"version": "2.0.0"}), copied)
    assert shards(result.manifest) == shards(apart)
    assert result.reused.blocks == 19
