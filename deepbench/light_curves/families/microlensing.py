"""Microlensing of a point source by a point lens.

The magnification of a source at u Einstein radii from the lens is (Paczyński 1986, ApJ 304, 1)

    A = (u² + 2) / (u √(u² + 4)),  u² = u0² + ((t − t0) / tE)².

A part f of the light belongs to the source, the rest to unresolved stars: the flux is multiplied by f A + 1 − f. The
peak, about 1 / u0, is bounded only by the size of a source, which is a point here: recipes keep u0 ≥ 1e-3.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deepbench.light_curves.survey.exposures import ERROR, nodes_for_pole
from deepbench.numerics.kernels import inline, kernel

MICROLENSING = ("peak_time", "einstein_time", "impact_parameter", "source_fraction")
"""Days, days, Einstein radii, and the part of the light (of each band) that is lensed."""

_FINE = 3.0 * ERROR

CHUNK = 256
"""Nodes worked on at a time: the loops over them vectorise, which the look-up of a band's value would stop."""


@inline
def excess(square):
    """Return A − 1 for u²."""
    return (square + 2.0) / np.sqrt(square * (square + 4.0)) - 1.0


@kernel
def multiply_microlensing(rows, owners, offsets, times, bands, factors):
    """Multiply the factors by the light of lensed stars, in units of their unlensed flux.

    Parameters
    ----------
    rows : float64[k, b, 4]
        The columns of ``MICROLENSING`` of k events in b bands; but for the source's part those of band 0 are read.
    owners : int64[k]
        The sample of each event.
    offsets : int64[n + 1]
        The nodes of sample i are offsets[i] … offsets[i + 1] − 1.
    times : float64[m]
        Days.
    bands : int8[m]
        Band of each node.
    factors : float64[m]
        Multiplied in place.
    """
    work = np.empty(CHUNK)
    for i in range(owners.size):
        peak_time, einstein_time, impact = rows[i, 0, 0], rows[i, 0, 1], rows[i, 0, 2]
        stop = offsets[owners[i] + 1]
        for first in range(offsets[owners[i]], stop, CHUNK):
            count = min(CHUNK, stop - first)
            chunk = times[first : first + count]
            for j in range(count):
                work[j] = rows[i, bands[first + j], 3]
            for j in range(count):
                along = (chunk[j] - peak_time) / einstein_time
                work[j] = 1.0 + work[j] * excess(impact * impact + along * along)
            for j in range(count):
                factors[first + j] *= work[j]


@kernel
def count_microlensing(rows, owners, offsets, times, exposures, nodes, counts):
    """Count the observations that overlap each event, the time in which the source is within one Einstein radius.

    The nodes of exposures near the peak are raised: the magnification, about 1 / u, has singularities where u = 0, at
    the complex times t0 ± i u0 tE. The mean is found within ``ERROR`` of itself.

    Parameters
    ----------
    rows, owners, offsets
        As in ``multiply_microlensing``, with the offsets of observations.
    times, exposures : float64[m]
        Middles and lengths of the observations, days.
    nodes : int64[m]
        Raised.
    counts : int64[k]
        Written.
    """
    for i in range(owners.size):
        peak_time, einstein_time, impact = rows[i, 0, 0], rows[i, 0, 1], rows[i, 0, 2]
        part = 0.0
        for b in range(rows.shape[1]):
            part = max(part, rows[i, b, 3])
        half = einstein_time * np.sqrt(max(1.0 - impact * impact, 0.0))
        pole = impact * einstein_time
        strength = part * einstein_time
        seen = 0
        for j in range(offsets[owners[i]], offsets[owners[i] + 1]):
            away, own = abs(times[j] - peak_time), 0.5 * exposures[j]
            seen += 1 if impact < 1.0 and away <= half + own else 0
            near = max(away - own, 0.0)
            near = np.sqrt(near * near + pole * pole)
            # one node errs by less than strength / near × (own / near)² / 3, which is less than a sixth of the bound
            if strength * own * own <= _FINE * near * near * near:
                continue
            far = away + own
            light = max(1.0, strength / np.sqrt(far * far + pole * pole))
            target = max(strength / near, 1.0) / (light * ERROR)
            needed = nodes_for_pole(away / own, pole / own, target)
            nodes[j] = max(nodes[j], needed)
        counts[i] = seen


def fastest_microlensing(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return one over the time in which the source crosses the peak (rad/day); rows as in ``multiply_microlensing``."""
    return np.asarray(1.0 / (rows[:, 0, 1] * np.minimum(rows[:, 0, 2], 1.0)), dtype=np.float64)
