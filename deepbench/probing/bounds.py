"""Bounds of every model that follow from the recipe alone: Fisher bounds of labels, and how far two signals are apart.

References
----------
Kay 1993, Fundamentals of Statistical Signal Processing I, chapter 3 (Fisher information) and II, chapter 4 (two known
signals).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from deepbench.counterfactuals import numbers_of, unchanged, vary
from deepbench.errors import LabelError, RangeWarning
from deepbench.labelling.changes import check_changes, derive_of, drawn_values
from deepbench.probing.signals import Model, Signals, known_noise
from deepbench.selection import draw_samples

if TYPE_CHECKING:
    from deepbench.recipe import Recipe

STEP = 0.1
"""Largest step of differences, in standard deviations of a label over the samples."""

SHORTER = 4.0
"""How much shorter each step is than the one before."""

STEPS_TRIED = 11
"""Largest number of steps that are tried for a sample: down to a millionth of the first."""

AGREE = 0.02
"""Part of the slope of a sample within which those of two steps agree. Of a smooth signal the error of the shorter step
is a fifteenth of their difference; where the signal jumps between the steps, 4 / 3 of it.
"""

TELLING = 0.01
"""Difference of two slopes that does not matter, in standard deviations of the noise for one of the label: slopes of
samples that agree no better tell less of the label than its spread does.
"""

VALUES = 2**25
"""Number of values (256 MiB) of all slopes of the samples that are looked at together; never less than one sample."""

WORKING = 10
"""Number of slopes whose memory is needed to find one."""

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
        Largest step of the central differences, in standard deviations of each label. Each sample has the first of ever
        shorter steps whose slope agrees with that of the step before. Steps end where values of the label, or of what
        follows from it, do.

    Returns
    -------
    DataFrame
        ``id``, and a column for each label, in its unit; infinite where the sample says nothing of the label, or cannot
        tell it from another one. NaN where no two steps agree on the slope of a label.

    Raises
    ------
    LabelError
        The noise is another; a label does not exist, is given twice, is not continuous, is of the observation, or is
        not of a sample's class; a sample does not exist or is given twice; the step is not above 0.

    Warns
    -----
    UserWarning
        No two steps agree on the slope of a label, for some samples.

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
    values: dict[str, NDArray] = {}
    spreads: dict[str, float] = {}
    for label in labels:
        if drawn[label].dtype.kind != "f":
            raise LabelError(f"'{label}' is not continuous, so that it has no bound: leave it out")
        if is_known(label):
            raise LabelError(f"'{label}' is of the observation, and so it is known: leave it out")
        values[label] = drawn[label][np.argsort(order)].astype(float)
        if np.isnan(values[label]).any():
            first = ids[np.argmax(np.isnan(values[label]))]
            raise LabelError(f"sample {first} has no '{label}': name samples of classes that do")
        spread = float(np.nanstd(typical[label]))
        spreads[label] = spread if spread > 0 else 1.0
    found = np.empty((len(ids), len(labels), len(labels)))
    each = sum(math.prod(every.shape) for every in view.variables)
    block = max(1, VALUES // (each * (2 * len(labels) + WORKING)))
    for start in range(0, len(ids), block):
        rows = slice(start, start + block)
        weight = model.read(unchanged(model.recipe, table, ids[rows])).weight
        slopes = [
            _slope(
                model, table, ids[rows], label, values[label][rows], spreads[label], weight, step
            )
            for label in labels
        ]
        jacobian = np.stack(slopes, axis=2)
        found[rows] = np.einsum("npi,np,npj->nij", jacobian, weight, jacobian)
    for label, own in zip(labels, found.diagonal(axis1=1, axis2=2).T, strict=True):
        unknown = np.isnan(own)
        if unknown.any():
            message = (
                f"{unknown.sum()} of {len(ids)} samples, such as {ids[np.argmax(unknown)]}, have no known bound: they "
                f"change with '{label}' in jumps, or by less than their precision, so that no two steps agree to "
                f"{AGREE:.0%} on how much"
            )
            warnings.warn(message, stacklevel=3)
    return found


def _slope(
    model: Model,
    table: str,
    ids: NDArray,
    label: str,
    values: NDArray,
    spread: float,
    weight: NDArray,
    step: float,
) -> NDArray[np.float64]:
    """Return the derivative of the means of samples by a label, shape (n, p), where values have a weight.

    Of the slopes at ever shorter steps it is the first that agrees with the one before; NaN where none does. A step is
    too long where the signal is not linear, and too short where rounding or a jump of the signal is larger than its
    change; both show in a slope that depends on the step, whatever the noise.
    """
    plan = model.recipe.table(table).plan
    low, high = _range(drawn_values(plan).get(label, (None, None))[1])
    derive = derive_of(plan, [label])
    slope, before = np.full_like(weight, np.nan), np.empty(0)
    apart = np.full(len(ids), np.inf)
    matters = np.ones(len(ids), dtype=bool)
    left = np.arange(len(ids))
    sizes = step * spread / SHORTER ** np.arange(STEPS_TRIED)
    for size in sizes:
        ends = np.clip(values[left, None] + size * np.array([-1.0, 1.0]), low, high)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RangeWarning)
            try:
                moved = vary(model.recipe, table, ids[left], {label: ends}, derive=derive)
            except LabelError:  # what follows from the label has no such value: a shorter step
                if size == sizes[-1]:
                    raise
                continue
        one, two = (model.read(moved.isel(step=k)).mean for k in range(2))
        with np.errstate(
            invalid="ignore"
        ):  # a step that is shorter than the precision of the label
            now = (two - one) / np.diff(ends)
        if not before.size:
            before = now
            continue
        own = weight[left]
        differ, *norms = (
            np.sqrt(np.sum(own * each**2, axis=1)) for each in (now - before, now, before)
        )
        norm = np.maximum(*norms)
        still = np.where(
            (norm == 0) & np.isinf(apart[left]), 0.0, np.inf
        )  # later: lost in rounding
        part = np.divide(differ, norm, out=still, where=norm > 0)
        better = part < apart[left]
        best = left[better]
        slope[best], apart[best] = now[better], part[better]
        matters[best] = differ[better] * spread > TELLING
        far = part > AGREE
        left, before = left[far], now[far]
        if not left.size:
            break
    slope[(apart > AGREE) & matters] = np.nan
    return slope


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
    it from another one; NaN where that of a label is.
    """
    bounds = np.full(len(information), np.inf)
    if np.isnan(information).any():
        return bounds * np.nan
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
