"""Create, change and list collections."""
