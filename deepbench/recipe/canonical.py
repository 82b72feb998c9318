"""The canonical form of a recipe, and the hashes that identify what it makes.

Canonical is JSON with sorted keys, numbers in the type of the schema, −0.0 as 0.0, and the maps whose order has a
meaning (splits and classes) as lists of pairs. Name, version, words and storage are left out: they change no value.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepbench.recipe.model import Recipe

_SHA256 = re.compile("[0-9a-f]{64}")
"""What stands for a file beside its name, which is then left out."""


def recipe_hash(recipe: Recipe) -> str:
    """Return the SHA-256 of everything in the recipe that shapes the data, in hexadecimal."""
    tables = {name: _dump(table) for name, table in recipe.tables.items()}
    return _sha256({"seed": recipe.seed, "splits": _pairs(recipe.splits), "tables": tables})


def table_hash(recipe: Recipe, table: str) -> str:
    """Return the SHA-256 of what shapes one table, without its number of samples, in hexadecimal.

    Tables with equal hashes agree in each sample that both have.
    """
    described = _dump(recipe.tables[table])
    del described["samples"]
    return _sha256(
        {"seed": recipe.seed, "splits": _pairs(recipe.splits), "name": table, "table": described}
    )


def canonical(data: Any) -> str:
    """Return plain data as canonical JSON text."""
    return json.dumps(
        _normal(data), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def _dump(table: Any) -> dict[str, Any]:
    described = table.model_dump(mode="json", exclude_none=True)
    return described | {"classes": _pairs(described["classes"])}


def _pairs(ordered: dict[str, Any]) -> list[list[Any]]:
    """Return a map whose order has a meaning as a list of pairs."""
    return [[name, value] for name, value in ordered.items()]


def _sha256(data: Any) -> str:
    return hashlib.sha256(canonical(data).encode()).hexdigest()


def _normal(data: Any) -> Any:
    if isinstance(data, dict):
        hidden = "file" if _SHA256.fullmatch(str(data.get("sha256"))) else None
        return {key: _normal(value) for key, value in data.items() if key != hidden}
    if isinstance(data, list | tuple):
        return [_normal(item) for item in data]
    return data + 0.0 if isinstance(data, float) else data
