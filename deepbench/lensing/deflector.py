"""The row of a deflector, as tables write it and as kernels read it, and the numbers of the families."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

POWER_LAW, EXTERNAL, ISOTHERMAL, POINT_MASS, NFW, TRUNCATED_NFW, MULTIPOLE = range(7)
"""Numbers of the families of deflectors."""

MOST_TERMS = 200
"""Number of terms of a row's series; a multiple of 4."""

DEFLECTOR_ROW = np.dtype(
    [
        ("family", np.int64),
        ("x", np.float64),
        ("y", np.float64),
        ("angle", np.float64),
        ("strength", np.float64),
        ("axis_ratio", np.float64),
        ("slope", np.float64),
        ("scale", np.float64),
        ("truncation", np.float64),
        ("convergence", np.float64),
        ("order", np.int64),
    ],
    align=True,
)
"""Row of a deflector.

``x`` and ``y`` are its centre, ``scale`` and ``truncation`` radii, all in arcsec; ``angle`` is a direction in radians.
What ``strength`` is, and which other fields are read, the module of each family says.
"""

PREPARED_ROW = np.dtype(
    [
        *((name, DEFLECTOR_ROW[name]) for name in DEFLECTOR_ROW.names or ()),
        ("cosine", np.float64),
        ("sine", np.float64),
        ("stretch", np.float64),
        ("amplitude", np.float64),
        ("power", np.float64),
        ("terms", np.int64),
        ("series", np.float64, (MOST_TERMS,)),
    ],
    align=True,
)
"""Row of a deflector with what does not depend on the point, from ``plane.prepare``; formulas read these rows.

``cosine`` and ``sine`` are those of ``angle``, ``stretch`` is √q of the axis ratio q; the others are of each family.
"""

TINY = 1e-60
"""Square of the distance from a centre within which singular deflectors are smooth, arcsec²."""


class Field(NamedTuple):
    """Potential at a point, its gradient and its second derivatives; arcsec², arcsec and 1."""

    potential: float
    x: float
    y: float
    xx: float
    xy: float
    yy: float
