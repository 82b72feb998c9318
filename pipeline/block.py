"""Blocks on a worker: one from its number to its files, shards of other releases, the check of one made before."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Any

from deepbench import format as fmt
from deepbench.errors import DeepBenchError, is_full_disk
from deepbench.format import DIGEST
from deepbench.samples import all_labels, draw_labels, render_arrays
from deepbench.statistics import Tally, training_rows
from pipeline import encoding
from pipeline.parquet import digest_array
from pipeline.parts import part_table
from pipeline.plan import Block
from pipeline.staging import Receipt, Staging

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from deepbench.arrays import DataVariable
    from deepbench.labelling.scopes import Labels
    from deepbench.storage.locations import Location
    from deepbench.tables import Table


def make_block(staging: Staging, block: Block) -> dict[str, float]:
    """Render a block, write its shards, then its part; return the CPU seconds of each step.

    It can run any number of times: it writes the same bytes.
    """
    staging.check_software()
    table = staging.recipe().table(block.table)
    clock = _Clock()
    labels = draw_labels(table, block.start, block.stop)
    clock.lap("labels")
    arrays, labels = render_arrays(table, labels)
    clock.lap("render")
    chosen = training_rows(table.plan.splits, labels.columns["split"])
    tally = Tally()
    columns: dict[str, pa.Array] = {}
    written = []
    with encoding.single_threaded():
        for variable in table.variables:
            values = arrays.pop(variable.name)
            digests = fmt.sample_digests(variable, values)
            columns[DIGEST + variable.name] = digest_array(digests)
            clock.lap("digest")
            tally.add_values(variable, values, chosen)
            clock.lap("statistics")
            path = f"{block.table}/{variable.name}"
            for key, content in encoding.encode(staging.template(), path, block.start, values):
                clock.lap("encode")
                name = f"{fmt.DATA}/{key}"
                checksum = hashlib.sha256(content).hexdigest()
                clock.lap("checksum")
                staging.release.write(name, content)
                written.append(fmt.StoredObject(name, len(content), checksum))
                clock.lap("write")
    tally.add_labels(table.plan.columns, labels.columns, chosen)
    clock.lap("statistics")
    _write_part(staging, table, block, labels, columns, tally, tuple(written))
    clock.lap("part")
    return clock.seconds


def reuse_block(
    staging: Staging,
    block: Block,
    source: Location,
    objects: tuple[fmt.StoredObject, ...],
) -> bool:
    """Take the shards of a block from a release of the same table, and write its part; return whether they are whole.

    Parameters
    ----------
    staging : Staging
    block : Block
    source : Location
        The release.
    objects : tuple of StoredObject
        The shards by its manifest; their SHA-256 is checked.
    """
    staging.check_software()
    table = staging.recipe().table(block.table)
    labels = all_labels(table, block.start, block.stop)
    chosen = training_rows(table.plan.splits, labels.columns["split"])
    tally = Tally()
    tally.add_labels(table.plan.columns, labels.columns, chosen)
    try:
        for each in objects:
            staging.release.copy(source, each.path)
            if staging.release.sha256(each.path) != each.sha256:
                return False
        columns = {}
        for variable in table.variables:
            values = _decode(staging, block, variable, objects)
            columns[DIGEST + variable.name] = digest_array(fmt.sample_digests(variable, values))
            tally.add_values(variable, values, chosen)
    except (DeepBenchError, OSError, ValueError, RuntimeError, LookupError, TypeError) as error:
        if is_full_disk(error):
            raise
        return False  # what is damaged there is rendered
    _write_part(staging, table, block, labels, columns, tally, objects)
    return True


def _decode(
    staging: Staging, block: Block, variable: DataVariable, objects: tuple[fmt.StoredObject, ...]
) -> NDArray:
    """Return a variable of a block from its shards."""
    array = f"{block.table}/{variable.name}"
    shards = {
        each.path.removeprefix(f"{fmt.DATA}/"): staging.release.read(each.path)
        for each in objects
        if each.path.startswith(f"{fmt.DATA}/{array}/")
    }
    with encoding.single_threaded():
        return encoding.decode(staging.template(), array, shards, block.start, block.stop)


def check_block(staging: Staging, block: Block, part: str) -> bool:
    """Return whether a block made by an earlier run is whole: its part, and the SHA-256 of every shard."""
    found = staging.valid_part(block, staging.recipe().table(block.table).hash, part)
    return found is not None and all(
        staging.release.sha256(each.path) == each.sha256 for each in found[0].objects
    )


def _write_part(
    staging: Staging,
    table: Table[Any],
    block: Block,
    labels: Labels,
    digests: dict[str, pa.Array],
    tally: Tally,
    objects: tuple[fmt.StoredObject, ...],
) -> None:
    receipt = Receipt(block, table.hash, fmt.RENDER_VERSION, objects)
    staging.write_part(receipt, part_table(table, labels, digests, tally))


class _Clock:
    """CPU seconds of named steps."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.process_time()

    def lap(self, step: str) -> None:
        """Add the time since the last lap to a step."""
        now = time.process_time()
        self.seconds[step] = self.seconds.get(step, 0.0) + now - self._last
        self._last = now
