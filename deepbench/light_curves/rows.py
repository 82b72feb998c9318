"""From labels to the numbers that kernels read: rows of objects, the light of sources, the noise of bands."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deepbench.errors import LabelError
from deepbench.light_curves.families import eclipses, transits
from deepbench.light_curves.families.eclipses import ECLIPSE
from deepbench.light_curves.families.transients import TRANSIENTS
from deepbench.light_curves.families.transits import TRANSIT
from deepbench.light_curves.survey.cadences import DAY
from deepbench.light_curves.survey.surveys import MAGNITUDE
from deepbench.numerics import mathfast

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from deepbench.labelling.objects import ObjectColumns
    from deepbench.labelling.scopes import Labels
    from deepbench.light_curves.model import LightCurveTable
    from deepbench.light_curves.survey.surveys import Law

PLURALS = {
    "third_light": "third_lights",
    "source_fraction": "source_fractions",
    "surface_brightness_ratio": "surface_brightness_ratios",
    "magnitude": "magnitudes",
}
"""Where the values of a column in each band are, if it has one for each."""

ABSENT = {"third_light": 0.0, "source_fraction": 1.0}
"""Values of columns that no label gives."""

MINUTES = DAY / 60.0


def object_rows(
    source: ObjectColumns, columns: tuple[str, ...], bands: tuple[str, ...], labels: Labels
) -> NDArray[np.float64]:
    """Return the rows of the objects of an entry, float64[k, b, p]: its columns in each band."""
    found = np.empty((len(source.samples), len(bands), len(columns)))
    known: dict[str, Any] = _limb_darkening(source.columns)
    reference = getattr(source.entry.chosen, "reference_band", None)
    known["reference_band"] = 0.0 if reference is None else float(bands.index(reference))
    for number, band in enumerate(bands):
        known["zero_point"] = labels.columns[f"survey.{band}.zero_point"][source.samples]
        for place, column in enumerate(columns):
            value = known.get(column)
            found[:, number, place] = (
                _value(source.columns, column, band) if value is None else value
            )
    return found


def _value(columns: dict[str, NDArray], name: str, band: str) -> NDArray[np.float64] | float:
    """Return a column of objects in one band."""
    own = columns.get(f"{PLURALS.get(name, name)}.{band}")
    if own is not None:
        return own
    value = columns.get(name)
    if value is None:
        return ABSENT.get(name, math.nan)
    if name == "fwhm":
        value = value / MINUTES
    ratio = columns.get(f"{name}_ratios.{band}")
    return value if ratio is None else value * ratio


def _limb_darkening(columns: dict[str, NDArray]) -> dict[str, NDArray[np.float64]]:
    """Return the coefficients of limb darkening, for what has a limb, by the names of the kernels' columns."""
    first = _coefficients(columns, "")
    second = _coefficients(columns, "secondary_") or first
    names = (("limb_darkening_", first), ("primary_", first), ("secondary_", second))
    return {f"{prefix}{name}": value for prefix, pair in names for name, value in pair.items()}


def _coefficients(columns: dict[str, NDArray], prefix: str) -> dict[str, NDArray[np.float64]]:
    """Return u1 and u2 of one star, by q1 and q2 where these are given (Kipping 2013, MNRAS 435, 2152, eqs. 15, 16)."""
    if f"{prefix}q1" in columns:
        root, share = np.sqrt(columns[f"{prefix}q1"]), columns[f"{prefix}q2"]
        return {"u1": 2.0 * root * share, "u2": root * (1.0 - 2.0 * share)}
    if f"{prefix}u1" in columns:
        return {name: columns[f"{prefix}{name}"] for name in ("u1", "u2")}
    return {}


def check_rows(
    source: ObjectColumns, rows: NDArray[np.float64], labels: Labels, table: str
) -> None:
    """Refuse what cannot be, or never happens.

    Raises
    ------
    LabelError
        A planet or a star that never eclipses the other or touches it, or a limb that is darker than black.
    """
    for test, message in CHECKS.get(source.entry.kind, ()):
        bad = np.flatnonzero(test(rows))
        if bad.size:
            sample = int(labels.samples[source.samples[bad[0]]])
            raise LabelError(
                f"table '{table}', sample {sample}: {source.name}: {message}",
                table=table,
                sample=sample,
            )


def _too_dark(*pairs: tuple[int, int]) -> Callable[[NDArray[np.float64]], NDArray[np.bool_]]:
    """Return the test for limb darkening that takes more light than there is, or makes the limb brighter."""

    def test(rows: NDArray[np.float64]) -> NDArray[np.bool_]:
        bad = np.zeros(len(rows), bool)
        for first, second in pairs:
            u1, u2 = rows[:, 0, first], rows[:, 0, second]
            bad |= (u1 + u2 > 1.0 + 1e-12) | (u1 < -1e-12) | (u1 + 2.0 * u2 < -1e-12)
        return bad

    return test


def _column(rows: NDArray[np.float64], shape: str, name: str) -> NDArray[np.float64]:
    """Return a column of transients of a shape."""
    return rows[:, 0, TRANSIENTS[shape].index(name)]


_DARKNESS = "its limb darkening must have u1 ≥ 0, u1 + 2 u2 ≥ 0 and u1 + u2 ≤ 1 (Kipping 2013); draw q1 and q2 instead"

