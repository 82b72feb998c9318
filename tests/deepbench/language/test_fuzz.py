"""Hostile recipes: whatever is read gives a recipe or a ``RecipeError``, in bounded memory, and never runs code."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from deepbench.errors import DeepBenchError, ExpressionError, RecipeError
from deepbench.language import load
from deepbench.language.expressions import CONSTANTS, FUNCTIONS, parse
from deepbench.language.load import parse_document, write_document
from deepbench.recipe import load_recipe, parse_recipe
from deepbench.samples import labels

LOADERS = [yaml.SafeLoader]
if hasattr(yaml, "CSafeLoader"):
    LOADERS.append(yaml.CSafeLoader)

WORKFLOW = Path(__file__).parents[3] / "workflows/all_shapes.yaml"
VALID = parse_document(WORKFLOW.read_text()).data

FUZZ = settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


def attempt(function, *arguments):
    """Return what a function returns and None, or None and the error that DeepBench raised."""
    try:
        return function(*arguments), None
    except DeepBenchError as error:
        return None, error


def check_any(text):
    """Read a text with libyaml and without: both give a recipe, or problems in messages of bounded length."""
    for loader in LOADERS:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(load, "_LOADER", loader)
            _, error = attempt(parse_recipe, text)
        if error:
            assert isinstance(error, RecipeError)
            assert len(str(error)) < 1000 * len(error.problems)


# --- text ----------------------------------------------------------------------------------------

ESCAPES = [r'"\ud800"', r'"\U00110000"', r'"\UFFFFFFFF"', r'"\0\x85\u2028\uFFFE"', r'"\xZZ"']
DIRECTIVES = ["%YAML 1.1\n", "%YAML 1." + "1" * 5000 + "\n", "%TAG ! tag:%ff\n", "%TAG !e! !\n"]
TAGS = ["!", "!!binary ", "!!timestamp ", "!!set ", "!!merge ", "!e!x ", "!%ff ", "!<tag:x,%C3> "]
TAGS += ["!!python/object/apply:os.system ", "!!python/name:os.system ", "!!python/tuple "]
NUMBERS = [
    "1e400",
    "-.inf",
    ".nan",
    "9" * 31,
    "-" + "9" * 5000,
    "0x" + "f" * 28,
    "0o7",
    "1_0",
    "-0",
]
ODD = ["\t", "\r", "\0", "\x85", "\u2028", "\ufeff", "\ud800", "\U0001f600", "é", "\x7f", "\x1b"]
MARKS = [
    "&a ",
    "*a ",
    "*a",
    "&é ",
    "*b",
    "<<",
    "<<: *a",
    "---\n",
    "...\n",
    "--- ",
    "# c\n",
    "|\n",
    ">-\n",
    "|9\n",
]
PLAIN = [
    *"[]{},:-?|>'\"%@`!&*# \n",
    ": ",
    "- ",
    "? ",
    "\n  ",
    "\n    ",
    "a",
    "a: ",
    "a: 1\n",
    "~",
    "on",
    "= x",
]
KEYS = [
    f"{key}: "
    for key in ("name", "seed", "tables", "images", "classes", "size", "splits", "a" * 201)
]
DEEP = [
    "[" * 100,
    "{a: " * 100,
    "- " * 100,
    "? " * 100,
    "".join(" " * i + "a:\n" for i in range(60)),
]

yaml_parts = st.lists(
    st.sampled_from([*ESCAPES, *DIRECTIVES, *TAGS, *NUMBERS, *ODD, *MARKS, *PLAIN, *KEYS, *DEEP])
    | st.sampled_from([*MARKS, *PLAIN]),
    max_size=30,
).map("".join)


@settings(FUZZ)
@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text):
    check_any(text)


@settings(FUZZ, max_examples=400)
@given(yaml_parts)
@example(r'name: "\ud800"')  # the parser in Python let it pass; then pydantic could not hold it
@example(r'"\ud800": 1')
@example(r'name: "\U00110000"')  # was a ValueError of the parser in Python
@example(r'name: "\UFFFFFFFF"')  # was an OverflowError of the same
@example("%YAML 1." + "1" * 5000 + "\n---\na: 1")  # was a ValueError of the same
def test_any_yaml_is_read_or_refused(text):
    check_any(text)


@settings(FUZZ)
@given(st.binary(max_size=200) | yaml_parts.map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_file_is_read_or_refused(tmp_path, content):
    path = tmp_path / "recipe.yaml"
    path.write_bytes(content)
    _, error = attempt(load_recipe, path)
    assert error is None or isinstance(error, RecipeError)


# --- valid recipes with random changes -----------------------------------------------------------

WORDS = [
    *(
        "",
        "=",
        "= x",
        "= brightness",
        "= sun.x",
        "= 1 / 0",
        "= circle.x",
        "on",
        "1e3",
        "nan",
        "null",
        "psf",
    ),
    *(
        "variables",
        "image",
        "over",
        "\0",
        "\x85",
        "\ufeff",
        "x" * 300,
        "__class__",
        "../a",
        "/dev/zero",
        "a.csv",
    ),
]
KINDS = [
    "uniform",
    "log_uniform",
    "power_law",
    "normal",
    "truncated_normal",
    "log_normal",
    "integers",
    "choice",
    "grid",
]
KINDS += ["histogram", "scipy", "multivariate_normal", "catalog"]
FIELDS = [
    *(
        "low",
        "high",
        "mean",
        "sigma",
        "values",
        "weights",
        "edges",
        "count",
        "spacing",
        "name",
        "arguments",
    ),
    *(
        "columns",
        "covariance",
        "file",
        "sha256",
        "circle",
        "gaussian",
        "repeat",
        "thickness",
        "weight",
        "samples",
    ),
]

integers = st.integers(-(10**29), 10**29) | st.sampled_from(
    [0, 1, 2, -1, 40, 2**31, 2**53, 2**53 + 1, 2**63, 2**64, 10**18, 10**29]
)
floats = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(
    [0.5, 1e308, -1e308, 5e-324, -0.0]
)
numbers = integers | floats
words = st.sampled_from(WORDS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
scalars = st.none() | st.booleans() | numbers | words
drawn = st.one_of(
    st.builds(
        lambda kind, values: {kind: values}, st.sampled_from(KINDS), st.lists(numbers, max_size=3)
    ),
    st.builds(
        lambda kind, values: {kind: values},
        st.sampled_from(KINDS),
        st.dictionaries(
            st.sampled_from(FIELDS), scalars | st.lists(numbers, max_size=3), max_size=4
        ),
    ),
    st.builds(
        lambda law, given: {"scipy": {"name": law, "arguments": given}},
        st.sampled_from(["norm", "gamma", "poisson", "binom", "expon", "beta"]),
        st.dictionaries(
            st.sampled_from(["a", "b", "mu", "n", "p", "loc", "scale"]), numbers, max_size=3
        ),
    ),
)
keys = st.sampled_from([*KINDS, *FIELDS]) | words
anything = st.recursive(
    scalars | drawn,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=8,
)


def places(data, path=()):
    """Return the path of every node of plain data."""
    items = (
        data.items()
        if isinstance(data, dict)
        else enumerate(data)
        if isinstance(data, list)
        else ()
    )
    return [path, *(place for step, item in items for place in places(item, (*path, step)))]


PLACES = places(VALID)[1:]


@st.composite
def mutants(draw):
    """Return the data of a valid recipe in which some nodes are replaced, deleted or added."""
    data = copy.deepcopy(VALID)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(PLACES))
        node = data
        try:
            for step in path[:-1]:
                node = node[step]
            node[path[-1]]
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took it away
        action = draw(st.sampled_from(["replace", "replace", "replace", "delete", "add"]))
        if action == "replace":
            node[path[-1]] = draw(drawn | anything)
        elif action == "delete":
            del node[path[-1]]
        elif isinstance(node, list):
            node.insert(path[-1], draw(anything))
        else:
            node[draw(keys)] = draw(anything)
    return data


def variable(value):
    """Return the valid recipe with one variable more."""
    data = copy.deepcopy(VALID)
    data["tables"]["images"]["variables"]["new"] = value
    return data


@pytest.mark.slow
@settings(FUZZ, max_examples=400)
@given(mutants())
# Each was an error of scipy: RuntimeError, OverflowError, and the last two ran for hours.
@example(variable({"scipy": {"name": "norminvgauss", "arguments": {"a": 100, "b": 0, "loc": 1}}}))
@example(variable({"scipy": ["gausshyper", {"a": 30.5, "b": 10, "c": 1000, "z": 100}, None, 0.99]}))
@example(variable({"scipy": {"name": "zipf", "arguments": {"a": 1.001}}}))
@example(variable({"scipy": {"name": "nbinom", "arguments": {"n": 2, "p": 1e-300}}}))
# A warning of scipy; under `python -W error` it was raised.
@example(variable({"scipy": {"name": "erlang", "arguments": {"a": 30.5}}}))
# A file without end filled the memory.
@example(variable({"catalog": {"file": "/dev/zero"}}))
def test_any_change_of_a_recipe_is_read_or_refused(data):
    recipe, error = attempt(lambda: parse_recipe(write_document(data)))
    if error:
        assert isinstance(error, RecipeError)
        return
    again = parse_recipe(recipe.to_yaml())
    assert again == recipe
    assert again.hash == recipe.hash
    for table in recipe.tables:
        drawn, _ = attempt(labels, recipe, table, 0, 3)
        assert drawn is None or len(drawn) == 3


# --- merges --------------------------------------------------------------------------------------


@st.composite
def merging(draw):
    """Return a text of mappings, each with an anchor, that merge those before them; in flow style, keys at random."""
    lines = []
    for number in range(draw(st.integers(1, 6))):
        items = [
            f"{key}: {draw(st.integers(0, 2))}"
            for key in draw(st.lists(st.sampled_from("abcdefgh"), max_size=3))
        ]
        before = st.sampled_from([f"*m{n}" for n in range(number)] or ["{z: 1}"]) | st.just(
            "{y: 1}"
        )
        merges = draw(st.lists(before, max_size=3))
        if merges:
            one = len(merges) == 1 and draw(st.booleans())
            merge = f"<<: {merges[0]}" if one else f"<<: [{', '.join(merges)}]"
            items.insert(draw(st.integers(0, len(items))), merge)
        if number:
            items.append(f"inner{number}: *m{draw(st.integers(0, number - 1))}")
        lines.append(f"k{number}: &m{number} {{{', '.join(items)}}}\n")
    return "".join(lines)


@FUZZ
@given(merging())
@example("k0: &m0 {a: 1}\nk1: {<<: [*m0, *m0], a: 1}\n")
def test_merges_are_those_of_yaml_or_are_refused(text):
    """Where nothing is hidden and no key stands twice, every reader of YAML reads the same."""
    document, error = attempt(parse_document, text)
    if error is None:
        assert document.data == yaml.safe_load(text)
    else:
        assert re.search("the merge hides|duplicate key", str(error))


# --- expressions ---------------------------------------------------------------------------------

NAMES = [
    "a",
    "b.c",
    "b.2.c",
    "pi",
    "__class__",
    "a.__class__",
    "a.__class__.__mro__",
    "os.system",
    "A",
    "é",
]
PYTHON = [
    "lambda: 0",
    "[x for x in a]",
    "f'{a}'",
    "(a := 1)",
    "a if a else b",
    "a[0]",
    "{1}",
    "'a'",
    "a or b",
]
PYTHON += [
    "not a",
    "a < b",
    "~a",
    "a @ b",
    "a // b",
    "a % b",
    "*a",
    "**a",
    "yield",
    "await a",
    "...",
    "`a`",
    ";",
]
LITERALS = [
    "0",
    "1",
    "1e400",
    "1e308",
    "5e-324",
    "9" * 400,
    "." + "0" * 400 + "1",
    "64",
    "65",
    "0.5",
    "1_0",
    "0x1",
]
ATOMS = st.sampled_from([*NAMES[:4], "0", "1", "64", "1e308", "5e-324", "0.5", "9" * 300])

grammar = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.builds("{} {} {}".format, inner, st.sampled_from(["+", "-", "*", "/", "**"]), inner),
        st.builds("({})".format, inner),
        st.builds("-{}".format, inner),
        st.builds(
            "{}({})".format,
            st.sampled_from([n for n, (k, _) in FUNCTIONS.items() if k == 1]),
            inner,
        ),
        st.builds("{}({}, {})".format, st.sampled_from(["min", "max", "atan2"]), inner, inner),
    ),
    max_leaves=15,
)
nonsense = st.lists(
    st.sampled_from([*NAMES, *PYTHON, *LITERALS, *FUNCTIONS, *CONSTANTS, *"+-*/(),. =\n\t", "**"]),
    max_size=30,
).map("".join)
repeated = st.builds(
    lambda part, count, end: part * count + "a" + end * count,
    st.sampled_from(["(", "-", "- ", "2**", "a**-", "sin(", "min(", "1+", "a*"]),
    st.integers(1, 400),
    st.sampled_from(["", ")"]),
)
VALUES = np.array([0.0, -0.0, 1.0, -2.5, 1e308, -1e308, 5e-324, np.inf, -np.inf, np.nan])


@settings(FUZZ, max_examples=500)
@given(grammar | nonsense | repeated | st.text(max_size=100))
def test_any_expression_has_values_or_is_refused(text):
    expression, error = attempt(parse, "=" + text)
    if error:
        assert isinstance(error, ExpressionError)
        assert len(str(error)) < 500
        return
    assert parse(expression.text) == expression
    with np.errstate(all="raise"):
        values = expression.evaluate(dict.fromkeys(expression.names, VALUES))
    assert values.dtype == np.float64
    assert values.shape == (VALUES.shape if expression.names else ())
    assert not np.signbit(values[values == 0]).any()


# --- bombs ---------------------------------------------------------------------------------------

HEAD = "name: a\nversion: 1.0.0\ntitle: t\nseed: 1\n"
OBJECTS = "objects: [{circle: {x: 1, y: 1, radius: 1}}]"
TABLE = f"tables: {{t: {{kind: image, samples: 3, size: [8, 8], classes: {{c: {{{OBJECTS}}}}}}}}}\n"


def chained(item, copies, levels):
    """Return anchors `a0`, `a1`, …, each a list of copies of the one before."""
    lines = [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * copies)}]\n" for i in range(1, levels)]
    return f"a0: &a0 {item}\n{''.join(lines)}"


LONG = "x" * 500_000
BOMBS = {
    "billion laughs": (chained("[lol]", 9, 10), "more than 100,000 values, aliases written out"),
    "quadratic aliases": (chained("[" + "a, " * 3000 + "]", 90, 2), "more than 100,000 values"),
    # Was accepted; messages then wrote out gigabytes.
    "aliases of a long text": (
        chained(LONG, 9, 6),
        "more than 1,048,576 characters, aliases written out",
    ),
    "long text as size": (
        chained(LONG, 9, 5) + HEAD + TABLE.replace("[8, 8]", "*a4"),
        "more than 1,048,576 char",
    ),
    # Was told with the long key in each of 30,000 messages.
    "long key": (
        f"? {LONG}\n: [{'!a 1, ' * 50}]",
        "a key has at most 200 characters, this one has 500000",
    ),
    "brackets": ("a: " + "[" * 100_000, "nested more than 40 deep"),
    "closed brackets": ("a: " + "[" * 100_000 + "]" * 100_000, "nested more than 40 deep"),
    "braces": ("{a: " * 100_000, "nested more than 40 deep"),
    "10 MB": ("# " + "x" * 10_000_000, "is larger than 1,048,576 bytes"),
    "integer of a million digits": (
        "seed: " + "9" * 1_000_000,
        "at most 30 digits, this one has 1000000",
    ),
    "a million keys": (
        "".join(f"k{i}: 1\n" for i in range(1_000_000)),
        "is larger than 1,048,576 bytes",
    ),
    "many keys": ("".join(f"k{i}: 1\n" for i in range(90_000)), "more than 100,000 values"),
    "unknown keys": (
        HEAD + TABLE + "".join(f"k{i}: 1\n" for i in range(45_000)),
        "and 44,900 more problems",
    ),
    # Was accepted, in minutes; the release could not be opened, as its recipe was larger than a recipe may be.
    "noise": (
        HEAD + TABLE.replace("kind", f"noise: [{'{poisson: {}}, ' * 30_000}], kind"),
        "with all defaults and aliases written out, it is larger than 1,048,576 bytes",
    ),
    "authors": (
        HEAD + TABLE + f"authors: [&a {'x' * 20_000}, {'*a, ' * 40}]\nlicense: {'é' * 20_000}\n"
        f"references: [{'é' * 10_000}, {(chr(0xE9) * 10_000 + ', ') * 10}]\ndescription: {'é' * 20_000}\n",
        "with all defaults and aliases written out, it is larger than 1,048,576 bytes",
    ),
    "samples": (
        HEAD + TABLE.replace("samples: 3", f"samples: {10**18}"),
        "less than or equal to 4294967296",
    ),
    "size": (HEAD + TABLE.replace("[8, 8]", f"[{10**9}, {10**9}]"), "less than or equal to 32768"),
    "repeat": (
        HEAD + TABLE.replace("objects: [{", f"objects: [{{repeat: {10**9}, "),
        "at most 100000",
    ),
    "drawn repeat": (
        HEAD + TABLE.replace("objects: [{", f"objects: [{{repeat: {{integers: [1, {10**9}]}}, "),
        "at most 100000",
    ),
    "expression": (
        HEAD + TABLE.replace("x: 1", f"x: '={'(' * 100_000}1{')' * 100_000}'"),
        "an expression has at most 1000 characters",
    ),
    "deep expression": (
        HEAD + TABLE.replace("x: 1", f"x: '={'(' * 400}1{')' * 400}'"),
        "more than 20 deep",
    ),
}
READ_ALL = """
import json, resource, sys
from pathlib import Path
import deepbench.samples
from deepbench.recipe import RecipeError, load_recipe
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**30, used + 2**30))
messages = {}
for path in Path(sys.argv[1]).iterdir():
    try:
        load_recipe(path)
        messages[path.name] = "accepted"
    except RecipeError as error:
        messages[path.name] = str(error)
    except BaseException as error:
        messages[path.name] = repr(error)
