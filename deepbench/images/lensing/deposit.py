"""Light of rays that lie between the points of a grid, spread over the nearest of them by Lagrange's weights."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from deepbench.images.lensing.windows import LEVELS
from deepbench.numerics.kernels import inline

POINTS = 8
"""Number of points along an axis over which the light of a ray is spread."""

BEFORE = 3
"""Number of them before the cell of the ray."""

TOGETHER, WIDTH = 8, 16
"""Number of rays that are spread together, and of points over which they are."""


@lru_cache(maxsize=1)
def lagrange_weights() -> NDArray[np.float32]:
    """Return Lagrange's weights for TOGETHER rays at once, float32[LEVELS + 1, places, TOGETHER × WIDTH].

    ``places`` are those of the first ray in its cell, in units of TOGETHER rays; points count from BEFORE points before
    the cell on.
    """
    points = np.arange(POINTS) - BEFORE
    weights = np.zeros((LEVELS + 1, 2 ** (LEVELS - 1) // TOGETHER, TOGETHER, WIDTH))
    for level in range(2, LEVELS + 1):
        parts = 2 ** (level - 1)
        for number in range(max(parts, TOGETHER)):
            place, ray = divmod(number, TOGETHER)
            cell, rest = divmod(number, parts)
            for point in points:
                others = points[points != point]
                weights[level, place, ray, cell + point + BEFORE] = np.prod(
                    (rest / parts - others) / (point - others)
                )
    return weights.reshape(*weights.shape[:2], -1).astype(np.float32)


@inline
def deposit(grid, row, first, light, level, weights, values, spread):
    """Add the light of rays of a level to a grid; ``row`` and ``first`` are numbers among the rays of the level.

    ``values`` and ``spread`` are dark scratch, which is left dark.
    """
    if level < 2:
        stride = 2 - level
        target = grid[row * stride][first * stride :]
        for i in range(light.size):
            target[i * stride] += light[i]
        return
    parts = 2 ** (level - 1)
    aside = first % TOGETHER
    own = values[aside : aside + light.size]
    for i in range(light.size):
        own[i] = light[i]
    begin = (first - aside) // parts
    count = (aside + light.size + TOGETHER - 1) // TOGETHER
    for t in range(count):
        place = first - aside + t * TOGETHER
        cell = place // parts
        table = weights[level, (place - cell * parts) // TOGETHER]
        some, target = values[t * TOGETHER :], spread[cell - begin :]
        for m in range(WIDTH):
            total = target[m]
            for i in range(TOGETHER):
                total += table[i * WIDTH + m] * some[i]
            target[m] = total
    own[:] = np.float32(0.0)
    used = (count * TOGETHER - 1) // parts + POINTS + 1
    low = max(BEFORE - begin, 0)  # what falls beyond the grid's edge is lost
    wide = (used - low + WIDTH - 1) // WIDTH * WIDTH
    line = spread[low : low + min(wide, grid.shape[1] - (begin + low - BEFORE))]
    cell = row // parts
    ray = row - cell * parts
    ray, place = ray % TOGETHER, ray // TOGETHER
    table = weights[level, place][ray * WIDTH + ray // parts :]
    for m in range(POINTS):
        at = cell - BEFORE + m
        if 0 <= at < grid.shape[0]:
            target, weight = grid[at][begin + low - BEFORE :], table[m]
            for i in range(line.size):
                target[i] += weight * line[i]
    spread[: used + WIDTH] = np.float32(0.0)
