"""What the tests of the pipeline share: a recipe of many small blocks, one cluster, one finished release."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from deepbench import format as fmt
from deepbench.catalog import find
from deepbench.recipe import parse_recipe
from deepbench.release import Release
from pipeline.build import build
from pipeline.cli import main, output
from pipeline.cli.main import SIGNALS
from pipeline.execution.cluster import ClusterOptions
from pipeline.staging import Staging
from pipeline.target import target_of
from pipeline.warm import warm

RECIPE = """\
name: small
version: 1.0.0
title: Small images of everything that the pipeline stores
description: For tests.
license: CC-BY-4.0
authors: [A. Tester]
references: [A paper on tests]
seed: 7
tables:
  images:
    kind: image
    samples: 300
    size: [16, 16]
    classes:
      rare:
        weight: 0.02
        objects: [{circle: {x: 8, y: 8, radius: "= 2 * size", thickness: 1}}]
        variables: {size: {uniform: [0.5, 1]}}
      circle:
        objects: [{circle: {x: {uniform: [4, 12]}, y: {uniform: [4, 12]}, radius: {uniform: [1, 6]}}}]
      crowd:
        objects:
          - rectangle: {x: {uniform: [4, 12]}, y: {uniform: [4, 12]}, width: {uniform: [1, 6]}, height: 2}
            repeat: {integers: [0, 3]}
          - line: {x: {uniform: [4, 12]}, y: 8, length: 6, thickness: 1}
            repeat: {integers: [1, 2]}
    psf: {gaussian: {sigma: {uniform: [0.5, 2.0]}}}
    noise: [{gaussian: {sigma: 0.05}}]
  squares:
    kind: image
    samples: 40
    size: [8, 12]
    classes:
      square:
        objects: [{rectangle: {x: {uniform: [2, 9]}, y: 4, width: 3, height: 3}}]
storage: {chunk_bytes: 4096, shard_bytes: 16384}
"""
"""16 images to a block of the first table, so that 300 samples are 19 blocks; two blocks of the second table."""

ROWS = """\
name: drawn
version: 1.0.0
title: Radii from a file
seed: 3
tables:
  images:
    kind: image
    samples: 40
    size: [16, 16]
    variables: {row: {catalog: {file: radii.csv}}}
    classes: {circle: {objects: [{circle: {x: 8, y: 8, radius: "= row.radius"}}]}}
storage: {chunk_bytes: 4096, shard_bytes: 16384}
"""

STORE_SECRETS = {
    "AWS_ACCESS_KEY_ID": "the-key-of-the-tests",
    "AWS_SECRET_ACCESS_KEY": "the-secret-of-the-tests",
    "AWS_REGION": "us-east-1",
    "AWS_ALLOW_HTTP": "true",
}

STORE = """
from moto.server import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server
s3 = DomainDispatcherApplication(create_backend_app)

def app(environ, start_response):
    for header in ("if-match", "if-none-match"):
        if environ["PATH_INFO"].startswith(f"/ignores-{header}-"):
            environ.pop("HTTP_" + header.upper().replace("-", "_"), None)
    return s3(environ, start_response)

