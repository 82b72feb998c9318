"""Checks of labels and schema: Parquet, CSV, the label variables in the Zarr store, and what each says it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from deepbench import format as fmt
from deepbench.errors import CatalogError, DeepBenchError, LabelError
from deepbench.format import DIGEST
from deepbench.labelling.draw import check
from deepbench.labelling.scopes import Labels
from deepbench.samples import derived
from pipeline import encoding
from pipeline.parquet import (
    DIGEST_TYPE,
    description_of,
    field_of,
    numbers,
    plain_type,
    read_labels,
    read_rows,
)
from pipeline.verify.findings import DAMAGE, Finding, Subject

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from deepbench.labelling.plan import LabelPlan
    from deepbench.labelling.scopes import Column
    from deepbench.storage.locations import Location
    from deepbench.tables import Table
    from pipeline.plan import Block


CSV_BLOCK = 2**24
"""Bytes of CSV that are compared at a time."""


def check_labels(subject: Subject, block: Block) -> list[Finding]:
    """Check rows of metadata: sample numbers, words and ranges of parameters, and the rows of repeated objects."""
    table = subject.table(block.table)
    plan = table.plan
    file = f"{fmt.METADATA}/{block.table}.parquet"
    findings = []
    try:
        labels = read_labels(subject.location, table, block.start, block.stop)
        wrong = labels.samples != np.arange(block.start, block.stop)
        if wrong.any():
            rows = block.start + np.flatnonzero(wrong)
            message = "rows do not have their own numbers as `id`"
            findings.append(
                Finding.of_samples("labels", message, rows.tolist(), file=file, table=block.table)
            )
            return findings
        findings += _check_absent(plan, labels, block, file)
        findings += _check_copies(plan, labels, block)
        if not findings:
            check(plan, labels)
    except LabelError as error:
        named = [error.sample] if hasattr(error, "sample") else []
        findings.append(
            Finding.of_samples("labels", str(error), named, file=file, table=block.table)
        )
    except (*DAMAGE, DeepBenchError) as error:
        findings.append(Finding("labels", str(error), file, block.table))
    return findings


def _check_absent(plan: LabelPlan, labels: Labels, block: Block, file: str) -> Iterator[Finding]:
    """Look for values in columns that the class of the sample does not have."""
    owners: dict[str, set[str | None]] = {}
    for scope in plan.scopes:
        repeated = scope.repeat is not None
        for each in [scope.column("repeat")] if repeated else scope.all_columns():
            owners.setdefault(each, set()).add(scope.class_name)
    for column in plan.columns:
        if None in owners.get(column.name, {None}):
            continue
        values = labels.columns[column.name]
        having = [plan.classes.index(name) for name in owners[column.name] if name is not None]
        wrong = np.flatnonzero(column.present(values) & ~np.isin(labels.columns["class"], having))
        if wrong.size:
            message = f"'{column.name}' has values, but their classes have no such parameter"
            samples = (block.start + wrong).tolist()
            yield Finding.of_samples("labels", message, samples, file=file, table=block.table)


def _check_copies(plan: LabelPlan, labels: Labels, block: Block) -> Iterator[Finding]:
    """Compare the rows of repeated objects with the counts of the samples: their number, order, kinds and columns."""
    if not plan.object_columns:
        return
    file = f"{fmt.METADATA}/{block.table}.objects.parquet"
    miscounted = list(_check_counts(plan.repeated_names, labels, block, file))
    yield from miscounted
    if miscounted:
        return
    scopes = [scope for scope in plan.scopes if scope.repeat is not None]
    parts = []
    for order, scope in enumerate(scopes):
        rows = labels.members(plan.classes.index(str(scope.class_name)))
        counts = labels.columns[scope.column("repeat")][rows]
        first = np.repeat(np.cumsum(counts) - counts, counts)
        copies = np.arange(counts.sum()) - first
        names = plan.repeated_names.index(scope.name), plan.repeated_kinds.index(scope.kind)
        numbers = [np.full(len(copies), each) for each in (order, *names)]
        parts.append(np.stack([labels.samples[rows].repeat(counts), *numbers, copies]))
    expected = np.concatenate(parts, axis=1)
    sample, order, *rest = expected = expected[
        :, np.lexsort((expected[4], expected[1], expected[0]))
    ]
    there = labels.objects
    found = [there["sample"], *(there[name] for name in ("object", "kind", "copy"))]
    wrong = (np.stack(found) != np.stack([sample, *rest])).any(axis=0)
    if not wrong.any():
        for number, scope in enumerate(scopes):
            own = {each.removeprefix(f"{scope.name}.") for each in scope.all_columns()}
            for column in plan.object_columns[4:]:
                if column.name not in own:
                    wrong |= (order == number) & column.present(there[column.name])
    if wrong.any():
        message = "the rows of objects are not in their order, or not of their kind"
        samples = np.unique(sample[wrong]).tolist()
        yield Finding.of_samples("labels", message, samples, file=file, table=block.table)


def _check_counts(
    names: tuple[str, ...], labels: Labels, block: Block, file: str
) -> Iterator[Finding]:
    """Compare the number of rows of each repeated object with the counts of the samples."""
    for code, name in enumerate(names):
        owners = labels.objects["sample"][labels.objects["object"] == code] - block.start
        counted = np.bincount(owners, minlength=len(labels))
        wrong = np.flatnonzero(counted != labels.columns[f"{name}.repeat"])
        if wrong.size:
            message = f"the rows of objects of '{name}' are not as many as its label says"
            samples = (block.start + wrong).tolist()
            yield Finding.of_samples("labels", message, samples, file=file, table=block.table)


def check_label_variables(subject: Subject, block: Block, damaged: frozenset[str]) -> list[Finding]:
    """Compare one chunk of each label variable in the Zarr store with the metadata, but for damaged files."""
    findings = []
    for column in subject.table(block.table).plan.columns:
        array = f"{block.table}/{column.name}"
        key = next(encoding.keys(subject.template(), array, block.start, block.stop))
        file = f"{fmt.DATA}/{key}"
        if file in damaged:
            continue
        try:
            rows = read_rows(
                subject.location, block.table, [column.name], block.start, block.stop
            ).column(0)
            expected = numbers(rows, column)
        except (*DAMAGE, DeepBenchError) as error:
            reason = f"cannot be compared with the metadata: {error}"
            findings.append(Finding("labels", reason, file, block.table))
            continue
        try:
            contents = {key: subject.location.read(file)}
            with encoding.single_threaded():
                values = encoding.decode(
                    subject.template(), array, contents, block.start, block.stop
                )
        except DAMAGE as error:
            findings.append(Finding("zarr", f"cannot be decoded: {error}", file, block.table))
            continue
        wrong = np.flatnonzero(~_same(values, expected, 0.0))
        if wrong.size:
            message = f"'{column.name}' differs from the metadata"
            samples = (block.start + wrong).tolist()
            findings.append(
                Finding.of_samples("labels", message, samples, file=file, table=block.table)
            )
    return findings


def check_csv(subject: Subject, block: Block) -> list[Finding]:
    """Compare the CSV of a table with its Parquet file."""
    table = block.table
    plan = subject.table(table).plan
    file = f"{fmt.METADATA}/{table}.csv"
    names = [column.name for column in plan.columns]
    reading = pcsv.ReadOptions(block_size=CSV_BLOCK)
    options = pcsv.ConvertOptions(
        column_types={column.name: plain_type(column) for column in plan.columns},
        null_values=[],
        strings_can_be_null=False,
    )
    try:
        start = 0
        with (
            subject.location.open(file) as opened,
            pcsv.open_csv(opened, reading, convert_options=options) as reader,
        ):
            if reader.schema.names != names:
                message = f"has the columns {', '.join(reader.schema.names)}"
                return [Finding("labels", message, file, table)]
            for batch in reader:
                found = pa.Table.from_batches([batch])
                stop = start + len(found)
                rows = read_rows(subject.location, table, names, start, stop)
                for column in plan.columns:
                    one = numbers(found.column(column.name), column)
                    wrong = np.flatnonzero(
                        ~_same(one, numbers(rows.column(column.name), column), 0)
                    )
                    if wrong.size:
                        message = f"'{column.name}' differs from the Parquet file"
                        samples = (start + wrong).tolist()
                        return [
                            Finding.of_samples("labels", message, samples, file=file, table=table)
                        ]
                start = stop
        if start != block.stop:
            message = f"has {start} rows, the table {block.stop} samples"
            return [Finding("labels", message, file, table)]
    except (*DAMAGE, DeepBenchError) as error:
        return [Finding("labels", f"cannot be read: {error}", file, table)]
    return []


def with_measured(plan: LabelPlan, drawn: Labels, stored: Labels, measured: Labels) -> Labels:
    """Return labels as drawn, with what was measured of some of the samples, and what is stored of the others."""
    columns, objects = dict(drawn.columns), dict(drawn.objects)
    parts = (
        (plan.columns, "id", columns, stored.columns, measured.columns),
        (plan.object_columns, "sample", objects, stored.objects, measured.objects),
    )
    for described, owner, held, there, made in parts:
        names = [each.name for each in described if each.measured]
        if not names or len(there[owner]) != len(held[owner]):
            continue
        rows = np.isin(held[owner], measured.samples)
        for name in names:
            held[name] = there[name].copy()
            if rows.any():
                held[name][rows] = made[name]
    return Labels(columns, objects, drawn.object_names)


def with_derived(table: Table[Any], labels: Labels, stored: Labels) -> Labels:
    """Return labels with those that follow from what is stored, recomputed: exactly, where drawn ones agree but nearly.

    Raises
    ------
    LabelError
        One is infinite.
    """
    found = derived(table, stored).columns
    names = [each.name for each in table.plan.columns if each.derived]
    columns = labels.columns | {name: found[name] for name in names}
    return Labels(columns, labels.objects, labels.object_names)


def differences(drawn: Labels, stored: Labels, tolerance: float) -> Iterator[tuple[str, list[int]]]:
    """Yield the columns in which labels of the same samples differ, with these samples.

    Parameters
    ----------
    drawn, stored : Labels
    tolerance : float
        Relative; 0 asks for the same bits.
    """
    for name, values in drawn.columns.items():
        wrong = ~_same(values, stored.columns[name], tolerance)
        if wrong.any():
            yield name, drawn.samples[wrong].tolist()
    if not drawn.objects:
        return
    one, other = (
        np.bincount(each.objects["sample"] - drawn.samples[0], minlength=len(drawn))
        for each in (drawn, stored)
    )
    if (one != other).any():
        yield "number of copies", drawn.samples[one != other].tolist()
        return
    for name, values in drawn.objects.items():
        wrong = ~_same(values, stored.objects[name], tolerance)
        if wrong.any():
            yield f"objects.{name}", np.unique(drawn.objects["sample"][wrong]).tolist()


def _same(one: NDArray, other: NDArray, tolerance: float) -> NDArray[np.bool_]:
    """Return where values agree; a tolerance of 0 tells −0.0 from 0.0. All NaNs are one."""
    if one.dtype.kind != "f":
        return one == other
    if tolerance:
        return np.isclose(one, other, rtol=tolerance, atol=0.0, equal_nan=True)
    same_bits = (one == other) & (np.signbit(one) == np.signbit(other))
    return same_bits | (np.isnan(one) & np.isnan(other))


def check_metadata_schema(subject: Subject, name: str) -> list[Finding]:
    """Compare the metadata files of a table with what the format says of the recipe."""
    table = subject.table(name)
    plan, location = table.plan, subject.location
    digests = [DIGEST + variable.name for variable in table.variables]
    found = [*_check_columns(location, name, plan.columns, digests, table.samples)]
    if plan.object_columns:
        found += _check_columns(location, f"{name}.objects", plan.object_columns, [], None)
    return found


def _check_columns(
    location: Location, name: str, columns: tuple[Column, ...], digests: list[str], rows: int | None
) -> Iterator[Finding]:
    """Compare names, types, units and descriptions of the columns of a Parquet file, and its number of rows."""
    path = f"{fmt.METADATA}/{name}.parquet"
    try:
        with location.open(path) as opened, pq.ParquetFile(opened) as file:
            schema, count = file.schema_arrow, file.metadata.num_rows
    except DAMAGE as error:
        yield Finding("schema", f"cannot be read: {error}", path)
        return
    if schema.names != [*(column.name for column in columns), *digests]:
        yield Finding("schema", f"has the columns {', '.join(schema.names)}", path)
        return
    if rows is not None and count != rows:
        yield Finding("schema", f"has {count} rows, the table {rows} samples", path)
        return
    for digest in digests:
        if schema.field(digest).type != DIGEST_TYPE:
            message = f"column '{digest}' is of type {schema.field(digest).type}, not {DIGEST_TYPE}"
            yield Finding("schema", message, path)
    for column in columns:
        found, wanted = schema.field(column.name), field_of(column)
        if found.type != wanted.type:
            message = f"column '{column.name}' is of type {found.type}, not {wanted.type}"
            yield Finding("schema", message, path)
        unit, planned = ((each.metadata or {}).get(b"unit") for each in (found, wanted))
        if unit != planned:
            message = f"column '{column.name}' has the unit {unit!r}, not {planned!r}"
            yield Finding("schema", message, path)
        words = description_of(found)
        if words is None:
            yield Finding("schema", f"column '{column.name}' has no description", path)
        elif words != column.description:
            yield _in_other_words(name, column.name, words, column.description)


def _in_other_words(table: str, name: str, there: str, here: str) -> Finding:
    """Return the note about a description that this version of DeepBench words otherwise."""
    message = f"'{name}' is described as {there!r}, by this DeepBench as {here!r}"
    return Finding("words", message, table=table, note=True)


def check_zarr_schema(subject: Subject, damaged: set[str]) -> list[Finding]:
    """Compare the metadata of the Zarr store with what the format says of the recipe, but for damaged files."""
    findings = []
    template = subject.template()
    for key, planned in template.items():
        path = f"{fmt.DATA}/{key}"
        if path in damaged:
            continue
        try:
            content = subject.location.read(path)
            if not encoding.as_template(template, key, content):
                message = "is not what the format says of this recipe"
                findings.append(Finding("schema", message, path))
            elif key.endswith("zarr.json"):
                here = {
                    (table, name): words for table, name, words in encoding.words_of(key, planned)
                }
                findings += [
                    _in_other_words(table, name, words, here[table, name])
                    for table, name, words in encoding.words_of(key, content)
                    if words != here[table, name]
                ]
        except (*DAMAGE, CatalogError) as error:
            findings.append(Finding("schema", f"cannot be read: {error}", path))
    return findings
