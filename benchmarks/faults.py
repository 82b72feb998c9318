"""Faults injected into real builds, and what they cost: no sample, no value, no file.

python benchmarks/faults.py                # over 200 faults; needs the extra `test`, and Linux for small disks
python benchmarks/faults.py --times 3      # three times as many
python benchmarks/faults.py --only disk    # the kinds with that word

Processes are real, moments random by a seed. Each build that was disturbed is finished by the same command and compared
with one that was not: samples, digests of the decoded data, labels, and files that do not belong.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import psutil
from pandas.util import hash_pandas_object

from deepbench import format as fmt
from deepbench.catalog import find
from deepbench.storage.locations import location_of

RECIPE = """
name: faults
version: 1.0.0
title: Small images, many blocks
seed: 11
tables:
  images:
    kind: image
    samples: 400
    size: [16, 16]
    classes:
      circle:
        objects: [{circle: {x: {uniform: [4, 12]}, y: {uniform: [4, 12]}, radius: {uniform: [1, 6]}}}]
      crowd:
        objects:
          - rectangle: {x: {uniform: [4, 12]}, y: {uniform: [4, 12]}, width: {uniform: [1, 6]}, height: 2}
            repeat: {integers: [0, 3]}
    psf: {gaussian: {sigma: {uniform: [0.5, 2.0]}}}
    noise: [{gaussian: {sigma: 0.05}}]
  squares:
    kind: image
    samples: 40
    size: [8, 12]
    classes: {square: {objects: [{rectangle: {x: {uniform: [2, 9]}, y: 4, width: 3, height: 3}}]}}
storage: {chunk_bytes: 4096, shard_bytes: 4096}
"""
"""Four images to a block."""

FULL = "the disk is full; what was finished is kept"
PATIENT = 300.0
"""Seconds after which a build that does not go on ends this program."""

MAIN = "from pipeline.cli import main; main()"
IMPATIENT = "from pipeline.execution import window; window.PATIENCE, window.TICK, window.SLOWEST = 2.0, 0.2, 1"
RENEWED = (
    "from pipeline.execution import described, window; described.GRACE, window.TICK = 0.5, 0.2"
)
UNPLANNED = "from pipeline.plan import Plan; Plan.check_disk = lambda *_: None"
UNPUBLISHED = "import os; from pipeline import publish; publish.publish = lambda *_: os._exit(9)"
BACKWARDS = (
    "import time; time.time = lambda: 2e9 + time.monotonic() - 1.5 * (time.monotonic() // 2)"
)
FAULTY = """
from pipeline import block
def make_block(staging, one):
    import os, signal
    from pipeline.block import make_block
    if one.start in {starts} and one.table == "images":
        {fault}
    return make_block(staging, one)
