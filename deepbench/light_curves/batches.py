"""The light of samples at each of their observations, without noise: nodes, factors, added light, means.

The copies of an object are drawn one after another, so that what each alone changes is known before all are together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepbench.labelling.objects import ObjectColumns
from deepbench.light_curves.families.family import Effect, Family
from deepbench.light_curves.survey.exposures import (
    MOST_NODES,
    SMOOTH_PANELS,
    Nodes,
    Observations,
    count_nodes,
    error_constants,
    lay_nodes,
    mean_over,
    row_of,
    rules,
)
from deepbench.numerics.kernels import kernel


class ObjectBatch(NamedTuple):
    """The objects of one entry of a class, or a part of them.

    Attributes
    ----------
    source : ObjectColumns
    family : Family
        What the recipe says of them, and how their light is computed.
    rows : records[k, b]
        Rows of the family; a source has none.
    samples : int64[k]
        Sample number of each.
    owners : int64[k]
        Row of the sample of each.
    inputs : tuple of ndarray
        Further arguments of the family's kernels.
    measured : dict of str to float64[all]
        What is measured of all objects of the entry; written.
    positions : int64[k]
        Positions of these objects among all of the entry.
    """

    source: ObjectColumns
    family: Family
    rows: NDArray
    samples: NDArray[np.int64]
    owners: NDArray[np.int64]
    inputs: tuple[NDArray, ...]
    measured: dict[str, NDArray[np.float64]]
    positions: NDArray[np.int64]

    def part(self, samples: slice) -> ObjectBatch:
        """Return the objects of some samples, whose rows begin with 0."""
        chosen = slice(*np.searchsorted(self.owners, [samples.start, samples.stop]))
        part = self._with(lambda values: values[chosen])
        return part._replace(owners=part.owners - samples.start)

    def copies(self) -> Iterator[ObjectBatch]:
        """Yield the first copies, the second ones, …; a sample has no two objects in one of them."""
        if self.source.entry.repeat is None:
            yield self
            return
        numbers = self.source.copies[self.positions]
        for number in range(int(numbers.max()) + 1 if len(numbers) else 0):
            yield self._take(np.flatnonzero(numbers == number))

    def _take(self, chosen: NDArray[np.intp]) -> ObjectBatch:
        """Return some of the objects; records are taken faster so than by an index."""
        return self._with(lambda values: values.take(chosen, axis=0))

    def _with(self, choose: Callable[[NDArray], NDArray]) -> ObjectBatch:
        return self._replace(
            rows=choose(self.rows),
            samples=choose(self.samples),
            owners=choose(self.owners),
            positions=choose(self.positions),
        )

    def measure(self, name: str, values: NDArray) -> None:
        """Write a label that is measured of each object."""
        self.measured[name][self.positions] = values

    def count_events(self, count: Callable[..., None], seen: Observations) -> NDArray[np.int64]:
        """Return the nodes that a kernel asks for in each observation, int64[m]; measure what it counts.

        Parameters
        ----------
        count : kernel
            Takes what ``loops.count_each`` takes.
        seen : Observations
        """
        nodes, events = np.ones(len(seen.times), np.int64), np.zeros(len(self.owners), np.int64)
        count(self.rows, self.owners, seen.offsets, seen.times, seen.exposures, nodes, events)
        self.measure("n_in_event", events)
        return nodes

    def write_nodes(
        self, write: Callable[..., None], nodes: Nodes, values: NDArray[np.float64]
    ) -> None:
        """Write the values at nodes by a kernel that takes what ``loops.change_each`` takes, and the inputs."""
        where = nodes.offsets, nodes.times, nodes.bands
        write(self.rows, self.owners, *where, values, *self.inputs)


class Change(NamedTuple):
    """Changes of the flux by each object of a batch alone.

    Attributes
    ----------
    batch : ObjectBatch
    offsets : int64[k + 1]
        Object j has the values ``offsets[j]`` … ``offsets[j + 1] - 1``, one for each observation of its sample.
    values : float32[c]
    """

    batch: ObjectBatch
    offsets: NDArray[np.int64]
    values: NDArray[np.float32]


class Scratch:
    """Arrays that are used again for one range of samples after another: fresh memory is dear."""

    def __init__(self) -> None:
        self._held: dict[str, NDArray[np.float64]] = {}

    def take(self, name: str, size: int, value: float) -> NDArray[np.float64]:
        """Return the array of a name, of a size; it holds the value where it was not written to since."""
        if name not in self._held or len(self._held[name]) < size:
            self._held[name] = np.full(size, value)
        return self._held[name][:size]


def nodes_of(seen: Observations, batches: list[ObjectBatch]) -> NDArray[np.int64]:
    """Return where the nodes of each observation begin, int64[m + 1]; count the observations in events.

    The nodes that factors need add up, as a product changes faster than each; of light that is added, that which needs
    the most decides.
    """
    nodes, added = np.ones(len(seen.times), np.int64), np.ones(len(seen.times), np.int64)
    for batch in batches:
        own = batch.family.event_nodes(batch, seen)
        if own is None:
            continue
        if batch.family.effect is Effect.LIGHT:
            np.maximum(added, own, out=added)
        else:
            nodes += own - 1
    smooth = _smooth(len(seen.offsets) - 1, batches)
    count_nodes(seen.offsets, seen.exposures, *smooth, error_constants(), nodes)
    return np.concatenate([[0], np.cumsum(np.maximum(nodes, added))])


def _smooth(
    samples: int, batches: list[ObjectBatch]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Return all that is smooth, by sample: where those of each begin, amplitudes, and angular rates."""
    owners, amplitudes, rates = [np.zeros(0, np.int64)], [np.zeros(0)], [np.zeros(0)]
    for batch in batches:
        found = batch.family.smooth(batch.rows)
        if found is not None:
            owners.append(np.repeat(batch.owners, found[0].shape[1]))
            amplitudes.append(found[0].reshape(-1))
            rates.append(found[1].reshape(-1))
    all_owners = np.concatenate(owners)
    order = np.argsort(all_owners, kind="stable")
    starts = np.searchsorted(all_owners[order], np.arange(samples + 1))
    return starts, np.concatenate(amplitudes)[order], np.concatenate(rates)[order]


