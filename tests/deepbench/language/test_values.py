from __future__ import annotations

import datetime
import json
import pickle
import subprocess
import sys
from typing import Annotated, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field, TypeAdapter, ValidationError

from deepbench.language.load import parse_document, write_document
from deepbench.language.specification import NAME_PATTERN
from deepbench.language.values import (
    DISTRIBUTIONS,
    Constant,
    Expression,
    Name,
    Named,
    Number,
    Parameter,
    Specification,
    Value,
    Variable,
    Whole,
    out_of_range,
    parameter,
    parameter_of,
    parameters_of,
)


class Circle(Specification):
    """A disc."""

    x: Value = parameter("centre to the right", unit="pixel")
    radius: Value = parameter("radius", unit="pixel", above=0)
    amplitude: Value = parameter("value of a fully covered pixel", default=1.0)
    thickness: Value | None = parameter("width of the outline", unit="pixel", above=0, default=None)
    sides: Value = parameter("number of sides", default=3, minimum=3, maximum=20, integer=True)


class Square(Specification):
    side: Number = parameter("side", above=0, below=10)
    copies: Whole = parameter("copies", default=1, minimum=1)


class Scene(Specification):
    name: Name = "scene"
    objects: Annotated[
        tuple[
            Annotated[Circle | Square, Named({"circle": Circle, "square": Square}, "object")], ...
        ],
        Field(min_length=1),
    ]
    variables: dict[str, Variable] = Field(default_factory=dict)


ANY = TypeAdapter(Variable)


def errors(cls, data):
    with pytest.raises(ValidationError) as caught:
        cls.model_validate(data)
    return {item["loc"]: item["msg"] for item in caught.value.errors(include_url=False)}


# --- values --------------------------------------------------------------------------------------


def test_a_value_is_a_constant_an_expression_or_a_distribution():
    circle = Circle(x=3, radius="= 2 * x", thickness={"uniform": [1, 2]})
    assert circle.x == Constant(3.0)
    assert isinstance(circle.radius, Expression)
    assert circle.thickness == DISTRIBUTIONS["uniform"](low=1, high=2)
    assert circle.amplitude == Constant(1.0)
    assert Circle(x=0, radius=1).thickness is None


def test_a_constant_answers_as_a_distribution_does():
    constant = Constant(2.0)
    np.testing.assert_array_equal(constant.quantile(np.zeros((2, 3))), np.full((2, 3), 2.0))
    assert constant.support() == (2.0, 2.0)
    assert constant.integer
    assert not Constant(2.5).integer
    assert not constant.tolerance


def test_values_made_in_python_are_taken_as_they_are():
    circle = Circle(x=Constant(1.0), radius=DISTRIBUTIONS["uniform"](low=1, high=2))
    assert Circle(x=circle.x, radius=circle.radius, sides=np.int64(4)).sides == Constant(4.0)
    with pytest.raises(ValidationError, match="must be a number above 0"):
        Circle(x=0, radius=DISTRIBUTIONS["normal"](mean=1, sigma=2))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 1.0),
        (0.0, -0.0),
        ("=2*x", "= (2.0) * x"),
        ({"uniform": [0, 1]}, {"uniform": {"high": 1.0, "low": 0.0}}),
        (
            {"truncated_normal": [0, 1, -1]},
            {"truncated_normal": {"mean": 0, "sigma": 1, "low": -1}},
        ),
        ({"choice": [1, 2]}, {"choice": {"values": [1.0, 2], "weights": [1, 1]}}),
        ({"choice": [1, 2]}, {"choice": {"values": [1, 2], "weights": None}}),
        ({"grid": [0, 1, 3]}, {"grid": {"low": 0, "high": 1, "count": 3.0, "spacing": "linear"}}),
        ({"integers": [1, 6]}, {"integers": {"low": 1.0, "high": 6}}),
        (
            {"scipy": {"name": "norm", "arguments": {"scale": 2, "loc": 1}}},
            {"scipy": {"name": "norm", "arguments": {"loc": 1.0, "scale": 2.0}, "low": None}},
        ),
    ],
)
def test_spellings_of_one_value_are_equal_and_dump_equal(one, other):
    a, b = ANY.validate_python(one), ANY.validate_python(other)
    assert a == b
    assert hash(a) == hash(b)
    assert json.dumps(ANY.dump_python(a)) == json.dumps(ANY.dump_python(b))


