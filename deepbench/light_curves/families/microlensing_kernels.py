"""Microlensing of a point source by a point lens.

The magnification of a source at u Einstein radii from the lens is (Paczyński 1986, ApJ 304, 1)

    A = (u² + 2) / (u √(u² + 4)),  u² = u0² + ((t − t0) / tE)².

A part f of the light belongs to the source, the rest to unresolved stars: the flux is multiplied by f A + 1 − f. The
peak, about 1 / u0, is bounded only by the size of a source, which is a point here: recipes keep u0 ≥ 1e-3.
"""

from __future__ import annotations

import numpy as np

from deepbench.light_curves.families.loops import count_each, multiply_chunks
from deepbench.light_curves.survey.exposures import ERROR, nodes_for_pole
from deepbench.numerics.kernels import inline, kernel

_FINE = 3.0 * ERROR


@inline
def excess(square):
    """Return A − 1 for u²."""
    return (square + 2.0) / np.sqrt(square * (square + 4.0)) - 1.0


@inline
def _prepare(rows, fractions):
    row = rows[0]
    for band in range(fractions.size):
        fractions[band] = rows[band].source_fraction
    return row.peak_time, row.einstein_time, row.impact_parameter


@inline
def _write(prepared, times, work):
    peak_time, einstein_time, impact = prepared
    for j in range(times.size):
        along = (times[j] - peak_time) / einstein_time
        work[j] = 1.0 + work[j] * excess(impact * impact + along * along)


@kernel
def multiply_microlensing(rows, owners, offsets, times, bands, factors):
    """Multiply by the light of lensed stars, in units of their unlensed flux.

    ``rows`` is ``MICROLENSING[k, b]``, of which all but the source's part is read in band 0; the rest is as in
    ``loops.multiply_chunks``.
    """
    multiply_chunks(_prepare, _write, rows, owners, offsets, times, bands, factors)


@inline
def _count(rows, times, exposures, nodes):
    row, part = rows[0], 0.0
    peak_time, einstein_time, impact = row.peak_time, row.einstein_time, row.impact_parameter
    for band in range(rows.size):
        part = max(part, rows[band].source_fraction)
    half = einstein_time * np.sqrt(max(1.0 - impact * impact, 0.0))
    pole = impact * einstein_time
    strength = part * einstein_time
    seen = 0
    for j in range(times.size):
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
    return seen


@kernel
def count_microlensing(rows, owners, offsets, times, exposures, nodes, counts):
    """Count the observations that overlap each event, the time in which the source is within one Einstein radius.

    The nodes of exposures near the peak are raised: the magnification, about 1 / u, has singularities where u = 0, at
    the complex times t0 ± i u0 tE. The mean is found within ``ERROR`` of itself. ``rows`` is ``MICROLENSING[k, b]``;
    the rest is as in ``loops.count_each``.
    """
    count_each(_count, rows, owners, offsets, times, exposures, nodes, counts)
