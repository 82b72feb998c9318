"""Virtual datasets: an xarray backend that opens a recipe as if it were built, and renders what is read.

``xr.open_dataset("recipe.yaml", engine="deepbench")`` holds no samples: each variable is drawn or rendered where it is
indexed, with the bits of a build, as a sample depends on its number alone. Releases open by the same engine.
"""

from __future__ import annotations

import operator
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import xarray as xr
from xarray.backends import BackendEntrypoint
from xarray.core import indexing

from deepbench.errors import CatalogError, DeepBenchError, LabelError, RecipeError
from deepbench.lazy_samples import LazyArray, Samples
from deepbench.storage.names import RELEASE_NAME

if TYPE_CHECKING:
    from deepbench.recipe import Recipe
    from deepbench.release import Release


class DeepBenchBackend(BackendEntrypoint):
    """xarray's engine ``deepbench``: opens recipes, whose samples are rendered when they are read, and releases."""

    description = "Open DeepBench recipes, rendered when they are read, and releases"
    supports_groups = True
    open_dataset_parameters: ClassVar[tuple[str, ...]] = (
        *("filename_or_obj", "drop_variables", "table", "samples", "catalog"),
    )

    def open_dataset(
        self,
        filename_or_obj: Any,
        *,
        drop_variables: str | Iterable[str] | None = None,
        table: str | None = None,
        samples: int | None = None,
        catalog: str | Path | None = None,
    ) -> xr.Dataset:
        """Open one table lazily.

        Parameters
        ----------
        filename_or_obj : str, Path, Recipe or Release
            File of a recipe, or the name of a release, as ``name@version`` or ``name``, the newest version.
        drop_variables : str or iterable of str, optional
            Variables to leave out.
        table : str, optional
            Its name; the only table when absent.
        samples : int, optional
            Number of samples, of recipes alone, at most 2³². It may be larger than the recipe's.
        catalog : str or Path, optional
            Folder or address of the release; ``releases`` when absent.

        Returns
        -------
        Dataset
            What ``deepbench.open`` returns of the table in a release.

        Raises
        ------
        CatalogError
            There is no such release or table, or several tables and none is named.
        LabelError
            The number of samples is not allowed.
        RecipeError
            The recipe cannot be read, or is none.
        """
        source = source_of(filename_or_obj, samples, catalog)
        names = _tables(source)
        if table is None and len(names) > 1:
            raise CatalogError(
                f"{filename_or_obj} has several tables; add table={names[0]!r} to open one of {', '.join(names)}, or "
                "open all with xr.open_datatree"
            )
        name = names[0] if table is None else table
        return _dropped(_opened(source, [name], samples)[name], drop_variables)

    def open_groups_as_dict(
        self,
        filename_or_obj: Any,
        *,
        drop_variables: str | Iterable[str] | None = None,
        samples: int | None = None,
        catalog: str | Path | None = None,
    ) -> dict[str, xr.Dataset]:
        """Open all tables lazily, by their names; the group ``/`` has the attributes of the release."""
        source = source_of(filename_or_obj, samples, catalog)
        groups = _opened(source, _tables(source), samples)
        return {name: _dropped(each, drop_variables) for name, each in groups.items()}

    def open_datatree(
        self,
        filename_or_obj: Any,
        *,
        drop_variables: str | Iterable[str] | None = None,
        samples: int | None = None,
        catalog: str | Path | None = None,
    ) -> xr.DataTree:
        """Open all tables lazily; takes and raises what ``open_dataset`` does, but for ``table``."""
        groups = self.open_groups_as_dict(
            filename_or_obj, drop_variables=drop_variables, samples=samples, catalog=catalog
        )
        return xr.DataTree.from_dict(groups)

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        """Return whether this is the file of a recipe: YAML with what every recipe has, or that extends one."""
        from deepbench.language.load import read_document

        path = filename_or_obj
        if not isinstance(path, str | os.PathLike) or Path(path).suffix not in (".yaml", ".yml"):
            return False
        try:
            keys = read_document(Path(path)).data.keys()
        except DeepBenchError:
            return False
        return {"name", "version", "title", "seed", "tables"} <= keys or (
            "extends" in keys and keys <= _fields()
        )


def _fields() -> set[str]:
    """Return the keys that a recipe may have."""
    from deepbench.recipe import Recipe

    return set(Recipe.model_fields)


