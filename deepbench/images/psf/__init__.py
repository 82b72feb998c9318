"""Point spread functions.

``psf`` has their base, and the row of those that are profiles; ``model`` the specifications of profiles and the
registry; ``psf_image`` the specification of an image, which ``psf_files`` reads. ``psf_profiles`` has the profile and
the transform of each family, with formulas from ``airy`` and ``float32_functions``; ``transform_tables`` the tables of
transforms, also those of galaxies. ``psf_rows`` turns labels into rows.

A new profile is a specification in ``model`` and its branches in ``psf_profiles``.
"""
