"""The files of a release by its recipe: which there are, and those that are written before the first block."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepbench import format as fmt
from deepbench.errors import LabelError
from deepbench.language.canonical import is_file, kept_name
from deepbench.language.load import write_document
from pipeline import encoding
from pipeline.software import versions
from pipeline.staging import SOFTWARE

if TYPE_CHECKING:
    from deepbench.recipe import Recipe
    from deepbench.tables import Table
    from pipeline.staging import Staging


def prepare(staging: Staging, recipe: Recipe) -> None:
    """Write the resolved recipe, the files it needs, the store's metadata, and which software is at work."""
    staging.target.write(SOFTWARE, json.dumps(versions()).encode())
    for name, content in recipe_files(recipe).items():
        staging.release.write(name, content, sync=False)
    template = encoding.template(recipe, format_version=staging.format_version)
    for key, content in template.items():
        staging.release.write(f"{fmt.DATA}/{key}", content, sync=False)


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
        yield kept_name(data["file"], data["sha256"]), data
    elif isinstance(data, dict | list):
        for item in data.values() if isinstance(data, dict) else data:
            yield from _inputs(item)


def release_files(recipe: Recipe, format_version: int) -> Iterator[str]:
    """Yield the name of every file of a release, but for its manifest."""
    inputs = dict.fromkeys(name for name, _ in _inputs(recipe.resolved()))
    yield from (fmt.RECIPE, *fmt.DOCUMENTS[format_version], *inputs)
    template = encoding.template(recipe)
    for key in template:
        yield f"{fmt.DATA}/{key}"
        array = key.removesuffix("/zarr.json")
        if array.count("/") == 1:
            chunks = (each for each in encoding.keys(template, array) if each not in template)
            yield from (f"{fmt.DATA}/{each}" for each in chunks)
    for name in recipe.tables:
        yield from metadata_files(recipe.table(name), format_version)


def metadata_files(table: Table[Any], format_version: int) -> list[str]:
    """Return the names of the metadata files of a table."""
    others = (f"{fmt.METADATA}/{table.name}.{each}" for each in fmt.TABLE_FILES[format_version])
    return [*label_files(table), *others]


def label_files(table: Table[Any]) -> list[str]:
    """Return the names of the files that hold the labels of a table."""
    endings = ["parquet"]
    if table.samples <= fmt.CSV_ROWS:
        endings.append("csv")
    if table.plan.object_columns:
        endings.append("objects.parquet")
    return [f"{fmt.METADATA}/{table.name}.{ending}" for ending in endings]