block.make_block = make_block
"""


class Trial:
    """One build in a folder of its own that is disturbed; ``injected`` counts the faults."""

    def __init__(self, folder: Path, samples: int, catalog: str | None = None) -> None:
        self.folder, self.samples, self.injected = folder, samples, 0
        self.catalog = catalog or str(folder / "releases")
        self.recipe = folder / "recipe.yaml"
        self.recipe.write_text(RECIPE.replace("samples: 400", f"samples: {samples}"))
        self._started: list[subprocess.Popen] = []

    def spawn(self, *command: str | Path) -> subprocess.Popen:
        """Start a process that ends with the trial; what it says is in ``stderr``."""
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=os.environ | {"DASK_TEMPORARY_DIRECTORY": str(self.folder / "dask")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(self.folder / f"{len(self._started)}.err").open("w+"),
            text=True,
        )
        self._started.append(process)
        return process

    def start(
        self, *options: str, before: str = "", within: tuple[str, ...] = ()
    ) -> subprocess.Popen:
        """Start the command that builds; ``before`` is Python to run first, ``within`` a command to start it with."""
        build = ("build", self.recipe, "--catalog", self.catalog, "--json")
        return self.spawn(
            *within, sys.executable, "-c", f"{before}\n{MAIN}", *build, *(options or LOCAL)
        )

    def end(self, process: subprocess.Popen, *codes: int, says: str = "") -> int:
        """Wait for a command's end; its exit code, and what it says, must be as expected."""
        process.communicate(timeout=PATIENT)
        text = (self.folder / f"{self._started.index(process)}.err").read_text()
        if process.returncode not in codes or not re.search(says, text):
            raise SystemExit(f"exit code {process.returncode}, not {codes}: {text}")
        return process.returncode

    def finish(self, *options: str) -> None:
        """Run the command undisturbed to its end."""
        self.end(self.start(*options), 0)

    def parts(self) -> int:
        """Return how many blocks are done."""
        return len(list(Path(self.catalog, fmt.BUILDING).glob("*/parts/*/*")))

    def progress(self, process: subprocess.Popen) -> None:
        """Wait until another block is done."""
        before, deadline = self.parts(), time.monotonic() + PATIENT
        while self.parts() <= before and process.poll() is None:
            if time.monotonic() > deadline:
                raise SystemExit("a build does not go on")
            time.sleep(0.005)

    def stop(self) -> None:
        """End all processes."""
        for process in self._started:
            with contextlib.suppress(psutil.NoSuchProcess):
                for child in psutil.Process(process.pid).children(recursive=True):
                    child.kill()
            process.kill()
            process.communicate()


LOCAL = ("--workers", "2")


def workers_of(process: subprocess.Popen) -> list[psutil.Process]:
    """Return the processes of the workers below a coordinator or a nanny."""
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if "spawn_main" in " ".join(child.cmdline()):
                found.append(child)
    return found


# the faults: each function injects some into a trial, and leaves a release that is finished


def killed_workers(trial: Trial, chance: random.Random, count: int) -> None:
    """Kill workers at random moments of one build."""
    running = trial.start()
    while trial.injected < count:
        trial.progress(running)
        time.sleep(chance.uniform(0, 0.4))
        with contextlib.suppress(psutil.NoSuchProcess, IndexError):
            chance.choice(workers_of(running)).kill()
            trial.injected += 1
    trial.end(running, 0)


def killed_coordinators(trial: Trial, chance: random.Random, count: int) -> None:
    """Kill the coordinator at random moments; start it again."""
    while trial.injected < count:
        running = trial.start()
        if chance.random() < 0.7:
            trial.progress(running)
            time.sleep(chance.uniform(0, 0.4))
        else:
            time.sleep(chance.uniform(0, 3))
        running.kill()
        trial.end(running, -signal.SIGKILL)
        trial.injected += 1
    trial.finish()


def stopped_coordinators(trial: Trial, chance: random.Random, count: int) -> None:
    """Stop the coordinator with a signal at random moments; start it again."""
    while trial.injected < count:
        running = trial.start()
        trial.progress(running)
        time.sleep(chance.uniform(0, 0.4))
        number = chance.choice([signal.SIGINT, signal.SIGTERM])
        workers = workers_of(running)
        running.send_signal(number)
        trial.end(running, 128 + number, says="^stopped; a build keeps what was finished")
        if psutil.wait_procs(workers, timeout=PATIENT)[1]:
            raise SystemExit("a worker lives on")
        trial.injected += 1
    trial.finish()


