"""Shapes: the area they cover, against analytic areas, quadrature and supersampling."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from deepbench.errors import LabelError
from deepbench.images.shapes.areas import areas_of
from deepbench.images.shapes.coverage import SNAP
from deepbench.images.shapes.model import SHAPES, Outlined
from deepbench.images.shapes.outlines import cover, draw_object, work_size

FLOAT32 = 1.2e-7  # one rounding to float32 of a number up to 1, and its neighbour
CURVE = 2e-4  # curves are polygons within 1e-3 pixel of them, of the same area

OUTLINED = [name for name, shape in SHAPES.items() if issubclass(shape, Outlined)]
CASES = [(name, False) for name in SHAPES] + [(name, True) for name in OUTLINED]
TURNED = {name: [p for p in s.model_fields if "angle" in p] for name, s in SHAPES.items()}

each_case = pytest.mark.parametrize(("name", "outlined"), CASES)


def draw_parameters(name, outlined, rng, largest=40.0, smallest=0.5):
    """Return random parameters of a shape, with sizes between two limits in pixels."""

    def size():
        return math.exp(rng.uniform(math.log(smallest), math.log(largest)))

    parameters = {
        "circle": lambda: {"radius": size()},
        "ellipse": lambda: {"semi_major_axis": size(), "axis_ratio": rng.uniform(0.05, 1)},
        "rectangle": lambda: {"width": size(), "height": size()},
        "regular_polygon": lambda: {"radius": size(), "sides": float(rng.integers(3, 12))},
        "triangle": lambda: {"base": size(), "height": size()},
        "annulus": lambda: {"inner_radius": size()},
        "arc": lambda: {"radius": size(), "sweep": rng.uniform(1, 360)},
        "line": lambda: {"length": size()},
    }[name]()
    for angle in TURNED[name]:
        parameters[angle] = rng.uniform(-400, 400)
    if name not in OUTLINED:
        parameters["thickness"] = rng.uniform(0.2, 5)
    elif outlined:
        parameters["thickness"] = rng.uniform(0.1, 1.0) * inradius(name, parameters)
    return parameters


def inradius(name, p):
    """Return the thickness from which an outline is filled."""
    if name == "ellipse":
        return p["semi_major_axis"] * p["axis_ratio"]
    if name == "rectangle":
        return min(p["width"], p["height"]) / 2
    if name == "regular_polygon":
        return p["radius"] * math.cos(math.pi / p["sides"])
    if name == "triangle":
        return p["base"] * p["height"] / (p["base"] + math.hypot(p["base"], 2 * p["height"]))
    return p["radius"]


def area(name, p):
    """Return the analytic area of a shape in square pixels."""
    t = p.get("thickness", 0.0)
    if name == "annulus":
        return math.pi * ((p["inner_radius"] + t) ** 2 - p["inner_radius"] ** 2)
    if name == "line":
        return p["length"] * t
    if name == "arc":
        inner = max(p["radius"] - t / 2, 0.0)
        return math.radians(p["sweep"]) / 2 * ((p["radius"] + t / 2) ** 2 - inner**2)
    left = 1 - t / inradius(name, p) if t > 0 else 0.0  # what the outline leaves of the inradius
    if name == "circle":
        return math.pi * p["radius"] ** 2 * (1 - left**2)
    if name == "ellipse":
        a, b = p["semi_major_axis"], p["semi_major_axis"] * p["axis_ratio"]
        return math.pi * (a * b - ((a - t) * (b - t) if t > 0 else 0.0))
    if name == "rectangle":
        w, h = p["width"], p["height"]
        return w * h - ((w - 2 * t) * (h - 2 * t) if t > 0 else 0.0)
    if name == "regular_polygon":
        n = p["sides"]
        return n / 2 * p["radius"] ** 2 * math.sin(2 * math.pi / n) * (1 - left**2)
    return p["base"] * p["height"] / 2 * (1 - left**2)


def extent(p):
    """Return an upper bound of the distance of any point of a shape from its centre."""
    names = ("angle", "position_angle", "sweep", "sides", "axis_ratio")
    return sum(value for key, value in p.items() if key not in names)


def draw(name, plane, x, y, origin=(0.0, 0.0), over=False, **parameters):
    work = np.zeros(work_size(*plane.shape))
    values = {"x": x, "y": y, **parameters}
    (row,) = SHAPES[name].rows({key: np.array([each]) for key, each in values.items()}, over)
    box = draw_object(plane, origin[0], origin[1], row, work)
    assert not work.any()
    return box


# --- laws ---


@each_case
def test_total_is_the_analytic_area(name, outlined):
    rng = np.random.default_rng(1)
    for _ in range(60):
        p = draw_parameters(name, outlined, rng)
        half = math.ceil(extent(p)) + 2
        x, y = half + rng.uniform(-0.5, 0.5, 2)
        total = cover(name, (2 * half + 1, 2 * half + 1), x=x, y=y, **p).sum(dtype=np.float64)
        # The float32 pixels alone round to 6e-8.
        assert total == pytest.approx(area(name, p), rel=1e-6), p


@each_case
def test_amplitude_scales(name, outlined):
    p = draw_parameters(name, outlined, np.random.default_rng(2), 8.0)
    one = cover(name, (40, 40), x=20.3, y=19.1, **p)
    plane = np.zeros((40, 40), np.float32)
    draw(name, plane, 20.3, 19.1, amplitude=-250.0, **p)
    np.testing.assert_allclose(plane, -250.0 * one, atol=250 * FLOAT32)


@each_case
def test_quarter_turns_commute(name, outlined):
    rng = np.random.default_rng(3)
    for _ in range(10):
        p = draw_parameters(name, outlined, rng, 12.0)
        x, y = rng.uniform(10, 30, 2)
        turned = {key: v + 90.0 if key in TURNED[name] else v for key, v in p.items()}
        here = cover(name, (41, 41), x=x, y=y, **p)
        there = cover(name, (41, 41), x=40.0 - y, y=x, **turned)
        # Arrays are [y, x] with y up: a counter-clockwise turn of the plane. Polygons of curves
        # turn with the angle, or have the symmetry themselves.
        np.testing.assert_allclose(there, np.rot90(here, -1), atol=1e-6)


@each_case
def test_whole_shifts_commute_bitwise(name, outlined):
    rng = np.random.default_rng(4)
    for _ in range(10):
        p = draw_parameters(name, outlined, rng, 10.0)
        x, y = rng.integers(18 * 64, 22 * 64, 2) / 64.0
        here = cover(name, (60, 60), x=x, y=y, **p)
        there = cover(name, (60, 60), x=x + 11, y=y + 7, **p)
        np.testing.assert_array_equal(there[7:, 11:], here[:-7, :-11])


@each_case
def test_a_frame_holds_what_a_larger_frame_holds_there(name, outlined):
    rng = np.random.default_rng(5)
    for _ in range(30):
        p = draw_parameters(name, outlined, rng)
        x, y = rng.uniform(-20, 40, 2)
        large = np.zeros((121, 131), np.float32)
        box = draw(name, large, x, y, origin=(-50.0, -55.0), **p)
        small = cover(name, (21, 17), x=x, y=y, **p)
        # The sums of the cells below the frame are taken in another order: 1e-16 before rounding.
        np.testing.assert_allclose(small, large[50:71, 55:72], atol=FLOAT32)
        outside = large.copy()
        outside[box[0] : box[1], box[2] : box[3]] = 0
        assert not outside.any()


@each_case
def test_sub_pixel_shifts_change_little(name, outlined):
    rng = np.random.default_rng(6)
    for shift in (1e-6, 1e-3, 0.1):
        p = draw_parameters(name, outlined, rng, 10.0, 1.0)
        x, y = rng.uniform(20, 22, 2)
        here = cover(name, (42, 42), x=x, y=y, **p).astype(float)
        there = cover(name, (42, 42), x=x + shift, y=y - shift, **p).astype(float)
        change = np.abs(there - here)
        # No outline is longer than two circles around it; each edge sweeps its length × the shift.
        assert change.sum() <= 4 * math.pi * extent(p) * shift * math.sqrt(2) + change.size * 6e-8
        assert change.max() > 0.1 * shift


@pytest.mark.slow
@each_case
def test_covers_are_exact_away_from_the_edges(name, outlined):
    rng = np.random.default_rng(7)
    for _ in range(10):
        p = draw_parameters(name, outlined, rng, 15.0)
        x, y = rng.uniform(20, 30, 2)
        image = cover(name, (50, 50), x=x, y=y, **p)
        inside = supersample(name, (50, 50), x, y, 16, **p, reach=0.75)
        assert image.min() >= 0
        assert image.max() <= 1
        # A pixel is crossed by no edge where the points agree, which are spread over 1.5 pixels;
        # strokes thinner than their distance may hide between them.
        assert (image[inside == 1] == 1).all()
        if min(p.get("thickness", 1.0), p.get("axis_ratio", 1.0)) > 0.2:
            assert not image[inside == 0].any()


def test_shapes_that_touch_fill_the_plane():
    plane = np.zeros((8, 8), np.float32)
    for i in range(8):
        draw("rectangle", plane, i + 0.3, 3.5, width=1.0, height=20.0, angle=0.0)
        draw("rectangle", plane, i + 0.3 - 8, 3.5, width=1.0, height=20.0, angle=90.0 * 4)
    np.testing.assert_allclose(plane[:, :7], 1.0, atol=FLOAT32)


def test_drawing_adds_or_covers():
    p = {"radius": 6.3}
    q = {"width": 9.0, "height": 5.0, "angle": 20.0}
    a, b = cover("circle", (30, 30), x=12, y=13, **p), cover("rectangle", (30, 30), x=16, y=15, **q)
    plane = np.zeros((30, 30), np.float32)
    draw("circle", plane, 12, 13, amplitude=2.0, **p)
    draw("rectangle", plane, 16, 15, amplitude=-3.0, **q)
    np.testing.assert_allclose(plane, 2.0 * a - 3.0 * b, atol=1e-6)
    draw("rectangle", plane, 16, 15, amplitude=5.0, over=True, **q)
    np.testing.assert_allclose(plane, (2.0 * a - 3.0 * b) * (1 - b) + 5.0 * b, atol=1e-6)
    assert (plane[b == 1] == 5.0).all()


# --- references ---


def inside_test(name, u, v, thickness=0.0, **p):
    """Return which points (u, v), about the shape's centre, lie inside: plain geometry."""
    radius = np.hypot(u, v)
    if name == "circle":
        return (radius <= p["radius"]) & ((thickness == 0) | (radius >= p["radius"] - thickness))
    if name == "annulus":
        return (radius >= p["inner_radius"]) & (radius <= p["inner_radius"] + thickness)
    turn = math.radians(p[TURNED[name][0]])
    u, v = u * math.cos(turn) + v * math.sin(turn), v * math.cos(turn) - u * math.sin(turn)
    if name == "ellipse":
        a, b = p["semi_major_axis"], p["semi_major_axis"] * p["axis_ratio"]
        filled = np.hypot(u / a, v / b) <= 1
        if thickness == 0 or thickness >= b:
            return filled
        return filled & (np.hypot(u / (a - thickness), v / (b - thickness)) >= 1)
    if name == "arc":
        angle = np.degrees(np.arctan2(v, u)) % 360.0
        return (np.abs(radius - p["radius"]) <= thickness / 2) & (angle <= p["sweep"])
    if name == "line":
        return (np.abs(u) <= p["length"] / 2) & (np.abs(v) <= thickness / 2)
    if name == "rectangle":
        depth = np.minimum(p["width"] / 2 - np.abs(u), p["height"] / 2 - np.abs(v))
    elif name == "regular_polygon":
        n = int(p["sides"])
        normals = [(2 * k + 1) * math.pi / n for k in range(n)]
        along = [u * math.cos(angle) + v * math.sin(angle) for angle in normals]
        depth = p["radius"] * math.cos(math.pi / n) - np.max(along, axis=0)
    else:
        height, half = p["height"], p["base"] / 2
        slant = math.hypot(half, height)
        side = (half * (2 * height / 3 - v) - height * np.abs(u)) / slant
        depth = np.minimum(v + height / 3, side)
    return (depth >= 0) & ((thickness == 0) | (depth <= thickness))


