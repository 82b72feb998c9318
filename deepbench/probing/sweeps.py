"""How a model's answers change when one label of a sample is changed, and which labels it relies on.

A sample is compared with itself: the same object, the same noise, one label changed (``deepbench.counterfactuals``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from deepbench.catalog import Release
from deepbench.counterfactuals import table_of, twin, unchanged, vary
from deepbench.errors import PredictionError
from deepbench.labelling.changes import Derive, check_changes, dependents, drawn_values
from deepbench.labelling.scopes import VARIABLES
from deepbench.probing.intervals import Estimate, Groups, mean, plain, proportion
from deepbench.probing.models import Model, predict
from deepbench.probing.truth import Truth
from deepbench.samples import labels

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from deepbench.labelling.plan import LabelPlan
    from deepbench.recipe import Recipe

SAMPLES = 256
"""Number of samples that are varied, unless another is asked for."""

STEPS = 16
"""Steps of a sweep, unless values are given."""

TOGETHER = 2**27
"""Bytes of data that are rendered and given to a model at once."""

CUE_BINS = 10
"""Bins of a label by which the class that it favours is told."""

FEWEST = 20
"""Smallest number of training samples in a bin that says which class a value favours."""


@dataclass(frozen=True)
class Sweep:
    """Answers of a model along a sweep of one label.

    Attributes
    ----------
    column : str
        The label that is changed.
    values : ndarray of float64, shape (steps,)
        Its values, ascending.
    ids : ndarray of int64, shape (n,)
    groups : Groups
        Groups of the samples.
    classes : tuple of str
    truth, answers : ndarray of int64, shape (n,)
        Codes of the true classes, and of the classes that the model predicts for the unchanged samples.
    own : ndarray of float64, shape (n,)
        Value of the label in the unchanged samples.
    along : ndarray of int64, shape (n, steps)
        Codes of the predicted classes along the sweep.
    """

    column: str
    values: NDArray[np.float64]
    ids: NDArray[np.int64]
    groups: Groups
    classes: tuple[str, ...]
    truth: NDArray[np.int64]
    answers: NDArray[np.int64]
    own: NDArray[np.float64]
    along: NDArray[np.int64]

    def accuracy(self, of_class: str | None = None) -> pd.DataFrame:
        """Return the accuracy at each step, of all samples or of those of one class.

        Returns
        -------
        DataFrame
            The label's value, ``accuracy``, ``low`` and ``high`` (its 95 % interval), ``n`` and ``groups``.
        """
        chosen = np.ones(len(self.ids), bool)
        if of_class is not None:
            chosen = self.truth == self.classes.index(of_class)
        groups = self.groups.take(chosen)
        hits = self.along[chosen] == self.truth[chosen, None]
        frame = pd.DataFrame([asdict(proportion(column, groups)) for column in hits.T])
        frame = frame.rename(columns={"value": "accuracy"})
        frame.insert(0, self.column, self.values)
        return frame

    def thresholds(self) -> pd.DataFrame:
        """Return for each sample the values beyond which the model is wrong about it.

        Returns
        -------
        DataFrame
            ``id``, ``class``, ``own`` (the value of the label), ``right`` (whether the model is right about the
            unchanged sample), ``below`` and ``above``: the nearest values of the sweep on either side at which it is
            wrong; NaN where it stays right, and where it was wrong from the beginning.
        """
        wrong = self.along != self.truth[:, None]
        right = self.answers == self.truth
        below = np.where(wrong & (self.values < self.own[:, None]), self.values, -np.inf).max(
            axis=1
        )
        above = np.where(wrong & (self.values > self.own[:, None]), self.values, np.inf).min(axis=1)
        columns = {"below": below, "above": above}
        return pd.DataFrame(
            {
                "id": self.ids,
                "class": np.array(self.classes)[self.truth],
                "own": self.own,
                "right": right,
                **{
                    name: np.where(right & np.isfinite(each), each, np.nan)
                    for name, each in columns.items()
                },
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        limits = self.thresholds()
        right = limits[limits["right"]]
        return {
            "label": self.column,
            "accuracy": [
                {str(name): plain(value) for name, value in row.items()}
                for row in self.accuracy().to_dict("records")
            ],
            "right": len(right),
            "broken_below": int(right["below"].notna().sum()),
            "broken_above": int(right["above"].notna().sum()),
        }


def sweep(
    source: Recipe | Release,
    table: str,
    model: Model,
    column: str,
    values: ArrayLike | None = None,
    *,
    split: str = "test",
    samples: int = SAMPLES,
) -> Sweep:
    """Ask a model about samples along a sweep of one label.

    Parameters
    ----------
    source : Recipe or Release
    table : str
        Name of one of its tables.
    model : callable
        ``deepbench.probing.models`` says what it takes and returns.
    column : str
        Label that is changed. What the recipe derives from it follows.
    values : array, shape (steps,), optional
        Its values; 16 between the smallest and the largest one in the table when absent.
    split : str
        Split of the samples.
    samples : int
        Largest number of samples: the first ones whose class has the label.

    Raises
    ------
    CatalogError, LabelError
        There is no such table, or the label does not exist or cannot be changed.
    PredictionError
        No sample of the split has the label, or the model fails or returns what it should not.
    """
    view, truth = table_of(source, table), _truth(source, table)
    check_changes(view.plan, [column], "again")
    rows = _rows(truth, split, samples, column)
    own = truth.labels[column][rows]
    if values is None:
        there = truth.labels[column][~np.isnan(truth.labels[column])]
        values = np.linspace(there.min(), there.max(), STEPS)
    steps = np.unique(np.asarray(values, np.float64))
    derive = _derive(view.plan, column)
    names, ids = [each.name for each in view.variables], truth.ids[rows]
    answers, along = [], []
    for part in _parts(view, len(rows), len(steps) + 1):
        here = ids[part]
        base = unchanged(source, table, here)
        answers.append(predict(model, base, names, truth.classes))
        tracks = vary(source, table, here, {column: steps}, derive=derive)
        flat = tracks[names].stack(row=("sample", "step"), create_index=False)
        flat = flat.transpose("row", ...).rename(row="sample")
        along.append(predict(model, flat, names, truth.classes).reshape(len(here), len(steps)))
    return Sweep(
        column,
        steps,
        ids,
        Groups(truth.groups[rows]),
        truth.classes,
        truth.codes[rows].astype(np.int64),
        np.concatenate(answers),
        own,
        np.concatenate(along),
    )


@dataclass(frozen=True)
class Reliance:
    """How far a model relies on one label as a cue of the class.

    Attributes
    ----------
    column : str
    through : tuple of str
        Labels that the recipe derives from it, by which alone variables act.
    towards, away : float
        Share of the samples whose predicted class becomes the one that the swapped value favours in training, and
        share of those whose predicted class was that one and is it no more.
    estimate : Estimate
        Their difference. A model that a change merely confuses flips both ways.
    by_class : dict of str to float
        The same for each class that swapped values favour. Where it is large for one class alone, the model may fall
        back on that class when a change makes its task harder.
    favour : float
        By how much the label tells the class in training: the mean over samples of the probability of the favoured
        class, divided by that of the class at large.
    """

    column: str
    through: tuple[str, ...]
    towards: float
    away: float
    estimate: Estimate
    by_class: dict[str, float]
    favour: float

    @property
    def two_sided(self) -> float:
        """Second largest value of ``by_class``: that of the other class where there are two; NaN where there is one."""
        values = sorted(self.by_class.values())
        return values[-2] if len(values) > 1 else np.nan

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "label": self.column,
            "through": list(self.through),
            "reliance": self.estimate.value,
            **{name: value for name, value in self.estimate.to_dict().items() if name != "value"},
            "towards": self.towards,
            "away": self.away,
            "by_class": self.by_class,
            "two_sided": plain(self.two_sided),
            "favour": self.favour,
        }


def reliance(
    source: Recipe | Release,
    table: str,
    model: Model,
    columns: Sequence[str] | None = None,
    *,
    split: str = "test",
    train: str = "train",
    samples: int = SAMPLES,
    seed: int = 0,
) -> list[Reliance]:
    """Measure how far a model relies on labels as cues of the class; those come first that draw flips both ways.

    A sample's value of a label is swapped for one that favours, by the training split, another class than the sample's
    own and than the value did before, and the model is asked before and after.

    Parameters
    ----------
    source : Recipe or Release
    table : str
        Name of one of its tables.
    model : callable
    columns : sequence of str, optional
        Labels; all that several classes share, that vary, and that can be changed when absent.
    split, train : str
        Split of the samples, and the one that says which class a value favours.
    samples : int
        Largest number of samples.
    seed : int
        Of the choice of the swapped values.

    Raises what ``sweep`` does.
    """
    view, truth = table_of(source, table), _truth(source, table)
    if train not in truth.splits:
        raise PredictionError(f"{truth.name} has no split '{train}': {', '.join(truth.splits)}")
    names = _shared(view.plan, truth) if columns is None else list(columns)
    if names:
        check_changes(view.plan, names, "again")
    rows = _rows(truth, split, samples)
    variables, ids = [each.name for each in view.variables], truth.ids[rows]
    answers = np.empty(len(rows), np.int64)
    for part in _parts(view, len(rows), 1):
        base = unchanged(source, table, ids[part])
        answers[part] = predict(model, base, variables, truth.classes)
    found: list[Reliance] = []
    for name in names:
        cue = _Cue.of(truth, name, train)
        if cue is None:
            if columns is not None:
                raise PredictionError(
                    f"'{name}' tells no classes apart: one class has it, or it does not vary"
                )
            continue
        random = np.random.default_rng([seed, len(found)])
        codes = truth.codes[rows]
        swapped, favoured, lift = cue.swap(truth.labels[name][rows], codes, random)
        can = ~np.isnan(swapped)
        if not can.any():
            continue
        derive = _derive(view.plan, name)
        after = answers.copy()
        chosen = np.flatnonzero(can)
        for part in _parts(view, len(chosen), 1):
            here = chosen[part]
            changed = twin(source, table, ids[here], {name: swapped[here]}, derive=derive)
            after[here] = predict(model, changed, variables, truth.classes)
        towards = (after == favoured) & (answers != favoured)
        away = (after != favoured) & (answers == favoured)
        groups = Groups(truth.groups[rows][can])
        difference = towards[can].astype(float) - away[can]
        by_class = {
            truth.classes[code]: float(difference[favoured[can] == code].mean())
            for code in np.unique(favoured[can])
        }
        found.append(
            Reliance(
                name,
                tuple(dependents(view.plan, [name])),
                float(towards[can].mean()),
                float(away[can].mean()),
                mean(difference, groups),
                by_class,
                float(lift[can].mean()),
            )
        )
    return sorted(found, key=lambda each: np.nan_to_num(-each.two_sided))


def _truth(source: Recipe | Release, table: str) -> Truth:
    """Return the truth of a table of a release, or of all samples of a table of a recipe."""
    if isinstance(source, Release):
        return Truth.of(source, source.check_table(table))
    plan = source.table(table).plan
    return Truth.from_frame(
        labels(source, table), plan.classes, plan.splits, name=f"'{table}' of {source.name}"
    )


def _rows(truth: Truth, split: str, most: int, column: str | None = None) -> NDArray[np.intp]:
    """Return the rows of the first samples of a split, of those that have a label where one is named."""
    if split not in truth.splits:
        raise PredictionError(f"{truth.name} has no split '{split}': {', '.join(truth.splits)}")
    if most < 1:
        raise PredictionError(f"the number of samples must be at least 1, not {most}")
    chosen = truth.split_codes == truth.splits.index(split)
    if column is not None:
        chosen &= ~np.isnan(truth.labels[column])
    rows = np.flatnonzero(chosen)[:most]
    if not rows.size:
        which = "" if column is None else f" that has '{column}'"
        raise PredictionError(f"no sample of the split '{split}' of {truth.name}{which}")
    return rows


def _parts(view: Any, count: int, steps: int) -> Iterator[slice]:
    """Yield ranges of samples whose data fit into memory together."""
    each = steps * sum(variable.sample_bytes for variable in view.variables)
    size = max(1, TOGETHER // each)
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def _derive(plan: LabelPlan, column: str) -> Derive:
    """Return how a label is changed: alone where nothing follows from it."""
    return "again" if column == "class" or dependents(plan, [column]) else "keep"


def _shared(plan: LabelPlan, truth: Truth) -> list[str]:
    """Return the labels that can be changed and that more than one class has."""
    return [
        name
        for name in drawn_values(plan)
        if name in truth.labels
        and not name.endswith((".component", ".repeat"))
        and (not name.startswith(f"{VARIABLES}.") or dependents(plan, [name]))
        and len(np.unique(truth.codes[~np.isnan(truth.labels[name])])) > 1
    ]


@dataclass(frozen=True)
class _Cue:
    """What the values of a label say of the class in training.

    Attributes
    ----------
    values : ndarray of float64, shape (m,)
        Values of the training samples, ascending.
    edges : ndarray of float64
        Ends of the bins between the outermost.
    favoured : ndarray of int64, shape (bins,)
        Class that each bin makes more probable than any other.
    lift : ndarray of float64, shape (bins,)
        By how much.
    """

    values: NDArray[np.float64]
    edges: NDArray[np.float64]
    favoured: NDArray[np.int64]
    lift: NDArray[np.float64]

    @classmethod
    def of(cls, truth: Truth, name: str, train: str) -> _Cue | None:
        """Return what a label says; None where it cannot tell classes apart."""
        column = truth.labels[name]
        here = ~np.isnan(column) & (truth.split_codes == truth.splits.index(train))
        values, codes = column[here], truth.codes[here].astype(np.int64)
        if len(np.unique(codes)) < 2 or len(values) < 2 * FEWEST or values.min() == values.max():
            return None
        few = np.unique(values)
        if len(few) <= CUE_BINS:
            edges = (few[1:] + few[:-1]) / 2
        else:
            edges = np.unique(np.quantile(values, np.linspace(0, 1, CUE_BINS + 1)[1:-1]))
        bins = np.searchsorted(edges, values, side="right")
        counts = np.zeros((len(edges) + 1, len(truth.classes)))
        np.add.at(counts, (bins, codes), 1)
        with np.errstate(invalid="ignore", divide="ignore"):
            shares = counts / counts.sum(axis=1, keepdims=True)
            lift = np.nan_to_num(shares / (counts.sum(axis=0) / counts.sum()))
        lift[counts.sum(axis=1) < FEWEST] = 0
        return cls(np.sort(values), edges, lift.argmax(axis=1), lift.max(axis=1))

    def swap(
        self, own: NDArray[np.float64], codes: NDArray[np.int16], random: np.random.Generator
    ) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
        """Return for each sample a value that favours another class, that class and its lift.

        Parameters
        ----------
        own : float64[n]
            Values that the samples have.
        codes : int16[n]
            Their classes. The value favours neither this class nor the one that the sample's own value favours; it is
            NaN where the sample has no such label, or no value does.
        random : Generator
        """
        bins = np.searchsorted(self.edges, self.values, side="right")
        classes, lifts = self.favoured[bins], self.lift[bins]
        mine = self.favoured[np.searchsorted(self.edges, own, side="right")]
        result, favoured, lift = (
            np.full(len(own), np.nan),
            np.full(len(own), -1),
            np.zeros(len(own)),
        )
        for before, code in sorted({(int(a), int(b)) for a, b in zip(mine, codes, strict=True)}):
            donors = np.flatnonzero((classes != before) & (classes != code) & (lifts > 0))
            rows = np.flatnonzero((mine == before) & (codes == code) & ~np.isnan(own))
            if donors.size and rows.size:
                drawn = donors[random.integers(len(donors), size=len(rows))]
                result[rows] = self.values[drawn]
                favoured[rows], lift[rows] = classes[drawn], lifts[drawn]
        return result, favoured, lift
