"""Motions by extrapolation of the midpoint rule in extended precision: a reference for the integrators.

Gragg's modified midpoint rule has errors in even powers of the substep, which Neville's scheme removes (Hairer, Nørsett
and Wanner 1993, *Solving Ordinary Differential Equations I*, II.9): order 2 × COLUMNS.
"""

import numpy as np

COLUMNS = 9


def follow(derivative, start, times, longest):
    """Return the states at the times, longdouble[t, …].

    ``derivative(t, y)`` takes and gives arrays of any shape; steps are at most ``longest`` long.
    """
    y, t = np.asarray(start, np.longdouble), np.longdouble(0)
    found = []
    for time in np.asarray(times, np.longdouble):
        steps = int(np.ceil(float(time - t) / longest))
        begin = t
        for step in range(steps):
            h = (time - begin) / steps
            y = _step(derivative, begin + step * h, y, h)
        t = time
        found.append(y)
    return np.array(found)


def _step(derivative, t, y, h):
    table, first = [], derivative(t, y)
    for column in range(COLUMNS):
        n = 2 * (column + 1)
        row = [_midpoint(derivative, t, y, h, n, first)]
        for k in range(1, column + 1):
            ratio = np.longdouble(n) / (2 * (column + 1 - k))
            row.append(row[-1] + (row[-1] - table[-1][k - 1]) / (ratio * ratio - 1))
        table.append(row)
    return table[-1][-1]


def _midpoint(derivative, t, y, h, n, first):
    d = h / n
    before, here = y, y + d * first
    for k in range(1, n):
        before, here = here, before + 2 * d * derivative(t + k * d, here)
    return (before + here + d * derivative(t + h, here)) / 2
