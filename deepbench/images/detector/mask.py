"""The bits of the plane ``mask``."""

SATURATED, COSMIC_RAY, BAD_PIXEL = 1, 2, 4
