"""Tables in files: dialects, names of columns, sizes; the same columns whatever the file."""

from __future__ import annotations

import builtins
import hashlib

import numpy as np
import pyarrow as pa
import pytest
from astropy.io import fits
from astropy.table import MaskedColumn, Table
from pyarrow import parquet
from pydantic import TypeAdapter, ValidationError

from deepbench.errors import LabelError
from deepbench.language.inputs import tables, text_tables
from deepbench.language.inputs.tables import Source, Wanted, columns_of, numeric_columns
from deepbench.sphere.fields.fields import Spectrum

RA = [150.0, 1e-3, -0.25]
IDS = [2**53 + 1, 2**63 - 1, 7]
BANDS = ["g", "r", "g"]
WANTED = (
    Wanted("ra", "RA"),
    Wanted("object", "OBJID", "identifier"),
    Wanted("band", "BAND", "word"),
)


def read(path, *wanted, **source):
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return columns_of(Source(path, "table", 2**28, **source), sha256, wanted or WANTED)


def written(path, *, name=str):
    """Write the same table in the format that the ending says."""
    table = Table({name("RA"): RA, name("OBJID"): np.array(IDS), name("BAND"): BANDS})
    table[name("FLAG")] = [True, False, True]
    if path.suffix == ".parquet":
        columns = {column: pa.array(np.asarray(table[column])) for column in table.colnames}
        parquet.write_table(pa.table(columns), path, row_group_size=2)
    elif path.suffix == ".ecsv":
        table.write(path, delimiter="," if "comma" in path.name else " ")
    else:
        table.write(path)
    return path


@pytest.mark.parametrize("name", ["a.csv", "a.CSV.csv", "a.ecsv", "comma.ecsv", "a.parquet", "a.fits"])  # fmt: skip
@pytest.mark.parametrize("case", [str, str.lower, str.title])
def test_every_format_and_case_gives_the_same_columns(tmp_path, name, case):
    found = read(written(tmp_path / name, name=case))
    assert found.numbers["ra"].tolist() == RA
    assert found.identifiers["object"].tolist() == IDS
    assert found.identifiers["object"].dtype == np.int64
    assert [found.words["band"].names[code] for code in found.words["band"].codes] == BANDS
    assert found.rounded == ""


HEADER = b"ra,ObjID,band\n"
ROWS = [f"{ra},{id_},{band}".encode() for ra, id_, band in zip(RA, IDS, BANDS, strict=True)]
PLAIN = HEADER + b"\n".join(ROWS)
DIALECTS = {
    "without a last end": PLAIN,
    "comments": b"# made by an archive\n#\n  # Wed\n" + HEADER + b"\n# x, y\n".join(ROWS) + b"\n#",
    "empty lines": b"\n \n" + HEADER + b"\n\n \t\n".join(ROWS) + b"\n\n",
    "mark of byte order": b"\xef\xbb\xbf" + PLAIN,
    "mark and comment": b"\xef\xbb\xbf# x\r\n" + PLAIN,
    "ends of Windows": PLAIN.replace(b"\n", b"\r\n"),
    "ends of an old Mac": PLAIN.replace(b"\n", b"\r"),
    "spaces after commas": PLAIN.replace(b",", b", "),
    "spaces before them": PLAIN.replace(b",", b" ,\t"),
    "quotes": b'"ra","objid","band"\n' + b"\n".join(b'"' + row.replace(b",", b'","') + b'"' for row in ROWS),
    "signs": PLAIN.replace(b"150.0", b"+1.5E2"),
}  # fmt: skip


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("piece", [2**20, 7])
def test_dialects_of_csv(tmp_path, monkeypatch, dialect, piece):
    """Whatever the pieces in which a file is read."""
    monkeypatch.setattr(text_tables, "PIECE", piece)
    path = tmp_path / "a.csv"
    path.write_bytes(DIALECTS[dialect])
    found = read(path)
    assert found.numbers["ra"].tolist() == RA
    assert found.identifiers["object"].tolist() == IDS
    assert [found.words["band"].names[code] for code in found.words["band"].codes] == BANDS


