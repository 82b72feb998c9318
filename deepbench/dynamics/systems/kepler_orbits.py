"""Two bodies on Kepler orbits about their centre of mass."""

from __future__ import annotations

import numpy as np

from deepbench.numerics.kepler import distance64, eccentric64
from deepbench.numerics.kernels import kernel
from deepbench.numerics.mathfast import sincosd64

TWO_PI = 6.283185307179586

PAIR = np.dtype(
    [
        ("constant", np.float64),
        ("mass_1", np.float64),
        ("mass_2", np.float64),
        ("semi_major_axis", np.float64),
        ("eccentricity", np.float64),
        ("inclination_degrees", np.float64),
        ("longitude_of_ascending_node_degrees", np.float64),
        ("argument_of_periastron_degrees", np.float64),
        ("time_of_periastron", np.float64),
    ]
)
"""Row of two bodies: gravitational constant, masses, and the relative orbit; node and periastron are the second's."""


@kernel
def revolve(pairs, times, rows, positions, velocities):
    """Write where two bodies are.

    The relative orbit lies in a plane that is turned by the argument of periastron about z, by the inclination about x
    and by the longitude of the ascending node about z (Murray and Dermott 1999, *Solar System Dynamics*, 2.8).

    Parameters
    ----------
    pairs : PAIR[n]
    times : float64[t]
    rows : int64[n]
        Row of each pair in the results.
    positions, velocities : float64[m, t, bodies, 3]
        Bodies 0 and 1 are written; or float64[m, t, 0, 3].
    """
    for i in range(rows.size):
        pair = pairs[i]
        mass, other, begin = pair.mass_1, pair.mass_2, pair.time_of_periastron
        a, e = pair.semi_major_axis, pair.eccentricity
        position, velocity = positions[rows[i]], velocities[rows[i]]
        total = mass + other
        share = -other / total, mass / total
        pace = np.sqrt(pair.constant * total / a) / a  # mean motion
        flat = np.sqrt((1.0 - e) * (1.0 + e))
        si, ci = sincosd64(pair.inclination_degrees)
        so, co = sincosd64(pair.longitude_of_ascending_node_degrees)
        sw, cw = sincosd64(pair.argument_of_periastron_degrees)
        # the directions of periastron, and of the motion there
        px, py, pz = co * cw - so * sw * ci, so * cw + co * sw * ci, sw * si
        qx, qy, qz = -co * sw - so * cw * ci, -so * sw + co * cw * ci, cw * si
        for j in range(times.size):
            cycles = pace * (times[j] - begin) / TWO_PI
            _, s, c = eccentric64(TWO_PI * (cycles - np.rint(cycles)), e)
            r = distance64(s, c, e)
            x = a * (c - e)
            y = a * flat * s
            vx, vy = -a * pace * s / r, a * pace * flat * c / r
            for body in range(2):
                part = share[body]
                if position.shape[1] > 0:
                    position[j, body, 0] = part * (x * px + y * qx)
                    position[j, body, 1] = part * (x * py + y * qy)
                    position[j, body, 2] = part * (x * pz + y * qz)
                if velocity.shape[1] > 0:
                    velocity[j, body, 0] = part * (vx * px + vy * qx)
                    velocity[j, body, 1] = part * (vx * py + vy * qy)
                    velocity[j, body, 2] = part * (vx * pz + vy * qz)
