"""How well a single number of a sample tells its class, beside chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from deepbench.probing.by_label import equal_count_bins
from deepbench.probing.intervals import Estimate, Groups, linearised, plain, quantile_of_t

BINS = 32
"""Largest number of bins of the number in which classes are counted."""

PER_BIN = 40
"""Smallest mean number of samples of a bin."""

FEWEST = 20
"""Smallest number of samples of a class that enters."""


@dataclass(frozen=True)
class Telling:
    """How well a number tells the class.

    Attributes
    ----------
    name : str
    kind : str
        ``drawn`` (a label that the recipe draws), ``measured`` (a label that follows), or ``statistic`` (of the data).
    classes : tuple of str
        Classes that have the number.
    accuracy : dict of str to Estimate
        Balanced accuracy by split, learned from the first one.
    eta_squared : float
        Share of the variance of the number between classes, in the first split (the correlation ratio).
    p_value : float
        That the accuracy in the first split is so far above chance by chance.
    """

    name: str
    kind: str
    classes: tuple[str, ...]
    accuracy: dict[str, Estimate]
    eta_squared: float
    p_value: float

    @property
    def chance(self) -> float:
        """Balanced accuracy of a guess."""
        return 1 / len(self.classes)

    @property
    def skill(self) -> float:
        """Place of the accuracy in the first split between chance (0) and certainty (1)."""
        return (next(iter(self.accuracy.values())).value - self.chance) / (1 - self.chance)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "name": self.name,
            "kind": self.kind,
            "classes": list(self.classes),
            "chance": self.chance,
            "skill": plain(self.skill),
            "eta_squared": plain(self.eta_squared),
            "p_value": plain(self.p_value),
            "accuracy": {split: each.to_dict() for split, each in self.accuracy.items()},
        }


@dataclass(frozen=True)
class Samples:
    """Classes, splits and groups of the samples that are looked at.

    Attributes
    ----------
    codes, split_codes, groups : ndarray of int, shape (n,)
    classes, splits : tuple of str
    first : int
        Code of the split from which is learned.
    seed : int
        Of the halves.
    """

    codes: NDArray
    split_codes: NDArray
    groups: NDArray
    classes: tuple[str, ...]
    splits: tuple[str, ...]
    first: int
    seed: int = 0

    def halves(self, rows: NDArray) -> NDArray:
        """Return which of some rows are in the first half; groups are never torn."""
        groups = Groups(self.groups[rows])
        side = np.random.default_rng(self.seed).permutation(groups.count) % 2 == 0
        return side[groups.codes]


def tell_class(name: str, kind: str, values: NDArray, samples: Samples) -> Telling | None:
    """Return how well a number tells the class; None where fewer than two classes have it, or it has one value.

    The number is cut into bins of equal numbers of samples, and the class that is most frequent in a bin, were all
    equally frequent, is called. In the first split each half is called by what the other half says.

    Parameters
    ----------
    name, kind : str
    values : ndarray, shape (n,)
        NaN where a sample has none.
    samples : Samples
    """
    chosen = _with_value(values, samples)
    if chosen is None:
        return None
    rows, classes = chosen
    number = np.full(len(samples.classes), -1)
    number[classes] = np.arange(len(classes))

    def call(learned: NDArray, asked: NDArray) -> NDArray:
        codes = number[samples.codes[learned]]
        most = int(np.clip(len(learned) // PER_BIN, 2, BINS))
        bins = equal_count_bins(name, values[learned], most)
        if bins is None:
            return np.zeros(len(asked), dtype=int)
        table = np.bincount(
            codes * bins.count + bins.codes, minlength=len(classes) * bins.count
        ).reshape(len(classes), bins.count)
        share = (table + 0.5) / (table.sum(axis=1, keepdims=True) + 1)
        place = np.clip(
            np.searchsorted(bins.lows, values[asked], side="right") - 1, 0, bins.count - 1
        )
        return np.argmax(share, axis=0)[place]

    return _told(name, kind, rows, number[samples.codes], classes, samples, call, values)


def tell_class_together(
    name: str, table: Sequence[NDArray], samples: Samples, kind: str = "statistic"
) -> Telling | None:
    """Return how well several numbers together tell the class: least squares on their ranks and the squares of these.

    Takes what ``tell_class`` does, but several numbers; those that are missing count as typical.
    """
    ranks = [_scores(values) for values in table]
    features = np.stack([np.ones(len(samples.codes)), *ranks, *(each**2 for each in ranks)], axis=1)
    chosen = _with_value(features[:, 1] * 0.0, samples)
    if chosen is None:
        return None
    rows, classes = chosen
    number = np.full(len(samples.classes), -1)
    number[classes] = np.arange(len(classes))

    def call(learned: NDArray, asked: NDArray) -> NDArray:
        codes = number[samples.codes[learned]]
        weight = 1 / np.bincount(codes, minlength=len(classes))[codes]
        wanted = np.eye(len(classes))[codes] * weight[:, None]
        own = features[learned]
        matrix = own.T @ (own * weight[:, None])
        ridge = 1e-6 * np.trace(matrix) / len(matrix) * np.eye(len(matrix))
        return np.argmax(features[asked] @ np.linalg.solve(matrix + ridge, own.T @ wanted), axis=1)

    return _told(name, kind, rows, number[samples.codes], classes, samples, call, None)


def _scores(values: NDArray) -> NDArray:
    """Return values as normal scores of their ranks; 0 where they are missing."""
    found = np.zeros(len(values))
    present = np.isfinite(values)
    order = np.argsort(np.argsort(values[present], kind="stable"), kind="stable")
    found[present] = special.ndtri((order + 0.5) / max(len(order), 1))
    return found


def _with_value(values: NDArray, samples: Samples) -> tuple[NDArray, NDArray] | None:
    """Return the rows that have a number, and the classes of which enough do; None where there are fewer than two."""
    first = samples.split_codes == samples.first
    present = np.isfinite(values)
    count = np.bincount(samples.codes[present & first], minlength=len(samples.classes))
    classes = np.flatnonzero(count >= FEWEST)
    if len(classes) < 2:
        return None
    return np.flatnonzero(present & np.isin(samples.codes, classes)), classes


def _told(
    name: str,
    kind: str,
    rows: NDArray,
    codes: NDArray,
    classes: NDArray,
    samples: Samples,
    call: Any,
    values: NDArray | None,
) -> Telling | None:
    """Return how well ``call(learned rows, asked rows)`` tells the classes, by split."""
    first = rows[samples.split_codes[rows] == samples.first]
    half = samples.halves(first)
    one, two = first[half], first[~half]
    if min(len(one), len(two)) < FEWEST:
        return None
    called = np.full(len(codes), -1)
    called[two], called[one] = call(one, two), call(two, one)
    rest = rows[samples.split_codes[rows] != samples.first]
    if len(rest):
        called[rest] = call(first, rest)
    order = [samples.first, *(k for k in range(len(samples.splits)) if k != samples.first)]
    accuracy = {}
    for split in order:
        own = rows[samples.split_codes[rows] == split]
        if len(own):
            hits = (called[own] == codes[own]).astype(float)
            accuracy[samples.splits[split]] = _balanced(
                hits, codes[own], Groups(samples.groups[own])
            )
    names = tuple(samples.classes[k] for k in classes)
    found = accuracy[samples.splits[samples.first]]
    eta = np.nan if values is None else _eta_squared(values[first], codes[first], len(classes))
    return Telling(name, kind, names, accuracy, eta, _p_value(found, 1 / len(classes)))


def _balanced(hits: NDArray, codes: NDArray, groups: Groups) -> Estimate:
    """Return the mean over classes of the share of hits, with an interval of what each sample adds to its error."""
    count = np.bincount(codes)
    present = count > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.bincount(codes, weights=hits) / count
    weight = len(hits) / (count[codes] * present.sum())
    return linearised(float(share[present].mean()), (hits - share[codes]) * weight, groups)


def _p_value(found: Estimate, chance: float) -> float:
    """Return the probability of an accuracy that is so far above chance; 1 where there is no interval."""
    if not np.isfinite(found.high):
        return 1.0
    error = (found.high - found.value) / float(quantile_of_t(found.groups))
    if not error:
        return 0.0 if found.value > chance else 1.0
    return float(special.stdtr(found.groups - 1, -(found.value - chance) / error))


def _eta_squared(values: NDArray, codes: NDArray, classes: int) -> float:
    """Return the share of the variance that is between classes."""
    n = np.bincount(codes, minlength=classes)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.bincount(codes, weights=values, minlength=classes) / n
    total = float(np.sum((values - values.mean()) ** 2))
    between = float(np.nansum(n * (means - values.mean()) ** 2))
    return between / total if total else float("nan")
