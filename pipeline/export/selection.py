"""Selection of what is exported of a table: a split, samples whose labels meet a condition, some labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deepbench.errors import ExportError, LabelError
from deepbench.labelling.frames import meets
from deepbench.language.plain import absent

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepbench.release import Release


@dataclass(frozen=True)
class Selection:
    """Choice of samples and labels.

    Attributes
    ----------
    split : str, optional
        Name of a split; samples of all splits when absent.
    where : str, optional
        Condition on labels as ``pandas.DataFrame.query`` takes it, names with dots in backticks: ```psf.sigma` < 1.5``.
    labels : tuple of str, optional
        Names of labels; all when absent. ``id`` is always among them.
    """

    split: str | None = None
    where: str | None = None
    labels: tuple[str, ...] | None = None

    def columns(self, release: Release, table: str) -> tuple[str, ...]:
        """Return the names of the chosen labels, in the order of the release.

        Raises
        ------
        ExportError
            The table has no such label.
        """
        known = release.manifest.tables[table].columns
        if self.labels is None:
            return known
        for name in self.labels:
            if name not in known:
                raise ExportError(absent("label", name, known, f"'{table}' of {release}"))
        return tuple(name for name in known if name == "id" or name in self.labels)

    def rows(self, release: Release, table: str) -> NDArray[np.int64] | None:
        """Return the numbers of the chosen samples, ascending; None where all are chosen.

        Of the labels, those that the condition names are held in memory.

        Raises
        ------
        ExportError
            There is no such split, the condition is none, or no sample meets both.
        """
        summary = release.manifest.tables[table]
        if self.split is not None and self.split not in summary.splits:
            where = f"'{table}' of {release}"
            raise ExportError(absent("split", self.split, summary.splits, where))
        if self.split is None and self.where is None:
            return None
        chosen = np.ones(summary.samples, bool)
        if self.split is not None:
            chosen &= (release.labels(table, ["split"])["split"] == self.split).to_numpy()
        if self.where is not None:
            chosen &= _meets(release, table, self.where)
        if not chosen.any():
            words = [] if self.split is None else [f"is in split '{self.split}'"]
            words += [] if self.where is None else [f"meets {self.where!r}"]
            raise ExportError(f"no sample of '{table}' of {release} {' and '.join(words)}")
        return np.flatnonzero(chosen)


def _meets(release: Release, table: str, condition: str) -> NDArray[np.bool_]:
    """Return which samples meet a condition."""
    known = release.manifest.tables[table].columns
    labels = release.labels(table, [name for name in known if name in condition] or ["id"])
    try:
        return meets(labels, condition)
    except LabelError as error:
        raise ExportError(
            f"table '{table}' of {release}: {error}; labels: {', '.join(known)}"
        ) from error
