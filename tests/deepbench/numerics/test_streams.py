"""The random streams: their pinned values, what they depend on, and their laws.

Statistical tests have fixed seeds. ``sigmas`` turns a probability into the deviation of a normal
that is as rare; a test fails beyond 4.5, and no seed was chosen after looking.
"""

import hashlib
import os
import platform
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from deepbench.errors import StreamError
from deepbench.numerics import poisson, streams
from deepbench.numerics.kernels import kernel
from deepbench.numerics.poisson import POISSON_TILE, fill_poissons, poissons
from deepbench.numerics.stream_names import stream_number
from deepbench.numerics.streams import (
    fill_normals,
    fill_normals_from,
    fill_uniforms,
    key_words,
    normals,
    philox4x32,
    stream_words,
    uniforms,
)

SEED = 2020
STREAM = stream_number("images/noise/test")
WORDS = (*key_words(SEED), *stream_words(STREAM))
LIMIT = 4.5


def sigmas(probability):
    """Return the two-sided deviation, in standard deviations, that has this probability."""
    return special.ndtri(1 - probability / 2) if probability > 1e-15 else np.inf


def fits(observed, expected):
    """Return the deviation of counts from their expectation by Pearson's chi-square, in sigmas."""
    statistic = np.sum((observed - expected) ** 2 / expected)
    return sigmas(stats.chi2.sf(statistic, len(observed) - 1))


@kernel
def philox_blocks(counters, out):
    for i in range(out.shape[0]):
        c0, c1, c2, c3, k0, k1 = counters[i]
        out[i, 0], out[i, 1], out[i, 2], out[i, 3] = philox4x32(c0, c1, c2, c3, k0, k1)


@kernel
def fill_uniforms_of(out, sample, k0, k1, c2, c3):
    fill_uniforms(out, sample, k0, k1, c2, c3)


@kernel
def normals_from(out, first, sample, k0, k1, c2, c3):
    fill_normals_from(out, first, sample, k0, k1, c2, c3)


@kernel
def convert_words(out):
    streams._words_to_normals(out, out.view(np.uint32))


@kernel
def count_tails(samples, work, limits, below, above, k0, k1, c2, c3):
    for sample in range(samples):
        fill_normals(work, sample, k0, k1, c2, c3)
        for j in range(limits.size):
            for e in range(work.size):
                below[j] += work[e] < -limits[j]
                above[j] += work[e] > limits[j]


@kernel
def log_probabilities(k, mean, out):
    for i in range(out.size):
        out[i] = poisson._log_probability(k[i], mean[i])


@kernel
def cumulatives(k, mean, below, above):
    for i in range(k.size):
        below[i], above[i] = poisson._cumulative(k[i], mean[i])


@kernel
def excesses(mean, z, out):
    for i in range(out.size):
        out[i] = poisson._excess(mean[i], z[i])


@kernel
def counts_of_words(means, words, out):
    for first in range(0, out.size, POISSON_TILE):
        last = first + POISSON_TILE
        poisson._words_to_counts(
            means[first:last], words[first:last], first, 0, *WORDS, out[first:last]
        )


@kernel
def poisson_histogram(mean, samples, least, counts, k0, k1, c2, c3):
    """Count the draws of each k from ``least`` on, POISSON_TILE a sample; others go to the ends."""
    last = counts.size - 1
    means, out = np.full(POISSON_TILE, mean), np.empty(POISSON_TILE)
    for sample in range(samples):
        fill_poissons(out, means, 0, sample, k0, k1, c2, c3)
        for e in range(out.size):
            k = np.int64(out[e]) - least
            counts[min(max(k, 0), last)] += 1


def words(n, sample=0):
    """Return the first n random words of a sample, from the blocks."""
    blocks = -(-n // 4)
    k0, k1, c2, c3 = WORDS
    counters = np.zeros((blocks, 6), dtype=np.uint32)
    counters[:] = [0, sample, c2, c3, k0, k1]
    counters[:, 0] = np.arange(blocks)
    out = np.empty((blocks, 4), dtype=np.uint32)
    philox_blocks(counters, out)
    return out.reshape(-1)[:n]


# --- the numbers themselves ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            [0xA4093822, 0x299F31D0],
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
)
def test_philox_gives_the_known_answers_of_random123(counter, key, expected):
    out = np.empty((1, 4), dtype=np.uint32)
    philox_blocks(np.array([counter + key], dtype=np.uint32), out)
    assert out[0].tolist() == expected


