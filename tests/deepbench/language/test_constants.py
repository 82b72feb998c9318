"""Constants of recipes."""

import json
import subprocess
import sys

import jsonschema
import numpy as np
import pytest

from deepbench import parse_recipe
from deepbench.errors import RecipeError
from deepbench.language.constants import write_out
from deepbench.language.expressions import parse
from deepbench.language.load import parse_document
from deepbench.recipe import Recipe

TEXT = """\
name: things
version: 1.0.0
title: "= n"
seed: "= 3 + n"
constants: {n: 40, half: "= n / 80", sigma_max: 2, slope: -1.5}
splits: {train: "= half", test: "= 1 - half"}
tables:
  images:
    kind: image
    samples: "= n * 10"
    size: ["= n", 16]
    variables: {a: {power_law: ["= slope", 1, "= sqrt(n)"]}, b: "= 2 * 3"}
    classes:
      dot:
        weight: "= 6 / 4"
        objects:
          - circle: {x: 2, y: "= half * circle.radius ** n - slope", radius: {choice: ["= n / 8", "= exp(half)"]}}
            repeat: {integers: [1, "= n / 10"]}
    psf: {gaussian: {sigma: {uniform: {low: 0.5, high: "= sigma_max"}}}}
    noise: [{gaussian: {sigma: "= sigma_max ** -half"}}]
storage: {chunk_bytes: "= 1024 * n"}
"""
NUMBERS = {
    '"= 3 + n"': "43",
    '"= half"': "0.5",
    '"= 1 - half"': "0.5",
    '"= n * 10"': "400",
    '"= n"': "40",
    '"= slope"': "-1.5",
    '"= sqrt(n)"': repr(40**0.5),
    '"= 6 / 4"': "1.5",
    "half * circle.radius ** n - slope": "0.5 * circle.radius ** 40 - (-1.5)",
    '"= n / 8"': "5",
    '"= exp(half)"': repr(float(parse("= exp(x)").evaluate({"x": 0.5}))),
    '"= n / 10"': "4",
    '"= sigma_max"': "2",
    '"= sigma_max ** -half"': repr(float(parse("= x ** -y").evaluate({"x": 2, "y": 0.5}))),
    '"= 1024 * n"': "40960",
}


def written_out():
    head, title, text = TEXT.partition('title: "= n"\n')
    for expression, number in NUMBERS.items():
        assert expression in text
        text = text.replace(expression, number)
    lines = (head + title + text).splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("constants"))


def refusal(old, new, text=TEXT):
    assert old in text
    with pytest.raises(RecipeError) as caught:
        parse_recipe(text.replace(old, new), "r.yaml")
    return str(caught.value)


def test_a_recipe_with_constants_is_the_one_with_the_numbers():
    recipe, numbers = parse_recipe(TEXT), parse_recipe(written_out())
    assert recipe.to_yaml() == numbers.to_yaml()
    assert recipe.hash == numbers.hash
    assert recipe.title == "= n"
    assert recipe.constants == {"n": 40, "half": 0.5, "sigma_max": 2, "slope": -1.5}
    assert parse_recipe(recipe.to_yaml()) == recipe
    # An expression of numbers alone was one before there were constants.
    assert recipe.resolved()["tables"]["images"]["variables"]["b"] == "= 2 * 3"