def supersample(name, size, x, y, n, reach=0.5, **p):
    """Return the part of n × n points, spread over each pixel ± reach, that lie inside a shape."""
    steps = (np.arange(n) + 0.5) / n * 2 * reach - reach
    v = (np.arange(size[0])[:, None] + steps).ravel() - y
    u = (np.arange(size[1])[:, None] + steps).ravel() - x
    inside = inside_test(name, u[None, :], v[:, None], **p)
    return inside.reshape(size[0], n, size[1], n).mean(axis=(1, 3))


@each_case
def test_every_pixel_agrees_with_supersampling(name, outlined):
    rng = np.random.default_rng(8)
    for _ in range(12):
        p = draw_parameters(name, outlined, rng, 12.0)
        x, y = rng.uniform(14, 18, 2)
        image = cover(name, (32, 32), x=x, y=y, **p)
        reference = supersample(name, (32, 32), x, y, 32, **p)
        # An edge through a pixel crosses about 32 of the 32² points' cells per unit length and is
        # wrong by half a cell in the worst, aligned case: 1/64, for at most four edges in a pixel.
        error = np.abs(image - reference)
        assert error.max() < 4 / 64, p
        assert error.sum() / max(np.count_nonzero((image > 0) & (image < 1)), 1) < 0.008, p


