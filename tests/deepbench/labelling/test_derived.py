"""Labels that follow from others: formulas, the log-density of what is drawn, and classes with noise."""

import json
import math

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from scipy import stats

from deepbench.errors import LabelError, RecipeError
from deepbench.recipe import Recipe, load_recipe, parse_recipe
from deepbench.samples import labels, objects, render

CATALOG = "mass,age\n1,2\n1,3\n4,5\n1,2\n"

TEXT = """\
name: derived
version: 1.0.0
title: Labels that follow from others
seed: 11
splits: {train: 0.5, test: 0.5}
tables:
  images:
    kind: image
    samples: 300
    size: [24, 32]
    group_size: 2
    measure: true
    variables:
      mean: {per: group, normal: [10, 2]}
      level: {normal: ["= mean", "= 0.1 * mean"]}
      row: {catalog: {file: rows.csv}}
      pair: {multivariate_normal: {columns: [u, v], mean: [1, 20], covariance: [[4, 3], [3, 9]]}}
    classes:
      disk:
        weight: {by: split, train: 3, otherwise: 1}
        objects: [{circle: {x: {uniform: [0, 31]}, y: 12, radius: {uniform: [1, 9]}}, name: shape}]
      square:
        objects:
          - rectangle: {x: {uniform: [0, 31]}, y: 12, width: {power_law: [2, 1, 9]}, height: "= width"}
            name: shape
      crowd:
        variables: {most: {choice: [2, 4]}}
        objects:
          - circle: {x: {uniform: [0, 31]}, y: 12, radius: {uniform: [0.5, "= most"]}, thickness: "= radius / 2"}
            name: dot
            repeat: {integers: [0, 3]}
    psf:
      gaussian:
        sigma:
          mixture:
            - {weight: 1, value: 1}
            - {weight: 3, value: {by: split, train: {uniform: [0.5, 1.5]}, test: 2}}
"""
KEYS = """\
    labels:
      size: {value: "= sqrt(shape.area / pi)", unit: pixel, description: "radius of a disk of this area"}
      ratio: {value: "= shape.width / mean"}
      rich: {value: "= where(class == crowd and split != test, dot.repeat, 0) + 0 * pair.u * row.mass"}
    log_prior: true
    label_noise: {class: 0.2}
"""
DERIVED = ["labels.size", "labels.ratio", "labels.rich", "log_prior", "class_noisy"]
ADDED = TEXT.replace("    variables:\n      mean", f"{KEYS}    variables:\n      mean")


@pytest.fixture(scope="module")
def recipe_of(tmp_path_factory):
    """Return a recipe in a folder with its catalogue."""
    folder = tmp_path_factory.mktemp("recipes")
    (folder / "rows.csv").write_text(CATALOG)

    def read(text):
        path = folder / f"{len(list(folder.iterdir()))}.yaml"
        path.write_text(text)
        return load_recipe(path)

    return read


@pytest.fixture(scope="module")
def recipe(recipe_of):
    return recipe_of(ADDED)


@pytest.fixture(scope="module")
def frame(recipe):
    return labels(recipe, "images")


def same(one, other, names):
    for name in names:
        np.testing.assert_array_equal(np.asarray(one[name]), np.asarray(other[name]), err_msg=name)


def small(classes=("a", "b"), **changes):
    """Return a small recipe of images, as plain data, with other keys of its table."""
    table = {
        "kind": "image",
        "samples": 50,
        "size": [8, 8],
        "classes": {
            name: {"objects": [{"circle": {"x": 4, "y": 4, "radius": {"uniform": [1, 3]}}}]}
            for name in classes
        }
        if isinstance(classes, tuple)
        else classes,
    }
    head = {"name": "a", "version": "1.0.0", "title": "A", "seed": 5}
    return {**head, "tables": {"t": table | changes}}


def read(**changes):
    return parse_recipe(json.dumps(small(**changes)))


# --- what they have in common --------------------------------------------------------------------


