"""TODO enhance."""
