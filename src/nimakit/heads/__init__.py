"""Heads on the features of frozen encoders, fitted in closed form and joined with them into one file."""
