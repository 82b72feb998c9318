"""From finished blocks to a release: metadata, data card, manifest, and one atomic step into the catalog.

Nothing is visible before the last step. A publish that is interrupted anywhere is done again from the parts.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from deepbench import format as fmt
from deepbench.errors import ReleaseError
from pipeline import claims, metadata
from pipeline.diff import Side
from pipeline.documents import write_documents
from pipeline.files import release_files
from pipeline.progress import Progress
from pipeline.software import transforms, versions
from pipeline.staging import RELEASE, Staging, turn_name

if TYPE_CHECKING:
    from deepbench.recipe import Recipe
    from pipeline.plan import Plan
    from pipeline.target import Hold, Target


def publish(
    staging: Staging,
    recipe: Recipe,
    plan: Plan,
    hold: Hold,
    report: Progress,
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
    for done, table in enumerate(map(recipe.table, recipe.tables)):
        report("publishing", done, steps)
        found = metadata.assemble(staging, table, plan.table(table.name))
        tables[table.name] = fmt.TableSummary(
            **fmt.described(table),
            data_digest=found.data_digest,
            classes=dict(found.classes),
            splits=dict(found.splits),
            objects=found.objects,
        )
        shards |= {each.path: each for each in found.shards}
    report("publishing", steps - 2, steps)
    files = sorted(release_files(recipe, staging.format_version))
    staging.target.sweep(RELEASE, (f"{RELEASE}/{name}" for name in files))
    documents = fmt.DOCUMENTS[staging.format_version]
    stored = (name for name in files if name not in documents)
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
        objects=tuple(shards.get(name) or _stored(release, name) for name in stored),
        format_version=staging.format_version,
    )
    write_documents(release, recipe, manifest)
    written = (_stored(release, name) for name in documents)
    objects = sorted([*manifest.objects, *written], key=lambda each: each.path)
    manifest = replace(manifest, objects=tuple(objects))
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
