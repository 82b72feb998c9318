"""What a recipe may say about a table of images: shapes, stars, classes, PSF and noise.

These are frozen specifications without arrays. Shapes live in pixels; the sky lives in arcseconds, which
``pixel_scale`` turns into pixels. Angles are degrees counter-clockwise from +x; a pixel's centre has integer
coordinates and the centre of the lower left pixel is the origin.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from deepbench.labelling.scopes import EVERY_CLASS, VARIABLES, Scope, scope_of, variables_scope
from deepbench.recipe.plain import show
from deepbench.recipe.specification import Name, Number, Specification, parameter, problem
from deepbench.recipe.table import (
    Coordinate,
    DataVariable,
    NamedOneOf,
    OneOf,
    TableSpecification,
    Variables,
    names_of,
)
from deepbench.recipe.values import Expression, Value

MAXIMUM_SIZE = 32768
MAXIMUM_COPIES = 100_000
MISSING = frozenset({"nan", "null"})
"""Words that pandas reads as a missing value."""

MAXIMUM_GALAXY_FRAME = 512
"""Pixels along an edge of a frame with galaxies: each is drawn on the whole frame."""

MAXIMUM_SIGMA = 1000.0
"""Of a Gaussian PSF, in pixels."""


class Shape(Specification):
    """What all shapes have."""

    x: Value = parameter(
        "centre, to the right from the centre of the lower left pixel", unit="pixel"
    )
    y: Value = parameter("centre, upwards from the centre of the lower left pixel", unit="pixel")
    amplitude: Value = parameter("value of a pixel that is wholly covered", default=1.0)


class Outlined(Shape):
    """A shape that is filled, or drawn as an outline inside its boundary."""

    thickness: Value | None = parameter(
        "width of the outline, inward from the boundary; filled when absent",
        unit="pixel",
        above=0,
        default=None,
    )


class Circle(Outlined):
    """A disk, or a ring."""

    radius: Value = parameter("radius", unit="pixel", above=0)


class Ellipse(Outlined):
    """An ellipse; as an outline, the region between semi-axes a, b and a − thickness, b − thickness."""

    semi_major_axis: Value = parameter("semi-major axis", unit="pixel", above=0)
    axis_ratio: Value = parameter("minor over major axis", above=0, maximum=1)
    position_angle: Value = parameter(
        "direction of the major axis, counter-clockwise from +x", unit="degree", default=0.0
    )


class Rectangle(Outlined):
    """A rectangle about its centre."""

    width: Value = parameter("side along the angle", unit="pixel", above=0)
    height: Value = parameter("side across the angle", unit="pixel", above=0)
    angle: Value = parameter(
        "direction of the width, counter-clockwise from +x", unit="degree", default=0.0
    )


class RegularPolygon(Outlined):
    """A regular polygon about its centre."""

    sides: Value = parameter("number of sides", minimum=3, maximum=1000, integer=True)
    radius: Value = parameter("distance from the centre to a vertex", unit="pixel", above=0)
    angle: Value = parameter(
        "direction of a vertex, counter-clockwise from +x", unit="degree", default=0.0
    )


class Triangle(Outlined):
    """An isosceles triangle about its centroid; at angle 0 its base is along +x and its apex towards +y."""

    base: Value = parameter("length of the base", unit="pixel", above=0)
    height: Value = parameter("distance of the apex from the base", unit="pixel", above=0)
    angle: Value = parameter(
        "direction of the base, counter-clockwise from +x", unit="degree", default=0.0
    )


class Annulus(Shape):
    """A ring given by its hole and its width."""

    inner_radius: Value = parameter("radius of the hole", unit="pixel", minimum=0)
    thickness: Value = parameter("width of the ring, outward from the hole", unit="pixel", above=0)


class Arc(Shape):
    """A part of a ring, centred on its radius, with straight ends; a sector where the stroke reaches the centre."""

    radius: Value = parameter("radius of the centre line", unit="pixel", above=0)
    thickness: Value = parameter("width of the stroke", unit="pixel", above=0)
    sweep: Value = parameter("angle that the arc covers", unit="degree", above=0, maximum=360)
    angle: Value = parameter(
        "direction of its start, counter-clockwise from +x", unit="degree", default=0.0
    )


class Line(Shape):
    """A straight stroke about its middle, with straight ends."""

    length: Value = parameter("length", unit="pixel", above=0)
    thickness: Value = parameter("width of the stroke", unit="pixel", above=0)
    angle: Value = parameter("direction, counter-clockwise from +x", unit="degree", default=0.0)


class SkyObject(Specification):
    """What objects of the sky share. The place is given in pixels, or in arcseconds from the frame's centre."""

    x: Value | None = parameter(
        "place, to the right from the centre of the lower left pixel", unit="pixel", default=None
    )
    y: Value | None = parameter(
        "place, upwards from the centre of the lower left pixel", unit="pixel", default=None
    )
    dx: Value | None = parameter(
        "place, to the right from the centre of the frame", unit="arcsec", default=None
    )
    dy: Value | None = parameter(
        "place, upwards from the centre of the frame", unit="arcsec", default=None
    )
    flux: Value = parameter("sum over the infinite plane", minimum=0)

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        given = [name for name in ("x", "y", "dx", "dy") if getattr(self, name) is not None]
        if given not in (["x", "y"], ["dx", "dy"]):
            found = ", ".join(given) or "none of them"
            raise problem(
                f"must have either x and y (pixels) or dx and dy (arcsec); it has {found}"
            )
        return self


