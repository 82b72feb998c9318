"""Presets: what is known of instruments and surveys, under names that a recipe may give instead of numbers.

A preset has ``bands`` by name. What a recipe gives beside the preset's name goes before the preset; the kinds say how
deep.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, GetJsonSchemaHandler
from pydantic_core import CoreSchema

from deepbench.language.plain import unknown
from deepbench.language.specification import Specification, allow_parts, problem

Presets = dict[str, dict[str, Any]]
"""Presets by their names."""


@lru_cache
def read_presets(path: Path) -> Presets:
    """Return the presets in a YAML file of the package."""
    return yaml.safe_load(path.read_text("utf-8"))


def named_preset(data: Any, presets: Presets) -> dict[str, Any] | None:
    """Return the preset that data of a recipe name under ``preset``; None where they name none.

    Raises
    ------
    PydanticCustomError
        There is no preset of this name.
    """
    if not isinstance(data, Mapping) or data.get("preset") is None:
        return None
    name = data["preset"]
    if not isinstance(name, str) or name not in presets:
        raise problem(unknown("preset", name, presets), "unknown_name")
    return presets[name]


class FromPreset(Specification):
    """Base of what a preset may fill in."""

    preset: str | None = Field(None, description="fills in what is not given here")

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Let the JSON Schema of what may be written leave out what a preset fills in."""
        reference = handler(schema)
        if handler.mode == "validation":
            whole = handler.resolve_ref_schema(reference)
            parts = allow_parts(dict(whole), "preset")
            whole.clear()
            whole.update(parts)
        return reference


def check_bands(given: Iterable[str], name: str, preset: Mapping[str, Any]) -> None:
    """Refuse bands that the preset of this name does not have; raises pydantic's error about the first."""
    missing = [band for band in given if band not in preset["bands"]]
    if missing:
        what = f"band of '{name}'"
        raise problem(unknown(what, missing[0], preset["bands"]), "unknown_name")