CHECKS: dict[str, tuple[tuple[Callable[[NDArray[np.float64]], NDArray[np.bool_]], str], ...]] = {
    "transit": (
        (
            transits.never_transits,
            "its impact_parameter is 1 + radius_ratio or more, so it never transits; use min() or a narrower prior",
        ),
        (
            transits.collides,
            "it touches its star: scaled_semi_major_axis × (1 − eccentricity) must be above 1 + radius_ratio",
        ),
        (
            _too_dark((TRANSIT.index("limb_darkening_u1"), TRANSIT.index("limb_darkening_u2"))),
            _DARKNESS,
        ),
    ),
    "eclipsing_binary": (
        (
            eclipses.never_eclipses,
            "the stars never eclipse each other; raise its inclination, or sum_of_radii",
        ),
        (eclipses.collides, "the stars touch: sum_of_radii must be below 1 − eccentricity"),
        (
            _too_dark(
                (ECLIPSE.index("primary_u1"), ECLIPSE.index("primary_u2")),
                (ECLIPSE.index("secondary_u1"), ECLIPSE.index("secondary_u2")),
            ),
            _DARKNESS,
        ),
    ),
    "bazin": (
        (
            lambda rows: (
                ~(_column(rows, "bazin", "fall_time") > _column(rows, "bazin", "rise_time"))
            ),
            "its fall_time must be above its rise_time",
        ),
    ),
    "villar": (
        (
            lambda rows: (
                _column(rows, "villar", "plateau_duration")
                * _column(rows, "villar", "plateau_slope")
                <= -1.0 + 1e-9
            ),
            "its light is gone before the plateau ends: plateau_duration × plateau_slope must be above −1",
        ),
    ),
}
"""What is refused of each kind: a test of rows, and what is wrong where it is true."""


# sources and noise


def flux_of(magnitude: NDArray[np.float64], zero_point: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the flux of a magnitude."""
    return mathfast.exp(MAGNITUDE * (magnitude - zero_point))


NOISE = ("systematic", "photons", "constant", "scatter")
"""Of the variance (systematic F)² + photons max(F, 0) + constant, and the scatter of the depth in magnitudes: where the
depth is brighter by Δ, photons and constant are larger by 10^(−0.4 Δ) and its square."""


def noise_rows(
    law: Law, columns: Mapping[str, NDArray], prefix: str, magnitudes: NDArray, zero_points: NDArray
) -> NDArray[np.float64]:
    """Return the noise of samples in one band, float64[n, 4], as ``NOISE`` says.

    Parameters
    ----------
    law : Law
    columns : dict of str to ndarray
        Labels.
    prefix : str
        Of the names of the law's labels.
    magnitudes, zero_points : float64[n]
        Of the source, where the law needs it, and of the band.
    """

    def label(name: str) -> NDArray[np.float64]:
        return columns[f"{prefix}.{name}"]

    rows = np.zeros((len(zero_points), len(NOISE)))
    if law.depth is not None:
        limit, gamma = flux_of(label("depth"), zero_points), label("gamma")
        rows[:, 0] = label("systematic") * (math.log(10.0) / 2.5)
        rows[:, 1], rows[:, 2] = (0.04 - gamma) * limit, gamma * limit**2
        rows[:, 3] = label("scatter")
    elif law.aperture is not None:
        time = label("effective_time")
        growth = mathfast.exp(math.log(10.0) * label("pixel_slope") * (magnitudes - 10.0))
        pixels = np.maximum(label("pixels") * growth, label("pixel_floor"))
        rows[:, 0], rows[:, 1] = label("systematic"), 1.0 / time
        rows[:, 2] = pixels * (label("sky") * time + label("read_noise") ** 2) / time**2
    elif law.kepler is not None:
        time = label("effective_time")
        rows[:, 1] = 1.0 / time
        fainter = np.maximum(magnitudes, 1.0)  # the law was found for stars of magnitude 9 to 15
        rows[:, 2] = label("background") * mathfast.pow(14.0 / fainter, 5.0) / time**2
    else:
        rows[:, 2] = label("sigma") ** 2
    return rows


def source_rows(
    table: LightCurveTable, labels: Labels, found: list[ObjectColumns]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return magnitude and flux of the sources in each band, float64[n, b]; NaN and 0 where a sample has none."""
    bands = table.survey.names
    magnitudes = np.full((len(labels), len(bands)), math.nan)
    fluxes = np.zeros_like(magnitudes)
    for source in found:
        for number, band in enumerate(bands):
            magnitude = _value(source.columns, "magnitude", band)
            magnitude = magnitude + source.columns.get(f"colors.{band}", 0.0)
            magnitudes[source.samples, number] = magnitude
            zero_points = labels.columns[f"survey.{band}.zero_point"][source.samples]
            fluxes[source.samples, number] = flux_of(np.asarray(magnitude), zero_points)
    return magnitudes, fluxes


def noise_of(
    table: LightCurveTable, labels: Labels, magnitudes: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the noise of samples in each band, float64[n, b, 4]; see ``surveys.NOISE``."""
    found = np.empty((*magnitudes.shape, len(NOISE)))
    for number, (name, band) in enumerate(table.survey.bands.items()):
        zero_points = labels.columns[f"survey.{name}.zero_point"]
        prefix = f"survey.{name}.noise"
        found[:, number] = noise_rows(
            band.noise, labels.columns, prefix, magnitudes[:, number], zero_points
        )
    return found
