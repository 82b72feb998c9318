import numpy as np
import pytest
from scipy.stats import qmc

from deepbench.numerics.sobol import MAX_DIMENSION, directions, points, shifted


@pytest.mark.parametrize("start", [1, 2**20 - 3])
def test_points_are_those_of_scipy(start):
    sequence = qmc.Sobol(MAX_DIMENSION, scramble=False, bits=32)
    np.testing.assert_array_equal(directions(MAX_DIMENSION), sequence._sv)
    sequence.fast_forward(start)
    found = points(np.arange(start, start + 1000), MAX_DIMENSION) / 2**32
    np.testing.assert_array_equal(found, sequence.random(1000))


def test_a_point_is_the_exclusive_or_of_the_bits_of_its_gray_code():
    number = 0xDEADBEEF
    gray = number ^ number >> 1
    steps = directions(MAX_DIMENSION)[:, [bit for bit in range(32) if gray >> bit & 1]]
    found = points(np.array([number]), MAX_DIMENSION)[0]
    np.testing.assert_array_equal(found, np.bitwise_xor.reduce(steps, axis=1))


def test_one_point_alone_in_fewer_dimensions():
    alone = points(np.array([77]), 3)
    np.testing.assert_array_equal(alone, points(np.arange(100), MAX_DIMENSION)[77:78, :3])


@pytest.mark.parametrize("start", [0, 3 * 256])
def test_shifted_points_are_balanced_and_inside(start):
    shifts = np.random.default_rng(2).random(MAX_DIMENSION)
    values = shifted(points(np.arange(start, start + 256), MAX_DIMENSION), shifts)
    cells = np.sort((values * 256).astype(int), axis=0)
    np.testing.assert_array_equal(cells, np.broadcast_to(np.arange(256)[:, None], cells.shape))


def test_the_ends_of_the_unit_interval_are_outside():
    corners = np.array([[0, 2**32 - 1]], np.uint32)
    low, high = shifted(corners, np.array([0.0, 0.0]))[0]
    assert (low, high) == (2.0**-53, 1 - 2.0**-32 + 2.0**-53)
    assert shifted(corners, np.array([1 - 2.0**-53, 2.0**-53]))[0].tolist() == [1 - 2.0**-53, high]


def test_a_shift_keeps_the_distances_of_bits():
    one, other = points(np.array([5, 9]), 2)
    shifts = np.array([0.3, 0.7])
    moved = (shifted(np.stack([one, other]), shifts) * 2.0**52).astype(np.uint64)
    np.testing.assert_array_equal(moved[0] ^ moved[1], (one ^ other).astype(np.uint64) << 20)
