"""The base of everything a recipe can say: frozen, closed, documented specifications.

A ``Specification`` is a small frozen pydantic model that knows no key but its own. ``parameter``
declares one of its fields with a description, a unit and a range; the range is checked for numbers
and for distributions when the recipe is read, and for expressions when their values are known
(``out_of_range``). ``Named`` is the type of a field that holds one member of a registry, written
``{name: {...}}``.

All errors are complete sentences: what is wrong, with which value, what is allowed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, get_args

import numpy as np
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    SerializationInfo,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import (
    CoreSchema,
    InitErrorDetails,
    PydanticCustomError,
    PydanticUndefined,
    core_schema,
)

from deepbench.errors import ExpressionError
from deepbench.language.expressions import number_of, parse
from deepbench.language.plain import EXACT, digits, show, unknown

NAME_PATTERN = r"^[a-z][a-z0-9_]{0,62}$"
_PYDANTIC_ERRORS = frozenset(get_args(core_schema.ErrorType))

_EXPECTED = {
    "string_type": "a valid string",
    "string_unicode": "a valid string",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "a valid integer",
    "int_parsing": "a valid integer",
    "int_from_float": "a valid integer",
    "int_parsing_size": "a valid integer",
    "float_type": "a valid number",
    "float_parsing": "a valid number",
    "finite_number": "a finite number",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "none_required": "None",
    "greater_than": "greater than {gt}",
    "greater_than_equal": "greater than or equal to {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "less than or equal to {le}",
    "multiple_of": "a multiple of {multiple_of}",
    "literal_error": "{expected}",
    "enum": "{expected}",
}
"""Sentences about a value that pydantic refuses, by the type of its error and with the error's context."""


def problem(message: str, kind: str = "wrong_value") -> PydanticCustomError:
    """Return the error to raise inside a validator: pydantic adds the path to the message."""
    return PydanticCustomError(kind, message)


def _sentence(kind: str, context: Mapping[str, Any], value: object) -> str:
    """Return what is allowed and what was found, by the type of pydantic's error and its context."""
    if kind in ("too_short", "too_long"):
        found = context["actual_length"]  # pydantic counts no mapping that is too long
        return f"{_count(kind, context, 'item')}, not {len(value) if found is None else found}"  # type: ignore[arg-type]
    if kind in ("string_too_short", "string_too_long"):
        return f"{_count(kind.removeprefix('string_'), context, 'character')}, not {show(value)}"
    if kind == "string_pattern_mismatch":
        return f"must match pattern '{context['pattern']}', not {show(value)}"
    if kind in _EXPECTED:
        words = {
            name: digits(each) if isinstance(each, float) else each
            for name, each in context.items()
        }
        remedy = ""
        if kind in ("list_type", "tuple_type") and isinstance(value, Mapping):
            remedy = "; put it in brackets: [{...}]"
        elif kind == "string_type" and isinstance(value, int | float):
            remedy = "; put it in quotes"
        return f"must be {_EXPECTED[kind].format_map(words)}, not {show(value)}{remedy}"
    return f"is not what can stand here: {show(value)}"


def _count(kind: str, context: Mapping[str, Any], what: str) -> str:
    """Return how many items or characters are allowed."""
    words, limit = {"too_short": ("least", "min_length"), "too_long": ("most", "max_length")}[kind]
    number = context[limit]
    return f"must have at {words} {number} {what}{'' if number == 1 else 's'}"


def moved(
    error: ValidationError, move: Callable[[tuple[Any, ...]], tuple[Any, ...]]
) -> ValidationError:
    """Return the errors at other paths: ``move`` gives the new path of each."""
    return _rebuilt(error, lambda item: (item["type"], item["msg"], move(item["loc"])))


@contextmanager
def placed(path: tuple[Any, ...], data: Any) -> Iterator[None]:
    """Tell the errors that are raised inside at a path below the value that is read."""
    try:
        yield
    except ValidationError as error:
        raise moved(error, lambda inner: (*path, *inner)) from None
    except PydanticCustomError as error:
        wrong = InitErrorDetails(type=error, loc=path, input=data)
        raise ValidationError.from_exception_data("value", [wrong]) from None


def _rebuilt(
    error: ValidationError, change: Callable[[Any], tuple[str, str, tuple[Any, ...]]]
) -> ValidationError:
    details = []
    items = error.errors(include_url=False)
    for item in items:
        here = item["loc"]
        inner = (other for other in items if other["loc"][: len(here)] == here != other["loc"])
        if item["type"] == "too_short" and any(inner):
            continue  # pydantic does not count the items that have errors themselves
        if item["type"] in ("value_error", "assertion_error"):
            item = {**item, "type": "wrong_value", "msg": str(item["ctx"]["error"])}
        kind, message, path = change(item)
        details.append(InitErrorDetails(type=problem(message, kind), loc=path, input=item["input"]))
    return ValidationError.from_exception_data(error.title, details)


