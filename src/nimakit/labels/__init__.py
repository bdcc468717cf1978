"""Ratings and label files: read, check, filter, split and summarise them."""
