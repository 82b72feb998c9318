"""One of several kinds, written under the kind's own key: ``{circle: {...}, name: sun}``.

``one_of`` decorates such a specification with the registry of a room; its fields say what may stand beside the kind. A
value that is one member of a registry and nothing else is a ``Named`` of ``specification``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Self, TypeVar

from pydantic import Field, GetJsonSchemaHandler, create_model, model_validator
from pydantic_core import CoreSchema

from deepbench.language.specification import Name, Specification, in_short, parameter, problem
from deepbench.language.values import Value, Variable, free_names

MAXIMUM_COPIES = 100_000
"""Largest number of copies of a repeated object."""


class OneOf(Specification):
    """A specification that holds exactly one of several kinds, under the kind's own key.

    Each kind of the ``registry`` is an optional field that holds its specification; ``one_of`` declares these fields.
    """

    registry: ClassVar[Mapping[str, type[Specification]]] = {}

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Say in the JSON Schema that there is one kind."""
        reference = handler(schema)
        given = {"not": {"type": "null"}}
        handler.resolve_ref_schema(reference)["oneOf"] = [
            {"required": [kind], "properties": {kind: given}} for kind in cls.registry
        ]
        return reference

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        given = [kind for kind in self.registry if getattr(self, kind) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise problem(f"must have exactly one of {', '.join(self.registry)}; it has {found}")
        return self

    @property
    def kind(self) -> str:
        """Name of the kind it holds."""
        return next(kind for kind in self.registry if getattr(self, kind) is not None)

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
    variables: dict[Name, Variable] | None = Field(
        None, description="values of each copy, which expressions of the object use by name"
    )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Say in the JSON Schema that the variables of copies need their number."""
        reference = super().__get_pydantic_json_schema__(schema, handler)
        handler.resolve_ref_schema(reference)["dependentRequired"] = {"variables": ["repeat"]}
        return reference

    @model_validator(mode="after")
    def _variables_are_of_copies(self) -> Self:
        if self.variables and self.repeat is None:
            raise problem(
                "`variables` of an object need `repeat`; put them among those of the class"
            )
        for name in free_names(self.variables or {}):
            if name in type(self.chosen).model_fields:
                raise problem(
                    f"'{name}' is a parameter of the {self.kind}; give the variable another name"
                )
        return self


T = TypeVar("T", bound=OneOf)


def one_of(registry: Mapping[str, type[Specification]]) -> Callable[[type[T]], type[T]]:
    """Return a decorator that lets a specification hold one of the kinds in a registry.

    Parameters
    ----------
    registry : mapping of str to type
        The kinds by the names under which a recipe has them.

    Examples
    --------
    >>> class Dot(Specification):
    ...     radius: Value = parameter("radius", unit="pixel", above=0)
    >>> @one_of({"dot": Dot})
    ... class Entry(NamedOneOf):
    ...     pass
    >>> entry = Entry(dot={"radius": 2}, name="moon")
    >>> entry.kind, entry.chosen.radius.value
    ('dot', 2.0)
    """

    def with_kinds(cls: type[T]) -> type[T]:
        fields: dict[str, Any] = {
            kind: (member | None, Field(None, description=in_short(member)))
            for kind, member in registry.items()
        }
        made = create_model(
            cls.__name__, __base__=cls, __module__=cls.__module__, __doc__=cls.__doc__, **fields
        )
        made.registry = registry
        return made

    return with_kinds