def disk_in_pixel(radius, left, bottom):
    """Return the area of the disk around the origin inside a pixel, by quadrature."""

    def height(x):
        half = math.sqrt(max(radius**2 - x**2, 0.0))
        return max(min(half, bottom + 1) - max(-half, bottom), 0.0)

    kinks = [-radius, radius]
    kinks += [
        s * math.sqrt(max(radius**2 - y**2, 0)) for y in (bottom, bottom + 1) for s in (-1, 1)
    ]
    kinks = sorted({left, left + 1, *(k for k in kinks if left < k < left + 1)})
    return sum(quad(height, a, b, epsabs=1e-9)[0] for a, b in pairwise(kinks))


@pytest.mark.parametrize("radius", [0.3, 1.0, 2.7, 6.0, 20.0])
def test_every_pixel_of_a_circle_agrees_with_quadrature(radius):
    rng = np.random.default_rng(9)
    half = math.ceil(radius) + 1
    x, y = half + rng.uniform(-0.5, 0.5, 2)
    image = cover("circle", (2 * half + 1, 2 * half + 1), x=x, y=y, radius=radius)
    reference = np.array(
        [
            [disk_in_pixel(radius, i - 0.5 - x, j - 0.5 - y) for i in range(2 * half + 1)]
            for j in range(2 * half + 1)
        ]
    )
    np.testing.assert_allclose(image, reference, atol=CURVE)


