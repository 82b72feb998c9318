"""Bounds of every model that follow from the recipe alone: Fisher bounds of labels, and how far two signals are apart.

References
----------
Kay 1993, Fundamentals of Statistical Signal Processing I, chapter 3 (Fisher information) and II, chapter 4 (two known
signals).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from deepbench.counterfactuals import numbers_of, vary
from deepbench.errors import LabelError, RangeWarning
from deepbench.labelling.changes import check_changes, derive_of, drawn_values
from deepbench.probing.signals import Model, Signals, known_noise
from deepbench.selection import draw_samples

if TYPE_CHECKING:
    from deepbench.recipe import Recipe

STEP = 0.01
"""Largest step of differences, in standard deviations of a label over the samples."""

SMALL = 0.6
"""Largest change of a sample between two steps, in standard deviations of its noise; else the step is shortened."""

STEPS_TRIED = 4
"""Largest number of steps that are tried for a sample, each shorter than the one before."""

TYPICAL = 512
"""Number of samples from which the standard deviation of a label is known."""

OBSERVING = ("instrument", "survey", "cadence", "wcs")
"""Scopes of what is known of an observation."""

COUNTING = ("gain", "background")
"""Parameters of the counting of photons, which are known, too."""

ALIKE = 1e-6
"""Part of the largest eigenvalue of the information below which labels do the same to a sample, as far as single
precision knows.
"""


def fisher_bounds(
    recipe: Recipe, table: str, ids: Sequence[int], labels: Sequence[str], step: float = STEP
) -> pd.DataFrame:
    """Return the smallest standard deviation that an unbiased estimate of labels from a sample can have, by sample.

    The bound of Cramér and Rao: the root of the diagonal of the inverse Fisher matrix of ``labels``, all of which are
    unknown; other labels are known, so bounds of a model that knows less are larger. A prior can make errors smaller.
    What the recipe derives from a label follows it.

    Parameters
    ----------
    recipe : Recipe
    table : str
        Images whose noise is a background, photons and normal noise, in this order, or that of an instrument; light
        curves without red noise and random walks; or motions whose variables all have noise.
    ids : sequence of int, length n
        Numbers of samples, all of whose classes have the labels.
    labels : sequence of str
    step : float
        Step of the central differences, in standard deviations of each label; it is shortened where the sample would
        change by more than its noise resolves, and ends where values of the label do.

    Returns
    -------
    DataFrame
        ``id``, and a column for each label, in its unit; infinite where the sample says nothing of the label, or cannot
        tell it from another one.

    Raises
    ------
    LabelError
        The noise is another; a label does not exist, is given twice, is not continuous, is of the observation, or is
        not of a sample's class; a sample does not exist or is given twice; the step is not above 0.

    Examples
    --------
    >>> import deepbench
    >>> recipe = deepbench.load_recipe("workflows/shapes.yaml")
    >>> fisher_bounds(recipe, "images", [0, 1], ["psf.sigma"]).round(3)
       id  psf.sigma
    0   0      0.019
    1   1      0.010
    """
    if isinstance(labels, str) or not 0 < len({*labels}) == len(labels):
        raise LabelError(f"`labels` must be a list of labels, each once, not {labels!r:.80}")
    if not step > 0:
        raise LabelError(f"`step` must be above 0, such as {STEP}, not {step!r}")
    try:
        model = known_noise(recipe, table)
    except LabelError as error:
        raise LabelError(f"table '{table}' has no bound that is known: {error}") from error
    numbers = numbers_of(recipe, model.recipe.table(table), ids)
    found = information(model, table, numbers, labels, step)
    bounds = np.array([bounds_of(each) for each in found])
    return pd.DataFrame({"id": numbers} | {name: bounds[:, i] for i, name in enumerate(labels)})


def is_known(label: str) -> bool:
    """Return whether a label is of the observation, so that who looks at a sample knows it."""
    parts = label.split(".")
    return parts[0] in OBSERVING or (parts[0] == "noise" and parts[-1] in COUNTING)


def information(
    model: Model, table: str, ids: NDArray[np.int64], labels: Sequence[str], step: float = STEP
) -> NDArray[np.float64]:
    """Return the Fisher matrix of labels of each sample, shape (n, labels, labels); see ``fisher_bounds``."""
    view = model.recipe.table(table)
    check_changes(view.plan, labels, "again")
    order = np.argsort(ids)
    drawn = draw_samples(view, ids[order]).columns
    typical = draw_samples(view, np.arange(min(TYPICAL, view.samples))).columns
    slopes: list[NDArray] = []
    weights: NDArray | float = 0.0
    for label in labels:
        if drawn[label].dtype.kind != "f":
            raise LabelError(f"'{label}' is not continuous, so that it has no bound: leave it out")
        if is_known(label):
            raise LabelError(f"'{label}' is of the observation, and so it is known: leave it out")
        values = drawn[label][np.argsort(order)].astype(float)
        if np.isnan(values).any():
            first = ids[np.argmax(np.isnan(values))]
            raise LabelError(f"sample {first} has no '{label}': name samples of classes that do")
        spread = float(np.nanstd(typical[label]))
        size = step * (spread if spread > 0 else 1.0)
        slope, weight = _slope(model, table, ids, label, values, np.full(len(ids), size))
        slopes.append(slope)
        weights = weights + weight / len(labels)
    jacobian = np.stack(slopes, axis=2)
    found: NDArray[np.float64] = np.einsum("npi,np,npj->nij", jacobian, weights, jacobian)
    return found


def _slope(
    model: Model, table: str, ids: NDArray, label: str, values: NDArray, sizes: NDArray
) -> tuple[NDArray, NDArray]:
    """Return the derivative of the means of samples by a label, and their mean weights, both of shape (n, p)."""
    plan = model.recipe.table(table).plan
    low, high = _range(drawn_values(plan).get(label, (None, None))[1])
    derive = derive_of(plan, [label])
    slope = weight = np.empty(0)
    left = np.arange(len(ids))
    for _ in range(STEPS_TRIED):
        ends = np.clip(values[left, None] + sizes[left, None] * np.array([-1.0, 1.0]), low, high)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RangeWarning)
            moved = vary(model.recipe, table, ids[left], {label: ends}, derive=derive)
        one, two = (model.read(moved.isel(step=k)) for k in range(2))
        between = (one.weight + two.weight) / 2
        change = two.mean - one.mean
        if not slope.size:
            slope, weight = np.empty((2, len(ids), change.shape[1]))
        slope[left], weight[left] = change / np.diff(ends), between
        moves = np.sqrt(np.sum(between * change**2, axis=1))
        far = moves > SMALL
        if not far.any():
            break
        left, moves = left[far], moves[far]
        sizes[left] *= SMALL / 2 / moves
    return slope, weight


def _range(parameter: Any) -> tuple[float, float]:
    """Return the ends of the values that a parameter can have."""
    low, high = -np.inf, np.inf
    if parameter is not None:
        ends = (parameter.minimum, parameter.above), (parameter.maximum, parameter.below)
        for (closed, opened), sign in zip(ends, (1, -1), strict=True):
            end = closed if opened is None else np.nextafter(opened, sign * np.inf)
            if end is not None:
                low, high = (end, high) if sign > 0 else (low, end)
    return low, high


def bounds_of(information: NDArray) -> NDArray:
    """Return the smallest standard deviations of labels, shape (labels,), from their Fisher matrix.

    They are the roots of the diagonal of its inverse; infinite where a sample says nothing of a label, or cannot tell
    it from another one.
    """
    bounds = np.full(len(information), np.inf)
    told = np.flatnonzero(np.diag(information) > 0)
    if not told.size:
        return bounds
    scale = np.sqrt(np.diag(information)[told])
    values, vectors = np.linalg.eigh(information[np.ix_(told, told)] / np.outer(scale, scale))
    known = values > ALIKE * values[-1]
    apart = np.sum(vectors[:, ~known] ** 2, axis=1) < 1e-3
    variances = np.sum(vectors[:, known] ** 2 / values[known], axis=1)
    bounds[told[apart]] = (np.sqrt(variances) / scale)[apart]
    return bounds


def distances(one: Signals, two: Signals) -> NDArray[np.float64]:
    """Return how far two signals of each sample are apart in the same noise, in its standard deviations, shape (n,).

    Raises
    ------
    LabelError
        Their noise is not the same.
    """
    if not np.allclose(one.weight, two.weight, rtol=1e-6, atol=0):
        raise LabelError("the noise depends on the class")
    found: NDArray[np.float64] = np.sqrt(np.sum(one.weight * (one.mean - two.mean) ** 2, axis=1))
    return found


def likelihood_ratio_accuracy(distance: NDArray | float) -> NDArray | float:
    """Return the accuracy of the best test between two known signals that are equally likely: Φ(d / 2).

    Parameters
    ----------
    distance : float or ndarray
        Root of the sum of squared differences of the signals over the standard deviation of the noise.
    """
    accuracy: NDArray | float = special.ndtr(np.asarray(distance) / 2)[()]
    return accuracy