def test_constants_can_be_set():
    recipe = parse_recipe(TEXT)
    changed = recipe.replace({"constants.n": 60, "constants.half": 0.25})
    assert changed == parse_recipe(TEXT.replace('n: 40, half: "= n / 80"', "n: 60, half: 0.25"))
    assert changed.tables["images"].samples == 600
    assert changed.replace({"constants.half": "= n / 120"}).splits == {"train": 0.5, "test": 0.5}
    message = r"r\.yaml:5:1: constants\.sigma_mx: no expression uses .*'sigma_mx'; did you mean 'sigma_max'\?"
    with pytest.raises(RecipeError, match=message):
        parse_recipe(TEXT, "r.yaml").replace({"constants.sigma_mx": 3})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("n: 40", "n: true", "r.yaml:5:13: constants.n: must be a number, not True"),
        ("n: 40", "n: '2 * 20'", "constants.n: must be a number, not '2 * 20'"),
        ("n: 40", "n: {uniform: [1, 2]}", "constants.n: must be a number, not {'uniform': [1, 2]}"),
        ("n: 40", "n: '= 1 / 0'", "constants.n: must be a finite number, but '= 1 / 0' is inf"),
        (
            "n: 40",
            "n: '= 2 +'",
            "constants.n: expected a number, a name, a function or '(', found the end",
        ),
        ("n: 40", f"n: {2**53 + 1}", "is an integer that double precision rounds"),
        ("n: 40", "n: '= half'", "constants depend on each other in a circle: n → half → n"),
        ("n / 80", "m / 80", "5:20: constants.half: no constant is called 'm'"),
        ("n / 80", "sigma_mx / 80", "no constant is called 'sigma_mx'; did you mean 'sigma_max'?"),
        (
            "n: 40",
            "n: 40, pi: 3",
            "'pi' is a number that expressions know; give the constant another name",
        ),
        (
            "n: 40",
            "n: 40, sqrt: 3",
            "'sqrt' is a function of expressions; give the constant another",
        ),
        (
            "n: 40",
            "n: 40, and: 3",
            "'and' is a word of expressions; give the constant another name",
        ),
        ("n: 40", "n: 40, a: 3", "'a' is a name under `variables`, too; give the constant another"),
        (
            "n: 40",
            "n: 40, dot: 3",
            "'dot' is a name under `classes`, too; give the constant another",
        ),
        (
            "n: 40",
            "n: 40, test: 3",
            "'test' is a name under `splits`, too; give the constant another",
        ),
        (
            "n: 40",
            "n: 40, N: 3",
            "must be 1 to 63 lower-case letters, digits and '_', beginning with a letter",
        ),
        (
            "n: 40",
            "n: 40, m: 3",
            "5:20: constants.m: no expression uses the constant 'm'; leave it out",
        ),
        (
            ": {n: 40",
            ": 5 # ",
            "r.yaml:5:1: constants: must be a mapping of names to numbers, such as",
        ),
        ("sqrt(n)", "1 / (n - 40)", "'= 1 / (n - 40)' has no finite value where n = 40"),
        ("n * 10", "n * 1o", "r.yaml:10:5: tables.images.samples: expected an operator"),
        ("n * 10", "n / 3", "10:5: tables.images.samples: must be a whole number, not 13.33"),
        ('= sigma_max"', '= sigma_mx"', "did you mean the constant 'sigma_max'?"),
        (
            "half * circle",
            "halv * circle",
            "no value is called 'halv' here; .*did you mean the constant 'half'?",
        ),
        (
            "= n * 10",
            "= nn * 10",
            "samples: must be a number, or an expression of constants alone, but '= nn * 10' uses 'nn'; did you mean "
            "the constant 'n'?",
        ),
        (
            "sqrt(n)",
            f"third{' + third' * 59}",
            "an expression has at most 1000 characters, this one 1259",
        ),
        (
            "    kind",
            "    constants: {}\n    kind",
            "unknown key 'constants' here; write it as constants",
        ),
    ],
)
def test_bad_constants_are_refused(old, new, message):
    text = TEXT.replace("n: 40", 'n: 40, third: "= 1 / 3"') if "third" in new else TEXT
    found = refusal(old, new, text)
    first, _, last = message.partition(".*")
    assert first in found
    assert last in found


def test_a_constant_and_a_value_of_one_name_are_told_apart():
    text = TEXT.replace("half", "radius").replace("circle.radius", "radius")
    with pytest.raises(
        RecipeError,
        match="circle.y: 'radius' is a constant and a value of 'circle'; write 'circle.radius' for that, or rename",
    ):
        parse_recipe(text.replace("radius * radius", "radius"))
    recipe = parse_recipe(
        TEXT.replace("half * ", "half * radius * ")
        .replace("half", "radius")
        .replace("radius * radius * ", "")
    )
    assert recipe.tables["images"].classes["dot"].objects[0].circle.radius.values[1] == np.exp(0.5)


def test_rules_use_constants_too():
    document = write_out(
        parse_document('{constants: {n: -2}, far: {where: "x ** 2 + n"}, at: {where: "= n"}}')
    )
    assert document.document.data == {
        "constants": {"n": -2},
        "far": {"where": "x ** 2 + (-2)"},
        "at": {"where": -2},
    }
    assert document.uses == ((("far", "where"), "n"), (("at", "where"), "n"))


def test_reading_constants_imports_no_numerics():
    code = (
        "import sys; from deepbench import parse_recipe; parse_recipe(sys.argv[1]); "
        "print(sorted({'numba', 'scipy'} & set(sys.modules)))"
    )
    text = TEXT.replace("exp(half)", "half ** 2").replace("** -half", "** -2")
    done = subprocess.run(
        [sys.executable, "-c", code, text], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_the_schema_allows_constants_and_what_extends():
    schema = Recipe.json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    valid = jsonschema.Draft202012Validator(schema).is_valid
    data = parse_document(TEXT).data
    assert valid(data)
    assert valid(json.loads(json.dumps(parse_recipe(TEXT).resolved())))
    assert valid({"extends": "base.yaml", "tables": {"images": {"samples": 5, "noise": None}}})
    assert not valid({"extends": "base.yaml", "tabels": {}})
    assert not valid({"extends": 5})
    for key in ("seed", "tables"):
        assert not valid({name: each for name, each in data.items() if name != key})
    assert not valid(data | {"seed": "5"})