def ended_jobs(trial: Trial, chance: random.Random, count: int) -> None:
    """Build on a cluster whose jobs end by themselves, each after a few seconds, and are not replaced by it."""
    queue = trial.folder / "queue"
    cluster = trial.folder / "cluster.yaml"
    arguments = f"{{queue: {queue}, lifetime: {chance.uniform(12, 15):.1f}}}"
    cluster.write_text(f"class: short_lived.ShortLived\narguments: {arguments}\nworkers: 2\n")
    here = f"import sys; sys.path.append({str(Path(__file__).parent)!r})"
    slowly = FAULTY.format(starts=range(trial.samples), fault="import time; time.sleep(0.1)")
    running = trial.start("--cluster", str(cluster), before=f"{here}\n{RENEWED}\n{slowly}")
    seen: set[Path] = set()
    while running.poll() is None:
        seen.update(queue.glob("job-*"))
        time.sleep(0.05)
    trial.end(running, 0)
    trial.injected += len(seen) - 2
    if list(queue.glob("job-*")):
        raise SystemExit("a job is left in the queue")


def dask(trial: Trial, name: str, *arguments: str | Path) -> subprocess.Popen:
    """Start a process of Dask's own."""
    place = ("--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0", "--no-dashboard")
    return trial.spawn(sys.executable, "-m", f"distributed.cli.dask_{name}", *place, *arguments)


