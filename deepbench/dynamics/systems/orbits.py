"""Two bodies on Kepler orbits about their centre of mass."""

from __future__ import annotations

import numpy as np

from deepbench.numerics.kepler import distance64, eccentric64
from deepbench.numerics.kernels import kernel
from deepbench.numerics.mathfast import sincosd64

TWO_PI = 6.283185307179586


@kernel
def revolve(parameters, times, rows, positions, velocities):
    """Write where two bodies are.

    The relative orbit lies in a plane that is turned by the argument of periastron about z, by the inclination about x
    and by the longitude of the ascending node about z (Murray and Dermott 1999, *Solar System Dynamics*, 2.8).

    Parameters
    ----------
    parameters : float64[n, 9]
        Gravitational constant, both masses, semi-major axis of the relative orbit, eccentricity, inclination,
        longitude of the ascending node and argument of periastron of the second body (degree), time of periastron.
    times : float64[t]
    rows : int64[n]
        Where each pair stands in the results.
    positions, velocities : float64[m, t, bodies, 3]
        Bodies 0 and 1 are written; or float64[m, t, 0, 3].
    """
    for i in range(rows.size):
        constant, mass, other, a, e, tilt, node, argument, begin = parameters[i]
        position, velocity = positions[rows[i]], velocities[rows[i]]
        total = mass + other
        share = -other / total, mass / total
        pace = np.sqrt(constant * total / a) / a  # mean motion
        flat = np.sqrt((1.0 - e) * (1.0 + e))
        si, ci = sincosd64(tilt)
        so, co = sincosd64(node)
        sw, cw = sincosd64(argument)
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
