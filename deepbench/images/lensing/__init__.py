"""Galaxies and stars behind the masses of their sample, as a gravitational lens shows them."""
