"""The canonical form of plain data, and its hash, which identifies what a recipe makes.

Canonical is JSON with sorted keys, numbers in the type of the schema, −0.0 as 0.0. Maps whose order has a meaning are
given as lists of ``pairs``. A file is known by its SHA-256; where it lies is left out.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import PurePath
from typing import Any

INPUTS = "inputs"
"""Folder of a release with the files that its recipe names."""

_SHA256 = re.compile("[0-9a-f]{64}")


def pairs(ordered: dict[str, Any]) -> list[list[Any]]:
    """Return a map whose order has a meaning as a list of pairs."""
    return [[name, value] for name, value in ordered.items()]


def is_file(data: Any) -> bool:
    """Return whether plain data describe a file: its name as ``file``, and its ``sha256``."""
    return isinstance(data, dict) and _SHA256.fullmatch(str(data.get("sha256"))) is not None


def kept_name(file: str, sha256: str) -> str:
    """Return the name that a file has in a release.

    Examples
    --------
    >>> kept_name("psfs/r.FITS", "99a4204b9c071c19158808d995e02fe13f4df4687fa197a7bd8e47ceb356be9a")
    'inputs/99a4204b9c07.fits'
    """
    return f"{INPUTS}/{sha256[:12]}{PurePath(file).suffix.lower()}"


def canonical(data: Any) -> str:
    """Return plain data as canonical JSON text."""
    return json.dumps(
        _normal(data), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def canonical_hash(data: Any) -> str:
    """Return the SHA-256 of the canonical form of plain data, in hexadecimal."""
    return hashlib.sha256(canonical(data).encode()).hexdigest()


def _normal(data: Any) -> Any:
    if isinstance(data, dict):
        hidden = "file" if is_file(data) else None
        return {key: _normal(value) for key, value in data.items() if key != hidden}
    if isinstance(data, list | tuple):
        return [_normal(item) for item in data]
    return data + 0.0 if isinstance(data, float) else data
