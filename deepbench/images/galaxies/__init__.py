"""Galaxies behind point spread functions, on frames and in stamps."""
