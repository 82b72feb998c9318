"""The JSON Schema of recipes: what it takes and refuses, and what it says of each key."""

import re
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from deepbench.errors import RecipeError
from deepbench.language.load import parse_document, read_document
from deepbench.recipe import Recipe, parse_recipe

ROOT = Path(__file__).parents[2]
SCHEMA = Recipe.json_schema()
VALID = Draft202012Validator(SCHEMA).is_valid
TEXT = """\
name: small
version: 1.0.0
title: Small
seed: 1
tables:
  images:
    kind: image
    samples: 8
    size: [8, 8]
    group_size: 2
    classes:
      dot: {objects: [{circle: {x: 4, y: 4, radius: 1}}]}
      box: {objects: [{rectangle: {x: 4, y: 4, width: 2, height: 1}}]}
    psf: {gaussian: {sigma: 1}}
"""


def changed(path, value):
    """Return the recipe with one value changed, as data and as text."""
    data = yaml.safe_load(TEXT)
    *outer, last = path.split("/")
    inside = data["tables"]["images"]
    for step in outer:
        inside = inside[int(step)] if step.isdigit() else inside[step]
    inside[last] = value
    return data, yaml.safe_dump(data, sort_keys=False)


def keys(schema, path=()):
    """Yield path and schema of every key that a JSON Schema names, but for conditions."""
    if isinstance(schema, dict):
        for name, each in schema.get("properties", {}).items():
            member = SCHEMA["$defs"].get(each.get("$ref", "").removeprefix("#/$defs/"), {})
            yield (*path, name), member | each
    for step, each in schema.items() if isinstance(schema, dict) else enumerate(schema):
        if isinstance(each, dict | list) and step not in ("if", "oneOf", "required"):
            yield from keys(each, (*path, step))


def test_every_key_has_a_description():
    Draft202012Validator.check_schema(SCHEMA)
    conditions = {("anyOf", 1, "factors")}  # samples or factors
    lacking = [
        path
        for path, each in keys(SCHEMA)
        if not each.get("description") and "const" not in each and path[-3:] not in conditions
    ]
    assert lacking == []


@pytest.mark.parametrize("path", sorted(ROOT.glob("workflows/*.yaml")), ids=lambda path: path.stem)
def test_workflows_fit_the_schema(path):
    assert VALID(read_document(path).data)


def test_recipes_of_the_documents_fit_the_schema():
    texts = "".join(path.read_text("utf-8") for path in ROOT.glob("docs/*.md"))
    examples = re.findall(r"```yaml\n(name: .*?)```", texts, flags=re.DOTALL)
    assert len(examples) > 5
    assert [text for text in examples if not VALID(parse_document(text).data)] == []


GOOD = [
    ("psf/gaussian/sigma", {"per": "group", "by": "split", "train": 1, "otherwise": 2}),
    ("psf/gaussian/sigma", {"per": "group", "uniform": ["= 1", 2]}),
    ("psf/gaussian/sigma", {"per": "group", "mixture": [{"value": 1}, {"value": 2}]}),
    ("classes/dot/objects/0/repeat", {"by": "split", "train": 1, "otherwise": 2}),
    ("classes/dot/weight", {"by": "split", "train": "= 1 / 2", "otherwise": 0}),
    ("label_noise", {"class": {"dot": {"dot": 0.5, "box": 0.5}}}),
]
BAD = [
    ("classes/dot/sigma", 1),
    ("classes/dot/noise", []),
    ("classes/dot/objects", [{"name": "sun"}]),
    ("classes/dot/objects/0/rectangle", {"x": 4, "y": 4, "width": 2, "height": 1}),
    ("classes/dot/objects/0/variables", {"a": 1}),
    ("classes/dot/objects/0/circle/radios", 1),
    ("classes/dot/weight", {"by": "class", "dot": 1}),
    ("classes/dot/weight", 0),
    ("psf", {"gaussian": {"sigma": 1}, "airy": {"fwhm": 1}}),
    ("psf/gaussian/sigma", {"per": "table", "uniform": [0, 1]}),
    ("psf/gaussian/sigma", {"per": "group"}),
    ("psf/gaussian/sigma", {"per": "group", "unifrom": [0, 1]}),
    ("psf/gaussian/sigma", {"per": "group", "uniform": [0, 1], "normal": [0, 1]}),
    ("psf/gaussian/sigma", {"per": "group", "uniform": [0]}),
    ("psf/gaussian/sigma", {"mixture": [{"value": 1}]}),
    ("psf/gaussian/sigma", {"mixture": [{"value": 1}, {"weigth": 1, "value": 1}]}),
    ("psf/gaussian/sigma", {"by": 3, "dot": 1}),
    ("psf/gaussian/sigma", {"by": "class", "dot": "wide", "box": 1}),
    ("psf/gaussian/sigma", {"normal": ["= 1"]}),
    ("require", "psf.sigma > 1"),
    ("require", {"where": "psf.gaussian.sigma > 1", "redraw": "some"}),
    ("splits", {"train": 1, "far": {"were": "psf.gaussian.sigma > 1"}}),
    ("labels", {"size": {"value": 3}}),
    ("label_noise", {"class": 1.5}),
    ("log_prior", "all"),
    ("instrument", {"preset": "lsst", "bnds": {}}),
    ("instrument", {"pixel_scale": 0.2}),
]


@pytest.mark.parametrize(("path", "value"), GOOD, ids=str)
def test_the_schema_takes_what_the_loader_takes(path, value):
    data, text = changed(path, value)
    parse_recipe(text)
    assert VALID(data)


@pytest.mark.parametrize(("path", "value"), BAD, ids=str)
def test_the_schema_refuses_what_the_loader_refuses(path, value):
    data, text = changed(path, value)
    with pytest.raises(RecipeError):
        parse_recipe(text)
    assert not VALID(data)
