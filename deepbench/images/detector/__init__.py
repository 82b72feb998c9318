"""Noise, detectors and their defects.

``noise`` and ``defects`` have the specifications and their registries; ``noise_steps`` draws the steps of the noise,
``detector`` takes images with an instrument, ``defect_planes`` adds the defects, and ``mask`` has the bits of the mask.
"""
