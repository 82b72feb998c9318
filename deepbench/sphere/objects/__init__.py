"""Objects on the sphere at their true angular sizes: specifications with their rows (``objects``), and kernels."""
