"""What a recipe may say about random fields on the sphere: their spectra, and what they are made of them."""

from __future__ import annotations

import io
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from deepbench.errors import LabelError
from deepbench.language.inputs.files import NamedFile, check_unchanged
from deepbench.language.one_of import OneOf, one_of
from deepbench.language.specification import Name, Specification, parameter, problem
from deepbench.language.values import Value
from deepbench.sphere.fields.ranges import COSMOLOGIES


class PowerLaw(Specification):
    """C_ℓ = amplitude (ℓ / pivot)^(−slope)."""

    amplitude: Value = parameter("C_ℓ at the pivot", minimum=0)
    slope: Value = parameter(
        "of the spectrum; it falls where this is above 0", minimum=-2, maximum=10
    )
    pivot: Value = parameter("ℓ", above=0, default=100.0)


class TableSpectrum(NamedFile):
    """A spectrum in a CSV file with the columns ell, ascending, and cl.

    Straight lines of ln C_ℓ over ln ℓ join its points; there is nothing beyond them.
    """

    what: ClassVar[str] = "spectrum"
    most: ClassVar[int] = 2**24

    factor: Value = parameter("the spectrum is multiplied with it", minimum=0, default=1.0)

    @classmethod
    def read(cls, path: Path, sha256: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return ℓ and C_ℓ in a file of this SHA-256; raises LabelError where it holds no spectrum."""
        return points_of(path, sha256)

    def points(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return ℓ and C_ℓ of its points; raises LabelError where the file has changed."""
        return self.read(self._path, self.sha256)


@lru_cache(maxsize=8)
def points_of(path: Path, sha256: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return ℓ and C_ℓ in a file whose content has a given SHA-256.

    Raises
    ------
    LabelError
        The file has changed, or holds no spectrum.
    """
    import pandas as pd

    content = TableSpectrum.content(path)
    check_unchanged(path, content, sha256)
    try:
        frame = pd.read_csv(io.BytesIO(content), comment="#")
        ell, values = (frame[name].to_numpy(np.float64) for name in ("ell", "cl"))
    except (ValueError, UnicodeDecodeError) as error:
        raise LabelError(f"{path} is no CSV file of numbers: {error}") from error
    except KeyError as error:
        raise LabelError(f"{path} must have the columns ell and cl; it lacks {error}") from error
    if len(ell) < 2 or not (np.diff(ell) > 0).all() or ell[0] < 0:
        raise LabelError(f"{path} must have two points or more, with ascending ell from 0 on")
    bad = np.flatnonzero(~(np.isfinite(values) & (values >= 0)))
    if bad.size:
        raise LabelError(
            f"{path}: cl at ell {ell[bad[0]]:g} is {values[bad[0]]:g}, it must be 0 or more"
        )
    return ell, values


def _within(name: str, meaning: str, **options: Any) -> Any:
    low, high = COSMOLOGIES[name]
    return parameter(meaning, minimum=low, maximum=high, **options)


class Convergence(Specification):
    """The weak lensing of sources at one redshift, or at several, in a flat universe of matter and Λ.

    Eisenstein and Hu (1998), halofit (Takahashi et al. 2012), Limber at ℓ + ½.
    """

    omega_m: Value = _within("omega_m", "matter today, in units of the critical density")
    sigma_8: Value = _within("sigma_8", "standard deviation of the linear density in 8 Mpc/h today")
    h: Value = _within("h", "Hubble's constant, in 100 km/s/Mpc", default=0.7)
    n_s: Value = _within("n_s", "slope of the primordial spectrum", default=0.96)
    omega_b: Value = _within("omega_b", "baryons today, part of omega_m", default=0.05)
    t_cmb: Value = parameter(
        "temperature of the microwave background",
        unit="K",
        minimum=2.7,
        maximum=2.75,
        default=2.7255,
    )
    source_redshift: Value | None = _within("source_redshift", "of the sources", default=None)
    source_redshifts: Annotated[dict[Name, Value], Field(min_length=2, max_length=8)] | None = (
        _within("source_redshift", "of the sources of each channel", default=None)
    )

    @model_validator(mode="after")
    def _one_redshift(self) -> Self:
        if (self.source_redshift is None) == (self.source_redshifts is None):
            found = "neither" if self.source_redshift is None else "both"
            raise problem(f"must have either source_redshift or source_redshifts; it has {found}")
        return self


class Cmb(Specification):
    """The microwave background's temperature and polarisation, µK², of Planck 2018's parameters, lensed."""

    factor: Value = parameter("the spectra are multiplied with it", minimum=0, default=1.0)


SPECTRA: dict[str, type[Specification]] = {
    "power_law": PowerLaw,
    "table": TableSpectrum,
    "convergence": Convergence,
    "cmb": Cmb,
}
"""Angular power spectra by the name that a recipe has for them."""


@one_of(SPECTRA)
class Spectrum(OneOf):
    """An angular power spectrum C_ℓ; 0 for ℓ < 2."""


class Gaussian(Specification):
    """A Gaussian random field."""

    spectrum: Spectrum


class Lognormal(Specification):
    """A lognormal field λ (exp(g − var(g) / 2) − 1) with the given spectrum.

    Its one-point distribution and C_ℓ are those of matter, nearly; it has no filaments.
    """

    spectrum: Spectrum
    shift: Value | None = parameter(
        "λ, minus the least value that there can be", above=0, default=None
    )
    shift_by: Literal["empty_beam", "hilbert2011"] | None = Field(
        None,
        description="what λ of a convergence follows from: a line of sight without matter, or Hilbert's fit",
    )

    @model_validator(mode="after")
    def _one_shift(self) -> Self:
        if (self.shift is None) == (self.shift_by is None):
            found = "neither" if self.shift is None else "both"
            raise problem(f"must have either shift or shift_by; it has {found}")
        if self.shift_by is not None and self.spectrum.convergence is None:
            raise problem(
                f"shift_by: {self.shift_by} is for the spectrum `convergence`; give `shift`"
            )
        return self


FIELDS: dict[str, type[Specification]] = {
    "gaussian": Gaussian,
    "lognormal": Lognormal,
}
"""Random fields by the name that a recipe has for them."""


@one_of(FIELDS)
class FieldEntry(OneOf):
    """A random field."""
