"""The light of samples at each of their observations, without noise: nodes, factors, added light, means.

The copies of an object are drawn one after another, so that what each alone changes is known before all are together.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepbench.labelling.objects import ObjectColumns
from deepbench.light_curves.families.families import ADDS, AVERAGED, FAMILIES, MULTIPLIES, Family
from deepbench.light_curves.survey.exposures import (
    MOST_NODES,
    SMOOTH_PANELS,
    Observations,
    count_nodes,
    error_constants,
    lay_nodes,
    mean_over,
    row_of,
    rules,
)
from deepbench.numerics.kernels import kernel


class Light(NamedTuple):
    """The objects of one entry of a class, or a part of them.

    Attributes
    ----------
    source : ObjectColumns
    rows : float64[k, b, p]
        As the columns of the family say.
    samples : int64[k]
        Sample number of each.
    owners : int64[k]
        Row of the sample of each.
    extra : tuple of ndarray
        What else the kernel of the family takes.
    measured : dict of str to float64[all]
        What is measured of all objects of the entry; written.
    places : int64[k]
        Where these objects stand among all of the entry.
    """

    source: ObjectColumns
    rows: NDArray[np.float64]
    samples: NDArray[np.int64]
    owners: NDArray[np.int64]
    extra: tuple[NDArray, ...]
    measured: dict[str, NDArray[np.float64]]
    places: NDArray[np.int64]

    @property
    def family(self) -> Family:
        """How its light is computed."""
        return FAMILIES[self.source.entry.kind]

    def part(self, samples: slice) -> Light:
        """Return the objects of some samples, whose rows begin with 0."""
        chosen = slice(*np.searchsorted(self.owners, [samples.start, samples.stop]))
        part = self._take(chosen)
        return part._replace(owners=part.owners - samples.start)

    def copies(self) -> Iterator[Light]:
        """Yield the first copies, the second ones, …; a sample has no two objects in one of them."""
        if self.source.entry.repeat is None:
            yield self
            return
        numbers = self.source.copies[self.places]
        for number in range(int(numbers.max()) + 1 if len(numbers) else 0):
            yield self._take(np.flatnonzero(numbers == number))

    def _take(self, chosen: slice | NDArray[np.int64]) -> Light:
        return self._replace(
            rows=self.rows[chosen],
            samples=self.samples[chosen],
            owners=self.owners[chosen],
            places=self.places[chosen],
        )


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


class Scratch:
    """Arrays that are used again for one batch after another: fresh memory is dear."""

    def __init__(self) -> None:
        self._held: dict[str, NDArray[np.float64]] = {}

    def take(self, name: str, size: int, value: float) -> NDArray[np.float64]:
        """Return the array of a name, of a size; it holds the value where it was not written to since."""
        if name not in self._held or len(self._held[name]) < size:
            self._held[name] = np.full(size, value)
        return self._held[name][:size]


def nodes_of(seen: Observations, lights: list[Light]) -> NDArray[np.int64]:
    """Return where the nodes of each observation begin, int64[m + 1]; count the observations in events.

    The nodes that factors need add up, as a product changes faster than each; of light that is added, that which needs
    the most decides.
    """
    nodes, added = np.ones(len(seen.times), np.int64), np.ones(len(seen.times), np.int64)
    for light in lights:
        if light.family.count is not None:
            events = np.zeros(len(light.owners), np.int64)
            own = added if light.family.how == ADDS else np.ones(len(seen.times), np.int64)
            light.family.count(
                light.rows, light.owners, seen.offsets, seen.times, seen.exposures, own, events
            )
            light.measured["n_in_event"][light.places] = events
            if light.family.how != ADDS:
                nodes += own - 1
    smooth = _smooth(len(seen.offsets) - 1, lights)
    count_nodes(seen.offsets, seen.exposures, *smooth, error_constants(), nodes)
    return np.concatenate([[0], np.cumsum(np.maximum(nodes, added))])


def _smooth(
    samples: int, lights: list[Light]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Return all that is smooth, by sample: where those of each begin, amplitudes, and angular rates."""
    owners, terms = [np.zeros(0, np.int64)], [np.zeros((0, 2))]
    for light in lights:
        if light.family.smooth is not None:
            found = light.family.smooth(light.rows)
            owners.append(np.repeat(light.owners, found.shape[1]))
            terms.append(found.reshape(-1, 2))
    all_owners = np.concatenate(owners)
    order = np.argsort(all_owners, kind="stable")
    amplitudes, rates = np.ascontiguousarray(np.concatenate(terms)[order].T)
    return np.searchsorted(all_owners[order], np.arange(samples + 1)), amplitudes, rates


def rates_of(samples: int, lights: list[Light]) -> NDArray[np.float64]:
    """Return the highest angular rate of what changes in each sample, rad/day; 0 where all is constant."""
    rates = np.zeros(samples)
    for light in lights:
        if light.family.fastest is not None:
            np.maximum.at(rates, light.owners, light.family.fastest(light.rows))
    return rates


def highest_rate(exposure: float) -> float:
    """Return the highest angular rate that can be averaged over an exposure of so many days, rad/day."""
    reach = SMOOTH_PANELS * float(rules()[2][MOST_NODES])
    return 2.0 * reach / exposure if exposure > 0.0 else np.inf


