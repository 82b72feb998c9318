"""Makes ``deepbench/sphere/fields/cmb.csv``, the spectra of the microwave background, with CAMB.

    python benchmarks/cmb_table.py deepbench/sphere/fields/cmb.csv

The parameters are those of Planck 2018 (A&A 641, A6, table 2, TT,TE,EE+lowE+lensing), the spectra lensed. Prints the
largest error of the interpolation: of C_ℓ, and for TE of √(TT EE).
"""

from __future__ import annotations

import sys
from pathlib import Path

import camb
import numpy as np

from deepbench.sphere.fields.ranges import CMB_MAX_ELL
from deepbench.sphere.fields.spectra import CMB_FIELDS, cmb_spectra

PARAMETERS = {"H0": 67.36, "ombh2": 0.02237, "omch2": 0.12, "mnu": 0.06, "omk": 0.0, "tau": 0.0544}
AMPLITUDE, SLOPE = 2.1e-9, 0.9649


def main():
    """Write the table."""
    found = camb.CAMBparams()
    found.set_cosmology(**PARAMETERS)
    found.InitPower.set_params(As=AMPLITUDE, ns=SLOPE)
    found.set_for_lmax(CMB_MAX_ELL + 500, lens_potential_accuracy=1)
    spectra = camb.get_results(found).get_cmb_power_spectra(
        lmax=CMB_MAX_ELL, spectra=["lensed_scalar"], CMB_unit="muK"
    )["lensed_scalar"]
    nodes = np.concatenate(
        [np.arange(2, 40), np.arange(40, 200, 5), np.arange(200, 3000, 20), np.arange(3000, CMB_MAX_ELL, 50)]
    )  # fmt: skip
    nodes = np.append(nodes, CMB_MAX_ELL)
    words = ", ".join(f"{name} {value}" for name, value in PARAMETERS.items())
    lines = [
        f"# Lensed spectra of the CMB, ℓ(ℓ+1)C_ℓ/2π in µK², by CAMB {camb.__version__} (benchmarks/cmb_table.py)",
        f"# {words}, As {AMPLITUDE}, ns {SLOPE}",
        ",".join(("ell", *CMB_FIELDS)),
    ]
    lines += [",".join((str(ell), *(f"{v:.6g}" for v in spectra[ell]))) for ell in nodes]
    Path(sys.argv[1]).write_text("\n".join(lines) + "\n", encoding="utf-8")
    ell = np.arange(2, CMB_MAX_ELL + 1)
    exact = spectra[2:].T * 2.0 * np.pi / (ell * (ell + 1.0))
    scale = np.array([*exact[:3], np.sqrt(exact[0] * exact[1])])
    errors = np.abs(cmb_spectra(CMB_MAX_ELL)[:, 2:] - exact) / scale
    print(dict(zip(CMB_FIELDS, errors.max(axis=1).round(6), strict=True)))


if __name__ == "__main__":
    main()
