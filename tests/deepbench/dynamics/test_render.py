"""Rendering: each parameter matters, samples depend on nothing but themselves, and noise is what its label says."""

import json

import numpy as np
import pytest

from deepbench.dynamics import model
from deepbench.dynamics.systems.orbits import Body
from deepbench.dynamics.systems.systems import SystemEntry
from deepbench.errors import LabelError, RecipeError
from deepbench.language.specification import parameters_of
from deepbench.recipe import parse_recipe
from deepbench.samples import labels, render

HEAD = {"name": "a", "version": "1.0.0", "title": "A", "seed": 5}
SINGLE = {
    "length": 1.2,
    "length_error": 0.1,
    "mass": 2.0,
    "angle": 40.0,
    "angle_error": 3.0,
    "angular_velocity": 50.0,
    "gravity": 9.0,
    "gravity_error": 0.2,
}
PLANET = {
    "planet_mass": 6e24,
    "planet_mass_error": 1e23,
    "planet_radius": 6.4e6,
    "planet_radius_error": 1e5,
}
SYSTEMS = {
    "pendulum": SINGLE,
    "hamiltonian_pendulum": SINGLE,
    "driven_pendulum": {
        **SINGLE,
        "damping": 0.4,
        "drive_amplitude": 0.8,
        "drive_frequency": 0.4,
        "drive_phase": 30.0,
    },
    "double_pendulum": {
        "length_1": 1.0,
        "length_1_error": 0.1,
        "length_2": 0.8,
        "length_2_error": 0.1,
        "mass_1": 1.0,
        "mass_2": 0.5,
        "gravity": 9.0,
        "gravity_error": 0.2,
        "angle_1": 40.0,
        "angle_1_error": 2.0,
        "angle_2": -30.0,
        "angle_2_error": 2.0,
        "angular_velocity_1": 20.0,
        "angular_velocity_2": 30.0,
    },
    "two_body": {
        "mass_1": 1.0,
        "mass_2": 0.4,
        "semi_major_axis": 1.3,
        "eccentricity": 0.4,
        "inclination": 40.0,
        "longitude_of_ascending_node": 70.0,
        "argument_of_periastron": 100.0,
        "time_of_periastron": 0.3,
    },
    "few_body": {"softening": 0.1},
}
BODIES = [
    {"mass": 1.0, "x": 0.1, "y": 0.1, "z": 0.1, "vx": 0.1, "vy": 0.1, "vz": 0.1},
    {"mass": 0.3, "x": 1.1, "y": 0.2, "z": 0.3, "vx": 0.5, "vy": 5.0, "vz": 0.4},
]
PENDULUM_VARIABLES = ["position", "velocity", "q", "p", "dq_dt", "dp_dt"]


def system(kind, **changes):
    body = {**SYSTEMS[kind], **changes}
    if "planet_mass" in changes:
        body = {name: each for name, each in body.items() if not name.startswith("gravity")}
    if kind == "few_body":
        body.setdefault("bodies", BODIES)
    return {kind: body}


def recipe(*systems, samples=1, times=None, **table):
    """Return a recipe with a class for each system."""
    described = {"kind": "dynamics", "samples": samples, **table}
    described["times"] = times or {"duration": 2, "steps": 9}
    described["classes"] = {f"c{i}": {"system": each} for i, each in enumerate(systems)}
    return parse_recipe(json.dumps({**HEAD, "tables": {"t": described}}))


def same(first, second):
    assert set(first.variables) == set(second.variables)
    for name in first.variables:
        np.testing.assert_array_equal(first[name].values, second[name].values, err_msg=name)


# --- every parameter matters ---------------------------------------------------------------------

FIELDS = [
    (kind, field)
    for kind in SystemEntry.registry
    for field in parameters_of(SystemEntry.model_fields[kind].annotation.__args__[0])
]


@pytest.mark.parametrize(("kind", "field"), FIELDS)
def test_every_parameter_of_a_system_changes_the_motion(kind, field):
    base = PLANET if field.startswith("planet") else {}
    value = {**SYSTEMS[kind], **base}[field]
    store = PENDULUM_VARIABLES if kind.endswith("pendulum") else ["position", "velocity"]
    before = render(recipe(system(kind, **base), store=store), "t")
    after = render(recipe(system(kind, **{**base, field: value * 1.1}), store=store), "t")
    changes = {name: np.abs(after[name].values - before[name].values).max() for name in store}
    assert max(changes.values()) > 1e-3
    # the mass of a bob on one arm is in its momentum alone
    only_momentum = field == "mass"
    assert (changes["position"] < 1e-12) == only_momentum


