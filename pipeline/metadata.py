"""From the parts to the metadata of a release: Parquet, CSV, label variables, digests; one part at a time."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from deepbench import format as fmt
from deepbench.errors import BuildError
from deepbench.format import DIGEST
from deepbench.labelling.scopes import Column
from deepbench.statistics import Tally
from pipeline import encoding
from pipeline.parquet import DIGEST_TYPE, digest_bytes, field_of, notes_of, numbers, plain_type
from pipeline.parts import flatten, tally_of

if TYPE_CHECKING:
    from deepbench.tables import Table
    from pipeline.plan import TablePlan
    from pipeline.staging import Receipt, Staging
    from pipeline.target import Target


JOINED = 256
"""Number of parts whose rows are held apart at most."""


@dataclass
class TableMetadata:
    """The sums over the parts of one table."""

    data_digest: str = ""
    classes: Counter[str] = field(default_factory=Counter)
    splits: Counter[str] = field(default_factory=Counter)
    objects: int = 0
    shards: list[fmt.StoredObject] = field(default_factory=list)


def assemble(staging: Staging, table: Table[Any], blocks: TablePlan) -> TableMetadata:
    """Write the metadata files and label variables of one table from its parts; return what they add up to.

    Raises
    ------
    BuildError
        A part is damaged; running the build again makes its block again.
    """
    labels, release = table.plan, staging.release
    path = f"{fmt.METADATA}/{table.name}"
    variables = [variable.name for variable in table.variables]
    digest = fmt.DataDigest(variables)
    found, tally = TableMetadata(), Tally()
    digest_columns = [Column(DIGEST + each, f"xxh3-128 of {each}") for each in variables]
    with contextlib.ExitStack() as stack:
        rows = _Writer(stack, release, path, labels.columns, digest_columns, table.samples)
        long = None
        if labels.object_columns:
            long = _Writer(stack, release, f"{path}.objects", labels.object_columns, [], None)
        for receipt, part in parts(staging, table, blocks):
            found.shards += receipt.objects
            for variable in variables:
                digest.update(variable, digest_bytes(part.column(DIGEST + variable)))
            count(found.classes, labels.classes, part.column("class").to_numpy())
            count(found.splits, labels.splits, part.column("split").to_numpy())
            tally.add(tally_of(part))
            rows.write(part.replace_schema_metadata())
            if long is not None:
                copies = flatten(part)
                found.objects += copies.num_rows
                long.write(copies)
        rows.end()
        if long is not None:
            long.end()
    found.data_digest = digest.hexdigest()
    if fmt.has_statistics(staging.format_version):
        text = tally.statistics(table).to_json()
        release.write(fmt.statistics_file(table.name), text.encode(), sync=False)
    write_label_variables(staging, table)
    return found


def parts(
    staging: Staging, table: Table[Any], blocks: TablePlan
) -> Iterator[tuple[Receipt, pa.Table]]:
    """Yield receipt and labels of each block of a table, in order of the samples."""
    names = {(start, stop): part for start, stop, part in staging.part_names(table.name)}
    for block in blocks:
        part = names.get((block.start, block.stop))
        found = staging.valid_part(block, table.hash, part) if part else None
        if found is None:
            raise BuildError(
                f"the part of {block} is missing or damaged; run the same command again to make it again"
            )
        yield found


def count(counter: Counter[str], meanings: tuple[str, ...], codes: np.ndarray) -> None:
    """Add the number of each class or split."""
    found = np.bincount(codes, minlength=len(meanings))
    counter.update(dict(zip(meanings, found.tolist(), strict=True)))


class _Writer:
    """Writes rows of labels to Parquet, and to CSV where the table is not too long."""

    def __init__(
        self,
        stack: contextlib.ExitStack,
        target: Target,
        name: str,
        columns: tuple[Column, ...],
        extra: list[Column],
        rows: int | None,
    ) -> None:
        self._columns = columns
        fields = [field_of(column) for column in columns]
        fields += [
            pa.field(column.name, DIGEST_TYPE, metadata=notes_of(column)) for column in extra
        ]
        self._schema = pa.schema(fields)
        file = stack.enter_context(target.writing(f"{name}.parquet", sync=False))
        self._parquet = stack.enter_context(
            pq.ParquetWriter(file, self._schema, compression="zstd")
        )
        self._few: list[pa.Table] = []
        self._held: list[pa.Table] = []
        self._rows = 0
        self._csv = None
        if rows is not None and rows <= fmt.CSV_ROWS:
            text = stack.enter_context(target.writing(f"{name}.csv", sync=False))
            plain = pa.schema([pa.field(column.name, plain_type(column)) for column in columns])
            self._csv = stack.enter_context(pcsv.CSVWriter(text, plain))

    def write(self, part: pa.Table) -> None:
        """Write rows."""
        self._few.append(part.select(self._schema.names))
        self._rows += len(part)
        if len(self._few) == JOINED:
            self._join()
        if self._rows >= fmt.ROW_GROUP:
            self._join()
            held = pa.concat_tables(self._held)
            whole = len(held) - len(held) % fmt.ROW_GROUP
            self._write(held.slice(0, whole))
            self._held = [held.slice(whole)]
            self._rows -= whole

    def _join(self) -> None:
        """Hold many small tables as one: a table of one row takes kilobytes."""
        if self._few:
            self._held.append(pa.concat_tables(self._few).combine_chunks())
            self._few = []

    def end(self) -> None:
        """Write what is left."""
        self._join()
        if self._rows:
            self._write(pa.concat_tables(self._held))

    def _write(self, rows: pa.Table) -> None:
        arrays = [_named(rows.column(column.name), column) for column in self._columns]
        rest = [rows.column(name) for name in self._schema.names[len(arrays) :]]
        table = pa.Table.from_arrays([*arrays, *rest], schema=self._schema)
        self._parquet.write_table(table, row_group_size=fmt.ROW_GROUP)
        if self._csv is not None:
            texts = [
                array.cast(plain_type(column))
                for array, column in zip(arrays, self._columns, strict=True)
            ]
            self._csv.write_table(pa.table(dict(zip(self._schema.names, texts, strict=False))))


def _named(codes: pa.ChunkedArray, column: Column) -> pa.Array:
    """Return a column with names instead of codes."""
    array = codes.combine_chunks()
    if not column.meanings:
        return array
    return pa.DictionaryArray.from_arrays(array.cast(pa.int16()), pa.array(column.meanings))


def write_label_variables(staging: Staging, table: Table[Any]) -> None:
    """Copy the columns of the Parquet table into the label variables of the Zarr group, a chunk at a time."""
    release, template = staging.release, staging.template()
    with (
        encoding.single_threaded(),
        release.open(f"{fmt.METADATA}/{table.name}.parquet") as opened,
    ):
        file = pq.ParquetFile(opened, pre_buffer=False)  # else all that is read is kept
        for column in table.plan.columns:
            array, start = f"{table.name}/{column.name}", 0
            for values in _chunks(file, column):
                for key, content in encoding.encode(template, array, start, values):
                    release.write(f"{fmt.DATA}/{key}", content, sync=False)
                start += len(values)


def _chunks(table: pq.ParquetFile, column: Column) -> Iterator[np.ndarray]:
    """Yield one column of a Parquet file as arrays of ``LABEL_CHUNK`` rows."""
    held: list[np.ndarray] = []
    rows = 0
    for batch in table.iter_batches(batch_size=65536, columns=[column.name]):
        values = pa.chunked_array([batch.column(0)])
        held.append(numbers(values, column))
        rows += len(values)
        while rows >= fmt.LABEL_CHUNK:
            joined = np.concatenate(held)
            yield joined[: fmt.LABEL_CHUNK]
            held = [joined[fmt.LABEL_CHUNK :]]
            rows -= fmt.LABEL_CHUNK
    if rows:
        yield np.concatenate(held)
