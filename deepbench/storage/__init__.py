"""Locations of releases, the reader of their shards, and the Zarr stores that raise where a file is missing."""
