"""Predicted scores and personal tastes, computed in the background."""
