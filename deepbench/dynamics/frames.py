"""Motions as image sequences: arms and bodies as the shapes of images, seen along z."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from deepbench.dynamics.model import FRAME_STREAM
from deepbench.dynamics.noise import add_pixels
from deepbench.errors import LabelError
from deepbench.images.render import first_bad
from deepbench.images.shapes.boundaries import LIMIT, SHAPE_ROW
from deepbench.images.shapes.draw import draw_shapes
from deepbench.images.shapes.model import Circle, Line
from deepbench.numerics import streams
from deepbench.numerics.kernels import kernel
from deepbench.numerics.mathfast import atan2_64
from deepbench.numerics.stream_names import stream_number

if TYPE_CHECKING:
    from deepbench.dynamics.model import DynamicsTable
    from deepbench.labelling.scopes import Labels

DEGREE = 57.29577951308232

BATCH_SHAPES = 16384
"""Largest number of shapes whose rows are in memory together."""

EXTENTS = ("x", "y", "thickness", "length", "angle", "radius")
"""Parameters of arms and bodies that the drawing limits, in pixels and degrees."""

PART = np.dtype(
    [*((name, np.float64) for name in ("amplitude", *EXTENTS)), ("is_arm", np.bool_)], align=True
)
"""Row of an arm or a body: its parameters as a line or a circle, in pixels and degrees, zero where it has none."""


@kernel
def write_parts(places, scales, origins, rods, disks, has_rods, offsets, parts):
    """Write the arms of each frame, then its bodies.

    Parameters
    ----------
    places : float64[k, f, b, a]
        Of the bodies; NaN of those that there are not.
    scales : float64[k]
        Pixels per unit of length.
    origins : float64[k, 2]
        x and y of the origin, in pixels.
    rods : float64[k, 2]
        Thickness and amplitude of arms.
    disks : float64[k, b, 2]
        Radius and amplitude of the bodies.
    has_rods : bool
    offsets : int64[k f + 1]
        Written: frame i has the parts ``offsets[i]`` … ``offsets[i + 1] - 1``.
    parts : PART[2 k f b]
        Zeros; written up to the last offset.
    """
    count, frames, bodies, _ = places.shape
    number = 0
    offsets[0] = 0
    for i in range(count):
        for frame in range(frames):
            place = places[i, frame]
            before_x, before_y = origins[i, 0], origins[i, 1]
            for body in range(bodies if has_rods else 0):
                if np.isnan(place[body, 0]):
                    break
                x = origins[i, 0] + scales[i] * place[body, 0]
                y = origins[i, 1] + scales[i] * place[body, 1]
                dx, dy = x - before_x, y - before_y
                part = parts[number]
                part.is_arm = True
                part.thickness, part.amplitude = rods[i, 0], rods[i, 1]
                part.x, part.y = 0.5 * (x + before_x), 0.5 * (y + before_y)
                part.length, part.angle = np.sqrt(dx * dx + dy * dy), DEGREE * atan2_64(dy, dx)
                before_x, before_y = x, y
                number += 1
            for body in range(bodies):
                if np.isnan(place[body, 0]):
                    break
                part = parts[number]
                part.radius, part.amplitude = disks[i, body, 0], disks[i, body, 1]
                part.x = origins[i, 0] + scales[i] * place[body, 0]
                part.y = origins[i, 1] + scales[i] * place[body, 1]
                number += 1
            offsets[i * frames + frame + 1] = number


def shape_rows(parts: NDArray[np.void]) -> NDArray[np.void]:
    """Return arms and bodies as ``draw_shapes`` takes them: lines and circles that hide what lies below."""
    rows = np.empty(len(parts), SHAPE_ROW)
    plain = np.dtype((np.void, SHAPE_ROW.itemsize))  # numpy moves rows without fields as a whole
    for shape, is_member in ((Line, parts["is_arm"]), (Circle, ~parts["is_arm"])):
        members = np.flatnonzero(is_member)
        values = {name: parts[name][members] for name in shape.model_fields}
        rows.view(plain)[members] = shape.rows(values, covers=True).view(plain)
    return rows


def draw_frames(
    seed: int,
    name: str,
    table: DynamicsTable,
    labels: Labels,
    positions: NDArray[np.float64],
    images: NDArray[np.float32],
) -> None:
    """Draw the frames of some samples, with their noise.

    Parameters
    ----------
    seed : int
        Seed of the recipe.
    name : str
        Of the table.
    table : DynamicsTable
    labels : Labels
        Of k samples.
    positions : float64[k, t, bodies, axes]
        Without noise.
    images : float32[k, frames, y, x]
        Written.

    Raises
    ------
    LabelError
        A body is too far away to be drawn, or a pixel is not finite.
    """
    frames = table.frames
    assert frames is not None

    def column(field: str) -> NDArray[np.float64]:
        return labels.columns[field]

    places = positions[:, :: frames.every]
    count, _, bodies, _ = places.shape
    centre = [0.5 * (edge - 1) for edge in reversed(frames.size)]
    given = zip((frames.x, frames.y), ("x", "y"), centre, strict=True)
    origins = np.column_stack(
        [
            column(f"frames.{axis}") if value is not None else np.full(count, middle)
            for value, axis, middle in given
        ]
    )
    names = frames.disk_names()
    names += [names[-1]] * (bodies - len(names))
    disks = np.stack(
        [
            np.column_stack([column(f"{each}.radius"), column(f"{each}.amplitude")])
            for each in names
        ],
        axis=1,
    )
    rods = np.zeros((count, 2))
    if frames.rods is not None:
        rods = np.column_stack([column("frames.rods.thickness"), column("frames.rods.amplitude")])
    total = count * places.shape[1]
    offsets, parts = np.empty(total + 1, np.int64), np.zeros(2 * total * bodies, PART)
    write_parts(
        places, column("frames.scale"), origins, rods, disks, frames.rods is not None,
        offsets, parts,
    )  # fmt: skip
    samples = labels.samples
    parts = parts[: offsets[-1]]
    near = np.logical_and.reduce([np.abs(parts[name]) <= LIMIT for name in EXTENTS])
    far = np.flatnonzero(~near)
    if far.size:
        frame = np.searchsorted(offsets, far[0], side="right") - 1
        _refuse(name, samples[frame // places.shape[1]], f"a body is beyond {LIMIT:g} pixels")
    flat = images.reshape(total, *frames.size)
    blurs = np.repeat(column("frames.blur"), places.shape[1])
    length = max(1, BATCH_SHAPES // (2 * bodies))
    for start in range(0, total, length):
        some = slice(start, start + length)
        edges = offsets[start : start + length + 1]
        rows = shape_rows(parts[edges[0] : edges[-1]])
        draw_shapes(edges - edges[0], rows, blurs[some], flat[some])
    key = streams.key_words(seed)
    words = streams.stream_words(stream_number(f"{name}/{FRAME_STREAM}"))
    add_pixels(samples, column("frames.noise"), *key, *words, images.reshape(count, -1))
    bad = first_bad(flat)
    if bad >= 0:
        message = (
            "a frame is not finite; amplitudes or noise are too large (float32 ends at 3.4e38)"
        )
        _refuse(name, samples[bad // places.shape[1]], message)


def _refuse(table: str, sample: np.int64, message: str) -> None:
    raise LabelError(
        f"table '{table}', sample {sample}: {message}", table=table, sample=int(sample)
    )
