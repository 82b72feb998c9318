"""Names of folders: of releases and versions in a catalog, as patterns, and within a release."""

RELEASE_NAME = r"^[a-z0-9][a-z0-9_-]{0,62}$"
VERSION = r"^(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})$"

INPUTS = "inputs"
"""Folder of a release with the files that its recipe names."""
