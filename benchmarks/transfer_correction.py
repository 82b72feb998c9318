"""Fit the correction of the transfer function in ``deepbench/sphere/fields/cosmology.py`` to CAMB; say how good it is.

    python benchmarks/transfer_correction.py

Prints the coefficients: rows are Chebyshev polynomials of ln k between 3e-4 and 20 / Mpc, columns powers of
ln(Ωm h² / 0.14); they give the logarithm of CAMB's transfer function over that of Eisenstein & Hu, 0 at the lowest k.
"""

from __future__ import annotations

import itertools

import camb
import numpy as np

from deepbench.sphere.fields import cosmology as formulas

DEGREE = 8
WAVES = np.geomspace(3e-4, 20.0, 400)  # 1/Mpc


def camb_transfer(model):
    """Return CAMB's transfer function of matter at WAVES, with a free factor."""
    h2 = model.h**2
    found = camb.CAMBparams()
    found.set_cosmology(
        H0=100 * model.h,
        ombh2=model.omega_b * h2,
        omch2=(model.omega_m - model.omega_b) * h2,
        mnu=0,
        num_massive_neutrinos=0,
        TCMB=model.t_cmb,
        YHe=0.24,
    )
    found.InitPower.set_params(As=2e-9, ns=1.0)
    found.WantCls = False
    found.set_matter_power(redshifts=[0.0], kmax=30.0)
    power = camb.get_results(found).get_matter_power_interpolator(
        nonlinear=False, hubble_units=False, k_hunit=False
    )
    return np.sqrt(power.P(0.0, WAVES) / WAVES)


def main():
    """Print the fit."""
    ratios, powers = [], []
    for omega_m, omega_b, h in itertools.product(
        np.linspace(0.2, 0.4, 5), (0.03, 0.04, 0.05, 0.06, 0.07), np.linspace(0.6, 0.8, 4)
    ):
        model = formulas.Cosmology(omega_m, 0.8, h, omega_b=omega_b)
        ratio = camb_transfer(model) / formulas.transfer(model, WAVES / h)
        ratios.append(np.log(ratio / ratio[0]))
        powers.append([1.0, np.log(omega_m * h**2 / 0.14)])
    places = np.interp(np.log(WAVES), np.log(WAVES[[0, -1]]), [-1.0, 1.0])
    shapes = np.polynomial.chebyshev.chebvander(places, DEGREE)
    design = np.einsum("wi,cj->cwij", shapes, np.array(powers)).reshape(-1, 2 * (DEGREE + 1))
    values = np.concatenate(ratios)
    found = np.linalg.lstsq(design, values, rcond=None)[0]
    rest = design @ found - values
    for name, errors in (("before", values), ("after", rest)):
        print(f"{name}: rms {errors.std():.4f}, largest {np.abs(errors).max():.4f}")
    print(np.array2string(found.reshape(-1, 2), separator=", ", precision=5, suppress_small=True))


if __name__ == "__main__":
    main()
