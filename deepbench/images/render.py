"""From labels to images: the shapes in written order, the PSF, the stars as it shows them, then the steps of the noise.

A frame is a window onto an infinite plane. The shapes are drawn on the frame and a margin around it, blurred, and
cropped: light from outside blurs in, and light that blurs out is lost. Stars need no margin: their light is known
everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepbench import streams
from deepbench.errors import LabelError
from deepbench.images.fourier import render_components
from deepbench.images.noise import STEP_VALUES, STEPS, apply_step
from deepbench.images.optics import airy_fwhms
from deepbench.images.point_sources import FAMILIES, add_point, stamp_radius
from deepbench.images.psf import gaussian_blur, margin
from deepbench.images.psf_transforms import PSFS
from deepbench.images.shapes import LIMIT, ROW_SIZE, SHAPES, draw_object, work_size
from deepbench.kernels import inline, kernel
from deepbench.recipe.table import names_of
from deepbench.stream_names import stream_number

if TYPE_CHECKING:
    from deepbench.images.model import ImageTable
    from deepbench.labelling.scopes import Labels

LARGEST = np.finfo(np.float32).max

BATCH_PIXELS = 2**18
"""Pixels that go through all steps together: they stay in the processor's cache."""

PLACES = ("x", "y", "dx", "dy")
STAR = ("flux", "stamp_flux")
SERSIC = ("flux", "half_light_radius", "axis_ratio", "position_angle", "sersic_index")
"""Fields of the objects of the sky."""

NARROWEST = 0.02
"""Full width at half maximum of the narrowest PSF that stars are drawn behind, in pixels."""

NARROWEST_OF_GALAXIES = 1.2
"""The same for galaxies: a narrower one lets more waves pass than are added up."""

FWHM_OF_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))
"""Full width at half maximum of a Gaussian with standard deviation 1."""

SHARED = ("amplitude", "thickness", "x", "y")
"""Columns of the kernel's rows that all shapes share; the shape's own parameters follow."""


