"""The pictures of a collection: which there are, and the copies browsers get."""