class Star(SkyObject):
    """A point source, seen through the PSF."""

    stamp_flux: Value = parameter(
        "part of the flux that is held by the square in which it is drawn",
        minimum=0.5,
        below=1,
        default=0.9999,
    )


class Sersic(SkyObject):
    """A galaxy, or a part of one, whose light falls as exp(−b r^(1/n)) (Sérsic 1963), seen through the PSF."""

    sersic_index: Value = parameter(
        "n: 1 is exponential, 4 de Vaucouleurs", minimum=0.3, maximum=6.2
    )
    half_light_radius: Value = parameter(
        "circularised radius √(ab) of the ellipse that holds half of the light",
        unit="arcsec",
        above=0,
    )
    axis_ratio: Value = parameter("minor over major axis", minimum=0.05, maximum=1, default=1.0)
    position_angle: Value = parameter(
        "direction of the major axis, counter-clockwise from +x", unit="degree", default=0.0
    )


class ObjectEntry(NamedOneOf):
    """One object of a class."""

    circle: Circle | None = None
    ellipse: Ellipse | None = None
    rectangle: Rectangle | None = None
    regular_polygon: RegularPolygon | None = None
    triangle: Triangle | None = None
    annulus: Annulus | None = None
    arc: Arc | None = None
    line: Line | None = None
    star: Star | None = None
    sersic: Sersic | None = None
    blend: Literal["add", "over"] = Field("add", description="add to what lies below, or cover it")
    repeat: Value | None = parameter(
        "number of copies, each with its own values",
        minimum=0,
        maximum=MAXIMUM_COPIES,
        integer=True,
        default=None,
    )

    @field_validator("repeat")
    @classmethod
    def _bounded(cls, repeat: Any) -> Any:
        if isinstance(repeat, Expression):
            raise problem("must have a finite upper bound: a number, integers, or choice")
        return repeat

    @model_validator(mode="after")
    def _light_adds(self) -> Self:
        if self.blend == "over" and not self.is_shape:
            raise problem(f"the light of a {self.kind} adds to what lies below: leave out `blend`")
        return self

    @property
    def is_shape(self) -> bool:
        """Whether it is drawn in pixels, and blurred afterwards; the sky's objects are drawn as the PSF shows them."""
        return isinstance(self.chosen, Shape)

    @property
    def most_copies(self) -> int:
        """The largest number of copies that ``repeat`` can draw; 0 for an object that is not repeated."""
        if self.repeat is None or isinstance(self.repeat, Expression):
            return 0
        return int(self.repeat.support()[1])


