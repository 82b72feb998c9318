"""Bodies that attract each other: what a recipe may say about them, and how they move.

Orbits are in au, solar masses and years, or in units in which the gravitational constant is 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from deepbench.dynamics.systems.system import MAXIMUM_BODIES, Setting, System
from deepbench.language.specification import Name, Specification, parameter, problem
from deepbench.language.values import Value

if TYPE_CHECKING:
    from deepbench.dynamics.systems.class_batch import ClassBatch

ASTRONOMICAL = Setting("au and years", 3, {"time": "yr", "position": "AU", "velocity": "AU/yr"})
N_BODY = Setting("n_body units", 3, {"time": "1", "position": "1", "velocity": "1"})
"""The settings of orbits."""

CONSTANT = 39.47841760435743
"""Gravitational constant in au³ / (solar mass yr²), 4π²: a massless body goes round the Sun at 1 au in a year."""

CLOSE = (
    "bodies come too close to each other, or the duration is too long; "
    "narrow the priors, shorten the duration, or soften the gravity of bodies"
)
"""Why motions take too many steps, or lose their energy."""

Units = Literal["astronomical", "n_body"]


class Orbits(System):
    """Bodies that attract each other."""

    plural: ClassVar[str] = "orbits"

    units: Units = Field(
        "astronomical",
        description="au, solar masses and years with G = 4π²; or n_body, where G is 1",
    )

    @property
    def setting(self) -> Setting:
        """Units and axes of its motion."""
        return ASTRONOMICAL if self.units == "astronomical" else N_BODY

    @property
    def constant(self) -> float:
        """The gravitational constant in its units."""
        return CONSTANT if self.units == "astronomical" else 1.0


class TwoBody(Orbits):
    """Two bodies on ellipses about their centre of mass, which rests at the origin."""

    mass_1: Value = parameter("mass of the first body", unit="solMass", above=0)
    mass_2: Value = parameter("mass of the second body", unit="solMass", minimum=0)
    semi_major_axis: Value = parameter("semi-major axis of the relative orbit", unit="AU", above=0)
    eccentricity: Value = parameter("eccentricity of both orbits", minimum=0, below=1)
    inclination: Value = parameter(
        "inclination of the orbit to the plane of x and y", unit="degree", default=0.0
    )
    longitude_of_ascending_node: Value = parameter(
        "angle from +x to where the second body passes the plane towards +z",
        unit="degree",
        default=0.0,
    )
    argument_of_periastron: Value = parameter(
        "angle from the ascending node to the second body's periastron", unit="degree", default=0.0
    )
    time_of_periastron: Value = parameter(
        "time at which the bodies are closest", unit="yr", default=0.0
    )

    @property
    def body_count(self) -> int:
        """Number of bodies."""
        return 2

    def move(self, batch: ClassBatch) -> None:
        """Write the motions of some samples."""
        from deepbench.dynamics.systems.kepler_orbits import PAIR, revolve

        pairs = np.empty(len(batch), PAIR)
        pairs["constant"] = self.constant
        for name in ("mass_1", "mass_2", "semi_major_axis", "eccentricity", "time_of_periastron"):
            pairs[name] = batch.true(name)
        for name in ("inclination", "longitude_of_ascending_node", "argument_of_periastron"):
            pairs[f"{name}_degrees"] = batch.true(name)
        revolve(pairs, batch.times, batch.rows, *batch.of_bodies())


class Body(Specification):
    """One of a few bodies: its mass, and where it is and goes at time 0."""

    name: Name | None = Field(None, description="in labels and streams; `body`, `body.2`, …")
    mass: Value = parameter("mass of the body", unit="solMass", minimum=0)
    x: Value = parameter("position along x at time 0", unit="AU")
    y: Value = parameter("position along y at time 0", unit="AU")
    z: Value = parameter("position along z at time 0", unit="AU", default=0.0)
    vx: Value = parameter("velocity along x at time 0", unit="AU/yr", default=0.0)
    vy: Value = parameter("velocity along y at time 0", unit="AU/yr", default=0.0)
    vz: Value = parameter("velocity along z at time 0", unit="AU/yr", default=0.0)


class FewBody(Orbits):
    """Two to ten bodies under their gravity, softened or not."""

    chaotic: ClassVar[bool] = True

    softening: Value = parameter(
        "ε of the potential −G m / √(r² + ε²)", unit="AU", minimum=0, default=0.0
    )
    bodies: Annotated[tuple[Body, ...], Field(min_length=2, max_length=MAXIMUM_BODIES)] = Field(
        description="the bodies"
    )

    @field_validator("bodies")
    @classmethod
    def _names_differ(cls, bodies: tuple[Body, ...]) -> tuple[Body, ...]:
        names = body_names(bodies)
        for name in names:
            if names.count(name) > 1:
                raise problem(f"two bodies are called '{name}'; give one of them another `name`")
        return bodies

    @property
    def body_count(self) -> int:
        """Number of bodies."""
        return len(self.bodies)

    @property
    def labelled_bodies(self) -> dict[str, Specification]:
        """The bodies by their names in labels."""
        return dict(zip(body_names(self.bodies), self.bodies, strict=True))

    def move(self, batch: ClassBatch) -> NDArray[np.float64]:
        """Write the motions of some samples, and return how differences grew."""
        from deepbench.dynamics.systems.gravity_equations import ATTRACTION, follow_gravity
        from deepbench.dynamics.systems.integrators import integrate

        names, count = list(self.labelled_bodies), self.body_count
        attractions = np.zeros(len(batch), ATTRACTION)
        attractions["constant"] = self.constant
        for body, name in enumerate(names):
            attractions["masses"][:, body] = batch.of_body(name, "mass")
        starts = np.column_stack(
            [
                batch.of_body(name, f"{kind}{axis}")
                for kind in ("", "v")
                for name in names
                for axis in "xyz"
            ]
        )
        weight, square = np.zeros(len(batch)), np.zeros(len(batch))
        for body in range(count):
            weight += self.constant * attractions["masses"][:, body]
            for axis in range(3):
                own = starts[:, 3 * body + axis] - starts[:, axis]
                square += own * own
        width = np.sqrt(square / count)  # how far the bodies are from the first one
        empty = np.flatnonzero((width == 0.0) | (weight == 0.0))
        if empty.size:
            raise batch.refusal(int(empty[0]), "its bodies are all in one place, or have no mass")
        far = np.flatnonzero(~np.isfinite(width) | ~np.isfinite(weight))
        if far.size:
            raise batch.refusal(
                int(far[0]),
                f"the bodies of '{batch.name}' are too far apart, or too heavy: squares of distances, and sums of "
                "masses, must stay below 1.8e308; narrow the priors",
            )
        floors = np.repeat(np.column_stack([width, np.sqrt(weight / width)]), 3 * count, axis=1)
        attractions["softening"] = batch.true("softening")
        states, growths = integrate(follow_gravity, batch, attractions, starts, floors, CLOSE)
        series = states.reshape(len(batch), len(batch.times), 2, count, 3)
        batch.write(position=series[:, :, 0], velocity=series[:, :, 1])
        return growths


def body_names(bodies: tuple[Body, ...]) -> list[str]:
    """Return the name of each body: as given, else ``body``, ``body.2``, ``body.3``, … in written order."""
    names: list[str] = []
    unnamed = 0
    for body in bodies:
        unnamed += body.name is None
        names.append(body.name or ("body" if unnamed == 1 else f"body.{unnamed}"))
    return names


ORBITS: dict[str, type[System]] = {
    "two_body": TwoBody,
    "few_body": FewBody,
}
"""Orbits by the name that a recipe has for them."""
