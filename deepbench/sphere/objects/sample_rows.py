"""From labels to the rows of the objects of a sample, turned with their map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from deepbench.sphere.fields.harmonics import euler_matrix
from deepbench.sphere.objects.objects import OBJECT

if TYPE_CHECKING:
    from deepbench.labelling.objects import ObjectColumns

Floats = NDArray[np.float64]


def sample_rows(
    found: list[ObjectColumns], sample: int, turn: tuple[float, float, float] | None
) -> NDArray[np.void]:
    """Return the rows of the objects of a sample, OBJECT[m], in written order.

    Parameters
    ----------
    found : list of ObjectColumns
        Of all samples that are rendered.
    sample : int
        Row of the sample.
    turn : tuple of float, optional
        Euler angles by which its map is turned, radian.
    """
    chosen = [each.samples == sample for each in found]
    stops = np.cumsum([0, *(int(own.sum()) for own in chosen)])
    rows, directed = np.zeros(stops[-1], OBJECT), np.zeros(stops[-1], np.bool_)
    for each, own, start, stop in zip(found, chosen, stops[:-1], stops[1:], strict=True):
        columns = {name: values[own] for name, values in each.columns.items()}
        each.entry.chosen.write(rows[start:stop], columns)
        directed[start:stop] = "position_angle" in columns
    if len(rows) and turn is not None:
        _turn(rows, directed, turn)
    return rows


def _turn(
    rows: NDArray[np.void], directed: NDArray[np.bool_], turn: tuple[float, float, float]
) -> None:
    """Turn the positions of objects, and the position angles of those that have one."""
    matrix = euler_matrix(turn)
    longitude, latitude = (
        np.radians(rows["longitude_degrees"]),
        np.radians(rows["latitude_degrees"]),
    )
    position, north, east = (each @ matrix.T for each in _frame(longitude, latitude))
    rows["longitude_degrees"] = np.degrees(np.arctan2(position[:, 1], position[:, 0]))
    rows["latitude_degrees"] = np.degrees(np.arcsin(np.clip(position[:, 2], -1.0, 1.0)))
    own = rows[directed]
    angle = np.radians(own["position_angle_degrees"])[:, None]
    axis = np.cos(angle) * north[directed] + np.sin(angle) * east[directed]
    _, new_north, new_east = _frame(
        np.radians(own["longitude_degrees"]), np.radians(own["latitude_degrees"])
    )
    across, along = (axis * new_east).sum(axis=1), (axis * new_north).sum(axis=1)
    rows["position_angle_degrees"][directed] = np.degrees(np.arctan2(across, along))


def _frame(longitude: Floats, latitude: Floats) -> tuple[Floats, Floats, Floats]:
    """Return directions, and those to the north and the east there, float64[n, 3]."""
    c, s, u, v = np.cos(longitude), np.sin(longitude), np.cos(latitude), np.sin(latitude)
    position = np.column_stack([u * c, u * s, v])
    north = np.column_stack([-v * c, -v * s, u])
    return position, north, np.column_stack([-s, c, np.zeros_like(c)])
