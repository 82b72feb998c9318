"""Noise: the steps in which it comes over an image, as a recipe says them, and the rows that kernels read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from deepbench.labelling.scopes import EVERY_CLASS
from deepbench.language.one_of import NamedOneOf, names_of, one_of
from deepbench.language.specification import Specification, parameter, parameters_of
from deepbench.language.values import Value


class GaussianNoise(Specification):
    """Independent normal noise."""

    sigma: Value = parameter("standard deviation", minimum=0)


class PoissonNoise(Specification):
    """Photon noise of the image and a background: Poisson(gain × (image + background)) / gain − background.

    Where image + background is negative, the mean is zero.
    """

    gain: Value = parameter("counted electrons per unit of the image", above=0, default=1.0)
    background: Value = parameter(
        "level of light whose photon noise is added, and which is subtracted",
        minimum=0,
        default=0.0,
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

    level: Value = parameter("level that is added to every pixel")


NOISE_STEPS: dict[str, type[Specification]] = {
    "background": Background,
    "poisson": PoissonNoise,
    "gaussian": GaussianNoise,
    "correlated": CorrelatedNoise,
}
"""Steps of the noise by the name that a recipe has for them."""


CODES = {kind: code for code, kind in enumerate(NOISE_STEPS)}
"""Numbers by which kernels know the steps."""

NOISE_ROW = np.dtype(
    [
        (name, np.float64)
        for name in dict.fromkeys(
            name for step in NOISE_STEPS.values() for name in parameters_of(step)
        )
    ]
)
"""Row of a step: the parameters of all steps, zero where it has none."""


@one_of(NOISE_STEPS)
class NoiseEntry(NamedOneOf):
    """One step of the noise."""


def noise_streams(steps: Sequence[NoiseEntry]) -> list[str]:
    """Return the streams of steps, without the table's name."""
    return [f"{EVERY_CLASS}/noise.{name}/pixels" for name in names_of(steps)]
