"""TODO web.rating."""