def render(seed: int, name: str, table: ImageTable, labels: Labels) -> dict[str, NDArray]:
    """Render the images that labels describe.

    Parameters
    ----------
    seed : int
        Seed of the recipe.
    name : str
        Name of the table; part of the names of its streams.
    table : ImageTable
    labels : Labels
        Of n samples.

    Returns
    -------
    dict of str to ndarray
        ``image``: float32, shape (n, y, x).
    """
    shapes, stars = shape_rows(table, labels), star_rows(table, labels)
    galaxies = galaxy_rows(table, labels)
    family, psfs = psf_rows(table, labels)
    if len(stars.codes):
        _check_width(name, labels, psfs[:, 0], NARROWEST)
    if len(galaxies.codes):
        _check_width(name, labels, psfs[:, 0], NARROWEST_OF_GALAXIES)
        transforms = transform_rows(table, psfs)
    step_codes, step_values, step_words = noise_steps(name, table, labels)
    sigmas = labels.columns.get("psf.sigma", np.zeros(len(labels)))
    sigmas = np.ascontiguousarray(sigmas, np.float64)
    key = np.array(streams.key_words(seed), np.uint32)
    images = np.empty((len(labels), *table.size), np.float32)
    length = max(1, BATCH_PIXELS // (table.size[0] * table.size[1]))
    for start in range(0, len(labels), length):
        some = slice(start, start + length)
        edges = slice(start, start + length + 1)
        batch = images[some]
        draw_shapes(shapes.offsets[edges], *shapes[1:], sigmas[some], batch)
        if len(stars.codes):
            add_stars(stars.offsets[edges], stars.values, family, psfs[some], batch)
        if len(galaxies.codes):
            render_components(batch, galaxies.offsets[edges], galaxies.values, transforms[some])
        bad = add_noise(labels.samples[some], step_codes, step_values[some], step_words, key, batch)
        if bad >= 0:
            sample = int(labels.samples[start + bad])
            raise LabelError(
                f"table '{name}', sample {sample}: its image is not finite; amplitudes, fluxes, levels or gain "
                "are too large (float32 ends at 3.4e38, the mean of Poisson noise at 1e15)",
                table=name,
                sample=sample,
            )
    return {"image": images}


class Rows(NamedTuple):
    """Objects of the samples in the order in which they are drawn.

    Attributes
    ----------
    offsets : int64[n + 1]
        Sample i has the rows ``offsets[i]`` … ``offsets[i + 1] - 1``.
    codes : int64[m]
        What each object is.
    covers : bool[m]
        Whether it hides what lies below.
    values : float64[m, k]
        Its parameters in the order of the kernel.
    """

    offsets: NDArray[np.int64]
    codes: NDArray[np.int64]
    covers: NDArray[np.bool_]
    values: NDArray[np.float64]


def gather(
    table: ImageTable,
    labels: Labels,
    columns: int,
    describe: Callable[[str], tuple[int, tuple[str, ...]] | None],
    absent: float = 0.0,
) -> Rows:
    """Return the objects of some kinds as rows of numbers.

    Parameters
    ----------
    table : ImageTable
    labels : Labels
    columns : int
        Number of columns.
    describe : callable
        For a kind its code and the fields that fill the first columns, or None where it is not meant.
    absent : float
        What stands for fields that an object does not have.
    """
    samples, orders, copies, codes, covers, rows = [], [], [], [], [], []
    for code, described in enumerate(table.classes.values()):
        for order, (name, entry) in enumerate(
            zip(names_of(described.objects), described.objects, strict=True)
        ):
            meant = describe(entry.kind)
            if meant is None:
                continue
            kind, fields = meant
            drawn = [field for field in fields if getattr(entry.chosen, field, None) is not None]
            if entry.repeat is None:
                sample = labels.members(code)
                copy = np.zeros(len(sample), np.int64)
                values = {field: labels.columns[f"{name}.{field}"][sample] for field in drawn}
            else:
                chosen, sample = labels.copies(name, code)
                copy = labels.objects["copy"][chosen]
                values = {field: labels.objects[field][chosen] for field in drawn}
            table_rows = np.zeros((len(sample), columns))
            for column, field in enumerate(fields):
                table_rows[:, column] = values.get(field, absent)
            samples.append(sample)
            orders.append(np.full(len(sample), order))
            copies.append(copy)
            codes.append(np.full(len(sample), kind))
            covers.append(np.full(len(sample), entry.blend == "over"))
            rows.append(table_rows)
    if not rows:
        none = np.zeros(0, np.int64)
        return Rows(
            np.zeros(len(labels) + 1, np.int64), none, none.astype(bool), np.zeros((0, columns))
        )
    sample = np.concatenate(samples)
    sequence = np.lexsort((np.concatenate(copies), np.concatenate(orders), sample))
    counts = np.bincount(sample, minlength=len(labels))
    return Rows(
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        np.concatenate(codes)[sequence],
        np.concatenate(covers)[sequence],
        np.ascontiguousarray(np.concatenate(rows)[sequence]),
    )


def _check_reach(labels: Labels, rows: Rows, values: NDArray[np.float64]) -> None:
    """Refuse lengths, places and angles beyond the drawing's limit."""
    far = np.flatnonzero((np.abs(values) > LIMIT).any(axis=1))
    if far.size:
        row = np.searchsorted(rows.offsets, far[0], side="right") - 1
        raise LabelError(
            f"sample {labels.samples[row]}: an object has a length, a place or an angle beyond ±{LIMIT:g}, "
            "which cannot be drawn"
        )


def shape_rows(table: ImageTable, labels: Labels) -> Rows:
    """Return the shapes of the samples: code, and amplitude, thickness, x, y and their own parameters.

    Raises
    ------
    LabelError
        A length, a place or an angle is beyond the drawing's limit.
    """

    def describe(kind: str) -> tuple[int, tuple[str, ...]] | None:
        shape = SHAPES.get(kind)
        return None if shape is None else (shape.code, (*SHARED, *shape.parameters))

    rows = gather(table, labels, ROW_SIZE, describe)
    _check_reach(labels, rows, rows.values[:, 1:])
    return rows


def star_rows(table: ImageTable, labels: Labels) -> Rows:
    """Return the stars of the samples: flux, the part of it that the stamp holds, and x and y in pixels.

    Raises
    ------
    LabelError
        A place is beyond the drawing's limit.
    """
    rows, places = _sky_rows(table, labels, "star", STAR)
    return rows._replace(values=np.column_stack([rows.values[:, :2], places]))


def galaxy_rows(table: ImageTable, labels: Labels) -> Rows:
    """Return the Sérsic profiles of the samples as ``fourier.COMPONENT_ROW`` says, in pixels and degrees.

    Raises
    ------
    LabelError
        A place or a radius is beyond the drawing's limit.
    """
    rows, places = _sky_rows(table, labels, "sersic", SERSIC)
    flux, radius, *rest = rows.values[:, :5].T
    radius = radius / (table.pixel_scale or np.nan)
    _check_reach(labels, rows, radius[:, None])
    return rows._replace(values=np.column_stack([flux, places, radius, *rest]))


def _sky_rows(
    table: ImageTable, labels: Labels, kind: str, fields: tuple[str, ...]
) -> tuple[Rows, NDArray[np.float64]]:
    """Return the objects of one kind of the sky, and their x and y in pixels."""
    columns = (*fields, *PLACES)
    rows = gather(
        table, labels, len(columns), lambda found: (0, columns) if found == kind else None, np.nan
    )
    x, y, dx, dy = rows.values[:, len(fields) :].T
    ny, nx = table.size
    scale = table.pixel_scale or np.nan
    x = np.where(np.isnan(x), (nx - 1) / 2 + dx / scale, x)
    y = np.where(np.isnan(y), (ny - 1) / 2 + dy / scale, y)
    places = np.stack([x, y], axis=1)
    _check_reach(labels, rows, places)
    return rows, places


def transform_rows(table: ImageTable, psfs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the PSFs of the samples as ``psf_transforms.PSF_ROW`` says, in pixels and degrees."""
    kind = table.psf.kind if table.psf is not None else "gaussian"
    size, shape = psfs[:, 0], psfs[:, 1]
    if kind == "airy":
        size = size / airy_fwhms(shape)
    code = np.full(len(psfs), float(PSFS[kind]))
    return np.column_stack([code, size, shape, psfs[:, 3], np.degrees(psfs[:, 4])])


def _check_width(name: str, labels: Labels, widths: NDArray[np.float64], narrowest: float) -> None:
    """Refuse a PSF that is too narrow for its light to be integrated over a pixel."""
    narrow = np.flatnonzero(widths < narrowest)
    if narrow.size:
        sample = int(labels.samples[narrow[0]])
        raise LabelError(
            f"table '{name}', sample {sample}: the full width at half maximum of the PSF is {widths[narrow[0]]:.3g} "
            f"pixels, it must be {narrowest} or more",
            table=name,
            sample=sample,
        )


def psf_rows(table: ImageTable, labels: Labels) -> tuple[int, NDArray[np.float64]]:
    """Return the family of the PSF, and for each sample the numbers that describe it, in pixels and radians.

    Returns
    -------
    family : int
        As ``point_sources.FAMILIES`` numbers them.
    values : float64[n, 5]
        Full width at half maximum, shape (β of a Moffat, obscuration of an Airy pattern), truncation radius (0 where
        there is none), axis ratio, position angle.
    """
    values = np.tile([0.0, 0.0, 0.0, 1.0, 0.0], (len(labels), 1))
    if table.psf is None:
        return FAMILIES["gaussian"], values
    kind, columns = table.psf.kind, labels.columns
    if kind == "gaussian":
        values[:, 0] = columns["psf.sigma"] * FWHM_OF_SIGMA
        return FAMILIES[kind], values
    scale = table.pixel_scale
    values[:, 0] = columns["psf.fwhm"] / scale
    for column, field, unit in (
        (1, "beta", 1.0),
        (1, "obscuration", 1.0),
        (2, "truncation", scale),
        (3, "axis_ratio", 1.0),
        (4, "position_angle", 180 / np.pi),
    ):
        if f"psf.{field}" in columns:
            values[:, column] = columns[f"psf.{field}"] / unit
    return FAMILIES[kind], values


def noise_steps(
    name: str, table: ImageTable, labels: Labels
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.uint32]]:
    """Return the steps of the noise for the kernel.

    Returns
    -------
    codes : int64[t]
    values : float64[n, t, STEP_VALUES]
    words : uint32[t, 2]
        Words of each step's stream.
    """
    names = names_of(table.noise)
    codes = np.array([STEPS[entry.kind][0] for entry in table.noise], np.int64)
    values = np.zeros((len(labels), len(names), STEP_VALUES))
    for step, (scope, entry) in enumerate(zip(names, table.noise, strict=True)):
        for column, field in enumerate(STEPS[entry.kind][1]):
            values[:, step, column] = labels.columns[f"noise.{scope}.{field}"]
    words = [
        streams.stream_words(stream_number(f"{name}/{stream}")) for stream in table.pixel_streams()
    ]
    return codes, values, np.array(words, np.uint32).reshape(len(names), 2)


@inline
def is_finite(pixels):
    """Return whether all pixels are finite numbers."""
    bad = 0
    for pixel in range(pixels.size):
        bad += 0 if abs(pixels[pixel]) <= LARGEST else 1
    return bad == 0


@kernel
def draw_shapes(offsets, codes, covers, rows, sigmas, images):
    """Draw the shapes of images, blurred, each image from its own rows alone.

    Parameters
    ----------
    offsets, codes, covers, rows
        As ``shape_rows`` returns them.
    sigmas : float64[n]
        Of the Gaussian PSF, in pixels; 0 for none.
    images : float32[n, y, x]
        Every pixel is written.
    """
    count, height, width = images.shape
    widest = margin(sigmas.max()) if count else 0
    plane_height, plane_width = height + 2 * widest, width + 2 * widest
    planes = np.zeros(plane_height * plane_width, np.float32)
    cells = np.zeros(work_size(plane_height, plane_width), np.float64)
    taps = np.empty(widest + 2, np.float32)
    line = np.empty(plane_width, np.float32)
    for i in range(count):
        edge = margin(sigmas[i])
        rows_here, columns_here = height + 2 * edge, width + 2 * edge
        plane = planes[: rows_here * columns_here].reshape((rows_here, columns_here))
        bottom, top, left, right = rows_here, 0, columns_here, 0
        for j in range(offsets[i], offsets[i + 1]):
            box = draw_object(
                plane, -float(edge), -float(edge), codes[j], covers[j], rows[j], cells
            )
            bottom, top = min(bottom, box[0]), max(top, box[1])
            left, right = min(left, box[2]), max(right, box[3])
        gaussian_blur(plane, (bottom, top, left, right), sigmas[i], images[i], taps, line)
        for row in range(bottom, top):
            plane[row, left:right] = 0.0


@kernel
def add_stars(offsets, stars, family, psfs, images):
    """Add the stars of images, each as its PSF shows it.

    Parameters
    ----------
    offsets, stars
        As ``star_rows`` returns them.
    family, psfs
        As ``psf_rows`` returns them.
    images : float32[n, y, x]
        Changed.
    """
    for i in range(len(images)):
        fwhm, shape, truncation = psfs[i, 0], psfs[i, 1], psfs[i, 2]
        ratio, angle = psfs[i, 3], psfs[i, 4]
        for j in range(offsets[i], offsets[i + 1]):
            flux, x, y = stars[j, 0], stars[j, 2], stars[j, 3]
            radius = stamp_radius(family, fwhm, shape, truncation, ratio, stars[j, 1])
            add_point(images[i], x, y, flux, family, fwhm, shape, truncation, ratio, angle, radius)


@kernel
def add_noise(samples, step_codes, step_values, step_words, key, images):
    """Apply the steps of the noise to images.

    Parameters
    ----------
    samples : int64[n]
        Sample numbers.
    step_codes, step_values, step_words
        As ``noise_steps`` returns them.
    key : uint32[2]
        Words of the seed.
    images : float32[n, y, x]
        Changed.

    Returns
    -------
    int
        The first image with a pixel that is not finite; −1 when there is none.
    """
    count, height, width = images.shape
    pixels = np.empty(height * width, np.float32)
    first_bad = -1
    for i in range(count):
        flat = images[i].reshape(height * width)
        for step in range(step_codes.size):
            apply_step(
                flat,
                step_codes[step],
                step_values[i, step, 0],
                step_values[i, step, 1],
                samples[i],
                key[0],
                key[1],
                step_words[step, 0],
                step_words[step, 1],
                pixels,
            )
        if first_bad < 0 and not is_finite(flat):
            first_bad = i
    return first_bad
