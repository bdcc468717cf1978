"""TODO personal."""
