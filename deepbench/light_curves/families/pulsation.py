"""Stars that pulsate: with a series of harmonics, or in single modes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import create_model

from deepbench.language.specification import parameter, parameters_of
from deepbench.language.values import Value
from deepbench.light_curves.families.family import BandValues, Modulation, ratios, record
from deepbench.light_curves.families.pulsation_relations import RELATIONS
from deepbench.light_curves.units import LOG_FLUX

if TYPE_CHECKING:
    from deepbench.light_curves.batches import ObjectBatch
    from deepbench.light_curves.survey.exposures import Nodes

HARMONICS = 8
"""Number of the highest harmonic of a series."""

PULSATION = record(
    *("period", "peak_time", "amplitude"),
    *(f"ratio_{k}1" for k in range(2, HARMONICS + 1)),
    *(f"phase_{k}1" for k in range(2, HARMONICS + 1)),
)
"""Row of a series in a band: days, days, magnitudes (of the band), R_21 … R_81 and φ_21 … φ_81 in radian."""

PULSATION_MODE = record("frequency", "amplitude", "phase")
"""Row of a mode in a band: cycles per day, magnitudes (of the band), radian."""

_TURN = 2.0 * math.pi


class Pulsator(Modulation):
    """A star that pulsates: Σ A_k cos(2π k (t − t0) / P + φ_k) in magnitudes (Simon and Lee 1981)."""

    row: ClassVar[np.dtype] = PULSATION
    by_band: ClassVar[tuple[str, ...]] = ("amplitude_ratios",)

    period: Value = parameter("period of the pulsation", unit="d", above=0)
    peak_time: Value = parameter("time of a maximum of the light", unit="d")
    amplitude: Value = parameter(
        "faintest minus brightest magnitude", unit="mag", minimum=0, maximum=5
    )
    amplitude_ratios: BandValues | None = ratios("amplitude")
    ratio_21: Value = parameter("A_2 / A_1", minimum=0, maximum=2, default=0.0)
    ratio_31: Value = parameter("A_3 / A_1", minimum=0, maximum=2, default=0.0)
    ratio_41: Value = parameter("A_4 / A_1", minimum=0, maximum=2, default=0.0)
    ratio_51: Value = parameter("A_5 / A_1", minimum=0, maximum=2, default=0.0)
    ratio_61: Value = parameter("A_6 / A_1", minimum=0, maximum=2, default=0.0)
    ratio_71: Value = parameter("A_7 / A_1", minimum=0, maximum=2, default=0.0)
    ratio_81: Value = parameter("A_8 / A_1", minimum=0, maximum=2, default=0.0)
    phase_21: Value = parameter("φ_2 − 2 φ_1", unit="radian", default=0.0)
    phase_31: Value = parameter("φ_3 − 3 φ_1", unit="radian", default=0.0)
    phase_41: Value = parameter("φ_4 − 4 φ_1", unit="radian", default=0.0)
    phase_51: Value = parameter("φ_5 − 5 φ_1", unit="radian", default=0.0)
    phase_61: Value = parameter("φ_6 − 6 φ_1", unit="radian", default=0.0)
    phase_71: Value = parameter("φ_7 − 7 φ_1", unit="radian", default=0.0)
    phase_81: Value = parameter("φ_8 − 8 φ_1", unit="radian", default=0.0)

    def fastest(self, rows: NDArray) -> NDArray[np.float64]:
        """Return the angular rate of the highest harmonic of each object, rad/day."""
        first = rows[:, 0]
        orders = np.arange(2, HARMONICS + 1)
        ratio = np.stack([first[f"ratio_{k}1"] for k in orders], axis=-1)
        highest = np.max((ratio != 0.0) * orders, axis=1, initial=1)
        return np.asarray(_TURN * highest / first["period"], dtype=np.float64)

    def smooth(self, rows: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return amplitude (of ln flux) and angular rate of each harmonic, float64[k, 8] each."""
        from deepbench.light_curves.families.pulsation_kernels import write_harmonics

        amplitudes, rates = (np.empty((len(rows), HARMONICS)) for _ in range(2))
        write_harmonics(rows, amplitudes, rates)
        return amplitudes, rates

    def write(self, batch: ObjectBatch, nodes: Nodes, values: NDArray[np.float64]) -> None:
        """Multiply by the light of pulsating stars, in units of that of their mean magnitude."""
        from deepbench.light_curves.families.pulsation_kernels import multiply_pulsations

        batch.write_nodes(multiply_pulsations, nodes, values)


def _star_of_relations(name: str, kind: str, words: str) -> type[Pulsator]:
    """Return a pulsating star whose shape, where it is not given, follows from its period by published relations."""
    fields: dict[str, Any] = {}
    for field, expression in RELATIONS[kind].items():
        of_all = parameters_of(Pulsator)[field]
        limits = {each: getattr(of_all, each) for each in ("unit", "minimum", "maximum")}
        fields[field] = (Value, parameter(of_all.description, default=expression, **limits))
    return create_model(name, __base__=Pulsator, __doc__=words, __module__=__name__, **fields)


RrLyraeAb = _star_of_relations(
    "RrLyraeAb", "rr_lyrae_ab", "An RR Lyrae star in the fundamental mode, by default in V."
)
RrLyraeC = _star_of_relations(
    "RrLyraeC", "rr_lyrae_c", "An RR Lyrae star in the first overtone, by default in V."
)
Cepheid = _star_of_relations(
    "Cepheid", "cepheid", "A classical Cepheid in the fundamental mode, by default in V."
)


class PulsationMode(Modulation):
    """One mode of a δ Scuti star, or any variation as a sine: A sin(2π f t + φ) in magnitudes."""

    row: ClassVar[np.dtype] = PULSATION_MODE
    by_band: ClassVar[tuple[str, ...]] = ("amplitude_ratios",)

    frequency: Value = parameter("frequency f", unit="d-1", above=0)
    amplitude: Value = parameter(
        "amplitude A, half of the full range", unit="mag", minimum=0, maximum=2
    )
    amplitude_ratios: BandValues | None = ratios("amplitude")
    phase: Value = parameter("phase φ at time 0", unit="radian", default=0.0)

    def fastest(self, rows: NDArray) -> NDArray[np.float64]:
        """Return the angular rate of each mode, rad/day."""
        return _TURN * np.abs(rows["frequency"][:, 0])

    def smooth(self, rows: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return amplitude (of ln flux) and angular rate of each mode, float64[k, 1] each."""
        largest = np.abs(rows["amplitude"]).max(axis=1)
        return (-LOG_FLUX * largest)[:, None], self.fastest(rows)[:, None]

    def write(self, batch: ObjectBatch, nodes: Nodes, values: NDArray[np.float64]) -> None:
        """Multiply by the light of stars with one mode each."""
        from deepbench.light_curves.families.pulsation_kernels import multiply_pulsation_modes

        batch.write_nodes(multiply_pulsation_modes, nodes, values)
