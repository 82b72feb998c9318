"""From labels to the numbers that kernels read: rows of objects in the order in which they are drawn, and PSFs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepbench.errors import LabelError
from deepbench.images.instruments import FWHM_OF_SIGMA
from deepbench.images.optics import airy_fwhms
from deepbench.images.point_sources import FAMILIES
from deepbench.images.psf_transforms import PSFS
from deepbench.images.shapes import LIMIT, ROW_SIZE, SHAPES
from deepbench.images.spirals import ARMS_ROW, FORMS
from deepbench.labelling.scopes import scope_of
from deepbench.mathfast import cosd, exp
from deepbench.recipe.table import names_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepbench.images.instruments import PsfEntry
    from deepbench.images.model import ImageTable
    from deepbench.images.objects import ObjectEntry
    from deepbench.images.psf_files import PsfFile
    from deepbench.labelling.scopes import Labels

SHARED = ("amplitude", "thickness", "x", "y")
"""Columns of the kernel's rows that all shapes share; the shape's own parameters follow."""

PLACES = ("x", "y", "dx", "dy")

PSF_COLUMNS = ("fwhm", "shape", "truncation", "axis_ratio", "position_angle")
"""What describes a PSF of a family, in pixels and radians: β of a Moffat or the obscuration of an Airy is its shape."""

POINT = 1e-6
"""Half-light radius, in pixels, of what stands for a star: its transform is 1."""

MAGNITUDE = -0.4 * math.log(10.0)
"""A source of magnitude m has the flux exp(MAGNITUDE × (m − zero point))."""


class Source(NamedTuple):
    """Where the values of the objects of one entry of a class are.

    Attributes
    ----------
    name : str
        Of the object, as the names of its columns begin.
    entry : ObjectEntry
    samples : int64[k]
        Rows of the samples that have it, once for each copy.
    copies : int64[k]
        Number of the copy.
    rows : int64[k]
        Rows of its values: in the labels' columns, or in the table of objects where it repeats.
    columns : dict of str to ndarray
        Its values by their names inside the object.
    """

    name: str
    entry: ObjectEntry
    samples: NDArray[np.int64]
    copies: NDArray[np.int64]
    rows: NDArray[np.int64]
    columns: dict[str, NDArray]


class Order(NamedTuple):
    """Objects in the order in which they are drawn: by sample, written order, copy.

    Attributes
    ----------
    offsets : int64[n + 1]
        Sample i has the objects ``offsets[i]`` … ``offsets[i + 1] - 1``.
    places : int64[m]
        Of each, where it stands among the objects of all sources, one source after another.
    """

    offsets: NDArray[np.int64]
    places: NDArray[np.int64]


def sources(
    table: ImageTable, labels: Labels, chosen: Callable[[ObjectEntry], bool]
) -> list[Source]:
    """Return where the values of objects are, for each entry that is chosen, in written order."""
    found = []
    for code, described in enumerate(table.classes.values()):
        names = names_of(described.objects)
        for name, entry in zip(names, described.objects, strict=True):
            if not chosen(entry):
                continue
            if entry.repeat is None:
                samples = rows = labels.members(code)
                held, prefix, copies = labels.columns, f"{name}.", np.zeros(len(rows), np.int64)
            else:
                rows, samples = labels.copies(name, code)
                held, prefix, copies = labels.objects, "", labels.objects["copy"][rows]
            values = scope_of(entry.chosen, name, ()).values
            columns = {field: held[prefix + field][rows] for field in values}
            found.append(Source(name, entry, samples, copies, rows, columns))
    return found


def in_order(found: list[Source], samples: int) -> Order:
    """Return the objects of sources in the order in which they are drawn."""
    if not found:
        return Order(np.zeros(samples + 1, np.int64), np.zeros(0, np.int64))
    sample = np.concatenate([each.samples for each in found])
    source = np.repeat(np.arange(len(found)), [len(each.samples) for each in found])
    places = np.lexsort((np.concatenate([each.copies for each in found]), source, sample))
    counts = np.bincount(sample, minlength=samples)
    return Order(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), places)


def table_of(
    found: list[Source], order: Order, fields: tuple[str, ...], absent: float = np.nan
) -> NDArray[np.float64]:
    """Return fields of objects as float64[m, fields], in the order in which they are drawn."""
    parts = []
    for each in found:
        part = np.full((len(each.samples), len(fields)), absent)
        for column, name in enumerate(fields):
            if name in each.columns:
                part[:, column] = each.columns[name]
        parts.append(part)
    if not parts:
        return np.zeros((0, len(fields)))
    return np.ascontiguousarray(np.concatenate(parts)[order.places])


def _check_reach(labels: Labels, offsets: NDArray[np.int64], values: NDArray[np.float64]) -> None:
    """Refuse lengths, places and angles beyond the drawing's limit."""
    far = np.flatnonzero((np.abs(values) > LIMIT).any(axis=1))
    if far.size:
        row = np.searchsorted(offsets, far[0], side="right") - 1
        raise LabelError(
            f"sample {labels.samples[row]}: an object has a length, a place or an angle beyond ±{LIMIT:g}, "
            "which cannot be drawn"
        )


