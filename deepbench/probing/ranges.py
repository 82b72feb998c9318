"""Ranges of labels, and the pair of them in which a score is largest: the search for slices.

Every pair of labels, or of a label and the class, is searched over all ranges of their bins: sums over ranges follow
from cumulative sums of one table of counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from deepbench.probing.by_label import equal_count_bins

BINS = 16
"""Largest number of bins of a label, whose ranges are searched."""

FINE = 96
"""Largest number of bins of a label between which the ends of a slice are moved."""

ROUNDS = 2
"""How often the ends of each of its labels are moved."""

MOST_CLASSES = 32
"""Largest number of classes that are searched."""


@dataclass(frozen=True)
class Feature:
    """Codes of samples, -1 where there is none, and the ranges of codes that are searched.

    Attributes
    ----------
    label : str
    codes : ndarray of int16, shape (n,)
    lows, highs : ndarray, shape (count,)
        Smallest and largest value of each code.
    firsts, lasts : ndarray of int
        First and last code of each range.
    exact : bool
        Whether each code is one value, so that ranges do not reach beyond it.
    names : tuple of str
        Names of classes; empty for labels.
    """

    label: str
    codes: NDArray
    lows: NDArray
    highs: NDArray
    firsts: NDArray
    lasts: NDArray
    exact: bool = False
    names: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """Number of codes."""
        return len(self.lows)

    @classmethod
    def of_label(cls, label: str, values: NDArray, most: int) -> Feature | None:
        """Return all ranges of the bins of a label; None where it has one value."""
        bins = equal_count_bins(label, values, most)
        if bins is None:
            return None
        ranges = np.triu_indices(bins.count)
        return cls(label, bins.codes, bins.lows, bins.highs, *ranges, bins.exact)

    @classmethod
    def of_classes(cls, codes: NDArray, names: Sequence[str]) -> Feature:
        """Return the classes, one at a time."""
        every = np.arange(len(names))
        codes = codes.astype(np.int16)
        return cls("class", codes, every, every, every, every, True, tuple(names))

    def inside(self, chosen: int, rows: NDArray | slice = slice(None)) -> NDArray:
        """Return which samples are in a range."""
        codes = self.codes[rows]
        return (codes >= self.firsts[chosen]) & (codes <= self.lasts[chosen])


Candidate = tuple[tuple[Feature, int], ...]
"""Features, each with the number of one of its ranges; a sample belongs to it that is in all of them."""


def features(
    labels: Mapping[str, NDArray], classes: NDArray, names: Sequence[str]
) -> list[Feature]:
    """Return what slices are made of: ranges of bins of labels, and classes; one class is the partner of one label."""
    cut = (Feature.of_label(label, values, BINS) for label, values in labels.items())
    found = [each for each in cut if each is not None]
    if 1 < len(names) <= MOST_CLASSES or len(names) == len(found) == 1:
        found.insert(0, Feature.of_classes(classes, names))
    return found


def _sums_of_ranges(table: NDArray, feature: Feature, axis: int) -> NDArray:
    """Return the sums of a table over all ranges of a feature along an axis."""
    total = np.cumsum(table, axis=axis)
    zero = np.zeros_like(np.take(total, [0], axis=axis))
    total = np.concatenate([zero, total], axis=axis)
    return np.take(total, feature.lasts + 1, axis=axis) - np.take(total, feature.firsts, axis=axis)


def best_candidate(
    found: list[Feature], rows: NDArray, scores: NDArray, fewest: float
) -> tuple[float, Candidate]:
    """Return the candidate whose mean score is most standard errors above that of all rows, and that number."""
    n = len(rows)
    if not n:
        return 0.0, ()
    scores = scores - scores.mean()
    deviation = scores.std()
    if not deviation:
        return 0.0, ()
    best: tuple[float, Candidate] = (0.0, ())
    codes = [(each.codes[rows] + 1).astype(np.int32) for each in found]  # 0: has no such label
    for i, j in combinations(range(len(found)), 2):
        one, two = found[i], found[j]
        shape = (one.count + 1, two.count + 1)
        cell = codes[i] * shape[1] + codes[j]
        counts = np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape)
        sums = np.bincount(cell, weights=scores, minlength=shape[0] * shape[1]).reshape(shape)
        size, total = (
            _sums_of_ranges(_sums_of_ranges(each[1:, 1:], one, 0), two, 1)
            for each in (counts.astype(float), sums)
        )
        z = _excess(total / deviation, size, n, fewest)
        place = int(np.argmax(z))
        if z.flat[place] > best[0]:
            a, b = np.unravel_index(place, z.shape)
            best = (float(z.flat[place]), ((one, int(a)), (two, int(b))))
    return best


def _excess(total: NDArray, size: NDArray, n: int, fewest: float) -> NDArray:
    """Return by how many standard errors the mean of some samples is above that of the rest; 0 for few samples.

    ``total`` are sums over them of scores with mean 0 and standard deviation 1, so that their mean is
    total / size + total / (n - size) above that of the rest.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        z = total * np.sqrt(n / (size * (n - size)))
    z[(size < fewest) | (size > n - fewest)] = 0.0
    return z


def refined(
    candidate: Candidate,
    labels: Mapping[str, NDArray],
    rows: NDArray,
    scores: NDArray,
    fewest: float,
) -> Candidate:
    """Return a candidate with ends between the bins that raise its excess: each label in turn, the other fixed."""
    scores = (scores - scores.mean()) / scores.std()
    parts = list(candidate)
    for turn in range(2 * ROUNDS):
        k = turn % len(parts)
        feature = parts[k][0]
        if feature.names or feature.exact:
            continue
        if feature.count <= BINS:
            fine = Feature.of_label(feature.label, labels[feature.label], FINE)
            assert fine is not None
        else:
            fine = feature
        others = [each.inside(chosen, rows) for i, (each, chosen) in enumerate(parts) if i != k]
        here = np.logical_and.reduce([fine.codes[rows] >= 0, *others])
        codes = fine.codes[rows][here]
        size = np.bincount(codes, minlength=fine.count).astype(float)
        total = np.bincount(codes, weights=scores[here], minlength=fine.count)
        z = _excess(
            _sums_of_ranges(total, fine, 0), _sums_of_ranges(size, fine, 0), len(rows), fewest
        )
        parts[k] = (fine, int(np.argmax(z)))
    return tuple(parts)


def members(candidate: Candidate) -> NDArray:
    """Return which samples are in a candidate."""
    one, two = (feature.inside(chosen) for feature, chosen in candidate)
    inside: NDArray = one & two
    return inside