def test_stream_numbers_are_pinned():
    assert stream_number("") == 0xE3B0C44298FC
    assert stream_number("images/circle/circle/radius") == 0x5602ED1A8AED
    assert stream_number("images/noise/gaussian") == 0xEDA88E8F6353
    assert stream_number("é") < 2**48


def test_words_of_keys_and_streams():
    assert key_words(0x0123456789ABCDEF) == (0x89ABCDEF, 0x01234567)
    assert stream_words(0xABCD12345678) == (0x12345678, 0xABCD)
    assert stream_words(0xABCD12345678, attempt=0xFFFF) == (0x12345678, 0xFFFFABCD)
    assert all(isinstance(word, np.uint32) for word in (*key_words(1), *stream_words(1)))


def test_uniforms_are_pinned():
    radius = 0x5602ED1A8AED
    values = uniforms(2020, radius, [0, 1, 2**32 - 1], [0, 7, 2**32 - 1], attempt=3)
    assert values.tolist() == [0.27538548871482754, 0.7359805577945393, 0.39625934918451805]
    assert uniforms(2**64 - 1, 2**48 - 1, [5]).tolist() == [0.22321826777277481]


def test_uniforms_hold_53_bits_of_two_words():
    w0, w1 = (int(word) for word in words(2, sample=9))
    assert uniforms(SEED, STREAM, [9])[0] == ((w0 >> 5) * 2**26 + (w1 >> 6) + 0.5) / 2**53


def test_the_interval_of_uniforms_is_open():
    @numba.njit
    def of(high, low):
        return streams.uniform53(high, low)

    zero, ones = np.uint32(0), np.uint32(2**32 - 1)
    assert of(zero, zero) == 2.0**-54
    assert of(ones, ones) == 1 - 2.0**-53


def test_normals_are_pinned():
    assert normals(2020, 1234, 5, 6).tolist() == [
        0.2760463058948517, 0.6253657341003418, 1.4693297147750854,
        1.0660771131515503, 0.38949131965637207, 0.882713794708252,
    ]  # fmt: skip


def test_poissons_are_pinned():
    means = [0.01, 0.5, 1, 3, 9.9, 10, 31.9, 32, 100, 1e4, 1e6, 1e12, 1e15]
    assert poissons(2020, 1234, 5, means).tolist() == [
        0, 1, 3, 5, 11, 13, 25, 26, 98, 9954, 998811, 999999012581, 1000000013939897,
    ]  # fmt: skip


def digest_of_draws():
    """Return the SHA-256 of draws of every kind, with all kinds of 5000 counts."""
    digest = hashlib.sha256(uniforms(SEED, STREAM, np.arange(5000)).tobytes())
    digest.update(normals(SEED, STREAM, 7, 50_003).tobytes())
    flat = np.empty(5003, dtype=np.float32)
    fill_uniforms_of(flat, 7, *WORDS)
    digest.update(flat.tobytes())
    digest.update(poissons(SEED, STREAM, 7, np.geomspace(0.01, 1e15, 5000)).tobytes())
    return digest.hexdigest()


GOLDEN = "2049bdf0fe5f2451fb1b1292b620dea7b209caf3891557b5cb605e0afc77526c"


def test_bits_of_many_draws_are_pinned():
    assert digest_of_draws() == GOLDEN


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="names x86-64 processors")
@pytest.mark.parametrize("processor", ["x86-64", "haswell"])
def test_bits_do_not_depend_on_the_instructions(tmp_path, processor):
    tests, source = Path(__file__).parent, Path(streams.__file__).parents[2]
    run = subprocess.run(
        [sys.executable, "-c", "import test_streams; print(test_streams.digest_of_draws())"],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(tests), str(source)]),
            "NUMBA_CACHE_DIR": str(tmp_path),
            "NUMBA_CPU_NAME": processor,
            "NUMBA_CPU_FEATURES": "",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == GOLDEN


