"""The model that a collection learns from its ratings: how good it is, and how to use it."""
