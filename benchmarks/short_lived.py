"""A cluster like a queue's, on this machine, whose jobs end by themselves: for ``faults.py``, and for the tests.

class: short_lived.ShortLived
arguments: {queue: /tmp/queue, lifetime: 3, room: 1}
workers: 2
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

from distributed import Scheduler, Security, SpecCluster
from distributed.deploy.spec import ProcessInterface

TLS = {"ca-file": "ca_file", "cert": "cert", "key": "key"}
"""Names of the credentials of a worker: among its options, and in Dask."""


class Job(ProcessInterface):
    """A job with one worker, which has a file in the folder of the queue from its submission until it is cancelled.

    Parameters
    ----------
    scheduler : str
    name : str
    queue : Path
    lifetime : float
        Seconds until the job ends.
    room : int
        Number of jobs that run; further ones wait, and never begin.
    """

    def __init__(self, scheduler: str, name: str, queue: Path, lifetime: float, room: int) -> None:
        super().__init__()
        self._scheduler, self._name, self._lifetime = scheduler, name, lifetime
        self._queue, self._room = queue, room
        self._file = queue / f"job-{uuid4().hex}"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Submit the job."""
        waiting = len(list(self._queue.glob("job-*"))) >= self._room
        self._file.touch()
        if not waiting:
            options = {
                "name": self._name,
                "nthreads": 1,
                "lifetime": f"{self._lifetime}s",
                "host": "127.0.0.1",
                "dashboard-address": "127.0.0.1:0",
                "local-directory": self._queue / "dask",
                **{f"tls-{name}": self._queue / name for name in TLS},
            }
            worker = (sys.executable, "-m", "distributed.cli.dask_worker", "--no-nanny")
            self._process = await asyncio.create_subprocess_exec(
                *(*worker, self._scheduler),
                *(f"--{option}={value}" for option, value in options.items()),
                stderr=asyncio.subprocess.DEVNULL,
            )
        await super().start()

    async def close(self) -> None:
        """Cancel the job."""
        if self._process is not None:
            if self._process.returncode is None:
                self._process.kill()
            await self._process.wait()
        self._file.unlink()
        await super().close()


class ShortLived(SpecCluster):
    """A cluster of jobs that end in time, and that nobody replaces.

    Parameters
    ----------
    queue : str
        Folder of the files of jobs, and of the credentials for their workers.
    lifetime : float
    room : int
    security : Security
    """

    def __init__(
        self,
        queue: str,
        lifetime: float,
        room: int = 8,
        security: Security | None = None,
        **more: Any,
    ) -> None:
        folder = Path(queue)
        folder.mkdir(exist_ok=True)
        credentials = (security or Security()).get_tls_config_for_role("worker")
        for option, name in TLS.items():
            (folder / option).touch(mode=0o600)
            (folder / option).write_text(credentials[name])
        place = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
        super().__init__(
            scheduler={
                "cls": Scheduler,
                "options": {"protocol": "tls://", "security": security, **place},
            },
            worker={"cls": Job, "options": {"queue": folder, "lifetime": lifetime, "room": room}},
            security=security,
            **more,
        )
