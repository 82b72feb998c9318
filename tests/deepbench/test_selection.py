"""Splits by rule, selection by condition, and tables that draw from another one."""

import json

import numpy as np
import pytest
from scipy import stats

from deepbench.errors import LabelError, PlanError, RecipeError
from deepbench.numerics.stream_names import MOST_ATTEMPTS
from deepbench.recipe import parse_recipe
from deepbench.samples import labels, objects, render
from deepbench.selection import acceptance
from pipeline.plan import check_acceptance

STAR = {"star": {"x": {"uniform": [2, 14]}, "y": 8, "flux": {"log_uniform": [1, 1000]}}}
CROWD = STAR | {"repeat": {"integers": [0, 2]}, "name": "others"}
TABLE = {
    "kind": "image",
    "samples": 600,
    "size": [16, 16],
    "pixel_scale": 1,
    "measure": True,
    "variables": {"v": {"uniform": [0, 1]}},
    "classes": {"one": {"objects": [STAR]}, "many": {"objects": [STAR, CROWD]}},
    "psf": {"gaussian": {"sigma": 1.5}},
    "noise": [{"background": {"level": 100}}, {"poisson": {}}],
}
RULES = {
    "train": 0.75,
    "far": {"where": "star.flux > 900"},
    "test": 0.25,
    "both": {"where": "class == many and (v > 0.5 or others.x > 3)"},
}


def recipe(other=None, **table):
    tables = {"t": {key: each for key, each in (TABLE | table).items() if each is not None}}
    if other is not None:
        tables["twin"] = {key: each for key, each in (TABLE | other).items() if each is not None}
    head = {"name": "a", "version": "1.0.0", "title": "A", "seed": 3}
    return parse_recipe(json.dumps({**head, "tables": tables}))


def refusal(other=None, **table):
    with pytest.raises(RecipeError) as caught:
        recipe(other, **table)
    return str(caught.value)


REQUIRE = {"where": "star.snr > 5 and star.x < 12"}
SELECTED = recipe(require=REQUIRE, splits=RULES | {"both": {"where": "class == many and v > 0.5"}})


def test_the_first_true_rule_overrides_the_draw():
    rules = RULES | {"both": {"where": "class == many and v > 0.5"}}
    found, plain = (
        labels(recipe(splits=rules), "t"),
        labels(recipe(splits={"train": 0.75, "test": 0.25}), "t"),
    )
    far = found["star.flux"] > 900
    both = (found["class"] == "many") & (found["variables.v"] > 0.5)
    expected = np.where(far, "far", np.where(both, "both", plain["split"].astype(str)))
    assert (found["split"].astype(str) == expected).all()
    assert set(found["split"]) == set(rules)
    assert labels(recipe(splits=rules), "t", 100, 130).equals(found[100:130].reset_index(drop=True))


def test_an_absent_value_makes_a_rule_false():
    other = {"one": {"objects": [STAR]}, "two": {"objects": [STAR | {"name": "sun"}]}}
    rules = {"rest": 1.0, "bright": {"where": "star.x != 3 or sun.x > 8"}}
    found = labels(recipe(classes=other, splits=rules), "t")
    expected = found["star.x"].notna() | (found["sun.x"] > 8)
    assert ((found["split"] == "bright") == expected).all()


def test_a_sample_is_the_first_attempt_that_passes():
    found = labels(SELECTED, "t")
    assert (found["star.snr"] > 5).all()
    assert (found["star.x"] < 12).all()
    free = labels(recipe(), "t")
    passing = (free["star.snr"] > 5) & (free["star.x"] < 12)
    assert passing.equals(found["attempt"] == 0)
    for column in ("class", "group"):
        assert (found[column] == free[column]).all()
    kept = free.loc[passing, free.columns.difference(["split"])]
    assert found.loc[passing, kept.columns].equals(kept)
    rate = passing.mean()
    assert stats.binomtest(600, int((found["attempt"] + 1).sum()), rate).pvalue > 1e-4
    assert ((found["star.flux"] > 900) == (found["split"] == "far")).all()


def test_selected_samples_do_not_depend_on_the_block_and_render_from_their_rows():
    found, copies = labels(SELECTED, "t"), objects(SELECTED, "t")
    whole = render(SELECTED, "t", 0, 80)
    np.testing.assert_array_equal(render(SELECTED, "t", 41, 43).image, whole.image[41:43])
    assert labels(SELECTED, "t", 41, 60).equals(found[41:60].reset_index(drop=True))
    rows = found[:80].sample(frac=1, random_state=1)
    again = render(SELECTED, "t", labels=rows, objects=copies)
    np.testing.assert_array_equal(again.image, whole.image[rows["id"].to_numpy()])
    np.testing.assert_array_equal(again["others.repeat"], rows["others.repeat"].to_numpy())
    first = rows.assign(attempt=0)
    noise = render(SELECTED, "t", labels=first, objects=copies).image != again.image
    changed = noise.any(["y", "x"]).to_numpy()
    assert (changed == (rows["attempt"] > 0)).all()


