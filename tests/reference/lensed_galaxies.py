"""Slow, independent images of lensed galaxies: rays on a grid of sub-pixels, and a sampled point spread function.

Midpoints of sub-pixels err by the square of their size, so that two grids give a better image than either. Cusps and
edges converge otherwise: a pixel counts where two extrapolations agree. Deflections are lenstronomy's. Nothing here
uses the package.
"""

import math

import numpy as np
import scipy.fft
from lenstronomy.LensModel.lens_model import LensModel
from scipy.special import gamma, gammainc, gammaincinv, i0e

FACTORS = (8, 16, 32)
AGREE = 3e-5  # of the peak


def ellipse_rays(x, y, position_angle):
    """Return coordinates along and across a direction, degrees."""
    c, s = math.cos(math.radians(position_angle)), math.sin(math.radians(position_angle))
    return c * x + s * y, c * y - s * x


def sersic(x, y, flux, n, radius, q=1.0, angle=0.0, truncation=math.inf):
    """Return the brightness of a Sérsic profile of a circularised half-light radius, all of it inside its end."""
    u, v = ellipse_rays(x, y, angle)
    r = np.sqrt(q * u * u + v * v / q) / radius
    b = gammaincinv(2 * n, 0.5)
    norm = b ** (2 * n) / (2 * math.pi * n * gamma(2 * n)) / radius**2
    part = gammainc(2 * n, b * (truncation / radius) ** (1 / n)) if truncation < math.inf else 1.0
    return np.where(r < truncation / radius, flux * norm / part * np.exp(-b * r ** (1 / n)), 0.0)


def lenstronomy_sersic(n, radius):
    """Return R_sersic and amp of the same profile of unit light in lenstronomy, whose b_n is 1.9992 n − 0.3271."""
    b, theirs = gammaincinv(2 * n, 0.5), 1.9992 * n - 0.3271
    peak = b ** (2 * n) / (2 * math.pi * n * gamma(2 * n)) / radius**2
    return radius * (theirs / b) ** n, peak * math.exp(-theirs)


def arms(x, y, flux, radius, q, angle, number, pitch, contrast, width, inner, start):
    """Return what logarithmic arms add to an exponential disk, seen face on with the half-light radius ``radius``."""
    u, v = ellipse_rays(x, y, angle)
    r, theta = np.hypot(u, v / q) + 1e-9, np.arctan2(v / q, u)
    scale, kappa = radius / 1.6783469900166605, math.log(2) / (1 - math.cos(math.pi * width))
    turn = theta - np.log(r / radius) / math.tan(math.radians(pitch)) - math.radians(start)
    pulse = np.exp(kappa * (np.cos(number * turn) - 1)) / i0e(kappa)
    disk = flux * contrast / (2 * math.pi * scale**2 * q) * np.exp(-r / scale - (inner / r) ** 2)
    return disk * (pulse - 1)


def gaussian(r, fwhm):
    """Return the brightness of a Gaussian at radii."""
    sigma = fwhm / 2.3548200450309493
    return np.exp(-0.5 * (r / sigma) ** 2) / (2 * math.pi * sigma**2)


def moffat(r, fwhm, beta):
    """Return the brightness of a Moffat profile at radii."""
    scale = fwhm / (2 * math.sqrt(2 ** (1 / beta) - 1))
    return (beta - 1) / (math.pi * scale**2) * (1 + (r / scale) ** 2) ** -beta


def image(shape, factor, models, arguments, brightness, psf, margin):
    """Return the image at a factor: pixels count from the centre of the frame, as deflections in pixels do.

    ``brightness(x, y)`` is that of the source, ``psf(r)`` is per square pixel; light up to ``margin`` pixels outside of
    the frame blurs in.
    """
    ny, nx = (side + 2 * margin for side in shape)
    x, y = ((np.arange(side * factor) + 0.5) / factor - side / 2 for side in (nx, ny))
    x, y = np.meshgrid(x, y)
    ax, ay = LensModel(models).alpha(x, y, arguments)
    light = brightness(x - ax, y - ay)
    ky, kx = (scipy.fft.fftfreq(each, 1 / each) / factor for each in light.shape)
    kernel = psf(np.hypot(*np.meshgrid(kx, ky))) / factor**2
    sides = light.shape
    spectrum = scipy.fft.rfft2(light) * scipy.fft.rfft2(kernel)
    fine = scipy.fft.irfft2(spectrum, s=sides)
    pixels = fine.reshape(ny, factor, nx, factor).mean(axis=(1, 3))
    return pixels[margin : ny - margin, margin : nx - margin]


def agreed(images):
    """Return the extrapolation of images at FACTORS, and where it agrees with that of the coarser two."""
    coarse, middle, fine = images
    first, second = middle + (middle - coarse) / 3, fine + (fine - middle) / 3
    return second, np.abs(first - second) < AGREE * second.max()
