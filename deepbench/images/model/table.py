"""Tables of images: their classes of objects, PSF, noise or instrument, and what is stored.

These are frozen specifications without arrays. ``objects`` has what is drawn, ``instruments`` what it is seen through.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from deepbench.arrays import Coordinate, DataVariable
from deepbench.deflectors.deflector import Deflector
from deepbench.deflectors.lens import (
    ARC_AZIMUTH,
    CONFIGURATION,
    MAGNIFICATION,
    MICROLENSED,
    MOST_IMAGES,
    Lens,
    check_plane,
    measured_of_source,
)
from deepbench.errors import LabelError
from deepbench.images.detector.noise import (
    Background,
    CorrelatedNoise,
    NoiseEntry,
    noise_streams,
)
from deepbench.images.galaxies.model import MAXIMUM_GALAXY_FRAME, MAXIMUM_PERIOD
from deepbench.images.model.image_object import ImageObject
from deepbench.images.model.instruments import Instrument, band_streams
from deepbench.images.model.objects import ObjectEntry
from deepbench.images.model.planes import LENSED_LIGHT, LENSING, PLANES, Plane
from deepbench.images.model.wcs import Wcs, tan_header
from deepbench.images.psf.model import PsfEntry
from deepbench.images.stars.model import MICROLENSING
from deepbench.labelling.objects import object_scopes
from deepbench.labelling.scopes import VARIABLES, Scope, scope_of, variables_scope
from deepbench.language.one_of import names_of
from deepbench.language.plain import show
from deepbench.language.specification import (
    Name,
    Number,
    Parameter,
    Whole,
    problem,
)
from deepbench.tables import ObjectsClass, TableSpecification

if TYPE_CHECKING:
    from deepbench.labelling.plan import LabelPlan

MAXIMUM_SIZE = 32768
RESERVED = frozenset({"psf", "wcs", "noise", "instrument", VARIABLES})
"""Names of what is labelled beside objects."""

LENSED_POINTS = 2**22
"""Points of the grids of lensed galaxies that are drawn together, where one grid does not have more."""

TYPICAL_CUTOUT = 128 * 128
"""Number of pixels of an object's stamp, as memory is planned; crowds of larger ones take more."""

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

MEASURED_SHAPES = {
    "area": Parameter("area that is covered inside the frame, of the shape alone", unit="pixel2"),
    "frame_fraction": Parameter("part of the shape's area that is inside the frame"),
}
"""Labels of each shape that are measured."""


def _form(data: Any) -> str:
    return "which" if isinstance(data, list | tuple) else "whether"


Measure = Annotated[
    Annotated[bool, Tag("whether")]
    | Annotated[
        tuple[Literal["sky", "shapes"], ...], Field(min_length=1, max_length=2), Tag("which")
    ],
    Discriminator(_form),
]
"""Whether objects are measured, or which."""


class ImageClass(ObjectsClass):
    """One class of images: its objects, painted in written order."""

    reserved = RESERVED

    objects: Annotated[tuple[ObjectEntry, ...], Field(min_length=1, max_length=1000)] = Field(
        description="what a sample of the class shows, in order"
    )

    @model_validator(mode="after")
    def _one_lens(self) -> Self:
        check_plane(self.objects)
        return self

    @property
    def lens(self) -> Lens | None:
        """The plane of the masses; None where the class does not describe it."""
        return next(
            (entry.chosen for entry in self.objects if isinstance(entry.chosen, Lens)), None
        )


