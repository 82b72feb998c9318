"""How samples of a source become tensors: inputs, targets, normalisation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from deepbench.errors import LoadingError
from deepbench.torch.axes import is_spatial, with_channels
from deepbench.torch.normalisation import Normalisation, normalisation_of
from deepbench.torch.sources import Arrays, Source, open_source

if TYPE_CHECKING:
    from numpy.typing import NDArray

Batch = dict[str, Any]

DTYPES = {
    np.dtype(stored): np.dtype(read)
    for stored, read in (("uint16", "int32"), ("uint32", "int64"), ("uint64", "int64"))
}
"""Types of integers for those with which PyTorch can hardly calculate."""


class Loading:
    """Base of ``Batches`` and ``Samples``, which describe its parameters."""

    def __init__(
        self,
        source: Any,
        table: str | None,
        *,
        split: str | None,
        inputs: str | Sequence[str] | None,
        targets: str | Sequence[str],
        where: str | None,
        normalise: Any,
        missing: str,
        transform: Callable[[Batch], Any] | None,
        cache: str | None,
        samples: int | str | None,
        catalog: str | Path | None,
    ) -> None:
        self.source: Source = open_source(source, table, samples, catalog)
        self.split, self.where, self.transform, self.cache = split, where, transform, cache
        if transform is not None and not callable(transform):
            raise LoadingError(
                f"`transform` must be a function of the dictionary of tensors, not {transform!r}"
            )
        if cache not in (None, "memory"):
            raise LoadingError(f"`cache` must be 'memory' or None, not {cache!r}")
        if split is not None:
            self.source.check_split(split)
        if inputs is None:
            inputs = _observed(self.source)
        self.inputs = [inputs] if isinstance(inputs, str) else list(inputs)
        self.targets = [targets] if isinstance(targets, str) else list(targets)
        self.source.check("input", self.inputs)
        self.source.check("target", self.targets)
        if missing not in ("mask", "refuse"):
            raise LoadingError(
                f"`missing` must be 'mask' (<target>.present says where a target is) or 'refuse', not {missing!r}"
            )
        self.missing: Literal["mask", "refuse"] = missing  # type: ignore[assignment]
        self.normalisation: Normalisation | None = normalisation_of(
            normalise, self.source, self.inputs, self.targets
        )
        self._held: Arrays | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, by the numbers in the target ``class``."""
        return self.source.columns["class"].meanings

    @property
    def coordinates(self) -> dict[str, torch.Tensor]:
        """Coordinates of the variables, such as ``time`` of light curves that share their times."""
        return {
            each.name: torch.from_numpy(each.values.copy())
            for each in self.source.table.coordinates
        }

    def inverse(self, name: str, values: torch.Tensor) -> torch.Tensor:
        """Return values of an input or target in their own unit, such as those that a network predicts.

        Parameters
        ----------
        name : str
        values : Tensor
            Of an input: with its axes. Of a target: any shape.

        Raises
        ------
        LoadingError
            It is no input or target.
        """
        if name not in (*self.inputs, *self.targets):
            raise LoadingError(
                f"{name!r} is no input or target; these are: {', '.join([*self.inputs, *self.targets])}"
            )
        return values if self.normalisation is None else self.normalisation.inverse(name, values)

    def _check_present(self, targets: Arrays, numbers: NDArray[np.int64]) -> None:
        """Refuse missing targets.

        Raises
        ------
        LoadingError
            One is missing; the message has the number, and what to do.
        """
        for name, values in targets.items():
            absent = ~self.source.columns[name].present(values) & self._may_lack(name)
            if absent.any():
                raise LoadingError(
                    f"the target '{name}' is missing in {absent.sum():,} of {len(values):,} samples, such as sample "
                    f'{numbers[absent][0]}: use missing="mask", or the samples that have it: where="`{name}` == '
                    f'`{name}`"'
                )

    def _may_lack(self, name: str) -> bool:
        """Return whether some samples may have no value of a target: numbers may, codes and counts do not."""
        column = self.source.columns[name]
        return column.dtype.kind == "f" or column.identifier

    def _batch(self, numbers: NDArray[np.int64], loaded: Arrays) -> Batch:
        """Return numbers of samples and what was loaded of them as tensors, which may share their memory."""
        found: Batch = {}
        for name in self.inputs:
            variable = self.source.variables[name]
            values = with_channels(loaded[name], variable)
            found[name] = torch.from_numpy(self._input(name, values))
        for name in self.targets:
            values, column = loaded[name], self.source.columns[name]
            present = column.present(values)
            if self._may_lack(name) and self.missing == "mask":
                found[f"{name}.present"] = torch.from_numpy(present)
            found[name] = torch.from_numpy(self._target(name, values, present))
        found["id"] = torch.from_numpy(numbers)
        return found

    def _input(self, name: str, values: NDArray) -> NDArray:
        if self.normalisation is not None and name in self.normalisation:
            return self.normalisation.apply(name, values)
        return np.ascontiguousarray(values, DTYPES.get(values.dtype, values.dtype))

    def _target(self, name: str, values: NDArray, present: NDArray[np.bool_]) -> NDArray:
        if values.dtype.kind != "f":
            return values.astype(np.int64)
        values = np.where(present, values, 0.0)
        if self.normalisation is not None and name in self.normalisation:
            values = np.where(present, self.normalisation.apply(name, values), 0.0)
        return values.astype(np.float32)

    def _all(self, labels: Sequence[str], numbers: NDArray[np.int64]) -> Arrays:
        """Return inputs and labels of all samples, as they are stored; they are decoded once and kept.

        Raises
        ------
        LoadingError
            They take more than half of this machine's memory.
        """
        if self._held is None:
            from deepbench.samples import machine_memory

            each = sum(self.source.variables[name].sample_bytes for name in self.inputs)
            needed, there = each * len(numbers), machine_memory()
            if needed > there / 2:
                raise LoadingError(
                    f"{len(numbers):,} samples take {needed / 2**30:,.1f} GiB, more than half of this machine's "
                    f'{there / 2**30:,.1f} GiB of memory: use Batches without cache="memory", and `deepbench cache` '
                    "if the disk has room"
                )
            self._held = self.source.load(self.inputs, labels, numbers)
        return self._held

    def _transformed(self, batch: Batch) -> Any:
        return batch if self.transform is None else self.transform(batch)


def _observed(source: Source) -> list[str]:
    """Return the data variables that a network may read: none without noise, and none that tells the answer."""
    names = list(source.variables)
    if is_spatial(source.variables[names[0]]):
        return names[:1]
    return [name for name in names if not name.endswith("_true")]
