"""Metrics of values, and of what a model says of their uncertainty: a σ, quantiles, or draws.

Each function takes arrays along the samples and returns one number for each sample, unless it says otherwise.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

LEVELS = np.linspace(0.1, 0.9, 17)
"""Probabilities of the central intervals whose coverage is measured."""

ROOT_TWO = np.sqrt(2.0)


def gaussian_log_loss(truth: NDArray, mean: NDArray, sigma: NDArray) -> NDArray:
    """Return minus the logarithm of the density of a normal distribution at the truth."""
    pull = (truth - mean) / sigma
    return 0.5 * pull**2 + np.log(sigma) + 0.5 * np.log(2 * np.pi)


def gaussian_crps(truth: NDArray, mean: NDArray, sigma: NDArray) -> NDArray:
    """Return the continuous ranked probability score of a normal distribution (Gneiting et al. 2005, equation 5)."""
    pull = (truth - mean) / sigma
    density = np.exp(-0.5 * pull**2) / np.sqrt(2 * np.pi)
    return sigma * (pull * special.erf(pull / ROOT_TWO) + 2 * density - 1 / np.sqrt(np.pi))


def quantile_crps(truth: NDArray, levels: NDArray, quantiles: NDArray) -> NDArray:
    """Return twice the mean pinball loss of quantiles: the CRPS where the levels cover 0 … 1 evenly.

    Parameters
    ----------
    truth : ndarray, shape (n,)
    levels : ndarray, shape (q,)
        Between 0 and 1.
    quantiles : ndarray, shape (n, q)
    """
    gap = truth[:, None] - quantiles
    return 2 * np.mean(np.where(gap > 0, levels * gap, (levels - 1) * gap), axis=1)


def ensemble_crps(truth: NDArray, draws: NDArray) -> NDArray:
    """Return the CRPS from draws without bias for their number (Ferro 2014, the fair score).

    Parameters
    ----------
    truth : ndarray, shape (n,)
    draws : ndarray, shape (n, k)
        Two draws at least.
    """
    k = draws.shape[1]
    near = np.mean(np.abs(draws - truth[:, None]), axis=1)
    weights = 2 * np.arange(1, k + 1) - k - 1
    return near - np.sort(draws, axis=1) @ weights / (k * (k - 1))


def gaussian_pit(truth: NDArray, mean: NDArray, sigma: NDArray) -> NDArray:
    """Return the probability integral transform: the predicted probability of a value below the truth."""
    return special.ndtr((truth - mean) / sigma)


def quantile_pit(
    truth: NDArray, levels: NDArray, quantiles: NDArray, rng: np.random.Generator
) -> NDArray:
    """Return the transform of quantiles: linear between them, uniform at random where quantiles are equal or beyond.

    A truth below the lowest quantile has a random value below its level, and one above the highest a value above it.
    """
    ends = np.concatenate([[0.0], levels, [1.0]])
    below = np.sum(quantiles < truth[:, None], axis=1)
    upto = np.sum(quantiles <= truth[:, None], axis=1)
    low, high = ends[below], ends[upto + 1]
    inside = (below == upto) & (below > 0) & (below < len(levels))
    left = np.take_along_axis(quantiles, np.clip(below - 1, 0, None)[:, None], axis=1)[:, 0]
    right = np.take_along_axis(quantiles, np.clip(below, None, len(levels) - 1)[:, None], axis=1)[
        :, 0
    ]
    with np.errstate(invalid="ignore", divide="ignore"):
        share = (truth - left) / (right - left)
    return low + (high - low) * np.where(inside, share, rng.random(len(truth)))


def ensemble_pit(truth: NDArray, draws: NDArray, rng: np.random.Generator) -> NDArray:
    """Return the transform of draws: uniform between the draws next to the truth, at random (Czado et al. 2009)."""
    low = np.sum(draws < truth[:, None], axis=1)
    high = np.sum(draws <= truth[:, None], axis=1)
    return (low + (high - low + 1) * rng.random(len(truth))) / (draws.shape[1] + 1)


def covered(pit: NDArray, level: float) -> NDArray:
    """Return whether the truth lies in the central interval of a probability."""
    return np.abs(pit - 0.5) <= level / 2


def root_mean(sums: NDArray) -> NDArray:
    """Return the root of a mean; columns are squares and ones."""
    return np.sqrt(sums[..., 0] / sums[..., 1])


def ratio(sums: NDArray) -> NDArray:
    """Return a mean; columns are values and ones."""
    return sums[..., 0] / sums[..., 1]


def spread(sums: NDArray) -> NDArray:
    """Return a standard deviation; columns are squares, values and ones."""
    squares, values, n = (sums[..., each] / sums[..., 2] for each in range(3))
    return np.sqrt(np.maximum(squares - values**2, 0.0) + 0 * n)


def r2(sums: NDArray) -> NDArray:
    """Return the coefficient of determination; columns are squared errors, squared truths, truths and ones.

    Truths must have had their mean taken off, which changes nothing but rounding.
    """
    errors, squares, values, n = (sums[..., each] for each in range(4))
    return 1 - errors / (squares - values**2 / n)