class ImageTable(TableSpecification):
    """A table of images with one channel, or with the bands of an instrument."""

    kind: Literal["image"]
    size: tuple[
        Annotated[Whole, Field(ge=1, le=MAXIMUM_SIZE)],
        Annotated[Whole, Field(ge=1, le=MAXIMUM_SIZE)],
    ] = Field(description="number of pixels along y and x")
    classes: Annotated[dict[Name, ImageClass], Field(min_length=1, max_length=10_000)] = Field(
        description="what is drawn for each sample, by name"
    )
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
    measure: Measure | None = Field(
        None,
        description="objects that have labels measured on the image without noise: a list of sky, shapes, or both; "
        "`true` stands for the sky, or for shapes where there is no sky",
    )

    @field_validator("size", mode="before")
    @classmethod
    def _two_numbers(cls, size: Any) -> Any:
        if not isinstance(size, list | tuple) or len(size) != 2:
            raise problem(f"must be [y, x], two whole numbers, not {show(size)}")
        return size

    @field_validator("noise")
    @classmethod
    def _names_differ(cls, noise: tuple[NoiseEntry, ...]) -> tuple[NoiseEntry, ...]:
        names_of(noise)
        return noise

    @model_validator(mode="after")
    def _instrument_or_noise(self) -> Self:
        """Refuse what an instrument says already, and what only an instrument can say."""
        if self.instrument is not None:
            if self.pixel_scale is not None:
                raise problem("the instrument has its own pixel_scale: leave out `pixel_scale`")
            if any(not isinstance(entry.chosen, CorrelatedNoise) for entry in self.noise):
                raise problem(
                    "the instrument has its own noise: `noise` may have correlated steps only"
                )
        else:
            needy = sorted({"variance", "variance_true"} & set(self.planes or ()))
            if needy:
                raise problem(f"the plane '{needy[0]}' needs an `instrument`")
            if "mask" in (self.planes or ()) and not self.has_defects:
                raise problem("the plane 'mask' needs an `instrument`, a cosmic_ray or bad_pixels")
        needy = sorted(LENSING & set(self.planes or ()))
        if needy and not any(entry.lensed for entry in self._entries):
            raise problem(f"the plane '{needy[0]}' needs something that is `lensed`")
        return self

    @model_validator(mode="after")
    def _objects_fit(self) -> Self:
        """Refuse objects that cannot be seen here, labels without noise, and arcseconds without a scale."""
        for entry in self._entries:
            if isinstance(entry.chosen, ImageObject):
                entry.chosen.check(entry.kind, self)
                self._check_frame(entry)
            else:
                self.require_scale(f"the position of a {entry.kind}")
        if self._galaxies and any(psf.chosen.is_truncated for psf in self._all_psfs()):
            raise problem(
                f"a {self._galaxies[0].kind} cannot be seen through a truncated moffat: leave out `truncation`"
            )
        self._check_measurable()
        for psf in self.psfs.values():
            if psf is not None and psf.chosen.in_arcsec:
                self.require_scale("the width of the PSF")
        for psf in self._all_psfs():
            psf.chosen.check(self.scale or 1.0)
        if self.wcs is not None:
            self.require_scale("the wcs")
        return self

    def _check_frame(self, entry: ObjectEntry) -> None:
        """Refuse galaxies that are too large for the frame, and stamps of those that are traced on the whole of it."""
        if not entry.is_sky or entry.chosen.is_point:
            return
        if not entry.lensed:
            entry.chosen.check_frame(entry.kind, self)
        elif entry.chosen.stamp_flux is not None:
            raise problem(
                f"a {entry.kind} that is lensed is drawn on the whole frame: leave out `stamp_flux`"
            )

    def _check_measurable(self) -> None:
        """Refuse measurements of nothing, or without noise."""
        if self.measure and not (self.measures_sky or self.measures_shapes):
            raise problem("measure needs stars, galaxies or shapes")
        if self.measures_shapes and not any(entry.is_shape for entry in self._entries):
            raise problem("measure: [shapes] needs shapes")
        what = "measure" if self.measures_sky else "the plane 'segmentation'"
        if not self.measures_sky and "segmentation" not in (self.planes or ()):
            return
        if not any(entry.is_sky for entry in self._entries):
            raise problem(f"{what} needs stars or galaxies")
        if self.instrument is None and all(
            isinstance(entry.chosen, Background) for entry in self.noise
        ):
            raise problem(f"{what} needs noise: an `instrument`, poisson, gaussian or correlated")

    def require_scale(self, what: str) -> None:
        """Refuse something in arcseconds where no pixel has a size.

        Raises
        ------
        PydanticCustomError
            The table has neither ``pixel_scale`` nor an instrument.
        """
        if self.scale is None:
            raise problem(f"{what} is given in arcsec: add `pixel_scale`, arcsec per pixel")

    @property
    def measures_sky(self) -> bool:
        """Whether objects of the sky are measured."""
        if isinstance(self.measure, tuple):
            return "sky" in self.measure
        return bool(self.measure) and any(entry.is_sky for entry in self._entries)

    @property
    def measures_shapes(self) -> bool:
        """Whether shapes are measured."""
        if isinstance(self.measure, tuple):
            return "shapes" in self.measure
        entries = self._entries
        sky = any(entry.is_sky for entry in entries)
        return bool(self.measure) and not sky and any(entry.is_shape for entry in entries)

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
        """PSF of each band by the name of its scope; one for all bands is called ``psf``."""
        if self.psf is not None or self.instrument is None:
            return {"psf": self.psf}
        return {f"psf.{name}": band.psf for name, band in self.instrument.bands.items()}

    @property
    def has_lens(self) -> bool:
        """Whether a class describes the plane of its masses."""
        return any(each.lens is not None for each in self.classes.values())

    @property
    def has_defects(self) -> bool:
        """Whether there are cosmic rays or bad pixels."""
        return any(entry.is_defect for entry in self._entries)

    @property
    def _entries(self) -> list[ObjectEntry]:
        """Objects of all classes, in written order."""
        return [entry for each in self.classes.values() for entry in each.objects]

    @property
    def _galaxies(self) -> list[ObjectEntry]:
        """Objects of the sky that are drawn in stamps or on the whole frame."""
        return [entry for entry in self._entries if entry.is_sky and not entry.chosen.is_point]

    def _all_psfs(self) -> list[PsfEntry]:
        """Return the PSFs of the table and of its objects."""
        own = [entry.chosen.psf for entry in self._entries if entry.is_sky]
        return [psf for psf in (*self.psfs.values(), *own) if psf is not None]

    def scopes(self) -> list[Scope]:
        """Return every set of parameters that is drawn together, in the order of the recipe."""
        scopes = [variables_scope(self.variables, ("variables",))]
        for class_name, described in self.classes.items():
            path = ("classes", class_name)
            scopes.append(variables_scope(described.variables, (*path, "variables"), class_name))
            scopes += object_scopes(
                class_name,
                described.objects,
                partial(self._measured_of, lens=described.lens),
            )
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

    def _measured_of(self, entry: ObjectEntry, lens: Lens | None) -> Mapping[str, Parameter]:
        """Return the labels of an object that are measured; ``lens`` is that of its class."""
        if isinstance(entry.chosen, Lens | Deflector):
            return entry.chosen.measured_labels()
        if entry.is_shape and self.measures_shapes:
            return MEASURED_SHAPES
        measured = self._measured() if entry.is_sky and self.measures_sky else {}
        if not entry.lensed or lens is None:
            return measured
        measured |= measured_of_source(delays=lens.redshift is not None)
        measured["magnification"] = MAGNIFICATION
        if getattr(entry.chosen, "microlensing", None) is not None:
            measured |= {f"image_{k + 1}_microlensing": MICROLENSED for k in range(MOST_IMAGES)}
        if not entry.chosen.is_point:
            measured["configuration"] = CONFIGURATION
            if self.measures_sky:
                bands = [f".{band}" for band in self.bands] or [""]
                measured |= dict.fromkeys((f"arc_azimuth{band}" for band in bands), ARC_AZIMUTH)
        return measured

    def _measured(self) -> dict[str, Parameter]:
        """Return the labels that are measured for each object of the sky, in each band."""
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
        direction = (float(label[f"wcs.{name}"]) for name in ("ra", "dec", "rotation"))
        return tan_header(self.size, self.scale, *direction)

    def pixel_streams(self) -> list[str]:
        """Return the streams that draw when samples are rendered, without the table's name."""
        found = noise_streams(self.noise)
        found += [stream for band in self.bands for stream in band_streams(band)]
        for class_name, described in self.classes.items():
            names = names_of(described.objects)
            for name, entry in zip(names, described.objects, strict=True):
                if getattr(entry.chosen, "microlensing", None) is not None:
                    found.append(f"{class_name}/{name}/{MICROLENSING}")
        return found

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
            if name in LENSED_LIGHT:
                own = "1" if self.instrument is None else "electron/s"
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

    def working_bytes(self, plan: LabelPlan) -> int:
        """Return the bytes that rendering takes beside its result: planes with their widest margin, stamps, FFTs."""
        shapes = any(entry.is_shape for entry in self._entries)
        blurs = [psf.chosen.most_sigma() for psf in self.psfs.values() if psf is not None]
        widest = max(blurs, default=0.0) if shapes else 0.0
        ny, nx = (edge + 2 * int(4 * widest + 2) for edge in self.size)
        pixels = self.size[0] * self.size[1]
        edge = max(*self.size, 16)
        together = 16 if edge <= MAXIMUM_GALAXY_FRAME else 1  # frames, or the largest stamps
        spectra = 16 * int(2.4 * edge) ** 2 * together if self._galaxies else 0
        away = [entry.chosen.most_outside(self) for entry in self._galaxies]
        if max(away, default=0.0) > 0.0:
            period = min(6.0 * (edge + max(away)), MAXIMUM_PERIOD)  # see `galaxies.periods`
            spectra = max(spectra, int(14 * period**2))
        if any(entry.lensed and not entry.chosen.is_point for entry in self._entries):
            points = 4 * (2 * edge + 32)  # along a fine grid with its margin, see `lensing.stamps`
            spectra += 16 * max(points**2, LENSED_POINTS)
        planes = 16 * pixels * (1 + len(self.bands) + len(self.planes or ()))
        seen_through = [
            psf.chosen.working_bytes(max(self.size), TYPICAL_CUTOUT**0.5, self.scale)
            for psf in self._all_psfs()
        ]
        return (
            12 * ny * nx
            + planes
            + spectra
            + max(seen_through, default=0)
            + self._cutout_bytes(plan)
        )

    def _cutout_bytes(self, plan: LabelPlan) -> int:
        """Return the bytes of the light of each object of the sky, where it is kept; at most the whole frame each."""
        if not self.measures_sky and "segmentation" not in (self.planes or ()):
            return 0
        pixels = self.size[0] * self.size[1]
        return max(
            sum(
                4
                * min(pixels, TYPICAL_CUTOUT if entry.chosen.stamp_flux is not None else pixels)
                * (plan.most_copies_of(entry) or 1)
                for entry in each.objects
                if entry.is_sky
            )
            for each in self.classes.values()
        )
