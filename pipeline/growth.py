"""Growth without recomputing: which blocks of a build published versions of the same name have already.

A table whose hash is that of an earlier version has the same samples, as many as both have. Whole shards are linked,
or copied inside an object store; the last one, where it was not full, is made again.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deepbench import format as fmt
from deepbench.catalog import versions_of
from deepbench.errors import DeepBenchError
from deepbench.release import Release
from pipeline.plan import Block, Plan, TablePlan

if TYPE_CHECKING:
    from deepbench.recipe import Recipe
    from deepbench.storage.locations import Location
    from pipeline.target import Target

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reused:
    """The blocks that a build took from earlier versions.

    Attributes
    ----------
    blocks, samples, bytes : int
    cpu_seconds : float
        CPU seconds that making them would have taken, by the new blocks of the same tables; 0 where there were none.
    """

    blocks: int = 0
    samples: int = 0
    bytes: int = 0
    cpu_seconds: float = 0.0


Shards = dict[Block, tuple["Location", tuple[fmt.StoredObject, ...]]]
"""Location of a release that has a block, and the block's shards in it, by the block."""


def reusable(catalog: Target, recipe: Recipe, plan: Plan) -> Shards:
    """Return the blocks of a build that published versions of the same name have already."""
    found: Shards = {}
    wanted = {block for table in plan.tables for block in table}
    for release in reversed(versions_of(catalog, recipe.name)):
        if not wanted - found.keys():
            break
        if str(release.version) == recipe.version or not _alike(release, recipe):
            continue
        for table in plan.tables:
            found |= _of_table(release, recipe, table, wanted - found.keys())
    return found


def _of_table(release: Release, recipe: Recipe, table: TablePlan, wanted: set[Block]) -> Shards:
    """Return those of the wanted blocks of a table that a release has."""
    summary = release.manifest.tables.get(table.name)
    if summary is None or summary.table_hash != recipe.table(table.name).hash:
        return {}
    shards = release.manifest.shards(table.name)
    return {
        block: (release.location, shards[number])
        for number, block in enumerate(table)
        if block in wanted
        and block.stop == min(block.start + table.block_length, summary.samples)
        and number in shards
    }


def _alike(release: Release, recipe: Recipe) -> bool:
    """Return whether a release is stored and rendered as a build of a recipe is; False when that cannot be told."""
    try:
        manifest = release.manifest
        return (
            manifest.render_version == fmt.RENDER_VERSION
            and release.recipe.storage == recipe.storage
        )
    except (DeepBenchError, OSError) as error:
        log.warning("%s@%s is not reused: %s", release.name, release.version, error)
        return False


def saved(taken: list[Block], shards: Shards, spent: dict[str, list[float]]) -> Reused:
    """Return what was taken from earlier versions, and what it would have cost.

    Parameters
    ----------
    taken : list of Block
    shards : dict
        As ``reusable`` returns them.
    spent : dict of str to list
        For each table, the number of samples made, and the CPU seconds that took.
    """
    counts = dict.fromkeys(spent, 0)
    for block in taken:
        counts[block.table] += block.stop - block.start
    costs = {name: cpu / samples for name, (samples, cpu) in spent.items() if samples}
    return Reused(
        len(taken),
        sum(counts.values()),
        sum(each.size for block in taken for each in shards[block][1]),
        sum(count * costs.get(name, 0.0) for name, count in counts.items()),
    )
