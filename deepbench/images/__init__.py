"""Images: shapes, point spread functions and noise."""
