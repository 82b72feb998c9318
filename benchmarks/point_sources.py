"""Point sources: microseconds of one core per image, and errors, ours and GalSim's in turn on the same draws.

    pip install galsim scipy
    OMP_NUM_THREADS=1 python benchmarks/point_sources.py

GalSim runs with its default GSParams. Errors are of the brightest pixel and of the sum over the frame, against the
quadrature of ``tests/reference/point_sources.py``. Both draw into an array of float32.
"""

from __future__ import annotations

import argparse
import math
import runpy
import time
from pathlib import Path

import galsim
import numpy as np
from numpy.typing import NDArray

from deepbench.images.psf.model import FAMILIES
from deepbench.images.psf.psf import PSF_ROW
from deepbench.images.stars.point_sources import add_point

REFERENCE = runpy.run_path(
    str(Path(__file__).parents[1] / "tests" / "reference" / "point_sources.py")
)
SIZE = 64
EVERYWHERE = 10**9
REPEATS = 20
"""How often each of our images is drawn in one measurement, with the call from Python counted each time."""

Case = dict[str, float]

ROWS = {
    "moffat": ("moffat", {}),
    "moffat, ellipse": ("moffat", {"axis_ratio": (0.3, 1.0)}),
    "moffat, truncated": ("moffat", {"truncation": (8.0, 20.0)}),
    "gaussian": ("gaussian", {}),
    "gaussian, ellipse": ("gaussian", {"axis_ratio": (0.3, 1.0)}),
    "airy": ("airy", {}),
    "airy, obscured": ("airy", {"shape": (0.1, 0.5)}),
    "kolmogorov": ("kolmogorov", {}),
}


def draw_case(
    family: str, priors: dict[str, tuple[float, float]], rng: np.random.Generator
) -> Case:
    """Return the parameters of one source."""
    case = {"x": 31.5 + rng.uniform(-0.5, 0.5), "y": 31.5 + rng.uniform(-0.5, 0.5)}
    case |= {"fwhm": rng.uniform(2, 5), "shape": rng.uniform(2, 5) if family == "moffat" else 0.0}
    case |= {"truncation": 0.0, "axis_ratio": 1.0, "angle": rng.uniform(0, math.pi)}
    return case | {name: rng.uniform(*limits) for name, limits in priors.items()}


def ours(family: str, case: Case) -> NDArray[np.float32]:
    """Return our image."""
    image = np.zeros((SIZE, SIZE), np.float32)
    psf = np.zeros(1, PSF_ROW)[0]
    psf["family"], psf["position_angle"] = FAMILIES[family].family, case["angle"]
    for name in ("fwhm", "shape", "truncation", "axis_ratio"):
        psf[name] = case[name]
    add_point(image, case["x"], case["y"], 1.0, psf, EVERYWHERE, np.empty(0, np.float32))
    return image


def peer(family: str, case: Case) -> NDArray[np.float32]:
    """Return GalSim's image."""
    fwhm, shape = case["fwhm"], case["shape"]
    if family == "moffat":
        profile = galsim.Moffat(beta=shape, fwhm=fwhm, trunc=case["truncation"])
    elif family == "gaussian":
        profile = galsim.Gaussian(fwhm=fwhm)
    elif family == "kolmogorov":
        profile = galsim.Kolmogorov(fwhm=fwhm)
    else:
        ratio = fwhm * math.pi / 2 / REFERENCE["airy_half_width"](shape)
        profile = galsim.Airy(lam_over_diam=ratio, obscuration=shape)
    if case["axis_ratio"] < 1:
        profile = profile.shear(q=case["axis_ratio"], beta=case["angle"] * galsim.radians)
    offset = (case["x"] - 31.5, case["y"] - 31.5)
    return profile.drawImage(nx=SIZE, ny=SIZE, scale=1.0, offset=offset).array


def measure(name: str, count: int, rounds: int, rng: np.random.Generator) -> None:
    """Print a row: medians over the rounds, errors over all draws."""
    family, priors = ROWS[name]
    cases = [draw_case(family, priors, rng) for _ in range(count * rounds)]
    ours(family, cases[0]), peer(family, cases[0])
    times, found = [], []
    for start in range(0, len(cases), count):
        batch = cases[start : start + count]
        begun = time.process_time()
        for case in batch:
            for _ in range(REPEATS):
                ours(family, case)
        middle = time.process_time()
        theirs = [peer(family, case) for case in batch]
        done = time.process_time()
        times.append(((middle - begun) / REPEATS / count * 1e6, (done - middle) / count * 1e6))
        for case, image in zip(batch, theirs, strict=True):
            tolerance = 1e-7 / case["fwhm"] ** 2
            expected = REFERENCE["point_source"](family, (SIZE, SIZE), **case, tolerance=tolerance)
            for each in (ours(family, case), image):
                error = np.abs(each - expected).max() / expected.max()
                found.append((error, abs(each.sum(dtype=float) / expected.sum() - 1)))
    own, other = np.median(times, axis=0)
    ratio = np.median([b / a for a, b in times])
    text = f"{name:18} {own:7.1f} {other:8.0f} {ratio:6.0f}"
    for who in (0, 1):
        errors = np.array(found[who::2])
        text += "   " + " ".join(f"{np.median(e):.1e} {e.max():.1e}" for e in errors.T)
    print(text, flush=True)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=10, help="sources in a round")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    print(f"{SIZE} × {SIZE} pixels; FWHM U(2, 5) pixels, Moffat β U(2, 5), centres U(−½, ½) pixel")
    for name, (_, priors) in ROWS.items():
        if priors:
            print(f"  {name}: " + ", ".join(f"{key} U{limits}" for key, limits in priors.items()))
    print("errors: median and worst, of the brightest pixel, then of the sum\n")
    print(
        f"{'':18} {'ours µs':>7} {'GalSim':>8} {'ratio':>6}   {'our errors':39}   GalSim's errors"
    )
    for name in ROWS:
        measure(name, options.count, options.rounds, rng)


if __name__ == "__main__":
    main()
