"""Trivial statistics of samples: what could be told of them without looking at anything.

A network that is no better than one of these has learned nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

QUANTILES = (0.05, 0.5, 0.95)
"""Quantiles of the values of a sample."""

BANDS = ("band", "channel")
"""Names of dimensions whose parts have statistics of their own."""

MOST_BANDS = 12
"""Largest number of bands or channels that have statistics of their own."""

HIDDEN = ("segmentation", "convergence")
"""Variables that are answers, and no model sees; those that end with ``_true`` are, too."""


def is_seen(variable: str) -> bool:
    """Return whether a model may see a variable."""
    return variable not in HIDDEN and not variable.endswith("_true")


def trivial_statistics(
    variable: str, values: NDArray, dimensions: Sequence[str]
) -> dict[str, NDArray]:
    """Return statistics of each sample, by name.

    Parameters
    ----------
    variable : str
    values : ndarray, shape (n, …)
        NaN where there is no value.
    dimensions : sequence of str
        Names of the dimensions after ``sample``.

    Returns
    -------
    dict of str to ndarray of float64, shape (n,)
        ``<variable>.mean``, ``.deviation``, ``.q05``, ``.q50``, ``.q95``, ``.roughness`` (mean absolute difference of
        neighbours); of images ``.border`` (mean of the outermost pixels); ``.count`` and ``.sum`` where samples have
        different numbers of values. Bands and channels have their own, ``<variable>.<band>.mean``.
    """
    if dimensions and dimensions[0] in BANDS and values.shape[1] <= MOST_BANDS:
        found: dict[str, NDArray] = {}
        for k in range(values.shape[1]):
            found |= trivial_statistics(f"{variable}.{k}", values[:, k], dimensions[1:])
        return found
    is_image = tuple(dimensions[-2:]) == ("y", "x")
    flat = values.reshape(len(values), -1)
    numbers = flat.astype(float)
    present = np.isfinite(numbers)
    count = present.sum(axis=1)
    whole = bool(present.all())
    zeroed = numbers if whole else np.where(present, numbers, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        total = zeroed.sum(axis=1)
        mean = total / count
        squares = np.sum(zeroed**2, axis=1) / count
        found = {"mean": mean, "deviation": np.sqrt(np.maximum(squares - mean**2, 0.0))}
    ordered = _quantiles(flat) if whole else _quantiles_of_present(numbers, present)
    found |= dict(zip(("q05", "q50", "q95"), ordered, strict=True))
    neighbours = values.astype(float) if is_image else numbers
    if neighbours.shape[-1] > 1:
        steps = np.abs(np.diff(neighbours, axis=-1)).reshape(len(values), -1)
        found["roughness"] = _mean(steps)
    if is_image:
        edges = (
            values[..., 0, :],
            values[..., -1, :],
            values[..., 1:-1, 0],
            values[..., 1:-1, -1],
        )
        border = np.concatenate([each.reshape(len(values), -1) for each in edges], axis=1)
        found["border"] = _mean(border.astype(float))
    if not whole:
        found |= {"count": count.astype(float), "sum": total}
    return {f"{variable}.{name}": each for name, each in found.items()}


def _mean(values: NDArray) -> NDArray:
    """Return the mean of the finite values of each row; NaN where there are none."""
    present = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        mean: NDArray = np.where(present, values, 0.0).sum(axis=1) / present.sum(axis=1)
    return mean


def _quantiles(values: NDArray) -> NDArray:
    """Return quantiles of each row, the nearest below, shape (quantiles, n)."""
    places = [int(each * (values.shape[1] - 1)) for each in QUANTILES]
    return np.partition(values, places, axis=1)[:, places].T.astype(float)


def _quantiles_of_present(values: NDArray, present: NDArray) -> NDArray:
    """Return quantiles of the finite values of each row, the nearest below, shape (quantiles, n)."""
    ordered = np.sort(np.where(present, values, np.inf), axis=1)
    count = present.sum(axis=1)
    place = (np.array(QUANTILES)[:, None] * np.maximum(count - 1, 0)).astype(int)
    found = np.take_along_axis(ordered, place.T, axis=1).T
    return np.where(count > 0, found, np.nan)
