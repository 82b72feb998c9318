"""What a recipe may say about a table of images: classes of objects, PSF, noise or an instrument, and what is stored.

These are frozen specifications without arrays. ``objects`` has what is drawn, ``instruments`` what it is seen through.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from deepbench.errors import LabelError
from deepbench.images.galaxies.model import Galaxy
from deepbench.images.model.instruments import Instrument, band_streams
from deepbench.images.model.objects import Defect, ObjectEntry
from deepbench.images.model.wcs import Wcs, tan_header
from deepbench.images.psf.model import PsfEntry
from deepbench.labelling.scopes import EVERY_CLASS, VARIABLES, Scope, scope_of, variables_scope
from deepbench.language.one_of import NamedOneOf, names_of, one_of
from deepbench.language.plain import show
from deepbench.language.specification import (
    Name,
    Number,
    Parameter,
    Specification,
    parameter,
    problem,
)
from deepbench.language.values import Expression, Value
from deepbench.tables import (
    ClassSpecification,
    Coordinate,
    DataVariable,
    TableSpecification,
    readable,
)

MAXIMUM_SIZE = 32768
RESERVED = frozenset({"psf", "wcs", "noise", "instrument", VARIABLES})
"""Names of what is labelled beside objects."""

MAXIMUM_GALAXY_FRAME = 512
"""Pixels along an edge of a frame on which galaxies are drawn as a whole; in a larger one they have stamps."""

TYPICAL_CUTOUT = 128 * 128
"""Pixels of an object's stamp, as memory is planned; crowds of larger ones take more."""

Plane = Literal["image_true", "variance", "variance_true", "mask", "segmentation"]
PLANES: dict[str, tuple[str, str]] = {
    "image_true": ("image without noise", "float32"),
    "variance": ("variance of the noise, estimated from the noisy image", "float32"),
    "variance_true": ("variance of the noise", "float32"),
    "mask": ("1: saturated, 2: cosmic ray, 4: bad pixel; added", "uint8"),
    "segmentation": (
        "object with the most light in a pixel; 0 where it is below the noise of the sky",
        "int32",
    ),
}
"""What may be stored beside the image: its description and type."""

MEASURED = {
    "snr": Parameter("signal-to-noise ratio √Σ(s²/v), v of the sky, the detector and all sources"),
    "snr_sky": Parameter("signal-to-noise ratio √Σ(s²/v), v of the sky and the detector"),
    "frame_flux": Parameter("light inside the frame, in units of flux", unit=""),
    "neighbour_share": Parameter(
        "part of the light in the object's footprint, where it has a tenth of its peak or more, that is the brightest "
        "neighbour's"
    ),
    "segment": Parameter("number in the segmentation map"),
}
"""Labels of each object of the sky that are measured on the image without noise."""


class ImageClass(ClassSpecification):
    """One class of images: its objects, painted in written order."""

    objects: Annotated[tuple[ObjectEntry, ...], Field(min_length=1, max_length=1000)]

    @field_validator("objects")
    @classmethod
    def _names_differ(cls, objects: tuple[ObjectEntry, ...]) -> tuple[ObjectEntry, ...]:
        reserved = sorted(RESERVED & set(names_of(objects)))
        if reserved:
            raise problem(f"'{reserved[0]}' cannot be the name of an object; choose another")
        return objects


class GaussianNoise(Specification):
    """Independent normal noise."""

    sigma: Value = parameter("standard deviation", minimum=0)


class PoissonNoise(Specification):
    """Photon noise of the image and a background: Poisson(gain × (image + background)) / gain − background.

    Where image + background is negative, the mean is zero.
    """

    gain: Value = parameter("counted electrons per unit of the image", above=0, default=1.0)
    background: Value = parameter(
        "level that adds to the noise and is subtracted", minimum=0, default=0.0
    )


class CorrelatedNoise(Specification):
    """Normal noise that is smooth: white noise behind a Gaussian, as of a patchy sky or of resampled images.

    Behind an instrument, it is added to the light on the detector before its photons are counted.
    """

    sigma: Value = parameter("standard deviation; electron/s behind an instrument", minimum=0)
    length: Value = parameter(
        "standard deviation of the Gaussian; pixels r apart are correlated by exp(−r² / (4 length²))",
        unit="pixel",
        minimum=0.5,
        maximum=100,
    )


