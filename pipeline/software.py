"""Which software makes a release: recorded in its manifest, and compared between coordinator and workers."""

from __future__ import annotations

import platform
from functools import lru_cache
from importlib.metadata import version

from deepbench import format as fmt

PACKAGES = (
    "deepbench",
    "numpy",
    "scipy",
    "numba",
    "zarr",
    "xarray",
    "pandas",
    "pyarrow",
    "dask",
    "distributed",
)


@lru_cache(maxsize=1)
def versions() -> dict[str, str]:
    """Return the versions of Python, of the packages that shape or store data, and of format and rendering."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    found |= {package: version(package) for package in PACKAGES}
    return found | {"format": str(fmt.FORMAT_VERSION), "render": str(fmt.RENDER_VERSION)}
