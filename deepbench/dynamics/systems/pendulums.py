"""Pendulums: what a recipe may say about them, and how they move.

Pendulums hang in metres, kilograms and seconds from the origin; their angles are degrees, counter-clockwise from
straight down, and +y is up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from deepbench.dynamics.systems.system import LONG_NAMES, RADIAN, Setting, System, error_of
from deepbench.language.specification import parameter, problem
from deepbench.language.values import Value

if TYPE_CHECKING:
    from deepbench.dynamics.systems.class_batch import ClassBatch

HANGING = Setting(
    "metres and seconds",
    2,
    {
        "time": "s",
        "position": "m",
        "velocity": "m/s",
        "q": "rad",
        "p": "kg m2/s",
        "dq_dt": "rad/s",
        "dp_dt": "kg m2/s2",
    },
)
"""The setting of pendulums."""

NEWTON = 6.6743e-11
"""Gravitational constant in m³ / (kg s²), CODATA 2018 (Tiesinga et al. 2021, Rev. Mod. Phys. 93, 025010)."""

TURNS_OFTEN = (
    "it swings or turns too often; "
    "shorten the duration, or narrow the priors of angular_velocity, gravity or length"
)
DRIVEN_TOO_FAST = (
    "its friction, its torque or its rotation is too fast for the duration; narrow the priors of damping, "
    "drive_amplitude, drive_frequency, angular_velocity, gravity or length, or shorten the duration"
)
ARMS_TOO_FAST = (
    "its arms turn too fast for the duration; narrow the priors of the angular velocities, of gravity, and of "
    "lengths and masses that differ much, or shorten the duration"
)
"""Why motions take too many steps."""

Floats = NDArray[np.float64]


class Suspended(System):
    """A system that hangs in a uniform field: its gravity is given, or that on the surface of a planet, G M / r²."""

    variables: ClassVar[tuple[str, ...]] = tuple(LONG_NAMES)
    has_arms: ClassVar[bool] = True
    plural: ClassVar[str] = "pendulums"

    gravity: Value | None = parameter(
        "gravitational acceleration", unit="m/s2", above=0, default=None
    )
    gravity_error: Value | None = error_of("gravity", "m/s2")
    planet_mass: Value | None = parameter("mass of the planet", unit="kg", above=0, default=None)
    planet_mass_error: Value | None = error_of("mass of the planet", "kg")
    planet_radius: Value | None = parameter("radius of the planet", unit="m", above=0, default=None)
    planet_radius_error: Value | None = error_of("radius of the planet", "m")

    @property
    def setting(self) -> Setting:
        """Units and axes of its motion."""
        return HANGING

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

    def _true_gravity(self, batch: ClassBatch) -> Floats:
        """Return the gravitational acceleration in m/s²; g = G M / r² on a planet."""
        if self.gravity is not None:
            return batch.true("gravity")
        radius = batch.true("planet_radius")
        return NEWTON * batch.true("planet_mass") / (radius * radius)


class SinglePendulum(Suspended):
    """A point mass on a massless rod."""

    length: Value = parameter("length of the arm", unit="m", above=0)
    length_error: Value | None = error_of("length of the arm", "m")
    mass: Value = parameter("mass of the bob", unit="kg", above=0, default=1.0)
    angle: Value = parameter("angle at time 0, counter-clockwise from straight down", unit="degree")
    angle_error: Value | None = error_of("angle at time 0", "degree")
    angular_velocity: Value = parameter("angular velocity at time 0", unit="degree/s", default=0.0)

    def _arms(self, batch: ClassBatch) -> NDArray[np.void]:
        """Return the arms of pendulums that nothing drives, ARM[k]."""
        from deepbench.dynamics.systems.arms import ARM

        arms = np.empty(len(batch), ARM)
        arms["length"], arms["gravity"] = batch.true("length"), self._true_gravity(batch)
        arms["angle_degrees"] = batch.true("angle")
        arms["angular_velocity_degrees"] = batch.true("angular_velocity")
        return arms

    def _swing(self, batch: ClassBatch, arms: NDArray[np.void], solution: int) -> None:
        """Write the motion of pendulums that nothing drives."""
        from deepbench.dynamics.systems.arms import SMALL_ANGLE, swing
        from deepbench.numerics.mathfast import sin

        angles = np.empty((len(batch), len(batch.times), 1 if batch.wants_canonical else 0))
        rates = np.empty_like(angles)
        swing(solution, arms, batch.times, batch.rows, angles, rates, *batch.of_bodies())
        if batch.wants_canonical:
            mass, length, gravity = batch.true("mass"), arms["length"], arms["gravity"]
            fall = angles if solution == SMALL_ANGLE else sin(angles)
            forces = -_column(mass * gravity * length) * fall
            momenta = _column(mass * length * length) * rates
            batch.write(q=angles, p=momenta, dq_dt=rates, dp_dt=forces)


class Pendulum(SinglePendulum):
    """A pendulum that swings, or turns over, by the exact solution or by that for small angles."""

    solution: Literal["exact", "small_angle"] = Field(
        "exact", description="of the equation with the sine of the angle, or with the angle itself"
    )

    def move(self, batch: ClassBatch) -> None:
        """Write the motions of some samples."""
        from deepbench.dynamics.systems.arms import EXACT, SMALL_ANGLE

        solutions = {"exact": EXACT, "small_angle": SMALL_ANGLE}
        self._swing(batch, self._arms(batch), solutions[self.solution])


class HamiltonianPendulum(SinglePendulum):
    """A pendulum by a symplectic integrator of eighth order, as learned Hamiltonians are compared with."""

    def move(self, batch: ClassBatch) -> None:
        """Write the motions of some samples; raises LabelError where one needs too many steps."""
        from deepbench.dynamics.systems.arms import SYMPLECTIC, symplectic_steps
        from deepbench.dynamics.systems.integrators import MAXIMUM_STEPS, TOO_MANY

        arms = self._arms(batch)
        steps = symplectic_steps(arms, batch.times[-1])
        far = np.flatnonzero(~(steps <= MAXIMUM_STEPS))
        if far.size:
            raise batch.refusal(
                int(far[0]),
                f"the motion of '{batch.name}' {TOO_MANY}, and it needs {steps[far[0]]:.3g}: {TURNS_OFTEN}",
            )
        self._swing(batch, arms, SYMPLECTIC)


class DrivenPendulum(SinglePendulum):
    """A pendulum with friction and a periodic torque: θ″ = (g/L) (a cos(2π f t + φ) − sin θ) − γ θ′."""

    chaotic: ClassVar[bool] = True

    damping: Value = parameter("γ, friction per velocity", unit="1/s", minimum=0, default=0.0)
    drive_amplitude: Value = parameter(
        "a, largest torque over that of gravity on the level arm", minimum=0, default=0.0
    )
    drive_frequency: Value = parameter(
        "frequency f of the torque", unit="Hz", minimum=0, default=0.0
    )
    drive_phase: Value = parameter("phase φ of the torque at time 0", unit="degree", default=0.0)

    def move(self, batch: ClassBatch) -> Floats:
        """Write the motions of some samples, and return how differences grew."""
        from deepbench.dynamics.systems.arms import hang_all
        from deepbench.dynamics.systems.integrators import integrate
        from deepbench.dynamics.systems.pendulum_equations import DRIVEN, follow_driven
        from deepbench.numerics.mathfast import cos, sin

        length, gravity, damping = (
            batch.true("length"), self._true_gravity(batch), batch.true("damping"),
        )  # fmt: skip
        amplitude, phase = batch.true("drive_amplitude"), RADIAN * batch.true("drive_phase")
        pace, stiffness = 2.0 * np.pi * batch.true("drive_frequency"), gravity / length
        driven = np.empty(len(batch), DRIVEN)
        driven["stiffness"], driven["damping"] = stiffness, damping
        driven["amplitude"], driven["pace"], driven["phase"] = amplitude, pace, phase
        starts = RADIAN * np.column_stack([batch.true("angle"), batch.true("angular_velocity")])
        floors = np.column_stack([np.ones(len(batch)), np.sqrt(stiffness)])
        states, growths = integrate(follow_driven, batch, driven, starts, floors, DRIVEN_TOO_FAST)
        angles, rates = states[..., :1], states[..., 1:]
        hang_all(length[:, None], angles, rates, batch.rows, *batch.of_bodies())
        if batch.wants_canonical:
            inertia = _column(batch.true("mass") * length * length)
            torque = _column(amplitude) * cos(_column(pace) * batch.times[:, None] + _column(phase))
            forces = _column(stiffness) * (torque - sin(angles)) - _column(damping) * rates
            batch.write(q=angles, p=inertia * rates, dq_dt=rates, dp_dt=inertia * forces)
        return growths


class DoublePendulum(Suspended):
    """A pendulum on the bob of another one; both angles are counter-clockwise from straight down."""

    chaotic: ClassVar[bool] = True

    length_1: Value = parameter("length of the upper arm", unit="m", above=0)
    length_1_error: Value | None = error_of("length of the upper arm", "m")
    length_2: Value = parameter("length of the lower arm", unit="m", above=0)
    length_2_error: Value | None = error_of("length of the lower arm", "m")
    mass_1: Value = parameter("mass of the upper bob", unit="kg", above=0)
    mass_2: Value = parameter("mass of the lower bob", unit="kg", above=0)
    angle_1: Value = parameter("angle of the upper arm at time 0", unit="degree")
    angle_1_error: Value | None = error_of("angle of the upper arm", "degree")
    angle_2: Value = parameter("angle of the lower arm at time 0", unit="degree")
    angle_2_error: Value | None = error_of("angle of the lower arm", "degree")
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

    def move(self, batch: ClassBatch) -> Floats:
        """Write the motions of some samples, and return how differences grew."""
        from deepbench.dynamics.systems.arms import hang_all
        from deepbench.dynamics.systems.integrators import integrate
        from deepbench.dynamics.systems.pendulum_equations import DOUBLE, follow_double
        from deepbench.numerics.mathfast import cos, sin

        double = np.empty(len(batch), DOUBLE)
        for name in ("length_1", "length_2", "mass_1", "mass_2"):
            double[name] = batch.true(name)
        double["gravity"] = self._true_gravity(batch)
        names = ("angle_1", "angle_2", "angular_velocity_1", "angular_velocity_2")
        starts = RADIAN * np.column_stack([batch.true(name) for name in names])
        lengths = np.column_stack([double["length_1"], double["length_2"]])
        paces = np.sqrt(double["gravity"][:, None] / lengths)
        floors = np.column_stack([np.ones_like(paces), paces])
        states, growths = integrate(follow_double, batch, double, starts, floors, ARMS_TOO_FAST)
        angles, rates = states[..., :2], states[..., 2:]
        hang_all(lengths, angles, rates, batch.rows, *batch.of_bodies())
        if batch.wants_canonical:
            l1, l2, m1, m2, g = (double[name][:, None] for name in DOUBLE.names or ())
            q1, q2, r1, r2 = (states[..., each] for each in range(4))
            total, shared = m1 + m2, m2 * l1 * l2
            mixed, twist = shared * cos(q1 - q2), shared * sin(q1 - q2) * r1 * r2
            momenta = (total * l1 * l1 * r1 + mixed * r2, m2 * l2 * l2 * r2 + mixed * r1)
            forces = (-twist - total * g * l1 * sin(q1), twist - m2 * g * l2 * sin(q2))
            batch.write(
                q=angles,
                p=np.stack(momenta, axis=-1),
                dq_dt=rates,
                dp_dt=np.stack(forces, axis=-1),
            )
        return growths


PENDULUMS: dict[str, type[System]] = {
    "pendulum": Pendulum,
    "hamiltonian_pendulum": HamiltonianPendulum,
    "driven_pendulum": DrivenPendulum,
    "double_pendulum": DoublePendulum,
}
"""Pendulums by the name that a recipe has for them."""


def _column(values: Floats) -> Floats:
    return values[:, None, None]
