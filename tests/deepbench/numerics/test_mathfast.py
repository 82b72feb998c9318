"""The elementary functions: accuracy, special values, and that no processor changes a bit."""

import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba.core.errors import TypingError
from scipy import special

from deepbench.numerics import mathfast
from deepbench.numerics.kernels import polynomial, to_bits

INF, NAN = np.inf, np.nan
EXTENDED = np.longdouble
N = 200_000

needs_extended = pytest.mark.skipif(
    np.finfo(EXTENDED).nmant < 63, reason="the reference needs 80-bit floating-point numbers"
)
needs_x86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="reads x86-64 assembly")


def uniform(low, high, seed=1):
    return np.random.default_rng(seed).uniform(low, high, N)


def logarithmic(low, high, seed=1):
    return np.exp(uniform(np.log(low), np.log(high), seed))


def ulps(values, reference):
    """Return the largest error in units of the last place of the values' type."""
    unit = np.spacing(np.abs(reference.astype(values.dtype))).astype(EXTENDED)
    return float(np.max(np.abs(values.astype(EXTENDED) - reference) / unit))


def loop(scalar, arguments=1):
    """Return a compiled loop of a scalar function over arrays."""
    if arguments == 1:

        @numba.njit(error_model="numpy")
        def over(x, out):
            for i in range(out.size):
                out[i] = scalar(x[i])

    else:

        @numba.njit(error_model="numpy")
        def over(x, y, out):
            for i in range(out.size):
                out[i] = scalar(x[i], y[i])

    return over


def each32(scalar, *arrays):
    """Return the values of a float32 function."""
    arrays = [np.array(array, dtype=np.float32) for array in arrays]
    out = np.empty(arrays[0].size, dtype=np.float32)
    loop(scalar, len(arrays))(*arrays, out)
    return out


# --- accuracy -----------------------------------------------------------------------------------

DEGREE = np.arctan(EXTENDED(1)) / 45

ACCURACY_64 = {
    "exp": ("exp", np.exp, [uniform(-708, 709)], 0.9),
    "exp near 0": ("exp", np.exp, [uniform(-2, 2)], 0.9),
    "exp subnormal": ("exp", np.exp, [uniform(-745, -708)], 0.9),
    "log": ("log", np.log, [logarithmic(1e-300, 1e300)], 0.9),
    "log near 1": ("log", np.log, [uniform(0.5, 2)], 0.9),
    "log subnormal": ("log", np.log, [logarithmic(1e-320, 1e-300)], 0.9),
    "log10": ("log10", np.log10, [logarithmic(1e-300, 1e300)], 0.51),
    "log10 near 1": ("log10", np.log10, [uniform(0.5, 2)], 0.51),
    "pow": ("pow", np.power, [logarithmic(1e-5, 1e5), uniform(-60, 60, 2)], 0.8),
    "pow, large y": ("pow", np.power, [uniform(0.5, 2), uniform(-1000, 1000, 2)], 0.8),
    "pow, small y": ("pow", np.power, [logarithmic(1e-300, 1e300), uniform(-1, 1, 2)], 0.8),
    "sin": ("sin", np.sin, [uniform(-10, 10)], 0.9),
    "sin, many turns": ("sin", np.sin, [uniform(-1e6, 1e6)], 0.9),
    "sin, most turns": ("sin", np.sin, [uniform(-9.9e11, 9.9e11)], 0.9),
    "cos": ("cos", np.cos, [uniform(-10, 10)], 0.9),
    "cos, many turns": ("cos", np.cos, [uniform(-1e6, 1e6)], 0.9),
    "cos, most turns": ("cos", np.cos, [uniform(-9.9e11, 9.9e11)], 0.9),
    "tan": ("tan", np.tan, [uniform(-100, 100)], 2.5),
    "sind": ("sind", lambda x: np.sin(x * DEGREE), [uniform(-90, 90)], 1.0),
    "cosd": ("cosd", lambda x: np.cos(x * DEGREE), [uniform(-89, 89)], 1.0),
    "tand": ("tand", lambda x: np.tan(x * DEGREE), [uniform(-89, 89)], 2.5),
    "asin": ("asin", np.arcsin, [uniform(-1, 1)], 2.5),
    "acos": ("acos", np.arccos, [uniform(-1, 1)], 2.5),
    "atan": ("atan", np.arctan, [uniform(-3, 3)], 1.6),
    "atan, any size": ("atan", np.arctan, [logarithmic(1e-300, 1e300)], 1.6),
    "atan2": ("atan2", np.arctan2, [uniform(-1, 1), uniform(-1, 1, 2)], 1.6),
}


