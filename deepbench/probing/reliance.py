"""Reliance: which labels a model uses as cues of the class, told by swapping their values against the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from deepbench.counterfactuals import table_of, twin, unchanged
from deepbench.errors import PredictionError
from deepbench.labelling.changes import dependents, derive_of, drawn_values
from deepbench.labelling.scopes import VARIABLES
from deepbench.language.plain import absent
from deepbench.probing.intervals import Estimate, Groups, mean, plain
from deepbench.probing.models import Model, predict
from deepbench.probing.sweeps import SAMPLES, check_labels, parts_of, rows_of, truth_of
from deepbench.statistics import training_split

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deepbench.labelling.plan import LabelPlan
    from deepbench.probing.truth import Truth
    from deepbench.recipe import Recipe
    from deepbench.release import Release

CUE_BINS = 10
"""Bins of a label by which the class that it favours is told."""

FEWEST = 20
"""Smallest number of training samples in a bin that says which class a value favours."""


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
    train: str | None = None,
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
    split : str
    train : str, optional
        Split of the samples, and the one that says which class a value favours: the training split when absent.
    samples : int
        Largest number of samples.
    seed : int
        Of the choice of the swapped values.

    Raises what ``sweep`` does.

    Examples
    --------
    >>> import deepbench
    >>> recipe = deepbench.load_recipe("workflows/biased_shapes.yaml").replace({"tables.images.samples": 1500})
    >>> def predict(data):
    ...     slopes = np.abs(data["image"].diff("x")).max(("y", "x"))
    ...     return np.where(slopes > 0.4, "circle", "rectangle")
    >>> first, *others = reliance(recipe, "images", predict, split="test_fair", samples=100)
    >>> first.column, first.through, round(first.two_sided, 2)
    ('variables.blurred', ('psf.sigma',), 0.7)
    """
    view, truth = table_of(source, table), truth_of(source, table)
    train = training_split(truth.splits) if train is None else train
    if train not in truth.splits:
        raise PredictionError(absent("split", train, truth.splits, truth.name))
    names = _shared(view.plan, truth) if columns is None else list(columns)
    if names:
        check_labels(view.plan, names)
    rows = rows_of(truth, split, samples)
    variables, ids = [each.name for each in view.variables], truth.ids[rows]
    answers = np.empty(len(rows), np.int64)
    for part in parts_of(view, len(rows), 1):
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
            if columns is not None:
                raise PredictionError(
                    f"no value of '{name}' favours another class than the samples of '{split}' and their values do"
                )
            continue
        derive = derive_of(view.plan, [name])
        after = answers.copy()
        chosen = np.flatnonzero(can)
        for part in parts_of(view, len(chosen), 1):
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
    """Class that the values of a label favour in training.

    Attributes
    ----------
    values : ndarray of float64, shape (m,)
        Values of the training samples, ascending.
    edges : ndarray of float64
        Ends of the bins between the outermost.
    favoured : ndarray of int64, shape (bins,)
        Class whose probability each bin raises most; −1 in bins of few samples.
    lift : ndarray of float64, shape (bins,)
        Its probability in the bin divided by that at large; 0 in bins of few samples, which favour no class.
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
        few = counts.sum(axis=1) < FEWEST
        lift[few] = 0
        favoured = np.where(few, -1, lift.argmax(axis=1))
        return cls(np.sort(values), edges, favoured, lift.max(axis=1))

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
