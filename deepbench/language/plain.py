"""Plain data: what a recipe can hold, what a scalar of YAML means, and the YAML text of data.

Scalars follow the core schema of YAML 1.2 (section 10.3.2 of the specification): ``1e-3`` is a
number, ``on`` and ``12:30`` are strings, ``010`` is ten.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from deepbench.errors import Problem, RecipeError

EXACT = 2**53
"""Largest number up to which float64 holds every integer."""

MAX_DEPTH = 40
MAX_DIGITS = 30
MAX_KEY = 200

_NULL = re.compile(r"null|Null|NULL|~|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)
_SURROGATE = re.compile("[\ud800-\udfff]")
# What YAML 1.2 cannot print, and the line ends that only YAML 1.1 knows.
UNPRINTABLE = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)


def nearest(word: str, allowed: Iterable[str]) -> str | None:
    """Return the allowed word that is most like ``word``, None if none is like it.

    Examples
    --------
    >>> nearest("unifrom", ["uniform", "normal"])
    'uniform'
    """
    found = difflib.get_close_matches(word, list(allowed), n=1)
    return found[0] if found else None


def show(value: object) -> str:
    """Return a value as an error message shows it: its ``repr``, cut after 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def is_text(text: str) -> bool:
    """Return whether UTF-8 can hold a text: it has no lone surrogates."""
    return not _SURROGATE.search(text)


def digits(number: float) -> str:
    """Return a number in the fewest digits that read back equal; whole numbers without a point."""
    return repr(float(number)).removesuffix(".0")


def unknown(what: str, word: object, allowed: Iterable[object]) -> str:
    """Return the message about a name that is not in a closed list, with the nearest that is."""
    names = [str(name) for name in allowed]
    guess = nearest(str(word), names)
    hint = f"; did you mean {guess!r}?" if guess else ";"
    return f"unknown {what} {show(word)}{hint} allowed: {', '.join(names) or 'none'}"


def absent(what: str, word: object, allowed: Iterable[object], where: str = "") -> str:
    """Return the message that nothing has the name that was asked for, with the nearest name and all that exist.

    Examples
    --------
    >>> absent("split", "trian", ["train", "test"], "'images' of shapes@1.0.0")
    "there is no split 'trian' in 'images' of shapes@1.0.0; did you mean 'train'? there is: train, test"
    """
    names = [str(name) for name in allowed]
    guess = nearest(str(word), names)
    inside = f" in {where}" if where else ""
    hint = f"did you mean '{guess}'? " if guess else ""
    return f"there is no {what} '{word}'{inside}; {hint}there is: {', '.join(names) or 'nothing'}"


def resolve_scalar(text: str) -> str | int | float | bool | None:
    """Return what a scalar without quotes means by the core schema of YAML 1.2.

    Raises
    ------
    ValueError
        If it is a number that is not finite, or an integer of more than 30 digits.

    Examples
    --------
    >>> [resolve_scalar(text) for text in ("1e-3", "010", "0o10", "on", "~")]
    [0.001, 10, 8, 'on', None]
    """
    if _NULL.fullmatch(text):
        return None
    if _BOOL.fullmatch(text):
        return text.lower() == "true"
    if _INT.fullmatch(text):
        if len(text.lstrip("+-")) > MAX_DIGITS:
            raise ValueError(
                f"an integer has at most {MAX_DIGITS} digits, this one has {len(text.lstrip('+-'))}"
            )
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    if _FLOAT.fullmatch(text):
        number = float(
            text.replace(".inf", "inf").replace(".nan", "nan").replace(".I", "i").replace(".N", "n")
        )
        if not math.isfinite(number):
            raise ValueError(f"{text[:60]} is not a finite number of double precision")
        return number
    return text


class _Dumper(yaml.SafeDumper):
    """Writes scalars so that readers of YAML 1.1 and 1.2 understand them alike."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_float(dumper: yaml.SafeDumper, value: float) -> yaml.Node:
    text = repr(value)
    if "e" in text and "." not in text:  # YAML 1.1 wants the point: 1.0e-05
        text = text.replace("e", ".0e")
    return dumper.represent_scalar("tag:yaml.org,2002:float", text)


def _represent_str(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    style = None
    if UNPRINTABLE.search(value) or any(end in value for end in "\t\n\r"):
        style = '"'
    elif (
        _NULL.fullmatch(value)
        or _BOOL.fullmatch(value)
        or _INT.fullmatch(value)
        or _FLOAT.fullmatch(value)
    ):
        style = "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(float, _represent_float)
_Dumper.add_representer(str, _represent_str)


def plain(value: object, path: tuple[str | int, ...] = ()) -> Any:
    """Return a copy of plain data, tuples as lists.

    Raises
    ------
    RecipeError
        If there is anything in it that a recipe cannot hold.
    """
    problem = ""
    if len(path) > MAX_DEPTH:
        problem = f"nested more than {MAX_DEPTH} deep"
    elif isinstance(value, Mapping):
        wrong = [key for key in value if not isinstance(key, str) or len(key) > MAX_KEY]
        if not wrong:
            return {key: plain(item, (*path, key)) for key, item in value.items()}
        problem = f"a key must be a string of at most {MAX_KEY} characters, not {show(wrong[0])}"
    elif isinstance(value, list | tuple):
        return [plain(item, (*path, index)) for index, item in enumerate(value)]
    elif isinstance(value, float) and not math.isfinite(value):
        problem = f"must be a finite number, not {value}"
    elif isinstance(value, int) and abs(value) >= 10**MAX_DIGITS:
        problem = f"an integer has at most {MAX_DIGITS} digits"
    elif isinstance(value, str) and not is_text(value):
        problem = f"{show(value)} is not a text that UTF-8 can hold"
    elif value is not None and type(value) not in (bool, int, float, str):
        problem = f"must be plain data, not {show(value)} of type {type(value).__name__}"
    if problem:
        raise RecipeError.from_problems("<recipe>", [Problem(problem, path)])
    return value


def write_document(data: Mapping[str, Any]) -> str:
    r"""Return YAML text that reads back equal, by this reader and by readers of YAML 1.1.

    Raises
    ------
    RecipeError
        If ``data`` holds anything but finite plain data.

    Examples
    --------
    >>> write_document({"seed": 1, "answer": "on", "size": [64, 1e-5]})
    "seed: 1\nanswer: 'on'\nsize: [64, 1.0e-05]\n"
    """
    return str(
        yaml.dump(
            plain(data),
            Dumper=_Dumper,
            sort_keys=False,
            allow_unicode=True,
            default_flow_style=None,
            width=2**31,
        )
    )


LISTED = 40
"""Largest number of names that a message lists."""

FEW = 8
"""Largest number of names that one line lists."""


def some(names: list[str], most: int = LISTED) -> str:
    """Return names in a message, the first ones of many."""
    more = f", … ({len(names)} in all)" if len(names) > most else ""
    return ", ".join(names[:most]) + more