# shapes


class ShapeRows(NamedTuple):
    """Shapes in the order in which they are painted.

    Attributes
    ----------
    offsets : int64[n + 1]
        Of the samples.
    codes : int64[m]
        What each is.
    covers : bool[m]
        Whether it hides what lies below.
    values : float64[m, ROW_SIZE]
        Amplitude, thickness, x, y and its own parameters.
    """

    offsets: NDArray[np.int64]
    codes: NDArray[np.int64]
    covers: NDArray[np.bool_]
    values: NDArray[np.float64]


def shape_rows(table: ImageTable, labels: Labels) -> ShapeRows:
    """Return the shapes of the samples.

    Raises
    ------
    LabelError
        A length, a place or an angle is beyond the drawing's limit.
    """
    found = sources(table, labels, lambda entry: entry.is_shape)
    order = in_order(found, len(labels))
    codes, covers, parts = [], [], [np.zeros((0, ROW_SIZE))]
    for each in found:
        shape = SHAPES[each.entry.kind]
        count = len(each.samples)
        codes.append(np.full(count, shape.code))
        covers.append(np.full(count, each.entry.blend == "over"))
        part = np.zeros((count, ROW_SIZE))
        for column, name in enumerate((*SHARED, *shape.parameters)):
            part[:, column] = each.columns.get(name, 0.0)
        parts.append(part)
    values = np.ascontiguousarray(np.concatenate(parts)[order.places])
    _check_reach(labels, order.offsets, values[:, 1:])
    return ShapeRows(
        order.offsets,
        np.concatenate([np.zeros(0, np.int64), *codes])[order.places],
        np.concatenate([np.zeros(0, bool), *covers])[order.places],
        values,
    )


# defects


def track_rows(table: ImageTable, labels: Labels, band: int) -> ShapeRows:
    """Return the tracks of cosmic rays as lines, their charge spread over them; raises what ``shape_rows`` does."""
    found = sources(table, labels, lambda entry: entry.kind == "cosmic_ray")
    order = in_order(found, len(labels))
    fields = ("charge", "thickness", "x", "y", "length", "angle")
    charge, thickness, x, y, length, angle = table_of(found, order, fields).T
    charge = np.where(_elsewhere(found, order, band), 0.0, charge)
    values = np.zeros((len(charge), ROW_SIZE))
    columns = (charge / (length * thickness), thickness, x, y, length, angle)
    values[:, : len(fields)] = np.column_stack(columns)
    _check_reach(labels, order.offsets, values[:, 1:])
    line = np.full(len(charge), SHAPES["line"].code)
    return ShapeRows(order.offsets, line, np.zeros(len(charge), bool), values)


