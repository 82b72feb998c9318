"""Maps of the sphere, against healpy: milliseconds of CPU time per map, on one core.

    OMP_NUM_THREADS=1 python benchmarks/maps.py [nside …]

Both make maps of the same spectrum, a convergence of lmax = 2 nside, in one process and in turns; medians. First
Gaussian maps, in RING order: ``healpy.synfast`` makes float64, ours float32. Then what a network is trained on: a
lognormal map smoothed by a Gaussian of three quarters of a pixel (3' at nside 1024), without its mean, in NEST order,
with noise, in patches of order 2. The healpy way is what a user would write: synfast, numpy.expm1, healpy.smoothing
(three iterations by default), healpy.reorder, numpy's normals. Both use the Gaussian spectrum that ours made; its time
and that of the convergence spectrum, which a map of its own cosmology needs, come first. The errors are those of the
smoothing, against twenty iterations, of the standard deviation.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace

import healpy
import numpy as np

from deepbench import parse_recipe
from deepbench.samples import draw_labels
from deepbench.sphere.fields.cosmology import Cosmology, convergence_spectrum, empty_beam_shift
from deepbench.sphere.fields.harmonics import draw_coefficients
from deepbench.sphere.fields.lognormal import gaussian_spectrum
from deepbench.sphere.pixels.maps import add_noise, exponentiate, remove_mean, synthesise, to_nest
from deepbench.sphere.pixels.patches import split_map
from deepbench.sphere.render import Maps

REPEATS = {64: 41, 256: 11, 1024: 3}
COSMOLOGY = Cosmology(0.31, 0.82)
STREAM, NOISE_STREAM = 1, 2
NOISE = 0.01


class Task:
    """The maps of one nside, and of some rounds."""

    def __init__(self, nside, rounds):
        self.nside, self.lmax = nside, 2 * nside
        self.spectrum = convergence_spectrum(COSMOLOGY, 1.0, self.lmax)
        self.shift = empty_beam_shift(COSMOLOGY, 1.0)
        self.below = gaussian_spectrum(self.spectrum, self.shift)
        self.sigma = np.radians(3.0 / 60.0) * 1024 / nside
        self.rng = np.random.default_rng(1)
        table = self.recipe(rounds).table("maps")
        self.maps = Maps(table, draw_labels(table, 0, table.samples))
        self.maps.render(0)  # the spectra and the order of pixels are made once in a process

    def recipe(self, rounds):
        """Return the recipe of as many maps."""
        lensing = {"omega_m": COSMOLOGY.omega_m, "sigma_8": COSMOLOGY.sigma_8, "source_redshift": 1}
        field = {"spectrum": {"convergence": lensing}, "shift_by": "empty_beam"}
        maps = {
            "kind": "sphere",
            "samples": 48 * rounds,
            "nside": self.nside,
            "patches": 2,
            "beam": {"sigma": 60.0 * np.degrees(self.sigma), "apply": "after"},
            "remove_mean": True,
            "noise": {"sigma": NOISE},
            "classes": {"lognormal": {"field": {"lognormal": field}}},
        }
        about = {"name": "maps", "version": "1.0.0", "title": "Maps", "seed": 2020}
        return parse_recipe(json.dumps({**about, "tables": {"maps": maps}}))

    def our_field(self, spectrum, number):
        """Return a Gaussian map."""
        alm = draw_coefficients(np.sqrt(spectrum)[None, None], 2020, STREAM, number)
        return synthesise(alm, self.nside, self.lmax)

    def their_field(self, spectrum):
        """Return a Gaussian map by healpy."""
        return healpy.synfast(spectrum, self.nside, lmax=self.lmax)

    def our_patches(self, number):
        """Return patches."""
        return split_map(self.maps.render(48 * number)[0][0], 2)

    def their_patches(self, iterations):
        """Return patches by healpy and numpy."""
        field = self.their_field(self.below.spectrum)
        field = self.shift * np.expm1(field - self.below.variance / 2)
        smooth = healpy.smoothing(field, sigma=self.sigma, lmax=self.lmax, iter=iterations)
        smooth -= smooth.mean()
        nest = healpy.reorder(smooth, r2n=True).astype(np.float32)
        nest += NOISE * self.rng.standard_normal(nest.size, dtype=np.float32)
        return nest.reshape(48, -1)

    def pixel_steps(self, number):
        """Return the CPU seconds of one synthesis, and of all that is done to its pixels."""
        alm = draw_coefficients(np.sqrt(self.below.spectrum)[None, None], 2020, STREAM, number)
        marks = [time.process_time()]
        field = synthesise(alm, self.nside, self.lmax)
        marks.append(time.process_time())
        exponentiate(field[0], self.below.variance, self.shift)
        remove_mean(field[0])
        nest = to_nest(field, self.nside)[0]
        add_noise(nest, NOISE, 2020, NOISE_STREAM, number)
        split_map(nest, 2)
        marks.append(time.process_time())
        return np.diff(marks)

    def errors(self):
        """Return the errors of our smoothing, and of healpy's with 0, 1 and 3 iterations."""
        sharp, smooth = (
            healpy.reorder(Maps(*self._one(beam)).render(0)[0][0].astype(float), n2r=True)
            for beam in (False, True)
        )
        exact, *theirs = (
            healpy.smoothing(sharp, sigma=self.sigma, lmax=self.lmax, iter=count)
            for count in (20, 0, 1, 3)
        )
        exact -= exact.mean()
        return [(each - exact).std() / exact.std() for each in (smooth, *theirs)]

    def _one(self, beam):
        """Return what makes the first map without noise, and without its beam where that is not asked for."""
        table = self.recipe(1).table("maps")
        without = {"noise": None} | ({} if beam else {"beam": None})
        changed = table.specification.model_copy(update=without)
        return replace(table, specification=changed), draw_labels(table, 0, 48)