@needs_extended
@pytest.mark.parametrize("case", ACCURACY_64)
def test_float64_error_in_ulp_against_extended_precision(case):
    name, reference, arguments, bound = ACCURACY_64[case]
    values = getattr(mathfast, name)(*arguments)
    assert ulps(values, reference(*(a.astype(EXTENDED) for a in arguments))) < bound


# The bounds are those of scipy: x**2 * 2e-16 for ndtr, which rounds x**2.
ACCURACY_SCIPY = {
    "erf": (mathfast.erf, special.erf, uniform(-6, 6), 5e-16),
    "erf near 0": (mathfast.erf, special.erf, logarithmic(1e-300, 1), 5e-16),
    "normal_cdf": (mathfast.normal_cdf, special.ndtr, uniform(-5, 9), 6e-15),
    "normal_cdf, tail": (mathfast.normal_cdf, special.ndtr, uniform(-37, -5), 3e-13),
    "normal_quantile": (mathfast.normal_quantile, special.ndtri, uniform(1e-9, 0.4999), 2e-15),
    "normal_quantile, far": (
        mathfast.normal_quantile, special.ndtri, logarithmic(1e-300, 1e-2), 2e-15,
    ),
    "normal_quantile, above": (
        mathfast.normal_quantile, special.ndtri, 1 - logarithmic(1e-15, 0.49), 2e-15,
    ),
    "erfinv": (mathfast.erfinv, special.erfinv, uniform(-1, 1), 3e-15),
    "erfinv near 0": (mathfast.erfinv, special.erfinv, logarithmic(1e-300, 1e-3), 3e-15),
}  # fmt: skip


@pytest.mark.parametrize("case", ACCURACY_SCIPY)
def test_float64_relative_error_against_scipy(case):
    function, reference, x, bound = ACCURACY_SCIPY[case]
    np.testing.assert_allclose(function(x), reference(x), rtol=bound, atol=0)


def ulps_of_mpmath(values, references):
    return max(
        abs(float((reference - float(value)) / float(np.spacing(abs(value)))))
        for value, reference in zip(values, references, strict=True)
    )


def test_error_in_ulp_against_mpmath():
    mp = pytest.importorskip("mpmath")
    with mp.workdps(50):
        for most in (10, 1e3, 1e6, 1e9, 3e11):
            x = np.round(uniform(-most, most)[:300]) * np.pi  # where sin(x) is nearly 0
            assert ulps_of_mpmath(mathfast.sin(x), [mp.sin(float(v)) for v in x]) < 0.9
            x += np.pi / 2
            assert ulps_of_mpmath(mathfast.cos(x), [mp.cos(float(v)) for v in x]) < 0.9
        x = uniform(-6, 6)[:300]
        assert ulps_of_mpmath(mathfast.erf(x), [mp.erf(float(v)) for v in x]) < 2
        x = uniform(-37, 8)[:300]
        cdf = [mp.erfc(-float(v) / mp.sqrt(2)) / 2 for v in x]
        assert ulps_of_mpmath(mathfast.normal_cdf(x), cdf) < 4
        x = uniform(-0.999, 0.999)[:100]
        assert ulps_of_mpmath(mathfast.erfinv(x), [mp.erfinv(float(v)) for v in x]) < 10
        p = logarithmic(1e-15, 0.5)[:100]
        quantile = [-mp.sqrt(2) * mp.erfinv(1 - 2 * mp.mpf(float(v))) for v in p]
        assert ulps_of_mpmath(mathfast.normal_quantile(p), quantile) < 10


