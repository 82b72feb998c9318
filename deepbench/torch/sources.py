"""Sources of samples for training: a table of a release, which is read, or of a recipe, which is rendered."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepbench.errors import CatalogError, LabelError, LoadingError
from deepbench.language.plain import absent
from deepbench.reading.table_reader import TableReader
from deepbench.recipe import Recipe
from deepbench.release import Release
from deepbench.tables import MAXIMUM_SAMPLES

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

    from deepbench.arrays import DataVariable
    from deepbench.labelling.scopes import Column, Labels
    from deepbench.statistics import Statistics
    from deepbench.tables import Table

LABEL_ROWS = 2**16
"""Number of samples whose labels are drawn together, and of an epoch of samples without end, about."""

BLOCK = 512
"""Number of samples that are rendered together, about: fewer cost more each, more take memory."""

FIRST = 4096
"""Number of samples of the training split, the first ones, from which the statistics of a recipe are."""

NUMBERS = 2**26
"""Number of values at which the statistics of a recipe end, although these are fewer samples."""

Arrays = dict[str, "NDArray"]


class Source(ABC):
    """A table of samples with labels.

    Attributes
    ----------
    name : str
        What it is called in messages.
    samples : int
        Number of samples of an epoch.
    is_endless : bool
        Whether each epoch has new samples.
    """

    name: str
    samples: int
    is_endless: bool = False

    @property
    @abstractmethod
    def table(self) -> Table[Any]:
        """The table as its recipe describes it."""

    @property
    @abstractmethod
    def unit(self) -> int:
        """Number of consecutive samples that are made together, or belong together, such as the patches of a map."""

    @abstractmethod
    def window(self, size: int) -> int:
        """Return the number of samples that are read together where ``size`` bytes of memory hold that many."""

    def is_cached(self, numbers: NDArray[np.int64]) -> bool:
        """Return whether a cache has all of some samples, so that one alone is read as fast as among others."""
        return False

    @property
    @abstractmethod
    def label_rows(self) -> int:
        """Number of samples whose labels are best asked for together."""

    @abstractmethod
    def labels(self, names: Sequence[str], start: int, stop: int) -> pd.DataFrame:
        """Return some labels of a range of samples, one row per sample."""

    @abstractmethod
    def load(
        self,
        variables: Sequence[str],
        labels: Sequence[str],
        numbers: NDArray[np.int64],
        spare: Arrays | None = None,
    ) -> Arrays:
        """Return data variables and labels of samples, in the order of their numbers; classes as codes.

        ``spare`` is what was loaded before and is no longer of use: its memory may be written over.
        """

    @property
    @abstractmethod
    def statistics(self) -> Statistics:
        """Statistics of the training split."""

    @cached_property
    def variables(self) -> dict[str, DataVariable]:
        """Data variables by name."""
        return {each.name: each for each in self.table.variables}

    @cached_property
    def columns(self) -> dict[str, Column]:
        """Columns of labels by name."""
        return {each.name: each for each in self.table.plan.columns}

    def check(self, what: str, names: Sequence[str]) -> None:
        """Refuse the names of data variables (``what`` is "input") or labels ("target") that there are not.

        Raises
        ------
        LoadingError
            There is no such name, or it stands twice.
        """
        there, others = list(self.variables), list(self.columns)
        if what == "target":
            there, others = others, there
        for name in names:
            if name not in there:
                message = absent(what, name, there, f"'{self.table.name}' of {self.name}")
                if name in others:
                    message += f"; it is a {'label' if what == 'input' else 'data variable'}"
                raise LoadingError(message)
        if len(set(names)) < len(names):
            raise LoadingError(f"a name stands twice among the {what}s: {', '.join(names)}")

    def check_split(self, split: str) -> None:
        """Refuse a split that there is not.

        Raises
        ------
        LoadingError
            There is none of that name.
        """
        splits = self.columns["split"].meanings
        if split not in splits:
            where = f"'{self.table.name}' of {self.name}"
            raise LoadingError(absent("split", split, splits, where))

    def first(self, epoch: int) -> int:
        """Return the number of the first sample of an epoch."""
        first = epoch * self.samples if self.is_endless else 0
        if first + self.samples > MAXIMUM_SAMPLES:
            raise LoadingError(
                f"epoch {epoch} of {self.name} would have samples beyond {MAXIMUM_SAMPLES:,} (2**32), the most that a "
                "recipe has; change the seed of the recipe"
            )
        return first

    def chosen(self, split: str | None, where: str | None, epoch: int = 0) -> NDArray[np.int64]:
        """Return the numbers of the samples of an epoch that are in a split and meet a condition, ascending.

        Parameters
        ----------
        split : str, optional
        where : str, optional
            Condition on labels, as ``DataFrame.query`` takes it; ``mean()`` and the like are over all samples.
        epoch : int

        Raises
        ------
        LoadingError
            There is no such split, the condition cannot be evaluated, or no sample is left; or each epoch has new
            samples, and whether one of them meets the condition depends on the others.
        """
        if split is not None:
            self.check_split(split)
        from deepbench.samples import machine_memory

        first, samples = self.first(epoch), self.samples
        if 16 * samples > machine_memory() / 2:
            raise LoadingError(
                f"the order of {samples:,} samples takes {16 * samples / 2**30:.0f} GiB, more than half of this "
                "machine's memory: use samples=None, which gives new ones in each epoch, or fewer"
            )
        if split is None and where is None:
            return np.arange(first, first + samples)
        import pandas as pd

        names = [name for name in self.columns if name in (where or "") or name == "split"]
        parts = [
            self.labels(names, start, min(start + self.label_rows, first + samples))
            for start in range(first, first + samples, self.label_rows)
        ]
        frame = parts[0] if len(parts) == 1 else pd.concat(parts, ignore_index=True)
        kept = np.ones(len(frame), bool) if where is None else self._holds(where, frame)
        if where is not None and self.is_endless:
            for part in (kept, ~kept):  # each alone must give what both together gave
                if (self._holds(where, frame[part]) != kept[part]).any():
                    raise LoadingError(
                        f"where={where!r} depends on all samples of an epoch, as with mean(), and each epoch of "
                        f"{self.name} has others: write the number instead"
                    )
        if split is not None:
            kept &= (frame["split"] == split).to_numpy()
        numbers = first + np.flatnonzero(kept)
        if not len(numbers):
            words = [f"split '{split}'"] if split is not None else []
            words += [f"where={where!r}"] if where is not None else []
            raise LoadingError(
                f"no sample of '{self.table.name}' of {self.name} is left by {' and '.join(words)}, of {samples:,}"
            )
        return numbers

    def _holds(self, where: str, frame: pd.DataFrame) -> NDArray[np.bool_]:
        """Return which rows meet a condition."""
        from deepbench.labelling.frames import meets

        try:
            return meets(frame, where)
        except LabelError as error:
            raise LoadingError(
                f"where={where!r}: {error}; labels: {', '.join(self.columns)}"
            ) from error


class ReleasedTable(Source):
    """A table of a release.

    Parameters
    ----------
    release : Release
    table : str

    Raises
    ------
    CatalogError
        There is no such table.
    """

    def __init__(self, release: Release, table: str) -> None:
        self.reader = TableReader(release, table)
        self.name, self.samples = str(release), self.reader.samples
        self._held: dict[str, NDArray] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled: nothing that was read."""
        kept = {"reader": self.reader, "name": self.name, "samples": self.samples}
        return {**kept, "_held": {}}

    @cached_property
    def table(self) -> Table[Any]:
        """The table as its recipe describes it."""
        return self.reader.release.recipe.table(self.reader.table)

    @property
    def unit(self) -> int:
        """Number of consecutive samples that are made together, or belong together."""
        return math.lcm(self.reader.chunk_length, self.table.specification.together)

    @property
    def statistics(self) -> Statistics:
        """Statistics of the training split, which the release has."""
        return self.reader.release.statistics(self.reader.table)

    def window(self, size: int) -> int:
        """Return the number of samples that are read together."""
        return size

    def is_cached(self, numbers: NDArray[np.int64]) -> bool:
        """Return whether a cache has all of some samples."""
        return self.reader.is_cached(numbers)

    @property
    def label_rows(self) -> int:
        """Number of samples whose labels are best asked for together: all, as they are read together."""
        return self.samples

    def labels(self, names: Sequence[str], start: int, stop: int) -> pd.DataFrame:
        """Return some labels of a range of samples."""
        return self._frame(tuple(names)).iloc[start:stop]

    def load(
        self,
        variables: Sequence[str],
        labels: Sequence[str],
        numbers: NDArray[np.int64],
        spare: Arrays | None = None,
    ) -> Arrays:
        """Return data variables and labels of samples, in the order of their numbers."""
        found = {}
        for name in variables:
            room = None if spare is None else spare[name]
            if room is not None:
                whole = room if room.base is None else room.base
                room = whole[: len(numbers)] if len(whole) >= len(numbers) else None
            found[name] = self.reader.take(name, numbers, out=room)
        return found | {name: self._label(name)[numbers] for name in labels}

    def _frame(self, names: tuple[str, ...]) -> pd.DataFrame:
        return self.reader.release.labels(self.reader.table, names)

    def _label(self, name: str) -> NDArray:
        """Return a label of all samples, which is read once; codes are those of the recipe."""
        import pandas as pd

        if name not in self._held:
            values, meanings = self._frame((name,))[name], self.columns[name].meanings
            if meanings:
                self._held[name] = pd.Categorical(values, categories=list(meanings)).codes
            else:
                self._held[name] = values.to_numpy()
        return self._held[name]


