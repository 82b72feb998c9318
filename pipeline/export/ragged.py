"""Light curves without padding: the observations that are there, of all samples one after another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from deepbench import format as fmt
from deepbench.errors import ExportError
from deepbench.light_curves.model import MASK
from pipeline.export.checks import READING, Digests, check_source

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.export.view import View
    from pipeline.progress import Progress

MISSING = 1 << MASK.index("missing")
"""Bit of the mask of an observation that is not there."""


class RaggedCurves:
    """The observations of the light curves of a view.

    Parameters
    ----------
    view : View
        Of a table of light curves.

    Raises
    ------
    ExportError
        Its images are apart.
    """

    def __init__(self, view: View) -> None:
        self.view = view
        self._variables = {each.name: each for each in view.variables}
        self._axes = {each.name: each for each in view.coordinates}
        if "image" in self._variables["flux"].dimensions:
            raise ExportError(
                f"the images in '{view.name}' are apart, and a ragged array has one light curve for each sample; "
                "leave out `images_apart`, export HDF5 (.h5), or read the release itself"
            )
        self.names = ("time", *(name for name in self._variables if name != "time"))

    def dtype(self, name: str) -> np.dtype:
        """Return the type of a column of observations."""
        if name in self._variables:
            return np.dtype(self._variables[name].dtype)
        return self._axes[name].values.dtype

    def attributes(self, name: str) -> dict[str, Any]:
        """Return the attributes of a column of observations."""
        if name in self._variables:
            return fmt.variable_attributes(self._variables[name])
        return fmt.axis_attributes(self._axes[name])

    def sizes(self, report: Progress) -> NDArray[np.int32]:
        """Return how many observations each light curve has."""
        sizes = np.empty(self.view.samples, np.int32)
        for start, stop in self.view.blocks():
            sizes[start:stop] = _is_there(self._read("mask", start, stop)).sum(axis=1)
            report("counting", stop, self.view.samples)
        return sizes

    def blocks(
        self, report: Progress, step: str = "observations", check: bool = False
    ) -> Iterator[tuple[int, int, NDArray[np.int64], dict[str, NDArray]]]:
        """Yield of each block the first sample, the end, the sample of each observation, and the columns.

        Samples are counted in the view. With ``check``, they are compared with the digests of the release.
        """
        for start, stop in self.view.blocks():
            columns = {name: self._read(name, start, stop) for name in self.names}
            for name in self._variables if check else ():
                check_source(self.view, name, start, columns[name])
            there = _is_there(columns["mask"])
            owners = start + np.flatnonzero(there) // there.shape[1]
            found = {
                name: np.broadcast_to(values, there.shape)[there]
                for name, values in columns.items()
            }
            yield start, stop, owners, found
            report(step, stop, self.view.samples)

    def compare(self, found: Digests, report: Progress, *others: str) -> None:
        """Compare columns that were read back of an export with the release, whose samples must have their digests.

        Parameters
        ----------
        found : Digests
        report : callable
        others : str
            Names of labels that each observation has in the export.

        Raises
        ------
        ExportError
            They are not what is in the release.
        """
        expected = Digests()
        for start, stop, owners, columns in self.blocks(report, READING, check=True):
            for name, values in columns.items():
                expected.update(name, values)
            if others:
                labels = self.view.read_labels(start, stop)
                for name in others:
                    expected.update(name, labels[name][owners - start])
        found.compare(self.view, expected)

    def _read(self, name: str, start: int, stop: int) -> NDArray:
        """Return samples of a variable; all of one that is the same for every sample."""
        if name not in self._variables:
            return self._axes[name].values
        return self.view.read(name, start, stop)


def _is_there(mask: NDArray) -> NDArray[np.bool_]:
    """Return which observations are there."""
    return mask & MISSING == 0
