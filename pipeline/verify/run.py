"""Verify a release: every claim of its manifest, its recipe and the format, checked by reading each file once or twice.

Files come first. Whatever a damaged file would spoil is then not asked of it, so each damage is told once, where it is.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepbench import format as fmt
from deepbench.errors import DeepBenchError, ReleaseError, StorageError
from deepbench.release import Release
from deepbench.statistics import Tally
from deepbench.storage.locations import Folder
from deepbench.stored_recipe import read_recipe
from pipeline.execution import executor
from pipeline.files import label_files, release_files
from pipeline.plan import Block, Plan, make_plan
from pipeline.progress import Progress, silent
from pipeline.software import probe_of, versions
from pipeline.verify.data import Rerender, check_data
from pipeline.verify.files import check_documents, check_files
from pipeline.verify.findings import DAMAGE, Finding, Subject
from pipeline.verify.labels import (
    check_csv,
    check_label_variables,
    check_labels,
    check_metadata_schema,
    check_zarr_schema,
)
from pipeline.verify.statistics import check_statistics
from pipeline.verify.whole import check_table

if TYPE_CHECKING:
    from deepbench.recipe import Recipe
    from pipeline.execution import ClusterOptions, Executor

LOST = 100
"""Number of files, of those that the manifest does not list, that are named at most."""

DESCRIPTIONS = 3
"""Number of descriptions in other words that are told at most."""

BATCH = 64
"""Number of small files that one task checks."""

BATCH_BYTES = 2**26
"""Bytes of small files that one task checks, about."""


@dataclass
class Report:
    """The outcome of ``verify``.

    Attributes
    ----------
    release : str
    findings : list of Finding
        Everything that is wrong; nothing is when the list is empty.
    files, bytes, samples : int
        Amounts that were checked.
    rerendered, by_tolerance : int
        Samples rendered again, and those of them that agree only within the tolerance, not in each bit.
    notes : list of str
        Checks that could not be made, and why.
    """

    release: str
    findings: list[Finding] = field(default_factory=list)
    files: int = 0
    bytes: int = 0
    samples: int = 0
    rerendered: int = 0
    by_tolerance: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain data."""
        return asdict(self) | {"ok": self.ok}


def verify(
    release: Release,
    *,
    rerender: float = 0.0,
    seed: int = 0,
    cluster: ClusterOptions | None = None,
    progress: Progress | None = None,
) -> Report:
    """Check a release.

    Parameters
    ----------
    release : Release
    rerender : float
        Fraction of the samples, chosen at random, that are rendered again from the recipe and compared bit by bit, or
        within the tolerance where the table is stamped so.
    seed : int
        Seed of the choice.
    cluster : ClusterOptions, optional
        Without it a small release is checked in this process, and others on a local cluster.
    progress : callable, optional
        Called as ``progress(step, done, total)``, in bytes.

    Raises
    ------
    ReleaseError
        ``rerender`` is not a fraction.
    ClusterError
        The cluster cannot be reached or used.
    StorageError
        The object store does not answer.
    """
    if not 0 <= rerender <= 1:
        raise ReleaseError(f"the fraction to render again must be from 0 to 1, not {rerender}")
    report = Report(f"{release.name}@{release.version}")
    try:
        manifest = release.manifest
    except StorageError:
        raise
    except (DeepBenchError, OSError) as error:
        report.findings.append(Finding("manifest", str(error), fmt.MANIFEST))
        report.notes.append("without its manifest nothing else of the release can be checked")
        return report
    report.findings += _check_manifest(release, manifest)
    report.findings += _check_listing(release, manifest)
    report.files, report.bytes = len(manifest.objects), manifest.size
    report.samples = sum(table.samples for table in manifest.tables.values())
    subject, plan = _check_recipe(release, manifest, report)
    again = Rerender(rerender, seed) if rerender else None
    if again is not None and manifest.render_version != fmt.RENDER_VERSION:
        report.notes.append(
            f"not rendered again: the release was made by DeepBench {manifest.software.get('deepbench')} with render "
            f"version {manifest.render_version}, and this one has {fmt.RENDER_VERSION}; install that version to do it"
        )
        again = None
    needed = 0 if plan is None else plan.worker_bytes
    probe = probe_of(release.location)
    with executor(cluster, subject, probe=probe, work=manifest.size, task_bytes=needed) as run:
        verification = _Verification(subject, report, run, progress or silent)
        if plan is None:
            verification.check_files(manifest.objects)
        else:
            verification.check_all(manifest, plan, again)
    if report.by_tolerance:
        report.notes.append(
            f"{report.by_tolerance} of {report.rerendered} samples rendered again agree within the tolerance of the "
            "format, not in each bit"
        )
    return report


def _check_manifest(release: Release, manifest: fmt.Manifest) -> Iterator[Finding]:
    """Check what the manifest says against where it lies."""
    if release.location.read(fmt.MANIFEST) != manifest.to_json().encode():
        yield Finding("manifest", "is not written as manifests are", fmt.MANIFEST)
    if (manifest.name, manifest.version) != (release.name, str(release.version)):
        message = f"is of {manifest.name}@{manifest.version}"
        yield Finding("manifest", message, fmt.MANIFEST)