class ImageClass(Specification):
    """One class of images: its objects, painted in written order."""

    weight: Number = Field(1.0, gt=0, description="how often it is drawn, against the others")
    variables: Variables
    objects: Annotated[tuple[ObjectEntry, ...], Field(min_length=1, max_length=1000)]

    @field_validator("objects")
    @classmethod
    def _names_differ(cls, objects: tuple[ObjectEntry, ...]) -> tuple[ObjectEntry, ...]:
        reserved = sorted({"psf", VARIABLES} & set(names_of(objects)))
        if reserved:
            raise problem(f"'{reserved[0]}' cannot be the name of an object; choose another")
        return objects


class GaussianPsf(Specification):
    """A circular Gaussian."""

    sigma: Value = parameter("standard deviation", unit="pixel", minimum=0, maximum=MAXIMUM_SIGMA)


class SkyPsf(Specification):
    """What the PSFs of the sky share: the width before the pixel, the geometric mean of that along both axes."""

    fwhm: Value = parameter("full width at half maximum, before the pixel", unit="arcsec", above=0)
    axis_ratio: Value = parameter("minor over major axis", minimum=0.1, maximum=1, default=1.0)
    position_angle: Value = parameter(
        "direction of the major axis, counter-clockwise from +x", unit="degree", default=0.0
    )


class MoffatPsf(SkyPsf):
    """Light through the air (Moffat 1969): wings that fall as a power of the radius."""

    beta: Value = parameter("the intensity falls as radius^(−2 beta)", above=1.1, maximum=100)
    truncation: Value | None = parameter(
        "radius beyond which there is no light; none when absent",
        unit="arcsec",
        above=0,
        default=None,
    )


class AiryPsf(SkyPsf):
    """Diffraction by a round aperture, with a round obstacle before its centre."""

    obscuration: Value = parameter(
        "diameter of the obstacle over that of the aperture", minimum=0, maximum=0.95, default=0.0
    )


class KolmogorovPsf(SkyPsf):
    """Light through turbulent air in a long exposure (Fried 1966)."""


class PsfEntry(OneOf):
    """The point spread function that all objects are seen through."""

    gaussian: GaussianPsf | None = None
    moffat: MoffatPsf | None = None
    airy: AiryPsf | None = None
    kolmogorov: KolmogorovPsf | None = None


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


class Background(Specification):
    """A constant level, added."""

    level: Value = parameter("level")


class NoiseEntry(NamedOneOf):
    """One step of the noise."""

    background: Background | None = None
    poisson: PoissonNoise | None = None
    gaussian: GaussianNoise | None = None


