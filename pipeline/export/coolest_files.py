"""Files of COOLEST for a sample of a release: its truth in JSON, and image, noise and PSF in FITS beside it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deepbench.errors import ExportError, install
from deepbench.language.one_of import names_of
from pipeline.export.coolest import system_of

if TYPE_CHECKING:
    from deepbench.images.model.table import ImageTable
    from deepbench.labelling.scopes import Labels
    from deepbench.release import Release
    from deepbench.tables import Table

KERNEL_LIGHT = 1 - 1e-6
"""Part of a point's light that the kernel of a PSF holds, where its edge allows."""

IMAGE, NOISE, PSF = "image", "noise", "psf"
"""Names of the arrays beside a document."""


def write_coolest(release: Release, table: str, sample: int, path: str) -> list[str]:
    """Write a sample of a release as COOLEST has it; in tables with bands, a document for each.

    Parameters
    ----------
    release : Release
    table : str
        A table of images.
    sample : int
    path : str
        A new local file that ends with ``.json``. Those of bands have the band in their names; ``arrays_of`` are in
        FITS beside it.

    Returns
    -------
    list of str
        The files in JSON.

    Raises
    ------
    CatalogError
        There is no such table or sample.
    ExportError
        It is no table of square images, a file exists already, astropy is not installed, or COOLEST has no equal of
        something in the sample; nothing is written then.
    ReleaseError
        A file of the release is missing or damaged.
    """
    view = release.recipe.table(release.check_table(table))
    if view.kind != "image" or len(set(view.specification.size)) > 1:
        raise ExportError(f"COOLEST reads square images, and table '{table}' of {release} has none")
    stem = _stem(path)
    pixels = release.sample(table, sample)["image"].values
    labels = _labels(release, view, sample)
    texts: dict[Path, str] = {}
    arrays: dict[Path, NDArray[np.float64]] = {}
    for number, band in enumerate(view.specification.bands or ("",)):
        own = arrays_of(view, labels, pixels[number] if band else pixels, band)
        name = f"{stem.name}-{band}" if band else stem.name
        files = {what: f"{name}.{what}.fits" for what in own}
        document = document_of(view, labels, band, files)
        document["meta"]["deepbench"] |= {"release": str(release), "sample": sample}
        texts[stem.with_name(f"{name}.json")] = json.dumps(document, indent=2, sort_keys=True)
        arrays |= {stem.with_name(files[what]): values for what, values in own.items()}
    for file in (*arrays, *texts):
        if os.path.lexists(file):
            raise ExportError(f"'{file}' exists already; remove it, or name another file")
    for file, values in arrays.items():
        _write_fits(file, values)
    for file, text in texts.items():
        file.write_text(f"{text}\n", encoding="utf-8")
    return [str(file) for file in texts]


def _stem(path: str) -> Path:
    """Return the path of a new file in JSON without its ending."""
    final = Path(path)
    if "://" in path or final.suffix != ".json":
        raise ExportError(f"'{path}' must be a local file that ends with .json")
    if not final.parent.is_dir():
        raise ExportError(f"cannot write '{path}': there is no folder '{final.parent}'; make it")
    try:
        import astropy  # noqa: F401
    except ImportError:
        raise ExportError(
            "the images beside a file of COOLEST are in FITS, which astropy writes; install it with: "
            + install("fits")
        ) from None
    return final.with_suffix("")


def _labels(release: Release, table: Table[Any], sample: int) -> Labels:
    """Return the labels of a sample, as the release has them."""
    import pandas as pd

    from deepbench.labelling.frames import from_frames

    row = pd.DataFrame([release.label(table.name, sample)]).infer_objects()
    copies = release.objects(table.name, sample) if table.plan.object_columns else None
    return from_frames(table.plan, row, copies, extra="ignore")


def _write_fits(path: Path, values: NDArray) -> None:
    from astropy.io import fits

    fits.PrimaryHDU(values.astype(np.float32)).writeto(path)


def arrays_of(
    table: Table[ImageTable], labels: Labels, image: NDArray, band: str = ""
) -> dict[str, NDArray[np.float64]]:
    """Return what is in FITS beside a document, float64[y, x].

    Parameters
    ----------
    table : Table
        Of images.
    labels : Labels
        Of one sample.
    image : float32[y, x]
        Its image, as the release has it.
    band : str
        Name of a band of the table's instrument; empty where there is none.

    Returns
    -------
    dict of str to ndarray
        ``image``, without the levels of sky, dark current and bias, and, behind an instrument, ``noise``, the standard
        deviation as the plane ``variance`` estimates it from the image; both in electrons per second, or in the units
        of the recipe. ``psf``, what each pixel holds of a point of light 1, unless the PSF is an image itself.
    """
    from deepbench.images.detector.detector import exposure_rows

    specification, image = table.specification, image.astype(np.float64)
    found = {}
    if specification.instrument is not None:
        row = exposure_rows(specification.instrument, band, labels.columns)[0]
        electrons = (image - row["offset"]) / row["scale"]
        found[IMAGE] = (electrons - row["background"]) / row["time"]
        found[NOISE] = np.sqrt(np.maximum(electrons, 0.0) + row["read_variance"]) / row["time"]
    else:
        found[IMAGE] = image - _noise_values(table, labels, "background", "level").sum()
    kernel = _kernel(table, labels, band)
    return found if kernel is None else {**found, PSF: kernel}