def _check_listing(release: Release, manifest: fmt.Manifest) -> Iterator[Finding]:
    """Look for files that the manifest does not list, or lists twice."""
    listed = Counter(each.path for each in manifest.objects)
    for path, times in listed.items():
        if times > 1:
            yield Finding("manifest", f"lists {path} {times} times", fmt.MANIFEST)
    for name in release.location.files():
        if name not in listed and name != fmt.MANIFEST:
            yield Finding("files", "is not of the release: the manifest does not list it", name)
    if isinstance(release.location, Folder):
        top = release.location.folder
        for folder, folders, names in os.walk(top):
            if folders or names:
                continue
            name = Path(folder).relative_to(top).as_posix()
            if not any(each.startswith(f"{name}/") for each in listed):
                yield Finding("files", "is not of the release: a folder with nothing in it", name)


def _check_recipe(
    release: Release, manifest: fmt.Manifest, report: Report
) -> tuple[Subject, Plan | None]:
    """Read the recipe, and compare the manifest with it; return its plan, or None where it cannot be used."""
    stored = {each.path: each for each in manifest.objects}.get(fmt.RECIPE)
    sha256 = "" if stored is None else stored.sha256
    elsewhere = manifest.software.get("machine") != versions()["machine"]
    subject = Subject(
        release.location, sha256, manifest.render_version, elsewhere, manifest.format_version
    )
    note = "without its recipe, labels, data and schema of the release cannot be checked"
    if stored is None:
        report.findings.append(Finding("manifest", f"does not list {fmt.RECIPE}", fmt.MANIFEST))
        report.notes.append(note)
        return subject, None
    inputs = tuple(each for each in manifest.objects if each.path.startswith(fmt.INPUTS))
    if check_files(
        subject, Block(fmt.RECIPE, 0, 1), (stored, *inputs)
    ):  # told with the other files
        report.notes.append(note)
        return subject, None
    try:
        recipe = read_recipe(release.location)
    except (DeepBenchError, *DAMAGE) as error:
        report.findings.append(Finding("recipe", str(error), fmt.RECIPE))
        report.notes.append(note)
        return subject, None
    problems = compare(recipe, manifest)
    report.findings += problems
    if not problems:
        return subject, make_plan(recipe)
    report.notes.append(
        "manifest and recipe do not agree, so labels, data and schema of the release were not checked"
    )
    return subject, None


def compare(recipe: Recipe, manifest: fmt.Manifest) -> list[Finding]:
    """Compare what the manifest says of recipe and tables with the recipe; if all agrees, the files that it lists."""
    return list(_compare_tables(recipe, manifest)) or list(_compare_files(recipe, manifest))


def _compare_tables(recipe: Recipe, manifest: fmt.Manifest) -> Iterator[Finding]:
    for name in ("name", "version", "title", "seed"):
        if getattr(manifest, name) != getattr(recipe, name):
            message = f"its {name} is {getattr(manifest, name)!r}, that of the recipe {getattr(recipe, name)!r}"
            yield Finding("manifest", message, fmt.MANIFEST)
    if manifest.recipe_hash != recipe.hash:
        message = f"its recipe hash is {manifest.recipe_hash}, that of the recipe {recipe.hash}"
        yield Finding("manifest", message, fmt.MANIFEST)
    if list(manifest.tables) != list(recipe.tables):
        message = f"its tables are {', '.join(manifest.tables)}, those of the recipe {', '.join(recipe.tables)}"
        yield Finding("manifest", message, fmt.MANIFEST)
        return
    for name, summary in manifest.tables.items():
        for key, value in fmt.described(recipe.table(name)).items():
            if getattr(summary, key) != value:
                message = f"its {key} is {getattr(summary, key)!r}, by the recipe it is {value!r}"
                yield Finding("manifest", message, fmt.MANIFEST, name)


def _compare_files(recipe: Recipe, manifest: fmt.Manifest) -> Iterator[Finding]:
    """Compare the files that the manifest lists with those of the format; a recipe may ask for billions of them."""
    left = {each.path for each in manifest.objects}
    lost = 0
    for path in release_files(recipe, manifest.format_version):
        if path in left:
            left.remove(path)
            continue
        lost += 1
        if lost > LOST:
            yield Finding("manifest", "does not list more files of the format", fmt.MANIFEST)
            return
        yield Finding("manifest", f"does not list {path}, unlike the format", fmt.MANIFEST)
    for path in sorted(left):
        yield Finding("manifest", f"lists {path}, unlike the format", fmt.MANIFEST)


