"""Point spread functions: profiles, transforms, files."""