def test_every_parameter_of_a_body_changes_the_motion():
    before = render(recipe(system("few_body")), "t").position.values
    assert set(parameters_of(Body)) == set(BODIES[0])
    for field, value in BODIES[1].items():
        body = {**BODIES[1], field: value * 1.1}
        after = render(recipe(system("few_body", bodies=[BODIES[0], body])), "t").position.values
        assert np.abs(after - before).max() > 1e-3, field


def test_the_solution_and_the_units_matter():
    exact = render(recipe(system("pendulum")), "t").position.values
    little = render(recipe(system("pendulum", solution="small_angle")), "t").position.values
    hamiltonian = render(recipe(system("hamiltonian_pendulum")), "t").position.values
    assert np.abs(little - exact).max() > 0.01
    assert 0 < np.abs(hamiltonian - exact).max() < 1e-9
    for kind in ("two_body", "few_body"):
        years = render(recipe(system(kind)), "t").position.values
        bare = render(recipe(system(kind, units="n_body")), "t").position.values
        assert np.abs(years - bare).max() > 0.1


def test_an_error_is_what_the_label_lacks():
    wrong = recipe(system("pendulum", length=1.0, length_error=0.25, angle=30, angle_error=-4))
    right = recipe(system("pendulum", length=1.25, length_error=0, angle=26, angle_error=0))
    np.testing.assert_array_equal(render(wrong, "t").position, render(right, "t").position)
    assert labels(wrong, "t")["pendulum.length"].item() == 1.0


def test_gravity_is_that_of_the_planet():
    on_earth = render(recipe(system("pendulum", planet_mass=5.9722e24, planet_radius=6.371e6)), "t")
    g = 6.6743e-11 * 5.9722e24 / 6.371e6**2
    given = render(recipe(system("pendulum", gravity=g, gravity_error=0)), "t")
    np.testing.assert_allclose(on_earth.position, given.position, rtol=0, atol=1e-13)


@pytest.mark.parametrize("units", ["astronomical", "n_body"])
def test_two_of_a_few_bodies_are_on_their_kepler_orbits(units):
    times = {"duration": 10, "steps": 21}
    pair = render(recipe(system("two_body", units=units), times=times), "t")
    places, velocities = pair.position.values[0, 0], pair.velocity.values[0, 0]
    bodies = [
        dict(zip(("mass", "x", "y", "z", "vx", "vy", "vz"), (mass, *x, *v), strict=True))
        for mass, x, v in zip((1.0, 0.4), places.tolist(), velocities.tolist(), strict=True)
    ]
    few = system("few_body", units=units, bodies=bodies, softening=0)
    found = render(recipe(few, times=times), "t")
    # eight periods of steps with errors of 1e-14, which grow as the square of time
    for name in ("position", "velocity"):
        np.testing.assert_allclose(found[name], pair[name], rtol=0, atol=1e-9)


# --- canonical variables -------------------------------------------------------------------------


def derivative(values, times):
    """Return the derivative at the inner times by five points; their errors are h⁴ / 30 of the fifth derivative."""
    h = times[1] - times[0]
    return (values[:, :-4] - 8 * values[:, 1:-3] + 8 * values[:, 3:-1] - values[:, 4:]) / (12 * h)


@pytest.mark.parametrize("kind", [kind for kind in SYSTEMS if kind.endswith("pendulum")])
@pytest.mark.parametrize("solution", ["exact", "small_angle"])
def test_derivatives_are_those_of_the_series(kind, solution):
    if kind != "pendulum" and solution != "exact":
        return
    more = {"solution": solution} if kind == "pendulum" else {}
    times = {"duration": 1, "steps": 401}
    data = render(recipe(system(kind, **more), store=PENDULUM_VARIABLES, times=times), "t")
    for name, of in (("dq_dt", "q"), ("dp_dt", "p"), ("velocity", "position")):
        found = derivative(data[of].values, data.time.values)
        np.testing.assert_allclose(data[name].values[:, 2:-2], found, rtol=0, atol=2e-6)


def test_momenta_are_derivatives_of_the_kinetic_energy():
    data = render(recipe(system("double_pendulum"), store=PENDULUM_VARIABLES), "t")
    x, v = data.position.values[0], data.velocity.values[0]
    masses = np.array([1.0, 0.5])
    # p_i = Σ m v · ∂v/∂θ_i′, and ∂v/∂θ_i′ = ∂x/∂θ_i, the arm turned by 90°
    arms = np.stack([x[:, 0], x[:, 1] - x[:, 0]], axis=1)
    turned = np.stack([-arms[..., 1], arms[..., 0]], axis=-1)
    second = 0.5 * (v[:, 1] * turned[:, 1]).sum(axis=1)
    first = sum(masses[i] * (v[:, i] * turned[:, 0]).sum(axis=1) for i in range(2))
    np.testing.assert_allclose(data.p.values[0], np.stack([first, second], axis=1), atol=1e-13)