ACCURACY_32 = {
    "exp": (mathfast.exp32, np.exp, [uniform(-87, 88.7)], 1.0),
    "exp subnormal": (mathfast.exp32, np.exp, [uniform(-103, -87)], 1.0),
    "log": (mathfast.log32, np.log, [logarithmic(1e-38, 1e38)], 1.0),
    "log near 1": (mathfast.log32, np.log, [uniform(0.5, 2)], 1.0),
    "log subnormal": (mathfast.log32, np.log, [logarithmic(1e-44, 1e-38)], 1.0),
    "pow": (mathfast.pow32, np.power, [logarithmic(1e-6, 1e6), uniform(-6, 6, 2)], 0.51),
    "pow, large y": (mathfast.pow32, np.power, [uniform(0.5, 2), uniform(-120, 120, 2)], 0.51),
    "sin": (mathfast.sin32, np.sin, [uniform(-10, 10)], 1.7),
    "sin, many turns": (mathfast.sin32, np.sin, [uniform(-9.9e5, 9.9e5)], 1.7),
    "cos": (mathfast.cos32, np.cos, [uniform(-10, 10)], 1.7),
    "cos, many turns": (mathfast.cos32, np.cos, [uniform(-9.9e5, 9.9e5)], 1.7),
    "atan2": (mathfast.atan2_32, np.arctan2, [uniform(-1, 1), uniform(-1, 1, 2)], 2.0),
}


@pytest.mark.slow
@needs_extended
@pytest.mark.parametrize("case", ACCURACY_32)
def test_float32_error_in_ulp_against_extended_precision(case):
    scalar, reference, arguments, bound = ACCURACY_32[case]
    arguments = [argument.astype(np.float32) for argument in arguments]
    exact = reference(*(argument.astype(EXTENDED) for argument in arguments))
    assert ulps(each32(scalar, *arguments), exact) < bound


def test_erfinv32_is_erfinv64_rounded():
    x = uniform(-1, 1).astype(np.float32)
    np.testing.assert_array_equal(
        each32(mathfast.erfinv32, x), mathfast.erfinv(x).astype(np.float32)
    )


# --- special values -----------------------------------------------------------------------------

SPECIAL_64 = {
    "exp": ([0, 710, -746, INF, -INF, NAN], [1, INF, 0, INF, 0, NAN]),
    "log": ([1, 0, -1, INF, -INF, NAN], [0, -INF, NAN, INF, NAN, NAN]),
    "log10": ([1e3, 1e-5, 1e22, 0, -1, INF, NAN], [3, -5, 22, -INF, NAN, INF, NAN]),
    "sin": ([0, 1e12, INF, NAN], [0, NAN, NAN, NAN]),
    "cos": ([0, 1e12, INF, NAN], [1, NAN, NAN, NAN]),
    "tan": ([0, 1e12, INF, NAN], [0, NAN, NAN, NAN]),
    "sind": ([0, 30, 90, 150, 180, -90, 3.6e11, INF], [0, 0.5, 1, 0.5, 0, -1, 0, NAN]),
    "cosd": ([0, 60, 90, 120, 180, 270, 3.6e11, NAN], [1, 0.5, 0, -0.5, -1, 0, 1, NAN]),
    "tand": ([0, 45, 135, 180, NAN], [0, 1, -1, 0, NAN]),
    "asin": ([0, 1, -1, 1.1, NAN], [0, np.pi / 2, -np.pi / 2, NAN, NAN]),
    "acos": ([1, 0, -1, 1.1, NAN], [0, np.pi / 2, np.pi, NAN, NAN]),
    "atan": ([0, 1, INF, -INF, NAN], [0, np.pi / 4, np.pi / 2, -np.pi / 2, NAN]),
    "erf": ([0, INF, -INF, NAN], [0, 1, -1, NAN]),
    "erfinv": ([0, 1, -1, 1.1, NAN], [0, INF, -INF, NAN, NAN]),
    "normal_cdf": ([0, INF, -INF, NAN], [0.5, 1, 0, NAN]),
    "normal_quantile": ([0.5, 0, 1, -0.1, 1.1, NAN], [0, -INF, INF, NAN, NAN, NAN]),
}


