"""The light of samples at each of their observations, without noise: nodes, factors, added light, means.

Each object has a segment of its own: the nodes, or the observations, of its sample. So what it alone changes is known
before all are put together.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepbench.kernels import kernel
from deepbench.labelling.sources import Source
from deepbench.light_curves.exposures import (
    MOST_NODES,
    Observations,
    count_nodes,
    lay_nodes,
    mean_over,
    rules,
)
from deepbench.light_curves.families import ADDS, AVERAGED, FAMILIES, WALKS, Family


class Light(NamedTuple):
    """The objects of one entry of a class, or a part of them.

    Attributes
    ----------
    source : Source
    rows : float64[k, b, p]
        As the columns of the family say.
    samples : int64[k]
        Sample number of each.
    extra : tuple of ndarray
        What else the kernel of the family takes.
    measured : dict of str to float64[k]
        What is measured of each object; written.
    owners : int64[k]
        Sample of each.
    """

    source: Source
    rows: NDArray[np.float64]
    samples: NDArray[np.int64]
    extra: tuple[NDArray, ...]
    measured: dict[str, NDArray[np.float64]]
    owners: NDArray[np.int64]

    @property
    def family(self) -> Family:
        """How its light is computed."""
        return FAMILIES[self.source.entry.kind]

    def part(self, samples: slice) -> Light:
        """Return the objects of some samples, whose numbers begin with 0."""
        part = slice(*np.searchsorted(self.owners, [samples.start, samples.stop]))
        measured = {name: values[part] for name, values in self.measured.items()}
        owners = self.owners[part] - samples.start
        return Light(self.source, self.rows[part], self.samples[part], self.extra, measured, owners)


class Change(NamedTuple):
    """What each object of a light alone changes of the flux.

    Attributes
    ----------
    light : Light
    offsets : int64[k + 1]
        Object j has the values ``offsets[j]`` … ``offsets[j + 1] - 1``, one for each observation of its sample.
    values : float32[c]
    """

    light: Light
    offsets: NDArray[np.int64]
    values: NDArray[np.float32]


def nodes_of(seen: Observations, lights: list[Light]) -> NDArray[np.int64]:
    """Return where the nodes of each observation begin, int64[m + 1]; count the observations in events."""
    nodes = np.ones(len(seen.times), np.int64)
    rates = rates_of(len(seen.offsets) - 1, lights)
    for light in lights:
        if light.family.count is not None:
            events = np.zeros(len(light.owners), np.int64)
            light.family.count(
                light.rows, light.owners, seen.offsets, seen.times, seen.exposures, nodes, events
            )
            light.measured["n_in_event"][:] = events
    count_nodes(seen.offsets, seen.exposures, rates, rules()[2], nodes)
    return np.concatenate([[0], np.cumsum(nodes)])


def rates_of(samples: int, lights: list[Light]) -> NDArray[np.float64]:
    """Return the highest angular rate of what is smooth in each sample, rad/day; 0 where all is constant."""
    rates = np.zeros(samples)
    for light in lights:
        if light.family.fastest is not None:
            np.maximum.at(rates, light.owners, light.family.fastest(light.rows))
    return rates


def highest_rate(exposure: float) -> float:
    """Return the highest angular rate that can be averaged over an exposure of so many days, rad/day."""
    reach = float(rules()[2][MOST_NODES])
    return 2.0 * reach / exposure if exposure > 0.0 else np.inf


def flux_of(
    seen: Observations,
    firsts: NDArray[np.int64],
    of_source: NDArray[np.float64],
    lights: list[Light],
) -> tuple[NDArray[np.float64], list[Change]]:
    """Return the flux of each observation, and what each object alone changes of it.

    Parameters
    ----------
    seen : Observations
        Of n samples.
    firsts : int64[m + 1]
        As ``nodes_of`` returns it.
    of_source : float64[n, b]
        Flux of the source of each sample in each band.
    lights : list of Light
        Their parts that belong to the samples.
    """
    places, weights, _ = rules()
    times, bands = np.empty(firsts[-1]), np.empty(firsts[-1], np.int8)
    lay_nodes(firsts, places, seen.times, seen.exposures, seen.bands, times, bands)
    offsets = firsts[seen.offsets]
    factors, slow, added = np.ones(firsts[-1]), np.ones(len(seen.times)), np.zeros(len(seen.times))
    changes = []
    for light in lights:
        owners, how = light.owners, light.family.how
        inside = segments(owners, seen.offsets)
        change = Change(light, inside, np.empty(inside[-1], np.float32))
        put = owners, seen.offsets, inside
        if how == WALKS:
            values = np.empty(inside[-1])
            light.family.apply(
                light.rows, owners, *seen.scheduled, seen.offsets, seen.places, seen.bands,
                light.samples, *light.extra, inside, values,
            )  # fmt: skip
            multiply_means(*put, seen.bands, of_source, values, slow, change.values)
        elif how == AVERAGED:
            values, events = np.zeros(inside[-1]), np.zeros(len(owners), np.int64)
            spread = (gather(*put, each) for each in (seen.times, seen.exposures, seen.bands))
            light.family.apply(light.rows, np.arange(len(owners)), inside, *spread, values, events)
            light.measured["n_in_event"][:] = events
            add_means(*put, seen.bands, of_source, values, added, change.values)
        else:
            at_nodes = segments(owners, offsets)
            values = np.full(at_nodes[-1], 0.0 if how == ADDS else 1.0)
            spread = (gather(owners, offsets, at_nodes, each) for each in (times, bands))
            light.family.apply(
                light.rows, np.arange(len(owners)), at_nodes, *spread, values, *light.extra
            )
            if how == ADDS:
                add(*put, at_nodes, firsts, weights, values, added, change.values)
            else:
                of_nodes = at_nodes, firsts, weights, seen.bands, of_source
                multiply(*put, *of_nodes, values, factors, change.values)
        changes.append(change)
    flux = np.empty(len(seen.times))
    mean_over(firsts, weights, factors, flux)
    combine(seen.offsets, seen.bands, of_source, slow, added, flux)
    return flux, changes


def segments(owners: NDArray[np.int64], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return offsets of segments, one for each object and as long as its owner's, int64[k + 1]."""
    return np.concatenate([[0], np.cumsum(offsets[owners + 1] - offsets[owners])])