class ImageTable(TableSpecification):
    """A table of images with one channel."""

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
        (), description="steps of the noise, in the order they happen"
    )

    @field_validator("size", mode="before")
    @classmethod
    def _two_numbers(cls, size: Any) -> Any:
        if not isinstance(size, list | tuple) or len(size) != 2:
            raise problem(f"must be [y, x], two whole numbers, not {show(size)}")
        return size

    @field_validator("classes")
    @classmethod
    def _readable(cls, classes: dict[str, ImageClass]) -> dict[str, ImageClass]:
        taken = sorted(MISSING & classes.keys())
        if taken:
            raise problem(
                f"'{taken[0]}' cannot be the name of a class: readers of CSV take it for a missing value"
            )
        return classes

    @field_validator("noise")
    @classmethod
    def _names_differ(cls, noise: tuple[NoiseEntry, ...]) -> tuple[NoiseEntry, ...]:
        names_of(noise)
        return noise

    @model_validator(mode="after")
    def _sky(self) -> Self:
        """Refuse a star without a PSF, arcseconds without a scale, and shapes behind a PSF of the sky."""
        entries = [entry for each in self.classes.values() for entry in each.objects]
        sky = [entry for entry in entries if not entry.is_shape]
        if sky and self.psf is None:
            raise problem(f"a {sky[0].kind} is seen through a PSF: add `psf`")
        through = self.psf is not None and isinstance(self.psf.chosen, SkyPsf)
        if through and len(sky) < len(entries):
            shape = next(entry.kind for entry in entries if entry.is_shape)
            raise problem(
                f"a {shape} can be blurred by `psf: {{gaussian: …}}` only; give it a table without stars"
            )
        galaxies = any(isinstance(entry.chosen, Sersic) for entry in sky)
        in_arcsec = [f"the place of a {each.kind}" for each in sky if each.chosen.dx is not None]
        in_arcsec += ["the width of the PSF"] if through else []
        in_arcsec += ["the radius of a sersic"] if galaxies else []
        if self.pixel_scale is None and in_arcsec:
            raise problem(f"{in_arcsec[0]} is given in arcsec: add `pixel_scale`, arcsec per pixel")
        if galaxies and max(self.size) > MAXIMUM_GALAXY_FRAME:
            raise problem(
                f"a sersic is drawn on the whole frame, of at most {MAXIMUM_GALAXY_FRAME} pixels a side"
            )
        if galaxies and getattr(getattr(self.psf, "chosen", None), "truncation", None) is not None:
            raise problem(
                "a sersic cannot be seen through a truncated moffat: leave out `truncation`"
            )
        return self

    def scopes(self) -> list[Scope]:
        """Return every set of parameters that is drawn together, in the order of the recipe."""
        scopes = [variables_scope(self.variables, ("variables",))]
        for class_name, described in self.classes.items():
            path = ("classes", class_name)
            scopes.append(variables_scope(described.variables, (*path, "variables"), class_name))
            names = names_of(described.objects)
            for index, (name, entry) in enumerate(zip(names, described.objects, strict=True)):
                place = (*path, "objects", index, entry.kind)
                scopes.append(scope_of(entry.chosen, name, place, class_name, entry.repeat))
        if self.psf is not None:
            scopes.append(scope_of(self.psf.chosen, "psf", ("psf", self.psf.kind)))
        for index, (name, step) in enumerate(zip(names_of(self.noise), self.noise, strict=True)):
            scopes.append(scope_of(step.chosen, f"noise.{name}", ("noise", index, step.kind)))
        return [scope for scope in scopes if scope.values]

    def pixel_streams(self) -> list[str]:
        """Return the streams that draw a number for every pixel, one per noise term, without the table's name."""
        return [f"{EVERY_CLASS}/noise.{name}/pixels" for name in names_of(self.noise)]

    def data_variables(self) -> tuple[DataVariable, ...]:
        """Return what is stored of each sample."""
        return (DataVariable("image", "image", "1", ("y", "x"), self.size, "float32"),)

    def coordinates(self) -> tuple[Coordinate, ...]:
        """Return the coordinates of the dimensions after ``sample``."""
        ny, nx = self.size
        return (
            Coordinate("y", "pixel centre, upwards", "pixel", ny),
            Coordinate("x", "pixel centre, to the right", "pixel", nx),
        )

    def working_bytes(self) -> int:
        """Return the bytes that rendering takes beside its result: the plane with its widest margin."""
        sigma = getattr(self.psf.chosen, "sigma", None) if self.psf is not None else None
        widest = 0.0 if sigma is None else MAXIMUM_SIGMA
        if sigma is not None and not isinstance(sigma, Expression):
            widest = min(sigma.support()[1], MAXIMUM_SIGMA)
        ny, nx = (edge + 2 * int(4 * widest + 2) for edge in self.size)
        entries = (entry for each in self.classes.values() for entry in each.objects)
        galaxies = any(isinstance(entry.chosen, Sersic) for entry in entries)
        spectra = 16 * int(2.4 * max(*self.size, 16)) ** 2 * 16 if galaxies else 0  # of 16 images
        return 12 * ny * nx + 4 * self.size[0] * self.size[1] + spectra

    def object_rows(self) -> int:
        """Return the largest number of copies of repeated objects that one sample can have."""
        return max(
            sum(entry.most_copies for entry in each.objects) for each in self.classes.values()
        )
