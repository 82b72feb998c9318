"""Probing: where a model fails on a release, and what a release gives away. Nothing here writes files."""