# --- what a draw depends on ---------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)), min_size=1))
def test_a_uniform_depends_on_its_own_number_only(pairs):
    samples, elements = np.array(pairs).T
    together = uniforms(SEED, STREAM, samples, elements)
    alone = [uniforms(SEED, STREAM, [s], e)[0] for s, e in pairs]
    np.testing.assert_array_equal(together, alone)


@given(st.integers(0, 100), st.integers(0, 100))
def test_a_normal_depends_on_its_own_number_only(n, more):
    np.testing.assert_array_equal(
        normals(SEED, STREAM, 3, n + more)[:n], normals(SEED, STREAM, 3, n)
    )


@pytest.mark.parametrize("first", [0, 1, 7])
def test_normals_begin_at_any_block(first):
    out = np.empty(21, np.float32)
    normals_from(out, first, 3, *WORDS)
    np.testing.assert_array_equal(out, normals(SEED, STREAM, 3, 60)[4 * first : 4 * first + 21])


@given(
    st.permutations([0.0, 0.3, 7.0, 31.0, 40.0, 1e5]),
    st.sampled_from([0.01, 12.5, 1e3, -1.0, np.nan]),
)
def test_a_count_depends_on_its_own_mean_only(means, other):
    counts = poissons(SEED, STREAM, 3, means)
    for e, mean in enumerate(means):
        others = np.full(len(means), other)
        others[e] = mean
        assert poissons(SEED, STREAM, 3, others)[e] == counts[e]


def test_a_count_does_not_depend_on_its_tile():
    means = np.exp(np.random.default_rng(5).uniform(np.log(0.01), np.log(1e6), 20_000))
    together = poissons(SEED, STREAM, 3, means)
    for low, high in [(0, 0.25), (0.25, 16), (16, 1e6)]:
        inside = (means >= low) & (means < high)
        others = np.where(inside, means, high * 0.99)
        np.testing.assert_array_equal(poissons(SEED, STREAM, 3, others)[inside], together[inside])
    for n in (1, 3, POISSON_TILE - 1, POISSON_TILE + 1, 5003):
        np.testing.assert_array_equal(poissons(SEED, STREAM, 3, means[:n]), together[:n])


@pytest.mark.parametrize(
    "change",
    [{"seed": SEED + 1}, {"seed": SEED + 2**32}, {"stream": STREAM ^ 1}, {"stream": STREAM ^ 2**40},
     {"sample": 1}],
)  # fmt: skip
def test_seed_stream_and_sample_matter(change):
    place = {"seed": SEED, "stream": STREAM, "sample": 0, **change}
    sample = place.pop("sample")
    assert not np.any(normals(**place, sample=sample, n=50) == normals(SEED, STREAM, 0, 50))
    means = np.full(50, 1e6)
    assert np.mean(
        poissons(**place, sample=sample, means=means) == poissons(SEED, STREAM, 0, means)
    ) < 0.1  # fmt: skip
    assert uniforms(**place, samples=[sample])[0] != uniforms(SEED, STREAM, [0])[0]


def test_attempts_are_other_draws():
    values = {uniforms(SEED, STREAM, [0], attempt=attempt)[0] for attempt in (0, 1, 2, 65535)}
    assert len(values) == 4


def test_shapes_and_types():
    assert uniforms(SEED, STREAM, []).shape == (0,)
    assert uniforms(SEED, STREAM, 5).shape == (1,)
    assert uniforms(SEED, STREAM, np.arange(6).reshape(2, 3), 1).shape == (2, 3)
    assert normals(SEED, STREAM, 0, 0).shape == (0,)
    assert normals(SEED, STREAM, 0, 5).dtype == np.float32
    assert poissons(SEED, STREAM, 0, 4.0).shape == ()
    assert poissons(SEED, STREAM, 0, [[1, 2], [3, 4]]).shape == (2, 2)


# --- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_out_of_range_is_refused(seed):
    with pytest.raises(StreamError, match=rf"seed is {seed}; allowed is 0 <= seed < 2\*\*64"):
        key_words(seed)


@pytest.mark.parametrize("stream", [-1, 2**48])
def test_a_stream_out_of_range_is_refused(stream):
    with pytest.raises(StreamError, match=rf"stream is {stream}; allowed is 0 <= stream < 2\*\*48"):
        stream_words(stream)


