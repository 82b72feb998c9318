"""From a recipe to a published release: plan, blocks on the cluster, metadata, publish.

The parts in the staging folder are the only record of what is done. A build that stops for any reason, at any
moment, is resumed by running it again; a build that is complete is published by one rename.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deepbench import format as fmt
from deepbench.errors import BuildError, ReleaseError, is_full_disk
from pipeline import block as work
from pipeline import claims, publish
from pipeline.execution import ClusterOptions, Failure, executor
from pipeline.files import prepare
from pipeline.growth import Reused, Shards, reusable, saved
from pipeline.plan import Block, Plan, check_acceptance, make_plan
from pipeline.progress import Progress, silent
from pipeline.software import probe_of
from pipeline.staging import Staging, lock_name, probe_name, tidy
from pipeline.target import Hold, Target, target_of

if TYPE_CHECKING:
    from deepbench.recipe import Recipe

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BuildResult:
    """The outcome of a build.

    Attributes
    ----------
    path : str
        Folder of the release.
    manifest : Manifest
    built : bool
        False when the release was there already.
    resumed_blocks, new_blocks : int
        Blocks found done, and made.
    reused : Reused
        Blocks taken from earlier versions.
    seconds : dict of str to float
        Wall time of starting the cluster, of the blocks (from the first submission), and of publishing; and under
        ``cpu.…`` the workers' CPU time of each step of the new blocks.
    """

    path: str
    manifest: fmt.Manifest
    built: bool
    resumed_blocks: int = 0
    new_blocks: int = 0
    reused: Reused = field(default_factory=Reused)
    seconds: dict[str, float] = field(default_factory=dict)


def build(
    recipe: Recipe,
    catalog: str,
    *,
    cluster: ClusterOptions | None = None,
    progress: Progress | None = None,
) -> BuildResult:
    """Build a release in a catalog, or finish one that was begun, or find it there.

    Parameters
    ----------
    recipe : Recipe
    catalog : str
        Folder of releases; made when absent.
    cluster : ClusterOptions, optional
        A local cluster with one worker per core when absent.
    progress : callable, optional
        Called as ``progress(step, done, total)``.

    Raises
    ------
    ReleaseError
        The version exists with other content, claims less than it changes, or is built by another process.
    PlanError
        The build fits neither the workers' memory nor the disk.
    CatalogError, ClusterError
        The catalog cannot be written; the cluster cannot be reached or used.
    BuildError
        Blocks failed; finished ones are kept.

    Examples
    --------
    >>> result = build(load_recipe("workflows/shapes.yaml"), "releases")      # doctest: +SKIP
    """
    cluster = cluster or ClusterOptions()
    report = progress or silent
    target = target_of(catalog)
    staging = Staging.of(target, recipe)
    lock = lock_name(recipe)
    path = f"{catalog.rstrip('/')}/{recipe.name}/{recipe.version}"
    published = find_published(target, recipe)
    if published is not None:
        if target.exists(lock) or target.exists(
            staging.name
        ):  # of a build that ended between publishing and tidying up
            with target.lock(lock) as held:
                if held:
                    tidy(target, recipe)
        return BuildResult(path, published, built=False)
    claims.refuse_early(target, recipe)
    plan = make_plan(recipe)
    check_acceptance(recipe)
    memory = cluster.worker_memory()
    if memory is not None:
        plan.check_memory(memory)
    target.check_writable(probe_name())
    with target.lock(lock) as held:
        if not held:
            raise ReleaseError(
                f"another process is building {recipe.name}@{recipe.version} in '{catalog}'; wait for it"
            )
        published = find_published(target, recipe)
        if published is not None:  # by a process that held the lock until now
            tidy(target, recipe)
            return BuildResult(path, published, built=False)
        shards = reusable(target, recipe, plan)
        free = target.free_bytes()
        if free is not None:
            done = {
                Block(name, start, stop)
                for name in recipe.tables
                for start, stop, _ in staging.part_names(name)
            }
            linked = sum(each.size for block in shards.keys() - done for each in shards[block][1])
            present = sum(size for _, size in staging.target.sizes())
            plan.check_disk(free, present + linked)
        seconds: dict[str, float] = {}
        try:
            prepare(staging, recipe)
            found, made, reused = _make_blocks(
                staging, recipe, plan, shards, cluster, held, report, seconds
            )
            started = time.perf_counter()
            manifest = publish.publish(staging, recipe, plan, held, report)
            tidy(target, recipe)
        except OSError as error:
            if is_full_disk(error):
                raise BuildError.of_full_disk() from error
            raise
        seconds["publish"] = time.perf_counter() - started
    log.info("published %s", path)
    return BuildResult(path, manifest, True, found, made, reused, seconds)


def find_published(catalog: Target, recipe: Recipe) -> fmt.Manifest | None:
    """Return the manifest of the recipe's version in a catalog, None when there is no such version.

    Raises
    ------
    ReleaseError
        The version exists with other content, or files of it are missing or cut short.
    """
    folder = f"{recipe.name}/{recipe.version}"
    path = f"{folder}/{fmt.MANIFEST}"
    if catalog.size(path) is None:
        catalog.check_free(folder)
        return None
    manifest = fmt.Manifest.from_json(catalog.read(path), catalog.locate(path))
    if manifest.recipe_hash != recipe.hash:
        raise ReleaseError(
            f"{recipe.name}@{recipe.version} exists in '{catalog.root}' with other content (recipe hash "
            f"{manifest.recipe_hash[:12]}, this recipe has {recipe.hash[:12]}); releases never change: raise `version`"
        )
    release = catalog.below(folder)
    sizes = dict(release.sizes())
    wrong = [each.path for each in manifest.objects if sizes.get(each.path) != each.size]
    if wrong:
        raise ReleaseError(
            f"{recipe.name}@{recipe.version} in '{catalog.root}' is damaged: {wrong[0]} and {len(wrong) - 1} other "
            "files are missing or have another size; mend it with `deepbench repair`, or remove it "
            "with `deepbench remove` and build it again"
        )
    return manifest


def _make_blocks(
    staging: Staging,
    recipe: Recipe,
    plan: Plan,
    shards: Shards,
    options: ClusterOptions,
    hold: Hold,
    report: Progress,
    seconds: dict[str, float],
) -> tuple[int, int, Reused]:
    """Make every block that is not done; return how many were found done, how many were made, and what was reused."""
    parts = {
        Block(name, start, stop): part
        for name in recipe.tables
        for start, stop, part in staging.part_names(name)
    }
    started = time.perf_counter()
    report("starting workers", 0, plan.samples)
    failures: list[Failure] = []
    with executor(
        options,
        staging,
        probe=probe_of(staging.release),
        work=plan.disk_bytes,
        task_bytes=plan.worker_bytes,
        failures=failures,
    ) as run:
        begun = time.perf_counter()
        seconds["start"] = begun - started
        finished: set[Block] = set()
        earlier = ((block, parts[block]) for block in plan if block in parts)
        for block, whole in run(work.check_block, earlier):
            report("checking finished blocks", len(finished), len(parts))
            if whole:
                finished.add(block)
            else:
                log.warning("made again: the part of %s is damaged or not ours", block)
                staging.target.remove(parts[block])
        resumed = len(finished)
        taken: list[Block] = []
        calls = ((block, *shards[block]) for block in plan if block in shards.keys() - finished)
        for block, whole in run(work.reuse_block, calls):
            hold.check()
            report("reusing blocks", len(taken), len(shards))
            if whole:
                taken.append(block)
            else:
                log.warning("rendered: the shards of %s in %s are damaged", block, shards[block][0])
        finished.update(taken)
        count = sum(block.stop - block.start for block in finished)
        report("rendering", count, plan.samples)
        made = 0
        spent: dict[str, list[float]] = {name: [0, 0.0] for name in recipe.tables}
        missing = ((block,) for block in plan if block not in finished)
        for block, cpu in run(work.make_block, missing):
            hold.check()
            made += 1
            count += block.stop - block.start
            spent[block.table][0] += block.stop - block.start
            spent[block.table][1] += sum(cpu.values())
            for step, each in cpu.items():
                seconds[f"cpu.{step}"] = seconds.get(f"cpu.{step}", 0.0) + each
            report("rendering", count, plan.samples)
        seconds["blocks"] = time.perf_counter() - begun
    if failures:
        raise _build_error(recipe, failures, len(finished) + made, plan.blocks)
    return resumed, made, saved(taken, shards, spent)


def _build_error(recipe: Recipe, failures: list[Failure], done: int, blocks: int) -> BuildError:
    """Return the error that names the blocks that failed, caused by the first failure."""
    lines = [
        f"table '{failure.block.table}', samples {failure.block.start} … {failure.block.stop - 1}: {failure}"
        for failure in failures
    ]
    error = BuildError(
        f"{len(failures)} of {blocks} blocks of {recipe.name}@{recipe.version} "
        f"(recipe hash {recipe.hash[:12]}) failed; "
        f"{done} are done and kept, and the same command goes on from there\n" + "\n".join(lines),
        failures=tuple((failure.block, str(failure)) for failure in failures),
    )
    error.__cause__ = failures[0].error
    return error
