"""Kernels of what a survey makes of the light: noise, error bars, outliers, what is not detected."""

from __future__ import annotations

import numpy as np

from deepbench.light_curves.families.random_walk_kernels import walk
from deepbench.light_curves.units import LOG_FLUX
from deepbench.numerics.kernels import kernel
from deepbench.numerics.mathfast import exp64
from deepbench.numerics.streams import fill_normals

MISSING, OUTLIER, UPPER_LIMIT = 1, 2, 4
"""Bits of the mask."""

SUMMARY = np.dtype(
    [(name, np.float64) for name in ("n_observations", "n_detections", "variability_snr")],
    align=True,
)
"""Row of what is measured of a sample."""


@kernel
def variances_of(
    rows, offsets, positions, bands, samples, key, words, fluxes, photons, constants, variances
):
    """Write the variance of the noise of each observation.

    Parameters
    ----------
    rows : NOISE[n, b]
        Noise of the samples in each band.
    offsets, positions, bands : int64[n + 1], int64[m], int8[m]
        As in ``Observations``.
    samples : int64[n]
        Sample numbers.
    key, words : uint32[2]
        Words of the seed, and of the stream of the scatter of the depth.
    fluxes : float64[m]
        Light without noise.
    photons, constants : float64[m]
        Written: these terms of the noise at the depth of the observation.
    variances : float64[m]
        Written.
    """
    normals = np.empty(0, np.float32)
    for i in range(samples.size):
        first, last = offsets[i], offsets[i + 1]
        scatters = False
        for band in range(rows.shape[1]):
            scatters |= rows[i, band].scatter > 0.0
        if scatters and last > first:
            if normals.size <= positions[last - 1]:
                normals = np.empty(positions[last - 1] + 1, np.float32)
            drawn = normals[: positions[last - 1] + 1]
            fill_normals(drawn, samples[i], key[0], key[1], words[0], words[1])
        for e in range(first, last):
            row = rows[i, bands[e]]
            systematic, photon, constant, scatter = (
                row.systematic,
                row.photons,
                row.constant,
                row.scatter,
            )
            if scatter > 0.0:
                growth = exp64(LOG_FLUX * scatter * normals[positions[e]])
                photon, constant = photon * growth, constant * growth * growth
            flux = fluxes[e]
            photons[e], constants[e] = photon, constant
            variances[e] = (systematic * flux) ** 2 + photon * max(flux, 0.0) + constant


@kernel
def redden(
    sigmas, timescales, counts, days, bands, lengths, offsets, positions, samples, key, words, fluxes
):  # fmt: skip
    """Multiply fluxes with 1 + x, x the mean over an exposure of normal noise correlated as exp(−|Δt| / timescale).

    Parameters
    ----------
    sigmas, timescales : float64[n]
        Standard deviation of the noise, and its timescale in days.
    counts, days, bands, lengths
        As in ``Times``; the noise goes over those that are lost, too.
    offsets, positions : int64[n + 1], int64[m]
        As in ``Observations``.
    samples, key, words
        As for ``variances_of``; the words are those of the stream of the red noise.
    fluxes : float64[m]
        Changed.
    """
    longest = counts.max() if counts.size else 0
    normals = np.empty(3 * longest, np.float32)
    work, means = np.empty((2, longest)), np.empty(longest)
    for i in range(samples.size):
        row, count = i if len(days) > 1 else 0, counts[i]
        fill_normals(normals[: 3 * count], samples[i], key[0], key[1], words[0], words[1])
        walk(
            days[row, :count], bands[row, :count], lengths, normals[: 3 * count], timescales[i],
            work[:, :count], means[:count],
        )  # fmt: skip
        for e in range(offsets[i], offsets[i + 1]):
            fluxes[e] *= 1.0 + sigmas[i] * means[positions[e]]


@kernel
def observe(
    rows, offsets, positions, bands, samples, key, words, detection, photons, constants, variances,
    deviations, light, fluxes, errors, masks,
):  # fmt: skip
    """Make observations: add the noise, and write error bars as they follow from what is observed.

    Parameters
    ----------
    rows, offsets, positions, bands, samples, key, words, photons, constants, variances
        As for ``variances_of``; the words are those of the stream of the noise.
    detection : float
        Signal-to-noise ratio below which an observation is an upper limit.
    deviations : float64[m]
        Errors of outliers, in standard deviations; 0 elsewhere.
    light : float64[m]
        Light that reaches the detector.
    fluxes, errors : float32[n, w]
        Written where there are observations.
    masks : uint8[n, w]
        Written there, too; 0 where nothing is to be said.
    """
    for i in range(samples.size):
        first, last = offsets[i], offsets[i + 1]
        if last == first:
            continue
        normals = np.empty(positions[last - 1] + 1, np.float32)
        fill_normals(normals, samples[i], key[0], key[1], words[0], words[1])
        for e in range(first, last):
            position = positions[e]
            flux = light[e] + np.sqrt(variances[e]) * (normals[position] + deviations[e])
            systematic = rows[i, bands[e]].systematic
            error = np.sqrt((systematic * flux) ** 2 + photons[e] * max(flux, 0.0) + constants[e])
            fluxes[i, position], errors[i, position] = flux, error
            mask = OUTLIER if deviations[e] != 0.0 else 0
            if flux < detection * error:
                mask |= UPPER_LIMIT
            masks[i, position] = mask


