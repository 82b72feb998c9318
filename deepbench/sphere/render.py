"""From labels to spherical maps: the field, the objects, smoothing, the mean, the scale, then noise and mask.

The patches of a map are rendered together. On other machines, values agree within 1e-6 of the field's standard
deviation: the transforms are ducc0's.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepbench.errors import LabelError
from deepbench.labelling.objects import object_columns
from deepbench.labelling.scopes import Labels
from deepbench.numerics.stream_names import stream_number
from deepbench.sphere.fields import harmonics
from deepbench.sphere.fields.cosmology import (
    Cosmology,
    convergence_spectrum,
    empty_beam_shift,
    hilbert_shift,
)
from deepbench.sphere.fields.lognormal import gaussian_spectrum, variance_of
from deepbench.sphere.fields.ranges import MAXIMUM_CLIPPED
from deepbench.sphere.fields.spectra import (
    cmb_spectra,
    gaussian_beam,
    pixel_window,
    power_law,
    tabulated,
)
from deepbench.sphere.model import FIELD, noise_stream
from deepbench.sphere.objects.projection import KINDS, ROW_SIZE, add_objects
from deepbench.sphere.pixels import maps

if TYPE_CHECKING:
    from deepbench.sphere.fields.fields import Spectrum
    from deepbench.sphere.model import SphereTable
    from deepbench.tables import Table

ARCMIN = math.pi / 10800.0
"""Radian."""

COLUMNS = {"longitude": "lon", "latitude": "lat"}
"""Labels of columns that have another name."""

KNOWN = 64
"""Spectra that are kept for further samples."""

NEARLY_GAUSSIAN = 0.05
"""Largest variance of the Gaussian field below a lognormal one whose rest is analysed without iteration."""


class FieldSpectra(NamedTuple):
    """What the coefficients of a field are drawn from.

    Attributes
    ----------
    gaussian : float64[f, f, lmax + 1]
        Spectra of the Gaussian fields, f of them, beams included.
    sigma : float
        Standard deviation of the first field.
    shifts, variances : float64[f]
        Of lognormal fields: λ, and the variance of the Gaussian field below; NaN of Gaussian ones.
    clipped : float
        The largest part of a variance that was clipped.
    """

    gaussian: NDArray[np.float64]
    sigma: float
    shifts: NDArray[np.float64]
    variances: NDArray[np.float64]
    clipped: float


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
    seed, name, specification = table.seed, table.name, table.specification
    arrays = {
        each.name: np.empty((len(labels), *each.shape), np.float32) for each in table.variables
    }
    drawn = Maps(seed, name, specification, labels)
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
    drawn = Maps(table.seed, table.name, specification, labels)
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

    def __init__(self, seed: int, name: str, table: SphereTable, labels: Labels) -> None:
        self._seed, self._name, self._table, self._labels = seed, name, table, labels
        self._sources = object_columns(table, labels, lambda entry: True)
        self._known: dict[tuple[object, ...], FieldSpectra] = {}

    def _label(self, row: int, name: str) -> float:
        return float(self._labels.columns[name][row])

    def _stream(self, name: str) -> int:
        return stream_number(f"{self._name}/{name}")

    def spectra(self, row: int) -> FieldSpectra | None:
        """Return what the field of a sample is drawn from; None where its class has none.

        Raises
        ------
        LabelError
            A lognormal field cannot have its spectrum.
        """
        table = self._table
        described = list(table.classes.values())[int(self._label(row, "class"))]
        if described.field is None:
            return None
        names = [each for each in self._labels.columns if each.startswith("field.")]
        values = tuple((each, self._label(row, each)) for each in names)
        beam = self._label(row, "beam.sigma") if table.beam is not None else 0.0
        target = beam if table.beam is not None and table.beam.apply == "target" else 0.0
        lognormal = described.field.lognormal
        key = self._label(row, "class"), values, target
        if key in self._known:
            return self._known[key]
        try:
            found = spectra_of(
                table, described.field.chosen.spectrum, dict(values), target,
                None if lognormal is None else lognormal.shift_by or "shift",
            )  # fmt: skip
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

    def _refusal(self, row: int, message: str) -> LabelError:
        sample = int(self._labels.samples[row])
        return LabelError(
            f"table '{self._name}', sample {sample}: {message}", table=self._name, sample=sample
        )

    def render(self, row: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the map of a sample in NEST order, with and without noise and mask, float32[channels, cells]."""
        table = self._table
        if table.beam is not None and table.beam.apply == "after":
            sky = maps.to_nest(self._smoothed(row), table.nside)
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
        if table.mask is not None:
            outside = np.abs(sines_of_latitude(table.nside)) < np.sin(
                math.radians(self._label(row, "mask.latitude"))
            )
            sky[:, outside] = np.nan
        return sky, true

    def _coefficients(self, row: int) -> NDArray[np.complex64]:
        """Return those of the Gaussian fields of a sample, complex64[channels, n]; of Q and U, those of E and B."""
        table, spectra = self._table, self.spectra(row)
        lmax = int(table.lmax or 0)
        if spectra is None:
            shape = max(1, len(table.channel_names)), harmonics.count(lmax)
            return np.zeros(shape, np.complex64)
        number = int(self._labels.samples[row]) // table.together
        roots = harmonics.spectrum_roots(spectra.gaussian)
        alm = harmonics.draw_coefficients(roots, self._seed, self._stream(FIELD), number)
        if table.channels == "shear":
            alm = np.concatenate([alm, alm, np.zeros_like(alm)])
            harmonics.multiply_coefficients(alm[1], harmonics.shear_factors(lmax))
        elif table.channels == "polarization":
            alm = np.concatenate([alm, np.zeros_like(alm[:1])])
        if table.rotation is not None:
            alm = harmonics.rotate_coefficients(alm, lmax, self._angles(row))
        return alm

    def _field(self, row: int) -> NDArray[np.float32]:
        """Return the random field in RING order, float32[channels, cells]; zeros where there is none."""
        table, spectra = self._table, self.spectra(row)
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

    def _smoothed(self, row: int) -> NDArray[np.float32]:
        """Return the field with its objects behind the beam, in RING order, float32[channels, cells].

        The coefficients of Gaussian fields are known, so that only what a lognormal field has beside them is analysed,
        and objects. The first is small: without an iteration its analysis is as good as that of the whole field with
        one (``maps.analyse``).
        """
        table, spectra = self._table, self.spectra(row)
        nside, lmax, alm = table.nside, int(table.lmax or 0), self._coefficients(row)
        beam = gaussian_beam(self._label(row, "beam.sigma") * ARCMIN, lmax)
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
        table = self._table
        sigma, anisotropy = (self._label(row, f"noise.{each}") for each in ("sigma", "anisotropy"))
        number = int(self._labels.samples[row]) // table.patch_count
        for name, channel in zip(table.channel_names or ("map",), sky, strict=True):
            stream = self._stream(noise_stream(name))
            if anisotropy == 0.0:
                maps.add_noise(channel, sigma, self._seed, stream, number)
                continue
            white = np.zeros_like(channel)
            maps.add_noise(white, sigma, self._seed, stream, number)
            white /= np.sqrt(1.0 + anisotropy * sines_of_latitude(table.nside) ** 2)
            channel += white

    def _objects(self, row: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the kinds of the objects of a sample, and their rows, as ``add_objects`` takes them."""
        kinds, parts = [], [np.zeros((0, ROW_SIZE))]
        for source in self._sources:
            chosen = source.samples == row
            kind = KINDS[source.entry.kind]
            part = np.zeros((int(chosen.sum()), ROW_SIZE))
            for column, name in enumerate(kind.columns):
                part[:, column] = source.columns[COLUMNS.get(name, name)][chosen]
            kinds.append(np.full(len(part), kind.code))
            parts.append(part)
        codes, rows = np.concatenate([np.zeros(0, np.int64), *kinds]), np.concatenate(parts)
        if len(rows) and self._table.rotation is not None:
            self._turn(row, codes, rows)
        return codes, rows

    def _add_objects(self, row: int, sky: NDArray[np.float32]) -> None:
        """Add the objects of a sample to its map in NEST order."""
        kinds, rows = self._objects(row)
        if len(rows):
            add_objects(sky[0], self._table.nside, kinds, rows)

    def _light(self, row: int) -> NDArray[np.float32] | None:
        """Return the light of the objects of a sample in RING order, float32[1, cells]; None where there are none."""
        kinds, rows = self._objects(row)
        if not len(rows):
            return None
        nside = self._table.nside
        nest = np.zeros(maps.pixel_count(nside), np.float32)
        add_objects(nest, nside, kinds, rows)
        ring = np.empty((1, nest.size), np.float32)
        ring[0, maps.ring_of_nest(nside)] = nest
        return ring

    def _turn(self, row: int, kinds: NDArray[np.int64], rows: NDArray[np.float64]) -> None:
        """Turn the places and the position angles of objects with their map."""
        turn = harmonics.euler_matrix(self._angles(row))
        longitude, latitude = np.radians(rows[:, 0]), np.radians(rows[:, 1])
        place, north, east = (each @ turn.T for each in _frame(longitude, latitude))
        rows[:, 0] = np.degrees(np.arctan2(place[:, 1], place[:, 0]))
        rows[:, 1] = np.degrees(np.arcsin(np.clip(place[:, 2], -1.0, 1.0)))
        for kind in KINDS.values():
            if "position_angle" not in kind.columns:
                continue
            column, own = kind.columns.index("position_angle"), kinds == kind.code
            angle = np.radians(rows[own, column])[:, None]
            axis = np.cos(angle) * north[own] + np.sin(angle) * east[own]
            _, new_north, new_east = _frame(*np.radians(rows[own, :2]).T)
            across, along = (axis * new_east).sum(axis=1), (axis * new_north).sum(axis=1)
            rows[own, column] = np.degrees(np.arctan2(across, along))


def _frame(
    longitude: NDArray[np.float64], latitude: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return directions, and those to the north and the east there, float64[n, 3]."""
    c, s, u, v = np.cos(longitude), np.sin(longitude), np.cos(latitude), np.sin(latitude)
    place = np.column_stack([u * c, u * s, v])
    north = np.column_stack([-v * c, -v * s, u])
    return place, north, np.column_stack([-s, c, np.zeros_like(c)])


@lru_cache(maxsize=2)
def sines_of_latitude(nside: int) -> NDArray[np.float32]:
    """Return the sine of the latitude of each pixel in NEST order."""
    from ducc0.healpix import Healpix_Base

    base, count, step = Healpix_Base(nside, "NEST"), 12 * nside**2, 1 << 20
    found = np.empty(count, np.float32)
    for first in range(0, count, step):
        pixels = np.arange(first, min(first + step, count))
        found[first : first + step] = base.pix2vec(pixels)[:, 2]
    found.flags.writeable = False
    return found


# spectra


def spectra_of(
    table: SphereTable,
    spectrum: Spectrum,
    labels: dict[str, float],
    beam: float,
    shift_by: str | None,
) -> FieldSpectra:
    """Return what a field is drawn from.

    Parameters
    ----------
    table : SphereTable
    spectrum : Spectrum
    labels : dict of str to float
        Of the field.
    beam : float
        Standard deviation of the beam that the field's spectrum holds, arcmin.
    shift_by : str, optional
        What λ follows from, or ``shift``; None of a Gaussian field.
    """
    lmax = int(table.lmax or 0)
    spectra = _bare_spectra(spectrum, labels, lmax, table.channels == "polarization")
    fields = len(spectra)
    response = np.array(
        [
            _response(table, beam, lmax, 2 if table.channels == "polarization" and j else 0)
            for j in range(fields)
        ]
    )
    spectra = spectra * response[:, None] * response[None, :]
    shifts, variances, clipped = np.full(fields, math.nan), np.full(fields, math.nan), 0.0
    sigma = math.sqrt(variance_of(spectra[0, 0]))
    if shift_by is not None:
        shifts = _shifts(spectrum, labels, shift_by, fields)
        for i in range(fields):
            for j in range(i + 1):
                found = gaussian_spectrum(spectra[i, j], math.sqrt(shifts[i] * shifts[j]))
                spectra[i, j] = spectra[j, i] = found.spectrum
                clipped = max(clipped, found.clipped)
                if i == j:
                    variances[i] = found.variance
    return FieldSpectra(spectra, sigma, shifts, variances, clipped)


def _response(table: SphereTable, beam: float, lmax: int, spin: int) -> NDArray[np.float64]:
    """Return what beam and pixels make of coefficients."""
    response = gaussian_beam(beam * ARCMIN, lmax, spin)
    return response * pixel_window(table.nside, lmax) if table.pixel_window else response


def _cosmology(labels: dict[str, float]) -> Cosmology:
    names = ("omega_m", "sigma_8", "h", "n_s", "omega_b", "t_cmb")
    return Cosmology(**{each: labels[f"field.spectrum.{each}"] for each in names})


def _redshifts(spectrum: Spectrum, labels: dict[str, float]) -> list[float]:
    convergence = spectrum.convergence
    assert convergence is not None
    bins = convergence.source_redshifts
    if bins is None:
        return [labels["field.spectrum.source_redshift"]]
    return [labels[f"field.spectrum.source_redshifts.{each}"] for each in bins]


def _shifts(
    spectrum: Spectrum, labels: dict[str, float], shift_by: str, fields: int
) -> NDArray[np.float64]:
    """Return λ of each field."""
    if shift_by == "shift":
        return np.full(fields, labels["field.shift"])
    redshifts = _redshifts(spectrum, labels)
    if shift_by == "hilbert2011":
        return np.array([hilbert_shift(each) for each in redshifts])
    cosmology = _cosmology(labels)
    return np.array([empty_beam_shift(cosmology, each) for each in redshifts])


def _bare_spectra(
    spectrum: Spectrum, labels: dict[str, float], lmax: int, polarization: bool
) -> NDArray[np.float64]:
    """Return the spectra of fields without beams, float64[f, f, lmax + 1]."""

    def label(name: str) -> float:
        return labels[f"field.spectrum.{name}"]

    if spectrum.power_law is not None:
        return power_law(label("amplitude"), label("slope"), lmax, label("pivot"))[None, None]
    if spectrum.table is not None:
        return label("factor") * tabulated(*spectrum.table.points(), lmax)[None, None]
    if spectrum.cmb is not None:
        tt, ee, _, te = label("factor") * cmb_spectra(lmax)
        return np.array([[tt, te], [te, ee]]) if polarization else tt[None, None]
    cosmology, redshifts = _cosmology(labels), _redshifts(spectrum, labels)
    found = np.empty((len(redshifts), len(redshifts), lmax + 1))
    for i, one in enumerate(redshifts):
        for j, other in enumerate(redshifts[: i + 1]):
            found[i, j] = found[j, i] = convergence_spectrum(cosmology, one, lmax, other)
    return found
