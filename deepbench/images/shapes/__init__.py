"""Shapes, drawn by the area that they cover."""
