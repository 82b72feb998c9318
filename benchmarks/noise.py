"""Photon noise and normal noise of images, against numpy: nanoseconds of CPU time per pixel.

    python benchmarks/noise.py

Both run in one process and on one core, in turns; medians. Ours puts the noise on a float32 image, which is copied from
one without noise each time; numpy's Philox generator draws from the same means, or unit normals, in float64. The means
of an image are constant, or rise evenly by 0.7 to 1.3 times the one that is named.
"""

import time

import numpy as np

from deepbench.images.detector.noise import NOISE_ROW
from deepbench.images.detector.noise_steps import STEPS
from deepbench.numerics.stream_names import stream_number
from deepbench.numerics.streams import key_words, stream_words

ROUNDS = 9
PIXELS = 1 << 20  # per round
KEY = np.array(key_words(1), np.uint32)
WORDS = np.array(stream_words(stream_number("benchmark")), np.uint32)
SAMPLES = np.array([3])
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


def compare(kind, means):
    """Return the time of numpy and ours, per pixel."""
    clean = means.astype(np.float32).reshape(1, 1, -1)
    image = np.empty_like(clean)
    generator = np.random.Generator(np.random.Philox(1))
    rows = np.ones(1, NOISE_ROW)
    rows["background"] = 0.0

    def ours():
        image[:] = clean
        STEPS[kind](image, rows, SAMPLES, KEY, WORDS)

    def numpys():
        if kind == "poisson":
            return generator.poisson(means)
        return generator.standard_normal(means.size)

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
            numpys, ours = compare("gaussian" if mean is None else "poisson", means)
            print(f"| {numpys:11.1f} {ours:7.2f} {numpys / ours:7.1f} ", end="")
        print(flush=True)


if __name__ == "__main__":
    main()
