"""TODO web.transfer."""