server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=MotoRequestHandler)
print(server.port, flush=True)
server.serve_forever()
"""

COMMAND = """
from pipeline.cli import main, output
output.LOG_SECONDS = 1e6  # a slow machine writes no line about progress either
main()
"""


class Hangs(BaseException):
    """A test took far too long; nothing that it tests may catch this."""


@pytest.fixture(autouse=True)
def _never_hangs(request):
    """End a test that hangs, so that it fails with the line where it does; slow ones may take longer."""

    def give_up(*_):
        raise Hangs

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(600 if request.node.get_closest_marker("slow") else 120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="session")
def make_recipe():
    """Return a recipe; changes by dotted path, with ``__`` for the dots."""

    def make(**changes):
        dotted = {path.replace("__", "."): value for path, value in changes.items()}
        return parse_recipe(RECIPE).replace(dotted)

    return make


@pytest.fixture
def rows_recipe(tmp_path):
    """Write a recipe that draws rows of a table, and the table, beside each other; return their paths."""
    path, table = tmp_path / "recipe.yaml", tmp_path / "radii.csv"
    path.write_text(ROWS)
    table.write_text("radius\n1.5\n2.5\n3.5\n")
    return path, table


@pytest.fixture
def recipe_text():
    return RECIPE


@pytest.fixture
def recipe(make_recipe):
    return make_recipe()


@pytest.fixture
def recipe_file(tmp_path, make_recipe):
    """Write a recipe and return its path."""

    def write(**changes):
        path = tmp_path / "small.yaml"
        path.write_text(make_recipe(**changes).to_yaml())
        return path

    return write


@pytest.fixture(scope="session")
def object_store(tmp_path_factory):
    """An S3 server on this machine, which the environment names; return its address.

    Logs of builds in it are in a folder of this process, not in the user's.
    """
    state = {"XDG_STATE_HOME": str(tmp_path_factory.mktemp("state"))}
    with (
        subprocess.Popen(
            [sys.executable, "-c", STORE],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as server,
        pytest.MonkeyPatch.context() as patch,
    ):
        url = f"http://127.0.0.1:{int(server.stdout.readline())}"
        for name, value in (STORE_SECRETS | state | {"AWS_ENDPOINT_URL": url}).items():
            patch.setenv(name, value)
        yield url
        server.terminate()


@pytest.fixture
def secrets():
    """What the environment tells the store, and nobody else may learn."""
    return [STORE_SECRETS["AWS_ACCESS_KEY_ID"], STORE_SECRETS["AWS_SECRET_ACCESS_KEY"]]


@pytest.fixture
def new_bucket(object_store):
    """Make a bucket; return its address. In one whose name begins with ``ignores-<header>`` that header is ignored."""

    def make(kind="bucket"):
        name = f"{kind}-{uuid4().hex[:12]}"
        request = urllib.request.Request(f"{object_store}/{name}", method="PUT")
        urllib.request.urlopen(request).close()
        return f"s3://{name}"

    return make


@pytest.fixture
def bucket(new_bucket):
    """The address of a new bucket."""
    return new_bucket()


@pytest.fixture(scope="session")
def compile_kernels():
    """Return a function that compiles the kernels of a recipe before workers do."""

    def run(recipe):
        left = signal.alarm(0)  # a test that waits for compilers does not hang
        warm(parse_recipe(recipe) if isinstance(recipe, str) else recipe)
        signal.alarm(left)

    return run


@pytest.fixture(scope="session")
def cluster(tmp_path_factory, object_store, compile_kernels):
    """One local cluster of two workers for all tests that do not need one of their own."""
    import dask
    from distributed import LocalCluster

    compile_kernels(RECIPE)
    settings = {
        "distributed.scheduler.allowed-failures": 1,
        "distributed.deploy.lost-worker-timeout": "1000 days",
        "distributed.worker.profile.enabled": False,  # while it waits, it takes no time from other tests
        "distributed.admin.tick.interval": "500ms",
        "temporary-directory": str(tmp_path_factory.mktemp("dask")),
    }
    with (
        dask.config.set(settings),
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            host="tcp://127.0.0.1",
            dashboard_address="127.0.0.1:0",
            silence_logs=100,
        ) as running,
    ):
        yield running


@pytest.fixture
def options(cluster):
    return ClusterOptions(scheduler=cluster.scheduler_address)


@pytest.fixture
def client(cluster):
    from distributed import Client

    with Client(cluster.scheduler_address) as connected:
        connected.wait_for_workers(2, timeout=60)
        yield connected


@pytest.fixture
def make(options):
    """Build a recipe on the shared cluster."""

    def run(recipe, catalog, **keywords):
        return build(recipe, str(catalog), cluster=options, **keywords)

    return run


@dataclass(frozen=True)
class Built:
    """A finished release that no test changes."""

    recipe: object
    catalog: Path
    release: Release
    path: Path


@pytest.fixture(scope="session")
def built(tmp_path_factory, cluster, make_recipe):
    """The release of the recipe, made once."""
    catalog = tmp_path_factory.mktemp("built") / "releases"
    recipe = make_recipe()
    build(recipe, str(catalog), cluster=ClusterOptions(scheduler=cluster.scheduler_address))
    release = find("small", "1.0.0", catalog)
    return Built(recipe, catalog, release, Path(release.path))


@pytest.fixture
def copied(built, tmp_path):
    """A catalog with a release, which a test may add to."""
    shutil.copytree(built.catalog, tmp_path / "releases")
    return tmp_path / "releases"


@pytest.fixture(scope="session")
def check():
    """Return a function that checks everything a published release promises, and returns its manifest."""

    def whole(catalog, name="small", version="1.0.0"):
        folder = Path(catalog, name, version)
        manifest = fmt.Manifest.from_json((folder / fmt.MANIFEST).read_bytes(), str(folder))
        there = {
            path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
        }
        listed = {each.path for each in manifest.objects}
        assert there == listed | {fmt.MANIFEST}
        assert len(listed) == len(manifest.objects)
        for each in manifest.objects:
            content = (folder / each.path).read_bytes()
            assert len(content) == each.size, each.path
            assert hashlib.sha256(content).hexdigest() == each.sha256, each.path
        hidden = Path(catalog, fmt.BUILDING)
        assert [path for path in hidden.glob("*") if path.is_dir()] == []
        outside = {path.name for path in Path(catalog).iterdir()} - {name, fmt.BUILDING}
        assert outside == set()
        return manifest

    return whole


@pytest.fixture(scope="session")
def undated():
    """Return a function that returns the files of a manifest, but for the documents, which tell when it was made."""

    def files(manifest):
        documents = fmt.DOCUMENTS[manifest.format_version]
        return [each for each in manifest.objects if each.path not in documents]

    return files


@pytest.fixture(scope="session")
def unharmed(tmp_path_factory, cluster, check, undated):
    """Return a function that checks that a catalog holds the release of a build without faults, and nothing else."""

    @functools.cache
    def undisturbed(text):
        catalog = tmp_path_factory.mktemp("undisturbed")
        build(
            parse_recipe(text),
            str(catalog),
            cluster=ClusterOptions(scheduler=cluster.scheduler_address),
        )
        return check(catalog)

    def compare(catalog, recipe):
        expected, manifest = undisturbed(recipe.to_yaml()), check(catalog)
        assert manifest.tables == expected.tables
        assert undated(manifest) == undated(expected)  # each file has the same SHA-256

    return compare


@pytest.fixture
def staging_of():
    """Return the staging folder of a recipe in a catalog."""
    return lambda catalog, recipe: Staging.of(target_of(catalog), recipe)


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run the command in this process, in an empty folder; return exit code, output and messages."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(output, "LOG_SECONDS", 1e6)

    def go(*arguments):
        monkeypatch.setattr(sys, "argv", ["deepbench", *map(str, arguments)])
        before = {each: signal.getsignal(each) for each in SIGNALS}
        with pytest.raises(SystemExit) as info:
            main()
        for each, handler in before.items():
            signal.signal(each, handler)
        return info.value.code or 0, *capsys.readouterr()

    return go


class Command:
    """The command in a process of its own, which leads a process group.

    ``before`` is Python to run first, ``within`` a command that starts it in another place.
    """

    def __init__(
        self, folder: Path, arguments: tuple[str, ...], before: str, within: tuple[str, ...]
    ) -> None:
        self.process = subprocess.Popen(
            [*within, sys.executable, "-c", f"{before}\n{COMMAND}", *arguments],
            cwd=folder,
            env=os.environ | {"DASK_TEMPORARY_DIRECTORY": str(folder / "dask")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def children(self) -> list[psutil.Process]:
        """Return the processes that it started, workers among them."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(self.process.pid).children(recursive=True)
        return []

    def workers(self) -> list[psutil.Process]:
        """Return the processes of its workers."""
        found = []
        for child in self.children():
            with contextlib.suppress(psutil.Error):
                if "spawn_main" in " ".join(child.cmdline()):
                    found.append(child)
        return found

    def end(self, timeout: float = 120) -> tuple[int, str, str]:
        """Wait for its end; return exit code, output and messages."""
        out, err = self.process.communicate(timeout=timeout)
        return self.process.returncode, out, err


