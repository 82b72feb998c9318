"""Random fields on the sphere, as recipes describe them, and the spectra that their coefficients are drawn from."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from deepbench.errors import LabelError
from deepbench.language.inputs.tables import Renames, TableFile, Wanted
from deepbench.language.one_of import OneOf, one_of
from deepbench.language.specification import Name, Specification, parameter, problem
from deepbench.language.values import Value
from deepbench.sphere.fields.ranges import CMB_MAX_ELL, COSMOLOGIES

if TYPE_CHECKING:
    from deepbench.sphere.fields.cosmology import Cosmology

Floats = NDArray[np.float64]
FieldLabels = Mapping[str, float]
"""Values of a specification by the names of its fields, of one sample."""


# --- spectra --------------------------------------------------------------------------------------


class AngularSpectrum(Specification, ABC):
    """Base of all angular power spectra.

    Attributes
    ----------
    channels : str, optional
        The ``channels`` of a table that Gaussian fields of this spectrum can have.
    max_ell : int, optional
        Largest ℓ that is known; None where all are.
    shift_ways : tuple of str
        Ways in which the shift of a lognormal field may follow, as ``shift_by`` has them; with any, it has the
        method ``shifts``.
    """

    channels: ClassVar[str | None] = None
    max_ell: ClassVar[int | None] = None
    shift_ways: ClassVar[tuple[str, ...]] = ()

    @property
    def bins(self) -> tuple[str, ...]:
        """Names of its fields where there are several."""
        return ()

    @abstractmethod
    def spectra(self, labels: FieldLabels, lmax: int, channels: str | None) -> Floats:
        """Return the spectra of its f fields in a table of such channels, without beams, float64[f, f, lmax + 1]."""


class PowerLaw(AngularSpectrum):
    """C_ℓ = amplitude (ℓ / pivot)^(−slope)."""

    amplitude: Value = parameter("C_ℓ at the pivot", minimum=0)
    slope: Value = parameter(
        "slope of the spectrum, which falls where it is above 0", minimum=-2, maximum=10
    )
    pivot: Value = parameter("ℓ of the pivot", above=0, default=100.0)

    def spectra(self, labels: FieldLabels, lmax: int, channels: str | None) -> Floats:
        """Return its spectrum, float64[1, 1, lmax + 1]."""
        from deepbench.sphere.fields.spectra import power_law

        return power_law(labels["amplitude"], labels["slope"], lmax, labels["pivot"])[None, None]


class TableSpectrum(TableFile, AngularSpectrum):
    """A spectrum in a table with the columns ell, ascending, and cl.

    Straight lines of ln C_ℓ over ln ℓ join its points; there is nothing beyond them.
    """

    what: ClassVar[str] = "spectrum"
    most: ClassVar[int] = 2**24
    wanted: ClassVar[tuple[Wanted, ...]] = (Wanted("ell", "ell"), Wanted("cl", "cl"))

    factor: Value = parameter("factor of the spectrum", minimum=0, default=1.0)

    @classmethod
    def read(
        cls, path: Path, sha256: str, columns: Renames | None = None, kept: bool = False
    ) -> tuple[Floats, Floats]:
        """Return ℓ and C_ℓ in a file of this SHA-256; raises LabelError where it holds no spectrum."""
        return points_of(path, sha256, columns, kept)

    def spectra(self, labels: FieldLabels, lmax: int, channels: str | None) -> Floats:
        """Return its spectrum, float64[1, 1, lmax + 1]; raises LabelError where the file has changed."""
        from deepbench.sphere.fields.spectra import tabulated

        ell, values = self.loaded()
        return labels["factor"] * tabulated(ell, values, lmax)[None, None]


@lru_cache(maxsize=8)
def points_of(
    path: Path, sha256: str, columns: Renames | None, kept: bool
) -> tuple[Floats, Floats]:
    """Return ℓ and C_ℓ in a file whose content has a given SHA-256.

    Raises
    ------
    LabelError
        The file has changed, or holds no spectrum.
    """
    found = TableSpectrum.columns_in(path, sha256, columns, kept).numbers
    ell, values = found["ell"], found["cl"]
    if len(ell) < 2 or not (np.diff(ell) > 0).all() or ell[0] < 0:
        raise LabelError(f"{path} must have two points or more, with ascending ell from 0 on")
    bad = np.flatnonzero(values < 0)
    if bad.size:
        raise LabelError(
            f"{path}: cl at ell {ell[bad[0]]:g} is {values[bad[0]]:g}, it must be 0 or more"
        )
    return ell, values


def _within(name: str, meaning: str, **options: Any) -> Any:
    low, high = COSMOLOGIES[name]
    return parameter(meaning, minimum=low, maximum=high, **options)


class Convergence(AngularSpectrum):
    """The weak lensing of sources at one redshift, or at several, in a flat universe of matter and Λ.

    Eisenstein and Hu (1998), halofit (Takahashi et al. 2012), Limber at ℓ + ½.
    """

    channels: ClassVar[str | None] = "shear"
    shift_ways: ClassVar[tuple[str, ...]] = ("empty_beam", "hilbert2011")

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
    source_redshift: Value | None = _within(
        "source_redshift", "redshift of the sources", default=None
    )
    source_redshifts: Annotated[dict[Name, Value], Field(min_length=2, max_length=8)] | None = (
        _within("source_redshift", "redshift of the sources of each channel", default=None)
    )

    @model_validator(mode="after")
    def _one_redshift(self) -> Self:
        if (self.source_redshift is None) == (self.source_redshifts is None):
            found = "neither" if self.source_redshift is None else "both"
            raise problem(f"must have either source_redshift or source_redshifts; it has {found}")
        return self

    @property
    def bins(self) -> tuple[str, ...]:
        """Names of the sources at several redshifts."""
        return tuple(self.source_redshifts or ())

    def spectra(self, labels: FieldLabels, lmax: int, channels: str | None) -> Floats:
        """Return the spectra of the convergence of each source, and of each pair, float64[f, f, lmax + 1]."""
        from deepbench.sphere.fields.cosmology import convergence_spectrum

        cosmology, redshifts = self._cosmology(labels), self._redshifts(labels)
        found = np.empty((len(redshifts), len(redshifts), lmax + 1))
        for i, one in enumerate(redshifts):
            for j, other in enumerate(redshifts[: i + 1]):
                found[i, j] = found[j, i] = convergence_spectrum(cosmology, one, lmax, other)
        return found

    def shifts(self, labels: FieldLabels, way: str) -> Floats:
        """Return λ of each source, float64[f]: of a line of sight without matter, or Hilbert's fit."""
        from deepbench.sphere.fields.cosmology import empty_beam_shift, hilbert_shift

        redshifts = self._redshifts(labels)
        if way == "hilbert2011":
            return np.array([hilbert_shift(each) for each in redshifts])
        cosmology = self._cosmology(labels)
        return np.array([empty_beam_shift(cosmology, each) for each in redshifts])

    def _cosmology(self, labels: FieldLabels) -> Cosmology:
        from deepbench.sphere.fields.cosmology import Cosmology

        names = ("omega_m", "sigma_8", "h", "n_s", "omega_b", "t_cmb")
        return Cosmology(**{each: labels[each] for each in names})

    def _redshifts(self, labels: FieldLabels) -> list[float]:
        names = [f"source_redshifts.{each}" for each in self.bins] or ["source_redshift"]
        return [labels[each] for each in names]


