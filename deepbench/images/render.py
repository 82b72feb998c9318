"""From labels to images: the shapes in written order, the PSF, the sky as it shows it, then the noise or the detector.

A frame is a window onto an infinite plane. The shapes are drawn on the frame and a margin around it, blurred, and
cropped: light from outside blurs in, and light that blurs out is lost. The sky needs no margin: its light is known
everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepbench.errors import LabelError
from deepbench.images.detector.defect_planes import Defects
from deepbench.images.detector.detector import Detector
from deepbench.images.detector.noise_steps import Steps
from deepbench.images.galaxies.sky_rows import SkyRows, fluxes, sky_psfs, sky_rows
from deepbench.images.galaxies.stamps import (
    Cutouts,
    Stamps,
    add_cutouts,
    add_stamps,
    cutouts,
    galaxy_stamps,
    render_behind_any,
    stamps_of,
)
from deepbench.images.lensing.labels import (
    measure_azimuths,
    measured_of_lensing,
    measured_of_planes,
)
from deepbench.images.lensing.lensed_objects import shown
from deepbench.images.lensing.maps import add_convergence
from deepbench.images.measure import MEASUREMENTS, measure_images
from deepbench.images.model.planes import LENSED_LIGHT, LENSING
from deepbench.images.psf.psf_rows import Psfs, psf_rows, sigmas_of
from deepbench.images.rows import ShapeRows, ranks_of, shape_rows
from deepbench.images.shapes.areas import AREAS, areas_of
from deepbench.images.shapes.draw import draw_shapes
from deepbench.images.stars.point_sources import add_stars
from deepbench.labelling.objects import ObjectColumns, object_columns
from deepbench.labelling.scopes import Labels
from deepbench.numerics.kernels import kernel

if TYPE_CHECKING:
    from deepbench.images.model.table import ImageTable
    from deepbench.images.psf.model import PsfEntry
    from deepbench.tables import Table

WITHOUT_SIGN, INFINITE = np.uint32(0x7FFFFFFF), np.uint32(0x7F800000)
"""Bits of a float32; infinity and all that is not a number are at least INFINITE without their sign."""

BATCH_PIXELS = 2**18
"""Number of pixels that go through all steps together: they stay in the processor's cache."""


class Scene(NamedTuple):
    """The objects in the images of some samples, whatever the band.

    Attributes
    ----------
    shapes : ShapeRows
    sources : list of ObjectColumns
        Objects of the sky.
    sky : SkyRows
        Objects of the sky in the order in which they are drawn.
    planes : dict of str to (list of ObjectColumns, SkyRows)
        What is drawn alone in planes, by the plane's name.
    """

    shapes: ShapeRows
    sources: list[ObjectColumns]
    sky: SkyRows
    planes: dict[str, tuple[list[ObjectColumns], SkyRows]]


class Appearance(NamedTuple):
    """How the objects of a scene look in one band.

    Attributes
    ----------
    of_samples : Psfs
        The PSF of each sample.
    psfs : Psfs
        The PSF of each object of the sky.
    fluxes : float64[m]
        Light of the objects of the sky.
    where : Stamps
        Where galaxies are drawn.
    """

    of_samples: Psfs
    psfs: Psfs
    fluxes: NDArray[np.float64]
    where: Stamps


def render(table: Table[ImageTable], labels: Labels) -> tuple[dict[str, NDArray], Labels]:
    """Render the images that labels describe.

    Parameters
    ----------
    table : Table
    labels : Labels
        Of n samples.

    Returns
    -------
    arrays : dict of str to ndarray
        ``image``, float32, and the planes of the table, of shape (n, y, x) or (n, band, y, x).
    labels : Labels
        The given labels, with what the table measures.
    """
    specification = table.specification
    found = object_columns(table.plan, labels, lambda entry: entry.is_sky)
    sky, lensed = sky_rows(table, labels, found), [each for each in found if each.entry.lensed]
    alone = {
        name: (lensed, sky_rows(table, labels, lensed, lensing=name == "arcs_true"))
        for name in LENSED_LIGHT.intersection(specification.planes or ())
    }
    scene = Scene(shape_rows(table, labels), found, sky, alone)
    arrays = {}
    for each in table.variables:
        written = each.dtype == "float32" and each.name not in LENSING
        make = np.empty if written else np.zeros  # fresh pages are dear
        arrays[each.name] = make((len(labels), *each.shape), each.dtype)
    measured = {}
    for number, band in enumerate(specification.bands or ("",)):
        planes = {
            each: values[:, number] if specification.bands else values
            for each, values in arrays.items()
        }
        result = _render_band(table, labels, scene, band, planes)
        for column in MEASUREMENTS.names or ():
            measured[f"{column}.{band}" if band else column] = result[column]
    if specification.measures_shapes:
        labels = _with_areas(labels, scene.shapes, specification.size)
    if sky.lensed is not None:
        own = measured_of_lensing(specification, sky.lensed, found, ranks_of(found, sky.order))
        labels = labels.with_measured({}, own)
    elif specification.has_lens:
        labels = labels.with_measured({}, measured_of_planes(table, labels))
    if not specification.measures_sky:
        return arrays, labels
    counts = np.diff(scene.sky.order.offsets)
    starts = np.repeat(scene.sky.order.offsets[:-1], counts)
    measured["segment"] = np.arange(len(scene.sky)) - starts + 1.0
    return arrays, _with_measured(labels, scene, measured)


