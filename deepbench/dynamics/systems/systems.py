"""What a recipe may say about a system that moves: pendulums, two bodies on Kepler orbits, a few bodies.

Pendulums hang in metres, kilograms and seconds from the origin; their angles are degrees, counter-clockwise from
straight down, and +y is up. Orbits are in au, solar masses and years, or in units in which the gravitational constant
is 1.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from deepbench.language.one_of import NamedOneOf, one_of
from deepbench.language.specification import Name, Specification, parameter, problem
from deepbench.language.values import Value

ERROR = "_error"
"""End of the names of what is added to a value before the motion begins."""

MAXIMUM_BODIES = 10

Units = Literal["astronomical", "n_body"]


def _error(of: str, unit: str) -> Value | None:
    return parameter(
        f"what the true {of} has beyond what is labelled, added", unit=unit, default=None
    )


class System(Specification):
    """What all systems have."""

    chaotic: ClassVar[bool] = False
    """Whether small differences may grow without end."""

    @property
    def body_count(self) -> int:
        """Number of bodies that move."""
        return 1

    @model_validator(mode="after")
    def _errors_of_something(self) -> Self:
        for name in type(self).model_fields:
            field = name.removesuffix(ERROR)
            if field != name and getattr(self, name) is not None and getattr(self, field) is None:
                raise problem(f"{name} is added to {field}, which is missing")
        return self


class Suspended(System):
    """A system that hangs in a uniform field: its gravity is given, or that on the surface of a planet, G M / r²."""

    gravity: Value | None = parameter(
        "gravitational acceleration", unit="m/s2", above=0, default=None
    )
    gravity_error: Value | None = _error("gravity", "m/s2")
    planet_mass: Value | None = parameter("mass of the planet", unit="kg", above=0, default=None)
    planet_mass_error: Value | None = _error("mass of the planet", "kg")
    planet_radius: Value | None = parameter("radius of the planet", unit="m", above=0, default=None)
    planet_radius_error: Value | None = _error("radius of the planet", "m")

    @model_validator(mode="after")
    def _one_gravity(self) -> Self:
        names = ("gravity", "planet_mass", "planet_radius")
        given = [name for name in names if getattr(self, name) is not None]
        if given not in (["gravity"], ["planet_mass", "planet_radius"]):
            found = " and ".join(given) or "none of them"
            raise problem(
                f"must have either gravity, or planet_mass and planet_radius; it has {found}"
            )
        return self


class SinglePendulum(Suspended):
    """A point mass on a massless rod."""

    length: Value = parameter("length of the arm", unit="m", above=0)
    length_error: Value | None = _error("length of the arm", "m")
    mass: Value = parameter("mass of the bob", unit="kg", above=0, default=1.0)
    angle: Value = parameter("angle at time 0, counter-clockwise from straight down", unit="degree")
    angle_error: Value | None = _error("angle at time 0", "degree")
    angular_velocity: Value = parameter("angular velocity at time 0", unit="degree/s", default=0.0)


class Pendulum(SinglePendulum):
    """A pendulum that swings, or turns over, by the exact solution or by that for small angles."""

    solution: Literal["exact", "small_angle"] = Field(
        "exact", description="of the equation with the sine of the angle, or with the angle itself"
    )


class HamiltonianPendulum(SinglePendulum):
    """The same pendulum by a symplectic integrator of eighth order, as learned Hamiltonians are compared with."""


class DrivenPendulum(SinglePendulum):
    """A pendulum with friction and a periodic torque: θ″ = (g/L) (a cos(2π f t + φ) − sin θ) − γ θ′."""

    chaotic: ClassVar[bool] = True

    damping: Value = parameter("γ, friction per velocity", unit="1/s", minimum=0, default=0.0)
    drive_amplitude: Value = parameter(
        "a, largest torque over that of gravity on the level arm", minimum=0, default=0.0
    )
    drive_frequency: Value = parameter("f of the torque", unit="Hz", minimum=0, default=0.0)
    drive_phase: Value = parameter("φ of the torque at time 0", unit="degree", default=0.0)


class DoublePendulum(Suspended):
    """A pendulum on the bob of another one; both angles are counter-clockwise from straight down."""

    chaotic: ClassVar[bool] = True

    length_1: Value = parameter("length of the upper arm", unit="m", above=0)
    length_1_error: Value | None = _error("length of the upper arm", "m")
    length_2: Value = parameter("length of the lower arm", unit="m", above=0)
    length_2_error: Value | None = _error("length of the lower arm", "m")
    mass_1: Value = parameter("mass of the upper bob", unit="kg", above=0)
    mass_2: Value = parameter("mass of the lower bob", unit="kg", above=0)
    angle_1: Value = parameter("angle of the upper arm at time 0", unit="degree")
    angle_1_error: Value | None = _error("angle of the upper arm", "degree")
    angle_2: Value = parameter("angle of the lower arm at time 0", unit="degree")
    angle_2_error: Value | None = _error("angle of the lower arm", "degree")
    angular_velocity_1: Value = parameter(
        "angular velocity of the upper arm at time 0", unit="degree/s", default=0.0
    )
    angular_velocity_2: Value = parameter(
        "angular velocity of the lower arm at time 0", unit="degree/s", default=0.0
    )

    @property
    def body_count(self) -> int:
        """Number of bobs."""
        return 2


class Orbits(System):
    """Bodies that attract each other."""

    units: Units = Field(
        "astronomical",
        description="au, solar masses and years with G = 4π²; or n_body, where G is 1",
    )


class TwoBody(Orbits):
    """Two bodies on ellipses about their centre of mass, which rests at the origin."""

    mass_1: Value = parameter("mass of the first body", unit="solMass", above=0)
    mass_2: Value = parameter("mass of the second body", unit="solMass", minimum=0)
    semi_major_axis: Value = parameter("of the relative orbit", unit="AU", above=0)
    eccentricity: Value = parameter("of both orbits", minimum=0, below=1)
    inclination: Value = parameter(
        "of the orbit to the plane of x and y", unit="degree", default=0.0
    )
    longitude_of_ascending_node: Value = parameter(
        "from +x to where the second body passes the plane towards +z", unit="degree", default=0.0
    )
    argument_of_periastron: Value = parameter(
        "from the ascending node to the second body's periastron", unit="degree", default=0.0
    )
    time_of_periastron: Value = parameter("when they are closest", unit="yr", default=0.0)

    @property
    def body_count(self) -> int:
        """Number of bodies."""
        return 2


class Body(Specification):
    """One of a few bodies: its mass, and where it is and goes at time 0."""

    name: Name | None = Field(None, description="in labels and streams; `body`, `body.2`, …")
    mass: Value = parameter("mass", unit="solMass", minimum=0)
    x: Value = parameter("x at time 0", unit="AU")
    y: Value = parameter("y at time 0", unit="AU")
    z: Value = parameter("z at time 0", unit="AU", default=0.0)
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


def body_names(bodies: tuple[Body, ...]) -> list[str]:
    """Return the name of each body: as given, else ``body``, ``body.2``, ``body.3``, … in written order."""
    names: list[str] = []
    unnamed = 0
    for body in bodies:
        unnamed += body.name is None
        names.append(body.name or ("body" if unnamed == 1 else f"body.{unnamed}"))
    return names


SYSTEMS: dict[str, type[Specification]] = {
    "pendulum": Pendulum,
    "hamiltonian_pendulum": HamiltonianPendulum,
    "driven_pendulum": DrivenPendulum,
    "double_pendulum": DoublePendulum,
    "two_body": TwoBody,
    "few_body": FewBody,
}
"""Systems by the name that a recipe has for them."""


@one_of(SYSTEMS)
class SystemEntry(NamedOneOf):
    """The system of a class."""

    @property
    def hangs(self) -> bool:
        """Whether it is a pendulum."""
        return isinstance(self.chosen, Suspended)

    @property
    def label(self) -> str:
        """Its name in labels and streams."""
        return self.name or self.kind

    @property
    def in_n_body_units(self) -> bool:
        """Whether the gravitational constant is 1."""
        return isinstance(self.chosen, Orbits) and self.chosen.units == "n_body"
