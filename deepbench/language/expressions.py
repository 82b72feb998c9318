"""Expressions of earlier values: ``= 0.5 * circle.radius``.

An expression is read once into a short program for a stack machine; the same program gives its
canonical text and its values.

Grammar, from the weakest to the strongest binding (as in Python)::

    sum      product (("+" | "-") product)*
    product  unary (("*" | "/") unary)*
    unary    "-" unary | power
    power    atom ("**" unary)?
    atom     number | "pi" | reference | function "(" sum ("," sum)* ")" | "(" sum ")"

Names are lower case; a reference may have dotted parts and numbers: ``circle.2.radius``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np

from deepbench.errors import ExpressionError
from deepbench.language.functions import CONSTANTS, FUNCTIONS, OPERATORS, Array, whole_power
from deepbench.language.plain import show, unknown

__all__ = ["CONSTANTS", "FUNCTIONS", "Expression", "number_of", "parse", "with_numbers"]

MAX_CHARACTERS = 1000
MAX_NODES = 200
MAX_DEPTH = 20
MAX_EXPONENT = 64

_TOKEN = re.compile(
    r"(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)"
    r"|(?P<name>[a-z][a-z0-9_]*(?:\.(?:[a-z][a-z0-9_]*|[1-9][0-9]*))*)"
    r"|(?P<symbol>\*\*|[-+*/(),])"
)
_SPACE = re.compile(r"[ \t\n]*")
_STRENGTH = {"+": 1, "-": 1, "*": 2, "/": 2, "negative": 3, "**": 4, "atom": 5}

# One step of a program: ("number", 0.5), ("constant", "pi"), ("name", "radius"), ("power", 2) or
# ("apply", "sqrt").
_Step = tuple[str, Any]


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
    """

    text: str
    names: tuple[str, ...]
    _program: tuple[_Step, ...] = field(repr=False)

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
        columns : mapping of str to float64 array or float
            A column for each of ``names``; their shapes are broadcast.

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
        missing = [name for name in self.names if name not in columns]
        if missing:
            raise ExpressionError(
                f"{self.text!r} needs a column {missing[0]!r}", text=self.text, column=0
            )
        inputs = {name: np.asarray(columns[name], dtype=np.float64) for name in self.names}
        stack: list[Any] = []
        with np.errstate(all="ignore"):
            for kind, item in self._program:
                if kind == "number":
                    stack.append(np.float64(item))
                elif kind == "constant":
                    stack.append(np.float64(CONSTANTS[item]))
                elif kind == "name":
                    stack.append(inputs[item])
                elif kind == "power":
                    stack.append(whole_power(stack.pop(), item))
                elif item == "negative":
                    stack.append(np.negative(stack.pop()))
                elif item in OPERATORS:
                    right, left = stack.pop(), stack.pop()
                    stack.append(OPERATORS[item](left, right))
                else:
                    arity, function = FUNCTIONS[item]
                    arguments = [stack.pop() for _ in range(arity)][::-1]
                    stack.append(function(*arguments))
        shape = np.broadcast_shapes(*(column.shape for column in inputs.values()))
        return np.broadcast_to(stack[0], shape) + 0.0  # a new array, with -0.0 as 0.0


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
    program = _Parser(text).parse()
    names = tuple(dict.fromkeys(item for kind, item in program if kind == "name"))
    written = f"= {_write(program)}"
    if len(written) > MAX_CHARACTERS:
        message = f"more than {MAX_CHARACTERS} characters when written with all spaces"
        raise ExpressionError(f"{message}: {show(text)}", text=text, column=1)
    return Expression(written, names, program)


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

    return text[:1] + _TOKEN.sub(replaced, text[1:])


def _write(program: tuple[_Step, ...]) -> str:
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
        elif item in OPERATORS:
            right, left = stack.pop(), stack.pop()
            strength = _STRENGTH[item]
            sides = (5, 3) if item == "**" else (strength, strength + 1)
            stack.append(
                (f"{enclosed(left, sides[0])} {item} {enclosed(right, sides[1])}", strength)
            )
        else:
            arguments = [stack.pop()[0] for _ in range(FUNCTIONS[item][0])][::-1]
            stack.append((f"{item}({', '.join(arguments)})", _STRENGTH["atom"]))
    return stack[0][0]


def _write_number(number: float) -> str:
    return str(int(number)) if number.is_integer() and number < 1e15 else repr(number)


# -------------------------------------------------------------------------------------------------
# Parsing


