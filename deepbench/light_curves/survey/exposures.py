"""The mean of a light curve over each exposure: Gauss-Legendre quadrature, with as many nodes as what varies needs."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepbench.numerics.kernels import inline, kernel
from deepbench.numerics.mathfast import exp64, pow64

MOST_NODES = 32
"""Largest number of nodes of one rule. An exposure that needs more is cut into equal panels of as many."""

MOST_PANELS = 64
"""Largest number of panels in one exposure."""

SMOOTH_PANELS = 4
"""Largest number of panels in one exposure for what is smooth; what changes faster is refused."""

ERROR = 1e-6
"""Largest error of the mean over an exposure of a sinusoid of amplitude 1."""

GOAL = 0.5 * ERROR
"""Largest error of the mean of the product of all that is smooth."""

_PER_PANEL = 1.0 / 20.0
"""Panels of MOST_NODES per radian of half an exposure."""


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
    """The observations that are made of samples.

    Attributes
    ----------
    offsets : int64[n + 1]
        Sample i has the observations ``offsets[i]`` … ``offsets[i + 1] - 1``.
    positions : int64[m]
        Position of each in the sample's variables.
    times : float64[m]
        Middles of the exposures, days, ascending within a sample.
    exposures : float64[m]
        Their lengths, days.
    bands : int8[m]
    scheduled : Times
        The times, those that are lost among them.
    """

    offsets: NDArray[np.int64]
    positions: NDArray[np.int64]
    times: NDArray[np.float64]
    exposures: NDArray[np.float64]
    bands: NDArray[np.int8]
    scheduled: Times

    def only(self, chosen: NDArray[np.bool_]) -> Observations:
        """Return the observations of some samples, bool[n]; the others have none."""
        lengths = np.diff(self.offsets)
        kept = np.repeat(chosen, lengths)
        return Observations(
            np.concatenate([[0], np.cumsum(lengths * chosen)]),
            self.positions[kept],
            self.times[kept],
            self.exposures[kept],
            self.bands[kept],
            self.scheduled,
        )


class Nodes(NamedTuple):
    """The instants at which light is computed: the nodes of each observation, one after another.

    Attributes
    ----------
    firsts : int64[m + 1]
        Observation e has the nodes ``firsts[e]`` … ``firsts[e + 1] - 1``.
    offsets : int64[n + 1]
        Sample i has the nodes ``offsets[i]`` … ``offsets[i + 1] - 1``.
    times : float64[f]
        Days, ascending within a sample.
    bands : int8[f]
        Band of each.
    seen : Observations
    """

    firsts: NDArray[np.int64]
    offsets: NDArray[np.int64]
    times: NDArray[np.float64]
    bands: NDArray[np.int8]
    seen: Observations


class Rules(NamedTuple):
    """The rules of quadrature.

    Attributes
    ----------
    nodes, weights : float64[r, MOST_NODES × MOST_PANELS]
        Row n <= MOST_NODES has n nodes, in [−1/2, 1/2], and their weights, which add up to 1; row MOST_NODES + P − 1
        has those of P panels (``row_of`` knows the row).
    reach : float64[MOST_NODES + 1]
        Largest rate × exposure / 2 of a sinusoid whose mean the rule of n nodes finds within ``ERROR``.
    """

    nodes: NDArray[np.float64]
    weights: NDArray[np.float64]
    reach: NDArray[np.float64]


@lru_cache(maxsize=1)
def rules() -> Rules:
    """Return all rules.

    The nodes are the roots of the Legendre polynomial by Newton's method, in sums and products alone, so that their
    bits are the same everywhere. The error of a rule at its reach is ``error_constants`` times the 2n-th power of that
    over (2n)!, at most.
    """
    shape = (MOST_NODES + MOST_PANELS, MOST_NODES * MOST_PANELS)
    nodes, weights, reach = np.zeros(shape), np.zeros(shape), np.zeros(MOST_NODES + 1)
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
    one, last = slice(0, MOST_NODES), MOST_NODES
    for panels in range(2, MOST_PANELS + 1):
        for panel in range(panels):
            own = slice(panel * MOST_NODES, (panel + 1) * MOST_NODES)
            middle = (panel + 0.5) / panels - 0.5
            nodes[last + panels - 1, own] = middle + nodes[last, one] / panels
            weights[last + panels - 1, own] = weights[last, one] / panels
    return Rules(nodes, weights, reach)


@lru_cache(maxsize=1)
def error_constants() -> NDArray[np.float64]:
    """Return the errors of rules of n = 0 … MOST_NODES nodes on [−1, 1] for x²ⁿ, float64[MOST_NODES + 1].

    They are those of the mean: (n!)⁴ 4ⁿ / ((2n + 1) (2n)!²).
    """
    return np.array(
        [
            math.factorial(n) ** 4 * 4**n / ((2 * n + 1) * math.factorial(2 * n) ** 2)
            for n in range(MOST_NODES + 1)
        ]
    )


@inline
def row_of(n):
    """Return the row of the rule with n nodes, of which there are at most MOST_NODES, or panels of so many."""
    return n if n <= MOST_NODES else MOST_NODES - 1 + n // MOST_NODES


@inline
def whole_panels(n):
    """Return the least number of nodes of a rule that is n or more, or the most that there are."""
    if n <= MOST_NODES:
        return n
    return min((n + MOST_NODES - 1) // MOST_NODES, MOST_PANELS) * MOST_NODES


@inline
def nodes_for_rate(half):
    """Return the nodes of an exposure in which a sinusoid of amplitude 1 turns by twice ``half`` radians."""
    error, n = half * half / 6.0, 1
    while error > ERROR and n < MOST_NODES:
        n += 1
        even = 2.0 * n * (2.0 * n - 1.0)
        ratio = 4.0 * n * n * n * n * (2.0 * n - 1.0) / ((2.0 * n + 1.0) * even * even * even)
        error *= ratio * half * half
    if error <= ERROR:
        return n
    return MOST_NODES * int(min(np.ceil(half * _PER_PANEL), 1.0 * MOST_PANELS))


@inline
def nodes_for_pole(along, across, target):
    """Return the nodes that find a mean to one over ``target`` of the strength of the nearest singularity.

    It is ``along`` and ``across`` from the middle of the exposure, in half exposures, in the complex plane of time.
    The error of n nodes falls as ρ⁻²ⁿ, where the ellipse of ρ about the exposure goes through the singularity.
    """
    right, left = along - 1.0, along + 1.0
    s = 0.5 * (np.sqrt(right * right + across * across) + np.sqrt(left * left + across * across))
    rho = s + np.sqrt(max(s * s - 1.0, 0.0))
    n, power = 1, rho * rho
    while power < target and n < MOST_NODES * MOST_PANELS:
        power *= rho * rho
        n += 1
    return n


@inline
def nodes_for_kink(change):
    """Return the nodes for a kink: ``change`` is the jump of the slope times half an exposure.

    A rule of n nodes errs by 0.43 / (n + ½)² of that at most, as measured, and one of panels as one of so many nodes.
    """
    most = 1.0 * MOST_NODES * MOST_PANELS
    return int(np.ceil(min(np.sqrt(0.43 * change / ERROR), most)))


@inline
def nodes_for_bend(change):
    """Return the nodes for a jump of the second derivative: ``change`` is that times half an exposure squared.

    A rule of n nodes errs by less than 0.3 / n³ of that, as measured.
    """
    most = 1.0 * MOST_NODES * MOST_PANELS
    return int(np.ceil(min(pow64(0.3 * change / ERROR, 1.0 / 3.0), most))) if change > 0.0 else 1


@inline
def _smooth_nodes(half, amplitudes, rates, constants, powers, logs, series):
    """Return the nodes for the product of all that is smooth; see ``count_nodes``."""
    fastest = 0.0
    for k in range(rates.size):
        if amplitudes[k] > 0.0:
            fastest = max(fastest, rates[k] * half)
    if fastest == 0.0:
        return 1
    series[0] = 1.0
    for k in range(rates.size):
        powers[k] = amplitudes[k]
        series[0] *= exp64(amplitudes[k])
    factorial, scale, size = 1.0, 1.0, 0.0
    for n in range(1, MOST_NODES + 1):
        factorial *= (2 * n - 1) * (2 * n)
        total = 0.0
        for k in range(rates.size):
            part = rates[k] * half / fastest
            powers[k] *= part * part
            total += powers[k]
        logs[n] = total / factorial
        total = 0.0
        for j in range(1, n + 1):
            total += j * logs[j] * series[n - j]
        series[n] = total / n
        scale *= fastest * fastest
        size = constants[n] * series[n]
        if size * scale <= GOAL:
            return n
    root = size / GOAL
    for _ in range(6):  # the 64th root, as the error falls with the 64th power of the panels
        root = np.sqrt(root)
    panels = np.ceil(min(root * fastest, MOST_PANELS))
    return MOST_NODES * max(2, int(panels))


@kernel
def count_nodes(offsets, exposures, starts, amplitudes, rates, constants, nodes):
    """Add to the nodes that events need those for what is smooth, and make them a number that a rule has.

    The product of what is smooth is exp(Σ_k a_k cos(ω_k t + …)). Its Fourier transform shows that its derivatives of
    order 2n are at most those of exp(Σ_k a_k cosh(ω_k s)) at s = 0, which follow from the power series of the
    exponent. Where two factors are polynomials of degrees 2n − 1 and 2m − 1 to within an error, n + m − 1 nodes find
    the mean of their product to within about that error.

    Parameters
    ----------
    offsets : int64[n + 1]
        Of the samples in the observations.
    exposures : float64[m]
        Days.
    starts : int64[n + 1]
        Of the samples in what is smooth.
    amplitudes, rates : float64[k]
        a_k, and ω_k in radians per day.
    constants : float64[MOST_NODES + 1]
        The ``error_constants``.
    nodes : int64[m]
        1, or what events need; raised.
    """
    most = 0
    for i in range(starts.size - 1):
        most = max(most, starts[i + 1] - starts[i])
    powers = np.empty(most)
    logs, series = np.empty(MOST_NODES + 1), np.empty(MOST_NODES + 1)
    for i in range(offsets.size - 1):
        own = slice(starts[i], starts[i + 1])
        brightest = 0.0
        for k in range(starts[i], starts[i + 1]):
            brightest += amplitudes[k]
        finer = exp64(0.5 * brightest) if brightest > 0.0 else 1.0
        length, smooth = -1.0, 1
        for e in range(offsets[i], offsets[i + 1]):
            if exposures[e] != length:
                length = exposures[e]
                smooth = _smooth_nodes(
                    0.5 * length, amplitudes[own], rates[own], constants, powers, logs, series
                )
            more = nodes[e] - 1
            if more > 0:
                more = int(min(more * finer, 1.0 * MOST_NODES * MOST_PANELS))
            nodes[e] = whole_panels(smooth + more)


@kernel
def lay_nodes(firsts, abscissae, times, exposures, bands, node_times, node_bands):
    """Lay out the nodes of exposures: exposure e has ``firsts[e]`` … ``firsts[e + 1] - 1``.

    Parameters
    ----------
    firsts : int64[m + 1]
    abscissae : float64[r, MOST_NODES × MOST_PANELS]
        Nodes of the rules.
    times, exposures, bands : float64[m], float64[m], int8[m]
    node_times, node_bands : float64[k], int8[k]
        Written.
    """
    for e in range(times.size):
        n = firsts[e + 1] - firsts[e]
        row = row_of(n)
        for j in range(n):
            node_times[firsts[e] + j] = times[e] + exposures[e] * abscissae[row, j]
            node_bands[firsts[e] + j] = bands[e]


@kernel
def mean_over(firsts, weights, values, means):
    """Write the mean of values over each exposure.

    Parameters
    ----------
    firsts : int64[m + 1]
        As for ``lay_nodes``.
    weights : float64[r, MOST_NODES × MOST_PANELS]
    values : float64[k]
        At the nodes.
    means : float64[m]
        Written.
    """
    for e in range(means.size):
        n, total = firsts[e + 1] - firsts[e], 0.0
        row = row_of(n)
        for j in range(n):
            total += weights[row, j] * values[firsts[e] + j]
        means[e] = total