EXAMPLES = [
    1.5,
    "= 2 * x",
    {"uniform": [0.1, 1]},
    {"log_uniform": [1e-3, 10]},
    {"power_law": [2.5, 1e-3, 10]},
    {"normal": [0, 1]},
    {"truncated_normal": {"mean": 0, "sigma": 1, "high": 3}},
    {"log_normal": [2, 0.5]},
    {"integers": [-3, 3]},
    {"choice": {"values": [1, 2.5], "weights": [0, 3]}},
    {"grid": [1, 100, 3, "log"]},
    {"histogram": [[0, 1, 3], [1, 2]]},
    {"scipy": ["gamma", {"a": 2}, 0.5]},
    {"multivariate_normal": {"columns": ["a"], "mean": [0], "covariance": [[2]]}},
]


@pytest.mark.parametrize("data", EXAMPLES, ids=str)
def test_values_survive_dump_yaml_and_pickle(data):
    value = ANY.validate_python(data)
    dumped = ANY.dump_python(value, mode="json")
    assert ANY.validate_python(json.loads(json.dumps(dumped))) == value
    text = write_document({"v": dumped})
    again = ANY.validate_python(parse_document(text).data["v"])
    assert again == value
    assert ANY.dump_python(again, mode="json") == dumped
    assert pickle.loads(pickle.dumps(value)) == value
    assert len(pickle.dumps(value)) < 1000
    assert hash(pickle.loads(pickle.dumps(value))) == hash(value)


def test_the_dump_is_complete():
    circle = Circle(x=1, radius={"choice": [1, 2]})
    assert circle.model_dump(mode="json") == {
        "x": 1.0,
        "radius": {"choice": {"values": [1.0, 2.0], "weights": [1.0, 1.0]}},
        "amplitude": 1.0,
        "thickness": None,
        "sides": 3.0,
    }
    cut = Circle(x={"truncated_normal": [0, 1, -1]}, radius=1)
    assert cut.model_dump(exclude_none=True)["x"] == {
        "truncated_normal": {"mean": 0.0, "sigma": 1.0, "low": -1.0}
    }


def test_specifications_are_frozen_and_small():
    circle = Circle(x=1, radius={"uniform": [1, 2]})
    with pytest.raises(ValidationError, match="frozen"):
        circle.x = 2
    assert hash(circle) == hash(Circle(x=1.0, radius={"uniform": {"low": 1, "high": 2}}))
    assert pickle.loads(pickle.dumps(circle)) == circle
    assert len(pickle.dumps(circle)) < 1000


# --- refusals ------------------------------------------------------------------------------------

