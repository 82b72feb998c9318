"""Checks that see a whole table: its counts, its data digest, groups inside one split, and no two samples equal.

The rows are read in order, as often as it takes to hold no more than ``HELD`` of them at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from deepbench import format as fmt
from deepbench.errors import DeepBenchError
from deepbench.format import DIGEST
from deepbench.samples import draw_labels, render_arrays
from pipeline.metadata import count
from pipeline.parquet import batches, digest_bytes, numbers, row_count
from pipeline.verify.data import close
from pipeline.verify.findings import DAMAGE, NAMED, Finding, Subject

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from deepbench.tables import Table
    from pipeline.plan import Block

EXAMINED = 100
"""Number of pairs of equal samples that are rendered again at most: of each set of equal ones first one, then more."""

HELD = 2**21
"""Number of rows that are held in memory while equal ones are looked for: some 100 bytes each, with copies."""


def check_table(subject: Subject, block: Block, summary: fmt.TableSummary) -> list[Finding]:
    """Check a table as a whole against what the manifest says of it."""
    file = f"{fmt.METADATA}/{block.table}.parquet"
    try:
        table = subject.table(block.table)
        return [
            *_check_summary(subject, table, summary),
            *_check_groups(subject, table, summary.samples),
            *_check_duplicates(subject, table, summary),
        ]
    except (*DAMAGE, DeepBenchError) as error:
        return [Finding("labels", f"cannot be read: {error}", file, block.table)]


def _check_summary(
    subject: Subject, table: Table[Any], summary: fmt.TableSummary
) -> Iterator[Finding]:
    """Compare counts of classes, splits and copies, and the data digest, with the manifest."""
    variables = list(summary.variables)
    digest = fmt.DataDigest(variables)
    plan = table.plan
    columns = {column.name: column for column in plan.columns}
    counts: dict[str, Counter[str]] = {"class": Counter(), "split": Counter()}
    repeats = [f"{each}.repeat" for each in plan.repeated_names]
    copies = 0
    names = [*counts, *repeats, *(DIGEST + each for each in variables)]
    for rows in batches(subject.location, table.name, names):
        for name, counter in counts.items():
            codes = numbers(rows.column(name), columns[name])
            count(counter, columns[name].meanings, codes)
        copies += sum(int(numbers(rows.column(name), columns[name]).sum()) for name in repeats)
        for variable in variables:
            digest.update(variable, digest_bytes(rows.column(DIGEST + variable)))
    if copies != summary.objects:
        message = f"its labels have {copies} copies of repeated objects, the manifest says {summary.objects}"
        yield Finding("manifest", message, fmt.MANIFEST, table.name)
    if plan.object_columns:
        file = f"{fmt.METADATA}/{table.name}.objects.parquet"
        rows = row_count(subject.location, file)
        if rows != copies:
            message = f"has {rows} rows, the labels say {copies} copies"
            yield Finding("labels", message, file, table.name)
    for name, wanted in (("class", summary.classes), ("split", summary.splits)):
        if dict(counts[name]) != wanted:
            message = f"its samples by {name} are {dict(counts[name])}, the manifest says {wanted}"
            yield Finding("manifest", message, fmt.MANIFEST, table.name)
    if digest.hexdigest() != summary.data_digest:
        message = (
            f"its data digest is {digest.hexdigest()}, the manifest says {summary.data_digest}"
        )
        yield Finding("manifest", message, fmt.MANIFEST, table.name)


def _check_groups(subject: Subject, table: Table[Any], samples: int) -> Iterator[Finding]:
    """Look for groups in two splits."""
    columns = {column.name: column for column in table.plan.columns}
    passes = -(-samples // HELD)

    def read(rows: pa.Table) -> tuple[NDArray, NDArray, NDArray]:
        groups, splits = (
            numbers(rows.column(name), columns[name]).astype(np.int64)
            for name in ("group", "split")
        )
        differs = (groups[1:] != groups[:-1]) | (splits[1:] != splits[:-1])
        first = np.flatnonzero(np.concatenate([[True], differs]))  # a group may be a whole table
        return first, groups[first].astype(np.uint64), np.stack([groups, splits])[:, first]

    total, found = 0, []
    for keys, (numbered, values) in _passes(subject, table, ["group", "split"], passes, read):
        order = np.argsort(keys, kind="stable")
        groups, splits = values[:, order]
        wrong = np.flatnonzero((groups[1:] == groups[:-1]) & (splits[1:] != splits[:-1]))
        total += len(wrong)
        found += np.sort(numbered[order[wrong + 1]])[:NAMED].tolist()
    if found:
        message = "their groups are in more than one split"
        yield Finding("groups", message, "", table.name, tuple(sorted(found)[:NAMED]), total)


def _check_duplicates(
    subject: Subject, table: Table[Any], summary: fmt.TableSummary
) -> Iterator[Finding]:
    """Look for samples with the same values in every data variable."""
    names = [DIGEST + each for each in summary.variables]
    passes = -(-summary.samples * len(names) // HELD)

    def read(rows: pa.Table) -> tuple[NDArray, NDArray, NDArray]:
        words = [np.frombuffer(digest_bytes(rows.column(name)), "<u8") for name in names]
        held = np.concatenate([each.reshape(-1, 2) for each in words], axis=1).T
        keys = held[0].copy()
        for row in held[2::2]:  # one variable alone may be the same in many samples
            keys = keys * np.uint64(31) + row
        return np.arange(len(rows)), keys, held

    total = 0
    found: list[tuple[int, int, int]] = []
    for keys, (samples, digests) in _passes(subject, table, names, passes, read):
        order = np.argsort(keys, kind="stable")
        ordered = digests[:, order]
        equal = np.flatnonzero((ordered[:, 1:] == ordered[:, :-1]).all(axis=0))
        total += len(equal)
        number = np.arange(len(equal))
        begins = np.diff(equal, prepend=-2) != 1  # else three or more samples are equal
        rank = number - np.maximum.accumulate(np.where(begins, number, 0))
        later, earlier = samples[order[equal + 1]], samples[order[equal]]
        first = np.lexsort((later, rank))[:EXAMINED]
        found += zip(*(each[first].tolist() for each in (rank, later, earlier)), strict=True)
        found = sorted(found)[:EXAMINED]
    if found:
        pairs = sorted((later, earlier) for _, later, earlier in found)
        yield _judged(subject, table, pairs, total)


def _judged(
    subject: Subject, table: Table[Any], pairs: list[tuple[int, int]], total: int
) -> Finding:
    """Return what is to be said about equal samples: a note where the recipe, rendered again, makes them equal.

    Parameters
    ----------
    subject : Subject
    table : Table
    pairs : list of (int, int)
        Some of the samples that are equal to an earlier one, and that one; sorted.
    total : int
        Number of samples that are equal to an earlier one.
    """
    note = True
    reason = "as the recipe makes " + (
        "them" if total == len(pairs) else f"{len(pairs)} of them that were rendered again"
    )
    if subject.render_version != fmt.RENDER_VERSION:
        reason = "not rendered again, because another version rendered them"
    elif planted := [each for each in pairs if not _made_equal(subject, table, *each)]:
        note, reason = False, "but the recipe makes them different"
        total = total if len(planted) == len(pairs) else len(planted)
        pairs = planted
    message = f"equal to earlier ones, the first to sample {pairs[0][1]}, {reason}"
    named = tuple(later for later, _ in pairs[:NAMED])
    return Finding("duplicates", message, "", table.name, named, total, note=note)


def _made_equal(subject: Subject, table: Table[Any], one: int, other: int) -> bool:
    """Return whether two samples, rendered again, are equal."""
    first, second = (
        render_arrays(table, draw_labels(table, sample, sample + 1))[0] for sample in (one, other)
    )
    return all(
        fmt.sample_digests(each, first[each.name]) == fmt.sample_digests(each, second[each.name])
        or (subject.may_differ(table) and close(first[each.name], second[each.name]))
        for each in table.variables
    )


def _passes(
    subject: Subject,
    table: Table[Any],
    names: list[str],
    passes: int,
    read: Callable[[pa.Table], tuple[NDArray, NDArray, NDArray]],
) -> Iterator[tuple[NDArray, tuple[NDArray, NDArray]]]:
    """Yield keys, and with them sample numbers and values, of rows in so many parts: equal keys are in one part.

    ``read`` chooses rows of some; it returns their numbers among these, their keys, and their values along the last
    axis.
    """
    for number in range(passes):
        keys, samples, values, start = [], [], [], 0
        for rows in batches(subject.location, table.name, names):
            among, found, held = read(rows)
            chosen = np.flatnonzero(found % np.uint64(passes) == number)
            keys.append(found[chosen])
            samples.append(start + among[chosen])
            values.append(held[:, chosen])
            start += len(rows)
        yield np.concatenate(keys), (np.concatenate(samples), np.concatenate(values, axis=1))
