"""The base of the specifications of stars and galaxies: position, light, and the PSF that shows them.

Their labels become pieces: rows of numbers that an engine of ``galaxies`` draws. Lengths are in pixels there.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from deepbench.images.model.image_object import ImageObject
from deepbench.images.psf.model import PsfEntry
from deepbench.language.specification import Name, parameter, problem
from deepbench.language.values import Value

if TYPE_CHECKING:
    from deepbench.images.model.table import ImageTable

COMPONENT_ROW = np.dtype(
    [
        ("flux", np.float64),
        ("x", np.float64),
        ("y", np.float64),
        ("half_light_radius", np.float64),
        ("axis_ratio", np.float64),
        ("position_angle_degrees", np.float64),
        ("sersic_index", np.float64),
    ]
)
"""Row of a Sérsic component, in pixels and degrees; its radius is circularised."""

COMPONENTS = "components"
"""Engine of the components, which are drawn together; ``galaxies.model.ENGINES`` has the others."""

LEAST_AXIS_RATIO = 0.05
"""Least axis ratio of an ellipse that is drawn."""

POINT = 1e-6
"""Half-light radius of a component that stands for a star (pixel): its transform is 1."""


class Piece(NamedTuple):
    """Rows that one engine draws, of some objects.

    Attributes
    ----------
    engine : str
        ``COMPONENTS``, or one of ``galaxies.model.ENGINES``.
    rows : structured array of shape (k,)
        One for each object, in the engine's type. Their ``flux`` is a part of the object's; rendering writes ``x`` and
        ``y``.
    """

    engine: str
    rows: NDArray[np.void]


def rows_of(row: np.dtype[np.void], count: int, **fields: Any) -> NDArray[np.void]:
    """Return rows with the fields that are given, arrays or numbers; the others are zero."""
    rows = np.zeros(count, row)
    for name, values in fields.items():
        rows[name] = values
    return rows


BandValues = Annotated[dict[Name, Value], Field(min_length=1, max_length=100)]
"""A value for each band of the instrument."""


class SkyObject(ImageObject):
    """Base of objects of the sky. The position is given in pixels, or in arcseconds from the frame's centre.

    Attributes
    ----------
    is_point : bool
        Whether it is drawn as its PSF shows a point; its pieces stand in for it behind an image of a PSF.
    """

    is_point: ClassVar[bool] = False

    x: Value | None = parameter(
        "position of the centre along x, from the centre of the lower left pixel",
        unit="pixel",
        default=None,
    )
    y: Value | None = parameter(
        "position of the centre along y, from the centre of the lower left pixel",
        unit="pixel",
        default=None,
    )
    dx: Value | None = parameter(
        "position of the centre along x, from the centre of the frame", unit="arcsec", default=None
    )
    dy: Value | None = parameter(
        "position of the centre along y, from the centre of the frame", unit="arcsec", default=None
    )
    flux: Value | None = parameter("total flux, over the infinite plane", minimum=0, default=None)
    fluxes: BandValues | None = parameter(
        "total flux in each band, over the infinite plane", minimum=0, default=None
    )
    magnitude: Value | None = parameter("AB magnitude", unit="mag", default=None)
    magnitudes: BandValues | None = parameter("AB magnitude in each band", unit="mag", default=None)
    colors: BandValues | None = parameter(
        "color that is added to `magnitude`, in some of the bands", unit="mag", default=None
    )
    psf: PsfEntry | None = Field(
        None, description="what it is seen through, if not the table's PSF"
    )

    @model_validator(mode="after")
    def _one_position(self) -> Self:
        given = [name for name in ("x", "y", "dx", "dy") if getattr(self, name) is not None]
        if given not in (["x", "y"], ["dx", "dy"]):
            found = ", ".join(given) or "none of them"
            raise problem(
                f"must have either x and y (pixels) or dx and dy (arcsec); it has {found}"
            )
        return self

    @model_validator(mode="after")
    def _one_light(self) -> Self:
        names = ("flux", "fluxes", "magnitude", "magnitudes")
        given = [name for name in names if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none of them"
            raise problem(f"must have exactly one of {', '.join(names)}; it has {found}")
        if self.colors is not None and self.magnitude is None:
            raise problem("colors are added to `magnitude`, which is missing")
        return self

    def check(self, kind: str, table: ImageTable) -> None:
        """Refuse light that the table does not take, a PSF that cannot show it, and a position outside the frame."""
        self._check_light(kind, table)
        psfs = [self.psf] if self.psf is not None else [*table.psfs.values()]
        if None in psfs:
            raise problem(f"a {kind} is seen through a PSF: add `psf`")
        if self.dx is not None:
            table.require_scale(f"the position of a {kind}")
        for psf in psfs:
            if psf is not None:
                self._check_psf(kind, table, psf)
        self._check_position(kind, table)

    def _check_light(self, kind: str, table: ImageTable) -> None:
        """Refuse magnitudes without an instrument, and light in other bands than those of the table."""
        if not table.bands:
            for name in ("fluxes", "magnitude", "magnitudes", "colors"):
                if getattr(self, name) is not None:
                    raise problem(f"the {name} of a {kind} needs an `instrument`; else give `flux`")
        for name in ("fluxes", "magnitudes", "colors"):
            given = getattr(self, name) or {}
            missing = set(table.bands) - set(given) if given and name != "colors" else ()
            if missing or not set(given) <= set(table.bands):
                raise problem(
                    f"the {name} of a {kind} must be given for the bands {', '.join(table.bands)}, "
                    f"not for {', '.join(given)}"
                )

    def _check_psf(self, kind: str, table: ImageTable, psf: PsfEntry) -> None:
        """Refuse a PSF without a scale, and one that can be too narrow."""
        if psf.chosen.in_arcsec:
            table.require_scale("the width of the PSF")
        narrow = psf.chosen.too_narrow(table.scale or 1.0, for_galaxies=not self.is_point)
        if narrow is not None:
            raise problem(
                f"the PSF of a {kind} can be {narrow[0]:.3g} pixels wide (full width at half maximum, galaxies "
                f"along the minor axis); it must be {narrow[1]} or more"
            )

    def _check_position(self, kind: str, table: ImageTable) -> None:
        """Refuse an object that is never less than a frame away from the frame."""
        for field, low, high, size in self._places(table):
            if low > 2 * size or high < -size:
                first, last = getattr(self, field).support()
                raise problem(
                    f"a {kind} is never in the frame: its {field} is from {first:g} to {last:g}, the frame has {size} "
                    "pixels"
                )

    def _places(self, table: ImageTable) -> Iterator[tuple[str, float, float, int]]:
        """Yield the fields of its position, the ends of their supports in pixels, and the frame's edge."""
        for name, size in (("x", table.size[1]), ("y", table.size[0])):
            for field, scale in ((name, 1.0), (f"d{name}", table.scale)):
                value = getattr(self, field)
                if value is None or scale is None:
                    continue
                low, high = -math.inf, math.inf
                if value.known:
                    low, high = value.support()
                shift = 0.5 * (size - 1) if field != name else 0.0
                yield field, low / scale + shift, high / scale + shift, size

    def most_outside(self, table: ImageTable) -> float:
        """Return how far outside of the frame its centre can be, in pixels; 0 where it cannot."""
        return max(
            max(-0.5 - low, high - (size - 0.5), 0.0) for _, low, high, size in self._places(table)
        )

    @abstractmethod
    def pieces(self, columns: Mapping[str, NDArray], scale: float) -> list[Piece]:
        """Return what engines draw of objects.

        Parameters
        ----------
        columns : mapping of str to ndarray
            Labels of k objects by their names inside the object.
        scale : float
            Arcseconds per pixel.
        """

    def refusals(self, columns: Mapping[str, NDArray]) -> list[tuple[NDArray[np.bool_], str]]:
        """Return which objects cannot be drawn whatever the table, bool[k], and why."""
        return []