@pytest.mark.parametrize("name", SPECIAL_64)
def test_special_values(name):
    x, expected = SPECIAL_64[name]
    np.testing.assert_array_equal(getattr(mathfast, name)(x), expected)


SPECIAL_32 = {
    "exp32": ([0, 89, -110, INF, -INF, NAN], [1, INF, 0, INF, 0, NAN]),
    "log32": ([1, 0, -1, INF, NAN], [0, -INF, NAN, INF, NAN]),
    "sin32": ([0, 1e6, INF, NAN], [0, NAN, NAN, NAN]),
    "cos32": ([0, 1e6, INF, NAN], [1, NAN, NAN, NAN]),
    "erfinv32": ([0, 1, -1, 2, NAN], [0, INF, -INF, NAN, NAN]),
}


@pytest.mark.parametrize("name", SPECIAL_32)
def test_special_values_of_float32(name):
    x, expected = SPECIAL_32[name]
    np.testing.assert_array_equal(each32(getattr(mathfast, name), x), np.float32(expected))


GRID = np.array([NAN, INF, -INF, 0, 1, -1, 2, -2, 0.5, -0.5, 3, -3, 1e300, -1e300, 1e-310])


def test_pow_at_special_values_is_that_of_numpy():
    x, y = (axis.ravel() for axis in np.meshgrid(GRID, GRID))
    with np.errstate(all="ignore"):
        expected = np.power(x, y)
    # C makes 1**NaN = 1 and (-inf)**0.5 = inf; here both are NaN, as for any other negative x.
    expected[np.isnan(y)] = NAN
    expected[(x < 0) & (np.floor(y) != y)] = NAN
    np.testing.assert_allclose(mathfast.pow(x, y), expected, rtol=2.3e-16)


def test_pow32_at_special_values():
    x = [0, 0, 0, -1, INF, INF, 2, NAN, NAN, 2, 2, 1e30, 2, 9]
    y = [0, 2, -1, 2, 1, -1, NAN, 1, 0, INF, -INF, 3, 3, 0.5]
    expected = np.float32([1, 0, INF, NAN, INF, 0, NAN, NAN, 1, INF, 0, INF, 8, 3])
    np.testing.assert_array_equal(each32(mathfast.pow32, x, y), expected)


def test_atan2_at_special_values_is_that_of_numpy():
    y, x = (axis.ravel() for axis in np.meshgrid(GRID, GRID))
    np.testing.assert_allclose(mathfast.atan2(y, x), np.arctan2(y, x), rtol=3e-16)
    within = ~np.isin(np.abs(GRID), [1e300, 1e-310])  # what float32 can hold
    y, x = (axis.ravel() for axis in np.meshgrid(GRID[within], GRID[within]))
    expected = np.arctan2(y, x).astype(np.float32)
    np.testing.assert_allclose(each32(mathfast.atan2_32, y, x), expected, rtol=2e-7)


# --- laws ---------------------------------------------------------------------------------------

moderate = st.floats(-300, 300, allow_nan=False)


@given(moderate)
def test_log_undoes_exp(x):
    assert mathfast.log(mathfast.exp(x)) == pytest.approx(x, rel=3e-16, abs=2.3e-16)


@given(st.floats(-1e11, 1e11))
def test_sine_and_cosine_lie_on_the_unit_circle(x):
    assert mathfast.sin(x) ** 2 + mathfast.cos(x) ** 2 == pytest.approx(1, abs=5e-16)
    assert mathfast.sind(x) ** 2 + mathfast.cosd(x) ** 2 == pytest.approx(1, abs=5e-16)


@given(st.floats(-1e11, 1e11))
def test_degrees_are_exact_over_turns(x):
    whole = np.float64(round(x))
    assert mathfast.sind(whole) == mathfast.sind(np.fmod(whole, 360.0))


@given(st.floats(1e-12, 1 - 1e-12))
def test_normal_quantile_undoes_normal_cdf(p):
    assert mathfast.normal_cdf(mathfast.normal_quantile(p)) == pytest.approx(p, rel=2e-14)


@pytest.mark.parametrize(
    "name", ["exp", "log", "log10", "erf", "normal_cdf", "normal_quantile", "atan", "erfinv"]
)
def test_monotonic(name):
    x = np.sort(uniform(1e-9, 1 - 1e-9))
    assert np.all(np.diff(getattr(mathfast, name)(x)) >= -2.3e-16)


