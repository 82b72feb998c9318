"""Recipes: what is refused and how it is said, what is filled in, what a changed copy keeps."""

import json
import pickle
import re
from pathlib import Path

import pytest

from deepbench.authors import Author, credited
from deepbench.errors import CatalogError, RecipeError
from deepbench.images.detector.noise import NoiseEntry
from deepbench.images.model.objects import ObjectEntry
from deepbench.images.psf.model import PsfEntry
from deepbench.images.psf.psf_image import ImagePsf
from deepbench.language.one_of import MAXIMUM_COPIES
from deepbench.language.specification import Specification, parameters_of
from deepbench.numerics.stream_names import stream_number
from deepbench.recipe import Recipe, Storage, load_recipe, parse_recipe

WORKFLOWS = sorted(Path(__file__).parents[2].glob("workflows/*.yaml"))

TEXT = """\
name: things
version: 1.0.0
title: Two things
seed: 7
splits: {train: 0.75, test: 0.25}
tables:
  images:
    kind: image
    samples: 40
    size: [12, 16]
    classes:
      dot:
        objects:
          - circle: {x: {uniform: [2, 9]}, y: 5, radius: {uniform: [1, 4]}}
          - rectangle: {x: 3, y: 4, width: 2, height: 3}
            name: box
      many:
        weight: 2
        objects:
          - circle: {x: {uniform: [2, 9]}, y: 5, radius: 2}
            repeat: {integers: [1, 3]}
    psf: {gaussian: {sigma: 1}}
    noise: [{poisson: {}}, {gaussian: {sigma: 0.1}}]
"""
DOT = "tables.images.classes.dot.objects"
MANY = "tables.images.classes.many.objects.0"
TABLE = parse_recipe(TEXT).resolved()["tables"]["images"]


def refusal(changes):
    with pytest.raises(RecipeError) as caught:
        parse_recipe(TEXT, "things.yaml").replace(changes)
    return caught.value


# --- what is refused -----------------------------------------------------------------------------

