"""Compute ``deepbench/images/psf/transforms.npz``: Chebyshev series of the transforms of Sérsic and Moffat profiles.

Run it where the ranges or the number of terms change; the release's bytes follow from the file, so that a new file is a
new ``RENDER_VERSION``. Prints the largest difference between each series and what it approximates, on points between.

The transform of a Sérsic profile is the integral of f(r) J0(k r) r, the real part of that with the Hankel function H0.
Along a ray of the complex plane both f and H0 decay, so that the trapezoid rule in log r converges quickly for every
index and wave number. The transform of a Moffat profile is a Bessel function K (Trujillo et al. 2001, MNRAS 328, 977).
"""

from pathlib import Path

import numpy as np
from scipy.fft import dct
from scipy.special import gammaincinv, gammaln, hankel1, kve

from deepbench.images.galaxies.sersic import INDEX
from deepbench.images.psf.psf_profiles import BETA, STEEP
from deepbench.images.psf.transform_tables import FIRST_OCTAVE, LAST_OCTAVE

FILE = Path(__file__).parents[1] / "deepbench" / "images" / "psf" / "transforms.npz"
STEP = 0.02  # of the trapezoid rule: errors below 1e-12


def sersic_b(n):
    """Return b(n), for which half the light lies inside the half-light radius."""
    return gammaincinv(2 * n, 0.5)


def log_sersic_norm(n):
    """Return the logarithm of the central brightness of unit flux and unit half-light radius."""
    return 2 * n * np.log(sersic_b(n)) - np.log(2 * np.pi * n) - gammaln(2 * n)


def sersic_transform(n, s):
    """Return the transform of a Sérsic profile of unit flux and half-light radius at the wave numbers s."""
    b = sersic_b(n)
    turn = 0.5 * np.pi * min(0.95, 0.55 * n)
    last = n * np.log(60 / b / np.cos(min(turn / n, 1.5))) + 1
    r = np.exp(np.arange(-16, last, STEP))
    z = r * np.exp(1j * turn)
    light = np.exp(-b * r ** (1 / n) * np.exp(1j * turn / n)) * z * z
    total = np.array([np.real(np.sum(light * hankel1(0, each * z))) for each in s])
    return 2 * np.pi * STEP * np.exp(log_sersic_norm(n)) * total


def moffat_transform(beta, s):
    """Return the transform of a Moffat profile of unit flux and full width at half maximum."""
    x = s / (2 * np.sqrt(2 ** (1 / beta) - 1))
    order = beta - 1
    return 2 * np.exp(order * np.log(x / 2) - gammaln(order) - x) * kve(order, x)


def steep_moffat_transform(beta, s):
    """Return the same by the trapezoid rule: the transform of the mean of Gaussians, t having a gamma distribution."""
    x = s / (2 * np.sqrt(2 ** (1 / beta) - 1))
    log_t = np.arange(-12, 8, STEP)
    light = (beta - 1) * log_t - np.exp(log_t) - gammaln(beta - 1)
    return STEP * np.exp(light - 0.25 * np.exp(-log_t) * np.square(x)[:, None]).sum(axis=1)


def chebyshev(function, *shape):
    """Return the coefficients of a Chebyshev series from a function of places between −1 and 1."""
    places = [np.cos(np.pi * (np.arange(size) + 0.5) / size) for size in shape]
    out = function(*places)
    for axis, size in enumerate(shape):
        out = dct(out, axis=axis) / size
        np.moveaxis(out, axis, 0)[0] /= 2
    return out


def wave_numbers(place):
    """Return s for places between the first and the last octave of s²."""
    middle, half = (FIRST_OCTAVE + LAST_OCTAVE) / 2, (LAST_OCTAVE - FIRST_OCTAVE) / 2
    return 2 ** (0.5 * (middle + half * place))


def between(low, high, place):
    """Return the value at a place between two values."""
    return low + (high - low) * (np.asarray(place) + 1) / 2


def main():
    """Write the file."""
    indices = lambda place: np.exp(between(*np.log(INDEX), place))  # noqa: E731
    betas = lambda place: 1 / between(1 / BETA[0], 1 / BETA[1], place)  # noqa: E731
    steep_betas = lambda place: 1 / between(1 / STEEP[0], 1 / STEEP[1], place)  # noqa: E731
    families = {
        "sersic": (
            lambda i, t: [sersic_transform(n, wave_numbers(t)) for n in indices(i)],
            22,
            180,
        ),
        "moffat": (lambda i, t: [moffat_transform(b, wave_numbers(t)) for b in betas(i)], 16, 110),
        "steep": (
            lambda i, t: [steep_moffat_transform(b, wave_numbers(t)) for b in steep_betas(i)],
            6,
            130,
        ),
        "sersic_b": (lambda i: sersic_b(indices(i)), 14),
        "sersic_log_norm": (lambda i: log_sersic_norm(indices(i)), 14),
    }
    arrays = {}
    for name, (function, *terms) in families.items():
        arrays[name] = chebyshev(function, *(64 if n < 64 else 320 for n in terms))[
            tuple(slice(n) for n in terms)
        ]
        checks = [np.linspace(-1, 1, 37)] + [np.linspace(-1, 1, 241)] * (len(terms) - 1)
        sums = {1: np.polynomial.chebyshev.chebval, 2: np.polynomial.chebyshev.chebgrid2d}
        error = np.abs(sums[len(terms)](*checks, arrays[name]) - function(*checks)).max()
        print(f"{name}: {arrays[name].shape} coefficients, error {error:.1e}")
    np.savez(FILE, **arrays)


if __name__ == "__main__":
    main()
