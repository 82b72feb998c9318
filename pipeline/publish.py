"""From finished blocks to a release: metadata, data card, manifest, and one atomic step into the catalog.

Nothing is visible before the last step. A publish that is interrupted anywhere is done again from the parts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepbench import format as fmt
from deepbench.errors import LabelError, ReleaseError
from deepbench.recipe.canonical import is_file
from deepbench.recipe.load import write_document
from pipeline import metadata, store
from pipeline.card import data_card
from pipeline.software import versions
from pipeline.staging import RELEASE, Staging

if TYPE_CHECKING:
    from deepbench.recipe.model import Recipe
    from pipeline.plan import Plan
    from pipeline.target import Hold, Target


def recipe_files(recipe: Recipe) -> dict[str, bytes]:
    """Return the files that make a release render again: the resolved recipe, and the catalogues it draws from.

    Raises
    ------
    LabelError
        A catalogue has changed since the recipe was read.
    """
    data = recipe.resolved()
    files = {}
    for name, catalogue in _inputs(data).items():
        path = (recipe.folder or Path()) / catalogue["file"]
        files[name] = path.read_bytes()
        if hashlib.sha256(files[name]).hexdigest() != catalogue["sha256"]:
            raise LabelError(
                f"{path} has changed since the recipe was read; run the same command again"
            )
        catalogue["file"] = name
    return files | {fmt.RECIPE: write_document(data).encode()}


def _inputs(data: Any) -> dict[str, dict[str, Any]]:
    """Return each description of a catalogue inside plain data by the name of its file in a release."""
    if is_file(data):
        return {f"{fmt.INPUTS}/{data['sha256'][:12]}{Path(data['file']).suffix}": data}
    found: dict[str, dict[str, Any]] = {}
    if isinstance(data, dict | list):
        for item in data.values() if isinstance(data, dict) else data:
            found |= _inputs(item)
    return found


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
        A file that the store's metadata promises is missing, the lock of the version was lost, or another process
        published it first.
    """
    steps = len(plan.tables) + 2
    release = staging.release
    shards: dict[str, fmt.StoredObject] = {}
    tables: dict[str, fmt.TableSummary] = {}
    files = [f"{fmt.DATA}/{key}" for key in store.template(recipe)]
    for done, name in enumerate(recipe.tables):
        report("publishing", done, steps)
        found = metadata.assemble(staging, recipe, plan, name)
        tables[name] = _summary(recipe, name, found)
        shards |= {each.path: each for each in found.shards}
        files += found.files
    report("publishing", steps - 2, steps)
    release.write(fmt.CARD, data_card(recipe, tables).encode(), sync=False)
    files += [fmt.CARD, fmt.RECIPE, *_inputs(recipe.resolved())]
    staging.target.sweep(RELEASE, (f"{RELEASE}/{name}" for name in (*files, *shards)))
    objects = [*shards.values(), *(_stored(release, name) for name in files)]
    manifest = fmt.Manifest(
        name=recipe.name,
        version=recipe.version,
        title=recipe.title,
        recipe_hash=recipe.hash,
        seed=recipe.seed,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        software=versions(),
        tables=tables,
        objects=tuple(sorted(objects, key=lambda each: each.path)),
    )
    release.write(fmt.MANIFEST, manifest.to_json().encode(), sync=False)
    staging.target.sync(RELEASE)
    report("publishing", steps - 1, steps)
    hold.check()
    catalog = staging.catalog
    catalog.publish(f"{staging.name}/{RELEASE}", f"{recipe.name}/{recipe.version}", fmt.MANIFEST)
    report("publishing", steps, steps)
    return manifest


def _summary(recipe: Recipe, name: str, found: metadata.TableMetadata) -> fmt.TableSummary:
    table = recipe.tables[name]
    variables = table.data_variables()
    return fmt.TableSummary(
        kind=table.kind,
        samples=table.samples,
        table_hash=recipe.table_hash(name),
        data_digest=found.data_digest,
        shard_length=fmt.table_shard_length(recipe, name),
        variables={
            each.name: {
                "dtype": each.dtype,
                "dims": ["sample", *each.dimensions],
                "shape": [table.samples, *each.shape],
            }
            for each in variables
        },
        classes=dict(found.classes),
        splits=dict(found.splits),
        columns=tuple(column.name for column in recipe.label_plan(name).columns),
        objects=found.objects,
        tolerance=recipe.label_plan(name).tolerance,
    )


def _stored(release: Target, name: str) -> fmt.StoredObject:
    size = release.size(name)
    if size is None:
        raise ReleaseError(f"{release.locate(name)} has disappeared; run the same command again")
    return fmt.StoredObject(name, size, release.sha256(name))
