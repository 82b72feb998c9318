"""Light of rays that lie between the points of a grid, spread over the nearest of them by Lagrange's weights."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from deepbench.images.lensing.windows import LEVELS
from deepbench.numerics.kernels import inline

BESIDE = 3
"""Points on either side of the nearest over which the light of a ray is spread along an axis."""

PLACES = 2 ** (LEVELS - 1)
"""Number of rays of the finest level between two points of the grid."""


@lru_cache(maxsize=1)
def lagrange_weights() -> NDArray[np.float32]:
    """Return Lagrange's weights of the points −BESIDE … BESIDE for places −½ … ½ in steps of 1 / PLACES."""
    places = np.arange(PLACES + 1)[:, None] / PLACES - 0.5
    points = np.arange(-BESIDE, BESIDE + 1)
    weights = [
        np.prod(
            [(places[:, 0] - other) / (own - other) for other in points if other != own], axis=0
        )
        for own in points
    ]
    return np.stack(weights, axis=1).astype(np.float32)


@inline
def deposit(grid, row, first, light, level, table, spread):
    """Add the light of rays of a level to a grid; ``row`` and ``first`` are numbers among the rays of the level."""
    size = grid.shape[0]
    if level < 2:
        stride = 2 - level
        target = grid[row * stride]
        for i in range(light.size):
            target[(first + i) * stride] += light[i]
        return
    parts = 2 ** (level - 1)
    half, each = parts // 2, PLACES // parts
    for i in range(light.size):
        place = first + i + half
        nearest = place // parts
        weights, value = table[(place - nearest * parts) * each], light[i]
        for m in range(2 * BESIDE + 1):
            spread[nearest + BESIDE + m] += weights[m] * value
    begin = max((first + half) // parts - BESIDE, 0)
    end = min((first + light.size - 1 + half) // parts + BESIDE + 1, size)
    line = spread[2 * BESIDE :]  # what falls beyond the grid's edge is left in the margins
    place = row + half
    nearest = place // parts
    weights = table[(place - nearest * parts) * each]
    for m in range(2 * BESIDE + 1):
        at = nearest - BESIDE + m
        if 0 <= at < size:
            target, weight = grid[at], weights[m]
            for i in range(begin, end):
                target[i] += weight * line[i]
    spread[begin : end + 4 * BESIDE] = np.float32(0.0)