REFUSED = [
    # names and numbers of the whole recipe
    ("name", "Things", "must be 1 to 63 lower-case letters, digits, '-' and '_', beginning with"),
    ("name", "../things", "must be 1 to 63 lower-case letters"),
    ("name", "-a", "must be 1 to 63 lower-case letters"),
    ("name", "a" * 64, "must be 1 to 63 lower-case letters"),
    ("name", "a\n", "must be 1 to 63 lower-case letters"),
    ("name", 5, "must be a valid string, not 5"),
    ("version", "1.0", "must be a semantic version MAJOR.MINOR.PATCH, such as 1.0.0, not '1.0'"),
    ("version", "1.0.0\n", "must be a semantic version"),
    ("version", "01.0.0", "must be a semantic version"),
    ("version", "v1.0.0", "must be a semantic version"),
    ("version", 1.0, "must be a semantic version MAJOR.MINOR.PATCH, such as 1.0.0, not 1.0"),
    ("title", "", "must have at least 1 character"),
    ("title", "  ", "must have at least 1 character"),
    ("seed", -1, "must be greater than or equal to 0, not -1"),
    ("seed", 2**64, f"must be less than {2**64}, not {2**64}"),
    ("seed", 1.5, "must be a whole number, not 1.5"),
    ("seed", True, "must be a whole number, not True"),
    ("seed", "7", "must be a whole number, not '7'"),
    # splits
    ("splits", {"train": 0.7, "test": 0.2}, "must add up to 1; they add up to 0.9"),
    ("splits", {"train": 0.7, "test": 0.4}, "must add up to 1; they add up to 1.1"),
    ("splits", {}, "must have at least 1 item"),
    ("splits.test", 0, "must be greater than 0, not 0"),
    ("splits.test", -0.25, "must be greater than 0"),
    ("splits.test", "0.25", "must be a number, not '0.25'"),
    ("splits", {"Train": 1}, "must be 1 to 63 lower-case letters, digits and '_', beginning with"),
    # storage
    ("storage", {"chunk_bytes": 1023}, "must be greater than or equal to 1024"),
    ("storage", {"shard_bytes": 2**31 + 1}, "must be less than or equal to"),
    ("storage", {"chunks": 5000}, "unknown key 'chunks'; did you mean 'chunk_bytes'?"),
    ("storage", {"codec": "zstd"}, "must be 'lz4' or 'none', not 'zstd'"),
    # the table
    ("tables", {}, "must have at least 1 item"),
    ("tables", {"2d": TABLE}, "must be 1 to 63 lower-case letters, digits and '_'"),
    ("tables.images.kind", "images", "unknown kind of table 'images'; did you mean 'image'?"),
    (
        "tables.images.kind",
        ["image"],
        "unknown kind of table .* allowed: image, light_curve, dynamics, sphere",
    ),
    (
        "tables.images",
        5,
        "must be a mapping with a `kind`, one of image, light_curve, dynamics, sphere; not 5",
    ),
    (
        "tables.images",
        {"samples": 5},
        "'kind' is missing: one of image, light_curve, dynamics, sphere",
    ),
    ("tables.images.samples", 0, "must be greater than or equal to 1, not 0"),
    ("tables.images.samples", -5, "must be greater than or equal to 1, not -5"),
    ("tables.images.samples", 2**32 + 1, "must be less than or equal to 4294967296"),
    ("tables.images.samples", 10.5, "must be a whole number, not 10.5"),
    ("tables.images.group_size", 0, "must be greater than or equal to 1, not 0"),
    ("tables.images.size.0", -8, "must be greater than or equal to 1, not -8"),
    ("tables.images.size.1", 0, "must be greater than or equal to 1, not 0"),
    ("tables.images.size.1", 32769, "must be less than or equal to 32768"),
    ("tables.images.size", [8], r"must be \[y, x\], two whole numbers, not \[8\]"),
    ("tables.images.size", [8, 8, 8], r"must be \[y, x\], two whole numbers, not \[8, 8, 8\]"),
    ("tables.images.size", 8, r"must be \[y, x\], two whole numbers, not 8"),
    ("tables.images.colour", "red", "unknown key 'colour'; allowed: samples, group_size, "),
    ("tables.images.sampels", 4, "unknown key 'sampels'; did you mean 'samples'?"),
    # classes
    ("tables.images.classes", {}, "must have at least 1 item"),
    (
        "tables.images.classes.Dot",
        {"objects": [{"circle": {"x": 1, "y": 1, "radius": 1}}]},
        "must be 1 to 63 lower-case letters, digits and '_'",
    ),
    ("tables.images.classes.dot.weight", 0, "must be greater than 0, not 0"),
    ("tables.images.classes.dot.weight", -1, "must be greater than 0"),
    ("tables.images.classes.dot.weight", True, "must be a number, not True"),
    ("tables.images.classes.dot.weight", "2", "must be a number, not '2'"),
    ("tables.images.classes.dot.wieght", 1, "unknown key 'wieght'; did you mean 'weight'?"),
    ("tables.images.classes.dot.objects", [], "must have at least 1 item"),
    # objects
    (f"{DOT}.0", {}, "must have exactly one of circle, ellipse, .*, star, sersic, .*; it has none"),
    (f"{DOT}.0.line", {"x": 1, "y": 1, "length": 2, "thickness": 1}, "it has circle and line"),
    (f"{DOT}.0.cirle", {}, "unknown key 'cirle'; did you mean 'circle'?"),
    (f"{DOT}.0.circle.radius", 0, r"must be a number above 0 \(pixel\), not 0"),
    (f"{DOT}.0.circle.radius", {"normal": [5, 1]}, "use truncated_normal, which has ends"),
    (f"{DOT}.0.circle.radius", {"uniform": [4, 1]}, "low must be below high, not 4 and 1"),
    (f"{DOT}.0.circle.radius", {"unifrom": [1, 4]}, "unknown distribution .*mean 'uniform'?"),
    (f"{DOT}.0.circle.radius", None, "must be a number, an expression such as"),
    (f"{DOT}.0.circle.raduis", 1, "unknown key 'raduis'; did you mean 'radius'?"),
    (
        f"{DOT}.1.rectangle",
        {"x": 1, "y": 1, "width": 2},
        "'height' is missing: length of the side across the angle, a number above 0 .pixel.$",
    ),
    (f"{DOT}.0.name", "box", "two entries are called 'box'; give one of them another `name`"),
    (f"{DOT}.1.name", "circle", "two entries are called 'circle'"),
    (f"{DOT}.1.name", "psf", "'psf' cannot be the name of an object"),
    (f"{DOT}.1.name", "variables", "'variables' cannot be the name of an object"),
    (f"{DOT}.1.name", "a.b", "must be 1 to 63 lower-case letters, digits and '_'"),
    (f"{DOT}.1.blend", "under", "must be 'add' or 'over', not 'under'"),
    # repeat
    (
        f"{MANY}.repeat",
        "= nobody",
        "no value is called 'nobody' here",
    ),
    (f"{MANY}.repeat", -1, "must be a whole number at least 0 and at most 100000, not -1"),
    (f"{MANY}.repeat", 1.5, "must be a whole number"),
    (f"{MANY}.repeat", {"uniform": [1, 3]}, "must be a whole number"),
    (f"{MANY}.repeat", MAXIMUM_COPIES + 1, "must be a whole number at least 0 and at most 100000"),
    # psf and noise
    ("tables.images.psf", {}, "must have exactly one of gaussian, moffat, .*; it has none"),
    ("tables.images.psf", {"gausian": {"sigma": 1}}, "unknown key 'gausian'; did you mean 'gauss"),
    ("tables.images.psf.gaussian.sigma", -1, r"must be a number at least 0 and at most 1000 \(pix"),
    ("tables.images.psf.gaussian.sigma", 1001, "must be a number at least 0 and at most 1000"),
    ("tables.images.psf.gaussian.fwhm", 2, "must have either sigma .* or fwhm .*; it has both"),
    ("tables.images.psf.gaussian.axis_ratio", 0.5, "axis_ratio and position_angle go with fwhm"),
    ("tables.images.noise.0.poisson.gain", 0, "must be a number above 0, not 0"),
    ("tables.images.noise.0.poisson.background", -1, "must be a number at least 0, not -1"),
    ("tables.images.noise.1.gaussian.sigma", -0.1, "must be a number at least 0, not -0.1"),
    ("tables.images.noise.1.name", "poisson", "two entries are called 'poisson'"),
    ("tables.images.classes", {"nan": {"objects": []}}, "must have at least 1 item"),
    (
        "tables.images.noise",
        {"gaussian": {"sigma": 1}},
        r"must be a list, .* in brackets: \[{...}\]",
    ),
    # at another level
    ("samples", 5, "unknown key 'samples' here; write it as tables.images.samples$"),
    ("objects", [], "unknown key 'objects' here; write it as tables.images.classes.dot.objects$"),
    ("tables.images.seed", 5, "unknown key 'seed' here; write it as seed$"),
    ("tables.images.objects", [], "here; write it as tables.images.classes.dot.objects$"),
    ("tables.images.classes.dot.noise", [], "here; write it as tables.images.noise$"),
    ("tables.images.psf.gaussian.noise", [], "here; write it as tables.images.noise$"),
    (f"{DOT}.0.circle.repeat", 3, "here; write it as tables.images.classes.dot.objects.0.repeat$"),
    (f"{DOT}.0.psf", 3, "here; write it as tables.images.psf$"),
    (f"{DOT}.0.circle.weight", 3, "here; write it as tables.images.classes.dot.weight$"),
    # variables
    ("tables.images.variables", {"pi": 3}, "'pi' is a constant of expressions; give the variable"),
    ("tables.images.variables", {"max": 3}, "'max' is a function of expressions; give the"),
    ("tables.images.variables", {"B": 3}, "must be 1 to 63 lower-case letters, digits and '_'"),
    ("tables.images.classes.dot.variables", {"sqrt": 3}, "'sqrt' is a function of expressions"),
    # between the parts
    (f"{DOT}.0.circle.y", "= circel.x", "no value is called 'circel.x' here; did you mean 'circle"),
    (f"{DOT}.0.circle.y", "= box.x + circle.y", "values depend on each other in a circle: circle"),
]