class RenderedTable(Source):
    """A table of a recipe, whose samples are rendered when they are read: bit for bit those of a build.

    Parameters
    ----------
    recipe : Recipe
    table : str
    samples : int or None
        Number of samples; those of the recipe when absent, None for new ones in each epoch, without end.

    Raises
    ------
    CatalogError
        There is no such table.
    LoadingError
        The number of samples is not allowed.

    Examples
    --------
    >>> source = RenderedTable(recipe, "images", samples=None)       # doctest: +SKIP
    >>> source.take("image", [4, 1_000_000]).shape                   # doctest: +SKIP
    (2, 64, 64)
    """

    def __init__(self, recipe: Recipe, table: str, samples: int | str | None = "recipe") -> None:
        from deepbench.lazy_samples import Samples

        self._own = Samples(recipe, table)
        self.name = f"the recipe '{recipe.name}'"
        together = self.table.specification.together
        self.is_endless = samples is None
        if samples is None:
            self.samples = -(-LABEL_ROWS // together) * together
        else:
            count = self.table.samples if samples == "recipe" else samples
            if not isinstance(count, int) or not 1 <= count <= MAXIMUM_SAMPLES or count % together:
                several = f", a multiple of {together}, as so many belong together"
                raise LoadingError(
                    f"`samples` must be a whole number from 1 to {MAXIMUM_SAMPLES:,}{several * (together > 1)}, or "
                    f"None for new samples in each epoch, not {samples!r}"
                )
            self.samples = count

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled: the recipe, and nothing that follows from it."""
        names = ("_own", "name", "samples", "is_endless")
        return {name: vars(self)[name] for name in names}

    @property
    def table(self) -> Table[Any]:
        """The table as its recipe describes it."""
        return self._own.table

    @property
    def unit(self) -> int:
        """Number of consecutive samples that are made together, or belong together."""
        return self.table.specification.together

    @property
    def chunk_length(self) -> int:
        """Number of samples that are rendered together; others cost no less for being neighbours."""
        return self.unit

    @property
    def statistics(self) -> Statistics:
        """Statistics of the first 4,096 samples of the training split, fewer where they have 2²⁶ values."""
        from deepbench.statistics import Tally, training_rows

        table, tally = self.table, Tally()
        each = sum(math.prod(variable.shape) for variable in table.variables)
        most = max(1, min(FIRST, NUMBERS // each))
        for start in range(0, self.samples, self._block):
            numbers = np.arange(start, min(start + self._block, self.samples))
            arrays, labels = self._made(list(self.variables), list(self.columns), numbers)
            rows = training_rows(table.plan.splits, labels.columns["split"])
            rows = rows[: most - tally.samples]
            for variable in table.variables:
                tally.add_values(variable, arrays[variable.name], rows)
            tally.add_labels(table.plan.columns, labels.columns, rows)
            if tally.samples == most:
                break
        return tally.statistics(table)

    def window(self, size: int) -> int:
        """Return the number of samples that are read together."""
        return min(size, BLOCK) if self.unit == 1 else size

    def read(self, name: str, start: int, stop: int) -> NDArray:
        """Return the samples ``start`` … ``stop - 1`` of a variable."""
        return self.take(name, np.arange(start, stop))

    def take(self, name: str, indices: ArrayLike) -> NDArray:
        """Return samples of a variable in the order of their numbers, which may repeat."""
        return self.load([name], [], np.asarray(indices, np.int64))[name]

    @property
    def label_rows(self) -> int:
        """Number of samples whose labels are best asked for together."""
        return LABEL_ROWS

    def labels(self, names: Sequence[str], start: int, stop: int) -> pd.DataFrame:
        """Return some labels of a range of samples; they are rendered where one is measured."""
        from deepbench.labelling.frames import to_frame

        columns = [self.columns[name] for name in names]
        return to_frame(tuple(columns), self._drawn(columns, np.arange(start, stop)).columns)

    def load(
        self,
        variables: Sequence[str],
        labels: Sequence[str],
        numbers: NDArray[np.int64],
        spare: Arrays | None = None,
    ) -> Arrays:
        """Return data variables and labels of samples, in the order of their numbers."""
        samples, rows = np.unique(numbers, return_inverse=True)
        found: Arrays = {}
        ordered = np.array_equal(samples, numbers)
        for start in range(0, len(samples), self._block):
            part = samples[start : start + self._block]
            arrays, drawn = self._made(variables, labels, part)
            made = {name: arrays[name] for name in variables}
            made |= {name: drawn.columns[name] for name in labels}
            if len(part) == len(samples):
                return made if ordered else {name: each[rows] for name, each in made.items()}
            place = np.flatnonzero((rows >= start) & (rows < start + len(part)))
            for name, each in made.items():
                if name not in found:
                    found[name] = np.empty((len(numbers), *each.shape[1:]), each.dtype)
                found[name][place] = each[rows[place] - start]
        return found

    @property
    def _block(self) -> int:
        """Largest number of samples that are rendered at a time."""
        return -(-BLOCK // self.unit) * self.unit

    def _made(
        self, variables: Sequence[str], labels: Sequence[str], samples: NDArray[np.int64]
    ) -> tuple[Arrays, Labels]:
        from deepbench.samples import render_arrays
        from deepbench.selection import draw_samples

        if variables:
            return render_arrays(self.table, draw_samples(self.table, samples))
        return {}, self._drawn([self.columns[name] for name in labels], samples)

    def _drawn(self, columns: Sequence[Column], samples: NDArray[np.int64]) -> Labels:
        """Return labels of samples, which are rendered only where one of the columns is measured."""
        from deepbench.samples import derived, measured
        from deepbench.selection import draw_samples

        labels = draw_samples(self.table, samples)
        if not any(each.measured or each.derived for each in columns):
            return labels
        if self.table.plan.is_measured:
            return measured(self.table, labels)
        return derived(self.table, labels)


def open_source(
    source: Any, table: str | None, samples: int | str | None, catalog: str | Path | None
) -> Source:
    """Return the source that a user names: a release, ``name@version``, a recipe or its file, or one made already.

    Raises
    ------
    CatalogError
        There is no such release or table.
    LoadingError
        The number of samples is not allowed.
    RecipeError
        The recipe cannot be read, or it is none.
    """
    from deepbench.virtual import source_of

    if isinstance(source, Source):
        return source
    opened = source_of(source, None, catalog)
    tables = list(opened.manifest.tables if isinstance(opened, Release) else opened.tables)
    if table is None:
        if len(tables) > 1:
            raise CatalogError(f"name one of the tables with `table`: {', '.join(tables)}")
        table = tables[0]
    if isinstance(opened, Recipe):
        return RenderedTable(opened, table, samples)
    if samples != "recipe":
        raise LoadingError(
            f"{opened} is a release and has the samples that were built; leave out `samples`, or give its recipe: "
            f"deepbench.find({opened.name!r}).recipe"
        )
    return ReleasedTable(opened, table)
