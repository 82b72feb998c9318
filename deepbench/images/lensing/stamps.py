"""Lensed galaxies in stamps: how large they are, and what they show behind point spread functions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deepbench.images.galaxies.model import ARMS_ROW, TRUNCATED_ROW
from deepbench.images.galaxies.oversampled import (
    CHUNK,
    FINER,
    convolve,
    convolve_behind,
    grid_period,
    refinements,
)
from deepbench.images.galaxies.sersic import sersic_tables
from deepbench.images.galaxies.stamp_sizes import psf_reach
from deepbench.images.lensing.lensed_objects import LensedObjects
from deepbench.images.lensing.traced import LensedLight, make_scratch, write_traced
from deepbench.images.model.sky import COMPONENT_ROW, COMPONENTS
from deepbench.images.model.table import LENSED_POINTS
from deepbench.images.psf.psf_files import PsfFile
from deepbench.numerics.kernels import kernel

LOST = 5e-3
"""Part of a point's light that falls beyond the margin around a frame, outside of which no light is traced."""

STEP = 8
"""The edges of stamps are multiples of this (pixel)."""

ROWS = {COMPONENTS: COMPONENT_ROW, "arms": ARMS_ROW, "truncated": TRUNCATED_ROW}
"""Types of the rows of a lensed galaxy's pieces, by their engines."""


@kernel
def _margins(psfs):
    """Return the distance beyond which a point has at most LOST of its light, float64[m]."""
    found = np.empty(psfs.shape[0])
    for i in range(psfs.shape[0]):
        found[i] = psf_reach(psfs[i], LOST)
    return found


def lensed_boxes(
    psfs: NDArray[np.void], frame_shape: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the edges of the stamps of lensed galaxies, which hold the frame and a margin, and their corners.

    Parameters
    ----------
    psfs : PSF_ROW[k]
        Images of a point spread function have the row of a Gaussian that is as wide.
    frame_shape : tuple of int

    Returns
    -------
    edges : int64[k]
    corners : int64[k, 2]
        x and y of the lower left pixels in the frame.
    """
    ny, nx = frame_shape
    most = max(ny, nx)
    margin = np.minimum(np.ceil(_margins(psfs)), most).astype(np.int64)
    beyond = grid_period(most) - most  # a grid has that much around its stamp
    edges = most + 2 * np.maximum(margin - beyond // 2, 0)
    edges = (edges + STEP - 1) // STEP * STEP
    corners = -((edges[:, None] - np.array([nx, ny])) // 2)
    return edges, corners


def add_lensed(
    stamps: NDArray[np.float32],
    lensed: LensedObjects,
    some: NDArray[np.intp],
    corners: NDArray[np.int64],
    positions: NDArray[np.float64],
    fluxes: NDArray[np.float64],
    psfs: NDArray[np.void],
    file: PsfFile | None,
) -> None:
    """Add lensed galaxies behind point spread functions to stamps, and note their magnifications.

    Parameters
    ----------
    stamps : float32[k, side, side]
        Changed.
    lensed : LensedObjects
    some : int64[k]
        Numbers of the galaxies among those that are lensed.
    corners : int64[k, 2]
        x and y of the stamps' lower left pixels.
    positions : float64[k, 2]
        x and y without masses, pixels of the frame.
    fluxes : float64[k]
    psfs : PSF_ROW[k]
    file : PsfFile, optional
        The image of a point spread function, in place of ``psfs``.
    """
    side = stamps.shape[1]
    size = grid_period(side)
    start = float(side // 2 - size // 2)
    finer, sizes = np.full(len(some), FINER), np.zeros(len(some))
    if file is None:
        finer, sizes = refinements(psfs), psfs["fwhm"] * np.sqrt(psfs["axis_ratio"])
    for refined in np.unique(finer):
        chosen = np.flatnonzero(finer == refined)
        together = max(1, min(CHUNK, LENSED_POINTS // (refined * size) ** 2))
        for begin in range(0, len(chosen), together):
            own = chosen[begin : begin + together]
            light = _light(lensed, some[own], corners[own], positions[own], fluxes[own], sizes[own])
            grids = np.zeros((len(own), refined * size, refined * size), np.float32)
            masses = int((light.planes[:, 1] - light.planes[:, 0]).max(initial=0))
            found = np.empty(len(own))
            scratch = make_scratch(refined * size, masses)
            write_traced(
                grids, light, lensed.scale, start, refined, sersic_tables(), scratch, found
            )
            with np.errstate(invalid="ignore"):
                lensed.magnifications[some[own]] = found / fluxes[own]
            if file is None:
                stamps[own] += convolve(grids, psfs[own], side)
            else:
                stamps[own] += convolve_behind(grids, file, side)


def _light(
    lensed: LensedObjects,
    some: NDArray[np.intp],
    corners: NDArray[np.int64],
    positions: NDArray[np.float64],
    fluxes: NDArray[np.float64],
    sizes: NDArray[np.float64],
) -> LensedLight:
    """Return the light of some lensed galaxies in the pixels of their stamps."""
    owners, planes = lensed.owners[some], lensed.planes
    samples = lensed.samples[some]
    of_pieces = {piece.engine: piece for piece in lensed.pieces}
    parts: dict[str, tuple[NDArray[np.void], NDArray[np.int64]]] = {}
    for engine, row in ROWS.items():
        if engine not in of_pieces:
            parts[engine] = np.zeros(0, row), np.zeros(len(some) + 1, np.int64)
            continue
        rows, offsets = of_pieces[engine].of(owners)
        rows["flux"] *= np.repeat(fluxes, np.diff(offsets))
        parts[engine] = rows, offsets
    return LensedLight(
        np.stack([planes.offsets[samples], planes.offsets[samples + 1]], axis=1),
        planes.rows,
        lensed.frame_centre - corners,
        positions - corners,
        sizes,
        *parts[COMPONENTS],
        *parts["arms"],
        *parts["truncated"],
    )
