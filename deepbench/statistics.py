"""Statistics of the training split of a table: what readers normalise with, and a first look at what there is.

They are summaries of each data variable, of each of its channels, and of each label. Their bits follow from values and
splits alone: not from workers, blocks, ``storage``, or whether the table has grown.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import asdict, dataclass, field, fields, replace
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from deepbench.errors import ReleaseError
from deepbench.format import LABEL_CHUNK
from deepbench.numerics.summaries import PROBABILITIES, QUANTILE_ERROR, Summary, Sums

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import xarray as xr
    from numpy.typing import NDArray

    from deepbench.arrays import DataVariable
    from deepbench.labelling.scopes import Column
    from deepbench.tables import Table

TRAINING = "train"
"""Name of the training split; where a table has none of that name, its first split takes its place."""

TRAINED_ON = re.compile(rf"{TRAINING}(ing)?(_.*)?")
"""Pattern of the names of splits on which a model may have been trained, whichever the training split is."""

CHANNELS = ("band", "channel", "image", "body", "axis", "degree")
"""Dimensions along which a data variable has channels, which are summarised apart, too."""

UNCOUNTED = ("id", "group", "split")
"""Labels that have no statistics, as identifiers have none."""


@dataclass(frozen=True)
class Entry(Summary):
    """The statistics of a data variable or a label.

    Attributes
    ----------
    units : str
    channels : mapping of str to Summary
        The same of each channel alone, by its name, in the order of the data; empty where there are none.
    classes : mapping of str to int
        How many samples a class has, of labels that are classes; these have no other numbers than their count.
    """

    units: str = "1"
    channels: Mapping[str, Summary] = field(default_factory=dict)
    classes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Statistics:
    """The statistics of the training split of a table.

    Attributes
    ----------
    table, split : str
    samples : int
        How many samples the split has.
    variables, labels : mapping of str to Entry
    """

    table: str
    split: str
    samples: int
    variables: Mapping[str, Entry]
    labels: Mapping[str, Entry]

    def __repr__(self) -> str:
        names = ", ".join((*self.variables, *self.labels))
        return f"<Statistics of '{self.split}' of '{self.table}', {self.samples:,} samples: {names:.80}>"

    def to_json(self) -> str:
        """Return them as the text of a file, a line for each summary."""
        head = {"table": self.table, "split": self.split, "samples": self.samples}
        head |= {"probabilities": PROBABILITIES, "quantile_error": QUANTILE_ERROR}
        tables = {
            name: {key: _plain(entry) for key, entry in getattr(self, name).items()}
            for name in ("variables", "labels")
        }
        return _text(head | tables) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes, where: str) -> Statistics:
        """Read statistics; ``where`` names them in messages.

        Raises
        ------
        ReleaseError
            They are none.
        """
        try:
            data = json.loads(text)
            if data.pop("probabilities") != [*PROBABILITIES]:
                raise ValueError("it has other quantiles")
            del data["quantile_error"]
            for name in ("variables", "labels"):
                data[name] = {key: _entry(entry) for key, entry in data[name].items()}
            return cls(**data)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ReleaseError(f"{where} does not hold statistics: {error}") from error


def _plain(summary: Summary) -> dict[str, Any]:
    """Return a summary as plain data: of classes their counts alone."""
    data = asdict(summary)
    channels, classes = data.pop("channels", {}), data.pop("classes", {})
    if classes:
        return {"count": summary.count, "classes": classes}
    units = {"units": data.pop("units")} if "units" in data else {}
    if channels:
        data["channels"] = {name: _plain(each) for name, each in summary.channels.items()}  # type: ignore[attr-defined]
    return units | data


def _entry(data: dict[str, Any]) -> Entry:
    channels = {name: _summary(each) for name, each in data.pop("channels", {}).items()}
    own, classes = data.pop("units", "1"), data.pop("classes", {})
    return Entry(**vars(_summary(data)), units=own, channels=channels, classes=classes)


def _summary(data: dict[str, Any]) -> Summary:
    absent = {each.name: None for each in fields(Summary)}
    found = absent | {"missing": 0, "infinite": 0} | data
    if found["quantiles"] is not None:
        found["quantiles"] = tuple(found["quantiles"])
    return Summary(**found)


def _text(data: Any, indent: str = "") -> str:
    """Return plain data as JSON, in one line unless it holds what holds more."""
    if not isinstance(data, dict) or not any(isinstance(each, dict) for each in data.values()):
        return json.dumps(data, ensure_ascii=False, allow_nan=False)
    inner = indent + " "
    lines = (f"{inner}{json.dumps(key)}: {_text(each, inner)}" for key, each in data.items())
    return "{\n" + ",\n".join(lines) + f"\n{indent}}}"


def training_split(splits: tuple[str, ...]) -> str:
    """Return the name of the training split: it has the statistics, and audits compare others with it."""
    return TRAINING if TRAINING in splits else splits[0]


def is_trained_on(split: str) -> bool:
    """Return whether the name of a split says that models are trained on it."""
    return TRAINED_ON.fullmatch(split) is not None


@dataclass
class Tally:
    """The sums from which the statistics of a table follow; those of parts of it are added exactly.

    Attributes
    ----------
    samples : int
        How many samples of the training split their labels were added of.
    variables : dict of str to list of Sums
        For each channel of a data variable, in C order.
    labels : dict of str to Sums
    classes : dict of str to int64[n]
    """

    samples: int = 0
    variables: dict[str, list[Sums]] = field(default_factory=dict)
    labels: dict[str, Sums] = field(default_factory=dict)
    classes: dict[str, NDArray[np.int64]] = field(default_factory=dict)

    def add_values(self, variable: DataVariable, values: NDArray, chosen: NDArray[np.intp]) -> None:
        """Add values of a data variable.

        Parameters
        ----------
        variable : DataVariable
        values : ndarray, shape (n, *variable.shape)
        chosen : int[k]
            Rows of the training split.
        """
        axes = [i for i, each in enumerate(variable.dimensions, 1) if each in CHANNELS]
        count = math.prod(values.shape[axis] for axis in axes)
        moved = np.moveaxis(values, axes, range(1, 1 + len(axes)))
        rows = np.ascontiguousarray(moved).reshape(len(values) * count, -1)
        channels = self.variables.setdefault(variable.name, [Sums() for _ in range(count)])
        for i, sums in enumerate(channels):
            sums.add(Sums.of_rows(rows, chosen * count + i))

    def add_labels(
        self, columns: tuple[Column, ...], labels: Mapping[str, NDArray], chosen: NDArray[np.intp]
    ) -> None:
        """Add labels.

        Parameters
        ----------
        columns : tuple of Column
        labels : mapping of str to ndarray, shape (n,)
            Numbers and codes by the names of the columns.
        chosen : int[k]
            Rows of the training split.
        """
        self.samples += len(chosen)
        for column in counted(columns):
            values = labels[column.name][chosen]
            if column.meanings:
                found = np.bincount(values, minlength=len(column.meanings))
                self.classes[column.name] = self.classes.get(column.name, np.int64(0)) + found
            else:
                sums = self.labels.setdefault(column.name, Sums())
                sums.add(Sums.of_numbers(values.astype(np.float64)))

    def add(self, other: Tally) -> None:
        """Add the sums over another part of the table."""
        self.samples += other.samples
        for name, some in other.variables.items():
            own = self.variables.setdefault(name, [Sums() for _ in some])
            for one, each in zip(own, some, strict=True):
                one.add(each)
        for name, sums in other.labels.items():
            self.labels.setdefault(name, Sums()).add(sums)
        for name, counts in other.classes.items():
            self.classes[name] = self.classes.get(name, np.int64(0)) + counts

    def statistics(self, table: Table[Any]) -> Statistics:
        """Return the statistics of the table that the sums are of."""
        variables = {each.name: self._of_variable(table, each) for each in table.variables}
        labels = {each.name: self._of_label(each) for each in counted(table.plan.columns)}
        split = training_split(table.plan.splits)
        return Statistics(table.name, split, self.samples, variables, labels)

    def _of_variable(self, table: Table[Any], variable: DataVariable) -> Entry:
        whole, parts = Sums(), self.variables[variable.name]
        for each in parts:
            whole.add(each)
        names = channel_names(table, variable)
        channels = (
            dict(zip(names, (each.summary() for each in parts), strict=True)) if names else {}
        )
        return Entry(**vars(whole.summary()), units=variable.units, channels=channels)

    def _of_label(self, column: Column) -> Entry:
        if not column.meanings:
            return Entry(**vars(self.labels[column.name].summary()), units=column.unit)
        counts = self.classes[column.name].tolist()
        classes = dict(zip(column.meanings, counts, strict=True))
        return replace(_entry({"count": sum(counts)}), classes=classes)


def training_rows(splits: tuple[str, ...], codes: NDArray) -> NDArray[np.intp]:
    """Return the rows of the training split, by the codes of splits of some samples."""
    return np.flatnonzero(codes == splits.index(training_split(splits)))


def counted(columns: Iterable[Column]) -> Iterator[Column]:
    """Yield the columns of labels that have statistics."""
    return (each for each in columns if each.name not in UNCOUNTED and not each.identifier)


def channel_names(table: Table[Any], variable: DataVariable) -> list[str]:
    """Return the names of the channels of a data variable, in C order; empty where it has none."""
    axes = {axis.dimensions[0]: axis for axis in table.coordinates}
    names = []
    for dimension, size in zip(variable.dimensions, variable.shape, strict=True):
        if dimension in CHANNELS:
            numbers = axes[dimension].values.tolist() if dimension in axes else range(size)
            names.append((dimension in axes and axes[dimension].meanings) or [*map(str, numbers)])
    return [" ".join(each) for each in product(*names)] if names else []


def statistics_of(table: Table[Any], data: xr.Dataset) -> Statistics:
    """Return the statistics of a table, whose data and labels are read a shard at a time.

    Parameters
    ----------
    table : Table
    data : Dataset
        Its data variables and labels, opened lazily.
    """
    tally, columns = Tally(), table.plan.columns
    splits = data["split"].values
    for some, chosen in _parts(data, splits, table, LABEL_CHUNK):
        labels = {each.name: some[each.name].values for each in counted(columns)}
        tally.add_labels(columns, labels, chosen)
    for some, chosen in _parts(data, splits, table, table.shard_length):
        for variable in table.variables:
            tally.add_values(variable, some[variable.name].values, chosen)
    return tally.statistics(table)


def _parts(
    data: xr.Dataset, splits: NDArray, table: Table[Any], length: int
) -> Iterator[tuple[xr.Dataset, NDArray[np.intp]]]:
    """Yield so many samples at a time, and which of them are of the training split."""
    for start in range(0, len(splits), length):
        part = slice(start, start + length)
        yield data.isel(sample=part), training_rows(table.plan.splits, splits[part])