class _Verification:
    """The checks of files, data and labels, in this process or on a cluster."""

    def __init__(self, subject: Subject, report: Report, run: Executor, progress: Progress) -> None:
        self._subject = subject
        self._report = report
        self._run = run
        self._progress = progress
        self._read = 0

    def check_all(self, manifest: fmt.Manifest, plan: Plan, again: Rerender | None) -> None:
        """Run every check: of files, of data, then of labels and schema."""
        recipe, report = self._subject.recipe(), self._report
        shards = {table.name: manifest.shards(table.name) for table in plan.tables}
        data = {each.path for table in shards.values() for some in table.values() for each in some}
        self.check_files(each for each in manifest.objects if each.path not in data)
        damaged = {each.file for each in report.findings}
        whole = [
            table.name
            for table in map(recipe.table, recipe.tables)
            if not damaged & set(label_files(table))
        ]
        calls = (
            (block, shards[table.name].get(number, ()), table.name in whole, again)
            for table in plan.tables
            for number, block in enumerate(table)
        )
        tallies = {table.name: Tally() for table in plan.tables}
        for block, found in self._run(check_data, calls):
            tallies[block.table].add(found.tally)
            report.findings += found.findings
            report.rerendered += found.rerendered
            report.by_tolerance += found.by_tolerance
            some = shards[block.table].get(block.start // manifest.tables[block.table].shard_length)
            self._advance("checking data", sum(each.size for each in some or ()))
        schema = check_zarr_schema(self._subject, damaged)
        for name in whole:
            schema += check_metadata_schema(self._subject, name)
        report.findings += [each for each in schema if not each.note]
        report.notes += _few(list(dict.fromkeys(str(each) for each in schema if each.note)))
        self._collect(check_labels, _ranges(plan, whole, fmt.ROW_GROUP))
        for name in whole:  # one at a time: how long it takes says nothing of another
            self._collect(check_table, iter([(_all(plan, name), manifest.tables[name])]))
        listed = {each.path for each in manifest.objects} - damaged
        tables = (name for name in whole if f"{fmt.METADATA}/{name}.csv" in listed)
        self._collect(check_csv, ((_all(plan, name),) for name in tables))
        chunks = _ranges(plan, whole, fmt.LABEL_CHUNK)
        self._collect(check_label_variables, ((block, frozenset(damaged)) for (block,) in chunks))
        if fmt.has_statistics(manifest.format_version):
            sums = ((_all(plan, name), tallies[name]) for name in whole if self._is_whole(name))
            self._collect(check_statistics, sums)
        if report.ok:  # they tell what all else holds
            self._sort(check_documents(self._subject, manifest))

    def _is_whole(self, table: str) -> bool:
        """Return whether nothing was found in a table, so that what follows from it can be asked."""
        files = (f"{fmt.DATA}/{table}/", f"{fmt.METADATA}/{table}.")
        return not any(
            each.table == table or each.file.startswith(files) for each in self._report.findings
        )

    def check_files(self, objects: Iterable[fmt.StoredObject]) -> None:
        """Check files that are not shards, a number of small ones at a time."""
        batches = enumerate(_batches(objects))
        sizes: dict[Block, int] = {}

        def calls() -> Iterator[tuple[Block, tuple[fmt.StoredObject, ...]]]:
            for number, some in batches:
                block = Block("files", number, number + 1)
                sizes[block] = sum(each.size for each in some)
                yield block, some

        for block, findings in self._run(check_files, calls()):
            self._report.findings += findings
            self._advance("checking files", sizes.pop(block))

    def _collect(
        self, check: Callable[..., list[Finding]], calls: Iterator[tuple[Any, ...]]
    ) -> None:
        for _, findings in self._run(check, calls):
            self._sort(findings)

    def _sort(self, findings: Iterable[Finding]) -> None:
        """Add findings to the report, and notes to its notes."""
        for each in findings:
            if each.note:
                self._report.notes.append(str(each))
            else:
                self._report.findings.append(each)

    def _advance(self, step: str, read: int) -> None:
        self._read += read
        self._progress(step, self._read, self._report.bytes)


def _few(notes: list[str]) -> list[str]:
    """Return the first notes about descriptions, and how many more there are."""
    more = len(notes) - DESCRIPTIONS
    last = f"words: {more} more are described otherwise"
    return notes if more <= 0 else [*notes[:DESCRIPTIONS], last]


def _batches(objects: Iterable[fmt.StoredObject]) -> Iterator[tuple[fmt.StoredObject, ...]]:
    """Yield files in batches of bounded number and bytes."""
    held: list[fmt.StoredObject] = []
    for each in objects:
        if held and (len(held) == BATCH or sum(one.size for one in held) + each.size > BATCH_BYTES):
            yield tuple(held)
            held = []
        held.append(each)
    if held:
        yield tuple(held)


def _all(plan: Plan, name: str) -> Block:
    """Return all samples of a table as a block."""
    return Block(name, 0, plan.table(name).samples)


def _ranges(plan: Plan, names: list[str], length: int) -> Iterator[tuple[Block]]:
    """Yield the samples of tables in ranges."""
    for name in names:
        samples = _all(plan, name).stop
        for start in range(0, samples, length):
            yield (Block(name, start, min(start + length, samples)),)
