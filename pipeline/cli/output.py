"""Output of the commands: tables, JSON, sizes, and the progress of a build."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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
def progress_bar() -> Iterator[Callable[[str, int, int], None] | None]:
    """Yield a callback that shows progress with rate and time left; None when nobody looks at a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        tasks: dict[str, Any] = {}

        def report(step: str, done: int, total: int) -> None:
            if step not in tasks:
                for task in tasks.values():
                    bar.remove_task(task)
                tasks.clear()
                tasks[step] = bar.add_task(step, total=total, completed=done, rate="")
            speed = bar.tasks[0].finished_speed or bar.tasks[0].speed
            rate = f"{speed:,.0f}/s" if speed and step == "rendering" else ""
            bar.update(tasks[step], completed=done, total=total, rate=rate)

        yield report


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
