"""Limits of every model: bounds that follow from the recipe alone, for images in Gaussian noise of known σ.

References
----------
Kay 1993, Fundamentals of Statistical Signal Processing I, chapter 3 (Fisher information of a signal in white noise)
and II, chapter 4 (two known signals).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from deepbench.errors import LabelError, RangeWarning
from deepbench.language.one_of import names_of
from deepbench.language.plain import unknown

if TYPE_CHECKING:
    from deepbench.recipe import Recipe

STEP = 0.01
"""Step of differences, in standard deviations of a label over the samples."""

TYPICAL = 512
"""Number of samples from which the standard deviation of a label is known."""


def fisher_bounds(
    recipe: Recipe, table: str, ids: Sequence[int], labels: Sequence[str], step: float = STEP
) -> pd.DataFrame:
    """Return the smallest standard deviation that an unbiased estimate of labels from an image can have, by sample.

    The bound of Cramér and Rao: the root of the diagonal of the inverse Fisher matrix of ``labels``, all of which are
    unknown; other labels are known, so bounds of a model that knows less are larger. A prior can make errors smaller.

    Parameters
    ----------
    recipe : Recipe
    table : str
        Images whose noise is steps of `background` and `gaussian`.
    ids : sequence of int, length n
        Numbers of samples, all of whose classes have the labels.
    labels : sequence of str
    step : float
        Step of the central differences, in standard deviations of each label.

    Returns
    -------
    DataFrame
        ``id``, and a column for each label, in its unit; infinite where the image says nothing of it.

    Raises
    ------
    LabelError
        The noise is another, a label is unknown, or a class has none.
    """
    from deepbench.samples import labels as draw
    from deepbench.samples import render

    quiet = without_noise(recipe, table)
    rows = pd.concat([draw(recipe, table, int(each), int(each) + 1) for each in ids])
    rows = rows.reset_index(drop=True)
    sigma = noise_sigma(recipe, table, rows)
    known = draw(recipe, table, 0, min(TYPICAL, recipe.table(table).samples))
    slopes = []
    for label in labels:
        if label not in rows.columns:
            raise LabelError(unknown("label", label, rows.columns))
        if rows[label].isna().any():
            first = rows["id"][rows[label].isna()].iloc[0]
            raise LabelError(f"sample {first} has no '{label}': name samples of classes that do")
        spread = float(known[label].std())
        size = step * (spread if spread > 0 else 1.0)
        sides = []
        for sign in (1, -1):
            moved = rows.assign(**{label: rows[label] + sign * size})
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RangeWarning)
                image = render(quiet, table, labels=moved, extra="ignore")["image"].to_numpy()
            sides.append(image.reshape(len(rows), -1).astype(float))
        slopes.append((sides[0] - sides[1]) / (2 * size))
    jacobian = np.stack(slopes, axis=2) / sigma[:, None, None]
    information = np.einsum("npi,npj->nij", jacobian, jacobian)
    bounds = np.array([_bounds(each) for each in information])
    return pd.DataFrame({"id": rows["id"]} | {k: bounds[:, i] for i, k in enumerate(labels)})


def _bounds(information: NDArray) -> NDArray:
    """Return the roots of the diagonal of an inverse; infinite where the image says nothing, or not which of two."""
    scale = np.sqrt(np.diag(information))
    if not (scale > 0).all() or np.linalg.cond(information / np.outer(scale, scale)) > 1e10:
        return np.full(len(information), np.inf)
    inverse = np.linalg.inv(information / np.outer(scale, scale))
    bounds: NDArray = np.sqrt(np.diag(inverse)) / scale
    return bounds


def likelihood_ratio_accuracy(distance: NDArray | float) -> NDArray | float:
    """Return the accuracy of the best test between two known signals that are equally likely: Φ(d / 2).

    Parameters
    ----------
    distance : float or ndarray
        Root of the sum of squared differences of the signals over the standard deviation of the noise.
    """
    accuracy: NDArray | float = special.ndtr(np.asarray(distance) / 2)[()]
    return accuracy


def without_noise(recipe: Recipe, table: str) -> Recipe:
    """Return the recipe with images without noise, on their backgrounds.

    Raises
    ------
    LabelError
        The table is none of images, or its noise is not Gaussian with a known σ.
    """
    steps = recipe.resolved()["tables"][table].get("noise", [])
    kinds = {key for each in steps for key in each if key != "name"}
    gaussian = "gaussian" in kinds and kinds <= {"background", "gaussian"}
    if recipe.table(table).kind != "image" or not gaussian:
        raise LabelError(
            f"table '{table}' has no bound that is known: it must have images whose noise is steps of background and "
            f"gaussian, not {', '.join(sorted(kinds)) or 'none'}"
        )
    return backgrounds_alone(recipe, table)


def backgrounds_alone(recipe: Recipe, table: str) -> Recipe:
    """Return the recipe with backgrounds as the only steps of a table's noise."""
    steps = recipe.resolved()["tables"][table].get("noise", [])
    certain = [each for each in steps if "background" in each]
    return recipe.replace({f"tables.{table}.noise": certain})


def noise_sigma(recipe: Recipe, table: str, rows: pd.DataFrame) -> NDArray:
    """Return the standard deviation of the noise of each row, from the labels of all Gaussian steps."""
    steps = recipe.tables[table].noise  # type: ignore[attr-defined]
    variance = np.zeros(len(rows))
    for each, name in zip(steps, names_of(steps), strict=True):
        if each.kind == "gaussian":
            variance += rows[f"noise.{name}.sigma"].to_numpy(dtype=float) ** 2
    return np.sqrt(variance)
