"""Progress of compiling kernels, told as that of other long work."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator

from deepbench.progress import Progress, silent

__all__ = ["COMPILING", "KERNELS", "Progress", "compilations", "hearing", "silent"]

COMPILING = "compiling kernels (first run on this machine)"
"""Step of a process that needs a kernel which its machine has not compiled yet."""

KERNELS = "deepbench.numerics.kernels"
"""Logger that tells of each kernel that is compiled, one record for each; workers forward it."""


class _Heard(logging.Handler):
    """Passes on what loggers tell."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__()
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        self._tell(record.getMessage())


@contextlib.contextmanager
def hearing(logger_name: str, tell: Callable[[str], None]) -> Iterator[None]:
    """Call a function with every message of a logger, of level INFO or above, while the block runs."""
    logger, handler = logging.getLogger(logger_name), _Heard(tell)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)


@contextlib.contextmanager
def compilations(report: Progress) -> Iterator[list[str]]:
    """Report each kernel that is compiled while the block runs, here or on a worker; yield the list of them."""
    found: list[str] = []

    def tell(message: str) -> None:
        found.append(message)
        report(COMPILING, len(found), 0)

    with hearing(KERNELS, tell):
        yield found
