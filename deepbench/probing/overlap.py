"""Overlap of splits: duplicates, samples of equal parameters, samples that noise does not tell apart, groups."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from deepbench.errors import DeepBenchError
from deepbench.probing.ceiling import backgrounds_alone
from deepbench.probing.truth import Truth

if TYPE_CHECKING:
    from deepbench.recipe import Recipe

ASKED = 128
"""Largest number of samples of a split whose neighbours in training are rendered."""

NEIGHBOURS = 4
"""Number of neighbours of each, by their labels."""

RESOLVED = 1.0
"""Distance of two noiseless samples, in standard deviations of the noise, below which they are not told apart."""


@dataclass(frozen=True)
class Shared:
    """Samples of a split that training has, too.

    Attributes
    ----------
    what : str
        ``data``, ``parameters``, ``group``, ``identifier`` or ``unresolved``.
    name : str
        Of the identifier; empty for others.
    split : str
    samples, of : int
        How many of the samples that were looked at.
    first, twin : int
        The first such sample, and one of training that is like it.
    """

    what: str
    name: str
    split: str
    samples: int
    of: int
    first: int
    twin: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)

    def __str__(self) -> str:
        words = {
            "data": "have the data of a training sample, bit for bit",
            "parameters": "have all parameters of a training sample; only noise differs",
            "group": "are of a group that is in training, too",
            "identifier": f"share '{self.name}' with a training sample",
            "unresolved": "differ from a training sample by less than the noise",
        }[self.what]
        share = f"{self.samples:,} of {self.of:,} samples of '{self.split}'"
        return f"{share} {words} (sample {self.first} and {self.twin})"


def shared_keys(what: str, name: str, keys: NDArray, truth: Truth, first: int) -> list[Shared]:
    """Return the samples of each other split whose key a sample of the first split has, too.

    Parameters
    ----------
    what, name : str
    keys : ndarray, shape (n,)
        Equal for samples that are alike; missing keys are negative integers or empty.
    truth : Truth
    first : int
        Code of the split that is trained on.
    """
    own = np.flatnonzero(truth.split_codes == first)
    known, place = np.unique(keys[own], return_index=True)
    found = []
    for split in range(len(truth.splits)):
        rows = np.flatnonzero(truth.split_codes == split)
        if split == first or not len(rows) or not len(own):
            continue
        where = np.clip(np.searchsorted(known, keys[rows]), 0, len(known) - 1)
        alike = known[where] == keys[rows]
        if alike.any():
            row = int(np.argmax(alike))
            found.append(
                Shared(
                    what,
                    name,
                    truth.splits[split],
                    int(alike.sum()),
                    len(rows),
                    int(truth.ids[rows[row]]),
                    int(truth.ids[own[place[where[row]]]]),
                )
            )
    return found


def parameter_keys(truth: Truth, drawn: list[str]) -> NDArray:
    """Return a key for each sample that is equal where class and all drawn labels are."""
    frame = pd.DataFrame({"class": truth.codes} | {name: truth.labels[name] for name in drawn})
    keys: NDArray = pd.util.hash_pandas_object(frame, index=False).to_numpy()
    return keys


def unresolved(
    recipe: Recipe, table: str, frame: pd.DataFrame, truth: Truth, drawn: list[str], first: int
) -> list[Shared]:
    """Return samples of other splits that noise does not tell from one of their neighbours in the first split.

    Neighbours are the nearest of the same class in the ranks of all labels that are drawn. Each is rendered without
    noise; the distance of two images is the root of the sum of their squared differences over the standard deviation of
    the noise. So the number is a lower bound: others, farther in their labels, may be as much alike.

    Parameters
    ----------
    recipe : Recipe
    table : str
        A table of images with `noise` and without copies of objects; for others nothing is returned.
    frame : DataFrame
        Labels of all samples.
    truth : Truth
        Of the same samples.
    drawn : list of str
        Labels that are drawn and vary.
    first : int
        Code of the split that is trained on.
    """
    quiet = _without_noise(recipe, table)
    if quiet is None or not drawn:
        return []
    from deepbench.samples import render

    ranks = {name: pd.Series(truth.labels[name]).rank(pct=True).to_numpy() for name in drawn}
    found = []
    for split in range(len(truth.splits)):
        rows = np.flatnonzero(truth.split_codes == split)[:ASKED]
        if split == first or not len(rows):
            continue
        pairs = _neighbours(ranks, truth, rows, first)
        if not len(pairs):
            continue
        used, place = np.unique(pairs, return_inverse=True)
        chosen = frame.iloc[used]
        clean = render(quiet, table, labels=chosen, extra="ignore")["image"].to_numpy()
        noisy = render(recipe, table, labels=chosen)["image"].to_numpy()
        clean = clean.reshape(len(used), -1).astype(float)
        sigma = (noisy.reshape(len(used), -1) - clean).std(axis=1)
        one, two = place.reshape(pairs.shape).T
        with np.errstate(divide="ignore", invalid="ignore"):
            distance = np.sqrt(np.sum((clean[one] - clean[two]) ** 2, axis=1)) / sigma[one]
        alike = distance < RESOLVED
        if alike.any():
            asked = np.unique(pairs[alike, 0])
            row = int(np.argmax(alike))
            ids = truth.ids[pairs[row]]
            found.append(
                Shared(
                    "unresolved",
                    "",
                    truth.splits[split],
                    len(asked),
                    len(rows),
                    int(ids[0]),
                    int(ids[1]),
                )
            )
    return found


def _without_noise(recipe: Recipe, table: str) -> Recipe | None:
    """Return the recipe with backgrounds as its only noise; None where the table is none of images with such."""
    view = recipe.table(table)
    steps = recipe.resolved()["tables"][table].get("noise")
    if view.kind != "image" or view.plan.object_columns or not steps:
        return None
    try:
        return backgrounds_alone(recipe, table)
    except DeepBenchError:  # a selection, or labels, that need the noise
        return None


def _neighbours(ranks: dict[str, NDArray], truth: Truth, rows: NDArray, first: int) -> NDArray:
    """Return pairs of rows: each of some rows, and its neighbours of the same class in the first split."""
    pairs = []
    for code in range(len(truth.classes)):
        own = np.flatnonzero((truth.split_codes == first) & (truth.codes == code))
        asked = rows[truth.codes[rows] == code]
        if not len(own) or not len(asked):
            continue
        here = [each for each in ranks.values() if np.isfinite(each[own]).all()]
        here = [each for each in here if np.isfinite(each[asked]).all()]
        if not here:
            continue
        points = np.stack(here, axis=1)
        count = min(NEIGHBOURS, len(own))
        _, near = cKDTree(points[own]).query(points[asked], k=count)
        near = np.asarray(near).reshape(len(asked), count)
        pairs.append(np.stack([np.repeat(asked, count), own[near.ravel()]], axis=1))
    return np.concatenate(pairs) if pairs else np.zeros((0, 2), dtype=int)
