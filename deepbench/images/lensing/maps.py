"""Maps of what masses do: their convergence in each pixel, and the azimuth that arcs cover."""

from __future__ import annotations

import numpy as np

from deepbench.lensing.deflector import PREPARED_ROW
from deepbench.lensing.plane import field_at, prepare
from deepbench.numerics.kernels import kernel
from deepbench.numerics.mathfast import sincosd64

POINTS = 4
"""Points of a pixel along each axis at which the convergence is taken."""

DIRECTIONS = 360
"""Number of directions in which arcs are looked for."""

STEP = 0.5
"""Distance of the points along a direction at which arcs are looked for (pixel)."""


@kernel
def add_convergence(maps, offsets, masses, scale):
    """Add the convergence of the masses of samples to maps: the mean of 16 points of each pixel.

    Parameters
    ----------
    maps : float32[n, ny, nx]
        Changed.
    offsets : int64[n + 1]
    masses : DEFLECTOR_ROW[m]
        Sample i has those from ``offsets[i]`` to ``offsets[i + 1]`` − 1; arcsec from the centre of the frame.
    scale : float
        Arcseconds per pixel.
    """
    prepared = np.zeros(masses.size, PREPARED_ROW)
    prepare(masses, prepared)
    ny, nx = maps.shape[1:]
    for image in range(maps.shape[0]):
        own = prepared[offsets[image] : offsets[image + 1]]
        if own.size == 0:
            continue
        for row in range(ny):
            for column in range(nx):
                total = 0.0
                for j in range(POINTS):
                    y = (row - 0.5 * (ny - 1) + (j + 0.5) / POINTS - 0.5) * scale
                    for i in range(POINTS):
                        x = (column - 0.5 * (nx - 1) + (i + 0.5) / POINTS - 0.5) * scale
                        field = field_at(own, x, y)
                        total += 0.5 * (field.xx + field.yy)
                maps[image, row, column] += np.float32(total / (POINTS * POINTS))


@kernel
def covered_azimuths(found, chosen, centres, inner, least, azimuths):
    """Write the azimuth, in degrees, in which the light of lensed galaxies is above a level.

    Parameters
    ----------
    found : Cutouts
    chosen : int64[k]
        Numbers of the galaxies.
    centres : float64[k, 2]
        x and y of the point from which directions count, pixels.
    inner : float64[k]
        Distance from it within which light does not count, pixels.
    least : float64[k]
        The level, in light per pixel.
    azimuths : float64[k]
        Written.
    """
    for k in range(chosen.size):
        left, bottom, width, height = found.boxes[chosen[k]]
        first, last = found.offsets[chosen[k]], found.offsets[chosen[k] + 1]
        light = found.light[first:last].reshape((height, width))
        x0, y0 = centres[k, 0] - left, centres[k, 1] - bottom
        far = abs(x0) + abs(y0) + width + height
        count = 0
        for direction in range(DIRECTIONS):
            sine, cosine = sincosd64(direction * 360.0 / DIRECTIONS)
            radius = inner[k]
            while radius < far:
                x, y = x0 + radius * cosine, y0 + radius * sine
                radius += STEP
                if not (0.0 <= x < width - 1.0 and 0.0 <= y < height - 1.0):
                    continue
                i, j = int(x), int(y)
                u, v = x - i, y - j
                low = (1.0 - u) * light[j, i] + u * light[j, i + 1]
                high = (1.0 - u) * light[j + 1, i] + u * light[j + 1, i + 1]
                if (1.0 - v) * low + v * high >= least[k]:
                    count += 1
                    break
        azimuths[k] = count * 360.0 / DIRECTIONS
