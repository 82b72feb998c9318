from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tracemalloc
from itertools import islice

import pytest

from deepbench.errors import PlanError
from deepbench.words import bytes_text
from pipeline.execution.cluster import ENVIRONMENT
from pipeline.plan import WORKER_BASE, Block, Plan, TablePlan, make_plan

MIB = 2**20


@pytest.fixture
def plan(recipe):
    return make_plan(recipe)


def test_numbers(plan, recipe):
    images, squares = plan.tables
    assert (images.name, images.samples, images.block_length) == ("images", 300, 16)
    assert images.sample_bytes == 16 * 16 * 4
    assert (squares.name, squares.samples, squares.block_length) == ("squares", 40, 32)
    assert (images.blocks, squares.blocks) == (19, 2)
    assert (plan.blocks, plan.samples) == (21, 340)
    labels = recipe.table("images").plan
    wide = sum(column.dtype.itemsize for column in labels.columns)
    long = sum(column.dtype.itemsize for column in labels.object_columns)
    assert images.label_bytes == wide + 16  # one digest
    assert images.copies_bytes == 5 * long  # at most 3 + 2 copies
    assert squares.copies_bytes == 0
    assert images.columns == len(labels.columns) + len(labels.object_columns)
    assert plan.worker_bytes == WORKER_BASE + images.task_bytes
    assert plan.disk_bytes == images.disk_bytes + squares.disk_bytes


def test_a_task_has_room_for_its_arrays_twice(plan):
    for table in plan.tables:
        rows = min(table.samples, table.block_length)
        assert table.task_bytes >= 2 * rows * table.sample_bytes + table.working_bytes


def test_blocks_cover_every_sample_once(plan):
    covered = {name: [] for name in ("images", "squares")}
    for block in plan:
        covered[block.table] += range(block.start, block.stop)
    assert covered == {"images": list(range(300)), "squares": list(range(40))}
    assert len(list(plan)) == plan.blocks
    assert list(plan)[18:20] == [Block("images", 288, 300), Block("squares", 0, 32)]


