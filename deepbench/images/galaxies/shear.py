"""Weak gravitational lensing of galaxies: the reduced shear and magnification of a recipe, and what they do.

A shear g = g1 + i g2 and a magnification μ carry a point z = x + iy of a galaxy, seen from its centre, to

    √(μ / (1 − |g|²)) (z + g z̄),

at constant surface brightness (Bartelmann and Schneider 2001, Phys. Rep. 340, 291, section 4), so that the light grows
by μ. An ellipse becomes another ellipse, whose major axis shows other points of the galaxy: the arms of a disk begin at
another angle from it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from deepbench.images.model.sky import LEAST_AXIS_RATIO, Piece
from deepbench.language.specification import Group, parameter, problem
from deepbench.language.values import Value

DEGREES = 180.0 / math.pi
"""Degrees in a radian."""


class Shear(Group):
    """Weak gravitational lensing of a galaxy about its centre: a reduced shear, and a magnification."""

    g1: Value = parameter(
        "reduced shear g1; a positive one stretches along x, a negative one along y",
        above=-1,
        below=1,
        default=0.0,
    )
    g2: Value = parameter(
        "reduced shear g2; a positive one stretches along x = y, a negative one along x = -y",
        above=-1,
        below=1,
        default=0.0,
    )
    magnification: Value | None = parameter(
        "factor of area and light; the shear keeps both when absent", above=0, default=None
    )

    @model_validator(mode="after")
    def _is_weak(self) -> Self:
        if self._most() >= 1:
            raise problem(
                f"the reduced shear can be {self._most():.3g}; √(g1² + g2²) must stay below 1: narrow g1 and g2"
            )
        return self

    def _most(self) -> float:
        """Return the largest |g| of the numbers that are known, 0 for those that are not."""
        known = [value.support() for value in (self.g1, self.g2) if value.known]
        return math.hypot(*(max(abs(end) for end in ends) for ends in known))

    def check_axis_ratio(self, kind: str, name: str, axis_ratio: Value) -> None:
        """Refuse ellipses that can become too thin to be drawn."""
        if not (axis_ratio.known and self.g1.known and self.g2.known):
            return
        most, least = self._most(), axis_ratio.support()[0]
        if least * (1 - most) < LEAST_AXIS_RATIO * (1 + most):
            limit = LEAST_AXIS_RATIO * (1 + most) / (1 - most)
            raise problem(
                f"a {kind} with an {name} of {least:g} can be sheared below {LEAST_AXIS_RATIO:g}, which cannot be "
                f"drawn: keep its {name} above {limit:.3g}, or lower the shear of up to {most:.3g}"
            )

    def refusals(self, columns: Mapping[str, NDArray]) -> list[tuple[NDArray[np.bool_], str]]:
        """Return which galaxies cannot be drawn, bool[k], and why; see ``SkyObject.refusals``."""
        square = columns["shear.g1"] ** 2 + columns["shear.g2"] ** 2
        return [(square >= 1, "the reduced shear of a galaxy, √(g1² + g2²), is not below 1")]


def sheared(piece: Piece, columns: Mapping[str, NDArray]) -> Piece:
    """Return the rows of galaxies as their shears show them; light is as it was, ``sky_rows.fluxes`` magnifies it.

    In the axes of an ellipse with e = (1 − q)/(1 + q), where the shear is g, a point w of the unit circle that the
    ellipse is made of goes to a multiple of A w + B w̄, A = 1 + e g and B = e + g. Its semi-axes are |A| ± |B|, so that

        q' = (|A| − |B|) / (|A| + |B|) = (1 − e²) (1 − |g|²) / (|A| + |B|)².

    The major axis lies at half the sum of the phases of A and B, and is the image of the w at half their difference.
    """
    from deepbench.numerics.mathfast import atan2, cosd, sind

    rows = piece.rows.copy()
    g1, g2, root = columns["shear.g1"], columns["shear.g2"], _root(columns)
    ratio, angle = rows["axis_ratio"], rows["position_angle_degrees"]
    cosine, sine = cosd(2.0 * angle), sind(2.0 * angle)
    along, across = g1 * cosine + g2 * sine, g2 * cosine - g1 * sine
    e = (1.0 - ratio) / (1.0 + ratio)
    ax, ay, bx, by = 1.0 + e * along, e * across, e + along, across
    lengths = np.sqrt(ax * ax + ay * ay) + np.sqrt(bx * bx + by * by)
    kept = (1.0 - e * e) * (1.0 - g1 * g1 - g2 * g2)
    new_ratio = np.minimum(kept / (lengths * lengths), 1.0)
    phase_a, phase_b = DEGREES * atan2(ay, ax), DEGREES * atan2(by, bx)
    _scale(rows, root, "half_light_radius", "truncation")
    _scale(rows, root * np.sqrt(ratio / new_ratio), "inner_radius", "arm_scale")
    rows["axis_ratio"] = new_ratio
    rows["position_angle_degrees"] += 0.5 * (phase_a + phase_b)
    if piece.engine == "arms":
        rows["arm_angle_degrees"] -= 0.5 * (phase_b - phase_a)
    return Piece(piece.engine, rows)


def _root(columns: Mapping[str, NDArray]) -> Any:
    """Return the factor of lengths of magnifications."""
    return np.sqrt(columns["shear.magnification"]) if "shear.magnification" in columns else 1.0


def _scale(rows: NDArray[np.void], factor: Any, *names: str) -> None:
    """Multiply fields of rows, those that they have."""
    for name in names:
        if name in (rows.dtype.names or ()):
            rows[name] *= factor
