"""TODO datasets.posts."""
