"""Noise, detectors and their defects."""
