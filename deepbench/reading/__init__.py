"""Releases and recipes read for training: which samples come when."""
