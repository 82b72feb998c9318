"""The making of releases: plan, cluster, blocks, metadata, publish, and the command line."""
