from __future__ import annotations

import time

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from deepbench.errors import RecipeError
from deepbench.language import load
from deepbench.language.load import (
    nearest,
    parse_document,
    read_document,
    resolve_scalar,
    write_document,
)

LOADERS = [yaml.SafeLoader]
if hasattr(yaml, "CSafeLoader"):
    LOADERS.append(yaml.CSafeLoader)


@pytest.fixture(params=LOADERS, ids=lambda loader: loader.__name__)
def parser(request, monkeypatch):
    """Each test that uses it runs with libyaml and without."""
    monkeypatch.setattr(load, "_LOADER", request.param)


def refusal(text):
    with pytest.raises(RecipeError) as caught:
        parse_document(text, "r.yaml")
    return caught.value


# --- the core schema of YAML 1.2 -----------------------------------------------------------------

SCALARS = {
    "": None,
    "~": None,
    "null": None,
    "NULL": None,
    "nUll": "nUll",
    "true": True,
    "False": False,
    "TRUE": True,
    "on": "on",
    "yes": "yes",
    "no": "no",
    "y": "y",
    "1": 1,
    "+1": 1,
    "-0": 0,
    "010": 10,
    "0o10": 8,
    "0x1F": 31,
    "0b1": "0b1",
    "1_000": "1_000",
    "12:30": "12:30",
    "2020-01-01": "2020-01-01",
    "1e-3": 1e-3,
    "1E5": 1e5,
    ".5": 0.5,
    "5.": 5.0,
    "-.5e+1": -5.0,
    "1.5": 1.5,
    "1.2.3": "1.2.3",
    ".": ".",
    "e5": "e5",
    "١": "١",
    "=": "=",
    "= a": "= a",
}


@pytest.mark.parametrize("text", SCALARS)
@pytest.mark.usefixtures("parser")
def test_plain_scalars_follow_the_core_schema(text):
    value = parse_document(f"a: {text}\n").data["a"]
    assert value == SCALARS[text]
    assert type(value) is type(SCALARS[text])


@pytest.mark.parametrize("text", [text for text in SCALARS if text])
@pytest.mark.usefixtures("parser")
def test_quoted_scalars_are_strings(text):
    document = parse_document(f"""a: "{text}"\nb: '{text}'\nc: |-\n  {text}\n""")
    assert document.data == {"a": text, "b": text, "c": text}


def test_resolve_scalar_refuses_numbers_without_finite_value():
    for text in (".inf", "-.INF", "+.Inf", ".nan", ".NAN", "1e999"):
        with pytest.raises(ValueError, match="is not a finite number of double precision"):
            resolve_scalar(text)
    with pytest.raises(ValueError, match="at most 30 digits, this one has 31"):
        resolve_scalar("-" + "9" * 31)
    assert resolve_scalar("-" + "9" * 30) == -(10**30) + 1


# --- documents and places ------------------------------------------------------------------------

TEXT = """\
name: shapes
tables:
  images: &images
    size: [64, 64]
    noise:
      - gaussian:
          sigma: 0.05
      - poisson: {}
  others: *images
"""


@pytest.mark.usefixtures("parser")
def test_places_are_those_of_keys_and_items():
    document = parse_document(TEXT)
    assert document.data["tables"]["others"]["size"] == [64, 64]
    assert document.position(()) == (1, 1)
    assert document.position(("tables",)) == (2, 1)
    assert document.position(("tables", "images", "size")) == (4, 5)
    assert document.position(("tables", "images", "size", 1)) == (4, 16)
    assert document.position(("tables", "images", "noise", 0, "gaussian", "sigma")) == (7, 11)
    assert document.position(("tables", "images", "noise", 1)) == (8, 9)
    assert document.position(("tables", "others")) == (9, 3)
    assert document.position(("tables", "others", "size", 1)) == (4, 16)


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (("nothing",), (1, 1)),
        (("tables", "images", "samples"), (3, 3)),
        (("tables", "images", "size", 2), (4, 5)),
        (("tables", "images", "size", "0"), (4, 5)),
        (("name", "deeper", 3), (1, 1)),
    ],
)
def test_the_place_of_what_is_not_there_is_that_of_its_parent(path, place):
    assert parse_document(TEXT).position(path) == place


def test_a_problem_carries_its_place():
    problem = parse_document(TEXT).problem("is wrong", ("tables", "images", "size", 1))
    assert problem.describe("r.yaml") == "r.yaml:4:16: tables.images.size.1: is wrong"


