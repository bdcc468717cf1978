"""TODO web.predictions."""
