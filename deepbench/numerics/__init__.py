"""Formulas that know no dataset: kernels, elementary functions, random streams, counts, orbits, elliptic integrals."""
