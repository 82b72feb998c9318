"""Where releases lie, and the Zarr stores that raise where a file is missing."""
