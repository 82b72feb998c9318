"""From labels to spherical maps: the field, the objects, smoothing, the mean, the scale, then noise and mask.

The patches of a map are rendered together. On other machines, values agree within 1e-6 of the field's standard
deviation: the transforms are ducc0's.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from deepbench.errors import LabelError
from deepbench.labelling.objects import object_columns
from deepbench.labelling.scopes import Labels
from deepbench.sphere.fields import harmonics
from deepbench.sphere.fields.field_spectra import field_spectra
from deepbench.sphere.fields.fields import labels_of
from deepbench.sphere.fields.ranges import MAXIMUM_CLIPPED
from deepbench.sphere.model import FIELD, noise_stream
from deepbench.sphere.objects.projection import add_objects
from deepbench.sphere.objects.sample_rows import sample_rows
from deepbench.sphere.pixels import maps
from deepbench.sphere.pixels.masks import hidden_pixels

if TYPE_CHECKING:
    from deepbench.sphere.fields.fields import FieldSpectra
    from deepbench.sphere.model import SphereTable
    from deepbench.tables import Table

KNOWN = 64
"""Number of spectra that are kept for further samples."""

NEARLY_GAUSSIAN = 0.05
"""Largest variance of the Gaussian field below a lognormal one whose rest is analysed without iteration."""


def render(table: Table[SphereTable], labels: Labels) -> tuple[dict[str, NDArray], Labels]:
    """Render the maps that labels describe, or patches of them.

    Parameters
    ----------
    table : Table
    labels : Labels
        Of n samples.

    Returns
    -------
    arrays : dict of str to ndarray
        ``map``, and ``map_true`` where the table asks for it: float32, of shape (n, cells) or (n, channel, cells).
    labels : Labels
        The given labels, with what follows from them.

    Raises
    ------
    LabelError
        A lognormal field cannot have its spectrum, or only by clipping more than 1 % of its variance.
    """
    specification = table.specification
    arrays = {
        each.name: np.empty((len(labels), *each.shape), np.float32) for each in table.variables
    }
    drawn = Maps(table, labels)
    for rows in runs(specification, labels):
        whole = drawn.render(rows[0])
        patches = labels.samples[rows] % specification.patch_count
        for plane, values in zip(arrays, whole, strict=False):
            split = values.reshape(len(values), specification.patch_count, -1)
            arrays[plane][rows] = np.moveaxis(split[:, patches], 0, 1).reshape(
                arrays[plane][rows].shape
            )
    return arrays, measure(table, labels)


def measure(table: Table[SphereTable], labels: Labels) -> Labels:
    """Return labels with those that follow from them; takes and raises what ``render`` does."""
    specification = table.specification
    drawn = Maps(table, labels)
    found = {each: np.full(len(labels), np.nan) for each in ("sigma", "shift", "clipped")}
    for rows in runs(specification, labels):
        spectra = drawn.spectra(rows[0])
        if spectra is not None:
            found["sigma"][rows] = spectra.sigma
            found["shift"][rows], found["clipped"][rows] = spectra.shifts[0], spectra.clipped
    patch = labels.samples % specification.patch_count
    found["index"] = (labels.samples // specification.patch_count).astype(np.float64)
    found["patch"], found["first_cell"] = (
        patch.astype(np.float64),
        patch * float(specification.pixels),
    )
    return labels.with_measured({f"map.{each}": values for each, values in found.items()})


def runs(table: SphereTable, labels: Labels) -> list[NDArray[np.int64]]:
    """Return the rows of patches of one map that follow each other and have the same values."""
    numbers = labels.samples // table.patch_count
    same = numbers[1:] == numbers[:-1]
    for name, values in labels.columns.items():
        if name != "id" and not name.startswith("map."):
            equal = values[1:] == values[:-1]
            same &= equal | (np.isnan(values[1:]) & np.isnan(values[:-1]))
    return np.split(np.arange(len(labels)), np.flatnonzero(~same) + 1)


class Maps:
    """The maps of some samples; the arguments are those of ``render``."""

    def __init__(self, table: Table[SphereTable], labels: Labels) -> None:
        self._table, self._specification, self._labels = table, table.specification, labels
        self._objects = object_columns(table.plan, labels, lambda entry: True)
        self._known: dict[tuple[object, ...], FieldSpectra] = {}

    def _label(self, row: int, name: str) -> float:
        return float(self._labels.columns[name][row])

    def _refusal(self, row: int, message: str) -> LabelError:
        return LabelError.of_sample(self._table.name, self._labels.samples[row], message)

    def _beam_sigma(self, row: int) -> float:
        """Return the standard deviation of a Gaussian beam, arcmin; NaN where there is none."""
        beam = self._specification.beam
        return math.nan if beam is None or beam.sigma is None else self._label(row, "beam.sigma")

    def spectra(self, row: int) -> FieldSpectra | None:
        """Return what the field of a sample is drawn from; None where its class has none.

        Raises
        ------
        LabelError
            A lognormal field cannot have its spectrum.
        """
        table, code = self._specification, int(self._label(row, "class"))
        field = list(table.classes.values())[code].field
        if field is None:
            return None
        names = [each for each in self._labels.columns if each.startswith("field.")]
        values = {each: self._label(row, each) for each in names}
        behind = table.beam is not None and table.beam.apply == "target"
        beam = self._beam_sigma(row) if behind else math.nan
        key = code, *values.items(), beam
        if key in self._known:
            return self._known[key]
        try:
            found = field_spectra(table, field.chosen, labels_of("field", values), beam)
        except LabelError as error:
            raise self._refusal(row, str(error)) from None
        if found.clipped > MAXIMUM_CLIPPED:
            raise self._refusal(
                row,
                f"{found.clipped:.2%} of the variance of the Gaussian field below a lognormal one would be negative; "
                f"allowed is {MAXIMUM_CLIPPED:.0%}, which is clipped: give it a larger shift",
            )
        if len(self._known) >= KNOWN:
            self._known.clear()
        self._known[key] = found
        return found

    def render(self, row: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the map of a sample in NEST order, with and without noise and mask, float32[channels, cells]."""
        table = self._specification
        if table.beam is not None and table.beam.apply == "after":
            response = table.beam.response(self._beam_sigma(row), int(table.lmax or 0))
            sky = maps.to_nest(self._smoothed(row, response), table.nside)
        else:
            sky = maps.to_nest(self._field(row), table.nside)
            self._add_objects(row, sky)
        for channel in sky:
            if table.remove_mean:
                maps.remove_mean(channel)
            if table.scale is not None:
                channel *= np.float32(1.0 / table.scale)
        if not np.isfinite(sky).all():
            raise self._refusal(row, "its map is not finite; amplitudes or fluxes are too large")
        true = sky.copy() if table.planes else sky
        if table.noise is not None:
            self._add_noise(row, sky)
        if table.mask is not None and table.mask.latitude is not None:
            outside = np.abs(maps.sines_of_latitude(table.nside)) < np.sin(
                math.radians(self._label(row, "mask.latitude"))
            )
            sky[:, outside] = np.nan
        if table.mask is not None and table.mask.file is not None:
            sky[:, hidden_pixels(table.mask, table.nside)] = np.nan
        return sky, true

    def _coefficients(self, row: int) -> NDArray[np.complex64]:
        """Return those of the Gaussian fields of a sample, complex64[channels, n]; of Q and U, those of E and B."""
        table, spectra = self._specification, self.spectra(row)
        lmax = int(table.lmax or 0)
        if spectra is None:
            shape = max(1, len(table.channel_names)), harmonics.count(lmax)
            return np.zeros(shape, np.complex64)
        number = int(self._labels.samples[row]) // table.together
        roots = harmonics.spectrum_roots(spectra.gaussian)
        alm = harmonics.draw_coefficients(
            roots, self._table.seed, self._table.stream(FIELD), number
        )
        if table.channels == "shear":
            alm = np.concatenate([alm, alm, np.zeros_like(alm)])
            harmonics.multiply_coefficients(alm[1], harmonics.shear_factors(lmax))
        if table.rotation is not None:
            alm = harmonics.rotate_coefficients(alm, lmax, self._angles(row))
        return alm

    def _field(self, row: int) -> NDArray[np.float32]:
        """Return the random field in RING order, float32[channels, cells]; zeros where there is none."""
        table, spectra = self._specification, self.spectra(row)
        lmax, alm = int(table.lmax or 0), self._coefficients(row)
        if spectra is None:
            return np.zeros((len(alm), maps.pixel_count(table.nside)), np.float32)
        if table.channels is not None:
            scalar = maps.synthesise(alm[:1], table.nside, lmax)
            return np.concatenate([scalar, maps.synthesise(alm[1:], table.nside, lmax, spin=2)])
        sky = np.concatenate([maps.synthesise(each[None], table.nside, lmax) for each in alm])
        for channel, shift, variance in zip(sky, spectra.shifts, spectra.variances, strict=True):
            if np.isfinite(shift):
                maps.exponentiate(channel, variance, shift)
        return sky

    def _smoothed(self, row: int, beam: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return the field with its objects behind a beam b_ℓ, in RING order, float32[channels, cells].

        The coefficients of Gaussian fields are known, so that only what a lognormal field has beside them is analysed,
        and objects. The first is small: without an iteration its analysis is as good as that of the whole field with
        one (``maps.analyse``).
        """
        table, spectra = self._specification, self.spectra(row)
        nside, lmax, alm = table.nside, int(table.lmax or 0), self._coefficients(row)
        light = self._light(row)
        parts = []
        for j, known in enumerate(alm):
            rest, iterations = None, 0
            if spectra is not None and np.isfinite(spectra.shifts[j]):
                shift, variance = spectra.shifts[j], spectra.variances[j]
                rest = maps.synthesise(known[None], nside, lmax)
                maps.exponentiate(rest[0], variance, shift, without_field=True)
                known *= np.float32(shift)
                iterations = int(variance > NEARLY_GAUSSIAN)
            if light is not None:
                rest, iterations = light if rest is None else rest + light, 1
            if rest is not None:
                known += maps.analyse(rest, nside, lmax, iterations=iterations)[0]
            harmonics.multiply_coefficients(known, beam)
            parts.append(maps.synthesise(known[None], nside, lmax))
        return np.concatenate(parts)

    def _angles(self, row: int) -> tuple[float, float, float]:
        """Return the angles by which a map is turned, radian."""
        alpha, gamma = (
            math.radians(self._label(row, f"rotation.{each}")) for each in ("alpha", "gamma")
        )
        return alpha, math.acos(self._label(row, "rotation.cos_beta")), gamma

    def _add_noise(self, row: int, sky: NDArray[np.float32]) -> None:
        """Add noise to maps in NEST order."""
        table, seed = self._specification, self._table.seed
        sigma, anisotropy = (self._label(row, f"noise.{each}") for each in ("sigma", "anisotropy"))
        number = int(self._labels.samples[row]) // table.patch_count
        for name, channel in zip(table.channel_names or ("map",), sky, strict=True):
            stream = self._table.stream(noise_stream(name))
            if anisotropy == 0.0:
                maps.add_noise(channel, sigma, seed, stream, number)
                continue
            white = np.zeros_like(channel)
            maps.add_noise(white, sigma, seed, stream, number)
            white /= np.sqrt(1.0 + anisotropy * maps.sines_of_latitude(table.nside) ** 2)
            channel += white

    def _object_rows(self, row: int) -> NDArray[np.void]:
        """Return the rows of the objects of a sample, as ``add_objects`` takes them."""
        turned = self._specification.rotation is not None
        return sample_rows(self._objects, row, self._angles(row) if turned else None)

    def _add_objects(self, row: int, sky: NDArray[np.float32]) -> None:
        """Add the objects of a sample to its map in NEST order."""
        rows = self._object_rows(row)
        if len(rows):
            add_objects(sky[0], self._specification.nside, rows)

    def _light(self, row: int) -> NDArray[np.float32] | None:
        """Return the light of the objects of a sample in RING order, float32[1, cells]; None where there are none."""
        rows = self._object_rows(row)
        if not len(rows):
            return None
        nside = self._specification.nside
        nest = np.zeros(maps.pixel_count(nside), np.float32)
        add_objects(nest, nside, rows)
        ring = np.empty((1, nest.size), np.float32)
        ring[0, maps.ring_of_nest(nside)] = nest
        return ring
