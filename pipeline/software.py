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
    "numcodecs",
    "xarray",
    "pandas",
    "pyarrow",
    "dask",
    "distributed",
)


MUST_AGREE = ("deepbench", "render", "format")
"""What must be equal on the coordinator and on each worker; numbers of other packages may differ."""


def differences(own: dict[str, str], other: dict[str, str]) -> list[str]:
    """Return what ``other`` has and must not have: versions that differ from our own."""
    return [
        f"has {name} version {other.get(name)}, not {own[name]}; install the same"
        for name in MUST_AGREE
        if other.get(name) != own[name]
    ]


def transforms() -> dict[str, str]:
    """Return the version of ducc0, which makes spherical maps, and the instructions of the processor that it uses."""
    import ducc0

    info = getattr(ducc0.misc, "cpu_info", None)  # since 0.40
    profile = info()["active_profile"] if info else platform.machine()
    return {"ducc0": version("ducc0"), "ducc0 instructions": str(profile)}


@lru_cache(maxsize=1)
def versions() -> dict[str, str]:
    """Return the versions of Python, of the packages that shape or store data, and of format and rendering."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    found |= {package: version(package) for package in PACKAGES}
    return found | {"format": str(fmt.FORMAT_VERSION), "render": str(fmt.RENDER_VERSION)}
