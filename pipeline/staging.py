"""The folder of an unfinished build, and its ledger: the parts of finished blocks.

A build stands in ``.building/<name>-<version>-<key>/`` of the catalog: ``release/`` grows into the release,
``parts/`` holds one Parquet file per finished block, whose name ends in the hash of its content. A part that can be
read and agrees with its name means that its block is done; there is no other record.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import xxhash
from pydantic import TypeAdapter

from deepbench import format as fmt
from deepbench.errors import CatalogError, ClusterError
from deepbench.language.canonical import canonical_hash
from deepbench.recipe import Recipe
from deepbench.stored_recipe import read_recipe
from pipeline.plan import Block
from pipeline.software import differences, versions
from pipeline.target import Target

if TYPE_CHECKING:
    import pyarrow as pa

RELEASE = "release"
"""Folder that becomes the release."""

PARTS = "parts"
"""Folder of the parts of finished blocks."""

SCRATCH = "scratch"
"""Folder of files that are being written."""

SOFTWARE = "software.json"
"""File that says with which software the build was begun."""

_PART = re.compile(r"^(\d{12})-(\d{12})-([0-9a-f]{32})\.parquet$")


@dataclass(frozen=True)
class Receipt:
    """The receipt of a finished block, which a worker writes into the block's part.

    Attributes
    ----------
    block : Block
    table_hash : str
        Hash of the table, as ``Table.hash``.
    render_version : int
    objects : tuple of StoredObject
        The shards that the block wrote, by their path in the release.
    """

    block: Block
    table_hash: str
    render_version: int
    objects: tuple[fmt.StoredObject, ...]

    def to_json(self) -> str:
        """Return the receipt as JSON text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> Receipt:
        """Read a receipt.

        Raises
        ------
        ValueError
            It is none.
        """
        return _receipts().validate_json(text)


@lru_cache(maxsize=1)
def _receipts() -> TypeAdapter[Receipt]:
    return TypeAdapter(Receipt)


