"""HTTP routes of the scoring server."""
