"""TODO web.accounts."""
