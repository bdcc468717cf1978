"""Rated posts: search or read them, extract the rating, download the photographs."""
