"""An error as a function of a label: bins of equal numbers of samples, and a smooth curve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepbench.probing.intervals import Groups, means_of_bins, quantile_of_t

BINS = 10
"""Largest number of bins in which the error is told."""

CELLS = 256
"""Largest number of cells that the smooth curve is fitted to."""

POINTS = 64
"""Number of points at which the curve is told."""

REACH = 0.3
"""Share of the samples that the fit at one point looks at."""


@dataclass(frozen=True)
class Bins:
    """Bins of the values of a label.

    Attributes
    ----------
    label : str
    codes : ndarray of int16, shape (n,)
        Bin of each sample; -1 where the sample has no such label.
    lows, highs : ndarray, shape (count,)
        Smallest and largest value of each bin.
    exact : bool
        Whether each bin is one value.
    """

    label: str
    codes: NDArray
    lows: NDArray
    highs: NDArray
    exact: bool

    @property
    def count(self) -> int:
        """Number of bins."""
        return len(self.lows)


def equal_count_bins(label: str, values: NDArray, most: int = BINS) -> Bins | None:
    """Return bins with equal numbers of samples, one for each value where there are few values.

    Equal values are in one bin, so bins of a label with many equal values differ in number.

    Parameters
    ----------
    label : str
    values : ndarray, shape (n,)
        NaN where a sample has no such label.
    most : int
        Largest number of bins.

    Returns
    -------
    Bins or None
        None where the label has fewer than two values.
    """
    present = np.isfinite(values)
    inside = values[present]
    if not len(inside) or inside.min() == inside.max():
        return None
    few = _few_values(inside, most)
    if few is not None:
        starts = few
    else:
        starts = np.quantile(inside, np.arange(most) / most, method="lower")
        starts = np.unique(starts)
    codes = np.full(len(values), -1, dtype=np.int16)
    own = np.searchsorted(starts, inside, side="right") - 1
    codes[present] = own
    lows, highs = np.full(len(starts), np.inf), np.full(len(starts), -np.inf)
    np.minimum.at(lows, own, inside)
    np.maximum.at(highs, own, inside)
    return Bins(label, codes, lows, highs, few is not None)


def _few_values(values: NDArray, most: int) -> NDArray | None:
    """Return all values that occur, None where there are more than ``most``."""
    if len(np.unique(values[:1000])) > most:
        return None
    found = np.unique(values)
    return found if len(found) <= most else None


def error_by_bin(
    bins: Bins, values: NDArray, errors: NDArray, groups: Groups, *, hits: bool
) -> dict[str, NDArray]:
    """Return edges and middles of bins, and the mean error of each with its interval; NaN are left out."""
    here = bins.codes >= 0
    codes, inside = bins.codes[here], values[here]
    chosen = groups.take(here)
    found = means_of_bins(errors[here], codes, bins.count, chosen, hits=hits)
    with np.errstate(invalid="ignore"):
        middle = np.bincount(codes, weights=inside, minlength=bins.count) / found["n"]
    return {"from": bins.lows, "to": bins.highs, "mean": middle} | found


def smooth_curve(
    cells: Bins, values: NDArray, errors: NDArray, effect: float = 1.0, groups: int | None = None
) -> dict[str, NDArray]:
    """Return a smooth curve of the error by local linear regression (Cleveland 1979), with 95 % bounds at each point.

    Neighbours are counted in ranks, so the curve is as sharp where samples are dense as where they are rare.

    Parameters
    ----------
    cells : Bins
        Many bins of the values, of which the curve sees the means.
    values, errors : ndarray, shape (n,)
        Of the same samples; those without a value, or without an error (NaN), are left out.
    effect : float
        Design effect by which variances are multiplied.
    groups : int, optional
        Number of groups; below ten there are no bounds.

    Returns
    -------
    dict
        ``at``, ``value``, ``low`` and ``high``, of the same length.
    """
    here = (cells.codes >= 0) & np.isfinite(errors)
    cell, errors = cells.codes[here], errors[here]
    n = np.bincount(cell, minlength=cells.count).astype(float)
    filled = n > 0
    with np.errstate(invalid="ignore"):
        x = np.bincount(cell, weights=values[here], minlength=cells.count) / n
        y = np.bincount(cell, weights=errors, minlength=cells.count) / n
    squares = np.bincount(cell, weights=(errors - y[cell]) ** 2, minlength=cells.count)
    n, x, y, squares = (each[filled] for each in (n, x, y, squares))
    count = len(n)
    variance = np.sum(squares) / max(np.sum(n) - count, 1)
    rank = (np.cumsum(n) - n / 2) / np.sum(n)
    points = np.linspace(0, 1, min(POINTS, count))
    at = np.interp(points, rank, x)
    u = (rank - points[:, None]) / (REACH / 2)
    span = np.maximum(1.0, np.sort(np.abs(u), axis=1)[:, min(2, count - 1), None] * 1.01)
    weight = n * np.clip(1 - np.abs(u / span) ** 3, 0, None) ** 3
    gap = x - at[:, None]
    zeroth, first, second = (np.sum(weight * gap**power, axis=1) for power in range(3))
    slope = weight * (second[:, None] - gap * first[:, None])
    norm = second * zeroth - first**2
    flat = norm <= 1e-12 * second * zeroth
    kernel = np.where(
        flat[:, None], weight / zeroth[:, None], slope / np.where(flat, 1.0, norm)[:, None]
    )
    value = kernel @ y
    half = quantile_of_t(len(errors) if groups is None else groups) * np.sqrt(
        effect * variance * np.sum(kernel**2 / n, axis=1)
    )
    return {"at": at, "value": value, "low": value - half, "high": value + half}
