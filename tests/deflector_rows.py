"""Rows of deflectors for tests of the formulas of lensing."""

import numpy as np

from deepbench.lensing.deflector import DEFLECTOR_ROW


def rows_of(*deflectors, **common):
    """Return a row for each mapping of fields; ``common`` fields are those of all that do not say otherwise."""
    rows = np.zeros(len(deflectors), DEFLECTOR_ROW)
    for row, fields in zip(rows, deflectors, strict=True):
        for name, value in (common | fields).items():
            row[name] = value
    return rows
