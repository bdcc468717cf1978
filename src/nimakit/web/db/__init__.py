"""TODO web.db."""
