"""Expressions of earlier values: ``= 0.5 * circle.radius``.

An expression is read once into a short program for a stack machine; the same program gives its
canonical text and its values.

Grammar, from the weakest to the strongest binding (as in Python)::

    either      both ("or" both)*
    both        negation ("and" negation)*
    negation    "not" negation | comparison
    comparison  sum (("<" | "<=" | ">" | ">=" | "==" | "!=") sum)? | ("class" | "split") ("==" | "!=") name
    sum         product (("+" | "-") product)*
    product     unary (("*" | "/") unary)*
    unary       "-" unary | power
    power       atom ("**" unary)?
    atom        number | "pi" | reference | function "(" either ("," either)* ")" | "(" either ")"

Names are lower case; a reference may have dotted parts and numbers: ``circle.2.radius``. Conditions give 1 where they
hold, 0 where they do not, and NaN where that is unknown, since a value is absent (Kleene's logic: ``or`` is true where
one side is, whatever the other). ``and``, ``or``, ``not`` and ``where`` are words of the grammar only where a reference
cannot stand, so that variables may have their names.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NoReturn

import numpy as np

from deepbench.errors import ExpressionError
from deepbench.language.functions import (
    COMPARISONS,
    CONSTANTS,
    FUNCTIONS,
    LATER,
    OPERATORS,
    Array,
    both,
    compare,
    either,
    negation,
    whole_power,
)
from deepbench.language.plain import show, unknown

__all__ = ["CONSTANTS", "FUNCTIONS", "Expression", "parse"]

MAX_CHARACTERS = 1000
MAX_NODES = 200
MAX_DEPTH = 20
MAX_EXPONENT = 64

_TOKEN = re.compile(
    r"(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)"
    r"|(?P<name>[a-z][a-z0-9_]*(?:\.(?:[a-z][a-z0-9_]*|[1-9][0-9]*))*)"
    r"|(?P<symbol>\*\*|[<>]=?|[=!]=|[-+*/(),])"
)
_SPACE = re.compile(r"[ \t\n]*")
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
CODES = ("class", "split")
"""Columns of codes, which conditions compare with the names of classes and splits."""

_LOGIC: dict[str, Any] = {"and": both, "or": either}
_INFIX = frozenset({*OPERATORS, *COMPARISONS, *_LOGIC})

# One step of a program: ("number", 0.5), ("constant", "pi"), ("name", "radius"), ("power", 2), ("apply", "sqrt") or
# ("is", ("class", "circle")).
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
    comparisons : tuple of (str, str)
        ``class`` and ``split``, each with a name that it is compared with.
    """

    text: str
    names: tuple[str, ...]
    _program: tuple[_Step, ...] = field(repr=False)
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
                stack.append(_bounds_of_power(*stack.pop(), item))
            else:
                arity = 2 if item in _INFIX else FUNCTIONS.get(item, (1, None))[0]
                arguments = [stack.pop() for _ in range(arity)][::-1]
                stack.append(_bounds_of(item, arguments))
        return stack[0]

    def support(self) -> tuple[float, float]:
        """Return minus and plus infinity: the values are known when they are drawn."""
        return _ANYTHING

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


_ANYTHING = (-math.inf, math.inf)
_RISING = frozenset({"sqrt", "exp", "log", "log10", "atan", "asin", "floor", "ceil", "round"})
"""Functions of one argument that never fall."""


def _bounds_of(item: str, arguments: list[tuple[float, float]]) -> tuple[float, float]:
    """Return an interval that holds the values of an operator or function, from those of its arguments."""
    (low, high), (other_low, other_high) = arguments[0], arguments[-1]
    if item in COMPARISONS or item in ("and", "or", "not"):
        return 0.0, 1.0
    if item == "where":
        lows, highs = zip(*arguments[1:], strict=True)
        return min(lows), max(highs)
    if not all(math.isfinite(end) for pair in arguments for end in pair):
        return _ANYTHING
    if item in ("+", "-", "*", "min", "max") or (item == "/" and other_low * other_high > 0):
        operator = OPERATORS.get(item) or FUNCTIONS[item][1]
        with np.errstate(all="ignore"):
            ends = [float(operator(a, b)) for a in (low, high) for b in (other_low, other_high)]
    elif item == "negative":
        ends = [-low, -high]
    elif item == "abs":
        ends = [abs(low), abs(high), *([0.0] if low < 0 < high else [])]
    elif item in _RISING:
        with np.errstate(all="ignore"):
            ends = [float(FUNCTIONS[item][1](end)) for end in (low, high)]
    elif item in ("sin", "cos", "sind", "cosd"):
        ends = [-1.0, 1.0]
    else:
        return _ANYTHING
    return _ANYTHING if any(map(math.isnan, ends)) else (min(ends), max(ends))


