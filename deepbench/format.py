"""The release format: names, versions, layout of arrays, digests and the manifest. ``docs/format.md`` is its contract.

Everything here is a pure function of a recipe or of arrays; nothing touches a file. What reads a manifest imports
neither recipes nor tables: whoever lists releases need not wait for the model of recipes.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xxhash
from pydantic import TypeAdapter

from deepbench.errors import CatalogError, ReleaseError
from deepbench.storage.names import INPUTS as INPUTS
from deepbench.storage.names import RELEASE_NAME, VERSION

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepbench.arrays import Coordinate, DataVariable, Storage
    from deepbench.labelling.scopes import Column
    from deepbench.recipe import Recipe
    from deepbench.tables import Table

FORMAT_VERSION = 2
"""Version of the folder's layout and of the manifest, of new releases."""

FORMATS = (1, FORMAT_VERSION)
"""Versions of the format that are read, verified, repaired and grown."""

RENDER_VERSION = 3
"""Changes whenever any rendered value changes for an unchanged recipe."""

DATA = "data.zarr"
METADATA = "metadata"
RECIPE = "recipe.yaml"
MANIFEST = "manifest.json"
CARD = "README.md"
CITATION = "CITATION.bib"
CROISSANT = "croissant.json"
DATACITE = "datacite.json"

DOCUMENTS: dict[int, tuple[str, ...]] = {
    1: (CARD,),
    2: (CARD, CITATION, CROISSANT, DATACITE),
}
"""Names of the documents of a release by its format version: files that follow from its recipe and its manifest."""

STATISTICS = "statistics.json"

TABLE_FILES: dict[int, tuple[str, ...]] = {1: (), 2: (STATISTICS,)}
"""Endings of the files of each table by format version: those that follow from its data and labels."""

BUILDING = ".building"
"""Folder of unfinished builds in a catalog: never listed, never read as data."""

DIGEST = "digest."
"""Prefix of the columns of metadata that hold the digests of samples, before the name of a variable."""

LABEL_CHUNK = 2**20
"""Rows per chunk of the label variables."""

ROW_GROUP = 2**16
"""Rows per row group of the Parquet files."""

CSV_ROWS = 1_000_000
"""Tables of metadata with more rows are not written as CSV."""


class Version(NamedTuple):
    """A semantic version of data."""

    major: int
    minor: int
    patch: int

    @classmethod
    def parse(cls, text: str) -> Version:
        """Read ``MAJOR.MINOR.PATCH``.

        Raises
        ------
        CatalogError
            The text is not a semantic version.
        """
        if not isinstance(text, str):
            raise CatalogError(
                f"a version is a text such as '1.0.0', not {text!r}: put it in quotes"
            )
        if not re.fullmatch(VERSION, text):
            raise CatalogError(f"'{text}' is not a version: use MAJOR.MINOR.PATCH, such as 1.0.0")
        return cls(*(int(part) for part in text.split(".")))

    def __str__(self) -> str:
        return ".".join(str(part) for part in self)


def check_name(name: str) -> str:
    """Return ``name`` when a release may be called so; it can never leave the catalog's folder.

    Raises
    ------
    CatalogError
        It may not.
    """
    if not isinstance(name, str) or not re.fullmatch(RELEASE_NAME, name):
        raise CatalogError(
            f"{name!r} is not a release's name: use 1 to 63 lower-case letters, digits, '-' and '_', "
            "beginning with a letter or digit"
        )
    return name


def entry_name(name: str, version: Version) -> str:
    """Return the name, in a catalog, of what is said of a release from outside, such as that it is deprecated."""
    return f"{name}/{version}.yaml"


# how arrays are cut


@dataclass(frozen=True)
class Layout:
    """Shapes of the chunks and shards of one data variable, ``sample`` first."""

    chunks: tuple[int, ...]
    shards: tuple[int, ...]


def layout(variable: DataVariable, length: int, storage: Storage) -> Layout:
    """Return chunks and shards of a variable in a table with ``length`` samples per shard.

    A sample larger than a chunk, or a shard, is cut along its own axes, the first axis first.
    """
    from deepbench.arrays import power_of_two

    size = variable.sample_bytes
    samples = math.gcd(length, power_of_two(storage.chunk_bytes / size))
    chunk = _cut(variable, storage.chunk_bytes)
    largest = _cut(variable, storage.shard_bytes)
    shard = tuple(_whole(edge, piece) for edge, piece in zip(largest, chunk, strict=True))
    return Layout((samples, *chunk), (length, *shard))