class Background(Specification):
    """A constant level, added."""

    level: Value = parameter("level")


NOISE_STEPS: dict[str, type[Specification]] = {
    "background": Background,
    "poisson": PoissonNoise,
    "gaussian": GaussianNoise,
    "correlated": CorrelatedNoise,
}
"""Steps of the noise by the name that a recipe has for them."""


class NoiseEntry(one_of(NOISE_STEPS, NamedOneOf)):
    """One step of the noise."""


class ImageTable(TableSpecification):
    """A table of images with one channel, or with the bands of an instrument."""

    kind: Literal["image"]
    size: tuple[
        Annotated[int, Field(ge=1, le=MAXIMUM_SIZE, strict=True)],
        Annotated[int, Field(ge=1, le=MAXIMUM_SIZE, strict=True)],
    ] = Field(description="number of pixels along y and x")
    classes: Annotated[dict[Name, ImageClass], Field(min_length=1, max_length=10_000)]
    pixel_scale: Annotated[Number, Field(gt=0)] | None = Field(
        None, description="arcsec per pixel; needed where anything is given in arcsec"
    )
    psf: PsfEntry | None = Field(None, description="blur of all objects; none when absent")
    noise: tuple[NoiseEntry, ...] = Field(
        (),
        description="steps of the noise, in the order they happen; behind an instrument, correlated ones alone",
    )
    instrument: Instrument | None = Field(None, description="what the images are taken with")
    wcs: Wcs | None = Field(None, description="where each image is on the sky")
    planes: Annotated[tuple[Plane, ...], Field(min_length=1)] | None = Field(
        None, description="what is stored beside the image"
    )
    measure: bool | None = Field(
        None,
        description="whether objects of the sky have labels measured on the image without noise",
    )

    @field_validator("size", mode="before")
    @classmethod
    def _two_numbers(cls, size: Any) -> Any:
        if not isinstance(size, list | tuple) or len(size) != 2:
            raise problem(f"must be [y, x], two whole numbers, not {show(size)}")
        return size

    _readable = field_validator("classes")(readable)

    @field_validator("noise")
    @classmethod
    def _names_differ(cls, noise: tuple[NoiseEntry, ...]) -> tuple[NoiseEntry, ...]:
        names_of(noise)
        return noise

    @field_validator("planes")
    @classmethod
    def _planes_differ(cls, planes: tuple[Plane, ...] | None) -> tuple[Plane, ...] | None:
        if planes is not None and len(set(planes)) < len(planes):
            raise problem("names a plane twice")
        return planes

    @model_validator(mode="after")
    def _instrument_or_noise(self) -> Self:
        """Refuse what an instrument says already, and what only an instrument can say."""
        if self.instrument is not None:
            if self.pixel_scale is not None:
                raise problem("the instrument has its own pixel_scale: leave out `pixel_scale`")
            if any(entry.correlated is None for entry in self.noise):
                raise problem(
                    "the instrument has its own noise: `noise` may have correlated steps only"
                )
        else:
            needy = sorted({"variance", "variance_true"} & set(self.planes or ()))
            if needy:
                raise problem(f"the plane '{needy[0]}' needs an `instrument`")
            if "mask" in (self.planes or ()) and not self.has_defects:
                raise problem("the plane 'mask' needs an `instrument`, a cosmic_ray or bad_pixels")
        for entry in self._sky:
            self._check_light(entry)
        for entry in self._defects:
            band = entry.chosen.band
            highest = band.support()[1] if hasattr(band, "support") else 0
            if band is not None and highest >= len(self.bands):
                allowed = (
                    f"must be below {len(self.bands)}" if self.bands else "needs an `instrument`"
                )
                raise problem(
                    f"the band of a {entry.kind} {allowed}: it is the number of a band, from 0"
                )
        if self.measure or "segmentation" in (self.planes or ()):
            self._check_measurable()
        return self

    def _check_light(self, entry: ObjectEntry) -> None:
        """Refuse magnitudes without an instrument, and light in other bands than its own."""
        described = entry.chosen
        if self.instrument is None:
            for name in ("fluxes", "magnitude", "magnitudes", "colors"):
                if getattr(described, name) is not None:
                    raise problem(
                        f"the {name} of a {entry.kind} needs an `instrument`; else give `flux`"
                    )
            return
        bands = list(self.instrument.bands)
        for name in ("fluxes", "magnitudes", "colors"):
            given = getattr(described, name) or {}
            missing = set(bands) - set(given) if given and name != "colors" else ()
            if missing or not set(given) <= set(bands):
                raise problem(
                    f"the {name} of a {entry.kind} must be given for the bands {', '.join(bands)}, "
                    f"not for {', '.join(given)}"
                )

    def _check_measurable(self) -> None:
        what = "measure" if self.measure else "the plane 'segmentation'"
        if not self._sky:
            raise problem(f"{what} needs stars or galaxies")
        if self.instrument is None and not any(entry.background is None for entry in self.noise):
            raise problem(f"{what} needs noise: an `instrument`, poisson, gaussian or correlated")

    @model_validator(mode="after")
    def _visible(self) -> Self:
        """Refuse a star without a PSF, arcseconds without a scale, and shapes behind a PSF of the sky."""
        entries = [entry for each in self.classes.values() for entry in each.objects]
        shapes = [entry for entry in entries if entry.is_shape]
        for psf in self.psfs.values():
            if psf is None and self._sky and any(each.chosen.psf is None for each in self._sky):
                raise problem(f"a {self._sky[0].kind} is seen through a PSF: add `psf`")
            if shapes and psf is not None and not psf.chosen.is_round_gaussian:
                raise problem(
                    f"a {shapes[0].kind} can be blurred by a round `psf: {{gaussian: …}}` only; "
                    "give it a table without stars"
                )
        in_arcsec = [
            f"the place of a {each.kind}" for each in self._sky if each.chosen.dx is not None
        ]
        in_arcsec += ["the width of the PSF" for psf in self._all_psfs() if psf.chosen.in_arcsec]
        in_arcsec += [f"the radius of a {each.kind}" for each in self._galaxies]
        in_arcsec += ["the wcs"] if self.wcs is not None else []
        if self.scale is None and in_arcsec:
            raise problem(f"{in_arcsec[0]} is given in arcsec: add `pixel_scale`, arcsec per pixel")
        return self

    @model_validator(mode="after")
    def _drawable(self) -> Self:
        """Refuse galaxies on frames, and behind PSFs, on which they cannot be drawn."""
        for entry in self._galaxies:
            if max(self.size) > MAXIMUM_GALAXY_FRAME and entry.chosen.stamp_flux is None:
                raise problem(
                    f"a {entry.kind} is drawn on the whole frame, of at most {MAXIMUM_GALAXY_FRAME} pixels a side; "
                    "add `stamp_flux`, such as 0.995, to draw it in the smallest square that holds so much of its light"
                )
        if self._galaxies and any(psf.chosen.is_truncated for psf in self._all_psfs()):
            raise problem(
                f"a {self._galaxies[0].kind} cannot be seen through a truncated moffat: leave out `truncation`"
            )
        for entry in self._sky:
            self._check_psf(entry)
            self._check_place(entry)
        return self

    def _check_psf(self, entry: ObjectEntry) -> None:
        """Refuse a PSF that can be too narrow."""
        own = entry.chosen.psf
        for psf in [own] if own is not None else self.psfs.values():
            if psf is None or (psf.chosen.in_arcsec and self.scale is None):
                continue
            narrow = psf.chosen.too_narrow(
                self.scale or 1.0, for_galaxies=isinstance(entry.chosen, Galaxy)
            )
            if narrow is not None:
                raise problem(
                    f"the PSF of a {entry.kind} can be {narrow[0]:.3g} pixels wide (full width at half maximum, "
                    f"galaxies along the minor axis); it must be {narrow[1]} or more"
                )

    def _check_place(self, entry: ObjectEntry) -> None:
        """Refuse an object that is never less than a frame away from the frame."""
        for name, size in (("x", self.size[1]), ("y", self.size[0])):
            for field, scale in ((name, 1.0), (f"d{name}", self.scale)):
                value = getattr(entry.chosen, field)
                if value is None or isinstance(value, Expression) or scale is None:
                    continue
                low, high = (end / scale for end in value.support())
                shift = 0.5 * (size - 1) if field != name else 0.0
                if low + shift > 2 * size or high + shift < -size:
                    reach = f"from {low * scale:g} to {high * scale:g}"
                    raise problem(
                        f"a {entry.kind} is never in the frame: its {field} is {reach}, the frame has {size} pixels"
                    )

    @property
    def bands(self) -> tuple[str, ...]:
        """Names of the bands of the instrument; empty without one."""
        return () if self.instrument is None else tuple(self.instrument.bands)

    @property
    def scale(self) -> float | None:
        """Arcseconds per pixel."""
        return self.pixel_scale if self.instrument is None else self.instrument.pixel_scale

    @property
    def psfs(self) -> dict[str, PsfEntry | None]:
        """What is seen through in each band, by the name of its scope; one for all bands is called ``psf``."""
        if self.psf is not None or self.instrument is None:
            return {"psf": self.psf}
        return {f"psf.{name}": band.psf for name, band in self.instrument.bands.items()}

    @property
    def has_defects(self) -> bool:
        """Whether there are cosmic rays or bad pixels."""
        return bool(self._defects)

    @property
    def _defects(self) -> list[ObjectEntry]:
        entries = (entry for each in self.classes.values() for entry in each.objects)
        return [entry for entry in entries if isinstance(entry.chosen, Defect)]

    @property
    def _sky(self) -> list[ObjectEntry]:
        entries = (entry for each in self.classes.values() for entry in each.objects)
        return [entry for entry in entries if entry.is_sky]

    @property
    def _galaxies(self) -> list[ObjectEntry]:
        return [entry for entry in self._sky if isinstance(entry.chosen, Galaxy)]

    def _all_psfs(self) -> Iterator[PsfEntry]:
        """Yield the PSFs of the table and its objects."""
        yield from (psf for psf in self.psfs.values() if psf is not None)
        yield from (entry.chosen.psf for entry in self._sky if entry.chosen.psf is not None)

    def scopes(self) -> list[Scope]:
        """Return every set of parameters that is drawn together, in the order of the recipe."""
        scopes = [variables_scope(self.variables, ("variables",))]
        for class_name, described in self.classes.items():
            path = ("classes", class_name)
            scopes.append(variables_scope(described.variables, (*path, "variables"), class_name))
            names = names_of(described.objects)
            for index, (name, entry) in enumerate(zip(names, described.objects, strict=True)):
                place = (*path, "objects", index, entry.kind)
                scope = scope_of(entry.chosen, name, place, class_name, entry.repeat)
                if self.measure and entry.is_sky:
                    scope = replace(scope, measured=self._measured())
                scopes.append(scope)
        for name, psf in self.psfs.items():
            if psf is not None:
                band = name.partition(".")[2]
                above = ("instrument", "bands", band) if band else ()
                scopes.append(scope_of(psf.chosen, name, (*above, "psf", psf.kind)))
        if self.wcs is not None:
            scopes.append(scope_of(self.wcs, "wcs", ("wcs",)))
        for index, (name, step) in enumerate(zip(names_of(self.noise), self.noise, strict=True)):
            scopes.append(scope_of(step.chosen, f"noise.{name}", ("noise", index, step.kind)))
        if self.instrument is not None:
            for name, exposed in self.instrument.bands.items():
                scope = scope_of(exposed, f"instrument.{name}", ("instrument", "bands", name))
                own = {key: value for key, value in scope.values.items() if "." not in key}
                scopes.append(replace(scope, values=own))
        return [scope for scope in scopes if scope.values]

    def _measured(self) -> dict[str, Parameter]:
        """Return the labels that are measured for each object, in each band."""
        names = [name for name in MEASURED if name != "segment"]
        bands = [f".{band}" for band in self.bands] or [""]
        measured = {f"{name}{band}": MEASURED[name] for band in bands for name in names}
        unit = "electron/s" if self.bands else ""
        measured = {
            name: replace(each, unit=unit) if name.startswith("frame_flux") else each
            for name, each in measured.items()
        }
        return measured | {"segment": MEASURED["segment"]}

    def wcs_header(self, label: Mapping[str, float]) -> dict[str, str | float]:
        """Return the cards of a FITS header for the image with these labels, as ``astropy.wcs.WCS`` takes them.

        Raises
        ------
        LabelError
            The table has no ``wcs``.
        """
        if self.wcs is None or self.scale is None:
            raise LabelError("the table has no `wcs`: its images are nowhere on the sky")
        place = (float(label[f"wcs.{name}"]) for name in ("ra", "dec", "rotation"))
        return tan_header(self.size, self.scale, *place)

    def pixel_streams(self) -> list[str]:
        """Return the streams that draw a number for every pixel, one per noise term, without the table's name."""
        steps = [f"{EVERY_CLASS}/noise.{name}/pixels" for name in names_of(self.noise)]
        return steps + [stream for band in self.bands for stream in band_streams(band)]

    def data_variables(self) -> tuple[DataVariable, ...]:
        """Return what is stored of each sample."""
        dimensions, shape = ("y", "x"), self.size
        if self.bands:
            dimensions, shape = ("band", *dimensions), (len(self.bands), *shape)  # type: ignore[assignment]
        units = {"electron": "electron", "adu": "adu", "flux": "electron/s"}
        unit = "1" if self.instrument is None else units[self.instrument.unit]
        found = [DataVariable("image", "image", unit, dimensions, shape, "float32")]
        for name in self.planes or ():
            description, dtype = PLANES[name]
            own = unit if name == "image_true" else "1"
            if name.startswith("variance"):
                own = f"{unit}2" if "/" not in unit else "electron2/s2"
            found.append(DataVariable(name, description, own, dimensions, shape, dtype))
        return tuple(found)

    def coordinates(self) -> tuple[Coordinate, ...]:
        """Return the coordinates of the dimensions after ``sample``."""
        ny, nx = self.size
        pixels = (
            Coordinate("y", "pixel centre, upwards", "pixel", ny),
            Coordinate("x", "pixel centre, to the right", "pixel", nx),
        )
        if not self.bands:
            return pixels
        return (Coordinate("band", "band", "1", len(self.bands), self.bands), *pixels)

    def working_bytes(self) -> int:
        """Return the bytes that rendering takes beside its result: planes with their widest margin, stamps, FFTs."""
        shapes = any(entry.is_shape for each in self.classes.values() for entry in each.objects)
        blurs = [psf.chosen.most_sigma() for psf in self.psfs.values() if psf is not None]
        widest = max(blurs, default=0.0) if shapes else 0.0
        ny, nx = (edge + 2 * int(4 * widest + 2) for edge in self.size)
        pixels = self.size[0] * self.size[1]
        edge = max(*self.size, 16)
        together = 16 if edge <= MAXIMUM_GALAXY_FRAME else 1  # frames, or the largest stamps
        spectra = 16 * int(2.4 * edge) ** 2 * together if self._galaxies else 0
        planes = 16 * pixels * (1 + len(self.bands) + len(self.planes or ()))
        seen_through = [
            psf.chosen.working_bytes(max(self.size), TYPICAL_CUTOUT**0.5)
            for psf in self._all_psfs()
        ]
        return 12 * ny * nx + planes + spectra + max(seen_through, default=0) + self._cutout_bytes()

    def _cutout_bytes(self) -> int:
        """Return the bytes of the light of each object of the sky, where it is kept; at most the whole frame each."""
        if not self.measure and "segmentation" not in (self.planes or ()):
            return 0
        pixels = self.size[0] * self.size[1]
        return max(
            sum(
                4
                * min(pixels, TYPICAL_CUTOUT if entry.chosen.stamp_flux is not None else pixels)
                * (entry.most_copies or 1)
                for entry in each.objects
                if entry.is_sky
            )
            for each in self.classes.values()
        )
