"""HEALPix pixels: maps, patches, graphs."""
