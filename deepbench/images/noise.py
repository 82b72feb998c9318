"""The steps of the noise of an image: a background, photon noise, and normal noise."""

from __future__ import annotations

from deepbench.kernels import kernel
from deepbench.streams import fill_normals, poisson

BACKGROUND, GAUSSIAN, POISSON = 0, 1, 2

STEPS: dict[str, tuple[int, tuple[str, ...]]] = {
    "background": (BACKGROUND, ("level",)),
    "gaussian": (GAUSSIAN, ("sigma",)),
    "poisson": (POISSON, ("gain", "background")),
}
"""Code of each step, and its values in the order in which the kernel takes them."""

STEP_VALUES = 2
"""Values per step in the kernel's table."""


@kernel
def apply_step(image, code, first, second, sample, key0, key1, word2, word3, work):
    """Apply one step to an image in place.

    Parameters
    ----------
    image : float32[pixels]
    code : int
    first, second : float
        The step's values: (level, –), (sigma, –) or (gain, background).
    sample : int
        Sample number.
    key0, key1, word2, word3 : uint32
        Key of the seed and words of the step's stream.
    work : float32[pixels]
        Overwritten.
    """
    pixels = image.size
    if code == BACKGROUND:
        for pixel in range(pixels):
            image[pixel] += first
    elif code == GAUSSIAN:
        fill_normals(work, sample, key0, key1, word2, word3)
        for pixel in range(pixels):
            image[pixel] += first * work[pixel]
    else:
        for pixel in range(pixels):
            mean = first * (image[pixel] + second)
            count = poisson(mean, pixel, sample, key0, key1, word2, word3) if mean > 0.0 else 0.0
            image[pixel] = count / first - second
