"""Search a collection for similar pictures."""
