"""When one body passes in front of another on a Kepler orbit, for kernels.

Lengths are in one unit, which may be the radius of a star or the semi-major axis. The line of sight
makes the angle θ = ν + ω with the line of nodes, so that the body in front is nearest to the
observer's axis about θ = π/2: the conjunction. ω is the argument of periastron of the star that is
passed, as radial velocities give it, and as batman takes it; with ω + 180° the same formulas tell
of the opposite conjunction. At the distance d the projected separation is d √(cos²θ + sin²θ cos²i).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from deepbench.numerics.kepler import eccentric64
from deepbench.numerics.kernels import inline
from deepbench.numerics.mathfast import atan2_64, pow64, sincos64

TURN = 6.283185307179586
BEHIND = 1e300
"""Separation where the body in front is behind."""

TILE = 256
"""Number of instants for which separations are made at once."""

GOAL = 1e-4
"""Largest error of the mean over an exposure: part of the depth that exposures of its length see."""

LEAST_DEPTH = 1e-6
"""Part of the light; of events that take less, one node is enough for an error below it."""

MOST_NODES = 2048.0
_ONE_PANEL = 32.0
_CONTACT_ERROR = 0.32
_TOUCHING_ERROR = 1.0  # where discs of the same size come to cover each other
_SMOOTH_ERROR = 4.0
_STEPS = 40
_MARGIN = 1e-9
"""Part by which windows are longer than the events that they hold."""


class Orbit(NamedTuple):
    """An orbit seen from a side.

    ``time`` (day) is that of a conjunction, where the mean anomaly is ``mean_anomaly`` (radian).
    """

    period: float
    time: float
    semi_major_axis: float
    cos_inclination: float
    eccentricity: float
    sin_argument: float
    cos_argument: float
    mean_anomaly: float


class Window(NamedTuple):
    """Days ``before`` and ``after`` a conjunction that hold an event; both -1 where there is none."""

    before: float
    after: float


@inline
def _mean_anomaly(orbit_shape, sine, cosine):
    """Return the mean anomaly where the true anomaly has this sine and cosine; −π … π."""
    e = orbit_shape
    root = np.sqrt((1.0 - e) * (1.0 + e))
    eccentric = atan2_64(root * sine, e + cosine)
    return eccentric - e * root * sine / (1.0 + e * cosine)


@inline
def make_orbit(period, time, axis, cos_inclination, eccentricity, sin_argument, cos_argument):
    """Return the orbit with a conjunction (θ = π/2) at ``time``."""
    mean_anomaly = _mean_anomaly(eccentricity, cos_argument, sin_argument)
    cos_inclination = min(abs(cos_inclination), 1.0)
    return Orbit(
        period, time, axis, cos_inclination, eccentricity, sin_argument, cos_argument, mean_anomaly
    )  # fmt: skip


@inline
def opposite(orbit):
    """Return the orbit of the other body: its conjunction is the one that follows, θ = 3π/2."""
    mean_anomaly = _mean_anomaly(
        orbit.eccentricity, -orbit.cos_argument, -orbit.sin_argument
    )  # fmt: skip
    part = (mean_anomaly - orbit.mean_anomaly) / TURN
    part -= np.floor(part)
    return Orbit(
        orbit.period,
        orbit.time + part * orbit.period,
        orbit.semi_major_axis,
        orbit.cos_inclination,
        orbit.eccentricity,
        -orbit.sin_argument,
        -orbit.cos_argument,
        mean_anomaly,
    )


# --- when an event begins and ends ---


@inline
def _largest(a, b, near, near_cos, far, far_cos):
    """Return the largest a cos φ − b sin φ between two φ of 0 … π/2, of which the sines are given."""
    at_near, at_far = a * near_cos - b * near, a * far_cos - b * far
    rises = -a * near - b * near_cos > 0.0
    falls = -a * far - b * far_cos < 0.0
    inside = np.sqrt(a * a + b * b) if rises and falls else at_near
    return max(max(at_near, at_far), inside)


@inline
def _last_contact(semi_latus, cos_inclination, reach, a, b):
    """Return sin φ, θ = π/2 + φ, of the last point within 0 <= φ <= π/2 nearer than ``reach``; or -1.

    The point is nearer where p² (cos²i + sin²i sin²φ) < reach² (1 + a cos φ − b sin φ)², with the
    semi-latus rectum p, a = e sin ω, b = e cos ω. The left side grows with φ, and a bound of the
    right side is known for every interval. So intervals from the far end on are taken away where
    the left side at their near end is above that bound: what is left holds every such point.
    """
    c2 = cos_inclination * cos_inclination
    s2 = (1.0 - cos_inclination) * (1.0 + cos_inclination)
    scale = (1.0 + 1e-14) * reach / semi_latus
    far, far_cos = 1.0, 0.0
    for _ in range(3):
        bound = scale * (1.0 + _largest(a, b, 0.0, 1.0, far, far_cos))
        rest = bound * bound - c2
        if rest <= 0.0:
            return -1.0
        if rest < s2 * far * far:
            far = np.sqrt(rest / s2)
            far_cos = np.sqrt(max(1.0 - far * far, 0.0))
    if a == 0.0 and b == 0.0:
        return min(far * (1.0 + _MARGIN), 1.0)
    step = 0.5 * far
    for _ in range(_STEPS):
        near = max(far - step, 0.0)
        near_cos = np.sqrt((1.0 - near) * (1.0 + near))
        bound = scale * (1.0 + _largest(a, b, near, near_cos, far, far_cos))
        if c2 + s2 * near * near >= bound * bound:
            if near == 0.0:
                return -1.0
            far, far_cos = near, near_cos
        else:
            step *= 0.5
    return min(far * (1.0 + _MARGIN), 1.0)


@inline
def _days(orbit, sine, direction):
    """Return the days between conjunction and the point with this sin φ, after (1) or before (-1)."""
    cosine = np.sqrt((1.0 - sine) * (1.0 + sine))
    sine *= direction
    mean_anomaly = _mean_anomaly(
        orbit.eccentricity,
        orbit.cos_argument * cosine + orbit.sin_argument * sine,
        orbit.sin_argument * cosine - orbit.cos_argument * sine,
    )
    angle = direction * (mean_anomaly - orbit.mean_anomaly)
    angle = angle + TURN if angle < -1e-9 else max(angle, 0.0)
    return (angle + 1e-14) / TURN * orbit.period


@inline
def find_window(orbit, reach):
    """Return the window about conjunction outside which the separation is ``reach`` or more."""
    e = orbit.eccentricity
    p = orbit.semi_major_axis * (1.0 - e) * (1.0 + e)
    a, b = e * orbit.sin_argument, e * orbit.cos_argument
    after = _last_contact(p, orbit.cos_inclination, reach, a, b)
    before = after if e == 0.0 else _last_contact(p, orbit.cos_inclination, reach, a, -b)
    if max(before, after) < 0.0:
        return Window(-1.0, -1.0)
    return Window(_days(orbit, max(before, 0.0), -1.0), _days(orbit, max(after, 0.0), 1.0))


# --- instants near conjunctions ---


@inline
def _first_from(times, first, stop, instant, inclusive):
    """Return the first index from ``first`` on whose time is at or after (or after) an instant.

    The steps double, so that near ones are found at once.
    """
    step = 1
    low, high = first, first
    while high < stop and (times[high] < instant or (not inclusive and times[high] == instant)):
        low = high + 1
        high += step
        step *= 2
    high = min(high, stop)
    while low < high:
        middle = (low + high) // 2
        if times[middle] < instant or (not inclusive and times[middle] == instant):
            low = middle + 1
        else:
            high = middle
    return low


@inline
def next_event(orbit, window, times, first, stop):
    """Return (number, begin, end) of the next event at or after times[first].

    Event 0 is that of the orbit's ``time``. The instants from ``begin`` up to ``end`` are inside its
    window; there may be none.
    """
    number = np.ceil((times[first] - orbit.time - window.after) / orbit.period)
    if times[first] > orbit.time + number * orbit.period + window.after:
        number += 1.0
    middle = orbit.time + number * orbit.period
    begin = _first_from(times, first, stop, middle - window.before, True)
    end = _first_from(times, begin, stop, middle + window.after, False)
    return number, begin, end


@inline
def fill_separations(orbit, number, times, out):
    """Write the projected separations at times around the event with this number.

    It is ``BEHIND`` where the body in front is behind.
    """
    rate = TURN / orbit.period
    shift = number * orbit.period
    axis, e, c = orbit.semi_major_axis, orbit.eccentricity, orbit.cos_inclination
    if e == 0.0:
        for i in range(times.size):
            sine, cosine = sincos64(((times[i] - orbit.time) - shift) * rate)
            across = c * cosine
            apart = axis * np.sqrt(sine * sine + across * across)
            out[i] = apart if cosine > 0.0 else BEHIND
        return
    minor = axis * np.sqrt((1.0 - e) * (1.0 + e))
    for i in range(times.size):
        angle = orbit.mean_anomaly + ((times[i] - orbit.time) - shift) * rate
        _, sine, cosine = eccentric64(angle, e)
        x, y = axis * (cosine - e), minor * sine
        along = x * orbit.cos_argument - y * orbit.sin_argument
        toward = x * orbit.sin_argument + y * orbit.cos_argument
        across = c * toward
        apart = np.sqrt(along * along + across * across)
        out[i] = apart if toward > 0.0 else BEHIND


@inline
def multiply_events(factor, shape, orbit, window, rows, times, bands, factors):
    """Multiply by the light that is left in the events of an orbit.

    Parameters
    ----------
    factor : function
        Takes the row of a band, ``shape`` and the projected separation; returns the factor of the band.
    shape : any
        What the bands share.
    orbit : Orbit
    window : Window
        Of its events; where there are none, nothing is done.
    rows : records[b]
    times : float64[m]
        Days, ascending.
    bands : int8[m]
        Band of each instant.
    factors : float64[m]
        Changed in place; instants outside events are not touched.
    """
    if not window.after >= 0.0:
        return
    separations = np.empty(TILE)
    first, stop = 0, times.size
    while first < stop:
        number, begin, end = next_event(orbit, window, times, first, stop)
        first = max(end, first + 1)
        for start in range(begin, end, TILE):
            part = times[start : min(start + TILE, end)]
            fill_separations(orbit, number, part, separations)
            for i in range(part.size):
                row = rows[bands[start + i]]
                factors[start + i] *= factor(row, shape, separations[i])


# --- exposures near conjunctions ---


@inline
def least_separation(orbit, window):
    """Return about the least projected separation of an event: exact where conjunction has it."""
    times, out = np.empty(3), np.empty(3)
    times[0] = orbit.time - 0.5 * window.before
    times[1] = orbit.time
    times[2] = orbit.time + 0.5 * window.after
    fill_separations(orbit, 0.0, times, out)
    return min(min(out[0], out[1]), out[2])


@inline
def grazing_tip(apart, reach, inner_reach):
    """Return how far from conjunction the inner contacts of a grazing event are, in imaginary halves of the event."""
    above = (apart - inner_reach) * (apart + inner_reach)
    below = (reach - apart) * (reach + apart)
    return np.sqrt(above / below) if above > 0.0 and below > 0.0 else 0.0


@inline
def _overlap(orbit, window, begin, end):
    """Return (whether an interval overlaps an event, the middle of the first event that may)."""
    number = np.ceil((begin - orbit.time - window.after) / orbit.period)
    middle = orbit.time + number * orbit.period
    return middle - window.before <= end, middle


@inline
def _ingress(window, inner):
    """Return the shorter time between outer and inner contacts, or 0.4 of a grazing event; days."""
    if inner.after < 0.0:
        return 0.4 * (window.before + window.after)
    first, last = window.before - inner.before, window.after - inner.after
    shorter, longer = min(first, last), max(first, last)
    return shorter if shorter > 1e-6 * longer else longer  # conjunction may be at an end


@inline
def _distance(begin, end, contact):
    """Return how far a contact is from an interval; 0 where it is inside."""
    return max(max(begin - contact, contact - end), 0.0)


@inline
def _nodes_between(begin, end, window, inner, tip, most, ingress, goal):
    """Return the nodes of an exposure; times from conjunction.

    Where no contact is in it the light is smooth up to the nearest one, and n nodes err by less than A ρ^(−2n) of the
    depth, where the ellipse of ρ about the exposure goes through that contact; A is 4, or less where the contact is
    near, as the light changes little from there. Grazing events have inner contacts at
    complex times, ``tip`` halves of the event away from its middle.
    """
    near = min(_distance(begin, end, -window.before), _distance(begin, end, window.after))
    half, across = 0.5 * (end - begin), 0.0
    if inner.after >= 0.0:
        near = min(near, _distance(begin, end, -inner.before))
        near = min(near, _distance(begin, end, inner.after))
    else:
        across = tip * 0.5 * (window.before + window.after)
    s = 1.0 + near / half
    if inner.after < 0.0:
        left, right = begin, end
        s = min(
            s,
            0.5
            * (np.sqrt(left * left + across * across) + np.sqrt(right * right + across * across))
            / half,
        )
        s = max(s, 1.0)
    rho = s + np.sqrt(s * s - 1.0)
    part = (s + 1.0) * half / ingress
    target = _SMOOTH_ERROR * min(part * np.sqrt(part), 1.0) / goal
    count, power = 1.0, rho * rho
    while power < target and count < most:
        power *= rho * rho
        count += 1.0
    return count


@inline
def count_events(orbit, window, inner, tip, depth, other, other_window, times, exposures, nodes):
    """Raise the ``nodes`` of exposures that overlap an event, and return how many do.

    Exposures that overlap an event of the ``other`` orbit are not counted. ``inner`` is the window
    between the inner contacts, ``depth`` the largest part of the light that is missing. The light at a
    contact is like (t − contact)^(3/2) on one side, so that a Gauss–Legendre rule of n nodes errs
    by less than C (exposure / ingress)^(3/2) n^(−5/2) of the depth; C was measured (0.32). Exposures longer than
    an event see half of its depth or more, times the part of them that the event takes.
    """
    count = 0
    if window.after < 0.0:
        return count
    ingress = _ingress(window, inner)
    touching = inner.after < 0.01 * window.after and tip < 0.1
    error = _TOUCHING_ERROR if touching else _CONTACT_ERROR
    longest = 0.0
    for i in range(exposures.size):
        longest = max(longest, exposures[i])
    wide = Window(window.before + 0.5 * longest, window.after + 0.5 * longest)
    length, most, goal = -1.0, 1.0, GOAL
    first, stop = 0, times.size
    while first < stop:
        _, begin, end = next_event(orbit, wide, times, first, stop)
        first = max(end, first + 1)
        for i in range(begin, end):
            half = 0.5 * exposures[i]
            found, middle = _overlap(orbit, window, times[i] - half, times[i] + half)
            if not found:
                continue
            if depth > LEAST_DEPTH and exposures[i] != length:
                length = exposures[i]
                goal = GOAL * min(0.5 * (window.before + window.after) / length, 1.0)
                needed = np.ceil(
                    pow64(error / goal, 0.4) / pow64(ingress, 0.6) * pow64(length, 0.6)
                )
                if needed > _ONE_PANEL:  # those of panels err a little more
                    needed *= 1.15
                most = min(max(needed if needed == needed else 1.0, 1.0), MOST_NODES)
            start, close = times[i] - half - middle, times[i] + half - middle
            needed = _nodes_between(start, close, window, inner, tip, most, ingress, goal)
            nodes[i] = max(nodes[i], np.int64(needed))
            count += 1
            if other_window.after >= 0.0:
                both, _ = _overlap(other, other_window, times[i] - half, times[i] + half)
                count -= 1 if both else 0
    return count
