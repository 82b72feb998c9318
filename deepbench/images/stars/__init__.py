"""Point sources, integrated over the pixels."""