@pytest.mark.parametrize(("path", "value", "message"), REFUSED, ids=lambda each: str(each)[:40])
def test_a_wrong_value_is_refused_where_it_stands(path, value, message):
    error = refusal({path: value})
    (problem,) = error.problems
    assert re.search(message, problem.message)
    found = ".".join(str(step) for step in problem.path)
    assert found.startswith(path.rsplit(".", 1)[0]) or path.startswith(found)
    assert problem.line > 0
    assert str(error).startswith(f"things.yaml:{problem.line}:{problem.column}: {found}: ")


@pytest.mark.parametrize("key", ["name", "version", "title", "seed", "tables"])
def test_a_key_without_default_must_be_there(key):
    rest = {name: value for name, value in parse_recipe(TEXT).resolved().items() if name != key}
    with pytest.raises(RecipeError, match=f"<recipe>:1:1: '{key}' is missing: "):
        parse_recipe(json.dumps(rest))


def test_all_errors_are_told_at_once_in_the_order_of_the_file():
    wrong = (
        TEXT.replace("version: 1.0.0", "version: 1.0")
        .replace("seed: 7", "sead: 7")
        .replace("0.25}", "0.15}")
        .replace("samples: 40", "samples: 0")
        .replace("[12, 16]", "[12, -16]")
        .replace("radius: {uniform: [1, 4]}", "radius: {unifrom: [1, 4]}")
        .replace("integers: [1, 3]", "integers: [3, 1]")
        .replace("sigma: 0.1", "sigma: -0.1")
    )
    with pytest.raises(RecipeError) as caught:
        parse_recipe(wrong, "my recipe.yaml")
    lines = str(caught.value).splitlines()
    places = [re.match(r"my recipe\.yaml:(\d+):(\d+): (\S+)", line).groups() for line in lines]
    table = "tables.images"
    assert places == [
        ("1", "1", "'seed'"),
        ("2", "1", "version:"),
        ("4", "1", "sead:"),
        ("5", "1", "splits:"),
        ("9", "5", f"{table}.samples:"),
        ("10", "16", f"{table}.size.1:"),
        ("14", "50", f"{table}.classes.dot.objects.0.circle.radius:"),
        ("21", "22", f"{table}.classes.many.objects.0.repeat.integers:"),
        ("23", "40", f"{table}.noise.1.gaussian.sigma:"),
    ]
    assert caught.value.file == "my recipe.yaml"
    assert len(caught.value.problems) == len(lines)
    assert caught.value.__context__ is None  # pickled with it where Dask is imported
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.problems) == (str(caught.value), caught.value.problems)


