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

if TYPE_CHECKING:
    from deepbench.dynamics.model import DynamicsTable
    from deepbench.dynamics.recording import Frames
    from deepbench.labelling.scopes import Labels
    from deepbench.tables import Table

DEGREE = 57.29577951308232
"""Degrees per radian."""

BATCH_SHAPES = 16384
"""Largest number of shapes whose rows are in memory together."""

VIEW = np.dtype(
    [
        ("scale", np.float64),
        ("x", np.float64),
        ("y", np.float64),
        ("thickness", np.float64),
        ("amplitude", np.float64),
    ]
)
"""Row of a sample: pixels per unit of length, the origin in pixels, and how its arms look; zeros without arms."""

LOOK = np.dtype([("radius", np.float64), ("amplitude", np.float64)])
"""Row of a body: its disk."""

DRAWN = np.dtype(
    [
        ("is_rod", np.bool_),
        ("amplitude", np.float64),
        ("x", np.float64),
        ("y", np.float64),
        ("size", np.float64),
        ("thickness", np.float64),
        ("angle_degrees", np.float64),
    ],
    align=True,
)
"""Row of a shape in a frame, in pixels: an arm of a length (``size``), or a disk of a radius."""


@kernel
def place_shapes(positions, views, looks, has_rods, offsets, shapes):
    """Write the shapes of frames: the arms, then the bodies.

    Parameters
    ----------
    positions : float64[k, f, b, a]
        NaN of bodies that there are not.
    views : VIEW[k]
    looks : LOOK[k, b]
    has_rods : bool
    offsets : int64[k f + 1]
        Written: the first shape of each frame, and the number of all.
    shapes : DRAWN[2 k f b]
        Written up to the last offset.
    """
    count, frames, bodies, _ = positions.shape
    shape = 0
    offsets[0] = 0
    for i in range(count):
        view = views[i]
        for frame in range(frames):
            position = positions[i, frame]
            before_x, before_y = view.x, view.y
            for body in range(bodies if has_rods else 0):
                if np.isnan(position[body, 0]):
                    break
                x = view.x + view.scale * position[body, 0]
                y = view.y + view.scale * position[body, 1]
                dx, dy = x - before_x, y - before_y
                rod = shapes[shape]
                rod.is_rod, rod.amplitude, rod.thickness = True, view.amplitude, view.thickness
                rod.x, rod.y = 0.5 * (x + before_x), 0.5 * (y + before_y)
                rod.size, rod.angle_degrees = np.sqrt(dx * dx + dy * dy), DEGREE * atan2_64(dy, dx)
                before_x, before_y = x, y
                shape += 1
            for body in range(bodies):
                if np.isnan(position[body, 0]):
                    break
                disk, look = shapes[shape], looks[i, body]
                disk.is_rod, disk.amplitude, disk.thickness = False, look.amplitude, 0.0
                disk.x = view.x + view.scale * position[body, 0]
                disk.y = view.y + view.scale * position[body, 1]
                disk.size, disk.angle_degrees = look.radius, 0.0
                shape += 1
            offsets[i * frames + frame + 1] = shape


def draw_frames(
    table: Table[DynamicsTable],
    labels: Labels,
    positions: NDArray[np.float64],
    images: NDArray[np.float32],
) -> None:
    """Draw the frames of some samples, with their noise.

    Parameters
    ----------
    table : Table
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
    frames = table.specification.frames
    assert frames is not None
    positions = positions[:, :: frames.every]
    count, each, bodies, _ = positions.shape
    offsets, shapes = (
        np.empty(count * each + 1, np.int64),
        np.empty(2 * count * each * bodies, DRAWN),
    )
    place_shapes(
        positions, _views(frames, labels), _looks(frames, labels, bodies),
        frames.rods is not None, offsets, shapes,
    )  # fmt: skip
    shapes = shapes[: offsets[-1]]

    def refusal(frame: int, message: str) -> LabelError:
        return LabelError.of_sample(table.name, labels.samples[frame // each], message)

    far = _first_far(shapes)
    if far >= 0:
        frame = int(np.searchsorted(offsets, far, side="right")) - 1
        raise refusal(frame, f"a body is beyond {LIMIT:g} pixels")
    flat = images.reshape(-1, *frames.size)
    blurs = np.repeat(labels.columns["frames.blur"], each)
    length = max(1, BATCH_SHAPES // (2 * bodies))
    for start in range(0, len(flat), length):
        some = slice(start, start + length)
        edges = offsets[start : start + length + 1]
        rows = _shape_rows(shapes[edges[0] : edges[-1]])
        draw_shapes(edges - edges[0], rows, blurs[some], flat[some])
    key = streams.key_words(table.seed)
    words = streams.stream_words(table.stream(FRAME_STREAM))
    noise = labels.columns["frames.noise"]
    add_pixels(labels.samples, noise, *key, *words, images.reshape(count, -1))
    bad = first_bad(flat)
    if bad >= 0:
        raise refusal(
            bad,
            "a frame is not finite; amplitudes or noise are too large (float32 ends at 3.4e38)",
        )


def _views(frames: Frames, labels: Labels) -> NDArray[np.void]:
    """Return how each sample is seen, VIEW[k]; the origin is at the centre where a recipe says nothing."""
    views = np.zeros(len(labels), VIEW)
    views["scale"] = labels.columns["frames.scale"]
    for axis, value, edge in zip(("y", "x"), (frames.y, frames.x), frames.size, strict=True):
        given = value is not None
        views[axis] = labels.columns[f"frames.{axis}"] if given else 0.5 * (edge - 1)
    if frames.rods is not None:
        for field in ("thickness", "amplitude"):
            views[field] = labels.columns[f"frames.rods.{field}"]
    return views


def _looks(frames: Frames, labels: Labels, bodies: int) -> NDArray[np.void]:
    """Return how each body looks, LOOK[k, bodies]; the last disk is that of all further bodies."""
    looks = np.empty((len(labels), bodies), LOOK)
    names = frames.disk_names()
    for body in range(bodies):
        for field in LOOK.names or ():
            looks[field][:, body] = labels.columns[f"{names[min(body, len(names) - 1)]}.{field}"]
    return looks


def _first_far(shapes: NDArray[np.void]) -> int:
    """Return the first shape that is beyond what can be drawn, or is not a number; −1 without one."""
    fields = ("x", "y", "size", "thickness", "angle_degrees")
    bad = [np.flatnonzero(~(np.abs(shapes[field]) <= LIMIT))[:1] for field in fields]
    return int(min(np.concatenate(bad), default=-1))


def _shape_rows(shapes: NDArray[np.void]) -> NDArray[np.void]:
    """Return shapes as ``draw_shapes`` takes them, ``SHAPE_ROW[m]``; each covers what lies below."""
    rows = np.empty(len(shapes), SHAPE_ROW)
    plain = np.dtype((np.void, SHAPE_ROW.itemsize))  # numpy moves rows without fields as a whole
    for shape, size, is_member in (
        (Line, "length", shapes["is_rod"]),
        (Circle, "radius", ~shapes["is_rod"]),
    ):
        members = np.flatnonzero(is_member)
        values = {name: shapes[name][members] for name in ("x", "y", "amplitude", "thickness")}
        values[size] = shapes["size"][members]
        values["angle"] = shapes["angle_degrees"][members]
        rows.view(plain)[members] = shape.rows(values, covers=True).view(plain)
    return rows
