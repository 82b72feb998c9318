"""What a table of dynamics may say, and what it may not."""

import copy
import json

import numpy as np
import pytest

from deepbench.dynamics.model import DynamicsClass, DynamicsTable
from deepbench.dynamics.recording import Disk, Frames, MeasurementNoise, Rod, Times
from deepbench.dynamics.systems.orbits import Body, body_names
from deepbench.dynamics.systems.systems import SystemEntry
from deepbench.errors import RecipeError
from deepbench.language.specification import parameters_of
from deepbench.recipe import Recipe, parse_recipe
from deepbench.samples import labels

HEAD = {"name": "a", "version": "1.0.0", "title": "A", "seed": 5}
SWING = {"pendulum": {"length": 1, "angle": 20, "gravity": 9.81}}
DOUBLE = {
    "double_pendulum": {
        "length_1": 1,
        "length_2": 1,
        "mass_1": 1,
        "mass_2": 1,
        "angle_1": 9,
        "angle_2": 9,
        "gravity": 9.81,
    }
}
PAIR = {"two_body": {"mass_1": 1, "mass_2": 1, "semi_major_axis": 1, "eccentricity": 0.1}}
FEW = {
    "few_body": {
        "bodies": [{"mass": 1, "x": 0, "y": 0}, {"mass": 0.1, "x": 1, "y": 0, "vy": 6.2}],
    }
}
FRAMES = {"size": [20, 24], "scale": 8, "disks": [{"radius": 2}]}


def table(*systems, **more):
    classes = {f"c{i}": {"system": system} for i, system in enumerate(systems or (SWING,))}
    described = {"kind": "dynamics", "samples": 4, "times": {"duration": 2, "steps": 9}}
    return {**described, "classes": classes, **more}


def read(described):
    return parse_recipe(json.dumps({**HEAD, "tables": {"t": described}}))


def refusal(described):
    with pytest.raises(RecipeError) as caught:
        read(described)
    return str(caught.value)


def changed(described, path, value):
    described = copy.deepcopy(described)
    place = described
    *steps, last = path.split(".")
    for step in steps:
        place = place[int(step) if step.isdigit() else step]
    place[last] = value
    return described


REFUSED = [
    ("times", {"duration": 2}, "must have either duration and steps, or values; it has duration"),
    ("times", {}, "it has none of them"),
    ("times", {"duration": 2, "steps": 9, "values": [0, 1]}, "duration and steps and values"),
    ("times", {"duration": 0, "steps": 9}, "must be greater than 0"),
    ("times", {"duration": 1, "steps": 1}, "must be greater than or equal to 2"),
    ("times", {"values": [0, 1, 1, 2]}, "times must increase; 1 follows 1"),
    ("times", {"values": [0, 2, 1]}, "times must increase; 1 follows 2"),
    ("times", {"values": [-1, 2]}, "motions begin at time 0; the first time is -1"),
    ("times", {"values": [0]}, "the last time must be above 0"),
    ("store", [], "must have at least 1 item"),
    ("store", ["position", "position"], "names a variable twice"),
    ("store", ["positon"], "positon"),
    (
        "store",
        ["position", "position_true"],
        "position_true is position itself, which has no noise",
    ),
    ("noise", {"q": 1}, "`noise` has q, which is not in `store`"),
    ("noise", {"position": -1}, "must be a number at least 0, not -1"),
    ("lyapunov_limit", 0, "must be greater than 0"),
    ("frames", FRAMES | {"every": 9}, "`every` must be below 9, the number of times"),
    ("frames", FRAMES | {"size": [3]}, r"must be \[y, x\], two whole numbers"),
    ("frames", FRAMES | {"disks": [{"radius": 1}] * 2}, "there are 1 bodies, but 2 disks"),
    ("frames", FRAMES | {"disks": []}, "must have at least 1 item"),
    ("frames", FRAMES | {"scale": 0}, "must be a number above 0"),
    ("frames", FRAMES | {"blur": 65}, "at least 0 and at most 64"),
    ("classes.null", {"system": SWING}, "'null' cannot be the name of a class"),
    ("classes.pair", {"system": PAIR}, "'c0' in metres and seconds, 'pair' in au and years"),
    ("classes.c0.system", {}, "must have exactly one of pendulum, .*few_body; it has none"),
    ("classes.c0.system", {**SWING, **DOUBLE}, "it has pendulum and double_pendulum"),
    ("classes.c0.system", {"pendulums": {}}, "unknown key 'pendulums'; did you mean 'pendulum'?"),
    ("classes.c0.system.name", "noise", "'noise' cannot be the name of a system or a body"),
    ("classes.c0.system.pendulum.length", 0, "must be a number above 0 (m), not 0"),
    ("classes.c0.system.pendulum.length", {"normal": [1, 0.1]}, "use truncated_normal"),
    ("classes.c0.system.pendulum.gravity", -9.81, "must be a number above 0 (m/s2), not -9.81"),
    ("classes.c0.system.pendulum.gravity", None, "planet_radius; it has none of them"),
    ("classes.c0.system.pendulum.planet_mass", 1, "it has gravity and planet_mass"),
    ("classes.c0.system.pendulum.planet_mass_error", 1, "planet_mass, which is missing"),
    ("classes.c0.system.pendulum.solution", "small", "must be 'exact' or 'small_angle'"),
]


