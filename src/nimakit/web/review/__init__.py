"""Ratings that were given: list, change and explain them."""
