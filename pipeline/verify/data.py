"""Checks of files and of data: sizes, SHA-256, decoding, digests, finite values, and rendering again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from deepbench import format as fmt
from deepbench.errors import CatalogError, DeepBenchError
from deepbench.samples import draw_labels, render_arrays
from pipeline import store
from pipeline.block import DIGEST
from pipeline.tables import digest_bytes, read_labels, read_rows
from pipeline.verify.findings import DAMAGE, Finding, Subject
from pipeline.verify.labels import differences

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from deepbench.places import Place
    from deepbench.recipe.table import DataVariable
    from pipeline.plan import Block

TOLERANCE = 1e-6
"""Of the largest value of a sample: how far values may differ that are stamped ``tolerance``, or on another machine."""


# files


def check_file(place: Place, stored: fmt.StoredObject) -> Finding | None:
    """Compare a file with what the manifest says of it."""
    try:
        size = place.size(stored.path)
        if size is None:
            return Finding("files", "is missing", stored.path)
        if size != stored.size:
            message = f"has {size} bytes, the manifest says {stored.size}"
            return Finding("files", message, stored.path)
        if place.sha256(stored.path) != stored.sha256:
            return Finding("checksum", "its SHA-256 is not the manifest's", stored.path)
    except CatalogError as error:  # a link, or a name that leaves the release
        return Finding("files", str(error), stored.path)
    except OSError as error:
        return Finding("files", f"cannot be read: {error.strerror or error}", stored.path)
    return None


def check_files(
    subject: Subject, part: Block, objects: tuple[fmt.StoredObject, ...]
) -> list[Finding]:
    """Compare some files with what the manifest says of them."""
    found = (check_file(subject.place, each) for each in objects)
    return [each for each in found if each is not None]


# data


@dataclass
class BlockReport:
    """What the check of a block says.

    Attributes
    ----------
    findings : list of Finding
    rerendered, by_tolerance : int
        Samples rendered again, and those of them that agree only within the tolerance.
    """

    findings: list[Finding] = field(default_factory=list)
    rerendered: int = 0
    by_tolerance: int = 0


@dataclass(frozen=True)
class Rerender:
    """Which samples are rendered again: a fraction, chosen by a seed."""

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


def check_block(
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
    contents, damaged = _read(subject.place, objects)
    report.findings += damaged
    recipe = subject.recipe()
    with store.single_threaded():
        for variable in recipe.tables[block.table].data_variables():
            _check_variable(subject, block, variable, contents, rows, bool(damaged), report)
    if rerender is not None and rows:
        _rerender(subject, block, contents, rerender.choose(block), report)
    return report


def _read(
    place: Place, objects: tuple[fmt.StoredObject, ...]
) -> tuple[dict[str, bytes], list[Finding]]:
    """Read shards, by their keys in the store, and compare them with the manifest."""
    contents, findings = {}, []
    for each in objects:
        try:
            content = place.read(each.path)
        except (FileNotFoundError, CatalogError) as error:
            reason = "is missing" if isinstance(error, FileNotFoundError) else str(error)
            findings.append(Finding("files", reason, each.path))
            continue
        contents[each.path.removeprefix(f"{fmt.DATA}/")] = content
        if len(content) != each.size:
            message = f"has {len(content)} bytes, the manifest says {each.size}"
            findings.append(Finding("files", message, each.path))
        elif hashlib.sha256(content).hexdigest() != each.sha256:
            findings.append(Finding("checksum", "its SHA-256 is not the manifest's", each.path))
    return contents, findings


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
    file = f"{fmt.DATA}/{array}"
    unreadable: list[int] = []
    different: list[int] = []
    infinite: list[int] = []
    stored = b""
    if rows:
        column = DIGEST + variable.name
        try:
            table = read_rows(subject.place, block.table, [column], block.start, block.stop)
            stored = digest_bytes(table.column(column))
        except (*DAMAGE, DeepBenchError) as error:
            report.findings.append(Finding("labels", str(error), file, block.table))
    for start, stop, values in _pieces(subject, array, block, contents, whole=not damaged):
        if values is None:
            unreadable += range(start, stop)
            continue
        if np.dtype(variable.dtype).kind == "f":
            finite = np.isfinite(values).reshape(len(values), -1).all(axis=1)
            infinite += (start + np.flatnonzero(~finite)).tolist()
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


def _pieces(
    subject: Subject, array: str, block: Block, contents: dict[str, bytes], *, whole: bool
) -> Iterator[tuple[int, int, NDArray | None]]:
    """Yield first and last sample and values of a block: in one piece, or, when that fails, chunk by chunk.

    The values are None where they cannot be decoded.
    """
    template = subject.template()
    keys = {key for key in contents if key.startswith(f"{array}/")}
    expected = set(store.keys(template, array, block.start, block.stop))
    if whole and keys == expected:
        try:
            yield (
                block.start,
                block.stop,
                store.decode(template, array, contents, block.start, block.stop),
            )
            return
        except DAMAGE:
            pass
    length = store.chunk_length(template, array)
    for start in range(block.start, block.stop, length):
        stop = min(start + length, block.stop)
        if keys != expected:
            yield start, stop, None
            continue
        try:
            yield start, stop, store.decode(template, array, contents, start, stop)
        except DAMAGE:
            yield start, stop, None


def _rerender(
    subject: Subject,
    block: Block,
    contents: dict[str, bytes],
    chosen: NDArray[np.intp],
    report: BlockReport,
) -> None:
    """Draw the labels of a block again, render some of its samples again, and compare."""
    recipe = subject.recipe()
    plan = recipe.label_plan(block.table)
    try:
        stored = read_labels(subject.place, plan, block.table, block.start, block.stop)
    except (*DAMAGE, DeepBenchError):
        return  # found by the check of labels
    drawn = draw_labels(recipe, block.table, block.start, block.stop)
    for name, samples in differences(drawn, stored, 1e-6 if plan.tolerance else 0.0):
        message = f"{name} is not what the recipe draws"
        report.findings.append(Finding.of_samples("rerender", message, samples, table=block.table))
    if not len(chosen):
        return
    arrays = render_arrays(recipe, block.table, drawn.take(chosen))
    report.rerendered += len(chosen)
    for variable in recipe.tables[block.table].data_variables():
        array = f"{block.table}/{variable.name}"
        wrong = []
        for row, values in zip(chosen.tolist(), arrays[variable.name], strict=True):
            sample = block.start + row
            try:
                there = store.decode(subject.template(), array, contents, sample, sample + 1)[0]
            except DAMAGE:
                continue  # found by the check of the shard
            if np.array_equal(there, values, equal_nan=True):
                continue
            if _close(there, values):
                report.by_tolerance += 1
            else:
                wrong.append(sample)
        if wrong:
            message = f"'{variable.name}' is not what the recipe renders"
            report.findings.append(
                Finding.of_samples("rerender", message, wrong, table=block.table)
            )


def _close(one: NDArray, other: NDArray) -> bool:
    """Return whether values agree within the tolerance of the format."""
    peak = np.nanmax(np.abs(other), initial=0.0)
    return bool(np.allclose(one, other, rtol=0.0, atol=TOLERANCE * peak, equal_nan=True))
