"""The language of recipes: YAML with marks, values, expressions, the schema and the canonical form."""