def flux_of(
    seen: Observations,
    firsts: NDArray[np.int64],
    of_source: NDArray[np.float64],
    lights: list[Light],
    scratch: Scratch,
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
    scratch : Scratch
    """
    places, weights, _ = rules()
    count = int(firsts[-1])
    times, bands = scratch.take("times", count, 0.0), np.empty(count, np.int8)
    lay_nodes(firsts, places, seen.times, seen.exposures, seen.bands, times, bands)
    at_nodes = firsts[seen.offsets], times, bands
    factors, slow, added = (
        scratch.take(name, size, value)
        for name, size, value in (
            ("factors", count, 1.0),
            ("slow", len(seen.times), 1.0),
            ("added", len(seen.times), 0.0),
        )
    )
    ones, zeros = scratch.take("ones", count, 1.0), scratch.take("zeros", count, 0.0)
    changes = []
    for each in lights:
        for light in each.copies():
            owners, how = light.owners, light.family.how
            offsets = np.concatenate([[0], np.cumsum(np.diff(seen.offsets)[owners])])
            change = Change(light, offsets, np.empty(offsets[-1], np.float32))
            put = owners, seen.offsets, firsts, weights, seen.bands, of_source
            if how == MULTIPLIES:
                light.family.apply(light.rows, owners, *at_nodes, ones, *light.extra)
                multiply(*put, ones, factors, offsets, change.values)
            elif how == ADDS:
                light.family.apply(light.rows, owners, *at_nodes, zeros, *light.extra)
                add(*put, zeros, added, offsets, change.values)
            elif how == AVERAGED:
                events = np.zeros(len(owners), np.int64)
                where = seen.offsets, seen.times, seen.exposures, seen.bands
                light.family.apply(light.rows, owners, *where, zeros, events)
                light.measured["n_in_event"][light.places] = events
                add_means(*put, zeros, added, offsets, change.values)
            else:
                walked = *seen.scheduled, seen.offsets, seen.places, seen.bands
                light.family.apply(light.rows, owners, *walked, light.samples, *light.extra, ones)
                multiply_means(*put, ones, slow, offsets, change.values)
            changes.append(change)
    flux = np.empty(len(seen.times))
    mean_over(firsts, weights, factors, flux)
    combine(seen.offsets, seen.bands, of_source, slow, added, flux)
    factors[:], slow[:], added[:] = 1.0, 1.0, 0.0  # ones and zeros are so again after each use
    return flux, changes


@kernel
def multiply(owners, offsets, firsts, weights, bands, of_source, values, factors, inside, changes):
    """Multiply the factors of samples by those of objects, no two of one sample.

    Parameters
    ----------
    owners : int64[k]
        Sample of each object.
    offsets : int64[n + 1]
        Of the samples in the observations.
    firsts, weights
        As for ``exposures.mean_over``.
    bands : int8[m]
    of_source : float64[n, b]
    values : float64[f]
        Factors of the objects at the nodes of their samples; made 1 again.
    factors : float64[f]
        Of the samples; changed.
    inside : int64[k + 1]
        Of the objects in the changes.
    changes : float32[c]
        Written: what each alone changes of the flux of each observation.
    """
    for j in range(owners.size):
        first, last = offsets[owners[j]], offsets[owners[j] + 1]
        shift = inside[j] - first
        for e in range(first, last):
            n, total = firsts[e + 1] - firsts[e], 0.0
            row = row_of(n)
            for i in range(n):
                node = firsts[e] + i
                value = values[node]
                values[node] = 1.0
                factors[node] *= value
                total += weights[row, i] * (value - 1.0)
            changes[shift + e] = total * of_source[owners[j], bands[e]]


@kernel
def add(owners, offsets, firsts, weights, bands, of_source, values, added, inside, changes):
    """Add the light of objects to that of samples.

    The arguments are as for ``multiply``, but the values are light, made 0 again, and ``added`` is float64[m].
    """
    for j in range(owners.size):
        first, last = offsets[owners[j]], offsets[owners[j] + 1]
        shift = inside[j] - first
        for e in range(first, last):
            n, total = firsts[e + 1] - firsts[e], 0.0
            row = row_of(n)
            for i in range(n):
                total += weights[row, i] * values[firsts[e] + i]
                values[firsts[e] + i] = 0.0
            added[e] += total
            changes[shift + e] = total


@kernel
def add_means(owners, offsets, firsts, weights, bands, of_source, values, added, inside, changes):
    """Add the mean light of objects in units of that of their sources; as ``add``, with a value per observation."""
    for j in range(owners.size):
        first, last = offsets[owners[j]], offsets[owners[j] + 1]
        shift = inside[j] - first
        for e in range(first, last):
            light = values[e] * of_source[owners[j], bands[e]]
            values[e] = 0.0
            added[e] += light
            changes[shift + e] = light


@kernel
def multiply_means(
    owners, offsets, firsts, weights, bands, of_source, values, slow, inside, changes
):
    """Multiply factors that are means over exposures; as ``multiply``, with a value for each observation."""
    for j in range(owners.size):
        first, last = offsets[owners[j]], offsets[owners[j] + 1]
        shift = inside[j] - first
        for e in range(first, last):
            value = values[e]
            values[e] = 1.0
            slow[e] *= value
            changes[shift + e] = (value - 1.0) * of_source[owners[j], bands[e]]


@kernel
def combine(offsets, bands, of_source, slow, added, flux):
    """Multiply the mean factors in ``flux`` with other factors and the light of the sources, and add what is added."""
    for i in range(offsets.size - 1):
        for e in range(offsets[i], offsets[i + 1]):
            flux[e] = flux[e] * slow[e] * of_source[i, bands[e]] + added[e]
