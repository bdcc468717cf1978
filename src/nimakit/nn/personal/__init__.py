"""Adapt a network to one person's ratings."""