WRONG = {
    "bool": (True, (), "must be a number, an expression such as .* not True"),
    "null": (None, (), "must be a number, an expression such as .* not None"),
    "list": (
        [1, 2],
        (),
        "one distribution {name: ...} of uniform, log_uniform, .*; not \\[1, 2\\]",
    ),
    "empty mapping": ({}, (), "must be a number, .*; not {}"),
    "two names": (
        {"uniform": [0, 1], "normal": [0, 1]},
        (),
        "not 2 names: \\['uniform', 'normal'\\]",
    ),
    "infinite": (float("inf"), (), "must be a finite number, not inf"),
    "nan": (float("nan"), (), "must be a finite number, not nan"),
    "huge": (10**400, (), "must be a finite number, not 1000"),
    "text": ("12:30", (), "'12:30' is no number, and an expression begins with '='"),
    "bad expression": ("= 2 *", (), "expected a number, a name, .* found the end"),
    "unknown": (
        {"unifrom": [0, 1]},
        (),
        "unknown distribution 'unifrom'; did you mean 'uniform'\\?",
    ),
    "not a name": ({1: [0, 1]}, (), "unknown distribution 1; allowed: uniform"),
    "a number": ({"uniform": 3}, ("uniform",), "must be a list or a mapping of low, high, not 3"),
    "missing": ({"uniform": [1]}, ("uniform", "high"), "'high' is missing: upper end"),
    "too many": ({"uniform": [1, 2, 3]}, ("uniform",), "takes 2 values \\(low, high\\), not 3"),
    "in a list": ({"uniform": [1, "{b}"]}, ("uniform", 1), "must be a number, not '{b}'"),
    "in a mapping": (
        {"uniform": {"low": [], "high": 1}},
        ("uniform", "low"),
        "must be a number, not \\[\\]",
    ),
    "unknown key": (
        {"uniform": {"low": 0, "high": 1, "hihg": 2}},
        ("uniform", "hihg"),
        "unknown key 'hihg'; did you mean 'high'\\? allowed: low, high",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_one_mistake_is_one_message_at_its_place(case):
    data, place, message = WRONG[case]
    for field in ("x", "thickness"):
        if field == "thickness" and data is None:
            continue
        found = errors(Circle, {"x": 0, "radius": 1, field: data})
        assert list(found) == [(field, *place)]
        with pytest.raises(ValueError, match=message):
            raise ValueError(found[field, *place])


def test_every_mistake_is_told():
    data = {"radius": {"uniform": ["a", None]}, "amplitude": True, "thicknes": 1}
    assert set(errors(Circle, data)) == {
        ("x",),
        ("radius", "uniform", 0),
        ("radius", "uniform", 1),
        ("amplitude",),
        ("thicknes",),
    }


def test_messages_of_specifications():
    found = errors(
        Scene, {"objects": [{"circle": {"x": 0}}, {"cicle": {}}, 3], "nam": 1, "name": "A"}
    )
    assert found == {
        ("objects", 0, "circle", "radius"): "'radius' is missing: a number above 0 (pixel)",
        ("objects", 1): "unknown object 'cicle'; did you mean 'circle'? allowed: circle, square",
        ("objects", 2): "must be one object {name: ...} of circle, square; not 3",
        ("nam",): "unknown key 'nam'; did you mean 'name'? allowed: name, objects, variables",
        ("name",): "must match pattern '^[a-z][a-z0-9_]{0,62}$', not 'A'",
    }
    assert errors(Scene, {"objects": []}) == {("objects",): "must have at least 1 item, not 0"}
    assert errors(Scene, 3) == {(): "must be a mapping of name, objects, variables, not 3"}
    assert errors(Square, {"side": "1", "copies": 1.5}) == {
        ("side",): "must be a number, not '1'",
        ("copies",): "must be a whole number, not 1.5",
    }
    assert errors(Square, {"side": True, "copies": True}) == {
        ("side",): "must be a number, not True",
        ("copies",): "must be a whole number, not True",
    }


class Sheet(Specification):
    """A field for each kind of mistake that pydantic finds."""

    count: Annotated[int, Field(strict=True, ge=1, le=9)] = 1
    share: Annotated[float, Field(gt=0.5, lt=2.0, strict=True)] = 1.0
    word: Annotated[str, Field(min_length=2, max_length=4)] = "ab"
    mark: Name = "a"
    choice: Literal["left", "right", 3] = "left"
    flag: Annotated[bool, Field(strict=True)] = False
    pair: Annotated[tuple[str, ...], Field(min_length=1, max_length=2)] = ("a",)
    rows: list[int] = Field(default_factory=list)
    table: dict[str, int] = Field(default_factory=dict)
    nothing: None = None
    day: datetime.date | None = None


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"count": 0}, "must be greater than or equal to 1, not 0"),
        ({"count": 10}, "must be less than or equal to 9, not 10"),
        ({"count": "1"}, "must be a valid integer, not '1'"),
        ({"count": 1.5}, "must be a valid integer, not 1.5"),
        ({"share": 0.5}, "must be greater than 0.5, not 0.5"),
        ({"share": 2}, "must be less than 2, not 2"),
        ({"share": "x"}, "must be a valid number, not 'x'"),
        ({"share": float("inf")}, "must be a finite number, not inf"),
        ({"word": "a"}, "must have at least 2 characters, not 'a'"),
        ({"word": "abcde"}, "must have at most 4 characters, not 'abcde'"),
        ({"word": 3}, "must be a valid string, not 3; put it in quotes"),
        ({"mark": "A"}, f"must match pattern '{NAME_PATTERN}', not 'A'"),
        ({"choice": "up"}, "must be 'left', 'right' or 3, not 'up'"),
        ({"flag": "on"}, "must be true or false, not 'on'"),
        ({"pair": []}, "must have at least 1 item, not 0"),
        ({"pair": ["a", "b", "c"]}, "must have at most 2 items, not 3"),
        ({"pair": "a"}, "must be a list, not 'a'"),
        ({"pair": {"a": 1}}, "must be a list, not {'a': 1}; put it in brackets: [{...}]"),
        ({"rows": 3}, "must be a list, not 3"),
        ({"rows": ["x"]}, "must be a valid integer, not 'x'"),
        ({"table": []}, "must be a mapping, not []"),
        ({"nothing": 1}, "must be None, not 1"),
        ({"day": "soon"}, "is not what can stand here: 'soon'"),
    ],
)
def test_what_pydantic_finds_is_said_in_our_words(data, message):
    assert list(errors(Sheet, data).values()) == [message]