@pytest.fixture
def command(tmp_path):
    """Start the command in a process of its own; whatever is left of it ends with the test."""
    started: list[Command] = []

    def start(*arguments, before="", within=()):
        started.append(Command(tmp_path, tuple(map(str, arguments)), before, within))
        return started[-1]

    yield start
    for each in started:
        children = each.children()
        if each.process.poll() is None:
            each.process.kill()
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        each.process.wait(timeout=30)
        for stream in (each.process.stdout, each.process.stderr):
            stream.close()


@pytest.fixture
def wait_until():
    """Wait until a function is true."""

    def wait(condition, timeout=90.0):
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, "it never happens"
            time.sleep(0.01)

    return wait


@pytest.fixture
def half_way(parts_in, wait_until):
    """Wait until some blocks of a running build are done and some are not."""

    def wait(running, catalog):
        wait_until(lambda: len(parts_in(catalog)) >= 5 or running.process.poll() is not None)
        assert running.process.poll() is None
        assert not Path(catalog, "small").exists()

    return wait


@pytest.fixture
def parts_in():
    """Return the names of the parts that lie in the staging folders of a catalog."""

    def names(catalog):
        return sorted(
            path.as_posix() for path in Path(catalog, fmt.BUILDING).glob("*/parts/*/*.parquet")
        )

    return names