def rates_of(samples: int, batches: list[ObjectBatch]) -> NDArray[np.float64]:
    """Return the highest angular rate of what changes in each sample, rad/day; 0 where all is constant."""
    rates = np.zeros(samples)
    for batch in batches:
        fastest = batch.family.fastest(batch.rows)
        if fastest is not None:
            np.maximum.at(rates, batch.owners, fastest)
    return rates


def highest_rate(exposure: float) -> float:
    """Return the highest angular rate that can be averaged over an exposure of so many days, rad/day."""
    reach = SMOOTH_PANELS * float(rules().reach[MOST_NODES])
    return 2.0 * reach / exposure if exposure > 0.0 else np.inf


def lay_out(seen: Observations, firsts: NDArray[np.int64], scratch: Scratch) -> Nodes:
    """Return the nodes of observations; ``firsts`` is as ``nodes_of`` returns it."""
    count = int(firsts[-1])
    times, bands = scratch.take("times", count, 0.0), np.empty(count, np.int8)
    lay_nodes(firsts, rules().nodes, seen.times, seen.exposures, seen.bands, times, bands)
    return Nodes(firsts, firsts[seen.offsets], times, bands, seen)


def flux_of(
    nodes: Nodes,
    of_source: NDArray[np.float64],
    batches: list[ObjectBatch],
    scratch: Scratch,
) -> tuple[NDArray[np.float64], list[Change]]:
    """Return the flux of each observation, and what each object alone changes of it.

    Parameters
    ----------
    nodes : Nodes
        Those of n samples.
    of_source : float64[n, b]
        Flux of the source of each sample in each band.
    batches : list of ObjectBatch
        The objects of the samples.
    scratch : Scratch
    """
    seen, weights = nodes.seen, rules().weights
    sizes = {"nodes": len(nodes.times), "observations": len(seen.times)}
    totals = {
        effect: scratch.take(
            f"total of {total.unit} {total.neutral}", sizes[total.unit], total.neutral
        )
        for effect, total in TOTALS.items()
    }
    fresh = {
        neutral: scratch.take(f"fresh {neutral}", sizes["nodes"], neutral) for neutral in (1.0, 0.0)
    }
    lengths, changes = np.diff(seen.offsets), []
    where = seen.offsets, nodes.firsts, weights, seen.bands, of_source
    for batch in batches:
        family, effect = batch.family, batch.family.effect
        gather, values, total = TOTALS[effect].gather, fresh[TOTALS[effect].neutral], totals[effect]
        for part in batch.copies():
            offsets = np.concatenate([[0], np.cumsum(lengths[part.owners])])
            change = Change(part, offsets, np.empty(offsets[-1], np.float32))
            family.write(part, nodes, values)
            gather(part.owners, *where, values, total, offsets, change.values)
            changes.append(change)
    flux = np.empty(len(seen.times))
    mean_over(nodes.firsts, weights, totals[Effect.FACTORS], flux)
    slow, added = totals[Effect.MEAN_FACTORS], totals[Effect.LIGHT]
    combine(seen.offsets, seen.bands, of_source, slow, added, flux)
    for effect, values in totals.items():  # the fresh arrays are so again after each use
        values[:] = TOTALS[effect].neutral
    return flux, changes


@kernel
def multiply_nodes(
    owners, offsets, firsts, weights, bands, of_source, values, factors, inside, changes
):
    """Multiply the factors of samples by those of objects, no two of one sample.

    Parameters
    ----------
    owners : int64[k]
        Sample of each object.
    offsets : int64[n + 1]
        Where the observations of each sample begin.
    firsts, weights
        As for ``exposures.mean_over``.
    bands : int8[m]
    of_source : float64[n, b]
    values : float64[f]
        Factors of the objects at the nodes of their samples; made 1 again.
    factors : float64[f]
        Factors of the samples; changed.
    inside : int64[k + 1]
        Where the changes of each object begin.
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
def add_nodes(owners, offsets, firsts, weights, bands, of_source, values, added, inside, changes):
    """Add the light of objects to that of samples.

    The arguments are as for ``multiply_nodes``, but the values are light, made 0 again, and ``added`` is float64[m].
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
    """Add the mean light of objects over that of their sources; as ``add_nodes``, with a value per observation."""
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
    """Multiply factors that are means over exposures; as ``multiply_nodes``, with a value for each observation."""
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


class Total(NamedTuple):
    """How what a family writes is gathered in its samples.

    Attributes
    ----------
    gather : kernel
        Takes what ``multiply_nodes`` takes.
    neutral : float
        Value that changes nothing.
    unit : str
        ``nodes`` or ``observations``: what the total has a value for.
    """

    gather: Any
    neutral: float
    unit: str


TOTALS = {
    Effect.FACTORS: Total(multiply_nodes, 1.0, "nodes"),
    Effect.MEAN_FACTORS: Total(multiply_means, 1.0, "observations"),
    Effect.LIGHT: Total(add_nodes, 0.0, "observations"),
    Effect.MEAN_LIGHT: Total(add_means, 0.0, "observations"),
}
"""How each effect is gathered; those with the same neutral value and unit share one total."""