def _noise_values(
    table: Table[ImageTable], labels: Labels, kind: str, field: str
) -> NDArray[np.float64]:
    """Return a value of the steps of a kind of the noise of a sample."""
    steps = table.specification.noise
    names = [name for name, step in zip(names_of(steps), steps, strict=True) if step.kind == kind]
    return np.array([labels.columns[f"noise.{name}.{field}"][0] for name in names])


def _kernel(table: Table[ImageTable], labels: Labels, band: str) -> NDArray[np.float64] | None:
    """Return what the pixels around a point of light 1 hold, float64[2 n − 1, 2 n − 1]; None without a family."""
    from deepbench.images.psf.psf_rows import psf_rows
    from deepbench.images.stars.point_sources import add_stars

    specification = table.specification
    name = next(each for each in specification.psfs if each in ("psf", f"psf.{band}"))
    psf = specification.psfs[name]
    if psf is None or psf.chosen.is_image:
        return None
    psfs = psf_rows(psf, labels.columns, f"{name}.", specification.scale, 1)
    reach = specification.size[0] - 1
    kernel = np.zeros((1, 2 * reach + 1, 2 * reach + 1), np.float32)
    where, light = np.full((1, 2), float(reach)), np.full(1, KERNEL_LIGHT)
    add_stars(kernel, np.zeros(1, np.int64), where, light, np.ones(1), psfs.rows)
    return kernel[0].astype(np.float64)


def document_of(
    table: Table[ImageTable], labels: Labels, band: str, files: dict[str, str]
) -> dict[str, Any]:
    """Return the document of a sample, in the mode that COOLEST calls MOCK.

    Parameters
    ----------
    table : Table
        Of square images.
    labels : Labels
        Of one sample.
    band : str
        Name of a band of the table's instrument; empty where there is none.
    files : dict of str to str
        Names of the files of ``arrays_of``.

    Raises
    ------
    ExportError
        See ``system_of``.
    """
    system, specification = system_of(table, labels, band), table.specification
    edge, scale, (x, y) = specification.size[0], specification.scale or np.nan, system.origin
    half = 0.5 * edge * scale
    frame = ((-half - x, half - x), (-half - y, half - y), edge)
    psf: dict[str, Any] = {"type": None}
    if PSF in files:
        reach = (edge - 0.5) * scale
        grid = _grid(files[PSF], (-reach, reach), (-reach, reach), 2 * edge - 1)
        psf = {"type": "PixelatedPSF", "pixels": grid}
    sigma = _noise_values(table, labels, "gaussian", "sigma")
    noise: dict[str, Any] = {"type": None}
    if NOISE in files:
        noise = {"type": "NoiseMap", "noise_map": _grid(files[NOISE], *frame)}
    elif sigma.size and {step.kind for step in specification.noise} <= {"gaussian", "background"}:
        noise = {"type": "UniformGaussianNoise", "std_dev": float(np.sqrt(sigma @ sigma))}
    values = {
        name.rpartition(".")[2]: float(labels.columns[name][0])
        for name in labels.columns
        if band and name.startswith(f"instrument.{band}.")
    }
    reading = values.get("read_noise", 0.0) * np.sqrt(values.get("exposures", 1.0))
    observation: dict[str, Any] = {"pixels": _grid(files.get(IMAGE), *frame), "noise": noise}
    if band:
        observation |= {
            "exposure_time": values["exposure_time"] * values["exposures"],
            "mag_zero_point": values["zero_point"],
            "mag_sky_brightness": values["sky_brightness"],
        }
    return {
        "standard": "COOLEST",
        "mode": "MOCK",
        "coordinates_origin": _direction(table, labels, system.origin),
        "cosmology": {
            "astropy_name": "FlatLambdaCDM",
            "H0": system.hubble_constant,
            "Om0": system.matter_density,
        },
        "instrument": {
            "name": "", "band": band, "pixel_size": scale, "readout_noise": reading, "psf": psf,
        },
        "observation": observation,
        "lensing_entities": [
            entity.document(number) for number, entity in enumerate(system.entities)
        ],
        "meta": {
            "deepbench": {
                "recipe": table.recipe,
                "recipe_hash": table.recipe_hash,
                "table": table.name,
                "unit_of_light": "electron/s" if band else "that of the recipe",
                "origin_from_centre_of_frame": [x, y],
            }
        },
    }  # fmt: skip


def _direction(
    table: Table[ImageTable], labels: Labels, origin: tuple[float, float]
) -> dict[str, str]:
    """Return where the origin of the positions is on the sky; COOLEST needs a place where there is no wcs, too."""
    specification = table.specification
    if specification.wcs is None:
        return {"ra": "0h0m0.0s", "dec": "0d0m0.0s"}
    from astropy.wcs import WCS

    ny, nx = specification.size
    header = specification.wcs_header({name: each[0] for name, each in labels.columns.items()})
    scale = specification.scale or np.nan
    x, y = 0.5 * (nx - 1) + origin[0] / scale, 0.5 * (ny - 1) + origin[1] / scale
    place = WCS(header).pixel_to_world(x, y)
    ra, dec = place.to_string("hmsdms", precision=6).split()
    return {"ra": ra, "dec": dec}


def _grid(
    file: str | None, x: tuple[float, float], y: tuple[float, float], edge: int
) -> dict[str, Any]:
    """Return a grid of square pixels whose sides lie at these positions."""
    return {
        "field_of_view_x": list(x),
        "field_of_view_y": list(y),
        "fits_file": {"path": file},
        "num_pix_x": edge,
        "num_pix_y": edge,
    }
