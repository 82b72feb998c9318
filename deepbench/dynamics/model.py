"""Tables of dynamics, as recipes describe them: times, systems, what is stored, noise, and frames.

These are frozen specifications without arrays. ``systems`` has what moves, ``recording`` what is kept of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from deepbench.arrays import Coordinate, DataVariable
from deepbench.dynamics.recording import MAXIMUM_MARGIN, Frames, MeasurementNoise, Times
from deepbench.dynamics.systems.system import LONG_NAMES, OF_BODIES, Setting, System
from deepbench.dynamics.systems.systems import SystemEntry
from deepbench.labelling.scopes import EVERY_CLASS, VARIABLES, Scope, scope_of, variables_scope
from deepbench.language.specification import (
    Name,
    Number,
    Parameter,
    problem,
)
from deepbench.tables import ClassSpecification, TableSpecification

if TYPE_CHECKING:
    from deepbench.labelling.plan import LabelPlan

RESERVED = frozenset({"noise", "frames", VARIABLES})
"""Names of what is labelled beside systems and bodies."""

TRUE = "_true"
"""End of the names of variables without noise."""

BATCH_NUMBERS = 2**20
"""Numbers of positions and velocities that are found together, about."""

Stored = Literal[
    "position", "velocity", "q", "p", "dq_dt", "dp_dt",
    "position_true", "velocity_true", "q_true", "p_true", "dq_dt_true", "dp_dt_true",
]  # fmt: skip

LYAPUNOV = {
    "lyapunov_exponent": Parameter(
        "finite-time Lyapunov exponent: logarithm of the growth of a small difference over the duration",
        "1/s",
    ),
    "lyapunov_times": Parameter("the same times the duration"),
}
"""Labels of chaotic systems that are measured on their motion."""


class DynamicsClass(ClassSpecification):
    """One class of motions: its system."""

    system: SystemEntry = Field(description="what moves")

    @field_validator("system")
    @classmethod
    def _free_names(cls, system: SystemEntry) -> SystemEntry:
        names = [system.label, *system.chosen.labelled_bodies]
        taken = sorted(RESERVED & set(names))
        if taken:
            raise problem(f"'{taken[0]}' cannot be the name of a system or a body; choose another")
        if len(set(names)) < len(names):
            raise problem(f"a body has the name of its system, '{names[0]}'; give it another")
        return system


class DynamicsTable(TableSpecification):
    """A table of motions: pendulums, or orbits."""

    kind: Literal["dynamics"]
    times: Times = Field(description="the times that are stored; all motions begin at time 0")
    classes: Annotated[dict[Name, DynamicsClass], Field(min_length=1, max_length=10_000)] = Field(
        description="what is drawn for each sample, by name"
    )
    store: Annotated[tuple[Stored, ...], Field(min_length=1)] = Field(
        OF_BODIES, description="the variables that are stored"
    )
    noise: MeasurementNoise | None = Field(None, description="noise of what is measured")
    frames: Frames | None = Field(None, description="the motion as an image sequence")
    lyapunov_limit: Annotated[Number, Field(gt=0)] = Field(
        10.0,
        description="Lyapunov times beyond which a motion is refused, as small errors have grown e-fold as often",
    )

    @field_validator("classes")
    @classmethod
    def _one_setting(cls, classes: dict[str, DynamicsClass]) -> dict[str, DynamicsClass]:
        settings = {each.system.chosen.setting.name: name for name, each in classes.items()}
        if len(settings) > 1:
            found = ", ".join(f"'{name}' in {setting}" for setting, name in settings.items())
            raise problem(
                f"the classes of a table share its times, so they share their units: {found}; make two tables"
            )
        return classes

    @field_validator("store")
    @classmethod
    def _stored_once(cls, store: tuple[Stored, ...]) -> tuple[Stored, ...]:
        if len(set(store)) < len(store):
            raise problem("names a variable twice")
        return store

    @model_validator(mode="after")
    def _fits(self) -> Self:
        """Refuse noise of nothing, true values of what has no noise, and momenta and arms of orbits."""
        noisy = self.noise.given if self.noise is not None else []
        for name in noisy:
            if name not in self.store:
                raise problem(f"`noise` has {name}, which is not in `store`")
        for name in self.store:
            if name.endswith(TRUE) and name.removesuffix(TRUE) not in noisy:
                raise problem(f"{name} is {name.removesuffix(TRUE)} itself, which has no noise")
            if any(name.removesuffix(TRUE) not in system.variables for system in self.systems):
                raise problem(f"{name} is stored of pendulums only")
        if self.frames is not None:
            bare = [system for system in self.systems if not system.has_arms]
            if self.frames.rods is not None and bare:
                raise problem(f"the frames of {bare[0].plural} have no arms: leave out `rods`")
            if len(self.frames.disks) > self.body_count:
                raise problem(
                    f"there are {self.body_count} bodies, but {len(self.frames.disks)} disks"
                )
            if self.frames.every >= self.times.count:
                raise problem(
                    f"`every` must be below {self.times.count}, the number of times: there is one frame only"
                )
        return self

    @property
    def systems(self) -> list[System]:
        """The system of each class."""
        return [each.system.chosen for each in self.classes.values()]

    @property
    def setting(self) -> Setting:
        """Units and axes of its motions."""
        return self.systems[0].setting

    @property
    def body_count(self) -> int:
        """The largest number of bodies of a class."""
        return max(system.body_count for system in self.systems)

    @property
    def is_ragged(self) -> bool:
        """Whether some classes have fewer bodies than others."""
        return len({system.body_count for system in self.systems}) > 1

    def scopes(self) -> list[Scope]:
        """Return every set of parameters that is drawn together, in the order of the recipe."""
        scopes = [variables_scope(self.variables, ("variables",))]
        for class_name, described in self.classes.items():
            path: tuple[str | int, ...] = ("classes", class_name)
            scopes.append(variables_scope(described.variables, (*path, "variables"), class_name))
            entry = described.system
            path = (*path, "system", entry.kind)
            scope = scope_of(entry.chosen, entry.label, path, class_name)
            if entry.chosen.chaotic:
                scope = replace(scope, measured=self._measured())
            found = [scope]
            bodies = enumerate(entry.chosen.labelled_bodies.items())
            for index, (name, body) in bodies:
                found.append(scope_of(body, name, (*path, "bodies", index), class_name))
            if not entry.chosen.setting.has_units:
                found = [_without_units(each) for each in found]
            scopes += found
        if self.noise is not None:
            scope = scope_of(self.noise, "noise", ("noise",))
            units = {name: self.setting.units[name] for name in scope.values}
            scopes.append(_with_units(scope, units))
        scopes += self._frame_scopes()
        return [scope for scope in scopes if scope.values]

    def _frame_scopes(self) -> list[Scope]:
        frames = self.frames
        if frames is None:
            return []
        length = self.setting.units["position"]
        unit = "pixel" if length == "1" else f"pixel/{length}"
        found = [_with_units(scope_of(frames, "frames", ("frames",)), {"scale": unit})]
        for index, (name, disk) in enumerate(zip(frames.disk_names(), frames.disks, strict=True)):
            found.append(scope_of(disk, name, ("frames", "disks", index)))
        if frames.rods is not None:
            found.append(scope_of(frames.rods, "frames.rods", ("frames", "rods")))
        return found

    def _measured(self) -> dict[str, Parameter]:
        """Return the labels that are measured of a chaotic system."""
        time = self.setting.units["time"]
        rate = replace(LYAPUNOV["lyapunov_exponent"], unit="1" if time == "1" else f"1/{time}")
        return {**LYAPUNOV, "lyapunov_exponent": rate}

    def pixel_streams(self) -> list[str]:
        """Return the streams of the noise of each variable and of the frames, without the table's name."""
        names = self.noise.given if self.noise is not None else []
        streams = [noise_stream(name) for name in names]
        return streams if self.frames is None else [*streams, FRAME_STREAM]

    def data_variables(self) -> tuple[DataVariable, ...]:
        """Return what is stored of each sample."""
        found = []
        for stored in self.store:
            name = stored.removesuffix(TRUE)
            bodies = name in OF_BODIES
            dimensions = ("time", "body", "axis") if bodies else ("time", "degree")
            shape = (self.times.count, self.body_count, *((self.setting.axes,) if bodies else ()))
            long_name = LONG_NAMES[name] + (", without noise" if stored != name else "")
            unit, missing = self.setting.units[name], self.is_ragged
            variable = DataVariable(
                stored, long_name, unit, dimensions, shape, "float64", missing=missing
            )
            found.append(variable)
        if self.frames is not None:
            shape = (len(self.frame_times), *self.frames.size)
            found.append(
                DataVariable(
                    "frames", "image of the motion", "1", ("frame", "y", "x"), shape, "float32"
                )
            )
        return tuple(found)

    @property
    def frame_times(self) -> NDArray[np.float64]:
        """The times of the frames."""
        return self.times.numbers[:: self.frames.every if self.frames is not None else 1]

    def coordinates(self) -> tuple[Coordinate, ...]:
        """Return the coordinates of the dimensions after ``sample``."""
        names = {name.removesuffix(TRUE) for name in self.store}
        unit, times = self.setting.units["time"], self.times.numbers
        found = [Coordinate("time", "time", unit, len(times), numbers=times)]
        if names & {*OF_BODIES}:
            axes = ("x", "y", "z")[: self.setting.axes]
            found.append(Coordinate("body", "number of the body", "1", self.body_count))
            found.append(Coordinate("axis", "axis", "1", self.setting.axes, axes))
        if names - {*OF_BODIES}:
            found.append(Coordinate("degree", "number of the arm", "1", self.body_count))
        if self.frames is not None:
            ny, nx = self.frames.size
            times = self.frame_times
            found += [
                Coordinate("frame", "time of the frame", unit, len(times), numbers=times),
                Coordinate("y", "pixel centre, upwards", "pixel", ny),
                Coordinate("x", "pixel centre, to the right", "pixel", nx),
            ]
        return tuple(found)

    @property
    def batch_length(self) -> int:
        """Number of samples that are rendered together; it changes no value."""
        return max(1, BATCH_NUMBERS // (self.times.count * self.body_count * 2 * self.setting.axes))

    def working_bytes(self, plan: LabelPlan) -> int:
        """Return the bytes that rendering takes beside its result: states of a batch, planes and shapes of frames."""
        states = self.batch_length * self.times.count * self.body_count
        total = 8 * states * 8 * self.setting.axes
        if self.frames is not None:
            ny, nx = self.frames.size
            shapes = 2 * states // self.frames.every + 2 * self.body_count
            margins = 12 * (ny + MAXIMUM_MARGIN) * (nx + MAXIMUM_MARGIN)
            total += 150 * shapes + margins + 4 * len(self.frame_times) * ny * nx
        return total


FRAME_STREAM = f"{EVERY_CLASS}/frames.noise/pixels"


def noise_stream(name: str) -> str:
    """Return the stream of the noise of a variable, without the table's name."""
    return f"{EVERY_CLASS}/noise.{name}/values"


def _with_units(scope: Scope, units: Mapping[str, str]) -> Scope:
    """Return a scope with other units of some of its values."""
    parameters = {
        name: replace(each, unit=units.get(name, each.unit))
        for name, each in scope.parameters.items()
    }
    return replace(scope, parameters=parameters)


def _without_units(scope: Scope) -> Scope:
    """Return a scope of which only angles have units."""
    units = {name: "1" for name, each in scope.parameters.items() if each.unit != "degree"}
    return _with_units(scope, units)
