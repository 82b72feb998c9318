"""Photon noise and normal noise of images, against numpy: nanoseconds of CPU time per pixel.

    python benchmarks/noise.py

Both run in one process and on one core, in turns; medians. Ours puts the noise on a float32 image, which is copied from
one without noise each time; numpy's Philox generator draws from the same means, or unit normals, in float64. The means
of an image are constant, or rise evenly by 0.7 to 1.3 times the one that is named.
"""

import time

import numpy as np

from deepbench.images.detector.noise import NOISE_ROW
from deepbench.images.detector.noise_steps import GAUSSIAN, POISSON, apply_step
from deepbench.numerics.stream_names import stream_number
from deepbench.numerics.streams import key_words, stream_words

ROUNDS = 9
PIXELS = 1 << 20  # per round
WORDS = *key_words(1), *stream_words(stream_number("benchmark"))
MEANS = (0.01, 0.1, 0.3, 1.0, 3.0, 5.0, 9.9, 10.0, 16.0, 30.0, 100.0, 1e3, 1e4, 1e5, 1e6, 1e9)


def alternating(*functions, repeat):
    """Return the median time of a call of each function, in nanoseconds."""
    times = [[] for _ in functions]
    for function in functions:
        function()
    for _ in range(ROUNDS):
        for function, found in zip(functions, times, strict=True):
            start = time.process_time()
            for _ in range(repeat):
                function()
            found.append((time.process_time() - start) / repeat)
    return [1e9 * np.median(found) for found in times]


def compare(code, means):
    """Return the time of numpy and ours, per pixel."""
    image, work = np.empty((2, means.size), np.float32)
    clean = means.astype(np.float32)
    generator = np.random.Generator(np.random.Philox(1))
    (row,) = np.ones(1, NOISE_ROW)
    row["background"] = 0.0

    def ours():
        image[:] = clean
        apply_step(image, code, row, 3, *WORDS, work)

    def numpys():
        return (
            generator.poisson(means) if code == POISSON else generator.standard_normal(means.size)
        )

    times = alternating(numpys, ours, repeat=PIXELS // means.size)
    return [each / means.size for each in times]


def main():
    """Print the table."""
    cases = [(size, ramp) for size in (64, 1024) for ramp in (False, True)]
    head = "".join(
        f"| {size}²{' ramp' if ramp else '':<5} numpy, ours, ratio " for size, ramp in cases
    )
    print(f"{'mean':>8} {head}")
    for mean in (*MEANS, None):
        print(f"{'normals' if mean is None else f'{mean:g}':>8} ", end="")
        for size, ramp in cases:
            level = 0.0 if mean is None else mean
            ends = (0.7 * level, 1.3 * level) if ramp else (level, level)
            means = np.linspace(*ends, size * size)
            numpys, ours = compare(GAUSSIAN if mean is None else POISSON, means)
            print(f"| {numpys:11.1f} {ours:7.2f} {numpys / ours:7.1f} ", end="")
        print(flush=True)


if __name__ == "__main__":
    main()