# -------------------------------------------------------------------------------------------------
# Plain numbers


def as_number(value: object) -> float:
    """Return a finite float, with -0.0 as 0.0; refuse what a recipe does not call a number.

    An expression of numbers alone, such as ``= 2 * pi``, is one.
    """
    if isinstance(value, str) and value.startswith("="):
        return as_number(_evaluated(value))
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise problem(f"must be a number, not {show(value)}")
    try:
        number = float(value) + 0.0
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise problem(f"must be a finite number, not {show(value)}")
    if abs(number) >= EXACT and isinstance(value, int | np.integer) and int(number) != int(value):
        raise problem(
            f"is an integer that double precision rounds: {show(value)}; write {number!r}"
        )
    return number


def _evaluated(text: str) -> float:
    """Return the number that an expression stands for; refuse one that needs the values of a sample."""
    try:
        names = parse(text).names
        number = math.nan if names else number_of(text)
    except ExpressionError as error:
        raise problem(str(error), "expression") from None
    if names:
        raise problem(
            f"must be a number, or an expression of constants alone, but {show(text)} uses {names[0]!r}"
        )
    if not math.isfinite(number):
        raise problem(f"must be a finite number, but {show(text)} is {number}")
    return number


def as_whole(value: object) -> int:
    """Return an int; refuse what is not whole. A float must be exact: at most 2**53."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.startswith("="):
        return as_whole(_evaluated(value))
    if isinstance(value, bool) or not isinstance(value, float | np.integer | np.floating):
        raise problem(f"must be a whole number, not {show(value)}")
    number = as_number(value)
    if not number.is_integer() or abs(number) > EXACT:
        raise problem(f"must be a whole number, not {show(value)}")
    return int(number)


Number = Annotated[float, BeforeValidator(as_number)]
Whole = Annotated[int, BeforeValidator(as_whole)]
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]


# -------------------------------------------------------------------------------------------------
# Parameters


@dataclass(frozen=True)
class Parameter:
    """Meaning of a field of a specification, its unit, and the values that it may have.

    Attributes
    ----------
    description, unit : str
        As the labels carry them (``long_name`` and ``units``); ``"1"`` is the unit of pure numbers,
        and the empty unit that of the label that is drawn.
    minimum, maximum : float, optional
        The least and the greatest value allowed.
    above, below : float, optional
        Bounds that are not allowed themselves.
    integer : bool
        Whether only whole numbers are allowed.
    noisy : bool
        Whether a label is measured on the sample with its noise.
    """

    description: str
    unit: str = "1"
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    below: float | None = None
    integer: bool = False
    noisy: bool = False

    def range_text(self) -> str:
        """Return the range in words, such as ``a number above 0 and at most 1 (pixel)``."""
        bounds = (
            ("at least", self.minimum),
            ("above", self.above),
            ("at most", self.maximum),
            ("below", self.below),
        )
        ends = " and ".join(
            f"{words} {digits(bound)}" for words, bound in bounds if bound is not None
        )
        kind = "a whole number" if self.integer else "a number"
        unit = f"({self.unit})" if self.unit not in ("", "1") else ""
        return " ".join(part for part in (kind, ends, unit) if part)

    def bad(self, values: np.ndarray) -> np.ndarray:
        """Return for each value whether it is not allowed, as NaN and infinity never are."""
        with np.errstate(invalid="ignore"):
            good = np.isfinite(values)
            if self.minimum is not None:
                good &= values >= self.minimum
            if self.maximum is not None:
                good &= values <= self.maximum
            if self.above is not None:
                good &= values > self.above
            if self.below is not None:
                good &= values < self.below
            if self.integer:
                good &= values == np.floor(values)
        return ~good

    def contains(self, low: float, high: float, ends: bool) -> bool:
        """Return whether an interval, with its end points if ``ends``, lies in the range."""
        return not (
            (self.minimum is not None and low < self.minimum)
            or (self.maximum is not None and high > self.maximum)
            or (self.above is not None and (low < self.above or (ends and low == self.above)))
            or (self.below is not None and (high > self.below or (ends and high == self.below)))
        )

    def __call__(self, schema: dict[str, Any]) -> None:
        """Add unit and range to the field's JSON Schema, as pydantic's ``json_schema_extra``."""
        extra = {
            "unit": self.unit or None,
            "minimum": self.minimum,
            "maximum": self.maximum,
            "exclusiveMinimum": self.above,
            "exclusiveMaximum": self.below,
        }
        schema.update({key: value for key, value in extra.items() if value is not None})


def parameter(
    description: str,
    *,
    unit: str = "1",
    default: Any = PydanticUndefined,
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    below: float | None = None,
    integer: bool = False,
) -> Any:
    """Declare a field of a specification: what it means, its unit and its range.

    The bounds hold for numbers and for ``Value`` fields: a constant must lie in the range, a
    distribution must never leave it, the values of an expression are checked when they are drawn. A
    default is read like a value in a recipe.

    Examples
    --------
    >>> from deepbench.language.values import Specification, Value
    >>> class Circle(Specification):
    ...     radius: Value = parameter("radius", unit="pixel", above=0)
    >>> Circle(radius={"uniform": [1, 24]}).radius.support()
    (1.0, 24.0)
    """
    meaning = Parameter(description, unit, minimum, maximum, above, below, integer)
    return Field(default, description=description, validate_default=True, json_schema_extra=meaning)


def parameter_of(cls: type[BaseModel], name: str) -> Parameter:
    """Return the ``Parameter`` of a field. Raises KeyError if the class has no such parameter."""
    meaning = _meaning(cls.model_fields[name])
    if meaning is None:
        raise KeyError(name)
    return meaning


def parameters_of(cls: type[BaseModel]) -> dict[str, Parameter]:
    """Return the parameters of a specification by name, in the order in which they are declared."""
    found = {name: _meaning(field) for name, field in cls.model_fields.items()}
    return {name: meaning for name, meaning in found.items() if meaning is not None}


def _meaning(field: FieldInfo) -> Parameter | None:
    extra: object = field.json_schema_extra
    return extra if isinstance(extra, Parameter) else None


def out_of_range(parameter: Parameter, values: np.ndarray | float) -> int | None:
    """Return the index, in C order, of the first value that is not allowed, None if all are.

    NaN and infinite values are never allowed.
    """
    bad = np.flatnonzero(parameter.bad(np.asarray(values, dtype=np.float64)))
    return int(bad[0]) if bad.size else None


def check_range(parameter: Parameter, value: Any) -> None:
    """Raise pydantic's error if a number, constant or distribution can leave the range."""
    if isinstance(value, int | float) and (
        not parameter.contains(value, value, True) or (parameter.integer and value % 1)
    ):
        raise problem(f"must be {parameter.range_text()}, not {value}", "out_of_range")
    for each in getattr(value, "alternatives", ()):
        check_range(parameter, each)
    if hasattr(value, "support") and not value.alternatives:
        low, high = value.support()
        if not value.known and not (math.isfinite(low) and math.isfinite(high)):
            return  # checked when it is drawn
        if not parameter.contains(low, high, not value.continuous) or (
            parameter.integer and not value.integer
        ):
            raise problem(value.misfit(parameter.range_text()), "out_of_range")