def test_reading_a_file(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_bytes(b"\xef\xbb\xbfname: \xc3\xa9\r\nseed: 1\r\n")
    document = read_document(str(path))
    assert document.data == {"name": "é", "seed": 1}
    assert document.folder == tmp_path
    assert document.file == str(path)
    assert document.position(("seed",)) == (2, 1)
    assert parse_document("a: 1").folder is None


def test_reading_no_file(tmp_path):
    with pytest.raises(RecipeError, match=r"none\.yaml: the recipe cannot be read: No such file"):
        read_document(tmp_path / "none.yaml")
    with pytest.raises(RecipeError, match="cannot be read: Is a directory"):
        read_document(tmp_path)
    (tmp_path / "shapes.yaml").touch()
    with pytest.raises(
        RecipeError, match=r"No such file or directory; did you mean '.*/shapes\.yaml'\?"
    ):
        read_document(tmp_path / "shape.yaml")


MERGES = """\
shared: &shared
  x: 1
  psf: {sigma: [2, 3]}
first:
  <<: *shared
  y: 2
second: {z: 3, <<: [*shared, {y: 2}], x: 1}
third: {<<: &inner {<<: *shared, w: 5}}
fourth: {<<: *inner, '<<': 4}
"""


@pytest.mark.usefixtures("parser")
def test_merged_keys_stand_where_the_merge_stands_and_have_the_places_of_what_is_merged():
    document = parse_document(MERGES)
    psf = {"sigma": [2, 3]}
    assert document.data["first"] == {"x": 1, "psf": psf, "y": 2}
    assert list(document.data["second"].items()) == [("z", 3), ("x", 1), ("psf", psf), ("y", 2)]
    assert document.data["third"] == {"x": 1, "psf": psf, "w": 5}
    assert document.data["fourth"] == {"x": 1, "psf": psf, "w": 5, "<<": 4}
    assert document.position(("first", "psf", "sigma", 1)) == (3, 20)
    assert document.position(("third", "w")) == (8, 34)
    changed = document.replace({"first.psf.sigma": 7})
    assert changed.data["first"]["psf"] == {"sigma": 7}
    assert changed.data["second"]["psf"] == psf


# --- refusals ------------------------------------------------------------------------------------

REFUSED = {
    "empty": ("", "is empty", 1, 1),
    "comment only": ("# nothing\n", "is empty", 1, 1),
    "null only": ("---\n~\n", "is empty", 1, 1),
    "list": ("- 1\n", "must be a mapping at the top", 1, 1),
    "scalar": ("a\n", "must be a mapping at the top", 1, 1),
    "two documents": ("a: 1\n---\nb: 2\n", "a second document begins here", 2, 1),
    "tag": ("a: !!python/name:os.system x", "the tag .* is not allowed", 1, 4),
    "local tag": ("a: !secret x", "the tag '!secret' is not allowed", 1, 4),
    "no tag": ("a: ! x", "the tag '!' is not allowed", 1, 4),
    "tagged list": ("a:\n  !!set [1]", "the tag .* is not allowed", 2, 3),
    "duplicate": ("a: 1\nb: 2\na: 3", "duplicate key 'a': first in line 1", 3, 1),
    "duplicate quoted": ("{a: 1, 'a': 3}", "duplicate key 'a': first in line 1", 1, 8),
    "number key": ("1: a", "a key must be a string, not 1: write it in quotes", 1, 1),
    "null key": ("a:\n  ~: 1", "a key must be a string, not None", 2, 3),
    "boolean key": ("true: 1", "a key must be a string, not True", 1, 1),
    "list key": ("? [a]\n: 1", "a key must be a string, not a collection", 1, 3),
    "merge of a number": (
        "a: &x 1\nc:\n  <<: *x",
        "'<<' merges a mapping or a list .* not 1",
        3,
        7,
    ),
    "merge of nothing": (
        "c:\n  <<:",
        "'<<' merges a mapping or a list of mappings, not None",
        2,
        6,
    ),
    "merge of numbers": ("c: {<<: [{a: 1}, 2]}", "'<<' merges a mapping or .*, not 2", 1, 18),
    "two merges": (
        "c: {<<: {a: 1}, <<: {b: 1}}",
        "'<<': first in line 1; merge several .* list",
        1,
        17,
    ),
    "merge that hides": (
        "a: &x {b: 1}\nc:\n  <<: *x\n  b: 2",
        "c.b: the merge hides 'b': it is 1 in line 1 and 2 in line 4; leave it out of what is merged",
        4,
        3,
    ),
    "hides before": ("a: &x {b: 1}\nc:\n  b: 2\n  <<: *x", "the merge hides 'b': it is 2 in", 4, 3),
    "merges that hide": (
        "a: &x {b: 1}\nc: {<<: [*x, {b: 2}]}",
        "hides 'b': .* and 2 in line 2",
        2,
        5,
    ),
    "hidden by type": (
        "a: &x {b: 1}\nc: {<<: *x, b: true}",
        "it is 1 in line 1 and True in",
        2,
        13,
    ),
    "merge and twice": ("c: {<<: {b: 1}, b: 1, b: 1}", "duplicate key 'b': first in line 1", 1, 23),
    "merge into itself": ("a: &x {<<: *x}", r"the alias \*x stands inside its own anchor", 1, 12),
    "anchor of a merge": (
        "a: {&k <<: {b: 1}}\nc: *k",
        r"the alias \*k has no anchor before it",
        2,
        4,
    ),
    "infinity": ("a: [1, .inf]", "a.1: .inf is not a finite number", 1, 8),
    "overflow": ("a: 1e999", "1e999 is not a finite number", 1, 4),
    "long integer": ("a: " + "9" * 31, "at most 30 digits, this one has 31", 1, 4),
    "no anchor": ("a: *x", r"the alias \*x has no anchor before it", 1, 4),
    "inside itself": ("a: &x [1, *x]", r"the alias \*x stands inside its own anchor", 1, 11),
    "syntax": ("a: [1, 2\nb: 3", "not valid YAML", 2, 2),
    "tabulator": ("a:\n\t- 1", "not valid YAML: .+", 2, 1),
    "control character": ("a: 1\nb: x\x07", r'U\+0007 is not allowed; in quotes: "\\u0007"', 2, 5),
    "next line": ("a: x\x85", r"U\+0085 is not allowed", 1, 5),
    "surrogate": ("a: \ud800", r"U\+D800 is not allowed", 1, 4),
    "not UTF-8": (b"a: 1\nb: \xff", "is not UTF-8: byte 0xff", 2, 4),
    "UTF-16": ("a: 1".encode("utf-16"), "is not UTF-8: byte 0xff", 1, 1),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.usefixtures("parser")
def test_refusals_tell_what_and_where(case):
    text, message, line, column = REFUSED[case]
    error = refusal(text)
    with pytest.raises(RecipeError, match=message):
        raise error
    assert [(p.line, p.column) for p in error.problems] == [(line, column)]
    assert error.file == "r.yaml"
    assert str(error).startswith(f"r.yaml:{line}:{column}: ")


def test_all_problems_are_told_at_once():
    error = refusal("a: .inf\nb: !x 1\na: 2\n3: 4\nc: {d: [.nan]}\n")
    assert [p.line for p in error.problems] == [1, 2, 3, 4, 5]
    assert error.problems[-1].path == ("c", "d", 0)


def test_not_more_than_a_hundred_problems_are_told():
    assert len(refusal("a: 1\n" * 10_000).problems) == 101


def test_the_tag_of_a_value_does_not_build_anything(tmp_path):
    path = tmp_path / "made"
    refusal(f"a: !!python/object/apply:os.mkdir ['{path}']")
    assert not path.exists()


# --- limits --------------------------------------------------------------------------------------

LAUGHS = "a0: &a0 [0,0,0,0,0,0,0,0,0]\n" + "".join(
    f"a{i}: &a{i} [" + ",".join([f"*a{i - 1}"] * 9) + "]\n" for i in range(1, 11)
)
TOWER = "a0: &a0 [[[[0]]]]\n" + "".join(f"a{i}: &a{i} [[*a{i - 1}]]\n" for i in range(1, 90))
MIB = 2**20

BOMBS = {
    "nested aliases": (LAUGHS, "more than 100,000 values"),
    "tower of aliases": (TOWER, "nested more than 40 deep"),
    "merges": (
        "a0: &a0 {"
        + ",".join(f"k{i}: 1" for i in range(1000))
        + "}\n"
        + "".join(
            f"a{i}: &a{i} {{b: *a{i - 1}, <<: *a{i - 1}}}\n".replace("b", f"b{i}")
            for i in range(1, 30)
        ),
        "more than 100,000 values",
    ),
    "tower of merges": (
        "a0: &a0 {b: {b: 1}}\n"
        + "".join(f"a{i}: &a{i} {{<<: {{b: {{b: *a{i - 1}}}}}}}\n" for i in range(1, 90)),
        "nested more than 40 deep",
    ),
    "many aliases": ("a: &x 1\nb: [" + "*x, " * 101 + "]", "more than 100 aliases"),
    "brackets": ("[" * MIB, "nested more than 40 deep"),
    "braces": ("{a: " * 200_000, "nested more than 40 deep"),
    "indentation": ("\n".join(" " * i + "a:" for i in range(1000)), "nested more than 40 deep"),
    "dashes": ("- " * 100_000, "nested more than 40 deep"),
    "explicit keys": ("[? " * 100_000, "nested more than 40 deep"),
    "too large": ("a" * (MIB + 1), "is larger than 1,048,576 bytes"),
    "too large in UTF-8": ("é" * (MIB // 2 + 1), "is larger than 1,048,576 bytes"),
    "huge integer": ("a: " + "9" * 1_000_000, "at most 30 digits, this one has 1000000"),
    "huge hexadecimal": ("a: 0x" + "f" * 1_000_000, "at most 30 digits"),
    "huge exponent": ("a: 1e" + "9" * 1_000_000, "is not a finite number"),
    "long tag": ("a: !" + "x" * 1_000_000 + " 1", r"the tag '!x+\.\.\. is not allowed"),
    "open quote": ("a: '" + "x\n" * 400_000, "not valid YAML"),
}


@pytest.mark.parametrize("case", BOMBS)
def test_bombs_are_refused_in_bounded_time_with_short_messages(case):
    text, message = BOMBS[case]
    start = time.process_time()
    error = refusal(text)
    assert time.process_time() - start < 2  # of this process; measured: 0.3 s at most
    with pytest.raises(RecipeError, match=message):
        raise error
    assert len(str(error)) < 500


class Shallow(yaml.SafeLoader):
    """A parser that looks ahead and refuses what is nested more than 45 deep before it tells of it."""

    def fetch_flow_collection_start(self, token):
        if self.flow_level > 44:
            raise yaml.scanner.ScannerError("while it looks", None, "it is tired", self.get_mark())
        super().fetch_flow_collection_start(token)


@pytest.mark.parametrize("loader", [*LOADERS, Shallow])
@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[" * 2000, (1, 41)),
        ("a: " + "[" * 2000 + "]" * 2000, (1, 43)),
        ("é: [{a: [{" + "[" * 2000, (1, 46)),
        ("b: 1\na:\n- - - " + "[" * 2000, (3, 43)),
        ("a: [{b: {c: [1, [2, 3], " + "[" * 1500 + "x", (1, 60)),
        ("{a: " * 2000, (1, 158)),
    ],
)
def test_depth_is_refused_in_the_same_words_by_every_parser(monkeypatch, loader, text, place):
    monkeypatch.setattr(load, "_LOADER", loader)
    (problem,) = refusal(text).problems
    assert problem.message == "nested more than 40 deep"
    assert (problem.line, problem.column) == place


@pytest.mark.parametrize("loader", [*LOADERS, Shallow])
@pytest.mark.parametrize(
    "text", ["a: '" + "[" * 100, "# " + "[" * 100 + "\na: [", "a: [}" + "[" * 60]
)
def test_brackets_in_quotes_comments_and_behind_a_mistake_are_no_depth(monkeypatch, loader, text):
    monkeypatch.setattr(load, "_LOADER", loader)
    assert "not valid YAML" in str(refusal(text))


def test_what_lies_within_the_limits_is_read():
    deep = "a: " + "[" * 39 + "]" * 39
    assert parse_document(deep).data["a"]
    assert refusal("a: " + "[" * 40 + "]" * 40)
    assert len(parse_document("a: &x 1\nb: [" + "*x, " * 100 + "]").data["b"]) == 100
    assert len(parse_document("a: [" + "1," * 99_997 + "]").data["a"]) == 99_997
    assert parse_document("a: ." + "9" * 1_000_000).data["a"] == 1.0


@settings(deadline=None)
@given(st.text(max_size=200))
@example("? ")
@example("%YAML 9.9\n---\n")
@example("a: &x\nb: *x")
@example("&a *a")
@example("*a : 1")
def test_no_text_raises_anything_but_recipe_errors(text):
    check_any(text)


@settings(deadline=None)
@given(st.lists(st.sampled_from([*"[]{},:-?&*!|>'\"%@`# \n\tab1", "<<", "---", "...", ": "])))
def test_no_punctuation_raises_anything_but_recipe_errors(parts):
    check_any("".join(parts))


@settings(deadline=None)
@given(st.binary(max_size=100))
def test_no_bytes_raise_anything_but_recipe_errors(content):
    check_any(content)


def check_any(text):
    """Read a text with libyaml and without: both give a mapping or problems with places."""
    for loader in LOADERS:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(load, "_LOADER", loader)
            try:
                data, problems = parse_document(text).data, ()
            except RecipeError as error:
                data, problems = None, error.problems
        assert isinstance(data, dict) or problems
        assert all(problem.line >= 1 and problem.column >= 1 for problem in problems)


# --- replacing -----------------------------------------------------------------------------------


def test_replace_changes_a_copy():
    document = parse_document(TEXT)
    changed = document.replace(
        {"tables.images.size.1": 32, "tables.images.noise.1.poisson": {"a": (1, 2)}, "seed": 7}
    )
    assert changed.data["tables"]["images"]["size"] == [64, 32]
    assert changed.data["tables"]["images"]["noise"][1] == {"poisson": {"a": [1, 2]}}
    assert changed.data["tables"]["others"]["size"] == [64, 64]
    assert changed.data["seed"] == 7
    assert document.data == parse_document(TEXT).data
    assert (changed.file, changed.folder) == (document.file, document.folder)


def test_places_of_replaced_values():
    changed = parse_document(TEXT).replace({"tables.images.size": {"x": [1]}, "seed": 7})
    assert changed.position(("tables", "images", "size", "x", 0)) == (4, 5)
    assert changed.position(("seed",)) == (1, 1)
    assert changed.position(("tables", "images", "noise", 1)) == (8, 9)
    again = changed.replace({"tables.images.size.x.0": 2})
    assert again.data["tables"]["images"]["size"] == {"x": [2]}


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("tabels.images.samples", 1, r"^r.yaml:1:1: .*unknown key 'tabels'; did you mean 'tables'"),
        ("tables.image.samples", 1, "2:1: .*did you mean 'images'"),
        ("tables.images.size.2", 1, "2 is no index of a list of 2: allowed are 0 to 1"),
        ("tables.images.size.-1", 1, "'-1' is no index of a list of 2"),
        ("name.first", 1, "there is nothing to set inside 'shapes'"),
        ("name", float("nan"), "1:1: name: must be a finite number, not nan"),
        ("name", {"a": [object]}, r"name.a.0: must be plain data, not .* of type type"),
        ("name", {1: 2}, "a key must be a string of at most 200 characters, not 1"),
        ("name", 10**30, "at most 30 digits"),
        ("name", "\ud800", "is not a text that UTF-8 can hold"),
    ],
)
def test_replace_refuses(path, value, message):
    document = parse_document(TEXT, "r.yaml")
    with pytest.raises(RecipeError, match=message):
        document.replace({path: value})


def test_replace_refuses_data_without_end():
    endless: list = []
    endless.append(endless)
    with pytest.raises(RecipeError, match="nested more than 40 deep"):
        parse_document(TEXT).replace({"name": endless})


# --- writing -------------------------------------------------------------------------------------

plain_text = st.text(st.characters(exclude_categories=["Cs"]))
plain_keys = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
plain_data = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**29), 10**29)
    | st.floats(allow_nan=False, allow_infinity=False)
    | plain_text
    | st.sampled_from([*SCALARS, "<<", "-", "? a", ": ", " a", "a ", "#", "a\nb", "'", '"', "é"]),
    lambda children: st.lists(children) | st.dictionaries(plain_keys, children),
    max_leaves=20,
)


