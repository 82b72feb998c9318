"""Rows that the kernels of stars and galaxies read, from parameters as tests write them."""

import math

import numpy as np

from deepbench.images.model.sky import COMPONENT_ROW, rows_of
from deepbench.images.psf.airy import airy_fwhm
from deepbench.images.psf.jitter import NODES, write_table
from deepbench.images.psf.model import FAMILIES
from deepbench.images.psf.psf import PSF_ROW
from deepbench.images.psf.transform_tables import transform_at
from deepbench.numerics.kernels import kernel


def psf_row(
    family, fwhm, shape=0.0, axis_ratio=1.0, position_angle=0.0, truncation=0.0, jitter=0.0
):
    """Return a point spread function, ``PSF_ROW[1]``; its angle is given in degrees."""
    return rows_of(
        PSF_ROW,
        1,
        family=FAMILIES[family].family,
        fwhm=fwhm,
        shape=shape,
        truncation=truncation,
        axis_ratio=axis_ratio,
        position_angle=math.radians(position_angle),
        jitter=jitter,
    )


def light_table(psf):
    """Return the table of the light of a row, as ``add_point`` takes it."""
    table = np.empty(NODES if psf["jitter"] > 0.0 else 0, np.float32)
    if table.size:
        write_table(psf, table)
    return table


@kernel
def _write_values(table, u, out):
    for i in range(u.size):
        out[i] = transform_at(table, u[i])


def table_values(table, u):
    """Return the values of a table of ``transform_tables`` at u."""
    out = np.empty(u.size)
    _write_values(table, u, out)
    return out


@kernel
def _airy_fwhm(obscuration):
    return airy_fwhm(obscuration)


def airy_row(wavelength_over_diameter, obscuration=0.0):
    """Return an Airy pattern, ``PSF_ROW[1]``, from λ/D in pixels."""
    return psf_row("airy", wavelength_over_diameter * _airy_fwhm(float(obscuration)), obscuration)


def component_rows(parameters):
    """Return components, ``COMPONENT_ROW[k]``, from their numbers in the order of the row's fields."""
    return np.array([tuple(each) for each in np.reshape(parameters, (-1, 7))], COMPONENT_ROW)
