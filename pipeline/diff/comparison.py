"""Compare two releases: tables, variables, columns, and every sample that both have, by its labels and its digests.

The labels are read from the Parquet files of both, side by side, a range of samples at a time. Pixels are compared by
the digests in the same files: no array is read.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np

from deepbench import format as fmt
from deepbench.format import DIGEST
from deepbench.samples import derived, draw_labels, render_arrays
from pipeline.diff.difference import Difference, SchemaDifference, TableDifference
from pipeline.diff.side import Attributes, Rows, Side, TableSchema, planned_schema, together
from pipeline.diff.tally import Tally, Words, pairs

if TYPE_CHECKING:
    from deepbench.labelling.scopes import Labels
    from deepbench.tables import Table

WORDS = (
    *("title", "description", "license", "authors", "references"),
    *("keywords", "url", "doi"),
)
"""Fields of a recipe that shape no data."""

FIRST_LABELS = 1000
"""Number of samples of a table of which ``foresee`` draws labels."""

FIRST_PIXELS = 16
"""Number of samples of a table that ``foresee`` renders at most."""

FIRST_BYTES = 2**26
"""Largest size of the samples of a table that ``foresee`` renders, together (byte)."""


def compare(old: Side, new: Side, tables: Collection[str] | None = None) -> Difference:
    """Return what changed from one release to another.

    Numbers are compared by value: every NaN equals every other, and −0.0 equals 0.0. Classes and other names are
    compared as names, whatever their codes. A column that only one of the two has changes the schema alone.

    Parameters
    ----------
    old, new : Side
    tables : collection of str, optional
        Compare these tables only; all that both have when absent.

    Raises
    ------
    ReleaseError
        A file of metadata is missing or damaged.

    Examples
    --------
    >>> compare(Side.of(find("shapes", "1.0.0")), Side.of(find("shapes", "1.1.0"))).level     # doctest: +SKIP
    'minor'
    """
    one, other = old.recipe, new.recipe
    return Difference(
        words=tuple(name for name in WORDS if getattr(one, name) != getattr(other, name)),
        storage=one.storage != other.storage,
        recipe=one.hash != other.hash,
        rendering=old.render_version != new.render_version,
        added=tuple(name for name in new.tables if name not in old.tables),
        removed=tuple(name for name in old.tables if name not in new.tables),
        tables={
            name: _compare_table(old, new, name)
            for name in old.tables
            if name in new.tables and (tables is None or name in tables)
        },
    )


def same_origin(old: Side, new: Side, table: str) -> bool:
    """Return whether recipe and rendering promise that two releases agree in each sample of a table."""
    one, other = old.tables[table], new.tables[table]
    same = one.table_hash == other.table_hash and old.render_version == new.render_version
    return same and not one.tolerance and not other.tolerance


def _compare_table(old: Side, new: Side, table: str) -> TableDifference:
    one, other = old.schema(table), new.schema(table)
    common = min(one.samples, other.samples)
    columns = _comparable(one.columns, other.columns)
    copied = _comparable(one.object_columns, other.object_columns)
    same_pixels = (
        one.samples == other.samples
        and old.tables[table].data_digest == new.tables[table].data_digest
    )
    variables = [] if same_pixels else [each for each in one.variables if each in other.variables]
    tally, words = Tally(), Words()
    with contextlib.ExitStack() as stack:
        read = [*columns, *(DIGEST + each for each in variables)]
        wide = Rows(stack, old, table, read), Rows(stack, new, table, read)
        if copied:
            name = f"{table}.objects"
            long = Rows(stack, old, name, copied), Rows(stack, new, name, copied)
        for start, stop, *rows in together(*wide, 0, common):
            with tally.samples(np.arange(start, stop)):
                first, second = (words.numbers(each) for each in rows)
                tally.labels(columns, first, second)
                tally.digests(variables, first, second)
                parts = together(*long, start, stop) if copied else ()
                for begin, end, *copies in parts:
                    first, second = (words.numbers(each) for each in copies)
                    tally.copies(copied, first, second, begin, end)
    return _difference(one, other, tally, common, same_origin(old, new, table))


def foresee(side: Side, table: Table[Any], *, later: bool, values: bool) -> TableDifference:
    """Return what is known at once of how a table changes between a release and a recipe that is not yet built.

    The schema is compared; with ``values`` also the labels of the first samples and, where these agree, the digests of
    a few samples, of each class among them when there are not too many.

    Parameters
    ----------
    side : Side
    table : Table
        A table of the recipe, which the release has, too.
    later : bool
        Whether the recipe stands for the later version of the two.
    values : bool

    Raises
    ------
    ReleaseError
        A file of metadata is missing or damaged.
    LabelError
        A label of the recipe leaves the range of its parameter.
    """
    stored, planned = side.schema(table.name), planned_schema(table)
    tally = Tally()
    count = 0
    if values:
        labels = draw_labels(table, 0, min(stored.samples, planned.samples, FIRST_LABELS))
        labels = derived(table, labels)
        count = _compare_first(tally, side, table, (stored, planned), labels)
    return _difference(*((stored, planned) if later else (planned, stored)), tally, count, False)


def _compare_first(
    tally: Tally,
    side: Side,
    table: Table[Any],
    schemas: tuple[TableSchema, TableSchema],
    labels: Labels,
) -> int:
    """Compare the first samples of a release with those of a recipe, of which the labels are given.

    Returns the number of samples among which the changed ones were found.
    """
    stored, planned = schemas
    plan = table.plan
    measured = {each.name for each in (*plan.columns, *plan.object_columns) if each.measured}
    columns = _comparable(stored.columns, planned.columns, measured)
    copied = _comparable(stored.object_columns, planned.object_columns, measured)
    variables = {each.name: each for each in table.variables if each.name in stored.variables}
    count, words = len(labels), Words()
    with contextlib.ExitStack() as stack:
        read = [*columns, *(DIGEST + each for each in variables)]
        rows = words.numbers(Rows(stack, side, table.name, read).until(count))
        with tally.samples(labels.samples):
            tally.labels(columns, rows, words.drawn(plan.columns, labels.columns))
            if copied:
                long = words.numbers(
                    Rows(stack, side, f"{table.name}.objects", copied).until(count)
                )
                drawn = words.drawn(plan.object_columns, labels.objects)
                tally.copies(copied, long, drawn, 0, count)
    if tally.changed is not None:
        return count
    size = sum(each.sample_bytes for each in table.variables)
    _, first_of_class = np.unique(labels.columns["class"], return_index=True)
    order = list(dict.fromkeys([*first_of_class.tolist(), *range(count)]))
    few = np.sort(np.array(order[: min(FIRST_PIXELS, FIRST_BYTES // size)], dtype=np.intp))
    if len(few):
        arrays, _ = render_arrays(table, labels.take(few))
        made = {
            DIGEST + name: pairs(b"".join(fmt.sample_digests(each, arrays[name])))
            for name, each in variables.items()
        }
        with tally.samples(labels.samples[few]):
            tally.digests(variables, {name: rows[name][few] for name in made}, made)
    return count if tally.changed is None else len(few)


# schemas


def _comparable(old: Attributes, new: Attributes, unknown: Collection[str] = ()) -> list[str]:
    """Return the columns of which the values can be compared: both have them, as names or as numbers."""
    return [
        name
        for name in old
        if name in new
        and name not in unknown
        and bool(old[name]["meanings"]) == bool(new[name]["meanings"])
    ]


def _difference(
    old: TableSchema, new: TableSchema, tally: Tally, compared: int, same: bool
) -> TableDifference:
    """Return how a table changed; ``same`` when recipe and rendering promise that it did not."""
    variables = _schema_difference(old.variables, new.variables)
    columns = _schema_difference(old.columns, new.columns)
    object_columns = _schema_difference(old.object_columns, new.object_columns)
    schemas = (variables, columns, object_columns)
    differs = tally.changed is not None or any(each.level != "none" for each in schemas)
    order = [*old.columns, *(f"objects/{name}" for name in ("sample", *old.object_columns))]
    parameters = {name: tally.parameters[name] for name in order if name in tally.parameters}
    return TableDifference(
        old.samples,
        new.samples,
        compared,
        variables,
        columns,
        object_columns,
        changed=tally.changed,
        parameters=parameters,
        pixels=tally.pixels,
        inconsistent=same and differs,
    )


def _schema_difference(old: Attributes, new: Attributes) -> SchemaDifference:
    extended, changed = [], {}
    for name in old:
        unlike = {
            key: (value, new[name][key])
            for key, value in old[name].items()
            if name in new and value != new[name][key]
        }
        known, given = unlike.get("meanings", ((), ()))
        if known and given[: len(known)] == known:
            extended.append(name)
            del unlike["meanings"]
        if unlike:
            changed[name] = ", ".join(
                f"{key} ({_show(before)} → {_show(after)})"
                for key, (before, after) in unlike.items()
            )
    return SchemaDifference(
        added=tuple(name for name in new if name not in old),
        removed=tuple(name for name in old if name not in new),
        extended=tuple(extended),
        changed=changed,
    )


def _show(value: Any) -> str:
    return value if isinstance(value, str) else ", ".join(map(str, value)) or "none"
