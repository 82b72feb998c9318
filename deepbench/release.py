"""A release: its manifest, recipe, labels and data, read from its files, which never change."""

from __future__ import annotations

import contextlib
import hashlib
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache, cached_property, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from deepbench import format as fmt
from deepbench.errors import (
    CatalogError,
    DeepBenchError,
    MissingDataError,
    ReleaseError,
    refuse_optimized,
)
from deepbench.language.load import nearest, parse_document, read_document, write_document
from deepbench.storage.locations import Folder, Location
from deepbench.storage.row_groups import RowGroups

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from deepbench.language.document import Document
    from deepbench.recipe import Recipe
    from deepbench.statistics import Statistics


@dataclass(frozen=True)
class Deprecation:
    """The reason why a release should not be used any more.

    Attributes
    ----------
    since : str
        Date, as ``2026-11-22``.
    reason : str
    superseded_by : str
        What to use instead, as ``name@version``; empty where there is nothing.
    """

    since: str
    reason: str
    superseded_by: str = ""

    @classmethod
    def parse(cls, content: bytes, where: str) -> Deprecation:
        """Read the entry of a release in its catalog: YAML with ``deprecated: {since, reason, superseded_by}``.

        Raises
        ------
        CatalogError
            It is none; ``where`` names it.
        """
        try:
            entry = parse_document(content.decode(), where).data
            fields = {key: str(value) for key, value in entry.pop("deprecated").items()}
            if entry:
                raise ValueError(f"it has {', '.join(map(str, entry))}, too")
            return cls(**fields)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CatalogError(
                f"{where} must be `deprecated: {{since, reason, superseded_by}}`: {error}"
            ) from error

    def to_yaml(self) -> str:
        """Return the entry of the release in its catalog."""
        return write_document({"deprecated": asdict(self)})

    def __str__(self) -> str:
        instead = f"; use {self.superseded_by} instead" if self.superseded_by else ""
        return f"is deprecated since {self.since}: {self.reason}{instead}"


class DeprecatedReleaseWarning(UserWarning):
    """A release is opened that should not be used any more."""


