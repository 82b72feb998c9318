"""Tables of spherical maps, as recipes describe them: fields, objects, what is done to them, what is stored."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from deepbench.arrays import Coordinate, DataVariable
from deepbench.errors import InputWarning
from deepbench.labelling.objects import object_scopes
from deepbench.labelling.scopes import EVERY_CLASS, Scope, scope_of, variables_scope
from deepbench.language.specification import (
    Name,
    Number,
    Parameter,
    Specification,
    Whole,
    parameter,
    problem,
)
from deepbench.language.values import Value
from deepbench.sphere.beam import Beam
from deepbench.sphere.fields.fields import (
    SPECTRA,
    FieldEntry,
    Spectrum,
    TableSpectrum,
    spectra_text,
)
from deepbench.sphere.fields.ranges import MAXIMUM_NSIDE
from deepbench.sphere.mask import Mask
from deepbench.sphere.objects.objects import ObjectEntry
from deepbench.tables import ObjectsClass, TableSpecification

if TYPE_CHECKING:
    from deepbench.labelling.plan import LabelPlan

FIELD = f"{EVERY_CLASS}/field/coefficients"
"""Stream of the harmonic coefficients, without the table's name."""

RESERVED = frozenset({"field", "beam", "noise", "mask", "rotation", "map", "variables"})
"""Names of what is labelled beside objects."""

CHANNELS = {"polarization": ("t", "q", "u"), "shear": ("kappa", "gamma_1", "gamma_2")}

MEASURED = {
    "index": Parameter("number of the map"),
    "patch": Parameter("number of the patch in its map; 0 of a whole map"),
    "first_cell": Parameter("NEST number of the first pixel"),
    "sigma": Parameter(
        "standard deviation of the field, of its first channel, by its spectrum", unit=""
    ),
    "shift": Parameter("λ of a lognormal field, of its first channel", unit=""),
    "clipped": Parameter("part of the Gaussian variance that was clipped because it was negative"),
}
"""Labels that follow from the others without a map."""


class SphereClass(ObjectsClass):
    """One class of maps: a random field, objects, or both."""

    reserved = RESERVED

    field: FieldEntry | None = Field(None, description="the random field")
    objects: Annotated[tuple[ObjectEntry, ...], Field(max_length=1000)] = Field(
        (), description="what is added to it"
    )

    @model_validator(mode="after")
    def _has_something(self) -> Self:
        if self.field is None and not self.objects:
            raise problem("has neither a field nor objects")
        return self


class Rotation(Specification):
    """Copies of one map that are turned: by alpha about z, by beta about y, by gamma about z; the axes stay."""

    twins: Annotated[Whole, Field(ge=1, le=1000)] = Field(
        2, description="consecutive maps that are one, turned each by its own angles"
    )
    alpha: Value = parameter("first Euler angle, about z", unit="degree")
    cos_beta: Value = parameter(
        "cosine of the second Euler angle, about y; even in −1 … 1 where no direction is preferred",
        minimum=-1,
        maximum=1,
    )
    gamma: Value = parameter("third Euler angle, about z", unit="degree")


class Noise(Specification):
    """Independent normal noise of pixels."""

    sigma: Value = parameter("standard deviation of the noise at the equator", unit="", minimum=0)
    anisotropy: Value = parameter(
        "the variance falls as 1 / (1 + anisotropy sin² latitude)",
        minimum=0,
        maximum=100,
        default=0.0,
    )


