"""Ratings, labels and picks in XMP, in sidecars and inside image files: read them, and change only them."""
