"""Random fields on the sphere: specifications (``fields``), formulas of their spectra, and coefficients."""
