"""Samples of a table of a recipe that are drawn and rendered where they are read, with the bits of a build."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from math import prod
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from xarray.backends import BackendArray
from xarray.core import indexing

from deepbench.errors import LabelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepbench.labelling.scopes import Labels
    from deepbench.recipe import Recipe

KEPT = 2**28
"""Bytes of what was drawn and rendered last that are kept for each table; the last block is kept whatever its size."""

LABEL_ROWS = 2**16
"""Largest number of samples whose labels are drawn together."""

Made = tuple[dict[str, "NDArray"], "Labels"]


class Samples:
    """The samples of a table of a recipe, drawn and rendered when they are read.

    What was made last is kept where several variables come of one rendering, so that they are rendered once. A pickle
    has the text of the recipe alone.

    Parameters
    ----------
    recipe : Recipe
    table : str
    """

    def __init__(self, recipe: Recipe, table: str) -> None:
        from deepbench.arrays import power_of_two

        self.recipe, self.table = recipe, recipe.table(table)
        self._columns = {column.name: column for column in self.table.plan.columns}
        self._kept: OrderedDict[tuple[str, bytes], Made] = OrderedDict()
        self._lock = Lock()
        self._sample_bytes = sum(variable.sample_bytes for variable in self.table.variables)
        together = self.table.specification.together
        shared = len(self.table.variables) > 1 or self.table.plan.is_measured or together > 1
        self._keeps_arrays = shared
        self._block = power_of_two(KEPT / self._sample_bytes)

    def __reduce__(self) -> tuple[Callable[..., Samples], tuple[str, Path | None, str]]:
        folder = self.recipe.folder
        return _samples, (self.recipe.to_yaml(), folder and folder.resolve(), self.table.name)

    def rows(self, name: str) -> int:
        """Return how many samples of a variable are made together at most."""
        return LABEL_ROWS if self._is_drawn(name) else self._block

    def keeps(self, name: str) -> bool:
        """Return whether the values of a variable are kept, so that nobody else may have them."""
        return name in self._columns or self._keeps_arrays

    def values(self, name: str, samples: NDArray[np.int64]) -> NDArray:
        """Return the values of a variable for some samples.

        Parameters
        ----------
        name : str
        samples : int64[n]
            Their numbers, increasing; at least one.
        """
        if name == "id":
            return samples
        if name not in self._columns:
            return self._rendered(samples)[0][name]
        labels = self._labels(samples) if self._is_drawn(name) else self._measured(samples)
        return labels.columns[name]

    def _is_drawn(self, name: str) -> bool:
        """Return whether a variable is a label that is known before its samples are rendered."""
        column = self._columns.get(name)
        if column is None or column.measured:
            return False
        return not (column.derived and self.table.plan.is_measured)

    def _labels(self, samples: NDArray[np.int64]) -> Labels:
        """Return the labels of samples, without those that are measured."""
        from deepbench.samples import derived
        from deepbench.selection import draw_samples

        def make() -> Made:
            labels = draw_samples(self.table, samples)
            return {}, labels if self.table.plan.is_measured else derived(self.table, labels)

        return self._keep("labels", samples, make)[1]

    def _measured(self, samples: NDArray[np.int64]) -> Labels:
        """Return all labels of samples; they are rendered where their kind cannot measure otherwise."""
        from deepbench.kinds import KINDS
        from deepbench.samples import measured

        if not KINDS[self.table.kind].measures or self._find("arrays", samples) is not None:
            return self._rendered(samples)[1]

        def make() -> Made:
            return {}, measured(self.table, self._labels(samples))

        return self._keep("measured", samples, make)[1]

    def _rendered(self, samples: NDArray[np.int64]) -> Made:
        """Return all data variables and labels of samples; of a map that is cut into samples, all are rendered."""
        from deepbench.samples import render_arrays
        from deepbench.tables import MAXIMUM_SAMPLES

        together = self.table.specification.together
        first = int(samples[0]) // together * together
        inside = together > 1 and int(samples[-1]) < first + together
        if inside and len(samples) < together and together * self._sample_bytes <= KEPT:
            last = min(first + together, MAXIMUM_SAMPLES)
            arrays, labels = self._rendered(np.arange(first, last))
            rows = samples - first
            return {name: each[rows] for name, each in arrays.items()}, labels.take(rows)

        def make() -> Made:
            return render_arrays(self.table, self._labels(samples))

        return self._keep("arrays", samples, make) if self._keeps_arrays else make()

    def _keep(self, what: str, samples: NDArray[np.int64], make: Callable[[], Made]) -> Made:
        """Return what is kept of samples, made where it is not."""
        found = self._find(what, samples)
        if found is not None:
            return found
        made = make()
        with self._lock:
            self._kept[what, samples.tobytes()] = made
            while len(self._kept) > 1 and sum(map(_size, self._kept.values())) > KEPT:
                self._kept.popitem(last=False)
        return made

    def _find(self, what: str, samples: NDArray[np.int64]) -> Made | None:
        """Return what is kept of samples, which is then what was used last."""
        key = (what, samples.tobytes())
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
        return found


def _size(made: Made) -> int:
    """Return the bytes of arrays and labels."""
    arrays, labels = made
    parts = (arrays, labels.columns, labels.objects)
    return sum(values.nbytes for part in parts for values in part.values())


@lru_cache(maxsize=16)
def _samples(text: str, folder: Path | None, table: str) -> Samples:
    """Return the samples of a table that were pickled; those that are unpickled share what is kept."""
    from deepbench.language.load import parse_document
    from deepbench.recipe import Recipe

    return Samples(Recipe.from_document(replace(parse_document(text), folder=folder)), table)


class LazyArray(BackendArray):
    """A variable of a table, which is made where it is indexed.

    Parameters
    ----------
    samples : Samples
    name : str
    shape : tuple of int
        Number of samples, then the shape of one.
    dtype : dtype
    """

    def __init__(
        self, samples: Samples, name: str, shape: tuple[int, ...], dtype: np.dtype
    ) -> None:
        self._samples, self._name = samples, name
        self.shape, self.dtype = shape, dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        """Return the values that an indexer of xarray selects."""
        if isinstance(key, indexing.VectorizedIndexer):
            outer = indexing.IndexingSupport.OUTER
            return indexing.explicit_indexing_adapter(key, self.shape, outer, self._select)
        return self._select(key.tuple)

    def _select(self, key: tuple[Any, ...]) -> Any:
        """Return the values that whole numbers, slices and vectors select, each along its own dimension."""
        first, *inner = key
        single = not isinstance(first, slice) and np.ndim(first) == 0
        chosen = _numbers(np.atleast_1d(first) if single else first, self.shape[0])
        shape = _inside(np.empty((0, *self.shape[1:]), self.dtype), inner).shape[1:]
        self._check_memory(len(chosen) * prod(shape) * self.dtype.itemsize)
        step = self._samples.rows(self._name)
        if 0 < len(chosen) <= step:
            values = self._block(chosen, inner)
        else:
            values = np.empty((len(chosen), *shape), self.dtype)
            for start in range(0, len(chosen), step):
                values[start : start + step] = self._block(chosen[start : start + step], inner)
        return values[0] if single else values

    def _block(self, chosen: range | NDArray[np.int64], inner: list[Any]) -> NDArray:
        """Return what a key selects inside samples, in any order, that are made together."""
        samples, rows = np.asarray(chosen, dtype=np.int64), None
        if np.any(samples[1:] <= samples[:-1]):
            samples, rows = np.unique(samples, return_inverse=True)
        values = _inside(self._samples.values(self._name, samples), inner)
        if rows is not None:
            return values[rows]
        return values.copy() if self._samples.keeps(self._name) else values

    def _check_memory(self, needed: int) -> None:
        """Refuse to read more than fits into memory.

        Raises
        ------
        LabelError
            It does not; the message names the memory.
        """
        from deepbench.samples import machine_memory

        there = machine_memory()
        if needed > there:
            raise LabelError(
                f"what is read of '{self._name}' takes {needed / 2**30:,.0f} GiB of memory, and this machine has "
                f"{there / 2**30:,.0f} GiB; select samples first, such as .isel(sample=slice(0, 1000)), or open with "
                "chunks={}"
            )


def _numbers(key: slice | NDArray, size: int) -> range | NDArray[np.int64]:
    """Return the sample numbers that a slice or a vector selects of ``size`` ones.

    Raises
    ------
    IndexError
        There is no such sample.
    """
    if isinstance(key, slice):
        return range(*key.indices(size))
    key = np.asarray(key, dtype=np.int64)
    beyond = key[(key < -size) | (key >= size)]
    if beyond.size:
        raise IndexError(f"there is no sample {beyond[0]}: allowed are {-size} to {size - 1}")
    return np.where(key < 0, key + size, key)


def _inside(values: NDArray, key: list[Any]) -> NDArray:
    """Return what a key selects of the dimensions after ``sample``."""
    for axis in range(len(key), 0, -1):
        values = values[(slice(None),) * axis + (key[axis - 1],)]
    return values