def source_of(source: Any, samples: int | None, catalog: str | Path | None) -> Recipe | Release:
    """Return the recipe or release that is to be opened.

    Raises
    ------
    CatalogError
        There is no such release, or what is asked is not possible of it.
    RecipeError
        The recipe cannot be read, or is none.
    """
    from deepbench.catalog import CATALOG, find_named
    from deepbench.recipe import Recipe, load_recipe
    from deepbench.release import Release

    name = str(source).partition("@")[0]
    named = isinstance(source, str) and re.fullmatch(RELEASE_NAME, name)
    if samples is not None and (named or isinstance(source, Release)):
        raise CatalogError(
            f"{source} is a release and has the samples that were built; leave out `samples`, or open its recipe: "
            f"deepbench.find({name!r}).recipe"
        )
    if named:
        return find_named(source, CATALOG if catalog is None else catalog)
    if catalog is not None:
        raise CatalogError(
            "`catalog` is where releases such as 'shapes@1.0.0' are, and no name of one is given; leave it out"
        )
    if isinstance(source, Recipe | Release):
        return source
    if isinstance(source, str | os.PathLike):
        return load_recipe(Path(source))
    raise RecipeError(
        f"the engine 'deepbench' opens the file of a recipe, or 'name@version', not {source!r:.80}"
    )


def _tables(source: Recipe | Release) -> list[str]:
    """Return the names of all tables."""
    from deepbench.release import Release

    return [*(source.manifest.tables if isinstance(source, Release) else source.tables)]


def _opened(
    source: Recipe | Release, tables: list[str], samples: int | None
) -> dict[str, xr.Dataset]:
    """Return the root, without variables, and some tables."""
    from deepbench.format import root_attributes
    from deepbench.release import Release

    if isinstance(source, Release):
        return _read(source, tables)
    groups = {"/": xr.Dataset(attrs=root_attributes(source))}
    for name in tables:
        own = Samples(source, name)
        groups[name] = _virtual(own, _count(own, samples))
    return groups


def _count(own: Samples, samples: int | None) -> int:
    """Return the number of samples to open.

    Raises
    ------
    LabelError
        It is not allowed.
    """
    from deepbench.tables import MAXIMUM_SAMPLES

    if samples is None:
        return own.table.samples
    try:
        count = operator.index(samples)
    except TypeError:
        count = 0
    if not 1 <= count <= MAXIMUM_SAMPLES:
        raise LabelError(
            f"`samples` must be a whole number from 1 to {MAXIMUM_SAMPLES} (2**32), not {samples!r:.40}; without it, "
            f"'{own.table.name}' has {own.table.samples:,}"
        )
    return count


def _virtual(own: Samples, count: int) -> xr.Dataset:
    """Return a table as a dataset whose variables are made when they are read."""
    from deepbench.format import (
        axis_attributes,
        label_attributes,
        table_attributes,
        variable_attributes,
    )

    table = own.table
    encoding = {"preferred_chunks": {"sample": table.shard_length}}

    def variable(
        name: str, dims: tuple[str, ...], inner: tuple[int, ...], dtype: Any, attrs: dict[str, Any]
    ) -> xr.Variable:
        array = LazyArray(own, name, (count, *inner), np.dtype(dtype))
        return xr.Variable(
            ("sample", *dims), indexing.LazilyIndexedArray(array), attrs, dict(encoding)
        )

    variables = {
        each.name: variable(
            each.name, each.dimensions, each.shape, each.dtype, variable_attributes(each)
        )
        for each in table.variables
    }
    for column in table.plan.columns:
        attributes = label_attributes(column)
        variables[column.name] = variable(column.name, (), (), column.dtype, attributes)
    for axis in table.coordinates:
        variables[axis.name] = xr.Variable(axis.dimensions, axis.values, axis_attributes(axis))
    return xr.decode_cf(xr.Dataset(variables, attrs=table_attributes(table)))


def _read(release: Release, tables: list[str]) -> dict[str, xr.Dataset]:
    """Return the root and some tables of a release, which are cut into its shards where they are chunked."""
    names = [release.check_table(name) for name in tables]
    tree = release.open()
    groups = {"/": tree.to_dataset()}
    for name in names:
        groups[name] = tree[name].to_dataset()
        chunks = {"sample": release.manifest.tables[name].shard_length}
        for variable in groups[name].variables.values():
            if "sample" in variable.dims:
                variable.encoding = {"preferred_chunks": chunks}
    return groups


def _dropped(dataset: xr.Dataset, names: str | Iterable[str] | None) -> xr.Dataset:
    """Return a dataset without some variables."""
    return dataset if names is None else dataset.drop_vars(names, errors="ignore")
