"""Loops that the kernels of families share: over objects, over chunks of their nodes, over their observations.

A family's kernel calls one of these with its own inlined functions, which LLVM compiles into it.
"""

from __future__ import annotations

import numpy as np

from deepbench.numerics.kernels import inline

CHUNK = 256
"""Number of nodes worked on at a time: loops over them vectorise, which the look-up of a band's value would stop."""


@inline
def multiply_chunks(prepare, write, rows, owners, offsets, times, bands, factors):
    """Multiply by factors that follow from the time and one number of each band.

    Parameters
    ----------
    prepare : function
        Takes the rows of an object (records[b]) and an array to which it writes the number of each band (float64[b]);
        returns what else ``write`` needs.
    write : function
        Takes that, times (float64[c]) and the numbers of their bands (float64[c]), which it replaces by the factors.
    rows : records[k, b]
        Rows of k objects in b bands.
    owners : int64[k]
        The sample of each object.
    offsets : int64[n + 1]
        The nodes of sample i are offsets[i] … offsets[i + 1] − 1.
    times : float64[m]
        Days.
    bands : int8[m]
        Band of each node.
    factors : float64[m]
        Multiplied in place.
    """
    of_bands, work = np.empty(rows.shape[1]), np.empty(CHUNK)
    for i in range(owners.size):
        prepared = prepare(rows[i], of_bands)
        stop = offsets[owners[i] + 1]
        for first in range(offsets[owners[i]], stop, CHUNK):
            count = min(CHUNK, stop - first)
            part = work[:count]
            for j in range(count):
                part[j] = of_bands[bands[first + j]]
            write(prepared, times[first : first + count], part)
            for j in range(count):
                factors[first + j] *= part[j]


@inline
def ascending_until(times, first, stop):
    """Return up to where times ascend from ``first`` on; nodes of one exposure come again for each of its bands."""
    end = first + 1
    while end < stop and times[end] >= times[end - 1]:
        end += 1
    return end


@inline
def change_each(change, rows, owners, offsets, times, bands, values):
    """Change the values of each object's sample.

    Parameters
    ----------
    change : function
        Takes the rows of an object (records[b]), and times that ascend, bands and values of its sample.
    rows, owners, offsets, times, bands
        As in ``multiply_chunks``.
    values : float64[m]
        Changed in place.
    """
    for i in range(owners.size):
        first, stop = offsets[owners[i]], offsets[owners[i] + 1]
        while first < stop:
            end = ascending_until(times, first, stop)
            change(rows[i], times[first:end], bands[first:end], values[first:end])
            first = end


@inline
def count_each(count, rows, owners, offsets, times, exposures, nodes, counts):
    """Count the observations in the events of each object, and raise the nodes of their exposures.

    Parameters
    ----------
    count : function
        Takes the rows of an object (records[b]), and times, exposures and nodes of its sample; raises the nodes and
        returns the number of observations.
    rows : records[k, b]
    owners : int64[k]
        The sample of each object.
    offsets : int64[n + 1]
        The observations of sample i are offsets[i] … offsets[i + 1] − 1.
    times, exposures : float64[m]
        Middles and lengths of the observations, days; the middles ascend within a sample.
    nodes : int64[m]
        Raised to the nodes that an exposure needs.
    counts : int64[k]
        Written.
    """
    for i in range(owners.size):
        own = slice(offsets[owners[i]], offsets[owners[i] + 1])
        counts[i] = count(rows[i], times[own], exposures[own], nodes[own])
