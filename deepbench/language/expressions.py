"""Expressions of earlier values: ``= 0.5 * circle.radius``.

An expression is read once into a short program for a stack machine; the same program gives its
canonical text and its values. The grammar is that of ``expression_parser``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from deepbench.errors import ExpressionError
from deepbench.language.expression_parser import CODES, MAX_CHARACTERS, TOKEN, Parser, Step
from deepbench.language.functions import (
    COMPARISONS,
    CONSTANTS,
    FUNCTIONS,
    OPERATORS,
    Array,
    both,
    compare,
    either,
    negation,
    whole_power,
)
from deepbench.language.intervals import ANYTHING, bounds_of, bounds_of_power
from deepbench.language.plain import show

__all__ = [
    "CODES",
    "CONSTANTS",
    "FUNCTIONS",
    "Expression",
    "number_of",
    "parse",
    "with_numbers",
]

_STRENGTH = {
    "or": 1,
    "and": 2,
    "not": 3,
    **dict.fromkeys(COMPARISONS, 4),
    "+": 5,
    "-": 5,
    "*": 6,
    "/": 6,
    "negative": 7,
    "**": 8,
    "atom": 9,
}
_LOGIC: dict[str, Any] = {"and": both, "or": either}
_INFIX = frozenset({*OPERATORS, *COMPARISONS, *_LOGIC})


@dataclass(frozen=True, eq=False)
class Expression:
    """A formula that gives a value from other values of the same sample. Made by ``parse``.

    Attributes
    ----------
    text : str
        The canonical text, beginning with ``"= "``: equal for all spellings that differ in spaces,
        needless parentheses and ways to write numbers. Expressions are equal when their texts are.
    names : tuple of str
        The references, in the order in which they first occur.
    comparisons : tuple of (str, str)
        ``class`` and ``split``, each with a name that it is compared with.
    """

    text: str
    names: tuple[str, ...]
    _program: tuple[Step, ...] = field(repr=False)
    comparisons: tuple[tuple[str, str], ...] = ()
    known: ClassVar[bool] = False
    tolerance: ClassVar[bool] = False
    continuous: ClassVar[bool] = False
    integer: ClassVar[bool] = False
    parts: ClassVar[tuple[Any, ...]] = ()
    alternatives: ClassVar[tuple[Any, ...]] = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Expression) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __reduce__(self) -> tuple[Any, ...]:
        return parse, (self.text,)

    def evaluate(self, columns: Mapping[str, Array | float]) -> Array:
        """Return the values of the expression.

        Parameters
        ----------
        columns : mapping of str to array or float
            A column for each of ``names``, float64, and for each side of ``comparisons``, of text; their shapes are
            broadcast.

        Returns
        -------
        float64 array
            NaN or infinite where the formula has no finite value; the caller checks that.

        Raises
        ------
        ExpressionError
            If a column is missing.

        Examples
        --------
        >>> parse("= 0.5 * radius + 1").evaluate({"radius": np.array([2.0, 4.0])})
        array([2., 3.])
        """
        codes = dict.fromkeys(column for column, _ in self.comparisons)
        missing = [name for name in (*self.names, *codes) if name not in columns]
        if missing:
            raise ExpressionError(
                f"{self.text!r} needs a column {missing[0]!r}", text=self.text, column=0
            )
        inputs = {name: np.asarray(columns[name], dtype=np.float64) for name in self.names}
        texts = {name: np.asarray(columns[name]) for name in codes}
        stack: list[Any] = []
        with np.errstate(all="ignore"):
            for kind, item in self._program:
                if kind == "number":
                    stack.append(np.float64(item))
                elif kind == "constant":
                    stack.append(np.float64(CONSTANTS[item]))
                elif kind == "name":
                    stack.append(inputs[item])
                elif kind == "is":
                    stack.append((texts[item[0]] == item[1]).astype(np.float64))
                elif kind == "power":
                    stack.append(whole_power(stack.pop(), item))
                elif item == "negative":
                    stack.append(np.negative(stack.pop()))
                elif item == "not":
                    stack.append(negation(stack.pop()))
                elif item in _INFIX:
                    right, left = stack.pop(), stack.pop()
                    stack.append(_infix(item, left, right))
                else:
                    arity, function = FUNCTIONS[item]
                    arguments = [stack.pop() for _ in range(arity)][::-1]
                    stack.append(function(*arguments))
        used = (*inputs.values(), *texts.values())
        shape = np.broadcast_shapes(*(column.shape for column in used))
        return np.broadcast_to(stack[0], shape) + 0.0  # a new array, with -0.0 as 0.0

    @property
    def is_condition(self) -> bool:
        """Whether it is a comparison, or made of some by ``and``, ``or`` and ``not``."""
        kind, item = self._program[-1]
        return kind == "is" or (kind == "apply" and item in {*COMPARISONS, *_LOGIC, "not"})

    def holds(self, columns: Mapping[str, Any]) -> NDArray[np.bool_]:
        """Return where a condition is true, bool[n]; it is not where a value that it needs is absent."""
        return np.nan_to_num(self.evaluate(columns), nan=0.0) != 0

    def bounds(self, ranges: Mapping[str, tuple[float, float]]) -> tuple[float, float]:
        """Return an interval that holds all values, from those that hold the values of its ``names``.

        It is infinite where none is known, and may be wider than needed, as interval arithmetic is.

        Examples
        --------
        >>> parse("= 2 * n + 1").bounds({"n": (0.0, 4.0)})
        (1.0, 9.0)
        """
        stack: list[tuple[float, float]] = []
        for kind, item in self._program:
            if kind in ("number", "constant"):
                number = float(CONSTANTS[item] if kind == "constant" else item)
                stack.append((number, number))
            elif kind == "name":
                stack.append(ranges[item])
            elif kind == "is":
                stack.append((0.0, 1.0))
            elif kind == "power":
                stack.append(bounds_of_power(*stack.pop(), item))
            else:
                arity = 2 if item in _INFIX else FUNCTIONS.get(item, (1, None))[0]
                arguments = [stack.pop() for _ in range(arity)][::-1]
                stack.append(bounds_of(item, arguments))
        return stack[0]

    def support(self) -> tuple[float, float]:
        """Return minus and plus infinity: the values are known when they are drawn."""
        return ANYTHING

    def draw(self, uniforms: Any, columns: Mapping[str, Array]) -> Array:
        """Return the values for some samples, float64[n], from columns of theirs; it takes no random numbers."""
        return np.broadcast_to(self.evaluate(columns), len(uniforms)).astype(np.float64)

    def said(self, columns: Mapping[str, Array]) -> str:
        """Return the text that messages about a value quote."""
        return f'by "{self.text}"'


def _infix(operator: str, left: Array, right: Array) -> Array:
    """Return the value of an operator, a comparison or a conjunction of two values."""
    if operator in COMPARISONS:
        return compare(operator, left, right)
    return (_LOGIC.get(operator) or OPERATORS[operator])(left, right)


def parse(text: str) -> Expression:
    """Return the expression that a text of a recipe describes.

    Parameters
    ----------
    text : str
        Begins with ``=``; at most 1000 characters, 200 numbers, names and operations, nested at
        most 20 deep.

    Raises
    ------
    ExpressionError
        If the text does not follow the grammar. Its ``column`` counts from 1.

    Examples
    --------
    >>> expression = parse("=.5*(circle.2.radius)**2")
    >>> expression.text, expression.names
    ('= 0.5 * circle.2.radius ** 2', ('circle.2.radius',))
    """
    program = Parser(text).parse()
    names, comparisons = (
        tuple(dict.fromkeys(item for kind, item in program if kind == wanted))
        for wanted in ("name", "is")
    )
    written = f"= {_write(program)}"
    if len(written) > MAX_CHARACTERS:
        message = f"more than {MAX_CHARACTERS} characters when written with all spaces"
        raise ExpressionError(f"{message}: {show(text)}", text=text, column=1)
    return Expression(written, names, program, comparisons)


def number_of(text: str) -> float:
    """Return the value of an expression of numbers alone; it may be NaN or infinite.

    Raises
    ------
    ExpressionError
        If the text does not follow the grammar, or has names.
    """
    return float(parse(text).evaluate({}))


def with_numbers(text: str, numbers: Mapping[str, float]) -> str:
    """Return the text of an expression with numbers in place of some of its names.

    Examples
    --------
    >>> with_numbers("= a ** 2 + b.a", {"a": -0.5})
    '= (-0.5) ** 2 + b.a'
    """

    def replaced(token: re.Match[str]) -> str:
        number = numbers.get(token[0]) if token.lastgroup == "name" else None
        if number is None:
            return token[0]
        return repr(number) if number >= 0 else f"({number!r})"

    return text[:1] + TOKEN.sub(replaced, text[1:])


def _write(program: tuple[Step, ...]) -> str:
    """Return the text of a program with as few parentheses as the grammar allows."""
    stack: list[tuple[str, int]] = []

    def enclosed(operand: tuple[str, int], least: int) -> str:
        return operand[0] if operand[1] >= least else f"({operand[0]})"

    for kind, item in program:
        if kind == "number":
            stack.append((_write_number(item), _STRENGTH["atom"]))
        elif kind in ("name", "constant"):
            stack.append((item, _STRENGTH["atom"]))
        elif kind == "power":
            stack.append((f"{enclosed(stack.pop(), _STRENGTH['atom'])} ** {item}", _STRENGTH["**"]))
        elif item == "negative":
            stack.append(
                (f"-{enclosed(stack.pop(), _STRENGTH['negative'])}", _STRENGTH["negative"])
            )
        elif kind == "is":
            stack.append((f"{item[0]} == {item[1]}", _STRENGTH["=="]))
        elif item == "not":
            stack.append((f"not {enclosed(stack.pop(), _STRENGTH['not'])}", _STRENGTH["not"]))
        elif item in _INFIX:
            right, left = stack.pop(), stack.pop()
            strength = _STRENGTH[item]
            sides = strength, strength + 1
            if item == "**":
                sides = _STRENGTH["atom"], _STRENGTH["negative"]
            elif item in COMPARISONS:
                sides = _STRENGTH["+"], _STRENGTH["+"]
            stack.append(
                (f"{enclosed(left, sides[0])} {item} {enclosed(right, sides[1])}", strength)
            )
        else:
            arguments = [stack.pop()[0] for _ in range(FUNCTIONS[item][0])][::-1]
            stack.append((f"{item}({', '.join(arguments)})", _STRENGTH["atom"]))
    return stack[0][0]


def _write_number(number: float) -> str:
    return str(int(number)) if number.is_integer() and number < 1e15 else repr(number)