def test_they_move_nothing_else(recipe_of, recipe, frame):
    plain = recipe_of(TEXT)
    before = labels(plain, "images")
    assert [*before.columns, *DERIVED] == [*frame.columns]
    same(before, frame, before.columns)
    assert frame.attrs["units"]["labels.size"] == "pixel"
    one, other = render(plain, "images", 0, 6), render(recipe, "images", 0, 6)
    np.testing.assert_array_equal(one.image, other.image)
    assert other["labels.size"].attrs["long_name"] == "radius of a disk of this area"
    assert plain.hash != recipe.hash == recipe_of(ADDED.replace("radius of a disk", "that")).hash


def test_they_depend_on_the_sample_alone(recipe, frame):
    for start, stop in ((41, 42), (100, 190), (290, 305)):
        same(labels(recipe, "images", start, stop).loc[: 299 - start], frame[start:stop], DERIVED)
    row = render(recipe, "images", 41, 42)
    same({name: row[name].values for name in DERIVED[:4]}, frame[41:42], DERIVED[:4])


def test_given_rows_are_never_believed(recipe, frame):
    copies = objects(recipe, "images")
    rows = frame[60:120].copy()
    wrong = rows.assign(**{"labels.size": 7.0, "log_prior": math.inf, "class_noisy": "disk"})
    for given in (rows.drop(columns=DERIVED), wrong):
        found = render(recipe, "images", labels=given, objects=copies)
        same({name: found[name].values for name in DERIVED[:4]}, rows, DERIVED[:4])
        np.testing.assert_array_equal(found.class_noisy.values, rows.class_noisy.cat.codes)
    square = rows[rows["class"] == "square"].drop(columns=DERIVED)
    square["shape.width"] = square["shape.height"] = 4.0
    square["shape.x"] = 16.0
    found = render(recipe, "images", labels=square)
    np.testing.assert_allclose(found["labels.size"], 4 / math.sqrt(math.pi), rtol=1e-12)
    change = stats.truncpareto(1, 9).logpdf(4) - stats.truncpareto(1, 9).logpdf(
        rows.loc[square.index, "shape.width"]
    )
    np.testing.assert_allclose(
        found.log_prior - rows.loc[square.index].log_prior, change, atol=1e-9
    )


# --- formulas ------------------------------------------------------------------------------------


def test_formulas_use_what_is_there_and_are_absent_elsewhere(frame):
    is_crowd = frame["class"] == "crowd"
    np.testing.assert_allclose(
        frame["labels.size"], np.sqrt(frame["shape.area"] / np.pi), rtol=1e-15
    )
    assert frame["labels.size"].isna().equals(is_crowd)
    assert frame["labels.ratio"].isna().equals(frame["class"] != "square")
    rich = np.where(is_crowd & (frame.split == "train"), frame["dot.repeat"], 0)
    np.testing.assert_array_equal(frame["labels.rich"], rich)
    inside = (frame["class"] == "disk") & (frame["shape.frame_fraction"] == 1)
    assert inside.sum() > 50
    np.testing.assert_allclose(frame["labels.size"][inside], frame["shape.radius"][inside])


def test_an_infinite_label_names_its_sample():
    described = read(labels={"far": {"value": "= 1 / (circle.radius > 2)"}})
    first = int(np.argmax(labels(read(), "t")["circle.radius"] <= 2))
    with pytest.raises(LabelError, match=rf"sample {first}: labels\.far is infinite by \"= 1 /"):
        labels(described, "t")
    nan = labels(read(labels={"root": {"value": "= sqrt(1 - circle.radius)"}}), "t")
    assert nan["labels.root"].isna().all()


REFUSED = [
    ({"size": {"value": "= circle.radus"}}, "no label is called 'circle.radus'; did you mean"),
    ({"size": {"value": "= radius"}}, "no label is called 'radius'"),
    ({"size": {"value": "= class"}}, "'class' is no number: compare it with a name"),
    ({"size": {"value": "= class == disc"}}, "class"),
    ({"size": {"value": "= group"}}, "no label is called 'group'"),
    ({"a": {"value": "= 1"}, "b": {"value": "= labels.a"}}, "'labels.a' is a derived label"),
    ({"size": {"value": 3}}, "must be an expression of labels, such as"),
    ({"size": {"value": {"uniform": [0, 1]}}}, "must be an expression of labels"),
    ({"size": {"value": "= pi", "unit": "a|b"}}, "must be one line without '|'"),
    ({"size": {"value": "= pi", "description": "two\nlines"}}, "must be one line"),
    ({}, "at least 1 item"),
]


