"""Codecs of chunks: what they save, and what they cost, on 256 KiB of each data variable of some workflows.

    python benchmarks/codecs.py

`lz4` is what releases have; `storage: {codec: none}` leaves a copy; zstd in Blosc is what we could offer, bits or bytes
shuffled. Ratios of sizes, and µs of CPU time on one thread, the best of three. With each goes a CRC-32C.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
from numcodecs import Blosc
from numpy.typing import NDArray

import deepbench
from deepbench.storage.codecs import single_threaded

WORKFLOWS = Path(__file__).parent.parent / "workflows"
CHUNK = 2**18
PLANES = {"tables.images.planes": ["image_true", "variance", "mask", "segmentation"]}
SAMPLES: dict[str, tuple[int, dict[str, Any]]] = {
    "shapes": (64, {}),
    "star_galaxy": (64, PLANES),
    "light_curves": (64, {}),
    "cmb_like": (1, {}),
    "pendulums": (16, {}),
}
"""Number of samples and changes of each recipe."""

CODECS = {
    "lz4": Blosc("lz4", 5, Blosc.BITSHUFFLE),
    "zstd": Blosc("zstd", 1, Blosc.BITSHUFFLE),
    "zstd, bytes": Blosc("zstd", 1, Blosc.SHUFFLE),
}


def chunks() -> Iterator[tuple[str, NDArray]]:
    """Yield the first values of data variables by their names."""
    for name, (count, changes) in SAMPLES.items():
        recipe = deepbench.load_recipe(WORKFLOWS / f"{name}.yaml").replace(changes)
        table = next(iter(recipe.tables))
        rendered = deepbench.render(recipe, table, 0, count)
        for variable in recipe.table(table).variables:
            values = np.ascontiguousarray(rendered[variable.name].values).reshape(-1)
            yield f"{name}, `{variable.name}`", values[: CHUNK // values.itemsize]


def micros(count: int, job: Callable[..., Any], *arguments: Any) -> str:
    """Return the µs of CPU time that a job takes, as text."""
    best = float("inf")
    for _ in range(3):
        begun = time.process_time_ns()
        for _ in range(count):
            job(*arguments)
        best = min(best, (time.process_time_ns() - begun) / count / 1e3)
    return f"{best:.0f}"


def main() -> None:
    """Print a row for each data variable: ratio, decoding and encoding by each codec, a copy, and the CRC-32C."""
    names = list(CODECS)
    print(
        f"| | {' | | | '.join(names)} | | | copy | CRC-32C |\n"
        + "|---" * (3 * len(names) + 3)
        + "|"
    )
    for name, values in chunks():
        cells, out = [], np.empty_like(values)
        with single_threaded():
            for codec in CODECS.values():
                stored = codec.encode(values)
                cells += [
                    f"{values.nbytes / len(stored):.2f}",
                    micros(50, codec.decode, stored, out),
                    micros(8, codec.encode, values),
                ]
        cells += [
            micros(50, np.copyto, out, values),
            micros(50, google_crc32c.value, values.view(np.uint8)),
        ]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
