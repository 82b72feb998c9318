"""Point spread functions.

``model`` has their specifications, their rows and the codes of their families; ``psf_profiles`` the profile and the
transform of each family, with formulas from ``airy`` and ``float32_functions``; ``transform_tables`` the tables of
transforms, also those of galaxies. ``psf_rows`` turns labels into rows, and ``psf_files`` reads images of PSFs.

A new profile is a specification in ``model`` and its branches in ``psf_profiles``.
"""
