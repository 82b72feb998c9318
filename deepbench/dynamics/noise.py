"""Noise of measurements: independent normal numbers, added to what a motion gives."""

from __future__ import annotations

import numpy as np

from deepbench.numerics.kernels import kernel
from deepbench.numerics.streams import fill_normals


@kernel
def add_normals(rows, samples, sigmas, parts, key0, key1, word2, word3, values):
    """Add normal noise to series.

    The elements of a sample's stream are the values that it has, in order: another class with more moves none.

    Parameters
    ----------
    rows : int64[k]
        Row of each sample in the values.
    samples : int64[k]
        Sample numbers.
    sigmas : float64[k]
        Standard deviations.
    parts : int
        Number of bodies, or degrees of freedom, that have values.
    key0, key1, word2, word3 : uint32
        Key of the seed, and words of the stream.
    values : float64[n, t, p, a]
        Changed: the first ``parts`` of p.
    """
    steps, axes = values.shape[1], values.shape[3]
    normals = np.empty(parts * steps * axes, np.float32)
    for i in range(rows.size):
        fill_normals(normals, samples[i], key0, key1, word2, word3)
        own, element = values[rows[i]], 0
        for step in range(steps):
            for part in range(parts):
                for axis in range(axes):
                    own[step, part, axis] += sigmas[i] * normals[element]
                    element += 1


@kernel
def add_pixels(samples, sigmas, key0, key1, word2, word3, frames):
    """Add normal noise to image sequences.

    Parameters
    ----------
    samples, sigmas, key0, key1, word2, word3
        As for ``add_normals``.
    frames : float32[n, pixels]
        Changed.
    """
    normals = np.empty(frames.shape[1], np.float32)
    for i in range(samples.size):
        fill_normals(normals, samples[i], key0, key1, word2, word3)
        for pixel in range(normals.size):
            frames[i, pixel] += sigmas[i] * normals[pixel]