def _cut(variable: DataVariable, limit: int) -> tuple[int, ...]:
    """Return the shape of a piece of one sample with at most ``limit`` bytes, cut along the first axes."""
    from deepbench.arrays import power_of_two

    piece = list(variable.shape)
    for axis, edge in enumerate(variable.shape):
        rest = int(np.prod(piece, dtype=np.int64)) * np.dtype(variable.dtype).itemsize
        if rest <= limit:
            break
        piece[axis] = min(edge, power_of_two(limit / (rest // edge)))
    return tuple(piece)


def _whole(edge: int, piece: int) -> int:
    """Return the smallest multiple of ``piece`` that is not below ``edge``."""
    return -(-edge // piece) * piece


# digests


def sample_digests(variable: DataVariable, values: NDArray) -> list[bytes]:
    """Return the 16-byte digest of each sample: xxh3-128 over dtype, shape and little-endian bytes; all NaNs are one.

    Parameters
    ----------
    variable : DataVariable
    values : ndarray, shape (n, *variable.shape)
    """
    dtype = np.dtype(variable.dtype).newbyteorder("<")
    values = np.ascontiguousarray(values, dtype=dtype)
    if dtype.kind == "f" and np.isnan(values).any():
        values = np.where(np.isnan(values), dtype.type(np.nan), values)
    start = xxhash.xxh3_128(f"{dtype.str}{tuple(variable.shape)}".encode())
    digests = []
    for sample in values.reshape(len(values), -1).view(np.uint8):
        hasher = start.copy()
        hasher.update(sample.data)
        digests.append(hasher.digest())
    return digests


class DataDigest:
    """Digest of a table's data: SHA-256 over the digests of its samples, in order of variable, then sample.

    No recipe, codec or chunk enters it: equal digests mean equal decoded values.
    """

    def __init__(self, variables: list[str]) -> None:
        self._hashers = {name: hashlib.sha256() for name in variables}

    def update(self, variable: str, digests: bytes) -> None:
        """Add the digests of the next samples of a variable, one after another."""
        self._hashers[variable].update(digests)

    def hexdigest(self) -> str:
        """Return the digest in hexadecimal."""
        parts = {name: hasher.hexdigest() for name, hasher in self._hashers.items()}
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


# attributes of groups and variables


def statistics_file(table: str) -> str:
    """Return the name, in a release, of the statistics of a table."""
    return f"{METADATA}/{table}.{STATISTICS}"


def has_statistics(format_version: int) -> bool:
    """Return whether releases of a format version have statistics."""
    return STATISTICS in TABLE_FILES[format_version]


def root_attributes(
    recipe: Recipe,
    render_version: int = RENDER_VERSION,
    format_version: int = FORMAT_VERSION,
) -> dict[str, Any]:
    """Return the attributes of a release's root group; ``render_version`` says of which rendering its values are."""
    return {
        "title": recipe.title,
        "name": recipe.name,
        "version": recipe.version,
        "license": recipe.license,
        "recipe_hash": recipe.hash,
        "format_version": format_version,
        "render_version": render_version,
    }


def table_attributes(table: Table[Any]) -> dict[str, Any]:
    """Return the attributes of the group of a table."""
    return {"kind": table.kind, "table_hash": table.hash}


def variable_attributes(variable: DataVariable) -> dict[str, Any]:
    """Return the CF attributes of a data variable."""
    return {"long_name": variable.long_name, "units": variable.units, **variable.attributes}


def label_attributes(column: Column) -> dict[str, Any]:
    """Return the CF attributes of a label variable: codes carry ``flag_values`` and ``flag_meanings``."""
    from deepbench.arrays import flags

    if column.meanings:
        return {"long_name": column.description, **flags(column.meanings)}
    return {"long_name": column.description, "units": column.unit}


def axis_attributes(axis: Coordinate) -> dict[str, Any]:
    """Return the CF attributes of a coordinate: one with meanings carries ``flag_values`` and ``flag_meanings``."""
    from deepbench.arrays import flags

    if not axis.long_name:
        return dict(axis.attributes)
    own = flags(axis.meanings) if axis.meanings else {"units": axis.units}
    return {"long_name": axis.long_name, **own, **axis.attributes}


def fill_value(dtype: np.dtype) -> float | int:
    """Return what a reader sees where a chunk is missing: NaN, or the largest integer of the type."""
    return float("nan") if dtype.kind == "f" else int(np.iinfo(dtype).max)


# the manifest


@dataclass(frozen=True)
class StoredObject:
    """A file of a release: its path below the release, its size in bytes and its SHA-256."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class TableSummary:
    """Summary of one table in the manifest."""

    kind: str
    samples: int
    table_hash: str
    data_digest: str
    shard_length: int
    variables: dict[str, dict[str, Any]]
    classes: dict[str, int]
    splits: dict[str, int]
    columns: tuple[str, ...]
    objects: int = 0
    tolerance: bool = False


def described(table: Table[Any]) -> dict[str, Any]:
    """Return what a manifest says of a table that its recipe alone decides, by the fields of ``TableSummary``."""
    return {
        "kind": table.kind,
        "samples": table.samples,
        "table_hash": table.hash,
        "shard_length": table.shard_length,
        "variables": {
            each.name: {
                "dtype": each.dtype,
                "dims": ["sample", *each.dimensions],
                "shape": [table.samples, *each.shape],
            }
            for each in table.variables
        },
        "columns": tuple(column.name for column in table.plan.columns),
        "tolerance": table.tolerance,
    }


@dataclass(frozen=True)
class Manifest:
    """Contents of a release. A version exists when its manifest does."""

    name: str
    version: str
    title: str
    recipe_hash: str
    seed: int
    created: str
    software: dict[str, str]
    tables: dict[str, TableSummary]
    objects: tuple[StoredObject, ...]
    format_version: int = FORMAT_VERSION
    render_version: int = RENDER_VERSION

    def to_json(self) -> str:
        """Return the manifest as JSON text that is signed."""
        return signed(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes, where: str) -> Manifest:
        """Read a manifest; ``where`` names it in messages.

        Raises
        ------
        ReleaseError
            It is not a manifest of a format version that this DeepBench reads, or not as it was written.
        """
        try:
            data = json.loads(text)
            version = data["format_version"]
            if version not in FORMATS:
                raise ReleaseError(
                    f"{where} has format version {version!r:.40}; this DeepBench reads versions "
                    + " and ".join(map(str, FORMATS))
                )
            checksum = data.pop("checksum")
            if _checksum(data) != checksum:
                raise ReleaseError(f"{where} is not as it was written: its checksum differs")
            return _manifests().validate_python(data)
        except ReleaseError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            reason = str(error).partition("\n")[0]
            raise ReleaseError(
                f"{where} is not a manifest of a DeepBench release: {reason}"
            ) from error

    def shards(self, table: str) -> dict[int, tuple[StoredObject, ...]]:
        """Return the shards of a table's data variables by the number of their block."""
        found: dict[int, list[StoredObject]] = {}
        prefixes = tuple(
            f"{DATA}/{table}/{variable}/c/" for variable in self.tables[table].variables
        )
        for each in self.objects:
            if each.path.startswith(prefixes):
                number = (
                    each.path.removeprefix(f"{DATA}/{table}/").partition("/c/")[2].partition("/")[0]
                )
                found.setdefault(int(number) if number.isdecimal() else -1, []).append(each)
        return {number: tuple(some) for number, some in found.items()}

    @cached_property
    def size(self) -> int:
        """Bytes of all files that the manifest lists."""
        return sum(each.size for each in self.objects)


@lru_cache(maxsize=1)
def _manifests() -> TypeAdapter[Manifest]:
    return TypeAdapter(Manifest)


def signed(data: dict[str, Any]) -> str:
    """Return plain data as JSON text that ends with the SHA-256 of the text without it."""
    return _text(data | {"checksum": _checksum(data)})


def _text(data: dict[str, Any]) -> str:
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"


def _checksum(data: dict[str, Any]) -> str:
    return hashlib.sha256(_text(data).encode()).hexdigest()
