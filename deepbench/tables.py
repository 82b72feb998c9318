"""What the tables of all kinds share in a recipe: names, one of several kinds, variables, what is stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self, get_args

import numpy as np
from pydantic import AfterValidator, Field, field_validator, model_validator

from deepbench.language.functions import CONSTANTS, FUNCTIONS
from deepbench.language.specification import Name, Number, Specification, parameter, problem
from deepbench.language.values import Expression, Value, Variable

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAXIMUM_SAMPLES = 2**32
"""Sample numbers are one 32-bit word of the random counter."""

MAXIMUM_COPIES = 100_000


def _free_names(variables: dict[str, Any]) -> dict[str, Any]:
    """Refuse variables that no expression could use."""
    for name in variables:
        if name in CONSTANTS or name in FUNCTIONS:
            what = "constant" if name in CONSTANTS else "function"
            raise problem(f"'{name}' is a {what} of expressions; give the variable another name")
    return variables


Variables = Annotated[
    dict[Name, Variable],
    AfterValidator(_free_names),
    Field(default_factory=dict, description="values and joint draws that expressions use by name"),
]


class OneOf(Specification):
    """A specification that holds exactly one of several kinds, under the kind's own key.

    A subclass has one optional field per kind, which holds the kind's own specification.
    """

    kinds: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def __pydantic_init_subclass__(cls, **options: Any) -> None:
        """Find the fields that hold specifications."""
        super().__pydantic_init_subclass__(**options)
        cls.kinds = tuple(
            name
            for name, field in cls.model_fields.items()
            if any(
                isinstance(kind, type) and issubclass(kind, Specification)
                for kind in get_args(field.annotation)
            )
        )

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        given = [kind for kind in self.kinds if getattr(self, kind) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise problem(f"must have exactly one of {', '.join(self.kinds)}; it has {found}")
        return self

    @property
    def kind(self) -> str:
        """Name of the kind it holds."""
        return next(kind for kind in self.kinds if getattr(self, kind) is not None)

    @property
    def chosen(self) -> Any:
        """The specification of the kind it holds."""
        return getattr(self, self.kind)


class NamedOneOf(OneOf):
    """One of several kinds with a name of its own in labels and streams."""

    name: Name | None = Field(None, description="name in labels and streams; the kind when absent")


def names_of(entries: Iterable[NamedOneOf]) -> list[str]:
    """Return the name of each entry: as given, else its kind, then ``kind.2``, ``kind.3``, … in written order.

    Raises
    ------
    PydanticCustomError
        Two entries have the same name.
    """
    names: dict[str, None] = {}
    count: dict[str, int] = {}
    for entry in entries:
        name = entry.name
        if name is None:
            count[entry.kind] = count.get(entry.kind, 0) + 1
            name = entry.kind if count[entry.kind] == 1 else f"{entry.kind}.{count[entry.kind]}"
        if name in names:
            raise problem(f"two entries are called '{name}'; give one of them another `name`")
        names[name] = None
    return list(names)


class RepeatedOneOf(NamedOneOf):
    """One of several kinds with a name, of which there may be several copies."""

    repeat: Value | None = parameter(
        "number of copies, each with its own values",
        minimum=0,
        maximum=MAXIMUM_COPIES,
        integer=True,
        default=None,
    )

    @field_validator("repeat")
    @classmethod
    def _bounded(cls, repeat: Any) -> Any:
        if isinstance(repeat, Expression):
            raise problem("must have a finite upper bound: a number, integers, or choice")
        return repeat

    @property
    def most_copies(self) -> int:
        """The largest number of copies that ``repeat`` can draw; 0 for an object that is not repeated."""
        if self.repeat is None or isinstance(self.repeat, Expression):
            return 0
        return int(self.repeat.support()[1])


class ClassSpecification(Specification):
    """What every class has, whatever the kind of its table."""

    weight: Number = Field(1.0, gt=0, description="how often it is drawn, against the others")
    variables: Variables


def readable(classes: dict[str, Any]) -> dict[str, Any]:
    """Return classes, or refuse names that readers of CSV take for a missing value."""
    taken = sorted({"nan", "null"} & classes.keys())
    if taken:
        raise problem(
            f"'{taken[0]}' cannot be the name of a class: readers of CSV take it for a missing value"
        )
    return classes


class TableSpecification(Specification):
    """What every table has, whatever its kind.

    Attributes
    ----------
    tolerance : bool
        Whether values may differ by rounding between computers.
    """

    tolerance: ClassVar[bool] = False

    samples: Annotated[int, Field(ge=1, le=MAXIMUM_SAMPLES, strict=True)] = Field(
        description="number of samples"
    )
    group_size: Annotated[int, Field(ge=1, le=MAXIMUM_SAMPLES, strict=True)] = Field(
        1, description="consecutive samples that form one group and so share a split"
    )
    variables: Variables

    @property
    def together(self) -> int:
        """Number of consecutive samples that share class and values, and are rendered together; groups count these."""
        return 1


def flags(meanings: tuple[str, ...], *, masks: bool = False) -> dict[str, Any]:
    """Return the CF attributes of codes 0, 1, …, or of bits 1, 2, 4, … with ``masks``."""
    numbers = range(len(meanings))
    codes = {"flag_masks": [1 << n for n in numbers]} if masks else {"flag_values": [*numbers]}
    return {**codes, "flag_meanings": " ".join(meanings)}


@dataclass(frozen=True)
class DataVariable:
    """An array that a table stores: ``sample`` first, then its own dimensions.

    Attributes
    ----------
    name, long_name, units : str
    dimensions : tuple of str
        Names of the dimensions after ``sample``.
    shape : tuple of int
        Their sizes.
    dtype : str
        Type of the stored numbers, such as ``float32``.
    attributes : mapping of str to str, number or list, optional
        Further attributes, such as the meanings of codes.
    missing : bool, optional
        Whether some samples have fewer values than there is room for: NaN stands in the rest.
    """

    name: str
    long_name: str
    units: str
    dimensions: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    attributes: Mapping[str, Any] = field(default_factory=dict)
    missing: bool = False


@dataclass(frozen=True, eq=False)
class Coordinate:
    """A coordinate of a dimension.

    Attributes
    ----------
    name, long_name, units : str
    size : int
        Of the dimension.
    meanings : tuple of str, optional
        What the numbers stand for.
    numbers : float64[size], optional
        Its values; 0, 1, …, size − 1 when absent.
    attributes : mapping of str to str, number or list, optional
        Further attributes; where there is no ``long_name``, all of them.
    dimension : str, optional
        The dimension, where it has another name than the coordinate.
    """

    name: str
    long_name: str
    units: str
    size: int
    meanings: tuple[str, ...] = ()
    numbers: NDArray[np.float64] | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    dimension: str = ""

    @property
    def dimensions(self) -> tuple[str]:
        """The name of its dimension."""
        return (self.dimension or self.name,)

    @property
    def values(self) -> NDArray[np.float64] | NDArray[np.int32]:
        """Its values, one for each cell of the dimension."""
        return np.arange(self.size, dtype=np.int32) if self.numbers is None else self.numbers
