"""Decorators that make kernels, bit casts, and polynomials.

Kernels are compiled when first used and cached on disk. Numba looks for changes in the file of the kernel alone, and
would go on using old code after a change in a function that it calls, or in a constant. Here a cached kernel belongs
to all sources of the package. Processes that need the same kernel at once do not compile it once each: one does, and
the others wait and load.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numba
from numba import types
from numba.core.caching import FunctionCache
from numba.core.compiler_lock import global_compiler_lock
from numba.core.errors import TypingError
from numba.extending import intrinsic as numba_intrinsic

log = logging.getLogger(__name__)


@lru_cache(maxsize=1)
def source_digest() -> str:
    """Return the SHA-256 of all sources of ``deepbench``: kernels take constants from any of them."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


class _Cache(FunctionCache):
    """Numba's cache of a kernel on disk, in which one process compiles at a time; a context in which it does."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        # Numba reads this before the rest of an index, whose record types may name what is no longer there.
        self._cache_file._version = f"{self._cache_file._version} {source_digest()}"
        self._turn = contextlib.ExitStack()

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        self._turn.close()

    def load_overload(self, signature: Any, target: Any) -> Any:
        """Return the kernel from the disk; None where it is not there and no other process compiles it."""
        found = super().load_overload(signature, target)
        if found is None:
            self._wait()
            found = super().load_overload(signature, target)
        if found is None:
            log.info("compiling %s", self._py_func.__qualname__)
        return found

    def _wait(self) -> None:
        """Wait while another process compiles the kernel; no other one begins before this one is done."""
        path = Path(self.cache_path, f"{self._impl.filename_base}.lock")
        with contextlib.suppress(OSError):  # a disk without locks
            self._impl.locator.ensure_cache_path()
            fcntl.flock(self._turn.enter_context(path.open("a")), fcntl.LOCK_EX)


def kernel(function: Callable[..., Any]) -> Any:
    """Decorate a function that Python calls: compiled when first used, and cached on disk where there is a place."""
    dispatcher: Any = numba.njit(function, error_model="numpy", nogil=True)
    try:
        cache = _Cache(function)
    except RuntimeError:  # neither the package's folder nor the user's cache can be written
        return dispatcher
    find_or_compile = dispatcher.compile

    def take_turns(signature: Any) -> Any:
        with global_compiler_lock, cache:
            return find_or_compile(signature)

    dispatcher._cache, dispatcher.compile = cache, take_turns
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
