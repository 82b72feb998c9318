"""Repair a release: make its damaged files again, and replace them only by what the manifest lists, bit for bit.

Whatever is whole is used: shards are linked, digests come from the data. A file that comes out otherwise than the
manifest says, because other software encodes it, is left as it is and told.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from deepbench import format as fmt
from deepbench.errors import CatalogError, ReleaseError
from deepbench.release import Release
from deepbench.stored_recipe import read_recipe
from pipeline import block as work
from pipeline import encoding, metadata
from pipeline.documents import write_documents
from pipeline.execution import executor
from pipeline.files import label_files, metadata_files, prepare
from pipeline.parquet import description_of
from pipeline.plan import Block, Plan, make_plan
from pipeline.progress import Progress, silent
from pipeline.software import probe_of, versions
from pipeline.staging import SCRATCH, Staging, lock_name, probe_name, tidy
from pipeline.target import Target, target_of
from pipeline.verify.files import check_file, check_files
from pipeline.verify.findings import DAMAGE, Subject
from pipeline.verify.run import compare

if TYPE_CHECKING:
    from deepbench.recipe import Recipe
    from deepbench.storage.locations import Location
    from deepbench.tables import Table
    from pipeline.execution import ClusterOptions, Executor

log = logging.getLogger(__name__)

WRITERS = ("deepbench", "zarr", "numcodecs", "pyarrow")
"""Software that decides the bytes of files whose values are the same: the first words the descriptions."""

RENDERING = 4
"""Ratio of the times to render and to read a byte, about."""


@dataclass
class Repair:
    """The outcome of ``repair``.

    Attributes
    ----------
    release : str
    repaired : list of str
        Files that were damaged and are now what the manifest lists.
    refused : dict of str to str
        Files that are still damaged, and why.
    """

    release: str
    repaired: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


def repair(
    release: Release,
    catalog: str,
    *,
    recipe: Recipe | None = None,
    cluster: ClusterOptions | None = None,
    progress: Progress | None = None,
) -> Repair:
    """Make the damaged files of a release again.

    Parameters
    ----------
    release : Release
    catalog : str
        Where it lies.
    recipe : Recipe, optional
        Recipe that the release was made from; needed where its own is damaged.
    cluster : ClusterOptions, optional
    progress : callable, optional
        Called as ``progress(step, done, total)``.

    Raises
    ------
    ReleaseError
        The manifest or the recipe cannot be used, the release was rendered by another version, or another process
        works on it.
    """
    report = progress or silent
    manifest = release.manifest
    done = Repair(f"{release.name}@{release.version}")
    subject, probe = Subject(release.location, ""), probe_of(release.location)
    with executor(cluster, subject, probe=probe, work=manifest.size, task_bytes=0) as run:
        damaged = _damaged(manifest, run, report)
    target = target_of(catalog)
    if not damaged:
        _tidy(target, release)
        return done
    if manifest.render_version != fmt.RENDER_VERSION:
        raise ReleaseError(
            f"{done.release} was made by DeepBench {manifest.software.get('deepbench')} with render version "
            f"{manifest.render_version}, this one has {fmt.RENDER_VERSION}; repair it with that version"
        )
    recipe = _recipe(release, recipe, damaged)
    target.check_writable(probe_name())
    with target.lock(lock_name(recipe)) as held:
        if held is None:
            raise ReleaseError(f"another process works on {done.release}; wait for it")
        recipe = recipe.worded(_own_words(release.location, recipe, damaged))
        staging = Staging.of(target, recipe, manifest.format_version)
        target.remove(staging.name)
        prepare(staging, recipe)
        _make(staging, recipe, release, damaged, cluster, report)
        location = target.sheltered(
            f"{release.name}/{release.version}", f"{staging.name}/{SCRATCH}"
        )
        for path in sorted(damaged):
            held.check()
            _replace(staging, location, damaged[path], manifest, done)
        tidy(target, recipe)
    return done


def _damaged(
    manifest: fmt.Manifest, run: Executor, report: Progress
) -> dict[str, fmt.StoredObject]:
    """Return the files that are not what the manifest lists, by their path."""
    by_path = {each.path: each for each in manifest.objects}
    calls = ((Block("files", i, i + 1), (each,)) for i, each in enumerate(manifest.objects))
    read = 0
    damaged: dict[str, fmt.StoredObject] = {}
    for block, findings in run(check_files, calls):
        damaged |= {each.file: by_path[each.file] for each in findings}
        read += manifest.objects[block.start].size
        report("checking files", read, manifest.size)
    return damaged


def _tidy(target: Target, release: Release) -> None:
    """Remove what a repair has left that was ended when the release was whole."""
    leftover = f"{release.name}-{release.version}-"
    if not any(each.startswith(leftover) for each in target.folders(fmt.BUILDING)):
        return
    recipe = read_recipe(release.location)
    with target.lock(lock_name(recipe)) as held:
        if held:
            tidy(target, recipe)


def _recipe(release: Release, given: Recipe | None, damaged: dict[str, fmt.StoredObject]) -> Recipe:
    """Return the recipe of the release: its own, or the given one where that is damaged."""
    manifest = release.manifest
    if (manifest.name, manifest.version) != (release.name, str(release.version)):
        raise ReleaseError(
            f"the manifest of {release} is of {manifest.name}@{manifest.version}; restore the release from a copy"
        )
    spoiled = [path for path in damaged if path == fmt.RECIPE or path.startswith(fmt.INPUTS)]
    if spoiled and given is None:
        raise ReleaseError(
            f"{release.location.locate(spoiled[0])} is damaged, and nothing can be made without it; name the recipe "
            "that the release was built from with --recipe"
        )
    recipe = given if spoiled and given is not None else read_recipe(release.location)
    for problem in compare(recipe, manifest):
        remedy = "name the recipe that it was built from" if spoiled else "restore it from a copy"
        raise ReleaseError(
            f"the recipe is not what {release} was made from: {problem.message}; {remedy}"
        )
    return recipe


def _own_words(
    location: Location, recipe: Recipe, damaged: dict[str, fmt.StoredObject]
) -> dict[str, dict[str, str]]:
    """Return the descriptions that stand in the files of a release, by table and name: whole files have the last word.

    A damaged file may still be readable where it describes; what is made from it must be what the manifest lists.
    """
    words: dict[str, dict[str, str]] = {name: {} for name in recipe.tables}
    keys = [key for key in encoding.template(recipe) if key.endswith("zarr.json")]
    files = [f"{fmt.DATA}/{key}" for key in keys]
    for table in map(recipe.table, recipe.tables):
        files += [each for each in label_files(table) if each.endswith(".parquet")]
    for path in sorted(files, key=lambda each: each not in damaged):
        with contextlib.suppress(*DAMAGE, CatalogError):
            for table_name, name, text in _words_in(location, path):
                words[table_name][name] = text
    return words


def _words_in(location: Location, path: str) -> Iterator[tuple[str, str, str]]:
    """Yield table, name and description of what a file of a release describes."""
    if path.startswith(fmt.DATA):
        yield from encoding.words_of(path.removeprefix(f"{fmt.DATA}/"), location.read(path))
        return
    table, _, objects = (
        path.removeprefix(f"{fmt.METADATA}/").removesuffix(".parquet").partition(".")
    )
    with location.open(path) as opened:
        for field in pq.read_schema(opened):
            text = description_of(field)
            if text is not None:
                yield table, f"{objects}/{field.name}" if objects else field.name, text


def _make(
    staging: Staging,
    recipe: Recipe,
    release: Release,
    damaged: dict[str, fmt.StoredObject],
    cluster: ClusterOptions | None,
    report: Progress,
) -> None:
    """Make in the staging folder what is damaged: shards by rendering, metadata of a table from all of its blocks."""
    plan, manifest = make_plan(recipe), release.manifest
    lost = set(_blocks(plan, manifest, damaged))
    rebuilt = [
        table
        for table in map(recipe.table, recipe.tables)
        if _spoiled(table, damaged, manifest.format_version)
    ]
    whole = [
        (block, release.location, manifest.shards(table.name)[number])
        for table in rebuilt
        for number, block in enumerate(plan.table(table.name))
        if block not in lost
    ]
    size = sum(each.size for _, _, some in whole for each in some)
    size += RENDERING * sum(
        (block.stop - block.start) * plan.table(block.table).sample_bytes for block in lost
    )
    probe = probe_of(staging.release)
    with executor(cluster, staging, probe=probe, work=size, task_bytes=plan.worker_bytes) as run:
        for number, _ in enumerate(run(work.make_block, ((block,) for block in lost)), 1):
            report("rendering", number, len(lost))
        for number, _ in enumerate(run(work.reuse_block, iter(whole)), 1):
            report("reading data", number, len(whole))
    for table in rebuilt:
        metadata.assemble(staging, table, plan.table(table.name))
    write_documents(staging.release, recipe, manifest)


def _blocks(
    plan: Plan, manifest: fmt.Manifest, damaged: dict[str, fmt.StoredObject]
) -> Iterator[Block]:
    """Yield the blocks that have a damaged shard."""
    for table in plan.tables:
        shards = manifest.shards(table.name)
        for number, block in enumerate(table):
            if any(each.path in damaged for each in shards.get(number, ())):
                yield block


def _spoiled(table: Table[Any], damaged: dict[str, fmt.StoredObject], format_version: int) -> bool:
    """Return whether metadata or label variables of a table are damaged."""
    columns = [column.name for column in table.plan.columns]
    prefixes = tuple(f"{fmt.DATA}/{table.name}/{column}/c/" for column in columns)
    files = metadata_files(table, format_version)
    return any(path in files or path.startswith(prefixes) for path in damaged)


def _replace(
    staging: Staging,
    location: Target,
    wanted: fmt.StoredObject,
    manifest: fmt.Manifest,
    done: Repair,
) -> None:
    """Put a file that was made again into the release, if it is what the manifest lists."""
    if check_file(staging.release, wanted) is not None:
        done.refused[wanted.path] = (
            f"comes out in other bytes than the manifest lists, {_reason(manifest)}"
        )
        return
    try:
        staging.release.settle(wanted.path)
        try:
            location.copy(staging.release, wanted.path)
        except (CatalogError, IsADirectoryError):  # there is a link or a folder instead
            location.remove(wanted.path)
            location.copy(staging.release, wanted.path)
        location.settle(wanted.path)
    except (CatalogError, OSError) as error:
        done.refused[wanted.path] = f"cannot be replaced: {error}"
        return
    done.repaired.append(wanted.path)
    log.info("repaired %s", location.locate(wanted.path))


def _reason(manifest: fmt.Manifest) -> str:
    """Return why files may come out in other bytes."""
    own = versions()
    others = [
        f"{name} {manifest.software.get(name)} (here {own[name]})"
        for name in WRITERS
        if manifest.software.get(name) != own[name]
    ]
    return f"the release was written with {', '.join(others)}" if others else "for no known reason"
