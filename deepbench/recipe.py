"""The whole recipe: what a benchmark release is made of, checked, with every default filled in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Union

from pydantic import (
    BeforeValidator,
    Field,
    PrivateAttr,
    StringConstraints,
    ValidationError,
    field_validator,
)
from pydantic_core import InitErrorDetails

from deepbench import notebook
from deepbench.arrays import Storage
from deepbench.authors import AnyAuthor, Doi, Line, Url, Words
from deepbench.errors import CatalogError, Problem, RecipeError
from deepbench.kinds import KINDS
from deepbench.labelling.plan import LabelPlan
from deepbench.labelling.problems import problems
from deepbench.labelling.sampling import check_fractions
from deepbench.labelling.scopes import variables_scope
from deepbench.language.canonical import canonical_hash, pairs
from deepbench.language.constants import allow_expressions, write_out
from deepbench.language.document import Steps
from deepbench.language.extends import EXTENDS, extended
from deepbench.language.load import Document, parse_document, read_document, write_document
from deepbench.language.ordered import CANONICAL
from deepbench.language.plain import FEW, absent, show, some, unknown
from deepbench.language.specification import (
    Name,
    Number,
    Specification,
    Whole,
    allow_parts,
    problem,
)
from deepbench.language.values import Variable, free_names
from deepbench.numerics.stream_names import stream_number
from deepbench.recipe_problems import problem_at
from deepbench.storage.names import RELEASE_NAME, VERSION
from deepbench.tables import Table, TableSpecification
from deepbench.words import bytes_text

ROOT = "/"
"""First step of a path that begins at the top of a recipe, not at a table."""


def _of_known_kind(data: Any) -> Any:
    """Refuse a table that is of no kind, before it is looked at."""
    if isinstance(data, TableSpecification):
        return data
    allowed = ", ".join(KINDS)
    if not isinstance(data, Mapping):
        raise problem(f"must be a mapping with a `kind`, one of {allowed}; not {show(data)}")
    if "kind" not in data:
        raise problem(f"'kind' is missing: one of {allowed}", "missing_key")
    kind = data["kind"]
    if not isinstance(kind, str) or kind not in KINDS:
        message = unknown("kind of table", kind, KINDS)
        wrong = InitErrorDetails(type=problem(message, "unknown_name"), loc=("kind",), input=kind)
        raise ValidationError.from_exception_data("table", [wrong])
    return data


if TYPE_CHECKING:
    AnyTable = TableSpecification
else:
    AnyTable = Annotated[
        Union[tuple(kind.specification for kind in KINDS.values())],  # noqa: UP007
        Field(discriminator="kind"),
        BeforeValidator(_of_known_kind),
    ]


class Recipe(Specification):
    """A benchmark dataset: a pure function of this and a sample number.

    Read one with ``load_recipe``; it is frozen, and ``replace`` gives a changed copy that is checked again.

    Examples
    --------
    >>> recipe = load_recipe("workflows/shapes.yaml")              # doctest: +SKIP
    >>> recipe                                                     # doctest: +SKIP
    <Recipe shapes@1.0.0: images (image, 6,000)>
    >>> more = recipe.replace({"tables.images.samples": 12_000, "version": "1.1.0"})      # doctest: +SKIP
    >>> more.table("images").variables[0].shape                    # doctest: +SKIP
    (64, 64)
    """

    name: Annotated[str, StringConstraints(pattern=RELEASE_NAME)] = Field(
        description="name of the release"
    )
    version: Annotated[str, StringConstraints(pattern=VERSION)] = Field(
        description="semantic version of the data: MAJOR.MINOR.PATCH"
    )
    title: Annotated[Words, StringConstraints(min_length=1)] = Field(
        description="one line that says what it is"
    )
    description: Words = Field("", description="what a user of the release should know")
    license: Words = Field(
        "", description="licence of the release, an SPDX identifier such as CC-BY-4.0"
    )
    authors: tuple[AnyAuthor, ...] = Field(
        (), description="who made it, for citations: names, or {name, orcid, affiliation}"
    )
    references: tuple[Words, ...] = Field((), description="papers and links it rests on")
    keywords: Annotated[tuple[Line, ...], Field(max_length=100)] | None = Field(
        None, description="words by which it is found"
    )
    url: Url | None = Field(None, description="address of a web page about it")
    doi: Doi | None = Field(None, description="DOI of this version, reserved before it is built")
    extends: Annotated[str, Field(min_length=1)] | None = Field(
        None,
        exclude=True,
        description="another recipe, a local file, of which it says what is different",
    )
    constants: dict[Name, Number] | None = Field(
        None, exclude=True, description="names for numbers, which expressions use"
    )
    seed: Annotated[Whole, Field(ge=0, lt=2**64)] = Field(description="seed of all random draws")
    splits: Annotated[
        dict[Name, Annotated[Number, Field(gt=0, le=1)]], Field(min_length=1, max_length=100)
    ] = Field(
        default_factory=lambda: {"train": 0.8, "validation": 0.1, "test": 0.1},
        description="fraction of each split, in the order of the thresholds; the sum is 1",
    )
    variables: dict[Name, Variable] | None = Field(
        None, description="values that all tables share, drawn from one stream whatever the table"
    )
    tables: Annotated[dict[Name, AnyTable], Field(min_length=1, max_length=100)] = Field(
        description="the tables of samples"
    )
    storage: Storage = Field(Storage(), description="how arrays are cut on disk")

    _document: Document = PrivateAttr()
    _plans: dict[str, LabelPlan] = PrivateAttr(default_factory=dict)
    _views: dict[str, Table[Any]] = PrivateAttr(default_factory=dict)
    _words: Mapping[str, Mapping[str, str]] = PrivateAttr(default_factory=dict)

    @field_validator("variables")
    @classmethod
    def _free_names(cls, variables: dict[str, Any] | None) -> dict[str, Any] | None:
        return None if not variables else free_names(variables)

    @field_validator("splits")
    @classmethod
    def _whole(cls, splits: dict[str, float]) -> dict[str, float]:
        check_fractions(list(splits.values()))
        return splits

    @field_validator("extends")
    @classmethod
    def _read_already(cls, extends: str | None) -> str | None:
        if extends is not None:
            raise problem("stands only in the file of a recipe; it cannot be set")
        return extends

    @classmethod
    def from_document(cls, document: Document) -> Recipe:
        """Check a document, which no longer says what it ``extends``, and return the recipe in it.

        Raises
        ------
        RecipeError
            With every problem found.
        """
        written = write_out(document)
        data = written.document.data
        try:
            recipe = cls.model_validate(data, context={"folder": document.folder})
        except ValidationError as error:
            details = error.errors(include_url=False)
            problems = [problem_at(written.document, each, cls) for each in details]
        else:
            recipe._document = document
            problems = recipe._problems(written.uses) or recipe._too_large()
        problems = [*map(written.explained, problems), *written.problems]
        if problems:  # raised apart from pydantic's error, which cannot be unpickled
            raise RecipeError.from_problems(document.file, list(dict.fromkeys(problems)))
        return recipe

    def _problems(self, uses: Iterable[tuple[Steps, str]]) -> list[Problem]:
        """Return what is wrong between the parts: references, shared columns, colliding streams.

        ``uses`` are the paths of expressions, each with a constant that stood there.
        """
        found = [(path, message) for path, name in uses if (message := self._ambiguous(path, name))]
        found += [(("tables", *path), message) for path, message in self._wrong_twins()]
        if found:
            return [self._document.problem(message, path) for path, message in found]
        names: dict[int, str] = {}
        for name, table in self.tables.items():
            plan = self._plan(name)
            found += [
                (path[1:] if path[:1] == (ROOT,) else ("tables", name, *path), message)
                for path, message in problems(plan)
            ]
            pixels = [f"{table.noise_from or name}/{stream}" for stream in table.pixel_streams()]
            for stream in (*plan.streams(), *pixels):
                other = names.setdefault(stream_number(stream), stream)
                if other != stream:
                    message = (
                        f"the streams '{stream}' and '{other}' have one number; rename one of them"
                    )
                    found.append((("tables", name), message))
        return [self._document.problem(message, path) for path, message in dict.fromkeys(found)]

    def _wrong_twins(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """Yield what is wrong between a table and the one it draws from, with its path below ``tables``."""
        for name, table in self.tables.items():
            other = self.tables.get(table.draw_from or name)
            path = (name, "draw_from")
            if other is None:
                yield path, unknown("table", table.draw_from, self.tables)
            elif other is not table:
                if other.draw_from is not None:
                    message = f"'{table.draw_from}' draws from '{other.draw_from}': name that one, there are no chains"
                    yield path, message
                unequal = [each for each in _of_scenes(table, other) if each[1] != each[2]]
                for what, own, wanted in unequal[:1]:
                    message = f"its {what} must be that of '{table.draw_from}': {show(wanted)}"
                    yield path, f"{message}, not {show(own)}"
            elif table.draw_from is not None:
                yield path, "a table cannot draw from itself"
            if table.require is not None and self.variables:
                apart = [
                    each
                    for each in self.tables
                    if each != name and self.tables[each].draw_from != name
                ]
                if apart:
                    message = (
                        f"a selection draws the shared variables again, so '{apart[0]}' would not share them; "
                        f"give it `draw_from: {name}`"
                    )
                    yield (name, "require"), message

    def _ambiguous(self, path: Steps, name: str) -> str:
        """Return why a constant's name in the expression at a path could mean a value, too; empty where it cannot."""
        if path[0] != "tables":
            return ""
        for scope in self._plan(str(path[1])).scopes:
            inside = path[2 : 2 + len(scope.path)] == scope.path
            own = path[2:][: len(scope.path_of(name))] == scope.path_of(name)
            if inside and not own and name in scope.values:
                return (
                    f"'{name}' is a constant and a value of '{scope.name}'; write '{scope.column(name)}' for "
                    "that, or rename the constant"
                )
        return ""

    def _too_large(self) -> list[Problem]:
        """Return why the recipe with its defaults filled in, as a release keeps it, could not be read again."""
        try:
            parse_document(self.to_yaml())
        except RecipeError as error:
            what = "with all defaults and aliases written out, it"
            return [self._document.problem(f"{what} {each.message}") for each in error.problems]
        return []

    def table(self, name: str) -> Table[Any]:
        """Return one table with all that follows from it: hash, labels, variables, shards.

        Raises
        ------
        CatalogError
            The recipe has no such table.
        """
        if name not in self.tables:
            raise CatalogError(absent("table", name, self.tables, f"'{self.name}'"))
        if name not in self._views:
            origin = self.tables[name].draw_from
            self._views[name] = Table(
                name=name,
                specification=self.tables[name],
                plan=self._plan(name),
                seed=self.seed,
                storage=self.storage,
                hash=self._table_hash(name),
                recipe=self.name,
                recipe_hash=self.hash,
                words=self._words.get(name, {}),
                origin=self.table(origin) if origin else None,
            )
        return self._views[name]

    def _plan(self, name: str) -> LabelPlan:
        """Return how the labels of a table are drawn."""
        if name not in self._plans:
            described = self.tables[name]
            origin = described.draw_from
            scene = self.tables[origin] if origin else described
            shared = replace(
                variables_scope(self.variables or {}, (ROOT, "variables")), shared=True
            )
            first = [shared] if self.variables else []
            self._plans[name] = LabelPlan(
                name,
                [*first, *described.factor_scopes(), *described.scopes()],
                {each: value.weight_given for each, value in described.classes.items()},
                _splits_of(scene.splits or self.splits),
                described.group_size,
                described.together,
                self._words.get(name),
                stream_table=origin,
                selection=scene.require,
                origin=self._plan(origin) if origin else None,
                design=described.design,
                derived=described.derived(),
            )
        return self._plans[name]

    def replace(self, changes: Mapping[str, Any]) -> Recipe:
        """Return the recipe with some values changed, checked again.

        Parameters
        ----------
        changes : mapping of str to plain data
            Dotted paths, such as ``{"tables.images.samples": 100}``; items of lists by their number.

        Raises
        ------
        RecipeError
            A path does not exist, or the changed recipe is not valid.
        """
        return Recipe.from_document(self._document.replace(changes))

    def worded(self, words: Mapping[str, Mapping[str, str]]) -> Recipe:
        """Return the recipe with other descriptions of what its tables hold; they shape nothing, and no hash.

        Parameters
        ----------
        words : mapping of str to mapping of str to str
            For each table the descriptions of variables, labels and coordinates by their names; those of columns of
            repeated objects are called ``objects/…``.
        """
        other = self.model_copy()
        other._plans, other._views, other._words = {}, {}, words
        return other

    @property
    def folder(self) -> Path | None:
        """Folder in which the files that the recipe names are looked for; None for a recipe without a file."""
        return self._document.folder

    def __repr__(self) -> str:
        tables = [f"{name} ({each.kind}, {each.samples:,})" for name, each in self.tables.items()]
        return f"<Recipe {self.name}@{self.version}: {some(tables, FEW)}>"

    __str__ = __repr__

    def _repr_html_(self) -> str:
        """Return how a notebook shows the recipe; nothing is rendered for it."""
        rows = []
        for table in map(self.table, self.tables):
            splits = self.tables[table.name].splits or self.splits
            shares = [
                f"{name} {share if isinstance(share, float) else 'by a rule'}"
                for name, share in _splits_of(splits).items()
            ]
            size = table.samples * sum(each.sample_bytes for each in table.variables)
            classes, variables = list(table.plan.classes), [each.name for each in table.variables]
            words = (table.name, table.kind, f"{table.samples:,}", bytes_text(size))
            rows.append((*words, *(some(each, FEW) for each in (classes, shares, variables))))
        head = ("table", "kind", "samples", "uncompressed", "classes", "splits", "variables")
        facts = {"seed": str(self.seed), "licence": self.license, "hash": self.hash[:12]}
        return notebook.card(
            f"{self.name}@{self.version}", self.title, facts, notebook.table(head, rows)
        )

    def __eq__(self, other: object) -> bool:
        """Return whether the other recipe says the same, in words and order too, wherever it was written."""
        return isinstance(other, Recipe) and self.to_yaml() == other.to_yaml()

    def __hash__(self) -> int:
        return hash(self.hash)

    def resolved(self) -> dict[str, Any]:
        """Return the recipe as plain data with every default filled in."""
        return self.model_dump(mode="json", exclude_none=True)

    def to_yaml(self) -> str:
        """Return the resolved recipe as YAML. It reads back as an equal recipe."""
        return write_document(self.resolved())

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """Return the JSON Schema of recipes."""
        schema = cls.model_json_schema(mode="validation")
        allow_expressions(schema)
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            **allow_parts(schema, EXTENDS),
            "title": "DeepBench recipe",
        }

    @cached_property
    def hash(self) -> str:
        """SHA-256 of everything that shapes the data, in hexadecimal: not name, version, words and storage."""
        tables = {name: self._canonical(name) for name in self.tables}
        return canonical_hash({**self._canonical_head(), "tables": tables})

    def _table_hash(self, name: str) -> str:
        """Return the SHA-256 of what shapes one table, without its number of samples."""
        described = self._canonical(name)
        del described["samples"]
        origin = self.tables[name].draw_from
        inherits = origin is not None and self._plan(name).inherits
        scene = {"origin": self._table_hash(origin)} if origin and inherits else {}
        return canonical_hash({**self._canonical_head(), **scene, "name": name, "table": described})

    def _canonical_head(self) -> dict[str, Any]:
        """Return what shapes all tables, as plain data."""
        head: dict[str, Any] = {"seed": self.seed, "splits": pairs(self.splits)}
        if self.variables:
            plain = self.model_dump(mode="json", include={"variables"}, context=CANONICAL)
            head["variables"] = plain["variables"]
        return head

    def _canonical(self, table: str) -> dict[str, Any]:
        words = {"labels": {"__all__": {"description"}}}
        described = self.tables[table].model_dump(
            mode="json", exclude_none=True, exclude=words, context=CANONICAL
        )
        ordered = {key: pairs(described[key]) for key in ("classes", "splits") if key in described}
        return described | ordered


