"""Samples of two splits that noise does not tell apart, searched among all of them.

A sketch of an image without noise is its place along the directions in which images differ most, and the length of
the rest. Two sketches are never farther apart than their images (an orthogonal projection shortens, and lengths differ
by no more than what they are of). So a search of sketches within the noise misses no pair; what it finds is compared
whole. This holds for certain, to the rounding of double precision.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from deepbench.counterfactuals import unchanged
from deepbench.errors import DeepBenchError
from deepbench.probing.costs import affordable, block_of
from deepbench.probing.overlap import Shared
from deepbench.probing.truth import Truth
from deepbench.progress import Progress, silent

if TYPE_CHECKING:
    from deepbench.recipe import Recipe

UNRESOLVED = 1.0
"""Distance of two noiseless samples, in standard deviations of the noise, below which they are not told apart."""

ROUNDING = 1e-11
"""Bound on the rounding of sketches, as a part of the largest value in them."""

DIRECTIONS = 24
"""Number of directions of a sketch."""

LEARNED = 256
"""Number of images from which the directions are found; fewer of few, and of large ones, which are held together."""

MOST = 50_000
"""Largest number of samples that are compared where no number is asked for; fewer where rendering is slow."""

STEPS = 16
"""Number of blocks of slow images, at least, so that progress is seen."""

CANDIDATES = (1, 8, 64, 512)
"""Numbers of the nearest sketches whose images are compared, in turn, until one is near or none is left."""

MOST_PAIRS = 100_000
"""Largest number of pairs of images that are compared for each number of candidates, but for the first."""


class Nearness(NamedTuple):
    """Samples that noise does not tell apart.

    Attributes
    ----------
    found : list of Shared
    searched : str
        What was compared with what, or why nothing was.
    """

    found: list[Shared]
    searched: str


class _Sketches(NamedTuple):
    """Sketches of samples, shape (n, directions + 1), and the standard deviations of their noise, shape (n,)."""

    points: NDArray[np.float64]
    sigma: NDArray[np.float64]


def unresolved(
    recipe: Recipe,
    table: str,
    truth: Truth,
    first: int,
    most: int | None = None,
    progress: Progress = silent,
) -> Nearness:
    """Return samples of other splits that noise does not tell from one of the first split.

    The distance of two images is the root of the sum of their squared differences without noise, over the standard
    deviation of the noise of the sample that is asked about: its mean over the pixels.

    Parameters
    ----------
    recipe : Recipe
    table : str
    truth : Truth
        Of all its samples.
    first : int
        Code of the split that is trained on.
    most : int, optional
        Largest number of samples that are rendered: the first ones. When absent ``MOST``, or as many as take about
        half a minute.
    progress : callable
    """
    trained = truth.split_codes == first
    try:
        if trained.all() or not trained.any():
            raise DeepBenchError("there is one split")
        images = _Images(recipe, table, progress)
        rows = np.arange(min(most or images.affordable(truth.ids), len(truth)))
        own, asked = rows[trained[rows]], rows[~trained[rows]]
        if not len(own) or not len(asked):
            where = "in" if len(asked) else "outside"
            raise DeepBenchError(
                f"none of the first {len(rows):,} of {len(truth):,} samples is {where} '{truth.splits[first]}'; "
                f"`--samples {len(truth)}` searches all"
            )
        sketches = images.sketches(truth.ids[rows])
    except DeepBenchError as error:
        return Nearness([], f"Near-duplicates were not looked for: {error}.")
    twins, unsettled = _twins(images, sketches, truth.ids[rows], own, asked)
    searched = (
        f"Each of {len(asked):,} samples of other splits was compared with all {len(own):,} of "
        f"'{truth.splits[first]}', without noise: no pair nearer than the noise is missed"
    )
    if len(rows) < len(truth):
        searched += (
            f", but the {len(truth) - len(rows):,} samples after these were not searched "
            f"(`--samples {len(truth)}` searches all)"
        )
    if unsettled:
        searched += f", but for {unsettled:,} samples that have too many candidates"
    found = []
    for split, name in enumerate(truth.splits):
        here = asked[truth.split_codes[asked] == split]
        near = here[twins[here] >= 0]
        if len(near):
            pair = int(truth.ids[near[0]]), int(truth.ids[twins[near[0]]])
            found.append(Shared("unresolved", "", name, len(near), len(here), *pair))
    return Nearness(found, searched + ".")


def _twins(
    images: _Images, sketches: _Sketches, ids: NDArray, own: NDArray, asked: NDArray
) -> tuple[NDArray, int]:
    """Return for each row one of ``own`` that is near it, -1 where there is none; and how many are not settled."""
    tree = cKDTree(sketches.points[own])
    twins = np.full(len(ids), -1)
    reach = UNRESOLVED * sketches.sigma + ROUNDING * np.abs(sketches.points).max()
    left, seen, unsettled = asked, 0, 0
    for count in CANDIDATES:
        k = min(count, len(own))
        room = max(len(asked), MOST_PAIRS) // k
        unsettled += len(left[room:])
        left = left[:room]
        if not len(left):
            break
        limit = np.nextafter(reach[left].max(), np.inf)  # the bound itself is outside
        gaps, places = tree.query(sketches.points[left], k=k, distance_upper_bound=limit)
        gaps, places = gaps.reshape(len(left), k), places.reshape(len(left), k)
        open_ = gaps[:, seen:] <= reach[left, None]
        which, column = np.nonzero(open_)
        pairs = np.stack([left[which], own[places[:, seen:][which, column]]], axis=1)
        near = images.distances(ids, pairs) < UNRESOLVED * sketches.sigma[pairs[:, 0]]
        for one, two in pairs[near][::-1]:
            twins[one] = two
        left, seen = left[open_[:, -1] & (twins[left] < 0)], k
        if seen == len(own):
            return twins, unsettled
    return twins, unsettled + len(left)


class _Images:
    """Images of a table without noise, and sketches of them.

    Raises
    ------
    DeepBenchError
        The table has none, or their noise is not known.
    """

    def __init__(self, recipe: Recipe, table: str, progress: Progress) -> None:
        view = recipe.table(table)
        if view.kind != "image":
            raise DeepBenchError("only images are compared without noise")
        specification = view.specification
        if specification.instrument is None and specification.has_defects:
            raise DeepBenchError("cosmic rays and bad pixels hide the noise")
        quiet = all(each.kind == "background" for each in specification.noise)
        if specification.instrument is None and quiet:
            raise DeepBenchError("the images have no noise; equal ones are told as equal data")
        needed = (
            ["image_true"] if specification.instrument is None else ["image_true", "variance_true"]
        )
        planes = dict.fromkeys([*(specification.planes or ()), *needed])
        self._recipe = recipe.replace({f"tables.{table}.planes": list(planes)})
        self._table = table
        self._progress = progress
        self._block = block_of(self._recipe, table)
        self._learned = min(LEARNED, max(2, 2 * self._block))

    def affordable(self, ids: NDArray) -> int:
        """Return how many of some samples are compared where no number is asked for, in blocks that show progress."""
        self._progress("measuring the time of a sample", 0, 0)
        count = affordable(self._recipe, self._table, ids)
        self._block = min(self._block, max(1, count // STEPS))
        return min(count, MOST)

    def sketches(self, ids: NDArray) -> _Sketches:
        """Return sketches of samples."""
        learned = min(self._learned, max(2, len(ids) // 4))
        directions = self._directions(ids[:learned])
        points: list[NDArray] = []
        sigmas: list[NDArray] = []
        for images, sigma in self._blocks(ids):
            self._progress("searching near-duplicates", len(points) * self._block, len(ids))
            along = images @ directions.T
            rest = np.linalg.norm(images - along @ directions, axis=1)
            points.append(np.column_stack([along, rest]))
            sigmas.append(sigma)
        return _Sketches(np.concatenate(points), np.concatenate(sigmas))

    def distances(self, ids: NDArray, pairs: NDArray) -> NDArray[np.float64]:
        """Return the distances of pairs of rows, shape (pairs, 2), in the unit of the image."""
        found = np.empty(len(pairs))
        size = max(1, self._block // 2)
        for start in range(0, len(pairs), size):
            self._progress("comparing pairs", start, len(pairs))
            part = pairs[start : start + size]
            used, place = np.unique(part, return_inverse=True)
            images = np.concatenate([each for each, _ in self._blocks(ids[used])])
            one, two = place.reshape(part.shape).T
            found[start : start + size] = np.linalg.norm(images[one] - images[two], axis=1)
        return found

    def _directions(self, ids: NDArray) -> NDArray[np.float64]:
        """Return the directions in which images differ most, orthonormal, shape (directions, pixels)."""
        images = np.concatenate([each for each, _ in self._blocks(ids)])
        images -= images.mean(axis=0)
        _, weights = np.linalg.eigh(images @ images.T)
        directions: NDArray[np.float64] = np.linalg.qr(images.T @ weights[:, -DIRECTIONS:])[0].T
        return directions

    def _blocks(self, ids: NDArray) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Yield images without noise, shape (n, pixels), and the standard deviations of their noise, shape (n,)."""
        for start in range(0, len(ids), self._block):
            data = unchanged(self._recipe, self._table, ids[start : start + self._block])
            true = data["image_true"].values
            true = true.reshape(len(true), -1).astype(float)
            if "variance_true" in data:
                variance = data["variance_true"].values.reshape(true.shape)
                yield true, np.sqrt(variance.mean(axis=1, dtype=float))
            else:
                yield true, (data["image"].values.reshape(true.shape) - true).std(axis=1)
