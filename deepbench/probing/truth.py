"""The truth of a table: ids, classes, splits, groups and labels of all its samples, as arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

if TYPE_CHECKING:
    from deepbench.release import Release

KEYS = ("id", "class", "split", "group")
"""Columns of each table of labels that no model's error is a function of, or that have a place of their own."""

NUMBERS = ("attempt",)
"""Columns of whole numbers that are counters and no labels."""


@dataclass(frozen=True)
class Truth:
    """The true classes and labels of the samples of a table.

    Attributes
    ----------
    name : str
        Name of the release and the table, for messages.
    ids : ndarray of int64, shape (n,)
        Ascending.
    classes, splits : tuple of str
    codes, split_codes : ndarray of int16, shape (n,)
        Class and split of each sample.
    groups : ndarray of int64, shape (n,)
    labels : dict of str to ndarray of float64, shape (n,)
        Numeric labels; NaN where a sample's class has none.
    units : dict of str to str
        Units of labels, where they are known.
    identities : dict of str to str
        Columns by which predictions may name their release, with the values that they must have: ``release``,
        ``recipe_hash``.
    digests : callable, optional
        Takes the name of a data variable, and returns the digest of each sample, 16 bytes each.
    """

    name: str
    ids: NDArray
    classes: tuple[str, ...]
    splits: tuple[str, ...]
    codes: NDArray
    split_codes: NDArray
    groups: NDArray
    labels: dict[str, NDArray]
    units: dict[str, str] = field(default_factory=dict)
    identities: dict[str, str] = field(default_factory=dict)
    digests: Callable[[str], Sequence[bytes]] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def of(cls, release: Release, table: str) -> Truth:
        """Read the truth of a table of a release.

        Raises
        ------
        CatalogError
            There is no such table.
        ReleaseError
            A file is missing or damaged.
        """
        frame = release.labels(table)
        columns = release.recipe.table(table).plan.columns
        identifiers = [each.name for each in columns if each.identifier]
        summary = release.manifest.tables[table]
        found = cls.from_frame(
            frame.drop(columns=identifiers),
            tuple(summary.classes),
            tuple(summary.splits),
            name=f"'{table}' of {release}",
        )
        identities = {"release": str(release), "recipe_hash": release.manifest.recipe_hash}
        return replace(
            found,
            units={each.name: each.unit for each in columns},
            identities=identities,
            digests=lambda variable: _digests(release, table, variable),
        )

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        classes: Sequence[str] | None = None,
        splits: Sequence[str] | None = None,
        *,
        name: str = "the table",
    ) -> Truth:
        """Return the truth in a data frame as ``Release.labels`` and ``deepbench.labels`` return it."""
        codes, classes = _codes(frame["class"], classes)
        split_codes, splits = _codes(frame["split"], splits)
        labels = {
            str(each): frame[each].to_numpy(dtype=float, na_value=np.nan)
            for each in frame.columns
            if each not in (*KEYS, *NUMBERS) and pd.api.types.is_numeric_dtype(frame[each].dtype)
        }
        for each in labels:
            if each.endswith(".repeat"):
                labels[each] = _present(labels[each], codes, len(classes))
        ids = frame["id"].to_numpy(dtype=np.int64)
        groups = frame["group"].to_numpy(dtype=np.int64)
        return cls(name, ids, classes, splits, codes, split_codes, groups, labels)

    def take(self, rows: NDArray) -> Truth:
        """Return the truth of some samples."""
        return replace(
            self,
            ids=self.ids[rows],
            codes=self.codes[rows],
            split_codes=self.split_codes[rows],
            groups=self.groups[rows],
            labels={label: values[rows] for label, values in self.labels.items()},
        )

    def varying(self) -> dict[str, NDArray]:
        """Return the labels that have two values at least."""
        found = {}
        for label, values in self.labels.items():
            present = values[np.isfinite(values)]
            if len(present) and present.min() < present.max():
                found[label] = values
        return found


def _codes(column: pd.Series, names: Sequence[str] | None) -> tuple[NDArray, tuple[str, ...]]:
    """Return codes of a column of names, and the names."""
    if names is None:
        known = isinstance(column.dtype, pd.CategoricalDtype)
        names = list(column.cat.categories) if known else list(dict.fromkeys(column))
    found = pd.Categorical(column, categories=list(names))
    return np.asarray(found.codes, dtype=np.int16), tuple(map(str, names))


def _present(counts: NDArray, codes: NDArray, classes: int) -> NDArray:
    """Return numbers of copies with NaN in classes that have none in any sample: those do not repeat the object."""
    some = np.bincount(codes, weights=counts, minlength=classes) > 0
    return np.where(some[codes], counts, np.nan)


def _digests(release: Release, table: str, variable: str) -> Sequence[bytes]:
    """Return the digests of the samples of a data variable."""
    from deepbench.format import DIGEST
    from deepbench.storage.row_groups import read_columns

    with release._parquet(table) as file:
        column: list[bytes] = read_columns(file, [f"{DIGEST}{variable}"])[0].to_pylist()
    return column
