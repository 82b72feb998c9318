"""Motions as image sequences: arms and bodies as the shapes of images, seen along z."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from deepbench.dynamics.model import FRAME_STREAM
from deepbench.dynamics.noise import add_pixels
from deepbench.errors import LabelError
from deepbench.images.render import first_bad
from deepbench.images.shapes.draw import draw_shapes
from deepbench.images.shapes.outlines import LIMIT, ROW_SIZE, SHAPES
from deepbench.numerics import streams
from deepbench.numerics.kernels import kernel
from deepbench.numerics.mathfast import atan2_64
from deepbench.numerics.stream_names import stream_number

if TYPE_CHECKING:
    from deepbench.dynamics.model import DynamicsTable
    from deepbench.labelling.scopes import Labels

DEGREE = 57.29577951308232
DISK, LINE = SHAPES["circle"].code, SHAPES["line"].code


@kernel
def shape_rows(places, scales, origins, rods, disks, has_rods, offsets, codes, rows):
    """Write the rows of the shapes of frames, as ``draw_shapes`` takes them: the arms, then the bodies.

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
    codes : int64[2 k f b]
    rows : float64[2 k f b, ROW_SIZE]
        Written up to the last offset.
    """
    count, frames, bodies, _ = places.shape
    shape = 0
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
                codes[shape] = LINE
                row = rows[shape]
                row[0], row[1] = rods[i, 1], rods[i, 0]
                row[2], row[3] = 0.5 * (x + before_x), 0.5 * (y + before_y)
                row[4], row[5] = np.sqrt(dx * dx + dy * dy), DEGREE * atan2_64(dy, dx)
                row[6] = 0.0
                before_x, before_y = x, y
                shape += 1
            for body in range(bodies):
                if np.isnan(place[body, 0]):
                    break
                codes[shape] = DISK
                row = rows[shape]
                row[0], row[1] = disks[i, body, 1], 0.0
                row[2] = origins[i, 0] + scales[i] * place[body, 0]
                row[3] = origins[i, 1] + scales[i] * place[body, 1]
                row[4], row[5], row[6] = disks[i, body, 0], 0.0, 0.0
                shape += 1
            offsets[i * frames + frame + 1] = shape


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
    offsets, codes = np.empty(total + 1, np.int64), np.empty(2 * total * bodies, np.int64)
    rows = np.empty((2 * total * bodies, ROW_SIZE))
    shape_rows(
        places, column("frames.scale"), origins, rods, disks, frames.rods is not None,
        offsets, codes, rows,
    )  # fmt: skip
    samples = labels.samples
    far = np.flatnonzero(~(np.abs(rows[: offsets[-1], 1:]) <= LIMIT).all(axis=1))
    if far.size:
        frame = np.searchsorted(offsets, far[0], side="right") - 1
        _refuse(name, samples[frame // places.shape[1]], f"a body is beyond {LIMIT:g} pixels")
    covers = np.ones(offsets[-1], np.bool_)
    flat = images.reshape(total, *frames.size)
    blurs = np.repeat(column("frames.blur"), places.shape[1])
    draw_shapes(offsets, codes, covers, rows, blurs, flat)
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
