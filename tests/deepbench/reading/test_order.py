"""Order of batches: exact, the same for all ranks and workers, and mixed."""

import re
from itertools import product

import numpy as np
import pytest

from deepbench.errors import LoadingError
from deepbench.reading.order import Order, Share


@pytest.fixture(scope="module")
def samples():
    """About four fifths of 5,000 samples, as a training split lies among others."""
    return np.flatnonzero(np.random.default_rng(1).random(5000) < 0.8)


ORDERS = {
    "windows": Order(24, unit=16, window=240, lanes=6, seed=7),
    "one batch a window": Order(50, unit=16, window=1, lanes=6),
    "batches smaller than lanes": Order(4, unit=16, window=64, lanes=12),
    "global": Order(24, seed=7),
    "in a row": Order(24, shuffle=False, unit=16),
}


def epoch_of(order, samples, ranks, workers, number=3, first=0):
    """Return the global batches that ranks and workers give together, by step."""
    epoch, found = order.epoch(samples, number), {}
    for rank in range(ranks):
        seen = []
        for worker in range(workers):
            share = Share(rank, ranks, worker, workers)
            order.check(share)
            for step, window, row in epoch.walk(share, first):
                found.setdefault(step, {})[rank] = window.rows[row]
                seen.append(step)
        assert sorted(seen) == list(range(first, epoch.steps))
    return np.array(
        [np.concatenate([found[step][r] for r in range(ranks)]) for step in sorted(found)]
    )


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_batches_are_those_of_any_ranks_and_workers(order, samples):
    alone = epoch_of(order, samples, 1, 1)
    epoch = order.epoch(samples, 3)
    assert (alone == [epoch.batch(step) for step in range(epoch.steps)]).all()
    for ranks, workers in ((2, 1), (1, 2), (2, 3), (1, 6)):
        if order.batch_size % ranks == 0:
            assert (epoch_of(order, samples, ranks, workers) == alone).all()
    for first in (1, 7, epoch.steps - 1):
        assert (epoch_of(order, samples, 2, 3, first=first) == alone[first:]).all()


@pytest.mark.parametrize(("order", "uneven"), [*product(ORDERS, ["drop", "pad"])])
def test_an_epoch_has_each_sample_once(order, uneven, samples):
    order = Order(**{**vars(ORDERS[order]), "uneven": uneven})
    rows = epoch_of(order, samples, 1, 1).ravel()
    own = rows[rows >= 0]
    assert len(np.unique(own)) == len(own)
    left = len(samples) % order.batch_size
    assert left
    if uneven == "drop":
        assert len(own) == len(rows) == len(samples) - left
    else:
        assert len(own) == len(samples)
        assert len(rows) - len(own) == order.batch_size - left


def test_an_epoch_may_be_smaller_than_its_padding():
    rows = Order(64, uneven="pad").epoch(np.arange(5), 0).batch(0)
    assert sorted(rows[rows >= 0]) == [0, 1, 2, 3, 4]
    assert sorted(np.bincount(~rows[rows < 0])) == [11, 12, 12, 12, 12]


def test_seeds_and_epochs_have_orders_of_their_own(samples):
    orders = [Order(24, unit=16, window=240, seed=seed) for seed in (0, 1)]
    batches = [order.epoch(samples, number).batch(0) for order in orders for number in (0, 1)]
    assert len({batch.tobytes() for batch in batches}) == 4
    again = orders[0].epoch(samples, 0).batch(0)
    assert (again == batches[0]).all()


def test_the_order_is_what_it_was():
    """Raw words of Philox and stable sorting: no version of numpy may change them."""
    order = Order(4, unit=4, window=8, lanes=2, seed=2020)
    found = [order.epoch(np.arange(24), 1).batch(step).tolist() for step in range(6)]
    assert found == [
        *([14, 15, 6, 5], [8, 9, 20, 21], [12, 13, 7, 4]),
        *([11, 10, 23, 22], [17, 16, 18, 19], [1, 0, 3, 2]),
    ]


def test_a_unit_is_read_once_a_window_and_mixed_with_others():
    order = Order(64, unit=16, window=4096, lanes=4)
    count = 16 * 4096
    epoch = order.epoch(np.arange(count), 0)
    reads = 0
    for _, window, row in epoch.walk(Share()):
        if row == 0:
            units = np.unique(window.rows // 16)
            reads += len(units)
            assert len(units) >= 256
            assert np.unique(window.rows[0] // 16, return_counts=True)[1].max() <= 6
    assert reads <= 1.01 * count / 16


def test_batches_drift_little_more_than_of_a_global_permutation():
    """Standard deviation of batch means of a slow trend, of 49,152 samples; expected 1 ± 0.03 of independent ones."""
    count = 48 * 1024
    trend = np.linspace(-1.0, 1.0, count) * np.sqrt(3.0)
    order = Order(64, unit=16, window=4096, lanes=4)
    epoch = order.epoch(np.arange(count), 0)
    means = [trend[epoch.batch(step)].mean() for step in range(epoch.steps)]
    assert 0.8 < np.std(means) * 8.0 < 1.3


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"batch_size": 0}, "`batch_size` must be a whole number of at least 1, not 0"),
        ({"batch_size": 6.0}, "not 6.0"),
        ({"seed": -1}, "`seed` must be a whole number from 0"),
        ({"uneven": "keep"}, "`uneven` must be 'drop'"),
        ({"lanes": 0}, "`lanes` must be"),
    ],
)
def test_what_is_no_order_is_refused(given, message):
    with pytest.raises(LoadingError, match=re.escape(message)):
        Order(**{"batch_size": 8, **given})


@pytest.mark.parametrize(
    ("share", "message"),
    [
        (Share(0, 3), "cannot be shared by 3 ranks: use a multiple, such as batch_size=66"),
        (Share(workers=3), "3 workers cannot share lanes=16: use 2 workers, or lanes=48"),
        (Share(0, 32), "32 ranks cannot share lanes=16: use 16 ranks, or lanes=32"),
        (Share(2, 2), "`rank` must be a whole number from 0 to 1"),
        (Share(0, 0), "`world_size` must be a whole number of at least 1, not 0"),
    ],
)
def test_what_cannot_be_shared_is_refused_with_a_number_that_works(share, message):
    with pytest.raises(LoadingError, match=re.escape(message)):
        Order(64, unit=16).check(share)
