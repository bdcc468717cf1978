"""The pictures of a collection: scanning the folder, and serving pictures to browsers."""
