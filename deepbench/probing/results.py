"""The score of a model: numbers, tables and slices, as plain data and data frames."""

from __future__ import annotations

from dataclasses import astuple, dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deepbench.errors import PredictionError
from deepbench.language.plain import unknown
from deepbench.probing.intervals import LEVEL, Estimate, plain
from deepbench.probing.predictions import Predictions
from deepbench.probing.slices import Slice, Slices
from deepbench.probing.truth import Truth

WORST = 24
"""Number of the worst samples that a report names."""


@dataclass(frozen=True)
class Metric:
    """One number of a score.

    Attributes
    ----------
    target : str
        What is predicted: ``class``, a label, ``score`` or ``novelty``.
    name : str
    estimate : Estimate
    note : str
        Of what, where the name does not say it: the worst group.
    """

    target: str
    name: str
    estimate: Estimate
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        said = {"note": self.note} if self.note else {}
        return {"target": self.target, "metric": self.name, **self.estimate.to_dict(), **said}


@dataclass(frozen=True)
class Loss:
    """A number for each sample whose mean is told as a function of labels.

    Attributes
    ----------
    target, name : str
    values : ndarray, shape (n,)
        NaN where the sample has no such target.
    hits : bool
        Whether it is 0 or 1.
    """

    target: str
    name: str
    values: NDArray
    hits: bool = False


@dataclass(frozen=True, repr=False)
class Score:
    """Score of predictions on a table of a release.

    Attributes
    ----------
    release, table : str
    splits : tuple of str
    samples, groups : int
    metrics : tuple of Metric
    confusion : DataFrame or None
        Counts: true classes as rows, predicted ones as columns.
    bins : DataFrame
        Mean losses in bins of labels, classes and splits, with intervals.
    curves : DataFrame
        Mean losses as smooth functions of labels, with bounds.
    slices : dict of str to Slices
        By target.
    details : dict
        Tables by target: ``calibration``, ``coverage``, ``pit``, ``ranks``, ``tarp``, ``completeness``.

    Examples
    --------
    >>> found = deepbench.score("shapes@1.0.0", "predictions.csv")                          # doctest: +SKIP
    >>> found["accuracy"].value, found.slices["class"]                                      # doctest: +SKIP
    """

    release: str
    table: str
    splits: tuple[str, ...]
    samples: int
    groups: int
    metrics: tuple[Metric, ...]
    confusion: pd.DataFrame | None
    bins: pd.DataFrame
    curves: pd.DataFrame
    slices: dict[str, Slices]
    details: dict[str, dict[str, Any]]
    _truth: Truth = field(compare=False)
    _predictions: Predictions = field(compare=False)
    _losses: dict[str, NDArray] = field(compare=False)

    def __repr__(self) -> str:
        return f"<Score of {self.samples:,} samples of '{self.table}' of {self.release}, {', '.join(self.splits)}>"

    @property
    def summary(self) -> pd.DataFrame:
        """One row per metric: ``target``, ``metric``, ``value``, ``low``, ``high``, ``n``, ``groups``, ``note``."""
        rows = [
            (each.target, each.name, *astuple(each.estimate), each.note) for each in self.metrics
        ]
        return pd.DataFrame(
            rows, columns=["target", "metric", "value", "low", "high", "n", "groups", "note"]
        )

    def __getitem__(self, name: str) -> Estimate:
        """Return a metric by ``metric`` or ``target.metric``.

        Raises
        ------
        KeyError
            There is none of that name, or several targets have it.
        """
        found = [
            each.estimate
            for each in self.metrics
            if name in (each.name, f"{each.target}.{each.name}")
        ]
        if len(found) != 1:
            names = [f"{each.target}.{each.name}" for each in self.metrics]
            raise KeyError(f"{name!r} is not one of {', '.join(names)}")
        return found[0]

    def by(self, label: str, target: str | None = None) -> pd.DataFrame:
        """Return the mean losses in bins of a label, ``class`` or ``split``.

        Raises
        ------
        PredictionError
            The label is not one that was looked at.
        """
        return self._of_label(self.bins, label, target)

    def curve(self, label: str, target: str | None = None) -> pd.DataFrame:
        """Return the mean losses as smooth functions of a label; raises what ``by`` does."""
        return self._of_label(self.curves, label, target)

    def _of_label(self, frame: pd.DataFrame, label: str, target: str | None) -> pd.DataFrame:
        known = list(dict.fromkeys(frame["label"]))
        if label not in known:
            raise PredictionError(unknown("label of the score", label, known))
        chosen = frame["label"] == label
        if target is not None:
            chosen &= frame["target"] == target
        return frame[chosen].reset_index(drop=True)

    def worst(self, n: int = WORST, target: str | None = None) -> pd.DataFrame:
        """Return the samples that were predicted worst: id, class, truth, prediction and loss.

        Parameters
        ----------
        n : int
        target : str, optional
            What is predicted; the first target when absent.

        Raises
        ------
        PredictionError
            Nothing of that name is predicted.
        """
        target = next(iter(self._losses), "") if target is None else target
        if target not in self._losses:
            raise PredictionError(unknown("target of the score", target, self._losses))
        return self._worst(n, target, np.ones(len(self._truth), bool))

    def _worst(self, n: int, target: str, chosen: NDArray) -> pd.DataFrame:
        """Return the worst of some of the samples."""
        losses = np.where(chosen, np.nan_to_num(self._losses[target], nan=-np.inf), -np.inf)
        rows = np.argsort(-losses, kind="stable")[:n]
        rows = rows[np.isfinite(losses[rows])]
        truth = self._truth
        names = np.array(truth.classes)
        frame = {"id": truth.ids[rows], "class": names[truth.codes[rows]]}
        if target == "class":
            assert self._predictions.classes is not None
            frame["predicted"] = names[self._predictions.classes[rows]]
        else:
            frame["truth"] = truth.labels[target][rows]
            frame["predicted"] = self._predictions.values[target][rows]
        return pd.DataFrame(frame | {"loss": losses[rows]})

    @property
    def targets(self) -> tuple[str, ...]:
        """Targets of the predictions: ``class`` or labels, as ``worst`` and ``slices`` take them."""
        return tuple(self._losses)

    def values_of(self, label: str) -> NDArray:
        """Return the values of a label of the scored samples."""
        return self._truth.labels[label]

    def worst_of(self, part: Slice, n: int = WORST) -> pd.DataFrame:
        """Return the samples of a slice that were predicted worst, as ``worst`` does."""
        return self._worst(n, part.target, part.holds(self._truth))

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, as JSON has it: all but the loss of each sample, of which the worst are named."""
        return {
            "release": self.release,
            "table": self.table,
            "splits": list(self.splits),
            "samples": self.samples,
            "groups": self.groups,
            "level": LEVEL,
            "metrics": [each.to_dict() for each in self.metrics],
            "confusion": None
            if self.confusion is None
            else {
                "classes": list(self.confusion.index),
                "counts": self.confusion.to_numpy().tolist(),
            },
            "bins": records(self.bins),
            "curves": records(self.curves),
            "slices": {target: each.to_dict() for target, each in self.slices.items()},
            "details": self.details,
            "worst": {target: records(self.worst(target=target)) for target in self._losses},
        }


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a data frame as plain data; None in place of NaN."""
    return [
        {str(key): plain(value) for key, value in row.items()} for row in frame.to_dict("records")
    ]