def test_errors_between_the_parts_have_a_place_too():
    text = TEXT.replace("y: 5, radius: {uniform", 'y: "= radios", radius: {uniform')
    with pytest.raises(RecipeError, match=r"r\.yaml:14:44: .*circle\.y: no value is called"):
        parse_recipe(text, "r.yaml")


@pytest.mark.parametrize(
    ("text", "message"), [("", "is empty: a recipe has name"), ("[1]", "mapping"), ("5", "mapping")]
)
def test_what_is_no_mapping_is_refused(text, message):
    with pytest.raises(RecipeError, match=message):
        parse_recipe(text)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(RecipeError, match=r"none\.yaml: the recipe cannot be read: No such file"):
        load_recipe(tmp_path / "none.yaml")


def test_two_streams_of_one_number_are_refused(monkeypatch):
    number = stream_number
    first, second = "images/dot/circle/x", "images/*/noise.poisson/pixels"

    def colliding(name):
        return number(first if name == second else name)

    parse_recipe(TEXT)
    monkeypatch.setattr("deepbench.recipe.stream_number", colliding)
    message = re.escape(f"the streams '{second}' and '{first}' have one number; rename one of them")
    with pytest.raises(RecipeError, match=message):
        parse_recipe(TEXT)


def test_streams_of_different_tables_must_differ_too(monkeypatch):
    number = stream_number
    monkeypatch.setattr(
        "deepbench.recipe.stream_number", lambda name: number(name.split("/", 1)[1])
    )
    parse_recipe(TEXT)
    with pytest.raises(RecipeError, match=r"'others/.*' and 'images/.*' have one number"):
        parse_recipe(TEXT).replace({"tables.others": TABLE})


def test_no_stream_of_a_recipe_has_two_uses():
    for path in WORKFLOWS:
        recipe = load_recipe(path)
        owners: dict[str, str] = {}
        for name, table in recipe.tables.items():
            names = list(recipe.table(name).plan.streams())
            names += [f"{name}/{stream}" for stream in table.pixel_streams()]
            assert len(set(names)) == len(names)
            scene = table.draw_from or name  # twins share the streams of their labels
            assert {owners.setdefault(stream, scene) for stream in names} == {scene}


# --- what is read --------------------------------------------------------------------------------


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_recipes_of_the_workflows_are_valid(path):
    recipe = load_recipe(path)
    assert recipe.name == path.stem
    assert recipe.folder == path.parent
    assert recipe.license


