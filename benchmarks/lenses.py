"""Lensed galaxies behind a point spread function, against lenstronomy: speed, accuracy, and whole images.

    OMP_NUM_THREADS=1 python benchmarks/lenses.py [systems]

Both draw the arcs of the same systems (an elliptical power law, a shear, a Sérsic source, a Gaussian point spread
function) in one process and on one core, in turns; medians of CPU time per image. lenstronomy has its supersampling and
``supersampling_convolution``. Errors are against its images at factors of 8, 16 and 32, extrapolated, where two
extrapolations agree, away from the frame's edge. caustics draws all systems as one batch, where it is installed. Whole
images have lens light, arcs, noise and labels.
"""

import json
import math
import sys
import time
import warnings

import numpy as np
from lenstronomy.Data.pixel_grid import PixelGrid
from lenstronomy.Data.psf import PSF
from lenstronomy.ImSim.image_model import ImageModel
from lenstronomy.LensModel.lens_model import LensModel
from lenstronomy.LightModel.light_model import LightModel
from scipy.special import gamma, gammaincinv

from deepbench.images.galaxies.model import ARMS_ROW, TRUNCATED_ROW
from deepbench.images.galaxies.oversampled import convolve, grid_period, refinements
from deepbench.images.galaxies.sersic import sersic_tables
from deepbench.images.lensing.traced import LensedLight, make_scratch, write_traced
from deepbench.images.model.sky import COMPONENT_ROW, rows_of
from deepbench.images.psf.model import GAUSSIAN
from deepbench.images.psf.psf import PSF_ROW
from deepbench.lensing.deflector import DEFLECTOR_ROW, EXTERNAL, POWER_LAW
from deepbench.recipe import parse_recipe
from deepbench.samples import render

SIZE, SCALE = 64, 0.1
ROUNDS = 3
FACTORS = (8, 16, 32)
AGREE = 3e-5  # of the peak
INNER = slice(12, -12)  # lenstronomy leaves out what blurs in from outside of the frame


def draw_systems(count, rng):
    """Return the numbers of systems, lengths in pixels and angles in degrees."""
    return [
        {
            "theta": rng.uniform(6, 18),
            "q_lens": rng.uniform(0.5, 1),
            "slope": rng.uniform(1.8, 2.2),
            "angle_lens": rng.uniform(0, 180),
            "shear": rng.uniform(0, 0.1),
            "shear_angle": rng.uniform(0, 180),
            "x": rng.uniform(-4, 4),
            "y": rng.uniform(-4, 4),
            "n": rng.uniform(0.7, 4),
            "radius": np.exp(rng.uniform(np.log(1), np.log(5))),
            "q": rng.uniform(0.4, 1),
            "angle": rng.uniform(0, 180),
            "fwhm": rng.uniform(2.5, 5),
        }
        for _ in range(count)
    ]


def light_of(systems):
    """Return systems as the kernels take them, and their point spread functions."""
    names = (
        "theta",
        "q_lens",
        "slope",
        "angle_lens",
        "shear",
        "shear_angle",
        "x",
        "y",
        "n",
        "radius",
    )
    values = {
        name: np.array([each[name] for each in systems]) for name in (*names, "q", "angle", "fwhm")
    }
    count = len(systems)
    masses = np.zeros(2 * count, DEFLECTOR_ROW)
    lens, shear = masses[::2], masses[1::2]
    lens["family"], lens["strength"], lens["slope"] = (
        POWER_LAW,
        values["theta"] * SCALE,
        values["slope"],
    )
    lens["axis_ratio"], lens["angle"] = values["q_lens"], np.deg2rad(values["angle_lens"])
    shear["family"], shear["strength"] = EXTERNAL, values["shear"]
    shear["angle"] = np.deg2rad(values["shear_angle"])
    galaxies = rows_of(
        COMPONENT_ROW, count, flux=1.0, half_light_radius=values["radius"],
        axis_ratio=values["q"], position_angle_degrees=values["angle"], sersic_index=values["n"],
    )  # fmt: skip
    middle = np.full((count, 2), (SIZE - 1) / 2)
    each, none = np.arange(count + 1), np.zeros(count + 1, np.int64)
    planes = np.stack([2 * each[:-1], 2 * each[1:]], axis=1)
    light = LensedLight(
        planes, masses, middle, middle + np.stack([values["x"], values["y"]], axis=1),
        values["fwhm"],
        galaxies, each, np.zeros(0, ARMS_ROW), none, np.zeros(0, TRUNCATED_ROW), none,
    )  # fmt: skip
    return light, rows_of(PSF_ROW, count, family=GAUSSIAN, fwhm=values["fwhm"], axis_ratio=1.0)


