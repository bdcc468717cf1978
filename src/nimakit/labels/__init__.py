"""TODO labels."""
