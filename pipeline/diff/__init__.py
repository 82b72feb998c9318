"""Differences from one release to another."""

from pipeline.diff.comparison import compare, foresee, same_origin
from pipeline.diff.difference import Difference, TableDifference
from pipeline.diff.side import Side

__all__ = ["Difference", "Side", "TableDifference", "compare", "foresee", "same_origin"]
