"""Deposits at Zenodo are prepared, and the commands do it: at a server on this machine that answers as Zenodo does."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import threading
import zipfile
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from deepbench import format as fmt
from deepbench.catalog import find
from pipeline import deposit
from pipeline.deposit import prepare_deposit
from pipeline.documents.zenodo import zenodo
from pipeline.target import target_of
from pipeline.upkeep import deprecate


def pack(folder, path, prefix="", leave_out=()):
    """Write a folder into an archive."""
    with zipfile.ZipFile(path, "w") as archive:
        for each in sorted(folder.rglob("*")):
            name = each.relative_to(folder).as_posix()
            if each.is_file() and name not in leave_out:
                archive.write(each, prefix + name)
    return path


@pytest.fixture(scope="module")
def packed(built, tmp_path_factory):
    """The release in one file."""
    return pack(built.path, tmp_path_factory.mktemp("packed") / "small-1.0.0.zip", "small-1.0.0/")


@pytest.fixture
def deposited(run, built, packed, tmp_path):
    """Run the command in a folder with the archive."""
    shutil.copy(packed, tmp_path)

    def go(*arguments):
        at = ("--to", "zenodo.json", "--catalog", built.catalog)
        return run("deposit", "small@1.0.0", *(arguments or at))

    return go


def test_a_deposit_has_what_zenodo_takes(deposited, built, tmp_path):
    code, out, err = deposited()
    assert (code, err) == (0, "")
    found = json.loads((tmp_path / "zenodo.json").read_text())
    metadata = found["metadata"]
    day = built.release.manifest.created[:10]
    assert metadata["upload_type"] == "dataset"
    assert (metadata["publication_date"], metadata["version"]) == (day, "1.0.0")
    assert metadata["creators"] == [{"name": "A. Tester"}]
    assert metadata["license"] == "cc-by-4.0"
    assert metadata["description"].startswith("<p>For tests.</p><p>Tables of small 1.0.0: images (")
    names = ["small-1.0.0.zip", fmt.CARD, fmt.CITATION, fmt.RECIPE, fmt.MANIFEST]
    assert [each["filename"] for each in found["files"]] == names
    for each in found["files"]:
        content = (tmp_path / each["path"]).read_bytes()
        assert each["filesize"] == len(content)
        assert each["checksum"] == f"md5:{hashlib.md5(content).hexdigest()}"
        assert each["sha256"] == hashlib.sha256(content).hexdigest()
    assert "nothing was sent" in out
    assert deposited()[0] == 2  # the file exists
    assert json.loads((tmp_path / "zenodo.json").read_text()) == found


class Zenodo(BaseHTTPRequestHandler):
    """As much of Zenodo's API as the commands use."""

    protocol_version = "HTTP/1.1"  # curl asks whether it may go on, and waits

    def answer(self, data):
        text = json.dumps(data).encode()
        self.send_response(201)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def take(self):
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.command, self.path, self.headers["Authorization"], content))
        return content

    def do_POST(self):
        self.take()
        links = {"bucket": f"{self.server.url}/bucket", "html": f"{self.server.url}/draft"}
        self.answer({"id": 7, "links": links})

    def do_PUT(self):
        if not self.path.startswith("/bucket"):
            self.do_POST()
            return
        content = self.take()
        wrong = b"damaged on the way" if self.path.endswith(self.server.damages) else b""
        self.answer({"checksum": f"md5:{hashlib.md5(content + wrong).hexdigest()}"})

    def log_message(self, *_):
        pass