# --- samples depend on themselves ----------------------------------------------------------------

WIDE = {"uniform": [-100, 100]}


def everything():
    few = [{**BODIES[0]}, {**BODIES[1], "vy": {"uniform": [4, 6]}}, {"mass": 0.01, "x": 3, "y": 0}]
    swings = recipe(
        system("pendulum", angle=WIDE, length_error={"normal": [0, 0.02]}),
        system("driven_pendulum", angle=WIDE),
        system("double_pendulum", angle_1=WIDE),
        samples=40,
        store=[*PENDULUM_VARIABLES, "position_true", "q_true"],
        noise={"position": {"uniform": [0, 0.1]}, "q": 0.1, "dp_dt": 1},
        frames={
            "size": [20, 24],
            "scale": 5,
            "disks": [{"radius": 2}],
            "every": 3,
            "noise": 0.1,
            "rods": {"thickness": 1},
            "blur": {"uniform": [0, 2]},
        },
    )
    orbits = recipe(
        system("two_body", eccentricity={"uniform": [0, 0.9]}),
        system("few_body", bodies=few),
        samples=40,
        noise={"velocity": 0.1},
        frames={"size": [20, 24], "scale": 5, "disks": [{"radius": 2}, {"radius": 1}], "x": 3},
    )
    return swings, orbits


@pytest.fixture(scope="module", params=[0, 1], ids=["pendulums", "orbits"])
def given(request):
    found = everything()[request.param]
    return found, render(found, "t")


def test_a_range_is_a_part_of_the_whole(given):
    found, whole = given
    for start, stop in ((0, 1), (7, 23), (39, 40)):
        same(whole.isel(sample=slice(start, stop)), render(found, "t", start, stop))
    assert len(np.unique(whole.position.values.reshape(40, -1), axis=0)) == 40


def test_batches_of_any_length_are_the_whole(given, monkeypatch):
    found, whole = given
    for numbers in (1, 250, 2**30):
        monkeypatch.setattr(model, "BATCH_NUMBERS", numbers)
        same(whole, render(found, "t"))


def test_a_row_renders_its_sample_again(given):
    found, whole = given
    frame = labels(found, "t")
    rows = frame.iloc[[31, 4, 4, 17]]
    again = render(found, "t", labels=rows)
    for name in ("position", "velocity", "frames"):
        np.testing.assert_array_equal(again[name].values, whole[name].values[[31, 4, 4, 17]])
    measured = [name for name in frame if name.endswith("lyapunov_times")]
    for name in measured:
        np.testing.assert_array_equal(again[name].values, rows[name])
        np.testing.assert_array_equal(frame[name].notna(), ~np.isnan(whole[name].values))
        assert frame[name].notna().any()


def test_what_a_class_does_not_have_is_missing(given):
    _, whole = given
    bodies = {0: 1, 1: 1, 2: 2} if whole.sizes["axis"] == 2 else {0: 2, 1: 3}
    for code, count in bodies.items():
        chosen = whole.position.values[whole["class"].values == code]
        assert len(chosen)
        assert np.isfinite(chosen[:, :, :count]).all()
        assert np.isnan(chosen[:, :, count:]).all()


def test_another_class_moves_no_draw():
    noise = {"position": 0.1, "q": 0.1}
    store = ["position", "q"]
    swing = system("pendulum", angle=WIDE)
    few = recipe(swing, samples=30, noise=noise, store=store)
    more = recipe(swing, system("double_pendulum"), samples=30, noise=noise, store=store)
    alone, among = render(few, "t"), render(more, "t")
    stayed = among["class"].values == 0
    assert 5 < stayed.sum() < 25
    for name in store:
        here, there = alone[name].values[stayed], among[name].values[stayed][:, :, :1]
        np.testing.assert_array_equal(here, there)


# --- noise ---------------------------------------------------------------------------------------