# -------------------------------------------------------------------------------------------------
# Specifications


class Specification(BaseModel):
    """Base of everything a recipe can say: frozen, hashable, without unknown keys.

    ``model_dump(mode="json")`` is the full recipe form of it, every default filled in, and reads
    back equal.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True
    )
    _form: ClassVar[str] = "a mapping"

    def __dir__(self) -> list[str]:
        """Return the names that are a specification's own, not those of the library that checks it."""
        own = {name for name in super().__dir__() if not name.startswith("_")}
        return sorted(own.difference(dir(BaseModel)).union(dir(object)))

    @field_validator("*", mode="after")
    @classmethod
    def _check_range(cls, value: Any, info: ValidationInfo) -> Any:
        meaning = _meaning(cls.model_fields[str(info.field_name)])
        if meaning is not None and value is not None:
            for each in value.values() if isinstance(value, Mapping) else (value,):
                check_range(meaning, each)
        return value

    @model_validator(mode="wrap")
    @classmethod
    def _explain(cls, data: Any, handler: Callable[[Any], Any]) -> Any:
        try:
            return handler(data)
        except ValidationError as error:
            raise _rebuilt(error, cls._explained) from None

    @classmethod
    def _explained(cls, item: Any) -> tuple[str, str, tuple[Any, ...]]:
        """Return kind, message and path of an error, in our words where pydantic found it."""
        kind, path = item["type"], item["loc"]
        if kind not in _PYDANTIC_ERRORS:
            return kind, item["msg"], path
        if kind == "extra_forbidden" and len(path) == 1:
            return "unknown_key", unknown("key", path[0], cls.model_fields), path
        if kind == "missing":
            return "missing_key", f"{str(path[-1])!r} is missing{cls._meant(str(path[0]))}", path
        if kind in ("model_type", "dict_type", "model_attributes_type") and not path:
            keys = ", ".join(cls.model_fields)
            return "wrong_value", f"must be {cls._form} of {keys}, not {show(item['input'])}", path
        return "wrong_value", _sentence(kind, item.get("ctx", {}), item["input"]), path

    @classmethod
    def _meant(cls, name: str) -> str:
        """Return what a field means and which numbers it takes, to go on with after its name."""
        field = cls.model_fields.get(name)
        if field is None:
            return ""
        meaning = _meaning(field)
        words = [] if field.description in (None, name) else [field.description]
        if meaning is not None and meaning.unit:
            words.append(meaning.range_text())
        return f": {', '.join(words)}" if words else ""