@pytest.mark.parametrize(("path", "value", "message"), REFUSED)
def test_a_wrong_value_of_a_pendulum_is_refused(path, value, message):
    text = refusal(changed(table(), path, value))
    for part in message.split(".*"):
        assert part.replace("\\", "") in text


@pytest.mark.parametrize(
    ("system", "path", "value", "message"),
    [
        (PAIR, "two_body.eccentricity", 1, "must be a number at least 0 and below 1, not 1"),
        (PAIR, "two_body.eccentricity", -0.1, "must be a number at least 0 and below 1, not -0.1"),
        (PAIR, "two_body.eccentricity", {"uniform": [0, 1.2]}, "at least 0 and below 1"),
        (PAIR, "two_body.semi_major_axis", 0, "must be a number above 0 (AU), not 0"),
        (PAIR, "two_body.mass_1", 0, "must be a number above 0 (solMass), not 0"),
        (PAIR, "two_body.units", "si", "must be 'astronomical' or 'n_body'"),
        (FEW, "few_body.bodies", [{"mass": 1, "x": 0, "y": 0}], "must have at least 2 items"),
        (FEW, "few_body.bodies", FEW["few_body"]["bodies"] * 6, "must have at most 10 items"),
        (FEW, "few_body.bodies.0.mass", -1, "must be a number at least 0 (solMass), not -1"),
        (FEW, "few_body.bodies.0.w", 1, "unknown key 'w'"),
        (FEW, "few_body.bodies.1.name", "few_body", "a body has the name of its system"),
        (FEW, "few_body.bodies.1.name", "frames", "'frames' cannot be the name"),
        (FEW, "few_body.softening", -1, "must be a number at least 0 (AU), not -1"),
    ],
)
def test_a_wrong_value_of_an_orbit_is_refused(system, path, value, message):
    assert message in refusal(changed(table(system), f"classes.c0.system.{path}", value))


def test_what_orbits_do_not_have_is_refused():
    assert "q is stored of pendulums only" in refusal(table(PAIR, store=["position", "q"]))
    rods = {**FRAMES, "rods": {"thickness": 1}}
    assert "the frames of orbits have no arms" in refusal(table(PAIR, frames=rods))
    mixed = {"few_body": {**FEW["few_body"], "units": "n_body"}}
    assert "'c0' in au and years, 'c1' in n_body units" in refusal(table(PAIR, mixed))


def test_bodies_have_names_of_their_own():
    bodies = [{"mass": 1, "x": i, "y": 0} for i in range(4)]
    bodies[1] |= {"name": "sun"}
    recipe = read(table({"few_body": {"bodies": bodies}}))
    system = recipe.tables["t"].classes["c0"].system.few_body
    assert body_names(system.bodies) == ["body", "sun", "body.2", "body.3"]
    columns = [column.name for column in recipe.table("t").plan.columns]
    assert {"body.x", "sun.x", "body.3.vz", "few_body.softening"} <= set(columns)
    bodies[2] |= {"name": "sun"}
    assert "two bodies are called 'sun'" in refusal(table({"few_body": {"bodies": bodies}}))