def test_equal_shapes_are_equal():
    size, at = (40, 40), {"x": 19.2, "y": 20.7}

    def equal(a, b, tolerance=CURVE):
        np.testing.assert_allclose(a, b, atol=tolerance)

    circle = cover("circle", size, **at, radius=9.0)
    ring = cover("circle", size, **at, radius=9.0, thickness=2.5)
    rectangle = cover("rectangle", size, **at, width=12.0, height=3.0, angle=33.0)
    equal(circle, cover("ellipse", size, **at, semi_major_axis=9, axis_ratio=1, position_angle=70))
    equal(circle, cover("regular_polygon", size, **at, radius=9.0, sides=1000.0, angle=0.0), 1e-3)
    equal(ring, cover("annulus", size, **at, inner_radius=6.5, thickness=2.5), 0)
    arc = {"radius": 7.75, "thickness": 2.5}
    equal(ring, cover("arc", size, **at, **arc, sweep=360.0, angle=50.0))
    parts = [cover("arc", size, **at, **arc, sweep=120.0, angle=a) for a in (10.0, 130.0, 250.0)]
    equal(ring, sum(parts))
    equal(rectangle, cover("line", size, **at, length=12.0, thickness=3.0, angle=33.0), 0)
    square = cover("rectangle", size, **at, width=8.0, height=8.0, angle=20.0)
    diagonal = 4 * math.sqrt(2)
    equal(
        square, cover("regular_polygon", size, **at, radius=diagonal, sides=4.0, angle=65.0), 1e-6
    )


