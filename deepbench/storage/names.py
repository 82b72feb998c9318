"""Names and versions of releases, as patterns: both are names of folders in a catalog."""

RELEASE_NAME = r"^[a-z0-9][a-z0-9_-]{0,62}$"
VERSION = r"^(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})$"
