"""Specifications of gravitational lenses for tables of all kinds: masses, and the plane that they lie in.

Masses are objects of a class. They add up: everything of the class that is ``lensed`` is seen through all of them.
"""
