"""Decorators that make kernels, bit casts, and polynomials.

Kernels are compiled when first used and cached on disk. Numba looks for changes in the file of the kernel alone, and
would go on using old code after a change in a function that it calls, or in a constant. Here a cached kernel belongs
to all sources of the package.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numba
from numba import types
from numba.core.errors import TypingError
from numba.extending import intrinsic as numba_intrinsic


@lru_cache(maxsize=1)
def source_digest() -> str:
    """Return the SHA-256 of all sources of ``deepbench``: kernels take constants from any of them."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def kernel(function: Callable[..., Any]) -> Any:
    """Decorate a function that Python calls: compiled when first used, and cached on disk where there is a place."""
    dispatcher: Any = numba.njit(function, error_model="numpy", nogil=True)
    try:
        dispatcher.enable_caching()
    except RuntimeError:  # neither the package's folder nor the user's cache can be written
        return dispatcher
    # Numba reads this before the rest of an index, whose record types may name what is no longer there.
    cache = dispatcher._cache._cache_file
    cache._version = f"{cache._version} {source_digest()}"
    return dispatcher


inline = numba.njit(error_model="numpy", nogil=True, forceinline=True)
"""Decorator of small functions called inside kernels."""

intrinsic: Any = numba_intrinsic  # its own types hide the signatures of what it decorates

_BITS = {types.float64: types.uint64, types.float32: types.uint32}
_FLOATS = {bits: number for number, bits in _BITS.items()}


def _cast(table: dict[Any, Any], value: Any) -> tuple[Any, Any]:
    if value not in table:
        raise TypingError(f"expected one of {sorted(map(str, table))}, got {value}")
    target = table[value]

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], context.get_value_type(target))

    return target(value), codegen


@intrinsic
def to_bits(typing_context, number):
    """Return the bits of a float64 as uint64, or of a float32 as uint32."""
    return _cast(_BITS, number)


@intrinsic
def from_bits(typing_context, bits):
    """Return the float64 with the bits of a uint64, or the float32 with those of a uint32."""
    return _cast(_FLOATS, bits)


@intrinsic
def polynomial(typing_context, x, coefficients):
    """Return c0 + c1 x + c2 x**2 + ... by Horner's rule, unrolled; all of one type."""
    if not isinstance(coefficients, types.UniTuple) or coefficients.dtype != x:
        raise TypingError(f"coefficients of {x} must be a tuple of {x}, got {coefficients}")

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value, packed = arguments
        terms = [builder.extract_value(packed, i) for i in range(coefficients.count)]
        total = terms.pop()
        while terms:
            total = builder.fadd(builder.fmul(total, value), terms.pop())
        return total

    return x(x, coefficients), codegen
