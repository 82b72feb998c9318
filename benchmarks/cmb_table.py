"""Makes ``cmb.csv`` and ``cmb_unlensed.csv``, the spectra of the microwave background, with CAMB.

    python benchmarks/cmb_table.py deepbench/sphere/fields

The parameters are those of Planck 2018 (A&A 641, A6, table 2, TT,TE,EE+lowE+lensing), without tensor modes. Prints the
largest errors of the interpolation: of C_ℓ, and for TE of √(TT EE).
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
TABLES = {"lensed": "cmb.csv", "unlensed": "cmb_unlensed.csv"}


def main():
    """Write the tables."""
    parameters = camb.CAMBparams()
    parameters.set_cosmology(**PARAMETERS)
    parameters.InitPower.set_params(As=AMPLITUDE, ns=SLOPE)
    parameters.set_for_lmax(CMB_MAX_ELL + 500, lens_potential_accuracy=1)
    found = camb.get_results(parameters).get_cmb_power_spectra(
        lmax=CMB_MAX_ELL, spectra=[f"{kind}_scalar" for kind in TABLES], CMB_unit="muK"
    )
    for kind, name in TABLES.items():
        spectra = found[f"{kind}_scalar"]
        write(Path(sys.argv[1]) / name, kind, spectra)
        print(kind, errors(spectra, kind == "lensed"))


def write(path, kind, spectra):
    """Write the nodes of spectra, ℓ (ℓ + 1) C_ℓ / 2π, float64[lmax + 1, 4]."""
    nodes = np.concatenate(
        [np.arange(2, 40), np.arange(40, 200, 5), np.arange(200, 3000, 20), np.arange(3000, CMB_MAX_ELL, 50)]
    )  # fmt: skip
    nodes = np.append(nodes, CMB_MAX_ELL)
    words = ", ".join(f"{name} {value}" for name, value in PARAMETERS.items())
    what = f"{kind.capitalize()} spectra of the CMB, ℓ(ℓ+1)C_ℓ/2π in µK²"
    lines = [
        f"# {what}, by CAMB {camb.__version__} (benchmarks/cmb_table.py)",
        f"# {words}, As {AMPLITUDE}, ns {SLOPE}",
        ",".join(("ell", *CMB_FIELDS)),
    ]
    lines += [",".join((str(ell), *(f"{v:.6g}" for v in spectra[ell]))) for ell in nodes]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def errors(spectra, lensed):
    """Return the largest errors of the interpolation of what was written, by field; 0 where there is nothing."""
    ell = np.arange(2, CMB_MAX_ELL + 1)
    exact = spectra[2:].T * 2.0 * np.pi / (ell * (ell + 1.0))
    scale = np.array([*exact[:3], np.sqrt(exact[0] * exact[1])])
    off = np.abs(cmb_spectra(CMB_MAX_ELL, lensed)[:, 2:] - exact)
    found = np.divide(off, scale, out=np.zeros_like(off), where=scale > 0)
    return dict(zip(CMB_FIELDS, found.max(axis=1).round(6), strict=True))


if __name__ == "__main__":
    main()