def test_the_usual_codec_is_stored_as_absent():
    recipe = parse_recipe(TEXT)
    assert recipe.replace({"storage.codec": "lz4"}).resolved() == recipe.resolved()
    plain = recipe.replace({"storage.codec": "none"})
    assert plain.resolved()["storage"]["codec"] == "none"
    assert plain.hash == recipe.hash


def test_defaults_are_filled_in():
    recipe = parse_recipe(TEXT)
    data = recipe.resolved()
    assert (data["description"], data["license"], data["authors"]) == ("", "", [])
    assert data["storage"] == {"chunk_bytes": 2**18, "shard_bytes": 2**26}
    table = data["tables"]["images"]
    assert (table["group_size"], table["variables"]) == (1, {})
    assert [each["weight"] for each in table["classes"].values()] == [1.0, 2.0]
    circle = table["classes"]["dot"]["objects"][0]
    assert circle["blend"] == "add"
    assert circle["circle"]["amplitude"] == 1.0
    assert table["classes"]["dot"]["objects"][1]["rectangle"]["angle"] == 0.0
    assert table["noise"][0]["poisson"] == {"gain": 1.0, "background": 0.0}
    bare = parse_recipe(TEXT.replace("splits: {train: 0.75, test: 0.25}\n", ""))
    assert list(bare.splits.items()) == [("train", 0.8), ("validation", 0.1), ("test", 0.1)]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_the_resolved_recipe_reads_back_as_the_same(path):
    recipe = load_recipe(path)
    again = parse_recipe(recipe.to_yaml())
    assert again == recipe
    assert again.hash == recipe.hash
    for name in recipe.tables:
        assert again.table(name).hash == recipe.table(name).hash
    assert again.to_yaml() == recipe.to_yaml()
    assert again != recipe.replace({"seed": recipe.seed + 1})


def test_recipes_with_other_words_or_another_order_differ():
    recipe = parse_recipe(TEXT)
    assert recipe != recipe.replace({"title": "Other"})
    assert recipe != recipe.replace({"splits": {"test": 0.25, "train": 0.75}})
    assert recipe != TEXT
    assert hash(recipe) == hash(parse_recipe(TEXT))


def test_splits_may_be_thirds():
    recipe = parse_recipe(TEXT).replace({"splits": {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}})
    assert list(recipe.splits) == ["a", "b", "c"]


def test_names_may_be_as_long_as_allowed():
    changes = {"name": "0" * 63, f"{DOT}.1.name": "a" * 63, "seed": 2**64 - 1}
    changes |= {"tables.images.samples": 2**32, "version": "0.0.999999999"}
    recipe = parse_recipe(TEXT).replace(changes)
    assert (recipe.name, recipe.seed) == ("0" * 63, 2**64 - 1)


def test_a_recipe_is_frozen_and_survives_pickling():
    recipe = parse_recipe(TEXT)
    with pytest.raises(ValueError, match="frozen"):
        recipe.seed = 8
    copy = pickle.loads(pickle.dumps(recipe))
    assert copy == recipe
    assert copy.hash == recipe.hash
    assert copy.replace({"seed": 8}).seed == 8


# --- changed copies ------------------------------------------------------------------------------


def test_replace_gives_a_checked_copy():
    recipe = parse_recipe(TEXT, "r.yaml")
    other = recipe.replace({"tables.images.samples": 9, f"{DOT}.0.circle.radius": 3})
    assert other.tables["images"].samples == 9
    assert other.tables["images"].classes["dot"].objects[0].circle.radius.value == 3.0
    assert recipe.tables["images"].samples == 40
    assert other.replace({"tables.images.samples": 40}).tables["images"].samples == 40
    assert other.hash != recipe.hash


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("table.images.samples", "unknown key 'table'; did you mean 'tables'?"),
        ("tables.images.classes.dot.objects.2.name", "no index of a list of 2: allowed are 0 to 1"),
        ("seed.low", "there is nothing to set inside 7"),
    ],
)
def test_replace_refuses_paths_that_lead_nowhere(path, message):
    assert message in str(refusal({path: 1}))


# --- tables of a recipe --------------------------------------------------------------------------