def dask_scheduler(trial: Trial) -> tuple[subprocess.Popen, str]:
    """Start a scheduler; return it and its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = dask(trial, "scheduler", "--port", str(port))
    wait_for(port)
    return process, f"tcp://127.0.0.1:{port}"


def dask_nanny(trial: Trial, address: str) -> subprocess.Popen:
    """Start a nanny with its worker."""
    return dask(trial, "worker", address, "--nworkers", "1", "--nthreads", "1")


def wait_for(port: int) -> None:
    """Wait until somebody listens at a port of this machine."""
    deadline = time.monotonic() + PATIENT
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)
    raise SystemExit(f"nobody listens at port {port}")


def killed_nannies(trial: Trial, chance: random.Random, count: int) -> None:
    """Kill nannies of a running cluster, and with them their workers; start others."""
    _, address = dask_scheduler(trial)
    nannies = [dask_nanny(trial, address) for _ in range(2)]
    running = trial.start("--scheduler", address)
    while trial.injected < count:
        trial.progress(running)
        time.sleep(chance.uniform(0, 0.4))
        nannies.pop(chance.randrange(2)).kill()
        trial.injected += 1
        nannies.append(dask_nanny(trial, address))
    trial.end(running, 0)


def killed_schedulers(trial: Trial, chance: random.Random, count: int) -> None:
    """Kill the scheduler of a running cluster; start another with workers."""
    for _ in range(count):
        scheduler, address = dask_scheduler(trial)
        dask_nanny(trial, address)
        running = trial.start("--scheduler", address)
        trial.progress(running)
        time.sleep(chance.uniform(0, 0.4))
        scheduler.kill()
        trial.injected += 1
        trial.end(running, 2, says="scheduler is gone|no Dask scheduler answers")
    trial.finish()


def stopped_workers(trial: Trial, chance: random.Random, count: int) -> None:
    """Stop workers, which then neither work nor answer."""
    running = trial.start(before=IMPATIENT)
    while trial.injected < count:
        trial.progress(running)
        time.sleep(chance.uniform(0, 0.4))
        with contextlib.suppress(psutil.NoSuchProcess, IndexError):
            chance.choice(workers_of(running)).suspend()
            trial.injected += 1
    trial.end(running, 0)


def faulty_blocks(fault: str, says: str) -> Callable[[Trial, random.Random, int], None]:
    """Return a function that builds with blocks that fail each time, and then without."""

    def inject(trial: Trial, chance: random.Random, count: int) -> None:
        starts = sorted(chance.sample(range(0, trial.samples, 4), count))
        running = trial.start(before=FAULTY.format(starts=starts, fault=fault))
        named = ".*\n".join(f"'images', samples {start} … .*{says}" for start in starts)
        trial.end(running, 1, says=rf"recipe hash \w+\) failed; (.|\n)*{named.split(chr(10))[0]}")
        trial.injected += count
        trial.finish()

    return inject


def rivals(trial: Trial, chance: random.Random, count: int) -> None:
    """Start several builds of one version at random moments: one works, the others are told."""
    running = [trial.start()]
    for _ in range(count):
        time.sleep(chance.uniform(0, 0.8))
        running.append(trial.start())
    codes = [
        trial.end(each, 0, 2, says="^$|publishing|another process is building") for each in running
    ]
    trial.injected += codes.count(2)


def killed_publishes(trial: Trial, chance: random.Random, count: int) -> None:
    """Kill a build at random steps of publishing and tidying up."""
    dying = Path(__file__).with_name("dying.py")
    process = trial.spawn(sys.executable, dying, trial.recipe, trial.catalog)
    assert process.stdin is not None
    assert process.stdout is not None
    last = 40 if "://" in trial.catalog else 200
    code = -signal.SIGKILL
    while trial.injected < count and code:
        process.stdin.write(f"{chance.randint(1, last)}\n")
        process.stdin.flush()
        code = int(process.stdout.readline())
        if code not in (0, -signal.SIGKILL):
            raise SystemExit(f"an attempt ended with {code}")
        trial.injected += code != 0
    trial.finish()


def damage(path: Path, other: Path, chance: random.Random) -> None:
    """Truncate, empty, flip, lose or replace a file."""
    content = bytearray(path.read_bytes())
    kind = chance.choice(["truncate", "empty", "flip", "lose", "replace"])
    if kind == "truncate":
        del content[chance.randrange(len(content)) :]
    elif kind == "empty":
        content.clear()
    elif kind == "flip":
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    elif kind == "replace":
        content = bytearray(other.read_bytes())
    path.unlink()
    if kind != "lose":
        path.write_bytes(content)


def damaged_files(trial: Trial, chance: random.Random, count: int) -> None:
    """Damage parts and shards of a build that ended before it was published."""
    trial.end(trial.start(before=UNPUBLISHED), 9)
    (staging,) = Path(trial.catalog, fmt.BUILDING).glob("faults-*/")
    files = sorted(
        [*staging.glob("parts/images/*"), *staging.glob("release/**/images/image/c/*/0/0")]
    )
    harmed = chance.sample(files, count)
    for path in harmed:
        alike = [each for each in files if each.suffix == path.suffix and each not in harmed]
        damage(path, chance.choice(alike), chance)
        trial.injected += 1
    trial.finish()


class Disk:
    """A disk in memory at the catalog of a trial, in a mount namespace of its own."""

    def __init__(self, trial: Trial, limits: str) -> None:
        self._folder = trial.folder / "disk"
        self._folder.mkdir()
        trial.catalog = f"{self._folder}/releases"
        mount = 'mount -t tmpfs -o "$1" tmpfs "$2" && echo mounted && cat'
        alone = ("unshare", "--map-root-user", "--mount")
        holder = trial.spawn(*alone, "sh", "-c", mount, "sh", limits, self._folder)
        assert holder.stdout is not None
        if holder.stdout.readline() != "mounted\n":
            raise SystemExit("this system lets us mount no disk; leave out the kinds with --only")
        namespace = ("--user", "--mount", "--preserve-credentials")
        self.within = ("nsenter", f"--target={holder.pid}", *namespace, f"--wd={trial.folder}")
        self.seen = Path(f"/proc/{holder.pid}/root{self._folder}")
        """The folder as this process sees it."""

    def remount(self, options: str) -> None:
        """Change the disk."""
        command = ("mount", "-o", f"remount,{options}", str(self._folder))
        subprocess.run([*self.within, *command], check=True)

    def keep(self) -> None:
        """Copy what is on it to where it is seen by everybody."""
        shutil.copytree(self.seen, self._folder, dirs_exist_ok=True)


def full_disks(trial: Trial, chance: random.Random, count: int) -> None:
    """Build on a disk that is full, each time at another step; make a little room each time."""
    limit = chance.choice(["size={}k", "nr_inodes={}"])
    room = 100
    disk = Disk(trial, limit.format(room))
    while trial.injected < count:
        running = trial.start(before=UNPLANNED, within=disk.within)
        trial.end(running, 2, says=f"{FULL}|No space left on device")
        trial.injected += 1
        room += chance.randint(10, 60)
        disk.remount(limit.format(room))
    disk.remount("size=64m,nr_inodes=0")
    trial.end(trial.start(within=disk.within), 0)
    disk.keep()


def read_only_disks(trial: Trial, chance: random.Random, count: int) -> None:
    """Make the disk one that can only be read at a random moment, and then writable again."""
    disk = Disk(trial, "size=64m")
    while trial.injected < count:
        running = trial.start(before=UNPUBLISHED, within=disk.within)
        time.sleep(chance.uniform(0, 3))
        running.kill()
        trial.end(running, -signal.SIGKILL, 9)
        time.sleep(1)  # until its workers have ended, too
        disk.remount("ro")
        trial.end(trial.start(within=disk.within), 2, says="Read-only file system; choose another")
        trial.injected += 1
        disk.remount("rw")
    trial.end(trial.start(within=disk.within), 0)
    disk.keep()


def backward_clocks(trial: Trial, chance: random.Random, count: int) -> None:
    """Build with a clock that goes back every other second, on files from the future."""
    for _ in range(count):
        running = trial.start(before=BACKWARDS)
        trial.progress(running)
        time.sleep(chance.uniform(0, 0.4))
        running.kill()
        trial.end(running, -signal.SIGKILL)
        for path in Path(trial.catalog).rglob("*"):
            os.utime(path, (4e9, 4e9))
        trial.injected += 1
    trial.end(trial.start(before=BACKWARDS), 0)


@dataclass(frozen=True)
class Kind:
    """A kind of faults: how many to inject into a build, and into all builds together."""

    name: str
    inject: Callable[[Trial, random.Random, int], None]
    each: int
    all: int
    samples: int = 400
    bucket: bool = False


KINDS = (
    Kind("SIGKILL of a worker", killed_workers, 10, 30, 3000),
    Kind("SIGKILL of the coordinator", killed_coordinators, 5, 15, 3000),
    Kind("SIGINT or SIGTERM of the coordinator", stopped_coordinators, 4, 8, 2000),
    Kind("a job that ends, with its worker", ended_jobs, 4, 4, 2000),
    Kind("SIGKILL of a nanny, with its worker", killed_nannies, 3, 6, 2000),
    Kind("SIGKILL of the scheduler", killed_schedulers, 2, 4, 1200),
    Kind("a worker that hangs (SIGSTOP)", stopped_workers, 3, 6, 2000),
    Kind("a block that raises an error", faulty_blocks("1 / 0", "ZeroDivisionError"), 2, 6),
    Kind(
        "a block that kills its worker",
        faulty_blocks("os.kill(os.getpid(), signal.SIGKILL)", "the worker died each time"),
        1,
        2,
    ),
    Kind("builds of one version at once", rivals, 4, 8, 1200),
    Kind("a publish killed between two steps, folder", killed_publishes, 30, 60, 100),
    Kind("a publish killed between two steps, bucket", killed_publishes, 10, 10, 24, bucket=True),
    Kind("a part or shard truncated, changed, lost or foreign", damaged_files, 20, 40),
    Kind("a full disk", full_disks, 5, 10),
    Kind("a disk that can only be read", read_only_disks, 3, 3),
    Kind("a clock that goes backwards", backward_clocks, 2, 4, 1200),
)


# what the faults have cost


@dataclass
class Tally:
    """A row of the table."""

    name: str
    injected: int = 0
    lost: int = 0
    wrong: int = 0
    left: int = 0

    def __str__(self) -> str:
        return f"| {self.name} | {self.injected} | {self.lost} | {self.wrong} | {self.left} |"

    def add(self, other: Tally) -> None:
        """Add another row."""
        self.injected += other.injected
        self.lost += other.lost
        self.wrong += other.wrong
        self.left += other.left


Values = dict[str, list[tuple[bytes | int, ...]]]
"""Digests of the decoded data and of the labels of each sample, by table."""


def values_of(catalog: str) -> Values:
    """Read a release back, the data through Zarr, and return what its samples are."""
    release = find("faults", "1.0.0", catalog)
    tree, recipe = release.open(), release.recipe
    found: Values = {}
    for name, table in recipe.tables.items():
        columns = [
            fmt.sample_digests(each, tree[name][each.name].values)
            for each in table.data_variables()
        ]
        labels = hash_pandas_object(release.labels(name), index=False).tolist()
        found[name] = list(zip(*columns, labels, strict=True))
        if recipe.table(name).plan.object_columns:
            copies = hash_pandas_object(release.objects(name), index=False).tolist()
            found[f"{name}.objects"] = [(each,) for each in copies]
    return found


def leftovers(catalog: str) -> list[str]:
    """Return files of a catalog that are neither of the release nor a log."""
    folder = "faults/1.0.0"
    manifest = find("faults", "1.0.0", catalog).manifest
    ours = {f"{folder}/{each.path}" for each in manifest.objects} | {f"{folder}/{fmt.MANIFEST}"}
    log = re.compile(rf"{re.escape(fmt.BUILDING)}/[^/]*\.log")
    return [
        each
        for each in location_of(catalog).files()
        if each not in ours and not log.fullmatch(each)
    ]


@lru_cache
def undisturbed(samples: int) -> Values:
    """Return the samples of a build without faults."""
    with tempfile.TemporaryDirectory() as folder:
        trial = Trial(Path(folder), samples)
        trial.finish()
        return values_of(trial.catalog)


def compare(trial: Trial) -> Tally:
    """Return what the faults of a trial have cost."""
    expected, found = undisturbed(trial.samples), values_of(trial.catalog)
    lost = sum(max(0, len(expected[name]) - len(found[name])) for name in expected)
    wrong = sum(
        old != new
        for name in expected
        for old, new in zip(expected[name], found[name], strict=False)
    )
    return Tally("", trial.injected, lost, wrong, len(leftovers(trial.catalog)))


@contextlib.contextmanager
def object_store() -> Iterator[str]:
    """Run an S3 server on this machine that the environment names; yield its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    secrets = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
    os.environ.update(secrets, AWS_REGION="us-east-1", AWS_ALLOW_HTTP="true", AWS_ENDPOINT_URL=url)
    with subprocess.Popen(
        (sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as server:
        wait_for(port)
        yield url
        server.terminate()


def measure(kind: Kind, times: int, seed: int) -> Tally:
    """Inject faults of a kind into as many builds as it takes."""
    total = Tally(kind.name)
    number = 0
    while total.injected < kind.all * times:
        number += 1
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            catalog = None
            if kind.bucket:
                url = stack.enter_context(object_store())
                urllib.request.urlopen(
                    urllib.request.Request(f"{url}/faults", method="PUT")
                ).close()
                catalog = "s3://faults/releases"
            trial = Trial(folder, kind.samples, catalog)
            stack.callback(trial.stop)
            kind.inject(trial, random.Random(f"{seed} {kind.name} {number}"), kind.each)
            total.add(compare(trial))
    return total


def main() -> None:
    """Print the table; exit with 1 when anything was lost, wrong or left behind."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="a word of the kinds to inject")
    options = parser.parse_args()
    print("| fault | injected | lost samples | wrong values | leftover files |")
    print("|---|---|---|---|---|", flush=True)
    total = Tally("all")
    for kind in KINDS:
        if options.only in kind.name:
            row = measure(kind, options.times, options.seed)
            print(row, flush=True)
            total.add(row)
    print(total)
    sys.exit(bool(total.lost or total.wrong or total.left))


if __name__ == "__main__":
    main()
