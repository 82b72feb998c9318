"""Specifications of tables of images.

``table`` has the table with its classes, ``objects`` joins the registries of the rooms, ``image_object`` is the base of
all objects and ``sky`` that of stars and galaxies; ``instruments`` has cameras and their presets, ``wcs`` the direction
of an image on the sky.
"""