def test_long_values_are_cut_in_messages():
    assert max(map(len, errors(Circle, {"x": "y" * 10_000, "radius": [0] * 10_000}).values())) < 500


json_data = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from([*DISTRIBUTIONS, "low", "high", "values", "weights", "edges", "mean"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(json_data)
def test_no_data_raise_anything_but_validation_errors(data):
    try:
        value = ANY.validate_python(data)
    except ValidationError:
        return
    assert ANY.validate_python(ANY.dump_python(value, mode="json")) == value


@settings(deadline=None)
@given(
    st.sampled_from(list(DISTRIBUTIONS)),
    st.lists(
        st.floats(allow_nan=False) | st.integers(-5, 5) | st.lists(st.integers(0, 5)), max_size=4
    ),
)
def test_distributions_of_any_numbers_are_refused_or_stay_inside_their_support(name, numbers):
    try:
        value = ANY.validate_python({name: numbers})
    except ValidationError:
        return
    low, high = value.support()
    drawn = value.quantile(np.linspace(0, 1, 9))
    assert np.all(np.isfinite(drawn) & (drawn >= low) & (drawn <= high))
    assert np.all(np.diff(drawn) >= 0) or name == "choice"


# --- ranges --------------------------------------------------------------------------------------

RANGE = Parameter("x", "pixel", minimum=0, below=180)


@pytest.mark.parametrize(
    "good",
    [
        0,
        179.5,
        {"uniform": [0, 180]},
        {"integers": [0, 179]},
        {"truncated_normal": {"mean": 0, "sigma": 1, "low": 0, "high": 180}},
        {"grid": [0, 179.9, 5]},
        {"scipy": {"name": "expon", "high": 180}},
        "= 999",
    ],
)
def test_values_within_the_range(good):
    class Angle(Specification):
        angle: Value = parameter("angle", minimum=0, below=180)

    assert Angle(angle=good)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (-1, "must be a number at least 0 and below 180 \\(degree\\), not -1$"),
        (180, "not 180$"),
        ({"uniform": [-1, 10]}, "gives values from -1 to 10, but must be .*; choose other ends"),
        ({"integers": [0, 180]}, "gives values from 0 to 180, but must be"),
        ({"normal": [90, 0.1]}, "from -inf to inf, .*; use truncated_normal, which has ends"),
        ({"log_normal": [90, 0.1]}, "from 0 to inf, .*; use log_uniform or truncated_normal"),
        ({"choice": [0, 190]}, "from 0 to 190, .*; choose other values"),
        ({"scipy": {"name": "norm"}}, "from -inf to inf, .*; give it low and high"),
    ],
)
def test_values_that_can_leave_the_range(bad, message):
    class Angle(Specification):
        angle: Value | None = parameter("a", unit="degree", minimum=0, below=180, default=None)

    found = errors(Angle, {"angle": bad})
    assert list(found) == [("angle",)]
    with pytest.raises(ValueError, match=message):
        raise ValueError(found["angle",])


def test_open_ends_allow_continuous_distributions_that_begin_there():
    assert Circle(x=0, radius={"uniform": [0, 1]})
    assert Circle(x=0, radius={"log_normal": [1, 1]})
    for value in ({"integers": [0, 1]}, {"grid": [0, 1, 3]}, {"choice": [0, 1]}, 0):
        assert ("radius",) in errors(Circle, {"x": 0, "radius": value})


