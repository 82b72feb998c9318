"""Models of the noise of an observation: how its variance follows from the flux.

Each is (systematic F)² + photons max(F, 0) + constant; it says what these are. A new model is a class here, and its
entry in ``NOISE_MODELS``.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from deepbench.language.one_of import OneOf, one_of
from deepbench.language.specification import Specification, parameter
from deepbench.language.values import Value
from deepbench.light_curves.units import LOG_FLUX

NOISE = np.dtype(
    [(name, np.float64) for name in ("systematic", "photons", "constant", "scatter")], align=True
)
"""Row of the noise of a sample in a band, in units of the flux.

Beside the terms of the variance it has the scatter of the depth in magnitudes: where the depth is brighter by Δ,
photons and constant are larger by 10^(−0.4 Δ) and its square.
"""

Label = Callable[[str], NDArray[np.float64]]
"""Function that returns the values of a parameter of a model, float64[n], by its name."""

Terms = Mapping[str, NDArray[np.float64] | float]
"""Fields of ``NOISE`` by their names; what is left out is 0."""


def flux_of(magnitude: NDArray[np.float64], zero_point: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the flux of a magnitude."""
    from deepbench.numerics import mathfast

    return mathfast.exp(LOG_FLUX * (magnitude - zero_point))


class NoiseSpecification(Specification):
    """Base of models of noise, with all that each provides.

    Attributes
    ----------
    needs_magnitude : bool
        Whether it depends on the magnitude of the source.
    """

    needs_magnitude: ClassVar[bool] = False

    @abstractmethod
    def terms(
        self, label: Label, magnitudes: NDArray[np.float64], zero_points: NDArray[np.float64]
    ) -> Terms:
        """Return the terms of the variance of n samples.

        Parameters
        ----------
        label : callable
        magnitudes, zero_points : float64[n]
            Those of the source, NaN where there is none, and of the band.
        """


class DepthNoise(NoiseSpecification):
    """The law of Ivezić et al. (2019, ApJ 873, 111), eq. 4 and 5, in flux: with F5 the flux at the depth,

    σ² = (systematic ln 10 / 2.5)² F² + (0.04 − gamma) max(F, 0) F5 + gamma F5².
    """

    depth: Value = parameter("AB magnitude that is detected at 5σ in one exposure", unit="mag")
    scatter: Value = parameter(
        "standard deviation of the depth from exposure to exposure",
        unit="mag",
        minimum=0,
        maximum=3,
        default=0.0,
    )
    gamma: Value = parameter(
        "share of sky and detector in the noise", minimum=0, maximum=0.04, default=0.039
    )
    systematic: Value = parameter("error that is left for bright sources", unit="mag", minimum=0)

    def terms(
        self, label: Label, magnitudes: NDArray[np.float64], zero_points: NDArray[np.float64]
    ) -> Terms:
        """Return the terms of the variance."""
        limit, gamma = flux_of(label("depth"), zero_points), label("gamma")
        return {
            "systematic": label("systematic") * (math.log(10.0) / 2.5),
            "photons": (0.04 - gamma) * limit,
            "constant": gamma * limit**2,
            "scatter": label("scatter"),
        }


class ApertureNoise(NoiseSpecification):
    """Photons in an aperture on a detector (Sullivan et al. 2015, ApJ 809, 77): with t the effective time,

    σ² = (systematic F)² + max(F, 0) / t + pixels (sky t + read_noise²) / t², flux in electrons per second. The aperture
    has pixels × 10^(pixel_slope × (m − 10)) pixels, at least ``pixel_floor``, m being the source's magnitude.
    """

    needs_magnitude: ClassVar[bool] = True

    effective_time: Value = parameter("time in which photons are counted", unit="s", above=0)
    pixels: Value = parameter("number of pixels for a source of magnitude 10", above=0)
    pixel_slope: Value = parameter(
        "decimal logarithm of the number of pixels, per magnitude", unit="mag-1", default=0.0
    )
    pixel_floor: Value = parameter("least number of pixels", minimum=0, default=1.0)
    sky: Value = parameter("background in a pixel", unit="electron/s", minimum=0)
    read_noise: Value = parameter(
        "standard deviation of the noise of reading a pixel, of all reads of an exposure together",
        unit="electron",
        minimum=0,
    )
    systematic: Value = parameter(
        "relative error of one exposure that is left for bright sources", minimum=0
    )

    def terms(
        self, label: Label, magnitudes: NDArray[np.float64], zero_points: NDArray[np.float64]
    ) -> Terms:
        """Return the terms of the variance."""
        from deepbench.numerics import mathfast

        time = label("effective_time")
        growth = mathfast.exp(math.log(10.0) * label("pixel_slope") * (magnitudes - 10.0))
        pixels = np.maximum(label("pixels") * growth, label("pixel_floor"))
        background = label("sky") * time + label("read_noise") ** 2
        return {
            "systematic": label("systematic"),
            "photons": 1.0 / time,
            "constant": pixels * background / time**2,
        }


