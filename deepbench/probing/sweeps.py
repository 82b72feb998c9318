"""Sweeps: how a model's answers change along one label.

A sample is compared with itself: the same object, the same noise, one label changed (``deepbench.counterfactuals``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from deepbench.counterfactuals import table_of, unchanged, vary
from deepbench.errors import PredictionError
from deepbench.labelling.changes import check_changes, derive_of
from deepbench.language.plain import absent
from deepbench.probing.intervals import Groups, plain, proportion
from deepbench.probing.models import Model, predict
from deepbench.probing.truth import Truth
from deepbench.release import Release
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

        Raises
        ------
        PredictionError
            There is no such class.
        """
        chosen = np.ones(len(self.ids), bool)
        if of_class is not None:
            if of_class not in self.classes:
                raise PredictionError(
                    f"there is no class '{of_class}': use {', '.join(self.classes)}"
                )
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
        Its values; those in the table when absent, or 16 from the smallest to the largest where these are more.
    split : str
        Split of the samples.
    samples : int
        Largest number of samples: the first ones whose class has the label.

    Raises
    ------
    CatalogError, LabelError
        There is no such table, or the label does not exist or cannot be changed.
    PredictionError
        No sample of the split has the label, the values are no numbers, or the model fails or returns what it should
        not.

    Examples
    --------
    A model that calls all that is blurred a rectangle is wrong about circles that are:

    >>> import deepbench
    >>> recipe = deepbench.load_recipe("workflows/shapes.yaml").replace({"tables.images.samples": 500})
    >>> def predict(data):
    ...     slopes = np.abs(data["image"].diff("x")).max(("y", "x"))
    ...     return np.where(slopes > 0.6, "circle", "rectangle")
    >>> found = sweep(recipe, "images", predict, "psf.sigma", [0.5, 1, 2], samples=20)
    >>> found.accuracy("circle")["accuracy"].round(2).tolist()
    [1.0, 0.0, 0.0]
    """
    view, truth = table_of(source, table), truth_of(source, table)
    check_labels(view.plan, [column])
    rows = rows_of(truth, split, samples, column)
    own = truth.labels[column][rows]
    if values is None:
        values = np.unique(truth.labels[column][~np.isnan(truth.labels[column])])
        if len(values) > STEPS:
            values = np.linspace(values[0], values[-1], STEPS)
    given = np.asarray(values)
    if given.ndim != 1 or not given.size or given.dtype.kind not in "iuf" or np.isnan(given).any():
        raise PredictionError(
            f"the values of '{column}' must be a list of numbers, such as [0.5, 1, 2], not {values!r:.80}"
        )
    steps = np.unique(given.astype(np.float64))
    derive = derive_of(view.plan, [column])
    names, ids = [each.name for each in view.variables], truth.ids[rows]
    answers, along = [], []
    for part in parts_of(view, len(rows), len(steps) + 1):
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


def check_labels(plan: LabelPlan, names: Sequence[str]) -> None:
    """Refuse columns that are no labels, or that cannot be changed.

    Raises
    ------
    LabelError
        One does not exist or cannot be changed.
    PredictionError
        One is the class.
    """
    if "class" in names:
        raise PredictionError(
            "'class' is what the model predicts; name a label that it may depend on"
        )
    check_changes(plan, names, "again")


def truth_of(source: Recipe | Release, table: str) -> Truth:
    """Return the truth of a table of a release, or of all samples of a table of a recipe."""
    if isinstance(source, Release):
        return Truth.of(source, source.check_table(table))
    plan = source.table(table).plan
    return Truth.from_frame(
        labels(source, table), plan.classes, plan.splits, name=f"'{table}' of {source.name}"
    )


def rows_of(truth: Truth, split: str, most: int, column: str | None = None) -> NDArray[np.intp]:
    """Return the rows of the first samples of a split, of those that have a label where one is named."""
    if split not in truth.splits:
        raise PredictionError(absent("split", split, truth.splits, truth.name))
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


def parts_of(view: Any, count: int, steps: int) -> Iterator[slice]:
    """Yield ranges of samples whose data fit into memory together."""
    each = steps * sum(variable.sample_bytes for variable in view.variables)
    size = max(1, TOGETHER // each)
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))
