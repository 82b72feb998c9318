"""Point sources by slow quadrature in double precision: a reference with other formulas than the kernels'.

Profiles are scipy's Bessel functions and an integral over frequencies. Pixels are integrated by 8 × 8
Gauss–Legendre points, halved along both axes until the result stays; pixels that a truncation radius
crosses by strips of x between the limits that the ellipse leaves.
"""

import functools
import itertools
import math

import numpy as np
from scipy.interpolate import CubicSpline, make_interp_spline
from scipy.optimize import brentq
from scipy.special import factorial, gamma, j0, j1

GAUSS, FINER, FINEST = (np.polynomial.legendre.leggauss(n) for n in (8, 12, 40))


def airy_amplitude(x):
    x = np.maximum(x, 1e-9)
    return 2 * j1(x) / x


@functools.cache
def airy_half_width(obscuration):
    """Return the x = πr/(λ/D) where an Airy pattern has half its peak."""
    part = obscuration**2

    def excess(x):
        amplitude = airy_amplitude(x) - part * airy_amplitude(obscuration * x)
        return (amplitude / (1 - part)) ** 2 - 0.5

    return brentq(excess, 0.5, 2.0, xtol=1e-14)


@functools.cache
def kolmogorov_spline():
    """Return the FWHM of the transform of exp(−k^(5/3)), and the logarithm of r^(11/3) f over log r."""
    nodes, weights = np.polynomial.legendre.leggauss(100)
    starts = np.linspace(0, 14, 29)[:-1, None]  # nearly zero from 14 on
    k, dk = (starts + 0.25 * (nodes + 1)).ravel(), np.tile(0.25 * weights, 28)
    kernel = k * np.exp(-(k ** (5 / 3))) * dk / (2 * np.pi)

    def near(r):
        return np.array([(kernel * j0(k * value)).sum() for value in np.atleast_1d(r)])

    def far(r):
        total = np.zeros_like(r)
        for n in range(1, 12):
            if n % 6:  # 1/Γ(−5n/6) = 0 at whole 5n/6
                power = 5 * n / 3
                factor = 2 ** (1 + power) * gamma(1 + power / 2) / gamma(-power / 2)
                total += (-1) ** n / factorial(n) * factor * r ** (-2 - power)
        return total / (2 * np.pi)

    half = brentq(lambda r: float(near(r)[0]) - float(near(0.0)[0]) / 2, 1.0, 2.0, xtol=1e-14)
    inner, outer = np.geomspace(1e-3, 11, 2500), np.geomspace(11, 1e5, 1200)[1:]
    r = np.concatenate([inner, outer])
    f = np.concatenate([near(inner), far(outer)])
    return 2 * half, CubicSpline(np.log(r), np.log(f)), float(near(0.0)[0])


def shared_area(distance, first, second):
    """Return the area that two discs of these radii share, their centres a distance apart."""
    small, large = min(first, second), max(first, second)
    d = np.clip(distance, max(large - small, 1e-12), large + small)
    a = np.arccos(np.clip((d * d + small**2 - large**2) / (2 * d * small), -1, 1))
    b = np.arccos(np.clip((d * d + large**2 - small**2) / (2 * d * large), -1, 1))
    return small**2 * (a - np.sin(2 * a) / 2) + large**2 * (b - np.sin(2 * b) / 2)


@functools.cache
def jittered_spline(fwhm, obscuration, jitter):
    """Return an Airy pattern convolved with a Gaussian over r, to 300 pixels: the Hankel transform of the product."""
    per_pupil = 2 * airy_half_width(obscuration) / fwhm  # wave number at one radius of the pupil
    cuts = sorted({0.0, 2 * obscuration, 1 - obscuration, 1 + obscuration, 2.0})
    panels = math.ceil(40 / fwhm) + 10
    cuts = np.concatenate(
        [np.linspace(*pair, panels)[:-1] for pair in itertools.pairwise(cuts)] + [[2.0]]
    )
    nodes, weights = FINER
    shift = (cuts[:-1, None] + np.diff(cuts)[:, None] * (nodes + 1) / 2).ravel()
    k, dk = shift * per_pupil, (np.diff(cuts)[:, None] * weights / 2).ravel() * per_pupil
    overlap = shared_area(shift, 1.0, 1.0)
    if obscuration:
        overlap = overlap - 2 * shared_area(shift, 1.0, obscuration)
        overlap = overlap + shared_area(shift, obscuration, obscuration)
    seen = overlap / (np.pi * (1 - obscuration**2)) * np.exp(-0.5 * (jitter * k) ** 2)
    r = np.arange(0, 300, fwhm / 12)
    values = [(seen * k * dk * j0(k * each)).sum() / (2 * np.pi) for each in r]
    return make_interp_spline(r, values, k=7)