@dataclass(frozen=True)
class Staging:
    """The folder of one unfinished build.

    Attributes
    ----------
    catalog : Target
    name : str
        Name of the folder in the catalog.
    recipe_hash : str
        Hash of the recipe that is built.
    format_version : int
        Format of the release.
    """

    catalog: Target
    name: str
    recipe_hash: str
    format_version: int = fmt.FORMAT_VERSION

    @classmethod
    def of(cls, catalog: Target, recipe: Recipe, format_version: int | None = None) -> Staging:
        """Return the staging folder of a recipe in a catalog; of a release of the newest format if none is given.

        There is one per content, but for the numbers of samples, and per layout, format and rendering: asking for more
        samples goes on from what there is.
        """
        version = fmt.FORMAT_VERSION if format_version is None else format_version
        tables = {name: recipe.table(name).hash for name in recipe.tables}
        storage = recipe.storage.model_dump(exclude_none=True)
        key = [tables, storage, version, fmt.RENDER_VERSION]
        digest = canonical_hash(key)[:12]
        name = f"{fmt.BUILDING}/{recipe.name}-{recipe.version}-{digest}"
        return cls(catalog, name, recipe.hash, version)

    @property
    def target(self) -> Target:
        """The folder itself."""
        return self.catalog.below(self.name)

    @property
    def release(self) -> Target:
        """The folder that becomes the release; what is being written into it lies elsewhere."""
        return self.catalog.sheltered(f"{self.name}/{RELEASE}", f"{self.name}/{SCRATCH}")

    def recipe(self) -> Recipe:
        """Return the recipe of the build, as it stands in the folder.

        Raises
        ------
        ClusterError
            It is another one by now.
        """
        return _recipe(self.release, self.recipe_hash)

    def template(self) -> dict[str, bytes]:
        """Return the metadata of the release's Zarr store, by key."""
        return _template(self)

    def check_software(self) -> None:
        """Refuse to make blocks of this build with another DeepBench than the coordinator's.

        Raises
        ------
        ClusterError
            The versions differ.
        """
        problems = differences(json.loads(self.target.read(SOFTWARE)), versions())
        if problems:
            raise ClusterError(f"this worker {'; '.join(problems)}")

    # the ledger

    def write_part(self, receipt: Receipt, labels: pa.Table) -> None:
        """Write a block's part: the block is done from here on."""
        import pyarrow.parquet as pq

        buffer = io.BytesIO()
        notes = (labels.schema.metadata or {}) | {b"receipt": receipt.to_json().encode()}
        labels = labels.replace_schema_metadata(notes)
        pq.write_table(
            labels, buffer, compression="lz4", use_dictionary=False, write_statistics=False
        )
        content = buffer.getvalue()  # a view would outlive the buffer where the write fails
        block = receipt.block
        digest = xxhash.xxh3_128_hexdigest(content)
        name = f"{PARTS}/{block.table}/{block.start:012d}-{block.stop:012d}-{digest}.parquet"
        self.target.write(name, content)

    def part_names(self, table: str) -> Iterator[tuple[int, int, str]]:
        """Yield start, stop and file name of each part of a table, in order of the samples."""
        for name in self.target.files(f"{PARTS}/{table}"):
            found = _PART.match(name.rpartition("/")[2])
            if found:
                yield int(found[1]), int(found[2]), name

    def read_part(self, name: str) -> tuple[Receipt, pa.Table] | None:
        """Return a part's receipt and labels; None when it is damaged or not a part of ours, or not of this version."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        found = _PART.match(name.rpartition("/")[2])
        content = self.target.read(name)
        if found is None or xxhash.xxh3_128_hexdigest(content) != found[3]:
            return None
        try:
            labels = pq.ParquetFile(pa.BufferReader(content)).read()  # read_table imports pandas
            receipt = Receipt.from_json((labels.schema.metadata or {}).get(b"receipt", b""))
            for each in receipt.objects:
                self.release.locate(each.path)
        except (pa.ArrowException, OSError, ValueError, CatalogError):
            return None
        return receipt, labels

    def valid_part(
        self, block: Block, table_hash: str, name: str
    ) -> tuple[Receipt, pa.Table] | None:
        """Return a part's receipt and labels when it is whole and belongs to the block of this recipe, and its shards
        have their sizes; else None.
        """
        found = self.read_part(name)
        if found is None:
            return None
        receipt = found[0]
        fits = (
            receipt.block == block
            and receipt.table_hash == table_hash
            and receipt.render_version == fmt.RENDER_VERSION
            and len(receipt.objects) > 0
            and all(self.release.size(each.path) == each.size for each in receipt.objects)
        )
        return found if fits else None


def lock_name(recipe: Recipe) -> str:
    """Return the name, in the catalog, of the lock that a build of the recipe's version holds."""
    return lock_of(recipe.name, recipe.version)


def lock_of(name: str, version: str) -> str:
    """Return the name, in the catalog, of the lock that whoever changes a version holds."""
    return f"{fmt.BUILDING}/{name}-{version}.lock"


def turn_name(name: str) -> str:
    """Return the name, in the catalog, of the lock that whoever publishes a version of a dataset holds."""
    return f"{fmt.BUILDING}/{name}.lock"


def probe_name() -> str:
    """Return the name of a file that a process may write into the catalog to see whether it can."""
    return f"{fmt.BUILDING}/.probe-{os.getpid()}"


def log_name(recipe: Recipe) -> str:
    """Return the name, in the catalog, of the log of builds of the recipe's version."""
    return f"{fmt.BUILDING}/{recipe.name}-{recipe.version}.log"


def tidy(catalog: Target, recipe: Recipe) -> None:
    """Remove what is left of builds of a version that is published. The caller holds its lock."""
    ours = re.compile(re.escape(f"{recipe.name}-{recipe.version}-") + "[0-9a-f]{12}")
    with contextlib.suppress(OSError):  # the next command tidies up
        for folder in catalog.folders(fmt.BUILDING):
            if ours.fullmatch(folder):
                catalog.remove(f"{fmt.BUILDING}/{folder}")
        if catalog.exists(turn_name(recipe.name)):  # of a publish that was killed
            with catalog.lock(turn_name(recipe.name)):
                pass


@lru_cache(maxsize=4)
def _template(staging: Staging) -> dict[str, bytes]:
    from pipeline.encoding import template

    return template(staging.recipe(), format_version=staging.format_version)


@lru_cache(maxsize=4)
def _recipe(release: Target, recipe_hash: str) -> Recipe:
    recipe = read_recipe(release)
    if recipe.hash != recipe_hash:
        raise ClusterError(
            f"{release.root} is being built from another recipe by now; run the same command again"
        )
    return recipe
