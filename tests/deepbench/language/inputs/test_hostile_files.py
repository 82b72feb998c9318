"""Hostile files: whatever a file that a recipe names holds, it is read or refused, soon and in little memory.

``DEEPBENCH_FUZZ_SECONDS=600 pytest -m slow`` tries other files than the quick tests for so long.
"""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from astropy.io import fits
from astropy.table import Table
from pyarrow import parquet
from pydantic import TypeAdapter, ValidationError

from deepbench.images.psf.model import PsfEntry
from deepbench.language.values import Variable
from deepbench.light_curves.survey.cadences import Cadence
from deepbench.sphere.fields.fields import Spectrum

SECONDS = float(os.environ.get("DEEPBENCH_FUZZ_SECONDS", "0"))
"""How long the slow test tries files."""

TRIES = 100
"""Number of files of each kind that the quick test tries."""

MEMORY = 200 * 2**20
"""Most that a process may take that reads any of these files (byte)."""


# --- valid files ---------------------------------------------------------------------------------


def _table():
    table = Table(
        {"x": [1.5, -2e-3, 0.25, 1e10], "n": np.array([2**53 + 1, 4, 5, 6]), "t": range(4)}
    )
    table["word"] = ["a", "b", "c", "d"]
    return table


def _saved(write):
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()


def _fits_table():
    hdus = [fits.PrimaryHDU(), fits.BinTableHDU(_table())]
    return _saved(fits.HDUList(hdus).writeto)


def _fits_image():
    return _saved(fits.PrimaryHDU(STAR.astype(np.float32)).writeto)


def _parquet():
    columns = {name: pa.array(np.asarray(_table()[name])) for name in ("x", "n", "t")}
    return _saved(lambda buffer: parquet.write_table(pa.table(columns), buffer, row_group_size=3))


def _ecsv():
    text = io.StringIO()
    _table().write(text, format="ascii.ecsv")
    return text.getvalue().encode()


y, x = np.mgrid[:15, :15] - 7.0
STAR = np.exp(-(x**2 + y**2) / 5)

CSV = b"# an archive\nx,n,word\n1.5,9007199254740993,a\n-2e-3,4,b\n0.25,5,c\n"
CATALOG = {"columns": ["x"], "identifiers": ["n"]}
PSF = {"oversampling": 2, "includes_pixel": True}
READERS = {
    "catalogue.csv": (Variable, "catalog", CATALOG, lambda: CSV),
    "whole.csv": (Variable, "catalog", {}, lambda: CSV.replace(b"9007199254740993", b"3")),
    "catalogue.ecsv": (Variable, "catalog", CATALOG, _ecsv),
    "catalogue.parquet": (Variable, "catalog", CATALOG, _parquet),
    "catalogue.fits": (Variable, "catalog", CATALOG, _fits_table),
    "cadence.csv": (Cadence, "file", {}, lambda: b"time,band\n1,g\n1,r\n2.5,g\n1e3,r\n"),
    "cadence.parquet": (Cadence, "file", {"columns": {"time": "t"}}, _parquet),
    "spectrum.csv": (Spectrum, "table", {}, lambda: b"ell,cl\n2,1e-3\n20,5e-4 # x\n64,0\n"),
    "psf.npy": (PsfEntry, "image", PSF, lambda: _saved(lambda buffer: np.save(buffer, STAR))),
    "psf.fits": (PsfEntry, "image", PSF, _fits_image),
}  # fmt: skip
"""What reads a file: the type of the entry in a recipe, its kind, what it says beside the file, and a valid file."""

ADAPTERS = {name: TypeAdapter(reader[0]) for name, reader in READERS.items()}


def read(name, folder, content):
    """Read a file as a recipe does; return the message of the refusal, or nothing."""
    _, kind, given, _ = READERS[name]
    (folder / name).write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of files that may not be what is meant
        try:
            ADAPTERS[name].validate_python(
                {kind: {"file": name} | given}, context={"folder": folder}
            )
        except ValidationError as error:
            return "\n".join(each["msg"] for each in error.errors(include_url=False))
    return ""


# --- changes -------------------------------------------------------------------------------------

NUMBERS = (
    b"0 -1 1 2880 -8640 65535 2147483647 4294967296 9223372036854775807 -9223372036854775808 "
    b"1e400 1E308 nan inf T 'BINTABLE' '1PD(9)' '999999999D'"
).split()
WORDS = [*b'#\n\r\0",\xff x', b", ", b"\xef\xbb\xbf", b"%ECSV", b"9" * 400, b" " * 80]
WORDS = [bytes([word]) if isinstance(word, int) else word for word in WORDS]


