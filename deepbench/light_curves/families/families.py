"""The families of light curves: for each kind of object, what its rows hold and which kernels read them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepbench.light_curves.families.eclipses import (
    ECLIPSE,
    count_eclipses,
    multiply_eclipses,
)
from deepbench.light_curves.families.flares import FLARE, add_flares
from deepbench.light_curves.families.microlensing import (
    MICROLENSING,
    count_microlensing,
    fastest_microlensing,
    multiply_microlensing,
)
from deepbench.light_curves.families.pulsations import (
    PULSATION,
    PULSATION_MODE,
    fastest_pulsation_modes,
    fastest_pulsations,
    multiply_pulsation_modes,
    multiply_pulsations,
    smooth_pulsation_modes,
    smooth_pulsations,
)
from deepbench.light_curves.families.random_walks import (
    RANDOM_WALK,
    multiply_random_walks,
)
from deepbench.light_curves.families.spots import (
    SPOT,
    count_spots,
    fastest_spots,
    multiply_spots,
    smooth_spots,
)
from deepbench.light_curves.families.transients import (
    SHAPES,
    TRANSIENTS,
    add_transients,
    count_transients,
    fastest_transients,
)
from deepbench.light_curves.families.transits import TRANSIT, count_transits, multiply_transits

MULTIPLIES, ADDS, AVERAGED, WALKS = "multiplies", "adds", "averaged", "walks"
"""What the kernel of a family writes: factors at nodes, flux at nodes, flux over that of the source as means over
exposures, or factors as means over exposures."""


class Family(NamedTuple):
    """How the light of a kind of object is computed.

    Attributes
    ----------
    columns : tuple of str
        What its rows hold.
    apply : kernel
        Takes rows, owners, offsets, times, bands, what it writes, and what the kind needs beside; see ``light``.
    how : str
        What it writes.
    fastest : callable, optional
        Takes rows, returns the angular rate at which each object changes, rad/day.
    smooth : callable, optional
        Takes rows, returns float64[k, j, 2]: object i is exp(Σ_j a_j cos(ω_j t + …)) of amplitudes a and angular rates
        ω (rad/day), or no less smooth than that.
    count : kernel, optional
        Counts the observations in an object's events, and says how many nodes their exposures need.
    orbits : bool
        Whether the first column is a period in which events come again.
    """

    columns: tuple[str, ...]
    apply: Any
    how: str = MULTIPLIES
    fastest: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None
    smooth: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None
    count: Any = None
    orbits: bool = False


def _transient(shape: str) -> Family:
    """Return the family of transients of a shape."""
    apply, count = (partial(each, SHAPES[shape]) for each in (add_transients, count_transients))
    return Family(TRANSIENTS[shape], apply, ADDS, fastest_transients, count=count)


_PULSATOR = Family(
    PULSATION, multiply_pulsations, fastest=fastest_pulsations, smooth=smooth_pulsations
)

FAMILIES: dict[str, Family] = {
    "transit": Family(TRANSIT, multiply_transits, count=count_transits, orbits=True),
    "eclipsing_binary": Family(ECLIPSE, multiply_eclipses, count=count_eclipses, orbits=True),
    "rr_lyrae_ab": _PULSATOR,
    "rr_lyrae_c": _PULSATOR,
    "cepheid": _PULSATOR,
    "pulsator": _PULSATOR,
    "pulsation_mode": Family(
        PULSATION_MODE,
        multiply_pulsation_modes,
        fastest=fastest_pulsation_modes,
        smooth=smooth_pulsation_modes,
    ),
    "spot": Family(
        SPOT, multiply_spots, fastest=fastest_spots, smooth=smooth_spots, count=count_spots
    ),
    "microlensing": Family(
        MICROLENSING, multiply_microlensing, fastest=fastest_microlensing, count=count_microlensing
    ),
    "random_walk": Family(RANDOM_WALK, multiply_random_walks, WALKS),
    "flare": Family(FLARE, add_flares, AVERAGED),
    "bazin": _transient("bazin"),
    "villar": _transient("villar"),
    "tidal_disruption": _transient("disruption"),
}
"""The kinds of objects that change or add light."""
