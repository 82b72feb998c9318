"""Sums of deflectors in one plane: potential, deflection, convergence, shear and magnification."""

from __future__ import annotations

from deepbench.lensing import external, power_law
from deepbench.lensing.deflector import POWER_LAW, Field
from deepbench.numerics.kernels import inline
from deepbench.numerics.mathfast import sincos64

_prepare_power_law = power_law.prepare
_power_law_at, _power_law_deflection = power_law.field_at, power_law.deflection_at
_external_at, _external_deflection = external.field_at, external.deflection_at


@inline
def prepare(rows, prepared):
    """Write ``PREPARED_ROW[m]`` from ``DEFLECTOR_ROW[m]``."""
    for i in range(rows.shape[0]):
        row, out = rows[i], prepared[i]
        out.family, out.x, out.y, out.angle = row.family, row.x, row.y, row.angle
        out.strength, out.axis_ratio, out.slope = row.strength, row.axis_ratio, row.slope
        out.scale, out.truncation, out.convergence = row.scale, row.truncation, row.convergence
        out.sine, out.cosine = sincos64(row.angle)
        if out.family == POWER_LAW:
            _prepare_power_law(out)


@inline
def field_at(rows, x, y):
    """Return the ``Field`` of deflectors, ``PREPARED_ROW[m]``, at a point of the plane, arcsec."""
    potential, ax, ay, xx, xy, yy = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(rows.shape[0]):
        row = rows[i]
        if row.family == POWER_LAW:
            own = _power_law_at(row, x, y)
        else:
            own = _external_at(row, x, y)
        potential += own.potential
        ax += own.x
        ay += own.y
        xx += own.xx
        xy += own.xy
        yy += own.yy
    return Field(potential, ax, ay, xx, xy, yy)


@inline
def deflection_at(rows, x, y):
    """Return the deflection of deflectors, ``PREPARED_ROW[m]``, at a point of the plane, arcsec."""
    ax, ay = 0.0, 0.0
    for i in range(rows.shape[0]):
        row = rows[i]
        if row.family == POWER_LAW:
            own = _power_law_deflection(row, x, y)
        else:
            own = _external_deflection(row, x, y)
        ax += own[0]
        ay += own[1]
    return ax, ay