@pytest.mark.parametrize("attempt", [-1, 2**16])
def test_an_attempt_out_of_range_is_refused(attempt):
    with pytest.raises(
        StreamError, match=rf"attempt is {attempt}; allowed is 0 <= attempt < 2\*\*16"
    ):
        uniforms(SEED, STREAM, [0], attempt=attempt)


@pytest.mark.parametrize("number", [-1, 2**32])
def test_samples_and_elements_out_of_range_are_refused(number):
    with pytest.raises(StreamError, match=rf"sample is {number}; allowed is 0 <= sample < 2\*\*32"):
        uniforms(SEED, STREAM, [0, number])
    with pytest.raises(
        StreamError, match=rf"element is {number}; allowed is 0 <= element < 2\*\*32"
    ):
        uniforms(SEED, STREAM, [0, 1], [0, number])
    with pytest.raises(StreamError, match=f"sample is {number}"):
        normals(SEED, STREAM, number, 3)
    with pytest.raises(StreamError, match=f"sample is {number}"):
        poissons(SEED, STREAM, number, [1.0])


def test_numbers_that_are_not_whole_are_refused():
    with pytest.raises(
        StreamError, match="sample numbers have the type float64; allowed are integ"
    ):
        uniforms(SEED, STREAM, [0.5])
    with pytest.raises(StreamError, match="element numbers have the type float64"):
        uniforms(SEED, STREAM, [0], 0.5)


def test_an_error_keeps_its_values():
    with pytest.raises(StreamError) as caught:
        key_words(-3)
    assert (caught.value.what, caught.value.value) == ("seed", -3)


# --- uniforms -----------------------------------------------------------------------------------

MANY = 1_000_000


def test_uniforms_follow_their_law():
    values = uniforms(SEED, STREAM, np.arange(MANY))
    assert 0 < values.min() < values.max() < 1
    assert sigmas(stats.kstest(values, "uniform").pvalue) < LIMIT
    counts = np.bincount((values * 4096).astype(int), minlength=4096)
    assert fits(counts, np.full(4096, MANY / 4096)) < LIMIT
    low_bits = (values[values < 0.5] * 2.0**53).astype(np.int64) % 1024  # above, they are rounded
    counts = np.bincount(low_bits, minlength=1024)
    assert fits(counts, np.full(1024, low_bits.size / 1024)) < LIMIT


@pytest.mark.parametrize("bits", range(0, 32, 8))
def test_every_byte_of_the_words_is_even(bits):
    byte = (words(MANY) >> np.uint32(bits)) & np.uint32(255)
    assert fits(np.bincount(byte, minlength=256), np.full(256, MANY / 256)) < LIMIT


def test_float32_uniforms_are_the_rounded_words():
    out = np.empty(MANY + 3, dtype=np.float32)
    fill_uniforms_of(out, 4, *WORDS)
    exact = (words(MANY + 3, sample=4) + 0.5) / 2.0**32
    np.testing.assert_array_equal(out, np.minimum(exact.astype(np.float32), np.float32(1 - 2**-24)))
    assert sigmas(stats.kstest(out, "uniform").pvalue) < LIMIT


def test_float32_uniforms_stay_below_one():
    # A word that rounds to 1 comes once in 3e7: more than one is expected here.
    out = np.empty(1 << 20, dtype=np.float32)
    largest = 0.0
    for sample in range(40):
        fill_uniforms_of(out, sample, *WORDS)
        assert out.min() > 0
        largest = max(largest, out.max())
    assert largest == np.float32(1 - 2**-24)


# --- normals ------------------------------------------------------------------------------------


def quantile_error(numbers):
    """Return the largest relative error of the normals of the given words."""
    out = numbers.astype(np.uint32).view(np.float32)
    convert_words(out)
    return np.max(np.abs(out / special.ndtri((numbers + 0.5) * 2.0**-32) - 1))


@pytest.mark.parametrize("word", [0, 1, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1])
def test_quantile_of_extreme_words(word):
    assert quantile_error(np.array([word], dtype=np.uint64)) < 1e-7


@pytest.mark.parametrize(
    "first",
    [0, 2**23 - 2**19, 2**31 - 2**19, 2**32 - 2**23 - 2**19, 2**32 - 2**20],
    ids=["lower end", "lower branch", "centre", "upper branch", "upper end"],
)
def test_quantile_of_a_million_words_where_it_may_break(first):
    assert quantile_error(np.arange(first, first + 2**20, dtype=np.uint64)) < 1e-6


