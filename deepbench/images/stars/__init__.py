"""Point sources, integrated over the pixels.

``model`` has their specification, ``point_sources`` draws them, ``pixel_means`` averages smooth profiles over pixels.
"""
