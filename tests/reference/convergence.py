"""The convergence spectrum from CAMB's matter power, with its halofit, and a sum along the line of sight."""

import camb
import numpy as np

HUBBLE_DISTANCE = 2997.92458  # Mpc/h


def scaled(cosmology, redshifts):
    """Return CAMB's parameters with the cosmology's σ8 and Takahashi's halofit, and its results.

    There are no massive neutrinos. Transfer functions do not depend on the amplitude, so they are computed once.
    """
    omega_m, sigma_8, h, n_s, omega_b, t_cmb = cosmology
    found = camb.CAMBparams()
    found.set_cosmology(
        H0=100 * h,
        ombh2=omega_b * h**2,
        omch2=(omega_m - omega_b) * h**2,
        mnu=0,
        num_massive_neutrinos=0,
        TCMB=t_cmb,
        YHe=0.24,
    )
    found.InitPower.set_params(As=2e-9, ns=n_s)
    found.set_matter_power(redshifts=redshifts, kmax=20.0)
    found.WantCls = False
    found.NonLinear = camb.model.NonLinear_both
    found.NonLinearModel.set_params(halofit_version="takahashi")
    results = camb.get_transfer_functions(found)
    results.power_spectra_from_transfer(found.InitPower)
    amplitude = 2e-9 * (sigma_8 / results.get_sigma8_0()) ** 2
    found.InitPower.set_params(As=amplitude, ns=n_s)
    results.power_spectra_from_transfer(found.InitPower)
    return found, results


def camb_power(cosmology, k, redshift):
    """Return the linear and the nonlinear power spectrum of matter, (Mpc/h)³."""
    redshifts = np.linspace(redshift + 1.0, 0.0, 9)
    _, results = scaled(cosmology, redshifts)
    return [
        results.get_matter_power_interpolator(
            nonlinear=nonlinear, hubble_units=True, k_hunit=True
        ).P(redshift, k)
        for nonlinear in (False, True)
    ]


def camb_spectrum(cosmology, source_redshift, multipoles):
    """Return C_ℓ of the convergence of a plane of sources."""
    h = cosmology.h
    redshifts = np.linspace(source_redshift, 0.0, 30)
    _, results = scaled(cosmology, redshifts)
    power = results.get_matter_power_interpolator(hubble_units=True, k_hunit=True, extrap_kmax=1e6)
    end = results.comoving_radial_distance(source_redshift) * h
    places, weights = np.polynomial.legendre.leggauss(80)
    total = np.zeros(len(multipoles))
    for place, weight in zip(places, weights, strict=True):
        distance = 0.5 * end * (1 + place)
        z = float(results.redshift_at_comoving_radial_distance(distance / h))
        efficiency = 1.5 * cosmology.omega_m / HUBBLE_DISTANCE**2 * (1 + z) * (1 - distance / end)
        waves = (np.asarray(multipoles) + 0.5) / distance
        total += 0.5 * end * weight * efficiency**2 * power.P(z, waves)
    return total


def camb_window_spectrum(cosmology, source_redshift, lmax):
    """Return C_ℓ of a narrow window of sources by CAMB's own sum, which is slow."""
    found, _ = scaled(cosmology, [0.0])
    found.WantCls = True
    found.Want_CMB = False
    found.set_for_lmax(lmax + 500)
    window = camb.sources.GaussianSourceWindow(
        redshift=source_redshift, source_type="lensing", sigma=0.01
    )
    found.SourceWindows = [window]
    found.SourceTerms.limber_windows = True
    found.SourceTerms.limber_phi_lmin = 10
    return camb.get_results(found).get_source_cls_dict(lmax=lmax, raw_cl=True)["W1xW1"]