def changed(rng, content):
    """Return a file in which some bytes, numbers or parts are others."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 6))):
        at = int(rng.integers(0, len(data) + 1))
        action = int(rng.integers(0, 7))
        if action == 0 and data:
            data[min(at, len(data) - 1)] = int(rng.integers(0, 256))
        elif action == 1:
            data[at:at] = WORDS[rng.integers(len(WORDS))]
        elif action == 2:
            del data[at : at + int(rng.integers(1, 100))]
        elif action == 3:
            data[at:at] = data[at : at + int(rng.integers(1, 3000))]
        elif action == 4:
            del data[at:]
        else:  # a number for a number, in FITS within its card
            found = [*re.finditer(rb"-?[0-9][0-9.eE+-]*|'[0-9A-Z ]+'", bytes(data))]
            if found:
                one = found[rng.integers(len(found))]
                number = NUMBERS[rng.integers(len(NUMBERS))]
                size = one.end() - one.start()
                room = data[one.end() :].startswith(b" " * max(len(number) - size, 1))
                stop = one.end() + max(len(number) - size, 0) if room else one.end()
                data[one.start() : stop] = number.ljust(stop - one.start()) if room else number
    return bytes(data)


@pytest.mark.parametrize("name", READERS)
def test_what_is_changed_is_a_valid_file(name, tmp_path):
    assert read(name, tmp_path, READERS[name][3]()) == ""


@pytest.mark.parametrize("name", READERS)
def test_any_file_is_read_or_refused(name, tmp_path):
    content = READERS[name][3]()
    for seed in range(TRIES):
        message = read(name, tmp_path, changed(np.random.default_rng(seed), content))
        assert len(message) < 2000


# --- files that stand for more than they are -----------------------------------------------------

HEAD = "name: a\nversion: 1.0.0\ntitle: t\nseed: 1\ntables:\n  t:\n"
IMAGES = "    {{kind: image, samples: 3, size: [8, 8], variables: {{v: {{catalog: {catalog}}}}}, {rest}}}\n"
CIRCLE = "classes: {c: {objects: [{circle: {x: 1, y: 1, radius: 1}}]}}"
STARS = (
    "classes: {c: {objects: [{star: {x: 4, y: 4, flux: 1}}]}}, "
    "psf: {image: {file: FILE, oversampling: 1, includes_pixel: true}}"
)
CURVES = (
    "    {kind: light_curve, samples: 3, survey: {preset: tess_30min, cadence: {regular: {BODY}}}, "
    "classes: {c: {objects: [{source: {magnitude: 10}}]}}}\n"
)
GAPS = ", ".join(f"[{day}, {day}.5]" for day in range(2000))


def _unit(*cards):
    text = "".join(f"{card:<80}" for card in (*cards, "END"))
    return text.ljust(-(-len(text) // 2880) * 2880).encode()


def _negative(name):
    cards = ("SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 1", "NAXIS1  = 2880")
    return _unit(*cards, f"{name:<8}= -8640") + bytes(2880)


def _bomb(path):
    """Write 50 million rows in a few kilobytes."""
    zeros = pa.table({name: np.zeros(2**20) for name in "ab"})
    with parquet.ParquetWriter(path, zeros.schema, compression="zstd") as writer:
        for _ in range(48):
            writer.write_table(zeros)


def _catalog(body):
    return HEAD + IMAGES.format(catalog=body, rest=CIRCLE)


def _psf(name):
    return (
        HEAD + "    {kind: image, samples: 3, size: [8, 8], " + STARS.replace("FILE", name) + "}\n"
    )


HOSTILE = {
    "bomb": (_catalog("{file: bomb.parquet, columns: [a]}"), "has 50,331,648 rows or more and 1 columns"),
    "whole bomb": (_catalog("{file: bomb.parquet}"), "has 50,331,648 rows or more and 2 columns"),
    "footer": (_catalog("{file: footer.parquet}"), "has a footer of 4,294,967,295 bytes, at most 16,777,216"),
    "wide": (_catalog("{file: wide.csv}"), "has 200,000 columns, at most 10,000"),
    "long": (_catalog("{file: long.csv}"), "rows or more and 1 columns of numbers"),
    "line": (_catalog("{file: line.csv}"), "has a line of more than 4,194,304 bytes"),
    "GCOUNT": (_psf("GCOUNT.fits"), "its GCOUNT is -8640, its PCOUNT 0; neither is negative"),
    "PCOUNT": (_psf("PCOUNT.fits"), "its GCOUNT is 1, its PCOUNT -8640; neither is negative"),
    "negative table": (_catalog("{file: GCOUNT.fits}"), "its GCOUNT is -8640, its PCOUNT 0"),
    "huge": (_psf("huge.fits"), "at most 4096"),
    "huge table": (_catalog("{file: huge_table.fits}"), "is damaged: it ends within its table"),
    "gaps": (HEAD + CURVES.replace("BODY", f"interval: 50, duration: 2400, gaps: [{GAPS}]"), "an exposure of 1800 s"),
    "overflow": (HEAD + CURVES.replace("BODY", "interval: 1.0e-300, duration: 1.0e+300"), "has inf exposures"),
    "the largest": (_catalog("{file: largest.csv}"), ""),
}  # fmt: skip
"""Recipes that stand for much, and what is said of them; the last one is as large as may be, and accepted."""

VALIDATE = """
import json, re, sys
from pathlib import Path
from deepbench.recipe import load_recipe
from deepbench.errors import RecipeError
def peak():
    text = Path("/proc/self/status").read_text()
    return int(re.search("VmHWM:[^0-9]*([0-9]+) kB", text)[1])
