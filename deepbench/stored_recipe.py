"""The recipe of a release, as it is stored beside the data, with the files from which it draws."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from multiprocessing.util import Finalize
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

from deepbench import format as fmt
from deepbench.errors import MissingDataError, ReleaseError
from deepbench.language.load import parse_document, read_document
from deepbench.storage.damage import reading
from deepbench.storage.locations import Folder, Location

if TYPE_CHECKING:
    from deepbench.language.document import Document
    from deepbench.recipe import Recipe

_INPUT = re.compile(rf"{fmt.INPUTS}/[0-9a-f]{{12}}(\.[a-z0-9]+)?")
"""Pattern of the name of a file from which the recipe of a release draws."""


def read_recipe(location: Location) -> Recipe:
    """Return the recipe of a release; raises what ``read_stored`` does, and RecipeError where it is none."""
    from deepbench.recipe import Recipe

    return Recipe.from_document(read_stored(location))


def read_stored(location: Location) -> Document:
    """Return the recipe of a release as plain data; it draws from no other files than those of the release.

    Raises
    ------
    ReleaseError
        It cannot be read, or names a file elsewhere.
    """
    if location.size(fmt.RECIPE) is None:
        raise MissingDataError.of(location.locate(fmt.RECIPE))
    content = b""
    with reading(location, fmt.RECIPE):
        if isinstance(location, Folder):
            document = read_document(location.folder / fmt.RECIPE)
        else:
            content = location.read(fmt.RECIPE)
            document = parse_document(content, location.locate(fmt.RECIPE))
    for file in _files(document.data):
        if not _INPUT.fullmatch(file):
            raise ReleaseError(
                f"{location.locate(fmt.RECIPE)} names the file {file!r}, which is not of the release"
            )
    if content and any(_files(document.data)):
        folder = _downloaded(location, hashlib.sha256(content).hexdigest())
        document = replace(document, folder=folder)
    return document


def _files(data: Any) -> Iterator[str]:
    """Yield the name of every file that a document names."""
    if isinstance(data, dict) and isinstance(data.get("file"), str):
        yield data["file"]
    if isinstance(data, dict | list):
        for item in data.values() if isinstance(data, dict) else data:
            yield from _files(item)


@cache
def _downloaded(location: Location, sha256: str) -> Path:
    """Return a folder with the files from which the recipe of that hash draws; it ends with the process."""
    folder = Path(mkdtemp(prefix="deepbench-"))
    # unlike atexit, this is run in workers, too, and not again in what is forked from here
    Finalize(None, shutil.rmtree, (folder, True), exitpriority=0)
    for name in location.files(fmt.INPUTS):
        with reading(location, name):
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(location.read(name))
    return folder
