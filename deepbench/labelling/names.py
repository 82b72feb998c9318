"""Names in expressions, and the values that they stand for."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from deepbench.errors import LabelError
from deepbench.labelling.scopes import VARIABLES, Scope
from deepbench.language.expressions import CODES
from deepbench.language.plain import nearest, some
from deepbench.language.values import Joint


@dataclass(frozen=True)
class Reference:
    """Meaning of a name in an expression: the values it stands for, and their column.

    Attributes
    ----------
    sources : tuple of (Scope, str)
        The value; several where all classes define a variable.
    column : str
        The column that holds it.
    """

    sources: tuple[tuple[Scope, str], ...]
    column: str

    @property
    def scope(self) -> Scope:
        """Scope of the value, the first one of several."""
        return self.sources[0][0]


class Names:
    """The names that the expressions of a table can use.

    Parameters
    ----------
    scopes : sequence of Scope
        Those of the table.
    classes : sequence of str
        Its classes.
    derived : iterable of str
        Names of labels that follow from all others, which no expression can use.
    """

    def __init__(
        self, scopes: Sequence[Scope], classes: Sequence[str], derived: Iterable[str]
    ) -> None:
        self._scopes, self._classes = scopes, classes
        self._derived = frozenset(derived)
        self._full: dict[str | None, dict[str, Reference]] = {}
        self._short: dict[int, dict[str, Reference]] = {}

    def reference(self, scope: Scope, user: str, name: str) -> Reference:
        """Return what a name in an expression stands for: its scope's own value, a variable, or ``object.value``.

        Parameters
        ----------
        scope : Scope
        user : str
            Whose expression it is, within the scope. Its own name can only mean the variable.
        name : str

        Raises
        ------
        LabelError
            No such value, or two; or one that has several copies per sample.
        """
        known = self._known(scope.class_name)
        own = self._own(scope).get(name)
        if own and name in known and name != user and scope.name != VARIABLES:
            raise LabelError(
                f"'{name}' is a value of '{scope.name}' and a variable; write '{scope.column(name)}' for the "
                "first, or rename the variable"
            )
        if name not in known and not own and self._is_identifier(scope.class_name, name):
            raise LabelError(
                f"'{name}' is an identifier, which tells objects apart; no expression can use it"
            )
        if name not in known and not own:
            self._explain_code(name)
            self._explain_derived(name)
            self._explain_partly_known(scope, name)
            names = {*known, *scope.values}
            near = nearest(name, names)
            hint = f"did you mean '{near}'? " if near else ""
            allowed = some(sorted(names)) or "none"
            raise LabelError(f"no value is called '{name}' here; {hint}values to use: {allowed}")
        found = known.get(name, own)
        assert found is not None
        if found.scope.repeat is not None and found.scope is not scope:
            raise LabelError(
                f"'{name}' has one value per copy of '{found.scope.name}', so '{scope.name}' cannot use it; "
                "use a variable for what they share"
            )
        return found

    def _own(self, scope: Scope) -> dict[str, Reference]:
        """Return what the short names of a scope's values stand for in its own expressions."""
        if id(scope) not in self._short:
            self._short[id(scope)] = {
                scope.own_name(column): Reference(((scope, value),), column)
                for value in scope.values
                if not isinstance(scope.values[value], Joint) or scope.name != VARIABLES
                for column in scope.columns(value)
                if column not in scope.identifiers(value)
            }
        return self._short[id(scope)]

    def anywhere(self) -> dict[str, Reference]:
        """Return what names in conditions on whole samples stand for, whatever the class that has them."""
        found: dict[str, Reference] = {}
        for class_name in (None, *self._classes):
            for name, reference in self._names_of(class_name).items():
                before = found[name].sources if name in found else ()
                found[name] = Reference((*before, *reference.sources), reference.column)
        return found

    @staticmethod
    def _explain_code(name: str) -> None:
        """Refuse a class or a split that is used as a number."""
        if name in CODES:
            raise LabelError(
                f"'{name}' is no number: compare it with a name, such as {name} == NAME"
            )

    def _explain_derived(self, name: str) -> None:
        """Refuse a derived label."""
        if name in self._derived:
            raise LabelError(
                f"'{name}' is a derived label, which nothing can use; make it a variable"
            )

    def _explain_partly_known(self, scope: Scope, name: str) -> None:
        """Refuse a variable that only some classes define, where all samples need it."""
        having = [each for each in self._classes if name in self._names_of(each)]
        if scope.class_name is None and having:
            variable = "." not in name or name.startswith(f"{VARIABLES}.")
            remedy = (
                f"every class must define it, not {', '.join(having)} alone"
                if variable
                else "give the classes a variable of one name, and use that"
            )
            raise LabelError(
                f"'{name}' is a value of some classes, '{scope.name}' of all: {remedy}"
            )

    def _known(self, class_name: str | None) -> Mapping[str, Reference]:
        """Return what the full names in expressions of a class stand for; variables have no first part."""
        own = self._shared_variables() if class_name is None else self._names_of(class_name)
        return ChainMap(own, self._names_of(None))

    def _shared_variables(self) -> dict[str, Reference]:
        """Return the variables that every class defines, which is what all samples may use."""
        first, *others = [self._variables_of(name) for name in self._classes]
        return {
            name: Reference(
                tuple(source for each in (first, *others) for source in each[name].sources),
                reference.column,
            )
            for name, reference in first.items()
            if all(name in other for other in others)
        }

    def _variables_of(self, class_name: str) -> dict[str, Reference]:
        """Return the variables of a class."""
        return {
            name: reference
            for name, reference in self._names_of(class_name).items()
            if reference.scope.name == VARIABLES
        }

    def _names_of(self, class_name: str | None) -> dict[str, Reference]:
        """Return what the names of one class, or of those outside all classes, stand for."""
        if class_name not in self._full:
            self._full[class_name] = {
                column.removeprefix(f"{VARIABLES}."): Reference(((scope, value),), column)
                for scope in self._scopes
                if scope.class_name == class_name
                for value in scope.values
                for column in scope.columns(value)
                if column not in scope.identifiers(value)
            }
        return self._full[class_name]

    def _is_identifier(self, class_name: str | None, name: str) -> bool:
        """Return whether a name in an expression of a class stands for an identifier."""
        return any(
            name == column.removeprefix(f"{VARIABLES}.")
            for scope in self._scopes
            if scope.class_name in (None, class_name)
            for value in scope.values
            for column in scope.identifiers(value)
        )
