"""A release: its manifest, recipe, labels and data, read from its files, which never change."""

from __future__ import annotations

import contextlib
import hashlib
import json
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from deepbench import format as fmt
from deepbench.errors import CatalogError, ReleaseError, refuse_optimized
from deepbench.language.load import parse_document, write_document
from deepbench.language.plain import absent
from deepbench.storage.damage import reading
from deepbench.storage.locations import Location
from deepbench.storage.row_groups import RowGroups, read_between, read_columns
from deepbench.stored_recipe import read_recipe, read_stored

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from deepbench.language.document import Document
    from deepbench.recipe import Recipe
    from deepbench.statistics import Statistics
    from deepbench.storage.stored_table import StoredTable


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

    Examples
    --------
    >>> release = deepbench.find("shapes", "1.0.0")                # doctest: +SKIP
    >>> release.manifest.tables["images"].samples                  # doctest: +SKIP
    6000
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

    def check_table(self, table: str | None) -> str:
        """Return the name of a table of the release, of the first one where none is named.

        Raises
        ------
        CatalogError
            There is no such table.
        """
        if table is None:
            return next(iter(self.manifest.tables))
        if table not in self.manifest.tables:
            raise CatalogError(absent("table", table, self.manifest.tables, str(self)))
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

        Examples
        --------
        >>> frame = release.labels("images", ["class", "circle.radius"])      # doctest: +SKIP
        >>> frame[frame["circle.radius"] < 3]                                 # doctest: +SKIP
        """
        there = self.manifest.tables[self.check_table(table)].columns
        chosen = list(there if columns is None else columns)
        for name in chosen:
            if name not in there:
                raise CatalogError(absent("label", name, there, f"'{table}' of {self}"))
        with self._parquet(table) as file:
            return read_columns(file, chosen).to_pandas()

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
        return row.to_pandas(use_threads=False).iloc[0]

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

        Examples
        --------
        >>> release.objects("images", 41)                              # doctest: +SKIP
        """
        self.check_table(table)
        if not self.recipe.table(table).plan.object_columns:
            raise CatalogError(f"table '{table}' of {self} repeats no objects")
        with self._parquet(f"{table}.objects") as file:
            if sample is None:
                return read_columns(file).to_pandas()
            return read_between(file, "sample", sample, sample + 1).to_pandas()

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
        """Return the data variables of one sample, read. What is the same of all samples is opened once and kept.

        Raises
        ------
        CatalogError
            There is no such table or sample.
        ReleaseError
            A file is missing or damaged.

        Examples
        --------
        >>> release.sample("images", 41).image.plot()                  # doctest: +SKIP
        """
        summary = self.manifest.tables[self.check_table(table)]
        if not 0 <= index < summary.samples:
            raise CatalogError(
                f"'{table}' of {self} has the samples 0 … {summary.samples - 1}, not {index}"
            )
        import numpy as np

        self.warn_if_deprecated(stacklevel=3)
        stored, values = self.stored(table), {}
        for name, each in stored.variables.items():
            room = np.empty((1, *each.shape), each.dtype)
            values[name] = stored.read(name, index, index + 1, room)[0, ...]
        return self._one[table].copy(deep=True, data=values)

    @cached_property
    def _one(self) -> dict[str, xr.Dataset]:
        """One sample of each table, without its values: attributes and coordinates."""
        import numpy as np

        found = {}
        with reading(self.location, fmt.DATA):
            nodes = self._nodes()
            for name, summary in self.manifest.tables.items():
                one = nodes[name][list(summary.variables)].isel(sample=0)
                blank = {
                    each: np.broadcast_to(np.zeros((), values.dtype), values.shape)
                    for each, values in one.items()
                }
                found[name] = one.copy(data=blank).load()
        return found

    def stored(self, table: str) -> StoredTable:
        """Return a table as its shards hold it; what was read to find out is kept.

        Raises
        ------
        ReleaseError
            The metadata is missing or damaged, or a variable is stored as no release is.
        """
        if table not in self._stored:
            self._stored[table] = self._find_stored(table)
        return self._stored[table]

    @cached_property
    def _stored(self) -> dict[str, StoredTable]:
        """Tables in their shards, as far as they were asked for."""
        return {}

    def _find_stored(self, table: str) -> StoredTable:
        """Return a table in its shards, by the metadata of the store."""
        from deepbench.storage.stored_table import StoredTable
        from deepbench.storage.stored_variable import StoredVariable

        arrays = json.loads(self.zarr_metadata())["consolidated_metadata"]["metadata"]
        found = {}
        for name in self.manifest.tables[table].variables:
            try:
                found[name] = StoredVariable.parse(name, arrays[f"{table}/{name}"])
            except (ValueError, LookupError, TypeError) as error:
                raise ReleaseError(
                    f"'{name}' of '{table}' of {self} cannot be read: {error}; a newer DeepBench may"
                ) from error
        folder = f"{fmt.DATA}/{table}"
        objects = self.manifest.objects
        files = {each.path: each for each in objects if each.path.startswith(f"{folder}/")}
        return StoredTable(self.location, folder, found, files)

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

        Examples
        --------
        >>> release.open(chunks="shards")["images"]["image"].mean().compute()      # doctest: +SKIP
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


_READ = ("_one", "_rows", "_statistics", "_stored")
"""Attributes of a release that hold what has been read of its data."""
