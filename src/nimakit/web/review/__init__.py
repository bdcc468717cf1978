"""TODO web.review."""