def intensity(family, r, fwhm, shape=0.0, truncation=0.0, jitter=0.0):
    """Return the intensity of flux 1 at the distance r of a circular profile; no truncation but in its flux."""
    if jitter:
        return jittered_spline(fwhm, shape, jitter)(r)
    if family == "gaussian":
        variance = fwhm**2 / (8 * math.log(2))
        return np.exp(-0.5 * r * r / variance) / (2 * np.pi * variance)
    if family == "moffat":
        alpha = fwhm / 2 / math.sqrt(2 ** (1 / shape) - 1)
        held = 1 - (1 + (truncation / alpha) ** 2) ** (1 - shape) if truncation else 1.0
        return (shape - 1) / (np.pi * alpha**2 * held) * (1 + (r / alpha) ** 2) ** -shape
    if family == "airy":
        scale = fwhm / 2 / airy_half_width(shape)
        part, x = shape**2, r / scale
        amplitude = airy_amplitude(x) - part * airy_amplitude(shape * x)
        return amplitude**2 / (4 * np.pi * scale**2 * (1 - part))
    width, spline, centre = kolmogorov_spline()
    x = r * width / fwhm
    return (
        np.where(x < 1e-3, centre, np.exp(spline(np.log(np.maximum(x, 1e-3)))))
        * (width / fwhm) ** 2
    )


def radius(dx, dy, axis_ratio, angle):
    """Return the circularised radius of an ellipse through (dx, dy)."""
    u = dx * math.cos(angle) + dy * math.sin(angle)
    v = -dx * math.sin(angle) + dy * math.cos(angle)
    return np.sqrt(u * u * axis_ratio + v * v / axis_ratio)


def squares(profile, x, y, side):
    """Return the integrals over squares centred at (x, y)."""
    nodes, weights = GAUSS
    total = np.zeros(x.shape)
    for a, wa in zip(nodes, weights, strict=True):
        for b, wb in zip(nodes, weights, strict=True):
            total += wa * wb * profile(x + 0.5 * side * a, y + 0.5 * side * b)
    return total * side * side / 4


def adaptive(profile, x, y, side, tolerance, depth=0):
    """Return the integrals over squares, quartered until they change by less than the tolerance."""
    coarse = squares(profile, x, y, side)
    step = side / 4
    quarters = [(x + i * step, y + j * step) for i in (-1, 1) for j in (-1, 1)]
    fine = sum(squares(profile, u, v, side / 2) for u, v in quarters)
    open_ = np.abs(fine - coarse) > tolerance
    if open_.any() and depth < 12:
        fine[open_] = sum(
            adaptive(profile, u[open_], v[open_], side / 2, tolerance / 4, depth + 1)
            for u, v in quarters
        )
    return fine


def strips(profile, x, y, end, axis_ratio, angle):
    """Return the integral over a pixel centred at (x, y) inside the ellipse of circularised radius ``end``."""
    c, s = math.cos(angle), math.sin(angle)
    xx = c * c * axis_ratio + s * s / axis_ratio
    xy = c * s * (axis_ratio - 1 / axis_ratio)
    yy = s * s * axis_ratio + c * c / axis_ratio  # xx yy − xy² = 1

    def limits(v):
        root = np.sqrt(np.maximum(xx * end**2 - v * v, 0)) / xx
        return np.clip(-xy * v / xx - root, x - 0.5, x + 0.5), np.clip(
            -xy * v / xx + root, x - 0.5, x + 0.5
        )

    cuts = [y - 0.5, y + 0.5, math.sqrt(xx) * end, -math.sqrt(xx) * end]
    for u in (x - 0.5, x + 0.5):
        rest = yy * end**2 - u * u
        if rest > 0:
            cuts += [(-xy * u + math.sqrt(rest)) / yy, (-xy * u - math.sqrt(rest)) / yy]
    cuts = sorted({min(max(cut, y - 0.5), y + 0.5) for cut in cuts})
    nodes, weights = FINEST
    total = 0.0
    for low, high in itertools.pairwise(cuts):
        # y = middle + half sin(π n / 2): square roots at the ends become smooth
        v = 0.5 * (low + high) + 0.5 * (high - low) * np.sin(0.5 * np.pi * nodes)
        dv = 0.25 * np.pi * (high - low) * np.cos(0.5 * np.pi * nodes) * weights
        first, last = limits(v)
        u = 0.5 * (first + last)[:, None] + 0.5 * (last - first)[:, None] * nodes
        total += (dv * 0.5 * (last - first) * (profile(u, v[:, None]) * weights).sum(axis=1)).sum()
    return total


def point_source(
    family,
    size,
    *,
    x,
    y,
    fwhm,
    shape=0.0,
    truncation=0.0,
    axis_ratio=1.0,
    angle=0.0,
    jitter=0.0,
    tolerance=1e-9,
):
    """Return the pixels of a point source of flux 1, float64[ny, nx], to about ``tolerance`` each."""
    ny, nx = size
    dy, dx = np.meshgrid(np.arange(ny) - y, np.arange(nx) - x, indexing="ij")

    def profile(u, v):
        r = radius(u, v, axis_ratio, angle)
        return intensity(family, r, fwhm, shape, truncation, jitter)

    image = adaptive(profile, dx.ravel(), dy.ravel(), 1.0, tolerance).reshape(size)
    if truncation:
        rho = radius(dx, dy, axis_ratio, angle)
        corner = max(radius(0.5, 0.5, axis_ratio, angle), radius(0.5, -0.5, axis_ratio, angle))
        image[rho > truncation + corner] = 0
        for j, i in np.argwhere(np.abs(rho - truncation) <= corner):
            image[j, i] = strips(profile, dx[j, i], dy[j, i], truncation, axis_ratio, angle)
    return image