@pytest.mark.parametrize("name", OUTLINED)
def test_a_thick_outline_is_filled(name):
    p = draw_parameters(name, False, np.random.default_rng(10), 12.0)
    filled = cover(name, (40, 40), x=20, y=20, **p)
    limit = inradius(name, p)
    np.testing.assert_array_equal(cover(name, (40, 40), x=20, y=20, thickness=limit, **p), filled)
    np.testing.assert_array_equal(cover(name, (40, 40), x=20, y=20, thickness=99, **p), filled)
    almost = cover(name, (40, 40), x=20, y=20, thickness=limit * (1 - 1e-6), **p)
    np.testing.assert_allclose(almost, filled, atol=1e-4)


def test_orientation():
    apex_up = cover("triangle", (21, 21), x=10, y=10, base=8.0, height=9.0, angle=0.0)
    rows = apex_up.sum(axis=1)
    assert rows[8] > rows[10] > rows[15] > 0
    assert rows[7] == pytest.approx((8.0 + 68.0 / 9.0) / 2 / 2)  # the base is 3 below the centroid
    quarter = cover("arc", (21, 21), x=10, y=10, radius=6.0, thickness=2.0, sweep=90.0, angle=0.0)
    assert quarter[10:, 10:].sum() > 0.98 * quarter.sum()  # from +x towards +y
    axes = {"semi_major_axis": 8.0, "axis_ratio": 0.2}
    tilted = cover("ellipse", (21, 21), x=10, y=10, **axes, position_angle=45.0)
    assert tilted[14, 14] == 1
    assert tilted[14, 6] == 0


# --- every parameter matters; extremes; refusals ---


@pytest.mark.parametrize("name", SHAPES)
def test_every_parameter_matters(name):
    p = {"x": 20.3, "y": 18.8, **draw_parameters(name, True, np.random.default_rng(11), 10.0, 4.0)}
    before = cover(name, (40, 40), **p)
    for key in p:
        change = -0.1 * p[key] if key in ("axis_ratio", "thickness") else 1.0
        after = cover(name, (40, 40), **{**p, key: p[key] + change})
        assert np.abs(after - before).max() > 1e-3, key


@pytest.mark.parametrize("radius", [1e4, 1e6, 1e9, 1e300])
def test_huge_shapes_are_cut_at_the_frame(radius):
    edge = cover("circle", (32, 32), x=15.25 - min(radius, 1e9), y=16.0, radius=radius)
    # Near (15.25, 16) the circle is a vertical line, within the sagitta of 16 pixels and, from
    # 1e6 pixels on, of the chords.
    sagitta = 16.0**2 / 2 / min(radius, 1e9) + min(radius, 1e9) * (math.pi / 65536) ** 2
    assert (edge[:, :14] == 1).all()
    assert (edge[:, 18:] == 0).all()
    np.testing.assert_allclose(edge.sum(axis=1), 15.75, atol=1e-3 + sagitta)
    inside = cover("circle", (32, 32), x=0.0, y=0.0, radius=radius)
    assert (inside == 1).all()
    frame = cover("rectangle", (32, 32), x=16, y=16, width=radius, height=1.0, angle=0.0)
    np.testing.assert_array_equal(frame.sum(axis=0), np.ones(32))


def test_chords_do_not_drift():
    inner = cover("annulus", (64, 64), x=-9.0e5, y=0.0, inner_radius=9.0e5 + 20.0, thickness=5.0)
    np.testing.assert_allclose(inner.sum(axis=1), 5.0, atol=4e-3)


MOST_PARAMETERS = max(len(shape.model_fields) for shape in SHAPES.values())
numbers = st.one_of(
    st.floats(-100, 100),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, 0.5, 1.0, 1e-300, 1e6, -1e6, 1e9, 1e300]),
)


