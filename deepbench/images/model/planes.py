"""Planes that may be stored beside an image."""

from __future__ import annotations

from typing import Literal

Plane = Literal[
    "image_true",
    "variance",
    "variance_true",
    "mask",
    "segmentation",
    "convergence",
    "source_true",
    "arcs_true",
]
PLANES: dict[str, tuple[str, str]] = {
    "image_true": ("image without noise", "float32"),
    "variance": ("variance of the noise, estimated from the noisy image", "float32"),
    "variance_true": ("variance of the noise", "float32"),
    "mask": ("bits of what spoils a pixel, added: 1 saturated, 2 cosmic ray, 4 bad pixel", "uint8"),
    "segmentation": (
        "object with the most light in a pixel; 0 where it is below the noise of the sky",
        "int32",
    ),
    "convergence": ("convergence of all masses, mean of 16 points of each pixel", "float32"),
    "source_true": ("light of all that is lensed, as it would be without masses", "float32"),
    "arcs_true": ("light of all that is lensed", "float32"),
}
"""Planes that may be stored beside the image: their descriptions and types."""

LENSED_LIGHT = frozenset({"arcs_true", "source_true"})
"""Planes that show lensed objects alone, in units of their flux."""

LENSING = LENSED_LIGHT | {"convergence"}
"""Planes that show what masses do."""
