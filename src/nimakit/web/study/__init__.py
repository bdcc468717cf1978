"""A study's way for a rater: consent, instructions, practice, the pictures, and a completion code."""