def bad_rows(
    table: ImageTable, labels: Labels, band: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the bad pixels: offsets of the samples, and x, y, width, height and level of each block, float64[m, 5].

    Raises what ``shape_rows`` does.
    """
    found = sources(table, labels, lambda entry: entry.kind == "bad_pixels")
    order = in_order(found, len(labels))
    values = table_of(found, order, ("x", "y", "width", "height", "level"))
    _check_reach(labels, order.offsets, values[:, :4])
    values[_elsewhere(found, order, band), 2] = 0.0
    return order.offsets, values


def _elsewhere(found: list[Source], order: Order, band: int) -> NDArray[np.bool_]:
    """Return which defects are in another band."""
    (bands,) = table_of(found, order, ("band",)).T
    return ~np.isnan(bands) & (bands != band)


# point spread functions


@dataclass(frozen=True)
class Psfs:
    """Point spread functions, one in each row.

    Attributes
    ----------
    families : int64[m]
        As ``point_sources.FAMILIES`` numbers them.
    profiles : float64[m, 5]
        As ``PSF_COLUMNS`` says.
    transforms : float64[m, 5]
        The same as ``psf_transforms.PSF_ROW`` says, in pixels and degrees.
    files : object[m]
        The ``PsfFile`` of those that are images; None for the others. Images have no family, profile and transform.
    """

    families: NDArray[np.int64]
    profiles: NDArray[np.float64]
    transforms: NDArray[np.float64]
    files: NDArray[np.object_]

    def take(self, rows: NDArray[np.intp] | slice) -> Psfs:
        """Return some of them, by their rows."""
        return Psfs(
            self.families[rows], self.profiles[rows], self.transforms[rows], self.files[rows]
        )

    @property
    def are_images(self) -> NDArray[np.bool_]:
        """Whether each is an image."""
        return np.array(self.files != None, bool)  # noqa: E711  element by element

    def by_file(self) -> list[tuple[PsfFile | None, NDArray[np.bool_]]]:
        """Return which have each file, and first which have none, in an order that is the same in any batch."""
        if not self.are_images.any():
            return [(None, np.ones(len(self.files), bool))]
        files = self.files.tolist()
        found = sorted(set(files) - {None}, key=lambda file: (*file[1:], str(file[0])))
        number = {file: code for code, file in enumerate([None, *found])}
        codes = np.array([number[file] for file in files])
        return [(file, codes == code) for file, code in number.items()]

    @classmethod
    def empty(cls, count: int) -> Psfs:
        """Return as many without any width."""
        profiles = np.tile([0.0, 0.0, 0.0, 1.0, 0.0], (count, 1))
        transforms = np.tile([0.0, 0.0, 0.0, 1.0, 0.0], (count, 1))
        files = np.full(count, None, object)
        return cls(np.full(count, FAMILIES["gaussian"]), profiles, transforms, files)

    def put(self, rows: NDArray[np.intp] | slice, others: Psfs) -> None:
        """Replace some of them."""
        self.families[rows] = others.families
        self.profiles[rows] = others.profiles
        self.transforms[rows] = others.transforms
        self.files[rows] = others.files


def psf_rows(
    psf: PsfEntry | None, columns: dict[str, NDArray], prefix: str, scale: float | None, count: int
) -> Psfs:
    """Return the PSFs whose parameters are columns of that prefix; none has no width."""
    found = Psfs.empty(count)
    if psf is None:
        return found
    if psf.image is not None:
        found.files.fill(psf.image.source)
        return found
    kind, values = psf.kind, found.profiles

    def column(name: str, default: float = 0.0) -> Any:
        return columns.get(f"{prefix}{name}", default)

    if f"{prefix}sigma" in columns:
        values[:, 0] = column("sigma") * FWHM_OF_SIGMA
    else:
        values[:, 0] = column("fwhm") / scale
    values[:, 1] = column("beta") if kind == "moffat" else column("obscuration")
    if f"{prefix}truncation" in columns:
        values[:, 2] = column("truncation") / scale
    values[:, 3] = column("axis_ratio", 1.0)
    values[:, 4] = column("position_angle") / (180 / np.pi)
    size = values[:, 0] / airy_fwhms(values[:, 1]) if kind == "airy" else values[:, 0]
    code = np.full(count, float(PSFS[kind]))
    transforms = np.column_stack([code, size, values[:, 1], values[:, 3], np.degrees(values[:, 4])])
    return Psfs(np.full(count, FAMILIES[kind]), values, transforms, found.files)


def sigmas_of(
    psf: PsfEntry | None, columns: dict[str, NDArray], prefix: str, scale: float | None, count: int
) -> NDArray[np.float64]:
    """Return the standard deviations of the Gaussians that blur shapes, in pixels; 0 for none."""
    if psf is None or not psf.is_round_gaussian:
        return np.zeros(count)
    if f"{prefix}sigma" in columns:
        return np.ascontiguousarray(columns[f"{prefix}sigma"], np.float64)
    return columns[f"{prefix}fwhm"] / scale / FWHM_OF_SIGMA


# objects of the sky


def _components(kind: str, columns: dict[str, NDArray]) -> list[tuple[Any, Any, Any, Any]]:
    """Return the Sérsic components of galaxies: part of the light, radius in arcsec, axis ratio, index."""
    if kind == "sersic":
        ratio = columns["axis_ratio"]
        if "half_light_radius" in columns:
            radius = columns["half_light_radius"]
        else:
            radius = columns["semi_major_half_light_radius"] * np.sqrt(ratio)
        return [(1.0, radius, ratio, columns["sersic_index"])]
    radius = columns["disk_half_light_radius"]
    if kind == "bulge_disk":
        ratio, bulge_ratio = columns["disk_axis_ratio"], columns["bulge_axis_ratio"]
    else:
        ratio, bulge_ratio = cosd(columns["inclination"]), np.ones(len(radius))
        radius = radius * np.sqrt(ratio)
    bulge = columns["bulge_fraction"]
    bulge_radius, index = columns["bulge_half_light_radius"], columns["bulge_sersic_index"]
    return [(1.0 - bulge, radius, ratio, 1.0), (bulge, bulge_radius, bulge_ratio, index)]


def _arms(kind: str, columns: dict[str, NDArray], disk: NDArray, scale: float) -> NDArray:
    """Return the arms of spiral galaxies as ``spirals.ARMS_ROW`` says, given the components of their disks."""
    rows = np.zeros((len(disk), len(ARMS_ROW)))
    rows[:, 0], rows[:, 3:6] = disk[:, 0], disk[:, 3:6]
    rows[:, 6] = columns["arms"]
    if kind == "spiral":
        rows[:, 7], rows[:, 8] = FORMS["logarithmic"], columns["pitch_angle"]
    else:
        rows[:, 7], rows[:, 8] = FORMS["ringermacher_mead"], columns["winding"]
        rows[:, 9], rows[:, 10] = columns["arm_scale"] / scale, columns["arm_opening"]
    rows[:, 11], rows[:, 12] = columns["arm_contrast"], columns["arm_width"]
    rows[:, 13] = columns["inner_radius"] / scale
    rows[:, 14], rows[:, 15] = columns["arm_angle"], columns["handedness"]
    return rows


@dataclass(frozen=True)
class SkyRows:
    """Stars and galaxies in the order in which they are drawn.

    Attributes
    ----------
    order : Order
    places : float64[m, 2]
        x and y in pixels.
    stamp_flux : float64[m]
        The part of the light that the square holds in which it is drawn; NaN for the whole frame.
    is_star : bool[m]
    parts : int64[m + 1]
        Galaxy i has the components ``parts[i]`` … ``parts[i + 1] - 1``, and a star that may be seen through an image
        one of the radius ``POINT``.
    components : float64[k, 7]
        As ``sersic.COMPONENT_ROW`` says, in pixels and degrees, their fluxes as parts of the galaxy's.
    own_psf : bool[m]
        Whether it is not seen through its table's PSF.
    arms, arms_of : float64[a, 16], int64[a]
        As ``spirals.ARMS_ROW`` says, their fluxes as parts of the galaxy's; and the galaxies, in order.
    truncated, truncated_of : float64[t, 8], int64[t]
        The same of truncated profiles, as ``truncated.TRUNCATED_ROW`` says. They are no components.
    """

    order: Order
    places: NDArray[np.float64]
    stamp_flux: NDArray[np.float64]
    is_star: NDArray[np.bool_]
    parts: NDArray[np.int64]
    components: NDArray[np.float64]
    own_psf: NDArray[np.bool_]
    arms: NDArray[np.float64]
    arms_of: NDArray[np.int64]
    truncated: NDArray[np.float64]
    truncated_of: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.is_star)

    def between(self, first: int, last: int) -> SkyRows:
        """Return the objects from ``first`` to ``last`` − 1, as those of one sample."""
        begin, end = self.parts[first], self.parts[last]
        return SkyRows(
            Order(np.array([0, last - first]), np.arange(last - first)),
            self.places[first:last],
            self.stamp_flux[first:last],
            self.is_star[first:last],
            self.parts[first : last + 1] - begin,
            self.components[begin:end],
            self.own_psf[first:last],
            *_between(self.arms, self.arms_of, first, last),
            *_between(self.truncated, self.truncated_of, first, last),
        )

    def components_of(
        self, some: NDArray[np.intp], fluxes: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the components of some galaxies with these fluxes, and where each galaxy's begin."""
        counts = self.parts[some + 1] - self.parts[some]
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        owner = np.repeat(np.arange(len(some)), counts)
        rows = self.components[self.parts[some][owner] + np.arange(len(owner)) - offsets[owner]]
        rows[:, 0] *= fluxes[owner]
        return offsets, rows


def _between(
    rows: NDArray[np.float64], owners: NDArray[np.int64], first: int, last: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the rows of the objects from ``first`` to ``last`` − 1, and these counted from the first."""
    begin, end = np.searchsorted(owners, [first, last])
    return rows[begin:end], owners[begin:end] - first


def sky_rows(table: ImageTable, labels: Labels, found: list[Source]) -> SkyRows:
    """Return the objects of the sky of the samples.

    Raises
    ------
    LabelError
        A place or a radius is beyond the drawing's limit.
    """
    order = in_order(found, len(labels))
    ny, nx = table.size
    scale = table.scale or np.nan
    x, y, dx, dy, stamp = table_of(found, order, (*PLACES, "stamp_flux")).T
    x = np.where(np.isnan(x), (nx - 1) / 2 + dx / scale, x)
    y = np.where(np.isnan(y), (ny - 1) / 2 + dy / scale, y)
    places = np.stack([x, y], axis=1)
    _check_reach(labels, order.offsets, places)
    rank = np.empty(len(order.places), np.int64)
    rank[order.places] = np.arange(len(rank))
    components, arms, truncated = _Pieces(7), _Pieces(len(ARMS_ROW)), _Pieces(8)
    first = 0
    for each in found:
        columns, owners = each.columns, rank[first : first + len(each.samples)]
        first += len(owners)
        if each.entry.kind == "star":
            if any(
                psf is not None and psf.image
                for psf in (*table.psfs.values(), each.entry.chosen.psf)
            ):
                points = np.tile([1.0, 0.0, 0.0, POINT, 1.0, 0.0, 1.0], (len(owners), 1))
                components.add(owners, points)
            continue
        parts = []
        for share, radius, ratio, index in _components(each.entry.kind, columns):
            rows = np.zeros((len(owners), 7))
            rows[:, 0], rows[:, 3], rows[:, 4] = share, radius / scale, ratio
            rows[:, 5], rows[:, 6] = columns["position_angle"], index
            parts.append(rows)
        if "truncation" in columns:
            ends = columns["truncation"] / scale
            truncated.add(owners, np.column_stack([parts.pop(), ends]))
        for rows in parts:
            components.add(owners, rows)
        if "arms" in columns:
            arms.add(owners, _arms(each.entry.kind, columns, parts[0], scale))
    (rows, owner), pieces = components.all(places), (*arms.all(places), *truncated.all(places))
    sample = np.repeat(labels.samples, np.diff(order.offsets))
    _check_galaxies(rows, sample[owner])
    _check_galaxies(pieces[2], sample[pieces[3]])
    astray = np.flatnonzero(pieces[0][:, 15] == 0.0)
    if astray.size:
        raise LabelError(
            f"sample {sample[pieces[1][astray[0]]]}: the handedness of a spiral galaxy is 0; it must be 1 or -1"
        )
    counts = np.bincount(owner, minlength=len(rank))
    return SkyRows(
        order,
        np.ascontiguousarray(places),
        stamp,
        _flags(found, order, lambda entry: entry.kind == "star"),
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        rows,
        _flags(found, order, lambda entry: entry.chosen.psf is not None),
        *pieces,
    )


class _Pieces:
    """Rows of what galaxies are made of, of all sources."""

    def __init__(self, columns: int) -> None:
        self._rows, self._owners = [np.zeros((0, columns))], [np.zeros(0, np.int64)]

    def add(self, owners: NDArray[np.int64], rows: NDArray[np.float64]) -> None:
        """Add one row for each of the galaxies."""
        self._rows.append(rows)
        self._owners.append(owners)

    def all(self, places: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return the rows in the order of the galaxies, at their places, and the galaxies."""
        owners, rows = np.concatenate(self._owners), np.concatenate(self._rows)
        sequence = np.argsort(owners, kind="stable")
        owners, rows = owners[sequence], np.ascontiguousarray(rows[sequence])
        rows[:, 1:3] = places[owners]
        return rows, owners


def _check_galaxies(rows: NDArray[np.float64], samples: NDArray[np.int64]) -> None:
    """Refuse radii beyond the drawing's limit."""
    far = np.flatnonzero((rows[:, [3, -1]] > LIMIT).any(axis=1))
    if far.size:
        raise LabelError(
            f"sample {samples[far[0]]}: a galaxy has a radius beyond {LIMIT:g} pixels, which cannot be drawn"
        )


def _flags(
    found: list[Source], order: Order, test: Callable[[ObjectEntry], bool]
) -> NDArray[np.bool_]:
    """Return for each object whether its entry passes a test."""
    flags = [np.full(len(each.samples), test(each.entry)) for each in found]
    return np.concatenate([np.zeros(0, bool), *flags])[order.places]


def fluxes(
    found: list[Source], order: Order, band: str, zero_points: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """Return the light of objects in a band.

    Parameters
    ----------
    found : list of Source
    order : Order
    band : str
        Empty where there are none.
    zero_points : float64[n]
        Of the samples; None where there are no magnitudes.
    """
    names = ("flux", f"fluxes.{band}", "magnitude", f"colors.{band}", f"magnitudes.{band}")
    flux, in_band, magnitude, color, magnitude_in_band = table_of(found, order, names).T
    light = np.where(np.isnan(flux), in_band, flux)
    magnitude = np.where(np.isnan(color), magnitude, magnitude + color)
    magnitude = np.where(np.isnan(magnitude), magnitude_in_band, magnitude)
    if zero_points is not None:
        sample = np.repeat(np.arange(len(zero_points)), np.diff(order.offsets))
        from_magnitude = exp(MAGNITUDE * (magnitude - zero_points[sample]))
        light = np.where(np.isnan(light), from_magnitude, light)
    return np.ascontiguousarray(light)


def sky_psfs(found: list[Source], order: Order, of_samples: Psfs, scale: float | None) -> Psfs:
    """Return what each object of the sky is seen through: its own PSF, or its sample's."""
    count = len(order.places)
    sample = np.repeat(np.arange(len(order.offsets) - 1), np.diff(order.offsets))
    result = of_samples.take(sample)
    rank = np.empty(count, np.int64)
    rank[order.places] = np.arange(count)
    first = 0
    for each in found:
        rows = rank[first : first + len(each.samples)]
        if each.entry.chosen.psf is not None:
            own = psf_rows(each.entry.chosen.psf, each.columns, "psf.", scale, len(rows))
            result.put(rows, own)
        first += len(each.samples)
    return result
