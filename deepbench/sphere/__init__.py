"""Spherical maps: random fields on HEALPix, and the patches and graphs that networks read."""