def test_a_selection_may_count_copies():
    found = labels(recipe(require={"where": "class == one or others.repeat > 1"}), "t")
    many = found[found["class"] == "many"]
    assert (many["others.repeat"] > 1).all()
    assert (many["attempt"] > 0).any()


def test_redraw_all_draws_the_class_again():
    where = {"where": "star.flux > 500 or class == many"}
    kept = labels(recipe(require=where), "t")
    free = labels(recipe(require=where | {"redraw": "all"}), "t")
    assert (kept["class"] == labels(recipe(), "t")["class"]).all()
    assert (free["class"] == "one").mean() < 0.2
    assert (free["group"] == kept["group"]).all()


def test_groups_keep_their_values_and_split():
    variables = {"g": {"per": "group", "uniform": [0, 1]}, "v": {"uniform": [0, 1]}}
    rules = {"a": 0.5, "b": 0.5, "high": {"where": "g > 0.9"}}
    made = recipe(
        group_size=5, variables=variables, splits=rules, require={"where": "v > 0.7"}, measure=None
    )
    found = labels(made, "t")
    assert (found.groupby("group")[["variables.g", "split"]].nunique() == 1).all(axis=None)
    free = labels(recipe(group_size=5, variables=variables), "t")
    assert (found["variables.g"] == free["variables.g"]).all()
    assert (found["variables.v"] > 0.7).all()


def test_a_twin_shows_the_same_scene():
    other = {"draw_from": "t", "noise_from": "t", "psf": {"gaussian": {"sigma": 1.5}}}
    made = recipe(other, require=REQUIRE, splits=RULES | {"both": {"where": "v > 0.5"}})
    one, two = labels(made, "t"), labels(made, "twin")
    assert one.equals(two)
    images = [render(made, name, 0, 40) for name in ("t", "twin")]
    np.testing.assert_array_equal(*(each.image for each in images))
    own = recipe({"draw_from": "t"}, require=REQUIRE)
    images = [render(own, name, 0, 40).image for name in ("t", "twin")]
    assert (images[0] != images[1]).any(["y", "x"]).all()
    clean = recipe({"draw_from": "t", "noise": None, "measure": None}, require=REQUIRE)
    alone = recipe(noise=None, measure=None)
    first = np.flatnonzero(labels(clean, "twin")["attempt"] == 0)[:5]
    for sample in first:
        twin = render(clean, "twin", sample, sample + 1).image
        np.testing.assert_array_equal(twin, render(alone, "t", sample, sample + 1).image)


def test_a_twin_of_another_kind_draws_equal_quantiles():
    pendulum = {
        "kind": "dynamics",
        "draw_from": "t",
        "samples": 50,
        "times": {"duration": 1, "steps": 5},
        "variables": {"v": {"uniform": [10, 20]}},
        "classes": {
            name: {"system": {"pendulum": {"length": "= v", "angle": 20, "gravity": 9.8}}}
            for name in ("one", "many")
        },
    }
    head = {"name": "a", "version": "1.0.0", "title": "A", "seed": 3}
    made = parse_recipe(json.dumps({**head, "tables": {"t": TABLE, "p": pendulum}}))
    one, two = labels(made, "t", 0, 50), labels(made, "p")
    np.testing.assert_allclose(two["variables.v"], 10 + 10 * one["variables.v"], rtol=1e-15)
    assert (one["split"] == two["split"]).all()


def test_the_hash_of_a_twin_holds_what_it_inherits():
    other = {"draw_from": "t"}
    plain, selected = recipe(other), recipe(other, require=REQUIRE)
    stricter = recipe(other, require={"where": "star.snr > 6"})
    assert len({each.table("twin").hash for each in (plain, selected, stricter)}) == 3
    assert recipe(other, noise=None, measure=None).table("twin").hash == plain.table("twin").hash


def test_the_acceptance_is_told_by_class_and_too_low_ones_are_refused():
    counts = acceptance(SELECTED.table("t"))
    assert sum(tried for tried, _ in counts.values()) == 4096
    rate = sum(accepted for _, accepted in counts.values()) / 4096
    passed = labels(SELECTED, "t")["attempt"]
    assert rate == pytest.approx(600 / (passed + 1).sum(), rel=0.15)
    rare = recipe(require={"where": "star.flux > 995"})
    with pytest.raises(
        PlanError, match=r"accepts \d+ of the first 4,096 attempts .*must accept 2%"
    ):
        check_acceptance(rare)
    crowds = {"where": "others.repeat > 0"}
    with pytest.raises(PlanError, match="none of the first .* attempts of the class 'one'"):
        check_acceptance(recipe(require=crowds))
    check_acceptance(recipe(require=crowds | {"redraw": "all"}))
    assert check_acceptance(recipe(require=REQUIRE), measured=False) == {}


