"""Point sources, integrated over the pixels.

``model`` has their specification; ``point_sources`` draws them, and ``pixel_means`` averages profiles over pixels.
"""
