"""Systems that move: specifications with their motions, by families, and the kernels that solve or integrate them.

``system`` is the base, ``pendulums`` and ``orbits`` are the families, ``systems`` has the registry; ``class_batch`` has
the samples that a motion reads and writes. ``arms`` and ``kepler_orbits`` are solved; ``pendulum_equations`` and
``gravity_equations`` are integrated by ``integrators`` with the method ``dop853``.
"""
