"""A slow, independent quadrature of a Sérsic profile behind a Moffat profile, in real space and double precision.

The light is cut into rings of the galaxy's own ellipse, the rings into steps. Each step is a point of light behind the
point spread function, integrated over the square of a pixel by Gauss and Legendre's rule. Rings are the nodes of that
rule on panels: geometric ones towards the centre, where the profile has a cusp, and beyond the frame; between them as
wide as the point spread function. Along a ring the trapezoid rule converges exponentially, the faster the farther the
ring is from the pixels: its steps grow with that distance.

Nothing here uses the package. ``resolution`` refines everything at once.
"""

import math

import numba
import numpy as np
from scipy.special import gammainc, gammaincinv, gammaln

FAR = 1e9  # half-light radii: nothing of any profile lies beyond


def rings(n, a, axis_ratio, fwhm, reach, resolution):
    """Return the semi-major axes of the rings and the flux of each."""
    fine = 1.5 * fwhm / resolution
    inner = np.geomspace(1e-9, 1.0, 31) * fine
    middle = np.arange(fine, reach / axis_ratio + 2 * fine, fine)
    outer = np.geomspace(1.0, FAR * a / middle[-1], 60) * middle[-1]
    edges = np.concatenate([inner, middle[1:], outer[1:]])
    node, weight = np.polynomial.legendre.leggauss(int(8 * math.sqrt(resolution)))
    half, centre = np.diff(edges)[:, None] / 2, (edges[1:] + edges[:-1])[:, None] / 2
    radius = (centre + half * node).ravel()
    b = gammaincinv(2 * n, 0.5)
    log_norm = 2 * n * math.log(b) - math.log(n) - gammaln(2 * n) - 2 * math.log(a)
    light = np.exp(log_norm - b * (radius / a) ** (1 / n)) * radius * (half * weight).ravel()
    core = gammainc(2 * n, b * (edges[0] / a) ** (1 / n))
    return np.append(radius, 0.0), np.append(light, core)


@numba.njit(cache=False, error_model="numpy")
def convolve(xs, ys, radius, light, axis_ratio, sine, cosine, alpha2, beta, step, fwhm):
    """Return the profile behind a Moffat profile at points around its centre."""
    out = np.zeros(xs.size)
    reach = math.sqrt((xs * xs + ys * ys).max())
    norm = (beta - 1.0) / (math.pi * alpha2)
    for ring in range(radius.size):
        if light[ring] < 1e-13:
            continue
        far = max(0.0, axis_ratio * radius[ring] - reach)
        steps = math.pi * radius[ring] / (step * (1.0 + far / fwhm))
        count = 2 * min(int(steps) + 16, 20000)
        for i in range(count):
            angle = 2.0 * math.pi * (i + 0.5) / count
            along, across = (
                radius[ring] * math.cos(angle),
                axis_ratio * radius[ring] * math.sin(angle),
            )
            u, v = along * cosine - across * sine, along * sine + across * cosine
            weight = norm * light[ring] / count
            for point in range(xs.size):
                dx, dy = xs[point] - u, ys[point] - v
                out[point] += weight * math.exp(-beta * math.log1p((dx * dx + dy * dy) / alpha2))
    return out


def pixels(component, fwhm, beta, positions, resolution=1.0):
    """Return the light in pixels.

    Parameters
    ----------
    component : sequence of float
        flux, x, y, half_light_radius (circularised), axis_ratio, position_angle (degrees), n.
    fwhm, beta : float
        Of the Moffat profile.
    positions : int[k, 2]
        Pixels as (row, column).
    resolution : float
        Quadrature steps are this much finer.
    """
    flux, x, y, size, axis_ratio, angle, n = component
    a = size / math.sqrt(axis_ratio)
    alpha2 = fwhm**2 / 4 / (2 ** (1 / beta) - 1)
    node, weight = np.polynomial.legendre.leggauss(
        int((5 if fwhm < 2.5 else 4) * math.sqrt(resolution))
    )
    rows, columns = np.asarray(positions, float).T
    ys, xs = np.broadcast_arrays(
        rows[:, None, None] - y + node[:, None] / 2, columns[:, None, None] - x + node / 2
    )
    reach = math.hypot(np.abs(xs).max(), np.abs(ys).max()) + 6 * fwhm
    radius, light = rings(n, a, axis_ratio, fwhm, reach, resolution)
    turn = math.radians(angle)
    step = 0.35 * fwhm / resolution
    values = convolve(
        xs.ravel(),
        ys.ravel(),
        radius,
        light,
        axis_ratio,
        math.sin(turn),
        math.cos(turn),
        alpha2,
        beta,
        step,
        fwhm,
    )
    return flux * np.einsum("pij,i,j->p", values.reshape(xs.shape), weight / 2, weight / 2)
