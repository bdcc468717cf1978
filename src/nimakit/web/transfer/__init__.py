"""Export and import ratings."""