def test_a_hash_inside_a_line_is_a_comment_where_there_are_numbers_alone(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("name,x # of the star\nAbell #3,1\n")
    assert read(path, Wanted("x", "x # of the star")).numbers["x"].tolist() == [1.0]
    path.write_text("ell,cl # K²\n2,1 # the first, by hand\n3,2\n")
    found = read(path, Wanted("cl", "cl"), inline_comments=True)
    assert found.numbers["cl"].tolist() == [1.0, 2.0]


def test_the_column_that_is_written_as_asked_for_goes_before_others(tmp_path):
    (tmp_path / "a.csv").write_text("Mag,MAG\n1,2\n")
    assert read(tmp_path / "a.csv", Wanted("mag", "MAG")).numbers["mag"].tolist() == [2.0]
    with pytest.raises(LabelError, match="several columns 'mag': 'Mag', 'MAG'; give them other"):
        read(tmp_path / "a.csv", Wanted("mag", "mag"))


def test_all_columns_of_numbers(tmp_path):
    (tmp_path / "a.csv").write_text("a,b,c,d,e\n1,x,,2020-01-01,NA\n,2,,2020-01-02,3\n")
    others = [written(tmp_path / f"b{ending}") for ending in (".parquet", ".fits", ".csv")]
    for path in (tmp_path / "a.csv", *others):
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        found = numeric_columns(Source(path, "table", 2**28), sha256)
        assert found == (["a", "e"] if path.name == "a.csv" else ["RA", "OBJID"])


def test_numbers_are_those_of_python(tmp_path):
    """The nearest to what is written, in text of 17 digits and of more."""
    rng = np.random.default_rng(7)
    texts = [f"{x:.17g}" for x in rng.normal(size=500) * 10.0 ** rng.integers(-300, 300, 500)]
    texts += ["0.1000000000000000055511151231257827", "9007199254740993.0", "5e-324", "-0.0", "1E5"]
    (tmp_path / "a.csv").write_text("x\n" + "\n".join(texts))
    found = read(tmp_path / "a.csv", Wanted("x", "x")).numbers["x"]
    assert found.tobytes() == np.array([float(text) for text in texts]).tobytes()


# --- FITS ----------------------------------------------------------------------------------------


def test_integers_of_fits_are_exact(tmp_path):
    """Unsigned ones are stored shifted by 2⁶³, which a float would round; TNULL stands for none."""
    columns = [
        fits.Column("u", "K", bzero=2**63, array=np.array([2**53 + 1, 2**62 + 3], np.uint64)),
        fits.Column("scaled", "I", array=np.array([2, 5])),
        fits.Column("void", "J", null=-99, array=np.array([-99, 4])),
        fits.Column("pair", "2E", array=np.ones((2, 2))),
        fits.Column("name", "8A", array=["NGC 1", "M 31"]),
    ]
    hdus = [fits.PrimaryHDU(np.zeros((3, 3))), fits.CompImageHDU(np.zeros((8, 8), np.int16)),
            fits.BinTableHDU.from_columns(columns)]  # fmt: skip
    path = tmp_path / "a.fits"
    hdus[2].header.update({"TSCAL2": 0.5, "TZERO2": 10.0})
    fits.HDUList(hdus).writeto(path)
    found = read(path, Wanted("u", "u", "identifier"), Wanted("s", "scaled"), Wanted("n", "name", "word"))  # fmt: skip
    assert found.identifiers["u"].tolist() == [2**53 + 1, 2**62 + 3]
    assert found.numbers["s"].tolist() == [11.0, 12.5]
    assert found.words["n"].names == ("NGC 1", "M 31")
    for name, message in (
        ("void", "column 'void' of a.fits must hold finite numbers, but row 1 is None"),
        ("pair", "has the format '2E' in column 'pair'; formats of numbers are B, I, J, K, E and D"),
        ("name", "column 'name' of a.fits must hold finite numbers, but row 1 is 'NGC 1'"),
    ):  # fmt: skip
        with pytest.raises(LabelError, match=message):
            read(path, Wanted("x", name))


def test_a_fits_table_is_refused_by_name_without_astropy(tmp_path, monkeypatch):
    path, original = written(tmp_path / "a.fits"), builtins.__import__

    def without(name, *rest):
        if name.startswith("astropy"):
            raise ImportError(name)
        return original(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(
        LabelError,
        match="a.fits is a FITS table, which astropy reads; install it with `.*pip install",
    ):
        read(path)


# --- refusals ------------------------------------------------------------------------------------

NULLS = pa.table({"a": pa.array([1, None]), "b": pa.array(["x", None]), "c": [[1.0], [2.0]]})


@pytest.mark.parametrize(
    ("content", "wanted", "message"),
    [
        (b"mag,z\n1,2\n", Wanted("mag", "MAGS"),
         r"a.csv has no column 'MAGS'; did you mean 'mag'\? Its columns: 'mag', 'z'; `columns: {mag: NAME}`"),
        (b"x" + b",x" * 99 + b"\n", Wanted("y", "y"), r"no column 'y'. Its columns: ('x', ){40}… \(100 in all\)"),
        (b"a,a\n1,2\n", Wanted("a", "a"), "several columns 'a': 'a', 'a'"),
        (b"a,b\n1\n", Wanted("a", "a"), "is no CSV file: CSV parse error: Expected 2 columns, got 1: 1"),
        (b"a\n\xff\n", Wanted("a", "a"), "is no CSV file: .*invalid UTF8"),
        (b"\xff\xfea\x00", Wanted("a", "a"), "is no CSV file: its first line is no text in UTF-8"),
        (b"# nothing\n\n", Wanted("a", "a"), "is empty: a table begins with the names of its columns"),
        (b"a\n", Wanted("a", "a"), "a.csv has no rows"),
        (b"a\n" + b"1" * 2**23, Wanted("a", "a"), "has a line of more than 4,194,304 bytes"),
        (b"a," * 20_000 + b"\n", Wanted("a", "a"), "has 20,001 columns, at most 10,000"),
        (b"a\n1.5\n", Wanted("a", "a", "identifier"), r"whole numbers from 0 to 2\*\*63 - 1, but row 1 is '1.5'"),
        (b"a\n1\n-1\n", Wanted("a", "a", "identifier"), "but row 2 is '-1'"),
        (b"a\n1\n\n9223372036854775808\n", Wanted("a", "a", "identifier"), "but row 2 is '9223372036854775808'"),
        (NULLS, Wanted("a", "a"), "must hold finite numbers, but row 2 is None"),
        (NULLS, Wanted("a", "a", "identifier"), "but row 2 is None"),
        (NULLS, Wanted("b", "b", "word"), "column 'b' of a.parquet must hold words, but row 2 has none"),
        (NULLS, Wanted("b", "a", "word"), "must hold words, not int64"),
        (NULLS, Wanted("c", "c"), "column 'c' of a.parquet must hold numbers, not list"),
        (pa.table({"a": [1.5]}), Wanted("a", "a", "identifier"), "must hold identifiers, whole numbers, not double"),
        (pa.table({"a": np.array([2**64 - 1], np.uint64)}), Wanted("a", "a", "identifier"), "row 1 is 18446744"),
    ],
)  # fmt: skip
def test_what_is_refused(tmp_path, content, wanted, message):
    path = tmp_path / ("a.csv" if isinstance(content, bytes) else "a.parquet")
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        parquet.write_table(content, path)
    with pytest.raises(LabelError, match=message) as caught:
        read(path, wanted)
    assert len(str(caught.value)) < 1000


def test_a_file_that_changes_is_an_error(tmp_path):
    path = written(tmp_path / "a.csv")
    with pytest.raises(LabelError, match="a.csv has changed: its sha256 is no longer 000"):
        columns_of(Source(path, "table", 2**28), "0" * 64, WANTED)


def test_tables_are_bounded_but_for_those_of_a_release(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "MAXIMUM_CELLS", 5)
    for name in ("a.csv", "a.parquet", "a.fits"):
        path = written(tmp_path / name)
        with pytest.raises(
            LabelError, match="has 3 rows or more and 2 columns of numbers to take; at most 5"
        ):
            read(path)
        assert read(path, kept=True).numbers["ra"].tolist() == RA
        assert read(path, *WANTED[::2]).numbers["ra"].tolist() == RA


@pytest.mark.parametrize("values", [[2**53, 2**53 + 1], [0, -(2**53) - 1], [2**63 - 1, 0]])
@pytest.mark.parametrize("ending", [".csv", ".parquet", ".fits"])
def test_the_first_integer_that_is_rounded_is_named(tmp_path, values, ending):
    path = tmp_path / f"a{ending}"
    if ending == ".parquet":
        parquet.write_table(pa.table({"a": values}), path)
    else:
        Table({"a": np.array(values)}).write(path)
    row, value = next(
        (row + 1, each) for row, each in enumerate(values) if int(float(each)) != each
    )
    assert f"row {row} is {value};" in read(path, Wanted("a", "a")).rounded


def test_floats_and_integers_that_are_exact_are_not_rounded(tmp_path):
    table = Table({"a": np.array([2**54, 2**60, -(2**53)]), "b": np.array([1e300, 0.1, 2.0**63])})
    table["c"] = MaskedColumn([1e22, 1e17, 1e16])
    for ending in (".csv", ".fits"):
        table.write(tmp_path / f"a{ending}")
        wanted = [Wanted(name, name) for name in "abc"]
        assert read(tmp_path / f"a{ending}", *wanted).rounded == ""


def test_a_spectrum_under_other_names(tmp_path):
    (tmp_path / "cl.csv").write_text("L, TT\n2, 1e-3 # by hand\n64, 0\n")

    def spectrum(**columns):
        entry = {"table": {"file": "cl.csv", "columns": columns}}
        return TypeAdapter(Spectrum).validate_python(entry, context={"folder": tmp_path})

    ell, values = spectrum(ell="l", cl="TT").table.loaded()
    assert (ell.tolist(), values.tolist()) == ([2.0, 64.0], [1e-3, 0.0])
    with pytest.raises(ValidationError, match="unknown column 'el'; did you mean 'ell'"):
        spectrum(el="l")
    with pytest.raises(
        ValidationError, match="has no column 'ell'. Its columns: 'L', 'TT'; `columns: {ell: NAME}`"
    ):
        spectrum(cl="TT")