def test_noise_is_normal_and_apart_from_the_motion():
    sigma = {"position": 0.2, "p": 3.0}
    store = ["position", "position_true", "p", "p_true", "velocity"]
    times = {"duration": 20, "steps": 401}
    same_motion = {"samples": 60, "times": times, "lyapunov_limit": 100}
    double = system("double_pendulum", angle_1=WIDE)
    noisy = render(recipe(double, noise=sigma, store=store, **same_motion), "t")
    calm = render(recipe(double, **same_motion), "t")
    np.testing.assert_array_equal(noisy.position_true, calm.position)
    np.testing.assert_array_equal(noisy.velocity, calm.velocity)
    draws = []
    for name, size in sigma.items():
        z = (noisy[name].values - noisy[f"{name}_true"].values) / size
        n = z.size
        assert n > 40_000
        assert abs(z.mean()) < 5 / np.sqrt(n)
        assert abs(z.var() - 1) < 5 * np.sqrt(2 / n)
        assert abs((np.abs(z) > 2).mean() - 0.0455) < 5 * np.sqrt(0.0455 / n)
        flat = z.reshape(60, -1)
        assert np.abs(np.corrcoef(flat[:10])[np.triu_indices(10, 1)]).max() < 5 / np.sqrt(802)
        assert len(np.unique(z)) > 0.99 * n
        draws.append(flat[:, :800].ravel())
    assert abs(np.corrcoef(draws)[0, 1]) < 5 / np.sqrt(48_000)


def test_every_noise_changes_its_variable_alone():
    for name in PENDULUM_VARIABLES:
        store = [*PENDULUM_VARIABLES, f"{name}_true"]
        before = render(recipe(system("pendulum"), store=PENDULUM_VARIABLES), "t")
        after = render(recipe(system("pendulum"), store=store, noise={name: 0.1}), "t")
        for each in PENDULUM_VARIABLES:
            assert (before[each].values != after[each].values).all() == (each == name)
        np.testing.assert_array_equal(after[f"{name}_true"], before[name])


# --- what cannot be rendered ---------------------------------------------------------------------


def test_a_value_that_its_error_takes_out_of_range_is_refused():
    message = (
        r"table 't', sample 0: pendulum.length = 1.0 and its error -1.5 make -0.5, "
        r"but it must be a number above 0 \(m\); narrow the prior of the error"
    )
    with pytest.raises(LabelError, match=message):
        render(recipe(system("pendulum", length=1.0, length_error=-1.5)), "t")


def test_a_motion_that_lasts_too_many_lyapunov_times_is_refused():
    wild = system("double_pendulum", angle_1=150, angle_2=170)
    long = {"duration": 20, "steps": 5}
    with pytest.raises(LabelError, match="sample 0: its motion lasts .* more than the limit of 10"):
        render(recipe(wild, times=long), "t")
    found = labels(recipe(wild, times=long, lyapunov_limit=1000), "t")
    times = found["double_pendulum.lyapunov_times"].item()
    assert times > 10
    assert found["double_pendulum.lyapunov_exponent"].item() == pytest.approx(times / 20)


def test_bodies_that_collide_are_refused():
    bodies = [{"mass": 1, "x": 1, "y": 0}, {"mass": 1, "x": -1, "y": 0}]
    with pytest.raises(LabelError, match="sample 0: the motion of 'few_body' takes too many steps"):
        render(recipe(system("few_body", bodies=bodies, softening=0)), "t")
    softened = render(recipe(system("few_body", bodies=bodies)), "t")
    assert np.isfinite(softened.position.values).all()


@pytest.mark.parametrize("mass", [0, 1])
def test_bodies_in_one_place_or_without_mass_are_refused(mass):
    bodies = [{"mass": mass, "x": (1 - mass) * i, "y": 0} for i in range(2)]
    with pytest.raises(LabelError, match="its bodies are all in one place, or have no mass"):
        render(recipe(system("few_body", bodies=bodies)), "t")


FAR = {"duration": 10, "steps": 3}


@pytest.mark.parametrize(
    ("kind", "changes", "duration"),
    [
        ("two_body", {"inclination": 1e12}, 2),
        ("two_body", {"semi_major_axis": 1e-300}, 2),
        ("pendulum", {"angular_velocity": 1e300}, 2),
        ("pendulum", {"angle": 1e300, "solution": "small_angle"}, 2),
        ("pendulum", {"gravity": 1e300}, 2),
        ("pendulum", {"length": 1e-300, "length_error": 0}, 2),
        ("pendulum", {}, 1e300),
    ],
)
def test_motions_that_are_not_finite_are_refused(kind, changes, duration):
    times = {"duration": duration, "steps": 9}
    message = (
        r"table 't', sample 0: its 'position' is not finite: a label is too large or too small"
    )
    with pytest.raises(LabelError, match=message) as caught:
        render(recipe(system(kind, **changes), times=times), "t")
    assert (caught.value.table, caught.value.sample, caught.value.variable) == ("t", 0, "position")


