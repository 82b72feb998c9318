"""Normalisation: inputs and targets minus their mean, divided by their standard deviation, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from deepbench.errors import LoadingError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepbench.torch.sources import Source


@dataclass(frozen=True)
class Normalisation:
    """Means and standard deviations by the names of inputs and targets.

    Attributes
    ----------
    scales : mapping of str to (float64[c], float64[c])
        Mean and standard deviation, of each channel where c > 1. What does not vary has the deviation 1.
    """

    scales: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]]

    def __contains__(self, name: str) -> bool:
        return name in self.scales

    def apply(self, name: str, values: NDArray) -> NDArray[np.float32]:
        """Return normalised values, of which channels are the axis after the samples."""
        mean, deviation = (_along(each, values.ndim) for each in self.scales[name])
        if values.dtype == np.float32:
            found = values * (1.0 / deviation).astype(np.float32)
            found -= (mean / deviation).astype(np.float32)
            return found
        return ((values - mean) / deviation).astype(np.float32)

    def inverse(self, name: str, values: torch.Tensor) -> torch.Tensor:
        """Return values in their own unit."""
        if name not in self.scales:
            return values
        mean, deviation = (
            torch.from_numpy(_along(each, values.ndim)).to(values) for each in self.scales[name]
        )
        return values * deviation + mean


def _along(values: NDArray[np.float64], ndim: int) -> NDArray[np.float64]:
    """Return values of channels as an array of ``ndim`` dimensions, of which channels are the second one."""
    return values.reshape(()) if values.size == 1 else values.reshape(-1, *(1,) * (ndim - 2))


def normalisation_of(
    given: Any, source: Source, inputs: Sequence[str], targets: Sequence[str]
) -> Normalisation | None:
    """Return the normalisation that a user asks for.

    Parameters
    ----------
    given : "train", Normalisation, mapping of str to (mean, deviation), or None
    source : Source
    inputs, targets : sequence of str

    Raises
    ------
    LoadingError
        It is none, or names something else.
    """
    if given is None or isinstance(given, Normalisation):
        return given
    if isinstance(given, Mapping):
        return Normalisation(
            {name: _checked(name, each, [*inputs, *targets]) for name, each in given.items()}
        )
    if given != "train":
        raise LoadingError(
            "`normalise` must be 'train' (by the statistics of the training split), another loader's `.normalisation`, "
            f"or {{name: (mean, deviation)}}, not {given!r:.80}"
        )
    raise NotImplementedError


def _checked(
    name: str, pair: Any, known: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if name not in known:
        raise LoadingError(
            f"`normalise` names {name!r}, which is no input or target; these are: {', '.join(known)}"
        )
    try:
        mean, deviation = (np.atleast_1d(np.asarray(each, np.float64)) for each in pair)
        good = mean.shape == deviation.shape and mean.ndim == 1
        good = good and bool(
            np.isfinite(mean).all() and (deviation > 0).all() and np.isfinite(deviation).all()
        )
    except (TypeError, ValueError):
        good = False
    if not good:
        raise LoadingError(
            f"`normalise` has {pair!r:.80} for '{name}': give (mean, deviation), numbers or one of each channel, "
            "deviations above 0"
        )
    return mean, deviation
