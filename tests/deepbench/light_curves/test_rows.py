"""Rows that samples have, in their order."""

from types import SimpleNamespace

import numpy as np

from deepbench.light_curves.families.contaminants import DEVIATION, GAP, Gap, Outlier
from deepbench.light_curves.rows import rows_of_samples


def found(samples, chosen, **columns):
    entry = SimpleNamespace(chosen=chosen)
    columns = {name: np.array(values, float) for name, values in columns.items()}
    return SimpleNamespace(samples=np.array(samples), entry=entry, columns=columns)


GAPS = [
    found([0, 2, 2], Gap(start=0, duration=1), start=[1, 2, 3], duration=[4, 5, 6]),
    found([1], Outlier(time=0, deviation=1), time=[7], deviation=[8]),
    found([0, 3], Gap(start=0, duration=1), start=[9, 10], duration=[11, 12]),
]


def test_rows_are_in_the_order_of_samples_then_as_written():
    rows = rows_of_samples(5, GAPS, lambda each: each.entry.chosen.gaps(each.columns), GAP)
    assert rows.firsts.tolist() == [0, 2, 2, 4, 5, 5]
    assert rows.rows.tolist() == [(1, 4), (9, 11), (2, 5), (3, 6), (10, 12)]
    wrong = rows_of_samples(
        5, GAPS, lambda each: each.entry.chosen.deviations(each.columns), DEVIATION
    )
    assert wrong.firsts.tolist() == [0, 0, 1, 1, 1, 1]
    assert wrong.rows.tolist() == [(7, 8)]


def test_a_part_has_the_rows_of_its_samples():
    rows = rows_of_samples(5, GAPS, lambda each: each.entry.chosen.gaps(each.columns), GAP)
    part = rows.part(slice(1, 4))
    assert part.firsts.tolist() == [0, 0, 2, 3]
    assert part.rows.tolist() == [(2, 5), (3, 6), (10, 12)]
    assert len(rows_of_samples(2, [], lambda each: each, GAP).part(slice(0, 2)).rows) == 0
