import numpy as np
import pytest
from scipy.stats import chisquare

from deepbench.numerics.permutation import permuted


def keys(count, seed=3):
    return np.random.default_rng(seed).random((count, 2))


@pytest.mark.parametrize("count", [*range(1, 40), 255, 256, 257, 1023, 1025, 4096, 65_537, 100_003])
def test_it_is_a_bijection(count):
    found = permuted(np.arange(count), count, keys(1)[0])
    np.testing.assert_array_equal(np.sort(found), np.arange(count))


@pytest.mark.parametrize("count", [2**32, 2**32 - 5, 2**31 + 1])
def test_numbers_stay_inside_and_apart(count):
    numbers = np.concatenate([np.arange(1000), np.arange(count - 1000, count)])
    found = permuted(numbers, count, keys(1)[0])
    assert len(set(found.tolist())) == len(numbers)
    assert found.min() >= 0
    assert found.max() < count
    assert abs(found.mean() / count - 0.5) < 5 / np.sqrt(12 * len(numbers))


def test_one_number_alone_equals_that_of_many():
    key = keys(1)[0]
    together = permuted(np.arange(1000), 1000, key)
    assert all(permuted(np.array([i]), 1000, key)[0] == together[i] for i in range(0, 1000, 37))


@pytest.mark.parametrize("count", [3, 4, 5, 6, 7])
def test_all_permutations_are_as_frequent(count):
    """7 numbers are 5040 permutations; those of 3 × 3 numbers alone would be of one sign, mostly."""
    base = count ** np.arange(count)
    trials = 24_000
    codes = [int(permuted(np.arange(count), count, key) @ base) for key in keys(trials)]
    possible = int(np.prod(np.arange(1, count + 1)))
    found = np.unique(codes, return_counts=True)[1]
    counted = np.concatenate([found, np.zeros(possible - len(found))])
    assert chisquare(counted).pvalue > 1e-4


def test_neighbours_land_independently():
    places = np.array([permuted(np.array([40, 41]), 100, key) for key in keys(20_000)])
    table = np.histogram2d(*(places // 20).T, bins=5)[0]
    assert chisquare(table.sum(0)).pvalue > 1e-4
    # without replacement: two numbers share a fifth with probability 19/99
    same = np.trace(table) / len(places)
    assert abs(same - 19 / 99) < 5 * np.sqrt(same * (1 - same) / len(places))
