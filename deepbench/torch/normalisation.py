"""Normalisation: inputs and targets minus their mean, divided by their standard deviation, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from deepbench.errors import LoadingError
from deepbench.torch.axes import with_channels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepbench.arrays import DataVariable
    from deepbench.statistics import Entry, Statistics
    from deepbench.torch.sources import Source

Scale = tuple["NDArray[np.float64]", "NDArray[np.float64]"]


@dataclass(frozen=True)
class Normalisation:
    """Means and standard deviations by the names of inputs and targets.

    Attributes
    ----------
    scales : mapping of str to (ndarray, ndarray), float64
        Mean and standard deviation, which broadcast with batches: one of each channel, or one of all. What does not
        vary has the deviation 1.
    """

    scales: Mapping[str, Scale]

    def __contains__(self, name: str) -> bool:
        return name in self.scales

    def apply(self, name: str, values: NDArray) -> NDArray[np.float32]:
        """Return normalised values, with the axes that batches have."""
        mean, deviation = self.scales[name]
        if values.dtype == np.float32:
            found = values * (1.0 / deviation).astype(np.float32)
            found -= (mean / deviation).astype(np.float32)
            return found
        return ((values - mean) / deviation).astype(np.float32)

    def inverse(self, name: str, values: torch.Tensor) -> torch.Tensor:
        """Return values in their own unit."""
        if name not in self.scales:
            return values
        mean, deviation = (torch.from_numpy(each).to(values) for each in self.scales[name])
        return values * deviation + mean


def normalisation_of(
    given: Any, source: Source, inputs: Sequence[str], targets: Sequence[str]
) -> Normalisation | None:
    """Return the normalisation that a user asks for.

    Parameters
    ----------
    given : "train", Statistics, Normalisation, mapping of str to (mean, deviation), or None
    source : Source
    inputs, targets : sequence of str

    Raises
    ------
    LoadingError
        It is none, or names something else.
    """
    if given is None or isinstance(given, Normalisation):
        return given
    variables = {name: source.variables[name] for name in inputs}
    if isinstance(given, Mapping):
        return Normalisation(
            {name: _given(name, each, variables, targets) for name, each in given.items()}
        )
    from deepbench.statistics import Statistics

    if isinstance(given, Statistics):
        return _by_statistics(given, source, variables, targets)
    if given == "train":
        return _by_statistics(source.statistics, source, variables, targets)
    raise LoadingError(
        "`normalise` must be 'train' (by the statistics of the training split), the statistics of a release, another "
        f"loader's `.normalisation`, or {{name: (mean, deviation)}}, not {given!r:.80}"
    )


def _by_statistics(
    found: Statistics, source: Source, variables: Mapping[str, DataVariable], targets: Sequence[str]
) -> Normalisation:
    """Return the normalisation of the inputs and targets that are numbers: neither codes and counts, nor times.

    Raises
    ------
    LoadingError
        The statistics are of another table.
    """
    scales = {}
    try:
        for name, variable in variables.items():
            if np.dtype(variable.dtype).kind == "f" and "time_scale" not in variable.attributes:
                scales[name] = _of_variable(found.variables[name], variable)
        for name in targets:
            if source.columns[name].dtype.kind == "f":
                scales[name] = _scale([found.labels[name]], ())
    except KeyError as error:
        raise LoadingError(
            f"the statistics of '{found.table}' have no {error.args[0]!r}: they are of another table"
        ) from None
    return Normalisation(scales)


def _of_variable(entry: Entry, variable: DataVariable) -> Scale:
    """Return the scale of a data variable: of each channel, with the axes that batches have."""
    from deepbench.statistics import CHANNELS

    if not entry.channels:
        return _scale([entry], ())
    sizes = zip(variable.dimensions, variable.shape, strict=True)
    shape = (1, *(size if name in CHANNELS else 1 for name, size in sizes))
    mean, deviation = _scale(list(entry.channels.values()), shape)
    return with_channels(mean, variable), with_channels(deviation, variable)


def _scale(summaries: Sequence[Any], shape: tuple[int, ...]) -> Scale:
    """Return means and deviations as arrays; 0 and 1 where there are no numbers."""
    mean = np.array([each.mean or 0.0 for each in summaries])
    deviation = np.array([each.std or 1.0 for each in summaries])
    return mean.reshape(shape), deviation.reshape(shape)


def _given(
    name: str, pair: Any, variables: Mapping[str, DataVariable], targets: Sequence[str]
) -> Scale:
    """Return the scale that a user gives.

    Raises
    ------
    LoadingError
        It is none, or of something else.
    """
    if name not in variables and name not in targets:
        known = ", ".join((*variables, *targets))
        raise LoadingError(
            f"`normalise` names {name!r}, which is no input or target; these are: {known}"
        )
    shape: tuple[int, ...] = ()
    try:
        mean, deviation = (np.atleast_1d(np.asarray(each, np.float64)) for each in pair)
        good = mean.shape == deviation.shape and bool(
            np.isfinite(mean).all() and (deviation > 0).all()
        )
        if mean.size > 1:
            variable = variables[name]
            whole = with_channels(np.empty((1, *variable.shape), np.bool_), variable)
            good = good and whole.shape[1:2] == mean.shape
            shape = (1, mean.size, *(1,) * (whole.ndim - 2))
    except (TypeError, ValueError, KeyError):
        good = False
    if not good or not np.isfinite(deviation).all():
        raise LoadingError(
            f"`normalise` has {pair!r:.80} for '{name}': give (mean, deviation), numbers or one of each channel, "
            "deviations above 0"
        )
    return mean.reshape(shape), deviation.reshape(shape)
