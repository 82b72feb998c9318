"""The ceiling of a table: how well its labels can be measured and its classes be told apart, whatever the model."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deepbench.counterfactuals import twin, unchanged
from deepbench.errors import DeepBenchError
from deepbench.labelling.changes import dependents, drawn_values
from deepbench.labelling.scopes import VARIABLES
from deepbench.language.expressions import Expression
from deepbench.probing.bounds import (
    bounds_of,
    distances,
    information,
    is_known,
    likelihood_ratio_accuracy,
)
from deepbench.probing.costs import affordable
from deepbench.probing.intervals import Estimate, Groups, mean, plain
from deepbench.probing.signals import Model, Signals, known_noise
from deepbench.progress import Progress, silent

if TYPE_CHECKING:
    from deepbench.labelling.plan import LabelPlan
    from deepbench.probing.truth import Truth
    from deepbench.recipe import Recipe

SAMPLES = 64
"""Largest number of samples of a class from which its ceiling is known, where no number is asked for."""

RENDERED = 3_000
"""Number of samples that are rendered for the bounds of a class, about, where no number is asked for."""

VALUES = 2**26
"""Number of their values, about: of large samples fewer are rendered."""

FEWEST = 2
"""Smallest number of samples of a class that are looked at where no number is asked for, however slow they are."""

MOST_CLASSES = 8
"""Largest number of classes that are told apart in pairs."""

MOST_LABELS = 48
"""Largest number of labels of a class that have bounds together."""

DIFFERENT = 0.9
"""Share of the samples with a value of their own from which a label is continuous, if some values are not whole."""

MORE = f", for the sake of time: `--ceiling-samples {SAMPLES}` looks at {SAMPLES} of each class."
"""End of a sentence that says how many samples were looked at, where they are fewer than could be."""

ERROR = "_error"
"""End of the name of a label that is added to another, so that the sum is what a sample shows."""


@dataclass(frozen=True)
class Bound:
    """The Fisher bound of a label of a class.

    Attributes
    ----------
    label, category, unit : str
    rmse : float
        Smallest root-mean-square error of an unbiased estimate, of the samples where it is below ``spread``; NaN where
        there are none.
    spread : float
        Standard deviation of the label: the error of an estimate that looks at nothing.
    resolved, n : int
        Samples whose own bound is known and below ``spread``, and all that were looked at.
    """

    label: str
    category: str
    unit: str
    rmse: float
    spread: float
    resolved: int
    n: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {key: plain(value) for key, value in asdict(self).items()}


@dataclass(frozen=True)
class Separation:
    """The best accuracy with which two classes, equally frequent, are told apart.

    Attributes
    ----------
    classes : tuple of str
        Two of them.
    accuracy : Estimate
        Mean of the likelihood-ratio accuracy of pairs of signals.
    known : bool
        Whether each class is one signal: then a model can reach the accuracy. Else it is only an upper limit, as it
        is that of a judge who knows both signals of each pair.
    """

    classes: tuple[str, str]
    accuracy: Estimate
    known: bool

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "classes": list(self.classes),
            "known": self.known,
            "accuracy": self.accuracy.to_dict(),
        }


@dataclass(frozen=True)
class Ceiling:
    """Limits of every model of a table.

    Attributes
    ----------
    bounds : tuple of Bound
    separations : tuple of Separation
    reasons : tuple of str
        Why others cannot be had.
    """

    bounds: tuple[Bound, ...] = ()
    separations: tuple[Separation, ...] = ()
    reasons: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "bounds": [each.to_dict() for each in self.bounds],
            "separations": [each.to_dict() for each in self.separations],
            "reasons": list(self.reasons),
        }


def ceiling(
    recipe: Recipe,
    table: str,
    truth: Truth,
    samples: int | None = None,
    progress: Progress = silent,
) -> Ceiling:
    """Return the limits of every model of a table, as far as they are known.

    Parameters
    ----------
    recipe : Recipe
    table : str
    truth : Truth
        Of all its samples.
    samples : int, optional
        Number of samples of each class, the first ones; each is rendered at least four times for every label and once
        for every other class. When absent 64, and fewer where there are many labels, or samples are large or slow.
    progress : callable
    """
    if samples == 0:
        return Ceiling(reasons=("It was not asked for.",))
    try:
        model = known_noise(recipe, table)
        room = None
        if samples is None:
            progress("measuring the time of a sample", 0, 0)
            room = affordable(model.recipe, table, truth.ids)
    except DeepBenchError as error:
        return Ceiling(reasons=(f"No limit is known: {error}.",))
    rows = {
        name: np.flatnonzero(truth.codes == code)[: samples or SAMPLES]
        for code, name in enumerate(truth.classes)
        if (truth.codes == code).any()
    }
    bounds: list[Bound] = []
    reasons: list[str] = []
    shorter: list[str] = []
    for done, (name, own) in enumerate(rows.items()):
        progress("bounds of the labels, class by class", done, len(rows))
        try:
            share = None if room is None else room // len(rows)
            found = list(_bounds_of(model, table, truth, name, own, share))
        except DeepBenchError as error:
            reasons.append(f"No bound of the labels of {name} is known: {error}.")
            continue
        bounds += found
        if not found:
            reasons.append(f"No continuous label that is drawn changes the samples of {name}.")
        elif found[0].n < len(own):
            shorter.append(f"{name} {found[0].n}")
    if shorter:
        reasons.append(f"Bounds are of the first samples of a class ({', '.join(shorter)}){MORE}")
    if room is not None:
        count = max(FEWEST, room // (8 * max(1, math.comb(len(rows), 2))))  # half of the time
        rows = {name: own[:count] for name, own in rows.items()}
    separations, why = _separations(model, table, truth, rows, progress)
    if separations and room is not None and count < SAMPLES:
        why = (f"Classes are told apart on the first {count} samples of each{MORE}",)
    return Ceiling(tuple(bounds), separations, (*reasons, *why))


def free_labels(plan: LabelPlan, truth: Truth, rows: NDArray) -> list[str]:
    """Return the continuous labels of the samples of a class that the recipe draws, and a sample may depend on."""
    found = []
    for name, (value, _) in drawn_values(plan).items():
        if name not in truth.labels or isinstance(value, Expression) or is_known(name):
            continue
        own = truth.labels[name][rows]
        many = len(np.unique(own)) >= max(2, DIFFERENT * len(own))
        continuous = many and (own != np.trunc(own)).any()
        used = not name.startswith(f"{VARIABLES}.") or dependents(plan, [name])
        if np.isfinite(own).all() and continuous and used:
            found.append(name)
    return found


def _bounds_of(
    model: Model, table: str, truth: Truth, category: str, rows: NDArray, room: int | None
) -> Iterator[Bound]:
    """Yield the bounds of all labels of a class that change its samples; all of them are unknown.

    No sample tells an error of a label from the label itself, so the distribution of the error counts as known: its
    inverse variance is one more measurement (exact for normal errors).
    """
    whole = truth.codes == truth.classes.index(category)
    labels = free_labels(model.recipe.table(table).plan, truth, np.flatnonzero(whole))
    if len(labels) > MOST_LABELS:
        raise DeepBenchError(f"it has {len(labels)}, more than {MOST_LABELS}")
    if not labels:
        return
    if room is not None:
        each = sum(math.prod(every.shape) for every in model.recipe.table(table).variables)
        rendered = 6 * len(labels)  # on two sides, at two steps and often a third
        rows = rows[: max(FEWEST, min(room, RENDERED, VALUES // each) // rendered)]
    matrices = information(model, table, truth.ids[rows], labels)
    spreads = {label: float(np.std(truth.labels[label][whole])) for label in labels}
    seen = np.flatnonzero(matrices.diagonal(axis1=1, axis2=2).any(axis=0))
    errors = [label for label in labels if label.removesuffix(ERROR) in {*labels} - {label}]
    for label in errors:
        place = labels.index(label)
        matrices[:, place, place] += 1 / spreads[label] ** 2
    bounds = np.array([bounds_of(each) for each in matrices])
    for place, label in enumerate(labels):
        if place in seen and label not in errors:
            spread = spreads[label]
            known = bounds[:, place] < spread
            error = np.sqrt(np.mean(bounds[known, place] ** 2)) if known.any() else np.nan
            unit = truth.units.get(label, "1")
            yield Bound(label, category, unit, float(error), spread, int(known.sum()), len(rows))


def _separations(
    model: Model, table: str, truth: Truth, rows: dict[str, NDArray], progress: Progress
) -> tuple[tuple[Separation, ...], tuple[str, ...]]:
    """Return how well each pair of classes can be told apart, or why it is not known."""
    why = ""
    if len(rows) < 2:
        why = "it has one class"
    elif not model.normal:
        why = "the likelihood ratio of counted photons has no closed form"
    elif len(rows) > MOST_CLASSES:
        why = f"it has {len(rows)} classes, more than {MOST_CLASSES}"
    elif model.recipe.table(table).plan.selection is not None:
        why = "its samples are selected"
    found: list[Separation] = []
    try:
        for one, two in combinations(rows, 2) if not why else ():
            progress("telling classes apart, pair by pair", len(found), math.comb(len(rows), 2))
            found.append(_separation(model, table, truth, (one, two), rows))
    except DeepBenchError as error:
        found, why = [], str(error)
    reasons = (f"How well classes can be told apart is not known: {why}.",) if why else ()
    return tuple(found), reasons


def _separation(
    model: Model, table: str, truth: Truth, pair: tuple[str, str], rows: dict[str, NDArray]
) -> Separation:
    """Return how well two classes can be told apart.

    The twin of a sample has the other class and the same random numbers, so its labels are those of a sample of
    that class. A judge who knows both signals and the noise decides best by the likelihood ratio. A model knows less,
    and is right less often.
    """
    values, groups, every = [], [], []
    for name, other in (pair, pair[::-1]):
        ids = truth.ids[rows[name]]
        own = model.read(unchanged(model.recipe, table, ids))
        there = model.read(twin(model.recipe, table, ids, {"class": other}, derive="again"))
        values.append(likelihood_ratio_accuracy(distances(own, there)))
        groups.append(truth.groups[rows[name]])
        every.append((own, there) if name == pair[0] else (there, own))
    known = all(_are_one_signal([each[k] for each in every]) for k in range(2))
    accuracy = mean(np.concatenate(values), Groups(np.concatenate(groups)))
    return Separation(pair, accuracy, known)


def _are_one_signal(signals: list[Signals]) -> bool:
    """Return whether all samples have the same signal."""
    means = np.concatenate([each.mean for each in signals])
    return bool((means == means[0]).all())
