"""Maps of a recipe whose order has a meaning: it enters the hash."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import SerializationInfo, SerializerFunctionWrapHandler, WrapSerializer

from deepbench.language.canonical import pairs

T = TypeVar("T")

CANONICAL = {"canonical": True}
"""Context of ``model_dump`` for the canonical form, in which ordered maps are lists of pairs."""


class Ordered(dict[str, T]):
    """A map whose order has a meaning, such as that of columns and the rows of a matrix; never changed."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, dict) and list(self.items()) == list(other.items())

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(self.items()))


def _in_order(value: Any, handler: SerializerFunctionWrapHandler, info: SerializationInfo) -> Any:
    """Return the recipe form of a map, as a list of pairs in the canonical form."""
    written = handler(value)
    return pairs(written) if info.context == CANONICAL and written is not None else written


IN_ORDER = WrapSerializer(_in_order)
"""Annotation of a field that holds an ordered map."""
