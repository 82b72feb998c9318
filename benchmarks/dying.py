"""Attempts to build that are killed while they publish or tidy up: for ``faults.py``, and for the tests.

python benchmarks/dying.py RECIPE CATALOG

Each line of standard input is the number of a step: an attempt is killed before the change of a file, or the request
that changes an object, of that number, and its exit code is printed. Attempts are forks, which saves the imports, and
make their blocks without a cluster.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

import distributed  # noqa: F401  these are imported once, before the forks
import obstore
import pandas  # noqa: F401
import pyarrow.csv  # noqa: F401
import zarr  # noqa: F401

from deepbench import render
from deepbench.recipe import load_recipe
from pipeline import build as building
from pipeline import publish
from pipeline.execution.local import Local
from pipeline.software import versions
from pipeline.target import bucket

CHANGES = {"os.chmod", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir"}
REQUESTS = ("put", "copy", "delete")


@contextlib.contextmanager
def here(options: Any, staging: Any, **_: Any) -> Iterator[Local]:
    """Yield what makes the blocks of a build in this process, whatever cluster is asked for."""
    yield Local(staging)


class Death:
    """Kills this process at a step of publishing or tidying up."""

    def __init__(self, step: int) -> None:
        self._left, self._begun = step, False

    def counted_from(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that begins the counting of steps."""

        def call(*arguments: Any) -> Any:
            self._begun = True
            return function(*arguments)

        return call

    def before(self, request: Callable[..., Any]) -> Callable[..., Any]:
        """Return a request that is a step."""

        def call(*arguments: Any, **keywords: Any) -> Any:
            self._step()
            return request(*arguments, **keywords)

        return call

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Take a change of a file, of which Python tells, as a step."""
        if event in CHANGES or (event == "open" and arguments[2] & os.O_ACCMODE):
            self._step()

    def _step(self) -> None:
        self._left -= self._begun
        if self._left <= 0:  # steps of several threads may be counted at once
            os.kill(os.getpid(), signal.SIGKILL)


def at_once(take: Callable[..., bool]) -> Callable[..., bool]:
    """Return what takes a lock without waiting: whoever held it is known to be dead."""

    def call(lease: Any) -> bool:
        usual, bucket.LEASE = bucket.LEASE, 0.0
        try:
            return take(lease)
        finally:
            bucket.LEASE = usual

    return call


def attempt(recipe: str, catalog: str, step: int) -> None:
    """Build, and die at a step."""
    death = Death(step)
    publish.publish = death.counted_from(publish.publish)
    building.tidy = death.counted_from(building.tidy)
    building.executor = here
    bucket.BEAT = 0.1
    bucket._Lease.take = at_once(bucket._Lease.take)
    if "://" in catalog:
        for name in REQUESTS:
            setattr(obstore, name, death.before(getattr(obstore, name)))
    else:
        sys.addaudithook(death.hook)
    building.build(load_recipe(recipe), catalog)


def main() -> None:
    """Make the attempts."""
    recipe = load_recipe(sys.argv[1])
    for table in recipe.tables:
        render(recipe, table, 0, 1)  # loads its kernels once, before the forks
    versions()  # reads the metadata of packages once
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            attempt(*sys.argv[1:], int(line))
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
