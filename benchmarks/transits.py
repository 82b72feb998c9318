"""Transits and eclipses of one star as TESS sees it for a sector, against batman: microseconds of CPU time per curve.

    python benchmarks/transits.py

A sector is 19,728 points in 27.4 days, one each 2 minutes; the period is 3 days. Both run in one process and on one
core, in turns; medians. batman makes its model and the curve (``TransitModel``, ``light_curve``), as for a new planet;
ours writes ones and multiplies by the transits. ``with nodes`` adds what the integration over the exposures asks for:
how many instants each of them needs. The error of both is the largest, against ours by orbits solved by bisection
(``tests/reference/occultation.py``); ours has 1e-15 of the light that a disc hides, as the tests find in 45 digits.
"""

from __future__ import annotations

import runpy
import time
from pathlib import Path

import batman
import numpy as np

from deepbench.light_curves.families.eclipsing_binary import ECLIPSE
from deepbench.light_curves.families.eclipsing_binary_kernels import multiply_eclipses
from deepbench.light_curves.families.occultation import hidden
from deepbench.light_curves.families.transit import TRANSIT
from deepbench.light_curves.families.transit_kernels import count_transits, multiply_transits

REFERENCE = runpy.run_path(
    str(Path(__file__).parents[1] / "tests" / "reference" / "occultation.py")
)
TIMES = np.arange(19_728) * (2.0 / 1440.0)
EXPOSURES = np.full(TIMES.size, 2.0 / 1440.0)
BANDS = np.zeros(TIMES.size, np.int8)
OFFSETS, OWNERS = np.array([0, TIMES.size]), np.zeros(1, np.int64)
ROUNDS, REPEAT = 15, 10
PERIOD, MIDDLE, RADIUS, AXIS, IMPACT, ARGUMENT, U1, U2 = 3.0, 1.1, 0.1, 8.8, 0.3, 60.0, 0.4, 0.25


def row_of(kind, **values):
    """Return the rows of one object in one band."""
    return np.array([[tuple(values[name] for name in kind.names)]], kind)


def transit_row(e):
    """Return the planet's row."""
    return row_of(
        TRANSIT,
        period=PERIOD,
        transit_time=MIDDLE,
        radius_ratio=RADIUS,
        scaled_semi_major_axis=AXIS,
        impact_parameter=IMPACT,
        eccentricity=e,
        argument_of_periastron_degrees=ARGUMENT,
        u1=U1,
        u2=U2,
        third_light=0.0,
    )


def eclipse_row(e):
    """Return a row of a binary with stars of the same separation."""
    return row_of(
        ECLIPSE,
        period=PERIOD,
        eclipse_time=MIDDLE,
        sum_of_radii=1.5 / AXIS,
        radius_ratio=0.5,
        surface_brightness_ratio=0.4,
        inclination_degrees=88.0,
        eccentricity=e,
        argument_of_periastron_degrees=ARGUMENT,
        primary_u1=U1,
        primary_u2=U2,
        secondary_u1=U1,
        secondary_u2=U2,
        third_light=0.0,
    )


def cos_inclination(e):
    """Return the cosine of the planet's inclination."""
    return IMPACT / AXIS * (1 + e * np.sin(np.radians(ARGUMENT))) / (1 - e * e)


def batmans(e):
    """Return batman's curve of the planet."""
    planet = batman.TransitParams()
    planet.t0, planet.per, planet.rp, planet.a = MIDDLE, PERIOD, RADIUS, AXIS
    planet.inc = np.degrees(np.arccos(cos_inclination(e)))
    planet.ecc, planet.w, planet.limb_dark, planet.u = e, ARGUMENT, "quadratic", [U1, U2]
    return batman.TransitModel(planet, TIMES).light_curve(planet)


def reference(e):
    """Return the planet's curve with orbits solved by bisection."""
    days = TIMES - MIDDLE
    days -= PERIOD * np.rint(days / PERIOD)
    argument = np.radians(ARGUMENT)
    apart, front = REFERENCE["place"](days, PERIOD, AXIS, cos_inclination(e), e, argument)
    return 1 - np.where(front > 0, hidden(apart, RADIUS, U1, U2), 0.0)


def alternating(*functions):
    """Return the median microseconds of a call of each function."""
    times = [[] for _ in functions]
    for function in functions:
        function()
    for _ in range(ROUNDS):
        for function, found in zip(functions, times, strict=True):
            start = time.process_time()
            for _ in range(REPEAT):
                function()
            found.append((time.process_time() - start) / REPEAT)
    return [1e6 * float(np.median(found)) for found in times]


def main():
    """Print the table."""
    for e in (0.0, 0.3):
        planet, binary = transit_row(e), eclipse_row(e)

        def transits(rows=planet):
            factors = np.ones(TIMES.size)
            multiply_transits(rows, OWNERS, OFFSETS, TIMES, BANDS, factors)
            return factors

        def with_nodes(rows=planet):
            nodes, counts = np.ones(TIMES.size, np.int64), np.zeros(1, np.int64)
            count_transits(rows, OWNERS, OFFSETS, TIMES, EXPOSURES, nodes, counts)
            return transits(rows)

        def eclipses(rows=binary):
            factors = np.ones(TIMES.size)
            multiply_eclipses(rows, OWNERS, OFFSETS, TIMES, BANDS, factors)
            return factors

        theirs, ours, counted, both = alternating(
            lambda e=e: batmans(e), transits, with_nodes, eclipses
        )
        print(
            f"e = {e}: batman {theirs:.0f} µs; ours {ours:.1f} µs, ratio {theirs / ours:.1f}; "
            f"with nodes {counted:.1f} µs, ratio {theirs / counted:.1f}; "
            f"both eclipses of a binary {both:.0f} µs"
        )
        expected = reference(e)
        errors = [np.abs(curve - expected).max() for curve in (batmans(e), transits())]
        print(
            f"  error: batman {errors[0]:.1e}, ours {errors[1]:.1e}; "
            f"points in transit: {(expected < 1).sum()}"
        )


if __name__ == "__main__":
    main()