class SphereTable(TableSpecification):
    """A table of HEALPix maps in NEST order, whole or in patches."""

    tolerance: ClassVar[bool] = True

    kind: Literal["sphere"]
    nside: Annotated[Whole, Field(ge=1, le=MAXIMUM_NSIDE)] = Field(
        description="12 nside² pixels a map; a power of two"
    )
    lmax: Annotated[Whole, Field(ge=2)] | None = Field(
        None, description="largest ℓ of fields; 2 nside when absent"
    )
    patches: Annotated[Whole, Field(ge=1)] | None = Field(
        None,
        description="order of the patches, 12 order² of a map, a power of two; whole maps when absent",
    )
    channels: Literal["polarization", "shear"] | None = Field(
        None,
        description="polarization: T, Q and U of `cmb`; shear: κ, γ1 and γ2 of Gaussian `convergence`",
    )
    classes: Annotated[dict[Name, SphereClass], Field(min_length=1, max_length=10_000)] = Field(
        description="what is drawn for each sample, by name"
    )
    pixel_window: bool = Field(False, description="whether fields are averaged over pixels")
    beam: Beam | None = Field(None, description="the beam; none when absent")
    rotation: Rotation | None = Field(None, description="turned twins of each map")
    remove_mean: bool = Field(False, description="whether each map's mean is subtracted")
    scale: Annotated[Number, Field(gt=0)] | None = Field(
        None,
        description="number by which maps are divided, such as the standard deviation of the training split",
    )
    noise: Noise | None = Field(None, description="noise of pixels, after all other steps")
    mask: Mask | None = Field(None, description="where nothing is seen")
    planes: Annotated[tuple[Literal["map_true"], ...], Field(min_length=1, max_length=1)] | None = (
        Field(None, description="map_true: the map without noise and mask")
    )
    unit: Annotated[str, Field(min_length=1, max_length=40)] = Field("1", description="of the map")

    @model_validator(mode="before")
    @classmethod
    def _fill_lmax(cls, data: object) -> object:
        """Fill in the default of lmax, so that the recipe in a release says it."""
        if (
            isinstance(data, dict)
            and data.get("lmax") is None
            and isinstance(data.get("nside"), int)
        ):
            return {**data, "lmax": 2 * data["nside"]}
        return data

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if self.nside & (self.nside - 1):
            raise problem(f"nside must be a power of two, not {self.nside}")
        if self.lmax is not None and self.lmax > 3 * self.nside - 1:
            raise problem(
                f"lmax must be at most 3 nside − 1 = {3 * self.nside - 1}, not {self.lmax}"
            )
        order = self.patches
        if order is not None and (order & (order - 1) or order > self.nside):
            raise problem(f"patches must be a power of two of at most nside, not {order}")
        if self.samples % self.together:
            raise problem(
                f"samples must be a multiple of {self.together}, the patches and twins of a map; it is {self.samples}"
            )
        return self

    @model_validator(mode="after")
    def _channels_fit(self) -> Self:
        names = {name: self._channels_of(each) for name, each in self.classes.items()}
        if len(set(names.values())) > 1:
            found = "; ".join(
                f"'{name}' has {', '.join(each) or 'one'}" for name, each in names.items()
            )
            raise problem(f"all classes must have the same channels: {found}")
        for name, described in self.classes.items():
            if described.objects and self._channels_of(described):
                raise problem(
                    f"objects have one channel only; the maps of class '{name}' have several"
                )
            if self.channels is None or described.field is None:
                continue
            field = described.field.chosen
            wanted = [kind for kind, each in SPECTRA.items() if each.channels == self.channels]
            if not field.has_spin or field.spectrum.kind not in wanted:
                raise problem(
                    f"channels: {self.channels} needs a gaussian field with the spectrum {spectra_text(wanted)} "
                    f"in class '{name}'"
                )
        if self.beam is not None and self.beam.apply == "after" and self.channels is not None:
            raise problem("beam: {apply: after} is for maps of one quantity; use target")
        for described in self.classes.values():
            if described.field is not None:
                self._check_lmax(described.field.chosen.spectrum)
        known = None if self.beam is None else self.beam.max_ell
        if known is not None and self.lmax is not None and self.lmax > known:
            raise problem(f"the beam is known up to ℓ = {known}; lmax is {self.lmax}")
        return self

    def _check_lmax(self, spectrum: Spectrum) -> None:
        most = spectrum.chosen.max_ell
        if most is not None and self.lmax is not None and self.lmax > most:
            raise problem(
                f"the spectrum `{spectrum.kind}` is known up to ℓ = {most}; lmax is {self.lmax}"
            )
        if isinstance(spectrum.chosen, TableSpectrum) and not spectrum.chosen.is_kept:
            first, last = spectrum.chosen.loaded()[0][[0, -1]]
            if first > 2 or last < (self.lmax or 0):
                warnings.warn(
                    f"{spectrum.chosen.file} has points from ℓ = {first:g} to {last:g}: fields have no power "
                    f"at other ℓ from 2 to lmax, {self.lmax}",
                    InputWarning,
                    stacklevel=2,
                )

    def _channels_of(self, described: SphereClass) -> tuple[str, ...]:
        if self.channels is not None:
            return CHANNELS[self.channels]
        return () if described.field is None else described.field.chosen.spectrum.chosen.bins

    @property
    def channel_names(self) -> tuple[str, ...]:
        """Names of the channels; empty where maps have one."""
        return self._channels_of(next(iter(self.classes.values())))

    @property
    def patch_count(self) -> int:
        """Number of samples of one map."""
        return 1 if self.patches is None else 12 * self.patches**2

    @property
    def twins(self) -> int:
        """Number of maps that are one, turned."""
        return 1 if self.rotation is None else self.rotation.twins

    @property
    def together(self) -> int:
        """Number of samples that share class and values: patches of a map, and its twins."""
        return self.patch_count * self.twins

    @property
    def pixels(self) -> int:
        """Number of pixels of a sample."""
        return 12 * self.nside**2 // self.patch_count

    def scopes(self) -> list[Scope]:
        """Return every set of parameters that is drawn together, in the order of the recipe."""
        scopes = [variables_scope(self.variables, ("variables",))]
        for class_name, described in self.classes.items():
            path: tuple[str | int, ...] = ("classes", class_name)
            scopes.append(variables_scope(described.variables, (*path, "variables"), class_name))
            if described.field is not None:
                inside = (*path, "field", described.field.kind)
                scopes.append(scope_of(described.field.chosen, "field", inside, class_name))
            scopes += object_scopes(class_name, described.objects)
        for name in ("beam", "rotation", "noise", "mask"):
            given = getattr(self, name)
            if given is not None:
                each = self.patch_count if name == "rotation" else None
                scopes.append(replace(scope_of(given, name, (name,)), each=each))
        scopes.append(Scope("map", (), {}, {}, measured=MEASURED))
        return [scope for scope in scopes if scope.values or scope.measured]

    def pixel_streams(self) -> list[str]:
        """Return the streams that draw a number for every coefficient or pixel, without the table's name."""
        return [FIELD, *(noise_stream(name) for name in self.channel_names or ("map",))]

    def data_variables(self) -> tuple[DataVariable, ...]:
        """Return what is stored of each sample."""
        cells = "cell" if self.patches is None else "pixel"
        names = self.channel_names
        dimensions, shape = (cells,), (self.pixels,)
        if names:
            dimensions, shape = ("channel", cells), (len(names), self.pixels)  # type: ignore[assignment]
        words: dict[str, str] = {"map": "map"}
        words |= dict.fromkeys(self.planes or (), "map without noise and mask")
        own: dict[str, Any] = {"coordinates": "cell_ids"} if self.patches is None else {}
        own |= {"nside": self.nside, "ordering": "NEST"}
        return tuple(
            DataVariable(
                name,
                text,
                self.unit,
                dimensions,
                shape,
                "float32",
                own,
                name == "map" and self.mask is not None,
            )
            for name, text in words.items()
        )

    def coordinates(self) -> tuple[Coordinate, ...]:
        """Return the coordinates of the dimensions after ``sample``; whole maps have the cells that xdggs decodes."""
        names = self.channel_names
        channels = (Coordinate("channel", "channel", "1", len(names), names),) if names else ()
        if self.patches is not None:
            words = "pixel of the patch, in NEST order"
            return (*channels, Coordinate("pixel", words, "1", self.pixels))
        grid = {
            "grid_name": "healpix",
            "level": self.nside.bit_length() - 1,
            "indexing_scheme": "nested",
        }
        cells = Coordinate("cell_ids", "", "1", self.pixels, attributes=grid, dimension="cell")
        return (*channels, cells)

    def working_bytes(self, plan: LabelPlan) -> int:
        """Return the bytes that rendering takes beside its result: coefficients, maps in two orders, permutation."""
        return 4 * 12 * self.nside**2 * (2 + 6 * max(1, len(self.channel_names)))


def noise_stream(channel: str) -> str:
    """Return the stream of the noise of a channel, without the table's name."""
    return f"{EVERY_CLASS}/noise/{channel}"