@pytest.mark.parametrize("variable", PENDULUM_VARIABLES)
def test_every_variable_is_looked_at(variable):
    heavy = {"mass": 1e308, "length": 100, "length_error": 0}
    fast = {"angular_velocity": 1e300, "length": 1, "length_error": 0}
    changes = heavy if variable in ("p", "dp_dt") else fast
    with pytest.raises(LabelError, match=f"sample 0: its '{variable}' is not finite:"):
        render(recipe(system("pendulum", **changes), store=[variable]), "t")


@pytest.mark.filterwarnings("ignore::deepbench.errors.RangeWarning")
def test_what_is_not_finite_is_refused_by_its_sample_and_before_frames():
    frames = {"size": [20, 24], "scale": 5, "disks": [{"radius": 2}]}
    few = recipe(system("pendulum"), system("double_pendulum"), samples=9, frames=frames)
    rows = labels(few, "t")
    wrong = int(np.flatnonzero(rows["class"] == "c0")[1])
    rows.loc[rows.index[wrong], "pendulum.angular_velocity"] = 1e300
    with pytest.raises(LabelError, match=f"sample {wrong}: its 'position' is not finite"):
        render(few, "t", labels=rows)


@pytest.mark.parametrize("variable", ["position", "q"])
def test_noise_that_is_not_finite_is_refused(variable):
    wild = recipe(
        system("pendulum"),
        system("double_pendulum"),
        samples=9,
        store=["position", "q"],
        noise={variable: 1.7e308},
    )
    message = f"sample .: its '{variable}' is not finite with its noise, .* the noise of {variable}"
    with pytest.raises(LabelError, match=message) as caught:
        render(wild, "t")
    assert caught.value.variable == variable


@pytest.mark.parametrize(
    ("changes", "times"),
    [
        ({}, {"duration": 1e6, "steps": 3}),
        ({}, {"duration": 1e300, "steps": 3}),
        ({"angular_velocity": 1e7}, FAR),
        ({"angular_velocity": 1e300}, FAR),
        ({"length": 1e-300, "length_error": 0}, FAR),
    ],
)
def test_a_symplectic_motion_of_too_many_steps_is_refused(changes, times):
    message = (
        r"table 't', sample 0: the motion of 'hamiltonian_pendulum' takes too many steps; 200,000 are allowed, "
        r"and it needs .*: it swings or turns too often; shorten the duration, or narrow"
    )
    with pytest.raises(LabelError, match=message):
        render(recipe(system("hamiltonian_pendulum", **changes), times=times), "t")


@pytest.mark.parametrize(
    ("kind", "changes", "reason"),
    [
        ("driven_pendulum", {"damping": 1e6}, "its friction, its torque or its rotation"),
        ("driven_pendulum", {"drive_frequency": 1e6}, "its friction, its torque or its rotation"),
        ("double_pendulum", {"angular_velocity_1": 1e8}, "its arms turn too fast"),
    ],
)
def test_too_many_steps_are_told_of_the_system_that_takes_them(kind, changes, reason):
    message = f"motion of '{kind}' takes too many steps; 200,000 are allowed: {reason}"
    with pytest.raises(LabelError, match=message) as caught:
        render(recipe(system(kind, **changes), times=FAR), "t")
    assert "bodies" not in str(caught.value)


@pytest.mark.parametrize("field", ["angle", "angular_velocity"])
def test_an_integrated_motion_of_values_beyond_float64_is_refused(field):
    with pytest.raises(LabelError, match="cannot be computed: its values are too large or too"):
        render(recipe(system("driven_pendulum", **{field: 1e300})), "t")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("change", [{"x": 1e200}, {"mass": 1.7e308}])
def test_bodies_beyond_float64_are_refused_without_a_warning(change):
    bodies = [BODIES[0], {**BODIES[1], **change}]
    message = "sample 0: the bodies of 'few_body' are too far apart, or too heavy: squares of"
    with pytest.raises(LabelError, match=message):
        render(recipe(system("few_body", bodies=bodies)), "t")


def test_a_duration_beyond_float64_is_refused():
    with pytest.raises(RecipeError, match="duration: must be at most 1e"):
        recipe(system("pendulum"), times={"duration": 1e307, "steps": 101})


def test_times_may_be_listed():
    listed = recipe(system("driven_pendulum"), times={"values": [0.25, 1.0, 2.0]})
    dense = recipe(system("driven_pendulum"), times={"duration": 2, "steps": 9})
    few, many = render(listed, "t").position.values, render(dense, "t").position.values
    # other times are other steps, each with an error of 1e-14
    np.testing.assert_allclose(few, many[:, [1, 4, 8]], rtol=0, atol=1e-11)
    np.testing.assert_array_equal(render(listed, "t").time, [0.25, 1, 2])
