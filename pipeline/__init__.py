"""How a release is made: plan, cluster, blocks, metadata, publish, and the command line."""
