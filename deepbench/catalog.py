"""The catalog: list releases and open them. It only reads.

A catalog is a folder with one folder per name and in it one per version. A version exists when its manifest does.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from deepbench import format as fmt
from deepbench.errors import CatalogError, DeepBenchError, MissingDataError, ReleaseError
from deepbench.recipe.load import nearest
from deepbench.recipe.model import RELEASE_NAME, VERSION, Recipe, load_recipe

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

CATALOG = "releases"
"""Folder of the catalog where none is named."""


@dataclass(frozen=True)
class Release:
    """A published version of a dataset.

    Attributes
    ----------
    name : str
    version : Version
    folder : Path
    """

    name: str
    version: fmt.Version
    folder: Path

    @cached_property
    def manifest(self) -> fmt.Manifest:
        """What the release consists of.

        Raises
        ------
        ReleaseError
            The manifest cannot be read.
        """
        path = self.folder / fmt.MANIFEST
        return fmt.Manifest.from_json(path.read_bytes(), str(path))

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe it was made from, every default filled in."""
        return load_recipe(self.folder / fmt.RECIPE)

    def check_table(self, table: str) -> str:
        """Return the name of a table of the release.

        Raises
        ------
        CatalogError
            There is no such table.
        """
        if table not in self.manifest.tables:
            raise CatalogError(
                _unknown(
                    f"table '{table}' in {self.name}@{self.version}", table, self.manifest.tables
                )
            )
        return table

    def labels(self, table: str) -> pd.DataFrame:
        """Return the labels of a table as a data frame, one row per sample, without the digests."""
        return self._parquet(self.check_table(table), list(self.manifest.tables[table].columns))

    def label(self, table: str, index: int) -> pd.Series:
        """Return the labels of one sample, reading no others."""
        import pyarrow.parquet as pq

        summary = self.manifest.tables[self.check_table(table)]
        if not 0 <= index < summary.samples:
            raise CatalogError(
                f"'{table}' of {self.name}@{self.version} has no sample {index}: allowed are 0 to {summary.samples - 1}"
            )
        columns, row = list(summary.columns), index
        path = self.folder / fmt.METADATA / f"{table}.parquet"
        with _reading(path), pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                if row < rows:
                    return file.read_row_group(group, columns).slice(row, 1).to_pandas().iloc[0]
                row -= rows
        raise ReleaseError(
            f"the labels of '{table}' of {self.name}@{self.version} end before sample {index}; restore the release "
            "from a copy, or build it again"
        )

    def objects(self, table: str, sample: int | None = None) -> pd.DataFrame:
        """Return the long table of repeated objects, one row per copy; of one sample when its number is given.

        Raises
        ------
        CatalogError
            The table repeats no objects.
        """
        self.check_table(table)
        if not self.recipe.label_plan(table).object_columns:
            raise CatalogError(f"table '{table}' of {self.name}@{self.version} repeats no objects")
        chosen = None if sample is None else [("sample", "=", sample)]
        return self._parquet(f"{table}.objects", None, chosen)

    def _parquet(
        self, name: str, columns: list[str] | None, chosen: list[tuple[str, str, int]] | None = None
    ) -> pd.DataFrame:
        import pandas as pd

        path = self.folder / fmt.METADATA / f"{name}.parquet"
        with _reading(path):
            return pd.read_parquet(path, columns=columns, filters=chosen)

    def sample(self, table: str, index: int) -> xr.Dataset:
        """Return the data variables of one sample, read.

        Raises
        ------
        CatalogError
            There is no such table or sample.
        ReleaseError
            A file is missing or damaged.
        """
        count = self.manifest.tables[self.check_table(table)].samples
        if not 0 <= index < count:
            raise CatalogError(
                f"'{table}' of {self.name}@{self.version} has the samples 0 … {count - 1}, not {index}"
            )
        variables = list(self.manifest.tables[table].variables)
        with _reading(self.folder / fmt.DATA / table):
            return self.open()[table].to_dataset()[variables].isel(sample=index).load()

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
        """
        import xarray as xr

        from deepbench.store import ReleaseStore

        listed = frozenset(
            each.path.removeprefix(f"{fmt.DATA}/")
            for each in self.manifest.objects
            if each.path.startswith(f"{fmt.DATA}/")
        )
        store = ReleaseStore(self.folder / fmt.DATA, listed)
        try:
            tree = xr.open_datatree(store, engine="zarr", chunks=None, consolidated=True)  # type: ignore[arg-type]
        except FileNotFoundError as error:  # also what zarr makes of ours
            raise MissingDataError.of(self.folder / fmt.DATA / "zarr.json") from error
        if chunks is None:
            return tree
        nodes: dict[str, Any] = {"/": tree.to_dataset()}
        for name, summary in self.manifest.tables.items():
            sizes = {"sample": summary.shard_length} if chunks == "shards" else chunks
            table = tree[name].to_dataset()
            nodes[name] = table.assign(
                {each: table[each].chunk(sizes) for each in summary.variables}
            )
        return xr.DataTree.from_dict(nodes)


def folder_of(catalog: str | Path) -> Path:
    """Return the absolute folder of a catalog: the working directory of a worker, or a later one, may differ.

    Raises
    ------
    CatalogError
        It is an address, not a folder.
    """
    if "://" in str(catalog):
        raise CatalogError(f"'{catalog}' is an address; a catalog must be a folder")
    return Path(catalog).absolute()


def releases(catalog: str | Path = CATALOG) -> list[Release]:
    """Return every release of a catalog, by name, oldest version first.

    Raises
    ------
    CatalogError
        There is no such folder.
    """
    folder = folder_of(catalog)
    if not folder.is_dir():
        raise CatalogError(
            f"there is no catalog '{catalog}'; name one with `catalog`, or build a release first"
        )
    found = [
        Release(place.name, fmt.Version.parse(version.name), version)
        for place in sorted(folder.iterdir())
        if re.fullmatch(RELEASE_NAME, place.name) and place.is_dir()
        for version in place.iterdir()
        if re.fullmatch(VERSION, version.name) and (version / fmt.MANIFEST).is_file()
    ]
    return sorted(found, key=lambda release: (release.name, release.version))


def find(name: str, version: str | None = None, catalog: str | Path = CATALOG) -> Release:
    """Return a release of a catalog: the newest when no version is given.

    Raises
    ------
    CatalogError
        There is no such name or version; the message lists what there is.
    """
    fmt.check_name(name)
    wanted = None if version is None else fmt.Version.parse(version)
    every = releases(catalog)
    named = [release for release in every if release.name == name]
    if not named:
        names = list(dict.fromkeys(release.name for release in every))
        raise CatalogError(_unknown(f"release '{name}' in '{catalog}'", name, names))
    if wanted is None:
        return named[-1]
    for release in named:
        if release.version == wanted:
            return release
    versions = ", ".join(str(release.version) for release in named)
    raise CatalogError(f"'{name}' has no version {version} in '{catalog}'; versions: {versions}")


def open(
    name: str,
    version: str | None = None,
    catalog: str | Path = CATALOG,
    chunks: Literal["shards"] | dict[str, int] | None = None,
) -> xr.DataTree:
    """Open a release lazily: the newest version when none is given.

    Parameters
    ----------
    name : str
    version : str, optional
    catalog : str or Path
        Folder of the releases.
    chunks : "shards" or dict of str to int, optional
        Dask arrays with chunks of whole shards, or of the given sizes; without it, arrays that read when indexed.

    Returns
    -------
    DataTree
        One node per table, with data and labels along ``sample``.

    Raises
    ------
    CatalogError
        There is no such release.
    ReleaseError
        Its manifest cannot be read.

    Examples
    --------
    >>> tree = deepbench.open("shapes", version="1.0.0")      # doctest: +SKIP
    >>> tree["images"]["image"][0].plot()                     # doctest: +SKIP
    """
    return find(name, version, catalog).open(chunks)


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn what decoders raise about a damaged file into an error of ours."""
    try:
        yield
    except DeepBenchError:
        raise
    except FileNotFoundError as error:
        raise MissingDataError.of(path) from error
    except (ValueError, RuntimeError, OSError) as error:
        raise ReleaseError(
            f"{path} is damaged: {error}; restore the release from a copy"
        ) from error


def _unknown(what: str, word: str, allowed: Any) -> str:
    near = nearest(word, allowed)
    hint = f"did you mean '{near}'? " if near else ""
    return f"there is no {what}; {hint}there is: {', '.join(allowed) or 'nothing'}"