def model_of_ours(systems, tables):
    """Return a function without arguments that draws systems of one refinement, made before as those of lenstronomy."""
    light, psfs = light_of(systems)
    size, refined = grid_period(SIZE), int(refinements(psfs)[0])
    scratch, found = make_scratch(refined * size, 2), np.empty(len(systems))
    start = float(SIZE // 2 - size // 2)

    def draw():
        grids = np.zeros((len(systems), refined * size, refined * size), np.float32)
        write_traced(grids, light, SCALE, start, refined, tables, scratch, found)
        return convolve(grids, psfs, SIZE)

    return draw


def ellipticity(q, angle):
    """Return lenstronomy's ellipticity."""
    size, twice = (1 - q) / (1 + q), 2 * math.radians(angle)
    return {"e1": size * math.cos(twice), "e2": size * math.sin(twice)}


def lens_of(system):
    """Return lenstronomy's models of a system's masses, and their arguments."""
    twice = 2 * math.radians(system["shear_angle"])
    lens = {
        "theta_E": system["theta"],
        "gamma": system["slope"],
        **ellipticity(system["q_lens"], system["angle_lens"]),
    }
    gammas = system["shear"] * math.cos(twice), system["shear"] * math.sin(twice)
    at = {"center_x": 0.0, "center_y": 0.0}
    return ["EPL", "SHEAR"], [lens | at, {"gamma1": gammas[0], "gamma2": gammas[1]}]


def sersic_of(n, radius):
    """Return R_sersic and amp of a profile of unit light in lenstronomy, whose b_n is 1.9992 n − 0.3271."""
    b, theirs = gammaincinv(2 * n, 0.5), 1.9992 * n - 0.3271
    peak = b ** (2 * n) / (2 * math.pi * n * gamma(2 * n)) / radius**2
    return radius * (theirs / b) ** n, peak * math.exp(-theirs)


def model_of(system, factor):
    """Return a function without arguments that draws a system by lenstronomy."""
    reach = math.ceil(2.5 * system["fwhm"])
    offsets = np.arange(-reach * factor, reach * factor + 1) / factor
    sigma = system["fwhm"] / 2.3548200450309493
    kernel = np.exp(-0.5 * np.add.outer(offsets**2, offsets**2) / sigma**2)
    kernel /= kernel.sum()
    middle = -(SIZE - 1) / 2
    models, arguments = lens_of(system)
    model = ImageModel(
        PixelGrid(SIZE, SIZE, np.eye(2), middle, middle),
        PSF("PIXEL", kernel_point_source=kernel, point_source_supersampling_factor=factor),
        LensModel(models),
        LightModel(["SERSIC_ELLIPSE"]),
        kwargs_numerics={
            "supersampling_factor": factor,
            "supersampling_convolution": True,
            "supersampling_kernel_size": None,
        },
    )
    radius, amplitude = sersic_of(system["n"], system["radius"])
    source = {
        "amp": amplitude, "R_sersic": radius, "n_sersic": system["n"],
        "center_x": system["x"], "center_y": system["y"],
        **ellipticity(system["q"], system["angle"]),
    }  # fmt: skip
    return lambda: model.image(arguments, [source], lens_light_add=False, point_source_add=False)


def reference(system):
    """Return the image of a system, and where it is good."""
    coarse, middle, fine = (model_of(system, factor)() for factor in FACTORS)
    first, second = middle + (middle - coarse) / 3, fine + (fine - middle) / 3
    return second, np.abs(first - second) < AGREE * second.max()


def cpu(function, *arguments):
    """Return CPU seconds of a call, and its result."""
    begun = time.process_time()
    result = function(*arguments)
    return time.process_time() - begun, result


def compare_arcs(count):
    """Print CPU time of an arc and errors, ours and lenstronomy's."""
    systems, tables = draw_systems(count, np.random.default_rng(1)), sersic_tables()
    ours, took = model_of_ours(systems, tables), []
    drawn = ours()
    models = {factor: [model_of(each, factor) for each in systems] for factor in (4, 8)}
    peers, theirs = {4: [], 8: []}, {4: [], 8: []}
    for number in range(count):
        for _ in range(ROUNDS):
            took.append(cpu(ours)[0] / count)  # noqa: PERF401
        for factor, own in models.items():
            seconds, image = min((cpu(own[number]) for _ in range(2)), key=lambda pair: pair[0])
            theirs[factor].append(seconds)
            peers[factor].append(image)
    errors = {"ours": [], 4: [], 8: []}
    for number, system in enumerate(systems):
        expected, good = reference(system)
        for name, image in (("ours", drawn), (4, peers[4]), (8, peers[8])):
            error = (np.abs(image[number] - expected) * good)[INNER, INNER].max()
            errors[name].append(error / expected.max())
    mine = np.median(took)
    print(f"{'':24} {'µs':>9} {'ratio':>6} {'error, median':>14} {'worst':>8}")
    for name, seconds in (("ours", mine), *((f, np.median(theirs[f])) for f in (8, 4))):
        label = name if name == "ours" else f"lenstronomy, {name} x {name}"
        found = errors[name]
        print(
            f"{label:24} {1e6 * seconds:9.0f} {seconds / mine:6.0f} "
            f"{np.median(found):14.1e} {max(found):8.1e}"
        )
    for factor in (8, 4):
        seconds = time_caustics(systems, factor)
        if seconds is not None:
            print(
                f"{f'caustics, {factor} x {factor}':24} {1e6 * seconds:9.0f} {seconds / mine:6.0f}"
            )


def time_caustics(systems, factor):
    """Return the CPU time of an image by caustics, all systems as one batch; None where it is not installed.

    Its pixels are the mean of their parts, and all have one point spread function, sampled on pixels.
    """
    try:
        import caustics
        import torch
    except ImportError:
        return None
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", "Lens model")  # redshifts of parts, which the plane gives
    cosmology = caustics.FlatLambdaCDM(name="cosmology")
    common = {"cosmology": cosmology, "z_l": 0.5, "z_s": 2.0}
    parts = [caustics.EPL(name="epl", **common), caustics.ExternalShear(name="shear", **common)]
    lens = caustics.SinglePlane(name="plane", cosmology=cosmology, lenses=parts, z_l=0.5, z_s=2.0)
    offsets = np.arange(-9, 10)
    kernel = np.exp(-0.5 * np.add.outer(offsets**2, offsets**2) / 1.5**2)
    simulator = caustics.LensSource(
        lens=lens, source=caustics.Sersic(name="source"), pixelscale=1.0, pixels_x=SIZE,
        upsample_factor=factor, psf=torch.tensor(kernel / kernel.sum(), dtype=torch.float32),
        name="simulator",
    )  # fmt: skip
    rows = []
    for each in systems:  # x, y, q, φ, θ_E, slope − 1; x, y, γ₁, γ₂; x, y, q, φ, n, R, I
        angle, twice = math.radians(each["angle_lens"]), 2 * math.radians(each["shear_angle"])
        mass = (0, 0, each["q_lens"], angle, each["theta"], each["slope"] - 1)
        shear = (0, 0, each["shear"] * math.cos(twice), each["shear"] * math.sin(twice))
        place = (each["x"], each["y"], each["q"], math.radians(each["angle"]))
        rows.append((*mass, *shear, *place, each["n"], each["radius"], 1.0))
    batch, draw = torch.tensor(rows, dtype=torch.float32), torch.vmap(simulator)
    with torch.no_grad():
        draw(batch)
        return min(cpu(draw, batch)[0] for _ in range(2)) / len(systems)


def time_images():
    """Print how many whole images a CPU-second gives, their labels among them."""
    lens = {"einstein_radius": {"uniform": [0.6, 1.8]}, "axis_ratio": {"uniform": [0.5, 1]}}
    light = {"flux": 300, "sersic_index": 4, "half_light_radius": 0.8, "dx": 0, "dy": 0}
    source = {
        "flux": 60, "dx": {"uniform": [-0.4, 0.4]}, "dy": {"uniform": [-0.4, 0.4]},
        "sersic_index": {"uniform": [0.7, 4]}, "half_light_radius": {"uniform": [0.1, 0.5]},
        "axis_ratio": {"uniform": [0.4, 1]},
    }  # fmt: skip
    objects = [
        {"sie": lens | {"position_angle": {"uniform": [0, 180]}}},
        {"shear": {"strength": {"uniform": [0, 0.1]}, "shear_angle": {"uniform": [0, 180]}}},
        {"sersic": light},
        {"sersic": source, "name": "source", "lensed": True},
    ]
    for plane in ([], [{"lens": {}}]):
        table = {
            "kind": "image", "samples": 2048, "size": [SIZE, SIZE], "pixel_scale": SCALE,
            "psf": {"moffat": {"fwhm": 0.35, "beta": 3.5}},
            "noise": [{"gaussian": {"sigma": 0.05}}],
            "classes": {"lens": {"objects": [*plane, *objects]}},
        }  # fmt: skip
        head = {"name": "a", "version": "1.0.0", "title": "A", "seed": 5}
        recipe = parse_recipe(json.dumps({**head, "tables": {"images": table}}))
        render(recipe, "images", 0, 64)
        seconds = [
            cpu(render, recipe, "images", start, start + 128)[0] for start in range(128, 896, 128)
        ]
        what = "with labels of the lensing" if plane else "whole images"
        print(f"{what}: {128 / np.median(seconds):.0f} per CPU-second")


if __name__ == "__main__":
    compare_arcs(int(sys.argv[1]) if len(sys.argv) > 1 else 12)
    time_images()
