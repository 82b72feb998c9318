"""Locations of releases, and the Zarr stores that raise where a file is missing."""