class KeplerLaw(NoiseSpecification):
    """Relative σ = √(c + b) / c of a star: c electrons in an exposure, and a background b that its magnitude sets."""

    needs_magnitude: ClassVar[bool] = True

    effective_time: Value = parameter("time in which photons are counted", unit="s", above=0)

    @abstractmethod
    def background_of(self, label: Label, magnitudes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the variance of the background behind sources of these magnitudes, electron²."""

    def terms(
        self, label: Label, magnitudes: NDArray[np.float64], zero_points: NDArray[np.float64]
    ) -> Terms:
        """Return the terms of the variance."""
        time = label("effective_time")
        constant = self.background_of(label, magnitudes) / time**2
        return {"photons": 1.0 / time, "constant": constant}


class KeplerNoise(KeplerLaw):
    """Kepler's short cadences: relative σ = √(c + background (14 / m)⁵) / c, with c electrons in an exposure.

    The lower envelope of Gilliland et al. (2010, ApJ 713, L160), in which the background is 9.5e5 and
    c = 1.28e7 × 10^(0.4 (12 − m)); m is the source's magnitude.
    """

    background: Value = parameter(
        "variance of the background at magnitude 14", unit="electron2", minimum=0, default=9.5e5
    )

    def background_of(self, label: Label, magnitudes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the variance of the background behind sources of these magnitudes, electron²."""
        from deepbench.numerics import mathfast

        fainter = np.maximum(magnitudes, 1.0)  # the law was found for stars of magnitude 9 to 15
        return label("background") * mathfast.pow(14.0 / fainter, 5.0)


class KeplerLongNoise(KeplerLaw):
    """Kepler's long cadences: relative σ = √(c + background max(1, m / 14)⁴) / c, with c electrons in an exposure.

    The lower envelope of Jenkins et al. (2010, ApJ 713, L120), in which the background is 7e6 and
    c = 3.46e8 × 10^(0.4 (12 − m)); m is the source's magnitude.
    """

    background: Value = parameter(
        "variance of the background up to magnitude 14", unit="electron2", minimum=0, default=7e6
    )

    def background_of(self, label: Label, magnitudes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the variance of the background behind sources of these magnitudes, electron²."""
        growth = np.maximum(magnitudes / 14.0, 1.0) ** 2
        return label("background") * growth * growth


class ConstantNoise(NoiseSpecification):
    """One standard deviation for all observations, in units of the flux."""

    sigma: Value = parameter("standard deviation", unit="", above=0)

    def terms(
        self, label: Label, magnitudes: NDArray[np.float64], zero_points: NDArray[np.float64]
    ) -> Terms:
        """Return the terms of the variance."""
        return {"constant": label("sigma") ** 2}


NOISE_MODELS: dict[str, type[NoiseSpecification]] = {
    "depth": DepthNoise,
    "aperture": ApertureNoise,
    "kepler": KeplerNoise,
    "kepler_long": KeplerLongNoise,
    "constant": ConstantNoise,
}
"""Models of the noise of a survey by the name that a recipe has for them."""


@one_of(NOISE_MODELS)
class NoiseModel(OneOf):
    """The noise of an observation."""

    def rows(
        self,
        columns: Mapping[str, NDArray],
        prefix: str,
        magnitudes: NDArray[np.float64],
        zero_points: NDArray[np.float64],
    ) -> NDArray:
        """Return the noise of n samples in one band, ``NOISE[n]``.

        Parameters
        ----------
        columns : mapping of str to ndarray
            Labels of the samples.
        prefix : str
            Beginning of the names of the model's labels.
        magnitudes, zero_points : float64[n]
            Those of the source, NaN where there is none, and of the band.
        """
        rows = np.zeros(len(zero_points), NOISE)
        terms = self.chosen.terms(lambda name: columns[f"{prefix}.{name}"], magnitudes, zero_points)
        for name, values in terms.items():
            rows[name] = values
        return rows
