"""Random fields on the sphere: spectra and coefficients."""