@pytest.mark.parametrize("samples", [1, 15, 16, 17, 300])
def test_number_of_blocks(make_recipe, samples):
    plan = make_plan(make_recipe(tables__images__samples=samples))
    assert len([block for block in plan if block.table == "images"]) == -(-samples // 16)


def test_more_samples_keep_the_blocks(make_recipe):
    small = [block for block in make_plan(make_recipe()) if block.table == "images"]
    large = list(make_plan(make_recipe(tables__images__samples=1000)))
    assert large[:18] == small[:18]


def test_the_release_is_not_larger_than_planned(built):
    assert built.release.manifest.size <= make_plan(built.recipe).disk_bytes


def test_memory_that_suffices(plan):
    plan.check_memory(plan.worker_bytes)


def test_too_little_memory(make_recipe):
    recipe = make_recipe(
        tables__images__samples=10**6, storage__shard_bytes=2**28, tables__images__size=[512, 512]
    )
    plan = make_plan(recipe)
    limit = WORKER_BASE + 200 * MIB
    with pytest.raises(
        PlanError, match="a worker has 650.0 MiB; set storage.shard_bytes to"
    ) as info:
        plan.check_memory(limit)
    message = str(info.value)
    assert f"table 'images' (256 samples) needs {bytes_text(plan.worker_bytes)} in" in message
    size = int(re.search(r"shard_bytes to (\d+) or less", message)[1])
    make_plan(recipe.replace({"storage.shard_bytes": size})).check_memory(limit)
    with pytest.raises(PlanError):
        make_plan(recipe.replace({"storage.shard_bytes": 4 * size})).check_memory(limit)


@pytest.mark.parametrize("samples", range(1, 40, 3))
@pytest.mark.parametrize("room", [0.1, 0.3, 0.55, 0.8, 0.99])
def test_the_remedy_for_memory_helps(make_recipe, samples, room):
    recipe = make_recipe(
        tables__images__samples=samples, storage__shard_bytes=2**26, tables__images__size=[512, 512]
    )
    plan = make_plan(recipe)
    widest = plan.tables[0]
    limit = (
        WORKER_BASE + widest.working_bytes + int(room * (widest.task_bytes - widest.working_bytes))
    )
    with pytest.raises(PlanError) as info:
        plan.check_memory(limit)
    size = re.search(r"shard_bytes to (\d+) or less", str(info.value))
    if size:
        make_plan(recipe.replace({"storage.shard_bytes": int(size[1])})).check_memory(limit)
    else:
        assert "use fewer workers, or workers with more memory" in str(info.value)
        assert limit - WORKER_BASE - widest.working_bytes < 4.2 * widest.sample_bytes + 10_000


def test_memory_for_not_even_one_sample(make_recipe):
    recipe = make_recipe(tables__images__size=[8192, 8192])
    with pytest.raises(PlanError, match="use fewer workers, or workers with more memory"):
        make_plan(recipe).check_memory(WORKER_BASE + 100 * MIB)


def test_disk_that_suffices(plan):
    plan.check_disk(plan.disk_bytes)
    plan.check_disk(plan.disk_bytes // 2, present=plan.disk_bytes)


def test_too_little_disk(plan):
    half = plan.disk_bytes // 2
    with pytest.raises(
        PlanError,
        match=f"needs up to {bytes_text(plan.disk_bytes)} of disk, but {bytes_text(half)} are free; free some, "
        "choose another disk with --catalog, or ask for about (169|170) samples instead of 340",
    ):
        plan.check_disk(half)


def test_the_remedy_for_disk_counts_the_whole_release(plan):
    """A smaller release begins anew: what a larger one has on the disk already does not help it."""
    tenth = plan.disk_bytes // 10
    with pytest.raises(PlanError, match="ask for about (33|34) samples instead of 340"):
        plan.check_disk(tenth, present=plan.disk_bytes // 2)


def test_a_billion_samples_are_planned_without_a_list(make_recipe):
    recipe = make_recipe(tables__images__samples=10**9, storage__shard_bytes=2**26)
    make_plan(recipe)
    tracemalloc.start()
    try:
        plan = make_plan(recipe)
        first = list(islice(plan, 1000))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert plan.blocks == -(-(10**9) // 65536) + 1
    assert first[999] == Block("images", 999 * 65536, 1000 * 65536)
    assert peak < 2 * MIB


def test_a_table_whose_last_block_is_shorter():
    table = TablePlan(
        "t", 5, 2, sample_bytes=8, label_bytes=8, copies_bytes=0, columns=4, working_bytes=0
    )
    assert [(each.start, each.stop) for each in Plan((table,))] == [(0, 2), (2, 4), (4, 5)]


MEASURE = """
import json, re, resource, sys
import psutil
from deepbench.recipe import load_recipe
from pipeline.block import make_block
from pipeline.files import prepare
from pipeline.plan import Block, make_plan
from pipeline.staging import Staging
from pipeline.target import target_of

recipe = load_recipe(sys.argv[1])
(table,) = make_plan(recipe).tables
staging = Staging.of(target_of(sys.argv[2]), recipe)
prepare(staging, recipe)
make_block(staging, Block(table.name, 0, 4))
before = psutil.Process().memory_info().rss
make_block(staging, Block(table.name, 0, table.block_length))
if sys.platform == "linux":  # there, ru_maxrss counts what the parent held when it started us
    status = open("/proc/self/status").read()
    peak = 1024 * int(re.search(r"VmHWM:\\s+([0-9]+) kB", status)[1])
else:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([before, peak]))
"""


@pytest.mark.slow
def test_a_block_stays_below_its_projection(make_recipe, tmp_path):
    """In a process of its own, after a small block that loads and compiles all that a block needs."""
    table = make_recipe().resolved()["tables"]["images"]
    recipe = make_recipe(
        tables={"images": table | {"samples": 10_000, "size": [128, 128]}},
        storage={"shard_bytes": 2**28, "chunk_bytes": 2**18},
    )
    (tmp_path / "recipe.yaml").write_text(recipe.to_yaml())
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, tmp_path / "recipe.yaml", tmp_path / "releases"],
        capture_output=True,
        text=True,
        timeout=140,
        check=True,
        env=os.environ | ENVIRONMENT,
    )
    before, peak = json.loads(done.stdout)
    plan = make_plan(recipe)
    assert before < WORKER_BASE
    assert peak < plan.worker_bytes
    assert 2**28 < peak - before < plan.tables[0].task_bytes
