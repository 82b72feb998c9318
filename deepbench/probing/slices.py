"""Slices: the ranges of two labels, or of a label and a class, in which a model fails most.

Every pair of labels is searched, over all ranges of their bins, on one half of the groups. What is found is tested and
sized on the other half, where no choice was made. Then its samples are set aside, and the search goes on without them,
so that one failure is told once. Tests are held to a false discovery rate under any dependence (Benjamini and Yekutieli
2001, Annals of Statistics 29, 1165).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special, stats

from deepbench.language.plain import digits
from deepbench.probing.intervals import Estimate, Groups, effective_size, mean, plain, proportion
from deepbench.probing.ranges import Candidate, Feature, best_candidate, features, members, refined
from deepbench.probing.truth import Truth

RATE = 0.05
"""Largest rate of false discoveries among the slices that are told."""

SMALLEST = 0.01
"""Smallest share of the samples that a slice has."""

FEWEST = 20
"""Smallest number of samples of a slice in either half."""

MOST = 8
"""Largest number of slices that are tested."""

LEAST_EFFECT = 0.02
"""Smallest excess that is told: of a share of errors, and of other losses in units of their standard deviation."""

START = 3.0
"""Smallest excess, in standard errors on the half that is searched, that is worth a test."""

POWER = 0.8
"""Probability with which an excess as large as the one that is stated as detectable is found."""


@dataclass(frozen=True)
class Condition:
    """A range of a label, both ends inside, or a class.

    Attributes
    ----------
    label : str
        Name of a label, or ``class``.
    low, high : float
        Smallest and largest value; infinite where the range reaches the end. NaN for a class.
    category : str
        Name of the class; empty for a label.
    """

    label: str
    low: float = float("nan")
    high: float = float("nan")
    category: str = ""

    def __str__(self) -> str:
        if self.category:
            return f"{self.label} == {self.category}"
        low, high = (f"{each:.4g}" for each in (self.low, self.high))
        if self.low == self.high:
            return f"{self.label} == {digits(self.low)}"
        if not math.isfinite(self.low):
            return f"{self.label} <= {high}" if math.isfinite(self.high) else f"has {self.label}"
        if not math.isfinite(self.high):
            return f"{self.label} >= {low}"
        return f"{low} <= {self.label} <= {high}"

    def holds(self, truth: Truth) -> NDArray:
        """Return which samples meet it, bool[n]."""
        if self.category:
            return truth.codes == truth.classes.index(self.category)
        values = truth.labels[self.label]
        return (values >= self.low) & (values <= self.high)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        if self.category:
            return {"label": self.label, "class": self.category}
        return {"label": self.label, "low": plain(self.low), "high": plain(self.high)}


@dataclass(frozen=True)
class Slice:
    """Samples among which a model fails more than elsewhere.

    Attributes
    ----------
    target : str
        What is predicted.
    conditions : tuple of Condition
        One or two, all of which hold.
    error : Estimate
        Mean loss in the slice, on the half that was not searched.
    elsewhere : float
        Mean loss outside of all slices that were told before and of this one.
    samples : int
        Samples of both halves.
    p_value : float
        Of the test, among the samples of no earlier slice.
    """

    target: str
    conditions: tuple[Condition, ...]
    error: Estimate
    elsewhere: float
    samples: int
    p_value: float

    def __str__(self) -> str:
        return " and ".join(map(str, self.conditions))

    def holds(self, truth: Truth) -> NDArray:
        """Return which samples belong to it, bool[n]."""
        return np.all([each.holds(truth) for each in self.conditions], axis=0)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "target": self.target,
            "where": str(self),
            "conditions": [each.to_dict() for each in self.conditions],
            "error": self.error.to_dict(),
            "elsewhere": self.elsewhere,
            "samples": self.samples,
            "p_value": self.p_value,
        }


@dataclass(frozen=True)
class Slices(Sequence[Slice]):
    """The slices of one target, the clearest first.

    Attributes
    ----------
    found : tuple of Slice
    least_effect : float
        Smallest excess that is told, in units of the loss.
    detectable : float
        Excess that a slice of the smallest size must have to be found with probability ``POWER``; NaN where there are
        too few samples for a search.
    smallest : int
        Smallest number of samples of a slice.
    """

    found: tuple[Slice, ...]
    least_effect: float
    detectable: float
    smallest: int

    def __len__(self) -> int:
        return len(self.found)

    def __getitem__(self, index: Any) -> Any:
        return self.found[index]

    def to_frame(self) -> pd.DataFrame:
        """Return one row per slice."""
        columns = [
            "target",
            "where",
            "error",
            "low",
            "high",
            "n",
            "groups",
            "elsewhere",
            "samples",
            "p_value",
        ]
        rows = [
            (
                each.target,
                str(each),
                *astuple(each.error),
                each.elsewhere,
                each.samples,
                each.p_value,
            )
            for each in self.found
        ]
        return pd.DataFrame(rows, columns=columns)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "found": [each.to_dict() for each in self.found],
            "least_effect": plain(self.least_effect),
            "detectable": plain(self.detectable),
            "smallest": self.smallest,
        }


def _p_value(scores: NDArray, inside: NDArray, groups: Groups, hits: bool) -> float:
    """Return the probability that the mean score inside is so far above that of the rest by chance, over groups."""
    n, total = int(np.sum(inside)), len(scores)
    if n == 0 or n == total:
        return 1.0
    rest, own = float(np.mean(scores[~inside])), float(np.mean(scores[inside]))
    chosen = groups.take(inside)
    residuals = chosen.sums(scores[inside] - own)
    if hits and 0 < rest < 1:
        size = float(n)
        if not chosen.alone:
            squares, correction = (
                np.sum(chosen.sizes**2.0),
                chosen.count / max(chosen.count - 1, 1),
            )
            size = effective_size(own, n, squares, correction * np.sum(residuals**2))
        # An exact binomial tail; the rest is a sample, too, which makes the number of trials smaller.
        size = size / (1 + n / (total - n))
        return float(special.betainc(max(own * size, 1e-9), (1 - own) * size + 1, rest))
    others = groups.take(~inside)
    apart = others.sums(scores[~inside] - rest)
    error = math.sqrt(np.sum(residuals**2) / n**2 + np.sum(apart**2) / (total - n) ** 2)
    if not error:
        return 1.0 if own <= rest else 0.0
    return float(stats.t.sf((own - rest) / error, max(chosen.count - 1, 1)))


def find_slices(
    losses: NDArray,
    labels: Mapping[str, NDArray],
    classes: NDArray,
    names: Sequence[str],
    groups: Groups,
    *,
    target: str = "class",
    hits: bool = True,
    least_effect: float | None = None,
    seed: int = 0,
) -> Slices:
    """Return the slices in which the mean loss is larger than elsewhere.

    Parameters
    ----------
    losses : ndarray, shape (n,)
    labels : mapping of str to ndarray, shape (n,)
        NaN where a sample has no such label.
    classes : ndarray of int, shape (n,)
        Codes of ``names``.
    names : sequence of str
    groups : Groups
        Halves never tear a group.
    target : str
    hits : bool
        Whether losses are 0 and 1; others are searched and tested by their ranks, so that few large ones do not decide.
    least_effect : float, optional
        Smallest excess, in units of the loss.
    seed : int
        Of the halves.

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> radius = random.uniform(1, 10, 4000)
    >>> wrong = random.random(4000) < np.where(radius < 3, 0.5, 0.05)
    >>> classes, groups = np.zeros(4000, int), Groups(np.arange(4000))
    >>> found = find_slices(wrong, {"radius": radius}, classes, ["circle"], groups)
    >>> [(str(each), round(each.error.value, 2), round(each.elsewhere, 2)) for each in found]
    [('radius <= 3.036', 0.5, 0.05)]
    """
    n = len(losses)
    fewest = max(SMALLEST * n / 2, FEWEST)
    if least_effect is None:
        least_effect = LEAST_EFFECT if hits else LEAST_EFFECT * float(np.std(losses))
    side = np.random.default_rng(seed).permutation(groups.count) % 2 == 0
    first = side[groups.codes]
    searched, tested = np.flatnonzero(first), np.flatnonzero(~first)
    smallest = math.ceil(2 * fewest)
    if min(len(searched), len(tested)) < 2 * fewest or groups.count < 20:
        return Slices((), least_effect, float("nan"), smallest)
    scores = losses.astype(float) if hits else stats.rankdata(losses) / n
    every = features(labels, classes, names)
    remaining = np.ones(n, dtype=bool)
    tests: list[tuple[float, tuple[Condition, ...], float, Estimate, int]] = []
    while len(tests) < MOST:
        left = searched[remaining[searched]]
        z, candidate = best_candidate(every, left, scores[left], fewest)
        if z < START:
            break
        candidate = refined(candidate, labels, left, scores[left], fewest)
        inside = members(candidate)
        rows = tested[remaining[tested]]
        here = inside[rows]
        p = _p_value(scores[rows], here, groups.take(rows), hits)
        whole = tested[inside[tested]]
        error = (proportion if hits else mean)(losses[whole], groups.take(whole))
        elsewhere = float(np.mean(losses[rows[~here]])) if not here.all() else float("nan")
        conditions = _conditions(candidate)
        tests.append((p, conditions, elsewhere, error, int(np.sum(inside))))
        remaining &= ~inside
    told = discoveries([p for p, *_ in tests])
    found = tuple(
        Slice(target, conditions, error, elsewhere, size, p)
        for (p, conditions, elsewhere, error, size), discovered in zip(tests, told, strict=True)
        if discovered and error.value - elsewhere >= least_effect
    )
    deviation = float(np.std(losses[tested]))
    reach = stats.norm.isf(RATE) + stats.norm.isf(1 - POWER)
    detectable = max(reach * deviation / math.sqrt(fewest), least_effect)
    return Slices(found, least_effect, detectable, smallest)


def _conditions(candidate: Candidate) -> tuple[Condition, ...]:
    """Return what a candidate says, without what follows, such as the class of a sample with a label of that class."""
    one, two = (feature.inside(chosen) for feature, chosen in candidate)
    said = [_condition(feature, chosen) for feature, chosen in candidate]
    if not (two & ~one).any():
        said = said[1:]
    elif not (one & ~two).any():
        said = said[:1]
    return tuple(each for each in said if each is not None)


def _condition(feature: Feature, chosen: int) -> Condition | None:
    """Return what a range of a feature says; None where all samples are in it."""
    first, last = feature.firsts[chosen], feature.lasts[chosen]
    if feature.names:
        return Condition(feature.label, category=feature.names[first])
    whole = first == 0 and last == feature.count - 1
    if whole and not (feature.codes < 0).any():
        return None
    low = float(feature.lows[first]) if first or feature.exact else -math.inf
    high = float(feature.highs[last]) if last < feature.count - 1 or feature.exact else math.inf
    return Condition(feature.label, low, high)


def discoveries(p_values: Sequence[float], rate: float = RATE) -> list[bool]:
    """Return which hypotheses are rejected at a false discovery rate, under any dependence of them."""
    p = np.asarray(p_values, dtype=float)
    if not len(p):
        return []
    return [bool(each <= rate) for each in stats.false_discovery_control(p, method="by")]