said = {"before": peak()}
for name in sys.argv[2:]:
    path = Path(sys.argv[1], name + ".yaml")
    try:
        load_recipe(path)
        said[path.stem] = ""
    except RecipeError as error:
        said[path.stem] = str(error)
    said[path.stem + " peak"] = peak()
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """What a process says of each hostile recipe, and the largest memory that it had taken by then (KiB)."""
    folder = tmp_path_factory.mktemp("hostile")
    _bomb(folder / "bomb.parquet")
    (folder / "footer.parquet").write_bytes(b"PAR1" + b"\xff" * 4 + b"PAR1")
    (folder / "wide.csv").write_text(
        ",".join(f"c{i}" for i in range(200_000)) + "\n" + "1," * 199_999 + "1\n"
    )
    (folder / "long.csv").write_bytes(b"a\n" + b"1\n" * (2**22 + 1))
    (folder / "largest.csv").write_bytes(b"a,b\n" + b"0.123456789,-1e-20\n" * 2**21)
    (folder / "line.csv").write_bytes(b"a\n" + b"1" * 2**25)
    for name in ("GCOUNT", "PCOUNT"):
        (folder / f"{name}.fits").write_bytes(_negative(name))
    axes = ("NAXIS   = 2", "NAXIS1  = 2147483647", "NAXIS2  = 2147483647")
    extension = _unit("XTENSION= 'BINTABLE'", "BITPIX  = 8", *axes)
    primary = _unit("SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 0")
    (folder / "huge.fits").write_bytes(primary + extension.replace(b"BINTABLE", b"IMAGE   "))
    (folder / "huge_table.fits").write_bytes(primary + extension)
    for name, (text, _) in HOSTILE.items():
        (folder / f"{name}.yaml").write_text(text)
    found = {}
    *refused, accepted = HOSTILE
    for names in (refused, [accepted]):
        command = [sys.executable, "-c", VALIDATE, str(folder), *names]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        found |= json.loads(done.stdout)
    return found


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the largest memory is that of Linux")
@pytest.mark.parametrize("name", HOSTILE)
def test_what_stands_for_much_is_refused_in_little_memory(said, name):
    """The bound is that of the whole process, whose imports alone take most of it."""
    message = HOSTILE[name][1]
    assert message in said[name]
    assert bool(message) == bool(said[name])
    assert said[f"{name} peak"] * 1024 < MEMORY


# --- for a long time -----------------------------------------------------------------------------


def main(folder, seconds):
    """Try files for some time, each for a minute at most; write how many, and the largest memory."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    contents = {name: reader[3]() for name, reader in READERS.items()}
    for name, content in contents.items():
        read(name, Path(folder), content)
    before, seed, end = _peak(), 10**6, time.monotonic() + seconds
    while time.monotonic() < end:
        for name, content in contents.items():
            Path(folder, "tried").write_text(f"{name} {seed}")
            signal.alarm(60)
            read(name, Path(folder), changed(np.random.default_rng(seed), content))
            signal.alarm(0)
            if _peak() > before + MEMORY:
                raise MemoryError(f"{name} {seed}")
        seed += 1
    tried = (seed - 10**6) * len(contents)
    Path(folder, "tried").write_text(
        f"{tried} files, {_peak() >> 20} MiB at most, {before >> 20} MiB before"
    )


def _peak():
    """Return the largest memory that this process has taken (byte)."""
    return 1024 * int(
        re.search("VmHWM:[^0-9]*([0-9]+) kB", Path("/proc/self/status").read_text())[1]
    )


@pytest.mark.slow
@pytest.mark.skipif(not SECONDS, reason="DEEPBENCH_FUZZ_SECONDS says how long; 600 is usual")
def test_many_files_are_read_or_refused(tmp_path):
    command = [sys.executable, __file__, str(tmp_path), str(SECONDS)]
    done = subprocess.run(command, capture_output=True, text=True)
    tried = (tmp_path / "tried").read_text()
    assert done.returncode == 0, f"{tried}\n{done.stderr[-3000:]}"
    assert int(tried.split()[0]) > SECONDS


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
