"""Signals without noise, and what the noise leaves of them: for tables whose noise is known in closed form.

The Fisher information of parameters is Σ weight × (∂mean)² over the values of a sample. For normal noise of variance v
the weight of a value is 1 / v, and where v depends on the signal, ln v is one more value, of weight ½. For counted
photons it is 1 / λ; for those behind noise of reading, that of their sum, which has no closed form and is integrated.

References
----------
Kay 1993, Fundamentals of Statistical Signal Processing I, sections 3.7 and 3.9 (Poisson and general Gaussian data).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special
from scipy.interpolate import CubicSpline

from deepbench.errors import LabelError
from deepbench.language.one_of import names_of

if TYPE_CHECKING:
    import xarray as xr

    from deepbench.recipe import Recipe
    from deepbench.tables import Table

MANY = 100.0
"""Mean number of photons from which the sum of them and of normal noise has the information of a normal one: for
any noise of reading it differs by less than 1e-3.
"""

RESOLVED = 0.05
"""Noise of reading (electron) below which each photon is counted."""

LOUD = 25.0
"""Noise of reading (electron) from which the sum has the information of a normal one, whatever the mean number of
photons: it differs by less than 1e-3.
"""

NODES = 72
"""Mean numbers of photons between ``FEWEST`` and ``MANY`` for which the information is integrated."""

FEWEST = 1e-6
"""Mean number of photons below which a pixel says next to nothing."""


class Signals(NamedTuple):
    """Values of samples without noise.

    Attributes
    ----------
    mean : float64[n, p]
    weight : float64[n, p]
        Fisher information of each value of its mean; 0 where a sample has no value.
    """

    mean: NDArray[np.float64]
    weight: NDArray[np.float64]


class Model(NamedTuple):
    """Known noise of a table.

    Attributes
    ----------
    recipe : Recipe
        The recipe, whose samples hold what ``read`` needs.
    read : callable
        Takes samples as a dataset, and returns their signals.
    normal : bool
        Whether the noise is normal.
    """

    recipe: Recipe
    read: Callable[[xr.Dataset], Signals]
    normal: bool


def known_noise(recipe: Recipe, table: str) -> Model:
    """Return the known noise of a table.

    Raises
    ------
    LabelError
        It is not known in closed form; the message says why.
    """
    view = recipe.table(table)
    if view.plan.selection is not None and view.plan.selection_uses == "noisy":
        raise LabelError("its samples are selected by what is measured on them with their noise")
    if view.kind not in KINDS:
        raise LabelError(
            "its maps are random fields, whose labels are of the statistics of the sky and not of a signal in noise"
        )
    return KINDS[view.kind](recipe, view)


def _images(recipe: Recipe, view: Table[Any]) -> Model:
    specification = view.specification
    if specification.has_defects:
        raise LabelError("its images have cosmic rays or bad pixels")
    kinds = [each.kind for each in specification.noise]
    if specification.instrument is None and kinds.count("background") == len(kinds):
        raise LabelError("its images have no noise")
    wanted = ["poisson", "gaussian"] if specification.instrument is None else []
    others = [each for each in kinds if each not in (*wanted, "background")]
    if others:
        raise LabelError(f"its images have {others[0]} noise")
    counted = kinds.count("poisson")
    if counted > 1 or (counted and "gaussian" in kinds[: kinds.index("poisson")]):
        raise LabelError("its images have noise before their photons are counted")
    planes = [*(specification.planes or ()), "image_true"]
    seen = recipe.replace({f"tables.{view.name}.planes": list(dict.fromkeys(planes))})
    if specification.instrument is not None:
        return Model(seen, lambda data: _of_instrument(view, data), normal=False)
    return Model(seen, lambda data: _of_steps(view, data), normal=not counted)


def _of_steps(view: Table[Any], data: xr.Dataset) -> Signals:
    """Return signals of images whose noise is a background, photons and normal noise, in this order."""
    mean = _flat(data["image_true"].values)
    gain, later, variance = None, np.zeros((len(mean), 1)), np.zeros((len(mean), 1))
    for name, each in zip(
        names_of(view.specification.noise), view.specification.noise, strict=True
    ):

        def label(field: str, step: str = name) -> NDArray[np.float64]:
            return data[f"noise.{step}.{field}"].values.reshape(-1, 1).astype(float)

        if each.kind == "gaussian":
            variance = variance + label("sigma") ** 2
        elif each.kind == "background":
            later = later + label("level")
        else:
            gain, later = label("gain"), -label("background")
    if gain is None:
        return Signals(mean, np.broadcast_to(_inverse(variance, data), mean.shape))
    return _of_photons(gain * (mean - later), gain * np.sqrt(variance), data)


def _of_instrument(view: Table[Any], data: xr.Dataset) -> Signals:
    """Return signals of images behind an instrument: photons of the light, the sky and the dark current, then reading.

    A full well, and counts that are rounded, lose what these still hold: there the information is less.
    """
    from deepbench.images.detector.detector import exposure_rows

    instrument = view.specification.instrument
    columns = {str(name): each.values for name, each in data.data_vars.items() if each.ndim == 1}
    true = data["image_true"].values.astype(float)
    true = true.reshape(len(true), len(instrument.bands), -1)
    means, sigmas = np.empty_like(true), np.empty_like(true)
    for place, band in enumerate(instrument.bands):
        rows = exposure_rows(instrument, band, columns)[:, None]
        means[:, place] = (true[:, place] - rows["offset"]) / rows["scale"]
        sigmas[:, place] = np.sqrt(rows["read_variance"])
    return _of_photons(_flat(means), _flat(sigmas), data)


def _of_photons(mean: NDArray, sigma: NDArray, data: xr.Dataset) -> Signals:
    """Return signals of counted photons, behind normal noise of ``sigma`` electrons."""
    mean = np.maximum(mean, 0.0)
    sigma = np.broadcast_to(sigma, mean.shape)
    dark = ((mean == 0) & (sigma < RESOLVED)).any(axis=1)
    if dark.any():
        raise LabelError(
            f"sample {data['id'].values.ravel()[np.argmax(dark)]} has pixels without any light, where one photon tells "
            "all: only a background above 0 leaves a bound"
        )
    with np.errstate(divide="ignore"):
        weight = np.where(sigma < RESOLVED, 1 / mean, 1 / (mean + sigma**2))
    faint = (mean < MANY) & (sigma >= RESOLVED) & (sigma < LOUD)
    for each in np.unique(sigma[faint]):
        own = faint & (sigma == each)
        weight[own] *= _gain_of_counting(mean[own], float(each))
    return Signals(mean, weight)


def _gain_of_counting(mean: NDArray, sigma: float) -> NDArray[np.float64]:
    """Return how much more photons behind noise tell of their mean than normal numbers of their variance do."""
    found: NDArray[np.float64] = _counting(round(sigma, 6))(np.log(np.maximum(mean, FEWEST)))
    return found


@lru_cache(maxsize=256)
def _counting(sigma: float) -> CubicSpline:
    """Return I(λ) (λ + σ²) as a function of ln λ, I the Fisher information of k + σ z of the mean λ of k.

    k is Poisson and z normal. I = ∫ q² / p, p the density of the sum and q = dp / dλ = Σ_k P(k) (k / λ − 1) φ(x − k).
    """
    nodes = np.geomspace(FEWEST, MANY, NODES)
    gains = np.empty(NODES)
    step = min(sigma, 1.0) / 5
    for place, mean in enumerate(nodes):
        k = np.arange(int(mean + 10 * np.sqrt(mean) + 12))
        log = k * np.log(mean) - mean - special.gammaln(k + 1)
        x = np.arange(-9 * sigma, k[-1] + 9 * sigma, step)
        density = np.exp(log - 0.5 * ((x[:, None] - k) / sigma) ** 2)
        p, q = density.sum(axis=1), density @ (k / mean - 1)
        sure = p > 1e-290
        total = np.sum(q[sure] ** 2 / p[sure]) * step / (sigma * np.sqrt(2 * np.pi))
        gains[place] = total * (mean + sigma**2)
    return CubicSpline(np.log(nodes), gains)


def _light_curves(recipe: Recipe, view: Table[Any]) -> Model:
    specification = view.specification
    if specification.red_noise is not None:
        raise LabelError("its light curves have red noise, which is not independent")
    walks = [
        entry.kind
        for each in specification.classes.values()
        for entry in each.lights
        if entry.chosen.streams
    ]
    if walks:
        raise LabelError(
            f"its light curves have random walks ({walks[0]}), whose labels are of statistics and not of a signal"
        )
    planes = [*(specification.planes or ()), "flux_true", "flux_error_true"]
    seen = recipe.replace({f"tables.{view.name}.planes": list(dict.fromkeys(planes))})
    return Model(seen, _of_fluxes, normal=True)


def _of_fluxes(data: xr.Dataset) -> Signals:
    """Return signals of light curves, whose noise grows with the light: fluxes, and logarithms of variances."""
    flux = _flat(data["flux_true"].values)
    variance = _flat(data["flux_error_true"].values) ** 2
    there = np.isfinite(flux) & (variance > 0)
    variance = np.where(there, variance, 1.0)
    mean = np.concatenate([np.where(there, flux, 0.0), np.log(variance)], axis=1)
    return Signals(mean, np.concatenate([there / variance, 0.5 * there], axis=1))


def _dynamics(recipe: Recipe, view: Table[Any]) -> Model:
    specification = view.specification
    noisy = list(specification.noise.given) if specification.noise is not None else []
    stored = [each for each in specification.store if not each.endswith("_true")]
    clear = [each for each in stored if each not in noisy]
    clear += ["frames"] if specification.frames is not None and not noisy else []
    if clear:
        raise LabelError(
            f"its {clear[0]} has no noise that is known, so that nothing bounds what it says"
        )
    if specification.frames is not None:
        raise LabelError("its frames show the motion a second time, in another noise")
    store = [*specification.store, *(f"{each}_true" for each in noisy)]
    seen = recipe.replace({f"tables.{view.name}.store": list(dict.fromkeys(store))})
    return Model(seen, lambda data: _of_motions(noisy, data), normal=True)


def _of_motions(noisy: list[str], data: xr.Dataset) -> Signals:
    means, weights = [], []
    for name in noisy:
        mean = _flat(data[f"{name}_true"].values)
        variance = data[f"noise.{name}"].values.reshape(-1, 1).astype(float) ** 2
        means.append(np.nan_to_num(mean))
        weights.append(np.isfinite(mean) * _inverse(variance, data))
    return Signals(np.concatenate(means, axis=1), np.concatenate(weights, axis=1))


def _flat(values: NDArray) -> NDArray[np.float64]:
    return values.reshape(len(values), -1).astype(float)


def _inverse(variance: NDArray, data: xr.Dataset) -> NDArray[np.float64]:
    """Return 1 / variance of samples, all of which have noise."""
    if not variance.all():
        sample = data["id"].values.ravel()[np.argmin(variance[:, 0])]
        raise LabelError(f"sample {sample} has no noise")
    return 1 / variance


KINDS: dict[str, Callable[[Recipe, Table[Any]], Model]] = {
    "image": _images,
    "light_curve": _light_curves,
    "dynamics": _dynamics,
}
"""Kinds of tables whose samples are signals in noise."""
