"""The rating pages: what to show next, and checking and storing ratings."""
