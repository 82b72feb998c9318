"""Metrics of classes and their probabilities.

Codes of classes are 0 … K - 1 in the order of the recipe; probabilities have shape (n, K).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from deepbench.probing.intervals import Estimate, Groups, Resampler, linearised

BINS = 15
"""Number of bins of confidence in which calibration is measured."""


def confusion_matrix(truth: NDArray, predicted: NDArray, classes: int) -> NDArray:
    """Return how often each class (rows) was called each class (columns)."""
    cells = np.bincount(truth.astype(np.intp) * classes + predicted, minlength=classes**2)
    return cells.reshape(classes, classes)


def balanced_accuracy(truth: NDArray, hits: NDArray, classes: int, draws: Resampler) -> Estimate:
    """Return the mean over the classes that occur of the share of their samples that are called right."""
    present = np.flatnonzero(np.bincount(truth, minlength=classes))
    sums = [
        draws.sums_of_bins(each, truth, classes)[:, present] for each in (np.ones(len(truth)), hits)
    ]

    def statistic(sums: NDArray) -> NDArray:
        each, right = np.split(sums, 2, axis=-1)
        return np.mean(right / each, axis=-1)

    return draws.estimate(statistic, np.concatenate(sums, axis=1))


def log_losses(truth: NDArray, probabilities: NDArray) -> NDArray:
    """Return minus the natural logarithm of the probability of each sample's class.

    Probabilities are kept above the resolution of their type, as scikit-learn's ``log_loss`` does: one confident
    mistake does not make the mean infinite.
    """
    tiny = np.finfo(probabilities.dtype).eps
    given = np.take_along_axis(probabilities, truth[:, None].astype(np.intp), axis=1)[:, 0]
    return -np.log(np.clip(given, tiny, 1 - tiny), dtype=float)


def brier_scores(truth: NDArray, probabilities: NDArray) -> NDArray:
    """Return Brier's score of each sample, 0 … 2: the squared error of the probabilities, summed over classes."""
    given = np.take_along_axis(probabilities, truth[:, None].astype(np.intp), axis=1)[:, 0]
    return np.sum(probabilities**2, axis=1, dtype=float) + 1 - 2 * given.astype(float)


def calibration_table(confidence: NDArray, hits: NDArray, bins: int = BINS) -> dict[str, NDArray]:
    """Return the number, the mean confidence and the share of hits of samples in bins of equal width of confidence."""
    codes = confidence_bins(confidence, bins)
    n = np.bincount(codes, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(codes, weights=confidence, minlength=bins) / n
        share = np.bincount(codes, weights=hits, minlength=bins) / n
    edges = np.linspace(0, 1, bins + 1)
    return {"low": edges[:-1], "high": edges[1:], "n": n, "confidence": mean, "accuracy": share}


def confidence_bins(confidence: NDArray, bins: int = BINS) -> NDArray:
    """Return the bin of each confidence: left ends are inside, and 1 belongs to the last."""
    inner = np.linspace(0, 1, bins + 1, dtype=confidence.dtype)[1:-1]
    return np.searchsorted(inner, confidence, side="right")


def calibration_error(confidence: NDArray, hits: NDArray, bins: int = BINS) -> float:
    """Return the expected calibration error (Guo et al. 2017): mean |accuracy - confidence| of bins.

    It is above 0 for a calibrated model, too, since bins hold few samples; ``debiased_error`` is not.
    """
    table = calibration_table(confidence, hits, bins)
    gaps = np.abs(table["accuracy"] - table["confidence"])
    return float(np.nansum(gaps * table["n"]) / len(confidence))


def debiased_error(
    pairs: list[tuple[NDArray, NDArray]], draws: Resampler, bins: int = BINS
) -> Estimate:
    """Return the root-mean-square calibration error without what chance adds (Kumar, Liang and Ma 2019, section 4).

    Parameters
    ----------
    pairs : list of (confidence, hits)
        Arrays of shape (n,): one pair for the class that is called, or one for each class, whose squares are averaged.
    draws : Resampler
    bins : int
        Bins of equal numbers of samples; equal confidences stay together.

    Notes
    -----
    Of each bin the squared gap less s (1 - s) / (n - 1) is taken, s the share of hits. The root of a sum below 0 is 0.
    """
    sums: list[NDArray] = []
    for confidence, hits in pairs:
        inner = np.unique(np.quantile(confidence, np.arange(1, bins) / bins))
        codes = np.searchsorted(inner, confidence, side="right")
        count = len(inner) + 1
        sums += [
            draws.sums_of_bins(values, codes, count)
            for values in (np.ones(len(codes)), confidence, hits)
        ]

    def statistic(sums: NDArray) -> NDArray:
        n, confidence, hits = (
            np.concatenate(np.split(sums, edges, axis=-1)[each::3], axis=-1) for each in range(3)
        )
        share = hits / n
        squares = (share - confidence / n) ** 2 - share * (1 - share) / (n - 1)
        total = len(draws.groups) * len(pairs)
        return np.sum(np.where(n > 1, squares, 0.0) * n, axis=-1) / total

    edges = np.cumsum([each.shape[1] for each in sums])[:-1]
    square = draws.estimate(statistic, np.concatenate(sums, axis=1), centred=True)
    value, low, high = (
        math.sqrt(max(each, 0.0)) if each == each else each
        for each in (square.value, square.low, square.high)
    )
    return Estimate(value, low, high, square.n, square.groups)


def auroc(scores: NDArray, positive: NDArray, groups: Groups) -> Estimate:
    """Return the area under the receiver operating characteristic: the chance that a positive scores higher.

    The interval is DeLong's (1988) over sums of groups (Obuchowski 1997), on the scale of the logit.

    Parameters
    ----------
    scores : ndarray, shape (n,)
    positive : ndarray of bool, shape (n,)
    groups : Groups
    """
    n, ones = len(scores), int(np.sum(positive))
    zeros = n - ones
    if not ones or not zeros:
        return Estimate(np.nan, np.nan, np.nan, n, groups.count)
    ranks = stats.rankdata(scores)
    own = np.empty(n)
    own[positive] = stats.rankdata(scores[positive])
    own[~positive] = stats.rankdata(scores[~positive])
    above = (ranks - own) / np.where(
        positive, zeros, ones
    )  # the share of the others that lie below
    value = float(np.mean(above[positive]))
    influence = np.where(positive, (above - value) * n / ones, (1 - above - value) * n / zeros)
    found = linearised(value, influence, groups)
    if not 0 < value < 1:
        return Estimate(value, np.nan, np.nan, n, groups.count)
    half = (found.high - value) / (value * (1 - value))
    middle = np.log(value / (1 - value))
    low, high = (float(1 / (1 + np.exp(-(middle + sign * half)))) for sign in (-1, 1))
    return Estimate(value, low, high, n, groups.count)
