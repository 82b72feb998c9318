"""From finished blocks to a release: metadata, data card, manifest, and one atomic step into the catalog.

Nothing is visible before the last step. A publish that is interrupted anywhere is done again from the parts.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepbench import format as fmt
from deepbench.errors import LabelError, ReleaseError
from deepbench.language.canonical import is_file
from deepbench.language.load import write_document
from pipeline import claims, metadata, store
from pipeline.card import data_card
from pipeline.diff import Side
from pipeline.software import transforms, versions
from pipeline.staging import RELEASE, Staging, turn_name

if TYPE_CHECKING:
    from deepbench.recipe import Recipe
    from pipeline.plan import Plan
    from pipeline.target import Hold, Target


def recipe_files(recipe: Recipe) -> dict[str, bytes]:
    """Return the files that make a release render again: the resolved recipe, and the files that it names.

    Raises
    ------
    LabelError
        A file has changed since the recipe was read.
    """
    data = recipe.resolved()
    files = {}
    for name, described in _inputs(data):
        path = (recipe.folder or Path()) / described["file"]
        files[name] = path.read_bytes()
        if hashlib.sha256(files[name]).hexdigest() != described["sha256"]:
            raise LabelError(
                f"{path} has changed since the recipe was read; run the same command again"
            )
        described["file"] = name
    return files | {fmt.RECIPE: write_document(data).encode()}


def _inputs(data: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each description of a file inside plain data with the file's name in a release; it may come twice."""
    if is_file(data):
        yield f"{fmt.INPUTS}/{data['sha256'][:12]}{Path(data['file']).suffix}", data
    elif isinstance(data, dict | list):
        for item in data.values() if isinstance(data, dict) else data:
            yield from _inputs(item)


def release_files(recipe: Recipe) -> Iterator[str]:
    """Yield the name of every file of a release, but for its manifest."""
    inputs = dict.fromkeys(name for name, _ in _inputs(recipe.resolved()))
    yield from (fmt.RECIPE, fmt.CARD, *inputs)
    template = store.template(recipe)
    for key in template:
        yield f"{fmt.DATA}/{key}"
        array = key.removesuffix("/zarr.json")
        if array.count("/") == 1:
            chunks = (each for each in store.keys(template, array) if each not in template)
            yield from (f"{fmt.DATA}/{each}" for each in chunks)
    for name in recipe.tables:
        yield from metadata_files(recipe, name)


def metadata_files(recipe: Recipe, name: str) -> list[str]:
    """Return the names of the metadata files of a table."""
    endings = ["parquet"]
    if recipe.tables[name].samples <= fmt.CSV_ROWS:
        endings.append("csv")
    if recipe.table(name).plan.object_columns:
        endings.append("objects.parquet")
    return [f"{fmt.METADATA}/{name}.{ending}" for ending in endings]


def publish(
    staging: Staging,
    recipe: Recipe,
    plan: Plan,
    hold: Hold,
    report: Callable[[str, int, int], None],
) -> fmt.Manifest:
    """Assemble the release from the parts, and give it its name in the catalog.

    Raises
    ------
    BuildError
        A part is damaged.
    ReleaseError
        The version claims less than it changes, a file that the store's metadata promises is missing, the lock of the
        version was lost, or another process published it first.
    """
    steps = len(plan.tables) + 2
    release = staging.release
    shards: dict[str, fmt.StoredObject] = {}
    tables: dict[str, fmt.TableSummary] = {}
    for done, name in enumerate(recipe.tables):
        report("publishing", done, steps)
        found = metadata.assemble(staging, recipe, plan, name)
        tables[name] = fmt.TableSummary(
            **fmt.described(recipe.table(name)),
            data_digest=found.data_digest,
            classes=dict(found.classes),
            splits=dict(found.splits),
            objects=found.objects,
        )
        shards |= {each.path: each for each in found.shards}
    report("publishing", steps - 2, steps)
    release.write(fmt.CARD, data_card(recipe, tables).encode(), sync=False)
    files = sorted(release_files(recipe))
    staging.target.sweep(RELEASE, (f"{RELEASE}/{name}" for name in files))
    objects = tuple(shards.get(name) or _stored(release, name) for name in files)
    rounded = any(table.tolerance for table in recipe.tables.values())
    manifest = fmt.Manifest(
        name=recipe.name,
        version=recipe.version,
        title=recipe.title,
        recipe_hash=recipe.hash,
        seed=recipe.seed,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        software=versions() | (transforms() if rounded else {}),
        tables=tables,
        objects=objects,
    )
    release.write(fmt.MANIFEST, manifest.to_json().encode(), sync=False)
    staging.target.sync(RELEASE)
    report("publishing", steps - 1, steps)
    with _turn(staging.catalog, recipe.name):  # versions published at once would not be compared
        _check_claims(staging, recipe, tables)
        source, final = f"{staging.name}/{RELEASE}", f"{recipe.name}/{recipe.version}"
        staging.catalog.publish(source, final, fmt.MANIFEST, hold.check)
    report("publishing", steps, steps)
    return manifest


@contextlib.contextmanager
def _turn(catalog: Target, name: str) -> Iterator[None]:
    """Wait until no other version of a dataset is being published."""
    while True:
        with catalog.lock(turn_name(name)) as held:
            if held is not None:
                yield
                return
        time.sleep(1.0)


def _check_claims(staging: Staging, recipe: Recipe, tables: dict[str, fmt.TableSummary]) -> None:
    """Refuse a version that claims less than it changes, by its assembled metadata."""
    version = fmt.Version.parse(recipe.version)
    name = f"{recipe.name}@{recipe.version}"
    new = Side(name, staging.release, recipe, tables, fmt.RENDER_VERSION)
    claims.refuse(staging.catalog, new, version)


def _stored(release: Target, name: str) -> fmt.StoredObject:
    size = release.size(name)
    if size is None:
        raise ReleaseError(f"{release.locate(name)} has disappeared; run the same command again")
    return fmt.StoredObject(name, size, release.sha256(name))
