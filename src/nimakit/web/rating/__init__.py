"""The rating pages: what to show next, and how ratings are checked and stored."""
