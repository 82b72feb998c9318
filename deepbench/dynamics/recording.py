"""Records of a motion: times, noise of measurements, frames."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from deepbench.images.model.table import MAXIMUM_SIZE
from deepbench.language.plain import show
from deepbench.language.specification import Number, Specification, Whole, parameter, problem
from deepbench.language.values import Value

MAXIMUM_TIMES = 1_000_000

LONGEST = 1e300
"""Longest duration; times its number of steps, it is still a number."""

MAXIMUM_BLUR = 64.0
MAXIMUM_MARGIN = 2 * int(4 * MAXIMUM_BLUR + 2)
"""Pixels by which the plane of the widest blur is larger than its frame."""


class Times(Specification):
    """The times that are stored: evenly from 0 to ``duration``, or as listed."""

    duration: Annotated[Number, Field(gt=0)] | None = Field(
        None, description="the last time; s of pendulums, yr of orbits"
    )
    steps: Annotated[Whole, Field(ge=2, le=MAXIMUM_TIMES)] | None = Field(
        None, description="how many times, with both ends"
    )
    values: Annotated[tuple[Number, ...], Field(min_length=1, max_length=10_000)] | None = Field(
        None, description="the times themselves, from 0 on, increasing"
    )

    @field_validator("duration")
    @classmethod
    def _short(cls, duration: float | None) -> float | None:
        if duration is not None and duration > LONGEST:
            raise problem(f"must be at most {LONGEST:g}, not {show(duration)}")
        return duration

    @field_validator("values")
    @classmethod
    def _increasing(cls, values: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if values is not None:
            if values[0] < 0:
                raise problem(f"motions begin at time 0; the first time is {values[0]:g}")
            for before, after in pairwise(values):
                if after <= before:
                    raise problem(f"times must increase; {after:g} follows {before:g}")
            if values[-1] == 0:
                raise problem("the last time must be above 0")
        return values

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if given not in (["duration", "steps"], ["values"]):
            found = " and ".join(given) or "none of them"
            raise problem(f"must have either duration and steps, or values; it has {found}")
        return self

    @property
    def count(self) -> int:
        """Number of the times."""
        return len(self.values) if self.values is not None else self.steps or 0

    @property
    def numbers(self) -> NDArray[np.float64]:
        """The times; float64[count]."""
        if self.values is not None:
            return np.array(self.values)
        return (self.duration or 0.0) * np.arange(self.count) / (self.count - 1)


def _sigma(of: str) -> Any:
    return parameter(f"standard deviation of the noise of {of}", minimum=0, default=None)


class MeasurementNoise(Specification):
    """Independent normal noise of what is measured; the motion itself knows nothing of it."""

    position: Value | None = _sigma("positions")
    velocity: Value | None = _sigma("velocities")
    q: Value | None = _sigma("angles")
    p: Value | None = _sigma("momenta")
    dq_dt: Value | None = _sigma("the derivative of angles")
    dp_dt: Value | None = _sigma("the derivative of momenta")

    @property
    def given(self) -> list[str]:
        """Names of the variables that have noise."""
        return [name for name in type(self).model_fields if getattr(self, name) is not None]


class Rod(Specification):
    """Look of the arms of pendulums."""

    thickness: Value = parameter("width of an arm", unit="pixel", above=0)
    amplitude: Value = parameter("value of a pixel that is wholly covered", default=1.0)


class Disk(Specification):
    """Look of a body."""

    radius: Value = parameter("radius of a body", unit="pixel", above=0)
    amplitude: Value = parameter("value of a pixel that is wholly covered", default=1.0)


class Frames(Specification):
    """The motion without noise as an image sequence: bodies are disks on top of arms, each over those before it."""

    size: tuple[
        Annotated[Whole, Field(ge=1, le=MAXIMUM_SIZE)],
        Annotated[Whole, Field(ge=1, le=MAXIMUM_SIZE)],
    ] = Field(description="number of pixels along y and x")
    every: Annotated[Whole, Field(ge=1)] = Field(
        1, description="how many times there are from one frame to the next"
    )
    scale: Value = parameter("pixels per unit of length", unit="pixel/m", above=0)
    x: Value | None = parameter(
        "position of the origin of the motion along x; the frame's centre when absent",
        unit="pixel",
        default=None,
    )
    y: Value | None = parameter(
        "position of the origin of the motion along y; the frame's centre when absent",
        unit="pixel",
        default=None,
    )
    disks: Annotated[tuple[Disk, ...], Field(min_length=1, max_length=10)] = Field(
        description="how each body looks, in their order; the last one is that of all further bodies"
    )
    rods: Rod | None = Field(None, description="how arms look; none are drawn when absent")
    blur: Value = parameter(
        "standard deviation of a Gaussian that blurs the frames",
        unit="pixel",
        minimum=0,
        maximum=MAXIMUM_BLUR,
        default=0.0,
    )
    noise: Value = parameter("standard deviation of the noise of a pixel", minimum=0, default=0.0)

    @field_validator("size", mode="before")
    @classmethod
    def _two_numbers(cls, size: Any) -> Any:
        if not isinstance(size, list | tuple) or len(size) != 2:
            raise problem(f"must be [y, x], two whole numbers, not {show(size)}")
        return size

    def disk_names(self) -> list[str]:
        """Return the names of the disks in labels: ``frames.disk``, ``frames.disk.2``, …"""
        return ["frames.disk", *(f"frames.disk.{i + 2}" for i in range(len(self.disks) - 1))]
