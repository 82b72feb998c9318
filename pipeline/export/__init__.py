"""Tables of releases in the formats of others."""

from pipeline.export.light_curves import export_light_curves

__all__ = ["export_light_curves"]
