"""Ranges in which the formulas of the sphere hold."""

COSMOLOGIES = {
    "omega_m": (0.2, 0.4),
    "sigma_8": (0.6, 1.0),
    "h": (0.6, 0.8),
    "n_s": (0.92, 1.0),
    "source_redshift": (0.5, 2.0),
    "omega_b": (0.04, 0.06),
}
"""Ranges of cosmologies in which spectra of the convergence were held against CAMB."""

CMB_MAX_ELL = 6143
"""Largest ℓ of the spectra of the microwave background."""

MAXIMUM_NSIDE = 4096
MAXIMUM_CLIPPED = 0.01
"""Largest part of the variance that may be taken from a Gaussian spectrum because it would be negative."""
