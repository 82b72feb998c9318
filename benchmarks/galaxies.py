"""Galaxies behind a point spread function, against GalSim: speed, accuracy, and where the time goes.

    python benchmarks/galaxies.py [images]

Both draw the same galaxies in one process and on one core, in turns; medians of CPU time per image. GalSim has its
default accuracy where it is timed. The reference for the errors of both is GalSim with tight parameters; ``tests`` hold
it against a quadrature, and it errs by less than 1e-5 of the peak.
"""

import json
import sys
import time
import warnings

import galsim
import numpy as np

from deepbench.images.galaxies import fourier
from deepbench.images.galaxies.sersic import sersic_tables
from deepbench.images.model.sky import COMPONENT_ROW, rows_of
from deepbench.images.psf.model import MOFFAT
from deepbench.images.psf.psf import PSF_ROW
from deepbench.images.psf.psf_profiles import psf_tables
from deepbench.recipe import parse_recipe
from deepbench.samples import render

SIZE = 64
ROUNDS = 5
TIGHT = galsim.GSParams(
    folding_threshold=5e-4, kvalue_accuracy=1e-6, maxk_threshold=1e-4, maximum_fft_size=8192
)


def draw_rows(count, kind, rng):
    """Return offsets, components and point spread functions."""
    shared = kind != "continuous index and PSF"
    each = 2 if kind == "bulge + disk" else 1
    total = count * each
    index = rng.uniform(0.5, 6.0, total)
    if kind == "bulge + disk":
        index = np.tile([4.0, 1.0], count)
    elif shared:
        index = np.round(2 * index) / 2
    x, y = np.repeat(rng.uniform(31, 33, (2, count)), each, axis=1)
    rows = rows_of(
        COMPONENT_ROW,
        total,
        flux=1.0 / each,
        x=x,
        y=y,
        half_light_radius=np.exp(rng.uniform(np.log(1.5), np.log(8.0), total)),
        axis_ratio=rng.uniform(0.2, 1.0, total),
        position_angle_degrees=rng.uniform(0.0, 180.0, total),
        sersic_index=index,
    )
    fwhm, beta = rng.uniform(2.0, 5.0, count), rng.uniform(2.0, 5.0, count)
    if shared:
        fwhm, beta = 3.0, 3.5
    psfs = rows_of(PSF_ROW, count, family=MOFFAT, fwhm=fwhm, shape=beta, axis_ratio=1.0)
    return each * np.arange(count + 1), rows, psfs


def galsim_image(rows, psf, params):
    """Return an image by GalSim; ``psf`` is one of its objects."""
    parts = [
        galsim.Sersic(
            row["sersic_index"],
            half_light_radius=row["half_light_radius"],
            flux=row["flux"],
            gsparams=params,
        )
        .shear(q=row["axis_ratio"], beta=row["position_angle_degrees"] * galsim.degrees)
        .shift(row["x"] - rows["x"][0], row["y"] - rows["y"][0])
        for row in rows
    ]
    image = galsim.Image(SIZE, SIZE, scale=1.0, dtype=np.float32 if params is None else float)
    middle = 0.5 * (SIZE - 1)
    galsim.Convolve(galsim.Add(parts) if len(parts) > 1 else parts[0], psf).drawImage(
        image, offset=(rows["x"][0] - middle, rows["y"][0] - middle)
    )
    return image.array


def galsim_images(offsets, rows, psfs, params=None):
    """Return images by GalSim; one object serves for a point spread function that repeats."""
    out, last = [], None
    for number, row in enumerate(psfs):
        if last is None or row != psfs[number - 1]:
            last = galsim.Moffat(row["shape"], fwhm=row["fwhm"], gsparams=params)
        out.append(galsim_image(rows[offsets[number] : offsets[number + 1]], last, params))
    return np.array(out)


def our_images(offsets, rows, psfs):
    """Return images by this package."""
    frames = np.zeros((len(psfs), SIZE, SIZE), np.float32)
    fourier.render_components(frames, offsets, rows, psfs)
    return frames


def cpu_time(function, *arguments):
    """Return the CPU seconds of a call."""
    begun = time.process_time()
    function(*arguments)
    return time.process_time() - begun


def print_errors(name, images, reference):
    """Print the largest difference and that of the sums, of the peak and of the flux."""
    largest = np.abs(images - reference).max((1, 2)) / reference.max((1, 2))
    sums = np.abs((images.astype(float) - reference).sum((1, 2)))
    texts = [f"median {np.median(v):.1e}, worst {v.max():.1e}" for v in (largest, sums)]
    print(f"  {name:9} largest/peak: {texts[0]}   sum/flux: {texts[1]}")


