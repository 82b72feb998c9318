"""The language of recipes: YAML with marks, values, distributions, expressions, joint draws, specifications."""