def test_whole_numbers():
    for good in (3, {"integers": [3, 20]}, {"choice": [3, 4.0]}, {"grid": [4, 20, 5]}, "= a"):
        assert Circle(x=0, radius=1, sides=good)
    for bad in (3.5, {"uniform": [3, 5]}, {"choice": [3, 4.5]}, {"grid": [3, 5, 4]}):
        message = errors(Circle, {"x": 0, "radius": 1, "sides": bad})["sides",]
        assert "must be a whole number at least 3 and at most 20" in message


def test_defaults_are_checked_too():
    class Wrong(Specification):
        radius: Value = parameter("radius", above=0, default=0)

    assert errors(Wrong, {}) == {("radius",): "must be a number above 0, not 0"}


def test_out_of_range_gives_the_first_bad_index():
    assert out_of_range(RANGE, np.array([0.0, 179.0])) is None
    assert out_of_range(RANGE, np.array([0.0, 180.0, -1.0])) == 1
    assert out_of_range(RANGE, np.array([0.0, np.nan])) == 1
    assert out_of_range(Parameter("x"), np.array([0.0, 1.0, np.inf])) == 2
    assert out_of_range(Parameter("x", above=0, maximum=1), np.array([1.0, 0.0])) == 1
    assert out_of_range(Parameter("x", integer=True), np.array([1.0, 1.5])) == 1
    assert out_of_range(RANGE, -1.0) == 0
    assert out_of_range(RANGE, np.zeros(0)) is None


def test_parameters_are_readable():
    assert parameter_of(Circle, "radius") == Parameter("radius", "pixel", above=0)
    assert list(parameters_of(Circle)) == ["x", "radius", "amplitude", "thickness", "sides"]
    assert parameter_of(Circle, "sides").range_text() == "a whole number at least 3 and at most 20"
    assert parameter_of(Circle, "radius").range_text() == "a number above 0 (pixel)"
    assert Parameter("x").range_text() == "a number"
    with pytest.raises(KeyError, match="objects"):
        parameter_of(Scene, "objects")


# --- registries and schema -----------------------------------------------------------------------


def test_a_named_member_reads_and_dumps():
    scene = Scene(objects=[{"circle": {"x": 1, "radius": 2}}, {"square": {"side": 1}}])
    assert isinstance(scene.objects[1], Square)
    dumped = scene.model_dump(mode="json")
    assert dumped["objects"][1] == {"square": {"side": 1.0, "copies": 1}}
    assert Scene.model_validate(dumped) == scene
    assert Scene(objects=scene.objects) == scene


def test_json_schema():
    schema = Circle.model_json_schema()
    assert schema["properties"]["radius"] == {
        "$ref": "#/$defs/Value",
        "description": "radius",
        "unit": "pixel",
        "exclusiveMinimum": 0,
    }
    assert schema["required"] == ["x", "radius"]
    forms = schema["$defs"]["Value"]["anyOf"]
    assert forms[:2] == [{"type": "number"}, {"type": "string", "pattern": "^="}]
    names = [next(iter(form["properties"])) for form in forms[2:]]
    assert names == [*DISTRIBUTIONS, "by", "mixture", "per", "per"]
    mapping, sequence = schema["$defs"]["Uniform"]["anyOf"]
    assert list(mapping["properties"]) == ["low", "high"]
    assert sequence["minItems"] == 2
    assert len(sequence["prefixItems"]) == 2
    assert schema["$defs"]["Choice"]["anyOf"][1]["items"] == {"type": "number"}
    for name in schema["$defs"]:
        assert name in ("Value",) or schema["$defs"][name]["description"]
    assert Scene.model_json_schema(mode="serialization")


def test_reading_a_recipe_imports_nothing_heavy():
    code = (
        "import sys; from deepbench.language.load import parse_document; "
        "from deepbench.language.values import Variable; from pydantic import TypeAdapter; "
        "read = TypeAdapter(Variable).validate_python; "
        "[read({n: v}) for n, v in {'uniform': [0, 1], 'truncated_normal': [0, 1, -1], "
        "'log_uniform': [1, 2], 'choice': [1]}.items()]; read('= exp(x) ** 0.5'); "
        "parse_document('a: 1'); "
        "heavy = {'numba', 'pandas', 'scipy', 'xarray', 'pyarrow', 'dask', 'matplotlib'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout == "[]\n"
