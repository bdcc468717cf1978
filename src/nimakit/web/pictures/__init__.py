"""TODO web.pictures."""
