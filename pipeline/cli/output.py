"""Output of the commands: tables, JSON, sizes, and the progress of a build."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pipeline.progress import Progress, compilations, hearing
from pipeline.secrets import RedactingFormatter
from pipeline.units import printable


def say(text: str) -> None:
    """Print a line, or several."""
    sys.stdout.write(f"{printable(text)}\n")


def say_json(data: Any) -> None:
    """Print plain data as JSON."""
    say(json.dumps(data, indent=1, ensure_ascii=False))


def say_table(header: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    """Print rows as columns as wide as needed, numbers to the right."""
    texts = [header, *(tuple(_in_a_line(str(cell)) for cell in row) for row in rows)]
    widths = [max(len(row[i]) for row in texts) for i in range(len(header))]
    right = [bool(rows) and isinstance(rows[0][i], int | float) for i in range(len(header))]
    for row in texts:
        cells = [
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(row, widths, right, strict=True)
        ]
        say("  ".join(cells).rstrip())


def _in_a_line(text: str) -> str:
    """Return a text without line ends, which would tear a table."""
    return printable(" ".join(text.split()))


@contextlib.contextmanager
def progress_bar() -> Iterator[Progress]:
    """Yield a callback that shows progress: a bar on a terminal, elsewhere a line now and then."""
    with contextlib.ExitStack() as stack:
        report, tell = stack.enter_context(_bar() if sys.stderr.isatty() else _lines())
        stack.enter_context(compilations(report))
        stack.enter_context(hearing("pipeline.execution", tell))
        yield report


Shown = tuple[Progress, Callable[[str], None]]
"""Functions that show progress, and a message."""


@contextlib.contextmanager
def _bar() -> Iterator[Shown]:
    """Show progress with rate and time left, and messages above it, on the terminal."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bar

    with Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        tasks: dict[str, Any] = {}
        turn = threading.Lock()  # workers' messages come in a thread of their own

        def report(step: str, done: int, total: int) -> None:
            with turn:
                if step not in tasks:
                    for task in tasks.values():
                        bar.remove_task(task)
                    tasks.clear()
                    tasks[step] = bar.add_task(step, total=total or None, completed=done, rate="")
                speed = bar.tasks[0].finished_speed or bar.tasks[0].speed
                rate = f"{speed:,.0f}/s" if speed and step == "rendering" else ""
                bar.update(tasks[step], completed=done, total=total or None, rate=rate)

        yield report, lambda message: bar.console.print(message, markup=False, highlight=False)


LOG_SECONDS = 30.0
"""Seconds between the lines that tell of progress where nobody looks at a terminal."""


class Log:
    """Progress as lines of a log.

    Parameters
    ----------
    clock : callable
        Returns the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._messages: list[str] = []
        self._latest = "", 0, 0
        self._begun, self._first = clock(), 0

    def report(self, step: str, done: int, total: int) -> None:
        """Take progress."""
        if step != self._latest[0]:
            self._begun, self._first = self._clock(), done
        self._latest = step, done, total

    def tell(self, message: str) -> None:
        """Take a message for the next line."""
        self._messages.append(message)

    def line(self) -> str:
        """Return the messages since the last line, the step, how much of it is done, and the time left."""
        step, done, total = self._latest
        amount = f": {done:,} of {total:,}" if total else f": {done:,} so far" if done else ""
        words = [*self._messages, f"{step}{amount}"]
        self._messages.clear()
        if self._first < done < total:
            pace = (self._clock() - self._begun) / (done - self._first)
            words.append(f"{pace * (total - done):,.0f} s left")
        return ", ".join(words)


@contextlib.contextmanager
def _lines() -> Iterator[Shown]:
    """Write a line about progress every ``LOG_SECONDS``."""
    log, ended = Log(), threading.Event()

    def write() -> None:
        while not ended.wait(LOG_SECONDS):
            sys.stderr.write(f"{log.line()}\n")
            sys.stderr.flush()

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    try:
        yield log.report, log.tell
    finally:
        ended.set()
        writer.join()


class _LogFile(logging.FileHandler):
    """A file that is made, with its folder, when there is something to say; where that fails, nothing is said."""

    def _open(self) -> Any:
        Path(self.baseFilename).parent.mkdir(parents=True, exist_ok=True)
        return super()._open()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  the name is Python's
        pass


@contextlib.contextmanager
def log_file(path: Path) -> Iterator[Path]:
    """Keep a log of everything that is reported while the block runs; yield its path."""
    handler = _LogFile(path, delay=True)
    handler.setFormatter(RedactingFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    loggers = [logging.getLogger(name) for name in ("deepbench", "pipeline")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    try:
        yield path
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
        handler.close()