@pytest.mark.parametrize(("written", "message"), REFUSED, ids=[m for _, m in REFUSED])
def test_formulas_that_are_refused(written, message):
    with pytest.raises(RecipeError) as error:
        read(labels=written)
    assert message in str(error.value)


def test_nothing_uses_a_derived_label_and_none_uses_copies():
    size = {"size": {"value": "= circle.radius"}}
    with pytest.raises(
        RecipeError, match=r"'labels\.size' is a derived label, which nothing can use"
    ):
        read(labels=size, psf={"gaussian": {"sigma": "= labels.size"}})
    entry = {"circle": {"x": 4, "y": 4, "radius": 1}, "repeat": 2}
    with pytest.raises(
        RecipeError, match=r"one value for each copy of 'circle'; .* circle\.repeat"
    ):
        read(labels=size, classes={"a": {"objects": [entry]}})
    with pytest.raises(RecipeError, match="an object has the name 'labels'"):
        read(
            labels={"size": {"value": "= 1"}},
            classes={"a": {"objects": [entry | {"name": "labels"}]}},
        )


# --- the log-density -----------------------------------------------------------------------------


def test_the_log_prior_is_the_sum_of_all_draws(recipe, frame):
    copies = objects(recipe, "images")
    normal, joint = stats.norm, stats.multivariate_normal([1, 20], [[4, 3], [3, 9]])
    rows = {(1, 2): 2 / 4, (1, 3): 1 / 4, (4, 5): 1 / 4}
    for _, row in frame.iterrows():
        train = row["split"] == "train"
        weights = {"disk": 3 if train else 1, "square": 1, "crowd": 1}
        mean = row["variables.mean"]
        terms = [
            math.log(weights[row["class"]] / sum(weights.values())),
            normal(10, 2).logpdf(mean),
            normal(mean, 0.1 * mean).logpdf(row["variables.level"]),
            math.log(rows[row["variables.row.mass"], row["variables.row.age"]]),
            joint.logpdf([row["variables.pair.u"], row["variables.pair.v"]]),
            math.log(1 / 4 if row["psf.sigma"] == 1 else 3 / 4),
        ]
        if row["class"] == "disk":
            terms += [-math.log(31), -math.log(8)]
        elif row["class"] == "square":
            terms += [-math.log(31), stats.truncpareto(1, 9).logpdf(row["shape.width"])]
        else:
            terms += [math.log(1 / 4), math.log(1 / 2)]
            width = row["variables.most"] - 0.5
            terms += [-math.log(31) - math.log(width)] * row["dot.repeat"]
        assert row["log_prior"] == pytest.approx(math.fsum(terms), abs=1e-9)
    assert len(copies) > 50


def test_what_cannot_be_drawn_has_no_density(recipe, frame):
    rows = frame[(frame["class"] == "disk")][:2].copy()
    rows["shape.radius"] = [9.5, 8.5]
    with pytest.warns(UserWarning, match="beyond what the recipe draws"):
        found = render(recipe, "images", labels=rows).log_prior.values
    assert found[0] == -np.inf
    assert np.isfinite(found[1])


def test_false_is_absent():
    assert read(log_prior=False).hash == read().hash
    assert "log_prior" not in labels(read(log_prior=False), "t")


# --- noise of classes ----------------------------------------------------------------------------

MANY = {"samples": 40_000, "classes": ("a", "b", "c")}


def codes(noise, **changes):
    found = labels(read(label_noise={"class": noise}, **{**MANY, **changes}), "t")
    return found["class"].cat.codes.to_numpy(), found.class_noisy.cat.codes.to_numpy(), found.split


def test_a_share_of_the_classes_is_wrong_and_the_others_are_equally_likely():
    true, noisy, _ = codes(0.3)
    table = np.zeros((3, 3))
    np.add.at(table, (true, noisy), 1)
    expected = np.where(np.eye(3, dtype=bool), 0.7, 0.15) * table.sum(axis=1, keepdims=True)
    assert stats.chi2.sf(((table - expected) ** 2 / expected).sum(), 6) > 1e-4
    _, less, _ = codes(0.1)
    assert np.all((less == true) | (noisy != true))  # what less noise spoils, more noise spoils
    row = {"a": 0.15, "b": 0.15, "c": 0.15}
    matrix = {name: row | {name: 0.7} for name in row}
    assert np.mean(codes(matrix)[1] == noisy) > 1 - 1e-4  # but where intervals round