def cpu_time(function, *arguments):
    """Return the CPU seconds of a call."""
    begun = time.process_time()
    function(*arguments)
    return time.process_time() - begun


def compare(name, ours, theirs, repeats):
    """Print the medians of two ways in turns; each takes the number of the round."""
    times = np.array([(cpu_time(ours, n), cpu_time(theirs, n)) for n in range(repeats + 1)])[1:]
    our, their = 1e3 * np.median(times, axis=0)
    ratio = np.median(times[:, 1] / times[:, 0])
    print(f"  {name:24} ours {our:8.2f} ms, healpy {their:8.2f} ms, ratio {ratio:.2f}")


def print_spectra(nside, repeats=15):
    """Print the milliseconds of the spectra of one map, each of another cosmology."""
    times = []
    for number in range(repeats + 1):
        cosmology = COSMOLOGY._replace(sigma_8=0.8 + 1e-3 * number)
        begun = time.process_time()
        spectrum = convergence_spectrum(cosmology, 1.0, 2 * nside)
        middle = time.process_time()
        gaussian_spectrum(spectrum, empty_beam_shift(cosmology, 1.0))
        times.append((middle - begun, time.process_time() - middle))
    first, second = 1e3 * np.median(times[1:], axis=0)
    print(f"  spectra: convergence {first:.1f} ms, Gaussian {second:.1f} ms")


def main():
    """Print a table for each nside."""
    for nside in [int(word) for word in sys.argv[1:]] or list(REPEATS):
        repeats = REPEATS.get(nside, 5)
        task = Task(nside, repeats + 1)
        print(f"nside {nside}, lmax {task.lmax}, {repeats} rounds")
        print_spectra(nside)
        compare(
            "Gaussian map",
            lambda n, task=task: task.our_field(task.spectrum, n),
            lambda n, task=task: task.their_field(task.spectrum),
            repeats,
        )
        for name, count in (("patches", 3), ("patches, healpy iter=0", 0)):
            compare(
                name,
                lambda n, task=task: task.our_patches(n),
                lambda n, task=task, count=count: task.their_patches(count),
                repeats,
            )
        steps = np.median([task.pixel_steps(n) for n in range(repeats + 1)][1:], axis=0)
        print(f"  pixels {1e3 * steps[1]:.2f} ms, {steps[1] / steps[0]:.0%} of one synthesis")
        words = ", ".join(f"{error:.1e}" for error in task.errors())
        print(f"  errors of smoothing, ours, and healpy's with 0, 1 and 3 iterations: {words}")


if __name__ == "__main__":
    main()