def _of_scenes(
    table: TableSpecification, other: TableSpecification
) -> Iterator[tuple[str, Any, Any]]:
    """Yield what two tables must share to show one scene, as each of them has it."""
    weights = [
        {name: value.weight_given for name, value in each.classes.items()}
        for each in (table, other)
    ]
    yield "list of classes", list(weights[0]), list(weights[1])
    yield "weights of the classes", weights[0], weights[1]
    designs = [
        each.design if each.design is not None and "class" in each.design.levels else None
        for each in (table, other)
    ]
    yield "design of factors, one of which is the class,", designs[0], designs[1]
    yield "group_size", table.group_size, other.group_size
    yield "number of samples that are drawn together", table.together, other.together


def _splits_of(splits: Mapping[str, Any]) -> dict[str, Any]:
    """Return splits by name: a fraction, or the condition of a rule."""
    return {name: getattr(each, "where", each) for name, each in splits.items()}


def load_recipe(path: str | Path) -> Recipe:
    """Read a recipe from a YAML file.

    Parameters
    ----------
    path : str or Path
        Files that it names, and what it extends, are looked for beside it.

    Raises
    ------
    RecipeError
        With every problem of the file, each with line, column, path, and what would be right.

    Examples
    --------
    >>> recipe = load_recipe("workflows/shapes.yaml")       # doctest: +SKIP
    >>> recipe.tables["images"].samples                     # doctest: +SKIP
    6000
    """
    return Recipe.from_document(extended(read_document(path)))


def parse_recipe(text: str, name: str = "<recipe>") -> Recipe:
    """Return the recipe in a YAML text.

    Parameters
    ----------
    text : str
        Files that it names, and what it extends, are looked for in the working directory.
    name : str
        Stands for the file in messages.

    Raises
    ------
    RecipeError
        As ``load_recipe``.

    Examples
    --------
    >>> parse_recipe(open("workflows/shapes.yaml").read())         # doctest: +SKIP
    <Recipe shapes@1.0.0: images (image, 6,000)>
    """
    return Recipe.from_document(extended(parse_document(text, name)))