def test_a_matrix_and_noise_of_a_split():
    true, noisy, _ = codes({"a": {"b": 1}, "b": {"b": 0.75, "c": 0.25}})
    assert np.all(noisy[true == 0] == 1)
    assert np.all(noisy[true == 2] == 2)
    share = np.mean(noisy[true == 1] == 2)
    assert abs(share - 0.25) < 5 * math.sqrt(0.25 * 0.75 / (true == 1).sum())
    true, noisy, split = codes({"by": "split", "train": 0.5, "otherwise": 0})
    wrong = true != noisy
    assert not wrong[split != "train"].any()
    assert abs(wrong[split == "train"].mean() - 0.5) < 0.02


NOISE = [
    (1.5, "must be a probability, from 0 to 1, not 1.5"),
    ("lots", "must be a number"),
    ({"a": {"a": 0.5}}, "the probabilities must add up to 1; they add up to 0.5"),
    ({"a": {"d": 1}}, "d"),
    ({"a": 0.5}, "must be a mapping of classes to probabilities"),
    ({"by": "class", "a": 0.5, "otherwise": 0}, "must be a probability, one for each split"),
    ({"by": "split", "train": 0.5}, "has no value for split validation"),
    ({"by": "split", "tain": 0.5, "otherwise": 0}, "train"),
    ({"by": "split", "train": 2, "otherwise": 0}, "from 0 to 1, not 2"),
]


@pytest.mark.parametrize(("noise", "message"), NOISE, ids=[m for _, m in NOISE])
def test_noise_that_is_refused(noise, message):
    with pytest.raises(RecipeError) as error:
        read(label_noise={"class": noise}, classes=("a", "b"))
    assert message in str(error.value)


def test_noise_needs_another_class():
    with pytest.raises(RecipeError, match="a table of one class has no other one"):
        read(label_noise={"class": 0.1}, classes=("a",))


def test_the_json_schema_takes_what_the_loader_takes():
    validator = Draft202012Validator(Recipe.json_schema())
    good = {"labels": {"size": {"value": "= circle.radius", "unit": "pixel"}}, "log_prior": True}
    noises = [0.1, {"by": "split", "train": 0.5, "otherwise": 0}, {"a": {"b": 1}}]
    for noise in noises:
        assert validator.is_valid(small(**good, label_noise={"class": noise}))
    bad = [{"labels": {"size": {"value": 3}}}, {"labels": {}}, {"label_noise": {"split": 0.1}}]
    bad += [{"label_noise": {"class": noise}} for noise in (1.5, {"a": 0.5}, "lots")]
    for each in [*bad, {"measure": ["stars"]}]:
        assert not validator.is_valid(small(**each)), each
        with pytest.raises(RecipeError):
            read(**each)


def test_which_objects_are_measured():
    """Recipes with a sky keep their columns; shapes beside it are measured where the recipe says so."""
    star = {"star": {"x": 4, "y": 4, "flux": 900}}
    shape = {"circle": {"x": 4, "y": 4, "radius": 2}}
    sky = {"psf": {"gaussian": {"sigma": 1.5}}, "noise": [{"gaussian": {"sigma": 1}}]}

    def columns(measure, *entries):
        classes = {"a": {"objects": list(entries)}}
        found = labels(read(measure=measure, classes=classes, **sky), "t", 0, 1).columns
        return {name for name in ("star.snr", "circle.area") if name in found}

    assert columns(True, star, shape) == columns(["sky"], star, shape) == {"star.snr"}
    assert columns(["shapes"], star, shape) == columns(True, shape) == {"circle.area"}
    assert columns(["sky", "shapes"], star, shape) == {"star.snr", "circle.area"}
    with pytest.raises(RecipeError, match=r"measure: \[shapes\] needs shapes"):
        columns(["shapes"], star)
    with pytest.raises(RecipeError, match="measure needs stars or galaxies"):
        columns(["sky"], shape)
