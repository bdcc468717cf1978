"""TODO web.collections."""