class Group(Specification):
    """Base of values that belong together inside another specification, whose labels they are: ``shear.g1``."""


def in_short(cls: type[Specification]) -> str:
    """Return what a specification is: the first line of its docstring."""
    return (cls.__doc__ or "").strip().partition("\n")[0]


def allow_parts(schema: dict[str, Any], key: str) -> dict[str, Any]:
    """Return the JSON Schema of a mapping that may leave out what another one has, which it names under a key.

    Where it does, the schema checks the names of its own keys alone.
    """
    whole = {each: schema[each] for each in ("properties", "required")}
    known = {
        name: {"description": each["description"]} for name, each in whole["properties"].items()
    }
    known[key] = whole["properties"][key]
    rest = {each: value for each, value in schema.items() if each not in whole}
    names_one = {"required": [key], "properties": {key: {"type": "string"}}}
    return {**rest, "properties": known, "if": names_one, "else": whole}


# -------------------------------------------------------------------------------------------------
# One member of a registry


@dataclass(frozen=True, eq=False)
class Named:
    """Type of a field that holds one member of a registry, written ``{name: {...}}`` in the recipe.

    Attributes
    ----------
    registry : mapping of str to class
        The specifications one may choose from.
    what : str
        What a member is called in messages, such as ``"distribution"``.

    Examples
    --------
    >>> from typing import Annotated
    >>> class Gaussian(Specification):
    ...     sigma: Number = parameter("standard deviation", unit="pixel", above=0)
    >>> Blur = Annotated[Gaussian, Named({"gaussian": Gaussian}, "blur")]
    >>> class Camera(Specification):
    ...     psf: Blur
    >>> Camera(psf={"gaussian": {"sigma": 2}}).model_dump()
    {'psf': {'gaussian': {'sigma': 2.0}}}
    """

    registry: Mapping[str, type[Specification]]
    what: str

    def parse(self, data: Any, info: ValidationInfo) -> Any:
        """Return the member that ``data`` describes."""
        if isinstance(data, tuple(self.registry.values())):
            return data
        if not isinstance(data, Mapping) or len(data) != 1:
            raise problem(f"must be {self.expected(data)}")
        ((name, body),) = data.items()
        if name not in self.registry:
            raise problem(unknown(self.what, name, self.registry), "unknown_name")
        try:
            return self.registry[name].model_validate(body, context=info.context)
        except ValidationError as error:
            raise moved(error, lambda path: (name, *path)) from None

    def expected(self, data: Any) -> str:
        """Return what is allowed and what was found, for data that do not name one member."""
        found = show(data)
        if isinstance(data, Mapping) and data:
            found = f"{len(data)} names: {show(list(data))}"
        return f"one {self.what} {{name: ...}} of {', '.join(self.registry)}; not {found}"

    def dump(self, value: Any, info: SerializationInfo) -> Any:
        """Return the recipe form of a member, every default filled in."""
        options = {"exclude_none": info.exclude_none, "context": info.context}
        return {self.name_of(value): value.model_dump(mode="json", **options)}

    def name_of(self, value: Any) -> str:
        """Return the name under which a member's class is registered."""
        return next(name for name, cls in self.registry.items() if cls is type(value))

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(
            self.parse,
            json_schema_input_schema=core_schema.union_schema([*self.forms(handler)]),
            serialization=core_schema.plain_serializer_function_ser_schema(
                self.dump, info_arg=True, return_schema=core_schema.any_schema()
            ),
        )

    def forms(self, handler: GetCoreSchemaHandler) -> list[CoreSchema]:
        """Return the schemas of what may be written, for the JSON Schema of the recipe."""
        return [
            core_schema.typed_dict_schema(
                {name: core_schema.typed_dict_field(handler.generate_schema(cls))},
                extra_behavior="forbid",
            )
            for name, cls in self.registry.items()
        ]
