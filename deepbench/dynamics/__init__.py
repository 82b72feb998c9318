"""Dynamics: pendulums and orbits, as series of positions and momenta and as image sequences.

A table of dynamics has one system per class, followed from time 0 over the table's times. What may be solved is
solved (pendulums by elliptic functions, two bodies by Kepler's equation); the rest is integrated by steps whose errors
are held far below what is stored.
"""
