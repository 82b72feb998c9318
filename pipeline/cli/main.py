"""The command: its parts, and what becomes of errors.

Exit codes: 0 done, 2 the user's mistake (one message, no traceback), 3 a release that is damaged, 1 our fault, 130
stopped by Ctrl-C, 143 by SIGTERM, 129 by SIGHUP (the terminal is gone).
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import sys
import warnings
from typing import Annotated, Any, NoReturn, TextIO

import typer

import deepbench
from deepbench.errors import BuildError, DeepBenchError, advice, refuse_optimized
from pipeline.cli import recipes, releases, upkeep
from pipeline.cli.output import say
from pipeline.secrets import redact
from pipeline.units import printable

STOPPED = 130
"""Exit code after Ctrl-C."""

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that stop a command in good order."""

DEBUG = "DEEPBENCH_DEBUG"
"""Variable of the environment: when it is set, faults of ours show their traceback."""

USAGE_ERROR: Any = typer.BadParameter.__base__
"""Error that wrong arguments raise: a class of click, of which newer versions of typer hold a copy of their own."""


def _say_version(wanted: bool) -> None:
    if wanted:
        say(f"deepbench {deepbench.__version__}")
        raise typer.Exit


app = typer.Typer(
    name="deepbench",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


@app.callback()
def of_all(
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_say_version, help="Print the version."),
    ] = False,
) -> None:
    """Build versioned benchmark datasets from recipes, and look at them."""


for command in (
    recipes.validate,
    recipes.schema,
    recipes.preview,
    recipes.plan,
    recipes.warm,
    recipes.build,
    releases.list_releases,
    releases.info,
    releases.sample,
    releases.diff,
    releases.export,
    upkeep.verify,
    upkeep.repair,
    upkeep.cache,
    upkeep.deprecate,
    upkeep.remove,
    upkeep.prune,
):
    app.command(name=command.__name__.removesuffix("_releases"))(command)


def main() -> NoReturn:
    """Run the command and end the process with its exit code."""
    stopped_by = _stop_in_order()
    warnings.showwarning = _warn
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(
            errors="backslashreplace"
        )  # a terminal that cannot show a letter still works
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warn
            refuse_optimized()
            code = app(prog_name="deepbench", standalone_mode=False)
    except USAGE_ERROR as error:
        if re.fullmatch(r"-\d.*", getattr(error, "option_name", "")):
            error.message = f"{error.option_name} is below 0; numbers of samples begin at 0"
        error.show()
        code = 2
    except (typer.Abort, KeyboardInterrupt):
        code = STOPPED
    except DeepBenchError as error:
        _complain(f"error: {error}")
        code = exit_code(error)
    except OSError as error:  # of the user's disks and files
        _complain(f"error: {advice(error)}")
        code = 2
    except Exception as error:
        if DEBUG in os.environ:
            raise
        _complain(
            f"error: {type(error).__name__}: {error}; this is a fault of DeepBench: {DEBUG}=1 shows where"
        )
        code = 1
    if code == STOPPED:  # typer, too, turns Ctrl-C into this code
        _ignore_unawaited()
        code = 128 + stopped_by[0] if stopped_by else STOPPED
        _complain(
            "stopped; a build keeps what was finished, and the same command goes on from there"
        )
    sys.exit(code or 0)


def _stop_in_order() -> list[int]:
    """Let signals raise ``KeyboardInterrupt``; return a list that will have the first one.

    Only the first one stops: further ones do not disturb the tidying up, which ends workers and cancels queued jobs.
    """
    first: list[int] = []

    def stop(number: int, _: Any) -> NoReturn:
        for each in SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        first.append(number)
        _ignore_unawaited()
        raise KeyboardInterrupt

    for each in SIGNALS:
        if each == signal.SIGINT or signal.getsignal(each) != signal.SIG_IGN:  # as under nohup
            signal.signal(each, stop)
    return first


def _ignore_unawaited() -> None:
    """Ignore warnings of coroutines that nobody awaited: a signal falls where it may, and ends what awaits them."""
    warnings.filterwarnings("ignore", message="coroutine .* was never awaited")


def exit_code(error: DeepBenchError) -> int:
    """Return 2 for the user's mistakes, and 1 for blocks that failed for a reason that is not one."""
    ours = isinstance(error, BuildError) and not isinstance(
        error.__cause__, DeepBenchError | OSError
    )
    return 1 if ours else 2


def _warn(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Show a warning in one line, as errors are; of other packages, with the line of their code."""
    ours = category.__module__ == DeepBenchError.__module__
    where = "" if ours else f"{filename}:{lineno}: {category.__name__}: "
    _complain(f"warning: {where}{message}")


def _complain(message: str) -> None:
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    sys.stderr.write(f"{printable(redact(message))}\n")
