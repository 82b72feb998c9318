"""Hidden light by quadrature in 45 digits, and orbits by bisection: references for occultations."""

import mpmath
import numpy as np


def hidden(b, r, u1, u2):
    """Return the hidden part of a star's light, from the arcs of its rings that a disc covers."""
    with mpmath.workdps(45):
        b, r, u1, u2 = (mpmath.mpf(float(each)) for each in (b, r, u1, u2))

        def whole_ring(rho):
            mu = mpmath.sqrt(1 - rho * rho)
            return 2 * mpmath.pi * rho * (1 - u1 * (1 - mu) - u2 * (1 - mu) ** 2)

        def covered_ring(rho):
            # the triangle of the sides rho, b and r, where r is opposite of the angle
            over, under = (r - rho + b) * (r + rho - b), (rho + b + r) * (rho + b - r)
            if over <= 0:
                return mpmath.mpf(0)
            if under <= 0:
                return whole_ring(rho)
            half = 2 * mpmath.atan2(mpmath.sqrt(over), mpmath.sqrt(under))
            return whole_ring(rho) * half / mpmath.pi

        total = mpmath.pi * (1 - u1 / 3 - u2 / 6)
        part = mpmath.mpf(0)
        if r > b:
            part += mpmath.quad(whole_ring, [0, min(r - b, 1)])
        low, high = abs(b - r), min(b + r, mpmath.mpf(1))
        if low < high:
            part += mpmath.quad(covered_ring, [low, (low + high) / 2, high])
        return part / total


def mean_anomaly(true_anomaly, eccentricity):
    """Return the mean anomaly (radian), continuous in the true anomaly."""
    e, turns = eccentricity, np.rint(true_anomaly / (2 * np.pi))
    half = 0.5 * (true_anomaly - 2 * np.pi * turns)
    anomaly = 2 * np.arctan2(np.sqrt(1 - e) * np.sin(half), np.sqrt(1 + e) * np.cos(half))
    return anomaly - e * np.sin(anomaly) + 2 * np.pi * turns


def true_anomaly(mean, eccentricity):
    """Return the true anomaly (radian) by bisection of Kepler's equation, then Newton's steps."""
    e, turns = eccentricity, np.rint(mean / (2 * np.pi))
    mean = mean - 2 * np.pi * turns
    low, high = mean - e, mean + e
    for _ in range(24):
        middle = 0.5 * (low + high)
        before = middle - e * np.sin(middle) < mean
        low, high = np.where(before, middle, low), np.where(before, high, middle)
    for _ in range(4):
        low = low - (low - e * np.sin(low) - mean) / (1 - e * np.cos(low))
    half = np.arctan2(np.sqrt(1 + e) * np.sin(0.5 * low), np.sqrt(1 - e) * np.cos(0.5 * low))
    return 2 * half + 2 * np.pi * turns


def place(days, period, axis, cos_inclination, eccentricity, argument):
    """Return (projected separation, what is positive in front) so many days after conjunction.

    Conjunction is where the true anomaly is π/2 − ``argument`` (radian).
    """
    start = mean_anomaly(0.5 * np.pi - argument, eccentricity)
    nu = true_anomaly(start + 2 * np.pi * np.asarray(days) / period, eccentricity)
    distance = axis * (1 - eccentricity**2) / (1 + eccentricity * np.cos(nu))
    angle = nu + argument
    across = np.sin(angle) * cos_inclination
    return distance * np.sqrt(np.cos(angle) ** 2 + across**2), distance * np.sin(angle)
