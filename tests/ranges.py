"""Ends of the ranges of parameters, for tests that walk them all."""

import math

from deepbench.language.specification import parameters_of


def ends(specification):
    """Yield the field, a value at the end of its range, and one further inside, of each end that there is.

    Where the other end is open, a tenth of the end, or a hundredth, is further inside.
    """
    for field, meaning in parameters_of(specification).items():
        low = meaning.minimum if meaning.minimum is not None else meaning.above
        high = meaning.maximum if meaning.maximum is not None else meaning.below
        if low is None and high is None:
            continue
        span = high - low if None not in (low, high) else abs(low if high is None else high) or 0.3
        step = 1.0 if meaning.integer else 0.03 * span
        for end, bound, sign in ((low, meaning.above, 1.0), (high, meaning.below, -1.0)):
            if end is not None:
                at = end if bound is None else end + sign * 1e-3 * span
                if math.isfinite(at):
                    yield field, at, at + sign * step
