"""Checks of data: decoding, digests, finite values, and rendering again."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from deepbench import format as fmt
from deepbench.errors import DeepBenchError
from deepbench.format import DIGEST
from deepbench.samples import draw_labels, render_arrays
from deepbench.statistics import Tally, training_rows
from pipeline import encoding
from pipeline.parquet import digest_bytes, numbers, read_labels, read_rows
from pipeline.verify.files import read_files
from pipeline.verify.findings import DAMAGE, Finding, Subject
from pipeline.verify.labels import differences, with_derived, with_measured

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa
    from numpy.typing import NDArray

    from deepbench.arrays import DataVariable
    from pipeline.plan import Block

TOLERANCE = 1e-6
"""Largest difference of values that are stamped ``tolerance`` or of another machine (largest value of the sample)."""


@dataclass
class BlockReport:
    """The outcome of the check of a block.

    Attributes
    ----------
    findings : list of Finding
    rerendered, by_tolerance : int
        Samples rendered again, and those of them that agree only within the tolerance.
    tally : Tally
        The sums over the data for the statistics of the table.
    """

    findings: list[Finding] = field(default_factory=list)
    rerendered: int = 0
    by_tolerance: int = 0
    tally: Tally = field(default_factory=Tally)


@dataclass(frozen=True)
class Rerender:
    """The choice of samples that are rendered again.

    Attributes
    ----------
    fraction : float
        Part of the samples, from 0 to 1.
    seed : int
        Seed of the choice.
    """

    fraction: float
    seed: int

    def choose(self, block: Block) -> NDArray[np.intp]:
        """Return rows of a block; at least one of the first block of a table."""
        name = int.from_bytes(hashlib.sha256(block.table.encode()).digest()[:8], "big")
        rng = np.random.default_rng([self.seed, name, block.start])
        chosen = rng.random(block.stop - block.start) < self.fraction
        if block.start == 0 and self.fraction > 0 and not chosen.any():
            chosen[rng.integers(len(chosen))] = True
        return np.flatnonzero(chosen)


def check_data(
    subject: Subject,
    block: Block,
    objects: tuple[fmt.StoredObject, ...],
    rows: bool,
    rerender: Rerender | None,
) -> BlockReport:
    """Check the shards of a block: files, decoding, digests, finite values; and render samples of it again.

    Parameters
    ----------
    subject : Subject
    block : Block
    objects : tuple of StoredObject
        Its shards by the manifest.
    rows : bool
        Whether the rows of the table's metadata can be believed.
    rerender : Rerender, optional
    """
    report = BlockReport()
    contents, damaged = read_files(subject.location, objects)
    report.findings += damaged
    with encoding.single_threaded():
        for variable in subject.table(block.table).variables:
            _check_variable(subject, block, variable, contents, rows, bool(damaged), report)
        if rerender is not None and rows:
            _rerender(subject, block, contents, rerender, report)
    return report


def _check_variable(
    subject: Subject,
    block: Block,
    variable: DataVariable,
    contents: dict[str, bytes],
    rows: bool,
    damaged: bool,
    report: BlockReport,
) -> None:
    """Decode a variable of a block; compare with the digests of the metadata; look for values that are not finite."""
    array = f"{block.table}/{variable.name}"
    file = _shard(subject, array, block)
    training = np.zeros(block.stop - block.start, np.bool_)
    unreadable: list[int] = []
    different: list[int] = []
    infinite: list[int] = []
    stored = b""
    if rows:
        column = DIGEST + variable.name
        try:
            names = [column, "split"]
            table = read_rows(subject.location, block.table, names, block.start, block.stop)
            stored = digest_bytes(table.column(column))
            training[_training(subject, block, table)] = True
        except (*DAMAGE, DeepBenchError) as error:
            report.findings.append(Finding("labels", str(error), file, block.table))
    for start, stop, values in _pieces(subject, array, block, contents, whole=not damaged):
        if values is None:
            unreadable += range(start, stop)
            continue
        if np.dtype(variable.dtype).kind == "f":
            finite = ~np.isinf(values) if variable.missing else np.isfinite(values)
            finite = finite.reshape(len(values), -1).all(axis=1)
            infinite += (start + np.flatnonzero(~finite)).tolist()
        if fmt.has_statistics(subject.format_version):
            chosen = np.flatnonzero(training[start - block.start : stop - block.start])
            report.tally.add_values(variable, values, chosen)
        if stored:
            digests = b"".join(fmt.sample_digests(variable, values))
            expected = stored[16 * (start - block.start) : 16 * (stop - block.start)]
            if digests != expected:
                pairs = np.frombuffer(digests + expected, "V16").reshape(2, -1)
                different += (start + np.flatnonzero(pairs[0] != pairs[1])).tolist()
    for name, message, samples in (
        ("zarr", "cannot be decoded", unreadable),
        ("digests", "values differ from their digests in the metadata", different),
        ("values", "values are not finite", infinite),
    ):
        if samples:
            finding = Finding.of_samples(name, message, samples, file=file, table=block.table)
            report.findings.append(finding)


def _training(subject: Subject, block: Block, rows: pa.Table) -> NDArray[np.intp]:
    """Return which rows are of the training split."""
    plan = subject.table(block.table).plan
    (column,) = (each for each in plan.columns if each.name == "split")
    return training_rows(plan.splits, numbers(rows.column("split"), column))


def _shard(subject: Subject, array: str, block: Block) -> str:
    """Return the name of the shard of a block, or of their folder where there are several."""
    keys = list(encoding.keys(subject.template(), array, block.start, block.stop))
    return f"{fmt.DATA}/{os.path.commonpath(keys)}"


def _pieces(
    subject: Subject, array: str, block: Block, contents: dict[str, bytes], *, whole: bool
) -> Iterator[tuple[int, int, NDArray | None]]:
    """Yield first sample, end and values of a block: in one piece, or, when that fails, chunk by chunk.

    The values are None where they cannot be decoded.
    """
    template = subject.template()
    keys = {key for key in contents if key.startswith(f"{array}/")}
    expected = set(encoding.keys(template, array, block.start, block.stop))
    if whole and keys == expected:
        try:
            yield (
                block.start,
                block.stop,
                encoding.decode(template, array, contents, block.start, block.stop),
            )
            return
        except DAMAGE:
            pass
    length = encoding.chunk_length(template, array)
    for start in range(block.start, block.stop, length):
        stop = min(start + length, block.stop)
        if keys != expected:
            yield start, stop, None
            continue
        try:
            yield start, stop, encoding.decode(template, array, contents, start, stop)
        except DAMAGE:
            yield start, stop, None


def _rerender(
    subject: Subject,
    block: Block,
    contents: dict[str, bytes],
    rerender: Rerender,
    report: BlockReport,
) -> None:
    """Draw the labels of a block again, render some of its samples again, and compare.

    Values must have the same bits, unless the table is stamped ``tolerance`` or was made on another kind of machine.
    """
    table = subject.table(block.table)
    tolerant = subject.may_differ(table)
    try:
        stored = read_labels(subject.location, table, block.start, block.stop)
    except (*DAMAGE, DeepBenchError):
        return  # found by the check of labels
    chosen = rerender.choose(block)
    try:
        drawn = draw_labels(table, block.start, block.stop)
        arrays: dict[str, NDArray] = {}
        measured = drawn.take(chosen)
        if len(chosen):
            arrays, measured = render_arrays(table, measured)
    except DeepBenchError as error:
        report.findings.append(Finding("rerender", str(error), fmt.RECIPE, block.table))
        return
    known = with_measured(table.plan, drawn, stored, measured)
    try:
        known = with_derived(table, known, stored)
    except (*DAMAGE, DeepBenchError) as error:
        message = f"no labels can be derived from what is stored: {error}"
        report.findings.append(Finding("rerender", message, table=block.table))
    for name, samples in differences(known, stored, TOLERANCE if tolerant else 0.0):
        message = f"{name} is not what the recipe draws"
        report.findings.append(Finding.of_samples("rerender", message, samples, table=block.table))
    if not len(chosen):
        return
    report.rerendered += len(chosen)
    near: set[int] = set()
    for variable in table.variables:
        array = f"{block.table}/{variable.name}"
        wrong = []
        for start, stop, values in _pieces(subject, array, block, contents, whole=True):
            some = np.flatnonzero((chosen >= start - block.start) & (chosen < stop - block.start))
            if values is None or not len(some):  # what cannot be decoded is told already
                continue
            there, made = values[chosen[some] + block.start - start], arrays[variable.name][some]
            digests = (fmt.sample_digests(variable, each) for each in (there, made))
            for row, (one, other) in enumerate(zip(*digests, strict=True)):
                if one == other:
                    continue
                sample = block.start + int(chosen[some[row]])
                if tolerant and close(there[row], made[row]):
                    near.add(sample)
                else:
                    wrong.append(sample)
        if wrong:
            message = f"'{variable.name}' is not what the recipe renders"
            file = _shard(subject, array, block)
            report.findings.append(
                Finding.of_samples("rerender", message, wrong, file=file, table=block.table)
            )
            near.difference_update(wrong)
    report.by_tolerance += len(near)


def close(one: NDArray, other: NDArray) -> bool:
    """Return whether values agree within the tolerance of the format."""
    peak = np.nanmax(np.abs(other), initial=0.0)
    return bool(np.allclose(one, other, rtol=0.0, atol=TOLERANCE * peak, equal_nan=True))