print(json.dumps(messages))
"""


@pytest.fixture(scope="module")
def refusals(tmp_path_factory):
    """What is said about each bomb by a process that may take 1 GiB beyond its imports."""
    folder = tmp_path_factory.mktemp("bombs")
    for name, (text, _) in BOMBS.items():
        (folder / name).write_text(text)
    command = [sys.executable, "-c", READ_ALL, str(folder)]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits of address space are those of Linux")
@pytest.mark.parametrize("case", BOMBS)
def test_bombs_are_refused_within_one_gibibyte(refusals, case):
    assert BOMBS[case][1] in refusals[case]
    assert len(refusals[case]) < 2**24


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize(
    "value",
    [
        "!!python/object/apply:os.mkdir ['MADE']",
        "!!python/object/apply:os.mkdir {args: ['MADE']}",
        "!!python/object/new:os.mkdir ['MADE']",
        "!!python/object/apply:builtins.exec [\"import os; os.mkdir('MADE')\"]",
        "!<tag:yaml.org,2002:python/object/apply:os.mkdir> ['MADE']",
        "\"= __import__('os').mkdir('MADE')\"",
        "{scipy: {name: os.mkdir, arguments: {path: 'MADE'}}}",
    ],
)
def test_no_recipe_runs_code(tmp_path, monkeypatch, loader, value):
    monkeypatch.setattr(load, "_LOADER", loader)
    marker = tmp_path / "made"
    value = value.replace("MADE", str(marker))
    for text in (f"a: {value}", HEAD + TABLE.replace("x: 1", f"x: {value}")):
        with pytest.raises(RecipeError):
            parse_recipe(text)
    assert not marker.exists()
