"""Models as files: their metadata, how they are obtained and loaded, and the engine that scores with them."""