@pytest.fixture
def zenodo_server(monkeypatch):
    with ThreadingHTTPServer(("127.0.0.1", 0), Zenodo) as server:
        server.url = f"http://127.0.0.1:{server.server_port}"
        server.got, server.damages = [], "nothing"
        monkeypatch.setattr(deposit, "API", f"{server.url}/api")
        monkeypatch.setenv("ZENODO_TOKEN", "the-token")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.skipif(
    not (shutil.which("curl") and shutil.which("jq")), reason="the commands need curl and jq"
)
def test_the_commands_make_a_draft(deposited, built, tmp_path, zenodo_server):
    code, out, _ = deposited("--to", "zenodo.json", "--catalog", built.catalog, "--json")
    assert code == 0
    commands = json.loads(out)["commands"]

    def execute(some):
        return subprocess.run(
            ["bash", "-eo", "pipefail", "-c", "\n".join(some)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    done = execute(commands)
    assert done.returncode == 0, done.stderr
    files = json.loads((tmp_path / "zenodo.json").read_text())["files"]
    assert done.stdout.split() == ["true"] * len(files) + [f"{zenodo_server.url}/draft"]
    (method, path, token, body), *uploads = zenodo_server.got
    assert (method, path, token) == ("POST", "/api", "Bearer the-token")
    assert json.loads(body) == {"metadata": zenodo(built.recipe, built.release.manifest)}
    assert [path for _, path, _, _ in uploads] == [f"/bucket/{each['filename']}" for each in files]
    for (_, _, _, content), each in zip(uploads, files, strict=True):
        assert hashlib.sha256(content).hexdigest() == each["sha256"]
    zenodo_server.damages = "README.md"
    done = execute(commands)
    assert done.returncode == 1
    assert done.stdout.split() == ["true", "false"]


def test_a_doi_of_zenodo_names_the_draft(built, packed, monkeypatch):
    recipe = built.recipe.replace({"doi": "10.5281/zenodo.1234567"})
    monkeypatch.setitem(vars(built.release), "recipe", recipe)
    made = prepare_deposit(built.release, str(packed))
    assert made.draft == "1234567"
    assert (
        "-X PUT https://zenodo.org/api/deposit/depositions/1234567 >" in made.commands("z.json")[0]
    )
    assert "doi" not in made.metadata
    other = built.recipe.replace({"doi": "10.1000/182", "url": "https://example.org/small"})
    metadata = zenodo(other, built.release.manifest)
    assert metadata["doi"] == "10.1000/182"
    page = {"identifier": "https://example.org/small", "relation": "isDescribedBy"}
    assert metadata["related_identifiers"] == [page]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("small@1.0.0", "--to", "a.txt"), "'a.txt' must be a local file that ends with .json"),
        (("small@1.0.0", "--to", "s3://b/a.json"), "must be a local file"),
        (("small@1.0.0", "--to", "no/a.json"), "there is no folder 'no'; make it"),
        (("small@1.0.0", "--to", "{release}/a.json"), "lies in small@1.0.0, which never changes"),
        (("small@1.0.0", "--to", "{release}/metadata/a.json"), "lies in small@1.0.0, which never"),
        (("small", "--to", "a.json"), "say which version: small@VERSION"),
        (
            ("small@1.0.0", "--to", "a.json", "--archive", "no.zip"),
            "deepbench export small@1.0.0 no.zip",
        ),
    ],
)
def test_mistakes_are_refused(run, built, tmp_path, arguments, words):
    given = [each.format(release=built.path) for each in arguments]
    code, out, err = run("deposit", *given, "--catalog", built.catalog)
    assert (code, out) == (2, "")
    assert words in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fault", ["other", "incomplete", "text", "without"])
def test_an_archive_of_something_else_is_refused(run, built, tmp_path, fault):
    leave_out = {"incomplete": ["metadata/images.csv"], "without": [fmt.MANIFEST]}.get(fault, ())
    path = pack(built.path, tmp_path / "a.zip", leave_out=leave_out)
    if fault == "other":
        with zipfile.ZipFile(path, "w") as archive:
            manifest = replace(built.release.manifest, title="Another")
            archive.writestr(fmt.MANIFEST, manifest.to_json())
    if fault == "text":
        path.write_text("no archive")
    at = ("--to", "a.json", "--archive", "a.zip", "--catalog", built.catalog)
    code, _, err = run("deposit", "small@1.0.0", *at)
    assert code == 2
    assert "'a.zip' is not small@1.0.0 in one file: " in err
    assert "deepbench export small@1.0.0 a.zip" in err
    assert not Path("a.json").exists()


def test_zenodo_is_told_no_default(built):
    recipe = built.recipe.replace({"license": "", "authors": []})
    with pytest.raises(ValueError, match="wants to know `authors` and `license`, .* next patch"):
        zenodo(recipe, built.release.manifest)


def test_notes_say_what_may_be_refused(deposited, copied, monkeypatch):
    monkeypatch.setattr(deposit, "RECORD_BYTES", 1000)
    release = find("small", "1.0.0", copied)
    deprecate(target_of(str(copied)), release, "It is wrong")
    code, out, _ = deposited("--to", "zenodo.json", "--catalog", copied)
    assert code == 0
    assert "note: small@1.0.0 is deprecated since" in out
    assert "note: 0.0 GB are more than the 0 GB that Zenodo takes in a record" in out


def test_a_bucket_is_deposited_by_its_archive(built, packed, monkeypatch):
    monkeypatch.setattr(deposit, "Folder", type("Elsewhere", (), {}))
    made = prepare_deposit(built.release, str(packed))
    assert [each.filename for each in made.files] == ["small-1.0.0.zip"]


@pytest.mark.parametrize("style", ["bibtex", "apa", "datacite"])
def test_cite(run, built, style):
    code, out, err = run("cite", "small@1.0.0", "--format", style, "--catalog", built.catalog)
    assert (code, err) == (0, "")
    stored = {"bibtex": fmt.CITATION, "datacite": fmt.DATACITE}
    if style in stored:
        assert out == (built.path / stored[style]).read_text()
    else:
        assert out.startswith("A. Tester. (20")


def test_cite_of_a_release_of_version_1(run):
    at = Path(__file__).parents[1] / "releases"
    code, out, err = run("cite", "format-1", "--catalog", at)
    assert (code, err) == (0, "")
    assert out.startswith("@misc{format-1-2.0.0,\n  author = {{The DeepBench developers}},\n")
    assert run("cite", "format-1", "--format", "mla", "--catalog", at)[0] == 2