def _bounds_of_power(low: float, high: float, exponent: int) -> tuple[float, float]:
    """Return an interval that holds the values of a whole power."""
    if not (math.isfinite(low) and math.isfinite(high)) or (exponent < 0 and low <= 0 <= high):
        return _ANYTHING
    with np.errstate(all="ignore"):
        ends = [float(whole_power(np.float64(end), exponent)) for end in (low, high)]
    if exponent % 2 == 0 and low < 0 < high:
        ends.append(0.0)
    return min(ends), max(ends)


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
    names, comparisons = (
        tuple(dict.fromkeys(item for kind, item in program if kind == wanted))
        for wanted in ("name", "is")
    )
    written = f"= {_write(program)}"
    if len(written) > MAX_CHARACTERS:
        message = f"more than {MAX_CHARACTERS} characters when written with all spaces"
        raise ExpressionError(f"{message}: {show(text)}", text=text, column=1)
    return Expression(written, names, program, comparisons)


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
        self.either()
        if self.kind != "end":
            self.expect("an operator (+ - * / ** < > == and or) or the end")
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
            allowed = "numbers, names in lower case, + - * / ** < <= > >= == != ( ) ,"
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

    def take_word(self, word: str) -> bool:
        """Read a word of the grammar if it comes next, where no reference can stand."""
        found = self.kind == "name" and self.token == word
        if found:
            self.advance()
        return found

    def either(self) -> None:
        """Read conditions of which one must hold."""
        self.both()
        while self.take_word("or"):
            self.both()
            self.emit("apply", "or")

    def both(self) -> None:
        """Read conditions that must all hold."""
        self.negation()
        while self.take_word("and"):
            self.negation()
            self.emit("apply", "and")

    def negation(self) -> None:
        """Read a condition that may be negated."""
        if not (self.token == "not" and self.kind == "name" and self.before_operand()):
            self.comparison()
            return
        self.advance()
        self.nested(self.negation)
        self.emit("apply", "not")

    def before_operand(self) -> bool:
        """Return whether a number, a name or a parenthesis comes after the token that is read now."""
        space = _SPACE.match(self.text, self.position)
        after = _TOKEN.match(self.text, space.end() if space else self.position)
        word = after is not None and after[0] in ("and", "or")
        return after is not None and not word and (after.lastgroup != "symbol" or after[0] == "(")

    def comparison(self) -> None:
        """Read a value, or two that are compared."""
        start = len(self.program)
        self.sum()
        operator = self.take(*COMPARISONS)
        if operator is None:
            return
        left = self.program[start:]
        if (
            operator in ("==", "!=")
            and self.kind == "name"
            and left in [[("name", c)] for c in CODES]
        ):
            self.program[start:] = [("is", (left[0][1], self.token))]
            self.advance()
            if operator == "!=":
                self.emit("apply", "not")
        else:
            self.sum()
            self.emit("apply", operator)
        if self.kind == "symbol" and self.token in COMPARISONS:
            self.fail("comparisons do not form a chain: write 'a < b and b < c'")

    def nested(self, read: Callable[[], None]) -> None:
        """Read something that lies one level deeper."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.fail(f"nested more than {MAX_DEPTH} deep")
        read()
        self.depth -= 1

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
        """Read a factor with its sign; everything in parentheses passes through here."""
        self.nested(self.signed)

    def signed(self) -> None:
        """Read a factor with its sign, a level deeper."""
        if self.take("-"):
            self.unary()
            self.emit("apply", "negative")
        else:
            self.power()

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
            if token in FUNCTIONS.keys() - LATER:
                self.call(token)
                return
            column = self.column
            self.advance()
            if token in LATER and self.kind == "symbol" and self.token == "(":
                self.arguments(token)
                return
            if self.kind == "symbol" and self.token == "(":
                self.column = column
                self.fail(unknown("function", token, FUNCTIONS))
            self.emit("constant" if token in CONSTANTS else "name", token)
        elif self.take("("):
            self.either()
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
        self.advance()
        self.arguments(function)

    def arguments(self, function: str) -> None:
        """Read the arguments of a function."""
        arity = FUNCTIONS[function][0]
        if not self.take("("):
            self.expect(f"'(' after the function {function!r}")
        for index in range(arity):
            if index and not self.take(","):
                self.expect(f"',': {function} takes {arity} arguments")
            self.either()
        self.close(f"')': {function} takes {arity} argument{'s' * (arity > 1)}")
        self.emit("apply", function)

    def close(self, what: str) -> None:
        """Read the closing parenthesis."""
        if not self.take(")"):
            self.expect(what)
