"""Base of all systems: parameters, units and axes of the motion, and the variables that can be stored."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from deepbench.language.specification import Specification, parameter, problem
from deepbench.language.values import Value

if TYPE_CHECKING:
    from deepbench.dynamics.systems.class_batch import ClassBatch

ERROR = "_error"
"""End of the names of what is added to a value before the motion begins."""

LONG_NAMES = {
    "position": "position of each body",
    "velocity": "velocity of each body",
    "q": "angle of each arm from straight down, counter-clockwise",
    "p": "momentum conjugate to q",
    "dq_dt": "time derivative of q",
    "dp_dt": "time derivative of p",
}
"""The variables of a motion."""

MAXIMUM_BODIES = 10
"""Largest number of bodies of a system."""

RADIAN = 0.017453292519943295
"""Radians per degree."""

OF_BODIES: Final = ("position", "velocity")
"""Variables that have a number for each body and axis; the others have one for each arm."""


class Setting(NamedTuple):
    """Units and axes of motions; the classes of a table share one.

    Attributes
    ----------
    name : str
        As messages call it, such as ``metres and seconds``.
    axes : int
        Number of axes of a position.
    units : mapping of str to str
        The unit of ``time`` and of each variable of the motion; all are ``1`` where the setting has no units.
    """

    name: str
    axes: int
    units: Mapping[str, str]

    @property
    def has_units(self) -> bool:
        """Whether lengths have a unit."""
        return self.units["position"] != "1"


def error_of(of: str, unit: str) -> Value | None:
    """Declare the field of what is added to another one before the motion begins."""
    return parameter(f"true {of} minus the labelled one", unit=unit, default=None)


class System(Specification, ABC):
    """Base of all systems; a subclass says how they move.

    Attributes
    ----------
    chaotic : bool
        Whether small differences may grow without end; then ``move`` returns their growth, which is measured.
    variables : tuple of str
        The variables that can be stored of its motion.
    has_arms : bool
        Whether each body hangs from the one before, on an arm that frames may show.
    plural : str
        What messages call such systems.
    """

    chaotic: ClassVar[bool] = False
    variables: ClassVar[tuple[str, ...]] = OF_BODIES
    has_arms: ClassVar[bool] = False
    plural: ClassVar[str] = "free bodies"

    @property
    @abstractmethod
    def setting(self) -> Setting:
        """Units and axes of its motion."""

    @property
    def body_count(self) -> int:
        """Number of bodies that move."""
        return 1

    @property
    def labelled_bodies(self) -> dict[str, Specification]:
        """Bodies with parameters of their own by their names in labels, in the order of the field ``bodies``."""
        return {}

    @abstractmethod
    def move(self, batch: ClassBatch) -> NDArray[np.float64] | None:
        """Write the motions of some samples, of all bodies, into the arrays of the batch.

        Whether they are finite is not looked at. Kernels are imported in here: recipes are read without them.

        Parameters
        ----------
        batch : ClassBatch
            The k samples, their times and their arrays.

        Returns
        -------
        float64[k] or None
            Of a chaotic system, the logarithm by which a small difference grew.

        Raises
        ------
        LabelError
            A value with its error leaves its range, or a motion cannot be followed accurately.
        """

    @model_validator(mode="after")
    def _errors_of_something(self) -> Self:
        for name in type(self).model_fields:
            field = name.removesuffix(ERROR)
            if field != name and getattr(self, name) is not None and getattr(self, field) is None:
                raise problem(f"{name} is added to {field}, which is missing")
        return self
