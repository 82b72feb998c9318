"""Functions of arrays, outside kernels: what deflectors of one plane do at points of any shape.

Formulas and their sources are in the modules of the families; sums and signs in ``deepbench.lensing``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepbench.errors import LabelError
from deepbench.lensing import plane
from deepbench.lensing.deflector import (
    DEFLECTOR_ROW,
    ISOTHERMAL,
    MULTIPOLE,
    NFW,
    POWER_LAW,
    PREPARED_ROW,
    TRUNCATED_NFW,
)
from deepbench.lensing.power_law import LEAST_AXIS_RATIO
from deepbench.numerics.kernels import kernel

Array = NDArray[np.float64]

_prepare, _field_at = plane.prepare, plane.field_at

_ELLIPTICAL, _HALOES = [POWER_LAW, ISOTHERMAL, NFW], [NFW, TRUNCATED_NFW]


@kernel
def _prepare_rows(rows, prepared):
    _prepare(rows, prepared)


@kernel
def _fields(rows, x, y, out):
    for i in range(x.size):
        field = _field_at(rows, x[i], y[i])
        out[0, i], out[1, i], out[2, i] = field.potential, field.x, field.y
        out[3, i], out[4, i], out[5, i] = field.xx, field.xy, field.yy


def _require(
    rows: NDArray[Any], where: NDArray[np.bool_], name: str, low: float, high: float
) -> None:
    """Raise where a field lies outside a range, ends included."""
    values = rows[name][where]
    wrong = values[~((values >= low) & (values <= high))]
    if wrong.size:
        raise LabelError(
            f"{name} of a deflector must lie from {low:g} to {high:g}, got {wrong[0]:g}"
        )


def prepare(rows: NDArray[Any]) -> NDArray[Any]:
    """Return rows of deflectors as kernels read them.

    Parameters
    ----------
    rows : ndarray of DEFLECTOR_ROW, shape (m,)
        Their fields are described in ``deepbench.lensing.deflector`` and in the modules of the families.

    Returns
    -------
    ndarray of PREPARED_ROW, shape (m,)

    Raises
    ------
    LabelError
        When the formulas do not hold for a value.
    """
    rows = np.ascontiguousarray(np.atleast_1d(rows), dtype=DEFLECTOR_ROW)
    family, everywhere = rows["family"], np.ones(rows.shape, dtype=bool)
    _require(rows, everywhere, "family", 0, MULTIPOLE)
    for name in ("x", "y", "angle", "strength", "convergence"):
        _require(rows, everywhere, name, -1e9, 1e9)
    _require(rows, np.isin(family, _ELLIPTICAL), "axis_ratio", LEAST_AXIS_RATIO, 1.0)
    _require(rows, family == POWER_LAW, "slope", 1.1, 2.9)
    _require(rows, family == ISOTHERMAL, "scale", 0.0, 1e9)
    _require(rows, np.isin(family, _HALOES), "scale", 1e-9, 1e9)
    _require(rows, family == TRUNCATED_NFW, "truncation", 1e-9, 1e9)
    _require(rows, family == MULTIPOLE, "order", 3, 4)
    prepared = np.zeros(rows.shape, dtype=PREPARED_ROW)
    _prepare_rows(rows, prepared)
    return prepared


def _all(rows: NDArray[Any], x: ArrayLike, y: ArrayLike) -> Array:
    """Return potential, deflection and second derivatives, shape (6, ...)."""
    x, y = np.broadcast_arrays(np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64))
    out = np.empty((6, x.size))
    _fields(prepare(rows), np.ravel(x), np.ravel(y), out)
    return out.reshape(6, *x.shape)


def potential(rows: NDArray[Any], x: ArrayLike, y: ArrayLike) -> Array:
    """Return the potential ψ of deflectors, whose gradient is the deflection.

    Parameters
    ----------
    rows : ndarray of DEFLECTOR_ROW, shape (m,)
    x, y : array_like
        Points of the plane, arcsec; of shapes that broadcast.

    Returns
    -------
    ndarray of float64
        arcsec²; a constant is arbitrary: only differences have a meaning.
    """
    return _all(rows, x, y)[0]


def deflection(rows: NDArray[Any], x: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
    """Return the deflection α = ∇ψ of deflectors: a ray through θ comes from β = θ − α.

    Parameters
    ----------
    rows : ndarray of DEFLECTOR_ROW, shape (m,)
    x, y : array_like
        Points of the plane, arcsec; of shapes that broadcast.

    Returns
    -------
    x, y : ndarray of float64
        arcsec.
    """
    found = _all(rows, x, y)
    return found[1], found[2]


def convergence(rows: NDArray[Any], x: ArrayLike, y: ArrayLike) -> Array:
    """Return the convergence κ = ½ (ψ_xx + ψ_yy) of deflectors; parameters as of ``potential``."""
    found = _all(rows, x, y)
    return np.asarray(0.5 * (found[3] + found[5]))


def shear(rows: NDArray[Any], x: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
    """Return the shear γ₁ = ½ (ψ_xx − ψ_yy) and γ₂ = ψ_xy of deflectors; parameters as of ``potential``."""
    found = _all(rows, x, y)
    return np.asarray(0.5 * (found[3] - found[5])), found[4]


def magnification(rows: NDArray[Any], x: ArrayLike, y: ArrayLike) -> Array:
    """Return the signed magnification μ of deflectors; parameters as of ``potential``.

    μ = 1/((1 − ψ_xx) (1 − ψ_yy) − ψ_xy²) (Schneider, Ehlers & Falco 1992, *Gravitational Lenses*, chapter 5); negative
    at saddle points of the travel time, infinite on a critical curve.
    """
    found = _all(rows, x, y)
    with np.errstate(divide="ignore"):
        return np.asarray(1.0 / ((1.0 - found[3]) * (1.0 - found[5]) - found[4] * found[4]))
