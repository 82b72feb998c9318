"""Objects on the sphere, at their true angular sizes."""