def test_quantile_of_random_words():
    numbers = np.random.default_rng(1).integers(0, 2**32, 4_000_000, dtype=np.uint64)
    assert quantile_error(numbers) < 1e-6


@pytest.mark.slow
def test_quantile_of_every_word_of_the_tails_and_of_every_hundredth_other():
    tails = 2**23 + 2**16
    for first in range(0, tails, 2**20):
        numbers = np.arange(first, first + 2**20, dtype=np.uint64)
        assert quantile_error(numbers) < 1e-6
        assert quantile_error(np.uint64(2**32 - 1) - numbers) < 1e-6
    for first in range(0, 2**32, 2**27):
        assert quantile_error(np.arange(first, first + 2**27, 101, dtype=np.uint64)) < 1e-6


def test_quantile_is_odd_and_increases():
    numbers = np.sort(np.random.default_rng(2).integers(0, 2**31, MANY, dtype=np.uint32))
    below, above = numbers.view(np.float32).copy(), (~numbers).view(np.float32).copy()
    convert_words(below)
    convert_words(above)
    np.testing.assert_array_equal(below, -above)
    assert np.all(np.diff(below) >= -2e-6)


def test_normals_take_the_words_in_order():
    out = words(1003).view(np.float32).copy()
    convert_words(out)
    np.testing.assert_array_equal(out, normals(SEED, STREAM, 0, 1003))


def test_normals_follow_their_law():
    values = normals(SEED, STREAM, 0, MANY).astype(float)
    assert abs(values.mean()) * np.sqrt(MANY) < LIMIT
    assert abs(values.var() - 1) / np.sqrt(2 / MANY) < LIMIT
    assert abs(stats.skew(values)) / np.sqrt(6 / MANY) < LIMIT
    assert abs(stats.kurtosis(values)) / np.sqrt(24 / MANY) < LIMIT
    assert sigmas(stats.kstest(values, "norm").pvalue) < LIMIT
    cells = np.floor(special.ndtr(values) * 1000).astype(int)
    assert fits(np.bincount(cells, minlength=1000), np.full(1000, MANY / 1000)) < LIMIT


@pytest.mark.slow
def test_tails_of_a_thousand_million_normals():
    limits = np.array([3.0, 4.0, 4.5, 5.0, 5.5, 6.0])
    below, above = np.zeros(limits.size, np.int64), np.zeros(limits.size, np.int64)
    work = np.empty(4096, dtype=np.float32)
    samples = 10**9 // work.size
    count_tails(samples, work, limits, below, above, *WORDS)
    expected = samples * work.size * special.ndtr(-limits)
    for observed in (below, above):
        assert np.all(np.abs(observed - expected) / np.sqrt(expected) < LIMIT)


# --- Poisson counts -----------------------------------------------------------------------------

MEANS = [
    0.01,
    0.1,
    0.5,
    1,
    1.5,
    3,
    5,
    9.9,
    10,
    12,
    29.9,
    30,
    31,
    31.99,
    32,
    35,
    50,
    100,
    1e3,
    1e4,
    1e6,
]


def joined(observed, expected, least=20):
    """Return the counts of neighbouring cells joined until each expects at least this many."""
    groups = []
    counted = theory = 0.0
    for o, e in zip(observed, expected, strict=True):
        counted, theory = counted + o, theory + e
        if theory >= least:
            groups.append([counted, theory])
            counted = theory = 0.0
    groups[-1][0] += counted
    groups[-1][1] += theory
    return np.array(groups).T