class Cmb(AngularSpectrum):
    """The microwave background's temperature and polarisation, µK², of Planck 2018's parameters.

    Its B modes are those of lensing, drawn as a Gaussian field of their own: r = 0, C^TB = C^EB = 0.
    """

    channels: ClassVar[str | None] = "polarization"
    max_ell: ClassVar[int | None] = CMB_MAX_ELL

    factor: Value = parameter("factor of the spectra", minimum=0, default=1.0)
    lensed: bool | None = Field(
        None, description="false: spectra without lensing, so without B modes; lensed when absent"
    )

    @field_validator("lensed")
    @classmethod
    def _absent_when_lensed(cls, lensed: bool | None) -> bool | None:
        return None if lensed else lensed

    def spectra(self, labels: FieldLabels, lmax: int, channels: str | None) -> Floats:
        """Return the spectrum of T, or those of T, E and B of polarization."""
        from deepbench.sphere.fields.spectra import cmb_spectra

        tt, ee, bb, te = labels["factor"] * cmb_spectra(lmax, self.lensed is None)
        if channels == "polarization":
            none = np.zeros_like(bb)
            return np.array([[tt, te, none], [te, ee, none], [none, none, bb]])
        return tt[None, None]


SPECTRA: dict[str, type[AngularSpectrum]] = {
    "power_law": PowerLaw,
    "table": TableSpectrum,
    "convergence": Convergence,
    "cmb": Cmb,
}
"""Angular power spectra by the name that a recipe has for them."""


