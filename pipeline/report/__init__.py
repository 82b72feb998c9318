"""Pictures of samples, for people to look at."""
