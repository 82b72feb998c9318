"""What a recipe may say about a table of images."""
