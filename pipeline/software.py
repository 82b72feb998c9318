"""Software that makes a release: recorded in its manifest, and compared between coordinator and workers."""

from __future__ import annotations

import platform
from collections.abc import Callable
from functools import lru_cache, partial
from importlib import metadata
from typing import TYPE_CHECKING

from deepbench import __version__
from deepbench import format as fmt

if TYPE_CHECKING:
    from deepbench.storage.locations import Location

PACKAGES = (
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
"""Packages of others whose versions a manifest lists."""

MUST_AGREE = ("deepbench", "render", "format")
"""Versions that must be equal on the coordinator and on each worker; those of other packages may differ."""


def differences(own: dict[str, str], other: dict[str, str]) -> list[str]:
    """Return what ``other`` has and must not have: versions that differ from our own."""
    return [
        f"has {name} version {other.get(name)}, not {own[name]}; install the same"
        for name in MUST_AGREE
        if other.get(name) != own[name]
    ]


def probe_of(location: Location) -> Callable[[], list[str]]:
    """Return the probe that a coordinator runs on every worker: has it our software, and does it see the files?"""
    return partial(obstacles, location, versions())


def obstacles(location: Location, coordinator: dict[str, str]) -> list[str]:
    """Return why this process cannot work on the files of a location for a coordinator with these versions."""
    problems = differences(coordinator, versions())
    if next(location.files(), None) is None:
        problems.append(
            f"does not see what is in {location.root}; "
            "use a folder that all machines share, or an object store"
        )
    return problems


def transforms() -> dict[str, str]:
    """Return the version of ducc0, which makes spherical maps, and the instructions of the processor that it uses."""
    import ducc0

    info = getattr(ducc0.misc, "cpu_info", None)  # since 0.40
    profile = info()["active_profile"] if info else platform.machine()
    return {"ducc0": metadata.version("ducc0"), "ducc0 instructions": str(profile)}


@lru_cache(maxsize=1)
def versions() -> dict[str, str]:
    """Return the versions of Python, of the packages that shape or store data, and of format and rendering."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    found |= {"deepbench": __version__}
    found |= {package: metadata.version(package) for package in PACKAGES}
    return found | {"format": str(fmt.FORMAT_VERSION), "render": str(fmt.RENDER_VERSION)}
