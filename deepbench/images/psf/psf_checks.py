"""Checks of point spread functions from files, which a new build makes before it believes them.

A file may hold a level beside the light, a centre that is not the array's, or samples that are too few: each moves the
light of all stars and galaxies, and no later step could tell. Numbers that no point spread function has are refused;
those that some have, warned about.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from deepbench.errors import InputWarning, LabelError
from deepbench.images.psf.psf_files import (
    PsfFile,
    border_of,
    centroid_of,
    middle_of,
    name_of,
    peak_of,
    samples_of,
)

MOST_ON_BORDER = 0.01
"""Largest part of the light on the border, one sample wide."""

MOST_LEVEL = 0.1
"""Largest part of the light of a level over the whole array that is as high as the mean of the border."""

NOTED_LEVEL = 0.01
"""That part from which on a warning is given."""

OFF_CENTRE = 0.1
"""Largest distance between the centre of the array and the peak or the centroid, along an axis (pixel)."""

FINEST = 0.9
"""Part of the highest frequency of the samples from which on little of the transform should be left."""

NOTED_TRANSFORM = 0.02
"""Part of the light in the transform there from which on a warning is given."""


def check_light(files: Iterable[PsfFile]) -> None:
    """Refuse a level beside the light, warn of one that may be wings, and of samples that are too coarse.

    Raises
    ------
    LabelError
    """
    levels, coarse = [], []
    for file in files:
        image = samples_of(file)
        border = border_of(image)
        share, level = abs(border.sum()), abs(border.mean()) * image.size
        said = (
            f"the border of its array, one sample wide, has {share:.2%} of the light, and a level as high over the "
            f"whole array {level:.2%}"
        )
        if share > MOST_ON_BORDER or level > MOST_LEVEL:
            remedy = "" if file.subtract else "write `subtract: border` to take the level off, or "
            raise LabelError(
                f"{name_of(file)} holds a level beside the light, or wings that are cut off: {said}; allowed are "
                f"{MOST_ON_BORDER:.0%} and {MOST_LEVEL:.0%}: {remedy}give a larger array"
            )
        if level > NOTED_LEVEL:
            levels.append(
                (
                    file,
                    f"{said}: a level beside the light (write `subtract: border`), or wings cut off",
                )
            )
        left = transform_left(image)
        if left > NOTED_TRANSFORM:
            coarse.append(
                (
                    file,
                    f"its samples are too coarse: its transform is {left:.2%} at {FINEST:.0%} of their highest "
                    f"frequency and beyond, and images behind it may err as much; give finer samples",
                )
            )
    warn(levels)
    warn(coarse)


def check_centres(files: Iterable[PsfFile], oversampling: float) -> None:
    """Refuse a centre that is neither the peak's nor the centroid's, and warn where it is one of them alone.

    Parameters
    ----------
    files : iterable of PsfFile
    oversampling : float
        Samples per pixel.

    Raises
    ------
    LabelError
    """
    found = []
    for file in files:
        image = samples_of(file)
        middle, places = middle_of(image), {"peak": peak_of(image), "centroid": centroid_of(image)}
        offsets = {
            what: [
                round((at - centre) / oversampling, 4)
                for at, centre in zip(place, middle, strict=True)
            ]
            for what, place in places.items()
        }
        far = [what for what, offset in offsets.items() if max(map(abs, offset)) > OFF_CENTRE]
        if not far:
            continue
        where = " and ".join(
            f"its {what} is {offsets[what][1] + 0.0:+.2f} pixels in x and {offsets[what][0] + 0.0:+.2f} in y"
            for what in far
        )
        said = f"{where} off the centre of its array, where stars would be"
        choices = "write `center: peak` or `center: centroid` to have one of them there, `center: array` to keep it"
        if len(far) == len(places):
            raise LabelError(
                f"{name_of(file)} is off its centre: {said}; allowed is {OFF_CENTRE}: {choices}"
            )
        found.append((file, f"{said}: {choices}"))
    warn(found)


def transform_left(image: NDArray[np.float64]) -> float:
    """Return the largest part of the light in the transform at the highest frequencies along both axes."""
    left = [0.0]
    for profile in (image.sum(axis=0), image.sum(axis=1)):
        transform = np.abs(np.fft.rfft(profile, max(1000, 2 * len(profile))))
        left.append(float(transform[math.ceil(FINEST * (len(transform) - 1)) :].max()))
    return max(left)


def warn(found: list[tuple[PsfFile, str]]) -> None:
    """Give one warning for point spread functions with the same fault, in the words for the first."""
    if found:
        file, words = found[0]
        others = f" ({len(found) - 1} others of the file alike)" if len(found) > 1 else ""
        warnings.warn(f"{name_of(file)}{others}: {words}", InputWarning, stacklevel=2)
