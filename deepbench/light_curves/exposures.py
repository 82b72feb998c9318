"""The mean of a light curve over each exposure: Gauss-Legendre quadrature, with as many nodes as what varies needs."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepbench.kernels import kernel

MOST_NODES = 32
"""In one exposure."""

ERROR = 1e-6
"""Largest error of the mean over an exposure of a sinusoid of amplitude 1."""


class Times(NamedTuple):
    """The times at which samples are to be observed.

    Attributes
    ----------
    counts : int64[n]
        Number of times of each sample.
    days : float64[r, w]
        Ascending, with a row for each sample, or one for all; NaN where there is none.
    bands : int8[r, w]
        Number of the band of each; −1 where there is none.
    lengths : float64[b]
        Of an exposure in each band, days.
    """

    counts: NDArray[np.int64]
    days: NDArray[np.float64]
    bands: NDArray[np.int8]
    lengths: NDArray[np.float64]


class Observations(NamedTuple):
    """What of it is observed.

    Attributes
    ----------
    offsets : int64[n + 1]
        Sample i has the observations ``offsets[i]`` … ``offsets[i + 1] - 1``.
    places : int64[m]
        Where each stands in the sample's variables.
    times : float64[m]
        Middles of the exposures, days, ascending within a sample.
    exposures : float64[m]
        Their lengths, days.
    bands : int8[m]
    scheduled : Times
        With those that are lost.
    """

    offsets: NDArray[np.int64]
    places: NDArray[np.int64]
    times: NDArray[np.float64]
    exposures: NDArray[np.float64]
    bands: NDArray[np.int8]
    scheduled: Times


@lru_cache(maxsize=1)
def rules() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return nodes and weights of all rules, float64[MOST_NODES + 1, MOST_NODES], and how far each reaches.

    The nodes of the rule with n of them are row n, in [−1/2, 1/2]; its weights add up to 1. They are the roots of the
    Legendre polynomial by Newton's method, in sums and products alone, so that their bits are the same everywhere.
    The reach of a rule is the largest rate × exposure / 2 of a sinusoid whose mean it finds within ``ERROR``; its
    error is (n!)⁴ 4ⁿ / ((2n + 1) (2n)!³) times the 2n-th power of that, at most.
    """
    nodes = np.zeros((MOST_NODES + 1, MOST_NODES))
    weights, reach = np.zeros_like(nodes), np.zeros(MOST_NODES + 1)
    for n in range(1, MOST_NODES + 1):
        for j in range(n):
            x, slope = round(-math.cos(math.pi * (j + 0.75) / (n + 0.5)), 6), 1.0
            for _ in range(20):
                last, value, slope = 1.0, x, 1.0
                for k in range(2, n + 1):
                    slope = k * value + x * slope
                    last, value = value, ((2 * k - 1) * x * value - (k - 1) * last) / k
                x -= value / slope
            nodes[n, j] = 0.5 * x if 2 * j + 1 != n else 0.0
            weights[n, j] = 1.0 / ((1.0 - x * x) * slope * slope)
        constant = math.factorial(n) ** 4 * 4**n / ((2 * n + 1) * math.factorial(2 * n) ** 3)
        reach[n] = (ERROR / constant) ** (0.5 / n)
    return nodes, weights, reach


@kernel
def count_nodes(offsets, exposures, rates, reach, nodes):
    """Raise the number of nodes of each exposure to what the fastest change in its sample needs.

    Parameters
    ----------
    offsets : int64[n + 1]
        Of the samples in the observations.
    exposures : float64[m]
        Days.
    rates : float64[n]
        Radians per day.
    reach : float64[MOST_NODES + 1]
    nodes : int64[m]
        Raised.
    """
    for i in range(rates.size):
        for e in range(offsets[i], offsets[i + 1]):
            half, n = 0.5 * rates[i] * exposures[e], nodes[e]
            while n < MOST_NODES and half > reach[n]:
                n += 1
            nodes[e] = n


@kernel
def lay_nodes(firsts, places, times, exposures, bands, node_times, node_bands):
    """Lay out the nodes of exposures: exposure e has ``firsts[e]`` … ``firsts[e + 1] - 1``.

    Parameters
    ----------
    firsts : int64[m + 1]
    places : float64[MOST_NODES + 1, MOST_NODES]
        Nodes of the rules.
    times, exposures, bands : float64[m], float64[m], int8[m]
    node_times, node_bands : float64[k], int8[k]
        Written.
    """
    for e in range(times.size):
        n = firsts[e + 1] - firsts[e]
        for j in range(n):
            node_times[firsts[e] + j] = times[e] + exposures[e] * places[n, j]
            node_bands[firsts[e] + j] = bands[e]


@kernel
def mean_over(firsts, weights, values, means):
    """Write the mean of values over each exposure.

    Parameters
    ----------
    firsts : int64[m + 1]
        As for ``lay_nodes``.
    weights : float64[MOST_NODES + 1, MOST_NODES]
    values : float64[k]
        At the nodes.
    means : float64[m]
        Written.
    """
    for e in range(means.size):
        n, total = firsts[e + 1] - firsts[e], 0.0
        for j in range(n):
            total += weights[n, j] * values[firsts[e] + j]
        means[e] = total
