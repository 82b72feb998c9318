"""Light of black bodies in bands.

A band is a top hat between two wavelengths. What a photon counter measures in it is, in AB magnitudes (Fukugita et al.
1996, AJ 111, 1748), the mean of the flux density f_ν over ln ν: ∫ f_ν dν/ν / ∫ dν/ν. It is taken by a
Gauss-Legendre rule of seven nodes in ln λ, which errs by less than 1e-6 for bands up to an octave wide where the body
is hotter than 3000 K; the nodes are written here, as numbers from LAPACK may differ between computers.
"""

from __future__ import annotations

from deepbench.light_curves.families.extinction import extinction
from deepbench.numerics.kernels import inline, kernel
from deepbench.numerics.mathfast import exp64, log64

NODES = 7
"""Number of nodes of the rule."""

ABSCISSAE = (
    0.025446043828620737737, 0.12923440720030278007, 0.29707742431130141655, 0.5,
    0.70292257568869858345, 0.87076559279969721993, 0.97455395617137926226,
)  # fmt: skip
WEIGHTS = (
    0.064742483084434846635, 0.13985269574463833395, 0.19091502525255947248,
    0.20897959183673469388, 0.19091502525255947248, 0.13985269574463833395,
    0.064742483084434846635,
)  # fmt: skip
"""Nodes and weights of the rule on the unit interval."""

HC_OVER_K = 14387768.775039337
"""Constant h c / k, nm K, from the SI's exact constants."""

_TO_EXPONENT = -0.9210340371976183
"""Number −0.4 ln 10, one last place from ``units.LOG_FLUX``: released values have it."""


@kernel
def write_band(edges, redshift, reddening, temperatures, weights):
    """Write the nodes of a band.

    Parameters
    ----------
    edges : float64[2]
        Shortest and longest wavelength, nm, observed.
    redshift : float
        Redshift of the body.
    reddening : float
        E(B − V) of the Milky Way, magnitudes.
    temperatures, weights : float64[7]
        Written: h ν / k of the emitted light (K), and weights, whose sum is 1 where there is no dust.
    """
    low, high = log64(edges[0]), log64(edges[1])
    for q in range(NODES):
        wavelength = exp64(low + (high - low) * ABSCISSAE[q])
        temperatures[q] = HC_OVER_K * (1.0 + redshift) / wavelength
        weights[q] = WEIGHTS[q] * exp64(_TO_EXPONENT * reddening * extinction(wavelength))


@inline
def spectrum(x):
    """Return x³ / (exp(x) − 1) for x = h ν / k T: π B_ν / (σ T⁴) is 15 h / (π⁴ k T) times as much."""
    return x * x * x / (exp64(x) - 1.0)


@kernel
def band_flux(temperature, temperatures, weights):
    """Return the band's mean of x³ / (exp(x) − 1) / T: the light of a body of unit luminosity, in units of its own."""
    total = 0.0
    for q in range(NODES):
        total += weights[q] * spectrum(temperatures[q] / temperature)
    return total / temperature
