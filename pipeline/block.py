"""All that runs on a worker: one block from its number to its files, and the check of a block made earlier."""

from __future__ import annotations

import hashlib
import time
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from deepbench import format as fmt
from deepbench.errors import DeepBenchError, is_full_disk
from deepbench.samples import all_labels, draw_labels, render_arrays
from pipeline import store
from pipeline.plan import Block
from pipeline.staging import Receipt, Staging

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from deepbench.labelling.scopes import Column, Labels
    from deepbench.recipe import Recipe
    from deepbench.storage.locations import Location
    from deepbench.tables import DataVariable


OBJECTS = "objects"
"""Column of a part with the copies of each sample's repeated objects."""


def make_block(staging: Staging, block: Block) -> dict[str, float]:
    """Render a block, write its shards, then its part; return the CPU seconds of each step.

    It can run any number of times: it writes the same bytes.
    """
    staging.check_software()
    recipe = staging.recipe()
    clock = _Clock()
    labels = draw_labels(recipe.table(block.table), block.start, block.stop)
    clock.lap("labels")
    arrays, labels = render_arrays(recipe.table(block.table), labels)
    clock.lap("render")
    columns: dict[str, pa.Array] = {}
    written = []
    with store.single_threaded():
        for variable in recipe.tables[block.table].data_variables():
            values = arrays.pop(variable.name)
            digests = fmt.sample_digests(variable, values)
            columns[fmt.DIGEST + variable.name] = _digest_array(digests)
            clock.lap("digest")
            path = f"{block.table}/{variable.name}"
            for key, content in store.encode(_template(staging), path, block.start, values):
                clock.lap("encode")
                name = f"{fmt.DATA}/{key}"
                checksum = hashlib.sha256(content).hexdigest()
                clock.lap("checksum")
                staging.release.write(name, content)
                written.append(fmt.StoredObject(name, len(content), checksum))
                clock.lap("write")
    _write_part(staging, recipe, block, labels, columns, tuple(written))
    clock.lap("part")
    return clock.seconds


def reuse_block(
    staging: Staging,
    block: Block,
    source: Location,
    objects: tuple[fmt.StoredObject, ...],
    decode: bool = False,
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
    decode : bool
        Take the digests from the data, not from the release's metadata.
    """
    from pipeline.tables import read_rows

    staging.check_software()
    recipe = staging.recipe()
    try:
        for each in objects:
            staging.release.copy(source, each.path)
            if staging.release.sha256(each.path) != each.sha256:
                return False
        columns = {}
        for variable in recipe.tables[block.table].data_variables():
            column = fmt.DIGEST + variable.name
            if decode:
                values = _decode(staging, block, variable, objects)
                columns[column] = _digest_array(fmt.sample_digests(variable, values))
            else:
                rows = read_rows(source, block.table, [column], block.start, block.stop)
                columns[column] = rows.column(0).combine_chunks()
    except (DeepBenchError, OSError, ValueError, RuntimeError, LookupError, TypeError) as error:
        if is_full_disk(error):
            raise
        return False  # what is damaged there is rendered
    labels = all_labels(recipe.table(block.table), block.start, block.stop)
    _write_part(staging, recipe, block, labels, columns, objects)
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
    with store.single_threaded():
        return store.decode(_template(staging), array, shards, block.start, block.stop)


def check_block(staging: Staging, block: Block, part: str) -> bool:
    """Return whether a block made by an earlier run is whole: its part, and the SHA-256 of every shard."""
    found = staging.valid_part(block, staging.recipe().table(block.table).hash, part)
    return found is not None and all(
        staging.release.sha256(each.path) == each.sha256 for each in found[0].objects
    )


def _write_part(
    staging: Staging,
    recipe: Recipe,
    block: Block,
    labels: Labels,
    digests: dict[str, pa.Array],
    objects: tuple[fmt.StoredObject, ...],
) -> None:
    plan = recipe.table(block.table).plan
    receipt = Receipt(block, recipe.table(block.table).hash, fmt.RENDER_VERSION, objects)
    staging.write_part(receipt, _part(plan.columns, plan.object_columns, labels, digests))


def _part(
    columns: tuple[Column, ...],
    object_columns: tuple[Column, ...],
    labels: Labels,
    digests: dict[str, pa.Array],
) -> pa.Table:
    """Return labels and digests as the table of a part, one row per sample; the copies of objects as lists."""
    import pyarrow as pa

    data = {column.name: pa.array(labels.columns[column.name]) for column in columns}
    if object_columns:
        inner = object_columns[1:]  # the sample is the row
        counts = np.bincount(
            np.searchsorted(labels.samples, labels.objects["sample"]), minlength=len(labels)
        )
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
        copies = pa.StructArray.from_arrays(
            [pa.array(labels.objects[column.name]) for column in inner],
            names=[column.name for column in inner],
        )
        data[OBJECTS] = pa.ListArray.from_arrays(pa.array(offsets), copies)
    return pa.table(data | digests)


def _digest_array(digests: list[bytes]) -> pa.Array:
    import pyarrow as pa

    return pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(16), len(digests), [None, pa.py_buffer(b"".join(digests))]
    )


@lru_cache(maxsize=4)
def _template(staging: Staging) -> dict[str, bytes]:
    return store.template(staging.recipe())


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
