"""The axis of channels that networks expect."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepbench.arrays import DataVariable

SPATIAL = frozenset({"y", "x", "cell", "pixel"})
"""Dimensions of variables that networks expect with an axis of channels, the first one after the samples."""

CHANNELS = ("band", "channel")
"""Dimensions that are such an axis."""


def is_spatial(variable: DataVariable) -> bool:
    """Return whether a variable has an axis of channels in batches."""
    return not SPATIAL.isdisjoint(variable.dimensions)


def with_channels(values: NDArray, variable: DataVariable) -> NDArray:
    """Return values with the axis of channels that networks expect: a view, with one channel where there is none."""
    if not is_spatial(variable):
        return values
    for name in CHANNELS:
        if name in variable.dimensions:
            return np.moveaxis(values, 1 + variable.dimensions.index(name), 1)
    return values[:, None]
