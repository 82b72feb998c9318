"""Pictures of samples for people to look at, and results of probing in files."""