def print_parts(offsets, rows, psfs):
    """Print the microseconds per image of each step."""
    count = len(psfs)
    size = fourier.period(SIZE, SIZE)
    tables = sersic_tables(), psf_tables()
    scratch = fourier.make_scratch(size, SIZE, int(np.diff(offsets).max()))
    times = np.zeros(3)
    frame = (SIZE, SIZE)
    for part, spectra in fourier.chunks(count, size):
        own = offsets[part.start : part.stop + 1]
        response = fourier.pixel_response(size)
        marks = [time.perf_counter()]
        used = fourier.write_spectra(
            spectra, own, rows, psfs[part], frame, *tables, response, scratch
        )
        marks.append(time.perf_counter())
        frames = np.ascontiguousarray(fourier.inverse(spectra, used, *frame))
        marks.append(time.perf_counter())
        nodes = fourier.all_nodes(*frame)
        fourier.remove_copies(frames, own, rows, psfs[part], size, *tables, nodes, scratch)
        marks.append(time.perf_counter())
        times += np.diff(marks)
    spectrum, fft, copies = times / count * 1e6
    print(f"  µs per image: spectrum {spectrum:.0f}, FFT {fft:.0f}, copies {copies:.0f}")


def sheared_recipe(kind, count, shear):
    """Return a recipe of galaxies of a kind, with a weak shear or with None."""
    radius, ratio = {"uniform": [1.5, 5]}, {"uniform": [0.3, 1]}
    composed = {
        "bulge_fraction": 0.3,
        "bulge_half_light_radius": 2,
        "disk_half_light_radius": radius,
    }
    own = {
        "sersic": {"sersic_index": 2, "half_light_radius": radius, "axis_ratio": ratio},
        "bulge_disk": composed | {"disk_axis_ratio": ratio},
        "spiral": composed | {"inclination": 50, "pitch_angle": 20, "inner_radius": 1},
    }[kind]
    own |= {"dx": 0, "dy": 0, "flux": 1, "position_angle": {"uniform": [0, 180]}}
    own |= {} if shear is None else {"shear": shear}
    table = {"kind": "image", "samples": count, "size": [SIZE, SIZE], "pixel_scale": 1}
    table |= {"psf": {"moffat": {"fwhm": 3, "beta": 3.5}}, "classes": {"a": {"objects": [{kind: own}]}}}  # fmt: skip
    data = {"name": "a", "version": "1.0.0", "title": "A", "seed": 1, "tables": {"t": table}}
    return parse_recipe(json.dumps(data))


def print_cost_of_shear(count):
    """Print the cost of galaxies with a weak shear over that of the same without it, labels and noise included."""
    component = {"uniform": [-0.1, 0.1]}
    shear = {"g1": component, "g2": component, "magnification": {"uniform": [0.9, 1.2]}}
    for kind in ("sersic", "bulge_disk", "spiral"):
        plain, sheared = (sheared_recipe(kind, count, each) for each in (None, shear))
        for each in (plain, sheared):
            render(each, "t")
        ratios = [
            cpu_time(render, sheared, "t") / cpu_time(render, plain, "t") for _ in range(ROUNDS)
        ]
        print(f"weak shear of {kind}: {np.median(ratios):.2f} of the time without it")


def main():
    """Print a table for each kind of galaxy."""
    warnings.simplefilter("ignore")
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 64
    for kind in ("continuous index and PSF", "fixed PSF, index in halves", "bulge + disk"):
        drawn = draw_rows(count, kind, np.random.default_rng(2020))
        our_images(*drawn)
        galsim_images(*drawn)
        theirs, ours = [], []
        for _ in range(ROUNDS):
            theirs.append(cpu_time(galsim_images, *drawn) / count)
            ours.append(cpu_time(our_images, *drawn) / count)
            if (
                kind == "continuous index and PSF"
            ):  # an index seen before is a table in GalSim's cache
                drawn = draw_rows(count, kind, np.random.default_rng(len(ours)))
        their, our = np.median(theirs), np.median(ours)
        ratio = their / our
        print(f"{kind}: {our * 1e6:.0f} µs, GalSim {their * 1e3:.2f} ms, ratio {ratio:.0f}")
        print_parts(*drawn)
        reference = galsim_images(*drawn, TIGHT)
        print_errors("ours", our_images(*drawn), reference)
        print_errors("GalSim", galsim_images(*drawn), reference)
    print_cost_of_shear(4 * count)


if __name__ == "__main__":
    main()
