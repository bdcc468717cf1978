"""Culling: photographs of a shoot in groups of what belongs together, and the best of each group."""