# --- arrays -------------------------------------------------------------------------------------


def test_arrays_broadcast_and_keep_their_shape():
    x = np.linspace(0.5, 2, 6).reshape(2, 3)
    y = np.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(mathfast.pow(x, y), x**y, rtol=1e-15)
    np.testing.assert_array_equal(mathfast.exp(x.T), mathfast.exp(x).T)
    assert mathfast.exp(np.empty((0, 4))).shape == (0, 4)


def test_scalars_integers_and_read_only_arrays():
    assert mathfast.exp(0) == 1.0
    assert isinstance(mathfast.exp(0), np.float64)
    x = np.array([1, 2, 3])
    x.flags.writeable = False
    np.testing.assert_array_equal(mathfast.log(x), mathfast.log([1.0, 2.0, 3.0]))


def test_array_functions_leave_their_input_alone():
    x = np.linspace(0, 1, 5)
    mathfast.sin(x)
    np.testing.assert_array_equal(x, np.linspace(0, 1, 5))


SCALARS = {
    "exp": "exp64", "log": "log64", "log10": "log10_64", "pow": "pow64", "sin": "sin64",
    "cos": "cos64", "tan": "tan64", "sind": "sind64", "cosd": "cosd64", "tand": "tand64",
    "asin": "asin64", "acos": "acos64", "atan": "atan64", "atan2": "atan2_64", "erf": "erf64",
    "erfinv": "erfinv64", "normal_cdf": "normal_cdf64", "normal_quantile": "normal_quantile64",
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", SCALARS)
def test_array_functions_have_the_bits_of_the_scalar_ones(name):
    arguments = [uniform(0, 1), uniform(-2, 2, 2)][: 2 if name in ("pow", "atan2") else 1]
    out = np.empty(N)
    loop(getattr(mathfast, SCALARS[name]), len(arguments))(*arguments, out)
    np.testing.assert_array_equal(getattr(mathfast, name)(*arguments), out)


def test_sincos_has_the_bits_of_sin_and_cos():
    @numba.njit
    def both(x):
        return mathfast.sincos64(x), mathfast.sincosd64(x)

    for x in (0.3, -40.0, 1e9):
        radian, degree = both(x)
        assert radian == (mathfast.sin(x), mathfast.cos(x))
        assert degree == (mathfast.sind(x), mathfast.cosd(x))


def test_bits_of_a_number_of_the_wrong_type_are_refused():
    @numba.njit
    def bits(x):
        return to_bits(x)

    with pytest.raises(TypingError, match=r"expected one of .*float32.*float64.*, got int64"):
        bits(1)


def test_coefficients_of_another_type_are_refused():
    coefficients = (1.0, 2.0)

    @numba.njit
    def mixed(x):
        return polynomial(x, coefficients)

    with pytest.raises(TypingError, match="coefficients of float32 must be a tuple of float32"):
        mixed(np.float32(1))


# --- bits ---------------------------------------------------------------------------------------

SCALARS_32 = {
    "exp32": 1, "log32": 1, "pow32": 2, "sin32": 1, "cos32": 1, "atan2_32": 2, "erfinv32": 1,
}  # fmt: skip
OWN_SYMBOLS = ("NRT_", "numba_", "_ZN", "cfunc", "Py", "_Py", "memset", "memcpy")


def assembly(name):
    arguments = 2 if name.startswith(("pow", "atan2")) else 1
    kind = np.float32 if name.endswith("32") else np.float64
    over = loop(getattr(mathfast, name), arguments)
    array = np.zeros(4, dtype=kind)
    over(*[array] * (arguments + 1))
    return next(iter(over.inspect_asm().values()))


@pytest.mark.slow
@needs_x86
@pytest.mark.parametrize("name", [*SCALARS.values(), *SCALARS_32])
def test_no_library_is_called_and_nothing_is_contracted(name):
    text = assembly(name)
    # Far calls load the address first: movabsq $symbol, %rax; callq *%rax.
    symbols = set(re.findall(r"(?:movabsq\s+\$|callq?\s+|jmp\s+)([A-Za-z_][\w.]*)", text))
    foreign = {s for s in symbols if not s.startswith(OWN_SYMBOLS)}
    assert not foreign - {"floor"}, "a library may answer differently on another processor"
    assert not re.findall(r"\bvfn?m(?:add|sub)\w*", text)


@needs_x86
def test_the_search_for_library_calls_finds_one():
    over = loop(numba.njit(lambda x: np.exp(x)))
    over(np.zeros(4), np.zeros(4))
    text = next(iter(over.inspect_asm().values()))
    assert re.search(r"(?:movabsq\s+\$|callq?\s+|jmp\s+)\w*exp", text)


@needs_x86
@pytest.mark.parametrize("name", ["exp64", "log64", "sin64", "atan2_64", "exp32", "log32", "pow32"])
def test_loops_vectorise(name):
    packed = "mulps" if name in ("exp32", "log32") else "mulpd"
    assert re.search(rf"v?{packed}\b", assembly(name))


DIGEST_SCRIPT = """
import hashlib
import numpy as np
from deepbench.numerics import mathfast
from deepbench.numerics.kernels import kernel

digest = hashlib.sha256()
x = np.linspace(-0.999, 0.999, 4001)
for name, low, high in [
    ("exp", -700, 700), ("log", 1e-9, 9), ("log10", 1e-9, 9), ("sin", -99, 99), ("cos", -99, 99),
    ("tan", -99, 99), ("sind", -999, 999), ("cosd", -999, 999), ("tand", -999, 999),
    ("asin", -1, 1), ("acos", -1, 1), ("atan", -9, 9), ("erf", -6, 6), ("erfinv", -1, 1),
    ("normal_cdf", -9, 9), ("normal_quantile", 0, 1),
]:
    y = low + (high - low) * (0.5 * x + 0.5)
    digest.update(getattr(mathfast, name)(y).tobytes())
digest.update(mathfast.pow(x + 1, 50 * x[::-1]).tobytes())
digest.update(mathfast.atan2(x, 0.5 * x[::-1] + 0.1).tobytes())


@kernel
def narrow(x, out):
    for i in range(x.size):
        out[0, i] = mathfast.exp32(x[i])
        out[1, i] = mathfast.log32(abs(x[i]))
        out[2, i] = mathfast.pow32(abs(x[i]), x[i])
        out[3, i] = mathfast.sin32(x[i])
        out[4, i] = mathfast.cos32(x[i])
        out[5, i] = mathfast.atan2_32(x[i], x[-i])
        out[6, i] = mathfast.erfinv32(x[i] / np.float32(50))


out = np.empty((7, x.size), dtype=np.float32)
narrow((50 * x).astype(np.float32), out)
digest.update(out.tobytes())
print(digest.hexdigest())
"""


def digest_on(tmp_path, **environment):
    """Return the digest of all functions, as a fresh process computes it."""
    script = tmp_path / "digest.py"
    script.write_text(DIGEST_SCRIPT)
    root = str(Path(mathfast.__file__).parents[3])
    run = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": root, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout.strip()


GOLDEN = "fb4a0a6cef4abb5c1870b964ce615bfe0dcc3127e735ea6faef369671ff3ea33"


@pytest.mark.slow
def test_bits_are_those_of_the_format(tmp_path):
    assert digest_on(tmp_path) == GOLDEN


@pytest.mark.slow
@needs_x86
@pytest.mark.parametrize("processor", ["x86-64", "nehalem", "haswell", "znver4", "skylake-avx512"])
def test_bits_do_not_depend_on_the_instructions(tmp_path, processor):
    if processor in ("znver4", "skylake-avx512") and not has_avx512():
        pytest.skip("this processor has no AVX-512")
    environment = {"NUMBA_CPU_NAME": processor, "NUMBA_CPU_FEATURES": ""}
    assert digest_on(tmp_path, NUMBA_CACHE_DIR=str(tmp_path), **environment) == GOLDEN


def has_avx512():
    from llvmlite.binding import get_host_cpu_features

    return bool(get_host_cpu_features().get("avx512vl"))
