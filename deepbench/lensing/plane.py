"""Sums of deflectors in one plane: potential, deflection, convergence, shear and magnification.

The modules of the families know a deflector in axes of its own, from its centre, x along ``angle``; here it is put in
its place.
"""

from __future__ import annotations

import numpy as np

from deepbench.lensing import (
    external,
    isothermal,
    multipole,
    nfw,
    point_mass,
    power_law,
    truncated_nfw,
)
from deepbench.lensing.deflector import (
    EXTERNAL,
    ISOTHERMAL,
    NFW,
    POINT_MASS,
    POWER_LAW,
    TRUNCATED_NFW,
    Field,
)
from deepbench.numerics.kernels import inline
from deepbench.numerics.mathfast import sincos64

_power_law, _power_law_deflection = power_law.field_at, power_law.deflection_at
_external, _external_deflection = external.field_at, external.deflection_at
_isothermal, _isothermal_deflection = isothermal.field_at, isothermal.deflection_at
_point_mass, _point_mass_deflection = point_mass.field_at, point_mass.deflection_at
_nfw, _nfw_deflection = nfw.field_at, nfw.deflection_at
_truncated, _truncated_deflection = truncated_nfw.field_at, truncated_nfw.deflection_at
_multipole, _multipole_deflection = multipole.field_at, multipole.deflection_at
_prepare_power_law, _prepare_nfw = power_law.prepare, nfw.prepare
_prepare_truncated = truncated_nfw.prepare


@inline
def prepare(rows, prepared):
    """Write ``PREPARED_ROW[m]`` from ``DEFLECTOR_ROW[m]``."""
    for i in range(rows.shape[0]):
        row, out = rows[i], prepared[i]
        out.family, out.x, out.y, out.angle = row.family, row.x, row.y, row.angle
        out.strength, out.axis_ratio, out.slope = row.strength, row.axis_ratio, row.slope
        out.scale, out.truncation = row.scale, row.truncation
        out.convergence, out.order = row.convergence, row.order
        out.sine, out.cosine = sincos64(row.angle)
        out.stretch = np.sqrt(row.axis_ratio)
        if row.family == POWER_LAW:
            _prepare_power_law(out)
        elif row.family == NFW:
            _prepare_nfw(out)
        elif row.family == TRUNCATED_NFW:
            _prepare_truncated(out)


@inline
def _own_field(row, x, y):
    """Return the ``Field`` of one deflector in axes of its own."""
    if row.family == POWER_LAW:
        return _power_law(row, x, y)
    if row.family == EXTERNAL:
        return _external(row, x, y)
    if row.family == ISOTHERMAL:
        return _isothermal(row, x, y)
    if row.family == POINT_MASS:
        return _point_mass(row, x, y)
    if row.family == NFW:
        return _nfw(row, x, y)
    if row.family == TRUNCATED_NFW:
        return _truncated(row, x, y)
    return _multipole(row, x, y)


@inline
def _own_deflection(row, x, y):
    """Return the deflection of one deflector in axes of its own."""
    if row.family == POWER_LAW:
        return _power_law_deflection(row, x, y)
    if row.family == EXTERNAL:
        return _external_deflection(row, x, y)
    if row.family == ISOTHERMAL:
        return _isothermal_deflection(row, x, y)
    if row.family == POINT_MASS:
        return _point_mass_deflection(row, x, y)
    if row.family == NFW:
        return _nfw_deflection(row, x, y)
    if row.family == TRUNCATED_NFW:
        return _truncated_deflection(row, x, y)
    return _multipole_deflection(row, x, y)


@inline
def field_at(rows, x, y):
    """Return the ``Field`` of deflectors, ``PREPARED_ROW[m]``, at a point of the plane, arcsec."""
    potential, ax, ay, xx, xy, yy = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(rows.shape[0]):
        row = rows[i]
        c, s = row.cosine, row.sine
        dx, dy = x - row.x, y - row.y
        own = _own_field(row, c * dx + s * dy, c * dy - s * dx)
        potential += own.potential
        ax += c * own.x - s * own.y
        ay += s * own.x + c * own.y
        xy += c * s * (own.xx - own.yy) + (c * c - s * s) * own.xy
        xx += c * c * own.xx - 2.0 * c * s * own.xy + s * s * own.yy
        yy += s * s * own.xx + 2.0 * c * s * own.xy + c * c * own.yy
    return Field(potential, ax, ay, xx, xy, yy)


@inline
def deflection_at(rows, x, y):
    """Return the deflection of deflectors, ``PREPARED_ROW[m]``, at a point of the plane, arcsec."""
    ax, ay = 0.0, 0.0
    for i in range(rows.shape[0]):
        row = rows[i]
        c, s = row.cosine, row.sine
        dx, dy = x - row.x, y - row.y
        own_x, own_y = _own_deflection(row, c * dx + s * dy, c * dy - s * dx)
        ax += c * own_x - s * own_y
        ay += s * own_x + c * own_y
    return ax, ay
