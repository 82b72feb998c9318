"""Estimates with 95 % intervals, for samples that come in groups.

Samples of one group (patches of a map, exposures of one star) are not independent. So an interval looks at sums over
groups: a proportion has Wilson's interval with the effective number of samples, a mean that of Student's t, and other
statistics a bootstrap over groups. Below ten groups there is no interval.

References
----------
Wilson 1927, JASA 22, 209; Kish 1965, Survey Sampling, chapter 5 (design effect); Hesterberg 2015, The American
Statistician 69, 371 (expanded percentiles).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

LEVEL = 0.95
"""Probability with which an interval holds the true value."""

FEWEST_GROUPS = 10
"""Smallest number of groups for which there is an interval."""

RESAMPLES = 2000
"""Number of times that the bootstrap draws all groups again."""

BUNDLES = 1000
"""Largest number of units of the bootstrap: more groups are put together at random."""


@dataclass(frozen=True)
class Estimate:
    """A number and its 95 % interval.

    Attributes
    ----------
    value : float
        NaN where nothing can be estimated.
    low, high : float
        Ends of the interval; NaN where there is none.
    n, groups : int
        Samples and groups that it stands on.
    """

    value: float
    low: float
    high: float
    n: int
    groups: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain data; None in place of NaN."""
        return {key: plain(value) for key, value in asdict(self).items()}


def plain(value: Any) -> Any:
    """Return a number as JSON has it: None in place of NaN and infinities."""
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


class Groups:
    """The groups of some samples.

    Parameters
    ----------
    numbers : ndarray of int, shape (n,)
        Number of the group of each sample.
    """

    def __init__(self, numbers: NDArray) -> None:
        found, codes = np.unique(numbers, return_inverse=True)
        self.codes = codes.reshape(-1)
        self.count = len(found)

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def alone(self) -> bool:
        """Whether every sample is a group of its own."""
        return self.count == len(self)

    @cached_property
    def sizes(self) -> NDArray:
        """Number of samples of each group."""
        return np.bincount(self.codes, minlength=self.count)

    def sums(self, values: NDArray) -> NDArray:
        """Return the sum of values over each group, shape (count,)."""
        return np.bincount(self.codes, weights=values, minlength=self.count)

    def take(self, chosen: NDArray) -> Groups:
        """Return the groups of some of the samples, as a mask or as row numbers."""
        if chosen.dtype == bool and chosen.all():
            return self
        return Groups(self.codes[chosen])


def wilson(p: NDArray | float, n: NDArray | float, groups: NDArray | int) -> tuple[Any, Any]:
    """Return Wilson's interval of proportions; the quantile is Student's t of the number of groups less one.

    Parameters
    ----------
    p : float or ndarray
        Observed proportions.
    n : float or ndarray
        Effective numbers of samples.
    groups : int or ndarray

    Returns
    -------
    low, high : float or ndarray
        NaN where there are fewer than ``FEWEST_GROUPS`` groups.
    """
    t = quantile_of_t(groups)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = t**2 / n
        middle = (p + share / 2) / (1 + share)
        half = t / (1 + share) * np.sqrt(p * (1 - p) / n + share / (4 * n))
    return np.maximum(middle - half, 0.0), np.minimum(middle + half, 1.0)


def quantile_of_t(groups: NDArray | int) -> Any:
    """Return the quantile of Student's t for a 95 % interval, NaN below ``FEWEST_GROUPS`` groups."""
    count = np.asarray(groups, dtype=float)
    t = special.stdtrit(np.maximum(count - 1, 1), (1 + LEVEL) / 2)
    return np.where(count >= FEWEST_GROUPS, t, np.nan)[()]


