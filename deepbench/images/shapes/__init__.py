"""Shapes, drawn by the area that they cover.

``model`` has their specifications and the registry, ``boundaries`` the rows that kernels read; ``outlines`` draws a
shape with the covers that ``coverage`` finds, ``gaussian_blur`` blurs, and ``draw`` does both for many images.
"""
