"""Systems that move: what a recipe may say of them, and their motion."""
