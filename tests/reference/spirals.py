"""A slow, independent quadrature of spiral arms behind a point spread function, in real space and double precision.

The light is cut into points of a log-polar grid in the plane of the disk, where the trapezoid rule converges
exponentially along both axes. Each point is spread by the point spread function, integrated over the squares of the
pixels: by error functions where it is a round Gaussian, by Gauss and Legendre's rule in a few pixels where it is an
elliptical Moffat profile.

Nothing here uses the package. ``resolution`` refines everything at once.
"""

import math

import numba
import numpy as np
from scipy.special import i0e

SCALE = 1.6783469900166605  # half-light radius of an exponential disk in scale lengths
CENTRE = 5e-3  # pixels: the light inside of this radius is left out


def arm(row, size, radius):
    """Return the angle of an arm at radii."""
    if row["form"] == 0:
        return np.log(radius / size) / math.tan(math.radians(row["pitch_angle_degrees"]))
    # r = A / ln(B tan(φ / 2N)), its φ counted backwards from Nπ
    winding, a, b = row["winding"], row["arm_scale"], row["arm_opening"]
    return winding * math.pi - 2 * winding * np.arctan(np.exp(np.minimum(a / radius, 700)) / b)


def points(row, reach, resolution):
    """Return x, y and light of the points of a row of arms, those within ``reach`` of the centre."""
    q, arms, width, inner = (
        row[name] for name in ("axis_ratio", "arms", "arm_width", "inner_radius")
    )
    angle, start = row["position_angle_degrees"], row["arm_angle_degrees"]
    size = row["half_light_radius"] / math.sqrt(q)
    scale = size / SCALE
    kappa = math.log(2) / (1 - math.cos(math.pi * width))
    terms = arms * (3 + 5 * math.sqrt(kappa + 1))  # waves along a circle
    if row["form"] == 0:
        sweep = 1 / math.tan(math.radians(row["pitch_angle_degrees"]))
    else:
        sweep = row["winding"] * (1 + abs(math.log(row["arm_opening"])))
    end = min(1.5 * reach / q, 25 * scale)
    step = 1 / resolution / max(0.4 * terms * math.hypot(1, sweep), 4 * min(end, 3 * reach), 30)
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    xs, ys, light = [], [], []
    for radius in np.exp(np.arange(math.log(CENTRE), math.log(end), step)):
        count = int(resolution * (9 * radius + 1.5 * terms + 30))
        theta = 2 * math.pi * (np.arange(count) + 0.5) / count
        turn = theta - row["handedness"] * arm(row, size, radius) - math.radians(start)
        pulse = np.exp(kappa * (np.cos(arms * turn) - 1)) / i0e(kappa)
        brightness = row["flux"] / (2 * math.pi * scale**2)
        disk = brightness * math.exp(-radius / scale - (inner / radius) ** 2)
        u, v = radius * np.cos(theta), q * radius * np.sin(theta)
        x, y = u * cosine - v * sine, u * sine + v * cosine
        near = np.maximum(np.abs(x), np.abs(y)) < reach
        cell = row["contrast"] * disk * radius**2 * step * 2 * math.pi / count
        xs.append(x[near])
        ys.append(y[near])
        light.append(cell * (pulse - 1)[near])
    return np.concatenate(xs), np.concatenate(ys), np.concatenate(light)


@numba.njit(cache=False)
def _gaussian(xs, ys, light, sigma, side):
    image = np.zeros((side, side))
    reach = int(7 * sigma) + 2
    along = np.empty(2 * reach + 1)
    s = 1 / (math.sqrt(2) * sigma)
    for point in range(xs.size):
        i, j = int(np.floor(xs[point] + 0.5)), int(np.floor(ys[point] + 0.5))
        before = math.erf((i - reach - 0.5 - xs[point]) * s)
        for k in range(along.size):
            after = math.erf((i - reach + k + 0.5 - xs[point]) * s)
            along[k] = 0.5 * (after - before)
            before = after
        before = math.erf((j - reach - 0.5 - ys[point]) * s)
        for k in range(along.size):
            after = math.erf((j - reach + k + 0.5 - ys[point]) * s)
            weight = 0.5 * (after - before) * light[point]
            before = after
            row = j - reach + k
            if 0 <= row < side:
                for m in range(max(0, reach - i), min(along.size, side + reach - i)):
                    image[row, i - reach + m] += weight * along[m]
    return image


def gaussian_image(row, fwhm, side, resolution=1.0):
    """Return the image behind a round Gaussian, float64[side, side]; ``row`` is one of arms."""
    sigma = fwhm / (2 * math.sqrt(2 * math.log(2)))
    xs, ys, light = points(row, side / 2 + 8 * sigma + 2, resolution)
    return _gaussian(xs + row["x"], ys + row["y"], light, sigma, side)


@numba.njit(cache=False)
def _moffat(xs, ys, light, px, py, sine, cosine, aa, bb, beta):
    out = np.zeros(px.size)
    for pixel in range(px.size):
        total = 0.0
        for point in range(xs.size):
            dx, dy = px[pixel] - xs[point], py[pixel] - ys[point]
            u, v = dx * cosine + dy * sine, dy * cosine - dx * sine
            total += light[point] * math.exp(-beta * math.log1p(u * u / aa + v * v / bb))
        out[pixel] = total * (beta - 1) / (math.pi * math.sqrt(aa * bb))
    return out


def moffat_pixels(row, psf, positions, reach, resolution=1.0):
    """Return the light in pixels, as (row, column), behind (fwhm, β, axis_ratio, position_angle)."""
    fwhm, beta, q, angle = psf
    xs, ys, light = points(row, reach, resolution)
    node, weight = np.polynomial.legendre.leggauss(5)
    rows, columns = np.asarray(positions, float).T
    py, px = np.broadcast_arrays(
        rows[:, None, None] + node[:, None] / 2, columns[:, None, None] + node / 2
    )
    square = (fwhm / 2) ** 2 / (2 ** (1 / beta) - 1)
    turn = math.radians(angle)
    values = _moffat(
        xs + row["x"], ys + row["y"], light, px.ravel(), py.ravel(), math.sin(turn), math.cos(turn),
        square / q, square * q, beta,
    )  # fmt: skip
    return np.einsum("pij,i,j->p", values.reshape(px.shape), weight / 2, weight / 2)
