"""What the tables of all kinds share in a recipe: names, choices of one of several kinds, variables, and what is stored."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import Field, create_model, model_validator

from deepbench.recipe.specification import Name, Specification, problem
from deepbench.recipe.values import Variable

MAXIMUM_SAMPLES = 2**32
"""Sample numbers are one 32-bit word of the random counter."""

Variables = Annotated[
    dict[Name, Variable],
    Field(default_factory=dict, description="values and joint draws that expressions use by name"),
]


class OneOf(Specification):
    """A specification that holds exactly one of several kinds, under the kind's own key. Made by ``one_of``."""

    kinds: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="after")
    def _exactly_one(self) -> OneOf:
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
    def chosen(self) -> Specification:
        """The specification of the kind it holds."""
        return getattr(self, self.kind)


class NamedOneOf(OneOf):
    """One of several kinds with a name of its own in labels and streams."""

    name: Name | None = Field(None, description="name in labels and streams; the kind when absent")


def one_of(
    name: str, base: type[OneOf], kinds: dict[str, type[Specification]], description: str
) -> Any:
    """Return a subclass of ``base`` that holds exactly one of ``kinds`` under its own key."""
    fields: dict[str, Any] = {kind: (chosen | None, None) for kind, chosen in kinds.items()}
    model = create_model(name, __base__=base, __doc__=description, __module__=__name__, **fields)
    model.kinds = tuple(kinds)
    return model


def names_of(entries: Iterable[NamedOneOf]) -> list[str]:
    """Return the name of each entry: as given, else its kind, then ``kind.2``, ``kind.3``, … in written order.

    Raises
    ------
    PydanticCustomError
        Two entries have the same name.
    """
    names: list[str] = []
    count: dict[str, int] = {}
    for entry in entries:
        name = entry.name
        if name is None:
            count[entry.kind] = count.get(entry.kind, 0) + 1
            name = entry.kind if count[entry.kind] == 1 else f"{entry.kind}.{count[entry.kind]}"
        if name in names:
            raise problem(f"two entries are called '{name}'; give one of them another `name`")
        names.append(name)
    return names


class TableSpecification(Specification):
    """What every table has, whatever its kind."""

    samples: Annotated[int, Field(ge=1, le=MAXIMUM_SAMPLES, strict=True)] = Field(
        description="number of samples"
    )
    group_size: Annotated[int, Field(ge=1, le=MAXIMUM_SAMPLES, strict=True)] = Field(
        1, description="consecutive samples that form one group and so share a split"
    )
    variables: Variables


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
    """

    name: str
    long_name: str
    units: str
    dimensions: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Coordinate:
    """A coordinate that counts the cells of a dimension: 0, 1, …, size − 1."""

    name: str
    long_name: str
    units: str
    size: int
