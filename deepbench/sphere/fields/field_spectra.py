"""From the labels of a field to the spectra that its coefficients are drawn from, behind beam and pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from deepbench.sphere.fields.fields import labels_of
from deepbench.sphere.fields.spectra import pixel_window

if TYPE_CHECKING:
    from deepbench.sphere.fields.fields import FieldLabels, FieldSpectra, RandomField
    from deepbench.sphere.model import SphereTable


def field_spectra(
    table: SphereTable, field: RandomField, labels: FieldLabels, beam: float
) -> FieldSpectra:
    """Return what a field is drawn from.

    Parameters
    ----------
    table : SphereTable
    field : RandomField
    labels : FieldLabels
        Of the field.
    beam : float
        Standard deviation of the Gaussian beam that the field's spectrum holds, arcmin; NaN where there is none.

    Raises
    ------
    LabelError
        A lognormal field cannot have its spectrum.
    """
    lmax = int(table.lmax or 0)
    spectra = field.spectrum.chosen.spectra(labels_of("spectrum", labels), lmax, table.channels)
    spins = [2 if table.channels == "polarization" and j else 0 for j in range(len(spectra))]
    response = np.array([_response(table, beam, lmax, spin) for spin in spins])
    return field.drawn_from(spectra * response[:, None] * response[None, :], labels)


def _response(table: SphereTable, beam: float, lmax: int, spin: int) -> NDArray[np.float64]:
    """Return the factors by which beam and pixels change coefficients."""
    behind = table.beam is not None and table.beam.apply == "target"
    response = np.ones(lmax + 1)
    response[:spin] = 0.0
    if behind and table.beam is not None:
        response = table.beam.response(beam, lmax, spin)
    return response * pixel_window(table.nside, lmax) if table.pixel_window else response