def test_bodies_can_use_each_others_values():
    bodies = [
        {"name": "one", "mass": {"uniform": [1, 2]}, "x": 1, "y": 0},
        {"name": "two", "mass": "= 2 * one.mass", "x": "= -one.x / 2", "y": 0},
    ]
    found = labels(read(table({"few_body": {"bodies": bodies, "softening": 1}})), "t")
    np.testing.assert_array_equal(found["two.mass"], 2 * found["one.mass"])
    np.testing.assert_array_equal(found["two.x"], -0.5)


def test_variables_and_coordinates_are_described():
    frames = {**FRAMES, "every": 3}
    store = ["position", "q", "q_true"]
    described = read(table(SWING, DOUBLE, store=store, noise={"q": 1}, frames=frames)).tables["t"]
    found = {each.name: each for each in described.data_variables()}
    assert list(found) == ["position", "q", "q_true", "frames"]
    assert found["position"].dimensions == ("time", "body", "axis")
    assert found["position"].shape == (9, 2, 2)
    assert found["position"].units == "m"
    assert found["position"].missing
    assert found["q"].shape == (9, 2)
    assert found["q_true"].long_name.endswith(", without noise")
    assert (found["frames"].shape, found["frames"].dtype) == ((3, 20, 24), "float32")
    axes = {each.name: each for each in described.coordinates()}
    assert list(axes) == ["time", "body", "axis", "degree", "frame", "y", "x"]
    np.testing.assert_array_equal(axes["time"].values, np.linspace(0, 2, 9))
    np.testing.assert_array_equal(axes["frame"].values, [0, 0.75, 1.5])
    assert axes["axis"].meanings == ("x", "y")
    alone = read(table(PAIR, times={"values": [0.5, 1]})).tables["t"]
    assert [each.name for each in alone.coordinates()] == ["time", "body", "axis"]
    assert alone.data_variables()[0].shape == (2, 2, 3)
    assert not alone.data_variables()[0].missing


@pytest.mark.parametrize(
    ("system", "units"),
    [
        (SWING, ("s", "m", "m/s", "pixel/m", "m")),
        (PAIR, ("yr", "AU", "AU/yr", "pixel/AU", "AU")),
        ({"few_body": {**FEW["few_body"], "units": "n_body"}}, ("1", "1", "1", "pixel", "1")),
    ],
)
def test_units_are_those_of_the_system(system, units):
    recipe = read(table(system, frames=FRAMES, noise={"position": 0.1}))
    time = recipe.tables["t"].coordinates()[0].units
    variables = [each.units for each in recipe.tables["t"].data_variables()[:2]]
    columns = {column.name: column for column in recipe.table("t").plan.columns}
    others = [columns[name].unit for name in ("frames.scale", "noise.position")]
    assert (time, *variables, *others) == units
    if units[0] == "1":
        assert columns["body.vx"].unit == columns["few_body.softening"].unit == "1"
        assert columns["few_body.lyapunov_exponent"].unit == "1"
    if system is FEW:
        assert columns["few_body.lyapunov_exponent"].unit == "1/yr"


def test_chaotic_systems_have_measured_labels():
    plan = read(table(SWING, DOUBLE)).table("t").plan
    measured = [column.name for column in plan.columns if column.measured]
    assert measured == [
        "double_pendulum.lyapunov_exponent",
        "double_pendulum.lyapunov_times",
    ]
    assert not read(table(SWING)).table("t").plan.is_measured


def test_the_schema_knows_every_key_and_both_kinds():
    text = json.dumps(Recipe.json_schema())
    models = (DynamicsTable, DynamicsClass, Times, MeasurementNoise, Frames, Rod, Disk, Body)
    for model in models:
        for name in model.model_fields:
            assert f'"{name}"' in text
    for kind in SystemEntry.registry:
        assert f'"{kind}"' in text
    assert '"image"' in text


def test_every_parameter_says_what_it_is():
    classes = [
        SystemEntry.model_fields[kind].annotation.__args__[0] for kind in SystemEntry.registry
    ]
    for cls in (*classes, Body, Frames, Rod, Disk, MeasurementNoise):
        for name, field in cls.model_fields.items():
            assert field.description, name
        assert parameters_of(cls)