def test_an_unknown_table_is_refused_with_the_nearest():
    with pytest.raises(
        CatalogError, match=r"no table 'image' in 'things'; did you mean 'images'\?"
    ):
        parse_recipe(TEXT).table("image")
    with pytest.raises(CatalogError, match="no table 'zzz' in 'things'; there is: images"):
        parse_recipe(TEXT).table("zzz")


def test_the_json_schema_knows_every_key():
    schema = Recipe.json_schema()
    assert schema["title"] == "DeepBench recipe"
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert set(schema["properties"]) == set(Recipe.model_fields)
    assert schema["additionalProperties"] is False
    text = json.dumps(schema)
    for entry in (ObjectEntry, NoiseEntry, PsfEntry):
        for kind in entry.registry:
            assert f'"{kind}"' in text
    assert set(schema["$defs"]["Storage"]["properties"]) == set(Storage.model_fields)


UNITS = ("pixel", "arcsec", "degree", "mag", "1", "km/s", "km/s/Mpc", "solMass")


@pytest.mark.parametrize("entry", [ObjectEntry, NoiseEntry, PsfEntry])
def test_every_parameter_says_what_it_is(entry):
    for kind in entry.registry:
        cls = next(
            each
            for each in entry.model_fields[kind].annotation.__args__
            if isinstance(each, type) and issubclass(each, Specification)
        )
        if cls is ImagePsf:  # a file, which is the same for all samples
            assert set(parameters_of(cls)) == {"index"}
            assert all(field.description for field in cls.model_fields.values())
            continue
        others = set(cls.model_fields) - set(parameters_of(cls))
        assert others <= {"psf", "shear", "microlensing", "order"}
        assert all(cls.model_fields[name].description for name in others)
        for parameter in parameters_of(cls).values():
            assert parameter.description
            assert parameter.unit in UNITS


@pytest.mark.parametrize("name", ["nan", "null"])
def test_a_class_that_reads_as_missing_is_refused(name):
    with pytest.raises(
        RecipeError, match=f"'{name}' cannot be the name of a class: readers of CSV"
    ):
        parse_recipe(TEXT.replace("      dot:", f'      "{name}":'))


def test_a_whole_number_is_one_however_it_is_written():
    """As in JSON Schema, where 1e3 is an integer."""
    text = TEXT.replace("seed: ", "seed: 1.0e+3 # ", 1)
    recipe = parse_recipe(text)
    assert recipe.seed == 1000
    assert isinstance(recipe.seed, int)
    changes = {"tables.images.samples": 1e3, "tables.images.size": [8.0, 8]}
    changed = recipe.replace(changes)
    assert changed.tables["images"].samples == 1000
    assert (
        changed.hash
        == recipe.replace({"tables.images.samples": 1000, "tables.images.size": [8, 8]}).hash
    )
    assert "samples: 1000\n" in changed.to_yaml()


# --- who made it -----------------------------------------------------------------------------------


def test_authors_are_names_or_more():
    recipe = parse_recipe(TEXT).replace(
        {"authors": ["A. Tester", {"name": "Lovelace, Ada", "orcid": "0000-0002-1825-0097"}]}
    )
    assert recipe.resolved()["authors"] == [
        "A. Tester",
        {"name": "Lovelace, Ada", "orcid": "0000-0002-1825-0097"},
    ]
    assert [each.is_person for each in credited(recipe.authors)] == [False, True]
    assert recipe.hash == parse_recipe(TEXT).hash
    assert not {"keywords", "url", "doi"} & set(recipe.resolved())


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("authors: [{nam: A}]", "unknown key 'nam'; did you mean 'name'?"),
        ("authors: [{name: A, orcid: 0000-0002-1825-0098}]", "would end with 7; look for a slip"),
        ("authors: [{name: A, orcid: 0000-0002-9079-593Y}]", "must be an ORCID iD such as 0000-"),
        ("authors: [3]", "must be a valid string, not 3; put it in quotes"),
        ("keywords: galaxy", "must be a list, not 'galaxy'"),
        ("url: example.org", "must be a web address such as https://example.org/shapes"),
        ("doi: https://doi.org/10.5281/zenodo.1", "must be a DOI such as 10.5281/zenodo.1234567"),
    ],
)
def test_mistakes_about_who_made_it(line, message):
    with pytest.raises(RecipeError, match=re.escape(message)):
        parse_recipe(f"{TEXT}{line}\n")


def test_an_orcid_may_end_with_x():
    assert Author(name="A", orcid="0000-0002-9079-593X").is_person
