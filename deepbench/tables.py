"""Tables of all kinds: what a recipe says of them, and the view of one that the rest works with.

A kind of table subclasses ``TableSpecification``. ``Table`` bundles one table of a recipe with all that follows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    Field,
    GetJsonSchemaHandler,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import CoreSchema

from deepbench.arrays import Coordinate, DataVariable, Storage, shard_length
from deepbench.labelling.derived import (
    ClassNoise,
    Derived,
    DerivedLabel,
    Formula,
    LogPrior,
    NoisyClass,
)
from deepbench.labelling.design import Design
from deepbench.labelling.sampling import Selection, SplitRule, Splits, Weight, check_fractions
from deepbench.labelling.scopes import factors_scope
from deepbench.language.factors import Factors, level_counts, values_of
from deepbench.language.one_of import names_of
from deepbench.language.specification import (
    Name,
    Specification,
    Whole,
    placed,
    problem,
)
from deepbench.language.values import (
    By,
    Constant,
    Variable,
    free_names,
)
from deepbench.numerics.stream_names import at_attempt, stream_number

if TYPE_CHECKING:
    from deepbench.labelling.plan import LabelPlan
    from deepbench.labelling.scopes import Scope

MAXIMUM_SAMPLES = 2**32
"""Number of samples that the counter of random numbers can tell apart: one word of 32 bits."""


Variables = Annotated[
    dict[Name, Variable],
    AfterValidator(free_names),
    Field(default_factory=dict, description="values and joint draws that expressions use by name"),
]


class ClassSpecification(Specification):
    """Fields of every class, whatever the kind of its table."""

    weight: Weight = Field(
        1.0,  # type: ignore[assignment]
        description="how often it is drawn, against the others; one number, or one by split",
    )
    variables: Variables

    @property
    def weight_given(self) -> float | By:
        """The weight as a number, where it is one for all splits."""
        return self.weight.value if isinstance(self.weight, Constant) else self.weight


class ObjectsClass(ClassSpecification):
    """Fields of every class that has objects; a subclass has the field ``objects``.

    Attributes
    ----------
    reserved : frozenset of str
        Names of what is labelled beside objects; no object may have one.
    """

    if TYPE_CHECKING:
        objects: tuple[Any, ...]

    reserved: ClassVar[frozenset[str]]

    @field_validator("objects", check_fields=False)
    @classmethod
    def _names_are_free(cls, objects: tuple[Any, ...]) -> tuple[Any, ...]:
        taken = sorted(cls.reserved.intersection(names_of(objects)))
        if taken:
            raise problem(f"'{taken[0]}' cannot be the name of an object; choose another")
        return objects


class TableSpecification(Specification, ABC):
    """Fields of every table, whatever its kind, and the questions that each kind answers about its tables.

    A subclass has the fields ``kind``, a literal, and ``classes``; one that stores planes on demand has ``planes``.

    Attributes
    ----------
    tolerance : bool
        Whether values may differ by rounding between computers.
    """

    if TYPE_CHECKING:
        kind: str
        classes: Mapping[str, Any]

    tolerance: ClassVar[bool] = False

    samples: Annotated[Whole, Field(ge=1, le=MAXIMUM_SAMPLES)] = Field(
        None,  # type: ignore[assignment]
        description="number of samples; with factors, that of their combinations when absent",
    )
    group_size: Annotated[Whole, Field(ge=1, le=MAXIMUM_SAMPLES)] = Field(
        1, description="consecutive samples that form one group and so share a split"
    )
    variables: Variables
    splits: Splits | None = Field(
        None,
        description="fraction of each split, or {where: condition}; those of the recipe when absent",
    )
    draw_from: Name | None = Field(
        None,
        description="table whose streams the labels are drawn from, so that both show one scene",
    )
    noise_from: Name | None = Field(
        None, description="table whose streams the noise is drawn from; that of `draw_from`"
    )
    require: Selection | None = Field(
        None, description="condition that each sample meets; drawn again until it does"
    )
    factors: Annotated[Factors, AfterValidator(free_names)] | None = Field(
        None,
        description="variables whose levels are combined in all ways, one combination for each sample, by their names",
    )
    factor_order: Literal["written", "shuffled"] | None = Field(
        None,
        description="order of the combinations: the last factor fastest, or a random one; written when absent",
    )

    @field_validator("samples", mode="wrap")
    @classmethod
    def _may_be_absent(cls, samples: Any, check: Any) -> Any:
        return None if samples is None else check(samples)

    @field_validator("factors")
    @classmethod
    def _say_how_many(cls, factors: Factors | None, info: ValidationInfo) -> Factors | None:
        if factors is None and info.data.get("samples", ...) is None:
            raise problem("'samples' is missing: number of samples", "missing_key")
        return factors

    @field_validator("factor_order")
    @classmethod
    def _absent_when_written(cls, order: str | None, info: ValidationInfo) -> str | None:
        if order is not None and info.data.get("factors", ...) is None:
            raise problem("is the order of `factors`, and there are none")
        return None if order == "written" else order

    @model_validator(mode="after")
    def _check_design(self) -> Self:
        """Count the combinations of the factors, and refuse too many, and weights where each comes equally often."""
        if self.design is None:
            return self
        for name in filter(self.variables.__contains__, self.design.levels):
            with placed(("factors", name), self.factors):
                raise problem(f"'{name}' is a factor and a variable; give one of them another name")
        with placed(("factors",), self.factors):
            count = self.design.count * self.together
            if count > MAXIMUM_SAMPLES:
                raise problem(
                    f"the combinations take {count:,} samples, and a table has at most {MAXIMUM_SAMPLES:,} (2**32); "
                    "leave out levels, or draw a variable instead"
                )
        for name, described in self.classes.items() if "class" in self.design.levels else ():
            with placed(("classes", name, "weight"), described.weight_given):
                if described.weight_given != 1:
                    raise problem(
                        "the factor 'class' gives every class equally often; leave out the weight, or the factor"
                    )
        if self.samples is None:
            object.__setattr__(self, "samples", count)
        return self

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Require the number of samples where there are no factors, in the JSON Schema of what may be written."""
        reference = handler(schema)
        table = handler.resolve_ref_schema(reference)
        if handler.mode == "validation":
            table["properties"]["samples"].pop("default", None)
            factors = {"required": ["factors"], "properties": {"factors": {"type": "object"}}}
            table["anyOf"] = [{"required": ["samples"]}, factors]
            table["dependentRequired"] = {"factor_order": ["factors"]}
        return reference

    labels: Annotated[dict[Name, DerivedLabel], Field(min_length=1, max_length=100)] | None = Field(
        None, description="labels that are computed from the others, by name"
    )
    log_prior: bool | None = Field(
        None, description="whether the log-density of all drawn values is a label"
    )
    label_noise: Annotated[dict[Literal["class"], ClassNoise], Field(min_length=1)] | None = Field(
        None,
        description="{class: …}: probability that a class is published as another one, as a number, by split, or a "
        "matrix {class: {class: probability}}",
    )

    @field_validator("log_prior")
    @classmethod
    def _only_true(cls, wanted: bool | None) -> bool | None:
        return wanted or None

    @field_validator("classes", check_fields=False)
    @classmethod
    def _names_are_read(cls, classes: dict[str, Any]) -> dict[str, Any]:
        taken = sorted({"nan", "null"} & classes.keys())
        if taken:
            raise problem(
                f"'{taken[0]}' cannot be the name of a class: readers of CSV take it for a missing value"
            )
        return classes

    @field_validator("splits")
    @classmethod
    def _splits_are_whole(cls, splits: dict[str, Any] | None) -> dict[str, Any] | None:
        if splits is not None:
            check_fractions([each for each in splits.values() if not isinstance(each, SplitRule)])
        return splits

    @model_validator(mode="after")
    def _twins(self) -> Self:
        """Refuse what a table cannot say that draws from another one."""
        if self.noise_from is not None and self.noise_from != self.draw_from:
            raise problem(
                "`noise_from` must be the table of `draw_from`: noise belongs to its scene"
            )
        if self.draw_from is not None:
            for name in ("splits", "require"):
                if getattr(self, name) is not None:
                    raise problem(
                        f"a table with `draw_from` has the {name} of that table: leave out `{name}`"
                    )
        if self.require is not None and self.together > 1:
            raise problem(
                "`require` cannot select samples that are drawn together, such as patches of a map"
            )
        return self

    @field_validator("planes", check_fields=False)
    @classmethod
    def _planes_differ(cls, planes: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if planes is not None and len(set(planes)) < len(planes):
            raise problem("names a plane twice")
        return planes

    @property
    def design(self) -> Design | None:
        """The combinations of the factors' levels, None without factors."""
        if self.factors is None:
            return None
        levels = dict(level_counts(self.factors, len(self.classes)))
        return Design(levels, self.factor_order is not None)

    def factor_scopes(self) -> list[Scope]:
        """Return the scope of the factors that are values; none where there are no such factors."""
        values = values_of(self.factors or {})
        return [factors_scope(values)] if values else []

    @property
    def together(self) -> int:
        """Number of consecutive samples that share class and values, and are rendered together; groups count these."""
        return 1

    def derived(self) -> list[Derived]:
        """Return the labels that follow from all others, in the order of their columns."""
        found: list[Derived] = [Formula(name, each) for name, each in (self.labels or {}).items()]
        if self.log_prior:
            found.append(LogPrior())
        return [*found, *(NoisyClass(each) for each in (self.label_noise or {}).values())]

    @abstractmethod
    def scopes(self) -> list[Scope]:
        """Return every set of parameters that is drawn together, in the order of the recipe."""

    @abstractmethod
    def pixel_streams(self) -> list[str]:
        """Return the streams that rendering draws from, without the table's name."""

    @abstractmethod
    def data_variables(self) -> tuple[DataVariable, ...]:
        """Return what is stored of each sample."""

    @abstractmethod
    def coordinates(self) -> tuple[Coordinate, ...]:
        """Return the coordinates of the dimensions after ``sample``."""

    @abstractmethod
    def working_bytes(self, plan: LabelPlan) -> int:
        """Return the bytes that rendering takes beside its result; ``plan`` knows how often objects repeat."""


S = TypeVar("S", bound=TableSpecification)


@dataclass(frozen=True, eq=False)
class Table(Generic[S]):
    """One table of a recipe, with all that follows from it; ``Recipe.table`` returns it.

    Attributes
    ----------
    name : str
    specification : TableSpecification
        What the recipe says of it.
    plan : LabelPlan
        How its labels are drawn.
    seed : int
        Seed of the recipe.
    storage : Storage
        How the recipe's arrays are cut.
    hash : str
        SHA-256 of what shapes the table, in hexadecimal, without its number of samples: tables with equal hashes agree
        in each sample that both have.
    recipe, recipe_hash : str
        Name and hash of the recipe.
    words : mapping of str to str, optional
        Descriptions of variables and coordinates, by their names, in place of ours.
    origin : Table, optional
        The table that it draws from.
    attempt : int, optional
        Attempt of the selection whose noise is drawn; the samples of one rendering share it.
    """

    name: str
    specification: S
    plan: LabelPlan
    seed: int
    storage: Storage
    hash: str
    recipe: str
    recipe_hash: str
    words: Mapping[str, str] = field(default_factory=dict)
    origin: Table[Any] | None = None
    attempt: int = 0

    @property
    def kind(self) -> str:
        """Name of its kind, as in ``kinds.KINDS``."""
        return self.specification.kind

    @property
    def samples(self) -> int:
        """Number of its samples."""
        return self.specification.samples

    @cached_property
    def variables(self) -> tuple[DataVariable, ...]:
        """Arrays that are stored of each sample."""
        return tuple(
            replace(each, long_name=self.words.get(each.name, each.long_name))
            for each in self.specification.data_variables()
        )

    @cached_property
    def coordinates(self) -> tuple[Coordinate, ...]:
        """Coordinates of the dimensions after ``sample``."""
        return tuple(
            replace(each, long_name=self.words.get(each.name, each.long_name))
            for each in self.specification.coordinates()
        )

    @property
    def tolerance(self) -> bool:
        """Whether labels or values may differ by rounding between computers."""
        return self.plan.tolerance or self.specification.tolerance

    @cached_property
    def shard_length(self) -> int:
        """Number of samples in each shard."""
        labels = self.plan.label_bytes + self.plan.most_copies * self.plan.copy_bytes
        return shard_length(self.variables, self.storage, labels, self.specification.together)

    def at(self, attempt: int) -> Table[S]:
        """Return the table with the noise of an attempt of its selection."""
        return replace(self, attempt=attempt)

    def stream(self, name: str) -> int:
        """Return the number of one of its streams, which rendering draws from."""
        owner = self.specification.noise_from or self.name
        return at_attempt(stream_number(f"{owner}/{name}"), self.attempt)