@kernel
def gather(owners, offsets, inside, values):
    """Return the values of the owner of each object, one segment after another.

    Parameters
    ----------
    owners : int64[k]
    offsets : int64[n + 1]
        Of the owners in the values.
    inside : int64[k + 1]
        Of the segments.
    values : array[m]
    """
    found = np.empty(inside[-1], values.dtype)
    for j in range(owners.size):
        start = offsets[owners[j]]
        for e in range(inside[j + 1] - inside[j]):
            found[inside[j] + e] = values[start + e]
    return found


@kernel
def multiply(
    owners, offsets, inside, at_nodes, firsts, weights, bands, of_source, values, factors, changes
):  # fmt: skip
    """Multiply the factors of samples by those of objects.

    Parameters
    ----------
    owners : int64[k]
        Sample of each object.
    offsets : int64[n + 1]
        Of the samples in the observations.
    inside, at_nodes : int64[k + 1]
        Of the objects' segments of observations, and of nodes.
    firsts, weights
        As for ``exposures.mean_over``.
    bands : int8[m]
    of_source : float64[n, b]
    values : float64[v]
        Factors of the objects at their nodes.
    factors : float64[f]
        Of the samples at their nodes; changed.
    changes : float32[c]
        Written: what each alone changes of the flux of each observation.
    """
    for j in range(owners.size):
        first, last = offsets[owners[j]], offsets[owners[j] + 1]
        shift = at_nodes[j] - firsts[first]
        for node in range(firsts[first], firsts[last]):
            factors[node] *= values[shift + node]
        for e in range(first, last):
            n, total = firsts[e + 1] - firsts[e], 0.0
            for i in range(n):
                total += weights[n, i] * (values[shift + firsts[e] + i] - 1.0)
            changes[inside[j] + e - first] = total * of_source[owners[j], bands[e]]


@kernel
def add(owners, offsets, inside, at_nodes, firsts, weights, values, added, changes):
    """Add the light of objects to that of samples; the arguments are as for ``multiply``, ``added`` is float64[m]."""
    for j in range(owners.size):
        first, last = offsets[owners[j]], offsets[owners[j] + 1]
        shift = at_nodes[j] - firsts[first]
        for e in range(first, last):
            n, total = firsts[e + 1] - firsts[e], 0.0
            for i in range(n):
                total += weights[n, i] * values[shift + firsts[e] + i]
            added[e] += total
            changes[inside[j] + e - first] = total


@kernel
def add_means(owners, offsets, inside, bands, of_source, values, added, changes):
    """Add the mean light of objects, in units of that of their sources; the arguments are as for ``add``."""
    for j in range(owners.size):
        first, last = offsets[owners[j]], offsets[owners[j] + 1]
        for e in range(first, last):
            light = values[inside[j] + e - first] * of_source[owners[j], bands[e]]
            added[e] += light
            changes[inside[j] + e - first] = light


@kernel
def multiply_means(owners, offsets, inside, bands, of_source, values, slow, changes):
    """Multiply factors that are means over exposures; arguments as for ``add_means``, ``slow`` is float64[m]."""
    for j in range(owners.size):
        first, last = offsets[owners[j]], offsets[owners[j] + 1]
        for e in range(first, last):
            value = values[inside[j] + e - first]
            slow[e] *= value
            changes[inside[j] + e - first] = (value - 1.0) * of_source[owners[j], bands[e]]


@kernel
def combine(offsets, bands, of_source, slow, added, flux):
    """Multiply the mean factors in ``flux`` with other factors and the light of the sources, and add what is added."""
    for i in range(offsets.size - 1):
        for e in range(offsets[i], offsets[i + 1]):
            flux[e] = flux[e] * slow[e] * of_source[i, bands[e]] + added[e]
