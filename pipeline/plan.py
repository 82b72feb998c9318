"""The plan of a build, before it does anything: blocks of whole shards, bytes per task, bytes on disk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deepbench.arrays import power_of_two
from deepbench.errors import PlanError
from deepbench.words import bytes_text

if TYPE_CHECKING:
    from deepbench.recipe import Recipe
    from deepbench.tables import Table

WORKER_BASE = 450 * 2**20
"""Bytes of memory of a worker process before its first block: Python, numpy, numba, zarr, pyarrow (230 to 350 MiB)."""

LABEL_FILES = 8
"""Factor on the bytes of labels on disk: parts, Parquet, CSV (20 characters for 8 bytes) and Zarr."""

COLUMN_BYTES = 2**14
"""Bytes of metadata and of the smallest files per column of labels."""

DISK_MARGIN = 1.05
"""Factor on the uncompressed bytes: noise that does not compress, shard indices, metadata."""


@dataclass(frozen=True)
class Block:
    """The samples ``start`` … ``stop - 1`` of a table: one whole shard, made by one task."""

    table: str
    start: int
    stop: int


@dataclass(frozen=True)
class TablePlan:
    """The blocks of one table.

    Attributes
    ----------
    samples, block_length : int
        Samples in all, and in each block but perhaps the last.
    sample_bytes, label_bytes, copies_bytes : int
        Uncompressed bytes of one sample: data, labels with digests, and the most labels of repeated objects.
    columns : int
        Number of columns of labels.
    working_bytes : int
        Memory that rendering one sample takes beside its result.
    """

    name: str
    samples: int
    block_length: int
    sample_bytes: int
    label_bytes: int
    copies_bytes: int
    columns: int
    working_bytes: int

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return -(-self.samples // self.block_length)

    def __iter__(self) -> Iterator[Block]:
        """Yield the blocks in order, one at a time."""
        for start in range(0, self.samples, self.block_length):
            yield Block(self.name, start, min(start + self.block_length, self.samples))

    @property
    def task_bytes(self) -> int:
        """Peak memory of one block's task: the arrays, their compressed chunks, the shard that joins these (zarr 3.4
        has it twice), labels, and what rendering needs.
        """
        rows = min(self.samples, self.block_length)
        labels = 4 * self.label_bytes + 9 * self.copies_bytes
        return int(rows * (4.1 * self.sample_bytes + labels)) + self.working_bytes

    @property
    def disk_bytes(self) -> int:
        """Bytes on disk, not more than which the table will take."""
        labels = LABEL_FILES * (self.label_bytes + self.copies_bytes)
        return (
            int(self.samples * (self.sample_bytes * DISK_MARGIN + labels))
            + COLUMN_BYTES * self.columns
        )


@dataclass(frozen=True)
class Plan:
    """The work of a build."""

    tables: tuple[TablePlan, ...]

    def table(self, name: str) -> TablePlan:
        """Return the plan of one table."""
        return next(table for table in self.tables if table.name == name)

    @property
    def blocks(self) -> int:
        """Number of blocks of all tables."""
        return sum(table.blocks for table in self.tables)

    @property
    def samples(self) -> int:
        """Number of samples of all tables."""
        return sum(table.samples for table in self.tables)

    @property
    def worker_bytes(self) -> int:
        """Peak memory of one worker."""
        return WORKER_BASE + max(table.task_bytes for table in self.tables)

    @property
    def disk_bytes(self) -> int:
        """Bytes on disk of the whole release, at most."""
        return sum(table.disk_bytes for table in self.tables)

    def __iter__(self) -> Iterator[Block]:
        """Yield the blocks in order, one at a time."""
        for table in self.tables:
            yield from table

    def check_memory(self, limit: int) -> None:
        """Refuse a build whose blocks do not fit into a worker.

        Raises
        ------
        PlanError
            With the numbers, and a size that would fit.
        """
        widest = max(self.tables, key=lambda table: table.task_bytes)
        if self.worker_bytes <= limit:
            return
        rows = min(widest.samples, widest.block_length)
        room = max(0, limit - WORKER_BASE - widest.working_bytes)
        part = room / (widest.task_bytes - widest.working_bytes)
        size = power_of_two(part * rows * widest.sample_bytes)
        remedy = (
            f"set storage.shard_bytes to {size} or less, or use fewer workers"
            if size >= max(4096, widest.sample_bytes)
            else "use fewer workers, or workers with more memory"
        )
        raise PlanError(
            f"a block of table '{widest.name}' ({rows} samples) needs {bytes_text(self.worker_bytes)} "
            f"in a worker, but a worker has {bytes_text(limit)}; {remedy}"
        )

    def check_disk(self, free: int, present: int = 0) -> None:
        """Refuse a build for which the disk has no room; ``present`` bytes of it are there already.

        Raises
        ------
        PlanError
            With the numbers, and what would help.
        """
        needed = max(0, self.disk_bytes - present)
        if needed > free:
            fits = int(self.samples * free / self.disk_bytes)
            raise PlanError(
                f"the release needs up to {bytes_text(needed)} of disk, but {bytes_text(free)} are free; "
                "free some, choose another disk with --catalog, or ask for about "
                f"{fits} samples instead of {self.samples}"
            )


def make_plan(recipe: Recipe) -> Plan:
    """Return the plan of a recipe. It depends on the recipe alone, never on the cluster."""
    return Plan(tuple(_table_plan(recipe.table(name)) for name in recipe.tables))


def check_acceptance(
    recipe: Recipe, *, measured: bool = True
) -> dict[str, dict[str, tuple[int, int]]]:
    """Return for each table with a selection, and each class, how many first attempts were tried and accepted.

    Selections that must render samples are left out without ``measured``.

    Raises
    ------
    PlanError
        A selection accepts too few, so that samples would be drawn again and again.
    """
    selecting = {
        name: table.require for name, table in recipe.tables.items() if table.require is not None
    }
    found: dict[str, dict[str, tuple[int, int]]] = {}
    for name, selection in selecting.items():
        from deepbench.selection import LEAST_ACCEPTANCE, acceptance

        if not measured and recipe.table(name).plan.selection_uses != "drawn":
            continue
        found[name] = acceptance(recipe.table(name))
        tried, accepted = map(sum, zip(*found[name].values(), strict=True))
        if accepted < LEAST_ACCEPTANCE * tried:
            raise PlanError(
                f"table '{name}': `require` accepts {accepted} of the first {tried:,} attempts "
                f"({accepted / tried:.1%}), and must accept {LEAST_ACCEPTANCE:.0%}: narrow the priors, or ask for less"
            )
        for each, (tried, accepted) in found[name].items():
            kept = selection.redraw == "values"
            if kept and not accepted and tried * LEAST_ACCEPTANCE >= 3:
                raise PlanError(
                    f"table '{name}': `require` accepts none of the first {tried:,} attempts of the class '{each}', "
                    "which every attempt of a sample keeps: write `redraw: all`, or a condition that the class can meet"
                )
    return found


def _table_plan(table: Table[Any]) -> TablePlan:
    """Return how a table is cut into blocks."""
    labels = table.plan
    return TablePlan(
        name=table.name,
        samples=table.samples,
        block_length=table.shard_length,
        sample_bytes=sum(variable.sample_bytes for variable in table.variables),
        label_bytes=labels.label_bytes + 16 * len(table.variables),
        copies_bytes=labels.most_copies * labels.copy_bytes,
        columns=len(labels.columns) + len(labels.object_columns),
        working_bytes=table.specification.working_bytes(table.plan),
    )