def test_a_class_that_is_never_accepted_is_refused():
    never = {"where": "class == one"}
    with pytest.raises(PlanError, match=r"none of the first [\d,]+ attempts of the class 'many'"):
        check_acceptance(recipe(require=never))
    assert check_acceptance(recipe(require=never | {"redraw": "all"}))["t"]["many"][1] == 0


def test_a_sample_that_no_attempt_can_give_is_named(monkeypatch):
    never = recipe(require={"where": "star.x < 1"}, measure=None)
    monkeypatch.setattr("deepbench.selection.MOST_ATTEMPTS", 50)
    with pytest.raises(
        LabelError, match="sample 7: none of 50 attempts meets `require`: star.x < 1"
    ):
        labels(never, "t", 7, 9)
    alone = {"measure": None, "classes": {"one": {"objects": [STAR]}}}
    never = recipe(require={"where": "star.x < 1"}, **alone)
    monkeypatch.setattr("deepbench.selection.HOPELESS", 40)
    with pytest.raises(LabelError, match="none of 20 attempts meets"):
        labels(never, "t", 7, 9)
    rows = labels(recipe(require={"where": "star.x > 1"}, **alone), "t", 0, 2)
    with pytest.raises(LabelError, match="attempt = 32768"):
        render(never, "t", labels=rows.assign(attempt=MOST_ATTEMPTS))


BAD = [
    (None, {"splits": {"train": 0.5, "test": 0.6}}, "must add up to 1; they add up to 1.1"),
    (
        None,
        {"splits": {"a": {"where": "psf.sigma > 1"}}},
        "needs a split for the samples that meet no rule",
    ),
    (None, {"splits": RULES}, "'others.x' has one value per copy"),
    (None, {"splits": {"a": 1.0, "b": {"where": "others.repeat > 3"}}}, "number of copies"),
    (None, {"splits": {"a": 1.0, "b": {"where": "star.snr > 5"}}}, "'star.snr' is measured when"),
    (None, {"splits": {"a": 1.0, "b": {"where": "star.flx > 5"}}}, "did you mean 'star.flux'?"),
    (None, {"splits": {"a": 1.0, "b": {"where": "star.flux"}}}, "must be a condition"),
    (None, {"splits": {"a": 1.0, "b": {"were": "v > 5"}}}, "did you mean 'where'?"),
    (
        None,
        {"splits": {"a": 1.0, "b": {"where": "v > 5"}}, "group_size": 2},
        "'v' differs within a group",
    ),
    (
        None,
        {"splits": {"a": 1.0, "b": {"where": "class == one"}}, "group_size": 2},
        "class differs",
    ),
    (None, {"splits": {"a": 1.0, "b": {"where": "split == a"}}}, "in a circle"),
    (None, {"require": {"where": "star.snrr > 5"}}, "did you mean 'star.snr'?"),
    (None, {"require": {"where": "v > 0", "redraw": "some"}}, "'values' or 'all'"),
    ({"draw_from": "s"}, {}, "unknown table 's'"),
    ({"draw_from": "twin"}, {}, "a table cannot draw from itself"),
    ({"draw_from": "t"}, {"draw_from": "twin"}, "there are no chains"),
    ({"draw_from": "t", "group_size": 2}, {}, "its group_size must be that of 't': 1, not 2"),
    (
        {"draw_from": "t", "classes": {"one": {"objects": [STAR]}}},
        {},
        "its list of classes must be",
    ),
    (
        {"draw_from": "t", "splits": {"a": 1.0}},
        {},
        "has the splits of that table: leave out `splits`",
    ),
    ({"draw_from": "t", "require": REQUIRE}, {}, "leave out `require`"),
    ({"noise_from": "t"}, {}, "`noise_from` must be the table of `draw_from`"),
]


@pytest.mark.parametrize(("other", "table", "says"), BAD, ids=lambda each: str(each)[:40])
def test_bad_rules_and_twins_are_refused_by_name(other, table, says):
    assert says in refusal(other, **table)


def test_a_selection_and_shared_variables_need_twins():
    head = {
        "name": "a",
        "version": "1.0.0",
        "title": "A",
        "seed": 3,
        "variables": {"z": {"uniform": [0, 1]}},
    }
    tables = {"t": TABLE | {"require": {"where": "z > 0.5"}}, "u": TABLE}
    with pytest.raises(RecipeError, match="'u' would not share them; give it `draw_from: t`"):
        parse_recipe(json.dumps({**head, "tables": tables}))
    tables["u"] = TABLE | {"draw_from": "t"}
    made = parse_recipe(json.dumps({**head, "tables": tables}))
    assert (labels(made, "t")["variables.z"] == labels(made, "u")["variables.z"]).all()
