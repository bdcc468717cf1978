"""TODO serving.http."""