@one_of(SPECTRA)
class Spectrum(OneOf):
    """An angular power spectrum C_ℓ; 0 for ℓ < 2."""


# --- fields ---------------------------------------------------------------------------------------


class FieldSpectra(NamedTuple):
    """Spectra from which the coefficients of f fields are drawn.

    Attributes
    ----------
    gaussian : float64[f, f, lmax + 1]
        Spectra of the Gaussian fields, beams included.
    sigma : float
        Standard deviation of the first field.
    shifts, variances : float64[f]
        Of lognormal fields: λ, and the variance of the Gaussian field below; NaN of Gaussian ones.
    clipped : float
        The largest part of a variance that was clipped.
    """

    gaussian: Floats
    sigma: float
    shifts: Floats
    variances: Floats
    clipped: float


class RandomField(Specification, ABC):
    """Base of all random fields.

    Attributes
    ----------
    has_spin : bool
        Whether fields of spin 2, such as shear, follow from its coefficients.
    """

    has_spin: ClassVar[bool] = False

    spectrum: Spectrum

    @abstractmethod
    def drawn_from(self, spectra: Floats, labels: FieldLabels) -> FieldSpectra:
        """Return what its coefficients are drawn from.

        Parameters
        ----------
        spectra : float64[f, f, lmax + 1]
            Spectra that its f fields shall have, beams included.
        labels : FieldLabels
            Of the field; those of the spectrum begin with ``spectrum.``.

        Raises
        ------
        LabelError
            It cannot have these spectra.
        """


class Gaussian(RandomField):
    """A Gaussian random field."""

    has_spin: ClassVar[bool] = True

    def drawn_from(self, spectra: Floats, labels: FieldLabels) -> FieldSpectra:
        """Return the spectra themselves."""
        nothing = np.full(len(spectra), math.nan)
        return FieldSpectra(spectra, _sigma(spectra), nothing, nothing, 0.0)


class Lognormal(RandomField):
    """A lognormal field λ (exp(g − var(g) / 2) − 1) with the given spectrum.

    Its one-point distribution and C_ℓ are those of matter, nearly; it has no filaments.
    """

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
        if self.shift_by is not None and self.shift_by not in self.spectrum.chosen.shift_ways:
            kinds = [kind for kind, each in SPECTRA.items() if self.shift_by in each.shift_ways]
            raise problem(
                f"shift_by: {self.shift_by} is for the spectrum {spectra_text(kinds)}; give `shift`"
            )
        return self

    def drawn_from(self, spectra: Floats, labels: FieldLabels) -> FieldSpectra:
        """Return the spectra of the Gaussian fields below; raises LabelError where there are none."""
        from deepbench.sphere.fields.lognormal import gaussian_spectrum

        fields, sigma, gaussian = len(spectra), _sigma(spectra), np.empty_like(spectra)
        if self.shift_by is None:
            shifts = np.full(fields, labels["shift"])
        else:
            shifts = self.spectrum.chosen.shifts(labels_of("spectrum", labels), self.shift_by)
        variances, clipped = np.empty(fields), 0.0
        for i in range(fields):
            for j in range(i + 1):
                found = gaussian_spectrum(spectra[i, j], math.sqrt(shifts[i] * shifts[j]))
                gaussian[i, j] = gaussian[j, i] = found.spectrum
                clipped = max(clipped, found.clipped)
                if i == j:
                    variances[i] = found.variance
        return FieldSpectra(gaussian, sigma, shifts, variances, clipped)


def _sigma(spectra: Floats) -> float:
    from deepbench.sphere.fields.lognormal import variance_of

    return math.sqrt(variance_of(spectra[0, 0]))


def labels_of(part: str, labels: FieldLabels) -> dict[str, float]:
    """Return the labels of a part of a specification by their names in it."""
    start = f"{part}."
    return {name.removeprefix(start): labels[name] for name in labels if name.startswith(start)}


def spectra_text(kinds: list[str]) -> str:
    """Return the names of kinds of spectra for a message."""
    return " or ".join(f"`{kind}`" for kind in kinds)


FIELDS: dict[str, type[RandomField]] = {
    "gaussian": Gaussian,
    "lognormal": Lognormal,
}
"""Random fields by the name that a recipe has for them."""


@one_of(FIELDS)
class FieldEntry(OneOf):
    """A random field."""
