"""TODO web.similarity."""
