"""The grammar of expressions, and the reader of their texts.

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
from collections.abc import Callable
from typing import Any, NoReturn

from deepbench.errors import ExpressionError
from deepbench.language.functions import COMPARISONS, CONSTANTS, FUNCTIONS, LATER
from deepbench.language.plain import show, unknown

MAX_CHARACTERS = 1000
MAX_NODES = 200
MAX_DEPTH = 20
MAX_EXPONENT = 64

TOKEN = re.compile(
    r"(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)"
    r"|(?P<name>[a-z][a-z0-9_]*(?:\.(?:[a-z][a-z0-9_]*|[1-9][0-9]*))*)"
    r"|(?P<symbol>\*\*|[<>]=?|[=!]=|[-+*/(),])"
)
_SPACE = re.compile(r"[ \t\n]*")

CODES = ("class", "split")
"""Columns of codes, which conditions compare with the names of classes and splits."""

Step = tuple[str, Any]
"""Step of a program: ("number", 0.5), ("constant", "pi"), ("name", "radius"), ("power", 2), ("apply", "sqrt") or
("is", ("class", "circle"))."""


class Parser:
    """Recursive descent over the tokens of an expression."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.kind, self.token, self.column = "", "", 1
        self.depth = 0
        self.program: list[Step] = []

    def parse(self) -> tuple[Step, ...]:
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
        found = TOKEN.match(self.text, self.position)
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
        after = TOKEN.match(self.text, space.end() if space else self.position)
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
    def whole_number(steps: list[Step]) -> int | None:
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