class _Parser:
    """Recursive descent over the tokens of an expression."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.kind, self.token, self.column = "", "", 1
        self.depth = 0
        self.program: list[_Step] = []

    def parse(self) -> tuple[_Step, ...]:
        """Return the program of the whole text."""
        if not self.text.startswith("="):
            self.fail(f"{self.text[:40]!r} is no number, and an expression begins with '='")
        if len(self.text) > MAX_CHARACTERS:
            self.fail(
                f"an expression has at most {MAX_CHARACTERS} characters, this one {len(self.text)}"
            )
        self.position = 1
        self.advance()
        self.sum()
        if self.kind != "end":
            self.expect("an operator (+ - * / **) or the end")
        return tuple(self.program)

    def fail(self, message: str) -> NoReturn:
        """Raise the error about the token that is read now."""
        where = f"column {self.column} of {show(self.text)}"
        raise ExpressionError(f"{message} ({where})", text=self.text, column=self.column)

    def expect(self, what: str) -> NoReturn:
        """Raise the error that something else was expected here."""
        found = "the end" if self.kind == "end" else show(self.token)
        self.fail(f"expected {what}, found {found}")

    def advance(self) -> None:
        """Read the next token."""
        space = _SPACE.match(self.text, self.position)
        self.position = space.end() if space else self.position
        self.column = self.position + 1
        if self.position == len(self.text):
            self.kind, self.token = "end", ""
            return
        found = _TOKEN.match(self.text, self.position)
        if not found:
            allowed = "numbers, names in lower case, + - * / ** ( ) ,"
            self.fail(f"{self.text[self.position]!r} cannot stand here: allowed are {allowed}")
        self.kind, self.token, self.position = str(found.lastgroup), found[0], found.end()

    def take(self, *symbols: str) -> str | None:
        """Read one of some symbols if it comes next, and return it."""
        if self.kind != "symbol" or self.token not in symbols:
            return None
        token = self.token
        self.advance()
        return token

    def emit(self, kind: str, item: Any) -> None:
        """Add a step to the program."""
        if len(self.program) == MAX_NODES:
            self.fail(f"more than {MAX_NODES} numbers, names and operations")
        self.program.append((kind, item))

    def sum(self) -> None:
        """Read terms."""
        self.product()
        while operator := self.take("+", "-"):
            self.product()
            self.emit("apply", operator)

    def product(self) -> None:
        """Read factors."""
        self.unary()
        while operator := self.take("*", "/"):
            self.unary()
            self.emit("apply", operator)

    def unary(self) -> None:
        """Read a factor with its sign; everything that nests passes through here."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.fail(f"nested more than {MAX_DEPTH} deep")
        if self.take("-"):
            self.unary()
            self.emit("apply", "negative")
        else:
            self.power()
        self.depth -= 1

    def power(self) -> None:
        """Read an operand with its exponent."""
        self.atom()
        if not self.take("**"):
            return
        start = len(self.program)
        self.unary()
        exponent = self.whole_number(self.program[start:])
        if exponent is None:
            self.emit("apply", "**")
        else:
            self.program[start:] = [("power", exponent)]

    @staticmethod
    def whole_number(steps: list[_Step]) -> int | None:
        """Return the small whole number that steps push, None if they push anything else."""
        if steps[0][0] != "number" or steps[1:] not in ([], [("apply", "negative")]):
            return None
        number = float(steps[0][1])
        if not number.is_integer() or number > MAX_EXPONENT:
            return None
        return int(number) if len(steps) == 1 else -int(number)

    def atom(self) -> None:
        """Read a number, a reference, a call or what is in parentheses."""
        token, kind = self.token, self.kind
        if kind == "number":
            self.number(float(token))
        elif kind == "name":
            if token in FUNCTIONS:
                self.call(token)
                return
            column = self.column
            self.advance()
            if self.kind == "symbol" and self.token == "(":
                self.column = column
                self.fail(unknown("function", token, FUNCTIONS))
            self.emit("constant" if token in CONSTANTS else "name", token)
        elif self.take("("):
            self.sum()
            self.close("')' or an operator")
        else:
            self.expect("a number, a name, a function or '('")

    def number(self, value: float) -> None:
        """Read a number."""
        if not math.isfinite(value):
            self.fail(f"{self.token[:40]} is not a finite number of double precision")
        self.emit("number", value)
        self.advance()

    def call(self, function: str) -> None:
        """Read a function with its arguments."""
        arity = FUNCTIONS[function][0]
        self.advance()
        if not self.take("("):
            self.expect(f"'(' after the function {function!r}")
        for index in range(arity):
            if index and not self.take(","):
                self.expect(f"',': {function} takes {arity} arguments")
            self.sum()
        self.close(f"')': {function} takes {arity} argument{'s' * (arity > 1)}")
        self.emit("apply", function)

    def close(self, what: str) -> None:
        """Read the closing parenthesis."""
        if not self.take(")"):
            self.expect(what)
