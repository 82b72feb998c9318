"""From labels to stars and galaxies, as the kernels read them: places, light, what they are made of, and their PSFs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deepbench.errors import LabelError
from deepbench.images.galaxies.spirals import ARMS_ROW, FORMS
from deepbench.images.model.instruments import MAGNITUDE
from deepbench.images.psf.psf_rows import Psfs, psf_rows
from deepbench.images.rows import Order, check_reach, in_order, table_of
from deepbench.images.shapes.boundaries import LIMIT
from deepbench.numerics.mathfast import cosd, exp

if TYPE_CHECKING:
    from collections.abc import Callable

    from deepbench.images.model.objects import ObjectEntry
    from deepbench.images.model.table import ImageTable
    from deepbench.labelling.objects import ObjectColumns
    from deepbench.labelling.scopes import Labels

PLACES = ("x", "y", "dx", "dy")

POINT = 1e-6
"""Half-light radius, in pixels, of what stands for a star: its transform is 1."""


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


def sky_rows(table: ImageTable, labels: Labels, found: list[ObjectColumns]) -> SkyRows:
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
    check_reach(labels, order.offsets, places)
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
    found: list[ObjectColumns], order: Order, test: Callable[[ObjectEntry], bool]
) -> NDArray[np.bool_]:
    """Return for each object whether its entry passes a test."""
    flags = [np.full(len(each.samples), test(each.entry)) for each in found]
    return np.concatenate([np.zeros(0, bool), *flags])[order.places]


def fluxes(
    found: list[ObjectColumns], order: Order, band: str, zero_points: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """Return the light of objects in a band.

    Parameters
    ----------
    found : list of ObjectColumns
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


def sky_psfs(
    found: list[ObjectColumns], order: Order, of_samples: Psfs, scale: float | None
) -> Psfs:
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
