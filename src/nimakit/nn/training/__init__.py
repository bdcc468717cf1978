"""Fit a network to ratings: batches, losses, checkpoints."""