def effective_size(
    p: NDArray | float, n: NDArray | float, squares: NDArray | float, residuals: NDArray | float
) -> Any:
    """Return how many independent samples a proportion over groups is worth: n divided by the design effect.

    Parameters
    ----------
    p : float or ndarray
        Proportions.
    n : float or ndarray
        Numbers of samples.
    squares : float or ndarray
        Sum over the groups of the squared number of samples.
    residuals : float or ndarray
        Sum over the groups of the squared sum of (hit - p).

    Notes
    -----
    The design effect is that of a ratio of sums over groups, between 1 and its value where the samples of a group are
    all alike. Where no hit or no miss was seen it is the latter, since nothing says that they are not.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        largest = np.maximum(squares / n, 1.0)
        effect = np.asarray(residuals) / (n * p * (1 - p))
    effect = np.where(np.isfinite(effect), np.clip(effect, 1.0, largest), largest)
    return (n / effect)[()]


def proportion(hits: NDArray, groups: Groups) -> Estimate:
    """Return the share of hits with Wilson's interval.

    Parameters
    ----------
    hits : ndarray of bool, shape (n,)
    groups : Groups
    """
    n = len(hits)
    if not n:
        return Estimate(np.nan, np.nan, np.nan, 0, 0)
    p = float(np.mean(hits))
    sizes = groups.sizes
    residuals = groups.sums(hits) - p * sizes
    correction = groups.count / max(groups.count - 1, 1)
    size = effective_size(p, n, float(np.sum(sizes**2.0)), correction * float(np.sum(residuals**2)))
    size = float(n) if groups.alone else size
    low, high = wilson(p, size, groups.count)
    return Estimate(p, float(low), float(high), n, groups.count)


def mean(values: NDArray, groups: Groups) -> Estimate:
    """Return a mean with the interval of Student's t over sums of groups."""
    n = len(values)
    value = float(np.mean(values)) if n else np.nan
    return linearised(value, values - value, groups)


def design_effect(values: NDArray, groups: Groups) -> float:
    """Return by how much the variance of a mean is larger than that of independent samples."""
    n = len(values)
    if groups.alone or n < 2:
        return 1.0
    rest = values - np.mean(values)
    alone = float(np.sum(rest**2))
    together = float(np.sum(groups.sums(rest) ** 2)) * groups.count / max(groups.count - 1, 1)
    return max(together / alone, 1.0) if alone else 1.0


def linearised(value: float, influence: NDArray, groups: Groups) -> Estimate:
    """Return an estimate whose interval follows from what each sample adds to its error.

    Parameters
    ----------
    value : float
    influence : ndarray, shape (n,)
        Influence of each sample on the statistic times n, with mean 0.
    groups : Groups
    """
    n, count = len(influence), groups.count
    variance = float(np.sum(groups.sums(influence) ** 2)) / max(n, 1) ** 2
    half = quantile_of_t(count) * math.sqrt(variance * count / max(count - 1, 1))
    return Estimate(value, value - half, value + half, n, count)


