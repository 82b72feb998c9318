"""Conversions of light curves: lengths of time, and magnitudes to fluxes."""

from __future__ import annotations

import math

DAY = 86400.0
"""Seconds in a day."""

MINUTES = DAY / 60.0
"""Minutes in a day."""

YEAR = 365.25
"""Days in a year, after which the seasons come again."""

LOG_FLUX = -0.4 * math.log(10.0)
"""Natural logarithm of the flux of one magnitude: a source of magnitude m has exp(LOG_FLUX × (m − zero point))."""
