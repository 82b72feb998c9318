"""Tests of posterior samples: ranks of the truth, and coverage of regions around random points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from deepbench.probing.intervals import Groups, means_of_bins, plain

RANK_BINS = 20
"""Largest number of bins of a histogram of ranks."""

CREDIBILITIES = np.linspace(0, 1, 21)
"""Credibilities at which the coverage of TARP is told."""


def ranks(truth: NDArray, draws: NDArray, rng: np.random.Generator) -> NDArray:
    """Return the rank of each truth among its draws, 0 … k; ties are broken at random (Talts et al. 2018)."""
    low = np.sum(draws < truth[:, None], axis=1)
    ties = np.sum(draws == truth[:, None], axis=1)
    return low + rng.integers(0, ties + 1)


@dataclass(frozen=True)
class Ranks:
    """Histogram of the ranks of simulation-based calibration.

    Attributes
    ----------
    draws : int
        Number of draws of each posterior.
    counts : tuple of int
        Truths in bins of equal numbers of ranks, but for the last, which may have fewer.
    expected : tuple of float
        Counts of a calibrated posterior.
    p_value : float
        Of the χ² test that ranks are uniform; NaN where groups hold several samples, which are not independent.
    mean, spread : float
        Mean of rank / k, 0.5 where there is no bias, and the variance of ranks in units of that of uniform ones: above
        1 the posterior is too narrow, below 1 too wide.
    """

    draws: int
    counts: tuple[int, ...]
    expected: tuple[float, ...]
    p_value: float
    mean: float
    spread: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "draws": self.draws,
            "counts": list(self.counts),
            "expected": list(self.expected),
            "p_value": plain(self.p_value),
            "mean": plain(self.mean),
            "spread": plain(self.spread),
        }


def rank_histogram(found: NDArray, draws: int, groups: Groups) -> Ranks:
    """Return the histogram of ranks 0 … ``draws`` in at most ``RANK_BINS`` bins."""
    width = -(-(draws + 1) // min(RANK_BINS, draws + 1))
    bins = -(-(draws + 1) // width)
    counts = np.bincount(found // width, minlength=bins)
    shares = np.full(bins, width / (draws + 1))
    shares[-1] = 1 - shares[:-1].sum()
    expected = shares * len(found)
    chi2 = float(np.sum((counts - expected) ** 2 / expected))
    uniform = draws * (draws + 2) / 12  # the variance of 0 … k
    return Ranks(
        draws,
        tuple(counts.tolist()),
        tuple(expected.tolist()),
        float(stats.chi2.sf(chi2, bins - 1)) if groups.alone else float("nan"),
        float(np.mean(found) / draws),
        float(np.var(found) / uniform),
    )


def tarp(truth: NDArray, draws: NDArray, rng: np.random.Generator) -> NDArray:
    """Return the credibility at which a region around a random point just holds each truth (Lemos et al. 2023).

    Each is the share of draws that lie nearer to a random point than the truth does, ties broken at random. Posteriors
    that are calibrated make these uniform.

    Parameters
    ----------
    truth : ndarray, shape (n, d)
    draws : ndarray, shape (n, k, d)
    rng : numpy Generator
        Draws the random points: uniform over the range of the truths, which is scaled to 0 … 1 in each dimension.
    """
    low, high = truth.min(axis=0), truth.max(axis=0)
    scale = np.where(high > low, high - low, 1.0)
    point = rng.random(truth.shape)
    own = np.sum(((truth - low) / scale - point) ** 2, axis=1)
    others = np.zeros(draws.shape[:2])
    for each in range(truth.shape[1]):
        others += ((draws[:, :, each] - low[each]) / scale[each] - point[:, each, None]) ** 2
    return (ranks(own, others, rng) + rng.random(len(own))) / (draws.shape[1] + 1)


def coverage(credibility: NDArray, groups: Groups) -> list[dict[str, Any]]:
    """Return the share of truths that regions of each credibility hold, with intervals."""
    rows = []
    everything = np.zeros(len(credibility), dtype=np.intp)
    for level in CREDIBILITIES:
        found = means_of_bins(credibility <= level, everything, 1, groups, hits=True)
        rows.append(
            {"credibility": float(level)} | {key: plain(each[0]) for key, each in found.items()}
        )
    return rows