class Resampler:
    """Bootstrap over groups of statistics that are functions of sums over samples.

    Parameters
    ----------
    groups : Groups
    seed : int
        Of the draws; equal seeds give equal intervals.

    Notes
    -----
    Percentiles are expanded by the quantile of Student's t (Hesterberg 2015), without which intervals of few groups are
    too short. Where there are more than ``BUNDLES`` groups, groups are put together at random first: sums stay the
    same, and the variance of a bundle is that of its groups.
    """

    def __init__(self, groups: Groups, seed: int = 0) -> None:
        self.groups = groups
        rng = np.random.default_rng(seed)
        self._units = min(groups.count, BUNDLES)
        unit = rng.permutation(groups.count) % max(self._units, 1)
        self._codes = groups.codes if groups.count <= BUNDLES else unit[groups.codes]
        self._rng_seed = seed

    @cached_property
    def _weights(self) -> NDArray:
        """How often each draw has each unit, shape (RESAMPLES, units)."""
        rng = np.random.default_rng(self._rng_seed + 1)
        share = np.full(self._units, 1 / self._units)
        return rng.multinomial(self._units, share, size=RESAMPLES).astype(float)

    def sums(self, columns: list[NDArray]) -> NDArray:
        """Return the sums of columns of shape (n,) over the units that are drawn, shape (units, number of columns)."""
        found = [np.bincount(self._codes, weights=each, minlength=self._units) for each in columns]
        return np.stack(found, axis=1)

    def sums_of_bins(self, values: NDArray, bins: NDArray, count: int) -> NDArray:
        """Return the sums of values of shape (n,) over units and bins 0 … count - 1, shape (units, count)."""
        cells = self._codes * count + bins
        found = np.bincount(cells, weights=values, minlength=self._units * count)
        return found.reshape(self._units, count)

    def estimate(
        self, statistic: Callable[[NDArray], NDArray], sums: NDArray, *, centred: bool = False
    ) -> Estimate:
        """Return a statistic with its interval.

        Parameters
        ----------
        statistic : callable
            Takes sums over samples, shape (..., columns), and returns values, shape (...).
        sums : ndarray, shape (units, columns)
            As ``sums`` and ``sums_of_bins`` return them.
        centred : bool
            Move the draws so that their mean is the value: for statistics that noise makes larger, such as squares.
        """
        n, count = len(self.groups), self.groups.count
        with np.errstate(invalid="ignore", divide="ignore"):
            value = float(statistic(np.sum(sums, axis=0)))
            if count < FEWEST_GROUPS:
                return Estimate(value, np.nan, np.nan, n, count)
            draws = statistic(self._weights @ sums)
        draws = draws[np.isfinite(draws)]
        if not len(draws):
            return Estimate(value, np.nan, np.nan, n, count)
        if centred:
            draws = draws + (value - np.mean(draws))
        reach = math.sqrt(self._units / (self._units - 1)) * float(quantile_of_t(self._units))
        tail = float(stats.norm.sf(reach))
        low, high = np.quantile(draws, [tail, 1 - tail])
        return Estimate(value, float(low), float(high), n, count)


def means_of_bins(
    values: NDArray, bins: NDArray, count: int, groups: Groups, *, hits: bool
) -> dict[str, NDArray]:
    """Return the mean of values in each bin, with intervals.

    Parameters
    ----------
    values : ndarray, shape (n,)
    bins : ndarray of int, shape (n,)
        Bin of each sample, 0 … ``count`` - 1.
    count : int
    groups : Groups
    hits : bool
        Whether values are 0 and 1: Wilson's interval, else that of Student's t over groups.

    Returns
    -------
    dict
        ``value``, ``low``, ``high``, ``n``, ``groups``, each of shape (count,).
    """
    values = np.asarray(values, dtype=float)
    n = np.bincount(bins, minlength=count).astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        value = np.bincount(bins, weights=values, minlength=count) / n
        if groups.alone:
            present = squares = n
            residuals = np.bincount(bins, weights=(values - value[bins]) ** 2, minlength=count)
        else:
            cells, inside = np.unique(groups.codes * count + bins, return_inverse=True)
            rest = np.bincount(inside.reshape(-1), weights=values - value[bins])
            sizes = np.bincount(inside.reshape(-1)).astype(float)
            of_bin = cells % count
            present = np.bincount(of_bin, minlength=count).astype(float)
            squares = np.bincount(of_bin, weights=sizes**2, minlength=count)
            residuals = np.bincount(of_bin, weights=rest**2, minlength=count)
        residuals = residuals * present / np.maximum(present - 1, 1)
        if hits:
            size = n if groups.alone else effective_size(value, n, squares, residuals)
            low, high = wilson(value, size, present)
        else:
            half = quantile_of_t(present) * np.sqrt(residuals) / n
            low, high = value - half, value + half
    return {
        "value": value,
        "low": low,
        "high": high,
        "n": n.astype(np.int64),
        "groups": present.astype(np.int64),
    }
