"""Deflections in float32 along lines and at points, against those in float64."""

import numpy as np
import pytest

from deepbench.lensing import rays
from deepbench.lensing.deflector import DEFLECTOR_ROW
from deepbench.lensing.maps import deflection, prepare
from deepbench.numerics.kernels import kernel

deflect_line, deflect_points = rays.deflect_line, rays.deflect_points

COUNT = 83


@kernel
def _line(rows, x, y, step, lines, ax, ay):
    deflect_line(rows, x, y, step, lines, ax, ay)


@kernel
def _points(rows, x, y, lines, ax, ay):
    deflect_points(rows, x, y, lines, ax, ay)


def along_line(row, x, y, step):
    """Return the deflection along a line in float32, and in float64."""
    found = np.full((2, COUNT), np.nan, np.float32)
    _line(prepare(row), x, y, step, np.empty((rays.SCRATCH, COUNT + 3), np.float32), *found)
    return found, np.array(deflection(row, x + step * np.arange(COUNT), y))


def rows():
    """Return deflectors of all families, over the range of their shapes, about a centre."""
    cases = [
        *({"family": 0, "axis_ratio": q, "slope": s}
          for q in (0.1, 0.2, 0.5, 0.8, 1.0) for s in (1.5, 2.0, 2.2, 2.5)),
        {"family": 1, "convergence": 0.1, "strength": 0.1},
        *({"family": 2, "axis_ratio": q, "scale": s} for q in (0.1, 0.2, 0.9, 1.0) for s in (0.0, 0.1)),
        {"family": 3},
        *({"family": 4, "axis_ratio": q, "scale": s} for q in (0.6, 1.0) for s in (0.1, 1.2, 40.0)),
        *({"family": 5, "scale": s, "truncation": s * t}
          for s in (0.01, 0.7, 9.0) for t in (0.3, 1.0, 5.0, 1e4)),
        *({"family": 6, "order": m, "strength": 0.1} for m in (3, 4)),
    ]  # fmt: skip
    for case in cases:
        row = np.zeros(1, DEFLECTOR_ROW)
        fields = {"x": 0.113, "y": -0.071, "angle": 0.4, "strength": 1.0}
        for name, value in ({"axis_ratio": 1.0, "slope": 2.0} | fields | case).items():
            row[name] = value
        yield pytest.param(row, id="-".join(f"{value:g}" for value in case.values()))


ROWS = list(rows())


@pytest.mark.parametrize("row", ROWS)
def test_rays_err_by_two_millionths(row):
    """Of the Einstein radius, 1 arcsec, or of the deflection where it is larger; also 1e-4 arcsec beside the centre."""
    bound = 2e-6 if row["axis_ratio"] >= 0.2 else 5e-6
    for x, y, step in (
        (-2.0, 0.3, 0.05), (-2.0, -0.071 + 1e-4, 0.05), (-0.9, -0.071, 0.0247), (5.0, 1.3, 0.05),
        (2.0, -0.4, -0.05), (0.113 - 1e-3, -0.0705, 2.4e-5),
    ):  # fmt: skip
        found, expected = along_line(row, x, y, step)
        size = np.maximum(np.hypot(*expected), 1.0)
        assert (np.abs(found - expected) / size).max() < bound


def test_a_line_through_the_centre_is_finite_and_does_not_deflect_there():
    for row in (each.values[0].copy() for each in ROWS):
        row["x"], row["y"] = 0.125, -0.5
        found, _ = along_line(row, -0.5, -0.5, 0.0625)
        assert np.isfinite(found).all()
        np.testing.assert_array_equal(found[:, 10], 0.0)


def test_points_and_lines_agree_and_deflectors_add_up():
    row = np.concatenate([each.values[0] for each in ROWS])
    row["x"] += np.random.default_rng(1).uniform(-1.0, 1.0, row.size)
    ready, lines = prepare(row), np.empty((rays.SCRATCH, COUNT), np.float32)
    x, found = -2.0 + 0.05 * np.arange(COUNT), np.empty((2, COUNT), np.float32)
    _points(ready, x, np.full(COUNT, 0.3), lines, *found)
    along, expected = along_line(row, -2.0, 0.3, 0.05)
    np.testing.assert_allclose(found, along, rtol=0, atol=2e-5)  # of 47 deflections
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5)
    assert (np.abs(expected).max(), row.size) > (10.0, 40)