@dataclass(frozen=True, repr=False)
class Release:
    """A published version of a dataset.

    Attributes
    ----------
    name : str
    version : Version
    catalog : Location
        The catalog that it is in.
    """

    name: str
    version: fmt.Version
    catalog: Location

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"

    def __repr__(self) -> str:
        return f"<Release {self} in '{self.catalog.root}'>"

    def _repr_html_(self) -> str:
        """Return how a notebook shows the release."""
        from deepbench.release_cards import release_card

        return release_card(self)

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled: not what has been read of its data."""
        return {name: each for name, each in vars(self).items() if name not in _READ}

    @property
    def location(self) -> Location:
        """Location of its files."""
        return self.catalog.below(f"{self.name}/{self.version}")

    @property
    def path(self) -> str:
        """Path of its folder, or address of its prefix."""
        return self.location.root

    @cached_property
    def manifest(self) -> fmt.Manifest:
        """The manifest: what the release consists of.

        Raises
        ------
        ReleaseError
            The manifest cannot be read.
        """
        with reading(self.location, fmt.MANIFEST):
            return fmt.Manifest.from_json(
                self.location.read(fmt.MANIFEST), self.location.locate(fmt.MANIFEST)
            )

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe it was made from, every default filled in."""
        return read_recipe(self.location)

    @cached_property
    def document(self) -> Document:
        """The recipe as it is stored, without its model."""
        return read_stored(self.location)

    @cached_property
    def deprecation(self) -> Deprecation | None:
        """The reason why it should not be used any more; None where it may.

        Raises
        ------
        CatalogError
            Its entry in the catalog cannot be read.
        """
        name = fmt.entry_name(self.name, self.version)
        if self.catalog.size(name) is None:
            return None
        return Deprecation.parse(self.catalog.read(name), self.catalog.locate(name))

    def check_table(self, table: str) -> str:
        """Return the name of a table of the release.

        Raises
        ------
        CatalogError
            There is no such table.
        """
        if table not in self.manifest.tables:
            raise CatalogError(unknown(f"table '{table}' in {self}", table, self.manifest.tables))
        return table

    def labels(self, table: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the labels of a table as a data frame, one row per sample, without the digests.

        Parameters
        ----------
        table : str
        columns : sequence of str, optional
            Which labels to read; all when absent.

        Raises
        ------
        CatalogError
            There is no such table or label.
        """
        import pandas as pd

        there = self.manifest.tables[self.check_table(table)].columns
        chosen = list(there if columns is None else columns)
        for name in chosen:
            if name not in there:
                raise CatalogError(unknown(f"label '{name}' in '{table}' of {self}", name, there))
        with self._parquet(table) as file:
            return pd.read_parquet(file, columns=chosen)

    def label(self, table: str, index: int) -> pd.Series:
        """Return the labels of one sample. Rows that are decoded with it are kept for the next call."""
        summary = self.manifest.tables[self.check_table(table)]
        if not 0 <= index < summary.samples:
            raise CatalogError(
                f"'{table}' of {self} has no sample {index}: allowed are 0 to {summary.samples - 1}"
            )
        row = self._rows[table].row(index)
        if row is None:
            raise ReleaseError(
                f"the labels of '{table}' of {self} end before sample {index}; restore the release "
                "from a copy, or build it again"
            )
        return row.to_pandas().iloc[0]

    @cached_property
    def _rows(self) -> dict[str, RowGroups]:
        """Rows of labels, by table."""
        return {
            name: RowGroups(partial(self._parquet, name), list(each.columns))
            for name, each in self.manifest.tables.items()
        }

    def objects(self, table: str, sample: int | None = None) -> pd.DataFrame:
        """Return the long table of repeated objects, one row per copy; of one sample when its number is given.

        Raises
        ------
        CatalogError
            The table repeats no objects.
        """
        import pandas as pd

        self.check_table(table)
        if not self.recipe.table(table).plan.object_columns:
            raise CatalogError(f"table '{table}' of {self} repeats no objects")
        chosen = None if sample is None else [("sample", "=", sample)]
        with self._parquet(f"{table}.objects") as file:
            return pd.read_parquet(file, filters=chosen)

    def statistics(self, table: str) -> Statistics:
        """Return the statistics of the training split of a table: of each data variable, its channels, and each label.

        They are read; those of a release of format version 1, which has none, are computed from its data and kept.

        Raises
        ------
        CatalogError
            There is no such table.
        ReleaseError
            A file is missing or damaged.

        Examples
        --------
        >>> image = release.statistics("images").variables["image"]    # doctest: +SKIP
        >>> (pixels - image.mean) / image.std                          # doctest: +SKIP
        """
        if self.check_table(table) not in self._statistics:
            self._statistics[table] = self._find_statistics(table)
        return self._statistics[table]

    @cached_property
    def _statistics(self) -> dict[str, Statistics]:
        """Statistics by table, as far as they were asked for."""
        return {}

    def _find_statistics(self, table: str) -> Statistics:
        """Return the statistics of a table from its file, which must be what the manifest lists, or its data."""
        from deepbench.statistics import Statistics, statistics_of

        name = fmt.statistics_file(table)
        if not fmt.has_statistics(self.manifest.format_version):
            with reading(self.location, f"{fmt.DATA}/{table}"):
                return statistics_of(self.recipe.table(table), self._nodes()[table])
        return Statistics.from_json(self._read_listed(name), self.location.locate(name))

    @contextlib.contextmanager
    def _parquet(self, name: str) -> Iterator[BinaryIO]:
        """Open a file of metadata."""
        path = f"{fmt.METADATA}/{name}.parquet"
        with reading(self.location, path), self.location.open(path) as file:
            yield file

    def sample(self, table: str, index: int) -> xr.Dataset:
        """Return the data variables of one sample, read. The tree is opened once and kept.

        Raises
        ------
        CatalogError
            There is no such table or sample.
        ReleaseError
            A file is missing or damaged.
        """
        count = self.manifest.tables[self.check_table(table)].samples
        if not 0 <= index < count:
            raise CatalogError(f"'{table}' of {self} has the samples 0 … {count - 1}, not {index}")
        self.warn_if_deprecated(stacklevel=3)
        with reading(self.location, f"{fmt.DATA}/{table}"):
            return self._data[table].isel(sample=index).copy().load()

    @cached_property
    def _data(self) -> dict[str, xr.Dataset]:
        """The data variables of each table, opened."""
        nodes, tables = self._nodes(), self.manifest.tables.items()
        return {name: nodes[name][list(each.variables)] for name, each in tables}

    def open(self, chunks: Literal["shards"] | dict[str, int] | None = None) -> xr.DataTree:
        """Open the data lazily.

        Parameters
        ----------
        chunks : "shards" or dict of str to int, optional
            Data variables as Dask arrays with chunks of whole shards, or of the given sizes. Without it, and labels
            in any case, are arrays that read when indexed.

        Returns
        -------
        DataTree
            One node per table, with data and labels along ``sample``. Reading a missing file raises
            ``MissingDataError``.

        Warns
        -----
        DeprecatedReleaseWarning
            It should not be used any more.
        """
        return self._open(chunks)

    def _open(self, chunks: Literal["shards"] | dict[str, int] | None) -> xr.DataTree:
        """Open the data; warnings are of who called the caller."""
        from deepbench.storage.trees import ReleaseTree

        if not (chunks is None or chunks == "shards" or isinstance(chunks, dict)):
            raise CatalogError(
                f"chunks must be 'shards' or sizes such as {{'sample': 64}}, not {chunks!r}"
            )
        self.warn_if_deprecated(stacklevel=4)
        nodes: dict[str, Any] = self._nodes()
        for name, summary in self.manifest.tables.items() if chunks is not None else ():
            sizes = {"sample": summary.shard_length} if chunks == "shards" else chunks
            parts = {each: nodes[name][each].chunk(sizes) for each in summary.variables}
            nodes[name] = nodes[name].assign(parts)
        return ReleaseTree.from_dict(nodes)

    def warn_if_deprecated(self, stacklevel: int) -> None:
        """Warn where the release should not be used any more; ``stacklevel`` is counted as by ``warnings.warn``."""
        if self.deprecation is not None:
            words = f"{self} {self.deprecation}"
            warnings.warn(words, DeprecatedReleaseWarning, stacklevel=stacklevel)

    def zarr_metadata(self) -> bytes:
        """Return the metadata of its whole store, which must be what the manifest lists.

        Raises
        ------
        ReleaseError
            It is missing, or differs.
        """
        return self._read_listed(f"{fmt.DATA}/zarr.json")

    def _read_listed(self, name: str) -> bytes:
        """Return the content of a file, which must be what the manifest lists.

        Raises
        ------
        ReleaseError
            It is missing, or differs.
        """
        listed = (each.sha256 for each in self.manifest.objects if each.path == name)
        with reading(self.location, name):
            content = self.location.read(name)
        if hashlib.sha256(content).hexdigest() != next(listed, None):
            raise ReleaseError(
                f"{self.location.locate(name)} is not what the manifest lists; restore the release from a copy, or "
                "mend it with `deepbench repair`"
            )
        return content

    def _nodes(self) -> dict[str, xr.Dataset]:
        """Open the store, whose metadata must be what the manifest lists; return its root and its tables.

        How arrays are cut and compressed here is left out: it would bind what users select and save elsewhere.
        """
        import xarray as xr

        refuse_optimized()
        self.zarr_metadata()
        inside = f"{fmt.DATA}/"
        listed = frozenset(
            each.path.removeprefix(inside)
            for each in self.manifest.objects
            if each.path.startswith(inside)
        )
        store = self.location.zarr_store(fmt.DATA, listed)
        tree = xr.open_datatree(store, engine="zarr", chunks=None, consolidated=True)  # type: ignore[arg-type]
        nodes = {name: tree[name].to_dataset() for name in ("/", *self.manifest.tables)}
        for node in nodes.values():
            node.encoding = {}
            for variable in node.variables.values():
                variable.encoding = {}  # `drop_encoding` of xarray 2025.6 reads all data
        return nodes


_READ = ("_data", "_rows", "_statistics")
"""Attributes of a release that hold what has been read of its data."""


@contextlib.contextmanager
def reading(location: Location, name: str) -> Iterator[None]:
    """Turn what decoders raise about a damaged file into an error of ours.

    Raises
    ------
    ReleaseError
        The file is missing or damaged.
    """
    try:
        yield
    except DeepBenchError:
        raise
    except FileNotFoundError as error:
        raise MissingDataError.of(location.locate(name)) from error
    except PermissionError:
        raise
    except (ValueError, LookupError, TypeError, RuntimeError, OSError) as error:
        raise ReleaseError(
            f"{location.locate(name)} is damaged: {error}; restore the release from a copy, or mend it with "
            "`deepbench repair`"
        ) from error


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
    with reading(location, fmt.RECIPE):
        document = read_document(_local(location) / fmt.RECIPE)
    for file in _files(document.data):
        if not _INPUT.fullmatch(file):
            raise ReleaseError(
                f"{location.locate(fmt.RECIPE)} names the file {file!r}, which is not of the release"
            )
    return document


_INPUT = re.compile(rf"{fmt.INPUTS}/[0-9a-f]{{12}}(\.[a-z0-9]+)?")


def _files(data: Any) -> Iterator[str]:
    """Yield the name of every file that a document names."""
    if isinstance(data, dict) and isinstance(data.get("file"), str):
        yield data["file"]
    if isinstance(data, dict | list):
        for item in data.values() if isinstance(data, dict) else data:
            yield from _files(item)


def _local(location: Location) -> Path:
    """Return a folder in which the recipe of a release and its files lie."""
    if isinstance(location, Folder):
        return location.folder
    return Path(_download(location, location.sha256(fmt.RECIPE)).name)


@cache
def _download(location: Location, sha256: str) -> TemporaryDirectory[str]:
    """Return a folder with the recipe of that hash and the files it draws from; it ends with the process."""
    folder = TemporaryDirectory(prefix="deepbench-")
    for name in (fmt.RECIPE, *location.files(fmt.INPUTS)):
        with reading(location, name):
            path = Path(folder.name, name)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(location.read(name))
    return folder


def unknown(what: str, word: str, allowed: Any) -> str:
    """Return a message about a word that names nothing, with the nearest that does."""
    near = nearest(word, allowed)
    hint = f"did you mean '{near}'? " if near else ""
    return f"there is no {what}; {hint}there is: {', '.join(allowed) or 'nothing'}"
