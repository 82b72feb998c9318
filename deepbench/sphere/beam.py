"""Beams of maps: a Gaussian, or the response b_ℓ in a file."""

from __future__ import annotations

import math
import warnings
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from deepbench.errors import InputWarning, LabelError
from deepbench.language.inputs.files import FileName, FileSpecification, Sha256, check_unchanged
from deepbench.language.inputs.fits import ENDINGS as FITS_ENDINGS
from deepbench.language.inputs.fits import hdus_of, read_columns
from deepbench.language.inputs.healpix import only_column
from deepbench.language.inputs.tables import Source, Wanted, columns_of
from deepbench.language.specification import parameter, problem
from deepbench.language.values import Value

ARCMIN = math.pi / 10800.0
"""Radian of an arcminute."""

NOT_ONE = 0.01
"""Largest difference of b_0 from 1 that is given no warning."""


class Beam(FileSpecification):
    """A beam: a Gaussian, or the one whose response b_ℓ a file has."""

    what: ClassVar[str] = "beam"
    most: ClassVar[int] = 2**24

    sigma: Value | None = parameter(
        "standard deviation of the beam, not its full width at half maximum",
        unit="arcmin",
        above=0,
        maximum=3600,
        default=None,
    )
    file: FileName | None = Field(
        None,
        description="table with the columns ell and bl, or FITS table of b_ℓ from ℓ = 0, from the folder of the recipe",
    )
    sha256: Sha256 | None = Field(None, description="SHA-256 of the file; filled in when absent")
    column: str | None = Field(
        None, description="column with b_ℓ; bl, or the only one of a FITS table, when absent"
    )
    apply: Literal["target", "after"] = Field(
        "target",
        description="target: the field, lognormal or not, has the spectrum C_ℓ b_ℓ²; after: the map, with its objects, "
        "is smoothed",
    )

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.sigma is None) == (self.file is None):
            found = "neither" if self.sigma is None else "both"
            raise problem(
                f"must have either sigma (arcmin) or the file of a response; it has {found}"
            )
        if self.file is None and self.column is not None:
            raise problem("column goes with file, not with sigma")
        return self

    def check_file(self) -> None:
        """Read the response, and warn where it does not begin with 1."""
        first = float(self._table()[0])
        if not self.is_kept and abs(first - 1.0) > NOT_ONE:
            warnings.warn(
                f"{self._path} has b_0 = {first:.4g}, so that the beam changes the flux; that of a beam is 1, and no "
                "square",
                InputWarning,
                stacklevel=2,
            )

    @property
    def max_ell(self) -> int | None:
        """Largest ℓ that is known; None where all are."""
        return None if self.file is None else len(self._table()) - 1

    def response(self, sigma: float, lmax: int, spin: int = 0) -> NDArray[np.float64]:
        """Return b_ℓ up to lmax, float64[lmax + 1]: of a Gaussian of ``sigma`` arcmin, or of the file.

        Of spin 2 (Q and U) it is 0 for ℓ < 2.
        """
        from deepbench.sphere.fields.spectra import gaussian_beam

        if self.file is None:
            return gaussian_beam(sigma * ARCMIN, lmax, spin)
        response = self._table()[: lmax + 1].copy()
        response[:spin] = 0.0
        return response

    def _table(self) -> NDArray[np.float64]:
        return response_of(self._path, self.sha256 or "", self.column, self.is_kept)


@lru_cache(maxsize=8)
def response_of(path: Path, sha256: str, column: str | None, kept: bool) -> NDArray[np.float64]:
    """Return b_ℓ for ℓ = 0, 1, … in a file whose content has a given SHA-256, float64[n], read-only.

    Raises
    ------
    LabelError
        The file has changed, or holds no response.
    """
    try:
        if path.suffix.lower() in FITS_ENDINGS:
            response = _read_fits(path, sha256, column)
        else:
            response = _read_table(path, sha256, column, kept)
    except LabelError:
        raise
    except ValueError as error:
        raise LabelError(f"{path} {error}") from error
    bad = np.flatnonzero(~np.isfinite(response))
    if bad.size:
        raise LabelError(f"{path}: b_ℓ at ell {bad[0]} is {response[bad[0]]}, it must be finite")
    response.flags.writeable = False
    return response


def _read_fits(path: Path, sha256: str, column: str | None) -> NDArray[np.float64]:
    """Return a column of the first table; raises ValueError with words that follow on the file's name."""
    content = Beam.content(path)
    check_unchanged(path, content, sha256)
    table = next((each for each in hdus_of(content) if each.is_table), None)
    if table is None:
        raise ValueError("has no table")
    return only_column(read_columns(content, table), column).physical().ravel()


def _read_table(path: Path, sha256: str, column: str | None, kept: bool) -> NDArray[np.float64]:
    """Return bl of the columns ell and bl; ``column`` is the name of bl in the file. Raises as ``_read_fits``."""
    source = Source(path, Beam.what, Beam.most, kept, inline_comments=True)
    bl = Wanted("bl", column or "bl", key="column: NAME")
    found = columns_of(source, sha256, (Wanted("ell", "ell"), bl)).numbers
    if not np.array_equal(found["ell"], np.arange(len(found["ell"]))):
        raise ValueError("must have a row for each ell from 0 on: 0, 1, 2, …")
    return found["bl"].copy()