def histogram(mean, draws, stream, width):
    """Return at least this many draws: the counts k, how often each came, and how often expected."""
    k = np.arange(max(0, int(mean - width)), int(mean + width))
    counts = np.zeros(k.size, dtype=np.int64)
    words = *key_words(SEED), *stream_words(stream_number(stream))
    poisson_histogram(float(mean), -(-draws // POISSON_TILE), k[0], counts, *words)
    probability = stats.poisson.pmf(k, mean)
    probability[0], probability[-1] = stats.poisson.cdf(k[0], mean), stats.poisson.sf(k[-2], mean)
    return k, counts, probability * counts.sum()


def poisson_fit(mean, draws, stream):
    """Return the chi-square deviation, in sigmas, of this many counts of one mean."""
    _, counts, expected = histogram(mean, draws, stream, 8 * np.sqrt(mean) + 10)
    return fits(*joined(counts, expected))


@pytest.mark.slow
@pytest.mark.parametrize("mean", MEANS)
def test_counts_follow_their_law(mean):
    assert poisson_fit(mean, 200_000, f"poisson {mean}") < LIMIT


@pytest.mark.parametrize("mean", [0.1, 3, 12.5, 40, 1e5])
def test_ten_million_counts_follow_their_law(mean):
    assert poisson_fit(mean, 10_000_000, f"poisson {mean}") < LIMIT


@pytest.mark.slow
@pytest.mark.parametrize(
    "mean", [*MEANS, 0.249, 0.25, 7.3, 15.99, 16, 20.5, 43.84, 64, 65535, 65536]
)
def test_many_counts_follow_their_law(mean):
    assert poisson_fit(mean, 100_000_000, f"poisson {mean}") < LIMIT


@pytest.mark.slow
@pytest.mark.parametrize("mean", [0.2, 15.0, 30.0, 1e5])  # one of each formula
def test_tails_of_a_thousand_million_counts(mean):
    k, counts, expected = histogram(mean, 10**9, f"tails {mean}", 9 * np.sqrt(mean) + 12)
    for tail in (4, 4.5, 5, 5.5):
        for far in (k > mean + tail * np.sqrt(mean), k < mean - tail * np.sqrt(mean)):
            if expected[far].sum() > 5:
                deviation = counts[far].sum() - expected[far].sum()
                assert abs(deviation) / np.sqrt(expected[far].sum()) < LIMIT


def assert_quantiles(means, numbers):
    """Check that each count is a quantile of a number between w / 2**32 and (w + 1) / 2**32."""
    counts = np.empty(means.size)
    counts_of_words(means, numbers.astype(np.uint32), counts)
    w, slack = numbers.astype(float), 1e-11
    low, high = w / 2.0**32, (w + 1) / 2.0**32
    upper = numbers >= 2**31
    law = stats.poisson(means)
    below = (law.cdf(counts - 1) <= high * (1 + slack)) & (law.cdf(counts) >= low * (1 - slack))
    above = law.sf(counts - 1) >= (1 - high) * (1 - slack)
    above &= law.sf(counts) <= (1 - low) * (1 + slack)
    assert np.all(np.where(upper, above, below))


EVERY_RANGE = np.concatenate(
    [[1e-12, 1e-9, 1e-5, 0.2499999999, 0.25, 15.9999999999, 16, 65535.9, 65536],
     np.geomspace(1e-3, 1e6, 90)]
)  # fmt: skip


@pytest.mark.parametrize("mean", EVERY_RANGE)
def test_counts_are_quantiles_of_their_words(mean):
    random = np.random.default_rng(3).integers(0, 2**32, 5000)
    ends = np.arange(200)
    numbers = np.concatenate([random, ends, 2**32 - 1 - ends, 2**31 + ends - 100])
    tails = 2**23 + ends - 100
    numbers = np.concatenate([numbers, tails, 2**32 - tails])
    assert_quantiles(np.full(numbers.size, mean), numbers)


@pytest.mark.parametrize("mean", EVERY_RANGE)
def test_counts_change_at_the_steps_of_the_law(mean):
    """Around each step, words as near as the step itself and as far as the float32 sums may err."""
    k = np.unique(stats.poisson.ppf(np.linspace(1e-9, 1 - 1e-9, 60), mean))
    k = np.unique(np.concatenate([k, k + 1, k + 2]))
    near = [
        0,
        1,
        2,
        3,
        10,
        30,
        100,
        300,
        1000,
        3000,
        10_000,
        20_000,
        30_000,
        34_000,
        35_000,
        60_000,
    ]
    steps = np.floor(stats.poisson.cdf(k, mean) * 2.0**32)
    numbers = (steps[:, None] + [*near, *(-np.array(near))]).reshape(-1)
    numbers = numbers[(numbers >= 0) & (numbers < 2**32)].astype(np.int64)
    assert_quantiles(np.full(numbers.size, mean), numbers)


def test_words_of_mixed_means():
    rng = np.random.default_rng(4)
    means = np.exp(rng.uniform(np.log(1e-6), np.log(1e7), 200_000))
    assert_quantiles(means, rng.integers(0, 2**32, means.size))
    assert_quantiles(np.sort(means), rng.integers(0, 2**32, means.size))


@pytest.mark.parametrize("mean", [0.1, 3.0, 12.5, 20.0, 80.0, 5e3])
def test_a_word_with_a_step_is_divided_there(mean):
    k = stats.poisson.ppf(0.3 if mean > 1 else 0.95, mean)
    step = stats.poisson.cdf(k, mean) * 2.0**32
    n = 200_000
    counts = np.empty(n)
    counts_of_words(np.full(n, mean), np.full(n, int(step), np.uint32), counts)
    assert set(counts) == {k, k + 1}
    share = step % 1
    assert abs(np.mean(counts == k) - share) / np.sqrt(share * (1 - share) / n) < LIMIT


@pytest.mark.parametrize("mean", [0.1, 3.0, 20.0, 300.0, 1e4, 1e6])
@pytest.mark.parametrize("word", [0, 2**32 - 1])
def test_the_tails_beyond_the_last_words_follow_the_law(mean, word):
    n = 200_000
    counts = np.empty(n)
    counts_of_words(np.full(n, mean), np.full(n, word, np.uint32), counts)
    k = np.arange(max(0, int(mean - 12 * np.sqrt(mean))), int(mean + 12 * np.sqrt(mean)) + 40)
    cdf, sf = stats.poisson.cdf(k, mean), stats.poisson.sf(k, mean)
    low = np.minimum(cdf * 2.0**32, 1)
    high = np.maximum(1 - sf * 2.0**32, 0)
    probability = np.diff(low if word == 0 else high, prepend=0)
    kept = probability > 0
    observed = np.bincount((counts - k[0]).astype(int), minlength=k.size)
    assert observed[kept].sum() == n
    if kept.sum() > 1:
        assert fits(*joined(observed[kept], probability[kept] * n)) < LIMIT
    else:
        assert mean < 30


@pytest.mark.parametrize("mean", [*MEANS, 1e9, 1e12, 1e15])
def test_mean_and_variance_of_counts(mean):
    n = 200_000
    centred = poissons(SEED, STREAM, 1, np.full(n, mean)) - mean
    assert abs(centred.mean()) / np.sqrt(mean / n) < LIMIT
    assert abs((centred**2).mean() / mean - 1) / np.sqrt((2 + 1 / mean) / n) < LIMIT
    spread = np.sqrt((mean + 24 * mean**2 + 15 * mean**3) / n)
    assert abs((centred**3).mean() - mean) / spread < LIMIT


def test_counts_where_there_is_no_mean():
    counts = poissons(SEED, STREAM, 0, [0.0, -1.0, -np.inf, np.nan, np.inf, 1.01e15])
    np.testing.assert_array_equal(counts, [0, 0, 0, np.nan, np.nan, np.nan])


@pytest.mark.parametrize(
    "mean", [1e-300, 1e-12, 1 - 1e-16, 15.999999999999998, 16.0, 65535.99999999999, 65536.0, 1e15]
)
def test_counts_at_the_ends_of_the_ranges_are_whole(mean):
    counts = poissons(SEED, STREAM, 0, np.full(1000, mean))
    assert np.all((counts >= 0) & (counts == np.floor(counts)))
    assert abs(counts.mean() - mean) <= LIMIT * np.sqrt(mean / 1000)


def test_log_probability_against_scipy():
    mean = np.repeat([32.0, 40.0, 100.0, 1e3, 1e6], 40)
    k = np.floor(mean + np.sqrt(mean) * np.tile(np.linspace(-2.8, 8, 40), 5))
    out = np.empty(k.size)
    log_probabilities(k, mean, out)
    # scipy subtracts numbers as large as k log k
    expected = stats.poisson.logpmf(k, mean) + 0.5 * np.log(2 * np.pi * k)
    np.testing.assert_allclose(out, expected, rtol=1e-11, atol=4e-16 * 1e6 * 15)


@pytest.mark.parametrize("mean", [1e-9, 0.3, 3.0, 15.9, 17.3, 100.0, 4e3, 65535.0])
def test_cumulative_probabilities(mean):
    least = max(0, int(mean - 10 * np.sqrt(mean)))
    k = np.unique(np.linspace(least, int(mean + 10 * np.sqrt(mean)) + 10, 300).astype(int))
    below, above = np.empty(k.size), np.empty(k.size)
    cumulatives(k.astype(float), np.full(k.size, mean), below, above)
    np.testing.assert_allclose(below, special.gammaincc(k + 1.0, mean), rtol=2e-12)
    smaller = k >= mean  # the other is 1 less the sum
    np.testing.assert_allclose(above, special.gammainc(k + 1.0, mean), rtol=2e-12, atol=1e-15)
    assert np.all(above[smaller] > 0)


@pytest.mark.parametrize("mean", [16.0, 20.0, 40.0, 100.0, 1e3, 1e4, 65536.0, 1e6])
def test_the_expansion_errs_less_than_it_says(mean):
    most = 6.4 if mean <= 65536 else 4.4  # beyond 4.5 scipy's sums are too short (errors of 4e-11)
    far = min(most, poisson._REACH * np.sqrt(mean))
    z = np.linspace(-far, far, 2001)
    excess = np.empty(z.size)
    excesses(np.full(z.size, mean), z, excess)
    x = mean + excess
    miss = np.where(
        z < 0,
        special.gammaincc(x, mean) - special.ndtr(z),
        special.ndtr(-z) - special.gammainc(x, mean),
    )
    error = np.abs(miss) * np.sqrt(mean) / stats.norm.pdf(z)
    assert error.max() < 0.6 * poisson._expansion_error.py_func(mean)
    if mean >= poisson._EXPANDED:
        assert np.abs(miss).max() < 1e-13


# --- independence -------------------------------------------------------------------------------


def cells(values):
    return (values * 16).astype(int)


@pytest.mark.parametrize("lag", [1, 2, 3, 4, 5, 64])
def test_neighbouring_elements_are_independent(lag):
    values = special.ndtr(normals(SEED, STREAM, 0, MANY).astype(float))
    first, second = values[:-lag], values[lag:]
    assert abs(np.corrcoef(first, second)[0, 1]) * np.sqrt(first.size) < LIMIT
    counts = np.bincount(16 * cells(first) + cells(second), minlength=256)
    # Pairs overlap: the statistic of pairs less that of single cells is chi-square (Good 1953).
    single = np.bincount(cells(first), minlength=16)
    statistic = np.sum((counts - first.size / 256) ** 2) / (first.size / 256)
    statistic -= np.sum((single - first.size / 16) ** 2) / (first.size / 16)
    assert sigmas(stats.chi2.sf(statistic, 240)) < LIMIT


@pytest.mark.parametrize(
    "other",
    [
        lambda n: uniforms(SEED, STREAM, n + 1),
        lambda n: uniforms(SEED, STREAM, n, 1),
        lambda n: uniforms(SEED, STREAM, n, attempt=1),
        lambda n: uniforms(SEED, STREAM ^ 1, n),
        lambda n: uniforms(SEED, stream_number("images/noise/test.2"), n),
        lambda n: uniforms(SEED + 1, STREAM, n),
    ],
    ids=["sample", "element", "attempt", "stream number", "stream name", "seed"],
)
def test_neighbours_of_every_kind_are_independent(other):
    n = np.arange(MANY)
    first, second = uniforms(SEED, STREAM, n), other(n)
    assert abs(np.corrcoef(first, second)[0, 1]) * np.sqrt(MANY) < LIMIT
    counts = np.bincount(16 * cells(first) + cells(second), minlength=256)
    assert fits(counts, np.full(256, MANY / 256)) < LIMIT


@pytest.mark.parametrize("mean", [3.7, 50.0])
def test_counts_of_neighbours_are_uncorrelated(mean):
    means = np.full(MANY // 4, mean)
    first = poissons(SEED, STREAM, 0, means)
    for second in (
        first[1:],
        poissons(SEED, STREAM, 1, means),
        poissons(SEED, STREAM ^ 1, 0, means),
    ):
        correlation = np.corrcoef(first[: second.size], second)[0, 1]
        assert abs(correlation) * np.sqrt(second.size) < LIMIT
