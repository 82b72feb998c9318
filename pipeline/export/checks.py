"""Exports read back, and compared with the release by digests."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Self

import numpy as np
import xxhash

from deepbench import format as fmt
from deepbench.errors import ExportError, ReleaseError
from pipeline.export.view import DIGEST_ROW

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.export.view import View
    from pipeline.progress import Progress

    Pieces = Iterable[tuple[str, NDArray]]
    """Names, and the next values of each."""

READING = "reading back"
"""Step of an export that is told as progress."""


def compare(view: View, found: Pieces, report: Progress) -> None:
    """Compare what was read back of an export with the release: variables with its digests, labels with its labels.

    Parameters
    ----------
    view : View
        What was exported.
    found : iterable of (str, ndarray)
        Names of variables and labels, and the next values of each, ``sample`` first: any number of samples at a time.
    report : callable

    Raises
    ------
    ExportError
        Something is not as it is in the release.
    """
    variables = {each.name: each for each in view.variables}
    done = dict.fromkeys(variables, 0)
    labels = Digests()
    for name, values in found:
        if name in variables:
            start, done[name] = done[name], done[name] + len(values)
            if done[name] > view.samples:
                raise _differs(view, name, f"has more than {view.samples:,} samples")
            _check_type(view, name, values, variables[name].dtype, variables[name].shape)
            digests = np.frombuffer(
                b"".join(fmt.sample_digests(variables[name], values)), DIGEST_ROW
            )
            wrong = digests != view.digests(name, start, done[name])
            if wrong.any():
                raise _differs(view, name, f"differs in sample {start + int(wrong.argmax())} of it")
            report(READING, min(done.values()), view.samples)
        else:
            labels.update(name, values)
    for name, count in done.items():
        if count != view.samples:
            raise _differs(view, name, f"has {count:,} samples, not {view.samples:,}")
    labels.compare(view, Digests.of_labels(view))


def compare_labels(view: View, found: Pieces) -> None:
    """Compare labels that were read back of an export with those of the release; see ``compare``."""
    read = Digests()
    for name, values in found:
        read.update(name, values)
    read.compare(view, Digests.of_labels(view))


def _check_type(view: View, name: str, values: NDArray, dtype: str, shape: tuple[int, ...]) -> None:
    """Refuse values of another type or shape, which digests would turn into those of the release."""
    if values.dtype.newbyteorder("=") != np.dtype(dtype) or values.shape[1:] != shape:
        raise _differs(view, name, f"is {values.dtype}{values.shape[1:]}, not {dtype}{shape}")


class Digests:
    """Digests of columns that are read piece by piece."""

    def __init__(self) -> None:
        self._found: dict[str, xxhash.xxh3_128] = {}
        self._counts: dict[str, int] = {}

    @classmethod
    def of_labels(cls, view: View) -> Self:
        """Return the digests of the labels of a view."""
        found = cls()
        for start, stop in view.label_blocks():
            for name, values in view.read_labels(start, stop).items():
                found.update(name, values)
        return found

    def update(self, name: str, values: NDArray) -> None:
        """Add the next values of a column; all NaNs are one, and the order of bytes is no matter."""
        values = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
        if values.dtype.kind == "f" and np.isnan(values).any():
            values = np.where(np.isnan(values), values.dtype.type(np.nan), values)
        if name not in self._found:
            self._found[name] = xxhash.xxh3_128(values.dtype.str.encode())
        self._found[name].update(values.data)
        self._counts[name] = self._counts.get(name, 0) + len(values)

    def compare(self, view: View, expected: Digests) -> None:
        """Compare with the digests of what should be there.

        Raises
        ------
        ExportError
            They differ.
        """
        for name, count in expected._counts.items():
            if self._counts.get(name, 0) != count:
                raise _differs(
                    view, name, f"has {self._counts.get(name, 0):,} values, not {count:,}"
                )
            if self._found[name].digest() != expected._found[name].digest():
                raise _differs(view, name, "has other values")
        for name in self._counts.keys() - expected._counts.keys():
            raise _differs(view, name, "is not in the release")


def check_source(view: View, name: str, start: int, values: NDArray) -> None:
    """Compare samples that were read from a release with its digests.

    Raises
    ------
    ReleaseError
        They differ.
    """
    variable = next(each for each in view.variables if each.name == name)
    digests = np.frombuffer(b"".join(fmt.sample_digests(variable, values)), DIGEST_ROW)
    if (digests != view.digests(name, start, start + len(values))).any():
        raise ReleaseError(
            f"'{name}' in {view} differs from its digests; restore the release from a copy, or mend it with "
            "`deepbench repair`"
        )


def _differs(view: View, name: str, how: str) -> ExportError:
    return ExportError(
        f"the export was read back, and is not the release: '{name}' of {view} {how}. Nothing is left of it: check the "
        "disk and the release (`deepbench verify`), then export again"
    )