@kernel
def deviate(firsts, outliers, offsets, times, deviations):
    """Write how wrong outliers are, each at the observation that is nearest in time.

    Parameters
    ----------
    firsts : int64[n + 1]
        Sample i has the outliers ``firsts[i]`` … ``firsts[i + 1] - 1``.
    outliers : DEVIATION[k]
    offsets, times : int64[n + 1], float64[m]
        As in ``Observations``.
    deviations : float64[m]
        Changed; where two are nearest to one observation, they add up.
    """
    for i in range(firsts.size - 1):
        of_sample = times[offsets[i] : offsets[i + 1]]
        for j in range(firsts[i], firsts[i + 1]):
            if of_sample.size:
                time = outliers[j].time
                after = min(np.searchsorted(of_sample, time), of_sample.size - 1)
                before = max(after - 1, 0)
                near_before = time - of_sample[before] < of_sample[after] - time
                nearest = before if near_before else after
                deviations[offsets[i] + nearest] += outliers[j].deviation


@kernel
def signal_to_noise(offsets, owners, sample_offsets, changes, variances, found):
    """Write √Σ(change² / variance) of each object.

    Parameters
    ----------
    offsets : int64[k + 1]
        Of the objects in the changes; an object has one for each observation of its sample.
    owners : int64[k]
        Sample of each.
    sample_offsets : int64[n + 1]
        Of the samples in the observations.
    changes : float32[c]
        Of the flux.
    variances : float64[m]
    found : float64[k]
        Written.
    """
    for j in range(owners.size):
        total, first = 0.0, sample_offsets[owners[j]]
        for e in range(offsets[j + 1] - offsets[j]):
            variance = variances[first + e]
            if variance > 0.0:
                total += np.float64(changes[offsets[j] + e]) ** 2 / variance
        found[j] = np.sqrt(total)


@kernel
def summarize(offsets, positions, bands, fluxes, variances, masks, found):
    """Write of each sample: its observations, those that are detected, and how much its flux changes.

    The last is √Σ((F − F̄)² / σ²), F being the flux without noise and F̄ its mean in the band with the weights 1 / σ².

    Parameters
    ----------
    offsets, positions, bands : int64[n + 1], int64[m], int8[m]
        As in ``Observations``.
    fluxes, variances : float64[m]
        Light without noise, and variance of the noise.
    masks : uint8[n, w]
    found : SUMMARY[n]
        Written.
    """
    for i in range(offsets.size - 1):
        first, last = offsets[i], offsets[i + 1]
        detected, total = 0, 0.0
        sums = np.zeros(
            (128, 3)
        )  # a flux, so that what is constant has exactly 0; Σ(F − it) / σ²; Σ1 / σ²
        for e in range(last - 1, first - 1, -1):
            sums[bands[e], 0] = fluxes[e]
        for e in range(first, last):
            if masks[i, positions[e]] & UPPER_LIMIT == 0:
                detected += 1
            if variances[e] > 0.0:
                sums[bands[e], 1] += (fluxes[e] - sums[bands[e], 0]) / variances[e]
                sums[bands[e], 2] += 1.0 / variances[e]
        for e in range(first, last):
            if variances[e] > 0.0:
                one, change, weight = sums[bands[e]]
                rest = fluxes[e] - one - change / weight
                total += rest * rest / variances[e]
        found[i].n_observations, found[i].n_detections = last - first, detected
        found[i].variability_snr = np.sqrt(total)


@kernel
def constant_signal(owners, offsets, bands, of_source, variances, found):
    """Write √Σ(F² / variance) of sources, F being their constant flux.

    ``of_source`` is float64[n, b]; the other arguments are as for ``signal_to_noise``.
    """
    for j in range(owners.size):
        total, i = 0.0, owners[j]
        for e in range(offsets[i], offsets[i + 1]):
            if variances[e] > 0.0:
                total += of_source[i, bands[e]] ** 2 / variances[e]
        found[j] = np.sqrt(total)


@kernel
def write_plane(offsets, positions, values, plane):
    """Write the values of observations, float64[m], to their positions in a plane, float32[n, w]."""
    for i in range(offsets.size - 1):
        for e in range(offsets[i], offsets[i + 1]):
            plane[i, positions[e]] = values[e]