def same(a, b):
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and repr(a) == repr(b)


@pytest.mark.slow
@settings(deadline=None)
@given(st.dictionaries(plain_keys, plain_data))
def test_what_is_written_reads_back_equal(data):
    assert same(parse_document(write_document(data)).data, data)


@pytest.mark.parametrize("value", [*SCALARS.values(), 1e16, 1e-7, 1.5e300, -0.0, 5e-324, "1e3"])
def test_readers_of_yaml_1_1_understand_scalars_alike(value):
    text = write_document({"a": value})
    assert same(yaml.safe_load(text), {"a": value})
    assert same(parse_document(text).data, {"a": value})


def test_written_text_is_easy_to_read():
    data = {"name": "shapes", "x": {"uniform": [16, 48.0]}, "on": ["yes", None], "e": "= 2 * r"}
    assert write_document(data) == (
        "name: shapes\nx:\n  uniform: [16, 48.0]\n'on': ['yes', null]\ne: = 2 * r\n"
    )


def test_writing_refuses_what_cannot_be_read():
    with pytest.raises(RecipeError, match=r"a\.0: must be a finite number, not inf"):
        write_document({"a": [float("inf")]})
    with pytest.raises(RecipeError, match="must be plain data"):
        write_document({"a": {1, 2}})


def test_nearest():
    assert nearest("unifrom", ["uniform", "normal"]) == "uniform"
    assert nearest("zzz", ["uniform", "normal"]) is None
    assert nearest("a", []) is None