@settings(max_examples=400, deadline=None)
@given(
    name=st.sampled_from([*SHAPES]),
    values=st.lists(numbers, min_size=MOST_PARAMETERS, max_size=MOST_PARAMETERS),
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    origin=st.tuples(st.integers(-20, 20), st.integers(-20, 20)),
)
def test_no_parameters_leave_the_plane_or_the_range(name, values, shape, origin):
    height, width = shape
    given = [field for field in SHAPES[name].model_fields if field != "amplitude"]
    (row,) = SHAPES[name].rows(
        {field: np.array([value]) for field, value in zip(given, values, strict=False)}
    )
    pixels = np.full(height * width + 64, -7.0, np.float32)
    plane = pixels[32:-32].reshape(shape)
    plane[:] = 0
    work = np.zeros(work_size(height, width) + 64)
    work[:32] = work[-32:] = -7.0
    box = draw_object(plane, float(origin[0]), float(origin[1]), row, work[32:-32])
    assert (pixels[:32] == -7).all()
    assert (pixels[-32:] == -7).all()
    assert (work[:32] == -7).all()
    assert (work[-32:] == -7).all()
    assert not work[32:-32].any()
    assert (plane >= 0).all()
    assert (plane <= 1).all()
    assert ((plane == 0) | (plane >= SNAP / 2)).all()
    assert 0 <= box[1] <= height
    assert 0 <= box[3] <= width


def test_refusals():
    with pytest.raises(LabelError, match=r"no shape is called 'circel'.*did you mean 'circle'"):
        cover("circel", (4, 4), x=1, y=1, radius=2)
    with pytest.raises(LabelError, match="a circle needs the parameters radius; given: radios"):
        cover("circle", (4, 4), x=1, y=1, radios=2)
    with pytest.raises(LabelError, match=r"a line needs a thickness above 0, not 0\.0"):
        cover("line", (4, 4), x=1, y=1, length=2, angle=0)
    with pytest.raises(LabelError, match=r"of a circle must be finite.*nan"):
        cover("circle", (4, 4), x=math.nan, y=1, radius=2)


# --- areas without pixels ---


def measured(name, size, x, y, p):
    """Return the area of a shape inside a frame, and the part that this is."""
    values = {key: np.array([value]) for key, value in {"x": x, "y": y, **p}.items()}
    return areas_of(SHAPES[name].rows(values), size)[0].tolist()


@each_case
def test_the_measured_area_is_the_analytic_one_and_frames_share_it(name, outlined):
    rng = np.random.default_rng(11)
    for _ in range(20):
        p = draw_parameters(name, outlined, rng)
        whole = area(name, p)
        found, fraction = measured(name, (400, 400), 200.3, 199.6, p)
        assert (found, fraction) == (pytest.approx(whole, rel=1e-11), 1.0)
        x, y = rng.uniform(-10, 50, 2)
        parts = [
            measured(name, (40, 40), x + 40 * i, y + 40 * j, p)
            for i in range(-4, 5)
            for j in range(-4, 5)
        ]
        assert math.fsum(part[0] for part in parts) == pytest.approx(whole, rel=1e-9)
        found, fraction = measured(name, (40, 40), x, y, p)
        assert fraction == pytest.approx(found / whole, rel=1e-12)
        drawn = float(cover(name, (40, 40), x=x, y=y, **p).sum(dtype=np.float64))
        assert found == pytest.approx(drawn, rel=1e-5, abs=CURVE)


def test_the_area_of_an_ellipse_behind_the_edges_of_a_frame_is_that_of_quadrature():
    rng = np.random.default_rng(12)
    for _ in range(10):
        a, q = rng.uniform(0.5, 30), rng.uniform(0.1, 1)
        x, y, angle = *rng.uniform(-3, 23, 2), rng.uniform(0, 180)
        c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        width = math.hypot(a * c, a * q * s)  # half of it, along x

        def inside(u, a=a, q=q, c=c, s=s, y=y, width=width):
            """Return the length of a column, u from the centre, that is in the ellipse and the frame."""
            middle = u * c * s * (a**2 - (a * q) ** 2) / width**2
            half = a * a * q / width * math.sqrt(max(1 - (u / width) ** 2, 0.0))
            low, high = y + middle - half, y + middle + half
            return max(min(high, 19.5) - max(low, -0.5), 0.0)

        start, stop = max(-width, -0.5 - x), min(width, 23.5 - x)
        edges = np.linspace(start, stop, 65) if start < stop else [0.0, 0.0]
        reference = math.fsum(
            quad(inside, *ends, epsabs=1e-10, limit=200)[0] for ends in pairwise(edges)
        )
        p = {"semi_major_axis": a, "axis_ratio": q, "position_angle": angle}
        found, _ = measured("ellipse", (20, 24), x, y, p)
        assert found == pytest.approx(reference, rel=1e-6, abs=1e-6)
