"""TODO serving.routes."""
