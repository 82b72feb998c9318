"""The peer of ``rendering.py``: the poster's images by the original DeepBench 0.2.3, run by an interpreter that has it.

Half circles, half rectangles, 64 × 64, noise of sigma 0.05, then a Gaussian blur, as the original does them: in this
order, without anti-aliasing. Prints images per CPU-second.
"""

import sys
import time

import numpy as np
from deepbench.image import ShapeImage  # of the original package
from scipy.ndimage import gaussian_filter

count = int(sys.argv[1])
generator = np.random.default_rng(2020)
canvas = ShapeImage((64, 64), object_noise_level=0.05)


def image(number: int) -> np.ndarray:
    """Return one image."""
    centre = tuple(generator.uniform(16, 48, 2))
    if number % 2:
        size = 2 * generator.uniform(1, 24)
        shape, parameters = "ellipse", {"width": size, "height": size}
    else:
        shape = "rectangle"
        parameters = {
            "width": generator.uniform(2, 48),
            "height": generator.uniform(2, 48),
            "angle": generator.uniform(0, 180),
        }
    drawn = canvas.combine_objects(
        [shape], [{"center": centre, "fill": True, **parameters}], seed=number
    )
    return gaussian_filter(drawn, generator.uniform(0.5, 2.0))


image(0)
begun = time.process_time()
for number in range(count):
    image(number)
print(count / (time.process_time() - begun))
