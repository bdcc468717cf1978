"""TODO web.dashboard."""