def _with_areas(labels: Labels, shapes: ShapeRows, size: tuple[int, int]) -> Labels:
    """Return labels with the areas of each shape in their place."""
    found = ((source, areas_of(rows, size)) for source, rows in shapes.sources)
    return labels.with_measured(
        {}, ((source, {name: each[name] for name in AREAS.names or ()}) for source, each in found)
    )


def _with_measured(
    labels: Labels, scene: Scene, measured: dict[str, NDArray[np.float64]]
) -> Labels:
    """Return labels with what was measured of each object in its place."""
    of_sources = zip(scene.sources, ranks_of(scene.sources, scene.sky.order), strict=True)
    return labels.with_measured(
        {},
        (
            (source, {name: values[rows] for name, values in measured.items()})
            for source, rows in of_sources
        ),
    )


def _render_band(
    table: Table[ImageTable],
    labels: Labels,
    scene: Scene,
    band: str,
    planes: dict[str, NDArray],
) -> NDArray[np.void]:
    """Render one band into its planes; return the ``MEASUREMENTS`` of each object of the sky."""
    specification = table.specification
    appearance = _appearance(table, labels, scene.sources, scene.sky, band)
    alone = {
        name: (sky, _appearance(table, labels, sources, sky, band))
        for name, (sources, sky) in scene.planes.items()
    }
    noise = Detector(table, labels, band) if band else Steps(table, labels)
    number = specification.bands.index(band) if band else 0
    defects = Defects(table, labels, number) if specification.has_defects else None
    scope, psf = _psf_of(specification, band)
    sigmas = sigmas_of(psf, labels.columns, f"{scope}.", specification.scale, len(labels))
    result = np.zeros(len(scene.sky), MEASUREMENTS)
    length = max(1, BATCH_PIXELS // (specification.size[0] * specification.size[1]))
    for start in range(0, len(labels), length):
        rows = slice(start, min(start + length, len(labels)))
        some = {each: np.ascontiguousarray(values[rows]) for each, values in planes.items()}
        batch = some["image"]
        shapes = scene.shapes.offsets[rows.start : rows.stop + 1]
        draw_shapes(shapes, scene.shapes.rows, sigmas[rows], batch)
        found = _draw_sky(specification, scene.sky, appearance, rows, batch)
        if found is not None:
            _measure(table, labels, scene, noise, rows, batch, found, result, some, band)
        for name, drawn in alone.items():
            _draw_sky(specification, *drawn, rows, some[name], keep=False)
        if "convergence" in some and scene.sky.lensed is not None:
            masses = scene.sky.lensed.planes
            offsets = masses.offsets[rows.start : rows.stop + 1]
            add_convergence(some["convergence"], offsets, masses.rows, specification.scale)
        charges = None if defects is None else defects.charge(rows, batch.shape)
        noise.apply(rows, batch, some, charges)
        if defects is not None and charges is not None:
            masks = some.get("mask", np.zeros(batch.shape, np.uint8))
            defects.mark(rows, charges, batch, masks)
        for values in some.values():
            if values.dtype == np.float32:
                _check_finite(table, labels, start, values)
        for each, values in some.items():
            if not np.shares_memory(values, planes[each]):
                planes[each][rows] = values
    return result


def _measure(
    table: Table[ImageTable],
    labels: Labels,
    scene: Scene,
    noise: Steps | Detector,
    rows: slice,
    batch: NDArray[np.float32],
    found: Cutouts,
    result: NDArray[np.void],
    planes: dict[str, NDArray],
    band: str,
) -> None:
    """Measure the objects of some images without noise, and find out which pixels are theirs."""
    offsets = scene.sky.order.offsets[rows.start : rows.stop + 1]
    variances, of_sky = noise.variance(rows, batch)
    silent = np.flatnonzero((of_sky <= 0.0) & (np.diff(offsets) > 0))
    if silent.size:
        raise LabelError.of_sample(
            table.name,
            labels.samples[rows.start + silent[0]],
            "its noise is zero, so no signal-to-noise ratio can be measured",
        )
    segments = planes.get("segmentation", np.empty(batch.shape, np.int32))
    own = result[offsets[0] : offsets[-1]]
    measure_images(found, offsets - offsets[0], batch, variances, of_sky, own, segments)
    if scene.sky.lensed is not None:
        lensed = scene.sky.lensed.between(offsets[0], offsets[-1])
        galaxies = np.flatnonzero(~scene.sky.are_points[offsets[0] + lensed.owners])
        least = np.sqrt(of_sky[lensed.samples[galaxies] - rows.start])
        measure_azimuths(lensed, band, galaxies, found, least)


def _check_finite(
    table: Table[ImageTable], labels: Labels, start: int, batch: NDArray[np.float32]
) -> None:
    """Refuse images with a pixel that is not finite."""
    bad = first_bad(batch)
    if bad >= 0:
        raise LabelError.of_sample(
            table.name,
            labels.samples[start + bad],
            "its image is not finite; amplitudes, fluxes, levels or gain are too large "
            "(float32 ends at 3.4e38, the mean of Poisson noise at 1e15)",
        )


def _psf_of(specification: ImageTable, band: str) -> tuple[str, PsfEntry | None]:
    """Return the name of the scope of a band's PSF, and what the recipe says of it."""
    return next(each for each in specification.psfs.items() if each[0] in ("psf", f"psf.{band}"))


def _appearance(
    table: Table[ImageTable],
    labels: Labels,
    sources: list[ObjectColumns],
    sky: SkyRows,
    band: str,
) -> Appearance:
    """Return how objects of the sky look in a band.

    Raises
    ------
    LabelError
        A PSF is too narrow, or a stamp would be too large.
    """
    specification, columns, count, order = (
        table.specification, labels.columns, len(labels), sky.order,
    )  # fmt: skip
    scope, psf = _psf_of(specification, band)
    of_samples = psf_rows(psf, columns, f"{scope}.", specification.scale, count)
    psfs = sky_psfs(sources, order, of_samples, specification.scale)
    zero_points = columns[f"instrument.{band}.zero_point"] if band else None
    samples = labels.samples[np.repeat(np.arange(count), np.diff(order.offsets))]
    psfs.check_widths(table.name, samples, sky.are_points)
    where = stamps_of(sky, psfs, specification.size)
    where.check_sizes(sky, table.name, samples)
    return Appearance(of_samples, psfs, fluxes(sources, order, band, zero_points), where)


def _draw_sky(
    table: ImageTable,
    sky: SkyRows,
    appearance: Appearance,
    some: slice,
    batch: NDArray[np.float32],
    *,
    keep: bool = True,
) -> Cutouts | None:
    """Draw the sky of some samples without noise; return the light of each object where it is to be kept and needed."""
    if not len(sky):
        return None
    offsets = sky.order.offsets[some.start : some.stop + 1]
    chosen = slice(offsets[0], offsets[-1])
    owner = np.repeat(np.arange(len(batch)), np.diff(offsets))
    ends = offsets[[0, -1]]
    own, where = sky.between(*ends), appearance.where.between(sky, *ends)
    psfs, flux = appearance.psfs.take(chosen), appearance.fluxes[chosen]
    if keep and (table.measures_sky or "segmentation" in (table.planes or ())):
        found = cutouts(own, where, flux, psfs, table.size)
        add_cutouts(batch, owner, found)
        return found
    if not len(own):
        return None
    stars = np.flatnonzero(own.are_points & ~psfs.are_images)
    if len(stars):
        seen = shown(own.lensed, own.positions, stars)
        stars = stars[seen.stars]
        add_stars(
            batch, owner[stars], seen.positions, own.stamp_flux[stars], flux[stars] * seen.parts,
            psfs.rows[stars],
        )  # fmt: skip
    frames = (where.galaxies.edges == 0) & ~own.own_psf
    together = np.flatnonzero(frames)
    if len(together):
        parts, components = own.components_of(together, flux[together])
        firsts = np.searchsorted(owner[together], np.arange(len(batch) + 1))
        of_samples = appearance.of_samples.take(some)
        render_behind_any(batch, parts[firsts], components, of_samples, centred=False)
    for members, stamps, corners in galaxy_stamps(own, ~frames, where, flux, psfs, table.size):
        add_stamps(batch, owner[members], stamps, corners)
    return None


@kernel
def first_bad(images):
    """Return the first image with a pixel that is not finite; −1 when there is none."""
    for i in range(len(images)):
        words, largest = images[i].reshape(images[i].size).view(np.uint32), np.uint32(0)
        for pixel in range(words.size):
            largest = max(largest, np.uint32(words[pixel] & WITHOUT_SIGN))
        if largest >= INFINITE:
            return i
    return -1
